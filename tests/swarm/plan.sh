#!/usr/bin/env bash
# shoal plan --swarm: alternatives, who holds what, who is left out and why; steering; mistakes in the file.
. "$(dirname "$0")/lib.sh"

need_shared
model=$shared/models/stories260K.gguf
file=$tmp/swarm.json

refused() { # PATTERN JSON
  local said code=0
  printf '%s\n' "$2" >"$tmp/bad.json"
  said=$("$shoal" plan "$model" --swarm "$tmp/bad.json" 2>&1) || code=$?
  [ $code -eq 1 ] || fail "$2: exit $code: $said"
  grep -qF -- "$1" <<<"$said" || fail "$2: '$said' has no '$1'"
}
wrong() { # CODE PATTERN ARGUMENTS
  local want=$1 pattern=$2 said code=0
  shift 2
  said=$("$shoal" plan "$model" "$@" 2>&1) || code=$?
  [ $code -eq "$want" ] || fail "plan $*: exit $code instead of $want: $said"
  grep -qF -- "$pattern" <<<"$said" || fail "plan $*: '$said' has no '$pattern'"
}

# Devices so slow that this small model takes 55 ms of computing on the first one alone.
cat >"$file" <<'END'
{
  "devices": [
    {"name": "nuc", "weights_gbps": 0.02, "prompt_gmacs": 1, "memory": "1G", "disk_gbps": 1},
    {"name": "pi-desk", "weights_gbps": 0.02, "prompt_gmacs": 1, "memory": "1G"},
    {"name": "pi-attic", "weights_gbps": 0.02, "prompt_gmacs": 1, "memory": "1G"}
  ],
  "link": {"round_trip_ms": 0.2, "mbit": 1000},
  "links": [{"between": ["pi-attic", "*"], "round_trip_ms": 20, "mbit": 100}]
}
END
said=$("$shoal" plan "$model" --swarm "$file") || fail "plan: $said"
grep -qE '^\* +tensor parallel +nuc, pi-desk ' <<<"$said" || fail "plan: $said"
grep -qE '^pi-attic is left out: with it a token would take .* because its link has a round trip of 20 ms$' <<<"$said" ||
  fail "plan: $said"
"$shoal" plan "$model" --swarm "$file" --with pi-attic --payload q8 --json >"$tmp/with.json" || fail "--with"
"$shoal" plan "$model" --swarm "$file" --without pi-desk --json >"$tmp/without.json" || fail "--without"
"$shoal" plan "$model" --swarm "$file" --force pp --json >"$tmp/pp.json" || fail "--force pp"
"$shoal" plan "$model" --swarm "$file" --force one --json >"$tmp/one.json" || fail "--force one"
"$shoal" plan "$model" --swarm "$file" --force 3 --sessions 4 --depth 32 --prompt 100 --json >"$tmp/3.json" ||
  fail "--force 3"
python3 - "$tmp" <<'END' || fail "--json"
import json, sys
plans = {}
for name in ["with", "without", "pp", "one", "3"]:
    whole = json.load(open(f"{sys.argv[1]}/{name}.json"))
    plans[name] = p = whole["plans"][whole["best"]]
    held = [m["name"] for s in p["stages"] for m in s["members"]]
    names = held + [s["name"] for s in whole["left_out"]]
    assert sorted(names) == ["nuc", "pi-attic", "pi-desk"], names
    assert all(s["reason"] for s in whole["left_out"])
    assert sum(s["layers"] for s in p["stages"]) == 5
    for stage in p["stages"]:
        assert sum(m["kv_heads"] for m in stage["members"]) == 4
        assert sum(m["columns"] for m in stage["members"]) == 172
    assert sum(m["vocabulary"] for m in p["stages"][-1]["members"]) == 512
    t = p["token"]
    assert abs(t["compute_seconds"] + t["network_seconds"] - t["seconds"]) < 1e-9
    plans[name]["held"] = held
assert "pi-attic" in plans["with"]["held"] and plans["with"]["runs_today"]
assert "pi-desk" not in plans["without"]["held"]
assert plans["pp"]["plan"].endswith("pipeline") and plans["pp"]["runs_today"]
assert plans["one"]["devices"] == 1 and plans["one"]["held"] == ["nuc"]
assert plans["3"]["devices"] == 3
END

device='{"name": "a", "weights_gbps": 1, "prompt_gmacs": 1, "memory": "1G"}'
refused "bad.json:" '{"devices"'
refused '"devices" is missing' '{}'
refused '1 to 64 devices' '{"devices": []}'
refused "1 to 64 devices" "{\"devices\": [$(yes "$device," | head -64 | tr -d '\n')$device]}"
refused '"weights_gbps" is missing' '{"devices": [{"name": "a"}]}'
refused '"weights_gbps" is not a number' "{\"devices\": [${device/: 1,/: -1,}]}"
refused '"memory" cannot be auto' "{\"devices\": [${device/1G/auto}]}"
refused '"speed" is not known' "{\"devices\": [${device/\}/, \"speed\": 1\}}]}"
refused "two devices 'a'" "{\"devices\": [$device, $device]}"
refused 'nothing is said of the link between a and b' "{\"devices\": [$device, ${device/\"a\"/\"b\"}]}"
refused "no device 'z'" "{\"devices\": [$device], \"links\": [{\"between\": [\"a\", \"z\"], \"round_trip_ms\": 1, \"mbit\": 1}]}"
refused "do not fit" "{\"devices\": [${device/1G/10M}]}"
wrong 1 "No such file" --swarm "$tmp/none"
: >"$tmp/empty"
wrong 1 "is empty" --swarm "$tmp/empty"
wrong 1 "no device 'nobody'" --swarm "$file" --with nobody
wrong 1 "with and without" --swarm "$file" --with nuc --without nuc
wrong 1 "f32, f16 or q8" --swarm "$file" --payload q4
wrong 2 "neither tp, pp, one" --swarm "$file" --force both
wrong 2 "name its file with --swarm" --with nuc
wrong 2 "stands in its file" --swarm "$file" --memory 1G
echo "shoal plan --swarm: ok"
