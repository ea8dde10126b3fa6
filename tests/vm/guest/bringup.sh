# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 4
# module: qeff
# program: qeff-stat
# firmware
# The card boots: MHI, boot image, Sahara, control channel; its node opens; unload, reload, unbind and bind leave it
# working. With an IOMMU, nothing of the guest's memory is left where the card reaches it.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "the driver has bound" [ "$(driver_of "$address")" = qeff ]
check "online" within 30 online "$address"
echo "# $(node "$address"), $(vectors "$address") interrupts"
case $SETUP in
single) check "one interrupt" [ "$(vectors "$address")" -eq 1 ] ;;
*) check "17 or 32 interrupts" [ "$(vectors "$address")" -ge 17 ] ;;
esac
check "qeff-stat" ask -d "$address"
qeff-stat --json >/out/stat.json

check "unload" unload qeff
check "no node is left" [ -z "$(node "$address")" ]
check "reload" insmod /lib/modules/qeff.ko
check "online again" within 30 online "$address"
cd "/sys/bus/pci/drivers/qeff" || exit 1
echo "$address" >unbind
check "unbound: no node" [ -z "$(node "$address")" ]
echo "$address" >bind
check "bound: online" within 30 online "$address"
cd /
check "unload at the end" unload qeff
if [ "$SETUP" = iommu ]; then
    mapped 1 >/out/mapped
    check "nothing is left mapped" [ ! -s /out/mapped ]
fi
plan
