#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check_exports.sh QEFF_COMPILE QEFF_LOAD MODELS_DIR; exits 77 (skipped) where the exporters cannot be had.
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$folder/../../reference/oracle.sh" --exporters "$folder/check_exports.py" "$1" "$2" "$3" "$work"
