/* SPDX-License-Identifier: MIT */
/* A list of blocks, each larger than what was asked for, handed out from the front. */
#include "onnx/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)64 << 10)

struct qeff_arena_block {
	struct qeff_arena_block *next;
	size_t used_bytes;
	size_t size_bytes;
	alignas(max_align_t) uint8_t data[];
};

void *qeff_arena_alloc(struct qeff_arena *arena, size_t size_bytes)
{
	struct qeff_arena_block *block = arena->blocks;
	size_t wanted = (size_bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *data;

	if (arena->failed || wanted < size_bytes)
		goto failed;
	if (!block || block->size_bytes - block->used_bytes < wanted) {
		size_t room = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;

		block = room > SIZE_MAX - sizeof(*block) ? NULL : calloc(1, sizeof(*block) + room);
		if (!block)
			goto failed;
		block->size_bytes = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	data = block->data + block->used_bytes;
	block->used_bytes += wanted;
	return data;
failed:
	arena->failed = true;
	return NULL;
}

char *qeff_arena_copy(struct qeff_arena *arena, const char *text, size_t length)
{
	char *copy = qeff_arena_alloc(arena, length + 1);

	if (copy)
		memcpy(copy, text, length);
	return copy;
}

void qeff_arena_free(struct qeff_arena *arena)
{
	while (arena->blocks) {
		struct qeff_arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}
