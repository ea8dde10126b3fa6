#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""qeff beside other runtimes on one machine in one run: the same weights, the same tokens, turn by turn.

Every runtime is a process of its own that has loaded and warmed up before the first round. In each round each of them
does its work once while the others sleep; the figures are medians over the rounds, the ratios medians of the ratios
within a round, so that a machine that slows down slows both sides. On a machine that has other work, --cpu-time takes
each process's own time on the CPU instead, in one thread. scripts/bench-peers.sh runs this.
"""

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT, NEW, CONTEXT = 128, 32, 256
SLOW_S = 8  # who needs longer for a turn takes part in the first round only
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
# the Llama of make_checkpoint.py
LAYERS, HIDDEN, INNER, VOCAB = 12, 768, 2048, 32000
# ours, theirs, least ratio of prefill and of decode wanted (0: none)
PAIRS = (
    ("qeff fp32", "onnxruntime f32", 0, 0),
    ("qeff fp32", "torch f32", 0, 0),
    ("qeff fp32", "llama.cpp F32", 0, 0),
    ("qeff bf16", "torch bf16", 0.5, 0),
    ("qeff bf16", "llama.cpp BF16", 0, 1),
    ("qeff fp16", "llama.cpp F16", 0, 0),
    ("qeff int8", "llama.cpp Q8_0", 0, 0),
)


class Worker:
    """A process that answers each line with a line of JSON."""

    def __init__(self, command, environment, cpus):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended with status {self.process.wait()}")
        return json.loads(line)

    def turn(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class LlamaBench:
    """llama-bench measures once a call, after a warm-up of its own, and takes tokens at random."""

    def __init__(self, command, model, threads, environment, cpus):
        self.command = [*command, "-m", model, "-t", str(threads), "-o", "json"]
        self.environment, self.cpus = environment, cpus

    def run(self, repeats, *options):
        done = subprocess.run(
            [*self.command, "-r", str(repeats), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cpus), check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-500:])
        return json.loads(done.stdout)[0]["avg_ns"] * 1e-9

    def cpu(self, repeats, *options):
        """Seconds of the CPU for the whole call."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.run(repeats, *options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def turn(self, _line):
        prefill, decode = ("-p", str(PROMPT), "-n", "0"), ("-p", "0", "-d", str(PROMPT), "-n")
        if self.environment.get("QEFF_BENCH_CLOCK") == "cpu":
            # what more work costs is free of loading and warming up
            return {"prefill_s": (self.cpu(5, *prefill) - self.cpu(1, *prefill)) / 4,
                    "decode_s": (self.cpu(1, *decode, str(3 * NEW)) - self.cpu(1, *decode, str(NEW))) / 2}
        return {"prefill_s": self.run(1, *prefill), "decode_s": self.run(1, *decode, str(NEW))}

    def close(self):
        pass


# ---- what is measured ----


def say(*text):
    print(*text, file=sys.stderr, flush=True)


def fetch(name):
    done = subprocess.run([os.path.join(HERE, "fetch.sh"), name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        return None
    done.check_returncode()
    return shlex.split(done.stdout)


def make(path, command):
    """Runs a command that makes a file, unless it is there; False if it fails."""
    if not os.path.exists(path):
        say("making", os.path.basename(path))
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            if os.path.exists(path):
                os.remove(path)
            say("skipped:", done.stdout.strip().splitlines()[-1] if done.stdout.strip() else command[0])
            return False
    return True


class Bench:
    def __init__(self, build, work, cpu_time):
        self.build, self.work, self.cpu_time = build, work, cpu_time
        self.python, self.llama_bench, self.torch = fetch("python"), fetch("llama.cpp"), fetch("torch")
        self.skipped = [name for name, command in (("onnxruntime", self.python), ("llama.cpp", self.llama_bench if
                        self.python else None), ("torch", self.torch)) if not command]
        os.makedirs(work, exist_ok=True)
        self.llama, self.bert = os.path.join(work, "llama"), os.path.join(work, "bert")
        self.models()

    def at(self, *names):
        return os.path.join(self.work, *names)

    def models(self):
        maker = os.path.join(HERE, "..", "..", "reference", "make_checkpoint.py")
        make(os.path.join(self.llama, "model.safetensors"), [sys.executable, maker, self.llama, "--dtype", "F32"])
        if self.python:
            make(os.path.join(self.bert, "model.safetensors"), [*self.python, HERE + "/make_bert.py", self.bert])
        self.packages()
        if self.python and self.llama_bench:
            for kind in ("F32", "F16", "BF16", "Q8_0"):
                path = self.at(f"llama-{kind}.gguf")
                make(path, [*self.python, HERE + "/make_gguf.py", self.llama, path, kind])

    def packages(self):
        """Always made anew: the compiler is what changes."""
        compiler = os.path.join(self.build, "tools", "qeff-compile")
        for precision in PRECISIONS:
            jobs = [("llama", self.llama, ["--prefill-seq-len", str(PROMPT), "--ctx-len", str(CONTEXT)])]
            for batch in (1, 8) if os.path.exists(self.bert) else ():
                jobs.append((f"bert{batch}", self.bert, ["--seq-len", "128", "--batch-size", str(batch), "--pooling", "none"]))
            for name, model, options in jobs:
                path = self.at(f"{name}-{precision}.qpc")
                if os.path.exists(path):
                    os.remove(path)
                command = [compiler, model, "-o", path, "--precision", precision, *options]
                if precision == "fp32":
                    command += ["--onnx", self.at(name + "-onnx")]
                make(path, command)

    def workers(self, shape, threads):
        """(name, command or LlamaBench arguments) of a shape: "llama", "bert1", "bert8"."""
        batch = shape.removeprefix("bert")
        yield "limits", [os.path.join(self.build, "tests/bench/peers/bench_limits"), str(threads)]
        for precision in PRECISIONS:
            package = self.at(f"{shape}-{precision}.qpc")
            if os.path.exists(package):
                mode = ["generate", package, str(NEW)] if shape == "llama" else ["encode", package]
                yield "qeff " + precision, [os.path.join(self.build, "tests/bench/peers/bench_qeff"), *mode]
        if self.python:
            model = self.at(shape + "-onnx", "model.onnx")
            size = [str(CONTEXT), str(NEW)] if shape == "llama" else [batch]
            mode = "generate" if shape == "llama" else "encode"
            yield "onnxruntime f32", [*self.python, HERE + "/ort_worker.py", mode, model, str(threads), *size]
        if self.torch:
            for name, dtype in (("f32", "float32"), ("bf16", "bfloat16")):
                base = [*self.torch, HERE + "/torch_worker.py"]
                if shape == "llama":
                    yield "torch " + name, [*base, "generate", self.llama, str(threads), dtype, str(CONTEXT), str(NEW)]
                else:
                    yield "torch " + name, [*base, "encode", self.bert, str(threads), dtype, batch]
        if shape == "llama" and self.llama_bench:
            for kind in ("F32", "F16", "BF16", "Q8_0"):
                if os.path.exists(self.at(f"llama-{kind}.gguf")):
                    yield "llama.cpp " + kind, self.at(f"llama-{kind}.gguf")

    def start(self, shape, threads, only):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "QEFF_SOFT"))}
        # by default OpenMP's threads wait in a loop, and fight over the CPUs
        environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "LC_ALL": "C"}
        if self.cpu_time:
            environment["QEFF_BENCH_CLOCK"] = "cpu"
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        workers = {}
        for name, command in self.workers(shape, threads):
            if name != "limits" and only and not any(part in name for part in only):
                continue
            try:
                if name.startswith("llama.cpp"):
                    workers[name] = LlamaBench(self.llama_bench, command, threads, environment, cpus)
                else:
                    workers[name] = Worker(command, environment, cpus)
            except RuntimeError as error:
                say(f"skipped: {name}: {error}")
        return workers

    def measure(self, shape, threads, rounds, only):
        """{name: [answer of each round]}"""
        count = PROMPT if shape == "llama" else 128 * int(shape.removeprefix("bert"))
        ids, state = [], 1
        for _ in range(count):
            state = (state * 1103515245 + 12345) % 2**31
            ids.append(str(3 + state // 65536 % 30000))
        workers = self.start(shape, threads, only)
        results, slow = {name: [] for name in workers}, set()
        for number in range(-1, rounds):
            say(f"{shape}, {threads} threads: round {number + 1} of {rounds}" if number >= 0 else f"{shape}: warming up")
            for name in list(workers):
                if name in slow and number > 0:
                    continue
                try:
                    answer = workers[name].turn(" ".join(ids))
                except (RuntimeError, OSError) as error:
                    say(f"skipped: {name}: {error}")
                    del workers[name], results[name]
                    continue
                if number >= 0:
                    results[name].append(answer)
                elif sum(value for key, value in answer.items() if key.endswith("_s")) > SLOW_S:
                    say(f"{name} is slow: it will take part in one round only")
                    slow.add(name)
                time.sleep(0.05)  # until its threads sleep
        for worker in workers.values():
            worker.close()
        return results


# ---- what is printed ----


def weights_of(precision):
    """Bytes that decoding reads for one weight, scales included, and bytes of an element of the cache."""
    return {"fp32": (4, 4), "fp16": (2, 4), "bf16": (2, 4), "int8": (17 / 16, 4), "f32": (4, 4), "torch bf16": (2, 2),
            "F32": (4, 2), "F16": (2, 2), "BF16": (2, 2), "Q8_0": (34 / 32, 2)}[precision]


def llama_work(name):
    """Operations of a prefill, and bytes of a decoding step half way."""
    linear = LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER)
    head = HIDDEN * VOCAB
    operations = 2 * (linear * PROMPT + head) + LAYERS * 4 * HIDDEN * PROMPT * (PROMPT + 1) // 2
    weight, cache = weights_of(name if name == "torch bf16" else name.split()[-1])
    return operations, (linear + head) * weight + LAYERS * 2 * HIDDEN * (PROMPT + NEW / 2) * cache


def bert_work(batch):
    layers, hidden, inner, length = 6, 384, 1536, 128
    return batch * layers * (2 * length * (4 * hidden * hidden + 2 * hidden * inner) + 4 * length * length * hidden)


def medians(answers):
    return {key: statistics.median(a[key] for a in answers) for key in answers[0]}


def once(answers):
    return "  (one round)" if len(answers) == 1 else ""


def peak(limits, name):
    """The limit of products of the precision of that name, of the instructions this CPU has."""
    kind = name.split()[-1].lower()
    if kind in ("int8", "q8_0") and "int8_ops" in limits:
        return limits["int8_ops"]
    if kind == "bf16" and "bf16_ops" in limits:
        return limits["bf16_ops"]
    return limits.get("fma_ops", float("nan"))


def print_limits(limits):
    names = {"read_bytes": "GB/s read", "fma_ops": "GFLOP/s fp32 multiply-add", "bf16_ops": "GFLOP/s bf16 dot product",
             "int8_ops": "GOP/s int8 dot product"}
    print("machine: " + ", ".join(f"{value / 1e9:.1f} {names[name]}" for name, value in limits.items()))


def print_llama(results, limits):
    print(f"{'Llama 110M':<18}{'prefill tok/s':>14}{'of peak':>9}{'decode tok/s':>14}{'of read':>9}")
    for name, answers in results.items():
        m = medians(answers)
        operations, size = llama_work(name)
        print(f"{name:<18}{PROMPT / m['prefill_s']:>14.0f}{operations / m['prefill_s'] / peak(limits, name):>9.1%}"
              f"{NEW / m['decode_s']:>14.1f}{NEW * size / m['decode_s'] / limits['read_bytes']:>9.1%}{once(answers)}")
    tokens = {a["token"] for name, answers in results.items() for a in answers if "32" in name and "token" in a}
    if len(tokens) > 1:
        print("warning: the fp32 runtimes do not choose the same first token:", tokens)
    print(f"\n{'ratio of speeds, median [lowest..highest]':<42}{'prefill':>22}{'decode':>22}")
    for ours, theirs, *floors in PAIRS:
        if ours not in results or theirs not in results:
            continue
        cells = []
        for key, floor in zip(("prefill_s", "decode_s"), floors):
            ratios = [b[key] / a[key] for a, b in zip(results[ours], results[theirs])]
            mark = "" if not floor else " ok" if statistics.median(ratios) >= floor else f" <{floor:g}"
            cells.append(f"{statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]{mark}")
        print(f"{ours + ' / ' + theirs:<42}{cells[0]:>22}{cells[1]:>22}")


def print_bert(results, limits, batch):
    base = results.get("onnxruntime f32")
    title = f"MiniLM, batch {batch}"
    print(f"{title:<18}{'ms':>14}{'of peak':>9}  speed over onnxruntime f32")
    for name, answers in results.items():
        seconds = medians(answers)["run_s"]
        ratio = statistics.median(b["run_s"] / a["run_s"] for a, b in zip(answers, base)) if base else float("nan")
        print(f"{name:<18}{1e3 * seconds:>14.2f}{bert_work(batch) / seconds / peak(limits, name):>9.1%}{ratio:>8.2f}{once(answers)}")
    samples = [a["sample"] for name, answers in results.items() for a in answers if "32" in name]
    if samples and max(samples) - min(samples) > 1e-3:
        print("warning: the fp32 runtimes do not compute the same:", sorted(set(samples)))


def print_machine(skipped):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        facts = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    wanted = ("avx2", "f16c", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
    flags = set(facts.get("flags", "").split())
    print(f"{facts.get('model name', platform.machine())}, family {facts.get('cpu family', '?')}, "
          f"{len(os.sched_getaffinity(0))} CPUs: {' '.join(f for f in wanted if f in flags)}")
    for name in skipped:
        print(f"skipped: {name} cannot be had here")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="meson's build directory")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all CPUs")
    parser.add_argument("--shapes", nargs="+", default=["llama", "bert1", "bert8"])
    parser.add_argument("--only", nargs="+", help="runtimes whose names contain one of these")
    parser.add_argument("--cpu-time", action="store_true", help="time on the CPU, in one thread")
    args = parser.parse_args()
    if args.cpu_time:
        args.threads = [1]
    build = os.path.abspath(args.build)
    bench = Bench(build, os.path.join(build, "peers"), args.cpu_time)
    print_machine(bench.skipped)
    everything = {}
    for threads in args.threads or sorted({1, len(os.sched_getaffinity(0))}):
        for shape in args.shapes:
            if shape != "llama" and not os.path.exists(bench.bert):
                continue
            load = os.getloadavg()[0]
            results = bench.measure(shape, threads, args.rounds, args.only)
            everything[f"{shape} {threads}"] = results
            limits = {key: max(a[key] for a in results["limits"]) for key in results["limits"][0]}
            print(f"\n== {threads} thread{'s' if threads > 1 else ''}, {args.rounds} rounds, "
                  f"{'time on the CPU' if args.cpu_time else 'wall clock'}, load before {load:.1f}")
            print_limits(limits)
            del results["limits"]
            if shape == "llama":
                print_llama(results, limits)
            else:
                print_bert(results, limits, int(shape.removeprefix("bert")))
            sys.stdout.flush()
    with open(os.path.join(build, "peers", "results.json"), "w", encoding="utf-8") as file:
        json.dump(everything, file, indent=1)


main()
