#!/usr/bin/env bash
# Codes are good once and for a time; strangers, removed members and garbage are turned away with a log line, and
# the swarm goes on.
. "$(dirname "$0")/lib.sh"
start c
start m1
start stranger

code=$(on c invite --no-wait)
on m1 join "$code" >/dev/null || fail "a good code is refused"
said=$(on stranger join "$code" 2>&1) && fail "a used code is taken"
grep -qiE 'used|expired' <<<"$said" || fail "a used code: '$said'"

code=$(on c invite --no-wait --for 1)
sleep 2.1
on stranger join "$code" >/dev/null 2>&1 && fail "an expired code is taken"

said=$(on stranger join "${code%?}!" 2>&1) && fail "a mistyped code is taken"
swapped=$(python3 -c '
import sys
c = list(sys.argv[1])
i = next(i for i in range(8, len(c) - 1) if c[i] != c[i + 1] and "-" not in c[i:i + 2])
c[i], c[i + 1] = c[i + 1], c[i]
print("".join(c))' "$code")
said=$(on stranger join "$swapped" 2>&1) && fail "a code with two letters swapped is taken"
grep -qi 'mistyped' <<<"$said" || fail "a mistyped code: '$said'"

# Bytes that are no Shoal at all, one connection each; then a member that was removed.
for bytes in 'GET / HTTP/1.1\r\n\r\n' 'SHOL' '\x00\x00\x00\x00'; do
  printf "$bytes" >"/dev/tcp/127.0.0.1/$(cat "$tmp/c/port")" 2>/dev/null || true
done
head -c 4096 /dev/urandom >"/dev/tcp/127.0.0.1/$(cat "$tmp/c/port")" 2>/dev/null || true
sleep 0.5
on c status --json >/dev/null || [ $? -eq 1 ] || fail "the coordinator no longer answers"
on c leave m1 >/dev/null || fail "m1 cannot be removed"
is_gone() { [[ $(on c status --json) != *'"name": "m1"'* ]]; }
soon is_gone || fail "m1 is still listed"
code=0; on c leave nobody >/dev/null 2>&1 || code=$?
[ $code -ne 0 ] || fail "a peer that is not there was removed"
for name in c m1 stranger; do kill -0 "${pids[$name]}" || fail "$name is down"; done
