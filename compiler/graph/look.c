/* SPDX-License-Identifier: MIT */
/* Graphs: looking at types, shapes, values, nodes and their attributes. */
#include "graph/internal.h"

#include "util/checked.h"

#include <stdio.h>
#include <string.h>

static const struct {
	enum qeff_graph_type type;
	uint32_t bytes;
	const char *name;
} types[] = {
	{ QEFF_GRAPH_F32, 4, "f32" }, { QEFF_GRAPH_U8, 1, "u8" },   { QEFF_GRAPH_I8, 1, "i8" },
	{ QEFF_GRAPH_I32, 4, "i32" }, { QEFF_GRAPH_I64, 8, "i64" }, { QEFF_GRAPH_BOOL, 1, "bool" },
	{ QEFF_GRAPH_F16, 2, "f16" }, { QEFF_GRAPH_F64, 8, "f64" }, { QEFF_GRAPH_BF16, 2, "bf16" },
	{ QEFF_GRAPH_U16, 2, "u16" }, { QEFF_GRAPH_I16, 2, "i16" }, { QEFF_GRAPH_U32, 4, "u32" },
	{ QEFF_GRAPH_U64, 8, "u64" },
};

size_t qeff_graph_type_bytes(enum qeff_graph_type type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].bytes;
	return 0;
}

const char *qeff_graph_type_name(enum qeff_graph_type type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].name;
	return "?";
}

bool qeff_dim_equal(const struct qeff_dim *a, const struct qeff_dim *b)
{
	if (a->symbol || b->symbol)
		return a->symbol && b->symbol && !strcmp(a->symbol, b->symbol);
	return a->size == b->size;
}

bool qeff_graph_shape_elements(const struct qeff_graph_shape *shape, uint64_t *elements)
{
	uint64_t count = 1;

	for (uint32_t i = 0; i < shape->rank; i++)
		if (shape->dims[i].size < 0 ||
		    !qeff_mul_u64(count, (uint64_t)shape->dims[i].size, &count))
			return false;
	*elements = count;
	return count <= INT64_MAX / 8;
}

const char *qeff_graph_shape_text(const struct qeff_graph_shape *shape, char *buffer,
				  size_t size_bytes)
{
	size_t used = 0;

	for (uint32_t i = 0; i < shape->rank && used < size_bytes; i++) {
		const char *before = i ? ", " : "[";

		if (shape->dims[i].symbol)
			used += (size_t)snprintf(buffer + used, size_bytes - used, "%s%s", before,
						 shape->dims[i].symbol);
		else
			used += (size_t)snprintf(buffer + used, size_bytes - used, "%s%lld", before,
						 (long long)shape->dims[i].size);
	}
	if (used < size_bytes)
		snprintf(buffer + used, size_bytes - used, shape->rank ? "]" : "[]");
	return buffer;
}

const struct qeff_attribute *qeff_node_attribute(const struct qeff_node *node, const char *name)
{
	for (uint32_t i = 0; i < node->num_attributes; i++)
		if (!strcmp(node->attributes[i].name, name))
			return &node->attributes[i];
	return NULL;
}

int64_t qeff_node_int(const struct qeff_node *node, const char *name, int64_t fallback)
{
	const struct qeff_attribute *a = qeff_node_attribute(node, name);

	return a && a->kind == QEFF_ATTR_INT ? a->i : fallback;
}

float qeff_node_float(const struct qeff_node *node, const char *name, float fallback)
{
	const struct qeff_attribute *a = qeff_node_attribute(node, name);

	return a && a->kind == QEFF_ATTR_FLOAT ? a->f : fallback;
}

const char *qeff_node_string(const struct qeff_node *node, const char *name, const char *fallback)
{
	const struct qeff_attribute *a = qeff_node_attribute(node, name);

	return a && a->kind == QEFF_ATTR_STRING ? a->s : fallback;
}

bool qeff_node_is(const struct qeff_node *node, const char *op)
{
	return node && !strcmp(node->op->name, op);
}

struct qeff_value *qeff_node_input(const struct qeff_node *node, uint32_t index)
{
	return index < node->num_inputs ? node->inputs[index] : NULL;
}

uint32_t qeff_value_uses(const struct qeff_graph *graph, const struct qeff_value *value)
{
	return value->num_users + value->is_output;
}
