/* SPDX-License-Identifier: MIT */
/* What shape functions look at inputs with. */
#include "graph/infer_check.h"

#define TEXT 160

const struct qeff_graph_shape *infer_shape_of(const struct qeff_node *node, uint32_t input)
{
	return &node->inputs[input]->shape;
}

static bool is_float(enum qeff_graph_type type)
{
	return type == QEFF_GRAPH_F32 || type == QEFF_GRAPH_F16 || type == QEFF_GRAPH_BF16 ||
	       type == QEFF_GRAPH_F64;
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

void infer_same_as(const struct qeff_node *node, uint32_t input, struct qeff_op_result *result)
{
	result->type = node->inputs[input]->type;
	result->shape = node->inputs[input]->shape;
}

/* The numbers of an i64 initialiser with one dimension. */
int infer_constant_ints(const struct qeff_node *node, uint32_t input, const int64_t **numbers,
			uint32_t *count, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!value->is_initialiser || value->type != QEFF_GRAPH_I64 ||
	    value->stored_type != QEFF_GRAPH_I64 || value->shape.rank != 1 ||
	    value->shape.dims[0].size > QEFF_GRAPH_MAX_RANK)
		return infer_wrong(node, input, "a constant list of at most 8 i64", err);
	*numbers = value->data;
	*count = (uint32_t)value->shape.dims[0].size;
	return 0;
}

/* An axis counted from either end; -1 if it is none of @rank. */
int infer_normal_axis(int64_t axis, uint32_t rank)
{
	if (axis < 0)
		axis += rank;
	return axis >= 0 && axis < rank ? (int)axis : -1;
}
