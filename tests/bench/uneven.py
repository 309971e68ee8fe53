#!/usr/bin/env python3
"""Uneven devices: one at full speed, one held to a part of a core; a third that is far too slow.

    uneven.py [--part 0.4] [--layers 22] [--tokens 64] [--prompt 16] [--rounds 9] [--settle 60] [--model FILE] BUILDDIR

Generation by each of the two alone, by both with equal slices, and by both with the slices of the plan, once these have
followed the speeds that are seen for --settle seconds. The four take turns; each turn's ratio to the sum of what the
two do alone. Then with a third device at 5 % of a core behind a link of 5 ms a round trip: what the swarm says of it.
Needs root (see held.py).
"""
import argparse
import contextlib
import random
import statistics
import sys
import time

from held import Far
from turns import Devices, Lab, Swarm, end_on_sigterm, missing, model_file, rates, serve, spread, swarms, take_turns

FAR_PART, FAR_SECONDS = 0.05, 0.0025
OPTIONS = ["--context", "4096", "--plan"]


class WithFar(Swarm):
    """A swarm whose third device, m2, reaches the coordinator through a relay."""

    def __init__(self, devices):
        super().__init__(devices, 0, 0)
        self.far = None

    def add(self, name):
        address = super().add(name)
        if name == "c":
            self.coordinator = int(address.rsplit(":", 1)[1])
        return address

    def enter(self, name):
        if name != "m2":
            return super().enter(name)
        self.far = self.far or Far(name, self.coordinator, FAR_SECONDS)
        return super().enter(name) + self.far.prefix()

    def close(self):
        if self.far is not None:
            self.far.close()


def shares(lab):
    return ", ".join("%s %d columns" % (p["name"], p["ffn"][1]) for p in lab.c.status()["peers"] if "ffn" in p)


def settle(a, lab):
    print("as planned at first: %s" % shares(lab), flush=True)
    end, rng = time.time() + a.settle, random.Random(2)
    while time.time() < end:
        rates(lab, a.prompt, a.tokens, rng)
    last = lab.c.status()["balance"]["last"]
    print("after %g s: %s" % (a.settle, last["words"] if last else "no change"), flush=True)


def compare(a, model, devices):
    wanted = [(devices.swarm(), 0, OPTIONS + ["auto"]), (devices.swarm(1), 0, OPTIONS + ["auto"]),
              (devices.swarm(), 1, OPTIONS + ["all"]), (devices.swarm(), 1, OPTIONS + ["auto"])]
    with swarms(model, a.builddir, wanted) as labs:
        settle(a, labs[3])
        seen = [[r[0] for r in turn] for turn in take_turns(labs, a.prompt, a.tokens, a.rounds)]
        sums = [full + slow for full, slow in zip(seen[0], seen[1])]
        print("generation, tokens/s                    of the sum (quartiles)")
        names = ["one device, a core", "one device, %g %% of a core" % (100 * a.part), "both, equal slices",
                 "both, as planned"]
        for name, turn, lab in zip(names, seen, labs):
            print("%-29s %8.2f  %s  %s" % (name, statistics.median(turn), spread([t / s for t, s in zip(turn, sums)]),
                                           shares(lab)), flush=True)


def left_out(a, model):
    with contextlib.closing(Devices([1, a.part, FAR_PART])) as devices, \
            contextlib.closing(Lab(WithFar(devices), 2, a.builddir, OPTIONS + ["auto"])) as lab:
        print("a third device at %g %% of a core, %g ms away" % (100 * FAR_PART, 2e3 * FAR_SECONDS), flush=True)
        serve(lab, model)
        words = [p["left_out"] for p in lab.c.status()["peers"] if "left_out" in p]
        print("    " + ("; ".join(words) or "NOT LEFT OUT"), flush=True)
        return bool(words)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--part", type=float, default=0.4)
    p.add_argument("--layers", type=int, default=22)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt", type=int, default=16)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--settle", type=float, default=60, help="seconds of generation in which slices may follow speeds")
    p.add_argument("--model", help="instead of a synthetic one of the shape of tinyllama-1.1b")
    p.add_argument("builddir")
    a = p.parse_args()
    trouble = missing([a.part], None)
    if trouble:
        print("uneven.py: %s" % trouble, file=sys.stderr)
        return 2
    end_on_sigterm()
    with model_file(a.model, layers=a.layers) as model:
        with contextlib.closing(Devices([1, a.part])) as devices:
            compare(a, model, devices)
        return 0 if left_out(a, model) else 1


if __name__ == "__main__":
    sys.exit(main())
