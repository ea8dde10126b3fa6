# SPDX-License-Identifier: MIT
"""onnxruntime as a peer, on the ONNX model that qeff-compile --onnx writes.

usage: ort_worker.py generate MODEL.onnx THREADS CONTEXT NEW_TOKENS
       ort_worker.py encode MODEL.onnx THREADS BATCH
"""

import sys

import numpy as np
import onnxruntime as ort

from worker import now, serve


def open_session(path, threads):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Decoder:
    """The cache stays in two sets of buffers, which take turns as input and output."""

    def __init__(self, session, context):
        self.session = session
        sizes = {"batch_size": 1, "full_batch_size": 1, "ctx_len": context}
        self.past = {}
        for i in session.get_inputs():
            if i.name.startswith("past_"):
                shape = [sizes.get(d, d) for d in i.shape]
                self.past[i.name] = [ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for _ in range(2)]

    def step(self, tokens, start):
        binding = self.session.io_binding()
        tokens = np.array([tokens], np.int64)
        binding.bind_cpu_input("input_ids", tokens)
        binding.bind_cpu_input("position_ids", np.arange(start, start + tokens.shape[1], dtype=np.int64)[None])
        for name, pair in self.past.items():
            binding.bind_ortvalue_input(name, pair[0])
            binding.bind_ortvalue_output(name + "_RetainedState", pair[1])
            pair.reverse()
        binding.bind_output("logits")
        self.session.run_with_iobinding(binding)
        return int(binding.get_outputs()[-1].numpy()[0, -1].argmax())


def main():
    mode, path, threads, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    session = open_session(path, threads)

    def generate(ids):
        start = now()
        first = token = decoder.step(ids, 0)
        middle = now()
        for i in range(int(sys.argv[5])):
            token = decoder.step([token], len(ids) + i)
        return {"prefill_s": middle - start, "decode_s": now() - middle, "token": first}

    def encode(ids):
        ids = np.array(ids, np.int64).reshape(size, -1)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        start = now()
        hidden = session.run(["last_hidden_state"], inputs)[0]
        return {"run_s": now() - start, "sample": float(hidden[0, 0, 0])}

    if mode == "generate":
        decoder = Decoder(session, size)
        serve(generate)
    else:
        serve(encode)


main()
