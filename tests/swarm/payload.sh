#!/usr/bin/env bash
# Sums as float16 and as 8-bit blocks: answers come, and their beginning is what float32 gives.
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
