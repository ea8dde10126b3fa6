/* SPDX-License-Identifier: MIT */
/*
 * Steps of generation: some tokens of some sequences go in, logits come out. Which of the package's
 * specialisations runs is decided here, by the tokens of the step.
 */
#ifndef QEFF_TEXT_STEPS_H
#define QEFF_TEXT_STEPS_H

#include "util/error.h"

#include "text/sampling.h"

#include <qeff/session.h>

/* One specialisation; @keep: columns that get logits, 1 (the last) or all; @context: positions. */
struct qeff_step {
	uint32_t batch, tokens, keep, context;
};

/**
 * struct qeff_steps - what a package can do in one inference
 * @step: its specialisations
 * @prefill_batch: sequences of the steps that take the most tokens
 * @batch: sequences of the largest step
 * @tokens: tokens that a sequence can put into a prefill step
 * @decode_tokens: tokens that a sequence can put into a step of @batch and get logits for
 * @context: positions of the KV cache
 * @slots: sequences that the KV cache holds
 * @by_slot: a step says which slots its sequences have (continuous batching); else sequence i has
 *	     slot i
 * @candidates: the card chooses tokens: it draws among so many; 1: it takes the likeliest; 0: it
 *		gives logits
 * @penalises: and knows which tokens a text has
 * @masks: with so many bytes for each sequence that say which tokens are possible, or 0
 * @draw: how
 * @by_adapter: a step says which LoRA adapters its sequences have
 */
struct qeff_steps {
	struct qeff_session *session;
	struct qeff_step *step;
	uint32_t num_steps;
	uint32_t prefill_batch, batch;
	uint32_t tokens, decode_tokens;
	uint32_t context, slots, vocabulary;
	bool by_slot, by_adapter;
	uint32_t candidates;
	bool penalises;
	uint32_t masks;
	struct qeff_draw draw;
	float *widened; /* logits that come in halves */
};

int qeff_steps_open(struct qeff_steps *steps, struct qeff_session *session, struct qeff_error *err);
void qeff_steps_close(struct qeff_steps *steps);

/* What one sequence puts into a step: @count tokens from @position on; 0 is a dead one. @output:
 * they were chosen, not given. */
struct qeff_columns {
	const uint32_t *ids;
	size_t count;
	size_t position;
	uint32_t slot, adapter;
	bool output;
	struct qeff_random *random; /* what a card draws with */
};

/**
 * struct qeff_logits - what came out
 * @data: [sequence][keep][vocabulary]
 * @tokens: [sequence], in their place where the card chooses
 */
struct qeff_logits {
	const float *data;
	const int64_t *tokens;
	uint32_t keep, vocabulary;
};

/* Runs the smallest specialisation of @batch sequences that takes these @columns and gives logits
 * for all columns if @all, else for the last of each. @logits NULL: nobody wants them. */
int qeff_steps_run(struct qeff_steps *steps, uint32_t batch, const struct qeff_columns *columns,
		   bool all, struct qeff_logits *logits, struct qeff_error *err);

/* The logits after @column of @sequence, or NULL where there are tokens; of a step that was not for
 * all, after its last one. */
static inline const float *qeff_logits_at(const struct qeff_logits *logits, size_t sequence,
					  size_t column)
{
	size_t row = sequence * logits->keep + (logits->keep > 1 ? column : 0);

	return logits->tokens ? NULL : logits->data + row * logits->vocabulary;
}

#endif
