/* SPDX-License-Identifier: MIT */
/* Memory for the many small messages of one export, freed at once. */
#ifndef QEFF_ONNX_ARENA_H
#define QEFF_ONNX_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct qeff_arena_block;

/* Zero-initialise; @failed stays set once memory ran out, so one check at the end suffices. */
struct qeff_arena {
	struct qeff_arena_block *blocks;
	bool failed;
};

void *qeff_arena_alloc(struct qeff_arena *arena, size_t size_bytes); /* zeroed, or NULL */
char *qeff_arena_copy(struct qeff_arena *arena, const char *text, size_t length);
void qeff_arena_free(struct qeff_arena *arena);

#endif
