/* SPDX-License-Identifier: MIT */
/*
 * ReplicateKVHead: every KV head stands num_replicate_kv_heads times, one behind the other, in the
 * weights and biases that make keys and values and so in the KV cache, for several cards to share
 * them out. Queries then find in their place what they found before. The weights are views of what
 * they were (Reshape, Expand, Reshape), so nothing is copied.
 */
#include "transforms/transforms.h"

#include <stdio.h>
#include <string.h>

#define MAX_BRANCHES 8

struct replicate {
	struct qeff_graph *graph;
	int64_t times;
	int64_t heads; /* as they were, of the attention at hand */
	/* values whose heads are still to be repeated */
	struct qeff_value *open[MAX_BRANCHES];
	uint32_t num_open;
	const struct qeff_node *attention;
	struct qeff_error *err;
};

static int refuse(const struct replicate *r, const struct qeff_value *value)
{
	return qeff_error_set(r->err, -ENOTSUP,
			      "\"%s\": its keys or values come from \"%s\" (%s), in which heads "
			      "cannot be repeated",
			      r->attention->name, value->name,
			      value->producer ? value->producer->op_type : "an input");
}

static struct qeff_value *sizes(const struct replicate *r, const char *name, uint32_t count,
				const int64_t *numbers)
{
	const int64_t length = count;
	struct qeff_value *value;
	void *data;

	value = qeff_graph_constant(r->graph, name, QEFF_GRAPH_I64, 1, &length, &data);
	if (value)
		memcpy(data, numbers, count * sizeof(*numbers));
	return value;
}

/* A vector or matrix of @heads heads along its first axis, with each of them repeated. */
static struct qeff_value *repeated(const struct replicate *r, struct qeff_value *value,
				   int64_t heads)
{
	static const char *const ops[] = { "Reshape", "Expand", "Reshape" };
	static const char *const steps[] = { "heads", "repeated", "replicated" };
	uint32_t rank = value->shape.rank;
	int64_t rows = value->shape.dims[0].size,
		columns = rank > 1 ? value->shape.dims[1].size : 1;
	const int64_t shapes[3][4] = {
		{ heads, 1, rows / heads, columns },
		{ heads, r->times, rows / heads, columns },
		{ rows * r->times, columns },
	};
	char name[300], base[256];
	struct qeff_value *found;

	snprintf(base, sizeof(base), "%.240s", value->name);
	snprintf(name, sizeof(name), "%s/replicated", base);
	found = qeff_graph_find(r->graph, name);
	for (int i = 0; !found && i < 3; i++) {
		struct qeff_value *shape;

		snprintf(name, sizeof(name), "%s/%s/shape", base, steps[i]);
		shape = sizes(r, name, i < 2 ? 4 : rank, shapes[i]);
		snprintf(name, sizeof(name), "%s/%s", base, steps[i]);
		value = qeff_graph_node(r->graph, ops[i], name, 2,
					(struct qeff_value *[]){ value, shape }, 0, NULL);
	}
	return found ? found : value;
}

/* Whether @value is of weights alone, with @heads heads along its first axis. */
static bool has_heads(const struct qeff_value *value, int64_t heads)
{
	const struct qeff_dim *dims = value->shape.dims;

	return value->type == QEFF_GRAPH_F32 && value->shape.rank >= 1 && value->shape.rank <= 2 &&
	       !dims[0].symbol && dims[0].size % heads == 0 &&
	       (value->shape.rank == 1 || !dims[1].symbol);
}

/* An initialiser, or a view of one. */
static bool is_weight(const struct qeff_value *value)
{
	static const char *const views[] = { "Reshape", "Transpose", "Slice", "Expand",
					     "qeff.DequantizeMXFP4" };

	while (value && !value->is_initialiser) {
		bool view = false;

		for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
			view = view || qeff_node_is(value->producer, views[i]);
		value = view ? value->producer->inputs[0] : NULL;
	}
	return value;
}

/* A weight of @node with heads along its first axis, or, if @turned, along its last. */
static bool repeat_input(struct replicate *r, struct qeff_node *node, uint32_t index, bool turned,
			 int64_t heads)
{
	const struct qeff_attribute perm = QEFF_INTS("perm", 2, ((const int64_t[]){ 1, 0 }));
	struct qeff_value *weight = node->inputs[index];
	char name[300];

	if (turned) {
		if (!qeff_node_is(weight->producer, "Transpose") || weight->shape.rank != 2)
			return false;
		weight = weight->producer->inputs[0];
	}
	if (!is_weight(weight) || !has_heads(weight, heads))
		return false;
	weight = repeated(r, weight, heads);
	if (turned && weight) {
		snprintf(name, sizeof(name), "%.280s/t", weight->name);
		if (qeff_graph_find(r->graph, name))
			weight = qeff_graph_find(r->graph, name);
		else
			weight = qeff_graph_node(r->graph, "Transpose", name, 1, &weight, 1, &perm);
	}
	qeff_graph_set_input(r->graph, node, index, weight);
	return true;
}

/* [.., heads, dim] becomes [.., times * heads, dim]. */
static bool widen_reshape(struct replicate *r, struct qeff_node *node)
{
	const struct qeff_value *shape = qeff_node_input(node, 1);
	int64_t numbers[4];
	char name[300];

	if (!shape || !shape->is_initialiser || shape->stored_type != QEFF_GRAPH_I64 ||
	    shape->shape.rank != 1 || shape->shape.dims[0].size != 4 ||
	    node->outputs[0]->shape.rank != 4)
		return false;
	memcpy(numbers, shape->data, sizeof(numbers));
	if (numbers[2] != r->heads || numbers[3] <= 0)
		return false;
	numbers[2] *= r->times;
	snprintf(name, sizeof(name), "%.280s/shape", node->name);
	qeff_graph_set_input(r->graph, node, 1, sizes(r, name, 4, numbers));
	return true;
}

static bool norm(struct replicate *r, struct qeff_node *node)
{
	/* of each head: the same weights for all; of the whole row: its mean stays as it is */
	if (node->outputs[0]->shape.rank == 4)
		return true;
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (!repeat_input(r, node, i, false, r->heads))
			return false;
	return true;
}

/* Goes on with what @value is made of. */
static int widen(struct replicate *r, struct qeff_value *value)
{
	struct qeff_node *node = value->producer;
	bool fits = true, through = true;

	if (!node || value->is_output || value->num_users > 1)
		return refuse(r, value);
	if (qeff_node_is(node, "Reshape")) {
		fits = widen_reshape(r, node);
	} else if (qeff_node_is(node, "qeff.RMSNorm") || qeff_node_is(node, "LayerNormalization")) {
		fits = norm(r, node);
	} else if (qeff_node_is(node, "MatMul")) {
		fits = repeat_input(r, node, 1, true, r->heads);
		through = false;
	} else if (qeff_node_is(node, "qeff.Experts")) {
		fits = !qeff_node_input(node, 3) &&
		       repeat_input(r, node, 2, false,
				    r->heads * qeff_node_int(node, "experts", 1));
		through = false;
	} else if (qeff_node_is(node, "Add")) {
		/* a bias, or what an adapter adds */
		for (uint32_t i = 0; i < 2 && fits; i++)
			if (is_weight(node->inputs[i]))
				fits = repeat_input(r, node, i, false, r->heads);
			else
				r->open[r->num_open++] = node->inputs[i];
		through = false;
	} else {
		fits = qeff_node_is(node, "Transpose") || qeff_node_is(node, "Clip") ||
		       qeff_node_is(node, "qeff.RotaryEmbedding");
	}
	if (!fits)
		return refuse(r, value);
	if (through)
		r->open[r->num_open++] = node->inputs[0];
	return 0;
}

static int replicate(struct replicate *r, struct qeff_node *attention)
{
	int64_t queries = attention->inputs[0]->shape.dims[1].size;
	int rc = 0;

	r->attention = attention;
	r->heads = attention->inputs[1]->shape.dims[1].size;
	if (queries == r->heads)
		return qeff_error_set(
			r->err, -EINVAL,
			"\"%s\" has as many KV heads as heads, %lld: there is nothing "
			"to repeat them for",
			attention->name, (long long)queries);
	if (queries % (r->heads * r->times))
		return qeff_error_set(
			r->err, -EINVAL,
			"\"%s\" has %lld heads, which %lld KV heads %lld times do not "
			"divide",
			attention->name, (long long)queries, (long long)r->heads,
			(long long)r->times);
	for (uint32_t i = 1; !rc && i < 3; i++) {
		r->open[0] = attention->inputs[i];
		r->num_open = 1;
		while (!rc && r->num_open)
			rc = r->num_open < MAX_BRANCHES - 1 ? widen(r, r->open[--r->num_open])
							    : refuse(r, r->open[0]);
		if (!rc)
			rc = qeff_graph_status(r->graph, r->err);
	}
	return rc;
}

int qeff_transform_replicate_kv_head(struct qeff_graph *graph,
				     const struct qeff_transform_options *options,
				     uint32_t *changes, struct qeff_error *err)
{
	struct replicate r = { .graph = graph,
			       .times = options->num_replicate_kv_heads,
			       .err = err };
	uint32_t count = 0, nodes = graph->num_nodes;
	int rc = 0;

	if (r.times < 2)
		nodes = 0;
	for (uint32_t i = 0; !rc && i < nodes; i++)
		if (qeff_node_is(graph->nodes[i], "qeff.Attention") &&
		    qeff_node_int(graph->nodes[i], "causal", 0) &&
		    qeff_node_input(graph->nodes[i], 4)) {
			rc = replicate(&r, graph->nodes[i]);
			count++;
		}
	if (changes)
		*changes = count;
	return rc ? rc : qeff_graph_finish(graph, err);
}
