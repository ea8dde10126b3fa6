# SPDX-License-Identifier: MIT
"""torch as a peer: the same Llama and BERT in as few fused operators as torch has for them (linear, scaled dot product
attention, layer_norm), with a cache allocated once and the head on the last position only.

usage: torch_worker.py generate CHECKPOINT_DIR THREADS float32|bfloat16 CONTEXT NEW_TOKENS
       torch_worker.py encode CHECKPOINT_DIR THREADS float32|bfloat16 BATCH
"""

import json
import os
import struct
import sys

import torch
import torch.nn.functional as F

from worker import now, serve


def load(folder, dtype):
    """A checkpoint in F32, without a package for it."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = bytearray(file.read())
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=begin)
            weights[name] = flat.reshape(entry["shape"]).to(dtype).clone()
    return config, weights


class Llama:
    def __init__(self, folder, dtype, context):
        self.config, self.weights = load(folder, dtype)
        c = self.config
        self.heads, self.kv_heads, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        cache = (c["num_hidden_layers"], 2, 1, self.kv_heads, context, self.dim)
        self.cache = torch.zeros(cache, dtype=dtype)
        inverse = c["rope_theta"] ** (-torch.arange(0, self.dim, 2, dtype=torch.float32) / self.dim)
        angle = torch.outer(torch.arange(context, dtype=torch.float32), inverse).repeat(1, 2)
        self.cos, self.sin = angle.cos().to(dtype), angle.sin().to(dtype)

    def norm(self, x, name):
        return F.rms_norm(x, (x.shape[-1],), self.weights[name + ".weight"], self.config["rms_norm_eps"])

    def linear(self, x, name):
        return F.linear(x, self.weights[name + ".weight"])

    def rotate(self, x, start):
        half = self.dim // 2
        turned = torch.cat((-x[..., half:], x[..., :half]), -1)
        end = start + x.shape[-2]
        return x * self.cos[start:end] + turned * self.sin[start:end]

    def split(self, x, heads):
        return x.view(1, -1, heads, self.dim).transpose(1, 2)

    def step(self, tokens, start):
        end = start + len(tokens)
        x = F.embedding(torch.tensor([tokens]), self.weights["model.embed_tokens.weight"])
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            h = self.norm(x, at + "input_layernorm")
            q = self.rotate(self.split(self.linear(h, at + "self_attn.q_proj"), self.heads), start)
            k, v = self.cache[layer]
            k[:, :, start:end] = self.rotate(self.split(self.linear(h, at + "self_attn.k_proj"), self.kv_heads), start)
            v[:, :, start:end] = self.split(self.linear(h, at + "self_attn.v_proj"), self.kv_heads)
            # prompts begin at position 0 here, so that a plain causal mask is right
            a = F.scaled_dot_product_attention(q, k[:, :, :end], v[:, :, :end], is_causal=len(tokens) > 1)
            x = x + self.linear(a.transpose(1, 2).reshape(1, len(tokens), -1), at + "self_attn.o_proj")
            h = self.norm(x, at + "post_attention_layernorm")
            gated = F.silu(self.linear(h, at + "mlp.gate_proj")) * self.linear(h, at + "mlp.up_proj")
            x = x + self.linear(gated, at + "mlp.down_proj")
        logits = F.linear(self.norm(x[:, -1], "model.norm"), self.weights["model.embed_tokens.weight"])
        return int(logits.argmax())


class Bert:
    def __init__(self, folder, dtype):
        self.config, self.weights = load(folder, dtype)

    def linear(self, x, name):
        return F.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def norm(self, x, name):
        w = self.weights
        return F.layer_norm(x, (x.shape[-1],), w[name + ".weight"], w[name + ".bias"], self.config["layer_norm_eps"])

    def run(self, ids):
        w, heads = self.weights, self.config["num_attention_heads"]
        batch, length = ids.shape
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            q, k, v = (
                self.linear(x, at + "attention.self." + name).view(batch, length, heads, -1).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1)
            x = self.norm(x + self.linear(a, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            h = F.gelu(self.linear(x, at + "intermediate.dense"))
            x = self.norm(x + self.linear(h, at + "output.dense"), at + "output.LayerNorm")
        return x


def main():
    mode, folder, threads, dtype, size = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    dtype = getattr(torch, dtype)

    def generate(ids):
        start = now()
        first = token = model.step(ids, 0)
        middle = now()
        for i in range(int(sys.argv[6])):
            token = model.step([token], len(ids) + i)
        return {"prefill_s": middle - start, "decode_s": now() - middle, "token": first}

    def encode(ids):
        ids = torch.tensor(ids).reshape(int(size), -1)
        start = now()
        hidden = model.run(ids)
        return {"run_s": now() - start, "sample": float(hidden[0, 0, 0])}

    if mode == "generate":
        model = Llama(folder, dtype, int(size))
        serve(generate)
    else:
        model = Bert(folder, dtype)
        serve(encode)


main()
