#!/usr/bin/env bash
# While a swarm serves, the slices of other plans come to the members' disks: when a member is lost nothing has to be
# fetched; a newcomer's slices are fetched while the others serve; with spare_disk = off, or no room, nothing is kept.
needs_free_disk=1
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf

# wait_log NAME TEXT N: until the log has the text N times.
wait_log() { soon has_said "$@" || fail "$1 did not say '$2' $3 times"; }
has_said() { [ "$(grep -c "$2" "$tmp/$1/log")" -ge "$3" ]; }

prompt=(-p "The sun" -n 1500 --temp 0 --ignore-end)
# Longer than the model was trained for, so that an answer takes seconds.
want=$("$shoal" generate --local -m "$model" --context 4096 "${prompt[@]}" --threads 1)

swarm 3 --model "$model" --context 4096
wait_serving c
wait_log c 'the slices of another plan of 2 devices are on disk' 2
on c status --json | grep >/dev/null '"background": ""' || fail "still at something: $(on c status --json | grep background)"
on c generate -m stories260K "${prompt[@]}" >"$tmp/text" &
request=$!
pause=0.01 soon [ -s "$tmp/text" ] || fail "no text"
mark=$(wc -l <"$tmp/c/log")
stop m2 KILL
wait $request || fail "the request ended with an error"
tail -n +"$mark" "$tmp/c/log" | grep >/dev/null 'm1 is ready, 0 bytes fetched' || fail "m1 fetched its slice after the loss"
[ "$(cat "$tmp/text")" = "$want" ] || fail "another text"

# A newcomer: a long answer runs on while its slices travel.
start m3
on c generate -m stories260K "${prompt[@]}" >"$tmp/text2" &
request=$!
pair c m3
wait $request || fail "an answer ended with an error when m3 came"
cmp -s "$tmp/text" "$tmp/text2" || fail "another text when m3 came"
wait_log c 'the slices of another plan of 3 devices are on disk' 1
wait_log m3 'linking -> computing' 1

# A member loses its slices while it is away.
stop m3 KILL
wait_members 2
rm -rf "$tmp/m3/state/shards"
mark=$(wc -l <"$tmp/c/log")
start m3
wait_members 3
tail -n +"$mark" "$tmp/c/log" | grep >/dev/null 'm3 is ready, 0 bytes fetched' || fail "m3 fetched its slice while nothing served"

# One that has too little memory to take part.
start m4 --memory 4M
pair c m4
wait_log c 'm4: .*memory' 1
wait_members 3
drops() { grep -c 'serving -> dropped' "$tmp/c/log"; }
before=$(drops)
sleep 4
[ "$(drops)" = "$before" ] || fail "what serves is interrupted again for a device that cannot take part"
end_swarm

swarm 3 --model "$model" --spare-disk off
wait_serving c
sleep 3
! grep -q 'another plan of' "$tmp/c/log" || fail "slices are brought to disk although spare_disk is off"
end_swarm

# A member without room: said once, and the others serve.
start c --model "$model" --context 4096
start m1 --spare-disk 10K
start m2
for m in m1 m2; do pair c $m; done
wait_log c 'm1: .* is more than spare_disk, 10K' 1
wait_serving c
[ "$(on c generate -m stories260K "${prompt[@]}")" = "$want" ] || fail "another text without room"
