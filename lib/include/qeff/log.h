/* SPDX-License-Identifier: MIT */
/* The one callback through which libqeff speaks: libraries never print. */
#ifndef QEFF_LOG_H
#define QEFF_LOG_H

#include <qeff/api.h>

#ifdef __cplusplus
extern "C" {
#endif

enum qeff_log_level {
	QEFF_LOG_ERROR = 0,
	QEFF_LOG_WARN = 1,
	QEFF_LOG_INFO = 2,
	QEFF_LOG_DEBUG = 3,
};

/**
 * qeff_log_fn - receives one line of the log
 * @level: how much it matters
 * @line: the text, NUL terminated, no newline; valid only during the call
 * @user: what was given to qeff_set_log()
 *
 * May be called from any thread, several at once.
 */
typedef void (*qeff_log_fn)(enum qeff_log_level level, const char *line, void *user);

/**
 * qeff_set_log - choose where log lines go
 * @fn: the callback, or NULL for silence (the default)
 * @max_level: lines above this level are not formatted
 * @user: handed to @fn
 *
 * Process wide. Call it before the first use of the library, or while no other call is running.
 */
QEFF_API void qeff_set_log(qeff_log_fn fn, enum qeff_log_level max_level, void *user);

#ifdef __cplusplus
}
#endif
#endif
