#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes small encoder checkpoints with seeded random weights, and what the transformers package computes with them.

usage: oracle.sh make_architectures_encoders.py FOLDER [--check] [NAME...]

FOLDER/NAME is a model folder with reference.safetensors: input_ids, attention_mask (padding on the right), token_type_ids
where the model has them, and last_hidden_state or logits in fp32. With --check they are made anew in a temporary folder and
compared with the kept ones: configs and weights byte for byte, outputs within 1e-5 of the largest magnitude.
"""

import argparse
import filecmp
import json
import os
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

SMALL = {"vocab_size": 101, "num_hidden_layers": 2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
BERT = {**SMALL, "hidden_size": 36, "num_attention_heads": 3, "intermediate_size": 50, "max_position_embeddings": 40}
ROBERTA = {**BERT, "hidden_size": 40, "num_attention_heads": 5, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
           "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DISTILBERT = {"vocab_size": 97, "n_layers": 3, "dim": 28, "n_heads": 2, "hidden_dim": 45, "max_position_embeddings": 33,
              "dropout": 0.0, "attention_dropout": 0.0}
MPNET = {**SMALL, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 180,
         "layer_norm_eps": 1e-5}
MODERNBERT = {"vocab_size": 103, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 37, "num_hidden_layers": 4,
              "max_position_embeddings": 64, "local_attention": 8, "global_attn_every_n_layers": 3, "pad_token_id": 0,
              "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "reference_compile": False,
              "attention_dropout": 0.0, "mlp_dropout": 0.0, "embedding_dropout": 0.0}
DEBERTA = {**SMALL, "vocab_size": 109, "hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 44,
           "max_position_embeddings": 160, "relative_attention": True, "position_buckets": 24,
           "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p", "position_biased_input": False,
           "type_vocab_size": 0, "pad_token_id": 0}


def labels(*names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


# name: model class, its config, lengths of the sequences, type of the weights
MODELS = {
    "bert-classifier": ("BertForSequenceClassification",
                        {**BERT, **labels("bad", "middling", "good")}, (17, 5, 30), torch.float16),
    "bert-masked-lm": ("BertForMaskedLM", {**BERT, "hidden_act": "gelu_new"}, (9, 23), torch.bfloat16),
    "roberta": ("RobertaModel", ROBERTA, (12, 37), torch.float16),
    "roberta-classifier": ("RobertaForSequenceClassification",
                           {**ROBERTA, **labels("anger", "joy", "fear", "love"),
                            "problem_type": "multi_label_classification"}, (21, 8), torch.float32),
    "xlm-roberta": ("XLMRobertaModel", {**ROBERTA, "vocab_size": 211}, (5, 33), torch.float16),
    "xlm-roberta-classifier": ("XLMRobertaForSequenceClassification", {**ROBERTA, "num_labels": 1}, (14, 3), torch.float16),
    "distilbert": ("DistilBertModel", DISTILBERT, (33, 6), torch.float16),
    "distilbert-classifier": ("DistilBertForSequenceClassification",
                              {**DISTILBERT, "activation": "relu", **labels("NEGATIVE", "POSITIVE")}, (11, 26),
                              torch.bfloat16),
    "mpnet": ("MPNetModel", MPNET, (178, 33), torch.float16),
    "mpnet-classifier": ("MPNetForSequenceClassification", {**MPNET, "num_labels": 5}, (19, 44), torch.float16),
    "modernbert": ("ModernBertModel", MODERNBERT, (50, 13), torch.float16),
    "modernbert-classifier": ("ModernBertForSequenceClassification",
                              {**MODERNBERT, "classifier_pooling": "mean", "num_labels": 3, "norm_bias": True,
                               "mlp_bias": True, "attention_bias": True, "classifier_bias": True,
                               "local_rope_theta": None}, (7, 29), torch.float16),
    "modernbert-first": ("ModernBertForSequenceClassification", {**MODERNBERT, "num_labels": 2}, (22, 9), torch.float16),
    "deberta-v2": ("DebertaV2Model", DEBERTA, (155, 40), torch.float16),
    "deberta-v2-classifier": ("DebertaV2ForSequenceClassification",
                              {**DEBERTA, "share_att_key": False, "pos_att_type": ["c2p"], "position_buckets": -1,
                               "max_relative_positions": 20, "norm_rel_ebd": "none", "position_biased_input": True,
                               "type_vocab_size": 3, **labels("contradiction", "neutral", "entailment")}, (31, 60),
                              torch.float16),
    "deberta-v2-keys": ("DebertaV2Model",
                        {**DEBERTA, "share_att_key": False, "pos_att_type": ["p2c"]}, (18, 70), torch.float16),
}


def randomise(model, generator):
    """Weights that make every part of the model count; transformers begins with norms of 1 and biases of 0."""
    for name, parameter in sorted(model.named_parameters()):
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() > 1:
            parameter.data = drawn * (0.5 if "embed" in name else 1.6 / parameter.shape[-1] ** 0.5)
            if "relative_attention_bias" in name:
                parameter.data = drawn
        else:
            parameter.data = drawn * 0.2 + (1.0 if "weight" in name else 0.0)


def tokens(config, lengths, generator):
    longest = max(lengths)
    ids = torch.randint(4, config.vocab_size, (len(lengths), longest), generator=generator)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
        ids[row, length:] = config.pad_token_id or 0
    return ids, mask


def make(name, folder):
    class_name, keys, lengths, dtype = MODELS[name]
    generator = torch.Generator().manual_seed(sum(name.encode()))
    model_class = getattr(transformers, class_name)
    config = model_class.config_class(**keys)
    model = model_class(config).eval()
    randomise(model, generator)
    model.tie_weights()
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    # anew from the file: to a half and back, what is computed from the config would lose digits as well
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids, mask = tokens(config, lengths, generator)
    inputs = {"input_ids": ids, "attention_mask": mask}
    types = getattr(config, "type_vocab_size", 0)
    if types:
        inputs["token_type_ids"] = torch.randint(0, types, ids.shape, generator=generator)
    if "ForMaskedLM" in class_name:
        model = model.base_model
    with torch.no_grad():
        outputs = model(**inputs)
    output = "logits" if "logits" in outputs else "last_hidden_state"
    save_file({**inputs, output: outputs[output].contiguous()}, os.path.join(folder, "reference.safetensors"))
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        kept = json.load(file)
    kept["architectures"] = [class_name]
    kept.pop("transformers_version", None)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1, sort_keys=True)
        file.write("\n")


def compare(name, made, kept):
    for file in ("config.json", "model.safetensors"):
        if not filecmp.cmp(os.path.join(made, file), os.path.join(kept, file), shallow=False):
            sys.exit(f"{name}: {file} is not the one that is kept")
    new, old = (load_file(os.path.join(folder, "reference.safetensors")) for folder in (made, kept))
    if new.keys() != old.keys():
        sys.exit(f"{name}: reference.safetensors has {sorted(new)}, kept is {sorted(old)}")
    worst = 0.0
    for key, tensor in new.items():
        if tensor.shape != old[key].shape or tensor.dtype != old[key].dtype:
            sys.exit(f"{name}: {key} has another shape or type than the kept one")
        if not tensor.is_floating_point():
            worst = max(worst, 0.0 if torch.equal(tensor, old[key]) else 1.0)
            continue
        worst = max(worst, ((tensor - old[key]).abs().max() / old[key].abs().max()).item())
    if not worst < 1e-5:
        sys.exit(f"{name}: outputs are {worst:.2e} of the largest magnitude off the kept ones")
    print(f"{name}: as kept, outputs within {worst:.1e} of the largest magnitude")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    for name in args.names or MODELS:
        kept = os.path.join(args.folder, name)
        if not args.check:
            make(name, kept)
            continue
        with tempfile.TemporaryDirectory() as made:
            make(name, made)
            compare(name, made, kept)


main()
