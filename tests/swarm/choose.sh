#!/usr/bin/env bash
# By itself a swarm computes on the devices that are fastest together: of a model that one device does in no time the
# others are left out, with the reason; a model that one cannot hold is cut over them; the user can have all of them.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
plan=auto

swarm 3 --model "$model"
wait_serving c
want=$(on c generate -m stories260K -p "Once upon a time" -n 60 --temp 0)
# Measured within seconds, and then one is enough for a quarter of a million weights.
wait_members 1
on c status >"$tmp/status" || fail "it does not serve"
grep -q 'm1 is left out: ' "$tmp/status" || fail "no reason for leaving m1 out: $(cat "$tmp/status")"
[ "$(on c generate -m stories260K -p "Once upon a time" -n 60 --temp 0)" = "$want" ] || fail "another text on one device"

# All of them, where the user wants it.
stop c
plan=all
start c
wait_members 3
[ "$(on c generate -m stories260K -p "Once upon a time" -n 60 --temp 0)" = "$want" ] || fail "another text on all devices"
