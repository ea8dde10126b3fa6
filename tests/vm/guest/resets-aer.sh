# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card:
# module: qeff
# program: vm-power vm-faults
# model: tiny-llama-stories --num-cores 4
# firmware
# seconds: 90
# The port above the card reports errors of the bus while clients work (the kernel's own error injection, as QEMU's
# passed-through device has no such registers of its own): they get errors in time, and the card works again.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
echo 3 >/sys/module/qeff/parameters/control_resp_timeout_s
while read -r module; do
    insmod "/lib/modules/$module"
done </lib/modules/aer_inject.deps
port=$(basename "$(dirname "$(readlink -f "/sys/bus/pci/devices/$address")")")
slot=$(printf '%d' "0x$(echo "$port" | sed 's/.*:\(..\)\..*/\1/')")
echo "# the port is $port"

# struct aer_error_inj: bus, device, function, status of uncorrectable and of correctable errors, four words of log, domain
inject() { # second byte and first byte of the uncorrectable status, first byte of the correctable one, in octal
    # shellcheck disable=SC2059
    printf "\\0\\$(printf '%o' "$slot")\\0\\0\\$2\\$1\\0\\0\\$3\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0" \
        >/dev/aer_inject
}
works() {
    within 30 online "$address" && vm-power work "$(node "$address")" /models/tiny-llama-stories.qpc
}
recovered() { # times
    [ "$(dmesg | grep -c 'device recovery successful')" -eq "$1" ]
}
boots() {
    counter 1 boots
}
under_load() { # what, inject's...
    what=$1
    shift
    rm -f /tmp/clients
    vm-faults "$(node "$address")" /models/tiny-llama-stories.qpc 4 3 >/tmp/clients &
    pid=$!
    check "$what: clients are at work" within 60 grep -q 'at work' /tmp/clients
    check "$what" inject "$@"
    wait "$pid" || true
    sed 's/^/# /' /tmp/clients
    check "$what: right and in time" grep -q ' 0 wrong, 0 late' /tmp/clients
    check "$what: works afterwards" works
}

before=$(boots)
under_load "a corrected error" 0 0 1
check "it makes no difference" [ "$(boots)" -eq "$before" ]
resets=$(counter 1 resets)
under_load "an error that is not fatal (completion timeout)" 100 0 0
check "the kernel says that it has recovered" recovered 1
under_load "a fatal error (data link)" 0 20 0
check "the kernel says that it has recovered" recovered 2
check "the bus was reset" [ "$(counter 1 resets)" -gt "$resets" ]
dmesg | grep -E 'AER|qeff 0000' | sed 's/^/# /' | tail -n 30
check "unload" unload qeff
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
plan
