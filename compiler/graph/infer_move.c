/* SPDX-License-Identifier: MIT */
/* What operators that move elements, and choose among them, make of types and shapes. */
#include "graph/forms.h"
#include "graph/infer_check.h"

#include "util/checked.h"

#include <string.h>

#define ANY_RANK UINT32_MAX
#define MAX_RANK QEFF_GRAPH_MAX_RANK

int qeff_op_ints(const struct qeff_node *node, uint32_t input, int64_t *numbers, uint32_t room,
		 uint32_t *count, struct qeff_error *err)
{
	return infer_ints(node, input, numbers, room, count, err);
}

int qeff_op_floats(const struct qeff_node *node, uint32_t input, double *numbers, uint32_t room,
		   uint32_t *count, struct qeff_error *err)
{
	return infer_floats(node, input, numbers, room, count, err);
}

int qeff_op_axes(const struct qeff_node *node, uint32_t input, uint32_t without, uint32_t *axes,
		 struct qeff_error *err)
{
	return infer_axes(node, input, infer_shape_of(node, 0)->rank, without, axes, err);
}

/* Sizes of one dimension for several are one product: they must be numbers. */
static int merge(const struct qeff_graph_shape *x, uint32_t begin, uint32_t end,
		 struct qeff_dim *dim, struct qeff_error *err)
{
	uint64_t product = 1;

	*dim = qeff_dim_of(1);
	if (end - begin == 1) {
		*dim = x->dims[begin];
		return 0;
	}
	for (uint32_t i = begin; i < end; i++)
		if (x->dims[i].symbol ||
		    !qeff_mul_u64(product, (uint64_t)x->dims[i].size, &product) ||
		    product > INT64_MAX)
			return qeff_error_set(err, -EINVAL,
					      "dimensions %u to %u of input 0 cannot be merged",
					      begin, end - 1);
	*dim = qeff_dim_of((int64_t)product);
	return 0;
}

int infer_flatten(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t axis = qeff_node_int(node, "axis", 1);
	int ret;

	axis += axis < 0 ? x->rank : 0;
	if (axis < 0 || axis > x->rank)
		return qeff_error_set(err, -EINVAL, "attribute \"axis\" is none of input 0");
	result->type = node->inputs[0]->type;
	result->shape.rank = 2;
	ret = merge(x, 0, (uint32_t)axis, &result->shape.dims[0], err);
	if (!ret)
		ret = merge(x, (uint32_t)axis, x->rank, &result->shape.dims[1], err);
	return ret;
}

int infer_squeeze(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	uint32_t ones = 0, axes;
	int ret;

	for (uint32_t i = 0; i < x->rank; i++)
		ones |= x->dims[i].size == 1 ? 1u << i : 0;
	ret = infer_axes(node, 1, x->rank, ones, &axes, err);
	if (!ret && axes & ~ones)
		ret = infer_wrong(node, 0, "dimensions of 1 where axes are squeezed", err);
	result->type = node->inputs[0]->type;
	infer_reduced(x, axes, false, &result->shape);
	return ret;
}

int infer_unsqueeze(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t numbers[MAX_RANK];
	uint32_t axes, count, from = 0;
	int ret = infer_ints(node, 1, numbers, MAX_RANK, &count, err);

	if (ret)
		return ret;
	if (x->rank + count > MAX_RANK)
		return infer_wrong(node, 0, "fewer dimensions", err);
	ret = infer_axes(node, 1, x->rank + count, 0, &axes, err);
	if (!ret && (uint32_t)__builtin_popcount(axes) != count)
		ret = qeff_error_set(err, -EINVAL, "an axis stands twice in input 1");
	result->type = node->inputs[0]->type;
	result->shape.rank = x->rank + count;
	for (uint32_t i = 0; i < result->shape.rank && !ret; i++)
		result->shape.dims[i] = axes >> i & 1 ? qeff_dim_of(1) : x->dims[from++];
	return ret;
}

int infer_expand(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	struct qeff_op_result target = { 0 };
	int64_t sizes[MAX_RANK];
	uint32_t count;
	int ret = infer_ints(node, 1, sizes, MAX_RANK, &count, err);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++)
		if (sizes[i] < 0)
			return qeff_error_set(err, -EINVAL, "cannot make dimension %u of %lld", i,
					      (long long)sizes[i]);
	if (!infer_need_type(node, 1, QEFF_TYPES_INDEX, 0, NULL, NULL))
		count = 0;
	infer_set_shape(&target, count, sizes);
	infer_same_as(node, 0, result);
	if (!infer_broadcast(&target.shape, &result->shape, &result->shape))
		ret = infer_wrong(node, 0, "a shape that can be stretched to input 1", err);
	return ret;
}

int infer_tile(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t repeats[MAX_RANK];
	uint32_t count;
	int ret = infer_ints(node, 1, repeats, MAX_RANK, &count, err);

	infer_same_as(node, 0, result);
	if (!ret && count != result->shape.rank)
		ret = infer_wrong(node, 1, "a number for each dimension of input 0", err);
	for (uint32_t i = 0; i < count && !ret; i++) {
		struct qeff_dim *dim = &result->shape.dims[i];
		uint64_t size;

		if (repeats[i] == 1)
			continue;
		if (repeats[i] < 0 || dim->symbol ||
		    !qeff_mul_u64((uint64_t)dim->size, (uint64_t)repeats[i], &size) ||
		    size > INT64_MAX)
			return qeff_error_set(err, -EINVAL, "cannot repeat dimension %u %lld times",
					      i, (long long)repeats[i]);
		*dim = qeff_dim_of((int64_t)size);
	}
	return ret;
}

int qeff_op_pads(const struct qeff_node *node, int64_t *begin, int64_t *end, struct qeff_error *err)
{
	uint32_t rank = infer_shape_of(node, 0)->rank, count, axes;
	int64_t pads[2 * MAX_RANK], where[MAX_RANK];
	int ret = infer_ints(node, 1, pads, 2 * MAX_RANK, &count, err);

	for (uint32_t i = 0; i < MAX_RANK; i++) {
		begin[i] = end[i] = 0;
		where[i] = i;
	}
	axes = rank;
	if (!ret && qeff_node_input(node, 3))
		ret = infer_ints(node, 3, where, MAX_RANK, &axes, err);
	if (!ret && count != 2 * axes)
		ret = infer_wrong(node, 1, "two numbers for each axis", err);
	for (uint32_t i = 0; i < axes && !ret; i++) {
		int axis = infer_normal_axis(where[i], rank);

		if (axis < 0 || pads[i] < -INT32_MAX || pads[i] > INT32_MAX ||
		    pads[axes + i] < -INT32_MAX || pads[axes + i] > INT32_MAX)
			return qeff_error_set(err, -EINVAL, "cannot pad axis %lld by %lld and %lld",
					      (long long)where[i], (long long)pads[i],
					      (long long)pads[axes + i]);
		begin[axis] = pads[i];
		end[axis] = pads[axes + i];
	}
	return ret;
}

int infer_pad(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	static const char *const modes[] = { "constant", "reflect", "edge", "wrap" };
	const char *mode = qeff_node_string(node, "mode", "constant");
	int64_t begin[MAX_RANK], end[MAX_RANK];
	uint32_t kind = 0;
	int ret = qeff_op_pads(node, begin, end, err);

	while (kind < 4 && strcmp(mode, modes[kind]))
		kind++;
	if (kind == 4)
		return qeff_error_set(err, -ENOTSUP, "attribute \"mode\" is \"%s\"", mode);
	infer_same_as(node, 0, result);
	if (!ret && qeff_node_input(node, 2))
		ret = infer_need_scalar(node, 2, QEFF_TYPE_BIT(result->type), err);
	for (uint32_t i = 0; i < result->shape.rank && !ret; i++) {
		struct qeff_dim *dim = &result->shape.dims[i];

		if (!begin[i] && !end[i])
			continue;
		/* a reflection does not repeat the edge, and can go on for one length only */
		if (dim->symbol || dim->size + begin[i] < 0 || dim->size + end[i] < 0 ||
		    dim->size + begin[i] + end[i] < 0 ||
		    (kind == 1 && (begin[i] >= dim->size || end[i] >= dim->size)) ||
		    (kind == 3 && (begin[i] > dim->size || end[i] > dim->size)))
			return qeff_error_set(err, -EINVAL,
					      "cannot pad axis %u by %lld and %lld in mode %s", i,
					      (long long)begin[i], (long long)end[i], mode);
		*dim = qeff_dim_of(dim->size + begin[i] + end[i]);
	}
	return ret;
}

/* Pieces of given sizes, or as many as there are outputs, the last one perhaps smaller. */
int infer_split(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t sizes[QEFF_OP_MAX_OUTPUTS], left;
	uint32_t count = node->num_outputs;
	int axis, ret;

	if (!x->rank)
		return infer_wrong(node, 0, "at least one dimension", err);
	axis = infer_normal_axis(qeff_node_int(node, "axis", 0), x->rank);
	if (axis < 0 || x->dims[axis].symbol)
		return qeff_error_set(err, -EINVAL, "input 0 cannot be split along \"axis\"");
	left = x->dims[axis].size;
	if (qeff_node_input(node, 1)) {
		ret = infer_ints(node, 1, sizes, QEFF_OP_MAX_OUTPUTS, &count, err);
		if (ret)
			return ret;
		if (count < node->num_outputs)
			return infer_wrong(node, 1, "a size for each output", err);
	} else {
		int64_t pieces = qeff_node_int(node, "num_outputs", count);
		int64_t size = pieces > 0 ? (left + pieces - 1) / pieces : 0;

		if (pieces < count || (pieces > 0 && left < size * (pieces - 1)))
			return infer_wrong(node, 0, "enough elements for each output", err);
		for (uint32_t i = 0; i < count; i++)
			sizes[i] = i + 1 < pieces ? size : left - size * (pieces - 1);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (sizes[i] < 0 || sizes[i] > left)
			return infer_wrong(node, 0, "as many elements as are split off", err);
		left -= sizes[i];
		if (i >= node->num_outputs)
			continue;
		infer_same_as(node, 0, &result[i]);
		result[i].shape.dims[axis] = qeff_dim_of(sizes[i]);
	}
	return 0;
}

/* Blocks of @block x @block: between channels and the plane. */
static int blocks(const struct qeff_node *node, struct qeff_op_result *result, bool to_space,
		  struct qeff_error *err)
{
	int64_t block = qeff_node_int(node, "blocksize", 0);
	struct qeff_dim *dims = result->shape.dims;
	int ret;

	infer_same_as(node, 0, result);
	if (result->shape.rank != 4 || block < 1 || block > INT16_MAX)
		return infer_wrong(node, 0, "[batch, channels, height, width] and a block size",
				   err);
	ret = infer_need_bound(node, 0, err);
	if (ret)
		return ret;
	if (to_space ? dims[1].size % (block * block)
		     : dims[2].size % block || dims[3].size % block)
		return infer_wrong(node, 0, "whole blocks", err);
	dims[1].size = to_space ? dims[1].size / (block * block) : dims[1].size * block * block;
	dims[2].size = to_space ? dims[2].size * block : dims[2].size / block;
	dims[3].size = to_space ? dims[3].size * block : dims[3].size / block;
	return 0;
}

int infer_depth_to_space(const struct qeff_node *node, struct qeff_op_result *result,
			 struct qeff_error *err)
{
	return blocks(node, result, true, err);
}

int infer_space_to_depth(const struct qeff_node *node, struct qeff_op_result *result,
			 struct qeff_error *err)
{
	return blocks(node, result, false, err);
}

int infer_gather_elements(const struct qeff_node *node, struct qeff_op_result *result,
			  struct qeff_error *err)
{
	int axis, ret = infer_axis(node, "axis", 0, &axis, err);

	if (!ret)
		ret = infer_need_type(node, 1, QEFF_TYPES_INDEX, infer_shape_of(node, 0)->rank,
				      "indices with the rank of input 0", err);
	if (ret)
		return ret;
	infer_same_as(node, 1, result);
	result->type = node->inputs[0]->type;
	for (uint32_t i = 0; i < result->shape.rank; i++)
		if ((int)i != axis &&
		    result->shape.dims[i].size > infer_shape_of(node, 0)->dims[i].size)
			return infer_wrong(node, 1, "indices inside input 0", err);
	return 0;
}

/* data, indices [..., k]: each names what stands at it in the first k dimensions after the batch.
 */
int infer_gather_nd(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *at = infer_shape_of(node, 1);
	int64_t batch = qeff_node_int(node, "batch_dims", 0), depth;
	struct qeff_graph_shape *out = &result->shape;

	if (infer_need_type(node, 1, QEFF_TYPES_INDEX, ANY_RANK, NULL, NULL) || !at->rank ||
	    at->dims[at->rank - 1].symbol)
		return infer_wrong(node, 1, "indices [..., depth]", err);
	depth = at->dims[at->rank - 1].size;
	if (batch < 0 || batch >= at->rank || batch + depth > x->rank ||
	    at->rank - 1 + x->rank - depth - batch > MAX_RANK)
		return infer_wrong(node, 1, "indices of dimensions that input 0 has", err);
	for (uint32_t i = 0; i < batch; i++)
		if (!qeff_dim_equal(&x->dims[i], &at->dims[i]))
			return infer_wrong(node, 1, "the batch of input 0", err);
	result->type = node->inputs[0]->type;
	out->rank = 0;
	for (uint32_t i = 0; i + 1 < at->rank; i++)
		out->dims[out->rank++] = at->dims[i];
	for (uint32_t i = (uint32_t)(batch + depth); i < x->rank; i++)
		out->dims[out->rank++] = x->dims[i];
	return 0;
}

static int check_reduction(const struct qeff_node *node, struct qeff_error *err)
{
	static const char *const known[] = { "none", "add", "mul", "max", "min" };
	const char *reduction = qeff_node_string(node, "reduction", "none");

	for (size_t i = 0; i < 5; i++)
		if (!strcmp(reduction, known[i]))
			return 0;
	return qeff_error_set(err, -ENOTSUP, "attribute \"reduction\" is \"%s\"", reduction);
}

int infer_scatter_elements(const struct qeff_node *node, struct qeff_op_result *result,
			   struct qeff_error *err)
{
	struct qeff_op_result where;
	int ret = infer_gather_elements(node, &where, err);

	if (!ret)
		ret = check_reduction(node, err);
	infer_same_as(node, 0, result);
	for (uint32_t i = 0; !ret && i < where.shape.rank; i++)
		if (node->inputs[2]->type != result->type ||
		    infer_shape_of(node, 2)->rank != where.shape.rank ||
		    !qeff_dim_equal(&infer_shape_of(node, 2)->dims[i], &where.shape.dims[i]))
			ret = infer_wrong(node, 2, "as many updates as there are indices", err);
	return ret;
}

int infer_scatter_nd(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	struct qeff_op_result what = { 0 };
	int ret = check_reduction(node, err);

	if (!ret)
		ret = infer_gather_nd(node, &what, err);
	infer_same_as(node, 0, result);
	if (!ret && (node->inputs[2]->type != result->type ||
		     infer_shape_of(node, 2)->rank != what.shape.rank))
		ret = infer_wrong(node, 2, "updates that fit inputs 0 and 1", err);
	for (uint32_t i = 0; !ret && i < what.shape.rank; i++)
		if (!qeff_dim_equal(&infer_shape_of(node, 2)->dims[i], &what.shape.dims[i]))
			ret = infer_wrong(node, 2, "updates that fit inputs 0 and 1", err);
	return ret;
}

int infer_one_hot(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int axis = infer_normal_axis(qeff_node_int(node, "axis", -1), x->rank + 1);
	int64_t depth = 0;
	double number;
	uint32_t count;
	int ret = infer_need_constant(node, 1, err);

	if (ret)
		return ret;
	if (!infer_need_type(node, 1, QEFF_TYPES_FLOAT, ANY_RANK, NULL, NULL)) {
		ret = infer_floats(node, 1, &number, 1, &count, err);
		depth = !ret && number > 0 && number < INT32_MAX ? (int64_t)number : 0;
	} else {
		ret = infer_ints(node, 1, &depth, 1, &count, err);
	}
	if (ret)
		return ret;
	if (axis < 0 || depth < 1 || x->rank >= MAX_RANK || infer_shape_of(node, 2)->rank != 1 ||
	    infer_shape_of(node, 2)->dims[0].size != 2)
		return infer_wrong(node, 2, "two values; an axis, and a depth of at least 1", err);
	result->type = node->inputs[2]->type;
	result->shape.rank = x->rank + 1;
	for (uint32_t i = 0, from = 0; i <= x->rank; i++)
		result->shape.dims[i] = (int)i == axis ? qeff_dim_of(depth) : x->dims[from++];
	return 0;
}

int infer_trilu(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t k;
	uint32_t count;

	infer_same_as(node, 0, result);
	if (result->shape.rank < 2)
		return infer_wrong(node, 0, "at least two dimensions", err);
	return qeff_node_input(node, 1) ? infer_ints(node, 1, &k, 1, &count, err)
					: infer_need_bound(node, 0, err);
}

int infer_eye_like(const struct qeff_node *node, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	int64_t type = qeff_node_int(node, "dtype", node->inputs[0]->type);

	infer_same_as(node, 0, result);
	if (result->shape.rank != 2)
		return infer_wrong(node, 0, "a matrix", err);
	if (type < 1 || type > 31 || !(QEFF_TYPE_BIT(type) & QEFF_TYPES_ANY))
		return qeff_error_set(err, -ENOTSUP, "element type %lld is not supported",
				      (long long)type);
	result->type = (enum qeff_graph_type)type;
	return infer_need_bound(node, 0, err);
}

/* Start, limit and step are constants. */
int infer_range(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	bool floats = !infer_need_type(node, 0, QEFF_TYPES_FLOAT, ANY_RANK, NULL, NULL);
	double f[3], size;
	int64_t n[3], steps;
	uint32_t count;
	int ret = 0;

	for (uint32_t i = 0; i < 3 && !ret; i++) {
		ret = infer_need_scalar(node, i, QEFF_TYPE_BIT(node->inputs[0]->type), err);
		if (!ret)
			ret = floats ? infer_floats(node, i, &f[i], 1, &count, err)
				     : infer_ints(node, i, &n[i], 1, &count, err);
		if (!ret && !floats)
			f[i] = (double)n[i];
	}
	if (ret)
		return ret;
	size = (f[1] - f[0]) / f[2];
	if (!(size < INT32_MAX) || (!floats && f[2] == 0))
		return qeff_error_set(err, -EINVAL, "cannot go from %g to %g by %g", f[0], f[1],
				      f[2]);
	result->type = node->inputs[0]->type;
	steps = size > 0 ? (int64_t)size : 0;
	steps += size > (double)steps;
	infer_set_shape(result, 1, &steps);
	return 0;
}

int infer_reverse_sequence(const struct qeff_node *node, struct qeff_op_result *result,
			   struct qeff_error *err)
{
	int64_t batch = qeff_node_int(node, "batch_axis", 1);
	int64_t time = qeff_node_int(node, "time_axis", 0);

	infer_same_as(node, 0, result);
	if (result->shape.rank < 2 || batch < 0 || batch > 1 || time != 1 - batch)
		return infer_wrong(node, 0, "a batch axis and a time axis, which are 0 and 1", err);
	if (infer_need_type(node, 1, QEFF_TYPES_INDEX, 1, NULL, NULL) ||
	    !qeff_dim_equal(&infer_shape_of(node, 1)->dims[0], &result->shape.dims[batch]))
		return infer_wrong(node, 1, "a length for each sequence", err);
	return infer_need_bound(node, 0, err);
}

/* The condition is a constant: how many are chosen is part of the shape. */
int infer_compress(const struct qeff_node *node, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	const struct qeff_value *condition = node->inputs[1];
	const struct qeff_attribute *axis = qeff_node_attribute(node, "axis");
	int at = axis ? infer_normal_axis(axis->i, x->rank) : 0;
	struct qeff_dim all;
	int64_t chosen = 0;
	int ret = infer_need_type(node, 1, QEFF_TYPES_BOOL, 1, "a list of truths", err);

	if (!ret)
		ret = infer_need_constant(node, 1, err);
	if (!ret)
		ret = merge(x, 0, x->rank, &all, err);
	if (ret)
		return ret;
	if (at < 0 || condition->shape.dims[0].size > (axis ? x->dims[at].size : all.size))
		return infer_wrong(node, 1, "at most a truth for each element of the axis", err);
	for (int64_t i = 0; i < condition->shape.dims[0].size; i++)
		chosen += ((const uint8_t *)condition->data)[i] != 0;
	infer_same_as(node, 0, result);
	if (!axis)
		result->shape.rank = 1;
	result->shape.dims[at] = qeff_dim_of(chosen);
	return 0;
}

/* Where the numbers stand that are highest, or lowest, along an axis. */
int infer_arg(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int axis, ret = infer_axis(node, "axis", 0, &axis, err);

	if (ret)
		return ret;
	result->type = QEFF_GRAPH_I64;
	infer_reduced(infer_shape_of(node, 0), 1u << axis, qeff_node_int(node, "keepdims", 1),
		      &result->shape);
	return 0;
}

int infer_top_k(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t k;
	uint32_t count;
	int axis, ret = infer_axis(node, "axis", -1, &axis, err);

	if (!ret)
		ret = infer_ints(node, 1, &k, 1, &count, err);
	if (ret)
		return ret;
	infer_same_as(node, 0, result);
	if (result->shape.dims[axis].symbol || k < 0 || k > result->shape.dims[axis].size)
		return qeff_error_set(err, -EINVAL, "takes %lld of %lld elements", (long long)k,
				      (long long)result->shape.dims[axis].size);
	result->shape.dims[axis] = qeff_dim_of(k);
	if (node->num_outputs > 1) {
		result[1].shape = result->shape;
		result[1].type = QEFF_GRAPH_I64;
	}
	return 0;
}
