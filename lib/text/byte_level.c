/* SPDX-License-Identifier: MIT */
/*
 * GPT-2's byte alphabet: visible Latin-1 characters stand for themselves, the 68 other bytes get
 * the characters from U+0100 on, in order.
 */
#include "text/byte_level.h"

#include "text/utf8.h"

static bool is_visible(unsigned int byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

static unsigned int invisible_before(unsigned int byte)
{
	/* 0-0x20 come first, then 0x7f-0xa0, then 0xad */
	if (byte <= 0x20)
		return byte;
	return byte <= 0xa0 ? 0x21 + byte - 0x7f : 0x43;
}

void qeff_byte_level_encode(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		qeff_utf8_put(out,
			      is_visible(text[i]) ? text[i] : 0x100 + invisible_before(text[i]));
}

static bool byte_of(uint32_t c, uint8_t *byte)
{
	if (c < 0x100) {
		*byte = (uint8_t)c;
		return is_visible(c);
	}
	if (c > 0x143)
		return false;
	c -= 0x100;
	*byte = (uint8_t)(c <= 0x20 ? c : c < 0x43 ? 0x7f + c - 0x21 : 0xad);
	return true;
}

void qeff_byte_level_decode(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes)
{
	const size_t before = out->size_bytes;

	for (size_t at = 0; at < size_bytes;) {
		uint8_t byte;

		if (!byte_of(qeff_utf8_next(text, &at), &byte)) {
			out->size_bytes = before;
			qeff_bytes_append(out, text, size_bytes);
			return;
		}
		qeff_bytes_u8(out, byte);
	}
}
