# What the swarm tests share: daemons of their own on loopback ports, ended by process id. Sourced by bash.

set -euo pipefail
builddir=${SHOAL_BUILDDIR:-$PWD}
srcdir=${SHOAL_SRCDIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
shared=$srcdir/../shared
shoal=$builddir/client/shoal
shoald=$builddir/daemon/shoald
tmp=$(mktemp -d /tmp/shoal-test-XXXXXX)
export XDG_STATE_HOME=$tmp/home # where commands keep shards
declare -A pids=()

fail() {
  printf 'FAIL: %s\n' "$*"
  for log in "$tmp"/*/log; do
    [ -e "$log" ] && printf -- '--- %s\n' "$log" && tail -20 "$log"
  done
  exit 1
}

need_shared() {
  [ -d "$shared" ] || {
    echo "SKIP $(basename "$0" .sh): ../shared is not there"
    exit 77
  }
}

cleanup() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$tmp"
  exit $code
}
trap cleanup EXIT

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

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
  for _ in $(seq 200); do
    on "$name" status >/dev/null 2>&1 || [ $? -ne 3 ] && return 0
    kill -0 "${pids[$name]}" 2>/dev/null || fail "$name did not start"
    sleep 0.05
  done
  fail "$name does not answer"
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

# wait_serving NAME: until it serves, at most 20 s.
wait_serving() {
  for _ in $(seq 200); do
    [[ $(on "$1" status --json 2>/dev/null) == *'"serving": true'* ]] && return 0
    sleep 0.1
  done
  on "$1" status || true
  fail "$1 does not serve"
}

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

end_swarm() {
  local name
  for name in "${!pids[@]}"; do stop "$name"; done
  rm -rf "${tmp:?}"/*
}
