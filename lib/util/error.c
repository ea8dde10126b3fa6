/* SPDX-License-Identifier: MIT */
/* Sentences for people: the one place that formats a struct qeff_error. */
#include "util/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names in a sentence come from files: none of them gets to steer a terminal. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int qeff_error_set(struct qeff_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	make_printable(err->message);
	return code;
}

int qeff_error_prefix(struct qeff_error *err, int code, const char *format, ...)
{
	char old[sizeof(err->message)];
	va_list args;
	int used;

	if (!err)
		return code;
	memcpy(old, err->message, sizeof(old));
	va_start(args, format);
	used = vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(err->message) - 1)
		snprintf(err->message + used, sizeof(err->message) - (size_t)used, ": %s", old);
	make_printable(err->message);
	return err->code ? err->code : code;
}

const char *qeff_strerror(int errnum, char *buffer, unsigned long size_bytes)
{
	return strerror_r(errnum, buffer, size_bytes);
}
