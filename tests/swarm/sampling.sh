#!/usr/bin/env bash
# What is drawn in a swarm is what one process draws from the same seed, whether the best tokens decide, the sum beside
# them, all logits, or the second question; and the best tokens are far fewer bytes than all logits of a large vocabulary.
. "$(dirname "$0")/lib.sh"
model=$tmp.gguf
trap 'rm -f "$model"; cleanup' EXIT
python3 "$srcdir/tests/support/synth_model.py" "$model" --embd 128 --ffn 256 --layers 2 --heads 4 --kv-heads 4 \
  --vocab 60000
id=$(basename "$model" .gguf)
n=20
ask=(-p "a w1 w2" -n $n --ids --ignore-end)

received() { on c status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["figures"]["received_bytes"])'; }

# check LABEL LEAST MOST SETTINGS...: the same tokens as alone, and kB a token from the members.
check() {
  local label=$1 least=$2 most=$3 want got before kb
  shift 3
  want=$("$shoal" generate --local -m "$model" --kv f32 "${ask[@]}" "$@") || fail "$label: no answer alone"
  [ "$(wc -w <<<"$want")" -eq $n ] || fail "$label: $want in one process"
  before=$(received)
  got=$(on c generate -m "$id" "${ask[@]}" "$@") || fail "$label: no answer"
  [ "$got" = "$want" ] || fail "$label: $got instead of $want"
  kb=$((($(received) - before) / n / 1000))
  [ $kb -ge "$least" ] && [ $kb -le "$most" ] || fail "$label: $kb kB a token instead of $least to $most"
  echo "ok $label: $kb kB a token from the members"
}

swarm 3 --kv f32 --payload f32 --shares 2,1,1
on c load --quiet "$model" >/dev/null || fail "load"
check "greedy" 0 20 --temp 0
for seed in 1 2 3; do check "the usual settings, seed $seed" 0 20 --seed $seed; done
check "top-p of all, decided by the best" 0 20 --top-k 0 --top-p 0.0005 --min-p 0 --seed 4
check "top-p of all, never decided by the best" 120 150 --top-k 0 --top-p 0.9 --min-p 0 --seed 5
check "penalties" 110 150 --repeat-penalty 1.2 --seed 6
check "no truncation" 110 150 --top-k 0 --top-p 1 --min-p 0 --seed 7
end_swarm
