#!/bin/sh
# SPDX-License-Identifier: MIT
# Fills the cache before the tests run, so that downloads count for none of them: kernels, QEMU, modules. What cannot be
# had is said, and the tests that need it skip with the same reason.
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

step() { # command...: what is skipped is no failure
    code=0
    "$@" >/dev/null || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || exit "$code"
}

step "$here/qemu-root.sh"
for kernel in $kernels; do
    step "$here/fetch-kernels.sh" "$kernel"
    step "$here/build-module.sh" "$kernel"
done
step "$here/build-qaic.sh"
step "$here/fetch-udev.sh" bookworm
step "$here/fetch-udev.sh" trixie
step "$here/fetch-schema.sh"
