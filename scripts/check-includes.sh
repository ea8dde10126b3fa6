#!/bin/sh
# SPDX-License-Identifier: MIT
# The include table of docs/design/architecture.md, enforced: folder, then the private folders it may include from.
set -u

status=0
allowed() {
    case $1 in
    lib/util) echo "util" ;;
    lib/qpc) echo "qpc util" ;;
    lib/nnc) echo "nnc util" ;;
    lib/nsp) echo "nsp util" ;;
    lib/softcard) echo "softcard nnc qpc nsp util" ;;
    lib/device) echo "device nnc util softcard/card.h softcard/trace.h" ;;
    lib/runtime) echo "runtime device nnc qpc util nsp/program.h" ;;
    lib/text) echo "text runtime util" ;;
    compiler/checkpoint) echo "checkpoint graph util" ;;
    compiler/graph) echo "graph nsp/half.h util" ;;
    compiler/models) echo "models checkpoint graph nsp/half.h nsp/mx.h nsp/pack.h nsp/program.h util" ;;
    compiler/transforms) echo "transforms checkpoint graph nsp util" ;;
    compiler/onnx) echo "onnx graph nsp util" ;;
    compiler/lower) echo "lower graph nsp qpc util" ;;
    compiler/auto | examples) echo "" ;;
    # of the tools only qeff-vcard: it is the card itself behind a socket
    tools) echo "softcard/pcie device/soft_config.h util/log.h" ;;
    *) echo "*" ;;
    esac
}

for folder in lib/util lib/qpc lib/nnc lib/nsp lib/softcard lib/device lib/runtime lib/text compiler/checkpoint \
    compiler/graph compiler/models compiler/transforms compiler/onnx compiler/lower compiler/auto tools examples; do
    list=$(allowed "$folder")
    for file in $(git ls-files "$folder/*.c" "$folder/*.h"); do
        sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file" | while read -r header; do
            case $header in
            */*) ;;
            *) continue ;; # beside the file, or generated
            esac
            ok=
            for entry in $list; do
                case $header in
                "$entry" | "$entry"/*) ok=1 ;;
                esac
            done
            [ -n "$ok" ] || echo "$file includes \"$header\""
        done
    done
done >"${TMPDIR:-/tmp}/qeff-includes.$$"
if [ -s "${TMPDIR:-/tmp}/qeff-includes.$$" ]; then
    cat "${TMPDIR:-/tmp}/qeff-includes.$$"
    status=1
fi
rm -f "${TMPDIR:-/tmp}/qeff-includes.$$"
exit $status
