#!/usr/bin/env python3
"""What a router learns from labels that a daemon made while idle, beside the same queries with true labels.

    labels.py BUILDDIR [--labels N] [--test N]

hearth-small and hearth answer N commands (tools/hearth/traffic.py) for the model auto; the daemon labels them while
idle. Then it is asked others, whose right answers are known, with the small model alone: the gains that it expects,
its tokens seen, are put in order, and the area under quality against share of calls to the large one, as a part of
the gap (APGR, 0.5 at random), is printed for labels made at idle, for true ones, and for none.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import document
from free_port import free_port

SRC = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
SMALL, LARGE = SRC + "/models/hearth-small.gguf", SRC + "/models/hearth.gguf"


class Daemon:
    """The pair on this device; state in a folder of its own."""

    def __init__(self, build, folder, name, *options):
        self.shoal = build + "/client/shoal"
        self.socket = os.path.join(folder, name + ".sock")
        state = os.path.join(folder, name)
        os.mkdir(state, 0o700)
        with open(os.path.join(folder, name + ".log"), "w") as log:
            self.process = subprocess.Popen(
                [build + "/daemon/shoald", "--config", "/dev/null", "--state-dir", state, "--socket", self.socket,
                 "--http", "off", "--listen", "127.0.0.1:%d" % free_port(), "--threads", "1", "--discovery",
                 "0", "--model", LARGE, "--small-model", SMALL, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while self.call("status").returncode != 0:
            time.sleep(0.1)

    def call(self, *args):
        return subprocess.run([self.shoal, args[0], "--socket", self.socket, *args[1:]], capture_output=True, text=True)

    def route(self):
        return json.loads(self.call("route", "--json").stdout)

    def ask(self, sample, **shoal):
        messages = [{"role": "system", "content": sample["system"]}] if sample["system"] else []
        body = {"model": "auto", "temperature": 0, "max_tokens": 256, "shoal": shoal,
                "messages": messages + [{"role": "user", "content": sample["user"]}]}
        o = document.post(self.socket, "/v1/chat/completions", body)
        if "shoal" not in o:
            raise SystemExit(o)
        return o

    def end(self):
        self.process.kill()
        self.process.wait()


def lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def answered(build, folder, split, n):
    """Samples, the files of what each model did with them, and whether it was right."""
    data = "%s/%s.jsonl" % (folder, split)
    with open(data, "w") as f:
        subprocess.run([sys.executable, SRC + "/tools/hearth/traffic.py", split, "-n", str(n)], stdout=f, check=True)
    files = []
    for model in SMALL, LARGE:
        files.append("%s.%d" % (data, len(files)))
        subprocess.run([build + "/client/shoal", "eval", "hearth", "--local", "--threads", "1", "--no-shard", "-m", model,
                        "--data", data, "--signals", files[-1]], stdout=subprocess.DEVNULL, check=True)
    return lines(data), files, [[x["right"] for x in lines(f)] for f in files]


def apgr(gains, small, large):
    order = sorted(range(len(gains)), key=lambda i: -gains[i])
    now, best, area = sum(small), sum(large), 0.0
    base = now
    for i in order:
        before = now
        now += large[i] - small[i]
        area += (before + now) / 2 - base
    return area / len(order) / (best - base)


def gains(daemon, samples):
    return [daemon.ask(s, quality=0)["shoal"]["gain"] for s in samples]


def label_all(daemon, samples):
    """In parts: so many prompts wait at most."""
    for i in range(0, len(samples), 25):
        part = samples[i:i + 25]
        for k, s in enumerate(part):
            daemon.ask(s, quality=k % 2)
        while daemon.route()["labels"]["waiting"] > 0:
            time.sleep(0.2)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--labels", type=int, default=300)
    p.add_argument("--test", type=int, default=1500)
    a = p.parse_args()
    build = os.path.abspath(a.build)
    with tempfile.TemporaryDirectory() as folder:
        train, files, _ = answered(build, folder, "train", a.labels)
        test, _, (small, large) = answered(build, folder, "test", a.test)
        print("%d commands: small %.1f%%, large %.1f%% right" % (len(test), 100 * sum(small) / len(test),
                                                                100 * sum(large) / len(test)))
        truth = Daemon(build, folder, "truth")
        try:
            print("no labels:          APGR %.3f" % apgr(gains(truth, test), small, large))
            truth.call("route", "train", *files)
            print("%d true labels:    APGR %.3f" % (a.labels, apgr(gains(truth, test), small, large)), flush=True)
        finally:
            truth.end()
        idle = Daemon(build, folder, "idle", "--labels", "idle", "--label-share", "1", "--label-after", "0")
        try:
            began = time.monotonic()
            label_all(idle, train)
            seconds = time.monotonic() - began
            made = idle.route()["labels"]["made"]
            idle.call("route", "train")
            print("%d labels at idle: APGR %.3f (%s; %.1f s each)"
                  % (a.labels, apgr(gains(idle, test), small, large),
                     ", ".join("%d %s" % (n, how) for how, n in made.items()), seconds / a.labels))
        finally:
            idle.end()


if __name__ == "__main__":
    main()
