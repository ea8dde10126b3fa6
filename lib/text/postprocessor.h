/* SPDX-License-Identifier: MIT */
/* Post-processors: the special tokens around a sequence. */
#ifndef QEFF_TEXT_POSTPROCESSOR_H
#define QEFF_TEXT_POSTPROCESSOR_H

#include "util/bytes.h"
#include "util/error.h"

#include <jansson.h>

/* A token of the template, or the place of the sequence itself. */
struct qeff_template_item {
	bool is_sequence;
	uint32_t id;
	uint32_t type_id;
};

/* struct qeff_postprocessor - what a single sequence becomes; no items: itself, of type 0 */
struct qeff_postprocessor {
	struct qeff_bytes items; /* of struct qeff_template_item */
	size_t special_count;	 /* tokens that the template adds */
};

/* @json: the "post_processor" of a tokenizer.json, NULL or null for none. */
int qeff_postprocessor_parse(struct qeff_postprocessor *post, const json_t *json,
			     struct qeff_error *err);
void qeff_postprocessor_free(struct qeff_postprocessor *post);

/* Appends the processed sequence of @count ids to @out and the segment of each to @types (uint32_t
 * each). */
int qeff_postprocessor_run(const struct qeff_postprocessor *post, const uint32_t *ids, size_t count,
			   bool add_special, struct qeff_bytes *out, struct qeff_bytes *types,
			   struct qeff_error *err);

#endif
