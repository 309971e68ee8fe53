#!/usr/bin/env python3
"""What a home might ask, to measure a router between hearth-small and hearth: commands that neither was
trained on, with the kinds of task that are in each.

    traffic.py SPLIT [-n N] > SPLIT.jsonl     SPLIT: train, tune, test or reworded

A line is one of corpus.py's samples with "kinds", a list of words (below). A split is always the same, bit
for bit; no command stands in two splits or twice in one. Most of the traffic is corpus.py's
held-out side with the easy levels most often. Of the rest neither model is promised to do anything:
"reworded" says the same task with words that the corpus does not have, "long" strings five or six things
together, "foreign" is German. The split "reworded" is such traffic in other words, which no other split has.

Kinds: plain, several, later, except, degrees (warmer, than), if, toggle, ask, compare, refuse, reworded, long, foreign.
"""
import argparse
import json
import sys

import corpus
from corpus import Rng, normalised

# (what, of 100): the level of corpus.py, or what it is not made for.
MIX = [(1, 18), (2, 20), (3, 18), (4, 14), (5, 8), ("reworded", 10), ("long", 5), ("foreign", 7)]
SPLITS = [("train", 2000), ("tune", 2000), ("test", 4500)]
REWORDED = 1500
SEED = 11

# Words of the corpus and others for them: a list for the traffic, and one that only "reworded" has.
OTHER_WORDS = [
    ("turn on", ["activate", "power up"], ["enable", "fire up"]),
    ("turn off", ["deactivate", "kill"], ["disable", "cut"]),
    ("switch on", ["flip on"], ["power on"]),
    ("switch off", ["flip off"], ["power off"]),
    ("dim", ["fade"], ["soften"]),
    ("lights", ["lamps"], ["bulbs"]),
    ("light", ["lamp"], ["bulb"]),
    ("blinds", ["shades"], ["louvres"]),
    ("shutters", ["rollers"], ["jalousies"]),
    ("curtains", ["drapes"], ["roller blinds"]),
    ("open", ["uncover"], ["spread"]),
    ("close", ["draw"], ["seal"]),
    ("degrees", ["deg"], ["celsius"]),
    ("warmer", ["toastier"], ["less cold"]),
    ("cooler", ["chillier"], ["less hot"]),
    ("colder", ["chillier"], ["less warm"]),
    ("make", ["get"], ["render"]),
    ("set", ["adjust"], ["change"]),
    ("play", ["stream"], ["spin"]),
    ("stop", ["halt"], ["end"]),
    ("start", ["run"], ["launch"]),
    ("except", ["apart from"], ["save"]),
    ("too", ["likewise"], ["similarly"]),
    ("minutes", ["mins"], ["min"]),
    ("half an hour", ["a half hour"], ["thirty mins"]),
    ("fan", ["ventilator"], ["blower"]),
    ("vacuum", ["hoover"], ["robot"]),
    ("percent", ["pct"], ["per cent"]),
    ("if", ["in case"], ["when"]),
    ("lock", ["bolt"], ["secure"]),
]


def reword(rng, text, which, least):
    """text with other words for those it has; None where fewer than `least` could be put in."""
    n = 0
    text = " " + text + " "
    for words in OTHER_WORDS:
        for end in (" ", ".", ",", "?"):
            at = text.lower().find(" " + words[0] + end)
            if at >= 0 and rng.chance(80):
                text = text[:at + 1] + rng.pick(words[which]) + text[at + 1 + len(words[0]):]
                n += 1
    return text[1:-1] if n >= least else None


def kinds_of(s):
    """The kinds of task in a sample, from its answer and hints."""
    top, hints = json.loads(s["answer"].split("\n")[0]), s["hints"]
    actions = top["actions"]
    kinds = []
    if hints["condition"]:
        kinds.append("if")
    if hints["pair"]:
        kinds.append("compare")
    elif "answer" in top:
        kinds.append("ask")
    if "answer" not in top and any(hints["looks"]):
        kinds.append("degrees")
    if any("except" in a for a in actions):
        kinds.append("except")
    if any(hints["flips"]):
        kinds.append("toggle")
    if any("in" in a or "at" in a for a in actions):
        kinds.append("later")
    if len(actions) > 1:
        kinds.append("several")
    if not kinds:
        kinds.append("plain" if actions else "refuse")
    return kinds


def long_command(rng):
    """Five or six clauses, which no level has."""
    while True:
        c = corpus.Command(rng, False)
        c.make_state(4)
        for _ in range(rng.between(5, 6)):
            rng.pick([c.c_plain, c.c_plain, c.c_later, c.c_warmer, c.c_than, c.c_except])()
        clean = corpus.dress(c, corpus.join_clauses(c), 5)
        if corpus.is_held_out(clean):
            return {"level": 6, "system": corpus.write_state(c.state), "user": clean.replace(corpus.MARK, ""),
                    "answer": corpus.write_json(c) + "\n" + corpus.write_sentence(c), "kinds": ["long"]}


GERMAN_ROOMS = {"kitchen": "in der Küche", "bedroom": "im Schlafzimmer", "bathroom": "im Bad",
                "living_room": "im Wohnzimmer", "hall": "im Flur", "office": "im Büro",
                "nursery": "im Kinderzimmer", "attic": "auf dem Dachboden", "cellar": "im Keller",
                "garage": "in der Garage"}
GERMAN = [("mach das Licht {r} an", "light.turn_on", None), ("schalte {r} das Licht aus", "light.turn_off", None),
          ("stell die Heizung {r} auf {n} Grad", "climate.set_temperature", "temperature"),
          ("mach es {r} {n} Grad warm", "climate.set_temperature", "temperature"),
          ("dimm das Licht {r} auf {n} Prozent", "light.turn_on", "brightness"),
          ("mach die Rollläden {r} zu", "cover.close", None), ("öffne die Vorhänge {r}", "cover.open", None),
          ("spiel {r} etwas Musik", "media.play", "media"), ("mach {r} die Musik aus", "media.stop", None),
          ("saug bitte {r}", "vacuum.start", None), ("lass den Ventilator {r} laufen", "fan.turn_on", None)]
GERMAN_ENDS = ["", "", " bitte", ", danke", " und beeil dich", " sobald du kannst"]


def foreign_command(rng):
    texts, actions = [], []
    for _ in range(rng.between(1, 3)):
        text, service, key = rng.pick(GERMAN)
        area = rng.pick(list(GERMAN_ROOMS))
        value = "music" if key == "media" else rng.between(16, 24) if key == "temperature" else 5 * rng.between(2, 18)
        texts.append(text.replace("{r}", GERMAN_ROOMS[area]).replace("{n}", str(value)))
        actions.append({"service": service, "area": area})
        if key:
            actions[-1][key] = value
    answer = json.dumps({"actions": actions}, separators=(",", ":"))
    return {"level": 7, "system": "", "user": " und ".join(texts) + rng.pick(GERMAN_ENDS), "answer": answer + "\nOkay.",
            "kinds": ["foreign"]}


def command(seed, i, reworded):
    """Command i, or None where it cannot be put in other words."""
    rng = Rng("traffic", seed, i)
    what = rng.weighted(MIX)
    if what in ("long", "foreign"):
        make = long_command if what == "long" else foreign_command
        return make(rng) if not reworded else None
    level = rng.weighted([m for m in MIX if isinstance(m[0], int)]) if what == "reworded" else what
    s, _, _ = corpus.sample(seed, "test", i, level)
    kinds = kinds_of(s)
    if what == "reworded" or reworded:
        s["user"] = reword(rng, s["user"], 2 if reworded else 1, 1)
        kinds = ["reworded"] + kinds if not reworded else kinds
    return {"level": s["level"], "system": s["system"], "user": s["user"], "answer": s["answer"],
            "kinds": kinds} if s["user"] else None


def stream(seed, count, reworded, seen):
    """The first `count` commands that differ."""
    i = 0
    while count > 0:
        s = command(seed, i, reworded)
        i += 1
        key = normalised(s["user"]) + "|" + s["system"] if s else None
        if s and key not in seen:
            seen.add(key)
            count -= 1
            yield s


def split_samples(split):
    """The easy commands run out: so the traffic is made as a whole and then dealt."""
    seen = set()
    traffic = list(stream(SEED, sum(n for _, n in SPLITS), False, seen))
    if split == "reworded":
        return list(stream(SEED + 1, REWORDED, True, seen))
    order, at = Rng("traffic", SEED, "deal").sample(range(len(traffic)), len(traffic)), 0
    for name, n in SPLITS:
        if name == split:
            return [traffic[i] for i in order[at:at + n]]
        at += n
    raise ValueError(split)


def main():
    p = argparse.ArgumentParser(description="write commands to measure a router with")
    p.add_argument("split", choices=[name for name, _ in SPLITS] + ["reworded"])
    p.add_argument("-n", "--count", type=int, help="the first so many")
    args = p.parse_args()
    for s in split_samples(args.split)[:args.count]:
        sys.stdout.write(json.dumps(s, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
