#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check_files.sh PYTHON QEFF_COMPILE QEFF_LOAD CACHE_DIR; exits 77 (skipped) without onnxruntime or the files.
set -eu
folder=$(dirname "$0")
if ! "$1" -c 'import numpy, onnxruntime' 2>/dev/null; then
    echo "skipped: no onnxruntime package (scripts/test-env.sh BUILD makes it)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$folder/check_files.py" "$2" "$3" "$4" "$work"
