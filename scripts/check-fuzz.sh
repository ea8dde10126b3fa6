#!/bin/sh
# SPDX-License-Identifier: MIT
# Hostile input. Builds the harnesses of tests/fuzz with AddressSanitizer and UndefinedBehaviorSanitizer into BUILD-fuzz,
# then replays what they start from and what was found and kept (tests/fuzz/corpus), corrupts the former and cuts it
# short, and runs out of memory and disk. docs/fuzzing.md says how to go on from a failure.
#   check-fuzz.sh BUILD [COUNT [CAMPAIGN_SECONDS]]: COUNT corruptions of each kind of file; libFuzzer so long on each.
#   From 100,000 on, every allocation fails in turn; below, every 5th, and every 23rd of the tools
set -eu

build=$1
count=${2:-1500}
campaign=${3:-0}
root=$(pwd)
case $build in
/*) ;;
*) build=$root/$build ;;
esac
fuzz=$build-fuzz
seeds=$fuzz/seeds
kept=$root/tests/fuzz/corpus
step=$((count >= 100000 ? 1 : 5))
tools_step=$((count >= 100000 ? 1 : 23))
# the long run is the one that the four kinds of file owe; the others get a tenth
few=$((count >= 100000 ? count / 10 : count))

[ -f "$fuzz/build.ninja" ] || meson setup "$fuzz" -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C "$fuzz" --quiet build.ninja # so that the list of targets is today's
programs=$(ninja -C "$fuzz" -t targets all | sed -n 's|^\(tests/fuzz/fuzz_[a-z]*\):.*|\1|p')
# shellcheck disable=SC2086
ninja -C "$fuzz" --quiet $programs
# ONNX's own tests (Debian's libonnx-testdata), where they are, are seeds as well
python3 tests/fuzz/make_seeds.py "$seeds" "$build/tools/qeff-compile" "$root" \
    "${QEFF_ONNX_TESTS:-/usr/share/libonnx-testdata/data}"
cd "$fuzz"

kept_of() { # SEEDS: the folder of what was kept, or again the seeds
    if [ -d "$kept/$1" ]; then echo "$kept/$1"; else echo "$seeds/$1"; fi
}

run() { # HARNESS MODEL ARGUMENT...
    harness=$1
    model=$2
    shift 2
    QEFF_FUZZ_MODEL=$seeds/model/$model "tests/fuzz/fuzz_$harness" "$@"
}

each() { # HARNESS MODEL COUNT SEEDS: replay and corrupt
    run "$1" "$2" replay "$seeds/$4" "$(kept_of "$4")"
    run "$1" "$2" corrupt --count "$3" --seed 1 "$seeds/$4"
}

each package llama "$count" packed
each safetensors llama "$count" safetensors-llama
each config llama "$count" config-llama
each model arch "$count" model_input
each pipeline arch "$count" pipeline
each onnx llama "$count" onnx
[ ! -d "$seeds/onnx_tests" ] || each onnx llama "$count" onnx_tests
each tokenizer llama "$count" tokenizer
each safetensors bert "$few" safetensors-bert
each config bert "$few" config-bert
each index sharded "$few" index
each modules bert "$few" modules
each generation llama "$few" generation
each specializations llama "$few" specializations
each npy llama "$few" npy
each wire llama "$few" wire
each reply llama "$few" reply
run package llama truncate "$seeds/package/llama.qpc"

for what in "compile $seeds/model/llama" "compile $seeds/model/bert" "run $seeds/package/llama.qpc" \
    "embed $seeds/package/bert.qpc" "tokenize $seeds/tokenizer/tiny-llama.json" "tokenize $seeds/tokenizer/tiny-bert.json"; do
    # shellcheck disable=SC2086
    "$build/tests/fuzz/no_memory" $what "$step"
done
"$root/tests/fuzz/hostile_tools.sh" "$build/tools" "$build/tests/fuzz/libfailing_malloc.so" "$seeds" "$tools_step"

[ "$campaign" -gt 0 ] || exit 0
cd "$root"
lib=$build-libfuzzer
[ -f "$lib/build.ninja" ] || CC=clang meson setup "$lib" -Dfuzz=true -Dwerror=false -Db_sanitize=address,undefined \
    -Db_lundef=false >/dev/null
ninja -C "$lib" --quiet build.ninja
programs=$(ninja -C "$lib" -t targets all | sed -n 's|^\(tests/fuzz/libfuzzer_[a-z]*\):.*|\1|p')
# shellcheck disable=SC2086
ninja -C "$lib" --quiet $programs
cd "$lib"

campaign() { # HARNESS MODEL SEEDS: what it finds worth keeping stays for the next run
    mkdir -p "corpus/$1-$2"
    QEFF_FUZZ_MODEL=$seeds/model/$2 "tests/fuzz/libfuzzer_$1" -max_total_time="$campaign" -timeout=30 \
        -rss_limit_mb=4096 -malloc_limit_mb=64 -max_len=65536 -print_final_stats=1 -artifact_prefix="failed-$1-" \
        "corpus/$1-$2" "$seeds/$3" "$(kept_of "$3")" >"campaign-$1-$2.log" 2>&1 || {
        tail -n 40 "campaign-$1-$2.log" >&2
        exit 1
    }
    echo "libfuzzer_$1 ($2): $(sed -n 's/^stat::number_of_executed_units: *//p' "campaign-$1-$2.log") executions," \
        "$(find "corpus/$1-$2" -type f | wc -l) inputs kept"
}

campaign package llama packed
campaign safetensors llama safetensors-llama
campaign safetensors bert safetensors-bert
campaign config llama config-llama
campaign config bert config-bert
campaign model arch model_input
campaign pipeline arch pipeline
campaign onnx llama onnx
campaign tokenizer llama tokenizer
campaign index sharded index
campaign modules bert modules
campaign generation llama generation
campaign specializations llama specializations
campaign npy llama npy
campaign wire llama wire
campaign reply llama reply
