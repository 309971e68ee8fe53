"""A swarm of real daemons that a test may hurt: c coordinates, m1, m2, ... are its members."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


# Floats everywhere: its texts do not hang on the last bit of a sum, which is another one with
# another number of devices.
MODEL = ["--f32", "--embd", "256", "--ffn", "704", "--layers", "6", "--heads", "8", "--kv-heads", "8"]


class Trouble(Exception):
    """Something is not as it must be."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Log:
    """A daemon's log from one point on, as (unix time, text)."""
    line = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d{3}) \w+: (.*)")

    def __init__(self, path):
        self.path = path
        self.at = os.path.getsize(path) if os.path.exists(path) else 0

    def read(self):
        with open(self.path, errors="replace") as f:
            f.seek(self.at)
            text = f.read()
        midnight = time.mktime(time.localtime()[:3] + (0, 0, 0, 0, 0, -1))
        for m in map(self.line.match, text[:text.rfind("\n") + 1].splitlines()):
            if m:
                t = midnight + int(m[1]) * 3600 + int(m[2]) * 60 + float(m[3])
                yield (t - 86400 if t > time.time() + 3600 else t), m[4]

    def find(self, pattern, since=0.0):
        """Time of the first line after `since` that matches; None."""
        for t, text in self.read():
            if t >= since and re.search(pattern, text):
                return t
        return None

    def wait(self, pattern, limit, since=0.0):
        end = time.time() + limit
        while True:
            t = self.find(pattern, since)
            if t is not None:
                return t
            if time.time() > end:
                raise Trouble("%s: no '%s' within %g s" % (self.path, pattern, limit))
            time.sleep(0.003)


class Daemon:
    def __init__(self, lab, name, options):
        self.lab, self.name, self.options = lab, name, options
        self.dir = os.path.join(lab.dir, name)
        self.state = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "sock")
        self.logfile = os.path.join(self.dir, "log")
        os.makedirs(self.state, mode=0o700)
        self.address = lab.network.add(name)
        self.process = None
        self.wanted = False  # it should be running

    def start(self):
        with open(self.logfile, "ab") as log:
            self.process = subprocess.Popen(
                self.lab.network.enter(self.name) +
                [self.lab.shoald, "--config", "/dev/null", "--state-dir", self.state, "--socket",
                 self.socket, "--http", "off", "--name", self.name, "--listen", self.address,
                 "--threads", "1", "--plan", "all"] + self.options,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wanted = True
        end = time.time() + 60
        while self.status() is None:
            if not self.alive() or time.time() > end:
                raise Trouble("%s does not start" % self.name)
            time.sleep(0.02)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        self.wanted = False
        self.process.send_signal(number)
        status = self.process.wait()
        if number == signal.SIGTERM and status != 0:
            raise Trouble("%s ended with %d" % (self.name, status))

    def ask(self, method, path, body=None, timeout=10):
        c = UnixConnection(self.socket, timeout)
        try:
            c.request(method, path, body=json.dumps(body) if body is not None else None)
            r = c.getresponse()
            return r.status, json.loads(r.read() or b"null")
        finally:
            c.close()

    def status(self):
        try:
            return self.ask("GET", "/shoal/v1/status", timeout=2)[1]
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def log(self):
        return Log(self.logfile)

    def shards(self):
        """The files of its slices, the newest last."""
        folder = os.path.join(self.state, "shards")
        found = [os.path.join(folder, f) for f in os.listdir(folder)] if os.path.isdir(folder) else []
        return sorted((f for f in found if f.endswith(".shard")), key=os.path.getmtime)

    def is_fetching(self):
        """A slice has begun to arrive; it may be here by now."""
        folder = os.path.join(self.state, "shards")
        return os.path.isdir(folder) and len(os.listdir(folder)) > 0

    def figure(self, key):
        """A number out of /proc/PID/status."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return next(int(l.split()[1]) for l in f if l.startswith(key + ":"))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def end_on_sigterm():
    """A test that is told to end takes its daemons and namespaces with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Lab:
    def __init__(self, network, members, builddir, options=()):
        self.network = network
        self.shoald = os.path.join(builddir, "daemon", "shoald")
        self.dir = tempfile.mkdtemp(prefix="shoal-faults-")
        self.daemons = {}
        try:
            for name in ["c"] + ["m%d" % i for i in range(1, members + 1)]:
                self.daemons[name] = Daemon(self, name, list(options) if name == "c" else [])
                self.daemons[name].start()
            self.c = self.daemons["c"]
            self.members = [d for n, d in self.daemons.items() if n != "c"]
            for d in self.members:
                self.pair(d)
        except BaseException:
            self.close()
            raise

    def pair(self, member):
        status, invite = self.c.ask("POST", "/shoal/v1/invite", {})
        if status == 200:
            status, _ = member.ask("POST", "/shoal/v1/join", {"code": invite["code"]}, 20)
        if status != 200:
            raise Trouble("%s could not join: %d" % (member.name, status))

    def load(self, path):
        status, answer = self.c.ask("POST", "/shoal/v1/load", {"model": path}, 60)
        if status != 200:
            raise Trouble("the model cannot be loaded: %s" % answer)

    def devices(self):
        """How many the plan that serves is made of; 0: none serves."""
        s = self.c.status()
        return sum("heads" in p for p in s["peers"]) if s is not None and s["serving"] else 0

    def wait_whole(self, limit=90):
        """Until all devices take part."""
        end = time.time() + limit
        while self.devices() < len(self.daemons):
            if time.time() > end:
                raise Trouble("%d of %d devices take part after %g s" %
                              (self.devices(), len(self.daemons), limit))
            time.sleep(0.05)

    def fallen(self):
        """Names of daemons that should be running and are not."""
        return [d.name for d in self.daemons.values() if d.wanted and not d.alive()]

    def tails(self, lines=12):
        for d in self.daemons.values():
            if os.path.exists(d.logfile):
                with open(d.logfile, errors="replace") as f:
                    yield "--- %s\n%s" % (d.logfile, "".join(f.readlines()[-lines:]))

    def close(self):
        for d in self.daemons.values():
            if d.alive():
                d.process.kill()
                d.process.wait()
        self.network.close()
        shutil.rmtree(self.dir, ignore_errors=True)


@contextlib.contextmanager
def whole_swarm(network, builddir):
    """A coordinator and three members that serve MODEL; what their logs end with is shown when something goes wrong."""
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.NamedTemporaryFile(suffix=".gguf") as model:
        subprocess.run([sys.executable, os.path.join(here, "..", "support", "synth_model.py"),
                        model.name] + MODEL, check=True)
        lab = Lab(network, 3, builddir, ["--context", "2048", "--kv", "f32"])
        try:
            lab.load(model.name)
            lab.wait_whole()
            yield lab
        except BaseException:
            print("\n".join(lab.tails()), flush=True)
            raise
        finally:
            lab.close()
