#!/usr/bin/env python3
"""A byte-level BPE tokenizer of the kind that GGUF calls "gpt2" with the pre-tokenizer "llama-bpe".

    tokenizer.py train vocab.json [-n SAMPLES]   learn the merges from the corpus
    tokenizer.py show vocab.json "some text"     its tokens

The pre-tokenizer is written for ASCII, which is all that the corpus has.
"""
import argparse
import collections
import json
import re

import corpus

PRE = re.compile(r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
                 r"|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
                 r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB = 1024


def byte_letters():
    """The visible letter that stands for each byte in a byte-level vocabulary."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {}, 0
    for b in range(256):
        if b in keep:
            table[b] = chr(b)
        else:
            table[b] = chr(256 + extra)
            extra += 1
    return table


LETTERS = byte_letters()
BYTES = {v: k for k, v in LETTERS.items()}


def letters(text):
    return "".join(LETTERS[b] for b in text.encode())


def texts_of(sample):
    return [t for t in ("system\n" + sample["system"], "user\n" + sample["user"],
                        "assistant\n" + sample["answer"]) if t]


def learn(samples, merges_wanted):
    counts = collections.Counter()
    for s in samples:
        for text in texts_of(s):
            counts.update(PRE.findall(text))
    words = [(list(letters(w)), n) for w, n in sorted(counts.items())]
    merges = []
    while len(merges) < merges_wanted:
        pairs = collections.Counter()
        for w, n in words:
            for pair in zip(w, w[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for w, _ in words:
            merge_in(w, best)
    return merges


def merge_in(word, pair):
    i = 0
    while i + 1 < len(word):
        if word[i] == pair[0] and word[i + 1] == pair[1]:
            word[i:i + 2] = [pair[0] + pair[1]]
        i += 1


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.tokens = ([LETTERS[b] for b in range(256)] + [a + b for a, b in self.merges])
        while len(self.tokens) < VOCAB - len(SPECIAL):  # only where the merges ran out
            self.tokens.append("<|unused%d|>" % len(self.tokens))
        self.tokens += SPECIAL
        self.id = {t: i for i, t in enumerate(self.tokens)}
        self.eot, self.im_start, self.im_end = (self.id[s] for s in SPECIAL)
        self.cache = {}
        # The token with which each room's name begins, behind a blank.
        self.rooms = {n[0].split()[0]: self.word(" " + n[0].split()[0])[0]
                      for n in corpus.AREAS.values()}

    def first(self, area):
        return self.rooms[corpus.AREAS[area][0].split()[0]]

    @classmethod
    def load(cls, path):
        with open(path) as f:
            return cls(json.load(f))

    def word(self, w):
        ids = self.cache.get(w)
        if ids is None:
            parts = list(letters(w))
            while len(parts) > 1:
                pair = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if pair not in self.rank:
                    break
                merge_in(parts, pair)
            ids = self.cache[w] = [self.id[p] for p in parts]
        return ids

    def encode(self, text):
        out = []
        for w in PRE.findall(text):
            out += self.word(w)
        return out

    def decode(self, ids):
        data = bytearray()
        for i in ids:
            if i < VOCAB - len(SPECIAL):
                data += bytes(BYTES[ch] for ch in self.tokens[i])
        return data.decode(errors="replace")

    def turn(self, role, text):
        return [self.im_start] + self.encode(role + "\n" + text) + [self.im_end] + self.encode("\n")

    def prompt(self, system, user):
        """The ids of a conversation as the chat template (ChatML) writes it."""
        out = self.turn("system", system) if system else []
        return out + self.turn("user", user) + [self.im_start] + self.encode("assistant\n")

    def sample(self, s):
        """(ids, length of the prompt): what training sees."""
        p = self.prompt(s["system"], s["user"])
        return p + self.encode(s["answer"]) + [self.im_end], len(p)


def main():
    p = argparse.ArgumentParser(description="train or try the tokenizer")
    p.add_argument("what", choices=["train", "show"])
    p.add_argument("file")
    p.add_argument("text", nargs="?", default="")
    p.add_argument("-n", "--count", type=int, default=40000)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    if args.what == "train":
        samples = (s for s, _ in corpus.train_samples(args.seed, 0, args.count))
        merges = learn(samples, VOCAB - 256 - len(SPECIAL))
        with open(args.file, "w") as f:
            json.dump(merges, f, separators=(",", ":"))
            f.write("\n")
    else:
        t = Tokenizer.load(args.file)
        print([t.decode([i]) for i in t.encode(args.text)])


if __name__ == "__main__":
    main()
