# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --fault stall@doorbell#1
# module: absent:qeff
# program: vm-power
# model: tiny-llama-stories --num-cores 4
# firmware
# kernel
# seconds: 120
# The next kernel takes over while the card is at work. It finds a card that is stopped and may not touch memory, and
# boots it. At the end the machine is switched off with the module in use.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
package=/models/tiny-llama-stories.qpc
hold() {
    rm -f /tmp/hold
    vm-power hold "$(node "$address")" "$package" 60 >/tmp/hold &
    check "something is under way" within 30 grep -q queued /tmp/hold
}

if [ -f /second ]; then
    tests=$(cat /second)
    check "the next kernel" grep -q second /proc/cmdline
    check "the card may not touch memory" [ "$(counter 1 master)" -eq 0 ]
    check "the card is stopped" [ "$(counter 1 state)" -le 1 ]
    check "load" insmod /lib/modules/qeff.ko
    check "card online" within 30 online "$address"
    check "works" vm-power work "$(node "$address")" "$package"
    plan
    exit 0
fi
check "load" insmod /lib/modules/qeff.ko
check "card online" within 30 online "$address"
check "the card may touch memory" [ "$(counter 1 master)" -eq 1 ]
hold
# this root once more, with a mark
echo "$((tests + 1))" >/second
find / -xdev ! -path '/tmp/*' ! -path /lib/vmlinuz | cpio -o -H newc >/tmp/initrd 2>/dev/null
check "the next kernel is ready" vm-power kexec /lib/vmlinuz /tmp/initrd "$(cat /proc/cmdline) second"
vm-power go
