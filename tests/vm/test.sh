#!/bin/sh
# SPDX-License-Identifier: MIT
# One test of the suite: a guest script on one kernel in one set-up. Builds what is missing (module, initramfs), boots,
# judges. 77 with the reason where that cannot be had.
#
# usage: test.sh BUILD KERNEL SETUP GUEST-SCRIPT
# BUILD is the build directory: programs and packages come from it, results go to BUILD/vm/KERNEL-SETUP-NAME.
# The script says in comments what it needs, one directive a line:
#   # card: OPTIONS         a card with these options of qeff-vcard; may be repeated; OUT stands for the results' folder
#   # module: qeff | qaic   loaded before the script; with "absent:" before the name, only there to load
#   # program: NAME...      of BUILD/tools, or a helper of BUILD/tests/vm
#   # host: NAME...         programs of the host
#   # model: NAME OPTIONS   a bundled model, compiled with these options to /models/NAME.qpc, and with what the software
#                           card in process says to the prompt of /models/prompt in /models/NAME.expected
#   # file: FILE=PATH       a file of the host, and where it is in the guest; may be repeated
#   # firmware              images under the names the driver asks for (what is in them is noise)
#   # kernel                the kernel's own image as /lib/vmlinuz
#   # disk: SIZE            an empty disk, such as 512M
#   # boots: N              how often it is switched on in all, if it goes off before its plan (1)
#   # udev                  Debian 12's udev with its rules for such nodes, and ours
#   # seconds: N            the time limit with KVM; five times that without (60)
#   # append: ARGUMENTS     of the kernel
#   # slub_debug: OPTIONS   the allocator's checks, on kernels that have not KASAN, which does it better
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

[ $# -eq 4 ] || {
    sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
    exit 2
}
build=$1 kernel=$2 setup=$3 script=$4
name=$(basename "$script" .sh)
out=$build/vm/$kernel-$setup-$name
mkdir -p "$out" "$build/vm/packages"
out=$(cd "$out" && pwd)

"$here/fetch-kernels.sh" "$kernel" >/dev/null

directives() { # name
    sed -n "s/^# $1: *//p; s/^# $1\$//p" "$script"
}

# Packages and what is expected of them are made once for all tests of a build.
prompt='It was in the evening, and the whole party were assembled in the drawing-room, when she'
package() { # model options...
    model=$1
    shift
    qpc=$build/vm/packages/$model.qpc
    (
        flock 8
        if [ -n "$(find "$qpc" -newer "$build/tools/qeff-compile" 2>/dev/null)" ] &&
            [ "$(cat "$qpc.options" 2>/dev/null)" = "$*" ]; then
            exit 0
        fi
        "$build/tools/qeff-compile" "$tree/tests/data/models/$model" -o "$qpc" "$@" >/dev/null
        case $model in
        *embed*) "$build/tools/qeff-load" "$qpc" -d soft --text "$prompt" ;;
        *) "$build/tools/qeff-load" "$qpc" -d soft --prompt "$prompt" ;;
        esac >"$qpc.expected"
        printf '%s\n' "$*" >"$qpc.options"
    ) 8>"$qpc.lock"
}

# Noise, but the same at every run: cards made of software do not look into it, and Sahara's transfers have real sizes.
firmware() {
    images=$build/vm/firmware/qcom/aic100
    (
        flock 8
        [ -f "$build/vm/firmware/complete" ] && exit 0
        mkdir -p "$images"
        for image in sbl fw1 fw2 fw5 fw9 fw10; do
            yes "$image" | head -c 150001 >"$images/$image.bin"
        done
        touch "$build/vm/firmware/complete"
    ) 8>"$build/vm/firmware.lock"
}

set --
for spec in $(directives module); do
    option=-m
    case $spec in absent:*) option=-M ;; esac
    case ${spec#absent:} in
    qeff) module=$("$here/build-module.sh" "$kernel") ;;
    qaic)
        case $kernel in
        6.12) module=$("$here/build-qaic.sh") ;;
        debug) module=$cache/kernels/debug/modules/qaic.ko ;;
        *) skip "qaic is built for 6.12 alone" ;;
        esac
        ;;
    *) die "$script: module $spec" ;;
    esac
    set -- "$@" "$option" "$module"
done
for program in $(directives program); do
    for folder in "$build/tools" "$build/tests/vm" "$build/tests/bench/driver"; do
        [ ! -x "$folder/$program" ] || set -- "$@" -p "$folder/$program"
    done
done
for program in $(directives host); do
    command -v "$program" >/dev/null || skip "$program is not installed"
    set -- "$@" -p "$(command -v "$program")"
done
models=$(directives model)
if [ -n "$models" ]; then
    while read -r model options; do
        # shellcheck disable=SC2086
        package "$model" $options
        set -- "$@" -f "$build/vm/packages/$model.qpc=models/$model.qpc" \
            -f "$build/vm/packages/$model.qpc.expected=models/$model.expected"
    done <<EOF
$models
EOF
    printf '%s' "$prompt" >"$build/vm/packages/prompt"
    set -- "$@" -f "$build/vm/packages/prompt=models/prompt"
fi
for file in $(directives file); do
    set -- "$@" -f "$file"
done
if grep -q '^# firmware$' "$script"; then
    firmware
    set -- "$@" -f "$build/vm/firmware/qcom=lib/firmware/qcom"
fi
if grep -q '^# kernel$' "$script"; then
    set -- "$@" -f "$cache/kernels/$kernel/vmlinuz=lib/vmlinuz"
fi
if grep -q '^# udev$' "$script"; then
    udev=$("$here/fetch-udev.sh" bookworm)
    set -- "$@" -p "$udev/bin/udevadm" -f "$tree/udev/72-qeff.rules=lib/udev/rules.d/72-qeff.rules"
    for rules in 50-udev-default 70-uaccess 71-seat 73-seat-late; do
        set -- "$@" -f "$udev/lib/udev/rules.d/$rules.rules=lib/udev/rules.d/$rules.rules"
    done
fi
"$here/mkinitramfs.sh" -k "$kernel" -o "$out/initramfs" -e "SETUP=$setup" -e "DISK=$(directives disk)" "$@" "$script"

append=$(directives append)
slub=$(directives slub_debug)
[ -z "$slub" ] || [ "$kernel" = debug ] || append="$append slub_debug=$slub"
set -- -k "$kernel" -i "$out/initramfs" -o "$out" -c "$setup" -t "$(directives seconds | grep . || echo 60)" \
    -a "$append" -d "$(directives disk)" -b "$(directives boots | grep . || echo 1)"
cards=$(directives card)
if grep -q '^# card:' "$script"; then
    [ -x "$build/tools/qeff-vcard" ] || die "$build/tools/qeff-vcard has not been built"
    while read -r options; do
        set -- "$@" -C "$(printf '%s' "$options" | sed "s,OUT,$out,g")"
    done <<EOF
$cards
EOF
    set -- "$@" -V "$build/tools/qeff-vcard"
fi
"$here/run-vm.sh" "$@"
rm -f "$out/initramfs"
