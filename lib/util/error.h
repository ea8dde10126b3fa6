/* SPDX-License-Identifier: MIT */
/* Filling a struct qeff_error. */
#ifndef QEFF_UTIL_ERROR_H
#define QEFF_UTIL_ERROR_H

#include <errno.h>
#include <qeff/error.h>

/* Stores the sentence in @err (if not NULL) and returns @code, so that a caller writes
 * `return qeff_error_set(err, -EINVAL, "...")`. */
__attribute__((format(printf, 3, 4))) int qeff_error_set(struct qeff_error *err, int code,
							 const char *format, ...);

/* Puts "prefix: " before the sentence already in @err; returns @err's code (or @code if @err is
 * NULL). */
__attribute__((format(printf, 3, 4))) int qeff_error_prefix(struct qeff_error *err, int code,
							    const char *format, ...);

/* Like strerror(), but thread safe; the text is in @buffer or static. */
const char *qeff_strerror(int errnum, char *buffer, unsigned long size_bytes);

#endif
