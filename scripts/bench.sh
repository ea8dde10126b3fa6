#!/bin/sh
# SPDX-License-Identifier: MIT
# Every benchmark; each prints ratios to a limit or a peer measured in the same run.
set -eu

meson test -C "$1" --no-rebuild --benchmark --verbose
