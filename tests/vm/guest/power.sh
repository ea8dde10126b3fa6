# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --fault stall=6000@doorbell#1,stall@doorbell#2
# module: qeff
# program: vm-power
# model: tiny-llama-stories --num-cores 4
# firmware
# seconds: 90
# The system does not go to sleep while the card works. Otherwise the card is stopped, may not touch memory while all
# sleeps, and boots when all wake, whether it has lost its power (suspend to memory) or not (to idle). And one who waits
# for a card that is reset is told that it is gone.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
package=/models/tiny-llama-stories.qpc

hold() {
    rm -f /tmp/hold
    vm-power hold "$(node "$address")" "$package" 60 >/tmp/hold &
    holder=$!
    check "something is under way" within 30 grep -q queued /tmp/hold
}
held() { # what the wait gave
    wait "$holder" || true
    [ "$(tail -n 1 /tmp/hold)" = "$1" ]
}
works() {
    within 30 online "$address" && vm-power work "$(node "$address")" "$package"
}

echo 1 >/sys/module/suspend/parameters/pm_test_delay
echo devices >/sys/power/pm_test
hold
check "no sleep while the card is at work" sh -c '! echo freeze >/sys/power/state 2>/tmp/refused && grep -qi busy /tmp/refused'
check "what was under way comes to its end" held 0
check "the card was not reset" [ "$(counter 1 boots)" -eq 1 ]

hold
check "reset of the bus" sh -c "echo 1 >/sys/bus/pci/devices/$address/reset"
check "who waited hears that the card is gone" held ENODEV
tail -n 1 /tmp/hold | sed 's/^/# /'
check "works after a reset" works
check "asleep in the middle of a boot" sh -c "echo 1 >/sys/bus/pci/devices/$address/reset && echo freeze >/sys/power/state"
check "works" works

boots=$(counter 1 boots)
# a kernel that watches itself is slow to fall asleep
if [ "$KERNEL" = debug ]; then nap=6; else nap=2; fi
echo $((2 * nap)) >/sys/module/suspend/parameters/pm_test_delay
host later 1 $nap >/dev/null
check "all devices asleep, and awake" sh -c 'echo freeze >/sys/power/state'
host saved 1 >/tmp/asleep
check "no bus mastering while all sleep" grep -q '"master":0' /tmp/asleep
check "the card was stopped" grep -q '"state":[01],' /tmp/asleep
check "works" works
check "it has booted again" [ "$(counter 1 boots)" -gt "$boots" ]
echo none >/sys/power/pm_test

asleep() { # until the clock rings
    before=$(date +%s)
    echo 0 >/sys/class/rtc/rtc0/wakealarm
    echo +4 >/sys/class/rtc/rtc0/wakealarm
    echo mem >/sys/power/state
    [ $(($(date +%s) - before)) -ge 3 ]
}
if [ "$SETUP" = iommu ]; then
    # On waking the guest enables translation before it has given bus numbers back to its ports, and QEMU reads the
    # tables of devices behind them just then: they are left with no memory.
    skip "suspend to memory" "QEMU's IOMMU forgets devices behind a port"
else
    echo deep >/sys/power/mem_sleep
    resets=$(counter 1 resets)
    check "suspend to memory" asleep
    check "works" works
    check "the card had been without power" [ "$(counter 1 resets)" -gt "$resets" ]
fi
check "unload" unload qeff
check "no bus mastering afterwards" [ "$(counter 1 master)" -eq 0 ]
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
plan
