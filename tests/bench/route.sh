#!/usr/bin/env bash
# The router between hearth-small and hearth, measured: makes commands, lets both models answer them once (kept in
# FOLDER until a model or the commands change), and evaluates.
#
#   route.sh BUILD [FOLDER]    FOLDER: BUILD/tests/bench/traces
set -euo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
traces=${2:-$build/tests/bench/traces}
export PYTHONDONTWRITEBYTECODE=1

mkdir -p "$traces"
stamp=$(cat "$src"/tools/hearth/{corpus,traffic}.py "$src"/models/hearth{,-small}.gguf | sha256sum)
if [ "$(cat "$traces/stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -f "$traces/stamp"
  for split in train tune test reworded; do
    printf 'commands: %s\n' "$split" >&2
    python3 "$src/tools/hearth/traffic.py" "$split" >"$traces/$split.jsonl"
    for model in hearth-small hearth; do
      printf '%s answers them\n' "$model" >&2
      "$build/client/shoal" eval hearth --local --threads 1 --no-shard -m "$src/models/$model.gguf" \
        --data "$traces/$split.jsonl" --signals "$traces/$split.$model.jsonl" >/dev/null
    done
  done
  printf '%s\n' "$stamp" >"$traces/stamp"
fi
"$build/tests/bench/route" "$traces"
echo
"$src/tests/bench/route_cost.sh" || [ $? -eq 77 ]
