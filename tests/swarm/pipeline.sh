#!/usr/bin/env bash
# Pipelines: stages of one device and of groups give the text of one process, also to several sessions at once; a member
# that is killed in the middle of an answer is not missed; where stages cannot be linked there is no pipeline.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
prompts=("Once upon a time" "The little dog" "Lily and Tom went to the park" "One day, a big")
tokens=60

state() { on c status --json | python3 -c "import json,sys
s = json.load(sys.stdin)
peers = [p for p in s['peers'] if 'layers' in p]
$1"; }

wait_members() { # N: until a plan of N devices serves
  for _ in $(seq 300); do
    [ "$(state 'print(len(peers) if s["serving"] else 0)')" != "$1" ] || return 0
    sleep 0.1
  done
  on c status
  fail "no plan of $1 devices"
}

ask() { # I FILE: that prompt's text
  on c generate -m "$name" -p "${prompts[$1]}" -n $tokens --temp 0 --ignore-end --ids >"$2"
}

check() { # LABEL: each prompt alone, and all at once
  local i jobs=()
  for i in "${!prompts[@]}"; do
    ask "$i" "$tmp/text$i" || fail "$1: no answer"
    [ "$(cat "$tmp/text$i")" = "${want[$i]}" ] || fail "$1: '${prompts[$i]}' gives $(cat "$tmp/text$i") instead of ${want[$i]}"
  done
  for i in "${!prompts[@]}"; do
    ask "$i" "$tmp/text$i" &
    jobs+=($!)
  done
  for i in "${!prompts[@]}"; do
    wait "${jobs[$i]}" || fail "$1: no answer among others"
    [ "$(cat "$tmp/text$i")" = "${want[$i]}" ] || fail "$1: another text of '${prompts[$i]}' among others"
  done
  echo "ok $1"
}

one_process() {
  want=()
  for i in "${!prompts[@]}"; do
    want+=("$("$shoal" generate --local -m "$1" --kv f32 -p "${prompts[$i]}" -n $tokens --temp 0 --ignore-end --ids)")
  done
}

layers_are() { # "0+2 2+3 ...": of the devices by rank
  local got
  wait_serving c
  got=$(state 'print(*["%d+%d" % tuple(p["layers"]) for p in sorted(peers, key=lambda p: p["rank"])])')
  [ "$got" = "$1" ] || fail "layers are $got instead of $1"
}

name=stories260K
one_process "$model"
while read -r peers stages way layers; do
  swarm "$peers" --kv f32 --stages "$stages" --collective "$way" --batch 16
  on c load --quiet "$model" >/dev/null || fail "$stages: load"
  layers_are "$layers"
  check "stages of $stages devices, sums by $way"
  end_swarm
done <<'E2'
2 1,1 auto 0+3 3+2
3 1,1,1 auto 0+2 2+2 4+1
4 2,2 auto 0+3 0+3 3+2 3+2
4 2,2 star 0+3 0+3 3+2 3+2
4 1,3 auto 0+1 1+4 1+4 1+4
E2

# Quantised: no sum is added in another order than in one process.
name=llama-nano-q4_k_m
one_process "$shared/models/$name.gguf"
swarm 3 --kv f32 --stages 1,1,1
on c load --quiet "$shared/models/$name.gguf" >/dev/null || fail "$name: load"
check "$name in three stages"
end_swarm

# Sampled: the best tokens decide, or the row is computed again.
name=stories260K
sample=(generate -p "Once upon a time" -n 40 --temp 1.5 --top-k 0 --top-p 0.9999 --min-p 0 --seed 7 --ignore-end --ids)
wanted=$("$shoal" "${sample[@]}" --local -m "$model" --kv f32)
swarm 2 --kv f32 --stages 1,1
on c load --quiet "$model" >/dev/null || fail "load"
[ "$(on c "${sample[@]}" -m $name)" = "$wanted" ] || fail "other samples than in one process"
end_swarm
echo "ok samples"

# A loss in the middle of an answer: of a stage's hub, and of a group's member.
one_process "$model"
swarm 4 --kv f32 --stages 1,1,2 --context 4096
on c load --quiet "$model" >/dev/null || fail "load"
long=(-m $name -p "Once upon a time" -n 1000 --temp 0 --ignore-end)
text=$(on c generate "${long[@]}")
for lost in m1 m3; do
  wait_members 4
  : >"$tmp/text"
  on c generate "${long[@]}" >"$tmp/text" 2>"$tmp/error" &
  request=$!
  for _ in $(seq 1000); do
    [ ! -s "$tmp/text" ] || break
    sleep 0.01
  done
  stop $lost KILL
  wait $request || fail "$lost killed: $(cat "$tmp/error")"
  [ "$(cat "$tmp/text")" = "$text" ] || fail "$lost killed: another text"
  grep >/dev/null "peer $lost: here -> away" "$tmp/c/log" || fail "the loss of $lost was not noticed"
  start $lost
done
wait_members 4
echo "ok losses"

# With fewer devices than stages call for, those that are there are stages.
stop m3
stop m2
wait_members 2
layers_are "0+3 3+2"
check "two of four devices"
