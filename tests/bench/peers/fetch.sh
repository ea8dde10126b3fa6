#!/bin/sh
# SPDX-License-Identifier: MIT
# Brings one peer into the cache and prints how to run it, or says why it cannot be had and exits 77. Nothing is
# installed on the host, and nothing of it is needed to build or use qeff.
#
#   fetch.sh python     a Python with numpy, onnxruntime, safetensors and gguf (pip)
#   fetch.sh llama.cpp  llama-bench of Debian unstable, with its own libc
#   fetch.sh torch      a Python with torch of Debian 13, with its own libc
# shellcheck disable=SC2034,SC2154 # the names are those of common.sh
set -eu
QEFF_VM_CACHE=${QEFF_PEERS_CACHE:-${HOME:-/root}/.cache/qeff-peers}
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../vm/common.sh
. "$folder/../../vm/common.sh"

# Unpacks packages and all they depend on under $cache/NAME, without running any script of theirs.
unpack() { # name suite package...
    name=$1 suite=$2
    shift 2
    dir=$cache/$name
    [ -f "$dir/complete" ] && return 0
    mirrors
    say "$name: fetching $* of Debian $suite"
    rm -rf "$dir"
    mkdir -p "$dir/usr/bin" "$dir/usr/sbin" "$dir/usr/lib" "$dir/usr/lib64"
    for link in bin sbin lib lib64; do
        ln -s "usr/$link" "$dir/$link"
    done
    private_apt "$suite" "" "$mirror $suite"
    apt-get -qq -y -d --no-install-recommends install "$@" >&2 || skip "$name: download failed"
    for deb in "$apt"/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --keep-directory-symlink
    done
    rm -f "$apt"/archives/*.deb
    touch "$dir/complete"
}

# A command line that runs a program of an unpacked folder with the libraries beside it, by the loader beside it.
launcher() { # name program library-folder-before-others
    lib=$cache/$1/usr/lib/x86_64-linux-gnu
    printf '%s --library-path %s %s\n' "$lib/ld-linux-x86-64.so.2" "$lib/$3:$lib:${lib%/*}" "$cache/$1/$2"
}

mkdir -p "$cache"
need flock
case ${1:-} in
python)
    lock python
    if [ ! -f "$cache/venv/complete" ]; then
        rm -rf "$cache/venv"
        python3 -m venv "$cache/venv" >&2 &&
            "$cache/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.2.6 onnxruntime==1.21.1 \
                safetensors==0.5.3 gguf==0.19.0 >&2 || skip "python: numpy, onnxruntime, safetensors and gguf cannot be had"
        touch "$cache/venv/complete"
    fi
    echo "$cache/venv/bin/python"
    ;;
llama.cpp)
    [ "$(uname -m)" = x86_64 ] || skip "llama.cpp: only fetched for x86-64"
    lock llama.cpp
    unpack llama.cpp sid llama.cpp-tools
    # it looks for the library that suits the CPU in the current folder
    printf 'env -C %s ' "$cache/llama.cpp/usr/lib/x86_64-linux-gnu/ggml/backends0"
    launcher llama.cpp usr/bin/llama-bench llama
    ;;
torch)
    [ "$(uname -m)" = x86_64 ] || skip "torch: only fetched for x86-64"
    lock torch
    unpack torch trixie python3-torch libopenblas0-openmp
    printf 'env PYTHONHOME=%s ' "$cache/torch/usr"
    launcher torch usr/bin/python3.13 openblas-openmp
    ;;
*)
    die "usage: fetch.sh python | llama.cpp | torch"
    ;;
esac
