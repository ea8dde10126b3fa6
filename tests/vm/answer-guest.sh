#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest may ask of the host while its test runs, by its fourth serial port: one line, and one line back.
#   stats N   what card N has seen, as JSON on one line
#   fault N PLAN   from now on it is that plan that card N follows
#   later N S nothing now: the same in S seconds, while the guest may sleep, to be asked for by
#   saved N
#
# usage: answer-guest.sh PORT OUTDIR CARD-PID...      PORT.out is read, PORT.in is written
set -u

port=$1 out=$2
shift 2

# kept open for both: no end of file while QEMU is there or not yet
exec 3<>"$port.out" 4<>"$port.in"

stats() { # card pid
    # the card writes the file under another name first: when it is there it is whole
    rm -f "$out/stats$1.json"
    kill -USR1 "$2"
    tries=100
    until [ -f "$out/stats$1.json" ] || [ "$tries" -eq 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
    tr -d ' \n' <"$out/stats$1.json"
    echo
}

while read -r verb n rest <&3; do
    case $n in '' | *[!0-9]*) n=0 ;; esac
    pid=0
    if [ "$n" -ge 1 ] && [ "$n" -le $# ]; then
        eval "pid=\${$n}"
    fi
    [ "$pid" -gt 0 ] || verb=none
    case $verb in
    stats) stats "$n" "$pid" >&4 ;;
    later)
        echo yes >&4
        sleep "$rest"
        stats "$n" "$pid" >"$out/saved$n.json"
        ;;
    saved) cat "$out/saved$n.json" >&4 ;;
    fault)
        # taken when the card has removed it
        printf '%s\n' "$rest" >"$out/faults$n"
        kill -USR2 "$pid"
        tries=100
        while [ -f "$out/faults$n" ] && [ "$tries" -gt 0 ]; do
            sleep 0.05
            tries=$((tries - 1))
        done
        if [ "$tries" -gt 0 ]; then echo ok >&4; else echo late >&4; fi
        ;;
    *) echo "what?" >&4 ;;
    esac
done
