#!/usr/bin/env python3
"""The corpus of hearth: commands to a home assistant and what it should answer.

A grammar writes every sample; there is no outside text. Sample number i of a seed and a side is
always the same, bit for bit, on every machine: the random numbers are this file's own.

    corpus.py train -n 1000 > some.jsonl      the first thousand training samples
    corpus.py test > models/hearth-eval.jsonl
                                              the 1,000 held-out samples, 200 of each difficulty

A sample: {"level": 1..5, "system": the house's state or "", "user": the command,
"answer": JSON, newline, sentence}. models/README.md has the schema.
"""
import argparse
import hashlib
import json
import sys

# ---- random numbers ---------------------------------------------------------------------------


class Rng:
    """SplitMix64, which any language can write in ten lines."""

    MASK = (1 << 64) - 1

    def __init__(self, *key):
        text = ":".join(str(k) for k in key)
        self.s = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def next(self):
        self.s = (self.s + 0x9E3779B97F4A7C15) & self.MASK
        z = self.s
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def below(self, n):
        return ((self.next() >> 32) * n) >> 32

    def between(self, lo, hi):
        return lo + self.below(hi - lo + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, pairs):
        """One of the first members of (item, weight)."""
        at = self.below(sum(w for _, w in pairs))
        for item, w in pairs:
            if at < w:
                return item
            at -= w
        raise AssertionError("weights")

    def sample(self, items, n):
        items = list(items)
        for i in range(n):
            j = self.between(i, len(items) - 1)
            items[i], items[j] = items[j], items[i]
        return items[:n]


# ---- words ------------------------------------------------------------------------------------

AREAS = {
    "kitchen": ["kitchen"],
    "bedroom": ["bedroom"],
    "bathroom": ["bathroom", "bath"],
    "living_room": ["living room", "lounge"],
    "dining_room": ["dining room"],
    "hall": ["hall", "hallway"],
    "office": ["office", "study"],
    "nursery": ["nursery", "kids room"],
    "guest_room": ["guest room", "spare room"],
    "attic": ["attic", "loft"],
    "cellar": ["cellar", "basement"],
    "garage": ["garage"],
}
DOORS = {"front_door": ["front door"], "back_door": ["back door"], "garage_door": ["garage door"]}
DEVICES = {
    "coffee_machine": ["coffee machine", "coffee maker"],
    "kettle": ["kettle"],
    "dishwasher": ["dishwasher"],
    "washing_machine": ["washing machine", "washer"],
    "dryer": ["dryer"],
    "television": ["television", "tv"],
}
SCENES = {"movie": "movie", "dinner": "dinner", "morning": "morning", "night": "night",
          "party": "party", "reading": "reading"}
MEDIA = ["music", "jazz", "radio", "news"]
COLORS = ["red", "blue", "green", "orange", "white"]

UNITS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
         "fifteen sixteen seventeen eighteen nineteen").split()
TENS = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy",
        80: "eighty", 90: "ninety"}


def number_words(n):
    if n < 20:
        return UNITS[n]
    tens = TENS[n - n % 10]
    return tens + " " + UNITS[n % 10] if n % 10 else tens


MARK = "\x01"  # behind a number that is calculated with, until the text is done

# The order of the keys in an action, whatever the order of the words was.
KEYS = ["service", "area", "door", "device", "scene", "media", "temperature", "brightness",
        "color", "position", "volume", "minutes", "except", "in", "at"]

# Verb phrases by what they do. {in}: "in the kitchen" or "there"; {A}: the room's name; {L} {B}: a word for
# lights or blinds; {v}: the value; {D}: door or device.
PHRASES = {
    "light.turn_on": ["turn on the {L} {in}", "turn the {L} on {in}", "switch on the {L} {in}",
                      "put the {L} on {in}", "turn the {A} {L} on", "turn on the {A} {L}",
                      "switch the {A} {L} on", "light up the {A}"],
    "light.turn_off": ["turn off the {L} {in}", "turn the {L} off {in}", "switch off the {L} {in}",
                       "put out the {L} {in}", "make it dark {in}", "turn the {A} {L} off",
                       "turn off the {A} {L}", "switch the {A} {L} off"],
    "brightness": ["dim the {L} {in} to {v} percent", "set the {L} {in} to {v} percent",
                   "dim the {A} {L} to {v} percent", "put the {A} {L} at {v} percent"],
    "color": ["make the {L} {in} {v}", "turn the {L} {in} {v}", "make the {A} {L} {v}",
              "set the {A} {L} to {v}"],
    "temperature": ["make it {v} degrees {in}", "set the temperature {in} to {v} degrees",
                    "set the heating {in} to {v}", "set the {A} to {v} degrees",
                    "heat the {A} to {v} degrees", "bring the {A} to {v} degrees"],
    "cover.open": ["open the {B} {in}", "raise the {B} {in}", "pull up the {B} {in}",
                   "open the {A} {B}", "raise the {A} {B}"],
    "cover.close": ["close the {B} {in}", "lower the {B} {in}", "shut the {B} {in}",
                    "close the {A} {B}", "shut the {A} {B}"],
    "position": ["set the {B} {in} to {v} percent", "move the {B} {in} to {v} percent",
                 "set the {A} {B} to {v} percent"],
    "media.play": ["play {v} {in}", "put on some {v} {in}", "start the {v} {in}",
                   "let me hear {v} {in}"],
    "media.stop": ["stop the {M} {in}", "turn off the {M} {in}", "no more {M} {in}",
                   "stop the {A} {M}"],
    "volume": ["set the volume {in} to {v} percent", "put the volume {in} at {v} percent",
               "set the {A} volume to {v} percent"],
    "fan.turn_on": ["turn on the fan {in}", "start the fan {in}", "turn the fan on {in}",
                    "turn on the {A} fan", "start the {A} fan"],
    "fan.turn_off": ["turn off the fan {in}", "stop the fan {in}", "turn the fan off {in}",
                     "turn off the {A} fan", "stop the {A} fan"],
    "vacuum.start": ["clean the floor {in}", "start the vacuum {in}", "vacuum the {A}",
                     "send the vacuum to the {A}"],
    "vacuum.dock": ["send the vacuum home", "dock the vacuum", "stop vacuuming"],
    "lock.lock": ["lock the {D}", "make sure the {D} is locked"],
    "lock.unlock": ["unlock the {D}", "release the lock of the {D}"],
    "switch.turn_on": ["turn on the {D}", "start the {D}", "switch the {D} on", "turn the {D} on"],
    "switch.turn_off": ["turn off the {D}", "stop the {D}", "switch the {D} off",
                        "turn the {D} off"],
    "timer": ["set a timer for {v}", "start a timer for {v}", "count down {v}"],
    "scene": ["activate the {v} scene", "start the {v} scene", "switch to {v} mode",
              "set the house to {v} mode"],
}
KIND_WEIGHTS = [("light.turn_on", 12), ("light.turn_off", 12), ("brightness", 8), ("color", 5),
                ("temperature", 14), ("cover.open", 7), ("cover.close", 7), ("position", 4),
                ("media.play", 7), ("media.stop", 4), ("volume", 4), ("fan.turn_on", 5),
                ("fan.turn_off", 4), ("vacuum.start", 5), ("vacuum.dock", 1), ("lock.lock", 4),
                ("lock.unlock", 3), ("switch.turn_on", 6), ("switch.turn_off", 4), ("timer", 4),
                ("scene", 4)]
IN_AREA = ["light.turn_on", "light.turn_off", "brightness", "color", "temperature", "cover.open",
           "cover.close", "position", "media.play", "media.stop", "volume", "fan.turn_on",
           "fan.turn_off", "vacuum.start"]
VALUE_SERVICE = {"brightness": "light.turn_on", "color": "light.turn_on",
                 "temperature": "climate.set_temperature", "position": "cover.set_position",
                 "volume": "media.set_volume"}
OPPOSITE = {"light.turn_on": "light.turn_off", "fan.turn_on": "fan.turn_off",
            "switch.turn_on": "switch.turn_off", "cover.open": "cover.close",
            "media.play": "media.stop"}

EVERYWHERE = {
    "light.turn_on": ["turn on all the lights", "turn all the lights on",
                      "switch on the lights everywhere"],
    "light.turn_off": ["turn off all the lights", "turn all the lights off",
                       "switch off the lights everywhere"],
    "cover.open": ["open all the {B}", "raise the {B} everywhere"],
    "cover.close": ["close all the {B}", "lower the {B} everywhere"],
    "fan.turn_off": ["turn off all the fans", "stop the fans everywhere"],
    "media.stop": ["stop the music everywhere", "turn off all the music"],
    "temperature": ["set all the rooms to {v} degrees", "heat every room to {v} degrees"],
}

UNMET_VERBS = ["order", "buy", "book", "paint", "feed", "wash", "repair", "call", "cook", "find",
               "fetch", "draw", "weigh", "borrow", "sell"]
UNMET_THINGS = ["a pizza", "the cat", "the dog", "a flight", "my mother", "the car", "the windows",
                "a taxi", "some soup", "my keys", "the plants", "the fence", "a bicycle",
                "a birthday cake", "the roof", "new shoes", "a poem", "the neighbours"]
UNMET_WHOLE = ["tell me a joke", "sing me a song", "write my homework", "what is the meaning of life",
               "who won the game", "how is the weather on mars", "translate this letter",
               "iron my shirts", "water the garden", "who are you going to vote for"]

POLITE_FRONT = ["please ", "could you ", "can you ", "would you ", "hey, ", "hi, please ",
                "i would like you to ", "be so kind and ", "hello, could you "]
POLITE_BACK = [" please", ", thanks", ", thank you", " for me"]
FILLERS = ["um, ", "well, ", "okay, ", "so, "]
JOINERS = [" and ", " and then ", ", then ", ", and ", " and also ", ", ", ". also "]


# ---- one command ------------------------------------------------------------------------------


class Command:
    """A command while it is being written: its clauses, their actions, what "it" and "there" mean."""

    def __init__(self, rng, plain):
        self.rng = rng
        self.plain = plain  # digits only, no synonyms
        self.state = []  # (area, temperature, light is on)
        self.clauses = []
        self.actions = []
        self.answer = None  # (value,) of a question
        self.sentence = None
        self.used = set()
        self.uses_state = False
        self.looks = []  # the room of each number of the answer that is looked up
        self.condition = None  # (room, whether it holds, mark): of the action that comes last
        self.light = None  # the room whose light the answer depends on
        self.pair = None  # the two rooms whose temperatures the answer compares
        self.marks = []  # the value of each number that MARK stands behind
        self.same_ok = True  # "the hall too" is clear: not after "two degrees warmer"

    # -- pieces of text
    def name(self, area):
        names = AREAS[area]
        return names[0] if self.plain or self.rng.chance(60) else self.rng.pick(names)

    def number(self, n):
        return str(n) if self.plain or self.rng.chance(60) else number_words(n)

    def marked(self, n, text):
        """The words of a number that is calculated with; hints for training say where it stands."""
        self.marks.append(n)
        return text + MARK

    def new_area(self, among=None):
        left = [a for a in (among or AREAS) if a not in self.used] or list(among or AREAS)
        area = self.rng.pick(left)
        self.used.add(area)
        return area

    def duration(self):
        r = self.rng
        form = r.below(6 if not self.plain else 2)
        if form <= 2:
            n = r.pick([2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 45, 50])
            return self.number(n) + " minutes", n
        if form == 3:
            return r.pick([("a quarter of an hour", 15), ("half an hour", 30), ("an hour", 60),
                           ("three quarters of an hour", 45), ("an hour and a half", 90)])
        if form == 4:
            n = r.between(2, 5)
            return self.number(n) + " hours", 60 * n
        n = r.pick([5, 10, 15, 20, 30])
        return "an hour and " + self.number(n) + " minutes", 60 + n

    def clock(self):
        r = self.rng
        form = r.below(3)
        if form == 0:
            h, m = r.between(6, 23), r.pick([0, 15, 30, 45])
            return "%d:%02d" % (h, m), "%02d:%02d" % (h, m)
        h = r.between(6, 11)
        evening = r.chance(50)
        back = " in the evening" if evening else " in the morning"
        hour = h + 12 * evening
        if form == 1:
            return self.number(h) + back, "%02d:00" % hour
        word = number_words(h)
        text, m = r.pick([("half past ", 30), ("quarter past ", 15), ("quarter to ", -15)])
        minutes = 60 * hour + m
        return text + word + back, "%02d:%02d" % (minutes // 60, minutes % 60)

    def fill(self, phrase, area, here, value=""):
        r = self.rng
        where = here or ("in the " + self.name(area) if area else "")
        out = phrase.replace("{in}", where)
        if "{A}" in out:
            out = out.replace("{A}", self.name(area))
        if "{L}" in out:
            out = out.replace("{L}", r.pick(["light", "lights"]))
        if "{B}" in out:
            out = out.replace("{B}", r.pick(["blinds", "shutters", "curtains"]))
        if "{M}" in out:
            out = out.replace("{M}", r.pick(["music", "radio"]))
        return out.replace("{v}", value)

    def value_of(self, kind):
        """(words, key, value) of a kind that has one."""
        r = self.rng
        if kind == "temperature":
            n = r.between(15, 26)
            return self.number(n), kind, n
        if kind in ("brightness", "position", "volume"):
            n = 5 * r.between(2, 18)
            return self.number(n), kind, n
        if kind == "color":
            c = r.pick(COLORS)
            return c, kind, c
        m = r.pick(MEDIA)
        return m, "media", m

    # -- clauses: each adds its words and its actions
    def add(self, text, *actions):
        self.clauses.append(text)
        self.actions.extend(actions)
        self.same_ok = True

    def pick_kind(self, among=None):
        if among is None:
            return self.rng.weighted(KIND_WEIGHTS)
        return self.rng.weighted([(k, w) for k, w in KIND_WEIGHTS if k in among])

    def plain_action(self, kind, area=None, here=None):
        """(words, action) of one kind; `here` stands for the room's name."""
        r = self.rng
        phrases = PHRASES[kind]
        if here:
            phrases = [p for p in phrases if "{in}" in p]
        phrase = r.pick(phrases)
        if kind in IN_AREA:
            area = area or self.new_area()
        action = {"service": VALUE_SERVICE.get(kind, kind)}
        if area:
            action["area"] = area
        value = ""
        if kind in VALUE_SERVICE or kind == "media.play":
            value, key, v = self.value_of(kind)
            action[key] = v
        elif kind.startswith("lock."):
            action["door"] = r.pick(list(DOORS))
            phrase = phrase.replace("{D}", DOORS[action["door"]][0])
        elif kind.startswith("switch."):
            action["device"] = r.pick(list(DEVICES))
            names = DEVICES[action["device"]]
            phrase = phrase.replace("{D}", names[0] if self.plain else r.pick(names))
        elif kind == "timer":
            value, action["minutes"] = self.duration()
            action["service"] = "timer.start"
        elif kind == "scene":
            value = action["scene"] = r.pick(list(SCENES))
            action["service"] = "scene.activate"
        return self.fill(phrase, area, here, value), action

    def when(self, action):
        """Words that put an action off, and the key for it."""
        if self.rng.chance(55):
            text, action["in"] = self.duration()
            return "in " + text
        text, action["at"] = self.clock()
        return "at " + text

    def c_plain(self):
        self.add(*self.plain_action(self.pick_kind()))

    def c_later(self):
        text, action = self.plain_action(self.pick_kind([k for k, _ in KIND_WEIGHTS if k != "timer"]))
        if not self.clauses and self.rng.chance(30):
            self.add(self.when(action) + " " + text, action)
        else:
            self.add(text + " " + self.when(action), action)

    def c_two_rooms(self):
        kind = self.pick_kind(IN_AREA)
        a, b = self.new_area(), self.new_area()
        phrases = [p for p in PHRASES[kind] if p.endswith("{in}") or " {in} to" in p]
        text, action = None, {"service": VALUE_SERVICE.get(kind, kind), "area": a}
        value = ""
        if kind in VALUE_SERVICE or kind == "media.play":
            value, key, v = self.value_of(kind)
            action[key] = v
        if not phrases:
            phrases = [p for p in PHRASES[kind] if "{in}" in p]
        where = "in the %s and the %s" % (self.name(a), self.name(b))
        text = self.fill(self.rng.pick(phrases), None, where, value)
        self.add(text, action, dict(action, area=b))

    def c_everywhere(self):
        self.add(*self.everywhere())

    def everywhere(self):
        kind = self.pick_kind(list(EVERYWHERE))
        action = {"service": VALUE_SERVICE.get(kind, kind), "area": "all"}
        value = ""
        if kind == "temperature":
            value, _, action["temperature"] = self.value_of(kind)
        return self.fill(self.rng.pick(EVERYWHERE[kind]), None, None, value), action

    def c_except(self):
        r = self.rng
        text, action = self.everywhere()
        areas = [self.new_area() for _ in range(1 if r.chance(60) else 2)]
        action["except"] = areas
        names = " and the ".join(self.name(a) for a in areas)
        self.add(text + r.pick([" except in the ", " except the ", " but not in the ",
                                " but leave out the "]) + names, action)

    def c_there(self):
        """An action in the room of the one before."""
        area = self.actions[-1]["area"]
        here = self.rng.pick(["there", "there too", "in there", "in that room"])
        kind = self.pick_kind([k for k in IN_AREA
                               if VALUE_SERVICE.get(k, k) != self.actions[-1]["service"]])
        text, action = self.plain_action(kind, area, here if here != "there too" else "there")
        self.add(text, action)

    def c_again(self):
        """The opposite of the action before, later."""
        last = self.actions[-1]
        action = {k: v for k, v in last.items() if k in ("area", "device")}
        action["service"] = OPPOSITE[last["service"]]
        family = last["service"].split(".")[0]
        verb = {"cover": "close them", "media": "stop it"}.get(family, "turn it off")
        self.add(verb + self.rng.pick([" again ", " "]) + self.when(action), action)

    def c_same(self):
        """The action before, in another room."""
        last = self.actions[-1]
        area = self.new_area()
        text = self.rng.pick(["do the same in the %s", "the same in the %s", "the %s too",
                              "the %s as well"]) % self.name(area)
        self.add(text, dict(last, area=area))

    def c_for(self):
        """On now, off after a while."""
        kind = self.pick_kind(["light.turn_on", "fan.turn_on", "switch.turn_on", "media.play"])
        text, action = self.plain_action(kind)
        off = {k: v for k, v in action.items() if k in ("area", "device")}
        off["service"] = OPPOSITE[kind]
        words, off["in"] = self.duration()
        self.add(text + " for " + words, action, off)

    def state_room(self):
        self.uses_state = True
        return self.new_area([a for a, _, _ in self.state])

    def temp(self, area):
        return next(t for a, t, _ in self.state if a == area)

    def degrees(self, n):
        """A difference of temperatures."""
        if n == 1:
            return self.marked(n, "a degree")
        return self.marked(n, self.number(n)) + " degrees"

    def c_warmer(self):
        """Relative to what the room has now."""
        r = self.rng
        area, n, up = self.state_room(), r.between(1, 4), r.chance(50)
        word = r.pick(["warmer", "hotter"] if up else ["cooler", "colder"])
        by = self.degrees(n)
        text = r.pick(["make it %s %s in the %s" % (by, word, self.name(area)),
                       "make the %s %s %s" % (self.name(area), by, word),
                       ("raise" if up else "lower") +
                       " the temperature in the %s by %s" % (self.name(area), by)])
        self.add(text, self.set_temp(area, self.temp(area) + (n if up else -n),
                                     (area, len(self.marks) - 1)))
        self.same_ok = False

    def set_temp(self, area, t, look=None):
        """look: (the room whose temperature one must know for it, the mark of the number that is added
        or None); never written."""
        return {"service": "climate.set_temperature", "area": area, "temperature": t, "look": look}

    def c_than(self):
        """Relative to another room."""
        r = self.rng
        other, n, up = self.state_room(), r.between(1, 4), r.chance(50)
        area, mark = self.new_area(), None
        t = self.temp(other)
        if r.chance(25):
            text = r.pick(["make the %s as warm as the %s",
                           "set the %s to the temperature of the %s"])
            text = text % (self.name(area), self.name(other))
        else:
            t += n if up else -n
            by = self.degrees(n)
            mark = len(self.marks) - 1
            text = r.pick(["make the %s", "set the %s"]) % self.name(area)
            text += " %s %s than the %s" % (by, r.pick(["warmer"] if up else ["cooler", "colder"]),
                                             self.name(other))
        self.add(text, self.set_temp(area, t, (other, mark)))

    def c_toggle(self):
        area = self.state_room()
        on = next(l for a, _, l in self.state if a == area)
        text = self.fill(self.rng.pick(["toggle the {A} {L}", "toggle the {L} {in}"]), area, None)
        self.add(text, {"service": "light.turn_off" if on else "light.turn_on", "area": area,
                        "flip": area})

    def c_still_on(self):
        on = self.rng.chance(70)
        text = self.rng.pick(["turn off every light that is on",
                              "turn off the lights that are still on"]
                             if on else ["turn on every light that is off",
                                         "turn on the lights that are still off"])
        service = "light.turn_off" if on else "light.turn_on"
        self.uses_state = True
        self.add(text, *({"service": service, "area": a} for a, _, l in self.state if l == on))

    def c_if(self):
        r = self.rng
        area = self.state_room()
        now = self.temp(area)
        t = max(15, min(26, now + r.pick([-4, -3, -2, -1, 1, 2, 3, 4])))
        if t == now:
            t += 1
        below = r.chance(60)
        cond = r.pick(["below %s degrees", "colder than %s degrees"] if below else
                      ["above %s degrees", "warmer than %s degrees"]) % self.marked(t, self.number(t))
        hit = now < t if below else now > t
        if below:
            goal = r.between(t, 26)
            then, action = "heat it to " + self.number(goal), self.set_temp(area, goal)
        else:
            then, action = "start the fan there", {"service": "fan.turn_on", "area": area}
        text = "if the %s is %s, %s" % (self.name(area), cond, then)
        self.add(text, *([action] if hit else []))
        self.condition = (area, hit, len(self.marks) - 1)
        if not self.actions:
            self.sentence = "There is nothing to do."

    # -- questions and what cannot be done
    def q_temperature(self):
        area = self.state_room()
        self.ask(["how warm is the %s", "how warm is it in the %s",
                  "what is the temperature in the %s"], area, self.temp(area))
        self.looks = [(area, None)]
        self.sentence = "It is %d degrees there." % self.temp(area)

    def q_light(self):
        area, on = self.state_room(), self.rng.chance(50)
        is_on = next(l for a, _, l in self.state if a == area)
        word = "on" if on else "off"
        self.ask(["is the light in the %s " + word, "is the %s light " + word], area, is_on == on)
        self.light = area
        self.sentence = "Yes, it is." if is_on == on else "No, it is not."

    def q_unknown(self):
        known = [a for a, _, _ in self.state]
        area = self.new_area([a for a in AREAS if a not in known])
        self.ask(["how warm is the %s", "how warm is it in the %s", "is the light in the %s on",
                  "what is the temperature in the %s"], area, None)
        self.sentence = "Sorry, I do not know that."

    def q_which(self):
        r = self.rng
        a, b = r.sample([a for a, _, _ in self.state], 2)
        if self.temp(a) == self.temp(b):
            return self.q_lights()
        warmer = r.chance(60)
        text = r.pick(["which is %s, the %s or the %s", "what room is %s, the %s or the %s"]) % (
            "warmer" if warmer else "colder", self.name(a), self.name(b))
        value = a if (self.temp(a) > self.temp(b)) == warmer else b
        self.add(text)
        self.answer, self.pair = (value,), (a, b)
        self.sentence = "It is the %s." % AREAS[value][0]

    def q_lights(self):
        on = self.rng.chance(60)
        word = "on" if on else "off"
        self.add(self.rng.pick(["which lights are " + word, "where is the light " + word,
                                "in which rooms is the light " + word]))
        self.answer = ([a for a, _, l in self.state if l == on],)
        self.sentence = "Those are the ones." if self.answer[0] else "There are none."

    def q_difference(self):
        r = self.rng
        a, b = r.sample([a for a, _, _ in self.state], 2)
        if self.temp(a) < self.temp(b):
            a, b = b, a
        d = self.temp(a) - self.temp(b)
        self.add(r.pick(["how much warmer is the %s than the %s",
                         "by how many degrees is the %s warmer than the %s"])
                 % (self.name(a), self.name(b)))
        self.answer, self.pair = (d,), (a, b)
        self.sentence = "By %d." % d

    def ask(self, phrases, area, value):
        self.add(self.rng.pick(phrases) % self.name(area))
        self.answer = (value,)

    def u_unmet(self):
        r = self.rng
        if r.chance(20):
            text = r.pick(UNMET_WHOLE)
        else:
            text = r.pick(UNMET_VERBS) + " " + r.pick(UNMET_THINGS)
            if r.chance(40):
                text += r.pick([" today", " tomorrow", " right now", " in the " +
                                self.name(r.pick(list(AREAS)))])
        self.add(text)
        self.sentence = "Sorry, I cannot do that."

    def u_range(self):
        area = self.new_area()
        n = self.rng.pick([31, 35, 38, 40, 45, 50, 60, 70, 80, 90])
        phrase = self.rng.pick(PHRASES["temperature"])
        self.add(self.fill(phrase, area, None, self.number(n)))
        self.sentence = "Sorry, that is too hot for me."

    # -- the whole
    def make_state(self, n):
        r = self.rng
        self.state = [(a, r.between(16, 24), r.chance(50)) for a in r.sample(AREAS, n)]

    def can_there(self):
        return bool(self.actions) and self.actions[-1].get("area") in AREAS

    def can_again(self):
        last = self.actions[-1] if self.actions else {}
        return (last.get("service") in OPPOSITE and "in" not in last and "at" not in last
                and last.get("area") != "all" and "brightness" not in last)

    def can_same(self):
        return self.same_ok and self.can_there() and "in" not in self.actions[-1] and "at" not in self.actions[-1]

    def follow(self):
        """A clause that refers to the one before."""
        kinds = [self.c_there] * self.can_there() + [self.c_again] * (2 * self.can_again())
        kinds += [self.c_same] * self.can_same()
        if not kinds:
            return self.c_plain()
        return self.rng.pick(kinds)()


# ---- practice ---------------------------------------------------------------------------------


def practise_report(c):
    """Several rooms at once, each by name: {"hall":17,"office":20}."""
    r = c.rng
    rooms = r.sample(c.state, r.between(2, len(c.state)))
    names = ["the " + c.name(a) for a, _, _ in rooms]
    names = ", ".join(names[:-1]) + " and " + names[-1]
    if r.chance(65):
        c.add(r.pick(["how warm are %s", "what are the temperatures in %s"]) % names)
        c.answer = ({a: t for a, t, _ in rooms},)
        c.looks = [(a, None) for a, _, _ in rooms]
    else:
        c.add(r.pick(["are the lights on in %s", "how are the lights in %s"]) % names)
        c.answer = ({a: l for a, _, l in rooms},)
    c.sentence = "Those are all."


def practise_changes(c):
    for _ in range(c.rng.between(2, len(c.state))):
        c.rng.pick([c.c_warmer, c.c_warmer, c.c_than, c.c_toggle])()


def practise_condition(c):
    if c.rng.chance(50):
        c.c_plain()
    c.c_if()


def practise_pair(c):
    c.rng.pick([c.q_difference, c.q_difference, c.q_which])()


def practise_light(c):
    c.rng.pick([c.q_light, c.c_toggle])()


PRACTICE = [(practise_report, 2), (practise_changes, 2), (practise_condition, 8), (practise_pair, 5),
            (practise_light, 2)]


def practice(seed, index):
    """A sample that looks up rooms in the house's state, several or to compare them. Samples of several
    are of no level; none stands on the held-out side."""
    rng, text = Rng(seed, "practice", index), None
    while text is None or is_held_out(text):
        c = Command(rng, False)
        c.make_state(rng.between(3, 5))
        rng.weighted(PRACTICE)(c)
        text = dress(c, join_clauses(c), 1)
    return {"level": 0, "system": write_state(c.state), "user": text.replace(MARK, ""),
            "answer": write_json(c) + "\n" + write_sentence(c), "hints": write_hints(c, text)}


# ---- difficulties -----------------------------------------------------------------------------


def level1(c):
    c.c_plain()


def level2(c):
    r = c.rng
    kind = r.below(12)
    if kind < 3:
        c.c_plain()
        c.c_plain()
    elif kind < 6:
        c.c_later()
    elif kind < 7:
        c.c_everywhere()
    elif kind < 9:
        c.c_two_rooms()
    elif kind < 11:
        r.pick([c.q_temperature, c.q_light])()
    else:
        c.u_unmet()


def level3(c):
    r = c.rng
    kind = r.below(12)
    if kind < 3:
        c.c_plain()
        c.follow()
    elif kind < 5:
        c.c_except()
    elif kind < 6:
        r.pick([c.c_for, c.c_toggle])()
    elif kind < 8:
        c.c_warmer()
    elif kind < 9:
        r.pick([c.q_unknown, c.u_range, c.q_lights])()
    elif kind < 11:
        c.c_later()
        r.pick([c.c_plain, c.c_later])()
    else:
        c.u_unmet()


def level4(c):
    r = c.rng
    kind = r.below(12)
    if kind < 3:
        c.c_plain()
        c.follow()
        c.c_plain()
    elif kind < 6:
        c.c_than()
        r.pick([c.c_plain, c.c_later])()
    elif kind < 7:
        c.c_still_on()
    elif kind < 8:
        c.c_if()
    elif kind < 9:
        c.c_for()
        c.c_plain()
    elif kind < 10:
        r.pick([c.q_which, c.q_difference])()
    else:
        c.c_except()
        c.c_warmer()


def level5(c):
    """Three or four actions, at least two of the difficult things."""
    r = c.rng
    special = r.sample([c.c_than, c.c_warmer, c.c_except, c.c_later, c.c_for, "if"], 2)
    last = "if" in special
    special = [s for s in special if s != "if"]
    for s in special:
        s()
        if len(c.actions) < 3 and r.chance(40):
            c.follow()
    while len(c.actions) < (2 if last else 3):
        r.pick([c.c_plain, c.c_plain, c.c_later])()
        if len(c.actions) < 3 and r.chance(60):
            c.follow()
    if last:
        c.c_if()
    elif len(c.actions) == 3 and r.chance(35):
        c.follow()


LEVELS = [level1, level2, level3, level4, level5]
STATE_CHANCE = [20, 40, 50, 60, 70]
TYPO_CHANCE = [0, 0, 25, 30, 35]


def join_clauses(c):
    r = c.rng
    out = c.clauses[0]
    for clause in c.clauses[1:]:
        if clause.startswith(("the ", "if ")):  # "the hall too" needs an "and"
            out += (" and " if not clause.startswith("if ") else ", and ") + clause
        else:
            out += r.pick(JOINERS) + clause
    return out


def dress(c, text, level):
    """Politeness, a filler, a capital letter, a full stop."""
    r = c.rng
    question = c.answer is not None
    if not question and not text.startswith(("in ", "at ", "if ", "what", "who", "how")):
        if r.chance(35):
            text = r.pick(POLITE_FRONT) + text
        elif r.chance(20):
            text += r.pick(POLITE_BACK)
    if level >= 3 and r.chance(12):
        text = r.pick(FILLERS) + text
    if question and r.chance(70):
        text += "?"
    elif r.chance(35):
        text += "."
    return text[0].upper() + text[1:] if r.chance(35) else text


def typo(rng, word):
    """One slip of the finger inside a word."""
    at = rng.between(1, len(word) - 2)
    form = rng.below(3)
    if form == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    if form == 1:
        return word[:at] + word[at + 1:]
    return word[:at] + word[at] + word[at:]


def mistype(rng, text):
    words = text.split(" ")
    bare = [w.replace(MARK, "") for w in words]
    long = [i for i, w in enumerate(bare) if len(w) >= 6 and w.isalpha()]
    for i in rng.sample(long, min(len(long), rng.between(1, 2))):
        words[i] = typo(rng, bare[i]) + MARK * (MARK in words[i])
    return " ".join(words)


def normalised(text):
    """What decides the side of a command: its letters and digits, without case."""
    return " ".join("".join(ch if ch.isalnum() or ch == ":" else " "
                            for ch in text.lower()).split())


def is_held_out(text):
    return hashlib.sha256(normalised(text).encode()).digest()[0] % 10 == 0


def write_state(state):
    return "; ".join("%s %d, light %s" % (AREAS[a][0], t, "on" if l else "off")
                     for a, t, l in state)


def write_json(c):
    actions = [{k: a[k] for k in KEYS if k in a} for a in c.actions]
    top = {"actions": actions}
    if c.answer is not None:
        top["answer"] = c.answer[0]
    return json.dumps(top, separators=(",", ":"))


def write_hints(c, text):
    """What training may know of an answer beyond its text. looks: for every temperature of the JSON, in
    order, the room where it was looked up and the mark of the number that was added, or None. marks:
    [end in the user's text, value] of numbers that are calculated with. flips: for every action the
    room whose light was asked for, or None."""
    ends = [len(part) for part in text.split(MARK)[:-1]]
    return {"looks": [a.get("look") for a in c.actions if "temperature" in a] + c.looks,
            "marks": [(sum(ends[:i + 1]), n) for i, n in enumerate(c.marks)],
            "flips": [a.get("flip") for a in c.actions],
            "condition": c.condition, "light": c.light, "pair": c.pair}


SENTENCES = {
    "light.turn_on": "Okay, the light in the %s is on.",
    "light.turn_off": "Okay, the light in the %s is off.",
    "climate.set_temperature": "Okay, I have set the heating in the %s.",
    "cover.open": "Okay, the blinds in the %s are open.",
    "cover.close": "Okay, the blinds in the %s are closed.",
    "cover.set_position": "Okay, I have moved the blinds in the %s.",
    "media.play": "Enjoy it in the %s.",
    "media.stop": "Okay, it is quiet in the %s.",
    "fan.turn_on": "Okay, the fan in the %s is on.",
    "fan.turn_off": "Okay, the fan in the %s is off.",
    "vacuum.start": "Okay, the vacuum goes to the %s.",
}


def write_sentence(c):
    if c.sentence:
        return c.sentence
    n = len(c.actions)
    if n == 0:
        return "There is nothing to do."
    if n > 1:
        return ["Done, both of them.", "Done, all three.", "Done, all four."][n - 2] \
            if n <= 4 else "Done, all of them."
    a = c.actions[0]
    if "in" in a or "at" in a:
        return "Sure, I will do that then."
    if a["service"] in SENTENCES and a["area"] in AREAS:
        return SENTENCES[a["service"]] % AREAS[a["area"]][0]
    return "Okay, done."


def attempt(rng, level):
    """One sample, and the command before typing errors."""
    c = Command(rng, level == 1)
    if rng.chance(STATE_CHANCE[level - 1]):
        c.make_state(rng.between(3, 5 if level >= 4 else 4))
    have = bool(c.state)
    if not have:
        c.make_state(4)  # used where a clause needs it
    LEVELS[level - 1](c)
    clean = dress(c, join_clauses(c), level)
    text = mistype(rng, clean) if rng.chance(TYPO_CHANCE[level - 1]) else clean
    uses = c.answer is not None or c.uses_state
    sample = {"level": level, "system": write_state(c.state) if have or uses else "",
              "user": text.replace(MARK, ""), "answer": write_json(c) + "\n" + write_sentence(c),
              "hints": write_hints(c, text)}
    return sample, clean.replace(MARK, ""), len(c.actions), uses


def sample(seed, side, index, level):
    """Sample `index` of a side ("train" or "test"): the first attempt that falls on that side."""
    rng = Rng(seed, side, index, level)
    while True:
        s, clean, n, uses = attempt(rng, level)
        if n <= 5 and is_held_out(clean) == (side == "test"):
            return s, clean, uses


TRAIN_LEVELS = [(1, 10), (2, 16), (3, 22), (4, 25), (5, 27)]


def train_samples(seed, start, count, focus=False, drill=0):
    """focus: of the samples whose answer does not need the house's state, one in four.
    drill: so many percent are practice of looking things up."""
    for i in range(start, start + count):
        if drill and Rng(seed, "drill", i).chance(drill):
            s = practice(seed, i)
            yield s, s["user"]
            continue
        level = Rng(seed, "level", i).weighted(TRAIN_LEVELS)
        s, clean, uses = sample(seed, "train", i, level)
        if uses or not focus or i % 4 == 0:
            yield s, clean


def test_samples(seed, count=1000):
    """An equal number of each level, no command twice."""
    seen = set()
    for level in range(1, 6):
        i = found = 0
        while found < count // 5:
            s, clean, _ = sample(seed, "test", i, level)
            i += 1
            if normalised(clean) not in seen:
                seen.add(normalised(clean))
                found += 1
                yield s, clean


def main():
    p = argparse.ArgumentParser(description="write samples of the hearth corpus")
    p.add_argument("side", choices=["train", "test"])
    p.add_argument("-n", "--count", type=int, default=1000)
    p.add_argument("--start", type=int, default=0, help="first sample (train)")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    samples = (train_samples(args.seed, args.start, args.count) if args.side == "train"
               else test_samples(args.seed, args.count))
    for s, _ in samples:
        del s["hints"]
        sys.stdout.write(json.dumps(s, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
