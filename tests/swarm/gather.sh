#!/usr/bin/env bash
# The coordinator is gone for good, with its disk and the only file of the model: one of the two others is elected,
# makes the model of the slices that both have, and serves the same text. What is missing is said when a disk has lost
# its slices.
. "$(dirname "$0")/lib.sh"
need_shared
cp "$shared/models/stories260K.gguf" "$tmp/stories260K.gguf"
model=$tmp/stories260K.gguf
# Room for a third and a half of it: no member has all of the model.
auto=(--coordinator auto --elect-after 4 --spare-disk 1200K)
start c "${auto[@]}"
for name in m1 m2; do start $name "${auto[@]}"; done
prompt=(-m stories260K -p "Once upon a time" -n 30 --temp 0)

# Their halves of the model are on the members' disks, and what no slice has.
is_covered() {
  contains "$tmp/c/log" 'the slices of another plan of 3 devices are on disk' &&
    [ "$(says m1 election.skeleton)$(says m2 election.skeleton)" = TrueTrue ]
}

# Whether one of the members coordinates: $leader.
is_led() {
  for leader in m1 m2; do
    [ "$(says $leader role)" != coordinator ] || return 0
  done
  return 1
}

pair c m1
pair c m2
for name in m1 m2; do until_says $name election.devices 3; done
on c load "$model" >/dev/null
wait_serving c
want=$(on c generate "${prompt[@]}")
soon is_covered || fail "the members do not have the model"

# Without the slices of one of them the other one stands not: it says what is missing.
stop c KILL
rm -rf "$model" "$tmp/c/state"
stop m2 KILL
mv "$tmp/m2/state/shards" "$tmp/m2/lost"
start m2
until_says m1 state '*no disk of the devices that answer has layers 0-4: *'
[ "$(says m1 role)" = member ] || fail "m1 coordinates without the model"

# With them one of the two is elected, and gets from the other what it has not.
mkdir -p "$tmp/m2/state/shards"
mv "$tmp/m2/lost/"* "$tmp/m2/state/shards"
soon is_led || fail "nobody was elected"
until_says "$leader" serving True
[ "$(on "$leader" generate "${prompt[@]}")" = "$want" ] || fail "another text"
grep >/dev/null 'the model is whole again: .*/gathered/stories260K.gguf, [1-9][0-9]* bytes came from other devices' \
  "$tmp/$leader/log" || fail "nothing was gathered"
cmp "$tmp/$leader/state/gathered/stories260K.gguf" "$shared/models/stories260K.gguf" || fail "another file"

# Another device joins: its slice comes from those two.
start m3 "${auto[@]}"
pair "$leader" m3
until_says m3 state 'member: computing a slice of stories260K'
until_says "$leader" serving True
[ "$(on "$leader" generate "${prompt[@]}")" = "$want" ] || fail "another text with m3"

# And the one that was elected finds the model after a restart.
stop "$leader" KILL
start "$leader"
until_says "$leader" serving True
[ "$(on "$leader" generate "${prompt[@]}")" = "$want" ] || fail "another text after a restart"
