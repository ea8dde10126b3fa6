/* SPDX-License-Identifier: MIT */
/* Pooling: one vector for each sequence, "sentence_embedding", in place of an encoder's rows. */
#include "transforms/transforms.h"

/* What sentence-transformers' Normalize divides by at least. */
#define EPSILON 1e-12f

int qeff_transform_pooling(struct qeff_graph *graph, const struct qeff_transform_options *options,
			   uint32_t *changes, struct qeff_error *err)
{
	struct qeff_value *rows = qeff_graph_find(graph, "last_hidden_state");
	struct qeff_value *positions = qeff_graph_find(graph, "position_ids"), *pooled;
	const char *name = options->normalize ? "sentence_embedding/pooled" : "sentence_embedding";
	const struct qeff_attribute mode = QEFF_STRING("mode", options->pooling);
	const struct qeff_attribute epsilon = QEFF_FLOAT("epsilon", EPSILON);
	bool fits = options->pooling && rows && rows->is_output && positions;

	if (fits) {
		pooled = qeff_graph_node(graph, "qeff.Pool", name, 2,
					 (struct qeff_value *[]){ rows, positions }, 1, &mode);
		if (options->normalize)
			pooled = qeff_graph_node(graph, "qeff.L2Normalize", "sentence_embedding", 1,
						 &pooled, 1, &epsilon);
		qeff_graph_replace_output(graph, rows, pooled);
	}
	if (changes)
		*changes = fits;
	return qeff_graph_finish(graph, err);
}
