"""What can happen to a swarm: each fault strikes, is mended after a while, and says who was killed."""
import os
import signal

from lab import Trouble


class Fault:
    cables = False        # it needs a network with cables
    lasts = 0.0           # seconds until it is mended
    breaks_client = False # the client's own connection ends with it
    gone = 1              # members that are away for a time

    def strike(self, lab):
        raise NotImplementedError

    def mend(self, lab):
        pass


class Kill(Fault):
    """The process of m1 ends without a word, and is started again later."""
    name, lasts = "member killed", 1.0
    victims = ("m1",)

    def strike(self, lab):
        for v in self.victims:
            lab.daemons[v].wanted = False
            lab.daemons[v].send(signal.SIGKILL)

    def mend(self, lab):
        for v in self.victims:
            lab.daemons[v].process.wait()
            lab.daemons[v].start()


class KillTwo(Kill):
    name, gone = "two members killed", 2
    victims = ("m1", "m2")


class KillCoordinator(Kill):
    """It is started again at once, as an init system does."""
    name, lasts, breaks_client, gone = "coordinator killed", 0.0, True, 0
    victims = ("c",)


class Leave(Kill):
    """The process of m1 is told to end, and is started again when it has."""
    name = "member leaves"

    def strike(self, lab):
        for v in self.victims:
            lab.daemons[v].wanted = False
            lab.daemons[v].send(signal.SIGTERM)

    def mend(self, lab):
        for v in self.victims:
            code = lab.daemons[v].process.wait()
            if code != 0:
                raise Trouble("%s ended with %d" % (v, code))
            lab.daemons[v].start()


class EndCoordinator(Leave):
    """The coordinator is told to end, lets the answers end, and is started again."""
    name, lasts, breaks_client, gone = "coordinator ends", 0.0, True, 0
    victims = ("c",)


class Stop(Fault):
    """m1 stands still for ten seconds; its links stay open."""
    name, lasts = "member stopped", 10.0

    def strike(self, lab):
        lab.daemons["m1"].send(signal.SIGSTOP)

    def mend(self, lab):
        lab.daemons["m1"].send(signal.SIGCONT)


class Cut(Fault):
    name, lasts, cables = "cable cut", 5.0, True

    def strike(self, lab):
        lab.network.cut("m1")

    def mend(self, lab):
        lab.network.mend("m1")


class OneWay(Fault):
    """What m1 sends is lost; what it is sent arrives."""
    name, lasts, cables = "lost one way", 5.0, True

    def strike(self, lab):
        lab.network.mute("m1", "c")

    def mend(self, lab):
        lab.network.unmute("m1", "c")


class Disk(Fault):
    """The second half of m1's slices cannot be read any more: the file ends there, and a read of the
    mapping fails as one of a broken disk does."""
    name, gone = "disk error", 0

    def strike(self, lab):
        for path in lab.daemons["m1"].shards():
            os.truncate(path, os.path.getsize(path) // 2)


ALL = (Kill, Leave, Stop, Cut, OneWay, Disk, KillCoordinator, EndCoordinator, KillTwo)
