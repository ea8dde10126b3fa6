/* SPDX-License-Identifier: MIT */
/*
 * Import: QuantizeLinear and DequantizeLinear as opsets 21 to 24 have them. What older opsets do
 * not know of is taken off where it changes nothing; scales of blocks along an axis become scales
 * of every number, and the operator what it says it computes. Tensors of four bits are read as
 * bytes (tensor.c), so nothing may be rounded to them.
 */
#include "onnx/importer.h"

#include <string.h>

static bool is(const struct import_node *node, const char *op)
{
	return !strcmp(node->op_type, op);
}

static bool is_of_nibbles(const struct importer *im, const struct qeff_value *value)
{
	return value && onnx_names_find(&im->nibbles, value->name);
}

/* An attribute that must be 0, or @also. */
static int drop(struct importer *im, struct import_node *node, const char *name, int64_t also)
{
	int64_t number = import_int(node, name, 0);

	if (number && number != also)
		return import_refuse(im, node, -ENOTSUP, "attribute \"%s\" is %lld", name,
				     (long long)number);
	import_drop_attribute(node, name);
	return 0;
}

static struct qeff_value *cast(struct importer *im, const struct scope *scope,
			       const struct import_node *node, struct qeff_value *value,
			       enum qeff_graph_type type)
{
	const struct qeff_attribute to = QEFF_INT("to", type);

	if (!value || value->type == type)
		return value;
	return import_helper(im, scope, "Cast", node->label, 1, &value, 1, &to);
}

static struct qeff_value *two(struct importer *im, const struct scope *scope, const char *op,
			      const struct import_node *node, struct qeff_value *a,
			      struct qeff_value *b)
{
	return a && b ? import_helper(im, scope, op, node->label, 2,
				      (struct qeff_value *[]){ a, b }, 0, NULL)
		      : NULL;
}

/* @blocks has a number for each @size of input 0 along @axis, and gets one for each. */
static struct qeff_value *spread(struct importer *im, const struct scope *scope,
				 const struct import_node *node, struct qeff_value *blocks,
				 uint32_t axis, int64_t size)
{
	const uint32_t rank = blocks->shape.rank;
	const int64_t next = axis + 1, zero = 0, at = axis;
	const int64_t whole = node->inputs[0]->shape.dims[axis].size;
	int64_t wide[QEFF_GRAPH_MAX_RANK + 1], flat[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *value;

	for (uint32_t i = 0; i < rank; i++) {
		wide[i + (i > axis)] = blocks->shape.dims[i].size;
		flat[i] = blocks->shape.dims[i].size * (i == axis ? size : 1);
	}
	wide[axis + 1] = size;
	value = two(im, scope, "Unsqueeze", node, blocks,
		    import_ints(im, scope, "axis", true, 1, &next));
	value = two(im, scope, "Expand", node, value,
		    import_ints(im, scope, "dims", true, rank + 1, wide));
	value = two(im, scope, "Reshape", node, value,
		    import_ints(im, scope, "dims", true, rank, flat));
	if (!value || flat[axis] == whole)
		return value;
	return import_helper(
		im, scope, "Slice", node->label, 4,
		(struct qeff_value *[]){ value, import_ints(im, scope, "from", true, 1, &zero),
					 import_ints(im, scope, "to", true, 1, &whole),
					 import_ints(im, scope, "axis", true, 1, &at) },
		0, NULL);
}

/* Whether scales (and zero points) are of blocks of @size along @axis of input 0, sizes known. */
static bool are_blocks(const struct import_node *node, uint32_t axis, int64_t size)
{
	const struct qeff_value *x = node->inputs[0];

	for (uint32_t k = 0; k < 3; k++) {
		const struct qeff_value *v = k < node->num_inputs ? node->inputs[k] : NULL;

		if (!v && k == 2)
			return true;
		if (!v || v->shape.rank != x->shape.rank)
			return false;
		for (uint32_t i = 0; i < v->shape.rank; i++) {
			int64_t whole = x->shape.dims[i].size;

			if (v->shape.dims[i].symbol || x->shape.dims[i].symbol)
				return false;
			if (k && v->shape.dims[i].size !=
					 (i == axis ? whole / size + (whole % size > 0) : whole))
				return false;
		}
	}
	return true;
}

/* The least and largest numbers of a type that rounding goes to. */
static const float *range_of(enum qeff_graph_type type)
{
	static const float u8[] = { 0, 255 }, i8[] = { -128, 127 }, u16[] = { 0, 65535 },
			   i16[] = { -32768, 32767 };

	return type == QEFF_GRAPH_U8	? u8
	       : type == QEFF_GRAPH_I8	? i8
	       : type == QEFF_GRAPH_U16 ? u16
	       : type == QEFF_GRAPH_I16 ? i16
					: NULL;
}

static struct qeff_value *float_constant(struct importer *im, const struct scope *scope,
					 const float *number)
{
	const struct qeff_onnx_tensor tensor = {
		.type = QEFF_GRAPH_F32,
		.data = onnx_constant(im->model, number, sizeof(*number)),
	};

	return tensor.data ? import_constant(im, scope, "limit", &tensor) : NULL;
}

/* The last step, a Cast, makes the node's output. */
static int finish(struct importer *im, struct scope *scope, const struct import_node *node,
		  struct qeff_value *value, enum qeff_graph_type type)
{
	struct qeff_attribute to = QEFF_INT("to", type);
	struct import_node last = *node;
	int ret;

	if (!value)
		return im->err->code ? im->err->code : import_no_memory(im);
	last.op_type = value->type == type ? "Identity" : "Cast";
	last.inputs = &value;
	last.num_inputs = 1;
	last.attributes = &to;
	last.num_attributes = value->type != type;
	ret = import_append(im, scope, &last);
	return ret ? ret : 1;
}

static int by_blocks(struct importer *im, struct scope *scope, const struct import_node *node,
		     int64_t size)
{
	struct qeff_value *x = node->inputs[0], *scale, *zero = NULL;
	int64_t axis = import_int(node, "axis", 1);
	const bool rounds = is(node, "QuantizeLinear");
	enum qeff_graph_type type = node->inputs[1]->type;
	const float *range;

	axis += axis < 0 ? x->shape.rank : 0;
	if (size < 1 || size > INT32_MAX || axis < 0 || axis >= (int64_t)x->shape.rank ||
	    x->shape.rank >= QEFF_GRAPH_MAX_RANK || !are_blocks(node, (uint32_t)axis, size))
		return import_refuse(im, node, -EINVAL,
				     "its scales are not those of blocks of %lld", (long long)size);
	scale = spread(im, scope, node, cast(im, scope, node, node->inputs[1], QEFF_GRAPH_F32),
		       (uint32_t)axis, size);
	if (node->num_inputs > 2 && node->inputs[2])
		zero = spread(im, scope, node,
			      cast(im, scope, node, node->inputs[2], QEFF_GRAPH_F32),
			      (uint32_t)axis, size);
	x = cast(im, scope, node, x, QEFF_GRAPH_F32);
	if (node->num_inputs > 2 && node->inputs[2] && !zero)
		x = NULL;
	if (!rounds) {
		x = zero ? two(im, scope, "Sub", node, x, zero) : x;
		return finish(im, scope, node, two(im, scope, "Mul", node, x, scale), type);
	}
	type = zero ? node->inputs[2]->type
		    : (enum qeff_graph_type)import_int(node, "output_dtype", QEFF_GRAPH_U8);
	range = range_of(type);
	if (!range)
		return import_refuse(im, node, -ENOTSUP, "nothing is rounded to %s here",
				     qeff_graph_type_name(type));
	x = two(im, scope, "Div", node, x, scale);
	x = x ? import_helper(im, scope, "Round", node->label, 1, &x, 0, NULL) : NULL;
	x = zero ? two(im, scope, "Add", node, x, zero) : x;
	x = two(im, scope, "Max", node, x, float_constant(im, scope, &range[0]));
	x = two(im, scope, "Min", node, x, float_constant(im, scope, &range[1]));
	return finish(im, scope, node, x, type);
}

int import_quantise(struct importer *im, struct scope *scope, struct import_node *node)
{
	const bool rounds = !*node->domain && is(node, "QuantizeLinear");
	struct qeff_value *zero = node->num_inputs > 2 ? node->inputs[2] : NULL;
	int64_t size;
	int ret;

	if (*node->domain)
		return 0;
	if ((rounds && is_of_nibbles(im, zero)) ||
	    (is(node, "CastLike") && node->num_inputs > 1 && is_of_nibbles(im, node->inputs[1])))
		return import_refuse(im, node, -ENOTSUP, "nothing is rounded to 4 bits here");
	if ((!rounds && !is(node, "DequantizeLinear")) || node->num_inputs < 2 ||
	    !node->inputs[0] || !node->inputs[1])
		return 0;
	size = import_int(node, "block_size", 0);
	if (size)
		return by_blocks(im, scope, node, size);
	/* of 8-bit floats alone; what is computed in; what comes out, which inputs say as well */
	import_drop_attribute(node, "saturate");
	import_drop_attribute(node, "block_size");
	ret = drop(im, node, "precision", QEFF_GRAPH_F32);
	if (ret)
		return ret;
	return drop(im, node, "output_dtype",
		    !rounds ? node->inputs[1]->type
		    : zero  ? zero->type
			    : QEFF_GRAPH_U8);
}
