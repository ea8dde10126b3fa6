#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check_export.sh PYTHON QEFF_COMPILE MODELS_DIR; exits 77 (skipped) without the oracles.
set -eu
folder=$(dirname "$0")
if ! "$1" -c 'import onnx, onnxruntime, safetensors' 2>/dev/null; then
    echo "skipped: no onnx, onnxruntime and safetensors packages (scripts/test-env.sh BUILD makes them)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$folder/check_export.py" "$2" "$3" "$work"
