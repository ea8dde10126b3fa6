#!/bin/sh
# SPDX-License-Identifier: MIT
# The long proofs: run after "make check", before a release or the end of a piece of work.
set -eu

build=$1
# 100,000 corruptions of each kind of file, every allocation in turn, libFuzzer for a minute on each reader.
scripts/check-fuzz.sh "$build" 100000 60
scripts/check-tsan.sh "$build"
tests/vm/sparse.sh || [ $? -eq 77 ]
# The kernel that watches itself is built once.
tests/vm/debug/build-kernel.sh || [ $? -eq 77 ]
scripts/check.sh "$build" long vm-long vm-debug
# The tests of known driver bugs see each bug; 77: not on this machine.
tests/vm/deps.sh
tests/vm/mutations.sh "$build" 6.12 || [ $? -eq 77 ]
