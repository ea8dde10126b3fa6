/* SPDX-License-Identifier: MIT */
/* Program metadata: which of its forms it is, and where the decoded arrays live. */
#include "qpc/metadata_parse.h"

#include "qpc/text.h"
#include "util/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TERMINATOR_BYTES 8

struct qeff_md_block {
	struct qeff_md_block *next;
	/* aligned for anything that is decoded */
	uint64_t data[];
};

/* What qeff_metadata_parse() gives out is the first member. */
struct owner {
	struct qeff_metadata md;
	struct qeff_md_arena arena;
};

void *qeff_md_alloc(struct qeff_md_arena *arena, uint64_t count, size_t element_bytes,
		    struct qeff_error *err)
{
	struct qeff_md_block *block;
	uint64_t bytes;

	if (!qeff_mul_u64(count, element_bytes, &bytes) ||
	    !qeff_add_u64(bytes, sizeof(*block), &bytes) ||
	    bytes > QEFF_MD_BUDGET_BYTES - arena->used_bytes) {
		qeff_error_set(err, -EFBIG,
			       "%llu elements of %zu bytes are more than metadata needs",
			       (unsigned long long)count, element_bytes);
		return NULL;
	}
	block = calloc(1, (size_t)bytes);
	if (!block) {
		qeff_error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	block->next = arena->blocks;
	arena->blocks = block;
	arena->used_bytes += (size_t)bytes;
	return block->data;
}

const char *qeff_md_text(struct qeff_md_arena *arena, const void *text, size_t length,
			 const char *field, struct qeff_error *err)
{
	char *copy;

	if (!qeff_text_valid(text, length)) {
		qeff_error_set(err, -EINVAL, "%s: expected UTF-8 without control characters",
			       field);
		return NULL;
	}
	copy = qeff_md_alloc(arena, length + 1, 1, err);
	if (copy && length)
		memcpy(copy, text, length);
	return copy;
}

void qeff_md_arena_free(struct qeff_md_arena *arena)
{
	while (arena->blocks) {
		struct qeff_md_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}

static bool is_terminator(const uint8_t *data, size_t size_bytes)
{
	static const uint8_t terminator[TERMINATOR_BYTES] = { 1 };

	return size_bytes >= TERMINATOR_BYTES && !memcmp(data, terminator, TERMINATOR_BYTES);
}

/*
 * The struct form begins with version 1.0 and padding, which are the bytes of the terminator as
 * well. So behind such a beginning a flatbuffer is looked for first; a struct does not pass for one
 * by accident.
 */
static int parse_any(const uint8_t *data, size_t size_bytes, struct qeff_md_arena *arena,
		     struct qeff_metadata *md, struct qeff_error *err)
{
	struct qeff_error flat = { 0 };
	int ret;

	if (!is_terminator(data, size_bytes)) {
		md->form = QEFF_MD_FLATBUFFER;
		return qeff_md_parse_flat(data, size_bytes, arena, md, err);
	}
	ret = qeff_md_parse_flat(data + TERMINATOR_BYTES, size_bytes - TERMINATOR_BYTES, arena, md,
				 &flat);
	if (!ret) {
		md->form = QEFF_MD_FLATBUFFER_TERMINATED;
		return 0;
	}
	/* that says nothing about the form */
	if (ret == -ENOMEM)
		return qeff_error_set(err, ret, "%s", flat.message);
	*md = (struct qeff_metadata){ .form = QEFF_MD_STRUCT };
	ret = qeff_md_parse_struct(data, size_bytes, arena, md, err);
	if (ret) {
		char why[200];

		snprintf(why, sizeof(why), "%.199s", err->message);
		qeff_error_set(
			err, ret,
			"neither a flatbuffer behind a terminator (%.200s) nor a struct (%s)",
			flat.message, why);
	}
	return ret;
}

int qeff_metadata_parse(const void *data, size_t size_bytes, struct qeff_metadata **metadata,
			struct qeff_error *err)
{
	struct qeff_error unwanted = { 0 };
	struct owner *owner;
	int ret;

	err = err ? err : &unwanted;
	if (size_bytes > QEFF_METADATA_MAX_BYTES)
		return qeff_error_set(err, -EFBIG,
				      "metadata: expected at most %zu bytes, found %zu",
				      QEFF_METADATA_MAX_BYTES, size_bytes);
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return qeff_error_set(err, -ENOMEM, "metadata: out of memory");
	ret = parse_any(data, size_bytes, &owner->arena, &owner->md, err);
	if (ret)
		ret = qeff_error_prefix(err, ret, "metadata");
	else
		ret = qeff_metadata_validate(&owner->md, err);
	if (ret) {
		qeff_metadata_free(&owner->md);
		return ret;
	}
	*metadata = &owner->md;
	return 0;
}

void qeff_metadata_free(struct qeff_metadata *metadata)
{
	struct owner *owner = (struct owner *)metadata;

	if (!owner)
		return;
	qeff_md_arena_free(&owner->arena);
	free(owner);
}
