#!/usr/bin/env bash
# Stock clients work unchanged with the model `auto` and with named ones: OpenAI's own for Node, and the AI SDK, of the
# versions in tests/sdk/package-lock.json, against the models that come with Shoal and clouds of the test's own.
. "$(dirname "$0")/lib.sh"

skip() {
  echo "SKIP sdk: $*"
  exit 77
}
models=$srcdir/models
clients=$builddir/tests/sdk/clients

# Whether npm says that it could not get the packages: no network, or a registry that does not have or give them.
registry_is_away() {
  local network='ENOTFOUND|EAI_AGAIN|ECONN[A-Z]+|E(HOST|NET)[A-Z]+|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED'
  grep -E >/dev/null "code ($network|E[0-9]{3}|[A-Z_]*(CERT|SSL|UNABLE)[A-Z_]*)\$" "$tmp/npm"
}

# Once for a build folder. What is not what the lock file says fails the test.
install_clients() {
  local lock code=0
  lock=$(sha256sum <"$srcdir/tests/sdk/package-lock.json")
  [ "$(cat "$clients/of" 2>/dev/null)" != "$lock" ] || return 0
  command -v npm >/dev/null || skip "npm is not there"
  rm -rf "$clients"
  mkdir -p "$clients"
  cp "$srcdir/tests/sdk/package.json" "$srcdir/tests/sdk/package-lock.json" "$clients"
  (cd "$clients" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries 1 \
    --fetch-retry-mintimeout 1000) >"$tmp/npm" 2>&1 || code=$?
  [ $code -ne 124 ] || skip "npm got no packages within two minutes"
  [ $code -eq 0 ] || ! registry_is_away || skip "npm gets no packages: $(grep -m 1 'code ' "$tmp/npm")"
  [ $code -eq 0 ] || fail "npm ci: $(cat "$tmp/npm")"
  echo "$lock" >"$clients/of"
}

# endpoint NAME FAULTS: the file of the cloud at $port.
endpoint() {
  cat >"$tmp/$1.clouds" <<END
[budget]
day = 10
[$1]
url = http://127.0.0.1:$port/$2
model = $1-1
price_in = 1
price_out = 1
context = 65536
max_tokens = 64
END
}

# serve NAME CLOUD OPTIONS...: a daemon with the default pair; its port is in $http.
serve() {
  local name=$1 cloud=$2
  shift 2
  http=$(free_port)
  start "$name" --model "$models/hearth.gguf" --small-model "$models/hearth-small.gguf" --privacy cloud \
    --cloud "$tmp/$cloud.clouds" --http "127.0.0.1:$http" "$@"
}

command -v node >/dev/null || skip "node is not there"
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || skip "node $(node --version) is older than 18"
install_clients

cloud sky
endpoint sky agent
serve c sky
open=$http
cloud slow
endpoint slow drip-50~piece-60~text-50
(umask 077 && printf 'sk-one\nsk-home privacy=home\n' >"$tmp/keys")
serve k slow --api-keys "$tmp/keys" --parallel 1 --queue 0
wait_serving c
wait_serving k
OPEN_URL=http://127.0.0.1:$open/v1 KEYED_URL=http://127.0.0.1:$http/v1 KEYED_PID=${pids[k]} SLOW_RECORDS=$tmp/slow.got \
  NODE_PATH=$clients/node_modules timeout 100 node "$srcdir/tests/sdk/all.js" >"$tmp/said" 2>&1 ||
  fail "$(cat "$tmp/said")"
grep -E '^(# |ℹ )(tests|pass) ' "$tmp/said"
wait "${pids[k]}" || fail "a daemon that was stopped under a stream ended with $?"
unset 'pids[k]'
stop c
echo "ok"
