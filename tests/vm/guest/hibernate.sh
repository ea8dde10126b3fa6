# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card:
# module: qeff
# program: vm-power
# model: tiny-llama-stories --num-cores 4
# firmware
# disk: 768M
# boots: 2
# seconds: 120
# The system's memory goes to a disk, the machine is switched off, and a second boot reads it back: the card works in
# what goes on, and the module can be unloaded. The second boot gets no further than the init, which loads the module and
# then resumes, in the middle of the card's boot.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
works() {
    within 30 online "$address" && vm-power work "$(node "$address")" /models/tiny-llama-stories.qpc
}
check "works" works
mkswap /dev/vda >/dev/null && swapon /dev/vda
boots=$(counter 1 boots)
echo shutdown >/sys/power/disk
check "hibernation, and back" sh -c 'echo disk >/sys/power/state'
check "another client of the bus" [ "$(counter 1 clients)" -eq 2 ]
check "works" works
check "it has booted again" [ "$(counter 1 boots)" -gt "$boots" ]
check "unload" unload qeff
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
plan
