#!/usr/bin/env python3
"""A long run with faults: a coordinator and three members; members die and return, stand still, lose
their cables or get slow ones, all by one seed; clients check every byte of every greedy answer.

    soak.py [--seconds N] [--seed N] [--clients N] [--loopback] BUILDDIR

Nothing may be lost, and of every daemon that was never killed, resident memory and descriptors at
the end must be those after the warm-up (but for --slack). Memory is what is the process's own
(RssAnon): pages of mapped files come and go as the system likes. Of a build with AddressSanitizer,
which holds back what is freed, only descriptors are compared. Without root there are no cables to
pull.
"""
import argparse
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Request, known_answer
from lab import end_on_sigterm, whole_swarm
from matrix import progress
from network import Loopback, Switched


class Client(threading.Thread):
    """Asks one thing after another until the end."""

    def __init__(self, lab, known, seed):
        super().__init__(daemon=True)
        self.lab, self.known, self.rng = lab, known, random.Random(seed)
        self.stop = threading.Event()
        self.answers, self.longest, self.wrong = 0, 0.0, []

    def run(self):
        while not self.stop.is_set():
            known = self.rng.choice(self.known)
            r = Request(self.lab.c, known.body["prompt"], len(known.tokens),
                        stream=self.rng.random() < 0.7)
            r.body["frequency_penalty"] = 1
            began = time.time()
            r.run()
            self.longest = max(self.longest, time.time() - began)
            self.answers += 1
            wrong = r.verdict(known)
            if wrong is not None:
                self.wrong.append("%s: %s" % (time.strftime("%H:%M:%S"), wrong))


class Weather:
    """What happens to the members m1 and m2; m3 and c live through it, and m3 has a bad cable."""

    def __init__(self, lab, seed):
        self.lab, self.rng, self.events = lab, random.Random(seed), 0

    def event(self):
        kinds = [self.kill, self.kill, self.stand_still]
        if self.lab.network.cables:
            kinds += [self.cut, self.mute, self.slow, self.slow]
        self.events += 1
        return self.rng.choice(kinds)()

    def kill(self):
        d = self.lab.daemons[self.rng.choice(("m1", "m2"))]
        d.end(self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        time.sleep(self.rng.uniform(0, 5))
        d.start()

    def stand_still(self):
        d = self.lab.daemons[self.rng.choice(("m1", "m2", "m3"))]
        d.send(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 6))
        d.send(signal.SIGCONT)

    def cut(self):
        name = self.rng.choice(("m1", "m2", "m3"))
        self.lab.network.cut(name)
        time.sleep(self.rng.uniform(0.1, 6))
        self.lab.network.mend(name)

    def mute(self):
        name = self.rng.choice(("m1", "m2", "m3"))
        self.lab.network.mute(name, "c")
        time.sleep(self.rng.uniform(0.1, 6))
        self.lab.network.unmute(name, "c")

    def slow(self):
        name = self.rng.choice(("m1", "m2", "m3"))
        self.lab.network.speed(name, self.rng.choice((5, 20, 100)))
        time.sleep(self.rng.uniform(1, 10))
        self.lab.network.speed(name, 0)


def size(d):
    return d.figure("RssAnon"), d.descriptors()


def fill(lab, known):
    """Uses every session of the plan as far as it ever is: before, its KV cache takes no memory."""
    longest = [Request(lab.c, known[-1].body["prompt"], len(known[-1].tokens)) for _ in range(4)]
    for r in longest:
        r.start()
    for r in longest:
        r.join()


def rest(lab, known):
    """How much the survivors hold, when c has had all to do alone, and then all are back."""
    lab.wait_whole(400)
    for d in lab.members:
        d.send(signal.SIGSTOP)
    try:
        fill(lab, known)
    finally:
        for d in lab.members:
            d.send(signal.SIGCONT)
    lab.wait_whole(400)
    fill(lab, known)
    time.sleep(1)
    return {n: size(lab.daemons[n]) for n in ("c", "m3")}


def soak(lab, a):
    """What was wrong, in words."""
    known = [known_answer(lab.c, p, n, frequency_penalty=1)
             for p, n in (("a w1 w2", 120), ("b w9", 60), ("c c c", 200),
                          ([1] + [300 + i * 37 % 700 for i in range(700)], 40))]
    began, warm = time.time(), None
    weather = Weather(lab, a.seed)
    while time.time() - began < a.seconds or warm is None:
        clients = [Client(lab, known, "%d %d %s" % (a.seed, i, warm is None)) for i in range(a.clients)]
        for c in clients:
            c.start()
        # A fifth of the time to warm up, then the rest in one piece.
        until = began + a.seconds * (0.2 if warm is None else 1)
        while time.time() < until:
            progress("%d of %d s: %d events, %d answers" % (
                time.time() - began, a.seconds, weather.events, sum(c.answers for c in clients)))
            time.sleep(weather.rng.uniform(0, 4))
            weather.event()
            if lab.fallen():
                return ["%s fell" % ", ".join(lab.fallen())]
        for c in clients:
            c.stop.set()
        for c in clients:
            c.join(150)
        progress("")
        now = rest(lab, known)
        report(clients, weather, now, time.time() - began)
        wrong = [w for c in clients for w in c.wrong] + [
            "a client hangs" for c in clients if c.is_alive()]
        if wrong:
            return wrong
        if warm is None:
            warm = now
    return grown(warm, now, float("inf") if holds_freed(lab.shoald) else a.slack)


def report(clients, weather, sizes, seconds):
    print("%4.0f s: %d answers, %d events, the longest wait %.1f s; %s" % (
        seconds, sum(c.answers for c in clients), weather.events,
        max(c.longest for c in clients),
        ", ".join("%s has %d kB, %d descriptors" % ((n,) + s) for n, s in sizes.items())), flush=True)


def holds_freed(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


def grown(warm, now, slack):
    wrong = []
    for n in now:
        if now[n][0] > warm[n][0] * (1 + slack / 100):
            wrong.append("%s grew from %d to %d kB" % (n, warm[n][0], now[n][0]))
        if now[n][1] > warm[n][1]:
            wrong.append("%s has %d descriptors instead of %d" % (n, now[n][1], warm[n][1]))
    return wrong


def main():
    p = argparse.ArgumentParser(description="faults for a long time, and every answer checked")
    p.add_argument("builddir")
    p.add_argument("--seconds", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--slack", type=float, default=10, help="percent of memory that may be more")
    p.add_argument("--loopback", action="store_true")
    a = p.parse_args()
    end_on_sigterm()
    network = Loopback() if a.loopback or Switched.missing() else Switched()
    with whole_swarm(network, a.builddir) as lab:
        wrong = soak(lab, a)
        if wrong:
            print("\n".join(lab.tails()))
    for w in wrong:
        print("FAILED: " + w)
    if not wrong:
        print("ok: nothing lost in %d s with seed %d%s" % (
            a.seconds, a.seed, "" if network.cables else " (no cables: no root)"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
