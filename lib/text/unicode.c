/* SPDX-License-Identifier: MIT */
/*
 * Character classes and normal forms. The data is utf8proc's; here are the definitions of the
 * classes, the exceptions of late.h, and a canonical ordering that is not quadratic in the number
 * of marks.
 */
#include "text/unicode.h"

#include "text/late.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

static bool in_ranges(const struct late_range *ranges, size_t count, uint32_t c)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c < ranges[middle].first)
			high = middle;
		else if (c > ranges[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

#define IS_LATE(table, c) in_ranges(table, sizeof(table) / sizeof((table)[0]), c)

bool qeff_char_is_white(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

bool qeff_char_is_numeric(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
		return true;
	default:
		return false;
	}
}

bool qeff_char_is_punctuation(uint32_t c)
{
	if (c < 0x80)
		return (c >= 0x21 && c <= 0x2f) || (c >= 0x3a && c <= 0x40) ||
		       (c >= 0x5b && c <= 0x60) || (c >= 0x7b && c <= 0x7e);
	/* these two were punctuation in Unicode 8.0 */
	if (c == 0x166d || c == 0x111c9)
		return true;
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_PC:
	case UTF8PROC_CATEGORY_PD:
	case UTF8PROC_CATEGORY_PS:
	case UTF8PROC_CATEGORY_PE:
	case UTF8PROC_CATEGORY_PI:
	case UTF8PROC_CATEGORY_PF:
	case UTF8PROC_CATEGORY_PO:
		return !IS_LATE(late_punctuation, c);
	default:
		return false;
	}
}

bool qeff_char_is_control(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CO:
		return !IS_LATE(late_other, c);
	default:
		return false;
	}
}

bool qeff_char_is_nonspacing(uint32_t c)
{
	if (c == 0x1734)
		return true;
	return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN &&
	       !IS_LATE(late_nonspacing, c);
}

bool qeff_char_is_combining(uint32_t c)
{
	if (c == 0x1cf2 || c == 0x1cf3)
		return true;
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ME:
		return !IS_LATE(late_combining, c);
	default:
		return false;
	}
}

bool qeff_char_is_ideograph(uint32_t c)
{
	return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
	       (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
	       (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

void qeff_char_lower(struct qeff_bytes *out, uint32_t c)
{
	/* The one character whose lowercase is two; utf8proc maps one to one. */
	if (c == 0x130) {
		qeff_bytes_u8(out, 'i');
		qeff_utf8_put(out, 0x307);
		return;
	}
	qeff_utf8_put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Sorts each run of marks by combining class, keeping the order of equals. utf8proc's own ordering
 * swaps neighbours, which a text of nothing but marks makes quadratic.
 */
static bool order_marks(int32_t *chars, size_t count)
{
	uint64_t *keys = NULL;
	int32_t *copy = NULL;
	size_t capacity = 0;
	bool ok = true;

	for (size_t i = 0; i < count;) {
		size_t end = i;
		int previous = 0;
		bool sorted = true;

		while (end < count) {
			int class = utf8proc_get_property(chars[end])->combining_class;

			if (class == 0)
				break;
			sorted = sorted && class >= previous;
			previous = class;
			end++;
		}
		if (!sorted) {
			size_t length = end - i;

			if (length > capacity) {
				capacity = length;
				free(keys);
				free(copy);
				keys = malloc(capacity * sizeof(*keys));
				copy = malloc(capacity * sizeof(*copy));
			}
			if (!keys || !copy) {
				ok = false;
				break;
			}
			for (size_t k = 0; k < length; k++) {
				copy[k] = chars[i + k];
				keys[k] = (uint64_t)utf8proc_get_property(copy[k])->combining_class
						  << 48 |
					  k;
			}
			qsort(keys, length, sizeof(*keys), compare_keys);
			for (size_t k = 0; k < length; k++)
				chars[i + k] = copy[keys[k] & 0xffffffffffff];
		}
		i = end + 1;
	}
	free(keys);
	free(copy);
	return ok;
}

void qeff_normal_form(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes,
		      enum qeff_normal_form form)
{
	const bool compose = form == QEFF_NFC || form == QEFF_NFKC;
	const bool compatible = form == QEFF_NFKC || form == QEFF_NFKD;
	const utf8proc_option_t options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
	struct qeff_bytes wide = { 0 };
	utf8proc_int32_t *chars;
	utf8proc_ssize_t count;

	/* No ASCII character decomposes or is a mark. */
	for (size_t i = 0; i < size_bytes && text[i] < 0x80; i++)
		if (i + 1 == size_bytes) {
			qeff_bytes_append(out, text, size_bytes);
			return;
		}

	for (size_t at = 0; at < size_bytes && !wide.failed;) {
		utf8proc_int32_t parts[32] = { 0 };
		uint32_t c = qeff_utf8_next(text, &at);
		utf8proc_ssize_t n = 1;
		int boundary = 0;

		parts[0] = (utf8proc_int32_t)c;
		if (c >= 0x80 && !IS_LATE(late_decomposition, c)) {
			n = utf8proc_decompose_char(parts[0], parts, 32, options, &boundary);
			if (n < 1 || n > 32) { /* Unicode's longest is 18 */
				parts[0] = (utf8proc_int32_t)c;
				n = 1;
			}
		}
		qeff_bytes_append(&wide, parts, (size_t)n * sizeof(parts[0]));
	}
	chars = (utf8proc_int32_t *)wide.data;
	count = (utf8proc_ssize_t)(wide.size_bytes / sizeof(*chars));
	if (wide.failed || !order_marks(chars, (size_t)count)) {
		out->failed = true;
		goto done;
	}
	if (compose && count > 0)
		count = utf8proc_normalize_utf32(chars, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	for (utf8proc_ssize_t i = 0; i < count; i++)
		qeff_utf8_put(out, (uint32_t)chars[i]);
done:
	qeff_bytes_free(&wide);
}
