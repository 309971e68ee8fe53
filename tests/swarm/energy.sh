#!/usr/bin/env bash
# What a member tells of its heat, battery and watts: what its coordinator counts with, and what it shows.
. "$(dirname "$0")/lib.sh"
models=$srcdir/models

# zone NAME TEMPERATURE: of a device's hottest part, in thousandths of a degree.
zone() {
  mkdir -p "$tmp/sys-$1/class/thermal/thermal_zone0"
  echo "$2" >"$tmp/sys-$1/class/thermal/thermal_zone0/temp"
}

# of NAME FIELD: what the coordinator knows of a device.
of() {
  on c status --json | python3 -c 'import json, sys
p = next(p for p in json.load(sys.stdin)["peers"] if p["name"] == sys.argv[1])
print((p["energy"] or {}).get(sys.argv[2]))' "$1" "$2"
}

# becomes WORD COMMAND...
becomes() { soon prints "$@" || fail "${*:2} is $("${@:2}") instead of $1"; }
prints() { [ "$("${@:2}")" = "$1" ]; }

joules() {
  on c route --json | python3 -c 'import json, sys
t = next(t for t in json.load(sys.stdin)["targets"] if t["target"] == "large")
print(round(t["joules_per_token"] * t["tokens_per_s"]) if "joules_per_token" in t else "unknown")'
}

zone c 40000
zone m1 41500
start c --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --sysfs "$tmp/sys-c" --large-watts 5
start m1 --sysfs "$tmp/sys-m1" --large-watts 7 --hot 60
pair c m1
wait_serving c
becomes 2 members
on c run hearth --quiet 'turn on the lights' </dev/null >"$tmp/text"
becomes 7 of m1 watts
[ "$(of m1 celsius)" = 41.5 ] && [ "$(of m1 state)" = fine ] || fail "m1: $(on c status --json)"
[ "$(joules)" = 12 ] || fail "both draw $(joules) W, not 12"
on m1 peers --json | grep >/dev/null '"celsius": 41.5' || fail "m1 does not know itself"
echo "ok what is told"

zone m1 65000 # more than 60, which is its own limit
becomes hot of m1 state
on c status | grep >/dev/null 'm1 .*, hot' || fail "status: $(on c status)"
on c peers | grep >/dev/null 'm1 .*, hot' || fail "peers: $(on c peers)"
on c peers --json | grep >/dev/null '"state": "hot"' || fail "peers --json: $(on c peers --json)"
on c route | grep >/dev/null 'members that are spared, hot or with a low battery: 1' || fail "route: $(on c route)"
grep >/dev/null 'peer m1: fine -> hot' "$tmp/c/log" || fail "nothing in the log"
zone m1 50000
becomes fine of m1 state
stop m1
becomes None of m1 state
echo "ok a member that is hot"
