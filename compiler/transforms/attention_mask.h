/* SPDX-License-Identifier: MIT */
/* Whether a model masks its attention as qeff.Attention does. */
#ifndef QEFF_TRANSFORMS_ATTENTION_MASK_H
#define QEFF_TRANSFORMS_ATTENTION_MASK_H

#include "transforms/transforms.h"

/**
 * struct qeff_mask_rule - how scores are masked
 * @mask: attention_mask, i64 [batch, keys], an input of the graph
 * @rows: queries: those of the last columns of the mask
 * @value: what is made of it: added to scores, or, with @where, the condition that chooses between
 *	   them and a number that hides
 * @hides_where_true: with @where: a true condition hides
 */
struct qeff_mask_rule {
	struct qeff_value *mask;
	int64_t rows;
	struct qeff_value *value;
	bool where;
	bool hides_where_true;
};

/* Tries a few masks. @agreed: live rows see the live keys and no others, with @causal none behind
 * themselves. */
int qeff_mask_try(const struct qeff_graph *graph, const struct qeff_mask_rule *rule,
		  const struct qeff_transform_options *options, bool *causal, bool *agreed,
		  struct qeff_error *err);

#endif
