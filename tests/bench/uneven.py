#!/usr/bin/env python3
"""Uneven devices: one at full speed, one held to a part of a core; a third that is far too slow.

    uneven.py [--part 0.4] [--layers 22] [--tokens 200] [--settle 60] [--model FILE] BUILDDIR

Generation by each of the two alone, by both with equal slices, and by both with the slices of the
plan, at first and once they have followed the speeds that are seen; beside the sum of what the two
do alone. Then with a third device at 5 % of a core behind a link of 5 ms a round trip: what the swarm
says of it. Of a busy machine all figures are those of the moment; the daemons say how much of their
own measuring was undisturbed. Needs root (see held.py); takes some minutes.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "faults")]
from held import Cpu, Far, cpu_root
from lab import Lab, Trouble, end_on_sigterm
from network import Loopback

FAR_PART, FAR_SECONDS = 0.05, 0.0025


class Uneven(Loopback):
    """Loopback addresses; devices by name in the cgroups and namespaces that are given."""

    def __init__(self, parts, far=None):
        self.cpus = {name: Cpu(name, part) for name, part in parts.items()}
        self.far_name, self.far = far, None
        self.port = None

    def add(self, name):
        address = super().add(name)
        if self.port is None:  # the coordinator's
            self.port = int(address.rsplit(":", 1)[1])
        return address

    def enter(self, name):
        prefix = self.cpus[name].prefix() if name in self.cpus else []
        if name == self.far_name:
            self.far = self.far or Far(name, self.port, FAR_SECONDS)
            prefix = prefix + self.far.prefix()  # which has another /sys
        return prefix

    def close(self):
        for c in self.cpus.values():
            c.close()
        if self.far is not None:
            self.far.close()


def wait(what, limit, done):
    end = time.time() + limit
    while True:
        value = done()
        if value:
            return value
        if time.time() > end:
            raise Trouble("%s: not within %d s" % (what, limit))
        time.sleep(0.3)


def measured(lab):
    peers = lab.c.ask("GET", "/shoal/v1/peers")[1]["peers"]
    return all(p["speed"] and (p["self"] or p["link_bytes_per_second"]) for p in peers)


def generate(lab, tokens):
    """Tokens a second."""
    def so_far():
        f = lab.c.status()["figures"]
        return f["new_tokens"], f["new_tokens"] / f["new_per_second"] if f["new_tokens"] else 0

    tokens0, seconds0 = so_far()
    body = {"prompt": "a w1 w2", "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    status, answer = lab.c.ask("POST", "/v1/completions", body, 600)
    if status != 200:
        raise Trouble("no answer: %s" % answer)
    tokens1, seconds1 = so_far()
    return (tokens1 - tokens0) / (seconds1 - seconds0)


def shares(lab):
    s = lab.c.status()
    return ", ".join("%s %d columns" % (p["name"], p["ffn"][1]) for p in s["peers"] if "ffn" in p)


def serve(lab, model):
    wait("speeds", 180, lambda: measured(lab))
    lab.load(model)
    wait("a plan", 120, lambda: lab.c.status()["serving"])
    for d in lab.daemons.values():
        with open(d.logfile) as f:
            found = re.findall(r"; (\d+) % undisturbed", f.read())
            print("    %s measured itself %s %% undisturbed" % (d.name, ", ".join(found)))


def figure(a, name, members, parts, plan, settle=False):
    network = Uneven(parts)
    lab = Lab(network, members, a.builddir, ["--plan", plan, "--context", "4096"])
    try:
        print("%s" % name, flush=True)
        serve(lab, a.model)
        generate(lab, 8)
        rate = generate(lab, a.tokens)
        print("    %.2f tokens/s  (%s)" % (rate, shares(lab)), flush=True)
        if settle:
            end = time.time() + a.settle
            while time.time() < end:
                generate(lab, a.tokens)
            print("    then: %s" % (lab.c.status()["balance"]["last"] or {"words": "no change"})["words"])
            rate = generate(lab, a.tokens)
            print("    %.2f tokens/s  (%s)" % (rate, shares(lab)), flush=True)
        return rate
    finally:
        lab.close()


def left_out(a, parts):
    lab = Lab(Uneven(parts, far="m2"), 2, a.builddir, ["--plan", "auto", "--context", "4096"])
    try:
        print("a third device at %g %% of a core, %g ms away" % (100 * FAR_PART, 2e3 * FAR_SECONDS), flush=True)
        serve(lab, a.model)
        rate = generate(lab, a.tokens)
        print("    %.2f tokens/s  (%s)" % (rate, shares(lab)))
        words = [p["left_out"] for p in lab.c.status()["peers"] if "left_out" in p]
        print("    " + ("; ".join(words) or "NOT LEFT OUT"), flush=True)
        return bool(words)
    finally:
        lab.close()


def run(a):
    held = {"m1": a.part}
    full = figure(a, "one device, a core", 0, {}, "auto")
    slow = figure(a, "one device, %g %% of a core" % (100 * a.part), 0, {"c": a.part}, "auto")
    equal = figure(a, "both, equal slices", 1, held, "all")
    plan = figure(a, "both, as planned", 1, held, "auto", settle=True)
    out = left_out(a, {"m1": a.part, "m2": FAR_PART})
    print("sum of both alone %.2f; equal slices %.2f of it, as planned %.2f of it (to reach: 0.9)" %
          (full + slow, equal / (full + slow), plan / (full + slow)))
    return 0 if out else 1


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--part", type=float, default=0.4)
    p.add_argument("--layers", type=int, default=22)
    p.add_argument("--tokens", type=int, default=200)
    p.add_argument("--settle", type=float, default=60, help="seconds of generation in which slices may follow speeds")
    p.add_argument("--model", help="instead of a synthetic one of the shape of tinyllama-1.1b")
    p.add_argument("builddir")
    a = p.parse_args()
    if os.geteuid() != 0 or cpu_root() is None:
        print("uneven.py: needs root and cgroups that limit the CPU", file=sys.stderr)
        return 2
    end_on_sigterm()
    if a.model:
        return run(a)
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        subprocess.run([sys.executable, os.path.join(here, "..", "support", "synth_model.py"), f.name, "--embd",
                        "2048", "--ffn", "5632", "--layers", str(a.layers), "--heads", "32", "--kv-heads", "4",
                        "--context", "4096"], check=True)
        a.model = f.name
        return run(a)


if __name__ == "__main__":
    sys.exit(main())
