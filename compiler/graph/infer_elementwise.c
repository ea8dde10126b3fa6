/* SPDX-License-Identifier: MIT */
/* What operators that work element by element make of types and shapes. */
#include "graph/infer_check.h"

#include <string.h>

#define ANY_RANK UINT32_MAX

int infer_same(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	(void)err;
	infer_same_as(node, 0, result);
	return 0;
}

/* Truths about the elements of one tensor. */
int infer_test(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	(void)err;
	infer_same_as(node, 0, result);
	result->type = QEFF_GRAPH_BOOL;
	return 0;
}

/* Any number of inputs of one type, stretched to one shape. */
int infer_variadic(const struct qeff_node *node, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (!node->inputs[i] || node->inputs[i]->type != result->type ||
		    !infer_broadcast(&result->shape, infer_shape_of(node, i), &result->shape))
			return qeff_error_set(err, -EINVAL, "input %u does not fit those before",
					      i);
	return 0;
}

/* The exponent may have another type. */
int infer_pow(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int ret = infer_need_type(node, 1, QEFF_TYPES_NUMBER, ANY_RANK, "numbers", err);

	infer_same_as(node, 0, result);
	if (!ret && !infer_broadcast(&result->shape, infer_shape_of(node, 1), &result->shape))
		ret = infer_wrong(node, 1, "a shape that fits input 0", err);
	return ret;
}

int infer_compare(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	int ret = infer_variadic(node, result, err);

	result->type = QEFF_GRAPH_BOOL;
	return ret;
}

int infer_where(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	infer_same_as(node, 1, result);
	if (node->inputs[2]->type != result->type ||
	    !infer_broadcast(&result->shape, infer_shape_of(node, 0), &result->shape) ||
	    !infer_broadcast(&result->shape, infer_shape_of(node, 2), &result->shape))
		return infer_wrong(node, 2, "type and shape that fit inputs 0 and 1", err);
	return 0;
}

static int take_type(int64_t type, struct qeff_op_result *result, struct qeff_error *err)
{
	if (type < 1 || type > 31 || !(QEFF_TYPE_BIT(type) & QEFF_TYPES_ANY))
		return qeff_error_set(err, -ENOTSUP, "element type %lld is not supported",
				      (long long)type);
	result->type = (enum qeff_graph_type)type;
	return 0;
}

int infer_cast(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	return take_type(qeff_node_int(node, "to", 0), result, err);
}

int infer_cast_like(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	(void)err;
	infer_same_as(node, 0, result);
	result->type = node->inputs[1]->type;
	return 0;
}

/* The least and the most, each of which may be absent, are single numbers. */
int infer_clip(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int ret = 0;

	infer_same_as(node, 0, result);
	for (uint32_t i = 1; i < 3 && !ret; i++)
		if (qeff_node_input(node, i))
			ret = infer_need_scalar(node, i, QEFF_TYPE_BIT(result->type), err);
	return ret;
}

/* Slopes stretch to x, never x to slopes. */
int infer_prelu(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	struct qeff_graph_shape wide;

	infer_same_as(node, 0, result);
	if (node->inputs[1]->type != result->type ||
	    !infer_broadcast(&result->shape, infer_shape_of(node, 1), &wide) ||
	    wide.rank != result->shape.rank)
		return infer_wrong(node, 1, "slopes that fit input 0", err);
	for (uint32_t i = 0; i < wide.rank; i++)
		if (!qeff_dim_equal(&wide.dims[i], &result->shape.dims[i]))
			return infer_wrong(node, 1, "slopes that fit input 0", err);
	return 0;
}

int infer_bit_shift(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	const char *direction = qeff_node_string(node, "direction", "");

	if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
		return qeff_error_set(err, -EINVAL,
				      "attribute \"direction\" is \"%s\", expected LEFT or RIGHT",
				      direction);
	return infer_variadic(node, result, err);
}

/* Nothing is dropped: training mode would need random numbers. */
int infer_dropout(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	double ratio = 0.5;
	int64_t training = 0;
	uint32_t count;
	int ret = 0;

	if (qeff_node_input(node, 2))
		ret = infer_ints(node, 2, &training, 1, &count, err);
	if (!ret && training && qeff_node_input(node, 1))
		ret = infer_floats(node, 1, &ratio, 1, &count, err);
	if (!ret && training && ratio != 0)
		ret = qeff_error_set(err, -ENOTSUP,
				     "training mode drops at random, which is not supported");
	infer_same_as(node, 0, result);
	if (node->num_outputs > 1) {
		infer_same_as(node, 0, &result[1]);
		result[1].type = QEFF_GRAPH_BOOL;
	}
	return ret;
}

/* A scale or zero point: one number, or a vector along "axis". */
static int need_quantisation(const struct qeff_node *node, uint32_t input, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *q;
	int axis;

	if (!qeff_node_input(node, input))
		return 0;
	q = infer_shape_of(node, input);
	if (!q->rank || (q->rank == 1 && q->dims[0].size == 1))
		return 0;
	axis = infer_normal_axis(qeff_node_int(node, "axis", 1), x->rank);
	if (q->rank != 1 || axis < 0 || !qeff_dim_equal(&q->dims[0], &x->dims[axis]))
		return infer_wrong(node, input, "one number, or one for each index of the axis",
				   err);
	return 0;
}

int infer_quantize(const struct qeff_node *node, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	int ret = need_quantisation(node, 1, err);

	if (!ret)
		ret = need_quantisation(node, 2, err);
	infer_same_as(node, 0, result);
	result->type = qeff_node_input(node, 2) ? node->inputs[2]->type : QEFF_GRAPH_U8;
	if (!ret && !(QEFF_TYPE_BIT(result->type) & QEFF_TYPES_INTEGER))
		ret = infer_wrong(node, 2, "integers", err);
	return ret;
}

int infer_dequantize(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	int ret = need_quantisation(node, 1, err);

	if (!ret)
		ret = need_quantisation(node, 2, err);
	if (!ret && qeff_node_input(node, 2) && node->inputs[2]->type != node->inputs[0]->type)
		ret = infer_wrong(node, 2, "the type of input 0", err);
	infer_same_as(node, 0, result);
	result->type = node->inputs[1]->type;
	return ret;
}

/* Bytes, their scale and their zero point. */
int infer_dynamic_quantize(const struct qeff_node *node, struct qeff_op_result *result,
			   struct qeff_error *err)
{
	(void)err;
	infer_same_as(node, 0, result);
	result->type = QEFF_GRAPH_U8;
	for (uint32_t i = 1; i < node->num_outputs; i++) {
		result[i].type = i == 1 ? QEFF_GRAPH_F32 : QEFF_GRAPH_U8;
		result[i].shape.rank = 0;
	}
	return 0;
}

/* x [batch, channels, ...] and vectors of a number for each channel. */
static int need_channels(const struct qeff_node *node, uint32_t last, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);

	if (x->rank < 2)
		return infer_wrong(node, 0, "[batch, channels, ...]", err);
	for (uint32_t i = 1; i <= last; i++)
		if (infer_need_type(node, i, QEFF_TYPES_FLOAT, 1, NULL, NULL) ||
		    !qeff_dim_equal(&infer_shape_of(node, i)->dims[0], &x->dims[1]))
			return infer_wrong(node, i, "a number for each channel of input 0", err);
	return 0;
}

int infer_instance_norm(const struct qeff_node *node, struct qeff_op_result *result,
			struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	return need_channels(node, 2, err);
}

int infer_group_norm(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t groups = qeff_node_int(node, "num_groups", 0);

	infer_same_as(node, 0, result);
	if (x->rank < 2 || x->dims[1].symbol || groups < 1 || x->dims[1].size % groups)
		return infer_wrong(node, 0, "[batch, channels, ...] with channels in whole groups",
				   err);
	for (uint32_t i = 1; i < 3; i++)
		if (infer_shape_of(node, i)->rank != 1 ||
		    (infer_shape_of(node, i)->dims[0].size != groups &&
		     infer_shape_of(node, i)->dims[0].size != x->dims[1].size))
			return infer_wrong(node, i, "a number for each group or channel", err);
	return 0;
}

/* In training, mean and variance come out as well. */
int infer_batch_norm(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	bool training = qeff_node_int(node, "training_mode", 0);

	infer_same_as(node, 0, result);
	if (node->num_outputs > (training ? 3 : 1))
		return qeff_error_set(err, -EINVAL, "has %u outputs, expected %d",
				      node->num_outputs, training ? 3 : 1);
	for (uint32_t i = 1; i < node->num_outputs; i++)
		infer_same_as(node, 2 + i, &result[i]);
	return need_channels(node, 4, err);
}

int infer_softmax(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	int axis;

	infer_same_as(node, 0, result);
	return infer_axis(node, "axis", -1, &axis, err);
}

/* All axes that are named exist. */
int infer_mean_variance(const struct qeff_node *node, struct qeff_op_result *result,
			struct qeff_error *err)
{
	const struct qeff_attribute *axes = qeff_node_attribute(node, "axes");

	infer_same_as(node, 0, result);
	for (uint32_t i = 0; axes && i < axes->count; i++)
		if (infer_normal_axis(axes->ints[i], result->shape.rank) < 0)
			return qeff_error_set(err, -EINVAL, "axis %lld of %u dimensions",
					      (long long)axes->ints[i], result->shape.rank);
	return 0;
}

int infer_cum_sum(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	int64_t axis = 0;
	uint32_t count;
	int ret = infer_ints(node, 1, &axis, 1, &count, err);

	infer_same_as(node, 0, result);
	if (!ret && infer_normal_axis(axis, result->shape.rank) < 0)
		ret = qeff_error_set(err, -EINVAL, "axis %lld of %u dimensions", (long long)axis,
				     result->shape.rank);
	return ret;
}
