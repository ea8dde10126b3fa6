# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 4 --serial FIRST
# card: --nsps 4 --serial SECOND
# module: absent:qeff
# module: absent:qaic
# program: bench-driver
# firmware
# seconds: 110
# The driver beside mainline's, in one guest, on cards of the same kind: inferences that do nothing, one at a time and 64
# in flight. First qeff has the first card, then the second one, so that the place of a card does not count.
# shellcheck source=../../vm/guest/card.sh
. /lib/card.sh

first=$(card 1)
second=$(card 2)

for order in 'qeff qaic' 'qaic qeff'; do
    set -- $order
    echo "$1" >"/sys/bus/pci/devices/$first/driver_override"
    echo "$2" >"/sys/bus/pci/devices/$second/driver_override"
    insmod "/lib/modules/$1.ko"
    insmod "/lib/modules/$2.ko"
    check "first card online under $1" within 30 online "$first"
    check "second card online under $2" within 30 online "$second"
    if [ "$1" = qeff ]; then
        sides="qeff:1:$first qaic:2:$second"
    else
        sides="qeff:2:$second qaic:1:$first"
    fi
    # shellcheck disable=SC2086
    if bench-driver "${BENCH_SECONDS:-2}" "${BENCH_ROUNDS:-7}" $sides >"/out/$1-first" 2>&1; then
        result=0
    else
        result=1
    fi
    cat "/out/$1-first"
    check "nowhere worse than mainline's" [ "$result" -eq 0 ]
    rmmod "$1" "$2"
done
plan
