#!/bin/sh
# SPDX-License-Identifier: MIT
# Boots one VM with an initramfs of mkinitramfs.sh, shows the TAP lines of its test, and judges it: every line "ok", the
# plan complete, nothing in the kernel log that is a warning or worse, no taint but an out-of-tree unsigned module.
# A card is a qeff-vcard process, started before QEMU and joined to it by a socket.
#
# usage: run-vm.sh -k KERNEL -i INITRAMFS -o OUTDIR [-c none|single|msi32|iommu] [-V QEFF-VCARD]
#                  [-C CARD-OPTIONS]... [-t SECONDS] [-a KERNEL-ARGUMENTS] [-d DISK-SIZE] [-b BOOTS]
# -c is the set-up of interrupts and IOMMU: one MSI, 32 MSIs, or 32 MSIs and DMA addresses that are translated.
# Each -C adds a card with these options of qeff-vcard (may be ''); they stand behind root ports of their own, 01:00.0
# first. OUTDIR gets tap, console, dmesg, the files that the guest left in /out, cardN.log and statsN.json.
# -d adds an empty disk, /dev/vda. With -b, a guest that powers off before its plan is switched on again, up to BOOTS
# times in all.
# QEFF_VM_ACCEL=kvm|tcg chooses how QEMU computes; without it, KVM where it works.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

usage() {
    sed -n '/^# usage/,/\[-t/s/^# //p' "$0" >&2
    exit 2
}

kernel='' initramfs='' out='' setup=none vcard='' seconds='' append='' disk='' boots=1
cards=0
while getopts k:i:o:c:V:C:t:a:d:b: option; do
    case $option in
    k) kernel=$OPTARG ;;
    i) initramfs=$OPTARG ;;
    o) out=$OPTARG ;;
    c) setup=$OPTARG ;;
    V) vcard=$OPTARG ;;
    C)
        cards=$((cards + 1))
        eval "card$cards=\$OPTARG"
        ;;
    t) seconds=$OPTARG ;;
    a) append=$OPTARG ;;
    d) disk=$OPTARG ;;
    b) boots=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -ne 0 ] || [ -z "$kernel" ] || [ -z "$initramfs" ] || [ -z "$out" ]; then
    usage
fi
if [ "$cards" -gt 0 ] && [ -z "$vcard" ]; then
    die "a card needs -V"
fi
[ -f "$cache/kernels/$kernel/complete" ] || skip "kernel $kernel has not been fetched"
qemu=$("$here/qemu-root.sh")

mkdir -p "$out" "$cache/run"
rm -f "$out"/tap "$out"/console "$out"/dmesg "$out"/tainted "$out"/uptime "$out"/kmemleak "$out"/card*.log "$out"/qemu.log "$out"/stats*.json
work=$(mktemp -d "$cache/run/XXXXXX")

# Every process that is started here is ended here, whatever ends the script: by its id, and only while that id still
# means the process that was started (field 22 of its stat is when).
started=
birth() { # pid
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}
remember() { # pid
    started="$started $1:$(birth "$1")"
}
# shellcheck disable=SC2317
cleanup() {
    trap '' INT TERM HUP
    for process in $started; do
        if [ "$(birth "${process%:*}")" = "${process#*:}" ]; then
            kill "${process%:*}" 2>/dev/null || true
            wait "${process%:*}" 2>/dev/null || true
        fi
    done
    # also of one that was ended from outside
    cp "$work/tap" "$work/console" "$out/" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

run_qemu() { # arguments, in the background: sets "pid"
    case $qemu in
    host*) "${qemu#* }" "$@" </dev/null >>"$out/qemu.log" 2>&1 & ;;
    root*) (in_root "${qemu#* }" "$@") </dev/null >>"$out/qemu.log" 2>&1 & ;;
    esac
    pid=$!
    remember "$pid"
}

ended() { # pid: has it?
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null || true) in
    '' | Z*) return 0 ;;
    *) return 1 ;;
    esac
}

# KVM counts when a kernel boots under it: there are machines whose /dev/kvm opens and then cannot run one. The answer
# is kept until the next boot of the host. The kernel finds no root, panics and by that ends QEMU.
kvm_works() {
    [ -w /dev/kvm ] || return 1
    boot=$(cat /proc/sys/kernel/random/boot_id)
    answer=$(sed -n "s/^$boot //p" "$cache/kvm" 2>/dev/null || true)
    if [ -z "$answer" ]; then
        run_qemu -accel kvm -cpu host -smp 2 -m 512 -nodefaults -display none -no-reboot \
            -serial "file:$work/kvm.console" -kernel "$cache/kernels/$kernel/vmlinuz" \
            -append 'console=ttyS0 panic=-1'
        probe=$pid
        (exec sleep 15) &
        limit=$!
        remember "$limit"
        until ended "$probe" || ended "$limit"; do
            sleep 0.1
        done
        kill "$probe" 2>/dev/null || true
        answer=no
        ! grep -q 'Kernel panic' "$work/kvm.console" 2>/dev/null || answer=yes
        echo "$boot $answer" >"$cache/kvm"
    fi
    [ "$answer" = yes ]
}

accel=${QEFF_VM_ACCEL:-}
if [ -z "$accel" ]; then
    if kvm_works; then accel=kvm; else accel=tcg; fi
fi
seconds=${seconds:-60}
case $accel in
kvm)
    accelerator=kvm
    cpu=host
    ;;
tcg)
    accelerator=tcg,thread=multi
    cpu=max
    seconds=$((seconds * 5))
    # on a busy host a guest's timer may look broken when it is tried, which is a panic
    append="no_timer_check $append"
    ;;
*) die "QEFF_VM_ACCEL is kvm or tcg" ;;
esac
# what watches itself at every step takes longer; its watch over work queues has no idea of a busy host
if [ "$kernel" = debug ]; then
    seconds=$((seconds * 3))
    append="workqueue.watchdog_thresh=300 $append"
fi

# 32 MSIs need interrupt remapping, which under KVM needs the split interrupt chip.
machine=q35,memory-backend=m
case $setup in
none | single) iommu='' guest='intel_iommu=off' ;;
msi32) iommu='intel-iommu,intremap=on' guest='intel_iommu=off' ;;
iommu) iommu='intel-iommu,intremap=on,caching-mode=on' guest='intel_iommu=on iommu.strict=1' ;;
*) usage ;;
esac
if [ -n "$iommu" ] && [ "$accel" = kvm ]; then
    machine=$machine,kernel-irqchip=split
fi

set -- -accel "$accelerator" -cpu "$cpu" -smp 2 -m 1024 \
    -object memory-backend-memfd,id=m,size=1G,share=on -machine "$machine" \
    -nodefaults -display none -no-reboot \
    -chardev "file,id=console,path=$work/console,append=on" -serial chardev:console \
    -chardev "file,id=tap,path=$work/tap,append=on" -serial chardev:tap \
    -serial "file:$work/out.tar" -serial "pipe:$work/host" \
    -kernel "$cache/kernels/$kernel/vmlinuz" -initrd "$work/initramfs" \
    -append "console=ttyS0,115200 loglevel=5 log_buf_len=2M panic=-1 oops=panic panic_on_warn=1 $guest $append"
if [ -n "$iommu" ]; then
    set -- "$@" -device "$iommu"
fi
if [ -n "$disk" ]; then
    truncate -s "$disk" "$work/disk"
    set -- "$@" -drive "file=$work/disk,format=raw,if=virtio"
fi
cp "$initramfs" "$work/initramfs"
touch "$work/console" "$work/tap" "$work/out.tar"

# A card has said that it listens when its socket is there.
i=0
pids=
while [ "$i" -lt "$cards" ]; do
    i=$((i + 1))
    eval "options=\$card$i"
    # shellcheck disable=SC2086,SC2154
    "$vcard" --socket "$work/card$i" --stats "$out/stats$i.json" --fault-file "$out/faults$i" $options </dev/null >"$out/card$i.log" 2>&1 &
    card=$!
    remember "$card"
    pids="$pids $card"
    tries=200
    until [ -S "$work/card$i" ]; do
        tries=$((tries - 1))
        if ended "$card" || [ "$tries" -eq 0 ]; then
            sed 's/^/# /' "$out/card$i.log"
            die "card $i does not listen"
        fi
        sleep 0.05
    done
    set -- "$@" -device "pcie-root-port,id=rp$i,chassis=$i,slot=$i" -device \
        "{\"driver\":\"vfio-user-pci\",\"bus\":\"rp$i\",\"socket\":{\"type\":\"unix\",\"path\":\"$work/card$i\"}}"
done

mkfifo "$work/host.in" "$work/host.out"
# shellcheck disable=SC2086
"$here/answer-guest.sh" "$work/host" "$out" $pids </dev/null &
remember $!

# Under software emulation a kernel that changes its own code while it boots sometimes meets the breakpoint of the change
# (kernel panic, "int3"). Before the module is there that says nothing about it, and the machine is switched on again.
tripped() {
    [ "$accel" = tcg ] && [ ! -s "$work/tap" ] && grep -qa 'Oops: int3' "$work/console" && ! grep -qa qeff "$work/console"
}

begin=$(date +%s.%N)
(exec sleep "$seconds") &
limit=$!
remember "$limit"
late='' cards_ended='' again=''
code=0
while [ "$boots" -gt 0 ] && [ "$code" -eq 0 ] && [ -z "$late" ] && ! grep -q '^1\.\.' "$work/tap"; do
    boots=$((boots - 1))
    run_qemu "$@"
    machine_pid=$pid
    until ended "$machine_pid"; do
        if ended "$limit"; then
            late=yes
            kill "$machine_pid"
            break
        fi
        sleep 0.1
    done
    wait "$machine_pid" || code=$?
    if [ -z "$again" ] && tripped; then
        again="# the emulated CPU tripped over the kernel's changes to itself; switched on again"
        : >"$work/console"
        boots=$((boots + 1))
    fi
done
took=$(echo "$begin $(date +%s.%N)" | awk '{ printf "%.1f", $2 - $1 }')

cp "$work/tap" "$work/console" "$out/"
# a card tells its statistics, a last time, when it is ended
for card in $pids; do
    kill "$card" 2>/dev/null || true
    code_card=0
    wait "$card" 2>/dev/null || code_card=$?
    [ "$code_card" -eq 0 ] || cards_ended="$cards_ended $code_card"
done
tar -x -f "$work/out.tar" -C "$out" 2>/dev/null || true

# What the log of a healthy kernel never has. The log is the whole one where the guest came to its end, else the console,
# which has warnings and worse.
bad='WARNING:|BUG:|BUG |Oops|Call Trace|Kernel panic|general protection|UBSAN|KASAN: [a-z]*-|new suspected memory leak|INFO: task'
bad="$bad"'|possible circular|sleeping function|scheduling while atomic|refcount_t|rcu:.*stall|DMAR:.*[Ff]ault'
bad="$bad"'|nobody cared|DMA-API: .*: |list_(add|del) corruption|use-after-free|left behind'
failed=
problem() {
    failed=yes
    echo "# $*"
}

echo "# kernel $kernel, $setup, $accel: $took s"
[ -z "$again" ] || echo "$again"
cat "$out/tap"
[ -z "$late" ] || problem "not done after $seconds s"
[ -n "$late" ] || [ "$code" -eq 0 ] || problem "QEMU ended with $code"
grep -q '^ok ' "$out/tap" || problem "no test passed"
! grep -qE '^(not ok|Bail out!)' "$out/tap" || problem "tests failed"
[ "$(grep -cE '^(not )?ok ' "$out/tap")" = "$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out/tap")" ] ||
    problem "the plan is missing or not fulfilled"
for code in $cards_ended; do
    problem "a card ended with $code: $(cat "$out"/card*.log)"
done
if [ -f "$out/dmesg" ]; then
    log=$out/dmesg
    # 4096: out-of-tree module, 8192: unsigned module
    case $(cat "$out/tainted") in
    0 | 4096 | 8192 | 12288) ;;
    *) problem "the kernel is tainted: $(cat "$out/tainted")" ;;
    esac
else
    log=$out/console
    problem "the guest did not come to its end"
fi
if grep -aE "$bad" "$log" | sed 's/^/#   /' >"$work/bad" && [ -s "$work/bad" ]; then
    problem "the kernel log is not clean:"
    cat "$work/bad"
fi
if [ -s "$out/kmemleak" ]; then
    problem "memory has leaked:"
    sed 's/^/#   /' "$out/kmemleak"
fi
if [ -n "$failed" ]; then
    echo "# last lines of the console:"
    tail -n 60 "$out/console" | sed 's/^/#   /'
    grep -v 'Could not enable error recovery' "$out/qemu.log" | sed 's/^/#   /'
    echo "# kept in $out"
    exit 1
fi
