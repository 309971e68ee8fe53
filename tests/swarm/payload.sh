#!/usr/bin/env bash
# Sums as float16 and as 8-bit blocks: answers come, and begin as with float32. And which of these is chosen.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
want=$("$shoal" generate --local -m "$model" -p "Once upon a time" -n 8 --temp 0 --ids)
for payload in f16 q8; do
  swarm 3 --payload $payload
  on c load --quiet "$model" >/dev/null
  on c status --json | grep >/dev/null "\"payload\": \"$payload\"" || fail "$payload is not in force"
  got=$(on c generate -m stories260K -p "Once upon a time" -n 8 --temp 0 --ids)
  [ "$got" = "$want" ] || fail "$payload: $got instead of $want"
  end_swarm
done

# Unless told: by the weights, and between stages it is rows that travel. Prompts of many rows are computed, by all.
auto() {
  local token=$1 prompt=$2 name=$3
  shift 3
  swarm 3 "$@"
  on c load --quiet "$shared/models/$name.gguf" >/dev/null
  on c status --json >"$tmp/status"
  contains "$tmp/status" "\"payload\": \"$token\"" && contains "$tmp/status" "\"prompt_payload\": \"$prompt\"" ||
    fail "$name $*: $token is wanted, and of prompts $prompt: $(grep payload "$tmp/status")"
  # A plan's first step is like no other.
  on c generate -m "$name" -p "$(printf 'other %.0s' {1..30})" -n 1 --temp 0 >/dev/null
  got=$(on c generate -m "$name" -p "$(printf 'word %.0s' {1..36})" -n 8 --temp 0 --ids)
  ! contains "$tmp/c/log" "was lost" || fail "$name $*: a device was lost"
  end_swarm
}
auto f32 f32 stories260K
auto f32 f32 llama-nano-q8_0 --stages 1,1,1
auto f16 q8 llama-nano-q8_0
want=$got
auto f16 f16 llama-nano-q8_0 --payload f16
[ "$got" = "$want" ] || fail "prompts in 8 bits: $want instead of $got"
auto f16 q8 llama-nano-q8_0 --collective direct
[ "$got" = "$want" ] || fail "not by rows: $got instead of $want"
