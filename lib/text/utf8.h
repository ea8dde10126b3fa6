/* SPDX-License-Identifier: MIT */
/* UTF-8: one code point at a time over text that is known to be valid, and the step that makes it
 * so. */
#ifndef QEFF_TEXT_UTF8_H
#define QEFF_TEXT_UTF8_H

#include "util/bytes.h"

#define QEFF_REPLACEMENT 0xfffdu

/* Code point at *@at of valid UTF-8; steps over it. */
static inline uint32_t qeff_utf8_next(const uint8_t *text, size_t *at)
{
	const uint8_t *s = text + *at;

	if (s[0] < 0x80) {
		*at += 1;
		return s[0];
	}
	if (s[0] < 0xe0) {
		*at += 2;
		return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	}
	if (s[0] < 0xf0) {
		*at += 3;
		return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	}
	*at += 4;
	return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

/* Offset of the code point that ends at @at (> 0) of valid UTF-8. */
static inline size_t qeff_utf8_previous(const uint8_t *text, size_t at)
{
	do
		at--;
	while (at > 0 && (text[at] & 0xc0) == 0x80);
	return at;
}

/* Encodes a scalar value; returns how many of the four bytes it took. */
size_t qeff_utf8_encode(uint8_t out[4], uint32_t code_point);
void qeff_utf8_put(struct qeff_bytes *out, uint32_t code_point);

/* Number of code points in valid UTF-8. */
size_t qeff_utf8_count(const uint8_t *text, size_t size_bytes);

/* How many bytes at the start of @text are valid UTF-8. */
size_t qeff_utf8_valid_bytes(const uint8_t *text, size_t size_bytes);

/*
 * Appends @text to @out with U+FFFD in place of every maximal ill-formed part, as the Unicode
 * standard recommends (chapter 3, "U+FFFD Substitution of Maximal Subparts") and Rust and Python
 * do.
 */
void qeff_utf8_lossy(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes);

#endif
