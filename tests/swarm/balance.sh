#!/usr/bin/env bash
# A device becomes slow while the swarm generates: it is given a smaller part or none, with the reason in words, and the
# answer that runs goes on with the tokens that it would have had.
. "$(dirname "$0")/lib.sh"
if sanitized; then
  echo "SKIP balance: the unit tests of re-balancing run sanitized, and choose changes plans; this one would take minutes"
  exit 77
fi
plan=auto
patience=180 # a device has to be slow for ten seconds of steps, on a machine that may do other things as well

# slow PID: it runs for a millisecond, then stands still for twelve, and so on.
slow() {
  python3 -c 'import os, signal, sys, time
while True:
    os.kill(int(sys.argv[1]), signal.SIGSTOP)
    time.sleep(0.012)
    os.kill(int(sys.argv[1]), signal.SIGCONT)
    time.sleep(0.001)' "$1" &
  pids[slow]=$!
}

# ask PYTHON-EXPRESSION: of what status says, as s.
ask() {
  on c status --json | python3 -c "import json, sys
s = json.load(sys.stdin)
print($1)"
}

# await PYTHON-EXPRESSION
await() {
  soon is_so "$1" && return
  on c status || true
  fail "not yet: $1"
}

is_so() { [ "$(ask "$1")" = True ]; }

# Large layers, few of them: even on a busy machine two devices are then faster than one.
python3 "$srcdir/tests/support/synth_model.py" "$tmp/slices.gguf" --f32 --embd 1024 --ffn 8192 --layers 2 --heads 8 \
  --kv-heads 8 --vocab 600 --context 4096
prompt=(-p hello -n 500 --temp 0 --ignore-end --ids)
"$shoal" generate --local -m "$tmp/slices.gguf" --kv f32 --context 4096 "${prompt[@]}" --threads 2 >"$tmp/want"

# Faster than they are: then it is known that one is slow, and not only that the other is less so.
start c --context 4096 --kv f32
claim 2 m1
stop c
cp "$tmp/claimed" "$tmp/c/state/speed.json"
swarm 2
measured() { # both of them, and the link
  on c peers --json | python3 -c 'import json, sys
p = json.load(sys.stdin)["peers"]
sys.exit(any(x["speed"] is None for x in p) or p[1]["link_bytes_per_second"] is None)'
}
soon measured || fail "not measured: $(on c peers)"
stop c
claim_links
start c
await 's["peers"][1]["connected"]'
on c load --quiet "$tmp/slices.gguf"
await 's["serving"] and sum("heads" in p for p in s["peers"]) == 2'
epoch=$(ask 's["epoch"]')

# Answers one after another, since one may end before it is decided that a device is slow for good.
answers() {
  until [ -e "$tmp/enough" ]; do
    on c generate -m slices "${prompt[@]}" >"$tmp/text" || return
    cmp "$tmp/text" "$tmp/want" || return
  done
}
answers &
request=$!
slow "${pids[m1]}"
await 'all(p["predicted_seconds"] and p["measured_seconds"] for p in s["peers"])'
curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics >"$tmp/metrics"
grep '^shoal_step_measured_seconds{peer="m1"} 0\.' "$tmp/metrics" >/dev/null || fail "no measured figure of m1: $(cat "$tmp/metrics")"
await 's["balance"]["changes"] == 1'
await 's["serving"]'
kill "${pids[slow]}"
wait "${pids[slow]}" 2>/dev/null || true
unset 'pids[slow]'
kill -CONT "${pids[m1]}"
[ "$(ask 's["epoch"]')" -gt "$epoch" ] || fail "the plan is the old one"
reports() { on c status >"$tmp/status"; }
soon reports || true # a device that was that slow may have been lost for a moment
grep -E "^shares   .* became [0-9.]+ times (slower|faster): ." "$tmp/status" >/dev/null ||
  fail "no reason in words: $(cat "$tmp/status")"
[ "$(ask 's["balance"]["changes"]')" = 1 ] || fail "shares were changed again at once: $(on c status)"
touch "$tmp/enough"
wait $request || fail "an answer broke off, or has other tokens"
