#!/usr/bin/env bash
# The model `auto` in the mode `token` with the models that come with Shoal: the ends of the threshold, the large
# model's text from drafts on one to three devices and without any, a device that is killed on the way, and what is said of
# it.
. "$(dirname "$0")/lib.sh"
models=$srcdir/models
prompts=('turn off the lights in the kitchen'
  'set the bedroom to 21 degrees, and close the blinds in the office and the hall'
  'if it is colder than 18 degrees in the nursery set it to 20, else turn the fan off')

# run MODEL PROMPT [OPTIONS...]: the likeliest text.
run() {
  local model=$1 prompt=$2
  shift 2
  on c run "$model" --quiet --temp 0 "$@" "$prompt" </dev/null
}

# by_token PROMPT OPTIONS...: the same by both; what is said of it in $said.
by_token() {
  local prompt=$1
  shift
  on c run auto --mode token --temp 0 "$@" "$prompt" </dev/null 2>"$tmp/said"
  said=$(cat "$tmp/said")
}

same() { [ "$1" = "$2" ] || fail "$3: '$1' instead of '$2'"; }

sums() { # NAME: a counter of /metrics
  curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics | sed -n "s/^shoal_route_token_$1_total //p"
}

# Texts of two and of three devices are compared: sums are not to be rounded.
swarm 3 --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --kv f32 --payload f32
wait_members 3
for prompt in "${prompts[@]}"; do
  large=$(run hearth "$prompt") small=$(run auto:local "$prompt")
  same "$(by_token "$prompt" --token-threshold 0)" "$small" "threshold 0"
  same "$(by_token "$prompt" --token-threshold 1)" "$large" "threshold 1"
  same "$(by_token "$prompt" --verify all)" "$large" "drafts"
  same "$(on c run auto --quiet --mode token --verify all --seed 7 "$prompt" </dev/null)" \
    "$(on c run hearth --quiet --seed 7 "$prompt" </dev/null)" "drafts with a seed"
done
echo "ok whose text it is"

by_token "${prompts[1]}" >"$tmp/text"
grep >/dev/null 'hearth: it and the small model wrote together; [0-9]*% of the tokens are the large one' "$tmp/said" ||
  fail "nothing is said of it: $said"
id=$(sed -n 's/.*shoal why \([^)]*\)).*/\1/p' "$tmp/said")
on c why "$id" | grep >/dev/null '^by token: [0-9]* of the small model, [0-9]* of the large one' || fail "why: $(on c why "$id")"
on c route | grep >/dev/null '^by token: ' || fail "status: $(on c route)"
[ "$(sums accepted)" -gt 0 ] && [ "$(sums drafted)" -ge "$(sums accepted)" ] && [ "$(sums small)" -gt 0 ] ||
  fail "metrics: $(sums drafted) $(sums accepted) $(sums small)"
for options in "--mode word" "--verify some" "--token-threshold 2" "--verify all" "--mode token --verify all --token-threshold 1"; do
  # shellcheck disable=SC2086
  on c run auto $options hi </dev/null >"$tmp/out" 2>&1 && fail "$options is taken"
done
on c run hearth --mode token hi </dev/null >"$tmp/out" 2>&1 && fail "a mode for a named model is taken"
echo "ok what is said of it"

# With the threshold as it is configured: nearly all that the large model gets right, with few of its tokens.
evaluate() { on c eval hearth --quiet --json -n 100 --data "$models/hearth-eval.jsonl" -m "$@"; }
python3 - "$(evaluate auto:home)" "$(evaluate auto --mode token)" "$(evaluate auto --mode token --verify all)" <<'P' || fail "right answers"
import json, sys
large, both, drafts = (json.loads(a) for a in sys.argv[1:])
t, d = both["tokens"], drafts["tokens"]
print(f'{large["right"]} right by the large model, {both["right"]} by both with {t["large"]} of {t["large"] + t["small"]} '
      f'tokens of the large one; {d["large_asked"]} steps for {d["large"]} tokens from drafts')
assert both["right"] >= large["right"] - 1 and t["large"] <= 0.45 * (t["large"] + t["small"])
assert drafts["wrong"] == large["wrong"] and d["large_asked"] < d["large"]
P
echo "ok right answers"

# A member is killed in the middle: the text goes on, and is the large model's.
long=(-n 400 --ignore-end)
want=$(run hearth "${prompts[2]}" "${long[@]}")
on c run auto --quiet --mode token --verify all --temp 0 "${long[@]}" "${prompts[2]}" </dev/null >"$tmp/text" 2>"$tmp/error" &
request=$!
pause=0.01 soon [ -s "$tmp/text" ] || fail "no text: $(cat "$tmp/error")"
stop m2 KILL
wait $request || fail "the request ended with $?: $(cat "$tmp/error")"
same "$(cat "$tmp/text")" "$want" "after a loss"
echo "ok a device is lost"
stop m1
stop c

# Drafts are guesses: who has switched them off gets the same text without.
rm "$tmp/c/options"
start c --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --guess off
wait_serving c
same "$(by_token "${prompts[1]}" --verify all)" "$(run hearth "${prompts[1]}")" "without drafts"
grep >/dev/null 'hearth: it and the small model wrote together; 100% of the tokens are the large one' "$tmp/said" ||
  fail "nothing is said of it: $said"
[ "$(sums drafted)" = 0 ] && [ "$(sums large)" -gt 0 ] && [ "$(sums asked)" = "$(sums large)" ] ||
  fail "metrics: $(sums drafted) $(sums large) $(sums asked)"
stop c
echo "ok without drafts"

# Another vocabulary: in the other mode, and why.
if [ -d "$shared" ]; then
  rm "$tmp/c/options"
  start c --model "$models/hearth.gguf" --small-model "$shared/models/stories260K.gguf"
  wait_serving c
  by_token "${prompts[0]}" --verify all >"$tmp/text"
  same "$(cat "$tmp/text")" "$(run hearth "${prompts[0]}")" "another vocabulary"
  id=$(sed -n 's/.*shoal why \([^)]*\)).*/\1/p' "$tmp/said")
  on c why "$id" | grep >/dev/null '^not by token: their vocabularies differ: ' || fail "why: $(on c why "$id")"
  echo "ok another vocabulary"
fi
