/* SPDX-License-Identifier: MIT */
/* Arithmetic on sizes that came from outside: true means it fitted. */
#ifndef QEFF_UTIL_CHECKED_H
#define QEFF_UTIL_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool qeff_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool qeff_mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* Whether [offset, offset + size) lies inside [0, total). Every reader of a file goes through this.
 */
static inline bool qeff_range_valid(uint64_t offset, uint64_t size, uint64_t total)
{
	return offset <= total && size <= total - offset;
}

/* Rounds up to a power of two; false on overflow. */
static inline bool qeff_align_u64(uint64_t value, uint64_t alignment, uint64_t *aligned)
{
	if (!qeff_add_u64(value, alignment - 1, aligned))
		return false;
	*aligned &= ~(alignment - 1);
	return true;
}

#endif
