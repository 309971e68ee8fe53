#!/usr/bin/env bash
# Pipelines: stages of one device and of groups give the text of one process, also to several sessions at once; a member
# that is killed in the middle of an answer is not missed.
. "$(dirname "$0")/lib.sh"
if sanitized; then
  echo "SKIP pipeline: test_pipeline runs sanitized; this one would take minutes"
  exit 77
fi
need_shared
model=$shared/models/stories260K.gguf
prompts=("Once upon a time" "The little dog" "Lily and Tom went to the park")
tokens=40
name=

state() { on c status --json | python3 -c "import json,sys
s = json.load(sys.stdin)
peers = [p for p in s['peers'] if 'layers' in p]
$1"; }

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

# begin STAGES WAY LAYERS [OPTIONS...]: a swarm of as many devices, serving $model.
begin() {
  local stages=$1 way=$2 layers=$3
  shift 3
  swarm $((${stages//,/+})) --kv f32 --stages "$stages" --collective "$way" --batch 16 "$@"
  load "$model"
  layers_are "$layers"
}

load() {
  name=$(basename "$1" .gguf)
  on c load --quiet "$1" >/dev/null || fail "$name: load"
}

one_process "$model"
begin 1,1 auto "0+3 3+2"
check "two stages"
# The best tokens decide, or the row is computed again.
sample=(generate -p "Once upon a time" -n 40 --temp 1.5 --top-k 0 --top-p 0.9999 --min-p 0 --seed 7 --ignore-end --ids)
wanted=$("$shoal" "${sample[@]}" --local -m "$model" --kv f32)
[ "$(on c "${sample[@]}" -m "$name")" = "$wanted" ] || fail "other samples than in one process"
echo "ok samples"
end_swarm

begin 1,3 star "0+1 1+4 1+4 1+4"
check "one device and three, sums by star"
end_swarm

# A loss in the middle of an answer: of a stage's hub, and of a group's member.
begin 2,2 auto "0+3 0+3 3+2 3+2" --context 4096
check "two stages of two devices"
prompt=(-m "$name" -p "Once upon a time" -n 500 --temp 0 --ignore-end)
greedy=("${want[@]}")
want=("$(on c generate "${prompt[@]}")")
for lost in m2 m3; do
  wait_members 4
  begin_answer
  stop $lost KILL
  check_answer "$lost killed"
  grep >/dev/null "peer $lost: here -> away" "$tmp/c/log" || fail "the loss of $lost was not noticed"
  start $lost
done
wait_members 4
echo "ok losses"
want=("${greedy[@]}")
end_swarm

# Quantised too: no sum is added in another order than in one process. With fewer devices than stages call for, those
# that are there are stages.
begin 1,1,1 auto "0+2 2+2 4+1"
check "three stages"
one_process "$shared/models/llama-nano-q4_k_m.gguf"
load "$shared/models/llama-nano-q4_k_m.gguf"
check "llama-nano-q4_k_m in three stages"
stop m2
wait_members 2
check "two of three devices"
