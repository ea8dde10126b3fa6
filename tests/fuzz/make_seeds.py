#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes what the harnesses start from: tiny models, packages of them, tokenizers, arrays, control messages.

    make_seeds.py FOLDER QEFF_COMPILE SOURCE_ROOT [ONNX_TESTS]

The models have a few thousand parameters, so that reading, compiling and running one takes milliseconds. A package is
there twice: as the compiler wrote it, and packed/ with its constants moved up, without the gap before them.
ONNX_TESTS is a folder of ONNX's backend tests, as Debian's libonnx-testdata has it.
"""

import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys

HIDDEN, INNER, VOCAB, POSITIONS = 16, 24, 40, 32


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def safetensors(tensors, source):
    header, body = {}, b""
    for name, shape in tensors:
        count = 1
        for dim in shape:
            count *= dim
        data = struct.pack(f"<{count}f", *(source.uniform(-0.3, 0.3) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def tokenizer(model):
    vocabulary = ["<unk>", "<s>", "</s>", " "] + [chr(ord("a") + i) for i in range(26)]
    vocabulary += ["ab", "bc", "abc", "he", "ll", "hell", "\u00e9", "##a", "##b", "##c"]
    ids = {token: i for i, token in enumerate(vocabulary)}
    assert len(ids) >= VOCAB
    if model == "bert":
        inner = {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
                 "max_input_chars_per_word": 100, "vocab": ids}
    else:
        inner = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                 "vocab": ids, "merges": ["a b", "ab c", "h e", "l l", "he ll"]}
    added = [{"id": i, "content": vocabulary[i], "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i in range(3)]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True} if model == "bert" else {"type": "NFC"},
        "pre_tokenizer": {"type": "BertPreTokenizer"} if model == "bert" else None,
        "post_processor": None, "decoder": None, "model": inner})


def llama(folder, source):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB,
              "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": 1, "num_attention_heads": 2,
              "num_key_value_heads": 1, "hidden_act": "silu", "max_position_embeddings": POSITIONS,
              "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": False, "attention_bias": False,
              "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 16},
              "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}
    layer = "model.layers.0."
    tensors = [("model.embed_tokens.weight", [VOCAB, HIDDEN]), (layer + "input_layernorm.weight", [HIDDEN]),
               (layer + "self_attn.q_proj.weight", [HIDDEN, HIDDEN]),
               (layer + "self_attn.k_proj.weight", [HIDDEN // 2, HIDDEN]),
               (layer + "self_attn.v_proj.weight", [HIDDEN // 2, HIDDEN]),
               (layer + "self_attn.o_proj.weight", [HIDDEN, HIDDEN]),
               (layer + "post_attention_layernorm.weight", [HIDDEN]),
               (layer + "mlp.gate_proj.weight", [INNER, HIDDEN]), (layer + "mlp.up_proj.weight", [INNER, HIDDEN]),
               (layer + "mlp.down_proj.weight", [HIDDEN, INNER]), ("model.norm.weight", [HIDDEN]),
               ("lm_head.weight", [VOCAB, HIDDEN])]
    weights = safetensors(tensors, source)
    write(f"{folder}/config.json", json.dumps(config, indent=1))
    write(f"{folder}/model.safetensors", weights)
    write(f"{folder}/tokenizer.json", tokenizer("llama"))
    write(f"{folder}/generation_config.json", json.dumps({"bos_token_id": 1, "eos_token_id": [2, 3]}))
    write(f"{folder}/tokenizer_config.json", json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}}))
    return [name for name, _ in tensors]


def classifier(folder, source):
    """The same encoder with a head."""
    config, tensors = encoder()
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes", "2": "perhaps"}}
    tensors = [("bert." + name, shape) for name, shape in tensors]
    for name, out in (("bert.pooler.dense", HIDDEN), ("classifier", 3)):
        tensors += [(name + ".weight", [out, HIDDEN]), (name + ".bias", [out])]
    write(f"{folder}/config.json", json.dumps(config, indent=1))
    write(f"{folder}/model.safetensors", safetensors(tensors, source))
    write(f"{folder}/tokenizer.json", tokenizer("bert"))


def encoder():
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": VOCAB, "hidden_size": HIDDEN,
              "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": INNER, "hidden_act": "gelu",
              "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
              "pad_token_id": 0, "position_embedding_type": "absolute", "torch_dtype": "float32"}
    norm = lambda name: [(name + ".weight", [HIDDEN]), (name + ".bias", [HIDDEN])]
    dense = lambda name, out, inner: [(name + ".weight", [out, inner]), (name + ".bias", [out])]
    layer = "encoder.layer.0."
    tensors = [("embeddings.word_embeddings.weight", [VOCAB, HIDDEN]),
               ("embeddings.position_embeddings.weight", [POSITIONS, HIDDEN]),
               ("embeddings.token_type_embeddings.weight", [2, HIDDEN]), *norm("embeddings.LayerNorm")]
    for part in ("query", "key", "value"):
        tensors += dense(f"{layer}attention.self.{part}", HIDDEN, HIDDEN)
    tensors += dense(layer + "attention.output.dense", HIDDEN, HIDDEN) + norm(layer + "attention.output.LayerNorm")
    tensors += dense(layer + "intermediate.dense", INNER, HIDDEN) + dense(layer + "output.dense", HIDDEN, INNER)
    tensors += norm(layer + "output.LayerNorm")
    return config, tensors


def bert(folder, source):
    config, tensors = encoder()
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
               for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"),
                                                 ("2_Normalize", "Normalize")))]
    write(f"{folder}/config.json", json.dumps(config, indent=1))
    write(f"{folder}/model.safetensors", safetensors(tensors, source))
    write(f"{folder}/tokenizer.json", tokenizer("bert"))
    write(f"{folder}/modules.json", json.dumps(modules, indent=1))
    write(f"{folder}/1_Pooling/config.json", json.dumps({
        "word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False}))
    write(f"{folder}/sentence_bert_config.json", json.dumps({"max_seq_length": 16}))


def segments(package):
    """{name: (index in the table, offset, bytes)}"""
    base, count, table = struct.unpack_from("<QQQ", package, 16)
    found = {}
    for i in range(count):
        size, _, name, data = struct.unpack_from("<QQQQ", package, table - base + 32 * i)
        begin = name - base
        found[package[begin : package.index(b"\0", begin)].decode()] = (table - base + 32 * i, data - base, size)
    return found


def packed(package):
    entry, offset, size = segments(package)["constants.bin"]
    assert offset + size == len(package), "the constants are not last"
    end = max(o + s for _, o, s in segments(package).values() if o < offset)
    moved = (end + 4095) // 4096 * 4096
    out = bytearray(package[:end] + bytes(moved - end) + package[offset:])
    base = struct.unpack_from("<Q", out, 16)[0]
    struct.pack_into("<Q", out, 8, len(out))
    struct.pack_into("<Q", out, entry + 24, base + moved)
    return bytes(out)


def compile_packages(out, compiler):
    for name, model, options in (
        ("llama", "llama", ["--prefill-seq-len", "4", "--ctx-len", "16"]),
        ("logits", "llama", ["--seq-len", "8"]),
        ("bert", "bert", ["--seq-len", "4,8"]),
        ("classifier", "classifier", ["--seq-len", "8"]),
    ):
        path = f"{out}/package/{name}.qpc"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run([compiler, f"{out}/model/{model}", "-o", path, "--num-cores", "2", *options], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, "rb") as file:
            write(f"{out}/packed/{name}.qpc", packed(file.read()))


def arrays(out):
    for name, kind, shape, fortran in (("f32", "<f4", (2, 3), False), ("i64", "<i8", (4,), False),
                                       ("bool", "|b1", (1, 2, 2), False), ("f16", "<f2", (), False),
                                       ("fortran", "<f4", (2, 2), True)):
        count = 1
        for dim in shape:
            count *= dim
        for version in (1, 2, 3) if name == "f32" else (1,):
            text = f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
            length = 2 if version == 1 else 4
            text += b" " * (-(len(text) + 9 + length) % 64) + b"\n"
            write(f"{out}/npy/{name}-{version}.npy", b"\x93NUMPY" + bytes((version, 0))
                  + len(text).to_bytes(length, "little") + text + bytes(range(count * int(kind[2:]))))


BASE, RING, ELEMENTS, DATA = 0x500000000, 0, 16, 8192


def messages(out):
    """A conversation as a host has it that loads a package: see fuzz_wire.c for the form."""
    with open(f"{out}/packed/llama.qpc", "rb") as file:
        package = file.read()
    parts = segments(package)
    _, at, elf_size = parts["network.elf"]
    elf = package[at : at + elf_size]
    _, at, const_size = parts["constants.bin"]
    constants = package[at : at + const_size]
    elf_at = DATA
    const_at = (DATA + elf_size + 4095) // 4096 * 4096

    def transaction(kind, body):
        body += bytes(-len(body) % 8)
        return struct.pack("<II", kind, 8 + len(body)) + body

    def dma(tag, address, size):
        return transaction(6, struct.pack("<IIII", tag, 1, 0, 0) + struct.pack("<QQ", BASE + address, size))

    def message(*transactions, handle=1):
        body = b"".join(transactions)
        return struct.pack("<IIIIIIiI", 0, 0x43494151, 1, 32 + len(body), len(transactions), handle, -1, 0) + body

    command = lambda *words, tail=b"": transaction(4, struct.pack(f"<{len(words)}I", *words) + tail + bytes(8))
    name = b"fuzz".ljust(64, b"\0")
    status, resources = message(command(13, 0)), message(command(32, 0, 0, 0))
    ring_bytes = 4096
    ring = struct.pack("<QQIIII", BASE + RING, BASE + RING + ring_bytes - 4 * ELEMENTS, ELEMENTS, ELEMENTS,
                       ring_bytes, 0)
    load = [
        message(command(15, 0, tail=name + struct.pack("<II", 24, 0) + struct.pack("<QQQ", const_size, 0, 0))),
        message(command(16, 0, 300, 1, tail=struct.pack("<QQ", const_size, 0)), dma(300, const_at, const_size)),
        message(command(3, 100, 0, 0, tail=name + struct.pack("<QQ", elf_size, 0)), dma(100, elf_at, elf_size)),
        message(command(9, 0, 1, 1, 0, 0xFFFFFFFF, 1, 0xFFFFFFFF, 1, 0, 0, 0), transaction(9, ring)),
    ]
    end = [message(command(11, 0, 1, 0)), message(command(7, 1)), message(command(5, 1)), message(command(17, 0))]
    # request elements that copy the host's bytes to the program's memory and ring a doorbell
    element = struct.pack("<HBBHBBQQI", 1, 0, 0x81, 0, 0, 0, BASE + DATA, 0x100000000, 64).ljust(64, b"\0")
    image = (element * 8).ljust(DATA, b"\0") + elf.ljust(const_at - elf_at, b"\0") + constants
    for label, list_of in (("load", load), ("load-unload", load + end), ("info", [status, resources])):
        write(f"{out}/wire/{label}", struct.pack("<H", len(list_of))
              + b"".join(struct.pack("<H", len(m)) + m for m in list_of) + image)
    # replies, see fuzz_reply.c: a passthrough with a response of each kind
    for kind, size in ((2, 16), (4, 16), (6, 8), (8, 8), (10, 88), (12, 24), (14, 504), (33, 56), (35, 64)):
        body = struct.pack("<III", 3, 8 + size, kind) + bytes(size - 4)
        if kind == 10:
            body += struct.pack("<IIIIQ", 8, 24, 0, 0, 0)
        write(f"{out}/reply/{kind}", struct.pack("<HBB", len(body), 2 if kind == 10 else 1, 0) + body)
    link = struct.pack("<IIHHIQ", 6, 24, 5, 0, 0, 1)
    write(f"{out}/reply/link", struct.pack("<HBB", len(link), 1, 0) + link)


def specializations(out):
    plain = [{"batch_size": "1", "seq_len": "8", "ctx_len": "32"}, {"batch_size": "1", "seq_len": "1", "ctx_len": "32"}]
    slots = [{"batch_size": 1, "seq_len": 4, "ctx_len": 16, "full_batch_size": 2, "full_batch_exec_size": 2},
             {"batch_size": 2, "seq_len": 1, "ctx_len": 16, "full_batch_size": 2, "full_batch_exec_size": 2}]
    contexts = [{"seq_len": 4, "ctx_len": 16, "comp_ctx_lengths": 8, "num_logits_to_keep": 2},
                {"seq_len": 2, "ctx_len": 16, "comp_ctx_lengths": 16, "num_logits_to_keep": 2}]
    layouts = {"plain": plain, "slots": slots, "contexts": contexts,
               "named": [{"name": "Prefill", "symbols": plain[0]}, {"name": "Decode", "symbols": plain[1]}]}
    for name, entries in layouts.items():
        write(f"{out}/specializations/{name}.json", json.dumps({"specializations": entries}, indent=1))


def name_hash(name):
    """As fuzz_pipeline.c has it."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return (value ^ value >> 16) & 0xFFFF


def architectures(out, root):
    """The checkpoints of all architectures, whole inputs of their files without the weights, and choices for each."""
    source = random.Random(3)
    for name in sorted(os.listdir(f"{root}/tests/data/models/arch")):
        folder = f"{root}/tests/data/models/arch/{name}"
        with open(f"{folder}/config.json", "rb") as file:
            config = json.dumps(json.load(file), separators=(",", ":")).encode()
        with open(f"{folder}/model.safetensors", "rb") as file:
            weights = file.read()
        write(f"{out}/model/arch/{name}/config.json", config)
        write(f"{out}/model/arch/{name}/model.safetensors", weights)
        end = 8 + struct.unpack_from("<Q", weights)[0]
        write(f"{out}/model_input/{name}", struct.pack("<HI", len(config), len(weights) - end) + config + weights[:end])
        # 16 positions; nothing asked for and pooling, a KV cache with slots; the rest as it comes
        for kind, asked in (("plain", (0, 0, 1)), ("cache", (3, 0, 0))):
            choices = name_hash(name).to_bytes(2, "big") + bytes((16, *asked))
            write(f"{out}/pipeline/{name}-{kind}", choices + bytes(source.randrange(16) for _ in range(48)))


def varint(value):
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def field(number, body):
    """A protobuf field: a number, or what has a length."""
    if isinstance(body, int):
        return varint(number << 3) + varint(body)
    body = body.encode() if isinstance(body, str) else body
    return varint(number << 3 | 2) + varint(len(body)) + body


def layered(out):
    """A model that every transform of ONNX files finds something in: decoder layers that are functions, with caches
    inside, adapters, paths before names, what nothing reads, and an initialiser of more than a page."""
    def node(line, domain=""):
        op, inputs, outputs = line.split(" ")
        return b"".join([field(1, name) for name in inputs.split(",")] + [field(2, name) for name in outputs.split(",")]
                        + [field(4, op)] + ([field(7, domain)] if domain else []))

    def info(name, kind, dims):
        shape = b"".join(field(1, field(1, dim)) for dim in dims)
        return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))

    def tensor(name, dims, source):
        count = dims[0] * dims[1]
        return b"".join(field(1, dim) for dim in dims) + field(2, 1) + field(8, name) + field(
            9, struct.pack(f"<{count}f", *(source.uniform(-0.3, 0.3) for _ in range(count))))

    def function(name, inputs, outputs, nodes):
        return b"".join([field(1, name)] + [field(4, i) for i in inputs] + [field(5, o) for o in outputs]
                        + [field(7, n) for n in nodes] + [field(9, field(1, "") + field(2, 17)), field(10, "own")])

    source, cache, rows = random.Random(5), [1, 1, 8, 4], [1, 1, 2, 4]
    functions = [
        function("ADecoderLayer", ["h", "k", "v", "p"], ["o"],
                 [node("CtxScatter v,p,h vv", "qeff"), node("CtxScatter k,p,h kk", "qeff"), node("Add kk,vv s"),
                  node("ReduceMean s o")]),
        function("BDecoderLayer", ["h"], ["o", "past_key.0_InternalRetainedState"],
                 [node("Relu h o"), node("Neg h past_key.0_InternalRetainedState")]),
        function("Uncalled", ["h"], ["o"], [node("Relu h o")]),
    ]
    graph = b"".join(
        [field(1, node("ADecoderLayer v/x,past_key.0,past_value.0_RetainedState,p a", "own")),
         field(1, node("BDecoderLayer a b,n", "own")), field(1, node("MatMul v/x,m.lora_A.default.weight l")),
         field(1, node("MatMul l,m.lora_B.default.weight v/y")), field(2, "layers"),
         field(5, tensor("m.lora_A.default.weight", [4, 300], source)),
         field(5, tensor("m.lora_B.default.weight", [300, 4], source)),
         field(5, field(1, 64) + field(2, 1) + field(8, "fake"))]
        + [field(11, info(name, kind, dims)) for name, kind, dims in (
            ("v/x", 1, rows), ("p", 7, [1, 2]), ("past_key.0", 1, cache), ("past_value.0_RetainedState", 1, cache))]
        + [field(12, info(name, 1, [])) for name in ("b", "n", "v/y", "past_key.0_RetainedState",
                                                     "past_value.0_RetainedState")])
    write(f"{out}/onnx/layered.onnx", b"".join(
        [field(1, 8), field(7, graph)] + [field(8, field(1, domain) + field(2, version))
                                          for domain, version in (("", 17), ("own", 1), ("qeff", 1))]
        + [field(25, f) for f in functions]))


def onnx(out, compiler, tests):
    """What we export, from models so small that nothing stands outside the file, and ONNX's own tests: there, an input
    that may decide a shape becomes a constant, as a graph of only that, which a reader of protobuf adds to the first."""
    sizes = (HIDDEN, INNER, VOCAB)
    globals().update(HIDDEN=8, INNER=12, VOCAB=20)
    for name, make in (("llama", llama), ("bert", bert), ("classifier", classifier)):
        folder = f"{out}/model/small-{name}"
        make(folder, random.Random(4))
        os.remove(f"{folder}/tokenizer.json")
        subprocess.run([compiler, folder, "-o", f"{out}/small.qpc", "--num-cores", "1", "--onnx", f"{out}/export"],
                       check=True, stdout=subprocess.DEVNULL)
        os.makedirs(f"{out}/onnx", exist_ok=True)
        os.rename(f"{out}/export/model.onnx", f"{out}/onnx/{name}.onnx")
    globals().update(HIDDEN=sizes[0], INNER=sizes[1], VOCAB=sizes[2])
    layered(out)
    for folder in sorted(glob.glob(f"{tests}/*/*")) if tests else []:
        if not os.path.exists(f"{folder}/model.onnx"):
            continue
        with open(f"{folder}/model.onnx", "rb") as file:
            model = file.read()
        for path in sorted(glob.glob(f"{folder}/test_data_set_0/input_*.pb")):
            with open(path, "rb") as file:
                tensor = file.read()
            # at most one dimension, of int64
            if len(tensor) < 150 and (tensor[:2] == b"\x10\x07" or tensor[2:4] == b"\x10\x07"):
                model += field(7, field(5, tensor))
        if len(model) <= 4096:
            write(f"{out}/onnx_tests/{os.path.basename(folder)}", model)


def main():
    out, compiler, root = sys.argv[1:4]
    tests = sys.argv[4] if len(sys.argv) > 4 else None
    source = random.Random(1)
    shutil.rmtree(out, ignore_errors=True)
    names = llama(f"{out}/model/llama", source)
    bert(f"{out}/model/bert", source)
    classifier(f"{out}/model/classifier", random.Random(2))
    for model in ("llama", "bert"):
        for kind, name in (("config", "config.json"), ("safetensors", "model.safetensors")):
            os.makedirs(f"{out}/{kind}-{model}", exist_ok=True)
            shutil.copy(f"{out}/model/{model}/{name}", f"{out}/{kind}-{model}/{name}")
    write(f"{out}/modules/modules.json", open(f"{out}/model/bert/modules.json", "rb").read())
    write(f"{out}/generation/generation_config.json", open(f"{out}/model/llama/generation_config.json", "rb").read())
    shutil.copytree(f"{out}/model/llama", f"{out}/model/sharded")
    os.rename(f"{out}/model/sharded/model.safetensors", f"{out}/model/sharded/shard.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": {name: "shard.safetensors" for name in names}}
    write(f"{out}/index/model.safetensors.index.json", json.dumps(index, indent=1))
    compile_packages(out, compiler)
    for file in sorted(os.listdir(f"{root}/tests/data/tokenizer")):
        if file.endswith(".tokenizer.json"):
            os.makedirs(f"{out}/tokenizer", exist_ok=True)
            shutil.copy(f"{root}/tests/data/tokenizer/{file}", f"{out}/tokenizer/{file}")
    for model in ("llama", "bert"):
        shutil.copy(f"{out}/model/{model}/tokenizer.json", f"{out}/tokenizer/tiny-{model}.json")
    architectures(out, root)
    onnx(out, compiler, tests)
    specializations(out)
    arrays(out)
    messages(out)


main()
