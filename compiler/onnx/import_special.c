/* SPDX-License-Identifier: MIT */
/*
 * Import: nodes that are answered without an operator: constants, shapes (which are bound), other
 * names for a value.
 */
#include "onnx/importer.h"

#include <stdio.h>
#include <string.h>

static bool is_plain(const struct import_node *node, const char *op)
{
	return !*node->domain && !strcmp(node->op_type, op);
}

/* The first output is @value by another name. */
static int alias(struct importer *im, struct scope *scope, const struct import_node *node,
		 struct qeff_value *value)
{
	int ret;

	if (!value)
		return import_refuse(im, node, -EINVAL, "its input is missing");
	if (!node->num_outputs || !*node->outputs[0])
		return 1;
	ret = import_bind(im, scope, node->outputs[0], value);
	return ret ? ret : 1;
}

static int new_constant(struct importer *im, struct scope *scope, const struct import_node *node,
			const struct qeff_onnx_tensor *tensor)
{
	struct qeff_value *value;

	if (!node->num_outputs || !*node->outputs[0])
		return 1;
	value = import_constant(im, scope, node->outputs[0], tensor);
	return value ? alias(im, scope, node, value) : im->err->code;
}

/* @count numbers in 64 bits, or in f32. */
static int new_numbers(struct importer *im, struct scope *scope, const struct import_node *node,
		       enum qeff_graph_type type, bool is_list, uint32_t count, const void *numbers)
{
	struct qeff_onnx_tensor tensor = {
		.type = type,
		.rank = is_list,
		.dims = { count },
		.data = onnx_constant(im->model, numbers, count * qeff_graph_type_bytes(type)),
	};

	return tensor.data ? new_constant(im, scope, node, &tensor) : import_no_memory(im);
}

static int constant(struct importer *im, struct scope *scope, const struct import_node *node)
{
	const QeffOnnx__AttributeProto *proto;
	const struct qeff_attribute *a;
	struct qeff_onnx_tensor tensor;
	int ret;

	proto = import_proto(node, "value");
	if (proto && proto->t) {
		ret = onnx_tensor(im->model, proto->t, &tensor, im->err);
		return ret ? ret : new_constant(im, scope, node, &tensor);
	}
	proto = import_proto(node, "sparse_value");
	if (proto && proto->sparse_tensor) {
		ret = onnx_sparse_tensor(im->model, proto->sparse_tensor, &tensor, im->err);
		return ret ? ret : new_constant(im, scope, node, &tensor);
	}
	/* by kind too: a function's body may name an attribute of its call that is a list */
	for (uint32_t i = 0; i < node->num_attributes; i++) {
		a = &node->attributes[i];
		if (strncmp(a->name, "value_", 6))
			continue;
		switch (a->kind) {
		case QEFF_ATTR_INT:
			return new_numbers(im, scope, node, QEFF_GRAPH_I64, false, 1, &a->i);
		case QEFF_ATTR_FLOAT:
			return new_numbers(im, scope, node, QEFF_GRAPH_F32, false, 1, &a->f);
		case QEFF_ATTR_INTS:
			return new_numbers(im, scope, node, QEFF_GRAPH_I64, true, a->count,
					   a->ints);
		case QEFF_ATTR_FLOATS:
			return new_numbers(im, scope, node, QEFF_GRAPH_F32, true, a->count,
					   a->floats);
		default:
			break;
		}
	}
	return import_refuse(im, node, -ENOTSUP, "has no value that is a tensor of numbers");
}

/* The number everywhere: Expand of it. */
static int constant_of_shape(struct importer *im, struct scope *scope, struct import_node *node)
{
	const QeffOnnx__AttributeProto *proto = import_proto(node, "value");
	const float zero = 0;
	struct qeff_onnx_tensor tensor = { .type = QEFF_GRAPH_F32, .data = &zero, .size_bytes = 4 };
	struct import_node expand = *node;
	struct qeff_value *inputs[2];
	int ret = 0;

	if (proto && proto->t)
		ret = onnx_tensor(im->model, proto->t, &tensor, im->err);
	if (ret)
		return ret;
	if (tensor.size_bytes != qeff_graph_type_bytes(tensor.type) || !node->num_inputs)
		return import_refuse(im, node, -EINVAL, "its value is not one number");
	tensor.rank = 0;
	tensor.data = onnx_constant(im->model, tensor.data, tensor.size_bytes);
	if (!tensor.data)
		return import_no_memory(im);
	inputs[0] = import_constant(im, scope, "number", &tensor);
	inputs[1] = node->inputs[0];
	if (!inputs[0])
		return im->err->code;
	expand.op_type = "Expand";
	expand.num_inputs = 2;
	expand.inputs = inputs;
	expand.num_attributes = 0;
	ret = import_append(im, scope, &expand);
	return ret ? ret : 1;
}

static int shape(struct importer *im, struct scope *scope, const struct import_node *node)
{
	const struct qeff_value *value = node->num_inputs ? node->inputs[0] : NULL;
	int64_t sizes[QEFF_GRAPH_MAX_RANK], rank, begin, end, elements = 1;

	if (!value)
		return import_refuse(im, node, -EINVAL, "its input is missing");
	rank = value->shape.rank;
	begin = import_int(node, "start", 0);
	end = import_int(node, "end", rank);
	begin = begin < 0 ? begin + rank : begin;
	end = end < 0 ? end + rank : end;
	begin = begin < 0 ? 0 : begin > rank ? rank : begin;
	end = end > rank ? rank : end < begin ? begin : end;
	if (is_plain(node, "Size")) {
		begin = 0;
		end = rank;
	}
	for (int64_t i = begin; i < end; i++) {
		if (value->shape.dims[i].symbol)
			return import_refuse(im, node, -ENODATA,
					     "the size \"%s\" of its input must be given",
					     value->shape.dims[i].symbol);
		sizes[i - begin] = value->shape.dims[i].size;
		elements *= sizes[i - begin]; /* fits: the shape is checked */
	}
	if (is_plain(node, "Size"))
		return new_numbers(im, scope, node, QEFF_GRAPH_I64, false, 1, &elements);
	return new_numbers(im, scope, node, QEFF_GRAPH_I64, true, (uint32_t)(end - begin), sizes);
}

/* Weights that are kept in half of their bytes: the conversion is lowering's. */
static int widened_weights(struct importer *im, struct scope *scope, const struct import_node *node)
{
	const struct qeff_value *from = node->num_inputs ? node->inputs[0] : NULL;
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *value;
	const char *name;

	if (!from || !from->is_initialiser || from->type != from->stored_type ||
	    (from->type != QEFF_GRAPH_F16 && from->type != QEFF_GRAPH_BF16) ||
	    import_int(node, "to", 0) != QEFF_GRAPH_F32 || !node->num_outputs || !*node->outputs[0])
		return 0;
	for (uint32_t i = 0; i < from->shape.rank; i++)
		dims[i] = from->shape.dims[i].size;
	name = import_value_name(im, scope, node->outputs[0]);
	if (!name)
		return import_no_memory(im);
	value = qeff_graph_initialiser(im->graph, name, QEFF_GRAPH_F32, from->type,
				       from->shape.rank, dims, from->data);
	if (!value)
		return qeff_graph_status(im->graph, im->err);
	return alias(im, scope, node, value);
}

int import_special(struct importer *im, struct scope *scope, struct import_node *node)
{
	int64_t training;

	if (*node->domain)
		return 0;
	if (is_plain(node, "Constant"))
		return constant(im, scope, node);
	if (is_plain(node, "ConstantOfShape"))
		return constant_of_shape(im, scope, node);
	if (is_plain(node, "Shape") || is_plain(node, "Size"))
		return shape(im, scope, node);
	if (is_plain(node, "Identity"))
		return alias(im, scope, node, node->num_inputs ? node->inputs[0] : NULL);
	/* outside training it does nothing */
	if (is_plain(node, "Dropout") && (node->num_outputs < 2 || !*node->outputs[1]) &&
	    (node->num_inputs < 3 || !node->inputs[2] ||
	     (import_number(node->inputs[2], &training) && !training)))
		return alias(im, scope, node, node->num_inputs ? node->inputs[0] : NULL);
	if (is_plain(node, "Cast")) {
		const struct qeff_value *from = node->num_inputs ? node->inputs[0] : NULL;

		if (from && (int64_t)from->type == import_int(node, "to", 0))
			return alias(im, scope, node, node->inputs[0]);
		return widened_weights(im, scope, node);
	}
	return import_quantise(im, scope, node);
}
