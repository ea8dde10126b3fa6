#!/bin/sh
# SPDX-License-Identifier: MIT
# Finds a QEMU that speaks vfio-user (10.1 or newer) and prints how to run it: "host PROGRAM" or "root PROGRAM".
# Where the host has none, makes a Debian 13 root with backports in the cache, with QEMU and the compiler of the newest
# kernel in it. Nothing is installed on the host.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

qemu='qemu-system-x86_64'

recent() { # command...: is it a QEMU of 10.1 or newer, with the device?
    version=$("$@" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ -n "$version" ] || return 1
    [ "${version% *}" -gt 10 ] || { [ "${version% *}" -eq 10 ] && [ "${version#* }" -ge 1 ]; } || return 1
    "$@" -device help 2>/dev/null | grep -q vfio-user-pci
}

if command -v "$qemu" >/dev/null && recent "$qemu"; then
    echo "host $qemu"
    exit 0
fi
[ "$(id -u)" -eq 0 ] || skip "no QEMU 10.1 here, and a Debian 13 root to run one in takes root"
need flock debootstrap unshare
unshare --mount true 2>/dev/null || skip "no mount namespace can be had here, and QEMU lives in one"

in_root_quiet() { (in_root "$@" 9>&- >>"$cache/debootstrap.log" 2>&1); }

lock root
if [ ! -f "$root/complete" ]; then
    mirrors
    if [ ! -f "$root/bootstrapped" ]; then
        say "making a Debian 13 root in $root"
        rm -rf "$root"
        debootstrap --variant=minbase --keyring="$keyring" trixie "$root" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
            skip "debootstrap failed: $cache/debootstrap.log"
        rm -f "$root"/var/cache/apt/archives/*.deb
        touch "$root/bootstrapped"
    fi
    # what apt needs to get out, as the host does; services are never started
    cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    for suite in trixie trixie-backports; do
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
    done >"$root/etc/apt/sources.list"
    cat >"$root/etc/apt/apt.conf.d/90vm" <<EOF
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dpkg::Options { "--force-unsafe-io"; };
EOF
    export DEBIAN_FRONTEND=noninteractive
    in_root_quiet apt-get -qq update || skip "the package lists of Debian 13 cannot be had"
    in_root_quiet apt-get -qq -y -t trixie-backports install qemu-system-x86 seabios ipxe-qemu \
        gcc-14 make libc6-dev libelf-dev dkms kmod pahole openssl sparse xz-utils ||
        skip "QEMU and the newest kernel's compiler cannot be installed in the Debian 13 root"
    in_root_quiet apt-get -qq clean
    touch "$root/complete"
fi
in_root_version() { (in_root "$qemu" "$@" 9>&-); }
recent in_root_version || skip "the QEMU of Debian 13's backports has no vfio-user-pci"
echo "root $qemu"
