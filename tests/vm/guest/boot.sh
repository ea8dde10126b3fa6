# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The least a guest can do: the kernel is the one expected, its modules are loaded, nothing has tainted it.
# shellcheck source=tap.sh
. /lib/tap.sh

check "kernel $RELEASE" [ "$(uname -r)" = "$RELEASE" ]
for module in mhi drm drm_shmem_helper; do
    check "module $module" [ -d "/sys/module/$module" ]
done
check "panic_on_warn" [ "$(cat /proc/sys/kernel/panic_on_warn)" = 1 ]
check "panic_on_oops" [ "$(cat /proc/sys/kernel/panic_on_oops)" = 1 ]
check "not tainted" [ "$(cat /proc/sys/kernel/tainted)" = 0 ]
plan
