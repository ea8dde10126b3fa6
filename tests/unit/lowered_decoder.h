/* SPDX-License-Identifier: MIT */
/* Feeding a lowered decoder: prompts in chunks, padding, batches, greedy continuations. */
#ifndef QEFF_TESTS_LOWERED_DECODER_H
#define QEFF_TESTS_LOWERED_DECODER_H

#include "lowered.h"

#include <CUnit/CUnit.h>
#include <math.h>

/* Largest difference over the largest magnitude. */
static inline double difference(const float *a, const float *b, size_t count)
{
	double most = 0, magnitude = 0;

	for (size_t i = 0; i < count; i++) {
		double d = fabs((double)a[i] - b[i]);

		most = d > most || isnan(d) ? d : most;
		magnitude = fabs((double)b[i]) > magnitude ? fabs((double)b[i]) : magnitude;
	}
	return most / magnitude;
}

/* Feeds @count ids from position @position on as batch entry @entry of specialisation @spec; other
 * entries are dead unless @all. @pad leading columns stay dead. */
static inline void feed(struct lowered *m, uint32_t spec, const int64_t *ids, uint32_t count,
			uint32_t position, uint32_t entry, bool all, uint32_t pad)
{
	uint32_t batch = m->l->specs[spec].batch, seq = m->l->specs[spec].seq;
	int64_t *input_ids = lowered_at(m, "input_ids");
	int64_t *position_ids = lowered_at(m, "position_ids");

	for (uint32_t b = 0; b < batch; b++)
		for (uint32_t s = 0; s < seq; s++) {
			bool live = (all || b == entry) && s >= pad && s - pad < count;

			input_ids[b * seq + s] = live ? ids[s - pad] : 0;
			position_ids[b * seq + s] = live ? (int64_t)position + s - pad : -1;
		}
}

static inline int64_t greedy(const float *logits, uint32_t vocab)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < vocab; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* The prompt in chunks of @chunk tokens, then the reference's continuation; all logits that came
 * out. */
static inline float *generate(struct lowered *m, const struct reference *reference, uint32_t chunk,
			      uint32_t entry, bool all, uint32_t pad, uint32_t *steps)
{
	const struct qeff_checkpoint_tensor *prompt = reference_tensor(reference, "input_ids");
	const struct qeff_checkpoint_tensor *next = reference_tensor(reference, "greedy_ids");
	uint32_t length = (uint32_t)prompt->dims[1], vocab = m->info.vocab, at = 0;
	const float *logits = lowered_at(m, "logits");
	float *kept = calloc((size_t)next->dims[1] * vocab, sizeof(float));

	*steps = (uint32_t)next->dims[1];
	while (at < length) {
		uint32_t count = length - at < chunk ? length - at : chunk;

		feed(m, 0, (const int64_t *)prompt->data + at, count, at, entry, all, pad);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		at += count;
	}
	for (uint32_t i = 0; i < *steps; i++) {
		const int64_t *id = (const int64_t *)next->data + i;

		memcpy(kept + (size_t)i * vocab, logits + (size_t)entry * vocab, vocab * 4);
		CU_ASSERT_EQUAL(greedy(kept + (size_t)i * vocab, vocab), *id);
		feed(m, 1, id, 1, at++, entry, all, 0);
		CU_ASSERT_EQUAL(lowered_run(m, 1), QEFF_NSP_FAULT_NONE);
	}
	return kept;
}

#endif
