#!/usr/bin/env python3
"""How much sooner a long document is read when a member reads too.

    document.py BUILDDIR MODEL [--held PART] [--lines N] [--times N]

Starts two paired daemons on loopback, both with MODEL as their small model, and asks one question of each line of a
text, by the coordinator alone and by both, in turn. It takes two cores that nobody else uses: with one of them busy
both are no faster than one. With --held each daemon is stopped and let go 20 times a second, so that it has PART of its
time: two devices on a machine that has other work, or fewer cores than two devices have.
"""
import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(here, "../swarm"), os.path.join(here, "../support")]
from chat import Unix
from free_port import free_port


def post(path, where, body):
    c = Unix(path)
    c.request("POST", where, json.dumps(body), {"Content-Type": "application/json"})
    return json.load(c.getresponse())


class Device:
    def __init__(self, build, folder, name, model):
        self.socket = os.path.join(folder, name + ".sock")
        state = os.path.join(folder, name)
        os.mkdir(state, 0o700)
        with open(os.path.join(folder, name + ".log"), "w") as log:
            self.process = subprocess.Popen(
                [build + "/daemon/shoald", "--config", "/dev/null", "--state-dir", state, "--socket", self.socket,
                 "--http", "off", "--name", name, "--listen", "127.0.0.1:%d" % free_port(), "--threads", "1",
                 "--discovery", "0", "--small-model", model], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not os.path.exists(self.socket):
            time.sleep(0.05)

    def hold(self, part, stop):
        """In a thread of its own."""
        while not stop.is_set():
            time.sleep(0.05 * part)
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(0.05 * (1 - part))
            self.process.send_signal(signal.SIGCONT)


def ask(device, model, text):
    began = time.monotonic()
    o = post(device.socket, "/v1/chat/completions",
             {"model": model, "temperature": 0, "messages": [{"role": "user", "content": "how warm is the kitchen?"}],
              "shoal": {"mode": "document", "document": text, "part_bytes": 160, "max_jobs": 4096}})
    if "shoal" not in o:
        raise SystemExit(o)
    return time.monotonic() - began, o["shoal"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("model")
    p.add_argument("--held", type=float, default=0)
    p.add_argument("--lines", type=int, default=200)
    p.add_argument("--times", type=int, default=5)
    a = p.parse_args()
    r = random.Random(1)
    rooms = ["kitchen", "bedroom", "bathroom", "office", "nursery", "guest room", "attic", "garage"]
    text = "".join("; ".join("%s %d, light %s" % (x, r.randint(16, 23), r.choice(["on", "off"]))
                             for x in r.sample(rooms, 5)) + "\n" for _ in range(a.lines))
    with tempfile.TemporaryDirectory() as folder:
        c = Device(a.build, folder, "c", os.path.abspath(a.model))
        m = Device(a.build, folder, "m", os.path.abspath(a.model))
        stop = threading.Event()
        try:
            code = post(c.socket, "/shoal/v1/invite", {"seconds": 60})["code"]
            post(m.socket, "/shoal/v1/join", {"code": code})
            for _ in range(300):  # until both have measured themselves, and read
                if len(ask(c, "auto:home", text[:2000])[1].get("readers", [])) == 2:
                    break
                time.sleep(0.2)
            time.sleep(20)
            holders = [threading.Thread(target=d.hold, args=(a.held, stop)) for d in (c, m) if a.held > 0]
            for h in holders:
                h.start()
            alone, both = [], []
            for _ in range(a.times):
                alone.append(ask(c, "auto:local", text)[0])
                seconds, said = ask(c, "auto:home", text)
                both.append(seconds)
            stop.set()
            for h in holders:
                h.join()
            jobs = [x["jobs"] for x in said["readers"]]
            print("%d parts: alone %.2f s, with a member %.2f s (medians of %d): %.2f times as fast, %.2f the best of "
                  "each; it read %d of %d"
                  % (said["parts"], statistics.median(alone), statistics.median(both), a.times,
                     statistics.median(alone) / statistics.median(both), min(alone) / min(both), jobs[1], sum(jobs)))
        finally:
            stop.set()
            for d in (c, m):
                d.process.send_signal(signal.SIGCONT)
                d.process.kill()
                d.process.wait()


if __name__ == "__main__":
    main()
