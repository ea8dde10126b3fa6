# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card:
# module: qeff
# program: vm-faults
# model: tiny-llama-stories --num-cores 4
# firmware
# seconds: 90
# While four clients work, the bus is reset, the driver unbound and bound, the card removed and found again, the system put
# to sleep: they get errors in time, and the card works again afterwards.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
echo 3 >/sys/module/qeff/parameters/control_resp_timeout_s

clients() { # seconds
    vm-faults "$(node "$address")" /models/tiny-llama-stories.qpc "$1" 3
}
works() {
    within 30 online "$address" && clients 0.1 >/dev/null
}
under_load() { # what, command...
    what=$1
    shift
    rm -f /tmp/clients
    clients 4 >/tmp/clients &
    pid=$!
    check "$what: clients are at work" within 60 grep -q 'at work' /tmp/clients
    check "$what" "$@"
    wait "$pid" || true
    sed 's/^/# /' /tmp/clients
    check "$what: right and in time" grep -q ' 0 wrong, 0 late' /tmp/clients
}

unbind_bind() {
    echo "$address" >/sys/bus/pci/drivers/qeff/unbind && sleep 0.5 && echo "$address" >/sys/bus/pci/drivers/qeff/bind
}

reset_bus() {
    echo 1 >"/sys/bus/pci/devices/$address/reset"
}

remove() {
    echo 1 >"/sys/bus/pci/devices/$address/remove"
}

under_load "reset of the bus" reset_bus
check "works" works
under_load "unbind and bind" unbind_bind
check "works" works
under_load "remove" remove
echo 1 >/sys/bus/pci/rescan
check "works when found again" works
if echo devices >/sys/power/pm_test 2>/dev/null; then
    check "sleep" sh -c 'echo freeze >/sys/power/state'
    check "works after sleep" works
fi
check "unload" unload qeff
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
plan
