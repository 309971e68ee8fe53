"""Where daemons live: all on the loopback, or each in a network namespace with a cable to a switch.

The switch is a bridge in a namespace of its own, so a cut cable looks as it does at home: the
device loses its carrier, the others hear nothing. Namespaces need root; they carry the process id
in their names and go with close().
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from free_port import free_port


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Loopback:
    cables = False

    def add(self, name):
        return "127.0.0.1:%d" % free_port()

    def enter(self, name):
        return []

    def close(self):
        pass


class Switched:
    cables = True

    def __init__(self):
        self.prefix = "shoalflt%d" % os.getpid()
        self.switch = self.prefix + "sw"
        self.names = []
        run("ip", "netns", "add", self.switch)
        self.ip(self.switch, "link", "add", "br0", "type", "bridge")
        self.ip(self.switch, "link", "set", "br0", "up")

    @staticmethod
    def missing():
        """What a Switched network lacks here, in words; None: nothing."""
        if os.geteuid() != 0:
            return "it needs root"
        if shutil.which("ip") is None or shutil.which("tc") is None:
            return "it needs the commands ip and tc (iproute2)"
        return None

    def ip(self, where, *args):
        run("ip", "-n", where, *args)

    def host(self, name):
        return "%s%s" % (self.prefix, name)

    def address(self, name):
        return "10.213.0.%d" % (1 + self.names.index(name))

    def add(self, name):
        self.names.append(name)
        host = self.host(name)
        run("ip", "netns", "add", host)
        self.ip(self.switch, "link", "add", "to-" + name, "type", "veth", "peer", "name", "eth0",
                "netns", host)
        self.ip(self.switch, "link", "set", "to-" + name, "master", "br0", "up")
        self.ip(host, "link", "set", "lo", "up")
        self.ip(host, "addr", "add", self.address(name) + "/24", "dev", "eth0")
        self.ip(host, "link", "set", "eth0", "up")
        return "%s:8643" % self.address(name)

    def enter(self, name):
        return ["ip", "netns", "exec", self.host(name)]

    # --- what happens to cables ---

    def cut(self, name):
        self.ip(self.switch, "link", "set", "to-" + name, "down")

    def mend(self, name):
        self.ip(self.switch, "link", "set", "to-" + name, "up")

    def mute(self, name, towards):
        """What name sends to the other is lost; what it is sent arrives. (Its frames go to a
        station that is not there: works without any packet filter.)"""
        self.ip(self.host(name), "neigh", "replace", self.address(towards), "lladdr",
                "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent")

    def unmute(self, name, towards):
        self.ip(self.host(name), "neigh", "del", self.address(towards), "dev", "eth0")

    def speed(self, name, mbit):
        """Of its cable, both ways; 0: as fast as it goes."""
        for where, dev in ((self.switch, "to-" + name), (self.host(name), "eth0")):
            if mbit:
                run("tc", "-n", where, "qdisc", "replace", "dev", dev, "root", "tbf", "rate",
                    "%gmbit" % mbit, "burst", "64kb", "latency", "200ms")
            else:
                subprocess.run(["tc", "-n", where, "qdisc", "del", "dev", dev, "root"],
                               stderr=subprocess.DEVNULL)

    def close(self):
        for where in [self.host(n) for n in self.names] + [self.switch]:
            subprocess.run(["ip", "netns", "del", where], stderr=subprocess.DEVNULL)
