# SPDX-License-Identifier: MIT
"""Models as the exporters of today write them, made here and now: torch's TorchScript exporter, its dynamo exporter, and
optimum. Each file is compiled, run on the software card, and compared with onnxruntime.

usage: check_exports.py QEFF_COMPILE QEFF_LOAD MODELS_DIR WORK_DIR (by tests/reference/oracle.sh --exporters)
"""
import json
import logging
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import onnxruntime as ort
import torch
import transformers
from optimum.exporters.onnx import main_export
from optimum.exporters.onnx.model_patcher import (eager_mask_without_vmap, find_packed_sequence_indices_patched,
                                                  sdpa_mask_without_vmap)
from safetensors.numpy import load_file
from transformers import AutoModel, AutoModelForCausalLM
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

ENCODERS = {"bert": "tiny-bert-embed", "mpnet": "arch/mpnet"}
DECODERS = {"llama": "tiny-llama-stories", "gpt2": "arch/gpt2", "qwen2": "arch/qwen2"}
# what an exporter writes that has no counterpart here: refused by that name
REFUSED = {("gpt2", "dynamo"): "SplitToSequence"}
TOLERANCE = 1e-4  # of the largest magnitude: fp32 sums in another order
BATCH, LENGTH, PAST = 2, 12, 5


class Model(torch.nn.Module):
    """The model with tensors in and out, as exporters want it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        out = self.model(input_ids=input_ids, attention_mask=attention_mask)
        return out.logits if "logits" in out else out.last_hidden_state


def load(name, models):
    kind = AutoModelForCausalLM if name in DECODERS else AutoModel
    model = kind.from_pretrained(os.path.join(models, (ENCODERS | DECODERS)[name]), dtype=torch.float32).eval()
    if name in DECODERS:
        model.config.use_cache = False
    return Model(model)


def without_vmap():
    """Masks as optimum has them exported, since neither exporter of torch follows vmap; optimum puts the others back."""
    for kind, function in (("sdpa", sdpa_mask_without_vmap), ("eager", eager_mask_without_vmap)):
        ALL_MASK_ATTENTION_FUNCTIONS.register(kind, function)
    transformers.masking_utils.find_packed_sequence_indices = find_packed_sequence_indices_patched


def export(name, exporter, models, work):
    """Path of the file."""
    path = os.path.join(work, f"{name}-{exporter}.onnx")
    if exporter.startswith("optimum"):
        task = ("text-generation" if name in DECODERS else "feature-extraction") + exporter[len("optimum"):]
        out = path[:-len(".onnx")]
        main_export(os.path.join(models, (ENCODERS | DECODERS)[name]), out, task=task, do_validation=False, no_post_process=True)
        return os.path.join(out, "model.onnx")
    without_vmap()
    example = (torch.ones(BATCH, LENGTH, dtype=torch.long), torch.ones(BATCH, LENGTH, dtype=torch.long))
    names = {"input_names": ["input_ids", "attention_mask"], "output_names": ["logits" if name in DECODERS else "last_hidden_state"]}
    if exporter == "dynamo":
        torch.onnx.export(load(name, models), example, path, dynamo=True, verbose=False, **names)
    else:
        axes = {i: {0: "batch_size", 1: "sequence_length"} for i in names["input_names"]}
        torch.onnx.export(load(name, models), example, path, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    return path


def make_inputs(session, vocabulary, padded):
    """Two texts, the second with padding in front, if any; keys and values of earlier tokens where the model asks for them."""
    random = np.random.default_rng(1)
    cached = any(i.name.startswith("past") for i in session.get_inputs())
    mask = np.ones((BATCH, LENGTH + PAST * cached), np.int64)
    mask[1, :3] = not padded
    made = {"input_ids": random.integers(1, vocabulary, (BATCH, LENGTH), np.int64), "attention_mask": mask,
            "token_type_ids": np.zeros((BATCH, LENGTH), np.int64),
            "position_ids": np.maximum(mask.cumsum(1) - 1, 0)[:, -LENGTH:]}
    for i in session.get_inputs():
        if i.name.startswith("past"):
            made[i.name] = random.standard_normal((BATCH, i.shape[1], PAST, i.shape[3]), np.float32)
    return {i.name: made[i.name] for i in session.get_inputs()}, mask[:, -LENGTH:].astype(bool)


def compile_model(tool, path, package, *options):
    run = subprocess.run([tool, path, "-o", package, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert not run.returncode, run.stdout
    return re.search(r"^transforms: (.*)$", run.stdout, re.M).group(1).split()


def run(tool, package, inputs, work):
    command = [tool, "-d", "soft", package, "-O", work]
    for name, value in inputs.items():
        np.save(os.path.join(work, name + ".npy"), value)
        command += ["-i", f"{name}={work}/{name}.npy"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check(compile_tool, load_tool, path, vocabulary, work):
    """Largest error, and the transforms that found something."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs, live = make_inputs(session, vocabulary, True)
    wanted = session.run(None, inputs)
    if not np.isfinite(wanted[0][live]).all():  # rows of padding that see nothing spoil all, in onnxruntime too
        print(f"{os.path.basename(path)}: not a number where there is padding, so tried without")
        inputs, live = make_inputs(session, vocabulary, False)
        wanted = session.run(None, inputs)
    package = os.path.join(work, "x.qpc")
    shapes = [a for name, value in inputs.items() for a in ("--shape", name + "=" + "x".join(map(str, value.shape)))]
    found = compile_model(compile_tool, path, package, *shapes)
    run(load_tool, package, inputs, work)
    worst = 0.0
    for node, numbers in zip(session.get_outputs(), wanted):
        got = np.load(os.path.join(work, node.name.replace("/", "_") + ".npy"))
        assert got.shape == numbers.shape, (node.name, got.shape, numbers.shape)
        if got.shape[:2] == live.shape:  # what padding gives means nothing
            got, numbers = got[live], numbers[live]
        elif got.ndim == 4:
            got, numbers = got[:, :, 3:], numbers[:, :, 3:]
        assert np.isfinite(numbers).all() and np.isfinite(got).all(), f"{node.name} is not finite"
        worst = max(worst, float(np.abs(got - numbers).max() / np.abs(numbers).max()))
    assert worst < TOLERANCE, f"largest error {worst:.1e} of the largest magnitude"
    return worst, found


def check_refused(compile_tool, path, operator, work):
    answer = subprocess.run([compile_tool, path, "-o", os.path.join(work, "x.qpc")], stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode and operator in answer.stderr, answer.stderr


def check_cached(compile_tool, load_tool, path, model, work):
    """Without shapes, keys and values stay on the card: a prompt in two chunks, then the reference's own continuation."""
    reference = load_file(os.path.join(model, "reference.safetensors"))
    package = os.path.join(work, "cached.qpc")
    found = compile_model(compile_tool, path, package, "--ctx-len", "128", "--prefill-seq-len", "16")
    assert {"KVConcat", "RotaryEmbedding"} <= set(found), found
    wanted = reference["greedy_ids"][0].tolist()
    answer = subprocess.run([load_tool, "-d", "soft", package, "--prompt-ids", ",".join(map(str, reference["input_ids"][0])),
                             "--max-new-tokens", str(len(wanted)), "--ignore-eos", "--json"], check=True, stdout=subprocess.PIPE)
    got = json.loads(answer.stdout)["token_ids"]
    assert got == wanted, (got, wanted)
    print(f"{os.path.basename(model)} with its cache on the card: greedy continuation equal, {len(wanted)} tokens; {' '.join(found)}")


def main():
    compile_tool, load_tool, models, work = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    failed = 0
    for name in ENCODERS | DECODERS:
        vocabulary = 50
        for exporter in ("script", "dynamo", "optimum") + (("optimum-with-past",) if name in DECODERS else ()):
            try:
                path = export(name, exporter, models, work)
                if (name, exporter) in REFUSED:
                    check_refused(compile_tool, path, REFUSED[name, exporter], work)
                    print(f"{name} by {exporter}: refused by name, {REFUSED[name, exporter]}")
                    continue
                worst, found = check(compile_tool, load_tool, path, vocabulary, work)
                print(f"{name} by {exporter}: largest error {worst:.1e} of the largest magnitude; recognised: {' '.join(found)}")
                if (name, exporter) == ("llama", "optimum-with-past"):
                    check_cached(compile_tool, load_tool, path, os.path.join(models, DECODERS[name]), work)
            except (AssertionError, RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{name} by {exporter}: {type(error).__name__}: {str(error)[:1500]}")
                failed += 1
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


main()
