"""Reads the weights of a model that export.py wrote, so that training can go on from it."""
import struct

import numpy
import torch

from export import F32, NAMES, Q8_0, aligned

PARTS = {v: k for k, v in NAMES.items()}
SIZES = {4: "<I", 5: "<i", 6: "<f", 7: "<B"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        v = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v if len(v) > 1 else v[0]

    def text(self):
        n = self.take("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            item, n = self.take("<IQ")
            return [self.value(item) for _ in range(n)]
        return self.take(SIZES[kind])


def key_of(name):
    """The name in the state of model.Model of a tensor of the file."""
    parts = name.split(".")
    if parts[0] == "blk":
        return "layers.%s.%s" % (parts[1], PARTS[parts[2]])
    return {"token_embd": "embed", "output_norm": "norm"}[parts[0]]


def numbers(data, kind, count):
    if kind == F32:
        return numpy.frombuffer(data, "<f4", count)
    if kind != Q8_0:
        raise ValueError("only float32 and Q8_0 are read here")
    b = numpy.frombuffer(data, [("d", "<f2"), ("q", "i1", 32)], count // 32)
    return (b["d"].astype(numpy.float32)[:, None] * b["q"]).reshape(-1)


def weights(path):
    """The state of model.Model, dequantised."""
    with open(path, "rb") as f:
        r = Reader(f.read())
    magic, version, tensors, keys = r.take("<4sIQQ")
    if magic != b"GGUF" or version != 3:
        raise ValueError("%s is not a GGUF file of version 3" % path)
    for _ in range(keys):
        r.text()
        r.value(r.take("<I"))
    table = []
    for _ in range(tensors):
        name = r.text()
        dims = [r.take("<Q") for _ in range(r.take("<I"))]
        table.append((name, dims[::-1], *r.take("<IQ")))
    base = aligned(r.at)
    out = {}
    for name, dims, kind, at in table:
        v = numbers(memoryview(r.data)[base + at:], kind, int(numpy.prod(dims)))
        out[key_of(name)] = torch.tensor(v.copy()).view(*dims)
    return out
