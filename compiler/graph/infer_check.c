/* SPDX-License-Identifier: MIT */
/* What shape functions look at inputs with. */
#include "graph/infer_check.h"

#include "nsp/half.h"

#include <string.h>

#define TEXT 160

const struct qeff_graph_shape *infer_shape_of(const struct qeff_node *node, uint32_t input)
{
	return &node->inputs[input]->shape;
}

static bool is_float(enum qeff_graph_type type)
{
	return QEFF_TYPE_BIT(type) & QEFF_TYPES_FLOAT;
}

/* "input 1 is f32[4, 4], expected ..." */
int infer_wrong(const struct qeff_node *node, uint32_t input, const char *expected,
		struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];
	char text[TEXT];

	return qeff_error_set(err, -EINVAL, "input %u, \"%s\", is %s%s, expected %s", input,
			      value->name, qeff_graph_type_name(value->type),
			      qeff_graph_shape_text(&value->shape, text, sizeof(text)), expected);
}

int infer_need_float(const struct qeff_node *node, uint32_t input, uint32_t rank,
		     const char *expected, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!is_float(value->type) || value->type != node->inputs[0]->type ||
	    (rank && value->shape.rank != rank))
		return infer_wrong(node, input, expected, err);
	return 0;
}

/* An i64 input of rank 2 whose first dimension is @batch. */
int infer_need_ids(const struct qeff_node *node, uint32_t input, const struct qeff_dim *batch,
		   const char *expected, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (value->type != QEFF_GRAPH_I64 || value->shape.rank != 2 ||
	    !qeff_dim_equal(&value->shape.dims[0], batch))
		return infer_wrong(node, input, expected, err);
	return 0;
}

int infer_need_type(const struct qeff_node *node, uint32_t input, uint32_t types, uint32_t rank,
		    const char *expected, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!(QEFF_TYPE_BIT(value->type) & types) ||
	    (rank != UINT32_MAX && value->shape.rank != rank))
		return infer_wrong(node, input, expected, err);
	return 0;
}

int infer_need_bound(const struct qeff_node *node, uint32_t input, struct qeff_error *err)
{
	const struct qeff_graph_shape *shape = infer_shape_of(node, input);

	for (uint32_t i = 0; i < shape->rank; i++)
		if (shape->dims[i].symbol)
			return infer_wrong(node, input, "dimensions that are numbers", err);
	return 0;
}

int infer_need_scalar(const struct qeff_node *node, uint32_t input, uint32_t types,
		      struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!(QEFF_TYPE_BIT(value->type) & types) || value->shape.rank > 1 ||
	    (value->shape.rank && value->shape.dims[0].size != 1))
		return infer_wrong(node, input, "one number that fits the other inputs", err);
	return 0;
}

void infer_same_as(const struct qeff_node *node, uint32_t input, struct qeff_op_result *result)
{
	result->type = node->inputs[input]->type;
	result->shape = node->inputs[input]->shape;
}

void infer_set_shape(struct qeff_op_result *result, uint32_t rank, const int64_t *sizes)
{
	result->shape.rank = rank;
	for (uint32_t i = 0; i < rank; i++)
		result->shape.dims[i] = qeff_dim_of(sizes[i]);
}

bool infer_broadcast(const struct qeff_graph_shape *a, const struct qeff_graph_shape *b,
		     struct qeff_graph_shape *out)
{
	const struct qeff_graph_shape first = *a, second = *b; /* @out may be either */

	out->rank = first.rank > second.rank ? first.rank : second.rank;
	for (uint32_t i = 0; i < out->rank; i++) {
		/* i counts from the end */
		const struct qeff_dim one = qeff_dim_of(1);
		const struct qeff_dim *x = i < first.rank ? &first.dims[first.rank - 1 - i] : &one;
		const struct qeff_dim *y =
			i < second.rank ? &second.dims[second.rank - 1 - i] : &one;

		if (!qeff_dim_equal(x, y) && x->size != 1 && y->size != 1)
			return false;
		out->dims[out->rank - 1 - i] = x->size == 1 ? *y : *x;
	}
	return true;
}

int infer_need_constant(const struct qeff_node *node, uint32_t input, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (value->is_initialiser)
		return 0;
	return qeff_error_set(err, -ENODATA,
			      "input %u, \"%s\", decides a shape and must be a constant", input,
			      value->name);
}

/* How many numbers a list has; an error unless there is @room for them. */
static int list_length(const struct qeff_node *node, uint32_t input, uint32_t room, uint32_t *count,
		       struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];
	int ret = infer_need_constant(node, input, err);

	if (ret)
		return ret;
	if (value->shape.rank > 1 || (value->shape.rank && value->shape.dims[0].size > room))
		return infer_wrong(node, input, "a constant list that is not as long", err);
	*count = value->shape.rank ? (uint32_t)value->shape.dims[0].size : 1;
	return 0;
}

int infer_ints(const struct qeff_node *node, uint32_t input, int64_t *numbers, uint32_t room,
	       uint32_t *count, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];
	int ret = list_length(node, input, room, count, err);

	for (uint32_t i = 0; i < *count && !ret; i++) {
		switch (value->stored_type) {
		case QEFF_GRAPH_I64:
			numbers[i] = ((const int64_t *)value->data)[i];
			break;
		case QEFF_GRAPH_I32:
			numbers[i] = ((const int32_t *)value->data)[i];
			break;
		case QEFF_GRAPH_BOOL:
		case QEFF_GRAPH_U8:
			numbers[i] = ((const uint8_t *)value->data)[i];
			break;
		default:
			ret = infer_wrong(node, input, "a constant list of integers", err);
		}
	}
	return ret;
}

int infer_floats(const struct qeff_node *node, uint32_t input, double *numbers, uint32_t room,
		 uint32_t *count, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];
	int ret = list_length(node, input, room, count, err);

	for (uint32_t i = 0; i < *count && !ret; i++) {
		switch (value->stored_type) {
		case QEFF_GRAPH_F32:
			numbers[i] = ((const float *)value->data)[i];
			break;
		case QEFF_GRAPH_F64:
			numbers[i] = ((const double *)value->data)[i];
			break;
		case QEFF_GRAPH_F16:
			numbers[i] = qeff_f16_to_f32(((const uint16_t *)value->data)[i]);
			break;
		default:
			ret = infer_wrong(node, input, "a constant list of floats", err);
		}
	}
	return ret;
}

/* An axis counted from either end; -1 if it is none of @rank. */
int infer_normal_axis(int64_t axis, uint32_t rank)
{
	if (axis < 0)
		axis += rank;
	return axis >= 0 && axis < rank ? (int)axis : -1;
}

int infer_axis(const struct qeff_node *node, const char *name, int64_t fallback, int *axis,
	       struct qeff_error *err)
{
	int64_t given = qeff_node_int(node, name, fallback);

	*axis = infer_normal_axis(given, infer_shape_of(node, 0)->rank);
	if (*axis >= 0)
		return 0;
	return qeff_error_set(err, -EINVAL, "attribute \"%s\" is %lld, none of the %u of input 0",
			      name, (long long)given, infer_shape_of(node, 0)->rank);
}

int infer_axes(const struct qeff_node *node, uint32_t input, uint32_t rank, uint32_t without,
	       uint32_t *axes, struct qeff_error *err)
{
	int64_t numbers[QEFF_GRAPH_MAX_RANK];
	uint32_t count;
	int ret;

	*axes = without;
	if (!qeff_node_input(node, input))
		return 0;
	ret = infer_ints(node, input, numbers, QEFF_GRAPH_MAX_RANK, &count, err);
	if (ret)
		return ret;
	if (count)
		*axes = 0;
	for (uint32_t i = 0; i < count; i++) {
		int axis = infer_normal_axis(numbers[i], rank);

		if (axis < 0)
			return qeff_error_set(err, -EINVAL, "axis %lld of %u dimensions",
					      (long long)numbers[i], rank);
		*axes |= 1u << axis;
	}
	return 0;
}
