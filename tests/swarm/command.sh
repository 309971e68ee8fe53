#!/usr/bin/env bash
# The command as people and programs use it: exit codes, JSON, pipes without escapes, mistakes with a next step.
. "$(dirname "$0")/lib.sh"

expect() { # CODE PATTERN COMMAND...
  local want=$1 pattern=$2 code=0 said
  shift 2
  said=$("$@" 2>&1 </dev/null) || code=$?
  [ $code -eq "$want" ] || fail "$*: exit $code instead of $want: $said"
  grep -qE -- "$pattern" <<<"$said" || fail "$*: '$said' has no '$pattern'"
}
none=$tmp/none
expect 2 "shoal status" "$shoal" statis
expect 0 "invite" "$shoal" --help
expect 0 "^shoal [0-9]" "$shoal" --version
expect 3 "start it" "$shoal" status --socket "$none"
expect 3 '"exit":3' "$shoal" status --socket "$none" --json
expect 2 "which model" "$shoal" run
expect 4 "no file" "$shoal" run --socket "$none" /no/such.gguf hello
expect 2 "not a number" "$shoal" generate -m x -p y --temp warm
expect 1 "" "$shoal" show "$0"
expect 78 "" "$shoald" --no-such-option
expect 78 "line 2|:2" "$shoald" --config <(printf '[shoald]\nthraeds = 2\n') --check-config
printf '[budget]\nday = 1\n[big]\nurl = http://api.example/v1\n' >"$tmp/cloud.conf"
expect 78 "cloud.conf:4: .*use https" "$shoald" --config /dev/null --cloud "$tmp/cloud.conf" --check-config
printf '[budget]\nday = 1\n[big]\nurl = https://api.example/v1\nmodel = m\nprice_in = 1\nprice_out = 2\n%s' \
  $'context = 4096\nmax_tokens = 512\n' >"$tmp/cloud.conf"
expect 0 "cloud = $tmp/cloud.conf" "$shoald" --config /dev/null --cloud "$tmp/cloud.conf" --check-config
expect 78 "threads" "$shoald" --config <(printf '[shoald]\nthraeds = 2\n') --check-config
expect 78 "$tmp: cannot read: Is a directory" "$shoald" --config "$tmp" --check-config
expect 78 "$tmp: cannot read: Is a directory" "$shoald" --config /dev/null --cloud "$tmp" --check-config
expect 78 ":2: name: byte 2 of the value is not UTF-8" "$shoald" --config <(printf '[shoald]\nname = K\xfcche\n') --check-config
expect 78 "error: --name: byte 2 " "$shoald" --config /dev/null --name $'K\xfcche' --check-config
expect 0 "name = Küche" "$shoald" --config /dev/null --name Küche --check-config
# The file that is installed shows the built-in values, up to its examples, which are right, too.
sed '/^# Examples/q; s/^# \([a-z_]* = \)/\1/' "$srcdir/deploy/shoald.conf" >"$tmp/shown.conf"
[ "$(grep -c ' = ' "$tmp/shown.conf")" -gt 4 ] || fail "deploy/shoald.conf shows nothing"
diff <("$shoald" --config /dev/null --check-config) <("$shoald" --config "$tmp/shown.conf" --check-config) ||
  fail "deploy/shoald.conf shows what is not built in"
sed "s/^# \([a-z_]* = \)/\1/; s|/etc/shoal/cloud.conf|$tmp/cloud.conf|" "$srcdir/deploy/shoald.conf" >"$tmp/shown.conf"
expect 0 "cloud = $tmp" "$shoald" --config "$tmp/shown.conf" --check-config
# What the check calls right, the start takes: of both the same is asked.
while read -r pattern option value; do # no spaces in a pattern
  for check in --check-config ""; do
    expect 78 "$pattern" timeout 10 "$shoald" --config /dev/null --state-dir "$tmp/refused" --socket "$none" --http off \
      --listen 127.0.0.1:0 "$option" "$value" $check
  done
done <<'S'
http:.*no.address --http foo
http:.*port --http 127.0.0.1:99999
http.=.a\.\.b:80 --http a..b:80
can.be.reached.from.other.machines --http 0.0.0.0:9999
listen:.*port --listen foo:x
listen:.*numeric --listen localhost:9
advertise:.*no.address --advertise foo
cpu:.there.is.no.set --cpu foo
api_keys:./nonexistent:.cannot.open --api-keys /nonexistent
error:.redact_words:./nonexistent:.cannot.open --redact-words /nonexistent
/nonexistent:.cannot.open --cloud /nonexistent
S
[ ! -e "$tmp/refused" ] || fail "a start that is refused left something behind"

[ -d "$shared" ] || exit 0
model=$shared/models/stories260K.gguf
for m in "$shared"/models/*.gguf; do
  "$shoal" show "$m" --json | python3 -m json.tool >/dev/null || fail "show --json $m"
done
"$shoal" show "$model" | grep >/dev/null '4 KV heads' || fail "show"
ids=$(printf 'Once upon a time' | "$shoal" tokenize -m "$model" --ids)
[ "$ids" = "1 403 407 261 378" ] || fail "tokenize: $ids"
"$shoal" bench -m "$model" -p 16 -n 8 -d 0,64 -r 2 -o json | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert [(x["n_prompt"], x["n_gen"]) for x in r] == [(16, 0), (0, 8)] * 2 and all(x["avg_ts"] > 0 for x in r)
assert r[1]["read_bytes_per_second"] > 0 and r[1]["roof_share"] > 0, r[1]
# A position has a K and a V in float16 of 4 heads, padded to 32 each, in 5 layers.
assert r[3]["bytes_per_token"] - r[1]["bytes_per_token"] == 64 * 2 * 2 * 4 * 32 * 5, r' || fail "bench"
python3 -c 'print("Once upon a time, there was a little girl named Lily. She loved to play outside. " * 30)' >"$tmp/story"
"$shoal" perplexity -m "$model" -f "$tmp/story" -c 128 --json | python3 -c '
import json, sys
p = json.load(sys.stdin)
assert 1 < p["perplexity"] < 20, p' || fail "perplexity"
"$shoal" generate --local -m "$model" -p "Once" -n 5 --json --temp 0 | python3 -m json.tool >/dev/null || fail "generate --json"
a=$("$shoal" generate --local -m "$model" -p "Once" -n 30 --seed 7)
b=$("$shoal" generate --local -m "$model" -p "Once" -n 30 --seed 7)
c=$("$shoal" generate --local -m "$model" -p "Once" -n 30 --seed 8)
[ "$a" = "$b" ] || fail "the same seed gives another text"
[ "$a" != "$c" ] || fail "another seed gives the same text"
stopped=$("$shoal" generate --local -m "$model" -p "Once upon a time" -n 60 --temp 0 --stop "Lily")
case $stopped in *Lily*) fail "the stop text is in the output" ;; esac

start c
start m1
pair c m1
on c load "$model" 2>&1 | grep >/dev/null $'\033' && fail "escapes in a pipe"
for command in status show bench generate; do
  case $command in
  status) on c status ;;
  show) "$shoal" show "$model" ;;
  bench) on c bench -m stories260K -p 8 -n 4 -r 1 ;;
  generate) on c generate -m stories260K -p Once -n 4 ;;
  esac >"$tmp/out" 2>&1
  grep -qE $'\033|\r' "$tmp/out" && fail "$command: escapes in a pipe"
done
on c status --json | python3 -m json.tool >/dev/null || fail "status --json"
