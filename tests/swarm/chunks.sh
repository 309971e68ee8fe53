#!/usr/bin/env bash
# Slices come from whoever has them: a newcomer's from fellow members, what was held already from nowhere; a daemon that
# is killed while it fetches goes on where it was, one that is killed while it gives costs nothing but what it would have
# given; wrong bytes are found, and who sent them is not asked any more.
. "$(dirname "$0")/lib.sh"
if sanitized; then
  echo "SKIP chunks: the unit tests of chunks and fetching run sanitized; this one would take minutes"
  exit 77
fi
need_shared
model=$shared/models/llama-nano-q4_0.gguf
prompt=(-p "Once upon a time" -n 20 --temp 0)

# figure NAME GROUP KEY: a number out of the status of a daemon, as in "fetches bytes".
figure() {
  local status
  status=$(on "$1" status --json || true)
  [[ $status =~ \"$2\":[[:space:]]*\{[^}]*\"$3\":[[:space:]]*([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0
}

# total_of NAME: bytes of its slice.
total_of() {
  { on c status --json || true; } | python3 -c 'import json,sys
print(next(p["total"] for p in json.load(sys.stdin)["peers"] if p["name"] == sys.argv[1]))' "$1"
}

# wait_fetched NAME BYTES: until it has fetched so many since it was started, or has all that it needs.
wait_fetched() {
  soon has_fetched "$@" || fail "$1 has not fetched $2 bytes: $(figure "$1" fetches bytes)"
}

has_fetched() {
  [ "$(figure "$1" fetches bytes)" -ge "$2" ] || [[ $(on "$1" status --json || true) == *'"member: computing'* ]]
}

check_text() {
  [ "$(on c generate -m llama-nano-q4_0 "${prompt[@]}")" = "$want" ] || fail "$1: another text"
}

want=$("$shoal" generate --local -m "$model" "${prompt[@]}" --threads 1)
swarm 3 --model "$model" --spare-disk off --payload f32
wait_members 3
check_text "three devices"

# restart_giving RATE NAME...: those give so many bytes a second from now on.
restart_giving() {
  local rate=$1 name
  shift
  for name in "$@"; do
    stop "$name"
    sed -i '/^--upload$/,+1d' "$tmp/$name/options"
    printf '%s\n' --upload "$rate" >>"$tmp/$name/options"
  done
  for name in "$@"; do start "$name"; done
}

# A newcomer: its slice is the end of m2's; m1 and m2 have most of their new ones, and each other has the rest. The
# coordinator helps where members are slow (tests/unit/test_fetch.c says when): it gives the lesser part anyway.
start m3
cold=$(figure c uploads bytes)
before=$(($(figure m1 fetches bytes) + $(figure m2 fetches bytes)))
pair c m3
wait_members 4
check_text "four devices"
total=$(total_of m3)
got=$(figure m3 fetches bytes) gave=$(figure m3 fetches of_members)
[ "$got" -ge $((total * 9 / 10)) ] || fail "m3 fetched $got bytes of $total"
[ $((gave * 2)) -ge "$got" ] || fail "of $got bytes only $gave came from fellow members"
others=$(($(figure m1 fetches bytes) + $(figure m2 fetches bytes) - before))
[ $others -le $((total * 3 / 2)) ] || fail "m1 and m2 fetched $others bytes of slices that they had for the most part"
home=$(($(figure c uploads bytes) - cold))
[ $((home * 2)) -le $((got + others)) ] || fail "the coordinator gave $home of $((got + others)) bytes"

# The next one's slice is the end of m3's; all give little. It is killed, and goes on where it was.
restart_giving 40K c m1 m2 m3
wait_members 4
start m4
pair c m4
wait_fetched m4 60000
stop m4 KILL
wait_members 4
start m4
wait_fetched m4 20000
total=$(total_of m4)

# Its source is killed. The plan without m3 gives m4 more, and what has come counts.
stop m3 KILL
wait_members 4
check_text "without m3"
last=$(total_of m4)
again=$(figure m4 fetches bytes)
[ "$last" -gt "$total" ] || fail "m4's slice did not grow: $total, then $last"
[ "$again" -le $((last - 40000)) ] || fail "m4 fetched $again of $last bytes, although 60000 had come before"

# All that could give the next one's slice give wrong bytes.
restart_giving 10M c
wait_members 4
find "$tmp"/m[124]/state -name '*.shard' -exec python3 -c '
import os, sys
for path in sys.argv[1:]:
    f = open(path, "r+b")
    f.seek(16)
    for at in range(int.from_bytes(f.read(4), "little") + 8000, os.path.getsize(path), 1000):
        f.seek(at)
        b = f.read(1)
        f.seek(at)
        f.write(bytes([b[0] ^ 1]))' {} +
start m5
pair c m5
wait_members 5
check_text "after wrong bytes"
grep 'm[124] is not asked any more: .* wrong hash' "$tmp/m5/log" >/dev/null || fail "m5 did not notice the wrong bytes"
total=$(total_of m5)
got=$(figure m5 fetches bytes)
[ "$got" -le "$total" ] || fail "m5 counts $got bytes of $total: wrong ones, too"
