/* SPDX-License-Identifier: MIT */
/* CustomOps: what models write out in primitives becomes the operator it is. Here: RMSNorm. */
#include "transforms/transforms.h"

/* The number of a scalar initialiser. */
static bool scalar_of(const struct qeff_value *value, float *number)
{
	if (!value || !value->is_initialiser || value->shape.rank ||
	    value->stored_type != QEFF_GRAPH_F32)
		return false;
	*number = *(const float *)value->data;
	return true;
}

/* The other input of a commutative node with one scalar, and the scalar. */
static struct qeff_value *beside_scalar(const struct qeff_node *node, float *number)
{
	if (scalar_of(node->inputs[1], number))
		return node->inputs[0];
	return scalar_of(node->inputs[0], number) ? node->inputs[1] : NULL;
}

/* ReduceMean over the last axis, which it keeps. */
static bool is_row_mean(const struct qeff_node *node)
{
	const struct qeff_value *axes;
	int64_t axis;

	if (!qeff_node_is(node, "ReduceMean") || !qeff_node_int(node, "keepdims", 1))
		return false;
	axes = node->inputs[1];
	if (axes->shape.dims[0].size != 1)
		return false;
	axis = *(const int64_t *)axes->data;
	return axis == -1 || axis + 1 == node->inputs[0]->shape.rank;
}

/* If @value is sqrt(mean(x^2) + epsilon): x. */
static struct qeff_value *root_mean_square(const struct qeff_value *value, float *epsilon)
{
	const struct qeff_node *node = value->producer;
	struct qeff_value *x;
	float exponent = 0;

	if (!qeff_node_is(node, "Sqrt"))
		return NULL;
	node = node->inputs[0]->producer;
	if (!qeff_node_is(node, "Add"))
		return NULL;
	x = beside_scalar(node, epsilon);
	node = x ? x->producer : NULL;
	if (!node || !is_row_mean(node))
		return NULL;
	node = node->inputs[0]->producer;
	if (!qeff_node_is(node, "Pow") || !scalar_of(node->inputs[1], &exponent) || exponent != 2)
		return NULL;
	return node->inputs[0];
}

/* If @node is x / root_mean_square(x) * weight, makes it RMSNorm of x. */
static bool fuse_rms_norm(struct qeff_graph *graph, struct qeff_node *node)
{
	for (int side = 0; side < 2; side++) {
		struct qeff_value *weight = node->inputs[!side];
		const struct qeff_node *div = node->inputs[side]->producer;
		struct qeff_attribute attribute;
		float epsilon = 0;

		if (!qeff_node_is(div, "Div") || weight->shape.rank != 1 ||
		    !weight->is_initialiser ||
		    root_mean_square(div->inputs[1], &epsilon) != div->inputs[0])
			continue;
		attribute = QEFF_FLOAT("epsilon", epsilon);
		qeff_graph_morph(graph, node, "qeff.RMSNorm", 2,
				 (struct qeff_value *[]){ div->inputs[0], weight }, 1, &attribute);
		return true;
	}
	return false;
}

int qeff_transform_custom_ops(struct qeff_graph *graph,
			      const struct qeff_transform_options *options, uint32_t *changes,
			      struct qeff_error *err)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++)
		if (qeff_node_is(graph->nodes[i], "Mul"))
			count += fuse_rms_norm(graph, graph->nodes[i]);
	if (changes)
		*changes = count;
	return qeff_graph_finish(graph, err);
}
