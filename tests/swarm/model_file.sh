#!/usr/bin/env bash
# The model's file while it is served: cut short it gives errors and no text of zeros, and it is served again when it is
# back; overwritten in place it is the new model that answers, all of it. One whose numbers are broken gives errors, too.
. "$(dirname "$0")/lib.sh"
need_shared
model=$tmp/stories260K.gguf
cp "$shared/models/stories260K.gguf" "$model"
prompt=(-p "Once upon a time" -n 20 --temp 0)
want=$("$shoal" generate --local -m "$model" --no-shard "${prompt[@]}")

# Another one of the same size, as one that was trained on: its output is another one.
python3 - "$model" "$tmp/other.gguf" <<'P'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
for i in range(len(b) // 4 & ~63, len(b) - 4096, 16): b[i + 3] ^= 0x80
open(sys.argv[2], "wb").write(b)
P
other=$("$shoal" generate --local -m "$tmp/other.gguf" --no-shard "${prompt[@]}")
[ "$other" != "$want" ] || fail "the other model says the same"

# Its bytes go, and nobody sees that by the time of the change.
cut_short() { truncate -s 16384 "$model" && touch -r "$shared/models/stories260K.gguf" "$model"; }
asks() { on c generate -m stories260K "${prompt[@]}" 2>/dev/null; }
text_is() { [ "$(asks)" = "$1" ]; }

shard_is_there() { ls "$XDG_STATE_HOME"/shoal/shards/*.shard >/dev/null 2>&1; }

# is_refused: an answer is an error or right, and soon it is an error.
is_refused() {
  local text
  if text=$(asks); then
    [ "$text" = "$want" ] || fail "an answer of a file that was cut short: '$text'"
    return 1
  fi
}

for cpu in auto plain; do
  options=(--model "$model")
  [ $cpu = auto ] || options+=(--cpu "$cpu")
  start c "${options[@]}"
  wait_serving c
  [ "$(asks)" = "$want" ] || fail "$cpu: another text than in a process of its own"
  cut_short
  soon is_refused || fail "$cpu: a file that was cut short goes on being served"
  is_refused || fail "$cpu: an answer while the file is cut short"
  cp -p "$shared/models/stories260K.gguf" "$model"
  soon text_is "$want" || fail "$cpu: not served again: $(on c status)"
  cp "$tmp/other.gguf" "$model"
  soon text_is "$other" || fail "$cpu: the new model does not answer: '$(asks)'"
  grep -q 'was changed' "$tmp/c/log" || fail "$cpu: the change is not told"
  cp "$shared/models/stories260K.gguf" "$model"
  soon text_is "$want" || fail "$cpu: the old model does not answer again"
  stop c
  rm -r "$tmp/c"
done

# A small model is looked after as well.
start c --small-model "$model"
soon text_is "$want" || fail "no small model"
cp "$tmp/other.gguf" "$model"
soon text_is "$other" || fail "the new small model does not answer: '$(asks)'"
stop c

# In a process of its own, too, it is an error that names the file.
cp "$shared/models/stories260K.gguf" "$model"
for _ in {1..1000}; do echo "Once upon a time, there was a little girl named Lily. She loved to play outside."; done >"$tmp/story"
"$shoal" perplexity -m "$model" -f "$tmp/story" -c 128 --json >"$tmp/out" 2>"$tmp/error" &
command=$!
soon shard_is_there || fail "perplexity makes no shard"
cut_short
code=0
wait $command || code=$?
[ $code -eq 1 ] || fail "perplexity of a file that was cut short ends with $code: $(cat "$tmp/error")"
contains "$tmp/error" "$model: a part of the model's file could not be read" || fail "'$(cat "$tmp/error")' does not name the file"

# NaN among the weights of a layer.
python3 - "$shared/models/stories260K.gguf" "$tmp/broken.gguf" <<'P'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[len(b) // 2 & ~63 : (len(b) // 2 & ~63) + 4096] = bytes([255]) * 4096
open(sys.argv[2], "wb").write(b)
P
is_told() { # WHERE COMMAND...
  local where=$1 code=0
  shift
  "$@" -m "${broken:-broken}" "${prompt[@]}" >"$tmp/out" 2>"$tmp/error" || code=$?
  [ $code -eq 1 ] && contains "$tmp/error" "numbers are broken" ||
    fail "$where: a broken model ends with $code and says '$(cat "$tmp/out" "$tmp/error")'"
}
broken=$tmp/broken.gguf is_told "here" "$shoal" generate --local
rm -r "$tmp/c"
start c --model "$tmp/broken.gguf"
wait_serving c
is_told "one device" on c generate
is_told "once more" on c generate --temp 0.8
start m1
pair c m1
wait_members 2
is_told "two devices" on c generate
serves c || fail "the daemon does not stay up"
