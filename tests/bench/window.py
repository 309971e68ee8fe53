#!/usr/bin/env python3
"""Measure generation under memory budgets and print it beside the bound: make bench-window.

    window.py SHOAL MODEL.gguf [BUDGET...] [-n N] [-r RUNS] [--context N]

For each budget: tokens/s, the bound max(compute, streamed bytes / disk speed), the peak of resident
memory as the system saw it, and what streamed. The disk's speed is what a plain reader with requests
of the same size (1 MiB, four at once, past the page cache) measures on the model's shard before and
after the run; compute is generation with everything in memory, before the first budget. The page
cache is emptied first and the process put into a memory cgroup 10% above the budget, where that is
allowed (root); what could not be done is said.
"""
import argparse
import glob
import json
import mmap
import os
import subprocess
import sys
import threading
import time

REQUEST = 1 << 20
READERS = 4


def size(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(float(text[:-1]) * (1 << units[text[-1]])) if text[-1] in units else int(text)


def disk_speed(path, most=1 << 30):
    """Bytes a second of a plain reader."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    end = min(os.fstat(fd).st_size, most) // REQUEST * REQUEST
    places, lock = iter(range(0, end, REQUEST)), threading.Lock()

    def reader():
        room = mmap.mmap(-1, REQUEST)
        while True:
            with lock:
                at = next(places, None)
            if at is None:
                return
            os.preadv(fd, [room], at)

    start = time.monotonic()
    threads = [threading.Thread(target=reader) for _ in range(READERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.close(fd)
    return end / (time.monotonic() - start)


def drop_cache(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Cgroup:
    """A memory cgroup of this process's own (either version of the interface); None where there is none."""

    def __init__(self, limit):
        self.path = None
        for root, name in (("/sys/fs/cgroup", "memory.max"),
                           ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
            path = "%s/shoal-bench-%d" % (root, os.getpid())
            if not os.path.exists(root + "/cgroup.procs"):
                continue
            try:
                os.mkdir(path)
                with open(path + "/" + name, "w") as f:
                    f.write(str(limit))
                self.path = path
                return
            except OSError:
                if os.path.isdir(path):
                    os.rmdir(path)

    def enter(self):
        if self.path:
            with open(self.path + "/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

    def remove(self):
        for _ in range(50):
            try:
                if self.path:
                    os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


def bench(a, budget, cgroup):
    """(the command's figures, peak of resident bytes)."""
    command = [a.shoal, "bench", "--local", "-m", a.model, "-p", "0", "-n", str(a.n), "-r",
               str(a.runs), "-t", str(a.threads), "-o", "json", "--memory", budget]
    p = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=cgroup.enter if cgroup else None)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    if status != 0:
        sys.exit("%s: failed (%d)" % (" ".join(command), status))
    return json.loads(out)[0], usage.ru_maxrss * 1024


def newest_shard(model):
    state = os.environ.get("XDG_STATE_HOME", os.path.expanduser("~/.local/state"))
    stem = os.path.basename(model).rsplit(".", 1)[0]
    found = glob.glob("%s/shoal/shards/%s-*.shard" % (state, stem))
    if not found:
        sys.exit("no shard of %s in %s/shoal/shards" % (model, state))
    return max(found, key=os.path.getmtime)


def line(*cells):
    print("%-8s %9s %9s %9s %9s %9s %8s %8s %7s %7s" % cells, flush=True)


def measure(a, budget, compute):
    shard = newest_shard(a.model)
    drop_cache([a.model, shard])
    cgroup = None if budget == "auto" else Cgroup(int(size(budget) * 1.1))
    before = disk_speed(shard)
    figures, peak = bench(a, budget, cgroup)
    disk = (before + disk_speed(shard)) / 2
    if cgroup:
        cgroup.remove()
    streamed = figures.get("streamed_bytes_per_step", 0)
    seconds = max(compute or 1 / figures["avg_ts"], streamed / disk)
    line(budget, "%.2f" % figures["avg_ts"], "%.2f" % (1 / seconds),
         "%.2f" % (figures["avg_ts"] * seconds), "%.0f" % (peak / (1 << 20)),
         "%.0f" % (figures.get("resident_bytes", 0) / (1 << 20)), "%.0f" % (streamed / (1 << 20)),
         "%.2f" % (disk / 1e9), "%.2f" % (figures.get("disk_bytes_per_second", 0) / 1e9),
         "yes" if cgroup and cgroup.path else "no")
    return 1 / figures["avg_ts"]


def main():
    p = argparse.ArgumentParser(description="generation under memory budgets")
    p.add_argument("shoal")
    p.add_argument("model")
    p.add_argument("budgets", nargs="*", default=["450M", "250M"])
    p.add_argument("-n", type=int, default=24)
    p.add_argument("-r", "--runs", type=int, default=2)
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("--compute", type=float,
                   help="seconds of a token with everything in memory, where it cannot be measured")
    a = p.parse_args()
    compute = a.compute
    line("memory", "tokens/s", "bound", "share", "peak MB", "resident", "streamed", "disk", "used",
         "cgroup")
    if compute is None:
        subprocess.run([a.shoal, "bench", "--local", "-m", a.model, "-p", "0", "-n", "1", "-r", "1",
                        "-o", "json"], check=True, stdout=subprocess.DEVNULL)
        compute = measure(a, "auto", None)
    for budget in a.budgets:
        measure(a, budget, compute)


if __name__ == "__main__":
    main()
