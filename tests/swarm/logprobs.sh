#!/usr/bin/env bash
# What the model gave each token: on two devices as on one, beside each other and in a pipeline, whole and streamed, however
# a token was picked, and guessed ahead or not; and that nothing of it changes the text.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || { echo "SKIP logprobs: python3 is not there"; exit 77; }
models=$srcdir/models

compare() { # LABEL NAME: that swarm beside the one device
  PYTHONPATH=$srcdir/tests/swarm PYTHONDONTWRITEBYTECODE=1 python3 - "$tmp/$2/sock" "$tmp/alone/sock" <<'PY' || fail "$1"
import json, math, sys
import chat

swarm, alone = sys.argv[1:3]


def send(path, where, body):
    c = chat.Unix(path)
    c.request("POST", where, json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    data = r.read().decode()
    assert r.status == 200, (r.status, data, body)
    if not body.get("stream"):
        return [json.loads(data)["choices"][0]]
    events = [l[6:] for l in data.split("\n") if l.startswith("data: ")]
    assert events[-1] == "[DONE]", events
    return [e["choices"][0] for e in map(json.loads, events[:-1])]


def say(path, **more):
    """The text and its tokens. Each chunk of a stream has those of its own text."""
    body = {"messages": [{"role": "user", "content": "set the bedroom to 19 degrees"}], "model": "hearth",
            "temperature": 0, "max_tokens": 60, "logprobs": True, "top_logprobs": 20, **more}
    text, tokens = "", []
    for c in send(path, "/v1/chat/completions", body):
        content = c.get("delta", c.get("message")).get("content") or ""
        mine = (c["logprobs"] or {"content": []})["content"]
        # Of a token that may begin a stop text, what is before that may come earlier.
        assert bool(content) == bool(mine) or c["finish_reason"] or "stop" in more or not body.get("stream"), c
        text += content
        tokens += mine
    return text, tokens


def check(text, tokens, top=20, cut=False):
    said = b"".join(bytes(t["bytes"]) for t in tokens if t["bytes"] is not None).decode(errors="replace")
    assert said == text or (cut and said.startswith(text)), (said, text)
    for t in tokens:
        best = t["top_logprobs"]
        assert len(best) == top and t["logprob"] <= 0, t
        assert sum(math.exp(b["logprob"]) for b in best) <= 1 + 1e-5, t
        assert [b["logprob"] for b in best] == sorted((b["logprob"] for b in best), reverse=True), t
        assert all(b["logprob"] == t["logprob"] for b in best if b["bytes"] == t["bytes"] and b["token"] == t["token"]), t


# Activations are rounded to a byte: a sum in another order may tip one over. With weights of 32 bits all agrees, below.
near = 0.15


def same(a, b, what, drawn=False):
    assert drawn or a[0] == b[0], (what, a[0], b[0])
    assert drawn or len(a[1]) == len(b[1]), (what, len(a[1]), len(b[1]))
    for s, t in zip(a[1], b[1]):
        if drawn and s["token"] != t["token"]:  # a draw that fell between them: what follows is another text
            assert a[1].index(s) > 0
            break
        assert s["token"] == t["token"] and s["bytes"] == t["bytes"], (what, s, t)
        assert abs(s["logprob"] - t["logprob"]) < near, (what, s, t)
        for x, y in zip(s["top_logprobs"], t["top_logprobs"]):  # equals may change places
            assert abs(x["logprob"] - y["logprob"]) < near, (what, x, y)


schema = {"type": "object", "properties": {"é😀": {"enum": ["☃ ünd so", "żółw"]}}, "required": ["é😀"],
          "additionalProperties": False}
ways = [{}, {"speculative.n_max": 0}, {"temperature": 1, "seed": 1}, {"temperature": 1, "top_k": 5, "seed": 2},
        {"temperature": 1.5, "top_p": 0.5, "seed": 3}, {"repeat_penalty": 1.3}, {"ignore_eos": True, "max_tokens": 90},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}},
        {"response_format": {"type": "json_object"}, "temperature": 1, "top_k": 8, "seed": 4}]
for w in ways:
    got = say(swarm, **w)
    check(*got)
    same(got, say(alone, **w), w, "temperature" in w)
    same(got, say(swarm, stream=True, **w), (w, "stream"))
    assert say(swarm, logprobs=False, top_logprobs=0, **w)[0] == got[0], w
    if not w:
        plain = got
        assert all(t["token"] == t["top_logprobs"][0]["token"] for t in got[1]), got
        # Predicted, several tokens are of one step.
        for path in (swarm, alone):
            same(got, say(path, prediction={"type": "content", "content": got[0]}), "predicted")
    if "response_format" in w and "temperature" not in w:
        assert "😀" in got[0] and any(len(t["bytes"]) == 1 and t["bytes"][0] >= 128 for t in got[1]), got
same(plain, say(swarm, **ways[1]), "without guesses")
for n in (0, 1, 7):
    check(*say(swarm, top_logprobs=n), top=n)

# What a stop text cuts off is not there, whole or streamed; the tokens before it are.
word = plain[1][4]["token"]
for stop in (word, word[1:], plain[0][5:9]):
    for stream in (False, True):
        got = say(swarm, stop=stop, stream=stream)
        assert stop not in got[0] and plain[0].startswith(got[0]), got
        check(*got, cut=True)
        assert len(got[1]) < len(plain[1]), got
        assert [t["token"] for t in got[1]] == [t["token"] for t in plain[1][:len(got[1])]], got


def complete(path, **more):
    body = {"prompt": "turn off", "model": "hearth", "temperature": 1, "seed": 7, "max_tokens": 40, "logprobs": 5, **more}
    text, all = "", {}
    for c in send(path, "/v1/completions", body):
        text += c["text"]
        for key, values in (c["logprobs"] or {}).items():
            all.setdefault(key, []).extend(values)
    return text, all


one, two = complete(swarm), complete(swarm, stream=True)
assert one[0] == two[0] and one[1]["tokens"] == two[1]["tokens"], (one, two)
for key, at in (("text_offset", 0), ("token_logprobs", near)):
    assert all(abs(x - y) <= at for x, y in zip(one[1][key], two[1][key])), key
for i, (t, p, offset) in enumerate(zip(one[1]["tokens"], one[1]["token_logprobs"], one[1]["text_offset"])):
    assert one[1]["top_logprobs"][i][t] == p and 5 <= len(one[1]["top_logprobs"][i]) <= 6, i
    assert t.startswith("bytes:") or t.startswith("<") or one[0][offset:offset + len(t)] == t, (t, offset, one[0])
assert all(len(t) == 1 for t in complete(swarm, logprobs=0)[1]["top_logprobs"])
print("%d tokens, %d ways to pick" % (len(plain[1]), len(ways)))
PY
  echo "ok $1"
}

# exact LABEL: of a model whose weights have 32 bits the figures are the same but for the order of sums.
exact() {
  local path
  [ -d "$shared" ] || return 0
  for path in c alone; do
    on $path load --quiet "$shared/models/stories260K.gguf" >/dev/null || fail "$1: load"
    curl -s --max-time $patience --unix-socket "$tmp/$path/sock" http://localhost/v1/completions \
      -d '{"prompt":"Once upon a time","temperature":0,"max_tokens":60,"logprobs":5}' >"$tmp/$path.exact"
  done
  python3 - "$tmp/c.exact" "$tmp/alone.exact" <<'PY' || fail "$1: other figures"
import json, math, sys
a, b = (json.load(open(p))["choices"][0]["logprobs"] for p in sys.argv[1:3])
assert a["tokens"] == b["tokens"] and len(a["tokens"]) > 20, (a, b)
assert a["text_offset"] == b["text_offset"], (a, b)
for x, y, p, q in zip(a["top_logprobs"], b["top_logprobs"], a["token_logprobs"], b["token_logprobs"]):
    assert abs(p - q) < 1e-3 and p == max(x.values()), (x, y)
    assert all(abs(x[k] - y[k]) < 1e-3 for k in x if k in y), (x, y)
    assert sum(map(math.exp, x.values())) <= 1 + 1e-5, x
PY
  echo "ok $1, exactly"
}

both() { # LABEL OPTIONS...: of a swarm of two
  start alone --model "$models/hearth.gguf" --kv f32
  wait_serving alone
  swarm 2 --kv f32 --payload f32 "${@:2}"
  on c load --quiet "$models/hearth.gguf" >/dev/null || fail "load"
  grep >/dev/null 'm1 is ready' "$tmp/c/log" || fail "m1 takes no part"
  compare "$1" c
  exact "$1"
  end_swarm
}

both "two devices"
both "a pipeline" --stages 1,1
