#!/bin/sh
# SPDX-License-Identifier: MIT
# Operators of com.microsoft against onnxruntime. usage: check_microsoft.sh PYTHON NODE_TESTS; exits 77 (skipped) without
# onnx and onnxruntime.
set -eu
folder=$(dirname "$0")
if ! "$1" -c 'import onnx, onnxruntime' 2>/dev/null; then
    echo "skipped: no onnx and onnxruntime packages (scripts/test-env.sh BUILD makes them)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$folder/make_microsoft.py" "$work"
: >"$work/none"
QEFF_ONNX_ATOL=1e-5 "$2" "$work/none" "$work"
