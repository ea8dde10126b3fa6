#!/bin/sh
# SPDX-License-Identifier: MIT
# The module as an integrator installs it: a Debian 12 with its own DKMS, compiler and kernel headers, "make dkms-install"
# and "dkms add", "build", "install" in it; what a new kernel's headers set off; a kernel without the MHI bus, for which it
# is not built; and what is left when it is removed.
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

[ "$(id -u)" -eq 0 ] || skip "a Debian root takes root"
need flock debootstrap unshare make
version=$(cat "$tree/VERSION")
root=$cache/root12
inside() { (in_root "$@"); }

lock root12
if [ ! -f "$root/complete" ]; then
    mirrors
    rm -rf "$root"
    debootstrap --variant=minbase --keyring="$keyring" bookworm "$root" "$mirror" >"$cache/debootstrap12.log" 2>&1 ||
        skip "debootstrap failed: $cache/debootstrap12.log"
    cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    cat >"$root/etc/apt/apt.conf.d/90vm" <<E2
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dpkg::Options { "--force-unsafe-io"; };
E2
    inside env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install dkms linux-headers-amd64 openssl 9>&- >&2 ||
        skip "dkms and its like cannot be installed in a Debian 12 root"
    rm -f "$root"/var/cache/apt/archives/*.deb
    touch "$root/complete"
fi

release=$(basename "$(find "$root/lib/modules" -mindepth 1 -maxdepth 1 -name '*-amd64' | LC_ALL=C sort -V | tail -n 1)")
module=$root/lib/modules/$release/updates/dkms/qeff.ko
failures=0
tell() { # name command...
    name=$1
    shift
    if "$@" >"$cache/dkms12.log" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/#   /' "$cache/dkms12.log"
        failures=1
    fi
}
# shellcheck disable=SC2317
not() { ! "$@"; }
# shellcheck disable=SC2317
status() { # text
    inside dkms status -m qeff -v "$version" -k "$release" | tee -a "$cache/dkms12.log" | grep -q "$1"
}
# whatever an earlier run that was ended left behind
inside dkms remove -m qeff -v "$version" --all >/dev/null 2>&1 || true
rm -rf "$root/usr/src/qeff-$version"
for config in "$root"/usr/src/linux-headers-*/.config.whole; do
    [ ! -f "$config" ] || mv "$config" "${config%.whole}"
done

echo "# Debian 12, dkms $(inside dkms --version | sed 's/^dkms-//'), headers $release"
tell "make dkms-install" make -s -C "$tree" dkms-install DESTDIR="$root"
tell "the version is filled in" not grep -q "#MODULE_VERSION#" "$root/usr/src/qeff-$version/dkms.conf"
tell "dkms add" inside dkms add -m qeff -v "$version"
tell "dkms build" inside dkms build -m qeff -v "$version" -k "$release"
tell "dkms install" inside dkms install -m qeff -v "$version" -k "$release"
tell "installed" status installed
tell "the module is there" test -f "$module"
tell "signed" sh -c "tail -c 28 '$module' | grep -q 'Module signature appended'"
tell "the card's alias leads to it" grep -q '^alias pci:v000017CBd0000A100.* qeff$' \
    "$root/lib/modules/$release/modules.alias"

tell "dkms uninstall" inside dkms uninstall -m qeff -v "$version" -k "$release"
tell "gone" not test -f "$module"
tell "dkms unbuild" inside dkms unbuild -m qeff -v "$version" -k "$release"
tell "a kernel's headers arrive" inside /etc/kernel/header_postinst.d/dkms "$release"
tell "AUTOINSTALL: built and installed" status installed
inside dkms remove -m qeff -v "$version" --all >/dev/null

# it reads the configuration from the headers
config=$root/usr/src/linux-headers-$release/.config
[ -f "$config.whole" ] || cp "$config" "$config.whole"
grep -v '^CONFIG_MHI_BUS=' "$config.whole" >"$config"
tell "dkms add" inside dkms add -m qeff -v "$version"
tell "a kernel without the MHI bus: not built" not inside dkms build -m qeff -v "$version" -k "$release"
cp "$cache/dkms12.log" "$root/tmp/refusal"
tell "because of BUILD_EXCLUSIVE" grep -qi 'BUILD_EXCLUSIVE' "$root/tmp/refusal"
mv "$config.whole" "$config"
tell "dkms remove" inside dkms remove -m qeff -v "$version" --all
tell "nothing is left" not test -e "$root/var/lib/dkms/qeff"
rm -rf "$root/usr/src/qeff-$version" "$root/tmp/refusal"
exit "$failures"
