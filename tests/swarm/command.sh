#!/usr/bin/env bash
# The command as people and programs use it: exit codes, JSON, pipes without escapes, mistakes with a next step.
. "$(dirname "$0")/lib.sh"

expect() { # CODE PATTERN COMMAND...
  expect_of "$@" </dev/null
}

expect_of() { # CODE PATTERN COMMAND..., of standard input
  local want=$1 pattern=$2 code=0 said
  shift 2
  said=$("$@" 2>&1) || code=$?
  [ $code -eq "$want" ] || fail "$*: exit $code instead of $want: $said"
  grep -qE -- "$pattern" <<<"$said" || fail "$*: '$said' has no '$pattern'"
}

waits() { [[ $(cat "/proc/$1/stat") == *"(shoal) S "* ]]; }

# interrupt_reading COMMAND...: whether Ctrl-C, while half its input is there, ends it as interrupted and without output.
interrupt_reading() {
  local code=0 input
  rm -f "$tmp/fifo" && mkfifo "$tmp/fifo"
  exec {input}<>"$tmp/fifo"
  printf 'turn off' >&"$input"
  "$shoal" "$@" --socket "$none" <"$tmp/fifo" >"$tmp/out" 2>/dev/null &
  soon waits $! || fail "$*: does not read"
  kill -INT $!
  wait $! || code=$?
  exec {input}>&-
  [ $code -eq 130 ] && [ ! -s "$tmp/out" ]
}
none=$tmp/none
expect 2 "shoal status" "$shoal" statis
expect 0 "invite" "$shoal" --help
expect 0 "^shoal [0-9]" "$shoal" --version
expect 3 "start it" "$shoal" status --socket "$none"
expect 3 '"exit":3' "$shoal" status --socket "$none" --json
expect 2 '^shoal status: --bogus is no option' "$shoal" status --bogus
expect 2 '--for needs a value' "$shoal" invite --for
expect 2 '--no-wait=3: .*takes no value' "$shoal" invite --no-wait=3
expect 2 '^shoal run: -x is no option' "$shoal" run --local -xn
for mistake in "status --json --bogus" "run --json -n" "run --temp x --json m hi" "invite --for abc --json" "statis --json"; do
  # shellcheck disable=SC2086
  { "$shoal" $mistake 2>/dev/null || true; } | python3 -c '
import json, sys
e = json.load(sys.stdin)["error"]
assert e["exit"] == 2 and e["message"], e' || fail "$mistake: no JSON"
done
expect 3 "no daemon at no/such.sock" env SHOAL_HOST=no/such.sock "$shoal" status
expect 2 "SHOAL_HOST: the path is longer" env SHOAL_HOST="$(printf '%0200d' 0)" "$shoal" status
expect 2 "--socket: the path is empty" "$shoal" status --socket ""
for command in "status extra" "invite extra" "leave a b" "join a b" "load a b" "peers extra" "doctor extra" \
  "tokenize -m m extra" "why a b" "route explain" "route explain a b"; do
  # shellcheck disable=SC2086
  expect 2 "takes|needs" "$shoal" $command --socket "$none"
done
expect 2 "arguments, see 'shoal route --help'$" "$shoal" route explain
for command in "run $0 hi" "generate -m $0" "join -"; do
  # shellcheck disable=SC2086
  printf '\xff turn off the lights\0 in the kitchen' | expect_of 2 "no text" "$shoal" $command --socket "$none"
done
printf 'turn off the lights\0 in the kitchen' | expect_of 2 "no text" "$shoal" run "$0"
expect_of 2 "cannot read standard input: Is a directory" "$shoal" run "$0" hi </tmp
expect_of 1 "cannot read standard input: Is a directory" "$shoal" tokenize -m "$srcdir/models/hearth.gguf" </tmp
for command in "run $0 hi" "tokenize -m $srcdir/models/hearth.gguf" "ask --doc - what" "join -"; do
  # shellcheck disable=SC2086
  interrupt_reading $command || fail "$command: no end by Ctrl-C while it reads"
done
odd=$'hall 20\xb0'
for command in "run m hi -s" "run m hi --stop" "generate -m m -p" "ask --doc $0" "load" "show" "join" "leave" "route explain" \
  "route feedback id" "plan --json" "tokenize -m"; do
  # shellcheck disable=SC2086
  expect 2 "argument [1-5], 'hall 20.xb0', is no text in UTF-8" "$shoal" $command "$odd"
done
mkdir "$tmp/$odd"
cp "$0" "$tmp/$odd/model"
(cd "$tmp/$odd" && expect 2 "a folder that is no text in UTF-8" "$shoal" load model --socket "$none")
# On a terminal.
terminal() { script -qec "$*" /dev/null; }
expect_of 2 "json is for one answer" terminal "$shoal" run --json hearth </dev/null
expect_of 0 "this line is no text" terminal "$shoal" run --local -n 1 "$srcdir/models/hearth-small.gguf" <<<$'hi\n\xff\n/bye'
for command in show plan tokenize\ -m bench\ -m generate\ -p\ x\ -m load eval\ hearth\ -m run; do
  # shellcheck disable=SC2086
  expect 4 "/no/such" "$shoal" $command /no/such.gguf --socket "$none"
done
expect 4 "plan: /no/such|/no/such.*cannot open" "$shoal" plan /no/such.gguf --swarm "$0"
query='{"prompt":"turn off the lights","small":1,"large":1}'
printf '%s\n%s\n' "$query" "${query%??}" >"$tmp/cut"
expect 1 "cut: query 2 is no JSON object: .*end of file" "$shoal" route train "$tmp/cut"
expect 1 "cannot read: Is a directory" "$shoal" route train "$tmp"
expect 1 "holds no query" "$shoal" route train <(echo)
expect 3 "no daemon" "$shoal" route train <(printf '%s\n\n%s \n' "$query" "$query") --socket "$none"
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

expect 0 "the disk not.*" "$shoal" plan "$srcdir/models/hearth-small.gguf"
"$shoal" plan "$srcdir/models/hearth-small.gguf" --json | python3 -c '
import json, sys
p = json.load(sys.stdin)
assert p["disk_bytes_per_second"] is None and all(x["streamed_bytes_per_step"] == 0 for x in p["plans"]), p' || fail "plan of a small model"
expect 1 "too little" "$shoal" plan "$srcdir/models/hearth-small.gguf" --memory 1M

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
ids=$("$shoal" generate --local -m "$model" -p "Once" -n 5 --ids --temp 0)
[ "$("$shoal" generate --local -m "$model" -p "Once" -n 5 --ids --temp 0 --json)" = \
  "{\"model\":\"stories260K\",\"tokens\":[${ids// /,}]}" ] || fail "generate --ids --json"
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
ids=$(on c generate -m stories260K -p Once -n 4 --temp 0 --ids)
[ "$(on c generate -m stories260K -p Once -n 4 --temp 0 --ids --json)" = \
  "{\"model\":\"stories260K\",\"tokens\":[${ids// /,}]}" ] || fail "generate --ids --json of the daemon"
on c status --json | python3 -m json.tool >/dev/null || fail "status --json"

# Where the model is, when it is not here.
expect 4 "is a member of a swarm: ask on c$" on m1 run stories260K hi
start s --model "$srcdir/models/hearth.gguf" --small-model "$srcdir/models/hearth-small.gguf"
wait_serving s
soon on s run hearth-small --temp 0 "turn off the lights in the kitchen" >"$tmp/out" || fail "run does not find the small model"
contains "$tmp/out" light.turn_off || fail "the small model says '$(cat "$tmp/out")'"

# Somebody who may not use the socket: for the folder's sake, then for its own.
other=(setpriv --reuid 65534 --regid 65534 --clear-groups "$shoal")
"${other[@]}" show "$model" >/dev/null 2>&1 || exit 0 # no root here, or others may not see these folders
expect 5 "usermod -aG shoal" "${other[@]}" status --socket "$tmp/c/sock"
chmod 711 "$tmp" "$tmp/c"
expect 5 "usermod -aG shoal" "${other[@]}" status --socket "$tmp/c/sock"
expect 5 '"exit":5' "${other[@]}" run stories260K hi --socket "$tmp/c/sock" --json
expect 5 "usermod -aG shoal" "${other[@]}" bench -m stories260K --socket "$tmp/c/sock"
expect 0 "usermod.*; computing in this process" "${other[@]}" generate -m "$model" -p Once -n 1 --socket "$tmp/c/sock" --no-shard
install -m 000 "$model" "$tmp/locked.gguf"
for command in "run" "show" "generate -p x -m" "bench -m"; do
  # shellcheck disable=SC2086
  expect 5 "locked.gguf: cannot (read|open): Permission denied" "${other[@]}" $command "$tmp/locked.gguf" --socket "$none"
done
