#!/usr/bin/env bash
# kv_copies = 1: a member is killed in the middle of the answer to a long prompt. The text is that of an undisturbed
# run, and hardly a row is computed again: what the next plan needs comes from copies. So it is in pipelines, and
# when one device is left.
. "$(dirname "$0")/lib.sh"
if sanitized; then
  echo "SKIP copies: test_engine_kv runs sanitized; this one would take minutes"
  exit 77
fi
need_shared
model=$shared/models/stories260K.gguf
long=$(for i in $(seq 45); do printf 'One day, a little girl named Lily went to the park and saw a big dog number %d. ' "$i"; done)

figure() { on c status --json | python3 -c "import json,sys; print(json.load(sys.stdin)['figures']['$1'])"; }

# check LABEL: the answer, and that its rows were kept.
check() {
  local kept again
  check_answer "$1"
  kept=$(figure kept_rows)
  again=$(figure again_rows)
  echo "ok $1: $((kept - before_kept)) rows kept, $((again - before_again)) computed again"
  [ $((kept - before_kept)) -gt 1000 ] || fail "$1: $kept rows were kept, $before_kept before"
  [ $((again - before_again)) -le 100 ] || fail "$1: $again rows were computed again, $before_again before"
  grep >/dev/null 'request goes on with the KV rows of' "$tmp/c/log" || fail "$1: no word of copies"
}

begin() {
  before_kept=$(figure kept_rows)
  before_again=$(figure again_rows)
  begin_answer
  soon has_said 1000 || fail "it says no more: $(cat "$tmp/text")"
}

has_said() { [ "$(stat -c %s "$tmp/text")" -ge "$1" ]; } # BYTES

run() { # LABEL OPTIONS...
  local label=$1
  shift
  swarm 3 --model "$model" --context 4096 --batch 256 --kv-copies 1 "$@"
  wait_serving c
  wait_members 3
  prompt=(-m stories260K -p "$long" -n 2500 --temp 0 --ignore-end)
  want=$(on c generate "${prompt[@]}")
  begin
  stop m2 KILL
  check "$label, m2 killed"
}

run "one group" --kv f32
begin
stop m1 KILL
check "one device left"
end_swarm
# Stages of one device add no sums: the same bits, however few are left.
run "a pipeline, q8_0" --kv q8_0 --stages 1,1,1
