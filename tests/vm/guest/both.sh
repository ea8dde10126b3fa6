# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 4 --serial FIRST
# card: --nsps 4 --serial SECOND
# module: absent:qeff
# module: absent:qaic
# program: qeff-stat
# firmware
# append: lockdep.prove_locking=0
# Two cards and both drivers: qaic has the first card, qeff the second. The MHI bus matches by channel name alone, so
# neither must touch the other's, in either order of loading, and each goes without the other noticing.
# shellcheck source=card.sh
. /lib/card.sh

first=$(card 1)
second=$(card 2)
echo qaic >"/sys/bus/pci/devices/$first/driver_override"
echo qeff >"/sys/bus/pci/devices/$second/driver_override"

serial() { # address: what the card says through its driver
    ask -d "$1" --json | sed -n 's/.*"board_serial": "\([A-Z]*\)".*/\1/p'
}

# Each MHI device of a card is driven by its card's driver, or by none.
strangers() {
    driven=0
    for device in /sys/bus/mhi/devices/*; do
        [ -e "$device/driver" ] || continue
        driven=$((driven + 1))
        ours=$(driver_of "$(realpath "$device" | grep -o '0000:0[0-9]:00\.0' | tail -n 1)")
        theirs=$(basename "$(readlink "$device/driver")")
        case $theirs in
        "$ours"*) ;;
        *) echo "${device##*/}: $theirs on a card of $ours" ;;
        esac
    done
    # both control channels at least
    [ "$driven" -ge 2 ] || echo "only $driven MHI devices are driven"
}

for order in 'qaic qeff' 'qeff qaic'; do
    echo "# order: $order"
    for module in $order; do
        check "load $module" insmod "/lib/modules/$module.ko"
    done
    check "first card online under qaic" within 30 online "$first"
    check "second card online under qeff" within 30 online "$second"
    check "drivers" [ "$(driver_of "$first") $(driver_of "$second")" = 'qaic qeff' ]
    check "the first card answers" [ "$(serial "$first")" = FIRST ]
    check "the second card answers" [ "$(serial "$second")" = SECOND ]
    strangers >/tmp/strangers
    check "no MHI device has a stranger" [ ! -s /tmp/strangers ]
    for module in $order; do
        check "unload $module" unload "$module"
        other=qeff
        address=$second
        serial=SECOND
        if [ "$module" = qeff ]; then
            other=qaic
            address=$first
            serial=FIRST
        fi
        if [ -d "/sys/module/$other" ]; then
            check "$other still works" [ "$(serial "$address")" = "$serial" ]
        fi
    done
done
plan
