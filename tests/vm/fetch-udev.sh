#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpacks a Debian release's udev into the cache, and the rules that its systemd adds for seats: nothing is installed. Prints
# the folder, which has usr/ or lib/ as the packages have.
#
# usage: fetch-udev.sh bookworm | trixie
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

suite=${1:?usage: fetch-udev.sh bookworm | trixie}
final=$cache/udev/$suite
need flock tar
lock "udev-$suite"
if [ ! -f "$final/complete" ]; then
    mirrors
    # the same lists as fetch-kernels.sh has
    case $suite in
    bookworm) private_apt bookworm "" "$mirror bookworm" "$security bookworm-security" ;;
    trixie) private_apt trixie trixie-backports "$mirror trixie" "$mirror trixie-backports" ;;
    *) die "no such release: $suite" ;;
    esac
    work=$cache/udev/$suite.part
    rm -rf "$work" "$final"
    mkdir -p "$work/deb"
    shared=
    [ "$suite" = bookworm ] || shared=libsystemd-shared
    # shellcheck disable=SC2086
    (cd "$work/deb" && apt-get -qq download udev systemd $shared >&2) || skip "udev of $suite cannot be had"
    for deb in "$work"/deb/udev_*.deb "$work"/deb/libsystemd-shared_*.deb; do
        [ -f "$deb" ] || continue
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work"
    done
    # of systemd, only rules
    for deb in "$work"/deb/systemd_*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" --wildcards '*/udev/rules.d/*'
    done
    rm -rf "$work/deb"
    touch "$work/complete"
    mv "$work" "$final"
fi
echo "$final"
