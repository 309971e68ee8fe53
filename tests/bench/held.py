"""Devices that are slower than this machine: held to a part of a core by a cgroup, and far away by a relay.

Needs root, cgroups with the cpu controller (version 1 or 2), and for the relay network namespaces."""
import asyncio
import ctypes
import os
import socket
import subprocess
import threading

PERIOD_US = 10000  # short: a slow processor is slow all the time


def cpu_root():
    """(folder in which cpu groups may be made, version); None: there is none."""
    for folder in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
        if os.access(os.path.join(folder, "cpu.cfs_quota_us"), os.W_OK):
            return folder, 1
    control = "/sys/fs/cgroup/cgroup.subtree_control"
    if os.access(control, os.W_OK):
        try:
            with open(control, "w") as f:
                f.write("+cpu")
            return "/sys/fs/cgroup", 2
        except OSError:
            pass
    return None


class Cpu:
    """A cgroup with so much of a core."""

    def __init__(self, name, part):
        root, version = cpu_root()
        self.dir = os.path.join(root, "shoal-%d-%s" % (os.getpid(), name))
        os.makedirs(self.dir, exist_ok=True)
        quota = max(1000, int(part * PERIOD_US))  # the least that the kernel takes
        period = int(quota / part)
        if version == 1:
            self.write("cpu.cfs_period_us", period)
            self.write("cpu.cfs_quota_us", quota)
        else:
            self.write("cpu.max", "%d %d" % (quota, period))

    def write(self, name, value):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write("%s\n" % value)

    def prefix(self):
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', os.path.join(self.dir, "cgroup.procs")]

    def close(self):
        os.rmdir(self.dir)


class Far:
    """A network namespace whose loopback reaches a port of ours, with a delay each way."""

    def __init__(self, name, port, seconds):
        self.name = "shoal%d%s" % (os.getpid(), name)
        self.port, self.seconds = port, seconds
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        self.listener = self.listen_inside()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def listen_inside(self):
        """A socket stays in the namespace in which it was made."""
        libc = ctypes.CDLL(None, use_errno=True)
        made = []

        def inside():  # a thread of its own, since only that changes its namespace
            with open("/run/netns/" + self.name) as f:
                if libc.setns(f.fileno(), 0) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            s = socket.socket()
            s.bind(("127.0.0.1", self.port))
            s.listen()
            made.append(s)

        t = threading.Thread(target=inside)
        t.start()
        t.join()
        return made[0]

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())

    async def serve(self):
        self.done = asyncio.Event()
        server = await asyncio.start_server(self.relay, sock=self.listener)
        await self.done.wait()
        server.close()

    async def relay(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, back), self.pump(there, writer))

    async def pump(self, reader, writer):
        try:
            while True:
                data = await reader.read(65536)
                if not data:
                    break
                self.loop.call_later(self.seconds, writer.write, data)
        except OSError:
            pass
        self.loop.call_later(self.seconds, writer.close)

    def close(self):
        self.loop.call_soon_threadsafe(self.done.set)
        self.thread.join()
        subprocess.run(["ip", "netns", "del", self.name], check=True)
