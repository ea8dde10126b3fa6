/* SPDX-License-Identifier: MIT */
/* The table of operators, and the checks that hold for all of them. */
#include "graph/ops.h"

#include "graph/infer.h"

#include <string.h>

#define INT    QEFF_ATTR_INT
#define FLOAT  QEFF_ATTR_FLOAT
#define STRING QEFF_ATTR_STRING
#define INTS   QEFF_ATTR_INTS

const struct qeff_op qeff_ops[] = {
	/* name, inputs at least and at most, attributes, shape function */
	{ "Add", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Sub", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Mul", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Div", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Pow", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Min", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Max", 2, 2, { { 0 } }, infer_arithmetic },
	{ "Sqrt", 1, 1, { { 0 } }, infer_float_unary },
	{ "Relu", 1, 1, { { 0 } }, infer_float_unary },
	{ "Sigmoid", 1, 1, { { 0 } }, infer_float_unary },
	{ "Tanh", 1, 1, { { 0 } }, infer_float_unary },
	{ "Erf", 1, 1, { { 0 } }, infer_float_unary },
	{ "Gelu", 1, 1, { { "approximate", STRING, false } }, infer_gelu },
	{ "MatMul", 2, 2, { { 0 } }, infer_matmul },
	{ "ReduceMean", 2, 2, { { "keepdims", INT, false } }, infer_reduce },
	{ "Gather", 2, 2, { { "axis", INT, false } }, infer_gather },
	{ "Transpose", 1, 1, { { "perm", INTS, true } }, infer_transpose },
	{ "Reshape", 2, 2, { { 0 } }, infer_reshape },
	{ "Slice", 3, 5, { { 0 } }, infer_slice },
	{ "Concat", 1, QEFF_OP_MAX_INPUTS, { { "axis", INT, true } }, infer_concat },
	{ "LayerNormalization",
	  2,
	  3,
	  { { "axis", INT, false }, { "epsilon", FLOAT, false } },
	  infer_norm },

	{ "qeff.RMSNorm", 2, 2, { { "epsilon", FLOAT, true } }, infer_norm },
	{ "qeff.L2Normalize", 1, 1, { { "epsilon", FLOAT, true } }, infer_l2_normalize },
	{ "qeff.MaskToPositions", 1, 1, { { 0 } }, infer_mask_to_positions },
	{ "qeff.RotaryEmbedding",
	  4,
	  4,
	  { { "interleaved", INT, false }, { "rotary_dim", INT, true } },
	  infer_rotary },
	{ "qeff.Attention",
	  4,
	  7,
	  { { "scale", FLOAT, true },
	    { "causal", INT, true },
	    { "window", INT, false },
	    { "softcap", FLOAT, false },
	    { "bias_zero", INT, false } },
	  infer_attention },
	{ "qeff.DisentangledAttention",
	  6,
	  8,
	  { { "scale", FLOAT, true } },
	  infer_disentangled_attention },
	{ "qeff.Route", 1, 1, { { "top_k", INT, true }, { "all", INT, false } }, infer_route },
	{ "qeff.Experts",
	  3,
	  4,
	  { { "experts", INT, true }, { "shared", INT, true } },
	  infer_experts },
	{ "qeff.Mix", 2, 2, { { 0 } }, infer_mix },
	{ "qeff.CtxScatter", 3, 4, { { 0 } }, infer_ctx_scatter },
	{ "qeff.CtxGather", 1, 3, { { 0 } }, infer_ctx_gather },
	{ "qeff.LastToken", 2, 2, { { 0 } }, infer_last_token },
	{ "qeff.LastTokens", 3, 3, { { 0 } }, infer_last_tokens },
	{ "qeff.Pool", 2, 2, { { "mode", STRING, true } }, infer_pool },
};

const size_t qeff_num_ops = sizeof(qeff_ops) / sizeof(qeff_ops[0]);

const struct qeff_op *qeff_op_find(const char *name)
{
	for (size_t i = 0; i < qeff_num_ops; i++)
		if (!strcmp(qeff_ops[i].name, name))
			return &qeff_ops[i];
	return NULL;
}

static const struct qeff_op_attribute *known_attribute(const struct qeff_op *op, const char *name)
{
	for (size_t i = 0; i < QEFF_OP_MAX_ATTRIBUTES && op->attributes[i].name; i++)
		if (!strcmp(op->attributes[i].name, name))
			return &op->attributes[i];
	return NULL;
}

static int check_attributes(const struct qeff_node *node, struct qeff_error *err)
{
	const struct qeff_op *op = node->op;

	for (uint32_t i = 0; i < node->num_attributes; i++) {
		const struct qeff_attribute *a = &node->attributes[i];
		const struct qeff_op_attribute *known = known_attribute(op, a->name);

		if (!known)
			return qeff_error_set(err, -ENOTSUP, "unknown attribute \"%s\"", a->name);
		if (known->kind != a->kind)
			return qeff_error_set(err, -EINVAL,
					      "attribute \"%s\" has kind %d, expected %d", a->name,
					      a->kind, known->kind);
		if (qeff_node_attribute(node, a->name) != a)
			return qeff_error_set(err, -EINVAL, "attribute \"%s\" stands there twice",
					      a->name);
	}
	for (size_t i = 0; i < QEFF_OP_MAX_ATTRIBUTES && op->attributes[i].name; i++)
		if (op->attributes[i].required &&
		    !qeff_node_attribute(node, op->attributes[i].name))
			return qeff_error_set(err, -EINVAL, "attribute \"%s\" is missing",
					      op->attributes[i].name);
	return 0;
}

static bool is_bound(const struct qeff_graph_shape *shape)
{
	for (uint32_t i = 0; i < shape->rank; i++)
		if (shape->dims[i].symbol)
			return false;
	return true;
}

int qeff_op_infer(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_op *op = node->op;
	uint64_t elements;
	int ret;

	if (node->num_inputs > op->max_inputs)
		return qeff_error_set(err, -EINVAL, "has %u inputs, expected at most %u",
				      node->num_inputs, op->max_inputs);
	for (uint32_t i = 0; i < op->min_inputs; i++)
		if (!qeff_node_input(node, i))
			return qeff_error_set(err, -EINVAL, "input %u is missing", i);
	ret = check_attributes(node, err);
	if (!ret)
		ret = op->infer(node, result, err);
	if (!ret && is_bound(&result->shape) &&
	    !qeff_graph_shape_elements(&result->shape, &elements))
		ret = qeff_error_set(err, -EOVERFLOW, "the output is too large");
	return ret;
}
