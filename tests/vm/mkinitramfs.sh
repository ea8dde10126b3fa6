#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes an initramfs for one guest test: busybox, the kernel's modules, ours, programs of the host with their libraries,
# files, and the script to run.
#
# usage: mkinitramfs.sh -k KERNEL -o OUT [-m MODULE.ko]... [-p PROGRAM]... [-f FILE=PATH-IN-GUEST]...
#                       [-e NAME=VALUE]... GUEST-SCRIPT
# -m is loaded after the kernel's modules, or, as -M, only put into /lib/modules. -f also takes a directory.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

usage() {
    sed -n 's/^# \(usage: .*\)/\1/p; s/^#  \( *\[-e.*\)/\1/p' "$0" >&2
    exit 2
}

need cpio ldd
busybox=$(command -v busybox) || skip "busybox is not installed (package busybox-static)"
case $(ldd "$busybox" 2>&1 || true) in
*"not a dynamic"*) ;;
*) skip "busybox is not static (package busybox-static)" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
guest=$work/guest
mkdir -p "$guest/bin" "$guest/sbin" "$guest/etc" "$guest/lib/modules" "$guest/lib/host" "$guest/lib64" \
    "$guest/proc" "$guest/sys" "$guest/dev" "$guest/tmp" "$guest/usr"
ln -s ../bin "$guest/usr/bin"

# A program and what ldd says that it loads. Libraries lie in one folder, which LD_LIBRARY_PATH of the init names.
program() { # path
    cp -L "$1" "$guest/bin/"
    ldd "$1" 2>/dev/null | sed -n -E 's/^[[:space:]]*([^ ]+ => )?(\/[^ ]+) .*/\2/p' | while read -r library; do
        case $library in
        */ld-linux-*) cp -L "$library" "$guest/lib64/" ;;
        *) cp -L "$library" "$guest/lib/host/" ;;
        esac
    done
}

file() { # source=destination
    mkdir -p "$guest/$(dirname "${1#*=}")"
    cp -rL "${1%%=*}" "$guest/${1#*=}"
}

kernel=
out=
ours=
: >"$guest/etc/test.env"
while getopts k:o:m:M:p:f:e: option; do
    case $option in
    k)
        kernel=$OPTARG
        from=$cache/kernels/$kernel
        [ -f "$from/complete" ] || skip "kernel $kernel has not been fetched"
        cp "$from"/modules/* "$guest/lib/modules/"
        release=$(cat "$from/release")
        printf 'export RELEASE=%s KERNEL=%s\n' "$release" "$kernel" >>"$guest/etc/test.env"
        ;;
    o) out=$OPTARG ;;
    m)
        cp "$OPTARG" "$guest/lib/modules/"
        ours="$ours ${OPTARG##*/}"
        ;;
    M) cp "$OPTARG" "$guest/lib/modules/" ;;
    p) program "$OPTARG" ;;
    f) file "$OPTARG" ;;
    e) printf "export %s='%s'\n" "${OPTARG%%=*}" "${OPTARG#*=}" >>"$guest/etc/test.env" ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -ne 1 ] || [ -z "$kernel" ] || [ -z "$out" ]; then
    usage
fi

for module in $ours; do
    printf '%s\n' "$module" >>"$guest/lib/modules/order"
done
cp "$busybox" "$guest/bin/busybox"
for applet in $("$busybox" --list); do
    [ -e "$guest/bin/$applet" ] || ln -s busybox "$guest/bin/$applet"
done
cp "$here/guest/init" "$guest/init"
cp "$here/guest/tap.sh" "$here/guest/card.sh" "$here/guest/models.sh" "$guest/lib/"
cp "$1" "$guest/test"
chmod 755 "$guest/init"
(cd "$guest" && find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc -R 0:0 --quiet) >"$out.part"
mv "$out.part" "$out"
