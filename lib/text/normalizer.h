/* SPDX-License-Identifier: MIT */
/* Normalizers: what happens to a text before it is cut. */
#ifndef QEFF_TEXT_NORMALIZER_H
#define QEFF_TEXT_NORMALIZER_H

#include "text/regex.h"
#include "util/bytes.h"

#include <jansson.h>

struct qeff_normalizer_step;

/* struct qeff_normalizer - steps in order; none for "no normalizer" */
struct qeff_normalizer {
	struct qeff_normalizer_step *steps;
	size_t count;
};

/* @json: the "normalizer" of a tokenizer.json, NULL or null for none. */
int qeff_normalizer_parse(struct qeff_normalizer *normalizer, const json_t *json,
			  struct qeff_error *err);
void qeff_normalizer_free(struct qeff_normalizer *normalizer);

/*
 * Replaces @text, valid UTF-8, by its normal form. @at_start, if not NULL, becomes false when the
 * first character did not survive.
 */
int qeff_normalizer_run(const struct qeff_normalizer *normalizer, struct qeff_bytes *text,
			bool *at_start, struct qeff_error *err);

/* A pattern of Replace and Split: {"String": ...} or {"Regex": ...}. */
int qeff_pattern_parse(struct qeff_regex **regex, const json_t *json, const char *where,
		       struct qeff_error *err);

#endif
