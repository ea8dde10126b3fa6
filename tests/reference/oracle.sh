#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a Python script with the transformers package on CPU torch: the second opinion on architectures. What that takes
# is fetched once into the cache of tests/bench/peers/fetch.sh (torch of Debian 13, the rest by pip, versions pinned);
# nothing is installed on the host. Exits 77 with a reason where it cannot be had.
#
# usage: oracle.sh [--exporters] SCRIPT [arguments]
#   --exporters: with onnx, onnxruntime and the exporters of torch and optimum beside it
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${QEFF_PEERS_CACHE:-${HOME:-/root}/.cache/qeff-peers}
packages="transformers==4.57.6 tokenizers==0.22.1 safetensors==0.6.2 huggingface-hub==0.36.0 regex==2025.9.18 tqdm==4.67.1
    accelerate==1.10.1 psutil==7.0.0"
name=transformers
if [ "$1" = --exporters ]; then
    name=exporters
    packages="$packages onnx==1.18.0 onnxscript==0.2.5 onnx-ir==0.1.2 ml_dtypes==0.5.1 protobuf==5.29.5 onnxruntime==1.21.1
    flatbuffers==25.2.10 optimum==2.1.0 optimum-onnx==0.1.0"
    shift
fi

torch=$("$folder/../bench/peers/fetch.sh" torch)
mkdir -p "$cache"
exec 9>"$cache/$name.lock"
flock 9
if [ "$(cat "$cache/$name/complete" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$cache/$name"
    # shellcheck disable=SC2086 # a list
    python3 -m pip install --quiet --disable-pip-version-check --target "$cache/$name" --python-version 3.13 \
        --only-binary=:all: --no-deps $packages >&2 || {
        echo "oracle.sh: pip cannot fetch $packages" >&2
        exit 77
    }
    echo "$packages" >"$cache/$name/complete"
fi
flock -u 9
# shellcheck disable=SC2086 # a command line
exec env PYTHONPATH="$cache/$name" PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
    TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 $torch "$@"
