/* SPDX-License-Identifier: MIT */
/* An allocator that fails on demand and counts what is not given back. */
#ifndef QEFF_TESTS_FAILING_MALLOC_H
#define QEFF_TESTS_FAILING_MALLOC_H

#include <stdbool.h>

/* The @number-th allocation from now on (1: the next) fails; with @onwards, all after it as well.
 */
void failing_malloc_arm(long number, bool onwards);
/* No more failures. Says whether there was one. */
bool failing_malloc_disarm(void);
/* Blocks that were allocated and not freed. */
long failing_malloc_live(void);

#endif
