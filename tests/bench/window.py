#!/usr/bin/env python3
"""Measure generation under memory budgets and print it beside the bound: make bench-window.

    window.py SHOAL MODEL.gguf [BUDGET...] [--turns N]

For each budget: tokens/s, the bound max(compute, streamed bytes / disk speed), the share of it that was
reached, the peak of resident memory as the system saw it, and what streamed. Compute is generation
with everything in memory. The page cache is emptied first and the process put into a memory cgroup
10% above the budget, where that is allowed (root); what could not be done is said.

The disk's speed is what a plain reader with requests of the same size (1 MiB, four at once, past the
page cache) measures on the model's shard. Disks that others share, as those of virtual machines, swing
by a factor of two within seconds. So the two take turns of a second each: the generation is stopped
(SIGSTOP) while the plain reader reads, and what it read in its own seconds is what the kernel counted
for it (/proc/PID/io); tokens/s are these bytes over those of a step. Medians over pairs of turns.

--disk SPEED puts all of it, the plain reader too, into a block I/O cgroup that reads no faster: how it
would be on a slower disk, and where disk and computing do not compete for the same memory bandwidth.
"""
import argparse
import ctypes
import glob
import itertools
import json
import mmap
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

REQUEST = 1 << 20
READERS = 4


def size(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(float(text[:-1]) * (1 << units[text[-1]])) if text[-1] in units else int(text)


def room_of_huge_pages():
    """Memory for each reader's request, in huge pages where there are any: reading into them is faster."""
    huge = 2 << 20
    room = mmap.mmap(-1, READERS * REQUEST + huge, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            room.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass
    at = -ctypes.addressof(ctypes.c_char.from_buffer(room)) % huge
    return [memoryview(room)[at + i * REQUEST:at + (i + 1) * REQUEST] for i in range(READERS)]


def disk_speed(path, seconds):
    """Bytes a second of a plain reader that reads around the file for so long."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    end = os.fstat(fd).st_size // REQUEST * REQUEST
    places, lock = itertools.cycle(range(0, end, REQUEST)), threading.Lock()
    rooms, done = room_of_huge_pages(), [0] * READERS
    start = time.monotonic()

    def reader(me):
        while time.monotonic() - start < seconds:
            with lock:
                at = next(places)
            done[me] += os.preadv(fd, [rooms[me]], at)

    threads = [threading.Thread(target=reader, args=(i,)) for i in range(READERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.close(fd)
    return sum(done) / (time.monotonic() - start)


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


class SlowDisk:
    """A cgroup whose reads of the model's disk are no faster; this process enters it."""

    def __init__(self, speed, path):
        self.path = None
        device = os.stat(path).st_dev
        name = "shoal-bench-%d" % os.getpid()
        disk = os.path.realpath("/sys/dev/block/%d:%d" % (os.major(device), os.minor(device)))
        if os.path.exists(disk + "/partition"):
            disk = os.path.dirname(disk)
        with open(disk + "/dev") as f:
            device = f.read().strip()
        for root, key, line in (("/sys/fs/cgroup", "io.max", "%s rbps=%d" % (device, speed)),
                                ("/sys/fs/cgroup/blkio", "blkio.throttle.read_bps_device",
                                 "%s %d" % (device, speed))):
            if not os.path.exists(root + "/cgroup.procs"):
                continue
            os.mkdir(root + "/" + name)
            self.path, self.home = root + "/" + name, root
            with open(self.path + "/" + key, "w") as f:
                f.write(line)
            self.move(self.path)
            return
        sys.exit("--disk: there is no cgroup for block I/O here (root is needed)")

    @staticmethod
    def move(path):
        with open(path + "/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))

    def remove(self):
        self.move(self.home)
        os.rmdir(self.path)


def start(a, budget, tokens, cgroup):
    command = [a.shoal, "bench", "--local", "-m", a.model, "-p", "0", "-n", str(tokens), "-r", "1", "-t",
               str(a.threads), "-o", "json", "--memory", budget]
    return subprocess.Popen(command, stdout=subprocess.PIPE,
                            preexec_fn=cgroup.enter if cgroup else None)


def whole_run(a, budget, tokens, cgroup):
    """(what the command says, peak of resident bytes) of a run that nothing disturbs."""
    p = start(a, budget, tokens, cgroup)
    out = p.stdout.read()
    _, p.returncode, usage = os.wait4(p.pid, 0)
    if p.returncode != 0:
        sys.exit("shoal bench: failed (%d)" % p.returncode)
    return json.loads(out)[0], usage.ru_maxrss * 1024


def bytes_read(pid):
    with open("/proc/%d/io" % pid) as f:
        return int(next(l for l in f if l.startswith("read_bytes")).split()[1])


def turns(a, budget, figures, shard, cgroup):
    """[(bytes a second of the generation, of the plain reader)], turn by turn."""
    step = figures["streamed_bytes_per_step"]
    p = start(a, budget, int(4 * a.turns * figures["avg_ts"] * a.turn) + 100, cgroup)
    pairs, before = [], None
    try:
        while bytes_read(p.pid) < figures["resident_bytes"] + 4 * step:
            time.sleep(0.1)
        while len(pairs) < a.turns:
            at, since = bytes_read(p.pid), time.monotonic()
            time.sleep(a.turn)
            os.kill(p.pid, signal.SIGSTOP)
            ours = (bytes_read(p.pid) - at) / (time.monotonic() - since)
            plain = disk_speed(shard, a.turn)
            os.kill(p.pid, signal.SIGCONT)
            # Each turn of the generation lies between two of the plain reader.
            pairs += [(ours, (before + plain) / 2)] if before else []
            before = plain
    finally:
        p.kill()
        p.wait()
    return pairs


def newest_shard(model):
    state = os.environ.get("XDG_STATE_HOME", os.path.expanduser("~/.local/state"))
    stem = os.path.basename(model).rsplit(".", 1)[0]
    found = glob.glob("%s/shoal/shards/%s-*.shard" % (state, stem))
    if not found:
        sys.exit("no shard of %s in %s/shoal/shards" % (model, state))
    return max(found, key=os.path.getmtime)


def line(*cells):
    print("%-8s %9s %9s %7s %13s %9s %9s %9s %9s %7s" % cells, flush=True)


def measure(a, budget, compute):
    shard = newest_shard(a.model)
    drop_cache([a.model, shard])
    cgroup = Cgroup(int(size(budget) * 1.1))
    figures, peak = whole_run(a, budget, a.n, cgroup)
    step = figures.get("streamed_bytes_per_step", 0)
    if step == 0:
        sys.exit("nothing streams with %s" % budget)
    pairs = turns(a, budget, figures, shard, cgroup)
    cgroup.remove()
    shares = [ours / step * max(compute, step / plain) for ours, plain in pairs]
    line(budget, "%.2f" % statistics.median(ours / step for ours, _ in pairs),
         "%.2f" % statistics.median(1 / max(compute, step / plain) for _, plain in pairs),
         "%.2f" % statistics.median(shares), "%.2f to %.2f" % (min(shares), max(shares)),
         "%.0f" % (peak / (1 << 20)), "%.0f" % (figures["resident_bytes"] / (1 << 20)),
         "%.0f" % (step / (1 << 20)), "%.2f" % (statistics.median(d for _, d in pairs) / 1e9),
         "yes" if cgroup.path else "no")


def main():
    p = argparse.ArgumentParser(description="generation under memory budgets")
    p.add_argument("shoal")
    p.add_argument("model")
    p.add_argument("budgets", nargs="*", default=["450M", "250M"])
    p.add_argument("-n", type=int, default=16, help="tokens of the run that nothing disturbs")
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("--turns", type=int, default=25)
    p.add_argument("--turn", type=float, default=1.0, help="seconds")
    p.add_argument("--disk", help="bytes a second that the disk is held to, as in 2G")
    p.add_argument("--compute", type=float,
                   help="seconds of a token with everything in memory, where it cannot be measured")
    a = p.parse_args()
    line("memory", "tokens/s", "bound", "share", "least to most", "peak MB", "resident", "streamed",
         "disk GB/s", "cgroup")
    compute = a.compute
    if compute is None:
        whole_run(a, "auto", 1, None)  # makes the shard
        figures, peak = whole_run(a, "auto", 3 * a.n, None)
        compute = 1 / figures["avg_ts"]
        line("auto", "%.2f" % figures["avg_ts"], "", "", "", "%.0f" % (peak / (1 << 20)), "", "0", "", "no")
    slow = SlowDisk(size(a.disk), newest_shard(a.model)) if a.disk else None
    try:
        for budget in a.budgets:
            measure(a, budget, compute)
    finally:
        if slow:
            slow.remove()


if __name__ == "__main__":
    main()
