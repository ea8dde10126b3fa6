/* SPDX-License-Identifier: MIT */
/*
 * KVCache: keys and values stay on the card between inferences.
 *
 * Positions come from outside instead of from a mask; each attention's keys and values are
 * scattered into a cache that goes in as past_key.N and out as past_key.N_RetainedState, and it
 * attends to what is gathered back. Logits are computed for each sequence's last token only.
 *
 * With continuous batching the cache has full_batch_size slots, and batch_index says which one a
 * sequence of this inference has. With compute context lengths, comp_ctx_lengths has as many
 * elements as there are positions to look at.
 */
#include "transforms/transforms.h"

#include <stdio.h>
#include <string.h>

/* The value "position_ids", made from a mask so far, becomes an input. */
static struct qeff_value *positions_as_input(struct qeff_graph *graph)
{
	struct qeff_value *made = qeff_graph_find(graph, "position_ids"), *input;

	if (!made || !qeff_node_is(made->producer, "qeff.MaskToPositions"))
		return NULL;
	qeff_graph_rename(graph, made, "position_ids/mask");
	input = qeff_graph_input(graph, "position_ids", QEFF_GRAPH_I64, made->shape.rank,
				 made->shape.dims);
	qeff_graph_replace_uses(graph, made, input);
	return input;
}

/* The inputs that say where in the cache a token belongs; the last two may be absent. */
struct place {
	struct qeff_value *position_ids;
	struct qeff_value *batch_index;
	struct qeff_value *comp_ctx_lengths;
};

static void add_inputs(struct qeff_graph *graph, const struct qeff_transform_options *options,
		       struct place *place)
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

/* Passes @rows, [B,G,S,D], through a cache called past_@what.@layer; returns what is in it
 * afterwards. */
static struct qeff_value *cached(struct qeff_graph *graph, const char *what, uint32_t layer,
				 struct qeff_value *rows, const struct place *place)
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
	qeff_graph_output(graph, updated);
	snprintf(name, sizeof(name), "past_%s.%u/gathered", what, layer);
	return qeff_graph_node(
		graph, "qeff.CtxGather", name, 3,
		(struct qeff_value *[]){ updated, place->batch_index, place->comp_ctx_lengths }, 0,
		NULL);
}

static bool is_causal_attention(const struct qeff_node *node)
{
	return qeff_node_is(node, "qeff.Attention") && qeff_node_int(node, "causal", 0) &&
	       qeff_node_input(node, 4);
}

static uint32_t cache_attentions(struct qeff_graph *graph, const struct place *place)
{
	/* the nodes that are added on the way need no look */
	uint32_t layers = 0, nodes = graph->num_nodes;

	for (uint32_t i = 0; i < nodes; i++) {
		struct qeff_node *node = graph->nodes[i];
		struct qeff_value *key, *value;

		if (!is_causal_attention(node))
			continue;
		key = cached(graph, "key", layers, node->inputs[1], place);
		value = cached(graph, "value", layers, node->inputs[2], place);
		qeff_graph_set_input(graph, node, 1, key);
		qeff_graph_set_input(graph, node, 2, value);
		qeff_graph_set_input(graph, node, 4, NULL);
		if (qeff_graph_status(graph, NULL))
			break;
		layers++;
	}
	return layers;
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

static void last_logits_only(struct qeff_graph *graph, struct qeff_value *position_ids)
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

int qeff_transform_kv_cache(struct qeff_graph *graph, const struct qeff_transform_options *options,
			    uint32_t *changes, struct qeff_error *err)
{
	struct place place = { 0 };
	uint32_t layers = 0;

	for (uint32_t i = 0; i < graph->num_nodes && !place.position_ids; i++)
		if (is_causal_attention(graph->nodes[i]))
			place.position_ids = positions_as_input(graph);
	if (place.position_ids) {
		add_inputs(graph, options, &place);
		layers = cache_attentions(graph, &place);
		last_logits_only(graph, place.position_ids);
	}
	if (changes)
		*changes = layers;
	return qeff_graph_finish(graph, err);
}
