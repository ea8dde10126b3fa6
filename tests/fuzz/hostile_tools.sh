#!/bin/sh
# SPDX-License-Identifier: MIT
# The tools with no memory and no disk: an exit status and a sentence, and never half a package.
#   hostile_tools.sh TOOLS_DIR FAILING_MALLOC_SO SEEDS [STEP]
set -eu

tools=$1
preload=$2
seeds=$3
step=${4:-1}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export QEFF_SOFTCARDS=nsps=2,ddr=64M XDG_RUNTIME_DIR="$dir"

fail() {
    echo "$*" >&2
    exit 1
}

# Nothing under the final name but a whole package, and nothing else beside it.
no_half_package() {
    if [ -e "$dir/out/model.qpc" ]; then
        "$tools/qeff-qpc" verify "$dir/out/model.qpc" >"$dir/verify" 2>&1 || fail "$1: half a package: $(cat "$dir/verify")"
        rm "$dir/out/model.qpc"
    fi
    [ -z "$(ls -A "$dir/out")" ] || fail "$1: left $(ls -A "$dir/out")"
}

mkdir "$dir/out"

# out_of_memory NAME COMMAND...: the n-th allocation fails, alone and with all after it, until n is never reached
out_of_memory() {
    name=$1
    shift
    n=1
    tries=0
    total=$(QEFF_FAIL_ALLOCATION=1000000000 LD_PRELOAD=$preload QEFF_COUNT_ALLOCATIONS="$dir/count" "$@" >/dev/null &&
        cat "$dir/count")
    rm -rf "$dir/out/"*
    while [ "$n" -le "$total" ]; do
        for onwards in "" 1; do
            got=0
            env QEFF_FAIL_ALLOCATION="$n" ${onwards:+QEFF_FAIL_ONWARDS=1} LD_PRELOAD="$preload" timeout 60 "$@" \
                >"$dir/stdout" 2>"$dir/stderr" || got=$?
            case $got in
            0) ;;
            1) [ -s "$dir/stderr" ] || fail "$name, allocation $n $onwards: failed without a word" ;;
            *) fail "$name, allocation $n $onwards: exit status $got: $(cat "$dir/stderr")" ;;
            esac
            [ "$name" != qeff-compile ] || no_half_package "$name, allocation $n $onwards"
            tries=$((tries + 1))
        done
        n=$((n + step))
    done
    echo "$name: $tries tries in $total allocations"
}

out_of_memory qeff-compile "$tools/qeff-compile" "$seeds/model/llama" -o "$dir/out/model.qpc" --num-cores 2
out_of_memory qeff-load "$tools/qeff-load" "$seeds/package/llama.qpc" --prompt "abc" --max-new-tokens 2

# A disk that fills up: a limit on the size of files gives EFBIG where a full disk gives ENOSPC, in the same calls.
blocks=0
while [ "$blocks" -le 4200 ]; do
    got=0
    (
        trap '' XFSZ
        ulimit -f "$blocks"
        exec "$tools/qeff-compile" "$seeds/model/llama" -o "$dir/out/model.qpc" --num-cores 2
    ) >"$dir/stdout" 2>"$dir/stderr" || got=$?
    case $got in
    0) [ -e "$dir/out/model.qpc" ] || fail "limit of $blocks blocks: success, and no package" ;;
    # the sentence itself may not fit either
    1) [ "$blocks" -eq 0 ] || grep -q model.qpc "$dir/stderr" || fail "limit of $blocks blocks: $(cat "$dir/stderr")" ;;
    *) fail "limit of $blocks blocks: exit status $got: $(cat "$dir/stderr")" ;;
    esac
    no_half_package "limit of $blocks blocks"
    [ "$blocks" -lt 4096 ] && blocks=$((blocks + 512)) || blocks=$((blocks + 24))
done
echo "qeff-compile: limits on the size of files from 0 to 2 MiB"

# A file system that is full, where one may be mounted.
full() {
    mkdir -p "$dir/mount"
    unshare -rm sh -c "mount -t tmpfs -o size=$1 tmpfs '$dir/mount' || exit 77
        '$tools/qeff-compile' '$seeds/model/bert' -o '$dir/mount/model.qpc' --num-cores 2 >/dev/null 2>'$dir/stderr'
        echo \$? >'$dir/status'
        ls -A '$dir/mount' >'$dir/left'" 2>/dev/null
}
if full 4k; then
    for size in 4k 16k 32k; do
        full "$size"
        [ "$(cat "$dir/status")" -eq 1 ] || fail "full file system of $size: exit status $(cat "$dir/status")"
        grep -q "model.qpc.*No space" "$dir/stderr" || fail "full file system of $size: $(cat "$dir/stderr")"
        [ ! -s "$dir/left" ] || fail "full file system of $size: left $(cat "$dir/left")"
    done
    echo "qeff-compile: full file systems of 4 to 32 KiB"
else
    echo "no file system can be mounted here: the limits on files stand for a full one"
fi

# Output that goes nowhere.
for command in "qeff-compile $seeds/model/llama -o $dir/out/model.qpc" "qeff-load $seeds/package/llama.qpc --prompt a" \
    "qeff-qpc info $seeds/package/llama.qpc" "qeff-qpc verify $seeds/package/llama.qpc" "qeff-stat"; do
    got=0
    # shellcheck disable=SC2086
    "$tools/"$command >/dev/full 2>"$dir/stderr" || got=$?
    [ "$got" -eq 1 ] || fail "$command: standard output is full, exit status $got"
    [ -s "$dir/stderr" ] || fail "$command: standard output is full, and not a word"
done
no_half_package "full standard output"
echo "tools: full standard output"
