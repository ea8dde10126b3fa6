/* SPDX-License-Identifier: MIT */
/*
 * TextClassification: a classifier's head reads the row of the first token, wherever padding
 * stands, in place of the first column.
 */
#include "transforms/transforms.h"

/* Gather(x, 0) along the columns of rows [batch, seq, width]. */
static bool takes_first_column(const struct qeff_node *node, const struct qeff_value *positions)
{
	const struct qeff_value *x = qeff_node_input(node, 0), *index = qeff_node_input(node, 1);

	return qeff_node_is(node, "Gather") && qeff_node_int(node, "axis", 0) == 1 &&
	       x->shape.rank == 3 && qeff_dim_equal(&x->shape.dims[0], &positions->shape.dims[0]) &&
	       qeff_dim_equal(&x->shape.dims[1], &positions->shape.dims[1]) &&
	       index->is_initialiser && index->stored_type == QEFF_GRAPH_I64 &&
	       !index->shape.rank && *(const int64_t *)index->data == 0;
}

int qeff_transform_text_classification(struct qeff_graph *graph,
				       const struct qeff_transform_options *options,
				       uint32_t *changes, struct qeff_error *err)
{
	struct qeff_value *positions = qeff_graph_find(graph, "position_ids");
	const struct qeff_attribute mode = QEFF_STRING("mode", "cls");
	uint32_t found = 0;

	for (uint32_t i = 0; positions && positions->shape.rank == 2 && i < graph->num_nodes; i++) {
		struct qeff_node *node = graph->nodes[i];

		if (!takes_first_column(node, positions))
			continue;
		qeff_graph_morph(graph, node, "qeff.Pool", 2,
				 (struct qeff_value *[]){ node->inputs[0], positions }, 1, &mode);
		found++;
	}
	if (changes)
		*changes = found;
	return qeff_graph_finish(graph, err);
}
