/* SPDX-License-Identifier: MIT */
/* Pre-tokenizers: where a normalised text is cut into the words that the model sees one by one. */
#ifndef QEFF_TEXT_PRETOKENIZER_H
#define QEFF_TEXT_PRETOKENIZER_H

#include "text/pieces.h"

#include <jansson.h>

struct qeff_pretokenizer_step;

/* struct qeff_pretokenizer - steps in order; none for "no pre-tokenizer" */
struct qeff_pretokenizer {
	struct qeff_pretokenizer_step *steps;
	size_t count;
};

/* @json: the "pre_tokenizer" of a tokenizer.json, NULL or null for none. */
int qeff_pretokenizer_parse(struct qeff_pretokenizer *pretokenizer, const json_t *json,
			    struct qeff_error *err);
void qeff_pretokenizer_free(struct qeff_pretokenizer *pretokenizer);

/* Replaces @pieces by smaller ones; added tokens stay. */
int qeff_pretokenizer_run(const struct qeff_pretokenizer *pretokenizer, struct qeff_pieces *pieces,
			  struct qeff_error *err);

#endif
