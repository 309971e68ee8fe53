#!/usr/bin/env bash
# A coordinator whose address has changed is found again by beacons, here over the loopback interface; by those alone
# for whom they are, and not when they are switched off.
. "$(dirname "$0")/lib.sh"
free_udp() { python3 "$srcdir/tests/support/free_port.py" udp; }
here() { # COORDINATOR MEMBER
  on "$1" peers | grep >/dev/null "^$2 .* here"
}
wait_here() { soon here "$1" "$2" || fail "$2 does not find $1"; }
move() { # NAME: to another port
  local old
  old=$(cat "$tmp/$1/port")
  [ -z "${pids[$1]-}" ] || stop "$1"
  while [ "$(cat "$tmp/$1/port")" = "$old" ]; do free_port >"$tmp/$1/port"; done
  start "$1"
}

udp=$(free_udp)
start c --discovery "$udp"
start other --discovery "$udp"
start m1 --discovery "$udp" --log-level debug
start deaf --discovery 0
start stranger --discovery "$udp"
pair c m1
pair c deaf
pair other stranger
wait_here c m1
wait_here c deaf
wait_here other stranger

move c
wait_here c m1
grep -q "is now at 127.0.0.1:$(cat "$tmp/c/port")" "$tmp/m1/log" || fail "m1 does not say where c is now"
here c deaf && fail "deaf has found c without beacons"
on deaf join "$(on c invite --no-wait)" >/dev/null || fail "deaf is not told where c is"
wait_here c deaf
grep -q 'is now at' "$tmp/stranger/log" && fail "stranger follows another's beacon"

# The new address is kept: found at once, with nobody sending beacons.
printf '%s\n' --discovery 0 >"$tmp/c/options"
stop m1
stop c
start c
start m1
wait_here c m1

heard() { grep -c 'may be at' "$tmp/m1/log" || true; }
# Garbage and beacons of strangers do no harm.
stop c
before=$(heard)
[ "$before" -gt 0 ] || fail "m1 does not say what it heard"
python3 - "$udp" <<'P'
import os, socket, struct, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
to = ("239.255.86.43", int(sys.argv[1]))
for n in (0, 1, 15, 16, 31, 32, 1040, 1041, 4000):
    s.sendto(os.urandom(n), to)
for n in (0, 1, 64, 65, 255):
    s.sendto(b"SHOB" + struct.pack("<BBHQ", 1, n, 1, 2**63) + os.urandom(16 * min(n, 64)), to)
for _ in range(300):
    s.sendto(b"SHOB" + struct.pack("<BBHQ", 1, 1, 9, 2**64 - 1) + os.urandom(16), to)
P
sleep 1.2
[ "$(heard)" -eq "$before" ] || fail "m1 believes a stranger"
printf '%s\n' --discovery "$udp" >"$tmp/c/options"
move c
wait_here c m1
for name in c other m1 deaf stranger; do kill -0 "${pids[$name]}" || fail "$name is down"; done
