/* SPDX-License-Identifier: MIT */
/* FP32Nodes: nodes that are to stay in fp32, found by the globs of their names. */
#include "transforms/transforms.h"

#include <fnmatch.h>

int qeff_transform_fp32_nodes(struct qeff_graph *graph,
			      const struct qeff_transform_options *options, uint32_t *changes,
			      struct qeff_error *err)
{
	const char *const *patterns = options->fp32_nodes;
	uint32_t marked = 0;

	for (size_t p = 0; p < options->num_fp32_nodes; p++) {
		bool found = false;

		for (uint32_t i = 0; i < graph->num_nodes; i++) {
			struct qeff_node *node = graph->nodes[i];

			if (fnmatch(patterns[p], node->name, 0))
				continue;
			found = true;
			marked += !node->fp32;
			node->fp32 = true;
		}
		if (!found)
			return qeff_error_set(
				err, -EINVAL,
				"\"%s\" matches no node of graph \"%s\" "
				"(node names are like \"%s\")",
				patterns[p], graph->name,
				graph->num_nodes ? graph->nodes[graph->num_nodes / 2]->name : "");
	}
	if (changes)
		*changes = marked;
	return qeff_graph_finish(graph, err);
}
