#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a static test program on a PC that Bochs emulates, with a CPU that has AVX-512, VNNI and BF16, whatever this
# machine has: IMAGE (boot.S, monitor.c) in front of it, no operating system. Shows what the program says, ends as it does.
#
# usage: run.sh IMAGE ISA PROGRAM [ARGUMENT]...
# Where no recent Bochs is installed, Debian 13's is unpacked into the cache of the VM harness.
set -eu
# shellcheck source=../../vm/common.sh
. "${0%/*}/../../vm/common.sh"

[ $# -ge 3 ] || die "usage: run.sh IMAGE ISA PROGRAM [ARGUMENT]..."
cpu=sapphire_rapids
bochs=$cache/bochs

knows_cpu() { # command...
    "$@" --help cpu 2>&1 | grep -q "^$cpu\$"
}

# shellcheck disable=SC2317 # called by name
unpacked() { # argument...
    LTDL_LIBRARY_PATH=$bochs/usr/lib/x86_64-linux-gnu/bochs/plugins \
        "$bochs/lib64/ld-linux-x86-64.so.2" --library-path "$bochs/usr/lib/x86_64-linux-gnu" \
        "$bochs/usr/bin/bochs-bin" "$@"
}

fetch() {
    lock bochs
    [ ! -f "$bochs/complete" ] || return 0
    mirrors
    private_apt trixie-bochs "" "$mirror trixie"
    apt-get -qq -y --no-install-recommends --download-only install bochs bochsbios vgabios >&2 ||
        skip "Debian 13's Bochs cannot be had"
    rm -rf "$bochs"
    mkdir -p "$bochs"
    for package in "$apt"/archives/*.deb; do
        dpkg-deb -x "$package" "$bochs"
    done
    rm -f "$apt"/archives/*.deb
    touch "$bochs/complete"
}

if command -v bochs-bin >/dev/null && knows_cpu bochs-bin; then
    run="bochs-bin"
    share=/usr/share
else
    fetch
    exec 9>&-
    knows_cpu unpacked || skip "Bochs does not know the CPU $cpu"
    run=unpacked
    share=$bochs/usr/share
fi

image=$1
isa=$2
program=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

number() { # value bytes: little end first
    value=$1
    for _ in $(seq "$2"); do
        # shellcheck disable=SC2059
        printf "\\$(printf %03o $((value & 255)))"
        value=$((value >> 8))
    done
}

# As monitor.c reads it. Strings of "rep" instructions are slow in an emulator.
{
    cat "$image"
    head -c $((65 * 512 - $(stat -c %s "$image"))) /dev/zero
    {
        number "$(stat -c %s "$program")" 4
        number $(($# + 1)) 2
        number 2 2
        printf '%s\0' "${program##*/}" "$@" "QEFF_ISA=$isa" GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS,-FSRM
    } >"$work/job"
    cat "$work/job"
    head -c $((512 - $(stat -c %s "$work/job"))) /dev/zero
    cat "$program"
} >"$work/disk"
truncate -s %$((16 * 63 * 512)) "$work/disk"

cat >"$work/bochsrc" <<EOF
cpu: model=$cpu, ips=50000000, reset_on_triple_fault=0
memory: guest=512, host=512
romimage: file=$share/bochs/BIOS-bochs-latest
vgaromimage: file=$share/bochs/VGABIOS-lgpl-latest
ata0-master: type=disk, mode=flat, path=$work/disk
boot: disk
com1: enabled=1, mode=file, dev=$work/said
display_library: rfb, options="timeout=0"
sound: waveoutdrv=dummy
log: $work/log
panic: action=fatal
EOF
# The way out is a panic of the emulator: its own status says nothing.
$run -q -f "$work/bochsrc" >"$work/out" 2>&1 </dev/null || true
[ -f "$work/said" ] || : >"$work/said"
sed '/^exit [0-9]*$/d' "$work/said"
status=$(sed -n 's/^exit \([0-9]*\)$/\1/p' "$work/said" | tail -n1)
if [ -z "$status" ]; then
    grep -E '^[0-9]+[ep]' "$work/log" | tail -n5 >&2 || true
    die "the machine stopped before the program did"
fi
exit "$status"
