/* SPDX-License-Identifier: MIT */
/* The growing byte array behind every writer. */
#include "util/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool reserve(struct qeff_bytes *b, size_t count)
{
	size_t wanted, capacity = b->capacity_bytes;
	uint8_t *data;

	if (b->failed || __builtin_add_overflow(b->size_bytes, count, &wanted))
		goto failed;
	if (wanted <= capacity)
		return true;
	capacity = capacity < 256 ? 256 : capacity;
	while (capacity < wanted)
		if (__builtin_mul_overflow(capacity, (size_t)2, &capacity))
			goto failed;
	data = realloc(b->data, capacity);
	if (!data)
		goto failed;
	b->data = data;
	b->capacity_bytes = capacity;
	return true;
failed:
	b->failed = true;
	return false;
}

void *qeff_bytes_append(struct qeff_bytes *b, const void *from, size_t count)
{
	uint8_t *at;

	/* nothing, appended to nothing: there is no array to point into */
	if (!reserve(b, count) || !b->data)
		return NULL;
	at = b->data + b->size_bytes;
	if (count && from)
		memcpy(at, from, count);
	else if (count)
		memset(at, 0, count);
	b->size_bytes += count;
	return at;
}

void qeff_bytes_align(struct qeff_bytes *b, size_t alignment)
{
	qeff_bytes_append(b, NULL, -b->size_bytes & (alignment - 1));
}

void qeff_bytes_free(struct qeff_bytes *b)
{
	free(b->data);
	*b = (struct qeff_bytes){ 0 };
}

void qeff_bytes_printf(struct qeff_bytes *b, const char *format, ...)
{
	char text[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length > (int)sizeof(text) - 1)
		length = sizeof(text) - 1;
	if (length > 0)
		qeff_bytes_append(b, text, (size_t)length);
}

char *qeff_bytes_string(struct qeff_bytes *b)
{
	char *text = NULL;

	qeff_bytes_u8(b, 0);
	if (b->failed)
		qeff_bytes_free(b);
	else
		text = (char *)b->data;
	*b = (struct qeff_bytes){ 0 };
	return text;
}
