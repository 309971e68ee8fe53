#!/usr/bin/env python3
"""Train a hearth model on the CPU or a GPU; stop it at any time, start it again to go on.

    train.py large --dir /work/hearth/large --steps 4000 --decay 1200
    train.py small --dir /work/hearth/small --steps 4000 --decay 1200

The learning rate stays level and falls to zero over the last --decay steps. checkpoint.pt is
the newest state; level.pt the last before the fall, from which a longer run can go on:
--from-level with more --steps. SIGTERM saves and stops. Samples are made on the way, each seen once.
"""
import argparse
import math
import os
import signal
import time

import torch

import corpus
from model import CONFIGS, Model
from tokenizer import LETTERS, Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 8192  # samples made at a time, then sorted by length into batches


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


def hints(tok, s):
    """{position: (token of a room's name, place)}: at a number or a light of the house's state the room
    that it belongs to and -1; where a number that is looked up comes next, the room where to look and
    the position of its number in the state."""
    out = {}
    state, n = tok.turn("system", s["system"]), 0
    if not s["system"]:
        return out
    room, places, lights = None, {}, {}
    for i, t in enumerate(state):
        word = tok.tokens[t]
        room = tok.rooms.get(word.lstrip(LETTERS[32]), room)
        if word.isdigit() or word in (LETTERS[32] + "on", LETTERS[32] + "off"):
            out[i] = (room, -1)
            if word.isdigit():
                places[room] = i
            else:
                lights[room] = i
    at, text, answer = len(tok.prompt(s["system"], s["user"])), "", "\"answer\":" in s["answer"]
    left, decided = list(s["looks"]), decision(s)
    for i, t in enumerate(tok.encode(s["answer"])):
        word = tok.tokens[t]
        if len(text) <= decided < len(text) + len(word):
            room = tok.first(s["condition"][0])
            out[at + i - 1] = (room, places[room])
        if s["light"] and text.endswith("answer\":"):
            room = tok.first(s["light"])
            out[at + i - 1] = (room, lights[room])
        if word.isdigit() and text.endswith("\":") and (answer or text.endswith("temperature\":")):
            look = left.pop(0) if left else None
            if look:
                room = tok.first(look)
                out[at + i - 1] = (room, places[room])
        text += word
    return out


def decision(s):
    """Where in the answer's first line it shows whether the condition of the last action holds; -1: there
    is none."""
    line = s["answer"].split("\n")[0]
    if not s["condition"]:
        return -1
    if not s["condition"][1]:
        return line.rindex("]}")
    at = line.rindex("{\"service\"")
    return at - (line[at - 1] == ",")


def make_batch(group):
    """(ids, targets, hints) padded at the end; -1 where nothing is to be learned."""
    width = max(len(ids) for ids, _, _ in group) - 1
    x = torch.zeros(len(group), width, dtype=torch.long)
    y = torch.full((len(group), width), -1, dtype=torch.long)
    z = torch.full((2, len(group), width), -1, dtype=torch.long)
    for i, (ids, n, hint) in enumerate(group):
        t = torch.tensor(ids)
        x[i, :len(ids) - 1] = t[:-1]
        y[i, n - 1:len(ids) - 1] = t[n:]
        for at, (room, place) in hint.items():
            z[0, i, at], z[1, i, at] = room, place
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
            return
        c = torch.load(path, map_location=self.device)
        self.model.load_state_dict(c["model"])
        self.muon.buf = c["muon"]
        self.adam.load_state_dict(c["adam"])
        self.done, self.start, self.skip = c["step"], c["start"], c["skip"]
        self.seconds = c["seconds"]
        print("going on from step %d of %s" % (self.done, path), flush=True)

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
            if time.time() - saved > 120:
                self.save("checkpoint.pt")
                saved = time.time()
        self.save("checkpoint.pt")
        print("stopped at step %d, %.0f s" % (self.done, time.time() - begun), flush=True)


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
    p.add_argument("--drill", type=int, default=0, help="percent of samples that practise looking up")
    p.add_argument("--from-level", action="store_true", help="begin at level.pt, not at the end")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    os.makedirs(args.dir, exist_ok=True)
    t = Trainer(args)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: setattr(t, "stopped", True))
    t.load("level.pt" if args.from_level else "checkpoint.pt")
    t.run()


if __name__ == "__main__":
    main()
