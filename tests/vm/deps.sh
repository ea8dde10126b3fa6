#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the VM harness uses on the host and that are missing. As root, or with sudo. QEMU and
# the kernels are no part of it: they go into the cache.
set -eu

missing=
for package in busybox-static cpio debootstrap debian-archive-keyring dkms gcc-12 kmod libelf-dev make pahole sparse util-linux \
    xz-utils; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
    *" ok installed") ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
