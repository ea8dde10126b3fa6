# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card:
# module: qeff
# program: vm-ioctls
# model: tiny-llama-stories --num-cores 4
# firmware
# Every ioctl with every field wrong in turn, from its owner and from a second client, and what the right calls promise;
# the kernel's log stays silent (but for a clock that a busy host has stopped), and nothing stays behind.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "card online" within 30 online "$address"
if vm-ioctls "$(node "$address")" /models/tiny-llama-stories.qpc >/tmp/ioctls; then result=0; else result=1; fi
sed 's/^/# /' /tmp/ioctls
check "ioctls" [ "$result" -eq 0 ]
check "unload" unload qeff
if [ "$SETUP" = iommu ]; then
    check "nothing is mapped" [ -z "$(mapped 1)" ]
fi
check "the log is silent" [ -z "$(dmesg | sed '1,/Initialized qeff/d' | grep -v -e mhi -e direct-loading -e clocksource)" ]
plan
