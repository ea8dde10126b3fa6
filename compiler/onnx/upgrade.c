/* SPDX-License-Identifier: MIT */
/*
 * Import: forms that operators had in older opsets become those of QEFF_GRAPH_OPSET. A row says up
 * to which opset an operator has the older form; what newer opsets than that change is what types
 * are allowed, which is not asked here.
 */
#include "onnx/importer.h"

#include <string.h>

/* Numbers of an attribute become constant input @index, if the attribute is there. */
static int to_input(struct importer *im, struct scope *scope, struct import_node *node,
		    const char *name, uint32_t index)
{
	const struct qeff_attribute *a = import_attribute(node, name);
	struct qeff_onnx_tensor tensor = { .type = QEFF_GRAPH_F32 };
	const void *numbers;
	uint32_t count = 1;

	if (!a)
		return 0;
	if (a->kind == QEFF_ATTR_STRING)
		return import_refuse(im, node, -EINVAL, "attribute \"%s\" is a text", name);
	tensor.rank = a->kind == QEFF_ATTR_INTS || a->kind == QEFF_ATTR_FLOATS;
	if (tensor.rank)
		count = a->count;
	if (a->kind == QEFF_ATTR_INT || a->kind == QEFF_ATTR_INTS)
		tensor.type = QEFF_GRAPH_I64;
	tensor.dims[0] = count;
	numbers = a->kind == QEFF_ATTR_INT     ? &a->i
		  : a->kind == QEFF_ATTR_FLOAT ? &a->f
		  : a->kind == QEFF_ATTR_INTS  ? (const void *)a->ints
					       : a->floats;
	tensor.data = onnx_constant(im->model, numbers, count * qeff_graph_type_bytes(tensor.type));
	if (!tensor.data)
		return import_no_memory(im);
	while (node->num_inputs <= index)
		node->inputs[node->num_inputs++] = NULL;
	node->inputs[index] = import_constant(im, scope, name, &tensor);
	import_drop_attribute(node, name);
	return node->inputs[index] ? 0 : im->err->code;
}

static void set_attribute(struct import_node *node, struct qeff_attribute attribute)
{
	import_drop_attribute(node, attribute.name);
	node->attributes[node->num_attributes++] = attribute;
}

static void rename_text(struct import_node *node, const char *name, const char *from,
			const char *to)
{
	const struct qeff_attribute *a = import_attribute(node, name);

	if (a && a->kind == QEFF_ATTR_STRING && !strcmp(a->s, from))
		set_attribute(node, QEFF_STRING(a->name, to));
}

static int axes(struct importer *im, struct scope *scope, struct import_node *node)
{
	return to_input(im, scope, node, "axes", 1);
}

static int split(struct importer *im, struct scope *scope, struct import_node *node)
{
	int ret = to_input(im, scope, node, "split", 1);

	if (node->num_inputs < 2 && !import_attribute(node, "num_outputs"))
		set_attribute(node, QEFF_INT("num_outputs", node->num_outputs));
	return ret;
}

/* A number becomes a scalar of the type of input 0: f32, or converted by a node. */
static int scalar_to_input(struct importer *im, struct scope *scope, struct import_node *node,
			   const char *name, uint32_t index)
{
	struct qeff_attribute to = QEFF_INT("to", node->inputs[0]->type);
	bool there = import_attribute(node, name) != NULL;
	int ret = to_input(im, scope, node, name, index);

	if (ret || !there || node->inputs[0]->type == QEFF_GRAPH_F32)
		return ret;
	node->inputs[index] =
		import_helper(im, scope, "Cast", name, 1, &node->inputs[index], 1, &to);
	return node->inputs[index] ? 0 : im->err->code;
}

static int clip(struct importer *im, struct scope *scope, struct import_node *node)
{
	int ret = scalar_to_input(im, scope, node, "min", 1);

	return ret ? ret : scalar_to_input(im, scope, node, "max", 2);
}

static int pad(struct importer *im, struct scope *scope, struct import_node *node)
{
	int ret = to_input(im, scope, node, "pads", 1);

	return ret ? ret : scalar_to_input(im, scope, node, "value", 2);
}

static int topk(struct importer *im, struct scope *scope, struct import_node *node)
{
	struct qeff_attribute k = QEFF_INTS("k", 1, NULL);
	int64_t number = import_int(node, "k", 0);

	import_drop_attribute(node, "k");
	k.ints = &number;
	node->attributes[node->num_attributes++] = k;
	return to_input(im, scope, node, "k", 1);
}

static int slice(struct importer *im, struct scope *scope, struct import_node *node)
{
	int ret = to_input(im, scope, node, "starts", 1);

	if (!ret)
		ret = to_input(im, scope, node, "ends", 2);
	return ret ? ret : to_input(im, scope, node, "axes", 3);
}

static int reshape(struct importer *im, struct scope *scope, struct import_node *node)
{
	return to_input(im, scope, node, "shape", 1);
}

/* Upsample, and Resize in opset 10. */
static int resize(struct importer *im, struct scope *scope, struct import_node *node)
{
	int ret = to_input(im, scope, node, "scales", 1);

	if (ret)
		return ret;
	if (node->num_inputs != 2)
		return import_refuse(im, node, -EINVAL, "its scales are missing");
	node->op_type = "Resize";
	node->inputs[2] = node->inputs[1];
	node->inputs[1] = NULL;
	node->num_inputs = 3;
	rename_text(node, "mode", "bilinear", "linear");
	set_attribute(node, QEFF_STRING("coordinate_transformation_mode", "asymmetric"));
	set_attribute(node, QEFF_STRING("nearest_mode", "floor"));
	return 0;
}

static int grid_sample(struct importer *im, struct scope *scope, struct import_node *node)
{
	rename_text(node, "mode", "bilinear", "linear");
	rename_text(node, "mode", "bicubic", "cubic");
	return 0;
}

static int scatter(struct importer *im, struct scope *scope, struct import_node *node)
{
	node->op_type = "ScatterElements";
	return 0;
}

static int drop_spatial(struct importer *im, struct scope *scope, struct import_node *node)
{
	if (import_int(node, "spatial", 1) != 1)
		return import_refuse(im, node, -ENOTSUP, "attribute \"spatial\" is 0");
	import_drop_attribute(node, "spatial");
	if (node->opset < 7 && node->num_outputs == 1) {
		import_drop_attribute(node, "is_test");
		import_drop_attribute(node, "consumed_inputs");
	}
	return 0;
}

/* Before opset 13 all axes from "axis" on (1 if it is not said) were one. */
static int softmax(struct importer *im, struct scope *scope, struct import_node *node)
{
	const struct qeff_graph_shape *x = &node->inputs[0]->shape;
	int64_t axis = import_int(node, "axis", 1), sizes[QEFF_GRAPH_MAX_RANK];
	const struct qeff_attribute flat = QEFF_INT("axis", axis), last = QEFF_INT("axis", -1);
	struct import_node back = *node;
	struct qeff_value *inputs[2];
	int ret;

	axis += axis < 0 ? x->rank : 0;
	if (axis < 0 || axis >= (int64_t)x->rank)
		return import_refuse(im, node, -EINVAL, "axis %lld is none of its input's",
				     (long long)axis);
	if (axis == (int64_t)x->rank - 1) {
		set_attribute(node, last);
		return 0;
	}
	for (uint32_t i = 0; i < x->rank; i++) {
		if (x->dims[i].symbol)
			return import_refuse(im, node, -ENODATA,
					     "the size \"%s\" of its input must be given",
					     x->dims[i].symbol);
		sizes[i] = x->dims[i].size;
	}
	inputs[0] = import_helper(im, scope, "Flatten", node->label, 1, node->inputs, 1, &flat);
	if (inputs[0])
		inputs[0] =
			import_helper(im, scope, node->op_type, node->label, 1, inputs, 1, &last);
	inputs[1] = import_ints(im, scope, "shape", true, x->rank, sizes);
	if (!inputs[0] || !inputs[1])
		return im->err->code;
	back.op_type = "Reshape";
	back.inputs = inputs;
	back.num_inputs = 2;
	back.num_attributes = 0;
	ret = import_append(im, scope, &back);
	return ret ? ret : 1;
}

/* The last dimensions of 1 that input 1 needs to begin at axis @axis of input 0. */
static int begin_at(struct importer *im, struct scope *scope, struct import_node *node,
		    int64_t axis)
{
	const uint32_t rank = node->inputs[0]->shape.rank, own = node->inputs[1]->shape.rank;
	int64_t axes[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *inputs[2] = { node->inputs[1] };
	uint32_t count = 0;

	axis += axis < 0 ? rank : 0;
	if (axis < 0 || own > rank || axis >= rank - own)
		return 0;
	while (axis + own + count < rank) {
		axes[count] = own + count;
		count++;
	}
	inputs[1] = import_ints(im, scope, "axes", true, count, axes);
	if (inputs[1])
		node->inputs[1] =
			import_helper(im, scope, "Unsqueeze", node->label, 2, inputs, 0, NULL);
	return inputs[1] && node->inputs[1] ? 0 : im->err->code;
}

/* Before opset 7 input 1 stretched only when it was said so, perhaps from an axis on. */
static int stretch(struct importer *im, struct scope *scope, struct import_node *node)
{
	bool named = import_attribute(node, "axis") != NULL;
	int64_t axis = import_int(node, "axis", 0);

	import_drop_attribute(node, "broadcast");
	import_drop_attribute(node, "consumed_inputs");
	import_drop_attribute(node, "axis");
	if (!named || node->num_inputs < 2 || !node->inputs[1])
		return 0;
	return begin_at(im, scope, node, axis);
}

/* Slopes were those of channels. */
static int prelu(struct importer *im, struct scope *scope, struct import_node *node)
{
	import_drop_attribute(node, "consumed_inputs");
	if (node->num_inputs < 2 || !node->inputs[1] || node->inputs[1]->shape.rank != 1)
		return 0;
	return begin_at(im, scope, node, 1);
}

static int dft(struct importer *im, struct scope *scope, struct import_node *node)
{
	return to_input(im, scope, node, "axis", 2);
}

static const struct {
	const char *op;
	int before; /* opset */
	int (*upgrade)(struct importer *im, struct scope *scope, struct import_node *node);
} rows[] = {
	{ "ReduceSum", 13, axes },
	{ "ReduceMean", 18, axes },
	{ "ReduceMax", 18, axes },
	{ "ReduceMin", 18, axes },
	{ "ReduceProd", 18, axes },
	{ "ReduceL1", 18, axes },
	{ "ReduceL2", 18, axes },
	{ "ReduceLogSum", 18, axes },
	{ "ReduceLogSumExp", 18, axes },
	{ "ReduceSumSquare", 18, axes },
	{ "Squeeze", 13, axes },
	{ "Unsqueeze", 13, axes },
	{ "Split", 18, split },
	{ "Clip", 11, clip },
	{ "Pad", 11, pad },
	{ "TopK", 10, topk },
	{ "Slice", 10, slice },
	{ "Reshape", 5, reshape },
	{ "Upsample", 99, resize },
	{ "Resize", 11, resize },
	{ "GridSample", 20, grid_sample },
	{ "Scatter", 99, scatter },
	{ "BatchNormalization", 9, drop_spatial },
	{ "Softmax", 13, softmax },
	{ "LogSoftmax", 13, softmax },
	{ "Hardmax", 13, softmax },
	{ "DFT", 20, dft },
	{ "Add", 7, stretch },
	{ "Sub", 7, stretch },
	{ "Mul", 7, stretch },
	{ "Div", 7, stretch },
	{ "Pow", 7, stretch },
	{ "And", 7, stretch },
	{ "Or", 7, stretch },
	{ "Xor", 7, stretch },
	{ "Equal", 7, stretch },
	{ "Less", 7, stretch },
	{ "Greater", 7, stretch },
	{ "Gemm", 7, stretch },
	{ "PRelu", 7, prelu },
};

int import_upgrade(struct importer *im, struct scope *scope, struct import_node *node)
{
	if (*node->domain)
		return 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].op, node->op_type) || node->opset >= rows[i].before)
			continue;
		if (!node->num_inputs || !node->inputs[0])
			return import_refuse(im, node, -EINVAL, "its input is missing");
		return rows[i].upgrade(im, scope, node);
	}
	return 0;
}
