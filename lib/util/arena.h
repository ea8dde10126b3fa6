/* SPDX-License-Identifier: MIT */
/* Memory for many small things that live equally long: handed out from blocks, freed at once. */
#ifndef QEFF_UTIL_ARENA_H
#define QEFF_UTIL_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qeff_arena_block;

/* Zero-initialise; @failed stays set once memory ran out, so one check at the end suffices. */
struct qeff_arena {
	struct qeff_arena_block *blocks;
	bool failed;
};

/* @count elements of @size_bytes, zeroed, 8-byte aligned; NULL if they do not fit in memory. */
void *qeff_arena_alloc(struct qeff_arena *arena, uint64_t count, uint64_t size_bytes);
/* The first @length bytes of @text, NUL terminated. */
char *qeff_arena_copy(struct qeff_arena *arena, const char *text, size_t length);
void qeff_arena_free(struct qeff_arena *arena);

#endif
