/* SPDX-License-Identifier: MIT */
/*
 * Graphs: memory, names and construction.
 *
 * Nodes, values, strings and small constants live in an arena that is freed as a whole. One hash
 * table interns every string and finds values by name, so that building is linear in the number of
 * nodes.
 */
#include "graph/internal.h"

#include "util/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *graph_alloc(struct qeff_graph *graph, uint64_t count, uint64_t size_bytes)
{
	void *at = qeff_arena_alloc(&graph_private(graph)->arena, count, size_bytes);

	if (!at)
		qeff_graph_fail(graph, -ENOMEM, "out of memory");
	return at;
}

/* Makes room for one more element of an array. */
static bool grow(struct qeff_graph *graph, void *array, uint32_t count, uint32_t *capacity)
{
	uint32_t larger = *capacity ? *capacity * 2 : 64;
	void *old, *moved;

	if (count < *capacity)
		return true;
	memcpy(&old, array, sizeof(old));
	moved = larger > *capacity ? reallocarray(old, larger, sizeof(void *)) : NULL;
	if (!moved) {
		qeff_graph_fail(graph, -ENOMEM, "out of memory");
		return false;
	}
	memcpy(array, &moved, sizeof(moved));
	*capacity = larger;
	return true;
}

static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash ^ hash >> 15;
}

static struct graph_name *probe(struct graph_name *names, uint32_t capacity, const char *text)
{
	uint32_t at = hash_text(text);

	while (names[at & (capacity - 1)].text && strcmp(names[at & (capacity - 1)].text, text))
		at++;
	return &names[at & (capacity - 1)];
}

struct graph_name *graph_name(struct qeff_graph *graph, const char *text)
{
	struct graph_private *p = graph_private(graph);
	struct graph_name *entry;
	char *copy;

	if (p->num_names >= p->names_capacity / 2) {
		uint32_t capacity = p->names_capacity ? p->names_capacity * 2 : 1024;
		struct graph_name *names = capacity ? calloc(capacity, sizeof(*names)) : NULL;

		if (!names) {
			qeff_graph_fail(graph, -ENOMEM, "out of memory");
			return NULL;
		}
		for (uint32_t i = 0; i < p->names_capacity; i++)
			if (p->names[i].text)
				*probe(names, capacity, p->names[i].text) = p->names[i];
		free(p->names);
		p->names = names;
		p->names_capacity = capacity;
	}
	entry = probe(p->names, p->names_capacity, text);
	if (!entry->text) {
		copy = graph_alloc(graph, strlen(text) + 1, 1);
		if (!copy)
			return NULL;
		strcpy(copy, text);
		entry->text = copy;
		p->num_names++;
	}
	return entry;
}

void graph_forget_name(struct qeff_graph *graph, const char *text)
{
	struct graph_private *p = graph_private(graph);

	probe(p->names, p->names_capacity, text)->value = NULL;
}

struct qeff_value *qeff_graph_find(const struct qeff_graph *graph, const char *name)
{
	const struct graph_private *p = graph_private(graph);

	return p->names ? probe(p->names, p->names_capacity, name)->value : NULL;
}

struct qeff_graph *qeff_graph_new(const char *name)
{
	struct graph_private *p = calloc(1, sizeof(*p));
	struct graph_name *entry;

	if (!p)
		return NULL;
	p->graph.name = "";
	entry = graph_name(&p->graph, name);
	if (!entry) {
		qeff_graph_free(&p->graph);
		return NULL;
	}
	p->graph.name = entry->text;
	return &p->graph;
}

void qeff_graph_free(struct qeff_graph *graph)
{
	struct graph_private *p = graph_private(graph);

	if (!graph)
		return;
	qeff_arena_free(&p->arena);
	free(p->names);
	free(graph->values);
	free(graph->nodes);
	free(graph->inputs);
	free(graph->outputs);
	free(p);
}

int qeff_graph_status(const struct qeff_graph *graph, struct qeff_error *err)
{
	const struct graph_private *p = graph_private(graph);

	if (!p->error.code)
		return 0;
	return qeff_error_set(err, p->error.code, "%s", p->error.message);
}

void qeff_graph_fail(struct qeff_graph *graph, int code, const char *format, ...)
{
	struct graph_private *p = graph_private(graph);
	va_list args;

	if (p->error.code)
		return;
	p->error.code = code;
	va_start(args, format);
	vsnprintf(p->error.message, sizeof(p->error.message), format, args);
	va_end(args);
}

struct qeff_dim qeff_dim_of(int64_t size)
{
	return (struct qeff_dim){ .size = size };
}

struct qeff_dim qeff_dim_symbol(const char *symbol)
{
	return (struct qeff_dim){ .size = -1, .symbol = symbol };
}

/* A value under a name that must be new. */
static struct qeff_value *add_value(struct qeff_graph *graph, const char *name,
				    enum qeff_graph_type type)
{
	struct graph_private *p = graph_private(graph);
	struct graph_name *entry;
	struct qeff_value *value;

	if (p->error.code)
		return NULL;
	entry = graph_name(graph, name);
	if (!entry || !grow(graph, &graph->values, graph->num_values, &p->values_capacity))
		return NULL;
	if (entry->value || !*name) {
		qeff_graph_fail(graph, -EINVAL, "value \"%s\": %s", name,
				*name ? "the graph has one of this name already" : "has no name");
		return NULL;
	}
	value = graph_alloc(graph, 1, sizeof(*value));
	if (!value)
		return NULL;
	value->name = entry->text;
	value->type = type;
	value->index = graph->num_values;
	graph->values[graph->num_values++] = value;
	entry->value = value;
	return value;
}

/* Copies a shape given from outside into @value, checked. */
static bool set_shape(struct qeff_graph *graph, struct qeff_value *value, uint32_t rank,
		      const struct qeff_dim *dims, int64_t least)
{
	uint64_t elements;
	bool symbolic = false;

	if (!qeff_graph_type_bytes(value->type) || rank > QEFF_GRAPH_MAX_RANK) {
		qeff_graph_fail(
			graph, -EINVAL,
			"value \"%s\": has type %d and %u dimensions; at most %d are allowed",
			value->name, value->type, rank, QEFF_GRAPH_MAX_RANK);
		return false;
	}
	value->shape.rank = rank;
	for (uint32_t i = 0; i < rank; i++) {
		struct graph_name *symbol = NULL;

		if (dims[i].symbol)
			symbol = graph_name(graph, dims[i].symbol);
		else if (dims[i].size < least)
			qeff_graph_fail(graph, -EINVAL, "value \"%s\": dimension %u is %lld",
					value->name, i, (long long)dims[i].size);
		if (graph_private(graph)->error.code)
			return false;
		value->shape.dims[i].size = symbol ? -1 : dims[i].size;
		value->shape.dims[i].symbol = symbol ? symbol->text : NULL;
		symbolic = symbolic || symbol;
	}
	if (!symbolic && !qeff_graph_shape_elements(&value->shape, &elements)) {
		qeff_graph_fail(graph, -EOVERFLOW, "value \"%s\": is too large", value->name);
		return false;
	}
	return true;
}

struct qeff_value *qeff_graph_input(struct qeff_graph *graph, const char *name,
				    enum qeff_graph_type type, uint32_t rank,
				    const struct qeff_dim *dims)
{
	struct graph_private *p = graph_private(graph);
	struct qeff_value *value = add_value(graph, name, type);

	if (!value || !set_shape(graph, value, rank, dims, 1) ||
	    !grow(graph, &graph->inputs, graph->num_inputs, &p->inputs_capacity))
		return NULL;
	value->is_input = true;
	graph->inputs[graph->num_inputs++] = value;
	return value;
}

struct qeff_value *qeff_graph_initialiser(struct qeff_graph *graph, const char *name,
					  enum qeff_graph_type type,
					  enum qeff_graph_type stored_type, uint32_t rank,
					  const int64_t *dims, const void *data)
{
	struct qeff_value *value = add_value(graph, name, type);
	struct qeff_dim copy[QEFF_GRAPH_MAX_RANK] = { 0 };

	if (!value)
		return NULL;
	for (uint32_t i = 0; i < rank && i < QEFF_GRAPH_MAX_RANK; i++)
		copy[i] = qeff_dim_of(dims[i]);
	if (!set_shape(graph, value, rank, copy, 0))
		return NULL;
	if (!data || !qeff_graph_type_bytes(stored_type)) {
		qeff_graph_fail(graph, -EINVAL, "initialiser \"%s\": has no bytes, or no type",
				name);
		return NULL;
	}
	value->is_initialiser = true;
	value->stored_type = stored_type;
	value->data = data;
	return value;
}

struct qeff_value *qeff_graph_constant(struct qeff_graph *graph, const char *name,
				       enum qeff_graph_type type, uint32_t rank,
				       const int64_t *dims, void **data)
{
	uint64_t elements = 1;

	for (uint32_t i = 0; i < rank; i++)
		if (dims[i] < 0 || !qeff_mul_u64(elements, (uint64_t)dims[i], &elements))
			elements = UINT64_MAX;
	*data = graph_alloc(graph, elements, qeff_graph_type_bytes(type));
	return *data ? qeff_graph_initialiser(graph, name, type, type, rank, dims, *data) : NULL;
}

void qeff_graph_output(struct qeff_graph *graph, struct qeff_value *value)
{
	struct graph_private *p = graph_private(graph);

	if (!value || value->is_output ||
	    !grow(graph, &graph->outputs, graph->num_outputs, &p->outputs_capacity))
		return;
	value->is_output = true;
	graph->outputs[graph->num_outputs++] = value;
}

bool graph_add_user(struct qeff_graph *graph, struct qeff_value *value, struct qeff_node *node)
{
	if (value->num_users == value->users_capacity) {
		uint32_t capacity = value->users_capacity ? value->users_capacity * 2 : 2;
		struct qeff_node **users = graph_alloc(graph, capacity, sizeof(*users));

		if (!users)
			return false;
		if (value->num_users)
			memcpy(users, value->users, value->num_users * sizeof(*users));
		value->users = users;
		value->users_capacity = capacity;
	}
	value->users[value->num_users++] = node;
	return true;
}

static bool copy_attribute(struct qeff_graph *graph, struct qeff_attribute *to,
			   const struct qeff_attribute *from)
{
	struct graph_name *name = graph_name(graph, from->name);
	void *copy = NULL;
	uint64_t size_bytes = 0;

	if (!name)
		return false;
	*to = *from;
	to->name = name->text;
	if (from->kind == QEFF_ATTR_STRING) {
		name = graph_name(graph, from->s);
		to->s = name ? name->text : NULL;
		return name;
	}
	if (from->kind == QEFF_ATTR_INTS)
		size_bytes = from->count * (uint64_t)sizeof(*from->ints);
	else if (from->kind == QEFF_ATTR_FLOATS)
		size_bytes = from->count * (uint64_t)sizeof(*from->floats);
	if (size_bytes) {
		copy = graph_alloc(graph, size_bytes, 1);
		if (!copy)
			return false;
		memcpy(copy, from->kind == QEFF_ATTR_INTS ? (const void *)from->ints : from->floats,
		       size_bytes);
	}
	to->ints = from->kind == QEFF_ATTR_INTS ? copy : NULL;
	to->floats = from->kind == QEFF_ATTR_FLOATS ? copy : NULL;
	return true;
}

bool graph_fill_node(struct qeff_graph *graph, struct qeff_node *node, const struct qeff_op *op,
		     uint32_t num_inputs, struct qeff_value *const *inputs, uint32_t num_attributes,
		     const struct qeff_attribute *attributes)
{
	const char *dot = strrchr(op->name, '.');
	char domain[64] = "";
	struct graph_name *entry;

	if (dot)
		snprintf(domain, sizeof(domain), "%.*s", (int)(dot - op->name), op->name);
	entry = graph_name(graph, domain);
	if (!entry)
		return false;
	while (num_inputs && !inputs[num_inputs - 1])
		num_inputs--;
	node->op = op;
	node->op_type = dot ? dot + 1 : op->name;
	node->domain = entry->text;
	node->num_inputs = num_inputs;
	node->num_attributes = num_attributes;
	node->inputs = graph_alloc(graph, num_inputs, sizeof(struct qeff_value *));
	node->attributes = graph_alloc(graph, num_attributes, sizeof(struct qeff_attribute));
	if (!node->inputs || !node->attributes)
		return false;
	for (uint32_t i = 0; i < num_attributes; i++)
		if (!copy_attribute(graph, &node->attributes[i], &attributes[i]))
			return false;
	for (uint32_t i = 0; i < num_inputs; i++) {
		node->inputs[i] = inputs[i];
		if (inputs[i] && !graph_add_user(graph, inputs[i], node))
			return false;
	}
	return true;
}

/* Values for the node's outputs, which have no shape yet. */
static bool add_outputs(struct qeff_graph *graph, struct qeff_node *node, uint32_t count,
			const char *const *names)
{
	node->outputs = graph_alloc(graph, count, sizeof(struct qeff_value *));
	if (!node->outputs)
		return false;
	for (; node->num_outputs < count; node->num_outputs++) {
		struct qeff_value *output =
			add_value(graph, names[node->num_outputs], QEFF_GRAPH_F32);

		if (!output)
			return false;
		output->producer = node;
		node->outputs[node->num_outputs] = output;
	}
	node->name = node->outputs[0]->name;
	return true;
}

struct qeff_node *qeff_graph_node_of(struct qeff_graph *graph, const char *op, uint32_t num_outputs,
				     const char *const *output_names, uint32_t num_inputs,
				     struct qeff_value *const *inputs, uint32_t num_attributes,
				     const struct qeff_attribute *attributes)
{
	struct graph_private *p = graph_private(graph);
	const struct qeff_op *row = qeff_op_find(op);
	struct qeff_error why = { 0 };
	struct qeff_node *node;

	if (p->error.code)
		return NULL;
	if (!row) {
		qeff_graph_fail(graph, -ENOTSUP, "node \"%s\": unknown operator %s",
				output_names[0], op);
		return NULL;
	}
	node = graph_alloc(graph, 1, sizeof(*node));
	if (!node || !grow(graph, &graph->nodes, graph->num_nodes, &p->nodes_capacity) ||
	    !add_outputs(graph, node, num_outputs, output_names) ||
	    !graph_fill_node(graph, node, row, num_inputs, inputs, num_attributes, attributes))
		return NULL;
	graph->nodes[graph->num_nodes++] = node;
	if (graph_infer(node, &why)) {
		qeff_graph_fail(graph, why.code, "node \"%s\" (%s): %s", node->name, op,
				why.message);
		return NULL;
	}
	return node;
}

struct qeff_value *qeff_graph_node(struct qeff_graph *graph, const char *op,
				   const char *output_name, uint32_t num_inputs,
				   struct qeff_value *const *inputs, uint32_t num_attributes,
				   const struct qeff_attribute *attributes)
{
	struct qeff_node *node = qeff_graph_node_of(graph, op, 1, &output_name, num_inputs, inputs,
						    num_attributes, attributes);

	return node ? node->outputs[0] : NULL;
}
