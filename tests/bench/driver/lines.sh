#!/bin/sh
# SPDX-License-Identifier: MIT
# Lines of code of the driver beside mainline's qaic, by feature: without comments and blank lines, as gcc's preprocessor
# sees them. qaic comes from the newest kernel source of Debian 13's backports, or from the folder that is given, and is
# not kept.
#
# usage: lines.sh [FOLDER-OF-QAIC]
set -eu
project=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

qaic=${1:-}
from=$qaic
if [ -z "$qaic" ]; then
    # shellcheck source-path=SCRIPTDIR source=../../vm/common.sh
    . "$project/tests/vm/common.sh"
    mirrors
    lock newest-source
    private_apt trixie trixie-backports "$mirror trixie" "$mirror trixie-backports"
    source=$(apt-cache pkgnames linux-source- | grep -E '^linux-source-[0-9.]+$' | LC_ALL=C sort -V | tail -n 1)
    from=$(apt-cache policy "$source" | sed -n "s/^ *Candidate: \(.*\)/$source \1/p")
    (cd "$work" && apt-get -qq download "$source" >&2) || skip "$source cannot be had"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -O "./usr/src/$source.tar.xz" | xz -dc |
        tar -x -C "$work" --strip-components=3 "$source/drivers/accel/qaic"
    qaic=$work/qaic
fi

lines() { # folder file...
    folder=$1
    shift
    total=0
    for file; do
        [ -f "$folder/$file" ] || continue
        n=$(gcc -fpreprocessed -dD -E -P "$folder/$file" 2>/dev/null | grep -c '[^[:space:]]' || true)
        total=$((total + n))
        echo "$file" >>"$work/counted"
    done
    echo "$total"
}

row() { # feature, our files, their files
    # shellcheck disable=SC2086
    ours=$(lines "$project/driver" $2)
    # shellcheck disable=SC2086
    theirs=$(lines "$qaic" $3)
    sum_ours=$((sum_ours + ours))
    sum_theirs=$((sum_theirs + theirs))
    [ "$theirs" -gt 0 ] || theirs=-
    printf '| %s | %s | %s |\n' "$1" "$ours" "$theirs"
}

sum_ours=0 sum_theirs=0
echo "qaic: $from"
echo
echo "| feature | qeff | qaic |"
echo "|---|---|---|"
row "PCI, node, users, reset, power" "qeff_drv.c qeff_power.c" qaic_drv.c
row "MHI controller and its channels" qeff_mhi.c "mhi_controller.c mhi_controller.h"
row "firmware over Sahara" qeff_sahara.c "sahara.c sahara.h"
row "control messages" "qeff_control.c qeff_exchange.c qeff_exchange.h qeff_transaction.c qeff_pin.c" qaic_control.c
row "buffers, slices, channels, queues" "qeff_gem.c qeff_slice.c qeff_dbc.c qeff_queue.c qeff_irq.c" "qaic_data.c qaic_sysfs.c"
row "restart of a subsystem" qeff_ssr.c "qaic_ssr.c qaic_ssr.h"
row "errors (RAS)" qeff_ras.c "qaic_ras.c qaic_ras.h"
row "time" qeff_timesync.c "qaic_timesync.c qaic_timesync.h"
row "boot log, debugfs" qeff_bootlog.c "qaic_debugfs.c qaic_debugfs.h"
row "telemetry over netlink" qeff_netlink.c ""
row "shared headers" "qeff_device.h qeff_wire.h" qaic.h
row "differences between kernels" qeff_compat.h ""
printf '| **all** | %s | %s |\n' "$sum_ours" "$sum_theirs"

# nothing of either is left out
for file in "$project"/driver/*.[ch] "$qaic"/*.[ch]; do
    case $file in *.mod.c) continue ;; esac
    grep -qx "${file##*/}" "$work/counted" || { echo "not counted: ${file##*/}"; exit 1; }
done
