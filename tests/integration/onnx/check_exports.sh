#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check_exports.sh QEFF_COMPILE QEFF_LOAD MODELS_DIR; exits 77 (skipped) where the exporters cannot be had.
# They are over a gigabyte, so they are fetched only where QEFF_FETCH is set, as "make check-onnx" does; "make check" runs
# this when they are there.
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${QEFF_PEERS_CACHE:-${HOME:-/root}/.cache/qeff-peers}
if [ -z "${QEFF_FETCH:-}" ] && [ ! -f "$cache/exporters/complete" ]; then
    echo "torch and its exporters have not been fetched: make check-onnx does it" >&2
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$folder/../../reference/oracle.sh" --exporters "$folder/check_exports.py" "$1" "$2" "$3" "$work"
