#!/bin/sh
# SPDX-License-Identifier: MIT
# qeff-vcard's manners: help, refusals, a socket that is there while it serves and gone afterwards, statistics.
set -eu
vcard=$1
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

"$vcard" --help >"$dir/help"
"$vcard" --help-faults >"$dir/faults"
[ "$(wc -l <"$dir/help")" -le 24 ] || fail "help does not fit a screen"
! grep -qE '^.{81,}' "$dir/help" || fail "help has long lines"
grep -q 'crash-nsp' "$dir/faults" || fail "fault plans are not explained"
"$vcard" --version | grep -q '^qeff-vcard ' || fail "no version"

refused() { # status, words that must be in the message, arguments
    status=$1 words=$2
    shift 2
    code=0
    "$vcard" "$@" 2>"$dir/err" || code=$?
    [ "$code" -eq "$status" ] || fail "$*: exit status $code, expected $status"
    grep -q -- "$words" "$dir/err" || fail "$*: said: $(cat "$dir/err")"
    [ ! -e "$dir/s" ] || fail "$*: a socket is left"
}
refused 2 --socket
refused 2 'no arguments' --socket "$dir/s" more
refused 2 'nsps=17' --socket "$dir/s" --nsps 17
refused 2 'ddr=1' --socket "$dir/s" --ddr 1
refused 2 'sku=Blue' --socket "$dir/s" --sku Blue
refused 2 'aic100 or aic080' --socket "$dir/s" --device aic200
refused 2 'fail@control#1' --socket "$dir/s" --fault fail@control#1
refused 2 'images' --socket "$dir/s" --images x
refused 2 'holds one of' --socket "$dir/s" --serial A,nsps=1
refused 1 'nonexistent' --socket /nonexistent/s
refused 1 'nonexistent' --socket "$dir/s" --trace /nonexistent/t

# A file that is no socket is not replaced; a socket that nobody serves is.
echo precious >"$dir/file"
code=0
"$vcard" --socket "$dir/file" 2>"$dir/err" || code=$?
if [ "$code" -ne 1 ] || ! grep -q precious "$dir/file"; then
    fail "a file was replaced"
fi

for _ in 1 2; do
    "$vcard" --socket "$dir/s" --stats "$dir/stats" --device aic080 &
    pid=$!
    until [ -S "$dir/s" ]; do
        kill -0 "$pid" 2>/dev/null || fail "it does not serve"
        sleep 0.02
    done
    kill -TERM "$pid"
    code=0
    wait "$pid" || code=$?
    pid=
    [ "$code" -eq 0 ] || fail "exit status $code after SIGTERM"
    [ ! -e "$dir/s" ] || fail "the socket is left"
    grep -q '"inferences": 0' "$dir/stats" || fail "no statistics"
done
