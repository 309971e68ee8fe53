#!/usr/bin/env bash
# `shoal peers` knows every device and link of a swarm of three soon after it has come together, and at once after
# a restart, without measuring again; damaged files and another number of threads are measured again.
. "$(dirname "$0")/lib.sh"

# known DAEMON: ends well when it knows all of everybody. Prints what it knows, for comparing.
cat >"$tmp/known.py" <<'P'
import json, sys
peers = json.load(sys.stdin)["peers"]
assert len(peers) == 3 and [p["self"] for p in peers] == [True, False, False], peers
for p in peers:
    s = p["speed"]
    assert s, p["name"] + " is not measured"
    assert 1 <= s["generation_threads"] <= p["threads"] == 1, s
    for name in ("F32", "F16", "Q4_0", "Q8_0", "Q4_K", "Q6_K"):
        t = s["types"][name]
        assert 1e6 < t["bytes_per_second"] < 1e12, (name, t)
        assert 1e6 < t["operations_per_second"] < 1e14, (name, t)
    assert 1e7 < s["read_bytes_per_second"] < 1e13, s
    assert 1e5 < s["disk_bytes_per_second"] < 1e12, s
    assert 1e7 < p["memory_bytes"] < 1e15, p
    if not p["self"]:
        assert 0.001 < p["rtt_median_ms"] <= p["rtt_p99_ms"] < 2000, p
        assert 1e5 < p["link_bytes_per_second"] < 1e12, p
print(json.dumps([(p["name"], p["speed"], p["link_bytes_per_second"], p["link_measured"]) for p in peers]))
P
known() {
  on "$1" peers --json 2>/dev/null | python3 "$tmp/known.py" 2>"$tmp/unknown"
}
wait_known() { # DAEMON
  soon known "$1" >/dev/null && return
  tail -1 "$tmp/unknown"
  fail "$1 does not know everybody"
}
times_measured() { grep -c 'measured: ' "$tmp/$1/log" || true; }

start c
start m1 --memory 700M
start m2
pair c m1
pair c m2
wait_known c
before=$(known c)
on c peers | grep >/dev/null '^m1 .* 734 MB' || fail "the table does not tell the budget of m1: $(on c peers)"
knows_link() { on m1 peers --json | grep '"rtt_median_ms": [0-9]' >/dev/null; } # to the end: no broken pipe
soon knows_link || fail "a member does not know its link"

for name in c m1 m2; do stop $name; done
start c
after=$(known c) || fail "after a restart alone, c does not know everybody: $(tail -1 "$tmp/unknown")"
[ "$after" = "$before" ] || fail "after a restart c knows something else: $after instead of $before"
on c peers | grep >/dev/null '^m1 .* away' || fail "m1 is not away"
start m1
start m2
sleep 2
for name in c m1 m2; do
  [ "$(times_measured $name)" -eq 1 ] || fail "$name was measured $(times_measured $name) times"
done
[ "$(known c)" = "$before" ] || fail "members that are back changed what c knows"

# What cannot be read, or was measured under other conditions, is measured again.
for name in c m1 m2; do stop $name; done
printf '{ "cpu"' >"$tmp/m1/state/speed.json"
sed -i 's/"threads": 1/"threads": 3/' "$tmp/m2/state/speed.json"
printf '[1' >"$tmp/c/state/members.json"
for name in c m1 m2; do start $name; done
wait_known c
[ "$(times_measured c)" -eq 1 ] || fail "c was measured again"
for name in m1 m2; do [ "$(times_measured $name)" -eq 2 ] || fail "$name was not measured again"; done
grep -q 'speed.json is damaged' "$tmp/m1/log" || fail "the damage is not told"
ls "$tmp"/m?/state | grep >/dev/null 'disk\.' && fail "a file is left behind"
for name in c m1 m2; do kill -0 "${pids[$name]}" || fail "$name is down"; done
