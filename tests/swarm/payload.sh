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

# Unless told: by the weights, and between stages it is rows that travel.
auto() {
  local want=$1 model=$shared/models/$2
  shift 2
  swarm 3 "$@"
  on c load --quiet "$model" >/dev/null
  on c status --json | grep >/dev/null "\"payload\": \"$want\"" || fail "$model $*: $want is not in force"
  end_swarm
}
auto f32 stories260K.gguf
auto f16 llama-nano-q8_0.gguf
auto f32 llama-nano-q8_0.gguf --stages 1,1,1
