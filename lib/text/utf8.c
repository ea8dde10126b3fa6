/* SPDX-License-Identifier: MIT */
/* UTF-8: encoding, counting, and the replacement of what is not valid. */
#include "text/utf8.h"

size_t qeff_utf8_encode(uint8_t out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

void qeff_utf8_put(struct qeff_bytes *out, uint32_t code_point)
{
	uint8_t buffer[4];

	qeff_bytes_append(out, buffer, qeff_utf8_encode(buffer, code_point));
}

size_t qeff_utf8_count(const uint8_t *text, size_t size_bytes)
{
	size_t count = 0;

	for (size_t i = 0; i < size_bytes; i++)
		count += (text[i] & 0xc0) != 0x80;
	return count;
}

/*
 * Length of the well-formed sequence at @s, or minus the length of the maximal ill-formed part.
 * Only the second byte has a range that depends on the first (table 3-7 of the Unicode standard).
 */
static int sequence_length(const uint8_t *s, size_t left_bytes)
{
	uint8_t low = 0x80, high = 0xbf;
	int length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		length = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		length = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		length = 4;
	else
		return -1;

	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;

	for (int i = 1; i < length; i++) {
		if ((size_t)i >= left_bytes || s[i] < low || s[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

size_t qeff_utf8_valid_bytes(const uint8_t *text, size_t size_bytes)
{
	size_t at = 0;

	while (at < size_bytes) {
		int length = sequence_length(text + at, size_bytes - at);

		if (length < 0)
			break;
		at += (size_t)length;
	}
	return at;
}

void qeff_utf8_lossy(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes)
{
	while (size_bytes > 0) {
		size_t valid = qeff_utf8_valid_bytes(text, size_bytes);

		if (valid)
			qeff_bytes_append(out, text, valid);
		text += valid;
		size_bytes -= valid;
		if (size_bytes > 0) {
			size_t bad = (size_t)-sequence_length(text, size_bytes);

			qeff_utf8_put(out, QEFF_REPLACEMENT);
			text += bad;
			size_bytes -= bad;
		}
	}
}
