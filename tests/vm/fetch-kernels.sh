#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches Debian's own kernels into the cache, unmodified: 6.1 (Debian 12), 6.12 (Debian 12 security) and the newest
# of Debian 13's backports. For each, CACHE/kernels/NAME has: release, vmlinuz, modules/ (what a card's driver needs,
# uncompressed) with modules/order, and headers/ of the same version to build against. Nothing is installed.
#
# usage: fetch-kernels.sh [--update] [6.1 | 6.12 | newest]...
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

update=
if [ "${1:-}" = --update ]; then
    update=yes
    shift
fi
wanted=${*:-$kernels}

# The packages of the kernel itself among the dependencies of those given, and those given, one "name=version" a line.
# Kernel packages depend on each other by exact name, so a walk by pattern is enough; compilers and linux-base are not
# followed.
closure() { # package...
    todo=$*
    seen=' '
    while [ -n "$todo" ]; do
        next=
        for package in $todo; do
            case $seen in *" $package "*) continue ;; esac
            seen="$seen$package "
            record=$(apt-cache show --no-all-versions "$package" 2>/dev/null) || continue
            [ -n "$record" ] || continue
            version=$(printf '%s\n' "$record" | sed -n 's/^Version: //p' | head -n1)
            printf '%s=%s\n' "$package" "$version"
            next="$next $(printf '%s\n' "$record" | sed -n 's/^\(Pre-\)\{0,1\}Depends: //p' | tr ',' '\n' |
                sed -E 's/\|.*//; s/\(.*//; s/ //g; s/:any$//' |
                grep -E '^linux-(image|binary|modules|headers|kbuild)-' || true)"
        done
        todo=$next
    done
}

packages_of() { # kernel: sets "meta", and apt to where they are
    case $1 in
    6.1 | 6.12)
        private_apt bookworm "" "$mirror bookworm" "$security bookworm-security"
        ;;
    newest)
        private_apt trixie trixie-backports "$mirror trixie" "$mirror trixie-backports"
        ;;
    *) die "no such kernel: $1 (known: $kernels)" ;;
    esac
    case $1 in
    6.12) meta='linux-image-6.12-amd64 linux-headers-6.12-amd64' ;;
    *) meta='linux-image-amd64 linux-headers-amd64' ;;
    esac
}

# The headers name each other by absolute path: make them name this place.
relocate() { # unpacked
    for file in "$1"/usr/src/linux-headers-*/Makefile "$1"/usr/src/linux-headers-*/.kernelvariables; do
        [ -f "$file" ] || continue
        sed -i -E "s,(^|[ =])/usr/(src|lib)/,\1$final/headers/usr/\2/,g" "$file"
    done
}

fetch() { # kernel
    final=$cache/kernels/$1
    # a cache of former times lacks it
    whole=$final/modules/aer_inject.deps
    [ -f "$final/complete" ] && [ -f "$whole" ] && [ -z "$update" ] && return 0
    packages_of "$1"
    # shellcheck disable=SC2086
    list=$(closure $meta)
    if [ -f "$whole" ] && [ -f "$final/complete" ] && [ "$(cat "$final/complete")" = "$list" ]; then
        return 0
    fi
    release=$(printf '%s\n' "$list" | sed -n 's/^linux-headers-\([0-9].*-amd64\)=.*/\1/p' |
        grep -vx '6.12-amd64' | head -n1)
    [ -n "$release" ] || skip "kernel $1 is not to be found on the mirror"
    printf '%s\n' "$list" | sed 's/=.*//' | grep -qFx -e "linux-image-$release" -e "linux-binary-$release" ||
        skip "kernel $1: the image for headers $release is not on the mirror"

    say "kernel $1: fetching $release"
    work=$cache/kernels/$1.part
    rm -rf "$work"
    mkdir -p "$work/deb" "$work/unpacked/usr/lib" "$work/new"
    ln -s usr/lib "$work/unpacked/lib"
    # metapackages carry nothing
    printf '%s\n' "$list" | grep -E '^linux-[a-z]+-[0-9]' | grep -vE '^linux-(image|headers)-6\.12-amd64=' |
        (cd "$work/deb" && xargs apt-get -qq download >&2) || skip "kernel $1: download failed"
    for deb in "$work"/deb/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/unpacked" --keep-directory-symlink
    done
    rm -rf "$work/deb"

    image=
    for file in "$work/unpacked/boot/vmlinuz-$release" "$work/unpacked/usr/lib/modules/$release/vmlinuz"; do
        [ -f "$file" ] && image=$file
    done
    [ -n "$image" ] || die "kernel $1: no vmlinuz in its packages"
    cp "$image" "$work/new/vmlinuz"
    take_modules "$work/unpacked" "$release" "$work/new/modules"
    printf '%s\n' "$release" >"$work/new/release"
    mkdir -p "$work/new/headers/usr/lib"
    mv "$work/unpacked/usr/src" "$work/new/headers/usr/src"
    mv "$work"/unpacked/usr/lib/linux-kbuild-* "$work/new/headers/usr/lib/"
    relocate "$work/new/headers"
    ln -s "headers/usr/src/linux-headers-$release" "$work/new/build"
    printf '%s\n' "$list" >"$work/new/complete"
    rm -rf "$final"
    mv "$work/new" "$final"
    rm -rf "$work"
}

if [ "$wanted" = debug ]; then
    [ -f "$cache/kernels/debug/complete" ] || skip "kernel debug has not been built (debug/build-kernel.sh)"
    exit 0
fi
need flock xz depmod modprobe tar
lock kernels
mirrors
for kernel in $wanted; do
    fetch "$kernel"
    printf '%s %s\n' "$kernel" "$(cat "$cache/kernels/$kernel/release")"
done
