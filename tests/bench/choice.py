#!/usr/bin/env python3
"""Does the plan pick what is fastest? One device alone, all by each way of adding sums, a pipeline, and what the plan
chooses, measured in turns on the same devices and links.

    choice.py [--lan ROUND_TRIP_US:MBIT] [--parts 1,1] [--payload WORD] [--layers 8] [--tokens 32] [--prompt 128]
              [--rounds 5] [--model FILE] BUILDDIR

--parts: how much of a core each device has, the coordinator first. What is compared is what the plan minimises: the
seconds of a generated token and of a prompt's token. Needs root where devices are slower or farther than this machine.
"""
import argparse
import contextlib
import statistics
import sys

from turns import Devices, end_on_sigterm, missing, model_file, spread, swarms, take_turns


def alternatives(a, parts):
    """(name, first device, members, options)"""
    base = ["--context", "2048", "--payload", a.payload]
    members = len(parts) - 1
    shares = ",".join("%d" % round(20 * p) for p in parts)
    yield "chosen by the plan", 0, members, base + ["--plan", "auto"]
    yield "the coordinator alone", 0, 0, base
    for way in ("star", "direct", "rows") + (("scatter",) if members > 1 else ()):
        yield "all, sums by %s" % way, 0, members, base + ["--shares", shares, "--collective", way]
    yield "a pipeline of all", 0, members, base + ["--stages", ",".join("1" for _ in parts)]


def chosen(lab):
    status = lab.c.status()
    parts = ["%s %s" % (p["name"], "layers %d+%d, %d columns" % (*p["layers"], p["ffn"][1]))
             for p in status["peers"] if "ffn" in p]
    reasons = ["%s: %s" % (p["name"], p["left_out"]) for p in status["peers"] if "left_out" in p]
    return "; ".join(parts + reasons)


def run(a, model, parts):
    rows = list(alternatives(a, parts))
    with contextlib.closing(Devices(parts, a.lan)) as devices:
        wanted = [(devices.swarm(first), members, options) for _, first, members, options in rows]
        with swarms(model, a.builddir, wanted) as labs:
            seen = take_turns(labs, a.prompt, a.tokens, a.rounds)
            print("chosen: %s" % chosen(labs[0]))
    seconds = [[1 / g + 1 / p for g, p in turns] for turns in seen]
    print("%-24s %10s %10s %10s  %s" % ("tokens/s", "generation", "prompt", "ms of both", "of what is chosen"))
    for (name, *_), turns, times in zip(rows, seen, seconds):
        print("%-24s %10.2f %10.2f %10.2f  %s" % (
            name, statistics.median(g for g, _ in turns), statistics.median(p for _, p in turns),
            1e3 * statistics.median(times), spread([t / c for t, c in zip(times, seconds[0])])))
    medians = [statistics.median(t) for t in seconds]
    print("the plan's choice takes %.2f of the fastest alternative's time" % (medians[0] / min(medians[1:])))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lan", help="ROUND_TRIP_US:MBIT")
    p.add_argument("--parts", default="1,1", help="of a core, for each device")
    p.add_argument("--payload", default="f32")
    p.add_argument("--layers", type=int, default=8)
    p.add_argument("--tokens", type=int, default=32)
    p.add_argument("--prompt", type=int, default=128)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--model", help="instead of a synthetic one of the width of tinyllama-1.1b")
    p.add_argument("builddir")
    a = p.parse_args()
    parts = [float(x) for x in a.parts.split(",")]
    trouble = missing(parts, a.lan)
    if trouble:
        print("choice.py: %s" % trouble, file=sys.stderr)
        return 2
    end_on_sigterm()
    with model_file(a.model, layers=a.layers) as model:
        run(a, model, parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
