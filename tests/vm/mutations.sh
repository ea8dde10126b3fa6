#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of guest/bugs.sh are tested: for each there is a mutation of the module that has the bug, and with that
# module the test must fail; without it, in the first VM, it passes. A mutation that does not boot shows nothing, one that
# makes the kernel panic at the test's line does. As such a panic ends the VM, the rest goes on in the next one.
#
# usage: mutations.sh BUILD KERNEL [NUMBER...]
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

[ $# -ge 2 ] || {
    sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
    exit 2
}
build=$1 kernel=$2
shift 2
work=$cache/mutations/$kernel
src=$work/src
need flock make patch
"$here/fetch-kernels.sh" "$kernel" >/dev/null
lock "mutations-$kernel"

# Objects are kept: only what has changed is compiled.
mkdir -p "$src" "$build/vm"
rm -rf "$work/new"
make -s -C "$tree" dkms-install DESTDIR="$work/new" >&2
(cd "$work/new/usr/src/qeff-$(cat "$tree/VERSION")" && find . -type f) | while read -r file; do
    mkdir -p "$src/$(dirname "$file")"
    cmp -s "$work/new/usr/src/qeff-$(cat "$tree/VERSION")/$file" "$src/$file" ||
        cp "$work/new/usr/src/qeff-$(cat "$tree/VERSION")/$file" "$src/$file"
done
rm -rf "$work/new"
compiler=$(make -s -f - <<EOF
include $cache/kernels/$kernel/build/.kernelvariables
all: ; @echo \$(CC)
EOF
)
need "${compiler##* }"
kbuild() {
    make -C "$cache/kernels/$kernel/build" M="$src" modules 9>&- >"$work/log" 2>&1 || {
        tail -n 30 "$work/log" >&2
        die "$1 could not be built"
    }
}

numbers=$*
[ -n "$numbers" ] || numbers=$(cd "$here/mutations" && for file in *.patch; do echo "${file%%-*}"; done)
base=$({
    find "$src" -name "*.[ch]" ! -name "*.mod.c" -exec sha256sum {} +
    cat "$cache/kernels/$kernel/complete"
} | LC_ALL=C sort | sha256sum)
for number in $numbers; do
    for file in "$here/mutations/$number"-*.patch; do
        [ -f "$file" ] || die "there is no mutation $number"
        sum=$(echo "$base" | cat - "$file" | sha256sum)
        [ "$(cat "$work/$number.sum" 2>/dev/null)" != "$sum" ] || continue
        patch -s -p1 -d "$src" --dry-run <"$file" >&2 || die "${file##*/} does not apply any more"
        patch -s -p1 -d "$src" --no-backup-if-mismatch <"$file"
        code=0
        (kbuild "${file##*/}") || code=$?
        patch -s -R -p1 -d "$src" --no-backup-if-mismatch <"$file"
        [ "$code" -eq 0 ] || exit "$code"
        cp "$src/qeff.ko" "$work/$number.ko"
        echo "$sum" >"$work/$number.sum"
    done
done

# One VM with the mutants of "todo": says what has become of each, and leaves the rest in "todo".
bad=0
verdict() { # ok | not ok, number, text
    [ "$1" = ok ] || bad=1
    echo "$1 - $(cd "$here/mutations" && echo "$2"-*.patch): $3"
}
round() { # setup
    script=$build/vm/mutants.sh
    {
        for number in $todo; do
            echo "# file: $work/$number.ko=lib/mutants/$number.ko"
        done
        echo "TESTS='$tests' MUTANTS='$todo'"
        cat "$here/guest/bugs.sh"
    } >"$script"
    code=0
    "$here/test.sh" "$build" "$kernel" "$1" "$script" >"$build/vm/mutants.log" 2>&1 || code=$?
    if [ "$code" -eq 77 ]; then
        cat "$build/vm/mutants.log" >&2
        exit 77
    fi
    out=$build/vm/$kernel-$1-mutants
    last=$(sed -n 's/^# begin //p' "$out/tap" | tail -n 1)
    rest=
    if grep -E '^not ok [0-9]+ - ([0-9]|card|unload|nothing)' "$out/tap" || [ -z "$last" ]; then
        sed 's/^/# /' "$build/vm/mutants.log"
        die "the tests fail without any mutation"
    fi
    for number in $todo; do
        if grep -qE "^ok [0-9]+ - mutant $number: seen" "$out/tap"; then
            verdict ok "$number" "seen: $(sed -n "/^# begin $number/,/^# begin/s/^# line [0-9]*: //p" "$out/tap" | head -n 1)"
        elif grep -qE "^not ok [0-9]+ - mutant $number" "$out/tap"; then
            verdict 'not ok' "$number" "$(sed -n "s/^not ok .* - mutant $number: //p" "$out/tap")"
        elif [ "$number" = "$last" ] && grep -qa 'Kernel panic' "$out/console"; then
            verdict ok "$number" "seen: $(grep -aEm1 'BUG|WARNING|Oops|general protection|divide|kernel panic' \
                "$out/console" | sed 's/^\[[^]]*\] *//' | tr -d '\r')"
        elif [ "$number" = "$last" ]; then
            verdict 'not ok' "$number" "the VM ended, and not by a panic"
        else
            rest="$rest $number"
        fi
    done
    todo=${rest# }
    tests=
}

for setup in iommu single msi32; do
    todo=$(for number in $numbers; do
        grep -qx "Set-up: $setup" "$here/mutations/$number"-*.patch && echo "$number"
    done | tr '\n' ' ')
    todo=${todo% }
    # once is enough
    tests=$todo
    while [ -n "$todo" ]; do
        round "$setup"
    done
done
exit "$bad"
