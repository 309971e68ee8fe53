#!/usr/bin/env bash
# A conversation of 20 turns with tools and the model `auto`: the models that come with Shoal, and a cloud of the test's own
# on loopback that calls tools. Who answers moves twice at most, never between a call and its result, and of the personal
# items in words, results and schemas none reaches the cloud.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || { echo "SKIP tools: python3 is not there"; exit 77; }
models=$srcdir/models

cloud sky
cat >"$tmp/clouds" <<CONF
[budget]
day = 10
[sky]
url = http://127.0.0.1:$port/agent
model = sky-1
price_in = 1
price_out = 1
context = 65536
max_tokens = 64
CONF
start c --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --cloud "$tmp/clouds" --privacy redact
wait_serving c

PYTHONPATH=$srcdir/tests/swarm PYTHONDONTWRITEBYTECODE=1 python3 - "$tmp/c/sock" "$tmp/sky.got" <<'PY' || fail "tools: $(tail -5 "$tmp/c/log")"
import glob, json, os, sys
import chat


def post(body):
    return chat.post(sys.argv[1], body)


planted = ["jane.doe@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "192.168.17.23",
           "+49 30 901820", "00:1B:44:11:3A:B7"]
tools = [{"type": "function", "function": {
    "name": "mail", "description": "Asks bob.roe@example.net.",
    "parameters": {"type": "object", "properties": {"about": {"type": "string", "default": "eve@example.com"}}}}}]
messages, moves, last, called, by_cloud = [], 0, None, 0, 0
for turn in range(20):
    item = planted[turn % len(planted)]
    messages.append({"role": "user", "content": "turn off the light" if turn < 2 else "look up %s, turn %d" % (item, turn)})
    for _ in range(2):  # a call, and what is said of its result
        message, finish, shoal = post({"model": "auto:cloud" if turn == 2 and messages[-1]["role"] == "user" else "auto",
                                       "messages": messages, "tools": tools, "temperature": 0, "max_tokens": 32,
                                       "stream": turn % 2 == 1})
        target = shoal["target"]
        moved = last is not None and target != last
        moves += moved
        assert not (moved and messages[-1]["role"] == "tool"), ("moved between a call and its result", turn, shoal)
        last = target
        by_cloud += target == "cloud"
        messages.append(message)
        calls = message.get("tool_calls", [])
        assert (finish == "tool_calls") == bool(calls), (finish, message)
        if not calls:
            break
        called += 1
        arguments = json.loads(calls[0]["function"]["arguments"])
        assert arguments == {"about": messages[-2]["content"]}, (arguments, "is not what the user said", messages[-2])
        messages.append({"role": "tool", "tool_call_id": calls[0]["id"],
                         "content": "%s says that %s is wrong" % (item, planted[(turn + 1) % len(planted)])})
    if target == "cloud":
        assert message["content"] == "It says: " + messages[-2]["content"], message

assert moves in (1, 2) and called >= 10, (moves, called)
sent = "".join(open(f, errors="replace").read() for f in glob.glob(os.path.join(sys.argv[2], "[0-9]*"))
               if not f.endswith(".end"))
for item in planted + ["bob.roe@example.net", "eve@example.com"]:
    assert item not in sent and item.replace(" ", "") not in sent, (item, "left the house")
assert "[EMAIL_" in sent and "\"tool_call_id\"" in sent
print("20 turns: %d moves, %d calls, %d answers by the cloud, 0 leaks" % (moves, called, by_cloud))
PY
stop c
echo "ok"
