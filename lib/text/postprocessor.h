/* SPDX-License-Identifier: MIT */
/* Post-processors: the special tokens around a sequence, or around two. */
#ifndef QEFF_TEXT_POSTPROCESSOR_H
#define QEFF_TEXT_POSTPROCESSOR_H

#include "util/bytes.h"
#include "util/error.h"

#include <jansson.h>

/* A token of the template, or the place of sequence number @sequence, from 1. */
struct qeff_template_item {
	uint32_t sequence;
	uint32_t id;
	uint32_t type_id;
};

struct qeff_template {
	struct qeff_bytes items; /* of struct qeff_template_item */
	size_t special_count;	 /* tokens that it adds */
};

/* struct qeff_postprocessor - what a sequence becomes, or a pair of them; no items: itself, of type
 * 0, and the second one of type 1 */
struct qeff_postprocessor {
	struct qeff_template single, pair;
};

/* Ids of a text. */
struct qeff_sequence {
	const uint32_t *ids;
	size_t count;
};

/* @json: the "post_processor" of a tokenizer.json, NULL or null for none. */
int qeff_postprocessor_parse(struct qeff_postprocessor *post, const json_t *json,
			     struct qeff_error *err);
void qeff_postprocessor_free(struct qeff_postprocessor *post);

/* What one sequence, or @num_sequences = 2 of them, become. */
static inline const struct qeff_template *
qeff_postprocessor_template(const struct qeff_postprocessor *post, size_t num_sequences)
{
	return num_sequences == 2 ? &post->pair : &post->single;
}

/* Appends the ids of the processed sequences to @out and the segment of each to @types (uint32_t
 * each). */
int qeff_postprocessor_run(const struct qeff_postprocessor *post,
			   const struct qeff_sequence *sequences, size_t num_sequences,
			   bool add_special, struct qeff_bytes *out, struct qeff_bytes *types,
			   struct qeff_error *err);

#endif
