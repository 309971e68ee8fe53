"""The network: the architecture that GGUF calls qwen3 (RMS norms, rotary positions, norms on
queries and keys, SwiGLU), output tied to the embedding. Every matrix has columns in 256s, so that
every quantisation applies.
"""
import math

import torch
import torch.nn.functional as F

from tokenizer import VOCAB

CONFIGS = {
    "large": {"embd": 256, "heads": 4, "head": 64, "layers": 4, "ffn": 512},
    "small": {"embd": 256, "heads": 4, "head": 64, "layers": 1, "ffn": 256},
}
EPS = 1e-6
ROPE_BASE = 10000.0
CONTEXT = 512


def unit(x):
    """RMS norm without its weight."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * torch.rsqrt(length.square() / x.shape[-1] + EPS)


def norm(x, w):
    return unit(x) * w


def rope_table(n, head, device):
    f = ROPE_BASE ** (-torch.arange(0, head, 2, device=device).float() / head)
    a = torch.arange(n, device=device).float()[:, None] * f
    return a.cos(), a.sin()


def rope(x, w, table, at=0):
    """x: batch, heads, time, head; the halves of a head turn together, after the weight w of its norm."""
    c, s = (t[at:at + x.shape[2]] for t in table)
    u, v = w.chunk(2)
    a, b = x.chunk(2, -1)
    return torch.cat([a * (c * u) - b * (s * v), b * (c * v) + a * (s * u)], -1)


class Layer(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        e, q, f = c["embd"], c["heads"] * c["head"], c["ffn"]
        self.heads, self.head = c["heads"], c["head"]
        self.watched, self.logits = False, None  # of the first two heads' attention, for hints
        self.norm1 = torch.nn.Parameter(torch.ones(e))
        self.norm2 = torch.nn.Parameter(torch.ones(e))
        self.q_norm = torch.nn.Parameter(torch.ones(self.head))
        self.k_norm = torch.nn.Parameter(torch.ones(self.head))
        deep = 1 / math.sqrt(2 * c["layers"])
        self.wq, self.wk, self.wv = (matrix(q, e) for _ in range(3))
        self.wo = matrix(e, q, deep)
        self.gate, self.up = matrix(f, e), matrix(f, e)
        self.down = matrix(e, f, deep)

    def split(self, x, w):
        b, t, _ = x.shape
        return F.linear(x, w).view(b, t, self.heads, self.head).transpose(1, 2)

    def attend(self, x, table, mask, cache=None):
        """Attention; with a cache (k, v lists), x continues what is in it."""
        b, t, _ = x.shape
        h = unit(x)
        at = 0 if not cache else cache[0].shape[2]
        # The norms' weights go into smaller things than x, which saves passes over memory.
        q, k, v = (self.split(h, w * self.norm1) for w in (self.wq, self.wk, self.wv))
        q = rope(unit(q), self.q_norm * (1 / math.sqrt(self.head)), table, at)
        k = rope(unit(k), self.k_norm, table, at)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        w = torch.matmul(q, k.transpose(-1, -2))
        if mask is not None:
            w += mask
        if self.watched:
            self.logits = w[:, :2]
        out = torch.matmul(w.softmax(-1), v).transpose(1, 2).reshape(b, t, -1)
        return x + F.linear(out, self.wo)

    def feed(self, x):
        h = unit(x)
        gate, up = (F.linear(h, w * self.norm2) for w in (self.gate, self.up))
        return x + F.linear(F.silu(gate) * up, self.down)


def matrix(rows, columns, scale=1.0):
    return torch.nn.Parameter(torch.randn(rows, columns) * scale / math.sqrt(columns))


class Model(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = torch.nn.Parameter(torch.randn(VOCAB, config["embd"]) * 0.05)
        self.layers = torch.nn.ModuleList(Layer(config) for _ in range(config["layers"]))
        self.norm = torch.nn.Parameter(torch.ones(config["embd"]))
        self.hint_values, self.look_values = [], []  # losses of the last steps' hints, for the log

    def tables(self, n):
        return rope_table(n, self.config["head"], self.embed.device)

    def loss(self, x, y, weight=None, hints=None):
        """Mean cross entropy where y is not -1, tokens by their weight; the last layer's second half
        runs only there. hints, all -1 where there is none: tokens that the residual stream should tell
        early, in the prompt after the first layer, in the answer after the second; positions where the
        first and the second head of the third layer should look; weights of positions; tokens that the
        stream should tell beside the first, in its halves exchanged. Without them looking up in the
        state had not formed after 8,300 steps, and without the last it did not for a second room."""
        t = x.shape[1]
        mask = torch.full((t, t), -1e9, device=x.device).triu(1)
        table = self.tables(t)
        h = F.embedding(x, self.embed)
        extra = 0.0
        if hints is not None and len(self.layers) > 2:
            self.layers[2].watched = True
        for i, layer in enumerate(self.layers[:-1]):
            h = layer.feed(layer.attend(h, table, mask))
            if hints is not None and i < 2:
                extra = extra + self.hint_loss(h, torch.where((y >= 0) == (i == 1), hints[0], -1))
            if hints is not None and i == 1:
                extra = extra + self.hint_loss(h.roll(h.shape[-1] // 2, -1), hints[4])
            if hints is not None and i == 2:
                extra = extra + self.look_loss(layer.logits, hints[1:3])
        h = self.layers[-1].attend(h, table, mask)
        keep = y.view(-1) >= 0
        h = self.layers[-1].feed(h.reshape(-1, h.shape[-1])[keep])
        logits = F.linear(norm(h, self.norm), self.embed).float()
        y = y.view(-1)[keep]
        each = F.cross_entropy(logits, y, reduction="none")
        if weight is None:
            return each.mean() + extra
        weight = weight[y]
        if hints is not None:
            weight = torch.maximum(weight, hints[3].view(-1)[keep])
        return (each * weight).sum() / weight.sum() + extra

    def hint_loss(self, h, hints):
        keep = hints.view(-1) >= 0
        if not keep.any():
            return 0.0
        h = h.reshape(-1, h.shape[-1])[keep]
        logits = F.linear(norm(h, torch.ones_like(self.norm)), self.embed).float()
        loss = F.cross_entropy(logits, hints.view(-1)[keep])
        self.hint_values.append(loss.detach())
        return 0.5 * loss

    def look_loss(self, logits, places):
        """Where the first two heads of the third layer should look."""
        places = places.transpose(0, 1).reshape(-1)
        keep = places >= 0
        if not keep.any():
            return 0.0
        rows = logits.reshape(-1, logits.shape[-1])[keep].float()
        loss = F.cross_entropy(rows, places[keep])
        self.look_values.append(loss.detach())
        return 0.3 * loss

    def logits(self, x):
        """Of every position."""
        t = x.shape[1]
        mask = torch.full((t, t), -1e9, device=x.device).triu(1)
        h, table = F.embedding(x, self.embed), self.tables(t)
        for layer in self.layers:
            h = layer.feed(layer.attend(h, table, mask))
        return F.linear(norm(h, self.norm), self.embed)

    def next(self, x, caches, table, mask):
        """Logits of the last position of each row; the caches grow."""
        h = F.embedding(x, self.embed)
        for layer, cache in zip(self.layers, caches):
            h = layer.feed(layer.attend(h, table, mask, cache))
        return F.linear(norm(h[:, -1], self.norm), self.embed)
