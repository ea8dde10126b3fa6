/* SPDX-License-Identifier: MIT */
/* Writing to the log callback of <qeff/log.h>. */
#ifndef QEFF_UTIL_LOG_H
#define QEFF_UTIL_LOG_H

#include <qeff/log.h>

__attribute__((format(printf, 2, 3))) void qeff_log(enum qeff_log_level level, const char *format,
						    ...);

#endif
