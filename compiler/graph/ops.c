/* SPDX-License-Identifier: MIT */
/* The checks that hold for all operators of the table. */
#include "graph/ops.h"

#include "graph/infer_check.h"

#include <string.h>

const struct qeff_op *qeff_op_find(const char *name)
{
	/* every node asks: a look at the first letter spares it most of the comparisons */
	for (size_t i = 0; i < qeff_num_ops; i++)
		if (qeff_ops[i].name[0] == name[0] && !strcmp(qeff_ops[i].name, name))
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

static const char *types_text(uint32_t types)
{
	switch (types) {
	case QEFF_TYPES_FLOAT:
		return "floats";
	case QEFF_TYPES_BOOL:
		return "truths";
	case QEFF_TYPES_INTEGER:
		return "integers";
	case QEFF_TYPES_UNSIGNED:
		return "unsigned integers";
	case QEFF_TYPES_INDEX:
		return "i32 or i64";
	case QEFF_TYPES_BYTE:
		return "i8 or u8";
	default:
		return "numbers";
	}
}

static int check_inputs(const struct qeff_node *node, struct qeff_error *err)
{
	const struct qeff_op *op = node->op;

	if (node->num_inputs > op->max_inputs)
		return qeff_error_set(err, -EINVAL, "has %u inputs, expected at most %u",
				      node->num_inputs, op->max_inputs);
	for (uint32_t i = 0; i < op->min_inputs; i++)
		if (!qeff_node_input(node, i))
			return qeff_error_set(err, -EINVAL, "input %u is missing", i);
	if (op->types && !(QEFF_TYPE_BIT(node->inputs[0]->type) & op->types))
		return infer_wrong(node, 0, types_text(op->types), err);
	if (node->num_outputs < 1 || node->num_outputs > 1 + op->more_outputs)
		return qeff_error_set(err, -EINVAL, "has %u outputs, expected at most %u",
				      node->num_outputs, 1 + op->more_outputs);
	return 0;
}

/*
 * Sizes that are numbers make a tensor that can be: not too large, and not without elements unless
 * it is made of constants alone, which folding takes away.
 */
static int check_result(const struct qeff_node *node, const struct qeff_graph_shape *shape,
			struct qeff_error *err)
{
	bool constant = true;
	uint64_t elements;

	for (uint32_t i = 0; i < shape->rank; i++)
		if (shape->dims[i].symbol)
			return 0;
	if (!qeff_graph_shape_elements(shape, &elements))
		return qeff_error_set(err, -EOVERFLOW, "the output is too large");
	for (uint32_t i = 0; i < node->num_inputs; i++)
		constant = constant && (!node->inputs[i] || node->inputs[i]->is_initialiser);
	if (!elements && !constant)
		return qeff_error_set(err, -ENOTSUP, "takes nothing: the output has no elements");
	return 0;
}

int qeff_op_infer(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	int ret = check_inputs(node, err);

	if (!ret)
		ret = check_attributes(node, err);
	if (!ret)
		ret = node->op->infer(node, result, err);
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++)
		ret = check_result(node, &result[i].shape, err);
	return ret;
}
