"""When a fault strikes. Each phase brings the swarm there, calls strike(), and returns the time at
which it did; a Missed phase had passed before, and is tried again."""
import os
import shutil
import signal
import time

from lab import Trouble


class Missed(Exception):
    pass


def wait_until(condition, limit, what):
    end = time.time() + limit
    while not condition():
        if time.time() > end:
            raise Trouble("no %s within %g s" % (what, limit))
        time.sleep(0.002)


def is_computing(lab):
    s = lab.c.status()
    return s is not None and s["requests"]["running"] > 0


class Phase:
    long_prompt = False

    def __init__(self, lab, request, strike):
        self.lab, self.request, self.hurt = lab, request, strike

    def strike(self):
        t = time.time()
        self.hurt()
        return t


class Prompt(Phase):
    """The prompt's rows are being computed: no text has come."""
    name = "prompt"
    long_prompt = True

    def reach(self):
        self.request.start()
        wait_until(lambda: is_computing(self.lab) or self.request.arrivals, 20, "computing")
        if self.request.arrivals:
            raise Missed()
        return self.strike()


class Generation(Phase):
    """Some text has come, and more follows."""
    name = "generation"

    def reach(self):
        self.request.start()
        wait_until(lambda: len(self.request.arrivals) >= 5, 60, "text")
        return self.strike()


class Recovery(Phase):
    """m3 was lost in the middle of the text, and the next plan is being made."""
    name = "recovery"

    def reach(self):
        log, m3 = self.lab.c.log(), self.lab.daemons["m3"]
        self.request.start()
        wait_until(lambda: len(self.request.arrivals) >= 5, 60, "text")
        m3.end(signal.SIGKILL)
        log.wait(r"-> dropped", 10)
        t = self.strike()
        m3.start()
        return t


class Transfer(Phase):
    """m1 has lost its slices, is back, and fetches them; the request waits for the plan."""
    name = "transfer"

    def reach(self):
        m1, log = self.lab.daemons["m1"], self.lab.c.log()
        m1.end()
        log.wait(r"peer m1: here -> away", 10)
        shutil.rmtree(os.path.join(m1.state, "shards"), ignore_errors=True)
        if self.lab.network.cables:
            self.lab.network.speed("m1", 20)
        try:
            log, mine = self.lab.c.log(), m1.log()
            m1.start()
            log.wait(r"hashing -> preparing", 30)
            self.request.start()
            wait_until(m1.is_fetching, 10, "transfer")
            t = self.strike()
            if mine.find(r"-> ready") is not None and mine.find(r"-> ready") < t:
                raise Missed()
        finally:
            if self.lab.network.cables:
                self.lab.network.speed("m1", 0)
        return t


class Idle(Phase):
    """Nobody asks for anything; the request comes right after the fault."""
    name = "idle"

    def reach(self):
        t = self.strike()
        self.request.start()
        return t


ALL = (Prompt, Generation, Recovery, Transfer, Idle)
