#!/usr/bin/env python3
"""Two models that write together, measured: make bench-token.

    token_mode.py BUILD [-n COMMANDS] [--peers N] [--data FILE] [--models FOLDER] [THRESHOLD...]

Starts a swarm of its own on loopback that serves hearth, with hearth-small on the coordinator, and has
`shoal eval hearth` answer commands: by each model alone, by both with each threshold, and by the large
one from drafts. Prints for each how many were answered right, the share of the tokens that the large
model decided, how often it was asked (steps) per token, and the seconds. Controls: the large model at
a random share of the commands (the straight line between the two), and the text: with drafts it has to be
the large model's, answer by answer.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from free_port import free_port

THRESHOLDS = ["0.2", "0.4", "0.6", "0.8", "0.9", "0.95", "0.98", "0.99"]


class Swarm:
    def __init__(self, build, models, peers, folder):
        self.build, self.folder, self.daemons = build, folder, []
        self.start("c", "--model", f"{models}/hearth.gguf", "--small-model", f"{models}/hearth-small.gguf",
                   "--peers", str(peers))
        for i in range(1, peers):
            self.start(f"m{i}")
            code = self.shoal("c", "invite", "--no-wait").strip()
            self.shoal(f"m{i}", "join", code)
        for _ in range(300):
            status = json.loads(self.shoal("c", "status", "--json", check=False) or "{}")
            if status.get("serving") and sum("heads" in p for p in status["peers"]) == peers:
                return
            time.sleep(0.1)
        raise SystemExit("the swarm does not serve")

    def start(self, name, *options):
        state = f"{self.folder}/{name}"
        os.makedirs(f"{state}/state", mode=0o700)
        with open(f"{state}/log", "wb") as log:
            self.daemons.append(subprocess.Popen(
                [f"{self.build}/daemon/shoald", "--config", "/dev/null", "--state-dir", f"{state}/state", "--socket",
                 f"{state}/sock", "--http", "off", "--name", name, "--listen", f"127.0.0.1:{free_port()}", "--threads",
                 "1", "--kv", "f32", "--plan", "all", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for _ in range(200):
            if subprocess.run([f"{self.build}/client/shoal", "status", "--socket", f"{state}/sock"],
                              capture_output=True).returncode != 3:
                return
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer")

    def shoal(self, name, command, *arguments, check=True):
        return subprocess.run(
            [f"{self.build}/client/shoal", command, "--socket", f"{self.folder}/{name}/sock", *arguments], check=check,
            stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL).stdout

    def stop(self):
        for d in self.daemons:
            d.send_signal(signal.SIGTERM)
        for d in self.daemons:
            d.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("build")
    p.add_argument("thresholds", nargs="*", default=THRESHOLDS)
    p.add_argument("-n", type=int, default=1000)
    p.add_argument("--peers", type=int, default=1)
    p.add_argument("--data", help="other commands than hearth-eval.jsonl, as tools/hearth/traffic.py makes them")
    p.add_argument("--models", default=os.path.join(os.path.dirname(__file__), "../../models"))
    o = p.parse_args()
    models = os.path.abspath(o.models)
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        swarm = Swarm(os.path.abspath(o.build), models, o.peers, folder)
        try:
            measure(swarm, models, o)
        finally:
            swarm.stop()


def measure(swarm, models, o):
    def evaluate(model, *options):
        return json.loads(swarm.shoal("c", "eval", "hearth", "-m", model, "--data", o.data or f"{models}/hearth-eval.jsonl", "-n",
                                      str(o.n), "--json", "--quiet", *options))

    small, large = evaluate("auto:local"), evaluate("auto:home")
    print(f"{o.n} commands, {o.peers} device{'s' if o.peers > 1 else ''} with hearth, hearth-small on the first")
    print(f"{'':24}{'right':>8}{'large tokens':>14}{'random':>8}{'steps/token':>13}{'seconds':>9}")

    def row(name, r):
        t = r.get("tokens")
        n = t["small"] + t["large"] if t else 1
        share = t["large"] / n if t else {"small alone": 0, "large alone": 1}[name]
        line = small["exact_match"] + share * (large["exact_match"] - small["exact_match"])
        print(f"{name:24}{100 * r['exact_match']:7.1f}%{100 * share:13.1f}%{100 * line:7.1f}%"
              f"{t['large_asked'] / n if t else share:13.3f}{r['seconds']:9.1f}", flush=True)

    row("small alone", small)
    for threshold in o.thresholds:
        row(f"threshold {threshold}", evaluate("auto", "--mode", "token", "--token-threshold", threshold))
    row("large alone", large)
    drafts = evaluate("auto", "--mode", "token", "--verify", "all")
    row("large, from drafts", drafts)
    t = drafts["tokens"]
    print(f"of {t['drafted']} tokens that were drafted or guessed {100 * t['accepted'] / t['drafted']:.1f}% were accepted; "
          f"{'the same answers' if drafts['wrong'] == large['wrong'] else 'OTHER ANSWERS'} as the large model's alone")
    if drafts["wrong"] != large["wrong"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
