#!/usr/bin/env bash
# By itself a swarm computes on the devices that are fastest together: of a model that one device does in no time the
# others are left out, with the reason; a model that one cannot hold is cut over them; the user can have all of them.
. "$(dirname "$0")/lib.sh"
plan=auto
# Many thin layers, and devices that say they are faster than they are: computing them together saves less than sums
# cost, however slow a busy machine seems.
model=$tmp/thin.gguf
python3 "$srcdir/tests/support/synth_model.py" "$model" --f32 --embd 32 --ffn 32 --layers 24 --heads 4 \
  --kv-heads 4 --vocab 600
ask=(-m thin -p "a w1 w2" -n 60 --temp 0 --ignore-end --ids)

start c --model "$model" --kv f32 --payload f32
claim 20 m1 m2
stop c
cp "$tmp/claimed" "$tmp/c/state/speed.json"
swarm 3
wait_serving c
want=$(on c generate "${ask[@]}")
# Measured within seconds, and then one is enough.
wait_members 1
on c status >"$tmp/status" || fail "it does not serve"
grep -q 'm1 is left out: ' "$tmp/status" || fail "no reason for leaving m1 out: $(cat "$tmp/status")"
[ "$(on c generate "${ask[@]}")" = "$want" ] || fail "another text on one device"

# All of them, where the user wants it.
stop c
plan=all
start c
wait_members 3
[ "$(on c generate "${ask[@]}")" = "$want" ] || fail "another text on all devices"
