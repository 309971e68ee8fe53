#!/usr/bin/env bash
# The held-out commands are what the recorded command makes, none of them is trained on, and the
# tokenizer in the models is the one that they were trained with.
. "$(dirname "$0")/../swarm/lib.sh"
command -v python3 >/dev/null || {
  echo "SKIP corpus: python3 is not there"
  exit 77
}
tools=$srcdir/tools/hearth
export PYTHONDONTWRITEBYTECODE=1

python3 "$tools/corpus.py" test >"$tmp/set" || fail "corpus.py test"
cmp "$tmp/set" "$srcdir/models/hearth-eval.jsonl" || fail "corpus.py test makes other commands"
[ "$(wc -l <"$tmp/set")" -eq 1000 ] || fail "not 1,000 commands"
echo "ok the held-out commands, bit for bit"

python3 - "$tools" <<'P' || fail "a command stands on both sides"
import sys
sys.path.insert(0, sys.argv[1])
import corpus
held = {corpus.normalised(clean) for _, clean in corpus.test_samples(1)}
seen = {corpus.normalised(clean) for _, clean in corpus.train_samples(1, 0, 4000, drill=30)}
sys.exit(len(held) != 1000 or len(seen) < 2000 or bool(held & seen))
P
echo "ok no command on both sides"

# Every text of the set, and bytes that no text of it has.
python3 - "$tools" "$tmp" <<'P'
import json, sys
sys.path.insert(0, sys.argv[1])
import corpus
from tokenizer import Tokenizer
text = "".join(s[k] + "\n" for s in map(json.loads, open(sys.argv[2] + "/set")) for k in ("system", "user", "answer"))
rng = corpus.Rng("ascii")
text += "".join(chr(rng.between(32, 126)) for _ in range(5000)) + "  x\n\n y 12345 don't  "
open(sys.argv[2] + "/text", "w").write(text)
ids = Tokenizer.load(sys.argv[1] + "/vocab.json").encode(text)
open(sys.argv[2] + "/ids", "w").write(" ".join(map(str, ids)) + "\n")
P
for m in hearth hearth-small; do
  "$shoal" tokenize -m "$srcdir/models/$m.gguf" --ids --no-special <"$tmp/text" >"$tmp/got" || fail "tokenize with $m"
  cmp "$tmp/ids" "$tmp/got" || fail "$m: other tokens than tokenizer.py's"
done
echo "ok $(wc -w <"$tmp/ids") tokens as in training"
