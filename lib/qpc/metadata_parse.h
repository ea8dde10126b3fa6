/* SPDX-License-Identifier: MIT */
/* Between the two decoders of metadata and the function that chooses one: where decoded arrays
 * live. */
#ifndef QEFF_QPC_METADATA_PARSE_H
#define QEFF_QPC_METADATA_PARSE_H

#include "qpc/metadata.h"

/* What one package's metadata may take; a thousand times what a large one does. */
#define QEFF_MD_BUDGET_BYTES ((size_t)64 << 20)

/**
 * struct qeff_md_arena - memory that is freed in one go
 * @blocks: what was allocated
 * @used_bytes: how much, headers of blocks included
 */
struct qeff_md_arena {
	struct qeff_md_block *blocks;
	size_t used_bytes;
};

/* In this folder's decoders @err is never NULL: its code is what a failed allocation returns. */

/* Zeroed memory for @count elements, or NULL with @err set; counts from a file need no check
 * before. */
void *qeff_md_alloc(struct qeff_md_arena *arena, uint64_t count, size_t element_bytes,
		    struct qeff_error *err);
/* A NUL-terminated copy of @length bytes that must be text, or NULL with @err set. */
const char *qeff_md_text(struct qeff_md_arena *arena, const void *text, size_t length,
			 const char *field, struct qeff_error *err);
void qeff_md_arena_free(struct qeff_md_arena *arena);

/* Both decode without judging what they read; that is qeff_metadata_validate()'s. */
int qeff_md_parse_flat(const uint8_t *data, size_t size_bytes, struct qeff_md_arena *arena,
		       struct qeff_metadata *md, struct qeff_error *err);
int qeff_md_parse_struct(const uint8_t *data, size_t size_bytes, struct qeff_md_arena *arena,
			 struct qeff_metadata *md, struct qeff_error *err);

#endif
