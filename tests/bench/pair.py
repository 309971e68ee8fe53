#!/usr/bin/env python3
"""Two devices of one thread each beside one of them: generation and prompt.

    pair.py [--lan ROUND_TRIP_US:MBIT] [--layers 22] [--tokens 64] [--prompt 256] [--rounds 5]
            [--collective WORD] [--payload WORD] [--members 1] [--model FILE] BUILDDIR

On loopback, or with --lan each in a network namespace, joined by ../shared/tools/lan.sh (root). Both swarms
live at the same time and take turns, so that what else this machine does falls on both; the one that is not
asked sleeps. Medians, and the ratio's quartiles. With --lan also the bound of generation: half of what one
device needs, and for each reduction a round trip (half of one where rows are exchanged directly) and its bytes.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "faults")]
from lab import Lab, Trouble, end_on_sigterm
from network import Loopback

LAN = os.path.join(here, "..", "..", "..", "shared", "tools", "lan.sh")


class Lan:
    """Hosts of lan.sh, in the order in which they are added."""

    def __init__(self, hosts, round_trip_us, mbit):
        self.prefix = "pair%dh" % os.getpid()
        self.env = dict(os.environ, LAN_STATE="/run/shoal-pair-%d" % os.getpid())
        self.names = []
        self.lan("up", str(hosts), str(int(round_trip_us / 2)), str(mbit), self.prefix)

    def lan(self, *words):
        subprocess.run(["bash", LAN, *words], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def add(self, name):
        self.names.append(name)
        return "10.77.0.%d:8643" % len(self.names)

    def enter(self, name):
        return ["ip", "netns", "exec", "%s%d" % (self.prefix, 1 + self.names.index(name))]

    def close(self):
        self.lan("down")
        subprocess.run(["rm", "-rf", self.env["LAN_STATE"]], check=False)


def wait(what, limit, done):
    end = time.time() + limit
    while not done():
        if time.time() > end:
            raise Trouble("%s: not within %d s" % (what, limit))
        time.sleep(0.2)


def serve(lab, model):
    def measured():
        peers = lab.c.ask("GET", "/shoal/v1/peers")[1]["peers"]
        return all(p["speed"] and (p["self"] or p["link_bytes_per_second"]) for p in peers)

    wait("speeds", 180, measured)
    lab.load(model)
    lab.wait_whole(120)


def rates(lab, a, rng):
    """(tokens a second of generation, of the prompt)."""
    words = ["w%d" % rng.randrange(200) for _ in range(a.prompt)]  # no prompt is known already
    body = {"prompt": " ".join(words), "max_tokens": a.tokens, "temperature": 0, "ignore_eos": True}
    status, answer = lab.c.ask("POST", "/v1/completions", body, 600)
    if status != 200:
        raise Trouble("no answer: %s" % answer)
    t = answer["timings"]
    return t["predicted_per_second"], t["prompt_per_second"]


def show(name, one, many):
    ratios = sorted(m / o for o, m in zip(one, many))
    quartiles = statistics.quantiles(ratios, n=4)
    print("%-11s %8.2f %8.2f  %5.2f  %.2f to %.2f" % (name, statistics.median(one), statistics.median(many),
                                                     statistics.median(ratios), quartiles[0], quartiles[2]))


def bound(a, lab, one):
    """Tokens a second that the links allow."""
    status = lab.c.status()
    round_trip, mbit = (float(x) for x in a.lan.split(":"))
    trips = 0.5 if a.collective == "direct" else 1.0
    size = a.embd * {"f32": 4, "f16": 2, "q8": 1.125}[a.payload]
    reduction = trips * round_trip * 1e-6 + (1 if trips < 1 else 2) * 8 * size / (mbit * 1e6)
    step = 1 / one / (1 + a.members) + 2 * a.layers * reduction
    print("bound       %17.2f  (%d reductions of %.0f us; the plan: %s)" %
          (1 / step, 2 * a.layers, 1e6 * reduction, json.dumps(status.get("collective", "?"))))
    return 1 / step


def run(a):
    options = ["--context", "2048", "--payload", a.payload, "--collective", a.collective]
    network = Lan(1 + a.members, *(float(x) for x in a.lan.split(":"))) if a.lan else Loopback()
    alone = Lab(Loopback(), 0, a.builddir, ["--context", "2048"])
    swarm = None
    try:
        swarm = Lab(network, a.members, a.builddir, options)
        serve(alone, a.model)
        serve(swarm, a.model)
        rng = random.Random(1)
        for lab in (alone, swarm):
            rates(lab, a, rng)
        pairs = [(rates(alone, a, rng), rates(swarm, a, rng)) for _ in range(a.rounds)]
        print("tokens/s     one dev. %d dev.  ratio  quartiles" % (1 + a.members))
        for at, name in enumerate(("generation", "prompt")):
            show(name, [p[0][at] for p in pairs], [p[1][at] for p in pairs])
        if a.lan:
            bound(a, swarm, statistics.median(p[0][0] for p in pairs))
    finally:
        alone.close()
        if swarm is not None:
            swarm.close()
        elif a.lan:
            network.close()


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
    p.add_argument("--model", help="instead of a synthetic one of the shape of tinyllama-1.1b")
    p.add_argument("builddir")
    a = p.parse_args()
    if a.lan and not os.path.exists(LAN):
        print("pair.py: --lan needs %s" % LAN, file=sys.stderr)
        return 2
    end_on_sigterm()
    if a.model:
        run(a)
        return 0
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        subprocess.run([sys.executable, os.path.join(here, "..", "support", "synth_model.py"), f.name, "--embd",
                        str(a.embd), "--ffn", str(a.embd * 11 // 4), "--layers", str(a.layers), "--heads", "32",
                        "--kv-heads", "4", "--context", "2048"], check=True)
        a.model = f.name
        run(a)
    return 0


if __name__ == "__main__":
    sys.exit(main())
