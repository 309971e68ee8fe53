#!/usr/bin/env python3
"""Train a hearth model on the CPU or a GPU; stop it at any time, start it again to go on.

    train.py large --dir /work/hearth/large --steps 4000 --decay 1200
    train.py small --dir /work/hearth/small --steps 4000 --decay 1200

The learning rate stays level and falls to zero over the last --decay steps. checkpoint.pt is
the newest state; level.pt the last before the fall, from which a longer run can go on:
--from-level with more --steps. SIGTERM saves and stops. Samples are made on the way, each seen once.
"""
import argparse
import ctypes
import math
import os
import signal
import time

import torch

import corpus
import gguf
from hints import hints
from model import CONFIGS, Model
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 4096  # samples made at a time, then sorted by length into batches
CHECK, CHECK_SEED = 300, 2  # held-out commands of --check


def batches(tok, seed, start, tokens, focus, drill):
    """Endless (next sample number, batch) of about `tokens` tokens each; the same for a seed."""
    while True:
        samples = corpus.train_samples(seed, start, CHUNK, focus, drill)
        chunk = [tok.sample(s) + (hints(tok, s),) for s, _ in samples]
        start += CHUNK
        chunk.sort(key=lambda p: len(p[0]))
        groups, group = [], []
        for ids, n, hint in chunk:
            if group and len(ids) * (len(group) + 1) > tokens:
                groups.append(group)
                group = []
            group.append((ids, n, hint))
        groups.append(group)
        rng = corpus.Rng(seed, "order", start)
        for g in rng.sample(groups, len(groups)):
            yield make_batch(g)
        yield start


def make_batch(group):
    """(ids, targets, hints) padded at the end; -1 where nothing is to be learned. hints: what `hints`
    tells, one after the other."""
    width = max(len(ids) for ids, _, _ in group) - 1
    x = torch.zeros(len(group), width, dtype=torch.long)
    y = torch.full((len(group), width), -1, dtype=torch.long)
    z = torch.full((5, len(group), width), -1, dtype=torch.long)
    for i, (ids, n, hint) in enumerate(group):
        t = torch.tensor(ids)
        x[i, :len(ids) - 1] = t[:-1]
        y[i, n - 1:len(ids) - 1] = t[n:]
        if hint:
            z[:, i, list(hint)] = torch.tensor(list(hint.values())).t()
    return x, y, z


class Muon:
    """Momentum, then the nearest orthogonal matrix by Newton-Schulz (Jordan and others, 2024)."""

    def __init__(self, params, momentum=0.95):
        self.params = list(params)
        self.momentum = momentum
        self.buf = [torch.zeros_like(p) for p in self.params]

    def step(self, lr, decay):
        # Matrices of one shape go through the iteration together.
        shapes = {}
        for p, b in zip(self.params, self.buf):
            b.mul_(self.momentum).add_(p.grad)
            g = p.grad.add(b, alpha=self.momentum)
            shapes.setdefault(tuple(g.shape), []).append((p, g))
        for shape, pairs in shapes.items():
            update = orthogonal(torch.stack([g for _, g in pairs]))
            scale = 0.2 * math.sqrt(max(shape))
            for (p, _), u in zip(pairs, update):
                p.mul_(1 - lr * decay).add_(u, alpha=-lr * scale)


def orthogonal(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    flip = g.shape[1] > g.shape[2]
    x = g.transpose(1, 2) if flip else g
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        s = x @ x.transpose(1, 2)
        x = a * x + (b * s + c * s @ s) @ x
    return x.transpose(1, 2) if flip else x


class Trainer:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        self.args = args
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tok = Tokenizer.load(os.path.join(HERE, "vocab.json"))
        self.model = Model(CONFIGS[args.size]).to(self.device)
        self.weight = torch.tensor([4.0 if t.isdigit() else 1.0 for t in self.tok.tokens],
                                   device=self.device)
        hidden = [p for n, p in self.model.named_parameters() if p.dim() == 2 and n != "embed"]
        rest = [p for n, p in self.model.named_parameters() if p.dim() == 1 or n == "embed"]
        self.muon = Muon(hidden)
        self.adam = torch.optim.AdamW(rest, lr=0, betas=(0.9, 0.95), weight_decay=0)
        self.done = self.start = self.skip = 0
        self.seconds = 0.0
        self.stopped = False

    def save(self, name):
        path = os.path.join(self.args.dir, name)
        torch.save({"size": self.args.size, "model": self.model.state_dict(),
                    "muon": self.muon.buf, "adam": self.adam.state_dict(), "step": self.done,
                    "start": self.start, "skip": self.skip, "seconds": self.seconds},
                   path + ".new")
        os.replace(path + ".new", path)

    def load(self, name):
        path = os.path.join(self.args.dir, name)
        if not os.path.exists(path):
            return False
        c = torch.load(path, map_location=self.device)
        self.model.load_state_dict(c["model"])
        self.muon.buf = c["muon"]
        self.adam.load_state_dict(c["adam"])
        self.done, self.start, self.skip = c["step"], c["start"], c["skip"]
        self.seconds = c["seconds"]
        print("going on from step %d of %s" % (self.done, path), flush=True)
        return True

    def begin(self, path):
        """The weights of a model that export.py wrote."""
        state = gguf.weights(path)
        own = {k: v.shape for k, v in self.model.state_dict().items()}
        if own != {k: v.shape for k, v in state.items()}:
            raise SystemExit("%s is not a %s model" % (path, self.args.size))
        self.model.load_state_dict(state)
        print("beginning from %s" % path, flush=True)

    def half(self):
        """Products in bfloat16, twice as fast where the processor has them; the rest in float32."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.args.bf16)

    def rate(self):
        a = self.args
        warm = min(1.0, (self.done + 1) / 100)
        return a.lr * warm * min(1.0, max(0.0, (a.steps - self.done) / a.decay))

    def step(self, x, y, z):
        with self.half():
            weight = self.weight if self.args.focus else None
            loss = self.model.loss(x.to(self.device), y.to(self.device), weight,
                                   z.to(self.device))
        loss.backward()
        with torch.no_grad(), self.half():
            lr = self.rate()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.muon.step(lr, 0.02)
            self.adam.param_groups[0]["lr"] = lr * 0.6
            self.adam.step()
            self.model.zero_grad(set_to_none=True)
        self.done += 1
        return loss.item()

    @torch.no_grad()
    def check(self):
        """How many held-out commands of each level (none of hearth-eval.jsonl's seed) would be answered
        right to the letter: every token of the right answer is the likeliest one."""
        groups, right = {}, [0] * 5
        for s, _ in corpus.test_samples(CHECK_SEED, CHECK):
            ids, n = self.tok.sample(s)
            groups.setdefault(len(ids) // 16, []).append((ids, n, s["level"]))
        for g in groups.values():
            x, y, _ = make_batch([(ids, n, {}) for ids, n, _ in g])
            x, y = x.to(self.device), y.to(self.device)
            with self.half():
                ok = ((self.model.logits(x).argmax(-1) == y) | (y < 0)).all(1)
            for (_, _, level), good in zip(g, ok.tolist()):
                right[level - 1] += good
        print("check at step %d: %s" % (self.done, " ".join("%.1f%%" % (500 * r / CHECK) for r in right)),
              flush=True)

    def run(self):
        a = self.args
        skipped, seen, total, begun = 0, 0, 0.0, time.time()
        saved = shown = time.time()
        for b in batches(self.tok, a.seed, self.start, a.tokens, a.focus, a.drill):
            if isinstance(b, int):
                self.start, self.skip, skipped = b, 0, 0
                continue
            if skipped < self.skip:  # this chunk was begun before the checkpoint
                skipped += 1
                continue
            if self.done >= a.steps or self.stopped:
                break
            if self.done == a.steps - a.decay:
                self.save("level.pt")
            total += self.step(*b)
            seen += b[0].numel()
            self.skip += 1
            skipped += 1
            if self.done % 25 == 0:
                now = time.time()
                self.seconds += now - shown
                h = [float(v) for v in self.model.hint_values]
                k = [float(v) for v in self.model.look_values]
                self.model.hint_values, self.model.look_values = [], []
                print("step %d loss %.4f (hints %.3f, looks %.3f) rate %.5f, %.0f tokens/s, %.0f s" % (
                    self.done, total / 25, sum(h) / max(1, len(h)), sum(k) / max(1, len(k)), self.rate(),
                    seen / (now - shown), self.seconds), flush=True)
                seen, total, shown = 0, 0.0, now
            if a.check and self.done % a.check == 0:
                self.check()
                shown = time.time()
            if time.time() - saved > 120:
                self.save("checkpoint.pt")
                saved = time.time()
        self.save("checkpoint.pt")
        print("stopped at step %d, %.0f s" % (self.done, time.time() - begun), flush=True)


def keep_memory():
    """Freed memory stays with the process: faulting it in anew took a fifth of the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        trim, mmap = -1, -3
        libc.mallopt(mmap, 1 << 30)
        libc.mallopt(trim, (1 << 31) - 1)


def main():
    p = argparse.ArgumentParser(description="train a hearth model")
    p.add_argument("size", choices=sorted(CONFIGS))
    p.add_argument("--dir", required=True, help="folder of the checkpoints")
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--decay", type=int, default=1200, help="steps over which the rate falls")
    p.add_argument("--tokens", type=int, default=4096, help="tokens in a batch")
    p.add_argument("--lr", type=float, default=0.005)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    p.add_argument("--focus", action="store_true",
                   help="more samples that need the house's state, and numbers count four times")
    p.add_argument("--drill", type=int, default=0, help="percent of samples that practise looking up and comparing")
    p.add_argument("--from-level", action="store_true", help="begin at level.pt, not at the end")
    p.add_argument("--from-gguf", metavar="MODEL", help="begin with the weights of a model of this size, where there is no checkpoint")
    p.add_argument("--check", type=int, default=0, metavar="STEPS",
                   help="measure on some held-out commands every so many steps")
    args = p.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    os.makedirs(args.dir, exist_ok=True)
    t = Trainer(args)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: setattr(t, "stopped", True))
    if not t.load("level.pt" if args.from_level else "checkpoint.pt") and args.from_gguf:
        t.begin(args.from_gguf)
    t.run()


if __name__ == "__main__":
    main()
