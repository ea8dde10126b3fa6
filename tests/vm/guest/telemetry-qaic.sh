# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 4
# card: --nsps 4 --fault drop@control#3+
# module: absent:qaic
# program: qeff-stat
# firmware
# append: lockdep.prove_locking=0
# Under mainline's driver: events of cards as they come, a table without what that driver does not count, and an answer in
# time though a card gives none.
# shellcheck source=card.sh
. /lib/card.sh

first=$(card 1)
second=$(card 2)
qeff-stat --watch --json >/tmp/events &
watcher=$!
event() { # kind address
    grep -F "\"event\":\"$1\"" /tmp/events | grep -qF "\"$2\""
}
check "load" insmod /lib/modules/qaic.ko
check "first card online" within 30 online "$first"
check "second card online" within 30 online "$second"
check "event: online" within 5 event online "$first"
check "event: online, the second" within 5 event online "$second"
check "the first card answers" ask -d "$first"
qeff-stat -d "$first" --json >/tmp/stat
check "no counters" grep -q '"counters": null' /tmp/stat

hundredths() { sed 's/\.//; s/ .*//' /proc/uptime; }
before=$(hundredths)
qeff-stat 2>&1 | cat >/tmp/stat
took=$(($(hundredths) - before))
echo "# qeff-stat took $took hundredths of a second"
check "the second card does not answer" grep -q "^$second: " /tmp/stat
if [ "$KERNEL" = debug ]; then
    skip "within two seconds" "a kernel that watches itself"
else
    check "within two seconds" [ "$took" -le 200 ]
fi

echo "$first" >/sys/bus/pci/drivers/qaic/unbind
check "event: offline" within 10 event offline "$first"
check "the watcher is well" kill "$watcher"
cp /tmp/events /out/events
plan
