#!/bin/sh
# SPDX-License-Identifier: MIT
# The module's source under sparse and with W=1, for each of the kernels that are in the cache: no line of either about
# it. Debian 12's kernels with the host's compiler and sparse, the newest with those of the Debian 13 root.
#
# usage: sparse.sh [KERNEL...]
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

if [ "${1:-}" = --inside ]; then
    # KBUILD_CHECKSRC: the headers package of newer kernels has not got the script that tries sparse
    # and sparse 0.6.4 knows neither __typeof_unqual__ nor what a string's length is when it compiles
    exec make -C "$2/build" M="$3" W=1 C=2 KBUILD_CHECKSRC=2 KBUILD_MODPOST_WARN=1 CONFIG_DEBUG_INFO_BTF_MODULES= \
        CHECK="sparse -D__typeof_unqual__=__typeof__ '-D_Static_assert(...)='" modules
fi

work=$cache/sparse
lock sparse
bad=0
[ $# -gt 0 ] || set -- 6.1 6.12 newest
for kernel; do
    [ -f "$cache/kernels/$kernel/complete" ] || skip "kernel $kernel has not been fetched"
    run=
    if [ "$kernel" = newest ]; then
        [ -x "$root/usr/bin/sparse" ] || skip "sparse is not in the Debian 13 root"
        run=in_root
    else
        need sparse gcc-12
    fi
    rm -rf "$work"
    mkdir -p "$work"
    make -s -C "$tree" dkms-install DESTDIR="$work" >&2
    ($run "$here/sparse.sh" --inside "$cache/kernels/$kernel" "$work"/usr/src/qeff-*) 9>&- >"$work/log" 2>&1 || bad=1
    checked=$(grep -c '^  CHECK ' "$work/log" || true)
    echo "$kernel: $checked files checked"
    [ "$checked" -ge 10 ] || bad=1
    if grep -E '(warning|error):' "$work/log" | grep -F "$work/usr/src" || [ "$bad" -ne 0 ]; then
        bad=1
        tail -n 5 "$work/log"
    fi
done
rm -rf "$work"
exit "$bad"
