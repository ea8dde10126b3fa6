# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the scripts of the VM harness share: the cache, the Debian mirror, a private apt, and a Debian 13 root to run
# newer programs in. Sourced, never run. Nothing here touches the host's packages.

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tree=$(CDPATH='' cd -- "$here/../.." && pwd)
cache=${QEFF_VM_CACHE:-${HOME:-/root}/.cache/qeff-vm}
root=$cache/root
kernels='6.1 6.12 newest'
export here tree root kernels

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# The test cannot be run on this machine: 77 is meson's code for "skipped".
skip() {
    say "${0##*/}: skipped: $*"
    exit 77
}

need() { # programs
    for program; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# One script at a time fills a part of the cache; a second one waits and then finds the work done. The lock goes with
# the process. As a child inherits the descriptor, long-running children close 9.
lock() { # name
    mkdir -p "$cache"
    exec 9>"$cache/$1.lock"
    flock 9
}

# The mirrors of the host's own sources, or QEFF_VM_MIRROR and QEFF_VM_SECURITY.
mirrors() {
    need apt-get apt-cache dpkg-deb
    uris=$(apt-get indextargets --format "\$(REPO_URI) \$(RELEASE)" | sort -u)
    mirror=${QEFF_VM_MIRROR:-$(printf '%s\n' "$uris" | sed -n 's,^\([^ ]*/debian\)/* .*,\1,p' | head -n1)}
    security=${QEFF_VM_SECURITY:-$(printf '%s\n' "$uris" |
        sed -n 's,^\([^ ]*/debian-security\)/* .*,\1,p' | head -n1)}
    security=${security:-${mirror:+$mirror-security}}
    [ -n "$mirror" ] || skip "apt has no Debian mirror here (set QEFF_VM_MIRROR)"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f "$keyring" ] || skip "$keyring is missing (package debian-archive-keyring)"
}

# Writes $cache/apt/NAME with the suites that follow, and its configuration: use it by APT_CONFIG. Lists are
# renewed once a day at most.
private_apt() { # name default-release-or-empty "uri suite"...
    name=$1
    apt=$cache/apt/$1
    default=$2
    shift 2
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/empty"
    for source; do
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "${source% *}" "${source#* }"
    done >"$apt/sources.list.new"
    cat >"$apt/conf.new" <<EOF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/empty";
Dir::Etc::PreferencesParts "$apt/empty";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt";
APT::Architecture "amd64";
APT::Architectures "amd64";
${default:+APT::Default-Release \"$default\";}
APT::Sandbox::User "root";
Acquire::Languages "none";
EOF
    [ -f "$apt/status" ] || : >"$apt/status"
    mv "$apt/sources.list.new" "$apt/sources.list"
    mv "$apt/conf.new" "$apt/conf"
    APT_CONFIG=$apt/conf
    export APT_CONFIG
    if [ -z "$(find "$apt/updated" -mtime -1 2>/dev/null)" ]; then
        if apt-get -qq -o APT::Update::Error-Mode=any update >&2; then
            touch "$apt/updated"
        elif [ ! -f "$apt/updated" ]; then
            skip "the package lists of $name cannot be had"
        fi
    fi
}

# Runs a command in the Debian 13 root, in a mount namespace of its own: the cache, the work tree (read only) and
# /dev are seen at their own paths. Unmounting is the kernel's business when the command ends. Replaces the caller
# (call it in a subshell), so that $! and exec mean the command itself.
in_root() { # command...
    # shellcheck disable=SC2016
    exec unshare --mount --propagation private sh -eu -c '
        root=$1 cache=$2 tree=$3
        shift 3
        bind() {
            mkdir -p "$root$1"
            mount --rbind "$1" "$root$1"
        }
        bind /dev
        bind "$cache"
        bind "$tree"
        mount -o remount,bind,ro "$root$tree"
        mount -t proc proc "$root/proc"
        exec chroot "$root" "$@"' in_root "$root" "$cache" "$tree" "$@"
}

# What a driver of the card loads before itself: modprobe resolves the rest. And what some tests load: each with a file
# NAME.deps beside it, its modules in order.
drivers='mhi drm_shmem_helper'

# Copies modules and what they need, uncompressed, and prints their names in loading order.
take() { # unpacked release destination module...
    from=$1 of=$2 to=$3
    shift 3
    for driver; do
        # in most kernels built in
        [ "$driver" != virtio_pci ] || find "$from/lib/modules/$of/" -name 'virtio_pci.ko*' | grep -q . || continue
        modprobe -S "$of" -d "$from" --show-depends "$driver" || die "$driver: not a module of $of"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
        base=${module##*/}
        base=${base%.xz}
        case $module in
        *.xz) xz -dc "$module" >"$to/$base" ;;
        *) cp "$module" "$to/$base" ;;
        esac
        printf '%s\n' "$base"
    done
}

take_modules() { # unpacked release destination
    mkdir -p "$3"
    # it misses modules.order and modules.builtin, which other packages bring: the dependencies do not need them
    depmod -b "$1" "$2" 2>/dev/null
    # shellcheck disable=SC2086
    take "$@" $drivers >"$3/order"
    take "$@" virtio_pci virtio_blk >"$3/virtio_blk.deps"
    take "$@" aer_inject >"$3/aer_inject.deps"
}
