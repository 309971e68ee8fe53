#!/usr/bin/env bash
# A paired device that floods its coordinator, sends wrong sizes, absurd counts, old epochs or garbage, asks without end
# or opens links and says nothing: the others' answers stay what they were, the coordinator's memory too.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
prompt=(-m stories260K -p "Once upon a time" -n 200 --temp 0)

resident() { awk '/^RssAnon:/ { print $2 }' "/proc/${pids[c]}/status"; }

swarm 3 --model "$model" --kv f32
wait_serving c
want=$(on c generate "${prompt[@]}")
stop m2 KILL # what remains of it is its keys
wait_members 2
[ "$(on c generate "${prompt[@]}")" = "$want" ] || fail "another text with one member"
before=$(resident)

for mode in trouble pings epochs counts garbage size questions frames many; do
  seconds=$patience # until it is dropped
  [ $mode != many ] || seconds=1.5
  "$builddir/tests/swarm/hostile" "$tmp/m2/state" m2 $mode $seconds >"$tmp/hostile" &
  pids[hostile]=$!
  sleep 0.3
  text=$(on c generate "${prompt[@]}") || fail "$mode: an answer ended with an error"
  [ "$text" = "$want" ] || fail "$mode: another text"
  wait "${pids[hostile]}" || fail "$mode: the hostile device ended with $?"
  unset "pids[hostile]"
  for name in c m1; do kill -0 "${pids[$name]}" || fail "$mode: $name is down"; done
  case $mode in
  trouble | pings | epochs | counts | garbage | size | questions | frames) grep >/dev/null '1 closed' "$tmp/hostile" || fail "$mode: it was not dropped: $(cat "$tmp/hostile")" ;;
  *) ! grep >/dev/null ' 0 opened' "$tmp/hostile" || fail "$mode: no link: $(cat "$tmp/hostile")" ;;
  esac
  echo "ok $(cat "$tmp/hostile")"
done

after=$(resident)
sanitized || [ "$after" -lt $((before + 16384)) ] || fail "the coordinator grew from $before to $after kB"
[ "$(wc -c <"$tmp/c/log")" -lt 1000000 ] || fail "the log has $(wc -c <"$tmp/c/log") bytes"

# With good manners it is taken in again.
start m2
wait_members 3
[ "$(on c generate "${prompt[@]}")" = "$want" ] || fail "another text in the end"
