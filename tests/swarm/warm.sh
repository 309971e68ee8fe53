#!/usr/bin/env bash
# Slices travel once: after a restart of everybody nothing is fetched, and a damaged shard is fetched again.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf

fetched() {
  on c status --json | python3 -c '
import json, sys
print(sum(p["fetched"] for p in json.load(sys.stdin)["peers"] if not p["self"]))'
}
swarm 3 --model "$model"
wait_serving c
[ "$(fetched)" -gt 100000 ] || fail "a cold start fetched only $(fetched) bytes"
want=$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)

for name in c m1 m2; do stop $name; done
for name in m1 m2 c; do start $name; done
wait_serving c
[ "$(fetched)" -eq 0 ] || fail "a warm start fetched $(fetched) bytes"
[ "$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)" = "$want" ] || fail "another text"

stop m1
shard=$(find "$tmp/m1/state" -name '*.shard' | head -1)
[ -n "$shard" ] || fail "m1 keeps no shard"
python3 - "$shard" <<'P'
import sys
f = open(sys.argv[1], "r+b")
f.seek(-5000, 2)
b = f.read(1)
f.seek(-5000, 2)
f.write(bytes([b[0] ^ 1]))
P
start m1
wait_serving c
[ "$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)" = "$want" ] || fail "a flipped bit was computed with"
[ "$(fetched)" -gt 0 ] || fail "the damaged extent was not fetched again"
