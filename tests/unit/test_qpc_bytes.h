/* SPDX-License-Identifier: MIT */
/*
 * For tests of package formats: bytes written down by hand, a little-endian pen that knows no
 * format, and copies of exactly the length under test, so that a read past the end is seen by the
 * sanitizers.
 */
#ifndef QEFF_TESTS_QPC_BYTES_H
#define QEFF_TESTS_QPC_BYTES_H

#include <qeff/error.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number as the bytes of an initialiser. */
#define LE16(v) (uint8_t)(v), (uint8_t)((v) >> 8)
#define LE32(v) LE16((uint32_t)(v)), LE16((uint32_t)(v) >> 16)
#define LE64(v) LE32((uint64_t)(v)), LE32((uint64_t)(v) >> 32)

struct pen {
	uint8_t bytes[8192];
	size_t n;
};

static inline void set(uint8_t *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
}

static inline void put(struct pen *p, uint64_t value, size_t size)
{
	set(p->bytes + p->n, value, size);
	p->n += size;
}

static inline void pad_to(struct pen *p, size_t alignment)
{
	while (p->n % alignment)
		p->bytes[p->n++] = 0;
}

static inline void *exact_copy(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* Whether the error's sentence contains @part; shows the sentence if not. */
static inline int says(const struct qeff_error *err, const char *part)
{
	if (strstr(err->message, part))
		return 1;
	fprintf(stderr, "expected a sentence with \"%s\", found: %s\n", part, err->message);
	return 0;
}

#endif
