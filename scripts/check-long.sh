#!/bin/sh
# SPDX-License-Identifier: MIT
# The long proofs: run after "make check", before a release or the end of a piece of work.
set -eu

build=$1
scripts/check-tsan.sh "$build"
scripts/check.sh "$build" long
