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
#include "transforms/kv_cache.h"

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

static bool is_causal_attention(const struct qeff_node *node)
{
	return qeff_node_is(node, "qeff.Attention") && qeff_node_int(node, "causal", 0) &&
	       qeff_node_input(node, 4);
}

static uint32_t cache_attentions(struct qeff_graph *graph, const struct qeff_kv_place *place)
{
	/* the nodes that are added on the way need no look */
	uint32_t layers = 0, nodes = graph->num_nodes;

	for (uint32_t i = 0; i < nodes; i++) {
		struct qeff_node *node = graph->nodes[i];
		struct qeff_value *key, *value;

		if (!is_causal_attention(node))
			continue;
		key = qeff_kv_cached(graph, "key", layers, node->inputs[1], place, NULL);
		value = qeff_kv_cached(graph, "value", layers, node->inputs[2], place, NULL);
		qeff_graph_set_input(graph, node, 1, key);
		qeff_graph_set_input(graph, node, 2, value);
		qeff_graph_set_input(graph, node, 4, NULL);
		if (qeff_graph_status(graph, NULL))
			break;
		layers++;
	}
	return layers;
}

int qeff_transform_kv_cache(struct qeff_graph *graph, const struct qeff_transform_options *options,
			    uint32_t *changes, struct qeff_error *err)
{
	struct qeff_kv_place place = { 0 };
	uint32_t layers = 0;

	for (uint32_t i = 0; i < graph->num_nodes && !place.position_ids; i++)
		if (is_causal_attention(graph->nodes[i]))
			place.position_ids = positions_as_input(graph);
	if (place.position_ids) {
		qeff_kv_add_inputs(graph, options, &place);
		layers = cache_attentions(graph, &place);
		qeff_kv_last_logits(graph, place.position_ids);
	}
	if (changes)
		*changes = layers;
	return qeff_graph_finish(graph, err);
}
