#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that are missing for "build" or "check". As root, or with sudo.
set -eu

build="gcc libc6-dev pkg-config meson ninja-build protobuf-c-compiler libprotobuf-c-dev libjansson-dev
libelf-dev zlib1g-dev libutf8proc-dev libpcre2-dev libdrm-dev libkmod-dev libnl-3-dev libnl-genl-3-dev
libcunit1-dev libyaml-dev libmd-dev"
check="python3 python3-venv clang lld qemu-user libsimde-dev graphviz"
lint="clang-format clang-tidy cppcheck reuse"

case "${1:-}" in
build) wanted=$build ;;
check) wanted="$build $check" ;;
lint) wanted="$build $lint" ;;
*) echo "usage: $0 build|check|lint" >&2; exit 2 ;;
esac

missing=
for package in $wanted; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
    *" ok installed") ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif command -v sudo >/dev/null; then
    sudo=sudo
else
    echo "$0: these packages are missing and neither root nor sudo is at hand:$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# package lists may be absent or old on a fresh machine
# shellcheck disable=SC2086
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
