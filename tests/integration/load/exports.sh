#!/bin/sh
# SPDX-License-Identifier: MIT
# What libqeff.so exports is what its headers declare and its map lists, all with the prefix.
set -eu

library=$1
map=$2
headers=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$dir/exported"
sed -n 's/^[[:space:]]*\([a-z0-9_]*\);$/\1/p' "$map" | sort >"$dir/listed"
# a declaration follows QEFF_API; its name stands in front of the first parenthesis
grep -hv "define QEFF_API" "$headers"/*.h | tr '\n' ' ' | grep -o 'QEFF_API [^(;]*(' | sed 's/.*[ *]\([a-z0-9_]*\)($/\1/' |
    sort >"$dir/declared"

[ -s "$dir/exported" ]
if grep -v '^qeff_' "$dir/exported"; then
    echo "exported without the prefix qeff_" >&2
    exit 1
fi
diff "$dir/listed" "$dir/exported"
diff "$dir/declared" "$dir/exported"
