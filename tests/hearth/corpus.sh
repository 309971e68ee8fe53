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

# The traffic to measure a router with: always the same, no command twice in one split or in two, none that was
# trained on.
python3 - "$tools" <<'P' || fail "traffic"
import sys
sys.path.insert(0, sys.argv[1])
import collections, hashlib, json
import corpus, traffic
traffic.SPLITS, traffic.REWORDED = [("train", 60), ("tune", 60), ("test", 120)], 30
seen, kinds = set(), collections.Counter()
splits = {split: traffic.split_samples(split) for split in ("train", "tune", "test", "reworded")}
assert [len(s) for s in splits.values()] == [60, 60, 120, 30]
for s in splits["train"] + splits["tune"] + splits["test"]:
    key = corpus.normalised(s["user"]) + "|" + s["system"]
    assert key not in seen, key
    seen.add(key)
    kinds.update(s["kinds"])
    json.loads(s["answer"].split("\n")[0])
    if not {"reworded", "foreign"} & set(s["kinds"]) and s["level"] <= 2:  # without typing errors
        assert corpus.is_held_out(s["user"]), s["user"]
assert len(kinds) >= 11 and min(kinds[k] for k in ("foreign", "long", "reworded")) > 3, kinds
digest = hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest()
assert digest.startswith("ac6e9dfc5febac36"), digest
P
echo "ok traffic"

# The hints of training are true: where a room's number or light is to be looked up stands that room's, and the
# number of the answer follows from the two places.
python3 - "$tools" <<'P' || fail "a hint is wrong"
import collections, json, re, sys
sys.path.insert(0, sys.argv[1])
import corpus, hints
from tokenizer import Tokenizer
tok = Tokenizer.load(sys.argv[1] + "/vocab.json")
seen = collections.Counter()
for s, _ in corpus.train_samples(1, 0, 3000, focus=True, drill=40):
    ids, n = tok.sample(s)
    found = hints.hints(tok, s)
    words = [tok.tokens[i] for i in ids]
    for at, (room, place, other, _, second) in found.items():
        if place < 0:
            continue
        assert found[place][0] == room, "another room"
        if not words[place].isdigit():
            seen["light"] += 1
            continue
        a, b = int(words[place]), 0
        if other >= 0:  # a number of the command, which may be a word, or of the state
            b = int(words[other] if s["hints"]["pair"] else tok.tokens[found[other][0]])
        if s["hints"]["condition"] and not words[at + 1].isdigit():
            assert s["hints"]["condition"][1] in (a < b, a > b), "another threshold"
            seen["condition"] += 1
        elif s["hints"]["pair"]:
            value = json.loads(s["answer"].split("\n")[0])["answer"]
            assert found[other][0] == second and ((value == a - b) if isinstance(value, int) else a != b)
            seen["pair"] += 1
        else:
            assert int(re.match("[0-9]+", "".join(words[at + 1:at + 3]))[0]) in (a, a + b, a - b), "another sum"
            seen["sum"] += 1
sys.exit(min(seen[k] for k in ("light", "condition", "pair", "sum")) < 50)
P
echo "ok hints"

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
