# SPDX-License-Identifier: MIT
"""The exported ONNX against two others: onnx's checker accepts it, and onnxruntime computes the reference outputs
from it, without knowing the qeff domain.

usage: check_export.py QEFF_COMPILE MODELS_DIR WORK_DIR
"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from safetensors.numpy import load_file

# of tests/data/models/arch: each kind of attention and of head
SMALL_ENCODERS = ("bert-classifier", "roberta", "distilbert-classifier", "mpnet", "modernbert", "modernbert-classifier",
                  "deberta-v2", "deberta-v2-classifier", "deberta-v2-keys")
# what is new in each: shared matrices, rotary pairs and parts, ALiBi, caps, windows, sinks, experts
SMALL_DECODERS = ("gpt2", "gptj", "codegen", "falcon-new", "mpt", "phi", "phi3-longrope", "gemma2", "gemma3", "olmo2", "mixtral",
                  "qwen3_moe-dense", "granitemoe", "gpt_oss", "gpt_oss-mxfp4")
TOLERANCE = 1e-4  # of the largest magnitude: fp32 sums in another order


def compile_model(tool, model, directory, *options):
    os.makedirs(directory, exist_ok=True)
    subprocess.run([tool, model, "-o", os.path.join(directory, "x.qpc"), "--onnx", directory, *options],
                   check=True, stdout=subprocess.DEVNULL)
    path = os.path.join(directory, "model.onnx")
    onnx.checker.check_model(path, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def close(name, got, wanted):
    error = np.abs(got - wanted).max() / np.abs(wanted).max()
    print(f"{name}: largest error {error:.2e} of the largest magnitude")
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    assert error < TOLERANCE, name


def deterministic(directory, other):
    for name in ("model.onnx", "model.onnx.data"):
        with open(os.path.join(directory, name), "rb") as a, open(os.path.join(other, name), "rb") as b:
            assert a.read() == b.read(), f"{name} differs between two exports of the same model"


def check_decoder(tool, model, work, chunk=16, context=128):
    name = os.path.basename(model)
    reference = load_file(os.path.join(model, "reference.safetensors"))
    ids, mask = reference["input_ids"], reference["attention_mask"]

    # without a cache: all positions at once, and with padding on the left
    session = compile_model(tool, model, os.path.join(work, name + "-full"), "--seq-len", "32")
    inputs = {"input_ids": ids, "attention_mask": mask}
    close(f"{name}, all logits", session.run(["logits"], inputs)[0], reference["logits"])
    padded = {k: np.concatenate([np.zeros((1, 5), np.int64), v], 1) for k, v in inputs.items()}
    close(f"{name}, padded on the left", session.run(["logits"], padded)[0][:, 5:], reference["logits"])

    # with retained state: a prefill in two chunks, then greedy decoding
    directory = os.path.join(work, name + "-cache")
    lengths = ("--prefill-seq-len", str(chunk), "--ctx-len", str(context))
    session = compile_model(tool, model, directory, *lengths)
    compile_model(tool, model, directory + "-again", *lengths)
    deterministic(directory, directory + "-again")
    names = [o.name for o in session.get_outputs()]
    state = {}
    for i in session.get_inputs():
        if i.name.startswith("past_"):
            sizes = {"batch_size": 1, "full_batch_size": 1, "ctx_len": context}
            state[i.name] = np.zeros([sizes.get(d, d) for d in i.shape], np.float32)
    assert state, "no retained state"

    def step(tokens, start):
        tokens = np.array([tokens], np.int64)
        positions = np.arange(start, start + tokens.shape[1])[None].astype(np.int64)
        # two dead columns, which must change nothing
        tokens = np.concatenate([tokens, np.zeros((1, 2), np.int64)], 1)
        positions = np.concatenate([positions, np.full((1, 2), -1, np.int64)], 1)
        out = dict(zip(names, session.run(names, {"input_ids": tokens, "position_ids": positions, **state})))
        for key in state:
            state[key] = out[key + "_RetainedState"]
        return out["logits"][0, -1]

    prompt = ids[0].tolist()
    step(prompt[:chunk], 0)
    logits = step(prompt[chunk:], chunk)
    close(f"{name}, last logits after two chunks", logits, reference["logits"][0, -1])
    greedy, position = [], len(prompt)
    for _ in range(reference["greedy_ids"].shape[1]):
        greedy.append(int(logits.argmax()))
        logits = step(greedy[-1:], position)
        position += 1
    assert greedy == reference["greedy_ids"][0].tolist(), greedy
    print(f"{name}: greedy continuation equal, {len(greedy)} of {len(greedy)} tokens")


def check_slots(tool, model, work, context=64, slots=3):
    """Continuous batching, compute context lengths and logits for several tokens in one graph: the prompt but two
    tokens goes into slot 2, then a step of two sequences in slots 0 and 2 gives logits for both tokens."""
    name = os.path.basename(model)
    reference = load_file(os.path.join(model, "reference.safetensors"))
    ids, logits = reference["input_ids"], reference["logits"]
    session = compile_model(tool, model, os.path.join(work, name + "-slots"), "--ctx-len", str(context), "--prefill-seq-len",
                            "8", "--full-batch-size", str(slots), "--comp-ctx-lengths-decode", "32",
                            "--num-speculative-tokens", "1")
    names = [o.name for o in session.get_outputs()]
    sizes = {"full_batch_size": slots, "ctx_len": context}
    state = {i.name: np.zeros([sizes.get(d, d) for d in i.shape], np.float32) for i in session.get_inputs()
             if i.name.startswith("past_")}

    def step(tokens, positions, index, keep, length):
        inputs = {"input_ids": np.array(tokens, np.int64), "position_ids": np.array(positions, np.int64),
                  "batch_index": np.array(index, np.int64)[:, None], "comp_ctx_lengths": np.zeros(length, np.int8),
                  "num_logits_to_keep": np.arange(keep, dtype=np.int64)[:, None]}
        out = dict(zip(names, session.run(names, {**inputs, **state})))
        for key in state:
            state[key] = out[key + "_RetainedState"]
        return out["logits"]

    prompt = ids[0].tolist()
    first = len(prompt) - 2
    got = step([prompt[:first] + [0, 0]], [list(range(first)) + [-1, -1]], [2], 1, 32)
    close(f"{name}, prompt in slot 2", got[:, 0], logits[:, first - 1])
    got = step([[5, 0], prompt[first:]], [[0, -1], [first, first + 1]], [0, 2], 2, context)
    close(f"{name}, two tokens of slot 2", got[1], logits[0, first:])
    assert not state["past_key.0"][1].any(), "slot 1 was written to"


def check_encoder(tool, model, work):
    name = os.path.basename(model)
    reference = load_file(os.path.join(model, "reference.safetensors"))
    ids, mask = reference["input_ids"], reference["attention_mask"]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    session = compile_model(tool, model, os.path.join(work, name + "-none"), "--seq-len", "32", "--pooling", "none")
    hidden = session.run(["last_hidden_state"], inputs)[0]
    live = mask.astype(bool)
    close(f"{name}, hidden states", hidden[live], reference["last_hidden_state"][live])
    session = compile_model(tool, model, os.path.join(work, name + "-mean"), "--seq-len", "32", "--pooling", "mean",
                            "--normalize")
    close(f"{name}, embeddings", session.run(["sentence_embedding"], inputs)[0], reference["sentence_embedding"])
    rows = [h[m.astype(bool)] for h, m in zip(reference["last_hidden_state"], mask)]
    for pooling, take in (("max", lambda r: r.max(0)), ("cls", lambda r: r[0]), ("last", lambda r: r[-1])):
        session = compile_model(tool, model, os.path.join(work, f"{name}-{pooling}"), "--seq-len", "32",
                                "--pooling", pooling)
        close(f"{name}, pooling {pooling}", session.run(["sentence_embedding"], inputs)[0], np.stack([take(r) for r in rows]))


def check_small_encoder(tool, model, work):
    """Whatever its output is; columns of padding in front must change nothing."""
    name = os.path.basename(model)
    reference = load_file(os.path.join(model, "reference.safetensors"))
    ids = reference["input_ids"]
    session = compile_model(tool, model, os.path.join(work, name), "--seq-len", str(ids.shape[1]))
    wanted = {i.name for i in session.get_inputs()}
    inputs = {k: reference.get(k, np.zeros_like(ids)) for k in wanted}
    padded = {k: np.pad(v, ((0, 0), (3, 0))) for k, v in inputs.items()}
    live = reference["attention_mask"].astype(bool)
    if "logits" in reference:
        close(f"{name}, logits", session.run(["logits"], inputs)[0], reference["logits"])
        close(f"{name}, padded on the left", session.run(["logits"], padded)[0], reference["logits"])
        return
    rows = reference["last_hidden_state"][live]
    close(f"{name}, hidden states", session.run(["last_hidden_state"], inputs)[0][live], rows)
    close(f"{name}, padded on the left", session.run(["last_hidden_state"], padded)[0][:, 3:][live], rows)


def main():
    tool, models, work = sys.argv[1:]
    for name in SMALL_ENCODERS:
        check_small_encoder(tool, os.path.join(models, "arch", name), work)
    for name in SMALL_DECODERS:
        check_decoder(tool, os.path.join(models, "arch", name), work, 8, 32)
    for name in ("tiny-llama-stories", "rand-llama3-rope"):
        check_decoder(tool, os.path.join(models, name), work)
        check_slots(tool, os.path.join(models, name), work)
    check_encoder(tool, os.path.join(models, "tiny-bert-embed"), work)


if __name__ == "__main__":
    main()
