#!/usr/bin/env bash
# By itself a swarm computes on the devices that are fastest together: of a model that one device does in no time the
# others are left out, with the reason, and what serves is not interrupted to find that out; who is of use takes part as
# soon as that is measured, and who never is keeps no plan from being made of the others; the user can have all of them.
. "$(dirname "$0")/lib.sh"
plan=auto
# Many thin layers, and devices that say they are faster than they are: computing them together saves less than sums
# cost, however slow a busy machine seems.
model=$tmp/thin.gguf
python3 "$srcdir/tests/support/synth_model.py" "$model" --f32 --embd 32 --ffn 32 --layers 24 --heads 4 \
  --kv-heads 4 --vocab 600
# One layer that is all matrix: two halves of it are faster, whatever the one sum costs. Small, as a busy machine takes
# minutes to bring a large one to disks.
wide=$tmp/wide.gguf
python3 "$srcdir/tests/support/synth_model.py" "$wide" --f32 --embd 512 --ffn 2048 --layers 1 --heads 4 \
  --kv-heads 4 --vocab 600

# left_out NAME...: c says of each that it is, and why.
left_out() {
  on c status >"$tmp/status" || return 1
  local name
  for name in "$@"; do contains "$tmp/status" "$name is left out: " || return 1; done
}

ask() { # NAME MODEL
  on "$1" generate -m "$2" -p "a w1 w2" -n 60 --temp 0 --ignore-end --ids
}

start c --model "$model" --kv f32 --payload f32
claim 20 m1 m2
stop c
cp "$tmp/claimed" "$tmp/c/state/speed.json"
start c
wait_serving c
want=$(ask c thin)
epoch=$(says c epoch)
sed -i 's/"undisturbed": 1.0/"undisturbed": 0.8/' "$tmp/m2/state/speed.json"
start m1
pair c m1
start m2
pair c m2
soon left_out m1 m2 || fail "no reason for leaving them out: $(cat "$tmp/status")"
[ "$(says c epoch)" = "$epoch" ] || fail "what served was interrupted for them"
[ "$(ask c thin)" = "$want" ] || fail "another text on one device"

# One that is not measured with weights of this type, and never will be, as its file says that it is.
mkdir -p "$tmp/n/state"
python3 - "$tmp/claimed" >"$tmp/n/state/speed.json" <<'P'
import json, sys
o = json.load(open(sys.argv[1]))
del o["speed"]["types"]["F32"]
print(json.dumps(o))
P
start n
pair c n
stop c
start c
wait_serving c
soon left_out m1 m2 n || fail "no reason for leaving them out: $(cat "$tmp/status")"
contains "$tmp/status" 'n is left out: not measured yet: how fast it computes' || fail "another reason: $(cat "$tmp/status")"
! contains "$tmp/c/log" 'over [2-4] devices' || fail "who is not measured makes all take part"

# All of them, where the user wants it.
on c leave n >/dev/null || fail "n cannot be removed"
stop n
stop c
plan=all
start c
wait_members 3
[ "$(ask c thin)" = "$want" ] || fail "another text on all devices"
# m2 had only four fifths of its CPUs' time when it was measured: what a layer costs there beside its weights is expected
# to take a quarter longer than on m1, which is 12.5 us with the messages of two sums.
charged() {
  on c status --json | python3 -c 'import json, sys
peers = {p["name"]: p.get("predicted_seconds") for p in json.load(sys.stdin)["peers"]}
m1, m2 = peers.get("m1"), peers.get("m2")
sys.exit(not (m1 and m2 and 11e-6 < (m2 - m1) / 24 < 14e-6))'
}
soon charged || fail "m2 is not expected to be held up: $(on c status --json)"
stop c
stop m1
stop m2

# A slow device alone, until a fast one has come: one other plan, with the slices that speeds want, and no plan before.
plan=auto
claim 0.0125 d
mkdir -p "$tmp/m/state"
cp "$tmp/c/state/speed.json" "$tmp/m/state/"
start d --model "$wide" --kv f32 --payload f32
wait_serving d
want=$(ask d wide)
epoch=$(says d epoch)
start m
pair d m
wait_members 2 d
[ "$(says d epoch)" = $((epoch + 1)) ] || fail "a plan was made before m was measured"
[ "$(ask d wide)" = "$want" ] || fail "another text on two devices"
stop d
stop m

# One with little memory is measured, too, and so can be chosen; a sanitizer takes all of that.
if ! sanitized; then
  start t --memory 50M
  soon [ -s "$tmp/t/state/speed.json" ] || fail "a device with little memory is not measured"
fi
