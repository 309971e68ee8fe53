#!/usr/bin/env bash
# Slices travel once: after a restart of everybody nothing is fetched, and a damaged shard is fetched again.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf

# What members have fetched, for plans and to keep, since their logs were emptied.
fetched() {
  cat "$tmp"/m*/log | sed -n "s/.*fetched \([0-9]*\) bytes.*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}
empty_logs() { for name in m1 m2; do : >"$tmp/$name/log"; done; }
# All is done that is done in the background.
wait_quiet() {
  quiet=0
  soon is_quiet || fail "still busy: $(on c status --json | grep background)"
}
is_quiet() { # for longer than it takes between two looks for something to do
  if [[ $(on c status --json) == *'"background": ""'* ]]; then quiet=$((quiet + 1)); else quiet=0; fi
  [ $quiet -ge 60 ]
}
swarm 3 --model "$model"
wait_members 3
[ "$(fetched)" -gt 100000 ] || fail "a cold start fetched only $(fetched) bytes"
want=$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)

wait_quiet
for name in c m1 m2; do stop $name; done
empty_logs
for name in m1 m2 c; do start $name; done
wait_serving c
wait_quiet
[ "$(fetched)" -eq 0 ] || fail "a warm start fetched $(fetched) bytes"
[ "$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)" = "$want" ] || fail "another text"

stop m1
empty_logs
[ -n "$(find "$tmp/m1/state" -name '*.shard')" ] || fail "m1 keeps no shard"
find "$tmp/m1/state" -name '*.shard' -exec python3 -c '
import sys
for path in sys.argv[1:]:
    f = open(path, "r+b")
    f.seek(-5000, 2)
    b = f.read(1)
    f.seek(-5000, 2)
    f.write(bytes([b[0] ^ 1]))' {} +
start m1
wait_serving c
[ "$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)" = "$want" ] || fail "a flipped bit was computed with"
wait_quiet
grep 'is damaged: fetching what is damaged again' "$tmp/m1/log" >/dev/null || fail "the damage was not noticed"
# By what m1 has of it in another shard, or by what others have.
[ "$(find "$tmp/m1/state" -name '*.part' | wc -l)" -eq 0 ] || fail "the damaged shard was not mended"
