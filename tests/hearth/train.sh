#!/usr/bin/env bash
# Training is reproducible: the same command makes the same model, also when it was stopped and gone on with; and a
# model that is read back, to train on, is the model that was written.
. "$(dirname "$0")/../swarm/lib.sh"
python=
for p in python3 /usr/bin/python3; do
  "$p" -c 'import numpy, torch' 2>/dev/null && python=$p
done
[ -n "$python" ] || {
  echo "SKIP train: python3-torch is not there"
  exit 77
}
export PYTHONDONTWRITEBYTECODE=1

"$python" - "$srcdir/tools/hearth" "$srcdir/models" "$tmp" <<'P' || fail "see above"
import sys

tools, models, tmp = sys.argv[1:]
sys.path.insert(0, tools)
import torch

import export
import gguf
import train

train.CHUNK = 32


def run(folder, *options, stop=0):
    """The checkpoint of a training of some steps; it is stopped after `stop` of them as by SIGTERM."""
    step = train.Trainer.step

    def counted(self, *batch):
        self.stopped = self.done + 1 == stop
        return step(self, *batch)

    train.Trainer.step = counted
    sys.argv = ["train.py", "small", "--bf16", "--threads", "1", "--tokens", "128", "--focus", "--drill", "30",
                "--steps", "4", "--decay", "2", "--dir", tmp + "/" + folder, *options]
    train.main()
    train.Trainer.step = step
    return torch.load("%s/%s/checkpoint.pt" % (tmp, folder), map_location="cpu")


def same(a, b):
    return a["step"] == b["step"] and all(torch.equal(a["model"][k], w) for k, w in b["model"].items())


one = run("one")
assert one["step"] == 4
assert same(one, run("two")), "the same command, another model"
assert not same(one, run("three", "--seed", "2")), "the seed does not count"
print("ok the same command, the same model")

assert run("four", stop=2)["step"] == 2
assert same(one, run("four")), "stopped and gone on with, another model"
print("ok stopped and gone on with")

sys.argv = ["export.py", tmp + "/one/checkpoint.pt", tmp + "/one.gguf"]
export.main()
state = gguf.weights(tmp + "/one.gguf")
most = max((w - state[k]).abs().max() / w.abs().max() for k, w in one["model"].items())
assert 0 < most < 1 / 200, "Q8_0 is off by %g" % most
sys.argv[1:] = ["--name", "hearth-small", tmp + "/again.pt", tmp + "/again.gguf"]
torch.save({"size": "small", "model": gguf.weights(models + "/hearth-small.gguf"), "step": 0, "seconds": 0},
           tmp + "/again.pt")
export.main()
ours, theirs = (open(f, "rb").read() for f in (tmp + "/again.gguf", models + "/hearth-small.gguf"))
assert ours == theirs, "read and written, another file"
print("ok read and written")
began = run("five", "--from-gguf", models + "/hearth-small.gguf", "--lr", "1e-12")
assert all((w - began["model"][k]).abs().max() < 1e-6 for k, w in gguf.weights(models + "/hearth-small.gguf").items())
print("ok training goes on from a file")
P
