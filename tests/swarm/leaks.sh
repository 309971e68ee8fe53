#!/usr/bin/env bash
# A hundred requests, some of them malformed and some broken off, and valgrind finds no byte lost.
. "$(dirname "$0")/lib.sh"
need_shared
command -v valgrind >/dev/null || {
  echo "SKIP leaks: valgrind is not there"
  exit 77
}
if grep -qE '^SHOAL_CFLAGS = .*-fsanitize' "$builddir/Makefile"; then
  echo "SKIP leaks: valgrind and sanitizers do not go together"
  exit 77
fi
model=$shared/models/stories260K.gguf
start m1
# Valgrind runs one thread at a time; the fair way none that computes keeps the others waiting.
wrap="valgrind --quiet --fair-sched=yes --leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=9"
start c --model "$model"
wrap=
pair c m1
wait_serving c
url=http://localhost/v1
ask() { curl -s --max-time $patience --unix-socket "$tmp/c/sock" "$@"; }
for i in $(seq 100); do
  case $((i % 5)) in
  0) ask $url/completions -d '{"prompt":"Once","max_tokens":4}' | grep >/dev/null '"choices"' || fail "request $i" ;;
  1) ask $url/completions -d '{"prompt":"Once","max_tokens":4,"stream":true}' | grep >/dev/null 'DONE' || fail "request $i" ;;
  2) ask $url/chat/completions -d '{"messages":[{"role":"user","content":"Hi"}],"max_tokens":3}' >/dev/null ;;
  3) ask $url/completions -d '{"prompt":[},' | grep >/dev/null '"error"' || fail "request $i" ;;
  4) ask --max-time 0.05 $url/completions -d '{"prompt":"Once","max_tokens":300,"stream":true}' >/dev/null || true ;;
  esac
done
kill -TERM "${pids[c]}"
code=0
wait "${pids[c]}" || code=$?
unset 'pids[c]'
[ $code -eq 0 ] || fail "exit $code under valgrind"
