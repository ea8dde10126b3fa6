# SPDX-License-Identifier: MIT
"""Peak resident memory: running a package takes the package, its KV cache and activations, and 64 MB; compiling never
holds the weights twice. The model is large enough (41 million parameters) that a second copy would not go unseen.

usage: memory.py MAKE_CHECKPOINT QEFF_COMPILE QEFF_LOAD
"""
import json
import os
import subprocess
import sys
import tempfile

SLACK = 64 << 20


def run(*command):
    """Runs a command; returns its standard output and its peak resident size in bytes."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, err.decode()
    return out, usage.ru_maxrss * 1024


def main():
    make_checkpoint, compiler, load = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        model, package = os.path.join(work, "model"), os.path.join(work, "model.qpc")
        run(sys.executable, make_checkpoint, model, "--layers", "4", "--vocab", "16000", "--dtype", "F32")
        checkpoint_bytes = os.path.getsize(os.path.join(model, "model.safetensors"))
        out, peak = run(compiler, model, "-o", package, "--json")
        summary = json.loads(out)
        print(f"compile: peak {peak >> 20} MiB, checkpoint {checkpoint_bytes >> 20} MiB")
        assert checkpoint_bytes > 2 * SLACK
        assert peak <= checkpoint_bytes + SLACK
        package_bytes = os.path.getsize(package)
        _, peak = run(load, package, "-d", "soft", "--prompt-ids", ",".join(map(str, range(1, 60))),
                      "--max-new-tokens", "20", "--ignore-eos", "--json")
        bound = package_bytes + summary["ddr_bytes"] + SLACK
        print(f"run: peak {peak >> 20} MiB, package {package_bytes >> 20} MiB, KV cache, activations, inputs and "
              f"outputs {summary['ddr_bytes'] >> 20} MiB")
        assert peak <= bound, (peak, bound)


main()
