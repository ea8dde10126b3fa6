# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# TAP for the guest's scripts: check NAME COMMAND..., pass, fail, skip, and plan at the end. A script that ends without
# its plan has failed, whatever it printed before.
tests=0

pass() { # name
    tests=$((tests + 1))
    echo "ok $tests - $*"
}

fail() { # name
    tests=$((tests + 1))
    echo "not ok $tests - $*"
}

skip() { # name, reason
    tests=$((tests + 1))
    echo "ok $tests - $1 # SKIP $2"
}

# The command's output is shown when it fails.
check() { # name command...
    name=$1
    shift
    if "$@" >/tmp/check.log 2>&1; then
        pass "$name"
    else
        code=$?
        fail "$name (exit $code)"
        sed 's/^/#   /' /tmp/check.log
    fi
}

plan() {
    echo "1..$tests"
}

# Waits for a condition, looking 20 times a second.
within() { # seconds command...
    left=$(($1 * 20))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        usleep 50000
    done
}
