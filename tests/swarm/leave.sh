#!/usr/bin/env bash
# A member goes in the middle of an answer, by SIGTERM or `shoal leave`: the plan is changed first, the answer goes on with
# the text that it would have had, and nobody is lost. A coordinator that is stopped lets answers end; a second signal does not.
needs_free_disk=1
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
swarm 3 --model "$model" --context 4096
wait_serving c
# So long that devices go meanwhile: who is asked to let one go does so up to a quarter of a second later.
prompt=(-m stories260K -p "The sun" -n 3500 --temp 0 --ignore-end)

# unhurt WHAT: since the log was emptied a plan was changed, and nobody was lost.
unhurt() {
  grep "serving -> dropped: $2 leaves" "$tmp/c/log" >/dev/null || fail "$1: the plan was not changed first"
  grep 'was lost' "$tmp/c/log" >/dev/null && fail "$1: somebody was lost" || true
}

# end_of NAME: what the daemon, which was told to end, says to its parent.
end_of() {
  local code=0
  wait "${pids[$1]}" || code=$?
  unset "pids[$1]"
  [ $code -eq 0 ] || fail "$1 ended with $code"
}

has_members() { # with nothing to do besides
  [ "$(members)" = "$1" ] && [[ $(on c status --json) == *'"background": ""'* ]]
}

# What plans with a device less need is on disk.
is_stocked() { [ "$(grep -c 'slices of another plan' "$tmp/c/log" || true)" -ge 2 ]; }

wait_members 3
want=$(on c generate "${prompt[@]}")
soon is_stocked || fail "no slices for other plans"

# SIGTERM.
begin_answer
: >"$tmp/c/log"
kill -TERM "${pids[m2]}"
end_of m2
kill -0 $request || fail "the answer was over before m2 had gone"
check_answer "m2 stopped"
unhurt "m2 stopped" m2

# It is not held back for that.
start m2
wait_members 3

# Where that cannot be written down it stays, and is used as before.
prlimit --pid "${pids[c]}" --fsize=0:
on c leave m1 2>"$tmp/error" && fail "m1 was removed, and is still on the disk"
prlimit --pid "${pids[c]}" --fsize=unlimited:
contains "$tmp/error" 'cannot write' || fail "not said why m1 cannot be removed: $(cat "$tmp/error")"
wait_members 3

# For good, by its own word and by the coordinator's.
begin_answer
: >"$tmp/c/log"
on m1 leave
check_answer "m1 left"
unhurt "m1 left" m1
[[ $(on m1 status --json) == *'"role": "coordinator"'* ]] || fail "m1 is a member still"
[[ $(on c status --json) != *'"m1"'* ]] || fail "c knows m1 still"
wait_members 2
begin_answer
: >"$tmp/c/log"
on c leave m2
check_answer "m2 removed"
unhurt "m2 removed" m2
[[ $(on c status --json) != *'"m2"'* ]] || fail "c knows m2 still"

# The coordinator lets the answer end, and takes no other.
wait_members 1
begin_answer
kill -TERM "${pids[c]}"
on c generate "${prompt[@]}" 2>/dev/null && fail "a new request was taken"
check_answer "c stopped"
end_of c
grep 'cut off' "$tmp/c/log" >/dev/null && fail "something was cut off" || true

# A second signal ends the waiting.
prompt=(-m stories260K -p "The sun" -n 4000 --temp 0 --ignore-end) # long enough on one device, too
start c
wait_serving c
begin_answer
kill -TERM "${pids[c]}"
sleep 0.1
kill -0 "${pids[c]}" || fail "it did not wait for the answer"
kill -TERM "${pids[c]}"
end_of c
wait $request && fail "the answer was not cut off" || true
grep 'SIGTERM again' "$tmp/c/log" >/dev/null || fail "c did not notice the second signal"
