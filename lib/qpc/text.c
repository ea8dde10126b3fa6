/* SPDX-License-Identifier: MIT */
/* The one check of names that come from a file. */
#include "qpc/text.h"

#include <utf8proc.h>

bool qeff_text_valid(const char *text, size_t size_bytes)
{
	const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;

	while (size_bytes) {
		size_t chunk = size_bytes < 4 ? size_bytes : 4;
		utf8proc_int32_t codepoint;
		utf8proc_ssize_t n = utf8proc_iterate(at, (utf8proc_ssize_t)chunk, &codepoint);

		if (n <= 0 || codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0))
			return false;
		at += n;
		size_bytes -= (size_t)n;
	}
	return true;
}
