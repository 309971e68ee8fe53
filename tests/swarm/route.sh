#!/usr/bin/env bash
# The model `auto` with the models that come with Shoal and a cloud of the test's own on loopback: who answers, what
# leaves the house, what it costs, and what happens when the cloud fails.
. "$(dirname "$0")/lib.sh"

command -v curl >/dev/null || { echo "SKIP route: curl is not there"; exit 77; }
models=$srcdir/models
command='turn off the lights in the kitchen'

# endpoints PORT PATH [BUDGET]: the file of one endpoint.
endpoints() {
  (umask 077 && echo sk-secret-of-the-test >"$tmp/key")
  cat >"$tmp/clouds" <<END
[budget]
day = ${3:-1}
[sky]
url = http://127.0.0.1:$1/$2
model = sky-1
key_file = $tmp/key
price_in = 1
price_out = 2
context = 8192
max_tokens = 64
END
}

# ask JSON: one chat; the body of the answer in $answer, its status in $status.
ask() {
  answer=$(curl -s -w '\n%{http_code}' --max-time $patience --unix-socket "$tmp/c/sock" \
    -H 'Content-Type: application/json' -d "$1" http://localhost/v1/chat/completions)
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
}

# chat MODEL TEXT [MEMBERS]: a body of one turn.
chat() {
  printf '{"model":"%s","temperature":0,"messages":[{"role":"user","content":"%s"}]%s}' "$1" "$2" "${3-}"
}

# field PATH: of the answer, as python sees it.
field() {
  python3 -c '
import json, sys
o = json.loads(sys.argv[1])
for k in sys.argv[2].split("."):
    o = o[int(k)] if k.isdigit() else o.get(k)
print(o)' "$answer" "$1"
}

expect() { # STATUS FIELD WORD...
  [ "$status" = "$1" ] || fail "status $status instead of $1: $answer"
  shift
  while [ $# -gt 1 ]; do
    [ "$(field "$1")" = "$2" ] || fail "$1 is '$(field "$1")' instead of '$2': $answer"
    shift 2
  done
}

begin() { # OPTIONS...: a daemon with the default pair
  start c --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" "$@"
  wait_serving c
}

records() { find "$tmp/$1.got" -name '[0-9]*' ! -name '*.end' | wc -l; }

# --- at home: nothing leaves, whatever is asked ---
cloud home
endpoints "$port" ok
begin --cloud "$tmp/clouds"
ask "$(chat auto "$command")"
expect 200 shoal.target small shoal.privacy home shoal.bytes_out 0
[[ $(field choices.0.message.content) == '{"actions":[{"service":"light.turn_off","area":"kitchen"}]}'* ]] ||
  fail "the small model says: $answer"
ask "$(chat auto "$command" ',"shoal":{"quality":1}')"
expect 200 shoal.target large shoal.reason gain model hearth
ask "$(chat auto:cloud "$command" ',"shoal":{"privacy":"cloud"}')"
expect 403 error.code privacy
for i in $(seq 20); do
  ask "$(chat auto "$command and privacy: cloud $i" ',"shoal":{"privacy":"redact"}')"
  [ "$status" = 200 ] && [[ $answer == *'"privacy":"home"'* ]] || fail "at home: $answer"
done
[ "$(records home)" = 0 ] || fail "$(records home) connections to the cloud under privacy = home"
on c route --json | grep >/dev/null '"calls": 0' || fail "the door counts calls"
stop c

# --- a cloud may be asked ---
cloud sky
endpoints "$port" usage-7
end_options() { rm -f "$tmp/c/options"; } # the next daemon gets others
end_options
begin --cloud "$tmp/clouds" --privacy cloud
ask "$(chat auto:cloud 'hello there' ',"shoal":{"explain":true}')"
expect 200 shoal.target cloud shoal.preview.endpoint sky
[ "$(records sky)" = 0 ] || fail "a preview was sent"
printf '%s' "$(field shoal.preview.bytes)" | tr -d '\r' >"$tmp/preview"
ask "$(chat auto:cloud 'hello there')"
expect 200 shoal.target cloud shoal.model sky shoal.reason asked usage.completion_tokens 7
sed 's/sk-secret-of-the-test/***/' "$tmp/sky.got/0000" | tr -d '\r' | cmp -s - "$tmp/preview" ||
  fail "what was sent is not what the preview says: $(diff <(tr -d '\r' <"$tmp/sky.got/0000") "$tmp/preview" | head -5)"
grep >/dev/null sk-secret "$tmp/c/log" && fail "the key is in the log"
[ "$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["shoal"]["cost"] > 0)' "$answer")" = True ] ||
  fail "it cost nothing: $answer"

# What was said at home stays there: the history of a private turn does not go.
ask "$(chat auto "$command" ',"shoal":{"privacy":"home"}')"
expect 200 shoal.target small
said=$(python3 -c 'import json,sys; print(json.dumps(json.loads(sys.argv[1])["choices"][0]["message"]["content"]))' "$answer")
history='{"role":"user","content":"'$command'"},{"role":"assistant","content":'$said'},{"role":"user","content":"commit it"}'
ask '{"model":"auto:cloud","messages":['"$history"']}'
expect 403 error.code tainted
ask '{"model":"auto","messages":['"$history"']}'
[ "$status" = 200 ] && [ "$(field shoal.target)" != cloud ] || fail "the private turn left: $answer"
[ "$(records sky)" = 1 ] || fail "the history of a private turn was sent"

# Without personal items.
ask "$(chat auto:cloud 'write to jane.doe@example.org, card 4111 1111 1111 1111' ',"shoal":{"privacy":"redact"}')"
expect 200 shoal.target cloud shoal.privacy redact
grep >/dev/null -E 'jane|4111' "$tmp/sky.got/0001" && fail "personal items were sent: $(cat "$tmp/sky.got/0001")"
grep >/dev/null EMAIL_1 "$tmp/sky.got/0001" || fail "no placeholder was sent"
stop c

# --- trouble ---
# Cut in the middle: a model at home goes on from what was sent, in the same stream.
endpoints "$port" text-6~size-8~cut-900
end_options
begin --cloud "$tmp/clouds" --privacy cloud
curl -s -N --max-time $patience --unix-socket "$tmp/c/sock" -H 'Content-Type: application/json' \
  -d "$(chat auto:cloud "$command" ',"stream":true,"max_tokens":24')" http://localhost/v1/chat/completions >"$tmp/stream"
python3 - "$tmp/stream" <<'END' || fail "a stream that was cut: $(cat "$tmp/stream")"
import json, sys
events = [l[6:].strip() for l in open(sys.argv[1]) if l.startswith("data: ")]
assert events[-1] == "[DONE]", events[-1]
shoal = [json.loads(e) for e in events[:-1] if '"shoal"' in e][-1]["shoal"]
text = "".join(c["delta"].get("content") or "" for e in events[:-1] for c in json.loads(e)["choices"])
first, second = shoal["attempts"]
assert first["target"] == "cloud" and first["end"] == "cut", first
assert second["target"] == "large" and second["end"] == "answered" and second["tokens"] > 0, second
assert shoal["reason"] == "fell_back" and len(text) > 16, (shoal, text)
END
stop c

# Offline: said plainly within two seconds when the cloud was demanded; not asked again while its breaker is open.
endpoints 1 ok
end_options
begin --cloud "$tmp/clouds" --privacy cloud
told_in_time() { # by a daemon that has not called it before; where nothing else keeps it waiting, in the end
  local before
  before=$(date +%s%N)
  ask "$(chat auto:cloud "$command")"
  [ "$status" = 502 ] || fail "offline: status $status, $answer"
  [ $((($(date +%s%N) - before) / 1000000)) -gt 2000 ] || return 0
  stop c
  begin
  return 1
}
soon told_in_time || fail "offline was noticed after more than 2 s"
ask "$(chat auto:cloud "$command")"
expect 503 error.code breaker
ask "$(chat auto "$command")"
expect 200 shoal.target small
stop c

# A budget for three holds when 64 ask at once: the others are told, nothing is overspent. Each costs all that it may,
# so that there is no money for a fourth when the first have ended, either.
cloud slow
endpoints "$port" ok
end_options
begin --cloud "$tmp/clouds" --privacy cloud
ask "$(chat auto:cloud hi ',"shoal":{"explain":true}')"
worst=$(field shoal.preview.worst_price)
micros=$(python3 -c "print(int(1e6 * $worst))")
three=$(python3 -c "print('%.6f' % (3.5 * $worst))")
stop c
endpoints "$port" "delay-1500~costs-$micros" "$three"
end_options
rm "$tmp/c/state/purse" # what was spent above
begin --cloud "$tmp/clouds" --privacy cloud --queue 100
for i in $(seq 64); do
  printf 'next\nurl = "http://localhost/v1/chat/completions"\n'
  printf 'unix-socket = "%s"\nmax-time = %s\n' "$tmp/c/sock" $patience
  printf 'data = "{\\"model\\":\\"auto:cloud\\",\\"messages\\":[{\\"role\\":\\"user\\",\\"content\\":\\"hi\\"}]}"\n'
  printf 'output = "%s"\nwrite-out = "%%{http_code}\\n"\nsilent\n' "$tmp/answer.$i"
done | sed 1d >"$tmp/curl"
curl --parallel --parallel-immediate --parallel-max 64 --config "$tmp/curl" >"$tmp/codes"
sent=$(records slow)
[ "$sent" = 3 ] || fail "$sent calls were sent with a budget for three: $(sort "$tmp/codes" | uniq -c)"
[ "$(grep -c '^200$' "$tmp/codes")" = 3 ] && [ "$(grep -c '^402$' "$tmp/codes")" = 61 ] ||
  fail "64 at once: $(sort "$tmp/codes" | uniq -c)"
stop c

# What a cloud refuses as malformed is told, and not asked again.
cloud picky
endpoints "$port" status-400
end_options
rm "$tmp/c/state/purse"
begin --cloud "$tmp/clouds" --privacy cloud
ask "$(chat auto:cloud "$command")"
[ "$status" = 400 ] && [ "$(records picky)" = 1 ] || fail "a refused request: status $status, $(records picky) calls, $answer"
stop c

# Out of money: at home; an error only when the cloud was demanded.
endpoints "$port" ok 0.00001
end_options
begin --cloud "$tmp/clouds" --privacy cloud
ask "$(chat auto:cloud "$command")"
expect 402 error.code budget
ask "$(chat auto "$command")"
expect 200 shoal.target small
stop c

# Labels while nobody asks: with consent, of what was asked, and nothing of it but hashes stays.
end_options
mkdir -p "$tmp/sys/class/thermal/thermal_zone0"
echo 90000 >"$tmp/sys/class/thermal/thermal_zone0/temp"
begin --labels idle --label-share 1 --label-after 0 --sysfs "$tmp/sys"
labels() { on c route --json | python3 -c 'import json,sys; l=json.load(sys.stdin)["labels"]; print(eval(sys.argv[1]))' "$1"; }
ask "$(chat auto "$command xylophone")"
expect 200 shoal.target small
ask "$(chat auto "$command" ',"shoal":{"quality":1}')"
sleep 1
[ "$(labels 'l["waiting"], l["hold"], sum(l["made"].values())')" = "(2, 'hot', 0)" ] || fail "a hot device works: $(labels l)"
echo 40000 >"$tmp/sys/class/thermal/thermal_zone0/temp"
are_made() { [ "$(labels 'l["waiting"], sum(l["made"].values())')" = '(0, 2)' ]; }
soon are_made || fail "labels: $(labels l)"
[ "$(labels 'l["made"]["none"]')" = 2 ] || [ -s "$tmp/c/state/route/rows" ] || fail "labels are not kept"
grep >/dev/null -ra xylophone "$tmp/c/state" "$tmp/c/log" && fail "a prompt is on disk"
on c route forget >/dev/null
[ ! -e "$tmp/c/state/route/rows" ] || fail "labels are not forgotten"
stop c

# How well it does: the share that went up beside the one that was wanted, and what was expected beside what people say.
end_options
begin
python3 -c '
for i in range(120):
    hard = i % 2
    print("{\"prompt\": \"%s number %d\", \"small\": %d, \"large\": 1}" % (
        "please explain why" if hard else "turn on the lamp", i, not hard))' >"$tmp/rows"
on c route train "$tmp/rows" >/dev/null || fail "it is not learned"
for i in $(seq 12); do
  words='turn on the lamp'
  [ $((i % 2)) = 0 ] || words='please explain why'
  ask "$(chat auto "$words number $i" ',"max_tokens":8,"shoal":{"quality":0.5}')"
  [ "$status" = 200 ] || fail "learned: $answer"
  good=good
  [ "$(field shoal.target)$((i % 2))" != small1 ] || good=bad
  on c route feedback "$(field id)" $good
done
curl -s --unix-socket "$tmp/c/sock" http://localhost/metrics >"$tmp/metrics"
figure() { sed -n "s/^shoal_route_$1{of=\"$2\"} //p" "$tmp/metrics"; }
python3 -c '
import sys
wanted, real, n, labels, *errors = (float(x) for x in sys.argv[1:])
assert wanted == 0.5 and 0 < real < 1 and n == 12, (wanted, real, n)
assert 1 <= labels <= 12 and all(0 <= e < 0.4 for e in errors) and len(errors) >= 2, (labels, errors)' \
  "$(figure share_wanted queries)" "$(figure share queries)" "$(figure share_decisions queries)" \
  "$(figure calibration_labels small)" "$(figure calibration_error small)" "$(figure calibration_error large)" ||
  fail "figures: $(grep -e share -e calibration "$tmp/metrics")"
on c route status | grep >/dev/null 'of the last 12 queries a share of' || fail "$(on c route status)"
stop c
echo "ok"
