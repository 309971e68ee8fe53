#!/usr/bin/env bash
# A member is killed in the middle of a generation: the answer goes on over those that are left, with the text that it
# would have had; the member takes part again when it is back; with one device left the text is still the same.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
# Longer than the model was trained for, so that an answer takes seconds.
swarm 3 --model "$model" --context 4096
wait_serving c
prompt=(-m stories260K -p "The sun" -n 3000 --temp 0 --ignore-end)

is_lost() { contains "$tmp/c/log" "peer $1: here -> away"; }
plans() { grep -c 'linking -> serving\|preparing -> serving' "$tmp/c/log" || true; }

wait_members 3
want=$(on c generate "${prompt[@]}")
begin_answer
before=$(plans)
stop m2 KILL
check_answer "m2 killed"
soon is_lost m2 || fail "the loss of m2 was not noticed"
[ "$(plans)" -gt "$before" ] || fail "the generation ended before the member was killed"
for name in c m1; do kill -0 "${pids[$name]}" || fail "$name is down too"; done

# Back, and used again without a word from anybody.
start m2
wait_members 3

# A process that stands still is not there either, although its links stay open: within 2 s.
begin_answer
began=$(date +%s%N)
kill -STOP "${pids[m1]}"
check_answer "m1 stopped"
took=$((($(date +%s%N) - began) / 1000000))
soon is_lost m1 || fail "the silence of m1 was not noticed"
kill -CONT "${pids[m1]}"
wait_members 3

# Both at once.
begin_answer
stop m1 KILL
stop m2 KILL
check_answer "m1 and m2 killed"
wait_members 1
echo "went on after a silent member in $took ms"
