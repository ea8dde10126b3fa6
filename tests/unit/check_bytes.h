/* SPDX-License-Identifier: MIT */
/* Comparing bytes that are mostly text, with both sides in the output when they differ. */
#ifndef QEFF_TESTS_CHECK_BYTES_H
#define QEFF_TESTS_CHECK_BYTES_H

#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static inline void check_bytes(const char *what, const void *got, size_t got_bytes,
			       const void *expected, size_t expected_bytes)
{
	const bool same =
		got_bytes == expected_bytes && (!got_bytes || !memcmp(got, expected, got_bytes));

	CU_ASSERT(same);
	if (!same)
		fprintf(stderr, "%s: expected \"%.*s\", found \"%.*s\"\n", what,
			(int)expected_bytes, (const char *)expected, (int)got_bytes,
			(const char *)got);
}

#endif
