#!/usr/bin/env python3
"""Write a checkpoint of train.py as a GGUF model: weights as Q8_0, tokenizer and chat template inside.

    export.py CHECKPOINT.pt MODEL.gguf [--name NAME]

Norms stay float32. The tokenizer is of the kind that GGUF calls "gpt2" with the pre-tokenizer
"llama-bpe"; the template is ChatML.
"""
import argparse
import os
import struct

import numpy
import torch

from model import CONFIGS, CONTEXT, EPS, ROPE_BASE
from tokenizer import SPECIAL, VOCAB, Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
ALIGN = 32
F32, Q8_0 = 0, 8
BLOCK = 32
NORMAL, CONTROL, UNUSED = 1, 3, 5  # kinds of tokens
CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
          "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
NAMES = {"norm1": "attn_norm", "norm2": "ffn_norm", "q_norm": "attn_q_norm",
         "k_norm": "attn_k_norm", "wq": "attn_q", "wk": "attn_k", "wv": "attn_v",
         "wo": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    """A metadata value with its kind: bool, uint32, float32, string, or a list of one of them."""
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    if isinstance(v[0], str):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(text(s) for s in v)
    return struct.pack("<IIQ", 9, 5, len(v)) + struct.pack("<%di" % len(v), *v)


def token_kind(t):
    return CONTROL if t in SPECIAL else UNUSED if t.startswith("<|unused") else NORMAL


def metadata(config, tok, name, parameters):
    arch = {"block_count": config["layers"], "context_length": CONTEXT,
            "embedding_length": config["embd"], "feed_forward_length": config["ffn"],
            "attention.head_count": config["heads"], "attention.head_count_kv": config["heads"],
            "attention.key_length": config["head"], "attention.value_length": config["head"],
            "attention.layer_norm_rms_epsilon": EPS, "rope.freq_base": ROPE_BASE,
            "vocab_size": VOCAB}
    keys = {"general.architecture": "qwen3", "general.type": "model", "general.name": name,
            "general.description": "commands to a home assistant, answered as JSON actions",
            "general.size_label": "%.1fM" % (parameters / 1e6), "general.file_type": 7,
            "general.quantization_version": 2}
    keys.update(("qwen3." + k, v) for k, v in arch.items())
    keys.update({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
                 "tokenizer.ggml.tokens": tok.tokens,
                 "tokenizer.ggml.token_type": [token_kind(t) for t in tok.tokens],
                 "tokenizer.ggml.merges": [a + " " + b for a, b in tok.merges],
                 "tokenizer.ggml.eos_token_id": tok.im_end,
                 "tokenizer.ggml.padding_token_id": tok.eot,
                 "tokenizer.ggml.add_bos_token": False,
                 "tokenizer.chat_template": CHATML})
    return keys


def quantised(w):
    """Q8_0: of every 32 numbers of a row, a float16 scale and 32 signed bytes."""
    x = w.reshape(-1, BLOCK)
    d = numpy.abs(x).max(1) / numpy.float32(127)
    inverse = numpy.divide(1, d, out=numpy.zeros_like(d), where=d > 0)
    q = x * inverse[:, None]
    q = numpy.copysign(numpy.floor(numpy.abs(q) + numpy.float32(0.5)), q).astype(numpy.int8)
    out = numpy.empty(len(x), dtype=[("d", "<f2"), ("q", "i1", BLOCK)])
    out["d"], out["q"] = d, q
    return out.tobytes()


def tensors(state):
    """(name, dimensions, type, bytes) in the order of the file."""
    names = {"embed": "token_embd", "norm": "output_norm"}
    for key, w in state.items():
        if key.startswith("layers."):
            _, layer, part = key.split(".")
            name = "blk.%s.%s" % (layer, NAMES[part])
        else:
            name = names[key]
        w = w.float().numpy()
        kind, data = (F32, w.tobytes()) if w.ndim == 1 else (Q8_0, quantised(w))
        yield name + ".weight", w.shape[::-1], kind, data


def aligned(n):
    return (n + ALIGN - 1) // ALIGN * ALIGN


def write(path, keys, table):
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(table), len(keys)))
    for k, v in keys.items():
        out += text(k) + value(v)
    at = 0
    for name, dims, kind, data in table:
        out += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, at)
        at = aligned(at + len(data))
    for _, _, _, data in table:
        out += bytes(aligned(len(out)) - len(out)) + data
    with open(path, "wb") as f:
        f.write(out + bytes(aligned(len(out)) - len(out)))


def main():
    p = argparse.ArgumentParser(description="write a checkpoint as a GGUF model")
    p.add_argument("checkpoint")
    p.add_argument("model")
    p.add_argument("--name", default="hearth")
    args = p.parse_args()
    c = torch.load(args.checkpoint, map_location="cpu")
    tok = Tokenizer.load(os.path.join(HERE, "vocab.json"))
    parameters = sum(w.numel() for w in c["model"].values())
    keys = metadata(CONFIGS[c["size"]], tok, args.name, parameters)
    write(args.model, keys, list(tensors(c["model"])))
    print("%s: %d parameters, step %d, %.0f s of training" % (
        args.model, parameters, c["step"], c["seconds"]))


if __name__ == "__main__":
    main()
