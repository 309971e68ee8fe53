#!/usr/bin/env python3
"""Exact match of a checkpoint on the held-out commands, as `shoal eval hearth` counts it.

    evaluate.py /work/hearth/large/checkpoint.pt [-n COUNT]
"""
import argparse
import collections
import json
import os

import torch

import corpus
from model import CONFIGS, CONTEXT, Model
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))


def load(path):
    c = torch.load(path, map_location="cpu")
    m = Model(CONFIGS[c["size"]])
    m.load_state_dict(c["model"])
    return m.eval(), c["size"]


@torch.no_grad()
def answers(model, tok, prompts):
    """Greedy answers to prompts of one length."""
    x = torch.tensor(prompts)
    t = x.shape[1]
    caches = [[] for _ in model.layers]
    table = model.tables(CONTEXT)
    mask = torch.full((t, t), -1e9).triu(1)
    out = [[] for _ in prompts]
    done = [False] * len(prompts)
    while not all(done) and t < CONTEXT:
        ids = model.next(x, caches, table, mask).argmax(-1)
        for i, token in enumerate(ids.tolist()):
            if token in (tok.im_end, tok.eot):
                done[i] = True
            elif not done[i]:
                out[i].append(token)
        x, mask, t = ids[:, None], None, t + 1
    return [tok.decode(o) for o in out]


def right(answer, want):
    """The first line is JSON with the same meaning as what is wanted."""
    try:
        return json.loads(answer.split("\n")[0]) == json.loads(want.split("\n")[0])
    except ValueError:
        return False


def main():
    p = argparse.ArgumentParser(description="exact match of a checkpoint")
    p.add_argument("checkpoint")
    p.add_argument("-n", "--count", type=int, default=1000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--wrong", type=int, default=0, help="print so many mistakes")
    args = p.parse_args()
    model, _ = load(args.checkpoint)
    tok = Tokenizer.load(os.path.join(HERE, "vocab.json"))
    groups = collections.defaultdict(list)
    for s, _ in corpus.test_samples(args.seed, args.count):
        ids = tok.prompt(s["system"], s["user"])
        groups[len(ids)].append((ids, s))
    hits, all_of = collections.Counter(), collections.Counter()
    for group in groups.values():
        for (_, s), a in zip(group, answers(model, tok, [ids for ids, _ in group])):
            ok = right(a, s["answer"])
            hits[s["level"]] += ok
            all_of[s["level"]] += 1
            if not ok and args.wrong > 0:
                args.wrong -= 1
                print("%d | %s | %s\n  want %s\n  got  %s" % (
                    s["level"], s["system"], s["user"], s["answer"].split("\n")[0], a.split("\n")[0]))
    for level in sorted(all_of):
        print("level %d: %.3f" % (level, hits[level] / all_of[level]))
    print("exact_match %.4f of %d" % (sum(hits.values()) / sum(all_of.values()), sum(all_of.values())))


if __name__ == "__main__":
    main()
