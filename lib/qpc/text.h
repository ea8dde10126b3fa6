/* SPDX-License-Identifier: MIT */
/* Names that come from a file and end up on a terminal or in JSON. */
#ifndef QEFF_QPC_TEXT_H
#define QEFF_QPC_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether @size_bytes bytes are UTF-8 without control characters. */
bool qeff_text_valid(const char *text, size_t size_bytes);

#endif
