/* SPDX-License-Identifier: MIT */
/* An attention that is written out. */
#ifndef QEFF_TRANSFORMS_ATTENTION_FIND_H
#define QEFF_TRANSFORMS_ATTENTION_FIND_H

#include "transforms/attention_mask.h"

/**
 * struct qeff_attention_found - an attention as it was found
 * @q, @k, @v: [batch, heads, tokens, dim]; of fewer heads where several share keys and values
 * @keys_turned: k is [batch, keys, heads, dim]
 * @rule: its value is what masks; the rest is the caller's
 * @causal: for the caller
 */
struct qeff_attention_found {
	struct qeff_value *q, *k, *v;
	bool keys_turned;
	float scale;
	struct qeff_mask_rule rule;
	bool causal;
};

/* Whether @node is the product of weights of attention and values. */
bool qeff_attention_find(const struct qeff_node *node, struct qeff_attention_found *found);

#endif
