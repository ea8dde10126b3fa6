/* SPDX-License-Identifier: MIT */
/*
 * Import: the functions of the qeff domain (functions.c) become the operators that export made them
 * of. Whoever changes a name there changes it here; the round trip of every architecture would
 * tell.
 */
#include "onnx/importer.h"

#include "graph/ops.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *function;
	const char *op;
	struct qeff_attribute attribute; /* that the function's name stands for */
} rows[] = {
	{ "CachedAttention", "Attention", { 0 } },
	{ "SinkAttention", "Attention", { 0 } },
	{ "CachedSinkAttention", "Attention", { 0 } },
	{ "BiasedAttention", "Attention", { 0 } },
	{ "CachedBiasedAttention", "Attention", { 0 } },
	{ "QueryDisentangledAttention", "DisentangledAttention", { 0 } },
	{ "KeyDisentangledAttention", "DisentangledAttention", { 0 } },
	{ "CtxScatterCB", "CtxScatter", { 0 } },
	{ "CtxGatherCB", "CtxGather", { 0 } },
	{ "CtxGatherCCL", "CtxGather", { 0 } },
	{ "CtxGatherCBCCL", "CtxGather", { 0 } },
	{ "MarkCB", "Mark", { 0 } },
	{ "PenaliseCB", "Penalise", { 0 } },
	{ "PenaliseMasked", "Penalise", { 0 } },
	{ "PenaliseMaskedCB", "Penalise", { 0 } },
	{ "PoolMean", "Pool", QEFF_STRING("mode", "mean") },
	{ "PoolMax", "Pool", QEFF_STRING("mode", "max") },
	{ "PoolCls", "Pool", QEFF_STRING("mode", "cls") },
	{ "PoolLast", "Pool", QEFF_STRING("mode", "last") },
	{ "InterleavedRotaryEmbedding", "RotaryEmbedding", QEFF_INT("interleaved", 1) },
	{ "Experts", "Experts", QEFF_INT("shared", 0) },
	{ "SharedExperts", "Experts", QEFF_INT("shared", 1) },
	{ "BiasedExperts", "Experts", QEFF_INT("shared", 0) },
	{ "SharedBiasedExperts", "Experts", QEFF_INT("shared", 1) },
};

/* How many numbers turn is as wide as the tables of cosines say. */
static void add_rotary_dim(struct import_node *node)
{
	const struct qeff_value *cosines = node->num_inputs > 2 ? node->inputs[2] : NULL;

	if (!cosines || !cosines->shape.rank ||
	    cosines->shape.dims[cosines->shape.rank - 1].symbol ||
	    import_attribute(node, "rotary_dim"))
		return;
	node->attributes[node->num_attributes++] =
		QEFF_INT("rotary_dim", 2 * cosines->shape.dims[cosines->shape.rank - 1].size);
}

bool import_qeff(struct import_node *node)
{
	const char *function = node->op_type;
	char op[64];

	if (strcmp(node->domain, QEFF_GRAPH_DOMAIN))
		return 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].function, function))
			continue;
		node->op_type = rows[i].op;
		if (rows[i].attribute.name && !import_attribute(node, rows[i].attribute.name))
			node->attributes[node->num_attributes++] = rows[i].attribute;
	}
	if (!strcmp(node->op_type, "RotaryEmbedding"))
		add_rotary_dim(node);
	snprintf(op, sizeof(op), "%s.%s", QEFF_GRAPH_DOMAIN, node->op_type);
	return qeff_op_find(op) != NULL;
}
