#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/embed.c prints what qeff-load embeds, is shorter than 40 lines, and says plainly what is wrong.
# usage: embed.sh EMBED QEFF_COMPILE QEFF_LOAD MODELS_DIR EMBED_C
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ "$(wc -l <"$5")" -lt 40 ]
QEFF_HOME=$work/home "$1" "$4/tiny-bert-embed" "My name is" >"$work/example"
[ -f "$work/home/packages/tiny-bert-embed-"*"/programqpc.bin" ] # in the cache
QEFF_HOME=$work/home "$1" "$4/tiny-bert-embed" "My name is" >"$work/again"
cmp "$work/example" "$work/again"
"$2" "$4/tiny-bert-embed" -o "$work/x.qpc" --pooling mean --num-cores 16 >"$work/log"
"$3" "$work/x.qpc" -d soft --text "My name is" >"$work/tool"
# same numbers: six decimals against seven digits
head -n 1 "$work/tool" | tr ' ' '\n' >"$work/a"
tr ' ' '\n' <"$work/example" >"$work/b"
paste "$work/a" "$work/b" | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-6 || NF != 2) exit 1; n++ } END { exit n != 128 }'
if QEFF_HOME=$work/home "$1" "$work/nothing" 2>"$work/error"; then
    exit 1
fi
grep -q "nothing" "$work/error"
