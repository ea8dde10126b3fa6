#!/bin/sh
# SPDX-License-Identifier: MIT
# The judge is judged: guests that must not pass. A failed check, a plan that is short, a line in the kernel log, a panic,
# and a guest that never ends; and one that is well, so that the others fail for the reason that is meant.
#
# usage: selftest.sh BUILD KERNEL
set -eu
# shellcheck source=common.sh
. "${0%/*}/common.sh"

kernel=$2
out=$1/vm/selftest
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$here/fetch-kernels.sh" "$kernel" >/dev/null
bad=0

guest() { # name expected-in-verdict seconds: the script comes by standard input
    name=$1
    {
        echo '. /lib/tap.sh'
        cat
    } >"$out/$name.sh"
    "$here/mkinitramfs.sh" -k "$kernel" -o "$out/initramfs" "$out/$name.sh"
    code=0
    "$here/run-vm.sh" -k "$kernel" -i "$out/initramfs" -o "$out/$name" -t "$3" >"$out/$name.log" 2>&1 || code=$?
    if [ "$code" -eq 77 ]; then
        cat "$out/$name.log" >&2
        exit 77
    fi
    if [ "$2" = well ]; then
        [ "$code" -eq 0 ] && verdict=ok || verdict='not ok'
    else
        [ "$code" -eq 1 ] && grep -q "^# .*$2" "$out/$name.log" && verdict=ok || verdict='not ok'
    fi
    echo "$verdict - $name"
    if [ "$verdict" != ok ]; then
        bad=1
        sed 's/^/#   /' "$out/$name.log"
    fi
    rm -f "$out/initramfs"
}

guest well well 60 <<'E2'
check "true" true
plan
E2
guest several 'tests failed' 60 <<'E2'
check "true" true
check "false" false
plan
E2
guest log 'kernel log is not clean' 60 <<'E2'
echo '<4>BUG: made up' >/dev/kmsg
check "true" true
plan
E2
guest short 'plan is missing' 60 <<'E2'
check "true" true
exit 0
plan
E2
guest panic 'did not come to its end' 60 <<'E2'
check "true" true
plan
echo c >/proc/sysrq-trigger
E2
guest endless 'not done after' 8 <<'E2'
check "true" true
plan
sleep 1000
E2
exit "$bad"
