/* SPDX-License-Identifier: MIT */
/* All that the executor wants of a C library, for a target that has none. */
#ifndef QEFF_NSP_HEXAGON_STRING_H
#define QEFF_NSP_HEXAGON_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

#endif
