/* SPDX-License-Identifier: MIT */
/*
 * KVConcat: a decoder that is handed the keys and values of earlier tokens, puts its own behind
 * them and hands them all out again, keeps them on the card instead. past_key_values.* and
 * attention_mask are gone; position_ids says what column of the cache a token is, -1 that it is
 * none, and which keys it sees: those of positions up to its own.
 *
 * That is the same function only if attention masks by attention_mask and column, causally, and
 * nothing else looks at it or at earlier keys. The first is tried, for as many columns as the cache
 * has; the second is a refusal.
 */
#include "transforms/attention_find.h"
#include "transforms/kv_cache.h"

#include <string.h>

#define PAST "past_key_values"

static struct qeff_value *ids_input(const struct qeff_graph *graph, const char *name)
{
	struct qeff_value *value = qeff_graph_find(graph, name);

	if (!value || !value->is_input || value->type != QEFF_GRAPH_I64 || value->shape.rank != 2 ||
	    value->shape.dims[0].symbol || value->shape.dims[1].symbol)
		return NULL;
	return value;
}

/* Whether a layer's @present is what goes in as its @past next: only the latter's name tells. */
static bool comes_back(const struct qeff_value *present, const struct qeff_value *past)
{
	const char *out = strchr(present->name, '.'), *in = strchr(past->name, '.');

	return present->is_output && in && out && !strcmp(in, out) &&
	       !strncmp(past->name, PAST, strlen(PAST));
}

/* If @value is keys or values of earlier tokens, an input, with those of @rows tokens behind them:
 * the latter. */
static struct qeff_value *behind_past(const struct qeff_value *value, int64_t batch, int64_t rows,
				      int64_t keys)
{
	const struct qeff_node *node = value->producer;
	const struct qeff_value *past;
	int64_t axis;

	if (!qeff_node_is(node, "Concat") || node->num_inputs != 2 || value->shape.rank != 4)
		return NULL;
	past = node->inputs[0];
	axis = qeff_node_int(node, "axis", 0);
	if ((axis != 2 && axis != -2) || !past->is_input || past->is_output ||
	    past->num_users != 1 || !comes_back(value, past) || node->inputs[1]->is_input ||
	    node->inputs[1]->is_initialiser || value->shape.dims[0].size != batch ||
	    value->shape.dims[2].size != keys || node->inputs[1]->shape.dims[2].size != rows)
		return NULL;
	return node->inputs[1];
}

/* An attention to earlier tokens and one's own, with the mask's rule in @f. */
static bool find(const struct qeff_node *node, struct qeff_value *mask, int64_t rows,
		 struct qeff_attention_found *f)
{
	int64_t batch = mask->shape.dims[0].size, keys = mask->shape.dims[1].size;

	if (!qeff_attention_find(node, f) || f->keys_turned || f->q->shape.dims[0].size != batch ||
	    f->q->shape.dims[2].size != rows || !behind_past(f->k, batch, rows, keys) ||
	    f->v->shape.rank != 4 || !behind_past(f->v, batch, rows, keys))
		return false;
	f->rule.mask = mask;
	f->rule.rows = rows;
	return true;
}

static void keep(struct qeff_graph *graph, struct qeff_node *node,
		 const struct qeff_attention_found *f, const struct qeff_kv_place *place,
		 uint32_t layer)
{
	struct qeff_value *key =
		qeff_kv_cached(graph, "key", layer, f->k->producer->inputs[1], place, f->k);
	struct qeff_value *value =
		qeff_kv_cached(graph, "value", layer, f->v->producer->inputs[1], place, f->v);

	qeff_graph_morph(
		graph, node, "qeff.Attention", 4,
		(struct qeff_value *[]){ f->q, key, value, place->position_ids }, 2,
		(struct qeff_attribute[]){ QEFF_FLOAT("scale", f->scale), QEFF_INT("causal", 1) });
}

/* What is still there of the exporter's way to hand things around. */
static int check_rest(const struct qeff_graph *graph, struct qeff_error *err)
{
	for (uint32_t i = 0; i < graph->num_inputs; i++) {
		const struct qeff_value *input = graph->inputs[i];

		if (!strcmp(input->name, "attention_mask") ||
		    !strncmp(input->name, PAST, strlen(PAST)))
			return qeff_error_set(
				err, -ENOTSUP,
				"input \"%s\" is read beside attention, so the KV cache cannot stay on the "
				"card; give all inputs a shape, so that it goes in and out as tensors",
				input->name);
	}
	return 0;
}

int qeff_transform_kv_concat(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err)
{
	struct qeff_value *mask = ids_input(graph, "attention_mask");
	struct qeff_kv_place place = { .position_ids = ids_input(graph, "position_ids") };
	uint32_t layers = 0, nodes = graph->num_nodes;
	int64_t rows = place.position_ids ? place.position_ids->shape.dims[1].size : 0;
	int rc = 0;

	if (changes)
		*changes = 0;
	if (!mask || !rows || mask->shape.dims[1].size <= rows ||
	    mask->shape.dims[0].size != place.position_ids->shape.dims[0].size)
		return qeff_graph_finish(graph, err);
	for (uint32_t i = 0; !rc && i < nodes; i++) {
		struct qeff_attention_found f;
		bool agreed;

		if (!find(graph->nodes[i], mask, rows, &f))
			continue;
		rc = qeff_mask_try(graph, &f.rule, options, &f.causal, &agreed, err);
		/* one row sees all there is, causal or not */
		if (rc || !agreed || (!f.causal && rows > 1))
			continue;
		if (!layers)
			qeff_kv_add_inputs(graph, options, &place);
		keep(graph, graph->nodes[i], &f, &place, layers++);
		if (qeff_graph_status(graph, NULL))
			break;
	}
	if (layers)
		qeff_kv_last_logits(graph, place.position_ids);
	if (!rc)
		rc = qeff_graph_finish(graph, err);
	if (changes)
		*changes = layers;
	return rc || !layers ? rc : check_rest(graph, err);
}
