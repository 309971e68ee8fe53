"""Swarms that live at the same time and take turns, so that what else this machine does falls on all of them alike;
those that are not asked sleep. Where they live: on the loopback, or each device in a network namespace of
../shared/tools/lan.sh; any device may be held to a part of a core (held.py)."""
import contextlib
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
from held import Cpu, cpu_root
from lab import Lab, Trouble, end_on_sigterm
from network import Loopback

LAN = os.path.join(here, "..", "..", "..", "shared", "tools", "lan.sh")


class Devices:
    """Devices in which several swarms may live: each a share of a core (parts: 1 is all of one, a float less), CPUs
    of its own where there are enough (in pairs, which may be threads of one core), and with
    link = "ROUND_TRIP_US:MBIT" a network namespace on a cable of such a kind."""

    def __init__(self, parts, link=None):
        self.cpus = [Cpu("device%d" % i, part) if part < 1 else None for i, part in enumerate(parts)]
        self.link, self.swarms = link, 0
        usable = sorted(os.sched_getaffinity(0))
        each = len(usable) // (len(parts) + 1) // 2 * 2  # the rest for the network between them
        self.places = [usable[i * each:(i + 1) * each] for i in range(len(parts))]
        self.prefix = "s%dh" % (os.getpid() % 1000000)
        self.env = dict(os.environ, LAN_STATE="/run/shoal-lan-%d" % os.getpid())
        if link:
            round_trip_us, mbit = (float(x) for x in link.split(":"))
            self.lan("up", str(len(parts)), str(int(round_trip_us / 2)), "%g" % mbit, self.prefix)

    def lan(self, *words):
        subprocess.run(["bash", LAN, *words], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def swarm(self, first=0, cpus_of=1):
        """A network for a Lab, whose devices are these from the first one on, each with the CPUs of so many."""
        self.swarms += 1
        return Swarm(self, first, 8642 + self.swarms, cpus_of)

    def enter(self, at, cpus_of):
        prefix = self.cpus[at].prefix() if self.cpus[at] else []
        places = sum(self.places[at:at + cpus_of], [])
        if places:
            prefix += ["taskset", "-c", ",".join(map(str, places))]
        return prefix + (["ip", "netns", "exec", "%s%d" % (self.prefix, 1 + at)] if self.link else [])

    def close(self):
        for cpu in self.cpus:
            if cpu:
                cpu.close()
        if self.link:
            self.lan("down")
            subprocess.run(["rm", "-rf", self.env["LAN_STATE"]], check=False)


class Swarm(Loopback):
    """Where the daemons of one swarm live. The devices outlive it."""

    def __init__(self, devices, first, port, cpus_of=1):
        self.devices, self.first, self.port, self.cpus_of = devices, first, port, cpus_of
        self.names = []

    def add(self, name):
        self.names.append(name)
        if self.devices.link is None:
            return super().add(name)
        return "10.77.0.%d:%d" % (self.first + len(self.names), self.port)

    def enter(self, name):
        return self.devices.enter(self.first + self.names.index(name), self.cpus_of)


def wait(what, limit, done):
    end = time.time() + limit
    while not done():
        if time.time() > end:
            raise Trouble("%s: not within %d s" % (what, limit))
        time.sleep(0.2)


def serve(lab, model):
    """Waits until devices and links are measured, loads the model, and waits for a plan."""
    def measured():
        peers = lab.c.ask("GET", "/shoal/v1/peers")[1]["peers"]
        return all(p["speed"] and (p["self"] or p["link_bytes_per_second"]) for p in peers)

    wait("speeds", 180, measured)
    lab.load(model)
    wait("a plan", 300, lambda: lab.c.status()["serving"])


@contextlib.contextmanager
def swarms(model, builddir, wanted):
    """Labs, one after another until each serves: wanted is a list of (network, members, options of the coordinator)."""
    with contextlib.ExitStack() as stack:
        labs = []
        for network, members, options in wanted:
            labs.append(stack.enter_context(contextlib.closing(Lab(network, members, builddir, list(options)))))
            serve(labs[-1], model)
        yield labs


def rates(lab, prompt, tokens, rng):
    """(tokens a second of generation, of the prompt), of an answer to a prompt that no device has seen."""
    words = ["w%d" % rng.randrange(200) for _ in range(prompt)]
    body = {"prompt": " ".join(words), "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
            "speculative.n_max": 0}
    status, answer = lab.c.ask("POST", "/v1/completions", body, 600)
    if status != 200:
        raise Trouble("no answer: %s" % answer)
    t = answer["timings"]
    return t["predicted_per_second"], t["prompt_per_second"]


def take_turns(labs, prompt, tokens, rounds):
    """For each lab its rates of all rounds; the first answers are not counted."""
    rng = random.Random(1)
    for lab in labs:
        rates(lab, prompt, min(tokens, 32), rng)
    seen = [[rates(lab, prompt, tokens, rng) for lab in labs] for _ in range(rounds)]
    return [[turn[i] for turn in seen] for i in range(len(labs))]


def spread(values):
    """'median (quartile to quartile)' of ratios."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return "%.2f (%.2f to %.2f)" % (statistics.median(values), low, high)


@contextlib.contextmanager
def model_file(path, embd=2048, layers=22):
    """The path, or without one a synthetic model of tinyllama's shape, of random weights in Q4_0."""
    if path:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        subprocess.run([sys.executable, os.path.join(here, "..", "support", "synth_model.py"), f.name, "--embd",
                        str(embd), "--ffn", str(embd * 11 // 4), "--layers", str(layers), "--heads", "32",
                        "--kv-heads", "4", "--context", "4096"], check=True)
        yield f.name


def missing(parts, link):
    """What devices need that is not here, in words; None: nothing."""
    if link and not os.path.exists(LAN):
        return "--lan needs %s" % LAN
    if (link or min(parts) < 1) and os.geteuid() != 0:
        return "devices that are slower or farther than this machine need root"
    if min(parts) < 1 and cpu_root() is None:
        return "slower devices need cgroups that limit the CPU"
    return None
