/* SPDX-License-Identifier: MIT */
/*
 * The specialisations of a decoder, by QEfficient's rules: prefill and decode, a decode for each
 * number of speculative tokens, each times its compute context lengths.
 *
 * Longest first: a runtime that knows nothing of specialisations runs the first one, with the
 * largest buffers.
 */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

int qeff_compile_check_positions(const struct qeff_model_info *info, const char *what,
				 uint32_t value, struct qeff_error *err)
{
	if (value <= info->max_positions)
		return 0;
	return qeff_error_set(err, -EINVAL,
			      "%s is %u, but the model has %u positions (max_position_embeddings)",
			      what, value, info->max_positions);
}

static int descending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The numbers, at most @limit each, from largest to smallest, once each; @limit is among them. */
static uint32_t settle_lengths(const struct qeff_compile_numbers *from, uint32_t limit,
			       uint32_t to[QEFF_COMPILE_MAX_SPECIALISATIONS + 1])
{
	uint32_t count = 0, kept = 0;

	to[count++] = limit;
	for (uint32_t i = 0; i < from->count; i++)
		to[count++] = from->values[i] < limit ? from->values[i] : limit;
	qsort(to, count, sizeof(*to), descending);
	for (uint32_t i = 0; i < count; i++)
		if (!i || to[i] != to[kept - 1])
			to[kept++] = to[i];
	return kept;
}

static int add_spec(struct compile_plan *plan, struct compile_spec spec, struct qeff_error *err)
{
	for (uint32_t i = 0; i < plan->num_specs; i++)
		if (!memcmp(&plan->specs[i], &spec, sizeof(spec)))
			return 0;
	if (plan->num_specs == QEFF_COMPILE_MAX_SPECIALISATIONS)
		return qeff_error_set(err, -EINVAL,
				      "more than %d specialisations; leave out lengths",
				      QEFF_COMPILE_MAX_SPECIALISATIONS);
	plan->specs[plan->num_specs++] = spec;
	return 0;
}

/* @spec for each of its compute context lengths; a length that has no room for its tokens is left
 * out. */
static int add_lengths(const struct qeff_compile_numbers *lengths, struct compile_plan *plan,
		       struct compile_spec spec, struct qeff_error *err)
{
	uint32_t settled[QEFF_COMPILE_MAX_SPECIALISATIONS + 1], count;
	int rc = 0;

	if (!plan->comp_ctx_lengths)
		return add_spec(plan, spec, err);
	count = settle_lengths(lengths, plan->positions, settled);
	for (uint32_t i = 0; !rc && i < count; i++) {
		if (settled[i] < spec.seq)
			return qeff_error_set(err, -EINVAL,
					      "a compute context length of %u has no room for the "
					      "%u tokens of its step",
					      settled[i], spec.seq);
		spec.compute = settled[i];
		rc = add_spec(plan, spec, err);
	}
	return rc;
}

int qeff_compile_decoder_specs(const struct qeff_compile_options *o,
			       const struct qeff_model_info *info, struct compile_plan *plan,
			       struct qeff_error *err)
{
	uint32_t prefill = o->prefill_seq_len, ctx = plan->positions;
	uint32_t together = o->full_batch_size ? o->full_batch_size : plan->batch;
	uint32_t alone = o->full_batch_size ? 1 : plan->batch;
	int rc;

	plan->comp_ctx_lengths =
		o->comp_ctx_lengths_prefill.count || o->comp_ctx_lengths_decode.count;
	plan->spd = o->num_speculative_tokens.count;
	plan->slots = o->kv_cache_batch_size ? o->kv_cache_batch_size : o->full_batch_size;
	if (!prefill)
		prefill = ctx < QEFF_COMPILE_DEFAULT_PREFILL_SEQ_LEN
				  ? ctx
				  : QEFF_COMPILE_DEFAULT_PREFILL_SEQ_LEN;
	if (prefill > ctx)
		return qeff_error_set(err, -EINVAL,
				      "prefill_seq_len is %u, more than the %u positions of the "
				      "KV cache (ctx_len)",
				      prefill, ctx);
	rc = add_lengths(&o->comp_ctx_lengths_prefill, plan,
			 (struct compile_spec){ alone, prefill, 0, plan->spd }, err);
	if (!rc && !plan->spd && !o->prefill_only)
		rc = add_lengths(&o->comp_ctx_lengths_decode, plan,
				 (struct compile_spec){ together, 1, 0, 0 }, err);
	for (uint32_t i = 0; !rc && i < o->num_speculative_tokens.count; i++) {
		uint32_t tokens = o->num_speculative_tokens.values[i] + 1;

		if (tokens > ctx)
			return qeff_error_set(err, -EINVAL,
					      "num_speculative_tokens is %u; a step of %u tokens "
					      "does not fit the %u positions of the KV cache",
					      tokens - 1, tokens, ctx);
		rc = add_lengths(&o->comp_ctx_lengths_decode, plan,
				 (struct compile_spec){ together, tokens, 0, tokens }, err);
	}
	return rc;
}
