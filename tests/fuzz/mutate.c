/* SPDX-License-Identifier: MIT */
/*
 * Damage: a few changes at places that matter. Binary changes put numbers there that break sums and
 * products; changes of text keep JSON mostly well formed, so that what reads the values meets them.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* xorshift64*: small, and the same everywhere. */
uint64_t fuzz_random(uint64_t *state, uint64_t limit)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return limit ? (*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % limit : 0;
}

static uint64_t awkward_number(uint64_t *state, uint64_t old, size_t size)
{
	switch (fuzz_random(state, 8)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return old + fuzz_random(state, 33) - 16;
	case 3:
		return (UINT64_C(1) << fuzz_random(state, 64)) - fuzz_random(state, 2);
	case 4:
		return size + fuzz_random(state, 17) - 8;
	case 5:
		return old * fuzz_random(state, 9);
	case 6:
		return fuzz_random(state, 300);
	default:
		return fuzz_random(state, UINT64_MAX);
	}
}

static void put_number(uint8_t *data, size_t size, size_t at, uint64_t *state)
{
	size_t width = (size_t)1 << fuzz_random(state, 4);
	uint64_t number = 0;

	/* fields are aligned, mostly */
	if (fuzz_random(state, 4))
		at -= at % width;
	if (width > size - at)
		width = size - at;
	memcpy(&number, data + at, width);
	number = awkward_number(state, number, size);
	memcpy(data + at, &number, width);
}

/* Replaces @old bytes at @at by @new ones from @with, if there is room. */
static size_t splice(uint8_t *data, size_t size, size_t capacity, size_t at, size_t old,
		     const void *with, size_t new_bytes)
{
	if (old > size - at)
		old = size - at;
	if (size - old + new_bytes > capacity)
		return size;
	memmove(data + at + new_bytes, data + at + old, size - at - old);
	memcpy(data + at, with, new_bytes);
	return size - old + new_bytes;
}

static size_t change_bytes(uint8_t *data, size_t size, size_t capacity, size_t at, uint64_t *state)
{
	uint8_t chunk[64];
	size_t length = 1 + fuzz_random(state, sizeof(chunk) - 1);
	size_t from = fuzz_random(state, size);

	if (length > size - at)
		length = size - at;
	if (length > size - from)
		length = size - from;
	switch (fuzz_random(state, 12)) {
	case 0:
		data[at] = (uint8_t)fuzz_random(state, 256);
		return size;
	case 1:
	case 2:
		data[at] ^= (uint8_t)(1u << fuzz_random(state, 8));
		return size;
	case 3:
		memmove(data + at, data + from, length);
		return size;
	case 4:
		memset(data + at, fuzz_random(state, 2) ? 0 : 0xff, length);
		return size;
	case 5:
		memcpy(chunk, data + from, length);
		return splice(data, size, capacity, at, fuzz_random(state, 2) ? length : 0, chunk,
			      length);
	case 6:
		return splice(data, size, capacity, at, fuzz_random(state, 2) ? length : 1, chunk,
			      0);
	default:
		put_number(data, size, at, state);
		return size;
	}
}

/* ---- text ---- */

static bool is_word(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '-' || c == '.' || c == '+';
}

/* The word, string or sign around @at. */
static struct fuzz_region token_at(const uint8_t *data, size_t size, size_t at)
{
	size_t begin = at, end = at + 1;

	if (is_word(data[at])) {
		while (begin > 0 && is_word(data[begin - 1]))
			begin--;
		while (end < size && is_word(data[end]))
			end++;
	}
	return (struct fuzz_region){ begin, end - begin };
}

static size_t change_text(uint8_t *data, size_t size, size_t capacity, size_t at, uint64_t *state)
{
	static const char *const odd[] = {
		"0",
		"-1",
		"1",
		"2",
		"3",
		"7",
		"65536",
		"2147483647",
		"2147483648",
		"4294967295",
		"4294967296",
		"9223372036854775807",
		"18446744073709551615",
		"1e308",
		"-1e308",
		"1e-320",
		"0.5",
		"1e400",
		"null",
		"true",
		"false",
		"[]",
		"{}",
		"\"\"",
		"[[[[[[[[[[[[[[[[",
		"{\"a\":{\"a\":{\"a\":",
		"\\u0000",
		"\\ud800",
		"\xff\xfe",
		"\xe2\x96\x81",
		"\xf4\x8f\xbf\xbf",
		",",
		":",
		"\"",
		"}",
		"]",
		"(?<=a|b",
		"(a*)*$",
		"[^\\\\s]{1,9999}",
		"\\\\p{L}+",
		"[0, 99999999999]",
		"%s%n",
		"../../x",
		"NaN",
	};
	struct fuzz_region token = token_at(data, size, at);
	struct fuzz_region other = token_at(data, size, fuzz_random(state, size));
	uint8_t copy[256];
	const char *text = odd[fuzz_random(state, sizeof(odd) / sizeof(odd[0]))];
	size_t length = other.size_bytes < sizeof(copy) ? other.size_bytes : sizeof(copy);

	switch (fuzz_random(state, 8)) {
	case 0:
	case 1:
	case 2:
		return splice(data, size, capacity, token.offset, token.size_bytes, text,
			      strlen(text));
	case 3:
	case 4:
		memcpy(copy, data + other.offset, length);
		return splice(data, size, capacity, token.offset, token.size_bytes, copy, length);
	case 5: /* a stretch of the file again, or gone */
		length = 1 + fuzz_random(state, sizeof(copy) - 1);
		if (length > size - other.offset)
			length = size - other.offset;
		memcpy(copy, data + other.offset, length);
		return fuzz_random(state, 2) ? splice(data, size, capacity, at, 0, copy, length)
					     : splice(data, size, capacity, at, length, copy, 0);
	case 6:
		return splice(data, size, capacity, at, 0, text, strlen(text));
	default:
		return change_bytes(data, size, capacity, at, state);
	}
}

static bool looks_like_text(const uint8_t *data, size_t size, size_t at)
{
	size_t end = at + 16 < size ? at + 16 : size;

	for (size_t i = at >= 16 ? at - 16 : 0; i < end; i++)
		if ((data[i] < ' ' && !isspace(data[i])) || data[i] == 0x7f)
			return false;
	return true;
}

static size_t pick(size_t size, uint64_t *state, const struct fuzz_region *regions,
		   size_t num_regions)
{
	const struct fuzz_region *region;
	size_t at;

	if (!num_regions || !fuzz_random(state, 10))
		return fuzz_random(state, size);
	region = &regions[fuzz_random(state, num_regions)];
	/* the first bytes of a part hold its counts and sizes */
	at = region->offset;
	at += fuzz_random(state, 4)
		      ? fuzz_random(state, region->size_bytes)
		      : fuzz_random(state, region->size_bytes < 64 ? region->size_bytes : 64);
	return at < size ? at : fuzz_random(state, size);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *state,
		   const struct fuzz_region *regions, size_t num_regions)
{
	/* mostly one change: two faults hide each other */
	size_t changes = fuzz_random(state, 2) ? 1 : 1 + fuzz_random(state, 4);

	for (size_t i = 0; i < changes && size; i++) {
		size_t at = pick(size, state, regions, num_regions);

		if (looks_like_text(data, size, at))
			size = change_text(data, size, capacity, at, state);
		else
			size = change_bytes(data, size, capacity, at, state);
	}
	return size;
}
