# SPDX-License-Identifier: MIT
"""Tests of com.microsoft's operators in the layout of ONNX's backend tests: a model of one node each, random inputs, and
what onnxruntime makes of them.

usage: make_microsoft.py FOLDER
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(7)
FLOAT = np.float32


def floats(*shape, scale=1.0, type=FLOAT):
    return (random.standard_normal(shape) * scale).astype(type)


def bytes_of(*shape, type=np.uint8):
    info = np.iinfo(type)
    return random.integers(info.min, info.max + 1, shape).astype(type)


def weights_of(*shape):
    """Of 7 bits: onnxruntime's sums of products of larger ones are cut to 16 bits on machines without VNNI."""
    return random.integers(-64, 64, shape).astype(np.int8)


def ints(*shape, below, type=np.int32):
    return random.integers(0, below, shape).astype(type)


def number(value, type=FLOAT):
    return np.array(value, type)


class Constant:
    """An input that is an initialiser."""

    def __init__(self, value):
        self.value = value


def constant(value):
    return Constant(value)


def make(folder, name, op, inputs, outputs=1, domain="com.microsoft", types=None, expected=None, **attributes):
    """Writes the test @name; None is an absent input or, in a list @outputs of 0 and 1, an absent output. What is
    @expected is what onnxruntime computes, unless it is given."""
    wanted = [1] * outputs if isinstance(outputs, int) else outputs
    names = ["" if x is None else f"in{i}" for i, x in enumerate(inputs)]
    results = [f"out{i}" if w else "" for i, w in enumerate(wanted)]
    given = {n: x for n, x in zip(names, inputs) if isinstance(x, np.ndarray)}
    known = {n: x.value for n, x in zip(names, inputs) if isinstance(x, Constant)}
    types = types or [None] * len(wanted)
    default = next((x for x in list(given.values()) + list(known.values()) if x.dtype in (np.float32, np.float16)), None)
    kind = helper.np_dtype_to_tensor_dtype(default.dtype) if default is not None else TensorProto.FLOAT
    write(folder, name, [helper.make_node(op, names, results, domain=domain, **attributes)], given, known,
          {r: t or kind for r, t in zip(results, types) if r}, expected)


def write(folder, name, nodes, given, known, results, expected=None):
    """Writes the test @name: a model of @nodes with the inputs @given, the initialisers @known, outputs of the types
    @results."""
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given.items()],
        [helper.make_tensor_value_info(r, t, None) for r, t in results.items()],
        [numpy_helper.from_array(x, n) for n, x in known.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    path = os.path.join(folder, "node", "test_" + name)
    data = os.path.join(path, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    onnx.save(model, os.path.join(path, "model.onnx"))
    if expected is None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        expected = session.run(None, given)
    for kind, arrays in (("input", given.values()), ("output", expected)):
        for i, array in enumerate(arrays):
            with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(array).SerializeToString())


def norms(f):
    x, skip, gamma, beta, bias = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)
    make(f, "skip_layer_norm", "SkipLayerNormalization", [x, skip, gamma, beta, bias], [1, 0, 0, 1], epsilon=1e-5)
    make(f, "skip_layer_norm_plain", "SkipLayerNormalization", [x, skip, gamma])
    make(f, "skip_layer_norm_broadcast", "SkipLayerNormalization", [x, skip[0], gamma, beta])
    make(f, "skip_rms_norm", "SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], [1, 0, 0, 1])
    make(f, "skip_rms_norm_rows", "SkipSimplifiedLayerNormalization", [x[0], skip[0], gamma])
    make(f, "rms_norm", "SimplifiedLayerNormalization", [x, gamma], 2, domain="", epsilon=1e-4)
    make(f, "rms_norm_axis", "SimplifiedLayerNormalization", [x, floats(3, 8)], domain="", axis=1)
    words, positions, segments = floats(20, 8), floats(9, 8), floats(2, 8)
    ids, kinds = ints(2, 5, below=20), ints(2, 5, below=2)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    tables = [constant(words), constant(positions), constant(segments)]
    both = [None, TensorProto.INT32, None]
    make(f, "embed_layer_norm", "EmbedLayerNormalization", [ids, kinds, *tables, gamma, beta, mask], 3, types=both)
    make(f, "embed_layer_norm_plain", "EmbedLayerNormalization", [ids, None, *tables[:2], None, gamma, beta], [1, 1], types=both)
    make(f, "embed_layer_norm_places", "EmbedLayerNormalization",
         [ids, kinds, *tables, gamma, beta, None, ints(1, 5, below=9)], 2, types=both, epsilon=1e-3)


def activations(f):
    x = floats(2, 3, 8, scale=3)
    make(f, "gelu", "Gelu", [x])
    make(f, "fast_gelu", "FastGelu", [x, floats(8)])
    make(f, "fast_gelu_plain", "FastGelu", [x])
    make(f, "bias_gelu", "BiasGelu", [x, floats(8)])
    make(f, "quick_gelu", "QuickGelu", [x])
    make(f, "quick_gelu_silu", "QuickGelu", [x], alpha=1.0)


def products(f):
    a, b = floats(2, 3, 4, 5), floats(2, 3, 5, 6)
    make(f, "fused_matmul", "FusedMatMul", [a, b], alpha=0.25)
    make(f, "fused_matmul_a", "FusedMatMul", [a.swapaxes(2, 3).copy(), b], transA=1)
    make(f, "fused_matmul_b", "FusedMatMul", [a, b.swapaxes(2, 3).copy()], transB=1)
    make(f, "fused_matmul_batch_a", "FusedMatMul", [floats(4, 2, 3, 5), b], transBatchA=1)
    make(f, "fused_matmul_batch_b", "FusedMatMul", [a, floats(6, 2, 3, 5)], transBatchB=1, transB=1)
    make(f, "transpose_matmul", "TransposeMatMul", [a, b.swapaxes(2, 3).copy()], transB=1, alpha=2.0)
    a, b, c = floats(3, 5), floats(6, 5), floats(6)
    make(f, "fused_gemm", "FusedGemm", [a, b, c], transB=1, alpha=0.5, beta=2.0, activation="Relu")
    make(f, "fused_gemm_leaky", "FusedGemm", [a, constant(b)], transB=1, activation="LeakyRelu", activation_alpha=0.2)
    x, w = floats(1, 3, 6, 6), constant(floats(4, 3, 3, 3))
    make(f, "fused_conv", "FusedConv", [x, w, floats(4)], activation="Relu", pads=[1, 1, 1, 1])
    make(f, "fused_conv_sum", "FusedConv", [x, w, None, floats(1, 4, 4, 4)], activation="Clip", activation_params=[-0.5, 0.7])
    make(f, "fused_conv_sigmoid", "FusedConv", [x, w], activation="HardSigmoid", activation_params=[0.2, 0.5], strides=[2, 2])


def attentions(f):
    x, w, bias = floats(2, 4, 8), floats(8, 24, scale=0.5), floats(24)
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    past, more = floats(2, 2, 2, 3, 4), floats(2, 2, 4, 4)
    for kind, given in (("none", None), ("raw", mask), ("ends", np.array([3, 4], np.int32)),
                        ("ends_starts", np.array([4, 3, 1, 0], np.int32)), ("matrix", ints(2, 4, 4, below=2) | np.eye(4, dtype=np.int32))):
        make(f, f"attention_mask_{kind}", "Attention", [x, constant(w), constant(bias), given], num_heads=2)
    make(f, "attention_causal", "Attention", [x, w, bias, mask], num_heads=2, unidirectional=1, scale=0.3)
    make(f, "attention_bias", "Attention", [x, w, bias, mask, None, more], num_heads=2, mask_filter_value=-5.0)
    make(f, "attention_past", "Attention", [x, w, bias, None, past], 2, num_heads=2, unidirectional=1)
    make(f, "attention_past_mask", "Attention", [x, w, bias, np.ones((2, 7), np.int32), past], 2, num_heads=2)
    make(f, "attention_sizes", "Attention", [x, floats(8, 28, scale=0.5), floats(28)], num_heads=2, qkv_hidden_sizes=[8, 8, 12])
    make(f, "attention_present", "Attention", [x, w, bias], 2, num_heads=4)
    x_q, w_q = bytes_of(2, 4, 8), weights_of(8, 24)
    scales = [number(0.02), number(0.01)]
    make(f, "qattention", "QAttention", [x_q, constant(w_q), bias, *scales, np.array([3, 4], np.int32), number(120, np.uint8),
                                         number(3, np.int8)], num_heads=2)
    make(f, "qattention_columns", "QAttention", [x_q, constant(w_q), bias, scales[0], floats(24, scale=0.01)],
         num_heads=2, unidirectional=1)

    q, k, v = floats(2, 4, 8), floats(2, 6, 8), floats(2, 6, 12)
    make(f, "multi_head", "MultiHeadAttention", [q, k, v], num_heads=2)
    make(f, "multi_head_bias", "MultiHeadAttention", [q, k, v, floats(28)], num_heads=2, scale=0.4)
    make(f, "multi_head_mask", "MultiHeadAttention", [q, k, v, None, (np.arange(6) < [[4], [6]]).astype(np.int32)], num_heads=2)
    make(f, "multi_head_ends", "MultiHeadAttention", [q, k, v, None, np.array([4, 6], np.int32)], num_heads=2)
    make(f, "multi_head_more", "MultiHeadAttention", [q, k, v, None, None, floats(1, 2, 4, 6)], num_heads=2)
    make(f, "multi_head_heads", "MultiHeadAttention", [q, floats(2, 2, 6, 4), floats(2, 2, 6, 4)], num_heads=2)
    k, v = floats(2, 4, 8), floats(2, 4, 8)
    make(f, "multi_head_past", "MultiHeadAttention", [q, k, v, None, None, None, floats(2, 2, 3, 4), floats(2, 2, 3, 4)], 3,
         num_heads=2, unidirectional=1)


def groups(f):
    angles = np.outer(np.arange(16), 1 / 100 ** (np.arange(4) / 4))
    cos, sin = constant(np.cos(angles).astype(FLOAT)), constant(np.sin(angles).astype(FLOAT))
    half = [constant(c.value[:, :2].copy()) for c in (cos, sin)]
    places = ints(2, 5, below=16, type=np.int64)
    make(f, "rotary_rows", "RotaryEmbedding", [floats(2, 5, 24), places, cos, sin])
    make(f, "rotary_heads", "RotaryEmbedding", [floats(2, 3, 5, 8), places, cos, sin], interleaved=1)
    make(f, "rotary_offset", "RotaryEmbedding", [floats(2, 5, 24), np.array([3], np.int64), cos, sin])
    make(f, "rotary_part", "RotaryEmbedding", [floats(2, 5, 24), places, *half], num_heads=3, rotary_embedding_dim=4)

    wide = np.outer(np.arange(16), 1 / 100 ** (np.arange(8) / 8))
    tables = [constant(np.cos(wide).astype(FLOAT)), constant(np.sin(wide).astype(FLOAT))]

    def inputs(batch, seq, past, lengths, total, rotary=False):
        q, k, v = floats(batch, seq, 64), floats(batch, seq, 32), floats(batch, seq, 32)
        caches = [floats(batch, 2, past, 16) if past else None for _ in range(2)]
        return [q, k, v, *caches, np.array(lengths, np.int32), constant(np.array([total], np.int32))] + (tables if rotary else [])

    heads = {"num_heads": 4, "kv_num_heads": 2}
    make(f, "group_prompt", "GroupQueryAttention", inputs(2, 5, 0, [4, 4], 5), 3, **heads)
    make(f, "group_prompt_rotary", "GroupQueryAttention", inputs(2, 5, 0, [4, 4], 5, True), 3, do_rotary=1, **heads)
    make(f, "group_step", "GroupQueryAttention", inputs(2, 1, 6, [6, 6], 7, True), 3, do_rotary=1, **heads)
    make(f, "group_step_lengths", "GroupQueryAttention", inputs(2, 1, 6, [6, 3], 7), 3, **heads)
    make(f, "group_step_interleaved", "GroupQueryAttention", inputs(2, 1, 6, [6, 6], 7, True), 3, do_rotary=1,
         rotary_interleaved=1, scale=0.2, **heads)
    make(f, "group_chunk", "GroupQueryAttention", inputs(1, 3, 6, [8], 9, True), 3, do_rotary=1, **heads)
    make(f, "group_window", "GroupQueryAttention", inputs(2, 6, 0, [5, 5], 6), 3, local_window_size=3, **heads)
    make(f, "group_window_step", "GroupQueryAttention", inputs(2, 1, 6, [6, 5], 7), 3, local_window_size=2, **heads)
    make(f, "group_cap", "GroupQueryAttention", inputs(2, 5, 0, [4, 4], 5), 3, softcap=2.0, **heads)
    make(f, "group_smooth", "GroupQueryAttention", inputs(2, 5, 0, [4, 4], 5), 3, smooth_softmax=1, **heads)
    packed = inputs(2, 5, 0, [4, 4], 5, True)
    packed[:3] = [floats(2, 5, 128), None, None]
    make(f, "group_packed", "GroupQueryAttention", packed, 3, do_rotary=1, **heads)


def weights(f):
    for block, zeros in ((16, False), (32, True)):
        blocks = (40 + block - 1) // block
        inputs = [floats(2, 3, 40), constant(bytes_of(6, blocks, block // 2)), constant(floats(6 * blocks, scale=0.1))]
        inputs += [constant(bytes_of(6 * ((blocks + 1) // 2)))] if zeros else []
        make(f, f"matmul_4bits{'_zeros' if zeros else ''}", "MatMulNBits", inputs, K=40, N=6, bits=4, block_size=block)
    # onnxruntime 1.21 has no kernel of 8 bits
    x, packed, scales, zeros = floats(2, 3, 40), bytes_of(6, 2, 32), floats(12, scale=0.1), bytes_of(12)
    numbers = (packed.reshape(12, 32).astype(FLOAT) - zeros[:, None]) * scales[:, None]
    make(f, "matmul_8bits", "MatMulNBits", [x, constant(packed), constant(scales), constant(zeros)], K=40, N=6, bits=8,
         block_size=32, expected=[x @ numbers.reshape(6, 64)[:, :40].T])
    make(f, "matmul_bits_bias", "MatMulNBits", [floats(3, 40), constant(bytes_of(6, 2, 16)), constant(floats(12, scale=0.1)),
                                                None, None, floats(6)], K=40, N=6, bits=4, block_size=32)
    make(f, "matmul_bits_float_zeros", "MatMulNBits", [floats(3, 40), constant(bytes_of(6, 2, 16)), constant(floats(12, scale=0.1)),
                                                       constant(floats(12, scale=3))], K=40, N=6, bits=4, block_size=32)


def quantised(f):
    u8, i8, u16 = TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16
    x = floats(3, 4, scale=2)
    make(f, "quantize", "QuantizeLinear", [x, number(0.05), number(100, np.uint8)], types=[u8])
    make(f, "quantize_axis", "QuantizeLinear", [x, floats(4) ** 2 + FLOAT(0.1), np.array([1, -2, 3, 0], np.int8)], types=[i8], axis=1)
    make(f, "quantize_16", "QuantizeLinear", [x, number(0.0005), number(30000, np.uint16)], types=[u16])
    make(f, "dequantize", "DequantizeLinear", [bytes_of(3, 4), number(0.05), number(100, np.uint8)])
    make(f, "dequantize_axis", "DequantizeLinear", [bytes_of(3, 4, type=np.int8), floats(3), np.array([1, -2, 3], np.int8)], axis=0)
    make(f, "dequantize_16", "DequantizeLinear", [bytes_of(3, 4, type=np.int16), number(0.05), number(100, np.int16)])
    w, w_zero = weights_of(8, 6), weights_of(6)
    make(f, "dynamic_matmul", "DynamicQuantizeMatMul", [floats(2, 3, 8), constant(w), constant(number(0.02)),
                                                        constant(number(3, np.int8)), floats(6)])
    make(f, "dynamic_matmul_columns", "DynamicQuantizeMatMul", [floats(2, 3, 8), constant(w), constant(floats(6) ** 2), constant(w_zero)])
    make(f, "integer_to_float", "MatMulIntegerToFloat", [bytes_of(2, 3, 8), constant(w), number(0.02), constant(floats(6)),
                                                         number(120, np.uint8), constant(w_zero), floats(6)])
    make(f, "integer_to_float_plain", "MatMulIntegerToFloat", [bytes_of(3, 8), bytes_of(8, 6), number(0.02), number(0.05)])
    a = [bytes_of(3, 8), number(0.02), number(120, np.uint8)]
    make(f, "qgemm", "QGemm", [*a, constant(w), constant(number(0.03)), constant(number(2, np.int8)),
                               ints(6, below=1000), number(0.0971), number(110, np.uint8)], types=[u8])
    make(f, "qgemm_float", "QGemm", [*a, constant(w.T.copy()), constant(floats(6)), constant(w_zero)], transB=1, alpha=0.5)
    first, second, result = [bytes_of(2, 3, 4), number(0.02), number(120, np.uint8)], [bytes_of(4), number(0.03), number(99, np.uint8)], [
        number(0.05), number(7, np.uint8)]
    make(f, "qlinear_add", "QLinearAdd", first + second + result, types=[u8])
    make(f, "qlinear_mul", "QLinearMul", first + second + [number(0.03), number(128, np.uint8)], types=[u8])
    make(f, "qlinear_sigmoid", "QLinearSigmoid", first + [number(1 / 256), number(0, np.uint8)], types=[u8])
    make(f, "qlinear_leaky", "QLinearLeakyRelu", first + result, types=[u8], alpha=0.1)
    make(f, "qlinear_softmax", "QLinearSoftmax", first + [number(1 / 256), number(0, np.uint8)], types=[u8], axis=-1, opset=13)
    image = [bytes_of(1, 2, 4, 6), number(0.02), number(120, np.uint8)]
    make(f, "qlinear_global", "QLinearGlobalAveragePool", image + result, types=[u8])
    make(f, "qlinear_global_last", "QLinearGlobalAveragePool", image + result, types=[u8], channels_last=1)
    make(f, "qlinear_pool", "QLinearAveragePool", image + result, types=[u8], kernel_shape=[2, 3], pads=[1, 0, 0, 1])
    make(f, "qlinear_where", "QLinearWhere", [bytes_of(3, 4) > 100, first[0][0], *first[1:], *second, *result], types=[u8])
    make(f, "qlinear_concat", "QLinearConcat", result + first + [bytes_of(2, 3, 2), number(0.04), number(3, np.uint8)], types=[u8], axis=2)


def rounded_again(f):
    """One quantisation for several products, whose results are quantised in steps of two units of their sums: odd sums
    lie half way between steps, so any other order of sums or scales rounds many of them to the other side."""
    own = {"domain": "com.microsoft"}
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["x_q", "x_scale", "x_zero"]),
             helper.make_node("Mul", ["x_scale", "w_scale"], ["unit"]),
             helper.make_node("Add", ["unit", "unit"], ["step"])]
    known = {"w_scale": number(0.0137), "zero": number(0, np.int16), "w_zero": number(3, np.int8)}
    for name in "qkv":
        known["w_" + name] = weights_of(64, 24)
        nodes += [helper.make_node("MatMulIntegerToFloat", ["x_q", "w_" + name, "x_scale", "w_scale", "x_zero", "w_zero"],
                                   [name + "_f"], **own),
                  helper.make_node("QuantizeLinear", [name + "_f", "step", "zero"], [name], **own)]
    nodes += [helper.make_node("DynamicQuantizeMatMul", ["x", "w_q", "w_scale", "w_zero"], ["dynamic_f"], **own),
              helper.make_node("QuantizeLinear", ["dynamic_f", "step", "zero"], ["dynamic"], **own)]
    write(f, "integer_products_rounded_again", nodes, {"x": floats(2, 16, 64)}, known,
          dict.fromkeys(["q", "k", "v", "dynamic"], TensorProto.INT16))


def main():
    folder = sys.argv[1]
    for family in (norms, activations, products, attentions, groups, weights, quantised, rounded_again):
        family(folder)


main()
