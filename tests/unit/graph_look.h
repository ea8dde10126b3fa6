/* SPDX-License-Identifier: MIT */
/* What a test asks of a graph: how many nodes of an operator, and the shape of a value. */
#ifndef QEFF_TESTS_GRAPH_LOOK_H
#define QEFF_TESTS_GRAPH_LOOK_H

#include "graph/graph.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static inline uint32_t count_nodes(const struct qeff_graph *graph, const char *op)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++)
		count += qeff_node_is(graph->nodes[i], op);
	return count;
}

static inline void shape_is(const struct qeff_graph *graph, const char *name, const char *expected)
{
	const struct qeff_value *value = qeff_graph_find(graph, name);
	char text[128];

	CU_ASSERT_PTR_NOT_NULL_FATAL(value);
	CU_ASSERT_STRING_EQUAL(qeff_graph_shape_text(&value->shape, text, sizeof(text)), expected);
}

#endif
