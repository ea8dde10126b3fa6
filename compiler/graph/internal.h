/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the graph behind the public struct, its arena and its name
 * table. */
#ifndef QEFF_GRAPH_INTERNAL_H
#define QEFF_GRAPH_INTERNAL_H

#include "graph/graph.h"
#include "graph/ops.h"
#include "util/arena.h"

/* A name, and the value that has it now, if any. */
struct graph_name {
	const char *text;
	struct qeff_value *value;
};

struct graph_private {
	struct qeff_graph graph; /* first: this is what callers hold */
	struct qeff_arena arena;
	struct graph_name *names; /* open addressing; capacity is a power of two */
	uint32_t num_names, names_capacity;
	uint32_t values_capacity, nodes_capacity, inputs_capacity, outputs_capacity;
	struct qeff_error error; /* the first */
};

static inline struct graph_private *graph_private(const struct qeff_graph *graph)
{
	return (struct graph_private *)graph;
}

/* Zeroed memory that lives as long as the graph; NULL, and the graph failed, when there is none. */
void *graph_alloc(struct qeff_graph *graph, uint64_t count, uint64_t size_bytes);
/* The table's entry for @text, added if it is new; NULL when memory runs out. */
struct graph_name *graph_name(struct qeff_graph *graph, const char *text);
/* No value has the name @text, which is in the table, any more. */
void graph_forget_name(struct qeff_graph *graph, const char *text);

/* Types and shapes of the node's outputs. */
int graph_infer(struct qeff_node *node, struct qeff_error *err);

bool graph_add_user(struct qeff_graph *graph, struct qeff_value *value, struct qeff_node *node);
void graph_remove_user(struct qeff_value *value, struct qeff_node *node);

/* Copies operator, inputs and attributes into @node and registers it with its inputs. */
bool graph_fill_node(struct qeff_graph *graph, struct qeff_node *node, const struct qeff_op *op,
		     uint32_t num_inputs, struct qeff_value *const *inputs, uint32_t num_attributes,
		     const struct qeff_attribute *attributes);

#endif
