/* SPDX-License-Identifier: MIT */
/*
 * Sampler: the next token is chosen on the card, and next_tokens comes out in place of logits. With
 * one candidate that is the likeliest token and there is nothing to ask for; with more, inputs say
 * how each sequence draws.
 */
#include "transforms/transforms.h"

#define MAX_TOP_K_IDS 512

static struct qeff_value *wish(struct qeff_graph *graph, const char *name,
			       enum qeff_graph_type type, struct qeff_dim batch, int64_t columns)
{
	const struct qeff_dim dims[] = { batch, qeff_dim_of(columns) };

	return qeff_graph_input(graph, name, type, 2, dims);
}

static struct qeff_value *drawn(struct qeff_graph *graph, struct qeff_value *logits,
				int64_t candidates)
{
	struct qeff_dim batch = logits->shape.dims[0];
	struct qeff_value *const inputs[] = {
		logits,
		wish(graph, "temperatures", QEFF_GRAPH_F32, batch, 1),
		wish(graph, "top_ks", QEFF_GRAPH_I32, batch, 1),
		wish(graph, "top_ps", QEFF_GRAPH_F32, batch, 1),
		wish(graph, "min_ps", QEFF_GRAPH_F32, batch, 1),
		wish(graph, "random_numbers", QEFF_GRAPH_F32, batch, candidates),
	};

	return qeff_graph_node(graph, "qeff.Sample", "next_tokens", 6, inputs, 0, NULL);
}

int qeff_transform_sampler(struct qeff_graph *graph, const struct qeff_transform_options *options,
			   uint32_t *changes, struct qeff_error *err)
{
	const struct qeff_attribute last[] = { QEFF_INT("axis", -1), QEFF_INT("keepdims", 1) };
	struct qeff_value *logits = qeff_graph_find(graph, "logits"), *tokens;
	int64_t candidates = options->max_top_k_ids, vocabulary;

	if (changes)
		*changes = 0;
	if (!logits || !logits->is_output || logits->shape.rank != 3 ||
	    logits->shape.dims[1].size != 1)
		return qeff_graph_finish(graph, err);
	vocabulary = logits->shape.dims[2].size;
	if (candidates > vocabulary)
		return qeff_error_set(err, -EINVAL,
				      "max_top_k_ids is %lld, the vocabulary has %lld tokens",
				      (long long)candidates, (long long)vocabulary);
	if (!candidates)
		candidates = vocabulary < MAX_TOP_K_IDS ? vocabulary : MAX_TOP_K_IDS;
	if (candidates > 1)
		tokens = drawn(graph, logits, candidates);
	else
		tokens = qeff_graph_node(graph, "ArgMax", "next_tokens", 1, &logits, 2, last);
	qeff_graph_replace_output(graph, logits, tokens);
	if (changes)
		*changes = 1;
	return qeff_graph_finish(graph, err);
}
