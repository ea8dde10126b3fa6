#!/bin/sh
# SPDX-License-Identifier: MIT
# Formatting, licences, static analysis, and the few rules of this tree that a script can check.
set -u

build=$1
status=0
fail() {
    echo "lint: $*" >&2
    status=1
}

sources=$(git ls-files '*.c' '*.h')
# shellcheck disable=SC2086
clang-format --dry-run --Werror $sources || fail "run 'make format'"
# the id "GPL-2.0 WITH Linux-syscall-note" is what the kernel's headers carry; SPDX calls GPL-2.0 deprecated
reuse lint >"$build/reuse.txt" 2>&1 || true
grep -q '^\* Bad licenses:$' "$build/reuse.txt" && grep -q '^\* Missing licenses:$' "$build/reuse.txt" &&
    grep -q '^\* Deprecated licenses: GPL-2.0$' "$build/reuse.txt" &&
    awk '/^\* Files with/ { if ($(NF - 2) != $NF) exit 1 }' "$build/reuse.txt" ||
    { cat "$build/reuse.txt"; fail "reuse lint"; }
cppcheck --quiet --error-exitcode=1 --inline-suppr --suppressions-list=.cppcheck \
    --enable=warning,portability --project="$build/compile_commands.json" -j "$(nproc)" || fail "cppcheck"

for file in $(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.build' '*.proto' '*.map' '*.yml' Makefile Kbuild dkms.conf); do
    head -n 3 "$file" | grep -q SPDX-License-Identifier || fail "$file: no SPDX line"
done
grep -q "^## $(cat VERSION)\$" CHANGELOG.md || fail "CHANGELOG.md: no heading for version $(cat VERSION)"

# Includes never point up the table of docs/design/architecture.md.
scripts/check-includes.sh || fail "include rules"
exit $status
