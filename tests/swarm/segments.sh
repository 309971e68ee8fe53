#!/usr/bin/env bash
# The mode `token` of `auto:cloud` with the models that come with Shoal: the small one and a cloud of the test's own,
# which gives back what it is to continue, write one text in segments, in which nothing is lost and nothing comes twice.
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || { echo "SKIP segments: curl is not there"; exit 77; }
models=$srcdir/models
command='set the bedroom to 21 degrees, and close the blinds in the office and the hall'

cloud sky
cat >"$tmp/clouds" <<END
[budget]
day = 1
[plain]
url = http://127.0.0.1:$port/ok
model = plain-1
price_in = 0
price_out = 0
context = 8192
max_tokens = 512
[sky]
url = http://127.0.0.1:$port/text-5~usage-9~repeats
model = sky-1
price_in = 0
price_out = 0
context = 8192
max_tokens = 512
continues = prefix
completions = yes
END

# ask MEMBERS SHOAL: what comes of it in $tmp/answer, what the cloud gets in $tmp/sky.got.
ask() {
  rm -f "$tmp"/sky.got/*
  curl -s --max-time $patience --unix-socket "$tmp/c/sock" -H 'Content-Type: application/json' -d '{
    "model":"auto:cloud","temperature":0,"max_tokens":80,"messages":[{"role":"user","content":"'"$command"'"}],
    "shoal":{"mode":"token"'"$2"'}'"$1"'}' http://localhost/v1/chat/completions >"$tmp/answer"
}

# holds EXPRESSION: of the answer's text, its object `shoal` s and t in it; the bodies that the cloud got, and what
# each says of the answer.
cat >"$tmp/holds.py" <<'END'
import glob, json, sys
raw, words = open(sys.argv[1]).read(), "0 1 2 3 4 "
if raw.startswith("{"):
    o = json.loads(raw)
    text, s = o["choices"][0]["message"]["content"], o["shoal"]
else:
    events = [json.loads(l[6:]) for l in raw.split("\n") if l.startswith("data: {")]
    text = "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])
    s = [e for e in events if "shoal" in e][-1]["shoal"]
t = s["token"]
files = [f for f in sorted(glob.glob(sys.argv[2] + "/*")) if not f.endswith(".end")]
bodies = [json.loads(open(f, newline="").read().split("\r\n\r\n", 1)[1]) for f in files]
saids = [m["content"] if m["role"] == "assistant" else "" for b in bodies for m in b["messages"][-1:]]
sys.exit(0 if eval(sys.argv[3]) else "text: %r\nsaid: %r\nshoal: %r" % (text, saids, s))
END
holds() { python3 "$tmp/holds.py" "$tmp/answer" "$tmp/sky.got" "$1" || fail "not: $1"; }

start c --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --cloud "$tmp/clouds" --privacy cloud
wait_serving c
small=$(on c run auto:local --quiet --temp 0 -n 80 "$command" </dev/null)
ask '' ',"token_threshold":0'
holds 't["segments"] == len(bodies) == 0 and t["small_tokens"] > 0 and s["cost"] == 0'
[ "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["choices"][0]["message"]["content"])' "$tmp/answer")" = "$small" ] ||
  fail "threshold 0 is not the small model's text"

# Every token is doubted: the cloud is asked at once, and again behind what it has said.
for stream in '' ',"stream":true'; do
  ask "$stream" ',"token_threshold":1'
  holds 't["segments"] == len(bodies) >= 2 and t["cloud_tokens"] > 0 and 0 < t["cloud_share"] <= 1'
  holds 'all(text.startswith(said + words) for said in saids) and saids[0] == "" and saids[1] == words'
  holds 'all(b["max_tokens"] >= 32 and b["model"] == "sky-1" for b in bodies)'
  holds 'all(b["messages"][-1]["prefix"] is True for b in bodies[1:])'
  holds 's["target"] == "cloud" and s["reason"] == "by_token" and s["mode"] == "token" and s["model"] == "sky"'
done
echo "ok one text"

# A plain prompt: each segment goes on behind it and what was said.
rm -f "$tmp"/sky.got/*
curl -s --max-time $patience --unix-socket "$tmp/c/sock" -H 'Content-Type: application/json' -d '{"model":"auto:cloud",
  "temperature":0,"max_tokens":80,"prompt":"set the bedroom","shoal":{"mode":"token","token_threshold":1}}' \
  http://localhost/v1/completions >"$tmp/answer"
python3 - "$tmp/answer" "$tmp/sky.got" <<'END' || fail "a plain prompt: $(cat "$tmp/answer")"
import glob, json, sys
o = json.load(open(sys.argv[1]))
text, t = o["choices"][0]["text"], o["shoal"]["token"]
sent = [open(f, newline="").read() for f in sorted(glob.glob(sys.argv[2] + "/*")) if not f.endswith(".end")]
prompts = [json.loads(s.split("\r\n\r\n", 1)[1])["prompt"] for s in sent]
assert t["segments"] == len(sent) >= 2 and t["cloud_tokens"] > 0, (t, len(sent))
assert all("/completions HTTP" in s and "/chat/" not in s for s in sent), sent[0]
assert prompts[0] == "set the bedroom" and prompts[1] == prompts[0] + "0 1 2 3 4 ", prompts
assert all(("set the bedroom" + text).startswith(p) for p in prompts), (prompts, text)
END
echo "ok a plain prompt"

curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics | grep >/dev/null '^shoal_route_token_segments_total [1-9]' ||
  fail "metrics"
on c run auto:cloud --mode token --token-threshold 1 --temp 0 -n 80 "$command" </dev/null >"$tmp/text" 2>"$tmp/said"
grep >/dev/null "of the tokens are the cloud's" "$tmp/said" || fail "nothing is said of it: $(cat "$tmp/said")"
id=$(sed -n 's/.*shoal why \([^)]*\)).*/\1/p' "$tmp/said")
on c why "$id" | grep >/dev/null '^by token: .* of the cloud in [1-9][0-9]* segments' || fail "why: $(on c why "$id")"
echo "ok what is said of it"

# One that was private is so also after kill -9, which leaves hashes and no text.
complete() { # PROMPT PRIVACY: the status
  curl -s -o "$tmp/answer" -w '%{http_code}' --max-time $patience --unix-socket "$tmp/c/sock" \
    -H 'Content-Type: application/json' http://localhost/v1/completions \
    -d '{"model":"auto'"${3-:cloud}"'","max_tokens":8,"prompt":"'"$1"'","shoal":{"privacy":"'"$2"'"}}'
}
[ "$(complete 'My xylophone is worth' home '')" = 200 ] || fail "a private prompt: $(cat "$tmp/answer")"
stop c KILL
start c
wait_serving c
[ "$(complete 'My xylophone is worth 9000 and' cloud)" = 403 ] || fail "a private prompt left: $(cat "$tmp/answer")"
grep >/dev/null tainted "$tmp/answer" || fail "another reason: $(cat "$tmp/answer")"
[ "$(complete 'My xylem is' cloud)" = 200 ] || fail "a new prompt: $(cat "$tmp/answer")"
[ "$(stat -c %a "$tmp/c/state/prompts")" = 600 ] || fail "others may read it: $(ls -l "$tmp/c/state")"
grep >/dev/null -ra xylophone "$tmp/c/state" "$tmp/c/log" && fail "a prompt is on disk"
echo "ok private prompts after a restart"
