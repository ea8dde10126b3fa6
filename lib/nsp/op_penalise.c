/* SPDX-License-Identifier: MIT */
/*
 * MARK and PENALISE: which tokens a text has so far, kept as flags in retained state, and what that
 * makes of the logits of the next one. Both work number by number, so that no cut shows.
 */
#include "nsp/kernels.h"

#include "nsp/vec.h"

#include <string.h>

/* The flags of a segment's slot. */
static uint8_t *flags_of(const struct nsp_run *run, const struct qeff_nsp_state *state,
			 const struct nsp_segment *segment)
{
	const struct nsp_token *token = &run->instance->token[segment->first];

	return run->instance->ddr + nsp_state_offset(state, token->slot, 0, 0);
}

void NSP_NAME(mark)(const struct nsp_run *run)
{
	const struct qeff_nsp_mark_params *p = &run->op->u.mark;
	const uint8_t *ids = nsp_at(run, run->op->in[0].at);
	bool sets = !p->decode || run->instance->spec->seq == 1;

	for (uint32_t row = run->first; row < run->end; row++) {
		const struct nsp_segment *segment = &run->instance->segment[row];
		const struct nsp_token *token = &run->instance->token[segment->first];
		uint8_t *flags = flags_of(run, &p->flags, segment);

		if (!token->position) {
			memset(flags, 0, p->width);
			run->counters->bytes += p->width;
		}
		for (uint32_t i = 0; sets && i < segment->count; i++) {
			int64_t id = nsp_read_i64(ids + token[i].source * 8ull);

			if (id >= 0 && id < p->width)
				flags[id] = 1;
		}
		run->counters->bytes += sets ? segment->count * 9ull : 0;
	}
}

/* Columns [begin, end) of one row. @mask: or NULL. */
static void penalise(float *to, const float *from, const uint8_t *mask, const uint8_t *repetition,
		     const uint8_t *presence, float factor, float less, uint32_t begin,
		     uint32_t end)
{
	for (uint32_t c = begin; c < end; c++) {
		float x = mask && !mask[c] ? QEFF_NSP_MASKED : from[c];

		if (repetition[c])
			x = x > 0 ? x / factor : x * factor;
		if (presence[c])
			x -= less;
		to[c] = x;
	}
}

void NSP_NAME(penalise)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_penalise_params *p = &op->u.penalise;
	const float *factors = (const float *)nsp_at(run, op->in[1].at);
	const float *less = (const float *)nsp_at(run, op->in[2].at);
	bool masked = p->masks != QEFF_NSP_NONE;
	uint64_t columns = run->tile->end - run->tile->begin;

	for (uint32_t row = run->first; row < run->end; row++) {
		const struct nsp_segment *segment = &run->instance->segment[row];
		const uint8_t *mask =
			masked ? nsp_at(run, p->masks) + (uint64_t)segment->source * p->width
			       : NULL;

		penalise((float *)nsp_out(run, row), (const float *)nsp_in(run, &op->in[0], row),
			 mask, flags_of(run, &p->repetition, segment),
			 flags_of(run, &p->presence, segment), factors[segment->source],
			 less[segment->source], run->tile->begin, run->tile->end);
	}
	run->counters->bytes += (run->end - run->first) * columns * (10ull + masked);
}
