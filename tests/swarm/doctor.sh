#!/usr/bin/env bash
# `shoal doctor` says where the time of a token goes: parts that add up to it, on every device, and what would help where a
# device waits for its disk.
. "$(dirname "$0")/lib.sh"
model=$tmp/m.gguf
python3 "$srcdir/tests/support/synth_model.py" "$model" --layers 10

start c --context 256
if sanitized; then memory=300M; else memory=34M; fi
start m1 --memory $memory
pair c m1
on c load --quiet "$model"
wait_members 2
if on c doctor >"$tmp/out" 2>&1; then fail "it knows of steps that were not"; fi
grep -q 'ask for an answer first' "$tmp/out" || fail "before any answer: $(cat "$tmp/out")"
on c generate -m m -p "a w1 w2" -n 40 --temp 0 --ignore-end --ids >/dev/null
tells_all() { # members tell twice a second what they have done, and after the last step again
  on c doctor --json >"$tmp/out" 2>/dev/null && [ "$(grep -c '"step_ms"' "$tmp/out")" = 2 ]
}
soon tells_all || fail "m1 tells nothing: $(cat "$tmp/out")"
sleep 1.2
on c doctor --json >"$tmp/out"
python3 - "$tmp/out" <<'END' || fail "$(cat "$tmp/out")"
import json, sys
said = json.load(open(sys.argv[1]))
devices = {d["name"]: d for d in said["devices"]}
assert sorted(devices) == ["c", "m1"], devices
for d in devices.values():
    parts = d["compute_ms"] + d["disk_ms"] + d["waiting_ms"] + d["links_ms"]
    assert d["compute_ms"] > 0 and abs(parts - d["step_ms"]) <= 0.02 * d["step_ms"] + 0.01, d
    assert d["waiting_ms"] >= 0 and d["links_ms"] >= 0 and d["layers"] == [0, 10], d
# Who is waited for waits for nobody.
slowest = {d["waiting_for"] for d in devices.values()}
assert len(slowest) == 1 and devices[slowest.pop()]["waiting_ms"] == 0, devices
assert said["advice"] and all(isinstance(a, str) for a in said["advice"])
END
on c doctor >"$tmp/out"
grep -q '^m1 ' "$tmp/out" || fail "the table: $(cat "$tmp/out")"
cat "$tmp/out"
if on m1 doctor >"$tmp/out" 2>&1; then fail "a member knows of the others"; fi
grep -q 'its coordinator knows' "$tmp/out" || fail "a member says: $(cat "$tmp/out")"
if on c doctor x >"$tmp/out" 2>&1; then fail "it takes an argument"; fi
echo "ok doctor"
