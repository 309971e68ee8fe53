#!/usr/bin/env bash
# The HTTP API of a real swarm: whole and streamed answers, OpenAI's errors, and mistakes that hurt nobody.
. "$(dirname "$0")/lib.sh"
need_shared
port=$(free_port)
url=http://127.0.0.1:$port
swarm 2 --http "127.0.0.1:$port"

status() { curl -s -o "$tmp/body" -w '%{http_code}' --max-time $patience "$@"; }
expect() { # STATUS PATTERN CURL-ARGS...
  local want=$1 pattern=$2 got
  shift 2
  got=$(status "$@")
  [ "$got" = "$want" ] || fail "$*: $got instead of $want: $(cat "$tmp/body")"
  grep -qE -- "$pattern" "$tmp/body" || fail "$*: $(cat "$tmp/body") has no $pattern"
}
expect 503 'shoal load' "$url/v1/completions" -d '{"prompt":"Once"}'
expect 503 '.' "$url/health"
on c load --quiet "$shared/models/stories260K.gguf" >/dev/null
expect 200 'ok' "$url/health"
expect 200 '"id": ?"stories260K"' "$url/v1/models"
expect 200 '"stories260K"' "$url/v1/models/stories260K"
expect 404 'model_not_found' "$url/v1/models/other"
expect 200 '"finish_reason": ?"length"' "$url/v1/completions" -d '{"prompt":"Once upon a time","max_tokens":5,"temperature":0}'
expect 200 '"completion_tokens": ?5' "$url/v1/completions" -d '{"prompt":[1,403,407,261,378],"max_tokens":5,"temperature":0}'
expect 200 '"role": ?"assistant"' "$url/v1/chat/completions" -d '{"messages":[{"role":"user","content":"Hi"}],"max_tokens":5}'
expect 200 '^data: \[DONE\]' "$url/v1/completions" -d '{"prompt":"Once","max_tokens":5,"stream":true}'
expect 400 'invalid_request_error' "$url/v1/completions" -d '{"prompt":'
expect 400 'temperature' "$url/v1/completions" -d '{"prompt":"a","temperature":9}'
expect 400 'tools' "$url/v1/chat/completions" -d '{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}'
expect 400 'context_length_exceeded' "$url/v1/completions" -d "{\"prompt\":\"$(printf 'word %.0s' $(seq 2000))\"}"
expect 404 'model_not_found' "$url/v1/completions" -d '{"model":"gpt-9","prompt":"a"}'
expect 404 'not_found' "$url/v1/complete" -d '{}'
expect 405 '.' "$url/v1/completions"
expect 403 '.' "$url/shoal/v1/status"
expect 403 '.' -H 'Host: evil.example' "$url/v1/models"

# Everything that comes out of a stream is what the whole answer says.
whole=$(curl -s "$url/v1/completions" -d '{"prompt":"Once upon a time","max_tokens":60,"temperature":0}' |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["text"])')
streamed=$(curl -sN "$url/v1/completions" -d '{"prompt":"Once upon a time","max_tokens":60,"temperature":0,"stream":true}' |
  python3 -c '
import json, sys
print("".join(json.loads(l[6:])["choices"][0]["text"] for l in sys.stdin if l.startswith("data: {")))')
[ "$whole" = "$streamed" ] || fail "streamed '$streamed' is not '$whole'"

# A client that goes away stops its generation.
curl -sN --max-time 0.1 "$url/v1/completions" -d '{"prompt":"Once","max_tokens":500,"ignore_eos":true,"stream":true}' >/dev/null || true
is_idle() { on c status --json | grep >/dev/null '"running": 0'; }
soon is_idle || fail "the generation of a client that went away goes on"

# Several at once, each with its own answer.
for i in 1 2 3 4 5 6; do
  curl -s "$url/v1/completions" -d '{"prompt":"Once upon a time","max_tokens":60,"temperature":0}' >"$tmp/answer$i" &
done
wait $(jobs -p | grep -vxF "$(printf '%s\n' "${pids[@]}")")
for i in 1 2 3 4 5 6; do
  got=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["choices"][0]["text"])' "$tmp/answer$i")
  [ "$got" = "$whole" ] || fail "answer $i of six at once is another one: $got"
done
