#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds qeff.ko for one kernel by DKMS, from the tree as it would be packaged: the same files under SRC/qeff-VERSION,
# in DKMS trees of its own. Debian 12's kernels are built by the host's DKMS and gcc-12, the newest one in the Debian 13
# root, by its DKMS and compiler. Prints the module's path. Builds again only when a source has changed.
#
# usage: build-module.sh KERNEL [TREE [VARIANT]]      TREE is another tree to take the module from (a mutation, say)
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

kernel=${1:?usage: build-module.sh KERNEL [TREE [VARIANT]]}
from=${2:-$tree}
work=$cache/modules/$kernel${3:+-$3}
version=$(cat "$from/VERSION")
[ -f "$cache/kernels/$kernel/complete" ] || skip "kernel $kernel has not been fetched"
release=$(cat "$cache/kernels/$kernel/release")

[ "$(id -u)" -eq 0 ] || skip "DKMS takes root"
need flock make unshare openssl
unshare --mount true 2>/dev/null || skip "no mount namespace can be had here"
lock "module-$kernel${3:+-$3}"
rm -rf "$work/new"
mkdir -p "$work/new/destdir"
make -s -C "$from" dkms-install DESTDIR="$work/new/destdir" >&2
src=$work/new/destdir/usr/src
[ -f "$src/qeff-$version/dkms.conf" ] || die "make dkms-install left no usr/src/qeff-$version/dkms.conf"

sum=$(cd "$src" && {
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    cat "$cache/kernels/$kernel/complete"
} | sha256sum)
module=$work/qeff.ko
if [ -f "$module" ] && [ "$(cat "$work/sum" 2>/dev/null)" = "$sum" ]; then
    rm -rf "$work/new"
    echo "$module"
    exit 0
fi
rm -rf "${work:?}/src" "${work:?}/dkms" "${work:?}/etc"
mv "$src" "$work/src"
rm -rf "$work/new"
mkdir -p "$work/dkms" "$work/etc"
# DKMS signs with a key of its own making, kept here: in its mount namespace this folder is /etc/dkms.
cat >"$work/etc/framework.conf" <<EOF
mok_signing_key="$work/mok.key"
mok_certificate="$work/mok.pub"
sign_file="$cache/kernels/$kernel/build/scripts/sign-file"
EOF

on_host() {
    unshare --mount --propagation private "$@"
}
in_13() {
    (in_root "$@")
}
compiler=$(make -s -f - <<EOF
include $cache/kernels/$kernel/build/.kernelvariables
all: ; @echo \$(CC)
EOF
)
if command -v "${compiler##* }" >/dev/null && command -v dkms >/dev/null; then
    run=on_host
elif [ -f "$root/complete" ] && [ -x "$root/usr/bin/${compiler##* }" ]; then
    run=in_13
else
    skip "kernel $kernel is built by ${compiler##* } and dkms, which are not here"
fi
# shellcheck disable=SC2016
$run sh -euc 'mkdir -p /etc/dkms && mount --bind "$1" /etc/dkms && shift && exec dkms "$@"' dkms "$work/etc" \
    build -m qeff -v "$version" -k "$release" -a x86_64 --dkmstree "$work/dkms" --sourcetree "$work/src" \
    --kernelsourcedir "$cache/kernels/$kernel/build" --config "$cache/kernels/$kernel/build/.config" \
    9>&- >"$work/log" 2>&1 || {
    cat "$work/log" "$work/dkms/qeff/$version/build/make.log" >&2 2>/dev/null || true
    die "DKMS could not build the module for $release"
}
built=$(find "$work/dkms/qeff/$version/$release" -name 'qeff.ko*')
case $built in
*.xz) xz -dc "$built" >"$module" ;;
*.ko) cp "$built" "$module" ;;
*) die "DKMS built no qeff.ko" ;;
esac
printf '%s\n' "$sum" >"$work/sum"
echo "$module"
