#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds mainline's qaic for Debian's 6.12, where it is not enabled, from Debian's source package of the very same
# version, in the cache. Nothing of it is ever part of this project. Prints the module's path.
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

kernel=6.12
work=$cache/qaic
[ -f "$cache/kernels/$kernel/complete" ] || skip "kernel $kernel has not been fetched"
version=$(sed -n 's/^linux-headers-.*-common=//p' "$cache/kernels/$kernel/complete")
need flock make xz tar gcc-12
lock qaic
if [ ! -f "$work/qaic.ko" ] || [ "$(cat "$work/version" 2>/dev/null)" != "$version" ]; then
    mirrors
    private_apt bookworm "" "$mirror bookworm" "$security bookworm-security"
    rm -rf "$work/deb" "$work/qaic"
    mkdir -p "$work/deb"
    (cd "$work/deb" && apt-get -qq download "linux-source-$kernel=$version" >&2) ||
        skip "linux-source-$kernel $version cannot be had"
    dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -x -O "./usr/src/linux-source-$kernel.tar.xz" | xz -dc |
        tar -x -C "$work" --strip-components=3 "linux-source-$kernel/drivers/accel/qaic"
    rm -rf "$work/deb"
    make -C "$cache/kernels/$kernel/build" M="$work/qaic" CONFIG_DRM_ACCEL_QAIC=m modules >"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        die "qaic could not be built"
    }
    cp "$work/qaic/qaic.ko" "$work/qaic.ko"
    printf '%s\n' "$version" >"$work/version"
fi
echo "$work/qaic.ko"
