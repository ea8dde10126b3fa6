/* SPDX-License-Identifier: MIT */
/* What operators that move a kernel over the last axes, or resize them, make of shapes. */
#include "graph/forms.h"
#include "graph/infer_check.h"

#include <string.h>

#define MAX_RANK QEFF_GRAPH_MAX_RANK
/* Bounds of what attributes may say: sums and products of them stay far inside 64 bits. */
#define MOST INT32_MAX

/* One number of an attribute for each axis, each in [@least, MOST], or @fallback. */
static int axis_numbers(const struct qeff_node *node, const char *name, uint32_t count,
			int64_t fallback, int64_t least, int64_t *numbers, struct qeff_error *err)
{
	const struct qeff_attribute *a = qeff_node_attribute(node, name);

	if (a && a->count != count)
		return qeff_error_set(err, -EINVAL, "attribute \"%s\" has %u numbers, expected %u",
				      name, a->count, count);
	for (uint32_t i = 0; i < count; i++) {
		numbers[i] = a ? a->ints[i] : fallback;
		if (numbers[i] < least || numbers[i] > MOST)
			return qeff_error_set(err, -EINVAL, "attribute \"%s\" has %lld in it", name,
					      (long long)numbers[i]);
	}
	return 0;
}

/* Everything but padding and outputs. */
static int kernel(const struct qeff_node *node, uint32_t weight, struct qeff_window *w,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t given[MAX_RANK];
	int ret = infer_need_bound(node, 0, err);

	if (ret)
		return ret;
	if (x->rank < 3)
		return infer_wrong(node, 0, "[batch, channels, ...]", err);
	w->rank = x->rank - 2;
	for (uint32_t i = 0; i < w->rank; i++)
		if (x->dims[2 + i].size > MOST)
			return infer_wrong(node, 0, "smaller dimensions", err);
		else
			w->in[i] = x->dims[2 + i].size;
	if (weight != UINT32_MAX) {
		const struct qeff_graph_shape *k = infer_shape_of(node, weight);

		ret = infer_need_bound(node, weight, err);
		if (ret)
			return ret;
		if (k->rank != x->rank)
			return infer_wrong(node, weight, "as many dimensions as input 0", err);
		for (uint32_t i = 0; i < w->rank; i++)
			w->kernel[i] = k->dims[2 + i].size;
		ret = axis_numbers(node, "kernel_shape", w->rank, 1, 1, given, err);
		for (uint32_t i = 0; i < w->rank && !ret; i++)
			if (w->kernel[i] < 1 || w->kernel[i] > MOST ||
			    (qeff_node_attribute(node, "kernel_shape") && given[i] != w->kernel[i]))
				ret = infer_wrong(node, weight, "the kernel of kernel_shape", err);
	} else {
		ret = axis_numbers(node, "kernel_shape", w->rank, 0, 1, w->kernel, err);
	}
	if (!ret)
		ret = axis_numbers(node, "strides", w->rank, 1, 1, w->stride, err);
	if (!ret)
		ret = axis_numbers(node, "dilations", w->rank, 1, 1, w->dilation, err);
	return ret;
}

static int explicit_pads(const struct qeff_node *node, struct qeff_window *w,
			 struct qeff_error *err)
{
	int64_t pads[2 * MAX_RANK];
	int ret = axis_numbers(node, "pads", 2 * w->rank, 0, 0, pads, err);

	for (uint32_t i = 0; i < w->rank && !ret; i++) {
		w->begin[i] = pads[i];
		w->end[i] = pads[w->rank + i];
	}
	return ret;
}

enum auto_pad { PAD_GIVEN, PAD_UPPER, PAD_LOWER, PAD_NONE };

static int auto_pad(const struct qeff_node *node, enum auto_pad *kind, struct qeff_error *err)
{
	static const char *const names[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID" };
	const char *name = qeff_node_string(node, "auto_pad", "NOTSET");

	for (size_t i = 0; i < 4; i++)
		if (!strcmp(name, names[i])) {
			*kind = (enum auto_pad)i;
			return 0;
		}
	return qeff_error_set(err, -EINVAL, "attribute \"auto_pad\" is \"%s\"", name);
}

int qeff_op_window(const struct qeff_node *node, uint32_t weight, struct qeff_window *w,
		   struct qeff_error *err)
{
	bool ceiling = qeff_node_int(node, "ceil_mode", 0);
	enum auto_pad kind;
	int ret;

	memset(w, 0, sizeof(*w));
	ret = auto_pad(node, &kind, err);
	if (!ret)
		ret = kernel(node, weight, w, err);
	if (!ret && kind == PAD_GIVEN)
		ret = explicit_pads(node, w, err);
	for (uint32_t i = 0; i < w->rank && !ret; i++) {
		int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1, room, pad;

		if (kind == PAD_UPPER || kind == PAD_LOWER) {
			w->out[i] = (w->in[i] + w->stride[i] - 1) / w->stride[i];
			pad = (w->out[i] - 1) * w->stride[i] + reach - w->in[i];
			pad = pad < 0 ? 0 : pad;
			w->begin[i] = kind == PAD_UPPER ? pad / 2 : pad - pad / 2;
			w->end[i] = pad - w->begin[i];
			continue;
		}
		room = w->in[i] + w->begin[i] + w->end[i] - reach;
		if (room < 0)
			return qeff_error_set(err, -EINVAL,
					      "a kernel that reaches over %lld elements of axis %u "
					      "has only %lld",
					      (long long)reach, 2 + i, (long long)(room + reach));
		w->out[i] = (room + (ceiling ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
		/* a window must not begin in the padding at the end */
		if (ceiling && (w->out[i] - 1) * w->stride[i] >= w->in[i] + w->begin[i])
			w->out[i]--;
	}
	return ret;
}

int qeff_op_window_back(const struct qeff_node *node, struct qeff_window *w, struct qeff_error *err)
{
	bool given = qeff_node_attribute(node, "output_shape");
	int64_t more[MAX_RANK] = { 0 }, wanted[MAX_RANK];
	enum auto_pad kind;
	int ret;

	memset(w, 0, sizeof(*w));
	ret = auto_pad(node, &kind, err);
	if (!ret)
		ret = kernel(node, 1, w, err);
	if (!ret)
		ret = axis_numbers(node, "output_padding", w->rank, 0, 0, more, err);
	if (!ret)
		ret = axis_numbers(node, "output_shape", w->rank, 1, 1, wanted, err);
	if (!ret && !given && kind == PAD_GIVEN)
		ret = explicit_pads(node, w, err);
	for (uint32_t i = 0; i < w->rank && !ret; i++) {
		int64_t all = w->stride[i] * (w->in[i] - 1) + more[i] +
			      (w->kernel[i] - 1) * w->dilation[i] + 1;

		if (given || kind == PAD_UPPER || kind == PAD_LOWER) {
			int64_t pad;

			w->out[i] = given ? wanted[i] : w->in[i] * w->stride[i];
			pad = all - w->out[i] < 0 ? 0 : all - w->out[i];
			w->begin[i] = kind == PAD_UPPER ? pad / 2 : pad - pad / 2;
			w->end[i] = pad - w->begin[i];
		} else {
			w->out[i] = all - w->begin[i] - w->end[i];
		}
		if (w->out[i] < 1)
			ret = qeff_error_set(err, -EINVAL, "nothing is left of axis %u", 2 + i);
	}
	return ret;
}

static void window_result(const struct qeff_node *node, const struct qeff_window *w,
			  const struct qeff_dim *channels, struct qeff_op_result *result)
{
	result->shape.rank = 2 + w->rank;
	result->shape.dims[0] = infer_shape_of(node, 0)->dims[0];
	result->shape.dims[1] = *channels;
	for (uint32_t i = 0; i < w->rank; i++)
		result->shape.dims[2 + i] = qeff_dim_of(w->out[i]);
}

/* Pools; MaxPool tells positions as well. */
int infer_window_pool(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	struct qeff_window w;
	int ret = qeff_op_window(node, UINT32_MAX, &w, err);

	if (ret)
		return ret;
	result->type = node->inputs[0]->type;
	window_result(node, &w, &infer_shape_of(node, 0)->dims[1], result);
	if (node->num_outputs > 1) {
		result[1].shape = result->shape;
		result[1].type = QEFF_GRAPH_I64;
	}
	return 0;
}

int infer_global_pool(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	if (result->shape.rank < 3)
		return infer_wrong(node, 0, "[batch, channels, ...]", err);
	for (uint32_t i = 2; i < result->shape.rank; i++)
		result->shape.dims[i] = qeff_dim_of(1);
	return 0;
}

/* Weights [outputs, channels / group, ...] as input @weight; a bias of @outputs. */
static int conv(const struct qeff_node *node, uint32_t weight, uint32_t bias,
		struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t group = qeff_node_int(node, "group", 1), outputs;
	const struct qeff_graph_shape *k;
	struct qeff_window w;
	int ret = qeff_op_window(node, weight, &w, err);

	if (ret)
		return ret;
	k = infer_shape_of(node, weight);
	outputs = k->dims[0].size;
	if (group < 1 || outputs % group || infer_shape_of(node, 0)->dims[1].size % group ||
	    k->dims[1].size != infer_shape_of(node, 0)->dims[1].size / group)
		return infer_wrong(node, weight, "weights that fit the channels of input 0", err);
	if (qeff_node_input(node, bias) && (infer_shape_of(node, bias)->rank != 1 ||
					    infer_shape_of(node, bias)->dims[0].size != outputs))
		return infer_wrong(node, bias, "a number for each output channel", err);
	window_result(node, &w, &k->dims[0], result);
	return 0;
}

int infer_conv(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type != result->type)
		return infer_wrong(node, 1, "the type of input 0", err);
	return conv(node, 1, 2, result, err);
}

int infer_conv_integer(const struct qeff_node *node, struct qeff_op_result *result,
		       struct qeff_error *err)
{
	result->type = QEFF_GRAPH_I32;
	return conv(node, 1, UINT32_MAX, result, err);
}

/* x, scale, zero; w, scale, zero; y's scale, zero; bias */
int infer_qlinear_conv(const struct qeff_node *node, struct qeff_op_result *result,
		       struct qeff_error *err)
{
	result->type = node->inputs[7]->type;
	return conv(node, 3, 8, result, err);
}

int infer_conv_transpose(const struct qeff_node *node, struct qeff_op_result *result,
			 struct qeff_error *err)
{
	int64_t group = qeff_node_int(node, "group", 1), outputs;
	const struct qeff_graph_shape *k;
	struct qeff_window w;
	int ret = qeff_op_window_back(node, &w, err);

	if (ret)
		return ret;
	k = infer_shape_of(node, 1);
	if (group < 1 || infer_shape_of(node, 0)->dims[1].size % group ||
	    k->dims[0].size != infer_shape_of(node, 0)->dims[1].size ||
	    __builtin_mul_overflow(k->dims[1].size, group, &outputs))
		return infer_wrong(node, 1, "weights that fit the channels of input 0", err);
	if (qeff_node_input(node, 2) && (infer_shape_of(node, 2)->rank != 1 ||
					 infer_shape_of(node, 2)->dims[0].size != outputs))
		return infer_wrong(node, 2, "a number for each output channel", err);
	result->type = node->inputs[0]->type;
	window_result(node, &w, &(struct qeff_dim){ .size = outputs }, result);
	return 0;
}

/* The output's shape may be given. */
int infer_max_unpool(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	struct qeff_window w = { 0 };
	int64_t shape[MAX_RANK];
	uint32_t count;
	int ret = kernel(node, UINT32_MAX, &w, err);

	if (!ret)
		ret = explicit_pads(node, &w, err);
	if (!ret)
		ret = infer_need_type(node, 1, QEFF_TYPE_BIT(QEFF_GRAPH_I64), w.rank + 2,
				      "positions for input 0", err);
	for (uint32_t i = 0; i < w.rank && !ret; i++)
		w.out[i] = (w.in[i] - 1) * w.stride[i] + w.kernel[i] - w.begin[i] - w.end[i];
	if (!ret && qeff_node_input(node, 2)) {
		ret = infer_ints(node, 2, shape, MAX_RANK, &count, err);
		if (!ret && count != w.rank + 2)
			ret = infer_wrong(node, 2, "a number for each dimension", err);
		for (uint32_t i = 0; i < w.rank && !ret; i++)
			w.out[i] = shape[2 + i];
	}
	for (uint32_t i = 0; i < w.rank && !ret; i++)
		if (w.out[i] < 1 || w.out[i] > MOST)
			ret = qeff_error_set(err, -EINVAL, "nothing is left of axis %u", 2 + i);
	if (ret)
		return ret;
	result->type = node->inputs[0]->type;
	window_result(node, &w, &infer_shape_of(node, 0)->dims[1], result);
	return 0;
}

int infer_lrn(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	if (result->shape.rank < 2 || qeff_node_int(node, "size", 0) < 1)
		return infer_wrong(node, 0, "[batch, channels, ...] and a size of at least 1", err);
	return infer_need_bound(node, 0, err);
}

/* The axes that inputs of Resize speak of, in their order. */
static int resize_axes(const struct qeff_node *node, uint32_t rank, int *axes, uint32_t *count,
		       struct qeff_error *err)
{
	const struct qeff_attribute *given = qeff_node_attribute(node, "axes");

	*count = given ? given->count : rank;
	if (*count > rank)
		return qeff_error_set(err, -EINVAL, "attribute \"axes\" has %u numbers", *count);
	for (uint32_t i = 0; i < *count; i++) {
		axes[i] = given ? infer_normal_axis(given->ints[i], rank) : (int)i;
		if (axes[i] < 0)
			return qeff_error_set(err, -EINVAL, "axis %lld of %u dimensions",
					      (long long)given->ints[i], rank);
	}
	return 0;
}

/* One factor for all axes: the smallest, or the largest, that keeps each within its size. */
static int keep_aspect(const struct qeff_node *node, struct qeff_resize *r, const int *axes,
		       uint32_t count, struct qeff_error *err)
{
	const char *policy = qeff_node_string(node, "keep_aspect_ratio_policy", "stretch");
	bool larger = !strcmp(policy, "not_smaller");
	double scale;

	if (!strcmp(policy, "stretch"))
		return 0;
	if (!larger && strcmp(policy, "not_larger"))
		return qeff_error_set(err, -EINVAL,
				      "attribute \"keep_aspect_ratio_policy\" is \"%s\"", policy);
	scale = r->scale[axes[0]];
	for (uint32_t i = 1; i < count; i++)
		if (larger ? r->scale[axes[i]] > scale : r->scale[axes[i]] < scale)
			scale = r->scale[axes[i]];
	for (uint32_t i = 0; i < count; i++) {
		r->scale[axes[i]] = scale;
		r->out[axes[i]] =
			(int64_t)(scale * (double)infer_shape_of(node, 0)->dims[axes[i]].size +
				  0.5);
	}
	return 0;
}

/* Whether the optional input is there and not empty. */
static bool has_numbers(const struct qeff_node *node, uint32_t input)
{
	const struct qeff_value *value = qeff_node_input(node, input);

	return value && !(value->shape.rank == 1 && value->shape.dims[0].size == 0);
}

int qeff_op_resize(const struct qeff_node *node, struct qeff_resize *r, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	bool by_size = has_numbers(node, 3);
	double roi[2 * MAX_RANK], scales[MAX_RANK];
	int64_t sizes[MAX_RANK];
	uint32_t count = 0, axes_count;
	int axes[MAX_RANK], ret = infer_need_bound(node, 0, err);

	memset(r, 0, sizeof(*r));
	r->rank = x->rank;
	for (uint32_t i = 0; i < x->rank; i++) {
		r->out[i] = x->dims[i].size;
		r->scale[i] = 1;
		r->roi[1][i] = 1;
	}
	if (!ret)
		ret = resize_axes(node, x->rank, axes, &axes_count, err);
	if (ret)
		return ret;
	if (!by_size && !has_numbers(node, 2))
		return qeff_error_set(err, -EINVAL, "has neither scales nor sizes");
	if (by_size)
		ret = infer_ints(node, 3, sizes, MAX_RANK, &count, err);
	else
		ret = infer_floats(node, 2, scales, MAX_RANK, &count, err);
	if (!ret && count != axes_count)
		ret = infer_wrong(node, by_size ? 3 : 2, "a number for each axis", err);
	for (uint32_t i = 0; i < axes_count && !ret; i++) {
		double size = (double)x->dims[axes[i]].size;

		if (by_size ? sizes[i] < 1 || sizes[i] > MOST
			    : !(scales[i] > 0) || scales[i] * size > MOST)
			return qeff_error_set(err, -EINVAL, "cannot resize axis %d", axes[i]);
		r->scale[axes[i]] = by_size ? (double)sizes[i] / size : scales[i];
		r->out[axes[i]] = by_size ? sizes[i] : (int64_t)(size * scales[i]);
	}
	if (!ret && by_size && axes_count)
		ret = keep_aspect(node, r, axes, axes_count, err);
	if (!ret && has_numbers(node, 1) &&
	    !strcmp(qeff_node_string(node, "coordinate_transformation_mode", ""),
		    "tf_crop_and_resize")) {
		ret = infer_floats(node, 1, roi, 2 * MAX_RANK, &count, err);
		if (!ret && count != 2 * axes_count)
			ret = infer_wrong(node, 1, "two numbers for each axis", err);
		for (uint32_t i = 0; i < axes_count && !ret; i++) {
			r->roi[0][axes[i]] = roi[i];
			r->roi[1][axes[i]] = roi[axes_count + i];
		}
	}
	return ret;
}

int infer_resize(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	struct qeff_resize resize;
	int ret = qeff_op_resize(node, &resize, err);

	result->type = node->inputs[0]->type;
	infer_set_shape(result, resize.rank, resize.out);
	return ret;
}

/* x [n, c, in...], grid [n, out..., axes] */
int infer_grid_sample(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *grid = infer_shape_of(node, 1);
	int ret = infer_need_bound(node, 0, err);

	if (!ret)
		ret = infer_need_bound(node, 1, err);
	if (ret)
		return ret;
	if (x->rank < 3 || grid->rank != x->rank || grid->dims[0].size != x->dims[0].size ||
	    grid->dims[grid->rank - 1].size != (int64_t)x->rank - 2)
		return infer_wrong(node, 1, "a grid of points of input 0", err);
	infer_same_as(node, 0, result);
	for (uint32_t i = 2; i < x->rank; i++)
		result->shape.dims[i] = grid->dims[i - 1];
	return 0;
}
