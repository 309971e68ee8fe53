#!/usr/bin/env bash
# A memory budget: weights that do not fit stream from disk; the text is the same, resident memory stays below the
# number, what cannot work is refused with numbers, and a damaged shard is made or fetched again.
. "$(dirname "$0")/lib.sh"
if sanitized; then
  echo "SKIP window: a sanitized build needs more memory than the program"
  exit 77
fi
model=$tmp.gguf
trap 'rm -f "$model"; cleanup' EXIT
python3 "$srcdir/tests/support/synth_model.py" "$model" --layers 10
id=$(basename "$model" .gguf)
say=(generate -m "$id" -p "a w1 w2" -n 12 --temp 1 --seed 3 --ids --ignore-end)

# peak NAME MB: the most that the daemon ever had, beside its budget.
peak() {
  local kb
  kb=$(awk '/^VmHWM/ {print $2}' "/proc/${pids[$1]}/status")
  [ "$kb" -le $(($2 * 1024)) ] || fail "$1 had $kb kB of $2 MB"
  echo "ok $1: at most $((kb / 1024)) MB of $2"
}
figure() { # NAME FIGURE: of what streams, as a whole number
  on "$1" status --json | python3 -c 'import json, sys; print(int(json.load(sys.stdin)["weights"][sys.argv[1]]))' "$2"
}
damage() { # NAME: a bit near the end of its shards (spare slices may lie there too)
  find "$tmp/$1/state" -name '*.shard' -size +1M -exec python3 - {} + <<'P'
import sys
for name in sys.argv[1:]:
    f = open(name, "r+b")
    f.seek(-70000, 2)
    b = f.read(1)
    f.seek(-70000, 2)
    f.write(bytes([b[0] ^ 8]))
P
}

start c --model "$model" --context 256
wait_serving c
want=$(on c "${say[@]}")
[ "$(on c status --json | grep -c '"weights": null')" -eq 1 ] || fail "everything fits, but something streams"
end_swarm
[ "$(wc -w <<<"$want")" -eq 12 ] || fail "no 12 tokens: $want"

# One device.
start c --model "$model" --context 256 --memory 64M
wait_serving c
[ "$(on c "${say[@]}")" = "$want" ] || fail "another text with 64 MB"
[ "$(figure c streamed_bytes)" -gt $(($(figure c bytes) / 4)) ] || fail "nothing streamed"
[[ $(on c status) == *"resident, a ring of"* ]] || fail "status says nothing of it"
peak c 64

# Damage that comes while it runs was not there when its bytes were first read; after a restart it is found.
stop c
damage c
start c
wait_serving c
on c "${say[@]}" >"$tmp/out" 2>&1 || true # in the middle of it the damage may be found
wait_serving c
[ "$(on c "${say[@]}")" = "$want" ] || fail "another text after the damage"
grep -q 'is damaged' "$tmp/c/log" || fail "nobody noticed the damage"
end_swarm
echo "ok one device"

# What cannot work is refused at once.
start c --model "$model" --context 256 --memory 24M
refuses() {
  said=$(on c status || true)
  [[ $said == *"24 MB of memory are too little"* ]]
}
soon refuses || true
[[ $said == *"24 MB of memory are too little: "*"at least "*" MB for weights"* ]] || fail "no refusal with numbers: $said"
end_swarm
if "$shoal" generate --local -m "$model" -p a -n 1 --memory 5M >"$tmp/out" 2>&1; then fail "5 MB were enough"; fi
grep -q '5 MB of memory are too little' "$tmp/out" || fail "the command says: $(cat "$tmp/out")"
if "$shoal" generate --local -m "$model" -p a --memory lots >"$tmp/out" 2>&1; then fail "'lots' is a size"; fi
echo "ok refusals"

# The command, measured from outside, with the shard made within the budget too.
python3 - "$shoal" generate --local -m "$model" -p "a w1 w2" -n 12 --temp 1 --seed 3 --ids --ignore-end --context 256 \
  --memory 60M >"$tmp/out" <<'P'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
P
[ "$(head -1 "$tmp/out")" = "$want" ] || fail "another text from the command"
[ "$(tail -1 "$tmp/out")" -le $((60 * 1024)) ] || fail "the command had $(tail -1 "$tmp/out") kB of 60 MB"
echo "ok the command: at most $(($(tail -1 "$tmp/out") / 1024)) MB of 60"

# Each member streams its own slice.
three() { # MEMORY of the coordinator, of the members
  start c --context 256 --memory "$1"
  for m in m1 m2; do
    start $m --memory "$2"
    pair c $m
  done
  on c load --quiet "$model" >/dev/null || fail "load"
  wait_serving c
}
three auto auto
want=$(on c "${say[@]}")
end_swarm
three 44M 32M
[ "$(on c "${say[@]}")" = "$want" ] || fail "another text from three that stream"
for m in m1 m2; do
  [ "$(figure $m streamed_bytes)" -gt 1000000 ] || fail "$m streamed nothing"
  peak $m 32
done
peak c 44
stop m1
damage m1
start m1
wait_serving c
on c "${say[@]}" >"$tmp/out" 2>&1 || true
sleep 1
wait_serving c
[ "$(on c "${say[@]}")" = "$want" ] || fail "another text after the damage at a member"
grep -q 'is damaged' "$tmp/m1/log" || fail "m1 did not notice the damage"
echo "ok three devices"
