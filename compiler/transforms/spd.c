/* SPDX-License-Identifier: MIT */
/*
 * SpD: a target model of speculative decoding judges several tokens in one step. Logits come for as
 * many of each sequence's last tokens as the input num_logits_to_keep has rows, in place of one.
 */
#include "transforms/transforms.h"

int qeff_transform_spd(struct qeff_graph *graph, const struct qeff_transform_options *options,
		       uint32_t *changes, struct qeff_error *err)
{
	const struct qeff_dim dims[] = { qeff_dim_symbol("num_logits_to_keep"), qeff_dim_of(1) };
	struct qeff_value *keep = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		struct qeff_node *node = graph->nodes[i];

		if (!qeff_node_is(node, "qeff.LastToken"))
			continue;
		if (!keep)
			keep = qeff_graph_input(graph, "num_logits_to_keep", QEFF_GRAPH_I64, 2,
						dims);
		qeff_graph_morph(graph, node, "qeff.LastTokens", 3,
				 (struct qeff_value *[]){ node->inputs[0], node->inputs[1], keep },
				 0, NULL);
		count++;
	}
	if (changes)
		*changes = count;
	return qeff_graph_finish(graph, err);
}
