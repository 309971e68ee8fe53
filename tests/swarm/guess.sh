#!/usr/bin/env bash
# Tokens that are guessed ahead: the text is that of one token at a time, alone, in a group and in a pipeline, and with
# several clients at once; what a client predicts is followed, in fewer steps; a small model drafts what nothing predicts;
# and it can be switched off.
. "$(dirname "$0")/lib.sh"
model=$srcdir/models/hearth.gguf
prompt="turn off the lights in the kitchen, the hall and the bedroom, and set the kitchen, the hall and the bedroom to 19 degrees"

# ask FIELDS [FILE]: its text, and its answer in a file.
ask() {
  local answer=${2:-$tmp/answer}
  python3 - "$prompt" "$1" >"$answer.body" <<'P'
import json, sys
print(json.dumps({"messages": [{"role": "user", "content": sys.argv[1]}], "temperature": 0, **json.loads(sys.argv[2])}))
P
  curl -s --max-time $patience --unix-socket "$tmp/c/sock" http://localhost/v1/chat/completions -d @"$answer.body" >"$answer"
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["choices"][0]["message"]["content"])' "$answer"
}

# figure PATH: of the last answer; 0 where there is none.
figure() {
  python3 - "$tmp/answer" "$1" <<'P'
import json, sys
o = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    o = o.get(key, {})
print(o or 0)
P
}
metric() { curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics | sed -n "s/^$1 //p"; }
steps() { on c status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["figures"]["steps"])'; }

# follows LABEL: with its text predicted it is the same text; and whether that took less than half of $plain steps. On a
# busy machine steps of many rows may look dear for a while.
follows() {
  local before
  before=$(steps)
  [ "$(ask "$(python3 -c 'import json, sys; print(json.dumps({"prediction": {"type": "content", "content": sys.argv[1]}}))' "$want")")" = "$want" ] ||
    fail "$1: another text where it was predicted: $(cat "$tmp/answer")"
  predicted=$(($(steps) - before))
  [ "$(figure timings.draft_n_accepted)" -gt 20 ] && [ $((2 * predicted)) -lt $plain ]
}

check() { # LABEL
  local before plain predicted jobs=() i
  want=$(ask '{"speculative.n_max": 0}') || fail "$1: no answer"
  [ "$(figure timings.draft_n)" = 0 ] || fail "$1: guesses although there were to be none"
  before=$(steps)
  [ "$(ask '{"speculative.n_max": 0}')" = "$want" ] || fail "$1: two texts"
  plain=$(($(steps) - before))
  [ "$(ask '{}')" = "$want" ] || fail "$1: another text with guesses: $(cat "$tmp/answer")"
  soon follows "$1" || fail "$1: a right prediction is not followed: $predicted steps, $plain without: $(cat "$tmp/answer")"
  [ "$(figure usage.completion_tokens_details.accepted_prediction_tokens)" = "$(figure timings.draft_n_accepted)" ] ||
    fail "$1: $(cat "$tmp/answer")"
  for i in 1 2 3 4; do
    { [ "$(ask '{}' "$tmp/answer$i")" = "$want" ]; } &
    jobs+=($!)
  done
  for i in "${jobs[@]}"; do wait "$i" || fail "$1: another text among others"; done
  [ "$(metric shoal_draft_accepted_tokens_total)" -gt 20 ] || fail "$1: $(metric shoal_draft_accepted_tokens_total) in the metrics"
  echo "ok $1: $predicted steps with a prediction, $plain without"
}

for setup in "1 one device" "3 a group" "3 a pipeline --stages 1,2" "2 a group that copies KV rows --kv-copies 1"; do
  read -r peers label <<<"${setup%% --*}"
  options=
  [ "$setup" = "${setup#* --}" ] || options=--${setup#* --}
  # shellcheck disable=SC2086
  swarm "$peers" --payload f32 --kv f32 $options
  on c load --quiet "$model" >/dev/null || fail "$label: load"
  wait_serving c
  check "$label"
  end_swarm
done

# A small model drafts: a request takes less than half of its steps; and a device that dies meanwhile changes no text.
drafted() {
  local before
  before=$(steps)
  [ "$(ask '{}')" = "$want" ] || fail "another text from drafts: $(cat "$tmp/answer")"
  drafted=$(($(steps) - before))
  [ "$(figure timings.draft_n_accepted)" -gt 10 ] && [ $((2 * drafted)) -lt $plain ]
}
swarm 3 --model "$model" --small-model "$srcdir/models/hearth-small.gguf" --payload f32 --kv f32
wait_members 3
want=$(ask '{"speculative.n_max": 0}')
before=$(steps)
ask '{"speculative.n_max": 0}' >/dev/null
plain=$(($(steps) - before))
soon drafted || fail "drafts save no steps: $drafted, $plain without: $(cat "$tmp/answer")"
on c status | grep >/dev/null '^guesses  hearth-small drafts, [0-9]*% of [0-9]* tokens guessed ahead were right$' ||
  fail "status: $(on c status)"
echo "ok drafts: $drafted steps, $plain without"
end_swarm

# Floats: what they say does not hang on how many devices add.
floats=$tmp/f32.gguf
python3 "$srcdir/tests/support/synth_model.py" "$floats" --f32 --embd 128 --ffn 384 --layers 4 --heads 4 --kv-heads 4 \
  --vocab 600
prompt=(-m f32 -p "a w1 w2" -n 1500 --temp 0 --ignore-end --ids)
cp "$floats" "$tmp/small.gguf"
swarm 3 --model "$floats" --small-model "$tmp/small.gguf" --payload f32 --kv f32
wait_members 3
want=$(on c generate "${prompt[@]}" --no-guess)
begin_answer
stop m2 KILL
check_answer "drafts after a loss"
[ "$(metric shoal_draft_accepted_tokens_total)" -gt 100 ] || fail "$(metric shoal_draft_accepted_tokens_total) drafts were right"
echo "ok drafts after a loss"
end_swarm

swarm 1 --guess off --small-model "$srcdir/models/hearth-small.gguf"
on c load --quiet "$model" >/dev/null || fail "load"
wait_serving c
ask '{"prediction": {"type": "content", "content": "{\"actions\":"}}' >/dev/null
[ "$(figure timings.draft_n)" = 0 ] || fail "guesses although they are off: $(cat "$tmp/answer")"
[ "$(metric shoal_draft_tokens_total)" = 0 ] || fail "guesses although they are off, in the metrics"
echo "ok off"
