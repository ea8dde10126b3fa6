#!/bin/sh
# SPDX-License-Identifier: MIT
# The udev rules before a "udevadm verify", the host's if it has one (Debian 13), else one in the cache; and that it would
# see a mistake.
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

mkdir -p "$cache/udev"
if udevadm verify --help >/dev/null 2>&1; then
    verify() { # file
        udevadm verify --resolve-names=never "$1"
    }
else
    "$here/qemu-root.sh" >/dev/null
    [ -f "$root/complete" ] || skip "no Debian 13 root"
    udev=$("$here/fetch-udev.sh" trixie)
    verify() { # file
        (in_root env LD_LIBRARY_PATH="$udev/usr/lib/x86_64-linux-gnu/systemd" \
            "$udev/usr/bin/udevadm" verify --resolve-names=never "$1")
    }
fi
bad=$cache/udev/bad.rules
verify "$tree/udev/72-qeff.rules"
sed 's/MODE="0660"/MODES="0660"/' "$tree/udev/72-qeff.rules" >"$bad"
! cmp -s "$bad" "$tree/udev/72-qeff.rules" || die "nothing was spoiled"
if verify "$bad" >/dev/null 2>&1; then
    die "a spoiled rule passes"
fi
