#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a BERT checkpoint with random weights in the shape of MiniLM, for measuring: 6 layers, hidden size 384,
12 heads, feed-forward 1536, 30522 tokens. Weights are normal with deviation 0.02, norms are ones, biases zeros; the same
seed gives the same weights."""

import json
import os
import sys

import numpy as np
from safetensors.numpy import save_file

CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}


def main(folder):
    source = np.random.default_rng(1)
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    tensors = {}

    def weight(name, *shape):
        tensors[name] = (source.standard_normal(shape, np.float32) * np.float32(0.02))

    def norm(name):
        tensors[name + ".weight"] = np.ones(hidden, np.float32)
        tensors[name + ".bias"] = np.zeros(hidden, np.float32)

    def linear(name, outputs, inputs):
        weight(name + ".weight", outputs, inputs)
        tensors[name + ".bias"] = np.zeros(outputs, np.float32)

    weight("embeddings.word_embeddings.weight", CONFIG["vocab_size"], hidden)
    weight("embeddings.position_embeddings.weight", CONFIG["max_position_embeddings"], hidden)
    weight("embeddings.token_type_embeddings.weight", CONFIG["type_vocab_size"], hidden)
    norm("embeddings.LayerNorm")
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            linear(at + "attention.self." + name, hidden, hidden)
        linear(at + "attention.output.dense", hidden, hidden)
        norm(at + "attention.output.LayerNorm")
        linear(at + "intermediate.dense", inner, hidden)
        linear(at + "output.dense", hidden, inner)
        norm(at + "output.LayerNorm")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(CONFIG, file, indent=1)
        file.write("\n")
    save_file(tensors, os.path.join(folder, "model.safetensors"))


main(sys.argv[1])
