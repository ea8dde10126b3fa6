#!/bin/sh
# SPDX-License-Identifier: MIT
# qeff-qpc on a real package: what it prints, what it extracts, what it refuses, and with which exit status.
set -eu

compile=$1
qpc=$2
model=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
package=$dir/model.qpc

fail() {
    echo "$*" >&2
    exit 1
}

# expect STATUS COMMAND...: its output goes to $dir/out and $dir/err
expect() {
    status=$1
    shift
    got=0
    "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ "$got" -eq "$status" ] || fail "$*: exit status $got, expected $status: $(cat "$dir/err")"
}

says() {
    grep -q -- "$1" "$dir/$2" || fail "no \"$1\" in: $(cat "$dir/$2")"
}

"$compile" "$model" -o "$package" >/dev/null
"$compile" "$model" -o "$dir/again.qpc" >/dev/null
cmp "$package" "$dir/again.qpc" || fail "two compilations differ"

expect 0 "$qpc" verify "$package"
says ": valid" out
expect 0 "$qpc" info "$package"
says "input_ids .*int64" out
says "constants.bin .* 2097152 " out
says "without code for a real card" out
expect 0 "$qpc" info "$package" --json
says '"name": "network.elf"' out
says '"has_code": false' out
[ ! -s "$dir/err" ] || fail "a healthy package made it complain: $(cat "$dir/err")"

# a segment is extracted as it stands in the package
expect 0 "$qpc" extract "$package" -o "$dir/parts" constants.bin generation.json
[ "$(ls "$dir/parts" | tr '\n' ' ')" = "constants.bin generation.json " ] || fail "extracted: $(ls "$dir/parts")"
tail -c +2097153 "$package" | cmp - "$dir/parts/constants.bin"
expect 0 "$qpc" extract "$package" -o "$dir/parts" --json
says '"name": "network.elf"' out
cmp "$model/tokenizer.json" "$dir/parts/tokenizer.json"
# a folder with the package in it stands for the package
cp "$package" "$dir/parts/programqpc.bin"
expect 0 "$qpc" verify "$dir/parts"

# the graph at each stage, and the program, which is the same from the package
expect 0 "$qpc" graph "$model"
says "^== built$" out
says "^== Pooling$" out
says "^== program$" out
sed -n '/^== program$/,$p' "$dir/out" >"$dir/program"
[ "$(grep -c '^input ' "$dir/out")" -ge 2 ] || fail "no inputs in: $(cat "$dir/out")"
expect 0 "$qpc" graph "$package"
cmp "$dir/out" "$dir/program" || fail "the package has another program than its model"
says "MATMUL .*query.*weights 128 x 128 f32" out
expect 0 "$qpc" graph "$model" --stage built
says "^output last_hidden_state" out
expect 1 "$qpc" graph "$model" --stage Nothing
says 'no stage "Nothing"' err
expect 1 "$qpc" graph "$dir/cut.qpc"
expect 2 "$qpc" graph "$package" --json
expect 2 "$qpc" info "$package" --svg "$dir/x.svg"
if command -v dot >/dev/null; then
    expect 0 "$qpc" graph "$package" --svg "$dir/program.svg"
    grep -q "<svg" "$dir/program.svg" || fail "no picture"
    expect 0 "$qpc" graph "$model" --svg "$dir/pictures/"
    [ -s "$dir/pictures/01-built.svg" ] || fail "pictures: $(ls "$dir/pictures")"
    [ "$(ls "$dir/pictures" | grep -c -v '\.svg$')" -eq 0 ] || fail "left over: $(ls "$dir/pictures")"
else
    expect 1 env PATH=/nonexistent "$qpc" graph "$package" --svg "$dir/program.svg"
    says "graphviz" err
fi

head -c 3000000 "$package" >"$dir/cut.qpc"
expect 1 "$qpc" verify "$dir/cut.qpc"
says "cut.qpc: .*truncated" err
expect 1 "$qpc" verify "$dir/cut.qpc" --json
says '"valid": false' out
# a damaged descriptor does not hide the rest
offset=$("$qpc" info "$package" | awk '$1 == "networkdesc.bin" { print $2 }')
cp "$package" "$dir/damaged.qpc"
printf '\377\377\377\377' | dd of="$dir/damaged.qpc" bs=1 seek="$offset" conv=notrunc 2>/dev/null
expect 1 "$qpc" info "$dir/damaged.qpc"
says "without code for a real card" out
says "network descriptor" err
expect 1 "$qpc" verify "$dir/damaged.qpc"
expect 1 "$qpc" extract "$package" -o "$dir/parts" nothing
says 'no segment "nothing"' err
expect 1 "$qpc" verify "$dir/missing.qpc"
if [ -e /dev/full ]; then
    got=0
    "$qpc" info "$package" >/dev/full 2>/dev/null || got=$?
    [ "$got" -eq 1 ] || fail "a full disk went unnoticed"
fi

expect 2 "$qpc"
expect 2 "$qpc" look "$package"
expect 2 "$qpc" extract "$package"
expect 2 "$qpc" info "$package" -o "$dir"
expect 2 "$qpc" info "$package" --no-such-option
expect 0 "$qpc" --help
says "^Usage: qeff-qpc" out
[ "$(wc -l <"$dir/out")" -le 24 ] || fail "--help does not fit a screen"
