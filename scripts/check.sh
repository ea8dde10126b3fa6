#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the test suites (all, or those named) of a build directory: minutes per suite, CUnit's own summaries, and a
# closing line with the totals. Exits 1 if anything failed, and if a suite has no tests: its name is wrong, or nothing was
# built. Tests that are skipped fail nothing, even if that is all of them; the closing line says so.
set -u

build=$1
shift
suites=${*:-unit integration onnx vm}
passed=0
failed=0
skipped=0

count() { # lines of meson's JSON log with this result
    grep -c "\"result\": \"$1\"" "$build/meson-logs/testlog-$suite.json" || true
}

for suite in $suites; do
    start=$(date +%s)
    meson test -C "$build" --no-rebuild --suite "$suite" --logbase "testlog-$suite" \
        --print-errorlogs --num-processes "$(nproc)" || true
    seconds=$(($(date +%s) - start))
    if [ "$suite" = unit ]; then
        # CUnit's summaries, one a program
        grep -E '^(=+ [0-9]+/|Run Summary|Suite:|  Test:|Run Summary:| +(suites|tests|asserts))' \
            "$build/meson-logs/testlog-$suite.txt" | grep -E 'Suite:|Run Summary|suites|tests|asserts' || true
    fi
    if [ "$suite" = onnx ]; then
        # the scores of ONNX's own tests
        grep -E ' of [0-9]+ pass, ' "$build/meson-logs/testlog-$suite.txt" || true
    fi
    ok=$(count OK)
    skip=$(count SKIP)
    bad=$(($(grep -c '"result"' "$build/meson-logs/testlog-$suite.json" || true) - ok - skip))
    awk -v s="$suite" -v t="$seconds" -v a="$ok" -v b="$bad" -v c="$skip" \
        'BEGIN { printf "suite %s: %.1f minutes, %d passed, %d failed, %d skipped\n", s, t / 60, a, b, c }'
    grep '"result": "SKIP"' "$build/meson-logs/testlog-$suite.json" |
        sed -E 's/.*"name": "([^"]*)".*/  skipped: \1/'
    if [ $((ok + skip + bad)) -eq 0 ]; then
        echo "suite $suite: no tests" >&2
        bad=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
done

none=
[ $((passed + failed)) -ne 0 ] || none=": nothing was tested"
echo "$passed passed, $failed failed, $skipped skipped$none"
[ "$failed" -eq 0 ]
