/* SPDX-License-Identifier: MIT */
/*
 * What a model adds to the scores of attention, told by trying: the nodes between attention_mask
 * and the sum are computed for a few masks, and if every score of a key that the mask hides, or
 * that lies in the future, comes out as nothing and every other one as it was, then the model masks
 * as qeff.Attention does. Exporters write this in too many ways to know them by their looks.
 */
#include "transforms/attention_mask.h"

#include "graph/ops.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NODES    512
#define MAX_ELEMENTS (1u << 24)
#define MAX_SCORES   (1ull << 26) /* looked at for one mask */
#define HIDDEN	     (-1e4f)	  /* at most; exp() of it is 0 */

/**
 * struct trial - the nodes behind a mask, computed for one attention_mask
 * @graph: a graph of their own, in which everything is a constant
 * @twin: by index of a value of the model's graph: the same there
 * @memory: of results
 */
struct trial {
	const struct qeff_mask_rule *rule;
	const struct qeff_transform_options *options;
	struct qeff_graph *graph;
	struct qeff_value **twin;
	void *memory[MAX_NODES];
	uint32_t num_memory;
	const int64_t *live;
	struct qeff_error *err;
};

static struct qeff_value *constant(struct trial *t, const struct qeff_value *value,
				   const void *data)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];

	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	return qeff_graph_initialiser(t->graph, value->name, value->type,
				      data == value->data ? value->stored_type : value->type,
				      value->shape.rank, dims, data);
}

/* Nodes behind @value, each behind what it reads; false if there is more than masks there. */
static bool collect(const struct qeff_value *value, const struct qeff_value *mask,
		    const struct qeff_node **nodes, uint32_t *count, uint32_t depth)
{
	if (!value || value == mask || value->is_initialiser)
		return true;
	if (!value->producer || depth > 64)
		return false;
	for (uint32_t i = 0; i < *count; i++)
		if (nodes[i] == value->producer)
			return true;
	for (uint32_t i = 0; i < value->producer->num_inputs; i++)
		if (!collect(value->producer->inputs[i], mask, nodes, count, depth + 1))
			return false;
	if (*count == MAX_NODES)
		return false;
	nodes[(*count)++] = value->producer;
	return true;
}

static struct qeff_value *twin_of(struct trial *t, struct qeff_value *value)
{
	if (value && !t->twin[value->index])
		t->twin[value->index] =
			constant(t, value, value == t->rule->mask ? t->live : value->data);
	return value ? t->twin[value->index] : NULL;
}

static int compute(struct trial *t, const struct qeff_node *node)
{
	struct qeff_value *inputs[8];
	const char *name = node->outputs[0]->name;
	struct qeff_node *twin;
	uint64_t elements;
	void *data;
	int rc;

	if (node->num_inputs > 8 || node->num_outputs != 1)
		return -ENOTSUP;
	for (uint32_t i = 0; i < node->num_inputs; i++)
		inputs[i] = twin_of(t, node->inputs[i]);
	twin = qeff_graph_node_of(t->graph, node->op->name, 1, &name, node->num_inputs, inputs,
				  node->num_attributes, node->attributes);
	if (!twin)
		return -ENOTSUP;
	if (!qeff_graph_shape_elements(&twin->outputs[0]->shape, &elements) ||
	    elements > MAX_ELEMENTS)
		return -ENOTSUP;
	data = calloc(elements + 1, qeff_graph_type_bytes(twin->outputs[0]->type));
	if (!data)
		return -ENOMEM;
	t->memory[t->num_memory++] = data;
	t->twin[node->outputs[0]->index] = twin->outputs[0];
	rc = t->options->fold(t->options->fold_user, twin, &data, t->err);
	if (!rc)
		qeff_graph_set_constant(t->graph, twin, (const void *const *)&data);
	return rc;
}

/* The number that @value, broadcast to [batch, heads, seq, keys], has at a place. */
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

static bool fits(const struct qeff_value *value, int64_t batch, int64_t seq)
{
	const int64_t most[] = { batch, 1, seq, seq };

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
		   const int64_t *live, int64_t batch, int64_t seq, bool causal)
{
	uint32_t rank = value->shape.rank;
	/* one row for all: none of them can be told from another, so it is not causal */
	bool shared = rank < 2 || value->shape.dims[rank - 2].size == 1;
	int64_t rows = shared ? 1 : seq;

	if ((shared && causal) || (uint64_t)batch * (uint64_t)seq > MAX_SCORES / (uint64_t)rows)
		return false;
	for (int64_t b = 0; b < batch; b++)
		for (int64_t row = 0; row < rows; row++)
			for (int64_t key = 0; key < seq; key++) {
				bool hidden, clear;

				if (!shared && !live[b * seq + row])
					continue;
				hidden = hides(rule, number_at(value, b, row, key), &clear);
				if (!clear ||
				    hidden != (!live[b * seq + key] || (causal && key > row)))
					return false;
			}
	return true;
}

/* One attention_mask, in another way for every @kind and batch entry; all live for 0. */
static void fill(int64_t *live, int64_t batch, int64_t seq, int kind)
{
	for (int64_t b = 0; b < batch; b++)
		for (int64_t s = 0; s < seq; s++) {
			int64_t part = 1 + (b + kind) % seq;
			bool alive = true;

			if (kind % 3 == 1)
				alive = s < part; /* padding behind */
			else if (kind % 3 == 2)
				alive = s >= seq - part; /* padding in front */
			else if (kind)
				alive = (s * 7 + b + kind) % 3 != 0; /* holes */
			live[b * seq + s] = alive;
		}
}

static int try_mask(struct trial *t, const struct qeff_node *const *nodes, uint32_t count,
		    int64_t batch, int64_t seq, int kind, bool *causal, bool *agreed)
{
	const struct qeff_value *result;
	int rc = 0;

	t->graph = qeff_graph_new("mask");
	if (!t->graph)
		return -ENOMEM;
	for (uint32_t i = 0; !rc && i < count; i++)
		rc = compute(t, nodes[i]);
	if (!rc) {
		result = twin_of(t, t->rule->value);
		*agreed = result && fits(result, batch, seq);
		if (*agreed && !kind && seq > 1) {
			bool clear;

			*causal = hides(t->rule, number_at(result, 0, 0, seq - 1), &clear);
		}
		if (*agreed)
			*agreed = agrees(t->rule, result, t->live, batch, seq, *causal);
	}
	qeff_graph_free(t->graph);
	for (uint32_t i = 0; i < t->num_memory; i++)
		free(t->memory[i]);
	t->num_memory = 0;
	return rc;
}

int qeff_mask_try(const struct qeff_graph *graph, const struct qeff_mask_rule *rule,
		  const struct qeff_transform_options *options, bool *causal, bool *agreed,
		  struct qeff_error *err)
{
	int64_t batch = rule->mask->shape.dims[0].size, seq = rule->mask->shape.dims[1].size;
	struct trial t = { .rule = rule, .options = options, .err = err };
	const struct qeff_node *nodes[MAX_NODES];
	uint32_t count = 0;
	int64_t *live;
	int rc = 0;

	*agreed = false;
	*causal = false;
	if (!options->fold || batch < 1 || seq < 1 ||
	    (uint64_t)batch * (uint64_t)seq > MAX_ELEMENTS ||
	    !collect(rule->value, rule->mask, nodes, &count, 0))
		return 0;
	live = calloc((size_t)(batch * seq), sizeof(*live));
	t.twin = calloc(graph->num_values + 1u, sizeof(struct qeff_value *));
	t.live = live;
	if (!live || !t.twin)
		rc = -ENOMEM;
	for (int kind = 0; !rc && (kind == 0 || *agreed) && kind < 7; kind++) {
		memset(t.twin, 0, (graph->num_values + 1u) * sizeof(struct qeff_value *));
		fill(live, batch, seq, kind);
		rc = try_mask(&t, nodes, count, batch, seq, kind, causal, agreed);
	}
	free(live);
	free(t.twin);
	if (rc == -ENOMEM)
		return qeff_error_set(err, rc, "out of memory while trying masks");
	*agreed = *agreed && !rc;
	return 0;
}
