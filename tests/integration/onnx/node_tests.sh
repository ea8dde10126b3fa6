#!/bin/sh
# SPDX-License-Identifier: MIT
# ONNX's backend tests, as Debian's package libonnx-testdata has them. usage: node_tests.sh PROGRAM EXPECTED [FILTER [COMPILE LOAD]]
# The data are those of the installed package, or of the folder QEFF_ONNX_TESTDATA, or fetched once into the cache with
# apt-get download; where they cannot be had, the test is skipped (77).
set -eu

program=$1
expected=$2
shift 2
cache=${QEFF_ONNX_CACHE:-${HOME:-/root}/.cache/qeff-onnx}
installed=/usr/share/libonnx-testdata/data

skip() {
    echo "skipped: $*"
    exit 77
}

fetch() {
    for tool in apt-get dpkg-deb flock; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    [ ! -d "$cache$installed" ] || return 0
    rm -rf "$cache/deb"
    mkdir "$cache/deb"
    (cd "$cache/deb" && apt-get -qq download libonnx-testdata >&2) || skip "libonnx-testdata cannot be had"
    dpkg-deb -x "$cache"/deb/*.deb "$cache/deb/root"
    cp -r "$cache/deb/root/." "$cache/"
    rm -rf "$cache/deb"
}

if [ -n "${QEFF_ONNX_TESTDATA:-}" ]; then
    data=$QEFF_ONNX_TESTDATA
elif [ -d "$installed" ]; then
    data=$installed
else
    fetch
    data=$cache$installed
fi
exec "$program" "$expected" "$data" "$@"
