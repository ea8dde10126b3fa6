/* SPDX-License-Identifier: MIT */
/* A list of blocks, handed out from the front; what is large has a block of its own. */
#include "util/arena.h"

#include "util/checked.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((uint64_t)64 << 10)

struct qeff_arena_block {
	struct qeff_arena_block *next;
	size_t size_bytes, used_bytes;
	_Alignas(64) uint8_t data[];
};

static struct qeff_arena_block *new_block(uint64_t size_bytes)
{
	struct qeff_arena_block *block;
	uint64_t whole;

	if (!qeff_add_u64(size_bytes, sizeof(*block), &whole) || !qeff_align_u64(whole, 64, &whole))
		return NULL;
	block = aligned_alloc(64, whole);
	if (block)
		*block = (struct qeff_arena_block){ .size_bytes = size_bytes };
	return block;
}

void *qeff_arena_alloc(struct qeff_arena *arena, uint64_t count, uint64_t size_bytes)
{
	struct qeff_arena_block *block = arena->blocks;
	uint64_t total;
	void *at;

	if (arena->failed || !qeff_mul_u64(count, size_bytes, &total) ||
	    !qeff_align_u64(total, 8, &total))
		goto fail;
	if (total > BLOCK_BYTES / 4) {
		/* a block of its own, behind the one that is being filled */
		block = new_block(total);
		if (!block)
			goto fail;
		block->next = arena->blocks ? arena->blocks->next : NULL;
		*(arena->blocks ? &arena->blocks->next : &arena->blocks) = block;
	} else if (!block || total > block->size_bytes - block->used_bytes) {
		block = new_block(BLOCK_BYTES);
		if (!block)
			goto fail;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	at = block->data + block->used_bytes;
	block->used_bytes += total;
	return memset(at, 0, total);
fail:
	arena->failed = true;
	return NULL;
}

char *qeff_arena_copy(struct qeff_arena *arena, const char *text, size_t length)
{
	char *copy = length < SIZE_MAX ? qeff_arena_alloc(arena, 1, length + 1) : NULL;

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
