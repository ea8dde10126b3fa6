#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernel's schema of netlink specifications, from Debian's kernel source, into the cache. Prints its path.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

work=$cache/netlink
need flock xz tar
lock netlink
if [ ! -f "$work/genetlink.yaml" ]; then
    mirrors
    private_apt bookworm "" "$mirror bookworm" "$security bookworm-security"
    rm -rf "$work"
    mkdir -p "$work/deb"
    (cd "$work/deb" && apt-get -qq download linux-source-6.12 >&2) || skip "linux-source-6.12 cannot be had"
    dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -x -O ./usr/src/linux-source-6.12.tar.xz | xz -dc |
        tar -x -C "$work" --strip-components=3 linux-source-6.12/Documentation/netlink/genetlink.yaml
    rm -rf "$work/deb"
fi
echo "$work/genetlink.yaml"
