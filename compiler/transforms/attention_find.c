/* SPDX-License-Identifier: MIT */
/* softmax(scale q k^T + mask) v, as exporters write it. */
#include "transforms/attention_find.h"

#include "transforms/pattern.h"

#include <math.h>
#include <string.h>

static bool has_order(const struct qeff_node *node, const int64_t order[4])
{
	const struct qeff_attribute *perm =
		qeff_node_is(node, "Transpose") ? qeff_node_attribute(node, "perm") : NULL;

	return perm && perm->count == 4 && !memcmp(perm->ints, order, 4 * sizeof(*order));
}

/* Behind multiplications and divisions by numbers, which go into @scale. */
static struct qeff_value *unscaled(struct qeff_value *value, float *scale)
{
	for (int steps = 0; steps < 4; steps++) {
		const struct qeff_node *node = value->producer;
		float number = 0;

		struct qeff_value *inner = NULL;

		if (qeff_node_is(node, "Mul"))
			inner = qeff_pattern_beside(node, &number);
		else if (qeff_node_is(node, "Div") && qeff_pattern_scalar(node->inputs[1], &number))
			inner = node->inputs[0];
		if (!inner)
			break;
		*scale = qeff_node_is(node, "Mul") ? *scale * number : *scale / number;
		value = inner;
	}
	return value;
}

/* Behind Unsqueeze, Expand, Reshape: keys and values that several heads share. */
static struct qeff_value *ungrouped(struct qeff_value *value)
{
	const struct qeff_node *reshape = value->producer, *expand, *unsqueeze;
	const struct qeff_graph_shape *wide, *narrow;

	if (!qeff_node_is(reshape, "Reshape"))
		return value;
	expand = reshape->inputs[0]->producer;
	if (!qeff_node_is(expand, "Expand"))
		return value;
	unsqueeze = expand->inputs[0]->producer;
	if (!qeff_node_is(unsqueeze, "Unsqueeze") && !qeff_node_is(unsqueeze, "Reshape"))
		return value;
	wide = &expand->outputs[0]->shape;
	narrow = &unsqueeze->inputs[0]->shape;
	if (wide->rank != 5 || narrow->rank != 4 || value->shape.rank != 4 ||
	    expand->inputs[0]->shape.rank != 5 || expand->inputs[0]->shape.dims[2].size != 1 ||
	    narrow->dims[1].size != wide->dims[1].size ||
	    narrow->dims[3].size != wide->dims[4].size ||
	    value->shape.dims[1].size != wide->dims[1].size * wide->dims[2].size)
		return value;
	return unsqueeze->inputs[0];
}

static bool take_scores(struct qeff_attention_found *f, struct qeff_value *scores)
{
	static const int64_t last_two[] = { 0, 1, 3, 2 }, keys_last[] = { 0, 2, 3, 1 };
	const struct qeff_node *product, *turn;
	struct qeff_value *k;

	f->scale = 1;
	product = unscaled(scores, &f->scale)->producer;
	if (!qeff_node_is(product, "MatMul"))
		return false;
	f->q = unscaled(product->inputs[0], &f->scale);
	k = unscaled(product->inputs[1], &f->scale);
	turn = k->producer;
	f->keys_turned = has_order(turn, keys_last);
	if (!f->keys_turned && !has_order(turn, last_two))
		return false;
	f->k = unscaled(turn->inputs[0], &f->scale);
	if (!f->keys_turned)
		f->k = ungrouped(f->k);
	return f->q->shape.rank == 4 && f->k->shape.rank == 4 && !f->q->is_initialiser &&
	       !f->k->is_initialiser && isfinite(f->scale);
}

/* Scores and mask: a sum of both, or a choice between scores and a number that hides. */
static bool take_masked(struct qeff_attention_found *f, struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;
	float number = 0;

	if (qeff_node_is(node, "Add"))
		for (int side = 0; side < 2; side++)
			if (take_scores(f, node->inputs[side])) {
				f->rule.value = node->inputs[!side];
				return true;
			}
	if (!qeff_node_is(node, "Where"))
		return false;
	for (int side = 1; side < 3; side++)
		if (qeff_pattern_scalar(node->inputs[side], &number) && number <= -1e4f &&
		    take_scores(f, node->inputs[3 - side])) {
			f->rule.value = node->inputs[0];
			f->rule.where = true;
			f->rule.hides_where_true = side == 1;
			return true;
		}
	return false;
}

/* Rows without a key to see are NaN; a model that replaces them need not. */
static const struct qeff_node *behind_guard(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;

	if (qeff_node_is(node, "Where") && qeff_node_is(node->inputs[0]->producer, "IsNaN") &&
	    node->inputs[0]->producer->inputs[0] == node->inputs[2])
		node = node->inputs[2]->producer;
	return node;
}

bool qeff_attention_find(const struct qeff_node *node, struct qeff_attention_found *f)
{
	const struct qeff_node *softmax;
	int64_t axis;

	memset(f, 0, sizeof(*f));
	if (!qeff_node_is(node, "MatMul") || node->inputs[1]->is_initialiser)
		return false;
	softmax = behind_guard(node->inputs[0]);
	if (!qeff_node_is(softmax, "Softmax") || node->inputs[1]->shape.rank != 4)
		return false;
	axis = qeff_node_int(softmax, "axis", -1);
	f->v = ungrouped(node->inputs[1]);
	return (axis == -1 || axis == 3) && take_masked(f, softmax->inputs[0]);
}
