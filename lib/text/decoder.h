/* SPDX-License-Identifier: MIT */
/* Decoders: from tokens back to text. */
#ifndef QEFF_TEXT_DECODER_H
#define QEFF_TEXT_DECODER_H

#include "text/pieces.h"

#include <jansson.h>

struct qeff_decoder_step;

/* struct qeff_decoder - steps in order; none for "no decoder": tokens with spaces between */
struct qeff_decoder {
	struct qeff_decoder_step *steps;
	size_t count;
	bool present;
};

/* @json: the "decoder" of a tokenizer.json, NULL or null for none. */
int qeff_decoder_parse(struct qeff_decoder *decoder, const json_t *json, struct qeff_error *err);
void qeff_decoder_free(struct qeff_decoder *decoder);

/* Turns @tokens, one piece each, into text, appended to @out. @tokens is used up. */
int qeff_decoder_run(const struct qeff_decoder *decoder, struct qeff_pieces *tokens,
		     struct qeff_bytes *out, struct qeff_error *err);

#endif
