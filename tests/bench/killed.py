#!/usr/bin/env python3
"""One of three devices dies in the middle of a text: how long until it is noticed, until the others have a plan,
and until the text goes on, for a small model and for one of the shape of tinyllama-1.1b.

    killed.py [--trials 10] [--prompt 256] [--copies] [--model FILE] BUILDDIR

Faults: the process is killed, and (with root and iproute2) the cable is cut. The slices of the plan without the
device are on the disks of the others, as they are in a swarm that has been serving for a while (spare_disk). What was
computed of the text is computed again, in steps of many rows: that is the last column; --copies: kv_copies = 1
instead. Median and worst; a text that goes on otherwise than without the fault is counted.
"""
import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, "..", "faults")]
import faults
from client import Request, known_answer
from lab import MODEL, Lab, Trouble, end_on_sigterm
from network import Loopback, Switched
from phases import wait_until

LARGE = ["--embd", "2048", "--ffn", "5632", "--layers", "22", "--heads", "32", "--kv-heads", "4", "--context", "2048"]
TOKENS = 96
STRIKE_AFTER = 24  # pieces of text


def settled(lab):
    """All take part, and nothing is being prepared."""
    s = lab.c.status()
    return s is not None and lab.devices() == 3 and s["background"] == ""


def spares(log):
    return sum("slices of another plan of 2 devices are on disk" in text for _, text in log.read())


class Outcome:
    def __init__(self, t, log, request, known):
        self.noticed = log.find(r"-> dropped: ", t)
        if self.noticed is None:
            raise Trouble("the loss was not noticed")
        self.planned = log.wait(r"-> serving", 30, self.noticed)
        later = [a for a in request.arrivals if a >= self.planned]
        if not later:
            raise Trouble("the text did not go on: %s" % request.wrong)
        self.on = later[0]
        self.times = (self.noticed - t, self.planned - self.noticed, self.on - self.planned, self.on - t)
        self.other_text = request.verdict(known)


def trial(lab, fault, prompt, known):
    wait_until(lambda: settled(lab), 240, "settled swarm")
    time.sleep(1)  # nobody is held back for the fault before
    request, log = Request(lab.c, prompt, TOKENS, limit=300), lab.c.log()
    request.start()
    wait_until(lambda: len(request.arrivals) >= STRIKE_AFTER or not request.is_alive(), 120, "text")
    t = time.time()
    fault.strike(lab)
    request.join(300)
    outcome = Outcome(t, log, request, known)
    fault.mend(lab)
    return outcome


def figures(name, fault, outcomes):
    cells = ["%.2f / %.2f" % (statistics.median(v), max(v)) for v in zip(*(o.times for o in outcomes))]
    other = sum(o.other_text is not None for o in outcomes)
    print("%-14s %-14s %13s %13s %13s %13s  %s" % (
        name, fault.name, cells[0], cells[1], cells[2], cells[3],
        "same text" if other == 0 else "another text in %d of %d" % (other, len(outcomes))), flush=True)


def run(a, name, shape, network):
    words = random.Random(1)
    prompt = [1] + [words.randrange(300, 1000) for _ in range(a.prompt - 1)]
    options = ["--context", "2048"] + (["--kv-copies", "1"] if a.copies else [])
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        path = f.name
        if shape is None:
            path = a.model
        else:
            subprocess.run([sys.executable, os.path.join(here, "..", "support", "synth_model.py"), path] + shape,
                           check=True)
        lab = Lab(network, 2, a.builddir, options)
        try:
            log = lab.c.log()
            lab.load(os.path.abspath(path))
            lab.wait_whole(240)
            wait_until(lambda: spares(log) >= 2, 240, "slices for when either member is lost")
            known = known_answer(lab.c, prompt, TOKENS)
            for fault in (faults.Kill, faults.Cut):
                if network.cables or not fault.cables:
                    figures(name, fault, [trial(lab, fault(), prompt, known) for _ in range(a.trials)])
        finally:
            lab.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--trials", type=int, default=10)
    p.add_argument("--prompt", type=int, default=256, help="tokens")
    p.add_argument("--copies", action="store_true", help="kv_copies = 1")
    p.add_argument("--model", help="this one alone")
    p.add_argument("builddir")
    a = p.parse_args()
    end_on_sigterm()
    print("seconds: median / worst of %d; prompt of %d tokens" % (a.trials, a.prompt))
    print("%-14s %-14s %13s %13s %13s %13s" % ("model", "fault", "noticed", "new plan", "text again", "in all"))
    shapes = [(os.path.basename(a.model), None)] if a.model else [("0.006B, floats", MODEL), ("1.1B, Q4_0", LARGE)]
    for name, shape in shapes:
        run(a, name, shape, Loopback() if Switched.missing() else Switched())
    return 0


if __name__ == "__main__":
    sys.exit(main())
