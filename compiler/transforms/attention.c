/* SPDX-License-Identifier: MIT */
/*
 * Attention: softmax(scale q k^T + mask) v as exporters write it becomes qeff.Attention, and
 * constants that differ by column become lookups by position, so that the whole model runs on
 * compacted rows. Padding may stand anywhere; rows of padding come out as zeros.
 */
#include "transforms/attention_mask.h"
#include "transforms/pattern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* An attention as it was found. */
struct found {
	struct qeff_value *q, *k, *v;
	bool keys_turned; /* k is [batch, keys, heads, dim] */
	float scale;
	struct qeff_mask_rule rule;
	bool causal;
};

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

static bool take_scores(struct found *f, struct qeff_value *scores)
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
static bool take_masked(struct found *f, struct qeff_value *value)
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

static bool find_attention(const struct qeff_node *node, struct found *f)
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

/* Whether queries, keys and values are those of the tokens of @mask. */
static bool is_of_tokens(const struct found *f, const struct qeff_value *mask)
{
	const struct qeff_value *const parts[] = { f->q, f->k, f->v };

	for (int i = 0; i < 3; i++) {
		const struct qeff_dim *dims = parts[i]->shape.dims;

		if (parts[i]->shape.rank != 4 || dims[0].size != mask->shape.dims[0].size ||
		    dims[i == 1 && f->keys_turned ? 1 : 2].size != mask->shape.dims[1].size)
			return false;
	}
	return true;
}

/* attention_mask, if the graph has one that rows can be taken from. */
static struct qeff_value *mask_input(const struct qeff_graph *graph)
{
	struct qeff_value *mask = qeff_graph_find(graph, "attention_mask");

	if (!mask || !mask->is_input || mask->type != QEFF_GRAPH_I64 || mask->shape.rank != 2 ||
	    mask->shape.dims[0].symbol || mask->shape.dims[1].symbol ||
	    qeff_graph_find(graph, "position_ids"))
		return NULL;
	return mask;
}

static void fuse(struct qeff_graph *graph, struct qeff_node *node, const struct found *f,
		 struct qeff_value *positions)
{
	static const int64_t swap[] = { 0, 2, 1, 3 };
	struct qeff_value *k = f->k;
	char name[512];

	if (f->keys_turned) {
		snprintf(name, sizeof(name), "%s/keys", node->name);
		k = qeff_graph_node(graph, "Transpose", name, 1, &k, 1,
				    (struct qeff_attribute[]){ QEFF_INTS("perm", 4, swap) });
	}
	qeff_graph_morph(graph, node, "qeff.Attention", 5,
			 (struct qeff_value *[]){ f->q, k, f->v, positions, positions }, 2,
			 (struct qeff_attribute[]){ QEFF_FLOAT("scale", f->scale),
						    QEFF_INT("causal", f->causal) });
}

/* A constant [seq, width], or the same for every batch entry. */
static bool is_by_column(const struct qeff_value *table, int64_t batch, int64_t seq, int64_t width)
{
	uint32_t rank = table->shape.rank;
	uint64_t bytes =
		(uint64_t)seq * (uint64_t)width * qeff_graph_type_bytes(table->stored_type);
	const uint8_t *data = table->data;

	if (!table->is_initialiser || rank < 2 || rank > 3 ||
	    table->shape.dims[rank - 2].size != seq || table->shape.dims[rank - 1].size != width)
		return false;
	if (rank == 2 || table->shape.dims[0].size == 1)
		return true;
	if (table->shape.dims[0].size != batch)
		return false;
	for (int64_t i = 1; i < batch; i++)
		if (memcmp(data, data + (uint64_t)i * bytes, bytes))
			return false;
	return true;
}

/* A sum of rows and a constant [1, seq, width]: each column's row of it is looked up. */
static bool look_up_by_column(struct qeff_graph *graph, struct qeff_node *node,
			      struct qeff_value *positions)
{
	int64_t batch = positions->shape.dims[0].size, seq = positions->shape.dims[1].size;

	for (int side = 0; side < 2; side++) {
		struct qeff_value *rows = node->inputs[!side], *table = node->inputs[side];
		uint32_t rank = table->shape.rank;
		struct qeff_value *lookup;
		char name[512];

		if (rows->is_initialiser || rows->shape.rank != 3 ||
		    rows->shape.dims[0].size != batch || rows->shape.dims[1].size != seq ||
		    !is_by_column(table, batch, seq, rows->shape.dims[2].size))
			continue;
		snprintf(name, sizeof(name), "%s/by column", table->name);
		lookup = qeff_graph_find(graph, name);
		if (!lookup) {
			char matrix[512];
			const int64_t dims[] = { seq, table->shape.dims[rank - 1].size };

			snprintf(matrix, sizeof(matrix), "%s/columns", table->name);
			lookup = qeff_graph_initialiser(graph, matrix, table->type,
							table->stored_type, 2, dims, table->data);
			lookup = qeff_graph_node(graph, "Gather", name, 2,
						 (struct qeff_value *[]){ lookup, positions }, 0,
						 NULL);
		}
		qeff_graph_set_input(graph, node, (uint32_t)side, lookup);
		return true;
	}
	return false;
}

int qeff_transform_attention(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err)
{
	struct qeff_value *mask = mask_input(graph), *positions = NULL, *agreed_value = NULL;
	uint32_t count = 0, nodes = graph->num_nodes;
	bool causal = false, agreed = false;
	struct found f;

	for (uint32_t i = 0; mask && i < nodes; i++) {
		struct qeff_node *node = graph->nodes[i];
		int rc = 0;

		if (!find_attention(node, &f) || !is_of_tokens(&f, mask))
			continue;
		f.rule.mask = mask;
		/* layers share what they make of the mask, mostly */
		if (f.rule.value != agreed_value) {
			rc = qeff_mask_try(graph, &f.rule, options, &causal, &agreed, err);
			agreed_value = f.rule.value;
		}
		if (rc)
			return rc;
		f.causal = causal;
		if (!agreed)
			continue;
		if (!positions)
			positions = qeff_graph_node(graph, "qeff.MaskToColumns", "position_ids", 1,
						    &mask, 0, NULL);
		fuse(graph, node, &f, positions);
		count++;
	}
	for (uint32_t i = 0; count && i < nodes; i++)
		if (qeff_node_is(graph->nodes[i], "Add"))
			look_up_by_column(graph, graph->nodes[i], positions);
	if (changes)
		*changes = count;
	return qeff_graph_finish(graph, err);
}
