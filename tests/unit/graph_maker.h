/* SPDX-License-Identifier: MIT */
/* Graphs written by hand, node by node, with weights that are the same in every graph. */
#ifndef QEFF_TESTS_GRAPH_MAKER_H
#define QEFF_TESTS_GRAPH_MAKER_H

#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

/* A graph being written; names are counted. */
struct maker {
	struct qeff_graph *graph;
	unsigned int count;
	uint32_t seed;
};

static inline struct qeff_value *op(struct maker *m, const char *name, uint32_t num_inputs,
				    struct qeff_value *const *inputs, uint32_t num_attributes,
				    const struct qeff_attribute *attributes)
{
	char output[64];

	snprintf(output, sizeof(output), "%s_%u", name, m->count++);
	return qeff_graph_node(m->graph, name, output, num_inputs, inputs, num_attributes,
			       attributes);
}

#define OP(m, name, ...)                                                                           \
	op(m, name, sizeof((struct qeff_value *[]){ __VA_ARGS__ }) / sizeof(struct qeff_value *),  \
	   (struct qeff_value *[]){ __VA_ARGS__ }, 0, NULL)

static inline struct qeff_value *number(struct maker *m, float value)
{
	char name[64];
	void *data;
	struct qeff_value *made;

	snprintf(name, sizeof(name), "number_%u", m->count++);
	made = qeff_graph_constant(m->graph, name, QEFF_GRAPH_F32, 0, NULL, &data);
	*(float *)data = value;
	return made;
}

static inline struct qeff_value *integers(struct maker *m, uint32_t count, const int64_t *values)
{
	const int64_t size[] = { count };
	char name[64];
	void *data;
	struct qeff_value *made;

	snprintf(name, sizeof(name), "integers_%u", m->count++);
	made = qeff_graph_constant(m->graph, name, QEFF_GRAPH_I64, 1, size, &data);
	memcpy(data, values, count * sizeof(*values));
	return made;
}

/* Weights, the same in every graph. */
static inline struct qeff_value *weights(struct maker *m, uint32_t rank, const int64_t *size)
{
	char name[64];
	uint64_t elements = 1;
	void *data;
	struct qeff_value *made;

	snprintf(name, sizeof(name), "weights_%u", m->count++);
	made = qeff_graph_constant(m->graph, name, QEFF_GRAPH_F32, rank, size, &data);
	for (uint32_t i = 0; i < rank; i++)
		elements *= (uint64_t)size[i];
	for (uint64_t i = 0; i < elements; i++) {
		m->seed = m->seed * 1664525u + 1013904223u;
		((float *)data)[i] = (float)(int)(m->seed >> 20) / 2048.0f - 1;
	}
	return made;
}

#define SIZE(...)                                                                                  \
	(const int64_t[])                                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static inline struct qeff_value *linear(struct maker *m, struct qeff_value *x, int64_t in,
					int64_t out)
{
	struct qeff_value *product = OP(m, "MatMul", x, weights(m, 2, SIZE(in, out)));

	/* the bias stands first, as PyTorch has it */
	return OP(m, "Add", weights(m, 1, SIZE(out)), product);
}

#endif
