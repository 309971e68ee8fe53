#!/usr/bin/env bash
# Answers that have a form, from the models that come with Shoal, neither of which was trained for any: JSON of a schema
# and calls of tools, of the large model on two devices as on one, of the small one beside it, whole and streamed. And
# what has no form is said as ever.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || { echo "SKIP form: python3 is not there"; exit 77; }
models=$srcdir/models

swarm 2 --small-model "$models/hearth-small.gguf" --kv f32 --payload f32
start alone --model "$models/hearth.gguf" --kv f32
on c load --quiet "$models/hearth.gguf" >/dev/null || fail "load"
wait_serving alone
grep >/dev/null 'm1 is ready' "$tmp/c/log" || fail "m1 takes no part"

PYTHONPATH=$srcdir/tests/swarm PYTHONDONTWRITEBYTECODE=1 python3 - "$tmp/c/sock" "$tmp/alone/sock" <<'PY' || fail "form"
import json, sys
import chat


def say(path, **more):
    """The text, the calls and the end, whether they came whole or as a stream."""
    message, end, _ = chat.post(path, {
        "model": "hearth", "messages": [{"role": "user", "content": "set the bedroom to 19 degrees"}],
        "temperature": 0, "max_tokens": 200, **more})
    calls = [(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", [])]
    return message["content"] or "", calls, end


swarm, alone = sys.argv[1:3]
room = {"enum": ["kitchen", "bedroom", "hall"]}
schema = {"type": "object", "additionalProperties": False, "required": ["room", "degrees", "why", "also"],
          "properties": {"room": room, "degrees": {"type": "integer", "minimum": 5, "maximum": 30},
                         "why": {"type": ["string", "null"], "maxLength": 20},
                         "also": {"type": "array", "maxItems": 2, "items": {"anyOf": [{"$ref": "#/$defs/lamp"},
                                                                                   {"type": "boolean"}]}}},
          "$defs": {"lamp": {"type": "object", "properties": {"room": room, "on": {"type": "boolean"}},
                             "required": ["room", "on"]}}}


def check(text):
    o = json.loads(text)
    assert list(o) == ["room", "degrees", "why", "also"] and o["room"] in room["enum"], text
    assert type(o["degrees"]) is int and 5 <= o["degrees"] <= 30, text
    assert o["why"] is None or len(o["why"]) <= 20, text
    assert len(o["also"]) <= 2, text
    for e in o["also"]:
        assert type(e) is bool or (e["room"] in room["enum"] and type(e["on"]) is bool), text


form = {"type": "json_schema", "json_schema": {"name": "set", "strict": True, "schema": schema}}
plain = say(swarm)
assert plain == say(alone) and "climate.set_temperature" in plain[0], plain
# Greedy, with penalties (which need all logits), and drawn: on two devices the tokens that one picks.
drawn = [{"temperature": 1, "top_k": k, "seed": s} for k in (0, 5) for s in (1, 2, 3)]
settings = [{}, {"repeat_penalty": 1.3}] + drawn
for s in settings:
    got = say(swarm, response_format=form, **s)
    assert got[1:] == ([], "stop"), got
    check(got[0])
    assert got == say(alone, response_format=form, **s), (s, got)
    assert got == say(swarm, response_format=form, stream=True, **s), (s, got)
check(say(swarm, response_format=form, model="hearth-small")[0])
for model in ("auto", "auto:local", "auto:home"):
    check(say(swarm, response_format=form, model=model)[0])
got = say(swarm, response_format=form, max_tokens=5)
assert got[2] == "length", got
for s in settings[:3]:
    got = say(swarm, response_format={"type": "json_object"}, max_tokens=120, **s)
    assert got[0].startswith("{") and (got[2] == "length" or type(json.loads(got[0])) is dict), got

# Few words: the models have a small context.
tools = [{"type": "function", "function": {"name": "set_" + t, "parameters": {
    "type": "object", "properties": {t: {"type": "integer", "minimum": 0, "maximum": 99}}, "required": [t]}}}
    for t in ("lamp", "heat")]
called = 0
for s in settings:
    for choice in ("required", {"type": "function", "function": {"name": "set_heat"}}):
        for stream in (False, True):
            text, calls, end = say(swarm, tools=tools, tool_choice=choice, parallel_tool_calls=False, stream=stream,
                                   **s)
            if s and end == "length":  # blanks may fill the small context
                continue
            called += 1
            assert end == "tool_calls" and not text and len(calls) == 1, (text, calls, end)
            name, arguments = calls[0][0], json.loads(calls[0][1])
            assert name == "set_heat" or (name == "set_lamp" and choice == "required"), calls
            assert list(arguments) == [name[4:]] and 0 <= arguments[name[4:]] <= 99, calls
assert called >= 16, called
# One or more: never none, unless the answer was cut off.
text, calls, end = say(swarm, tools=tools, tool_choice="required", temperature=1, seed=4, max_tokens=400)
assert calls and end in ("tool_calls", "length"), (text, calls, end)
bad = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "string", "pattern": "^a"}}}
status, data = chat.request(swarm, {"model": "hearth", "messages": [{"role": "user", "content": "x"}],
                                    "response_format": bad})
assert status == 400 and "'pattern'" in data and json.loads(data)["error"]["param"] == "response_format", data
assert say(swarm) == plain
print("ok: %d ways to pick, all of the schema, the same on one device and on two; %d calls" %
      (len(settings), called))
PY
end_swarm
