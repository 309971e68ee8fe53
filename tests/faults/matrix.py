#!/usr/bin/env python3
"""The fault matrix: every fault in every phase of a swarm's life, and what must hold then: each
greedy text is that of the undisturbed swarm, comes once and whole; no daemon falls that was not
killed; in the end all devices take part again.

    matrix.py [--trials N] [--faults A,B] [--phases X,Y] [--loopback] [--short] [--logs] BUILDDIR

Without root everything runs on the loopback, and faults of cables are skipped. The table says how
long after the fault the coordinator had noticed it (its log), and how long after the fault the text
went on (the client's clock): median and worst of N trials.
"""
import argparse
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults
import phases
from client import Request, known_answer
from lab import Trouble, end_on_sigterm, whole_swarm
from network import Loopback, Switched

TOKENS = 120
SHORT = [("member killed", "generation"), ("member leaves", "generation"), ("member stopped", "generation"),
         ("two members killed", "prompt"), ("coordinator killed", "idle")]


class Pair(Request):
    """A stream, and beside it an answer in one piece: both are checked."""

    def __init__(self, lab, known):
        super().__init__(lab.c, known.body["prompt"], TOKENS)
        self.body["frequency_penalty"] = 1
        self.beside = Request(lab.c, "b w9", TOKENS // 2, stream=False)
        self.beside.body["frequency_penalty"] = 1

    def start(self):
        super().start()
        self.beside.start()

    def finish(self):
        self.join(self.limit)
        self.beside.join(self.limit)


class Outcome:
    def __init__(self):
        self.wrong = []
        self.noticed = self.resumed = None


class Matrix:
    def __init__(self, lab):
        self.lab = lab
        self.known = {
            False: self.ask("a w1 w2", TOKENS),
            True: self.ask([1] + [300 + i * 37 % 700 for i in range(1500)], TOKENS),
        }
        self.beside = self.ask("b w9", TOKENS // 2)

    def ask(self, prompt, n):
        return known_answer(self.lab.c, prompt, n, frequency_penalty=1)

    def fresh(self):
        """All is whole, and nobody is held back for what happened in the trial before."""
        for d in self.lab.daemons.values():
            if not d.alive():
                d.start()
        self.lab.c.end()
        self.lab.c.start()
        self.lab.wait_whole()

    def retry(self, request, known, outcome):
        """The client's connection went with the coordinator: it asks again until it is served."""
        end = time.time() + request.limit
        while True:
            again = Request(self.lab.c, known.body["prompt"], len(known.tokens))
            again.body["frequency_penalty"] = 1
            again.run()
            busy = again.wrong and (again.broken or again.wrong[0].startswith("status 503"))
            if not busy or time.time() > end:
                request.arrivals = again.arrivals
                self.check(again, known, outcome)
                return
            time.sleep(0.05)

    def check(self, request, known, outcome):
        wrong = request.verdict(known)
        if wrong is not None:
            outcome.wrong.append(wrong)

    def times(self, outcome, log, t, request):
        noticed = log.find(r"-> dropped: ", t)
        serving = log.find(r"-> serving", noticed or t)
        later = [a for a in request.arrivals if serving is not None and a >= serving]
        outcome.noticed = noticed - t if noticed is not None else None
        outcome.resumed = later[0] - t if later else None

    def trial(self, fault, phase_type):
        lab, outcome = self.lab, Outcome()
        self.fresh()
        known = self.known[phase_type.long_prompt]
        request, log, others = Pair(lab, known), lab.c.log(), lab.members[-1].log()
        t = phase_type(lab, request, lambda: fault.strike(lab)).reach()
        time.sleep(max(0, t + fault.lasts - time.time()))
        fault.mend(lab)
        request.finish()
        if fault.breaks_client:
            outcome.noticed = others.find(r"peer c: here -> away", t)
            for r, k in ((request, known), (request.beside, self.beside)):
                if r.broken or r.wrong:
                    self.retry(r, k, outcome)
                else:
                    self.check(r, k, outcome)
            if outcome.noticed is not None:
                outcome.noticed -= t
            outcome.resumed = request.arrivals[0] - t if request.arrivals else None
        else:
            self.check(request, known, outcome)
            self.check(request.beside, self.beside, outcome)
            self.times(outcome, log, t, request)
        self.aftermath(outcome)
        return outcome

    def aftermath(self, outcome):
        fallen = self.lab.fallen()
        if fallen:
            outcome.wrong.append("%s fell" % ", ".join(
                "%s (%d)" % (n, self.lab.daemons[n].process.returncode) for n in fallen))
            return
        try:
            self.lab.wait_whole()
        except Trouble as e:
            outcome.wrong.append(str(e))

    def cell(self, fault, phase_type, missed=0):
        try:
            return self.trial(fault(), phase_type)
        except phases.Missed:
            if missed < 5:
                return self.cell(fault, phase_type, missed + 1)
            outcome = Outcome()
            outcome.wrong.append("the phase was over before the fault in each of six tries")
            return outcome
        except Trouble as e:
            outcome = Outcome()
            outcome.wrong.append(str(e))
            return outcome


def seconds(values):
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    return "%.2f / %.2f" % (statistics.median(values), max(values))


def row(fault, phase, outcomes):
    good = sum(not o.wrong for o in outcomes)
    return "%-20s %-11s %-7s %-15s %-15s %s" % (
        fault.name, phase.name, "%d/%d" % (good, len(outcomes)),
        seconds(o.noticed for o in outcomes), seconds(o.resumed for o in outcomes),
        "" if good == len(outcomes) else "FAILED: " + next(o.wrong[0] for o in outcomes if o.wrong))


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def run(matrix, cells, trials, show):
    rows, failed = [], 0
    for i, (fault, phase) in enumerate(cells):
        outcomes = []
        for k in range(trials):
            progress("%d of %d: %s, %s, trial %d" % (i + 1, len(cells), fault.name, phase.name, k + 1))
            outcomes.append(matrix.cell(fault, phase))
            if outcomes[-1].wrong or show:
                progress("")
                print("%s, %s, trial %d: %s" % (fault.name, phase.name, k + 1,
                                                "; ".join(outcomes[-1].wrong)))
                print("\n".join(matrix.lab.tails(40 if show else 12)), flush=True)
        rows.append(row(fault, phase, outcomes))
        failed += any(o.wrong for o in outcomes)
    progress("")
    return rows, failed


def select(a, network):
    """The cells that are asked for, and the lines for those that cannot be here."""
    cells, skipped = [], []
    for fault in faults.ALL:
        for phase in phases.ALL:
            if a.faults and fault.name not in a.faults.split(","):
                continue
            if a.phases and phase.name not in a.phases.split(","):
                continue
            if a.short and (fault.name, phase.name) not in SHORT:
                continue
            if fault.cables and not network.cables:
                skipped.append("%-20s %-11s skipped: no cables without root and iproute2" % (
                    fault.name, phase.name))
            else:
                cells.append((fault, phase))
    return cells, skipped


def main():
    p = argparse.ArgumentParser(description="what a swarm does when its devices fail")
    p.add_argument("builddir")
    p.add_argument("--trials", type=int, default=3)
    p.add_argument("--faults", default="", help=", ".join(f.name for f in faults.ALL))
    p.add_argument("--phases", default="", help=", ".join(f.name for f in phases.ALL))
    p.add_argument("--loopback", action="store_true", help="no network namespaces")
    p.add_argument("--logs", action="store_true", help="show the daemons' logs of each trial")
    p.add_argument("--short", action="store_true", help="a handful of cells, for make check")
    a = p.parse_args()
    end_on_sigterm()
    network = Loopback() if a.loopback or Switched.missing() else Switched()
    with whole_swarm(network, a.builddir) as lab:
        cells, skipped = select(a, network)
        began = time.time()
        rows, failed = run(Matrix(lab), cells, a.trials, a.logs)
    print("%-20s %-11s %-7s %-15s %-15s" % ("fault", "phase", "ok", "noticed (s)", "going on (s)"))
    print("\n".join(rows + skipped))
    print("%d cells ok, %d failed, %d skipped; median / worst of %d; %.0f s" % (
        len(cells) - failed, failed, len(skipped), a.trials, time.time() - began))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
