#!/bin/sh
# SPDX-License-Identifier: MIT
# How compiling grows: wall and CPU time and peak memory for Llamas of three sizes with random weights, in the precision
# asked for; the second compile of each comes from the cache. Peak memory must be at most 200 MB more than the package,
# else it fails.
# usage: growth.sh QEFF_COMPILE MAKE_CHECKPOINT_PY FOLDER [options of qeff-compile]
set -eu
compile=$1 maker=$2
work=$(mktemp -d "$3/growth-XXXXXX")
trap 'rm -rf "$work"' EXIT
shift 3

shape() { # name, then options of the maker
    name=$1
    shift
    python3 "$maker" "$work/$name" "$@" 2>/dev/null
    echo '{}' >"$work/$name/tokenizer.json"
    cat "$work/$name/model.safetensors" >/dev/null # in memory, as far as it fits
}

measure() { # name
    name=$1
    shift
    QEFF_HOME=$work/home python3 - "$compile" "$work/$name" "$name" "$@" <<'PY'
import json, os, resource, subprocess, sys, time

def run(arguments):
    start = time.monotonic()
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit("qeff-compile failed")
    return time.monotonic() - start, usage, json.loads(output)

command = [sys.argv[1], sys.argv[2], "--json"] + sys.argv[4:]
seconds, usage, summary = run(command)
again, again_usage, cached = run(command)
assert cached["cached"]
weights = os.path.getsize(sys.argv[2] + "/model.safetensors")
print(f"{sys.argv[3]:>6}: {summary['parameters'] / 1e6:.0f} M parameters, {weights / 1e6:.0f} MB of weights, package "
      f"{summary['package_bytes'] / 1e6:.0f} MB: {seconds:.2f} s ({weights / 1e6 / seconds:.0f} MB/s), "
      f"{usage.ru_utime + usage.ru_stime:.2f} s of CPU, peak {usage.ru_maxrss / 1e3:.0f} MB; from the cache "
      f"{again * 1e3:.0f} ms, {(again_usage.ru_utime + again_usage.ru_stime) * 1e3:.0f} ms of CPU", flush=True)
if usage.ru_maxrss * 1024 > summary["constants_bytes"] + 200e6:
    sys.exit("the peak is more than 200 MB above the constants")
PY
    rm -rf "$work/home"
}

shape 110M --layers 12 --hidden 768 --heads 12 --intermediate 2048
measure 110M "$@"
rm -r "$work/110M"
shape 350M --layers 24 --hidden 1024 --heads 16 --intermediate 2816 --untied
measure 350M "$@"
rm -r "$work/350M"
shape 1.1B --layers 22 --hidden 2048 --heads 32 --kv-heads 4 --intermediate 5632 --untied
measure 1.1B "$@"
