#!/usr/bin/env python3
"""Write a GGUF model of a chosen shape with random weights, for tests and benchmarks of memory.

    synth_model.py OUT [--embd N] [--ffn N] [--layers N] [--heads N] [--kv-heads N] [--vocab N]
                       [--context N] [--seed N] [--holes] [--f32]

Every layer has the bytes of the first one, so that a model of any size is written as fast as the
disk takes it. Weights are Q4_0, or with --f32 plain floats: what follows from them does not hang on
the last bit of a sum, as it may where activations are rounded to 8 bits. --holes leaves the layers after the first as holes of the file (zeros): a model of
40 GB then takes no room, and its shard, which is as large as the model says, can be made from it.
"""
import argparse
import random
import struct

ALIGN = 32
F32, Q4_0 = 0, 2
BLOCK = 1 << 16  # blocks of Q4_0, or floats, that are repeated


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    return struct.pack("<I" + {4: "I", 6: "f"}[kind], kind, v)


def array(kind, items):
    head = struct.pack("<IIQ", 9, kind, len(items))
    if kind == 8:
        return head + b"".join(text(s) for s in items)
    return head + struct.pack("<%d%s" % (len(items), {5: "i", 6: "f"}[kind]), *items)


def vocabulary(n):
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)] + ["\u2581"]
    tokens += [chr(97 + i) for i in range(26)]
    tokens += ["\u2581w%d" % i for i in range(n - len(tokens))]
    tokens = tokens[:n]
    kinds = [2, 3, 3] + [6] * 256 + [1] * n
    return tokens, [-float(i) for i in range(len(tokens))], kinds[:n]


def metadata(a):
    tokens, scores, kinds = vocabulary(a.vocab)
    u32, f32 = (lambda v: value(4, v)), (lambda v: value(6, v))
    return [
        ("general.architecture", struct.pack("<I", 8) + text("llama")),
        ("general.name", struct.pack("<I", 8) + text("synthetic")),
        ("llama.block_count", u32(a.layers)),
        ("llama.embedding_length", u32(a.embd)),
        ("llama.feed_forward_length", u32(a.ffn)),
        ("llama.attention.head_count", u32(a.heads)),
        ("llama.attention.head_count_kv", u32(a.kv_heads)),
        ("llama.attention.layer_norm_rms_epsilon", f32(1e-5)),
        ("llama.rope.dimension_count", u32(a.embd // a.heads)),
        ("llama.context_length", u32(a.context)),
        ("tokenizer.ggml.model", struct.pack("<I", 8) + text("llama")),
        ("tokenizer.ggml.tokens", array(8, tokens)),
        ("tokenizer.ggml.scores", array(6, scores)),
        ("tokenizer.ggml.token_type", array(5, kinds)),
        ("tokenizer.ggml.bos_token_id", u32(1)),
        ("tokenizer.ggml.eos_token_id", u32(2)),
    ]


def tensors(a):
    """(name, columns, rows, type, layer) in the order of the file."""
    kv, weights = a.embd // a.heads * a.kv_heads, F32 if a.f32 else Q4_0
    yield "token_embd.weight", a.embd, a.vocab, weights, 0
    for i in range(a.layers):
        for name, cols, rows in (
                ("attn_norm", a.embd, 0), ("attn_q", a.embd, a.embd), ("attn_k", a.embd, kv),
                ("attn_v", a.embd, kv), ("attn_output", a.embd, a.embd),
                ("ffn_norm", a.embd, 0), ("ffn_gate", a.embd, a.ffn), ("ffn_up", a.embd, a.ffn),
                ("ffn_down", a.ffn, a.embd)):
            yield "blk.%d.%s.weight" % (i, name), cols, rows, weights if rows else F32, i
    yield "output_norm.weight", a.embd, 0, F32, 0
    yield "output.weight", a.embd, a.vocab, weights, 0


def size(cols, rows, kind):
    return cols * 4 * max(rows, 1) if kind == F32 else cols // 32 * 18 * rows


def blocks(rng, columns, kind):
    """Random weights whose sizes keep the rows of activations near their size."""
    if kind == F32:
        most = 0.87 / columns ** 0.5
        return struct.pack("<%df" % BLOCK, *(rng.uniform(-most, most) for _ in range(BLOCK)))
    scale = struct.pack("<e", 0.5 / (4.6 * columns ** 0.5))
    return b"".join(scale + rng.randbytes(16) for _ in range(BLOCK))


def write_tensor(f, rng, cols, rows, kind, cache):
    if rows == 0:
        f.write(struct.pack("<%df" % cols, *([1.0] * cols)))
        return
    if cols not in cache:
        cache[cols] = blocks(rng, cols, kind)
    left, at = size(cols, rows, kind), rng.randrange(BLOCK) * (4 if kind == F32 else 18)
    while left > 0:
        part = cache[cols][at:at + left]
        f.write(part)
        left -= len(part)
        at = 0


def main():
    p = argparse.ArgumentParser(description="write a synthetic GGUF model")
    p.add_argument("out")
    for name, default in (("embd", 1024), ("ffn", 2816), ("layers", 8), ("heads", 16),
                          ("kv-heads", 4), ("vocab", 1024), ("context", 4096), ("seed", 1)):
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--holes", action="store_true", help="only the first layer has bytes")
    p.add_argument("--f32", action="store_true", help="weights of 32 bits")
    a = p.parse_args()
    if a.vocab < 286 or a.embd % 32 or a.ffn % 32 or a.embd % a.heads or a.heads % a.kv_heads:
        p.error("a vocabulary of 286 or more, widths in 32s, heads that divide")
    keys, table, at = metadata(a), list(tensors(a)), 0
    with open(a.out, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, len(table), len(keys)))
        for k, v in keys:
            f.write(text(k) + v)
        for name, cols, rows, kind, _ in table:
            dims = (cols, rows) if rows else (cols,)
            f.write(text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, at))
            at = (at + size(cols, rows, kind) + ALIGN - 1) // ALIGN * ALIGN
        base = (f.tell() + ALIGN - 1) // ALIGN * ALIGN
        place, cache = base, {}
        for name, cols, rows, kind, layer in table:
            f.seek(place)
            if not a.holes or layer == 0 or rows == 0:
                write_tensor(f, random.Random("%d %s" % (a.seed, name.split(".")[-2])),
                             cols, rows, kind, cache)
            place = (place + size(cols, rows, kind) + ALIGN - 1) // ALIGN * ALIGN
        f.truncate(place)


if __name__ == "__main__":
    main()
