/* SPDX-License-Identifier: MIT */
/*
 * Attention: softmax(scale q k^T + mask) v as exporters write it becomes qeff.Attention, and
 * constants that differ by column become lookups by position, so that the whole model runs on
 * compacted rows. Padding may stand anywhere; rows of padding come out as zeros.
 */
#include "transforms/attention_find.h"

#include <stdio.h>
#include <string.h>

/* Whether queries, keys and values are those of the tokens of @mask. */
static bool is_of_tokens(const struct qeff_attention_found *f, const struct qeff_value *mask)
{
	const struct qeff_value *const parts[] = { f->q, f->k, f->v };

	for (int i = 0; i < 3; i++) {
		const struct qeff_dim *dims = parts[i]->shape.dims;

		if (parts[i]->shape.rank != 4 || dims[0].size != mask->shape.dims[0].size ||
		    dims[i == 1 && f->keys_turned ? 1 : 2].size != mask->shape.dims[1].size)
			return false;
	}
	return true;
}

/* attention_mask, if the graph has one that rows can be taken from. */
static struct qeff_value *mask_input(const struct qeff_graph *graph)
{
	struct qeff_value *mask = qeff_graph_find(graph, "attention_mask");

	if (!mask || !mask->is_input || mask->type != QEFF_GRAPH_I64 || mask->shape.rank != 2 ||
	    mask->shape.dims[0].symbol || mask->shape.dims[1].symbol ||
	    qeff_graph_find(graph, "position_ids"))
		return NULL;
	return mask;
}

static void fuse(struct qeff_graph *graph, struct qeff_node *node,
		 const struct qeff_attention_found *f, struct qeff_value *positions)
{
	static const int64_t swap[] = { 0, 2, 1, 3 };
	struct qeff_value *k = f->k;
	char name[512];

	if (f->keys_turned) {
		snprintf(name, sizeof(name), "%s/keys", node->name);
		k = qeff_graph_node(graph, "Transpose", name, 1, &k, 1,
				    (struct qeff_attribute[]){ QEFF_INTS("perm", 4, swap) });
	}
	qeff_graph_morph(graph, node, "qeff.Attention", 5,
			 (struct qeff_value *[]){ f->q, k, f->v, positions, positions }, 2,
			 (struct qeff_attribute[]){ QEFF_FLOAT("scale", f->scale),
						    QEFF_INT("causal", f->causal) });
}

/* A constant [seq, width], or the same for every batch entry. */
static bool is_by_column(const struct qeff_value *table, int64_t batch, int64_t seq, int64_t width)
{
	uint32_t rank = table->shape.rank;
	uint64_t bytes =
		(uint64_t)seq * (uint64_t)width * qeff_graph_type_bytes(table->stored_type);
	const uint8_t *data = table->data;

	if (!table->is_initialiser || rank < 2 || rank > 3 ||
	    table->shape.dims[rank - 2].size != seq || table->shape.dims[rank - 1].size != width)
		return false;
	if (rank == 2 || table->shape.dims[0].size == 1)
		return true;
	if (table->shape.dims[0].size != batch)
		return false;
	for (int64_t i = 1; i < batch; i++)
		if (memcmp(data, data + (uint64_t)i * bytes, bytes))
			return false;
	return true;
}

/* A sum of rows and a constant [1, seq, width]: each column's row of it is looked up. */
static bool look_up_by_column(struct qeff_graph *graph, struct qeff_node *node,
			      struct qeff_value *positions)
{
	int64_t batch = positions->shape.dims[0].size, seq = positions->shape.dims[1].size;

	for (int side = 0; side < 2; side++) {
		struct qeff_value *rows = node->inputs[!side], *table = node->inputs[side];
		uint32_t rank = table->shape.rank;
		struct qeff_value *lookup;
		char name[512];

		if (rows->is_initialiser || rows->shape.rank != 3 ||
		    rows->shape.dims[0].size != batch || rows->shape.dims[1].size != seq ||
		    !is_by_column(table, batch, seq, rows->shape.dims[2].size))
			continue;
		snprintf(name, sizeof(name), "%s/by column", table->name);
		lookup = qeff_graph_find(graph, name);
		if (!lookup) {
			char matrix[512];
			const int64_t dims[] = { seq, table->shape.dims[rank - 1].size };

			snprintf(matrix, sizeof(matrix), "%s/columns", table->name);
			lookup = qeff_graph_initialiser(graph, matrix, table->type,
							table->stored_type, 2, dims, table->data);
			lookup = qeff_graph_node(graph, "Gather", name, 2,
						 (struct qeff_value *[]){ lookup, positions }, 0,
						 NULL);
		}
		qeff_graph_set_input(graph, node, (uint32_t)side, lookup);
		return true;
	}
	return false;
}

int qeff_transform_attention(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err)
{
	struct qeff_value *mask = mask_input(graph), *positions = NULL, *agreed_value = NULL;
	uint32_t count = 0, nodes = graph->num_nodes;
	bool causal = false, agreed = false;
	struct qeff_attention_found f;

	for (uint32_t i = 0; mask && i < nodes; i++) {
		struct qeff_node *node = graph->nodes[i];
		int rc = 0;

		if (!qeff_attention_find(node, &f) || !is_of_tokens(&f, mask))
			continue;
		f.rule.mask = mask;
		f.rule.rows = mask->shape.dims[1].size;
		/* layers share what they make of the mask, mostly */
		if (f.rule.value != agreed_value) {
			rc = qeff_mask_try(graph, &f.rule, options, &causal, &agreed, err);
			agreed_value = f.rule.value;
		}
		if (rc)
			return rc;
		f.causal = causal;
		if (!agreed)
			continue;
		if (!positions)
			positions = qeff_graph_node(graph, "qeff.MaskToColumns", "position_ids", 1,
						    &mask, 0, NULL);
		fuse(graph, node, &f, positions);
		count++;
	}
	for (uint32_t i = 0; count && i < nodes; i++)
		if (qeff_node_is(graph->nodes[i], "Add"))
			look_up_by_column(graph, graph->nodes[i], positions);
	if (changes)
		*changes = count;
	return qeff_graph_finish(graph, err);
}
