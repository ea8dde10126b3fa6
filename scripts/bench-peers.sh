#!/bin/sh
# SPDX-License-Identifier: MIT
# qeff beside llama.cpp, torch and onnxruntime in one run; docs/performance.md says how to read it. What cannot be had is
# named and skipped. usage: bench-peers.sh BUILD [options of tests/bench/peers/bench.py]
set -eu

exec python3 "${0%/*}/../tests/bench/peers/bench.py" "$@"
