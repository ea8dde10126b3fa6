# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --fault lose@msi#40,fail@transfer#900,drop@control#30,malform@control#45,delay=4000@control#60,crash-nsp@doorbell#300,stall=1500@doorbell#500,ras-ce=2@doorbell#550,reboot-qsm@doorbell#700,crash-qsm@doorbell#1000,ras-fatal=2@doorbell#1300,off-bus@doorbell#1600
# module: qeff
# program: vm-faults
# model: tiny-llama-stories --num-cores 4
# firmware
# seconds: 90
# One thing after another goes wrong with the card while four clients work: each call gives what is right or an error in
# its time and a second, and then the card works again, also after it went off the bus.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
echo 3 >/sys/module/qeff/parameters/control_resp_timeout_s
# long enough for all of the plan: its last event is the 1600th doorbell
if [ "$KERNEL" = debug ]; then seconds=90; else seconds=25; fi
if vm-faults "$(node "$address")" /models/tiny-llama-stories.qpc "$seconds" 3 >/tmp/faults; then result=0; else result=1; fi
sed 's/^/# /' /tmp/faults
check "in time, right, and working again" [ "$result" -eq 0 ]
dmesg | grep 'qeff 0000' | sed 's/^/# /' | tail -n 20
check "corrected errors are counted" [ "$(cat "/sys/bus/pci/devices/$address/ce_count")" -gt 0 ]
check "fatal errors are counted" [ "$(cat "/sys/bus/pci/devices/$address/ue_count")" -gt 0 ]
check "unload" unload qeff
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
plan
