#!/usr/bin/env bash
# The models that come with Shoal do what they are for, and do the same in one process and on three peers.
. "$(dirname "$0")/../swarm/lib.sh"
models=$srcdir/models
data=$models/hearth-eval.jsonl

# field FILE EXPRESSION: a value out of a report r.
field() { python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# at_least FILE EXPRESSION FLOOR
at_least() {
  [ "$(field "$1" "$2 >= $3")" = True ] || fail "$(basename "$1"): $2 is $(field "$1" "$2"), below $3"
}

[ "$(cat "$models"/*.gguf | wc -c)" -le 12000000 ] || fail "the models are larger than 12 MB together"
for m in hearth hearth-small; do
  "$shoal" show "$models/$m.gguf" --json >"$tmp/show" || fail "show $m"
  grep -q '"chat": "chatml"' "$tmp/show" || fail "$m: no chat template"
  "$shoal" eval hearth -m "$models/$m.gguf" --local --threads 1 --kv f32 -n 200 --json >"$tmp/$m" || fail "eval $m"
  [ "$(field "$tmp/$m" 'r["samples"], [d["samples"] for d in r["by_difficulty"]]')" = "(200, [40, 40, 40, 40, 40])" ] ||
    fail "$m: not 40 commands of each difficulty"
done
echo "ok both models load and are measured"

# Floors a little below what the model card says, for 200 commands out of the 1,000.
at_least "$tmp/hearth" 'r["exact_match"]' 0.97
at_least "$tmp/hearth" 'r["by_difficulty"][4]["exact_match"]' 0.9
at_least "$tmp/hearth-small" 'r["by_difficulty"][0]["exact_match"]' 0.92
[ "$(field "$tmp/hearth-small" 'r["exact_match"] <= 0.8')" = True ] || fail "the small model is not clearly below"
echo "ok accuracy"

# What is measured is the answer: a right and a wrong one, the order of members, another number.
cat >"$tmp/set" <<'J'
{"level":1,"system":"","user":"turn on the light in the kitchen","answer":"{\"actions\":[{\"area\":\"kitchen\", \"service\":\"light.turn_on\"}]}\nx"}
{"level":1,"system":"","user":"turn on the light in the kitchen","answer":"{\"actions\":[{\"service\":\"light.turn_off\",\"area\":\"kitchen\"}]}\nx"}
J
"$shoal" eval hearth -m "$models/hearth.gguf" --local --data "$tmp/set" --json >"$tmp/two" || fail "a set of two"
[ "$(field "$tmp/two" 'r["exact_match"], r["wrong"]')" = "(0.5, [1])" ] || fail "a set of two: $(cat "$tmp/two")"
"$shoal" eval hearth -m "$models/hearth.gguf" --local --data "$tmp/set" --mistakes 5 >"$tmp/out" 2>&1 || fail "a table"
grep -qx 'all  *2  *1  *50.0%' "$tmp/out" || fail "a table: $(cat "$tmp/out")"
[ "$(grep -c '^wanted .*light.turn_off' "$tmp/out")" = 1 ] || fail "mistakes: $(cat "$tmp/out")"
grep -qE $'\033|\r' "$tmp/out" && fail "escapes in a pipe"
refused() { # CODE PATTERN OPTIONS...
  local want=$1 pattern=$2 code=0
  shift 2
  "$shoal" eval --socket "$tmp/none" "$@" >"$tmp/out" 2>&1 || code=$?
  [ $code -eq "$want" ] || fail "$*: exit $code instead of $want"
  grep -q -- "$pattern" "$tmp/out" || fail "$*: '$(cat "$tmp/out")' has no '$pattern'"
}
head -c 60 "$tmp/set" >"$tmp/cut"
printf '{"level":0,"system":"","user":"x","answer":"{}"}\n' >"$tmp/level"
refused 1 "line 1 is not a JSON object" hearth -m "$models/hearth.gguf" --data "$tmp/cut"
refused 1 "line 1: the level" hearth -m "$models/hearth.gguf" --data "$tmp/level"
refused 4 "--data" hearth -m "$models/hearth.gguf" --data "$tmp/none"
refused 4 "no file" hearth -m none.gguf --data "$tmp/set"
refused 2 "hearth" other -m "$models/hearth.gguf"
refused 1 "none/signals" hearth -m "$models/hearth.gguf" --data "$tmp/set" --signals "$tmp/none/signals"
echo "ok what is counted"

# How sure the small model was tells right from wrong; the answers are the same with and without.
"$shoal" eval hearth -m "$models/hearth-small.gguf" --local --threads 1 --kv f32 -n 200 --json --signals "$tmp/signals" \
  >"$tmp/with" || fail "signals"
[ "$(field "$tmp/with" 'r["wrong"]')" = "$(field "$tmp/hearth-small" 'r["wrong"]')" ] || fail "signals change the answers"
python3 - "$tmp/signals" "$data" <<'P' || fail "signals: $(head -1 "$tmp/signals")"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
users = {json.loads(line)["user"] for line in open(sys.argv[2])}
assert len(rows) == 200 and all(r["user"] in users and r["right"] in (0, 1) and r["seconds"] > 0 for r in rows)
for r in rows:
    assert r["tokens"] == r["count"] >= 1 and abs(r["mean_logp"] * r["count"] - r["sum_logp"]) < 1e-3
    assert r["sum_logp"] <= r["least_logp"] <= r["mean_logp"] <= 0 and r["least_logp"] <= r["first_logp"]
    assert 0 <= r["mean_entropy"] <= r["most_entropy"] and 0 <= r["least_margin"] <= r["mean_margin"]
right, wrong = ([r["least_logp"] for r in rows if r["right"] == k] for k in (1, 0))
above = sum(a > b for a in right for b in wrong) / (len(right) * len(wrong))
sys.exit(above < 0.8)
P
echo "ok how sure it was"

swarm 3 --kv f32 --payload f32 # whole sums: other slices round nothing else
on c load --quiet "$models/hearth.gguf" >/dev/null || fail "load"
on c eval hearth -m hearth --data "$data" --signals "$tmp/signals" >"$tmp/out" 2>&1 && fail "signals of a daemon's model"
grep -q -- "--local" "$tmp/out" || fail "signals of a daemon's model: $(cat "$tmp/out")"
[ "$(on c status --json | grep -c '"rank"')" -eq 3 ] || fail "not all three peers hold a slice"
on c eval hearth -m hearth --data "$data" -n 200 --json >"$tmp/three" || fail "eval on three peers"
[ "$(field "$tmp/three" 'r["where"]')" = daemon ] || fail "the daemon did not compute"
[ "$(field "$tmp/three" 'r["wrong"], r["right"]')" = "$(field "$tmp/hearth" 'r["wrong"], r["right"]')" ] ||
  fail "three peers: $(field "$tmp/three" 'r["wrong"]') instead of $(field "$tmp/hearth" 'r["wrong"]')"
echo "ok three peers, to the sample"
