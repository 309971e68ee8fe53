#!/usr/bin/env bash
# The coordinator is killed in the middle of a streamed answer that has an Idempotency-Key: the retry gets the rest of
# the very text that an undisturbed run says, alone and in a swarm of three, with greedy and with drawn tokens. What it
# has cost, and how it was to be computed, outlive the restart, too.
. "$(dirname "$0")/lib.sh"
need_shared

ask() { python3 "$srcdir/tests/swarm/keyed.py" "$tmp/c/sock" "$@"; }
plans() { grep -c -- '-> serving' "$tmp/c/log"; } # that have served
new_tokens() { on c status --json | grep -m1 '"new_tokens"'; }

# cut_off NAME BODY: a whole answer, in $tmp/whole; after it, as its prompt is cached then, a stream that ends by the
# daemon's death, in $tmp/part, and what is said after its restart, in $tmp/rest; its key in $key. A model this small may
# be faster than the signal, and have said all of it, or another plan may come between the two, which has nothing cached:
# then once more.
cut_off() {
  local try plans
  for try in 1 2 3 4 5 6 7 8; do
    key=$1-$try
    plans=$(plans)
    ask "$key-whole" "$2" >"$tmp/whole"
    ask "$key" "$2" kill="${pids[c]}" after=2 >"$tmp/part"
    kill -KILL "${pids[c]}" 2>/dev/null || true # it was done ahead of that
    wait "${pids[c]}" 2>/dev/null || true
    unset 'pids[c]'
    [ "$(plans)" = "$plans" ] || plans=0
    start c
    # Without waiting for the model: the retry is admitted, and waits.
    ask "$key" "$2" last="$(grep -o '"last": "[0-9]*"' "$tmp/part" | tr -dc 0-9)" >"$tmp/rest"
    grep -q '"done": false' "$tmp/part" && ! grep -q '"text": ""' "$tmp/part" "$tmp/rest" && [ "$plans" != 0 ] &&
      return 0
    wait_members $n
  done
  fail "$1: every answer was whole before the signal, or of two plans"
}

# undisturbed NAME BODY: with and without a kill in it, an answer says the same; asked for again it is the same answer,
# and nothing is computed. Of the prompt is said what was cached when it began, and of guesses all of them.
undisturbed() {
  local before steps there
  cut_off "$@"
  # Tokens that were there were not computed again: each other one takes a step, the prompt at most five.
  steps=$(on c status --json | grep -m1 '"steps"' | tr -dc 0-9)
  there=$(grep -o 'goes on after a restart, with [0-9]*' "$tmp/c/log" | tail -1 | tr -dc 0-9)
  [ "$there" -gt 0 ] && [ $((steps + there)) -le $((tokens + 5)) ] ||
    fail "$1: $steps steps after $there tokens of $tokens"
  before=$(new_tokens)
  ask "$key" "$2" >"$tmp/again"
  [ "$(new_tokens)" = "$before" ] || fail "$1: computed again"
  stop c KILL
  start c
  ask "$key" "$2" >"$tmp/later"
  python3 - "$tmp" "$2" <<'END' || fail "$1: $(cd "$tmp" && cat whole part rest again later)"
import json, sys
names = "whole", "part", "rest", "again", "later"
whole, part, rest, again, later = (json.load(open(f"{sys.argv[1]}/{n}")) for n in names)
assert whole["done"] and rest["done"] and again["done"]
assert part["text"] + rest["text"] == again["text"] == whole["text"]
assert part["answers"] == rest["answers"] == again["answers"] != whole["answers"]
assert rest["timings"] == again["timings"]
assert {**again, "events": 0} == {**later, "events": 0}
asked, cost = json.loads(sys.argv[2]), rest["timings"]
assert ("cache_n" in cost) == asked.get("cache_prompt", True)
assert asked.get("speculative.n_max", 1) > 0 or "draft_n" not in cost
END
  wait_members $n
}

# Alone, the smallest one has said all before anybody could kill it; its context holds little more than this.
most=([1]=400 [3]=120)
models=([1]="$srcdir/models/hearth.gguf" [3]="$shared/models/stories260K.gguf")
for n in 1 3; do
  swarm $n --model "${models[$n]}"
  wait_members $n
  tokens=${most[$n]}
  common="\"stream\":true,\"max_tokens\":$tokens,\"ignore_eos\":true,\"prompt\":\"Once upon a time\""
  undisturbed "greedy-$n" "{$common,\"temperature\":0}"
  undisturbed "plain-$n" "{$common,\"temperature\":0,\"cache_prompt\":false,\"speculative.n_max\":0}"
  undisturbed "drawn-$n" "{$common,\"temperature\":1,\"seed\":7,\"repeat_penalty\":1.1}"
  [ "$(stat -c %a "$tmp/c/state/answers")" = 600 ] || fail "others can read the journal"
  end_swarm
done
