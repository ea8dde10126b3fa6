#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a Llama checkpoint as GGUF, for llama.cpp: the same weights in F32, F16, BF16 or Q8_0, without a tokenizer.

usage: make_gguf.py CHECKPOINT_DIR OUT.gguf F32|F16|BF16|Q8_0
"""

import json
import os
import sys

import gguf
from gguf.quants import quantize
from safetensors.numpy import load_file

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest.removesuffix('.weight')]}.weight"


def interleave(weight, heads):
    """GGUF rotates neighbouring dimensions of a head, the checkpoint the halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def main(folder, path, type_name):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    kind = gguf.GGMLQuantizationType[type_name]
    writer = gguf.GGUFWriter(path + ".tmp", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType[{"F32": "ALL_F32"}.get(type_name, "MOSTLY_" + type_name)])
    for name, weight in load_file(os.path.join(folder, "model.safetensors")).items():
        weight = weight.astype("float32")
        if name.endswith("q_proj.weight"):
            weight = interleave(weight, config["num_attention_heads"])
        elif name.endswith("k_proj.weight"):
            weight = interleave(weight, config["num_key_value_heads"])
        stored = kind if weight.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(gguf_name(name), quantize(weight, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".tmp", path)


main(*sys.argv[1:])
