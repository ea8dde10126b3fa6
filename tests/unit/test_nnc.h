/* SPDX-License-Identifier: MIT */
/*
 * Byte vectors written by hand: offsets and values stand in the tests as hexadecimal text, so that
 * encoder, decoder and structs cannot agree on a mistake.
 */
#ifndef QEFF_TESTS_NNC_H
#define QEFF_TESTS_NNC_H

#include "unit.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* Bytes from hexadecimal digits; blanks are ignored, "*n" repeats the byte before n times in all.
 */
static inline size_t hex(uint8_t *out, size_t room, const char *text)
{
	size_t size = 0;
	char *end;

	while (*text) {
		if (isspace((unsigned char)*text)) {
			text++;
		} else if (*text == '*') {
			size_t times = strtoul(text + 1, &end, 10);

			text = end;
			for (size_t i = 1; i < times && size < room; i++, size++)
				out[size] = out[size - 1];
		} else {
			char pair[3] = { text[0], text[1], 0 };

			if (size < room)
				out[size++] = (uint8_t)strtoul(pair, NULL, 16);
			text += 2;
		}
	}
	return size;
}

static inline void check_bytes(const void *found, size_t found_bytes, const char *expected)
{
	uint8_t bytes[8192];
	size_t size = hex(bytes, sizeof(bytes), expected);
	size_t at = 0;

	CU_ASSERT_EQUAL(found_bytes, size);
	while (at < found_bytes && at < size && ((const uint8_t *)found)[at] == bytes[at])
		at++;
	if (at != size || size != found_bytes)
		fprintf(stderr, "%zu bytes, expected %zu, first difference at %zu\n", found_bytes,
			size, at);
	CU_ASSERT_EQUAL(at, size);
}

#endif
