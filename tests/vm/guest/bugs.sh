# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 8 --fault empty@log#3
# card: --nsps 4 --rom
# module: absent:qeff
# program: vm-bugs
# model: tiny-llama-stories --num-cores 4
# firmware
# seconds: 180
# slub_debug: FZPU,kmalloc-*
# One test for each kind of bug that drivers of the card have had (tests/vm/mutations says which), by its number. Beside
# what the test itself looks at, nothing may be said in the kernel's log and nothing stay mapped, and at the end nothing may
# stay allocated. The allocator poisons what is freed, so that its use is seen.
#
# mutations.sh puts two lists of numbers before this: TESTS, which are run, and MUTANTS, of modules in /lib/mutants, each of
# which is loaded, and its test must fail.
# shellcheck source=card.sh
. /lib/card.sh

first=$(card 1)
second=$(card 2)
qpc=/models/tiny-llama-stories.qpc
drivers=/sys/bus/pci/drivers/qeff

# numbers and what they are about; those behind a colon need that set-up
rows='01 02 03 04 05:iommu 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23:single 24 25 26 27'
title() { # number
    case $1 in
    01) echo "lengths of the user's transactions" ;;
    02) echo "lengths of the card's transactions" ;;
    03) echo "memory that cannot be pinned" ;;
    04) echo "a transfer in several messages" ;;
    05) echo "scattered pages that are one piece for the card" ;;
    06) echo "slices beyond the buffer, and beyond 64 bits" ;;
    07) echo "a buffer sliced twice, and while its channel goes" ;;
    08) echo "slicing that fails" ;;
    09) echo "memory that runs out" ;;
    10) echo "a buffer of another device" ;;
    11) echo "an execution that fails in its middle" ;;
    12) echo "several submitters" ;;
    13) echo "numbers of another channel's buffer" ;;
    14) echo "a channel that goes while it is used" ;;
    15) echo "a user who was interrupted" ;;
    16) echo "answers that come when nobody waits" ;;
    17) echo "a card that never booted is removed" ;;
    18) echo "resources beyond the BARs" ;;
    19) echo "a mapping shorter than the buffer" ;;
    20) echo "interrupts without cause" ;;
    21) echo "a buffer for another device" ;;
    22) echo "numbers of a buffer without slices" ;;
    23) echo "what follows a long transfer" ;;
    24) echo "messages of the boot log" ;;
    25) echo "memory that runs out anywhere" ;;
    26) echo "one buffer executed very many times at once" ;;
    27) echo "many who leave a card that is silent" ;;
    esac
}

# The second card is there for those who want it: no driver has it by itself (load).
bind_second() {
    echo qeff >"/sys/bus/pci/devices/$second/driver_override"
    echo "$second" >$drivers/bind
}
unbind_second() {
    echo none >"/sys/bus/pci/devices/$second/driver_override"
    echo "$second" >$drivers/unbind
}
with_second() { # number
    bind_second && within 30 online "$second" || return 1
    vm-bugs "$(node "$first")" $qpc "$1" "$(node "$second")"
    result=$?
    unbind_second
    return $result
}

# Its boot image is missing: it stays as it is, offline, and can be removed like any other.
never_booted() {
    # only from power-on does it need that
    echo 1 >"/sys/bus/pci/devices/$second/reset" || return 1
    mv /lib/firmware/qcom/aic100/sbl.bin /tmp/
    for i in 1 2 3; do
        bind_second || return 1
        [ -e "$(node "$second")" ] || return 1
        ! online "$second" || return 1
        unbind_second || return 1
        [ -z "$(node "$second")" ] || return 1
    done
    mv /tmp/sbl.bin /lib/firmware/qcom/aic100/
    # and in the middle of its boot
    for i in 0 100000 300000 600000 1000000; do
        bind_second || return 1
        usleep $i
        unbind_second || return 1
    done
}

# The function has an expansion ROM, which is memory as the BARs of SR-IOV are: QEMU hides those.
more_resources() {
    [ -e "/sys/bus/pci/devices/$second/rom" ] || return 1
    bind_second && within 30 online "$second" && unbind_second
}

# In order, whole, and nothing of what was in their buffers before.
boot_log() {
    # a card may be there by two names
    for file in /sys/kernel/debug/accel/*/bootlog /sys/kernel/debug/dri/*/bootlog; do
        [ ! -e "$file" ] || break
    done
    cat "$file" >/tmp/bootlog
    awk '/^step/ { n++; if ($2 != n ":" || length($3) != 5 * (20 - n) + 1) bad = 1 } END { exit bad || n != 20 || NR != 22 }' \
        /tmp/bootlog || {
        cat /tmp/bootlog
        return 1
    }
}

# The kernel does not say each time that it made an allocation fail.
no_memory() {
    echo 0 >/sys/kernel/debug/failslab/verbose
    echo N >/sys/kernel/debug/failslab/ignore-gfp-wait
    vm-bugs "$(node "$first")" $qpc 25
}

# The time that the driver waits for the card's answers is longer than the test.
leave() {
    echo 30 >/sys/module/qeff/parameters/control_resp_timeout_s
    vm-bugs "$(node "$first")" $qpc 27
    result=$?
    echo 1 >/sys/module/qeff/parameters/control_resp_timeout_s
    within 30 online "$first" && return $result
}

test_of() { # number
    case $1 in
    10 | 21) with_second "$1" ;;
    17) never_booted ;;
    18) more_resources ;;
    24) boot_log ;;
    25) no_memory ;;
    27) leave ;;
    *) vm-bugs "$(node "$first")" $qpc "$1" ;;
    esac
}

# What the module has allocated, by the allocator's book.
allocated() {
    cat /sys/kernel/debug/slab/kmalloc*/alloc_traces 2>/dev/null | awk '/\[qeff\]/ && $1 ~ /^[0-9]+$/ { n += $1 } END { print n + 0 }'
}
log_lines() {
    dmesg | wc -l
}
bad='WARNING:|BUG|Oops|Call Trace|general protection|corruption|DMAR:.*[Ff]ault|nobody cared|left behind|resetting the card'

row() { # number
    lines=$(log_lines)
    # how many stretches of memory the card can reach says something where each is mapped by itself
    map=$(mapped 1 | wc -l)
    test_of "$1" || return 1
    # the one that 27 asks for
    dmesg | tail -n "+$((lines + 1))" | grep -v 'resetting the card: it reported a fatal error' | grep -E "$bad" && return 1
    after=$(mapped 1 | wc -l)
    [ "$SETUP" != iommu ] || [ "$after" -le $((map + 4)) ] || {
        echo "# $map stretches mapped before, $after after"
        return 1
    }
}

# As it was before the first test, whatever a mutant has left.
load() { # module
    echo none >"/sys/bus/pci/devices/$second/driver_override"
    echo 1 >"/sys/bus/pci/devices/$second/reset"
    [ ! -e /tmp/sbl.bin ] || mv /tmp/sbl.bin /lib/firmware/qcom/aic100/
    insmod "$1" && within 30 online "$first" || return 1
    echo 1 >/sys/module/qeff/parameters/control_resp_timeout_s
}

groups=
if mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null && grep -q memory /sys/fs/cgroup/cgroup.controllers; then
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/bugs
    groups=yes
fi

# each of them, with the module as it is
check "card online" load /lib/modules/qeff.ko
before=$(allocated)
for entry in $rows; do
    number=${entry%%:*}
    case " ${TESTS-$number} " in
    *" $number "*) ;;
    *) continue ;;
    esac
    if [ "$entry" != "$number" ] && [ "${entry#*:}" != "$SETUP" ]; then
        skip "$number $(title "$number")" "only with set-up ${entry#*:}"
        continue
    fi
    if [ "$number" = 09 ] && [ -z "$groups" ]; then
        skip "$number $(title "$number")" "the kernel limits no group's memory"
        continue
    fi
    if [ "$number" = 25 ] && [ ! -d /sys/kernel/debug/failslab ]; then
        skip "$number $(title "$number")" "the kernel has no failslab"
        continue
    fi
    begin=$(cut -d' ' -f1 /proc/uptime)
    if row "$number" >/tmp/row 2>&1; then
        pass "$number $(title "$number")"
    else
        fail "$number $(title "$number")"
    fi
    sed 's/^#* */# /' /tmp/row
    echo "# $number took $(echo "$(cut -d' ' -f1 /proc/uptime) $begin" | awk '{ print $1 - $2 }') s"
done
after=$(allocated)
echo "# $before allocations before, $after after"
if [ -e /sys/kernel/debug/kmemleak ]; then
    skip "nothing has stayed allocated" "the kernel looks for leaks itself"
else
    check "nothing has stayed allocated" [ "$after" -lt $((before + 40)) ]
fi
check "unload" unload qeff

# A mutant may end all this at its line by a panic; mutations.sh goes on behind it.
for number in ${MUTANTS-}; do
    echo "# begin $number"
    if ! load "/lib/mutants/$number.ko"; then
        fail "mutant $number: does not boot"
        break
    fi
    if row "$number" >/tmp/row 2>&1; then
        fail "mutant $number: not seen"
    else
        pass "mutant $number: seen"
    fi
    sed 's/^#* */# /' /tmp/row
    dmesg | grep -qE "$bad" && break
    rmmod qeff || break
done
plan
