/* SPDX-License-Identifier: MIT */
/* The log: one callback, silent until one is set. */
#include "util/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct {
	qeff_log_fn fn;
	enum qeff_log_level max_level;
	void *user;
} sink;

void qeff_set_log(qeff_log_fn fn, enum qeff_log_level max_level, void *user)
{
	sink.user = user;
	sink.max_level = max_level;
	sink.fn = fn;
}

void qeff_log(enum qeff_log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (!sink.fn || level > sink.max_level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	sink.fn(level, line, sink.user);
}
