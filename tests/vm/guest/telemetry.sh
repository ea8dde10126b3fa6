# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 16 --fault ras-ce=2@doorbell#12,ras-fatal=5@doorbell#30
# card: --nsps 4 --fault drop@control#3+
# module: absent:qeff
# program: qeff-stat qeff-load
# host: depmod
# model: tiny-llama-stories --num-cores 16
# firmware
# seconds: 90
# What qeff-stat says of real cards: why one cannot be used while no driver has it, events as they come, counters that agree
# with the card's own, and an answer in time though a card gives none. The driver's fdinfo is what the kernel's
# drm-usage-stats document defines.
# shellcheck source=card.sh
. /lib/card.sh

first=$(card 1)
second=$(card 2)

# ---- no driver ----
release=$(uname -r)
modules=/lib/modules/$release
mkdir -p "$modules" /etc/modprobe.d
says() { # text
    qeff-stat -d "$first" >/tmp/stat 2>&1
    grep -qF "$first: no driver holds $first: $1" /tmp/stat || {
        cat /tmp/stat
        return 1
    }
}
check "module absent" says "neither module qeff nor qaic is installed for kernel $release"
cp /lib/modules/qeff.ko "$modules/"
# the shell has one of its own, which makes no index
/bin/depmod "$release"
check "module present, not loaded" says 'module qeff is installed but not loaded; "modprobe qeff" loads it'
echo 'blacklist qeff' >/etc/modprobe.d/qeff.conf
check "blacklisted" says "module qeff is installed but blacklisted in modprobe's configuration"
echo 'install qeff /bin/false' >/etc/modprobe.d/qeff.conf
check "replaced" says 'module qeff is replaced by the command "/bin/false"'
rm /etc/modprobe.d/qeff.conf

# ---- events, from before the driver is there ----
qeff-stat --watch --json >/tmp/events &
watcher=$!
event() { # words that must all be in one line
    line=$(cat /tmp/events)
    for word; do
        line=$(echo "$line" | grep -F "$word")
    done
    [ -n "$line" ]
}
echo vfio-pci >"/sys/bus/pci/devices/$second/driver_override"
check "load" insmod /lib/modules/qeff.ko
check "online" within 30 online "$first"
check "event: online" within 5 event '"event":"online"' "\"$first\""
qeff-stat -d "$second" >/tmp/stat
check "loaded, but not for this card" grep -qF "module qeff is loaded but did not take it" /tmp/stat
echo >"/sys/bus/pci/devices/$second/driver_override"
echo "$second" >/sys/bus/pci/drivers/qeff/bind
check "second card online" within 30 online "$second"

# ---- counters ----
field() { # card name: a number of the channel that was used
    qeff-stat -d "$1" --json | tr -d ' \n' | sed -n "s/.*{\"channel\":0,\([^}]*\)}.*/\1/p" | tr ',' '\n' |
        sed -n "s/\"$2\"://p"
}
load() {
    qeff-load /models/tiny-llama-stories.qpc -d "$first" --prompt A --max-new-tokens "$1" --ignore-eos
}
interrupts() {
    awk '/qeff_dbc/ { for (i = 2; i < 4; i++) sum += $i } END { print sum + 0 }' /proc/interrupts
}
bytes() { # name: as the card counts
    host stats 1 | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}
in_before=$(bytes bytes_in) out_before=$(bytes bytes_out)
check "eight tokens" load 8
qeff-stat >/out/table
sed 's/^/# /' /out/table
submitted=$(field "$first" submitted)
echo "# submitted $submitted, completed $(field "$first" completed), interrupts $(field "$first" interrupts)"
check "submitted" [ "$submitted" -ge 16 ]
check "all completed" [ "$(field "$first" completed)" -eq "$submitted" ]
check "none failed" [ "$(field "$first" failed)" -eq 0 ]
check "bytes to the card" [ "$(field "$first" bytes_to_device)" -eq $(($(bytes bytes_in) - in_before)) ]
check "bytes from the card" [ "$(field "$first" bytes_from_device)" -eq $(($(bytes bytes_out) - out_before)) ]
# one vector is MHI's as well
if [ "$SETUP" != single ]; then
    check "interrupts" [ "$(field "$first" interrupts)" -eq "$(interrupts)" ]
fi
check "the table has the channel" grep -q "^$first  *0  *idle" /out/table

# ---- fdinfo, as drm-usage-stats has it ----
exec 5<>"$(node "$first")"
cat /proc/self/fdinfo/5 >/out/fdinfo 5<&5
cat >/tmp/fdinfo.awk <<'E2'
BEGIN { FS = ":[ \t]+" }
!/^drm-/ { next }
{ sub(/[ \t]+$/, "", $2); seen[$1]++ }
$1 == "drm-driver" { good = $2 == "qeff" }
$1 == "drm-pdev" { good = $2 == address }
$1 == "drm-client-id" { good = $2 ~ /^[0-9]+$/ }
$1 == "drm-engine-dma" { good = $2 ~ /^[0-9]+ ns$/ }
$1 == "drm-engine-capacity-dma" { good = $2 ~ /^[1-9][0-9]*$/ }
$1 ~ /^drm-(total|shared|resident|purgeable|active)-memory$/ { good = $2 ~ /^[0-9]+( KiB| MiB)?$/ }
{ if (!good) { print "wrong: " $0; bad = 1 } good = 0 }
END {
    split("drm-driver drm-pdev drm-client-id drm-engine-dma drm-engine-capacity-dma " \
        "drm-total-memory drm-shared-memory drm-resident-memory", wanted, " ")
    for (i in wanted)
        if (seen[wanted[i]] != 1) { print wanted[i] ": " seen[wanted[i]] + 0 " times"; bad = 1 }
    exit bad
}
E2
sed 's/^/# /' /out/fdinfo
check "fdinfo" awk -v address="$first" -f /tmp/fdinfo.awk /out/fdinfo
exec 5>&-

# ---- hardware errors and resets ----
load 40 >/tmp/load.log 2>&1 || true
check "event: corrected errors" within 10 event '"event":"error"' "\"$first\"" '"severity":"corrected"' '"source":"DDR"'
check "event: a fatal error" within 10 event '"event":"error"' "\"$first\"" '"severity":"fatal"' '"source":"NSP memory"'
check "event: reset" within 10 event '"event":"reset"' "\"$first\"" '"reason":"it reported a fatal error"'
check "event: offline" within 10 event '"event":"offline"' "\"$first\""
check "event: channel" within 10 event '"event":"channel"' "\"$first\"" '"channel":0' '"state":"in use"'
twice() { [ "$(grep '"event":"online"' /tmp/events | grep -cF "$first")" -ge 2 ]; }
check "event: online again" within 40 twice
qeff-stat -d "$first" >/tmp/stat
check "the table says so" grep -q "^$first: 1 resets; hardware errors: [1-9][0-9]* corrected, 0 uncorrected, 1 fatal" /tmp/stat

# ---- a card that does not answer ----
# also what reads a pipe gets its end in time
hundredths() { sed 's/\.//; s/ .*//' /proc/uptime; }
both() {
    before=$(hundredths)
    # shellcheck disable=SC2119
    ask 2>&1 | cat >/tmp/stat
    took=$(($(hundredths) - before))
    sed 's/^/# /' /tmp/stat
    echo "# qeff-stat took $took hundredths of a second"
    grep -q "^ *0  $first .* ready" /tmp/stat && { [ "$KERNEL" = debug ] || [ "$took" -le 200 ]; }
}
# on a busy host the first card may be late too: once is enough
both || both || both || both || both || true
check "the first card answers" grep -q "^ *0  $first .* ready" /tmp/stat
check "the second does not" grep -q "^$second: the card does not answer" /tmp/stat
if [ "$KERNEL" = debug ]; then
    skip "within two seconds" "a kernel that watches itself"
else
    check "within two seconds" [ "$took" -le 200 ]
fi

# ---- the card goes ----
echo 1 >"/sys/bus/pci/devices/$first/remove"
check "event: removed" within 10 event '"event":"removed"' "\"$first\""
check "the watcher is well" kill "$watcher"
cp /tmp/events /out/events
check "unload" unload qeff
plan
