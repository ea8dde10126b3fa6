# SPDX-License-Identifier: MIT
"""Makes the checkpoints of tests/data/models/arch: one for each decoder architecture, or more where an architecture has
variants, with random weights, and what transformers computes from them in fp32. Run by oracle.sh.

usage: make_architectures.py make FOLDER [NAME...]     writes FOLDER/NAME/{config.json,model.safetensors,reference.safetensors}
       make_architectures.py compare FOLDER [NAME...]  makes all anew and compares with what is kept in FOLDER

Weights are bf16 numbers. A reference holds input_ids, attention_mask, logits of all positions, and the greedy
continuation with the margin of each of its steps.
"""

import json
import os
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

PROMPT, STEPS = 14, 10
TOLERANCE = 1e-5  # of the largest magnitude, between two runs of transformers on two machines

# what most configs share: 2 layers, heads of 8 that are not hidden / heads, nothing a multiple of 32
LLAMA = {
    "vocab_size": 67, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}
PLAIN = {k: v for k, v in LLAMA.items() if k != "head_dim"}
GPT = {"vocab_size": 67, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 48, "bos_token_id": 1, "eos_token_id": 2}
FALCON = {k: v for k, v in PLAIN.items() if k not in ("intermediate_size", "num_key_value_heads")}
ROPE = {**LLAMA, "num_hidden_layers": 1, "head_dim": 16}
LONG = [1 + i / 4 for i in range(8)]


def rope(**scaling):
    return {**ROPE, "rope_scaling": scaling}


# name: (model class, config class, config, options)
TABLE = {
    "llama-linear": ("LlamaForCausalLM", "LlamaConfig", rope(rope_type="linear", factor=2.5)),
    "llama-dynamic": (
        "LlamaForCausalLM", "LlamaConfig", {**rope(rope_type="dynamic", factor=3.0), "max_position_embeddings": 8}, {"steps": 0}),
    "llama-yarn": (
        "LlamaForCausalLM", "LlamaConfig",
        rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=0.5)),
    "llama-longrope": (
        "LlamaForCausalLM", "LlamaConfig",
        {**rope(rope_type="longrope", short_factor=[1.0] * 8, long_factor=LONG, factor=8.0), "original_max_position_embeddings": 8}),
    "llama-llama3": (
        "LlamaForCausalLM", "LlamaConfig",
        rope(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "llama-bias": ("LlamaForCausalLM", "LlamaConfig", {**ROPE, "attention_bias": True, "mlp_bias": True, "rope_theta": 5e5}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {**GPT, "scale_attn_by_inverse_layer_idx": True}),
    "gptj": ("GPTJForCausalLM", "GPTJConfig", {**GPT, "rotary_dim": 4}),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", "GPTBigCodeConfig", {**GPT, "n_inner": 40}),
    "gpt_bigcode-mha": ("GPTBigCodeForCausalLM", "GPTBigCodeConfig", {**GPT, "n_layer": 1, "multi_query": False}),
    "starcoder2": ("Starcoder2ForCausalLM", "Starcoder2Config", {**PLAIN, "sliding_window": 6}),
    "codegen": ("CodeGenForCausalLM", "CodeGenConfig", {**GPT, "rotary_dim": 4}),
    "falcon-7b": ("FalconForCausalLM", "FalconConfig", FALCON),
    "falcon-new": ("FalconForCausalLM", "FalconConfig", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 52}),
    "falcon-11b": (
        "FalconForCausalLM", "FalconConfig",
        {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1, "num_hidden_layers": 1}),
    "falcon-mha": (
        "FalconForCausalLM", "FalconConfig", {**FALCON, "multi_query": False, "parallel_attn": False, "bias": True, "num_hidden_layers": 1}),
    "falcon-alibi": (
        "FalconForCausalLM", "FalconConfig",
        {**FALCON, "hidden_size": 36, "num_attention_heads": 12, "alibi": True, "multi_query": False, "parallel_attn": False,
         "bias": True, "num_hidden_layers": 1},
        {"attention": "sdpa"}),  # the eager one adds the biases twice
    "mpt": ("MptForCausalLM", "MptConfig", {
        "vocab_size": 67, "d_model": 30, "n_layers": 2, "n_heads": 5, "max_seq_len": 48, "bos_token_id": 1, "eos_token_id": 2}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**LLAMA, "sliding_window": 5}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {**PLAIN, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**LLAMA, "tie_word_embeddings": True}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", LLAMA),
    "gemma2": (
        "Gemma2ForCausalLM", "Gemma2Config",
        {**LLAMA, "sliding_window": 5, "query_pre_attn_scalar": 10, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.5}),
    "gemma3": (
        "Gemma3ForCausalLM", "Gemma3TextConfig",
        {**LLAMA, "num_hidden_layers": 3, "sliding_window": 5, "sliding_window_pattern": 3, "query_pre_attn_scalar": 10,
         "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "phi": ("PhiForCausalLM", "PhiConfig", {**PLAIN, "partial_rotary_factor": 0.4, "qk_layernorm": True}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {**PLAIN, "sliding_window": 7}),
    "phi3-longrope": (
        "Phi3ForCausalLM", "Phi3Config",
        {**PLAIN, "original_max_position_embeddings": 8, "partial_rotary_factor": 0.8,
         "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 2, "long_factor": LONG[1:3]}}),
    "granite": (
        "GraniteForCausalLM", "GraniteConfig",
        {**PLAIN, "embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2, "logits_scaling": 2.0}),
    "mixtral": (
        "MixtralForCausalLM", "MixtralConfig",
        {**LLAMA, "intermediate_size": 28, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 9}),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM", "Qwen3MoeConfig",
        {**LLAMA, "moe_intermediate_size": 20, "num_experts": 6, "num_experts_per_tok": 3, "norm_topk_prob": True}),
    "qwen3_moe-dense": (
        "Qwen3MoeForCausalLM", "Qwen3MoeConfig",
        {**LLAMA, "moe_intermediate_size": 20, "num_experts": 4, "num_experts_per_tok": 2, "mlp_only_layers": [0]}),
    "granitemoe": (
        "GraniteMoeForCausalLM", "GraniteMoeConfig",
        {**PLAIN, "intermediate_size": 28, "num_local_experts": 4, "num_experts_per_tok": 2, "embedding_multiplier": 3.0,
         "residual_multiplier": 0.5, "attention_multiplier": 0.2, "logits_scaling": 2.0}),
    "gpt_oss": (
        "GptOssForCausalLM", "GptOssConfig",
        {**LLAMA, "intermediate_size": 36, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 5,
         "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 8.0, "beta_slow": 1.0, "truncate": False,
                          "original_max_position_embeddings": 16}}),
    "gpt_oss-mxfp4": (
        "GptOssForCausalLM", "GptOssConfig",
        {**LLAMA, "hidden_size": 32, "intermediate_size": 64, "num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 5},
        {"mxfp4": True}),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", PLAIN),
}


def fill(model, name):
    """Random weights that bf16 holds exactly; norms around 1, or around 0 where they are stored less 1."""
    generator = torch.Generator().manual_seed(sum(name.encode()))
    plus_one = type(model).__name__.startswith("Gemma")
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                # logits of a few units, so that greedy steps have a margin
                values *= 1.5 / parameter.shape[-1] ** 0.5
                if "embed" in key or "wte" in key or "wpe" in key:
                    values *= 2
            else:
                values *= 0.2
                if "norm" in key or "ln_" in key:
                    values += 0 if key.endswith("bias") or plus_one else 1
            parameter.copy_(values.to(torch.bfloat16).to(parameter.dtype))


def reference(model, name, steps):
    generator = torch.Generator().manual_seed(len(name))
    ids = torch.randint(3, model.config.vocab_size, (1, PROMPT), generator=generator)
    result = {"input_ids": ids.clone(), "attention_mask": torch.ones_like(ids)}
    margins = []
    with torch.no_grad():
        for step in range(steps + 1):
            logits = model(input_ids=ids, use_cache=False).logits.float()
            if not step:
                result["logits"] = logits
            best = logits[0, -1].topk(2)
            margins.append(float(best.values[0] - best.values[1]))
            ids = torch.cat([ids, best.indices[:1][None]], 1)
    if steps:
        result["greedy_ids"] = ids[:, PROMPT : PROMPT + steps].clone()
        result["greedy_margin"] = torch.tensor([margins[:steps]])
    return result


def with_mxfp4(folder, name):
    """Puts random experts in MXFP4 into the checkpoint, and reads it as transformers does, which dequantises them."""
    path = os.path.join(folder, "model.safetensors")
    generator = torch.Generator().manual_seed(sum(name.encode()))
    tensors = load_file(path)
    for key in [key for key in tensors if key.endswith("experts.gate_up_proj") or key.endswith("experts.down_proj")]:
        experts, inputs, outputs = tensors.pop(key).shape
        shape = (experts, outputs, inputs // 32)
        tensors[key + "_blocks"] = torch.randint(0, 256, (*shape, 16), generator=generator, dtype=torch.uint8)
        tensors[key + "_scales"] = torch.randint(121, 126, shape, generator=generator, dtype=torch.uint8)
    save_file(tensors, path, metadata={"format": "pt"})
    with open(folder + "/config.json", encoding="utf-8") as file:
        config = json.load(file)
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    with open(folder + "/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")
    config = transformers.Mxfp4Config(dequantize=True)
    return transformers.GptOssForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=config, attn_implementation="eager").eval().float()


def save(folder, model):
    """The checkpoint of one model, nothing else."""
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in os.listdir(folder):
        if file not in ("config.json", "model.safetensors"):
            os.remove(os.path.join(folder, file))


def save_reference(folder, tensors):
    save_file({key: value.contiguous() for key, value in tensors.items()}, os.path.join(folder, "reference.safetensors"))


def make(folder, name):
    kind, config, keys, *options = TABLE[name]
    options = options[0] if options else {}
    model = getattr(transformers, kind)._from_config(
        getattr(transformers, config)(**keys), attn_implementation=options.get("attention", "eager")).eval().float()
    fill(model, name)
    folder, steps = os.path.join(folder, name), options.get("steps", STEPS)
    tensors = reference(model, name, steps)
    save(folder, model)
    if options.get("mxfp4"):
        tensors = reference(with_mxfp4(folder, name), name, steps)
    save_reference(folder, tensors)
    return tensors


def difference(a, b):
    return float((a - b).abs().max() / b.abs().max()) if a.is_floating_point() else float((a != b).sum())


def compare(folder, name):
    """Sentences about what differs from what is kept."""
    with tempfile.TemporaryDirectory() as fresh:
        make(fresh, name)
        kept, made = os.path.join(folder, name), os.path.join(fresh, name)
        with open(kept + "/config.json", encoding="utf-8") as a, open(made + "/config.json", encoding="utf-8") as b:
            if json.load(a) != json.load(b):
                yield "config.json differs"
        with open(kept + "/model.safetensors", "rb") as a, open(made + "/model.safetensors", "rb") as b:
            if a.read() != b.read():
                yield "model.safetensors differs"
        a, b = load_file(made + "/reference.safetensors"), load_file(kept + "/reference.safetensors")
        if a.keys() != b.keys():
            yield "the references hold other tensors"
            return
        for key in b:
            if a[key].shape != b[key].shape or difference(a[key], b[key]) > TOLERANCE * (50 if key == "greedy_margin" else 1):
                yield f"{key} differs"


def main():
    command, folder, *names = sys.argv[1:]
    failed = 0
    torch.set_num_threads(1)
    for name in names or TABLE:
        if command == "make":
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
            tensors = make(folder, name)
            margin = tensors.get("greedy_margin")
            print(name, "largest logit %.2f" % tensors["logits"].abs().max(), "" if margin is None else "least margin %.4f" % margin.min())
        else:
            for sentence in compare(folder, name):
                print(f"{name}: {sentence}")
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
