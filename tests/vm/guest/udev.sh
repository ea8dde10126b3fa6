# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 4
# module: absent:qeff
# program: qeff-stat
# udev
# firmware
# Debian 12's udev with our rules beside its own: who may open the node, the names that do not change, and no seat for a card
# that has no screen.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
cat >/etc/group <<'E2'
root:x:0:
tty:x:5:
video:x:44:
render:x:105:
E2
echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
ln -s udevadm /bin/systemd-udevd
check "udev starts" systemd-udevd --daemon
settle() { udevadm settle --timeout=20; }

check "load" insmod /lib/modules/qeff.ko
check "online" within 30 online "$address"
check "settled" settle
node=$(node "$address")
path=/dev/accel/by-path/pci-$address
id=/dev/accel/by-id/qeff-$(qeff-stat -d "$address" --json | sed -n 's/^ *"serial": \([0-9]*\),/\1/p')
echo "# $node, $path, $id"
check "group and mode" [ "$(stat -c '%g %a' "$node")" = '105 660' ]
check "named by its place" [ "$(readlink -f "$path")" = "$node" ]
check "named by its number" [ "$(readlink -f "$id")" = "$node" ]
for device in /sys/bus/pci/devices/"$address"/accel/accel* /sys/bus/pci/devices/"$address"/drm/card* \
    /sys/bus/pci/devices/"$address"/drm/renderD*; do
    [ -e "$device" ] || continue
    udevadm info "$device" >/tmp/info
    sed -n 's/^E: \(CURRENT_TAGS\|DEVLINKS\)/# '"${device##*/}"' \1/p' /tmp/info
    check "${device##*/}: no seat" [ -z "$(grep -E '^E: CURRENT_TAGS=.*(seat|uaccess)' /tmp/info)" ]
done

# an event that does not tell the serial number
udevadm trigger --action=change "/sys/bus/pci/devices/$address"/*/"${node##*/}"
check "settled" settle
check "still named by its number" [ "$(readlink -f "$id")" = "$node" ]
echo 1 >"/sys/bus/pci/devices/$address/reset"
check "online after a reset" within 40 online "$address"
check "settled" settle
check "still named by its place" [ "$(readlink -f "$path")" = "$node" ]
check "still named by its number" [ "$(readlink -f "$id")" = "$node" ]

check "unload" unload qeff
check "settled" settle
check "no names are left" [ -z "$(find /dev/accel -type l 2>/dev/null)" ]
check "udev ends" udevadm control --exit
plan
