#!/usr/bin/env bash
# Greedy output of a real model is the same in one process and in swarms of 2, 3 and 4 peers, with equal and with
# uneven shares: token for token what another engine computed.
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

for setup in "2 " "2 3,1" "3 " "3 5,1,2" "4 " "4 1,2,1,4"; do
  read -r peers shares <<<"$setup"
  swarm "$peers" --kv f32 ${shares:+--shares "$shares"}
  on c load --quiet "$model" >/dev/null || fail "$setup: load"
  [ "$(on c status --json | grep -c '"rank"')" -eq "$peers" ] || fail "$setup: not all peers hold a slice"
  check "$peers peers, shares ${shares:-equal}" on c generate -m stories260K
  end_swarm
done
