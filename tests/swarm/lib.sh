# What the swarm tests share: daemons of their own on loopback ports, ended by process id. Sourced by bash.

set -euo pipefail
builddir=${SHOAL_BUILDDIR:-$PWD}
srcdir=${SHOAL_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
shared=$srcdir/../shared
shoal=$builddir/client/shoal
shoald=$builddir/daemon/shoald
# Slices for other plans are kept only where a fifth of the disk stays free: a test that needs them says needs_free_disk=1,
# and has its devices' state in memory where /tmp is nearly so full.
disk=/tmp
read -r disk_size disk_free < <(df -k --output=size,avail /tmp | tail -1)
if [ -n "${needs_free_disk:-}" ] && [ $((disk_free * 4)) -lt "$disk_size" ]; then disk=/dev/shm; fi
tmp=$(mktemp -d $disk/shoal-test-XXXXXX)
export XDG_STATE_HOME=$tmp/home # where commands keep shards
declare -A pids=()
patience=60 # seconds in which comes what must: far more than it takes, as only a test that fails waits so long

fail() {
  printf 'FAIL: %s\n' "$*"
  for log in "$tmp"/*/log; do
    [ -e "$log" ] && printf -- '--- %s\n' "$log" && tail -20 "$log"
  done
  exit 1
}

# soon COMMAND...: until it succeeds; 1: patience has ended.
soon() {
  local end=$((SECONDS + patience))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep "${pause-0.05}"
  done
}

# contains FILE WORDS...: for soon; the file may not be there yet.
contains() { grep >/dev/null 2>&1 -- "${@:2}" "$1"; }

need_shared() {
  [ -d "$shared" ] || {
    echo "SKIP $(basename "$0" .sh): ../shared is not there"
    exit 77
  }
}

# Whether the daemons are built with a sanitizer: they need more memory and time.
sanitized() {
  grep -qa -e __asan_init -e __tsan_init "$shoald"
}

cleanup() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$tmp"
  exit $code
}
trap cleanup EXIT

free_port() { python3 "$srcdir/tests/support/free_port.py"; }

# start NAME [OPTIONS...]: a daemon with its own state; its peer port is kept over restarts.
start() {
  local name=$1 dir=$tmp/$1
  shift
  mkdir -p "$dir/state"
  chmod 700 "$dir/state"
  [ -e "$dir/port" ] || free_port >"$dir/port"
  [ -e "$dir/options" ] || printf '%s\n' "$@" >"$dir/options"
  local options
  mapfile -t options < <(grep -v '^$' "$dir/options" || true)
  ${wrap-} "$shoald" --config /dev/null --state-dir "$dir/state" --socket "$dir/sock" --http off --name "$name" \
    --listen "127.0.0.1:$(cat "$dir/port")" --threads 1 --plan "${plan-all}" "${options[@]}" </dev/null >>"$dir/log" 2>&1 &
  pids[$name]=$!
  soon answers_or_ended "$name" || fail "$name does not answer"
  kill -0 "${pids[$name]}" 2>/dev/null || fail "$name did not start"
}

answers_or_ended() {
  on "$1" status >/dev/null 2>&1 || [ $? -ne 3 ] || ! kill -0 "${pids[$1]}" 2>/dev/null
}

stop() { # NAME [SIGNAL]
  kill "-${2:-TERM}" "${pids[$1]}"
  wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}

# on NAME COMMAND ARGS...: the command, talking to that daemon.
on() {
  local name=$1 command=$2
  shift 2
  "$shoal" "$command" --socket "$tmp/$name/sock" "$@"
}

pair() { # COORDINATOR MEMBER
  local code
  code=$(on "$1" invite --no-wait) || fail "no invite from $1"
  on "$2" join "$code" >/dev/null || fail "$2 could not join $1"
}

# says NAME FIELD: of its status, as in election.devices.
says() {
  on "$1" status --json 2>/dev/null | python3 -c 'import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v[k] if v else v
print(v)' "$2" || true
}

# until_says NAME FIELD PATTERN
until_says() {
  soon says_so "$@" && return
  on "$1" status || true
  fail "$1: $2 is '$(says "$1" "$2")', not '$3'"
}

# shellcheck disable=SC2053
says_so() { [[ $(says "$1" "$2") == $3 ]]; }

# wait_serving NAME: until it serves.
wait_serving() {
  soon serves "$1" && return
  on "$1" status || true
  fail "$1 does not serve"
}

serves() { [[ $(on "$1" status --json 2>/dev/null) == *'"serving": true'* ]]; }

# swarm N [OPTIONS...]: a coordinator c with N-1 members m1, m2, ...; options are the coordinator's.
swarm() {
  local n=$1 i
  shift
  start c "$@"
  for i in $(seq 1 $((n - 1))); do
    start "m$i"
    pair c "m$i"
  done
}

# claim FACTOR NAME...: those, which do not run, were measured to do FACTOR times what c was: what a plan is to be made
# with, whatever else this machine does while its devices are measured.
claim() {
  soon [ -s "$tmp/c/state/speed.json" ] || fail "c is not measured"
  python3 - "$1" "$tmp/c/state/speed.json" >"$tmp/claimed" <<'P'
import json, sys
def claimed(o):
    return {k: claimed(v) if isinstance(v, dict) else v * float(sys.argv[1]) if "per_second" in k else v
            for k, v in o.items()}
o = claimed(json.load(open(sys.argv[2])))
o["speed"]["undisturbed"] = 1.0
print(json.dumps(o))
P
  local name
  for name in "${@:2}"; do
    mkdir -p "$tmp/$name/state"
    cp "$tmp/claimed" "$tmp/$name/state/speed.json"
  done
}

# claim_links: c, which does not run, has measured a gigabyte a second on its links.
claim_links() {
  python3 - "$tmp/c/state/members.json" <<'P'
import json, sys
v = json.load(open(sys.argv[1]))
for m in v["members"]: m["link"]["bytes_per_second"] = 1e9
json.dump(v, open(sys.argv[1], "w"))
P
}

end_swarm() {
  local name
  for name in "${!pids[@]}"; do stop "$name"; done
  rm -rf "${tmp:?}"/*
}

# --- an answer that something happens to: of the command line in ${prompt[@]}, which should say $want ---

# begin_answer: starts the generation; comes back when its text has begun.
begin_answer() {
  : >"$tmp/text"
  on c generate "${prompt[@]}" >"$tmp/text" 2>"$tmp/error" &
  request=$!
  pause=0.01 soon [ -s "$tmp/text" ] || fail "no text: $(cat "$tmp/error")" # before it is over
}

# check_answer WHAT: the answer ends well and is what it should be.
check_answer() {
  local code=0
  wait $request || code=$?
  [ $code -eq 0 ] || fail "$1: the request ended with $code: $(cat "$tmp/error")"
  [ "$(cat "$tmp/text")" = "$want" ] || fail "$1: another text: $(cat "$tmp/text")"
}

# --- a cloud ---

# cloud NAME: a server that writes down what it gets; its port is in $port. It ends with its standard input.
cloud() {
  mkdir -p "$tmp/$1.got"
  mkfifo "$tmp/$1.in"
  python3 "$srcdir/tests/support/cloud_server.py" "$tmp/$1.got" <"$tmp/$1.in" >"$tmp/$1.out" 2>&1 &
  pids[cloud-$1]=$!
  exec {input}>"$tmp/$1.in"
  soon contains "$tmp/$1.out" '^port ' || fail "the cloud $1 does not start"
  port=$(sed -n 's/^port //p' "$tmp/$1.out")
}

# How many devices the plan that serves is made of.
members() { # [NAME]
  { on "${1-c}" status --json || true; } | python3 -c 'import json, sys
s = json.loads(sys.stdin.read() or "{}")
print(sum("heads" in p for p in s["peers"]) if s.get("serving") else 0)'
}

# wait_members N [NAME]: until a plan of N devices serves.
wait_members() {
  soon has_members "$@" && return
  on "${2-c}" status || true
  on "${2-c}" peers || true
  fail "no plan of $1 devices at ${2-c}"
}

has_members() { [ "$(members "${2-c}")" = "$1" ]; }
