#!/usr/bin/env bash
# A device becomes slow while the swarm generates: it is given a smaller part or none, with the reason in words, and the
# answer that runs goes on with the tokens that it would have had.
. "$(dirname "$0")/lib.sh"
plan=auto

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

# await SECONDS PYTHON-EXPRESSION
await() {
  for _ in $(seq $(($1 * 5))); do
    [ "$(ask "$2")" != True ] || return 0
    sleep 0.2
  done
  on c status || true
  fail "after $1 s not yet: $2"
}

# Large layers, few of them: even on a busy machine two devices are then faster than one.
python3 "$srcdir/tests/support/synth_model.py" "$tmp/slices.gguf" --f32 --embd 1024 --ffn 4096 --layers 2 --heads 8 \
  --kv-heads 8 --vocab 600 --context 4096
prompt=(-p hello -n 800 --temp 0 --ignore-end --ids)
"$shoal" generate --local -m "$tmp/slices.gguf" --kv f32 --context 4096 "${prompt[@]}" --threads 2 >"$tmp/want"

swarm 2 --context 4096 --kv f32
for _ in $(seq 150); do # until both are measured, and the link
  on c peers --json | python3 -c 'import json, sys
p = json.load(sys.stdin)["peers"]
sys.exit(any(x["speed"] is None for x in p) or p[1]["link_bytes_per_second"] is None)' && break
  sleep 0.2
done
on c load --quiet "$tmp/slices.gguf"
await 20 's["serving"] and sum("heads" in p for p in s["peers"]) == 2'
epoch=$(ask 's["epoch"]')

on c generate -m slices "${prompt[@]}" >"$tmp/text" &
request=$!
slow "${pids[m1]}"
await 20 'all(p["predicted_seconds"] and p["measured_seconds"] for p in s["peers"])'
curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics >"$tmp/metrics"
grep '^shoal_step_measured_seconds{peer="m1"} 0\.' "$tmp/metrics" >/dev/null || fail "no measured figure of m1: $(cat "$tmp/metrics")"
await 50 's["balance"]["changes"] == 1'
await 20 's["serving"]'
kill "${pids[slow]}"
wait "${pids[slow]}" 2>/dev/null || true
unset 'pids[slow]'
kill -CONT "${pids[m1]}"
[ "$(ask 's["epoch"]')" -gt "$epoch" ] || fail "the plan is the old one"
for _ in $(seq 100); do # a device that was that slow may have been lost for a moment
  on c status >"$tmp/status" && break
  sleep 0.2
done
grep -E "^shares   .* became [0-9.]+ times (slower|faster): ." "$tmp/status" >/dev/null ||
  fail "no reason in words: $(cat "$tmp/status")"
wait $request || fail "the answer broke off"
cmp "$tmp/text" "$tmp/want" || fail "other tokens"
[ "$(ask 's["balance"]["changes"]')" = 1 ] || fail "shares were changed again at once: $(on c status)"
