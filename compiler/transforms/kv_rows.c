/* SPDX-License-Identifier: MIT */
/* Caches for keys and values, in place of what a decoder computes anew or hands around. */
#include "transforms/kv_cache.h"

#include <stdio.h>
#include <string.h>

void qeff_kv_add_inputs(struct qeff_graph *graph, const struct qeff_transform_options *options,
			struct qeff_kv_place *place)
{
	const struct qeff_dim index[] = { place->position_ids->shape.dims[0], qeff_dim_of(1) };
	const struct qeff_dim length = qeff_dim_symbol("comp_ctx_lengths");

	if (options->continuous_batching)
		place->batch_index =
			qeff_graph_input(graph, "batch_index", QEFF_GRAPH_I64, 2, index);
	if (options->comp_ctx_lengths)
		place->comp_ctx_lengths =
			qeff_graph_input(graph, "comp_ctx_lengths", QEFF_GRAPH_I8, 1, &length);
}

struct qeff_value *qeff_kv_cached(struct qeff_graph *graph, const char *what, uint32_t layer,
				  struct qeff_value *rows, const struct qeff_kv_place *place,
				  struct qeff_value *present)
{
	const struct qeff_dim *d = rows->shape.dims;
	const struct qeff_dim dims[] = {
		place->batch_index ? qeff_dim_symbol("full_batch_size") : d[0],
		d[1],
		qeff_dim_symbol("ctx_len"),
		d[3],
	};
	struct qeff_value *cache, *updated;
	char name[64];

	snprintf(name, sizeof(name), "past_%s.%u", what, layer);
	cache = qeff_graph_input(graph, name, rows->type, 4, dims);
	strcat(name, "_RetainedState");
	updated = qeff_graph_node(
		graph, "qeff.CtxScatter", name, place->batch_index ? 4 : 3,
		(struct qeff_value *[]){ cache, place->position_ids, rows, place->batch_index }, 0,
		NULL);
	if (present && present->is_output)
		qeff_graph_replace_output(graph, present, updated);
	else
		qeff_graph_output(graph, updated);
	snprintf(name, sizeof(name), "past_%s.%u/gathered", what, layer);
	return qeff_graph_node(
		graph, "qeff.CtxGather", name, 3,
		(struct qeff_value *[]){ updated, place->batch_index, place->comp_ctx_lengths }, 0,
		NULL);
}

/* The node between the logits and the head's matrix, both included, that computes rows from @input
 * 0's rows. */
static struct qeff_node *find_head(const struct qeff_value *logits)
{
	struct qeff_node *node = logits->producer;

	while (node && !qeff_node_is(node, "MatMul")) {
		static const char *const by_element[] = { "Add", "Sub", "Mul", "Div", "Tanh" };
		bool known = false;

		for (size_t i = 0; i < sizeof(by_element) / sizeof(by_element[0]); i++)
			known = known || qeff_node_is(node, by_element[i]);
		if (!known)
			return NULL;
		node = node->inputs[0]->producer;
	}
	return node;
}

void qeff_kv_last_logits(struct qeff_graph *graph, struct qeff_value *position_ids)
{
	struct qeff_value *logits = qeff_graph_find(graph, "logits"), *last;
	struct qeff_node *head = logits ? find_head(logits) : NULL;
	char name[300];

	if (!head || head->inputs[0]->shape.rank != 3) {
		qeff_graph_fail(graph, -EINVAL, "KVCache: finds no head that makes \"logits\"");
		return;
	}
	snprintf(name, sizeof(name), "%.240s/last_token", head->inputs[0]->name);
	last = qeff_graph_node(graph, "qeff.LastToken", name, 2,
			       (struct qeff_value *[]){ head->inputs[0], position_ids }, 0, NULL);
	qeff_graph_set_input(graph, head, 0, last);
}
