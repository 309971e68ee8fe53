#!/usr/bin/env bash
# Nothing readable crosses the wire, and what is harmed on its way is refused with a log line while the swarm goes on.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf

# The member reaches the coordinator through a proxy: the invite carries the proxy's address.
proxy() { # MODE...
  [ -n "${pids[proxy]-}" ] && stop proxy KILL
  python3 "$srcdir/tests/swarm/proxy.py" "$proxy_port" "$(cat "$tmp/c/port")" "$tmp/wire" "$@" >"$tmp/proxy.out" &
  pids[proxy]=$!
  soon contains "$tmp/proxy.out" ready || fail "the proxy did not start"
}

proxy_port=$(free_port)
# Without beacons, by which the member would find a way around the proxy.
start c --advertise "127.0.0.1:$proxy_port" --kv f32 --discovery 0
proxy pass
start m1 --discovery 0
pair c m1
on c load --quiet "$model" >/dev/null
prompt="Once upon a time"
text=$(on c generate -m stories260K -p "$prompt" -n 60 --temp 0)
[ ${#text} -gt 60 ] || fail "no text to look for"
on c status --json | grep >/dev/null -E '"cipher": "(aes-256-gcm|chacha20-poly1305)"' || fail "it does not say what seals"

python3 - "$tmp/wire" "$model" "$prompt" "$text" <<'P' || fail "something readable crossed the wire"
import sys
wire = open(sys.argv[1], "rb").read()
weights = open(sys.argv[2], "rb").read()
assert len(wire) > 400000, "the capture is too short to hold the slices: %d bytes" % len(wire)
for text in sys.argv[3:]:
    for i in range(0, len(text) - 8, 4):
        assert text[i:i + 8].encode() not in wire, text[i:i + 8]
for word in (b"Once", b"stories", b"llama", b"shoal", b"blk."):
    assert word not in wire, word
hits = sum(weights[o:o + 12] in wire for o in range(len(weights) // 4, len(weights) - 12, 997))
assert hits == 0, "%d pieces of weights in clear" % hits
print("looked through %d bytes" % len(wire))
P

# Somebody recorded how the member came, and sends that: it is answered, and hinders nobody.
before=$(grep -c '' "$tmp/c/log")
python3 - "$tmp/wire" "$(cat "$tmp/c/port")" <<'P' || fail "a recording is not answered"
import socket, struct, sys
wire = open(sys.argv[1], "rb").read()
first = wire.rindex(b"SHOL\2\2\0\0")  # of a control link
end = first + 44 + struct.unpack("<I", wire[first + 40:first + 44])[0]
for _ in range(3):
    with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 10) as s:
        s.sendall(wire[first:end])
        assert len(s.recv(1000)) > 4
P
[ "$(on c generate -m stories260K -p "$prompt" -n 60 --temp 0)" = "$text" ] || fail "another text after a recording"
if tail -n +$((before + 1)) "$tmp/c/log" | grep 'away\|dropped'; then fail "a recording put the member out"; fi

tells_of_it() {
  tail -n +$((before + 1)) "$tmp/c/log" | grep >/dev/null -iE 'refus|turned away|closed|record|handshake'
}

# Harmed connections: every link that the member opens while the file is there suffers.
for harm in "flip 20" "flip 60" "flip 150" "replay 2" "cut 1"; do
  proxy $harm
  touch "$tmp/wire.arm"
  before=$(grep -c '' "$tmp/c/log")
  stop m1
  start m1
  soon tells_of_it || fail "$harm: no log line"
  kill -0 "${pids[c]}" || fail "$harm: the coordinator is down"
  rm "$tmp/wire.arm"
  wait_serving c
  [ "$(on c generate -m stories260K -p "$prompt" -n 60 --temp 0)" = "$text" ] || fail "$harm: another text afterwards"
  echo "ok $harm"
done
