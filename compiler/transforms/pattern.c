/* SPDX-License-Identifier: MIT */
/* Small things that larger patterns are made of. */
#include "transforms/pattern.h"

#include <math.h>

bool qeff_pattern_scalar(const struct qeff_value *value, float *number)
{
	uint64_t elements;

	if (!value || !value->is_initialiser || value->stored_type != QEFF_GRAPH_F32 ||
	    !qeff_graph_shape_elements(&value->shape, &elements) || elements != 1)
		return false;
	*number = *(const float *)value->data;
	return true;
}

struct qeff_value *qeff_pattern_beside(const struct qeff_node *node, float *number)
{
	if (qeff_pattern_scalar(qeff_node_input(node, 1), number))
		return node->inputs[0];
	return qeff_pattern_scalar(qeff_node_input(node, 0), number) ? node->inputs[1] : NULL;
}

struct qeff_value *qeff_pattern_with(const struct qeff_value *value, const char *op, float number)
{
	float found = 0;
	struct qeff_value *other;

	if (!value || !qeff_node_is(value->producer, op))
		return NULL;
	other = qeff_pattern_beside(value->producer, &found);
	return other && found == number ? other : NULL;
}

bool qeff_pattern_near(float number, double constant)
{
	return fabs((double)number - constant) <= 1e-5 * fabs(constant);
}

struct qeff_value *qeff_pattern_row_mean(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;
	const struct qeff_value *axes;
	int64_t axis;

	if (!qeff_node_is(node, "ReduceMean") || !qeff_node_int(node, "keepdims", 1))
		return NULL;
	axes = qeff_node_input(node, 1);
	if (!axes || !axes->is_initialiser || axes->stored_type != QEFF_GRAPH_I64 ||
	    axes->shape.rank != 1 || axes->shape.dims[0].size != 1)
		return NULL;
	axis = *(const int64_t *)axes->data;
	return axis == -1 || axis + 1 == node->inputs[0]->shape.rank ? node->inputs[0] : NULL;
}

struct qeff_value *qeff_pattern_square(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;
	float exponent = 0;

	if (qeff_node_is(node, "Mul"))
		return node->inputs[0] == node->inputs[1] ? node->inputs[0] : NULL;
	if (!qeff_node_is(node, "Pow") || !qeff_pattern_scalar(node->inputs[1], &exponent) ||
	    exponent != 2)
		return NULL;
	return node->inputs[0];
}

struct qeff_value *qeff_pattern_root_mean_square(const struct qeff_value *value, float *epsilon)
{
	const struct qeff_node *node = value->producer;
	const struct qeff_value *at;

	if (!qeff_node_is(node, "Sqrt") || !qeff_node_is(node->inputs[0]->producer, "Add"))
		return NULL;
	at = qeff_pattern_beside(node->inputs[0]->producer, epsilon);
	if (at)
		at = qeff_pattern_row_mean(at);
	return at ? qeff_pattern_square(at) : NULL;
}

bool qeff_pattern_vector(const struct qeff_value *value)
{
	return value && value->is_initialiser && value->shape.rank == 1;
}
