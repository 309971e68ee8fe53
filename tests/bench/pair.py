#!/usr/bin/env python3
"""Two devices of one thread each beside one of them: generation and prompt.

    pair.py [--lan ROUND_TRIP_US:MBIT] [--layers 22] [--tokens 64] [--prompt 256] [--rounds 5]
            [--collective WORD] [--payload WORD] [--cpu SET] [--members 1] [--model FILE] BUILDDIR

On loopback, or with --lan each in a network namespace, joined by ../shared/tools/lan.sh (root). The swarms
live at the same time and take turns. Medians, and the ratio's quartiles. On loopback also one device with all
the threads: what this machine's memory leaves to gain. With --lan the bound of generation: a device's part of what
one needs, and for each reduction a round trip (half of one where rows are exchanged directly) and its bytes.
"""
import argparse
import contextlib
import json
import statistics
import sys

from turns import Devices, end_on_sigterm, missing, model_file, spread, swarms, take_turns


def show(name, one, many, threads):
    print("%-11s %8.2f %8.2f  %-19s" %
          (name, statistics.median(one), statistics.median(many), spread([m / o for o, m in zip(one, many)])) +
          (" %8.2f  %s" % (statistics.median(threads), spread([t / o for o, t in zip(one, threads)])) if threads else ""))


def bound(a, lab, one):
    """Tokens a second that the links allow."""
    status = lab.c.status()
    round_trip, mbit = (float(x) for x in a.lan.split(":"))
    trips = 0.5 if a.collective == "direct" else 1.0
    size = a.embd * {"f32": 4, "f16": 2, "q8": 1.125}[status["payload"]]
    reduction = trips * round_trip * 1e-6 + (1 if trips < 1 else 2) * 8 * size / (mbit * 1e6)
    step = 1 / one / (1 + a.members) + 2 * a.layers * reduction
    print("bound       %17.2f  (%d reductions of %.0f us; the plan: %s)" %
          (1 / step, 2 * a.layers, 1e6 * reduction, json.dumps(status.get("collective", "?"))))


def run(a, model):
    many = 1 + a.members
    with contextlib.closing(Devices([1] * many, a.lan)) as devices:
        options = ["--context", "2048"] + (["--cpu", a.cpu] if a.cpu else [])
        more = ["--payload", a.payload, "--collective", a.collective]
        wanted = [(devices.swarm(), 0, options), (devices.swarm(), a.members, options + more)]
        if not a.lan:
            wanted += [(devices.swarm(cpus_of=many), 0, options + ["--threads", str(many)])]
        with swarms(model, a.builddir, wanted) as labs:
            rates = take_turns(labs, a.prompt, a.tokens, a.rounds)
            print("tokens/s    one dev.   %d dev.  ratio (quartiles)  " % many +
                  ("" if a.lan else " %d threads  ratio (quartiles)" % many))
            for at, name in enumerate(("generation", "prompt")):
                one, all_of_them, threads = ([r[at] for r in lab] for lab in rates + [[]] * (3 - len(rates)))
                show(name, one, all_of_them, threads)
            if a.lan:
                bound(a, labs[1], statistics.median(r[0] for r in rates[0]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lan", help="ROUND_TRIP_US:MBIT")
    p.add_argument("--layers", type=int, default=22)
    p.add_argument("--embd", type=int, default=2048)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt", type=int, default=256)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--members", type=int, default=1)
    p.add_argument("--collective", default="auto")
    p.add_argument("--payload", default="f32")
    p.add_argument("--cpu", help="the kernels: avx2 makes a home's laptop of a newer processor")
    p.add_argument("--model", help="instead of a synthetic one of the shape of tinyllama-1.1b")
    p.add_argument("builddir")
    a = p.parse_args()
    trouble = missing([1], a.lan)
    if trouble:
        print("pair.py: %s" % trouble, file=sys.stderr)
        return 2
    end_on_sigterm()
    with model_file(a.model, a.embd, a.layers) as model:
        run(a, model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
