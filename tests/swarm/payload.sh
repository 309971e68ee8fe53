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

# Unless told: by the weights, and between stages it is rows that travel. Either way prompts of many rows are computed.
auto() {
  local token=$1 prompt=$2 model=$shared/models/$3
  shift 3
  swarm 3 "$@"
  on c load --quiet "$model" >/dev/null
  on c status --json >"$tmp/status"
  grep >/dev/null "\"payload\": \"$token\"" "$tmp/status" && grep >/dev/null "\"prompt_payload\": \"$prompt\"" "$tmp/status" ||
    fail "$model $*: $token is wanted, and of prompts $prompt: $(grep payload "$tmp/status")"
  on c generate -m "$(basename "$model" .gguf)" -p "$(printf 'word %.0s' {1..36})" -n 4 --temp 0 >"$tmp/out" ||
    fail "$model $*: $(cat "$tmp/out")"
  end_swarm
}
auto f32 f32 stories260K.gguf
auto f16 q8 llama-nano-q8_0.gguf
auto f32 f32 llama-nano-q8_0.gguf --stages 1,1,1
