#!/bin/sh
# SPDX-License-Identifier: MIT
# The regression guard: instructions of six fixed workloads, counted by callgrind on one CPU with the AVX2 kernels, beside those
# recorded in counts.txt. Instructions do not depend on what else the machine does; they do on the compiler, so that a
# count is judged (2 % more fails) only where the compiler is the one it was recorded with.
# usage: counts.sh BENCH_NSP QEFF_COMPILE SOURCE_ROOT [--record]
set -eu
nsp=$1 compile=$2 root=$3 record=${4:-}
recorded=$root/tests/bench/counts.txt
for tool in valgrind taskset; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
grep -qw avx2 /proc/cpuinfo || { echo "skipped: this CPU has no AVX2"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compiler=$(readelf -p .comment "$nsp" | sed -n 's/.*] *//p' | head -n 1)

count() { # name, then options of callgrind up to "--", then the command
    name=$1
    shift
    options=
    while [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    taskset -c 0 valgrind --tool=callgrind --callgrind-out-file="$work/out" $options "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    echo "$name $(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log")" >>"$work/counts"
}

for kind in f32 bf16 int8 attention; do
    count $kind --toggle-collect=qeff_nsp_host_run -- "$nsp" avx2 $kind
done
for model in tiny-llama-stories tiny-bert-embed; do
    count "compile-$model" -- "$compile" "$root/tests/data/models/$model" -o "$work/$model.qpc" --no-cache
done

if [ "$record" = --record ]; then
    {
        echo '# SPDX-License-Identifier: MIT'
        echo '# Instructions of the workloads of counts.sh, which writes this file (--record).'
        echo "compiler $compiler"
        cat "$work/counts"
    } >"$recorded"
fi
same=0
[ "$(sed -n 's/^compiler //p' "$recorded")" != "$compiler" ] || same=1
awk -v same=$same '
    FNR == NR { before[$1] = $2; next }
    { ratio = before[$1] ? $2 / before[$1] : 0
      more = ratio > 1.02; bad += more
      printf "%-28s %12.1f million instructions, %6.3f of those recorded%s\n", $1, $2 / 1e6, ratio, more ? "  MORE" : "" }
    END { if (!same) print "recorded with another compiler: not judged"
          exit same && bad }' "$recorded" "$work/counts"
