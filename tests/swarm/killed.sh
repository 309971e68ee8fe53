#!/usr/bin/env bash
# A member is killed in the middle of a generation: the request ends with a clear error within 3 s, all others stay up,
# and the next request works when the member is back.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
swarm 3 --model "$model"
wait_serving c
want=$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)

# Long enough to be running when the member dies; context 512 is the model's.
on c generate -m stories260K -p "Once upon a time" -n 480 --temp 0 --ignore-end >"$tmp/text" 2>"$tmp/error" &
request=$!
for _ in $(seq 100); do
  [ -s "$tmp/text" ] && break
  sleep 0.01
done
kill -9 "${pids[m2]}"
wait "${pids[m2]}" 2>/dev/null || true
died=$(date +%s%N)
code=0
wait $request || code=$?
took=$((($(date +%s%N) - died) / 1000000))
if [ $code -eq 0 ]; then
  # The answer was whole before the kill: the test has nothing to see. Say so, as a failure to be looked at.
  [ "$(wc -c <"$tmp/text")" -gt 0 ] && fail "the generation ended before the member was killed"
fi
[ $took -le 3000 ] || fail "the error took $took ms"
grep -q 'm2' "$tmp/error" || fail "the error does not name m2: $(cat "$tmp/error")"
for name in c m1; do kill -0 "${pids[$name]}" || fail "$name is down too"; done
code=0
on c generate -m stories260K -p "Once" -n 2 >/dev/null 2>"$tmp/error" || code=$?
[ $code -ne 0 ] || fail "an answer without m2"
grep -q 'm2' "$tmp/error" || fail "who is missing is not said: $(cat "$tmp/error")"
unset 'pids[m2]'
start m2
wait_serving c
[ "$(on c generate -m stories260K -p "Once upon a time" -n 20 --temp 0)" = "$want" ] || fail "another text after the return"
echo "error after $took ms"
