/* SPDX-License-Identifier: MIT */
/*
 * Graphs: rewriting, and putting right what rewriting left: what is dead, the order of nodes,
 * shapes.
 */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

void graph_remove_user(struct qeff_value *value, struct qeff_node *node)
{
	for (uint32_t i = 0; i < value->num_users; i++) {
		if (value->users[i] == node) {
			value->users[i] = value->users[--value->num_users];
			return;
		}
	}
}

void qeff_graph_replace_output(struct qeff_graph *graph, struct qeff_value *from,
			       struct qeff_value *to)
{
	if (!from || !to || from == to || !from->is_output)
		return;
	if (to->is_output) {
		qeff_graph_fail(graph, -EINVAL,
				"output \"%s\" cannot be replaced by \"%s\", which is one already",
				from->name, to->name);
		return;
	}
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		if (graph->outputs[i] == from)
			graph->outputs[i] = to;
	from->is_output = false;
	to->is_output = true;
}

void qeff_graph_replace_uses(struct qeff_graph *graph, struct qeff_value *from,
			     struct qeff_value *to)
{
	if (!from || !to || from == to)
		return;
	for (uint32_t u = 0; u < from->num_users; u++) {
		struct qeff_node *node = from->users[u];

		/* a node that reads @from twice stands twice among the users: one place a turn */
		for (uint32_t i = 0; i < node->num_inputs; i++) {
			if (node->inputs[i] == from) {
				if (!graph_add_user(graph, to, node))
					return;
				node->inputs[i] = to;
				break;
			}
		}
	}
	from->num_users = 0;
	qeff_graph_replace_output(graph, from, to);
}

void qeff_graph_set_input(struct qeff_graph *graph, struct qeff_node *node, uint32_t index,
			  struct qeff_value *value)
{
	if (!node || qeff_graph_status(graph, NULL))
		return;
	if (index >= node->op->max_inputs) {
		qeff_graph_fail(graph, -EINVAL, "node \"%s\" (%s): has no input %u", node->name,
				node->op->name, index);
		return;
	}
	if (index >= node->num_inputs) {
		struct qeff_value **inputs =
			graph_alloc(graph, node->op->max_inputs, sizeof(*inputs));

		if (!inputs)
			return;
		if (node->num_inputs)
			memcpy(inputs, node->inputs, node->num_inputs * sizeof(*inputs));
		node->inputs = inputs;
		node->num_inputs = index + 1;
	}
	if (node->inputs[index])
		graph_remove_user(node->inputs[index], node);
	node->inputs[index] = value;
	if (value && !graph_add_user(graph, value, node))
		return;
	while (node->num_inputs && !node->inputs[node->num_inputs - 1])
		node->num_inputs--;
}

void qeff_graph_morph(struct qeff_graph *graph, struct qeff_node *node, const char *op,
		      uint32_t num_inputs, struct qeff_value *const *inputs,
		      uint32_t num_attributes, const struct qeff_attribute *attributes)
{
	const struct qeff_op *row = qeff_op_find(op);

	if (!node || qeff_graph_status(graph, NULL))
		return;
	if (!row) {
		qeff_graph_fail(graph, -ENOTSUP, "node \"%s\": unknown operator %s", node->name,
				op);
		return;
	}
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (node->inputs[i])
			graph_remove_user(node->inputs[i], node);
	graph_fill_node(graph, node, row, num_inputs, inputs, num_attributes, attributes);
}

void qeff_graph_set_constant(struct qeff_graph *graph, struct qeff_node *node,
			     const void *const *data)
{
	uint32_t at = graph->num_nodes;

	if (!node || qeff_graph_status(graph, NULL))
		return;
	for (uint32_t i = 0; i < node->num_outputs; i++) {
		struct qeff_value *value = node->outputs[i];

		value->producer = NULL;
		value->is_initialiser = true;
		value->stored_type = value->type;
		value->data = data[i];
	}
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (node->inputs[i])
			graph_remove_user(node->inputs[i], node);
	while (at && graph->nodes[at - 1] != node) /* it is the last one as a rule */
		at--;
	if (at)
		memmove(&graph->nodes[at - 1], &graph->nodes[at],
			(--graph->num_nodes - (at - 1)) * sizeof(struct qeff_node *));
}

void qeff_graph_rename(struct qeff_graph *graph, struct qeff_value *value, const char *name)
{
	struct graph_name *entry;

	if (!value || qeff_graph_status(graph, NULL))
		return;
	entry = graph_name(graph, name);
	if (!entry || entry->value == value)
		return;
	if (entry->value || !*name) {
		qeff_graph_fail(graph, -EINVAL, "value \"%s\": cannot be named \"%s\"%s",
				value->name, name, *name ? ", as another is" : "");
		return;
	}
	graph_forget_name(graph, value->name);
	entry->value = value;
	value->name = entry->text;
	if (value->producer && value->producer->outputs[0] == value)
		value->producer->name = entry->text;
}

static void set_marks(struct qeff_graph *graph, uint32_t mark)
{
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		graph->nodes[i]->mark = mark;
}

/* Marks every node that an output depends on; the stack holds each node at most once. */
static void mark_live(struct qeff_graph *graph, struct qeff_node **stack)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < graph->num_outputs; i++) {
		struct qeff_node *node = graph->outputs[i]->producer;

		if (node && !node->mark) {
			node->mark = 1;
			stack[depth++] = node;
		}
	}
	while (depth) {
		struct qeff_node *node = stack[--depth];

		for (uint32_t i = 0; i < node->num_inputs; i++) {
			struct qeff_node *producer =
				node->inputs[i] ? node->inputs[i]->producer : NULL;

			if (producer && !producer->mark) {
				producer->mark = 1;
				stack[depth++] = producer;
			}
		}
	}
}

/* Keeps the values that are read, given out, or made by a node that is left. */
static void drop_values(struct qeff_graph *graph)
{
	uint32_t kept = 0, inputs = 0;

	for (uint32_t i = 0; i < graph->num_values; i++) {
		struct qeff_value *value = graph->values[i];

		if (value->num_users || value->is_output ||
		    (value->producer && value->producer->mark)) {
			value->index = kept;
			graph->values[kept++] = value;
		} else {
			graph_forget_name(graph, value->name);
		}
	}
	graph->num_values = kept;
	for (uint32_t i = 0; i < graph->num_inputs; i++)
		if (graph->inputs[i]->num_users || graph->inputs[i]->is_output)
			graph->inputs[inputs++] = graph->inputs[i];
	graph->num_inputs = inputs;
}

uint32_t qeff_graph_prune(struct qeff_graph *graph)
{
	struct qeff_node **stack;
	uint32_t kept = 0, before = graph->num_nodes;

	if (qeff_graph_status(graph, NULL))
		return 0;
	stack = calloc(before + 1u, sizeof(struct qeff_node *));
	if (!stack) {
		qeff_graph_fail(graph, -ENOMEM, "out of memory");
		return 0;
	}
	set_marks(graph, 0);
	mark_live(graph, stack);
	free(stack);
	for (uint32_t n = 0; n < before; n++) {
		struct qeff_node *node = graph->nodes[n];

		if (node->mark) {
			graph->nodes[kept++] = node;
			continue;
		}
		for (uint32_t i = 0; i < node->num_inputs; i++)
			if (node->inputs[i])
				graph_remove_user(node->inputs[i], node);
	}
	graph->num_nodes = kept;
	drop_values(graph);
	return before - kept;
}

enum { UNSEEN, OPEN, PLACED };

/*
 * Depth first from each node in its present order, so that nodes already in order stay where they
 * are. An open node on the stack is one whose inputs are being placed; @next counts the inputs it
 * has looked at.
 */
static int place(struct qeff_node *first, struct qeff_node **stack, uint32_t *next,
		 struct qeff_node **order, uint32_t *placed, struct qeff_error *err)
{
	uint32_t depth = 0;

	if (first->mark != UNSEEN)
		return 0;
	first->mark = OPEN;
	stack[depth] = first;
	next[depth++] = 0;
	while (depth) {
		struct qeff_node *node = stack[depth - 1], *producer;

		if (next[depth - 1] == node->num_inputs) {
			node->mark = PLACED;
			order[(*placed)++] = node;
			depth--;
			continue;
		}
		producer = qeff_node_input(node, next[depth - 1])
				   ? node->inputs[next[depth - 1]]->producer
				   : NULL;
		next[depth - 1]++;
		if (!producer || producer->mark == PLACED)
			continue;
		if (producer->mark == OPEN)
			return qeff_error_set(
				err, -EINVAL,
				"the graph has a cycle: \"%s\" depends on \"%s\", which depends on it",
				node->name, producer->name);
		producer->mark = OPEN;
		stack[depth] = producer;
		next[depth++] = 0;
	}
	return 0;
}

int qeff_graph_sort(struct qeff_graph *graph, struct qeff_error *err)
{
	struct qeff_node **memory = calloc(graph->num_nodes * 2 + 1u, sizeof(struct qeff_node *));
	uint32_t *next = calloc(graph->num_nodes + 1u, sizeof(*next));
	uint32_t placed = 0;
	int ret = 0;

	if (!memory || !next) {
		ret = qeff_error_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	set_marks(graph, UNSEEN);
	for (uint32_t i = 0; i < graph->num_nodes && !ret; i++)
		ret = place(graph->nodes[i], memory + graph->num_nodes, next, memory, &placed, err);
	if (!ret && placed)
		memcpy(graph->nodes, memory, placed * sizeof(struct qeff_node *));
out:
	free(memory);
	free(next);
	return ret;
}

int qeff_graph_finish(struct qeff_graph *graph, struct qeff_error *err)
{
	int ret;

	qeff_graph_prune(graph);
	ret = qeff_graph_status(graph, err);
	if (!ret)
		ret = qeff_graph_sort(graph, err);
	return ret ? ret : qeff_graph_validate(graph, err);
}
