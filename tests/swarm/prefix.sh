#!/usr/bin/env bash
# The next turn of a chat does not compute the former ones again: alone, in a group, in a pipeline, by the small model, and
# where that drafts; each of two chats keeps its rows beside the other; the text is the one that a whole computation gives,
# and who asks for that gets it. Of what two models wrote it is not said.
. "$(dirname "$0")/lib.sh"
model=$srcdir/models/hearth.gguf

# chat FILE FIELDS MODEL: the answer to the messages in a file, which gets it as one more; its figures in $tmp/answer.
chat() {
  python3 - "$@" <<'P' >"$tmp/body"
import json, sys
print(json.dumps({"model": sys.argv[3], "messages": json.load(open(sys.argv[1])), "temperature": 0, "max_tokens": 60,
                  **json.loads(sys.argv[2])}))
P
  curl -s --max-time $patience --unix-socket "$tmp/c/sock" http://localhost/v1/chat/completions -d @"$tmp/body" >"$tmp/answer"
  python3 - "$1" "$tmp/answer" <<'P'
import json, sys
messages, answer = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
messages.append(answer["choices"][0]["message"])
json.dump(messages, open(sys.argv[1], "w"))
print(messages[-1]["content"])
P
}

say() { # FILE TEXT: the next turn of the user
  python3 - "$@" <<'P'
import json, os, sys
m = json.load(open(sys.argv[1])) if os.path.exists(sys.argv[1]) else []
json.dump(m + [{"role": "user", "content": sys.argv[2]}], open(sys.argv[1], "w"))
P
}

# figures: tokens of the last prompt, of these cached, those that were computed by the timings, and of the answer.
figures() {
  python3 - "$tmp/answer" <<'P'
import json, sys
o = json.load(open(sys.argv[1]))
u, t = o["usage"], o["timings"]
print(u["prompt_tokens"], u.get("prompt_tokens_details", {}).get("cached_tokens", 0), t["prompt_n"], u["completion_tokens"])
P
}
metric() { curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics | sed -n "s/^$1 //p"; }

turns=('turn off the lights in the kitchen and in the hall' 'and in the bedroom' 'set the office to 19 degrees')
check() { # LABEL MODEL [FIELDS]
  local turn name prompt cached computed said want all=0 there=0
  local -A before=([one]=0 [two]=0)
  rm -f "$tmp"/chat-*
  for turn in "${turns[@]}"; do
    for name in one two; do
      say "$tmp/chat-$name" "$([ $name = one ] || echo please) $turn"
      cp "$tmp/chat-$name" "$tmp/chat-again"
      chat "$tmp/chat-$name" "{${3-}}" "$2" >"$tmp/text"
      read -r prompt cached computed said <<<"$(figures)"
      [ $((cached + computed)) = "$prompt" ] || fail "$1: $prompt prompt tokens are not $cached and $computed"
      # All of the former turns, but for what the end of an answer looks like.
      [ "$cached" -ge $((before[$name] - 8)) ] ||
        fail "$1: $cached cached of $prompt, ${before[$name]} were there: $(cat "$tmp/answer")"
      before[$name]=$((prompt + said))
      all=$((all + prompt)) there=$((there + cached))
      want=$(cat "$tmp/text")
      [ "$(chat "$tmp/chat-again" "{\"cache_prompt\": false${3:+, $3}}" "$2")" = "$want" ] ||
        fail "$1: another text than without"
      read -r prompt cached computed said <<<"$(figures)"
      [ "$cached" = 0 ] && [ "$computed" = "$prompt" ] || fail "$1: $cached cached although nothing should be"
    done
  done
  [ $there -gt $((all / 2)) ] || fail "$1: of $all prompt tokens only $there were cached"
  echo "ok $1: $there of $all prompt tokens cached"
}

for setup in "1 one device" "3 a group" "3 a pipeline --stages 1,2"; do
  read -r peers label <<<"${setup%% --*}"
  options=
  [ "$setup" = "${setup#* --}" ] || options=--${setup#* --}
  # shellcheck disable=SC2086
  swarm "$peers" --model "$model" --payload f32 --kv "$([ "$label" = "a group" ] && echo q8_0 || echo f32)" $options
  wait_serving c
  # A plan for those who came first would be given up, with its rows, in the middle of a chat.
  wait_members "$peers"
  check "$label" hearth
  [ "$(metric shoal_cached_prompt_tokens_total)" -gt 150 ] || fail "$label: $(metric shoal_cached_prompt_tokens_total) in the metrics"
  end_swarm
done

swarm 1 --model "$model" --small-model "$srcdir/models/hearth-small.gguf"
wait_serving c
check "the small model" hearth-small
check "every token by the large model" auto '"shoal": {"mode": "token", "verify": "all"}'
[ "$(metric shoal_route_token_accepted_total)" -gt 0 ] || fail "no draft was right"
by_both='"shoal": {"mode": "token", "token_threshold": 0.9}'
say "$tmp/chat" "${turns[0]}"
for cache in true false true; do
  cp "$tmp/chat" "$tmp/chat-again"
  text=$(chat "$tmp/chat-again" "{$by_both, \"cache_prompt\": $cache}" auto)
  [ "$text" = "${want:=$text}" ] || fail "both write otherwise: $text instead of $want"
  read -r prompt cached computed said <<<"$(figures)"
  [ "$cached" = 0 ] && [ "$computed" = "$prompt" ] || fail "cached by whom: $(cat "$tmp/answer")"
done
rm "$tmp/chat"
echo "ok both: nothing is said of it"
end_swarm

# Copies of KV rows have slots of their own.
swarm 2 --model "$model" --payload f32 --kv f32 --kv-copies 1
wait_members 2
say "$tmp/chat" "${turns[0]}"
chat "$tmp/chat" '{}' hearth >"$tmp/text"
say "$tmp/chat" "${turns[1]}"
chat "$tmp/chat" '{}' hearth >"$tmp/text"
read -r prompt cached computed said <<<"$(figures)"
[ "$cached" = 0 ] && [ "$computed" = "$prompt" ] || fail "cached with copies: $(cat "$tmp/answer")"
echo "ok with copies nothing is cached"
