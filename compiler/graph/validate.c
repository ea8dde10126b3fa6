/* SPDX-License-Identifier: MIT */
/* Graphs: checking that all of graph.h holds, inferring shapes anew, and binding symbols to sizes.
 */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

int graph_infer(struct qeff_node *node, struct qeff_error *err)
{
	struct qeff_op_result few[4] = { 0 }, *result = few;
	int ret;

	if (node->num_outputs > sizeof(few) / sizeof(*few))
		result = calloc(node->num_outputs, sizeof(*result));
	if (!result)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	ret = qeff_op_infer(node, result, err);
	for (uint32_t i = 0; !ret && i < node->num_outputs; i++) {
		node->outputs[i]->type = result[i].type;
		node->outputs[i]->shape = result[i].shape;
	}
	if (result != few)
		free(result);
	return ret;
}

static int check_value(const struct qeff_graph *graph, uint32_t index, struct qeff_error *err)
{
	const struct qeff_value *value = graph->values[index];

	if (value->index != index || qeff_graph_find(graph, value->name) != value)
		return qeff_error_set(err, -EINVAL, "value \"%s\": is not at its place",
				      value->name);
	if (value->is_input + value->is_initialiser + !!value->producer != 1)
		return qeff_error_set(err, -EINVAL, "value \"%s\": %s", value->name,
				      value->is_input || value->is_initialiser || value->producer
					      ? "is made twice"
					      : "nothing makes it");
	for (uint32_t i = 0; i < value->num_users; i++) {
		const struct qeff_node *user = value->users[i];
		uint32_t reads = 0;

		for (uint32_t j = 0; j < user->num_inputs; j++)
			reads += user->inputs[j] == value;
		if (!reads)
			return qeff_error_set(err, -EINVAL,
					      "value \"%s\": its reader \"%s\" does not read it",
					      value->name, user->name);
	}
	return 0;
}

/* Everything a node reads is a value of this graph and stands before it; its outputs get their
 * shapes. */
static int check_node(const struct qeff_graph *graph, struct qeff_node *node,
		      struct qeff_error *err)
{
	int ret;

	for (uint32_t i = 0; i < node->num_inputs; i++) {
		const struct qeff_value *value = node->inputs[i];

		if (!value)
			continue;
		if (value->index >= graph->num_values || graph->values[value->index] != value ||
		    (value->producer && value->producer->mark != 1))
			return qeff_error_set(err, -EINVAL,
					      "node \"%s\": reads \"%s\" before it is made",
					      node->name, value->name);
	}
	for (uint32_t i = 0; i < node->num_outputs; i++)
		if (node->outputs[i]->producer != node)
			return qeff_error_set(err, -EINVAL,
					      "node \"%s\": does not make its output %u",
					      node->name, i);
	ret = graph_infer(node, err);
	if (ret)
		return qeff_error_prefix(err, ret, "node \"%s\" (%s)", node->name, node->op->name);
	node->mark = 1;
	return 0;
}

int qeff_graph_validate(struct qeff_graph *graph, struct qeff_error *err)
{
	int ret = qeff_graph_status(graph, err);

	for (uint32_t i = 0; i < graph->num_values && !ret; i++)
		ret = check_value(graph, i, err);
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		graph->nodes[i]->mark = 0;
	for (uint32_t i = 0; i < graph->num_nodes && !ret; i++)
		ret = check_node(graph, graph->nodes[i], err);
	for (uint32_t i = 0; i < graph->num_outputs && !ret; i++) {
		const struct qeff_value *value = graph->outputs[i];

		if (!value->is_output || value->index >= graph->num_values ||
		    graph->values[value->index] != value)
			ret = qeff_error_set(err, -EINVAL,
					     "output \"%s\": is no value of the graph",
					     value->name);
	}
	if (!ret && !graph->num_outputs)
		ret = qeff_error_set(err, -EINVAL, "graph \"%s\": has no output", graph->name);
	return ret;
}

struct binding {
	const struct qeff_graph *from;
	struct qeff_graph *to;
	struct qeff_value **map; /* by index in @from */
	const struct qeff_binding_size *sizes;
	uint32_t num_sizes;
};

static void bind_input(struct binding *b, const struct qeff_value *input)
{
	struct qeff_dim dims[QEFF_GRAPH_MAX_RANK];

	for (uint32_t i = 0; i < input->shape.rank; i++) {
		dims[i] = input->shape.dims[i];
		for (uint32_t s = 0; s < b->num_sizes && dims[i].symbol; s++)
			if (!strcmp(dims[i].symbol, b->sizes[s].symbol))
				dims[i] = qeff_dim_of(b->sizes[s].size);
		if (dims[i].symbol)
			qeff_graph_fail(b->to, -EINVAL,
					"input \"%s\": no size is given for dimension \"%s\"",
					input->name, dims[i].symbol);
	}
	b->map[input->index] =
		qeff_graph_input(b->to, input->name, input->type, input->shape.rank, dims);
	if (b->map[input->index])
		b->map[input->index]->io = input->io;
}

static void bind_initialiser(struct binding *b, const struct qeff_value *value)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];

	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	b->map[value->index] =
		qeff_graph_initialiser(b->to, value->name, value->type, value->stored_type,
				       value->shape.rank, dims, value->data);
	if (b->map[value->index])
		b->map[value->index]->data_file = value->data_file;
}

static void bind_node(struct binding *b, const struct qeff_node *node, struct qeff_value **inputs)
{
	const char **names = calloc(node->num_outputs, sizeof(*names));
	struct qeff_node *copy;

	if (!names) {
		qeff_graph_fail(b->to, -ENOMEM, "out of memory");
		return;
	}
	for (uint32_t i = 0; i < node->num_inputs; i++)
		inputs[i] = node->inputs[i] ? b->map[node->inputs[i]->index] : NULL;
	for (uint32_t i = 0; i < node->num_outputs; i++)
		names[i] = node->outputs[i]->name;
	copy = qeff_graph_node_of(b->to, node->op->name, node->num_outputs, names, node->num_inputs,
				  inputs, node->num_attributes, node->attributes);
	free(names);
	for (uint32_t i = 0; i < node->num_outputs; i++) {
		b->map[node->outputs[i]->index] = copy ? copy->outputs[i] : NULL;
		if (copy)
			copy->outputs[i]->io = node->outputs[i]->io;
	}
	if (copy)
		copy->fp32 = node->fp32;
}

int qeff_graph_bind(const struct qeff_graph *graph, const struct qeff_binding_size *sizes,
		    uint32_t count, struct qeff_graph **bound, struct qeff_error *err)
{
	struct binding b = { .from = graph, .sizes = sizes, .num_sizes = count };
	struct qeff_value **inputs = NULL;
	uint32_t most = 0;
	int ret;

	*bound = NULL;
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		most = graph->nodes[i]->num_inputs > most ? graph->nodes[i]->num_inputs : most;
	b.to = qeff_graph_new(graph->name);
	b.map = calloc(graph->num_values + 1u, sizeof(struct qeff_value *));
	inputs = calloc(most + 1u, sizeof(struct qeff_value *));
	if (!b.to || !b.map || !inputs) {
		ret = qeff_error_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	for (uint32_t i = 0; i < graph->num_inputs; i++)
		bind_input(&b, graph->inputs[i]);
	for (uint32_t i = 0; i < graph->num_values; i++)
		if (graph->values[i]->is_initialiser)
			bind_initialiser(&b, graph->values[i]);
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		bind_node(&b, graph->nodes[i], inputs);
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		qeff_graph_output(b.to, b.map[graph->outputs[i]->index]);
	ret = qeff_graph_status(b.to, err);
	if (!ret) {
		*bound = b.to;
		b.to = NULL;
	}
out:
	qeff_graph_free(b.to);
	free(b.map);
	free(inputs);
	return ret;
}
