#!/usr/bin/env bash
# The coordinator is killed, or stands still: the two others elect the one that has the model, and it serves. The old one
# comes back as a member. Fewer than most serve nobody, and elect nobody.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
auto=(--coordinator auto --elect-after 4)
start c --model "$model" "${auto[@]}"
start m1 --model "$model" "${auto[@]}"
start m2 "${auto[@]}"
prompt=(-m stories260K -p "Once upon a time" -n 30 --temp 0)

end_well() {
  local code=0
  kill -TERM "${pids[$1]}"
  wait "${pids[$1]}" || code=$?
  unset "pids[$1]"
  [ $code -eq 0 ] || fail "$1 ended with $code"
}

pair c m1
until_says c election.devices 2
[ "$(says c election.bound)" = False ] || fail "two devices elect"
pair c m2
for name in m1 m2; do until_says $name election.devices 3; done
until_says m1 election.stands True
[ "$(says m2 election.stands)" = False ] || fail "m2 has no model, and stands"
wait_members 3 c
want=$(on c generate "${prompt[@]}")

stop c KILL
until_says m1 role coordinator
until_says m1 serving True
until_says m2 role member
[ "$(on m1 generate "${prompt[@]}")" = "$want" ] || fail "another text"
wait_members 2 m1

# Back, it finds that it is the coordinator no more.
start c
until_says c role member
wait_members 3 m1
[ "$(on m1 generate "${prompt[@]}")" = "$want" ] || fail "another text"
[ "$(says c election.term)" = 2 ] || fail "the term is not 2"
until_says c election.stands True

# One that stood still does not know that it has been replaced: it serves nobody all the same.
kill -STOP "${pids[m1]}"
until_says c serving True
kill -CONT "${pids[m1]}"
[ "$(says m1 serving)" = False ] || fail "two coordinators serve"
until_says m1 role member
[ "$(on c generate "${prompt[@]}")" = "$want" ] || fail "another text"

# Alone, a coordinator serves nobody, until most are there again.
stop m1 KILL
stop m2 KILL
until_says c state '*1 of 3 answer, 2 are needed*'
[ "$(says c serving)" = False ] || fail "one of three serves"
code=$(on c invite --no-wait 2>&1) && fail "a device could join"
[[ $code == *"most of the swarm's devices must be here"* ]] || fail "not said why nobody can join: $code"
start m2
until_says c serving True

# Nor is one elected by itself.
stop m2 KILL
end_well c
start m1
sleep 7
[ "$(says m1 role)" = member ] || fail "a minority has elected"
grep 'coordinates from now on, term 4' "$tmp"/*/log && fail "there is a fourth term" || true
end_well m1
