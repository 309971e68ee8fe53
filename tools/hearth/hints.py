"""What training is told of a sample beyond its text: where the network should look, and what it should
know early. Without hints looking things up in the house's state had not formed after 8,300 steps.
"""
from tokenizer import LETTERS


def hints(tok, s):
    """{position: (token, place, other place, weight, other token)}, -1 where there is none; see Model.loss.
    At a number or a light of the house's state the token is the room's name; at a number of the command
    that is calculated with, its digits. Where something looked up decides what comes next: the room, where
    its number or light stands, where what it is compared with or added to stands, how much it counts, and
    the other room if that is what it is compared with."""
    if not s["system"]:
        return {}
    out, places, lights = state_hints(tok, s)
    marks = mark_hints(tok, s, out)
    at, text, answer = len(tok.prompt(s["system"], s["user"])), "", "\"answer\":" in s["answer"]
    h, decided = s["hints"], decision(s)
    left = list(h["looks"])
    for i, t in enumerate(tok.encode(s["answer"])):
        word, hint = tok.tokens[t], None
        if len(text) <= decided < len(text) + len(word):
            hint = h["condition"][0], places, marks[h["condition"][2]], 6
        elif text.endswith("light.turn"):
            room = h["flips"][text.count("\"service\"") - 1]
            hint = room and (room, lights, -1, 4)
        elif text.endswith(("answer\":", "answer\":\"")) and h["pair"]:
            a, b = h["pair"]
            hint = a, places, places[tok.first(b)], 6
        elif text.endswith("answer\":") and h["light"]:
            hint = h["light"], lights, -1, 4
        elif word.isdigit() and text.endswith("\":") and (answer or text.endswith("temperature\":")):
            room, mark = (left.pop(0) if left else None) or (None, None)
            hint = room and (room, places, -1 if mark is None else marks[mark], 4)
        if hint:
            room, where, other, weight = hint
            second = tok.first(h["pair"][1]) if h["pair"] else -1
            out[at + i - 1] = (tok.first(room), where[tok.first(room)], other, weight, second)
        text += word
    return out


def state_hints(tok, s):
    """The hints in the state, and where the numbers and lights of the rooms stand."""
    out, room, places, lights = {}, None, {}, {}
    for i, t in enumerate(tok.turn("system", s["system"])):
        word = tok.tokens[t]
        room = tok.rooms.get(word.lstrip(LETTERS[32]), room)
        if word.isdigit():
            places[room] = i
        elif word in (LETTERS[32] + "on", LETTERS[32] + "off"):
            lights[room] = i
        else:
            continue
        out[i] = (room, -1, -1, 0, -1)
    return out, places, lights


def mark_hints(tok, s, out):
    """Adds the hints at marked numbers of the command; their positions."""
    marks = s["hints"]["marks"]
    positions, ahead = [], len("user\n")
    first = len(tok.turn("system", s["system"])) + 1
    ends, end = [], 0
    for t in tok.encode("user\n" + s["user"]):
        end += len(tok.tokens[t])
        ends.append(end)
    for end, value in marks:
        at = first + next(i for i, e in enumerate(ends) if e >= ahead + end)
        out[at] = (tok.word(str(value))[0], -1, -1, 0, -1)
        positions.append(at)
    return positions


def decision(s):
    """Where in the answer's first line it shows whether the condition of the last action holds; -1: there
    is none."""
    line = s["answer"].split("\n")[0]
    condition = s["hints"]["condition"]
    if not condition:
        return -1
    if not condition[1]:
        return line.rindex("]}")
    at = line.rindex("{\"service\"")
    return at - (line[at - 1] == ",")
