#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a Llama checkpoint with random weights, for measuring.

The default has 110 million parameters: 12 layers, hidden size 768, 12 heads, feed-forward 2048, 32000 tokens, tied
head. The same options and seed give the same bytes. Needs only Python's standard library; numpy, where it is
installed, is not used, so that the bytes do not depend on it. The weights are uniform with the deviation that trained
models start from, the norms are ones; there is no tokenizer, so tools run it on token ids.
"""

import argparse
import json
import os
import random
import struct
import sys

# bytes of an element, and its norm's 1.0
TYPES = {"F32": (4, struct.pack("<f", 1.0)), "F16": (2, struct.pack("<e", 1.0)), "BF16": (2, b"\x80\x3f")}
BLOCK = 1 << 16  # elements that are drawn at once


def tensors(config):
    """(name, shape) in the order of the file."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"] * config["head_dim"]
    kv_heads = config["num_key_value_heads"] * config["head_dim"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        for name, shape in (
            ("input_layernorm", (hidden,)),
            ("self_attn.q_proj", (heads, hidden)),
            ("self_attn.k_proj", (kv_heads, hidden)),
            ("self_attn.v_proj", (kv_heads, hidden)),
            ("self_attn.o_proj", (hidden, heads)),
            ("post_attention_layernorm", (hidden,)),
            ("mlp.gate_proj", (inner, hidden)),
            ("mlp.up_proj", (inner, hidden)),
            ("mlp.down_proj", (hidden, inner)),
        ):
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def count(shape):
    product = 1
    for dim in shape:
        product *= dim
    return product


def table(dtype):
    """The encoding of each of 256 evenly spaced weights: a byte drawn at random selects one."""
    width = 0.02 * 3**0.5
    encoded = []
    for i in range(256):
        value = width * (2 * (i + 0.5) / 256 - 1)
        if dtype == "F16":
            encoded.append(struct.pack("<e", value))
        else:
            bits = struct.pack("<f", value)
            encoded.append(bits if dtype == "F32" else bits[2:])
    return encoded


def write_weights(file, elements, source, planes):
    """Draws bytes and spreads each plane of the encodings over them."""
    while elements:
        block = min(elements, BLOCK)
        drawn = source.randbytes(block)
        out = bytearray(block * len(planes))
        for i, plane in enumerate(planes):
            out[i :: len(planes)] = drawn.translate(plane)
        file.write(out)
        elements -= block


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where config.json and model.safetensors go")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--kv-heads", type=int, help="default: as many as heads")
    parser.add_argument("--intermediate", type=int, default=2048)
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--untied", action="store_true", help="a head with weights of its own")
    parser.add_argument("--dtype", choices=sorted(TYPES), default="F16")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.hidden % args.heads:
        parser.error("--hidden is no multiple of --heads")

    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": args.vocab,
        "hidden_size": args.hidden,
        "intermediate_size": args.intermediate,
        "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads,
        "num_key_value_heads": args.kv_heads or args.heads,
        "head_dim": args.hidden // args.heads,
        "hidden_act": "silu",
        "max_position_embeddings": args.positions,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": not args.untied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[args.dtype],
    }
    size, one = TYPES[args.dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors(config):
        end = offset + count(shape) * size
        header[name] = {"dtype": args.dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    os.makedirs(args.folder, exist_ok=True)
    with open(os.path.join(args.folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    source = random.Random(args.seed)
    encoded = table(args.dtype)
    planes = [bytes(weight[i] for weight in encoded) for i in range(size)]
    path = os.path.join(args.folder, "model.safetensors")
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors(config):
            if len(shape) == 1:
                file.write(one * count(shape))
            else:
                write_weights(file, count(shape), source, planes)
    os.replace(path + ".tmp", path)
    print(f"{args.folder}: {offset // size:,} parameters, {offset:,} bytes of weights", file=sys.stderr)


if __name__ == "__main__":
    main()
