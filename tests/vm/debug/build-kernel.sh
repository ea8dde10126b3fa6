#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the kernel that watches itself, "debug" among the kernels of the VM tests, from Debian's source package of 6.12
# and the file "config" beside this, in the cache. Takes 17 minutes of one core and 3 GB for the time; what stays are
# 250 MB that modules are built against. Does nothing if neither source nor configuration has changed.
set -eu
# shellcheck source=../common.sh
. "${0%/*}/../common.sh"
here=${here%/debug}
tree=$(CDPATH='' cd -- "$here/../.." && pwd)

[ -f "$cache/kernels/6.12/complete" ] || skip "kernel 6.12 has not been fetched"
version=$(sed -n 's/^linux-headers-.*-common=//p' "$cache/kernels/6.12/complete")
compiler=gcc-12
need flock make xz tar flex bison bc depmod modprobe $compiler
lock kernel-debug
final=$cache/kernels/debug
work=$cache/kernels/debug.part
sum=$(printf '%s ' "$version" "$(sha256sum <"$here/debug/config")" "$(sha256sum <"$0")")
[ "$(cat "$final/complete" 2>/dev/null)" != "$sum" ] || exit 0

say "kernel debug: building from linux-source-6.12 $version"
rm -rf "$work"
mkdir -p "$work/deb" "$work/new"
mirrors
private_apt bookworm "" "$mirror bookworm" "$security bookworm-security"
(cd "$work/deb" && apt-get -qq download "linux-source-6.12=$version" >&2) ||
    skip "linux-source-6.12 $version cannot be had"
dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -x -O ./usr/src/linux-source-6.12.tar.xz | xz -dc |
    tar -x -C "$work" --exclude='*/Documentation/*/*' --exclude='*/tools/testing/*/*'
rm -rf "$work/deb"
mv "$work/linux-source-6.12" "$work/new/build"

kernel_make() {
    make -s -C "$work/new/build" CC=$compiler HOSTCC=$compiler "$@" 9>&- >>"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        die "kernel debug could not be built"
    }
}
kernel_make tinyconfig
(cd "$work/new/build" && scripts/kconfig/merge_config.sh -m -Q .config "$here/debug/config") >>"$work/log"
kernel_make olddefconfig
# an option that Kconfig has dropped is a checker that does not check
lost=$(grep '^CONFIG' "$here/debug/config" | grep -vxFf "$work/new/build/.config" || true)
[ -z "$lost" ] || die "kernel debug: these options have no effect: $lost"
begin=$(date +%s)
kernel_make -j "$(nproc)" bzImage modules
say "kernel debug: built in $(($(date +%s) - begin)) s"

build=$work/new/build
cp "$build/arch/x86/boot/bzImage" "$work/new/vmlinuz"
make -s -C "$build" kernelrelease >"$work/new/release"
kernel_make modules_install INSTALL_MOD_PATH="$work/unpacked"
take_modules "$work/unpacked" "$(cat "$work/new/release")" "$work/new/modules"
cp "$build/drivers/accel/qaic/qaic.ko" "$work/new/modules/"
# as in Debian's headers: what build-module.sh asks for the compiler
echo "override CC = $compiler" >"$build/.kernelvariables"
# what modules are built against stays
(
    cd "$build"
    rm -rf vmlinux* System.map modules* drivers fs sound net samples Documentation security crypto lib mm kernel rust
    find arch -mindepth 1 -maxdepth 1 ! -name x86 -exec rm -rf {} +
    find arch -name '*.o' -delete
)
printf '%s' "$sum" >"$work/new/complete"
rm -rf "$final"
mv "$work/new" "$final"
rm -rf "$work"
say "kernel debug: $(cat "$final/release")"
