#!/usr/bin/env bash
# Greedy output of a real model is the same in one process and in swarms of 2, 3 and 4 peers, with equal and with
# uneven shares, by every way to add sums: token for token what another engine computed. That of a mixture of experts is the same in a swarm as
# in one process.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf

cases() {
  python3 - "$shared/reference/stories260K-greedy.json" <<'P'
import json, sys
for c in json.load(open(sys.argv[1]))["cases"]:
    print(c["text"] + "\t" + " ".join(map(str, c["greedy"])))
P
}

check() { # LABEL COMMAND...
  local label=$1 text want got n=0
  shift
  while IFS=$'\t' read -r text want; do
    got=$("$@" -p "$text" -n "$(wc -w <<<"$want")" --temp 0 --ids --ignore-end) || fail "$label: no answer to '$text'"
    [ "$got" = "$want" ] || fail "$label: '$text' gives $got instead of $want"
    n=$((n + 1))
  done < <(cases)
  [ $n -eq 4 ] || fail "$label: $n cases instead of 4"
  echo "ok $label"
}

check "one process" "$shoal" generate --local -m "$model" --kv f32
check "one process, weights copied" "$shoal" generate --local -m "$model" --kv f32 --weights copied

setups=("2 star 3,1" "3 auto 5,1,2" "3 scatter" "4 direct 1,2,1,4")
rows=("3 --shares 3,1,2")
if ! sanitized; then # numbers are the same; memory has been looked at
  setups+=("2 auto" "3 star" "4 auto")
  rows+=("3" "4 --stages 2,2")
fi
for setup in "${setups[@]}"; do
  read -r peers way shares <<<"$setup"
  place=auto
  [ "$peers" -ne 3 ] || place=copied
  swarm "$peers" --kv f32 --collective "$way" --weights $place ${shares:+--shares "$shares"}
  on c load --quiet "$model" >/dev/null || fail "$setup: load"
  [ "$(on c status --json | grep -c '"rank"')" -eq "$peers" ] || fail "$setup: not all peers hold a slice"
  on c status --json | grep >/dev/null "\"collective\": \"$way\"" || fail "$setup: sums go another way"
  check "$peers peers, sums by $way, shares ${shares:-equal}" on c generate -m stories260K
  end_swarm
done

# A mixture of experts: every peer has its columns of each expert, and chooses for itself.
model=$shared/models/qwen3moe-nano-q4_0.gguf
ask=(-p "Once upon a time" -n 24 --temp 0 --ids --ignore-end)
want=$("$shoal" generate --local -m "$model" --kv f32 "${ask[@]}")
[ "$(wc -w <<<"$want")" -eq 24 ] || fail "experts: $want in one process"
swarm 3 --kv f32 --payload f32 --shares 3,1,2
on c load --quiet "$model" >/dev/null || fail "experts: load"
got=$(on c generate -m qwen3moe-nano-q4_0 "${ask[@]}") || fail "experts: no answer"
[ "$got" = "$want" ] || fail "experts: $got instead of $want"
end_swarm
echo "ok experts, 3 peers"

# Quantised weights: the sums of a prompt's steps go by rows, from the second step on, and give the text that they give
# in columns.
model=$shared/models/llama-nano-q4_0.gguf
text_by() { # WAY PEERS OPTIONS...: into $text
  swarm "$2" --kv f32 --payload f32 --collective "$1" --batch 8 "${@:3}"
  on c load --quiet "$model" >/dev/null || fail "$1: load"
  text=$(on c generate -m llama-nano-q4_0 -p "Once upon a time there was a little dog who lived in a house" -n 24 --temp 0 \
    --ids --ignore-end) || fail "$1: no answer"
  [ "$(wc -w <<<"$text")" -eq 24 ] || fail "$1: $text"
  end_swarm
}
for devices in "${rows[@]}"; do
  read -ra options <<<"$devices"
  text_by scatter "${options[@]}"
  want=$text
  text_by rows "${options[@]}"
  [ "$text" = "$want" ] || fail "by rows, $devices: $text instead of $want"
  echo "ok sums by rows, devices: $devices"
done
