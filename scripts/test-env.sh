#!/bin/sh
# SPDX-License-Identifier: MIT
# The Python environment of the tests that ask a second opinion (onnx, onnxruntime): BUILD/venv, made once. Where it
# cannot be made, those tests say so and count as skipped. Nothing of it is needed to build or use qeff.
set -u

build=$1
[ -f "$build/venv/complete" ] && exit 0
rm -rf "$build/venv"
if python3 -m venv "$build/venv" && "$build/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.2.6 onnx==1.17.0 onnxruntime==1.21.1 safetensors==0.5.3; then
    touch "$build/venv/complete"
else
    echo "no Python environment for the oracles: their tests will be skipped" >&2
fi
