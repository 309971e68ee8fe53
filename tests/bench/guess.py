#!/usr/bin/env python3
"""What tokens that are guessed ahead bring: commands for a home, answered by two devices of one thread each.

    guess.py [--lan ROUND_TRIP_US:MBIT] [--commands 8] [--rounds 5] [--payload WORD] [--model FILE] [--small FILE]
             BUILDDIR

Without guesses; guessed by what stood before; and by what a small model of the coordinator drafts, too. On loopback, or
with --lan each device in a network namespace, joined by ../shared/tools/lan.sh (root). All take turns; medians of the
rounds. The texts are compared: they have to be the same.
"""
import argparse
import contextlib
import json
import os
import statistics
import sys

from turns import Devices, end_on_sigterm, here, missing, spread, swarms
from lab import Trouble

MODELS = os.path.join(here, "..", "..", "models")


def answers(lab, commands, guesses):
    """(tokens a second of all answers together, their texts, guesses a token, right ones a token)."""
    seconds = tokens = guessed = right = 0
    texts = []
    for command in commands:
        body = {"messages": [{"role": "user", "content": command}], "max_tokens": 96, "temperature": 0}
        if not guesses:
            body["speculative.n_max"] = 0
        status, answer = lab.c.ask("POST", "/v1/chat/completions", body, 600)
        if status != 200:
            raise Trouble("no answer: %s" % answer)
        t = answer["timings"]
        texts.append(answer["choices"][0]["message"]["content"])
        tokens += t["predicted_n"]
        seconds += t["predicted_ms"] / 1e3
        guessed += t.get("draft_n", 0)
        right += t.get("draft_n_accepted", 0)
    return tokens / seconds, texts, guessed / tokens, right / tokens


def run(a, commands):
    options = ["--context", "2048", "--payload", a.payload]
    with contextlib.closing(Devices([1, 1], a.lan)) as devices:
        wanted = [(devices.swarm(), 1, options), (devices.swarm(), 1, options + ["--small-model", a.small])]
        with swarms(a.model, a.builddir, wanted) as labs:
            ways = [("no guesses", labs[0], False), ("what stood before", labs[0], True), ("and drafts", labs[1], True)]
            for _, lab, guesses in ways:
                answers(lab, commands, guesses)
            rounds = [[answers(lab, commands, guesses) for _, lab, guesses in ways] for _ in range(a.rounds)]
    print("%-18s %9s %8s %8s  %s" % ("", "tokens/s", "guessed", "right", "ratio (quartiles)"))
    for i, (name, _, _) in enumerate(ways):
        mine = [r[i] for r in rounds]
        if any(r[i][1] != r[0][1] for r in rounds):
            raise Trouble("%s: another text" % name)
        print("%-18s %9.2f %8.2f %8.2f  %s" % (
            name, *(statistics.median(m[k] for m in mine) for k in (0, 2, 3)),
            spread([r[i][0] / r[0][0] for r in rounds])))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lan", help="ROUND_TRIP_US:MBIT")
    p.add_argument("--commands", type=int, default=8)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--payload", default="f32")
    p.add_argument("--model", default=os.path.join(MODELS, "hearth.gguf"))
    p.add_argument("--small", default=os.path.join(MODELS, "hearth-small.gguf"))
    p.add_argument("builddir")
    a = p.parse_args()
    trouble = missing([1], a.lan)
    if trouble:
        print("guess.py: %s" % trouble, file=sys.stderr)
        return 2
    end_on_sigterm()
    with open(os.path.join(MODELS, "hearth-eval.jsonl"), encoding="utf-8") as f:
        commands = [json.loads(line)["user"] for line in f]
    run(a, commands[::len(commands) // a.commands][:a.commands])
    return 0


if __name__ == "__main__":
    sys.exit(main())
