/* SPDX-License-Identifier: MIT */
/*
 * What a model adds to the scores of attention, told by trying: the nodes between attention_mask
 * and the sum are computed for a few masks, and if every score of a key that the mask hides, or
 * that lies in the future, comes out as nothing and every other one as it was, then the model masks
 * as qeff.Attention does.
 */
#include "transforms/attention_mask.h"
#include "transforms/trial.h"

#include <stdlib.h>

#define MAX_KEYS   (1u << 24)
#define MAX_SCORES (1ull << 26) /* looked at for one mask */
#define HIDDEN	   (-1e4f)	/* at most; exp() of it is 0 */

/* The number that @value, broadcast to [batch, heads, rows, keys], has at a place. */
static float number_at(const struct qeff_value *value, int64_t batch, int64_t row, int64_t key)
{
	const int64_t place[] = { batch, 0, row, key };
	const struct qeff_graph_shape *shape = &value->shape;
	uint64_t at = 0;

	for (uint32_t i = 0; i < shape->rank; i++) {
		int64_t size = shape->dims[i].size;

		at = at * (uint64_t)size + (size == 1 ? 0 : (uint64_t)place[4 - shape->rank + i]);
	}
	return value->type == QEFF_GRAPH_BOOL ? ((const uint8_t *)value->data)[at]
					      : ((const float *)value->data)[at];
}

static bool fits(const struct qeff_value *value, int64_t batch, int64_t rows, int64_t keys)
{
	const int64_t most[] = { batch, 1, rows, keys };

	if (value->shape.rank > 4 || value->stored_type != value->type ||
	    (value->type != QEFF_GRAPH_BOOL && value->type != QEFF_GRAPH_F32))
		return false;
	for (uint32_t i = 0; i < value->shape.rank; i++)
		if (value->shape.dims[i].size != 1 &&
		    value->shape.dims[i].size != most[4 - value->shape.rank + i])
			return false;
	return true;
}

/* Whether a key is hidden by what stands in @value. */
static bool hides(const struct qeff_mask_rule *rule, float number, bool *clear)
{
	bool hidden = rule->where ? (number != 0) == rule->hides_where_true : number <= HIDDEN;

	*clear = rule->where || hidden || number == 0;
	return hidden;
}

static bool agrees(const struct qeff_mask_rule *rule, const struct qeff_value *value,
		   const int64_t *live, bool causal)
{
	int64_t batch = rule->mask->shape.dims[0].size, keys = rule->mask->shape.dims[1].size;
	uint32_t rank = value->shape.rank;
	/* one row for all: none of them can be told from another, so it is not causal */
	bool shared = rule->rows > 1 && (rank < 2 || value->shape.dims[rank - 2].size == 1);
	int64_t rows = shared ? 1 : rule->rows;

	if ((shared && causal) || (uint64_t)batch * (uint64_t)keys > MAX_SCORES / (uint64_t)rows)
		return false;
	for (int64_t b = 0; b < batch; b++)
		for (int64_t row = 0; row < rows; row++)
			for (int64_t key = 0; key < keys; key++) {
				int64_t column = keys - rule->rows + row;
				bool hidden, clear;

				if (!shared && !live[b * keys + column])
					continue;
				hidden = hides(rule, number_at(value, b, row, key), &clear);
				if (!clear ||
				    hidden != (!live[b * keys + key] || (causal && key > column)))
					return false;
			}
	return true;
}

/* One attention_mask, in another way for every @kind and batch entry; all live for 0. */
static void fill(int64_t *live, int64_t batch, int64_t keys, int kind)
{
	for (int64_t b = 0; b < batch; b++)
		for (int64_t s = 0; s < keys; s++) {
			int64_t part = 1 + (b + kind) % keys;
			bool alive = true;

			if (kind % 3 == 1)
				alive = s < part; /* padding behind */
			else if (kind % 3 == 2)
				alive = s >= keys - part; /* padding in front */
			else if (kind)
				alive = (s * 7 + b + kind) % 3 != 0; /* holes */
			live[b * keys + s] = alive;
		}
}

int qeff_mask_try(const struct qeff_graph *graph, const struct qeff_mask_rule *rule,
		  const struct qeff_transform_options *options, bool *causal, bool *agreed,
		  struct qeff_error *err)
{
	int64_t batch = rule->mask->shape.dims[0].size, keys = rule->mask->shape.dims[1].size;
	struct qeff_trial *trial = NULL;
	int64_t *live;
	int rc;

	*agreed = false;
	*causal = false;
	if (batch < 1 || keys < 1 || (uint64_t)batch * (uint64_t)keys > MAX_KEYS)
		return 0;
	rc = qeff_trial_open(graph, rule->mask, rule->value, options, &trial, err);
	if (rc || !trial)
		return rc;
	live = calloc((size_t)(batch * keys), sizeof(*live));
	if (!live)
		rc = qeff_error_set(err, -ENOMEM, "out of memory while trying masks");
	for (int kind = 0; !rc && (kind == 0 || *agreed) && kind < 7; kind++) {
		const struct qeff_value *result;
		bool clear;

		fill(live, batch, keys, kind);
		rc = qeff_trial_run(trial, live, &result, err);
		*agreed = !rc && result && fits(result, batch, rule->rows, keys);
		if (*agreed && !kind && rule->rows > 1)
			*causal = hides(rule, number_at(result, 0, 0, keys - 1), &clear);
		*agreed = *agreed && agrees(rule, result, live, *causal);
	}
	free(live);
	qeff_trial_close(trial);
	*agreed = *agreed && !rc;
	return rc;
}
