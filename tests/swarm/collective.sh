#!/usr/bin/env bash
# Where a link between two members cannot be made, the plan soon goes on over the hub, says so and why, and computes the
# same; a member is let in by nobody but the neighbours of its plan; who is lost in a direct exchange is named.
. "$(dirname "$0")/lib.sh"
need_shared
model=$shared/models/stories260K.gguf
ask=(-p "Once upon a time" -n 24 --temp 0 --ids --ignore-end)
want=$("$shoal" generate --local -m "$model" --kv f32 "${ask[@]}")

collective() { on c status --json | sed -n 's/.*"collective": "\([a-z]*\)".*/\1/p'; }

# m1 listens where m2, which dials the address that its control link comes from, does not find it.
start c --kv f32 --collective direct
start m1 --listen "[::1]:$(free_port)"
start m2
pair c m1
pair c m2
on c load --quiet "$model" >/dev/null || fail "load"
[ "$(collective)" = star ] || fail "sums go by $(collective) although two members cannot reach each other"
grep -q "m2 is not linked with all other members, sums go over the hub: m1" "$tmp/c/log" || fail "c does not say why"
grep -q "not linked with all other members: m1" "$tmp/m2/log" || fail "m2 does not say why"
got=$(on c generate -m stories260K "${ask[@]}") || fail "no answer over the hub"
[ "$got" = "$want" ] || fail "over the hub: $got instead of $want"
echo "ok over the hub where members do not reach each other"
end_swarm

swarm 3 --kv f32
on c load --quiet "$model" >/dev/null || fail "load"
[ "$(collective)" = auto ] || fail "sums go by $(collective)"
grep -q "turned away" "$tmp"/*/log && fail "somebody was turned away"
prompt=(-m stories260K -p "Once upon a time" -n 400 --temp 0 --ignore-end)
begin_answer
stop m2 KILL
wait "$request" || true
soon contains "$tmp/c/log" "m2 was lost" || fail "c does not name m2"
grep -q "m1 was lost" "$tmp/c/log" && fail "c names m1, which is there"
echo "ok the lost member is named"
end_swarm
