# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the guest's scripts know of cards: where they are, their nodes and states, and the interrupts they have.
# shellcheck source=tap.sh
. /lib/tap.sh

# Asks the host (answer-guest.sh) and prints the answer. The port stays open: a closed one forgets what comes.
exec 3<>/dev/ttyS3
host() { # verb card
    echo "$*" >&3
    read -r answer <&3
    echo "$answer"
}

# A number out of the card's statistics, by its name (the first one of that name).
counter() { # card name
    host stats "$1" | sed -n "s/.*\"$2\":\([0-9]*\)[,}].*/\1/p"
}

# The addresses that the card can reach just now, with guest memory behind them.
mapped() { # card
    host stats "$1" | sed 's/.*"list":\[\([^]]*\)\].*/\1/' | tr '}' '\n' | grep '"memory":true'
}

# The N-th card, counted by PCI address from 1: its address.
card() { # n
    grep -l 0x17cb /sys/bus/pci/devices/*/vendor | sed -n "$1s,.*/\(.*\)/vendor,\1,p"
}

# Its node: accel where the kernel has that subsystem, else a render node.
node() { # address
    for folder in accel drm; do
        for entry in "/sys/bus/pci/devices/$1/$folder"/accel* "/sys/bus/pci/devices/$1/$folder"/renderD*; do
            if [ -e "$entry" ]; then
                case $folder in
                accel) echo "/dev/accel/${entry##*/}" ;;
                drm) echo "/dev/dri/${entry##*/}" ;;
                esac
                return 0
            fi
        done
    done
    return 1
}

# Ready when it can be opened: the driver refuses until the firmware has answered.
online() { # address
    path=$(node "$1") && true 2>/dev/null <"$path"
}

driver_of() { # address
    basename "$(readlink "/sys/bus/pci/devices/$1/driver")"
}

vectors() { # address: how many MSIs it has
    find "/sys/bus/pci/devices/$1/msi_irqs" -mindepth 1 2>/dev/null | wc -l
}

# qeff-stat, which by itself does not wait long enough for a card of a kernel that watches itself.
ask() {
    if [ "$KERNEL" = debug ]; then
        qeff-stat --timeout 20 "$@"
    else
        qeff-stat "$@"
    fi
}

# Takes the driver out. A qeff-stat that a card kept waiting leaves a process behind, which ends by itself a little later.
unload() { # module
    within 20 rmmod "$1" 2>/dev/null
}
