#!/bin/sh
# SPDX-License-Identifier: MIT
# What has threads, under ThreadSanitizer: builds <build>-tsan as far as needed and runs the tests of
# concurrency, the runtime, the transport and the software card. A data race fails its test.
set -eu

build=$1-tsan
export TSAN_OPTIONS="halt_on_error=0 exitcode=66 ${TSAN_OPTIONS:-}"

[ -f "$build/build.ninja" ] || meson setup "$build" -Db_sanitize=thread -Db_lundef=false >"$build.log" 2>&1 ||
    { cat "$build.log" >&2; exit 1; }
tests=
for name in threads lifetimes idle stops; do
    tests="$tests tests/integration/concurrency/test_concurrency_$name"
done
for name in runtime runtime_queue runtime_session device_control device_queue device_state \
    softcard_pool softcard_bridge softcard_control softcard_inference; do
    tests="$tests tests/unit/test_$name"
done
# shellcheck disable=SC2086
ninja -C "$build" $tests >"$build.log" || { cat "$build.log" >&2; exit 1; }

failed=0
for test in $tests; do
    start=$(date +%s)
    if timeout 600 "$build/$test" >"$build.log" 2>&1; then
        echo "$(basename "$test"): clean, $(($(date +%s) - start)) s"
    else
        echo "$(basename "$test"): failed"
        cat "$build.log"
        failed=1
    fi
done
exit $failed
