#!/usr/bin/env bash
# What a router's decision on 2,000 bytes takes on a core of a Raspberry Pi 4 (Cortex-A72, 1.5 GHz), and what it takes
# to learn from 2,000 rows: its instructions, counted exactly under qemu-user (those of ten decisions, libc's too, less
# those of none), and from them the time. More than 50 microseconds, or 5 seconds, is a failure.
#
#   route_cost.sh
#
# The time is the count at 1.5 instructions a cycle. That is cautious for what is in the caches: llvm-mca 19, which
# models this core without cache misses or wrong guesses, took 2.5 a cycle of a decision. The first one after other
# work also waits for some hundred cache lines of weights to come from memory, which is not in the figure.
# Needs aarch64-linux-gnu-gcc, gcc, and a qemu-aarch64 that takes plugins (Debian's qemu-user); exit 77 without.
set -euo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
most_us=50
most_s=5
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

skip() {
  echo "SKIP a decision on a Cortex-A72: $1"
  exit 77
}

for tool in gcc aarch64-linux-gnu-gcc qemu-aarch64; do
  command -v "$tool" >/dev/null || skip "$tool is not there"
done
qemu-aarch64 --help | grep -e -plugin >/dev/null || skip "this qemu-aarch64 takes no plugins"

gcc -O2 -shared -fPIC -o "$tmp/count.so" "$src/tests/arm/count_plugin.c"
aarch64-linux-gnu-gcc -std=c17 -O2 -ffp-contract=off -static -I"$src" -o "$tmp/decide" "$src"/tests/bench/route_decide.c \
  "$src"/sched/{route_text,gain,gain_bytes,gain_dense,gain_train,gain_words}.c "$src"/base/{buf,err}.c -lm

# instructions WHEN TIMES
instructions() {
  qemu-aarch64 -cpu cortex-a72 -plugin "$tmp/count.so,symbol=,also=" -d plugin "$tmp/decide" "$1" "$2" \
    2>"$tmp/count" >"$tmp/features"
  awk 'NF == 1 && $1 > 0 { print $1; found = 1 } END { exit !found }' "$tmp/count"
}

status=0
for when in before after; do
  none=$(instructions "$when" 0)
  ten=$(instructions "$when" 10)
  awk -v n=$(((ten - none) / 10)) -v features="$(cat "$tmp/features")" -v when="$when" -v most=$most_us 'BEGIN {
    us = n / 1.5 / 1500
    printf "%s a decision %s the answer on 2000 bytes (%d features): %d instructions, %.1f us on a Cortex-A72 of 1.5 GHz\n",
      (us > most ? "FAIL" : "ok"), when, features, n, us
    exit (us > most) }' || status=1
done
none=$(instructions learn 0)
one=$(instructions learn 1)
awk -v n=$((one - none)) -v most=$most_s 'BEGIN {
  s = n / 1.5 / 1.5e9
  printf "%s learning from 2000 rows: %.2f billion instructions, %.1f s on a Cortex-A72 of 1.5 GHz\n",
    (s > most ? "FAIL" : "ok"), n / 1e9, s
  exit (s > most) }' || status=1
exit $status
