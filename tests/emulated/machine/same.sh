#!/bin/sh
# SPDX-License-Identifier: MIT
# Whether a program for AVX-512 says on the emulated PC what a program for this machine says here.
#
# usage: same.sh IMAGE PROGRAM-OF-THE-PC PROGRAM-OF-THIS-MACHINE
set -eu

there=$("${0%/*}/run.sh" "$1" avx512bf16 "$2") || exit $?
here=$("$3")
printf '%s\n' "$there"
[ -n "$there" ] && [ "$there" = "$here" ] && exit 0
printf 'but here:\n%s\n' "$here" >&2
exit 1
