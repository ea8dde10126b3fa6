/* SPDX-License-Identifier: MIT */
/* What operators on signals make of shapes: their lengths are constants. */
#include "graph/forms.h"
#include "graph/infer_check.h"

#define MOST 65536 /* samples of a transform, whose matrix is as large as that squared */

/* A window of samples of a given number. */
int infer_signal_window(const struct qeff_node *node, struct qeff_op_result *result,
			struct qeff_error *err)
{
	int64_t type = qeff_node_int(node, "output_datatype", QEFF_GRAPH_F32), size;
	uint32_t count;
	int ret = infer_ints(node, 0, &size, 1, &count, err);

	if (ret)
		return ret;
	if (size < 1 || size > INT32_MAX || type < 1 || type > 31 ||
	    !(QEFF_TYPE_BIT(type) & QEFF_TYPES_NUMBER))
		return qeff_error_set(err, -EINVAL, "cannot make a window of %lld samples",
				      (long long)size);
	result->type = (enum qeff_graph_type)type;
	infer_set_shape(result, 1, &size);
	return 0;
}

/* A constant number of @input, or @fallback. */
static int whole_number(const struct qeff_node *node, uint32_t input, int64_t fallback,
			int64_t *number, struct qeff_error *err)
{
	uint32_t count;
	int ret = 0;

	*number = fallback;
	if (qeff_node_input(node, input))
		ret = infer_ints(node, input, number, 1, &count, err);
	if (!ret && (*number < 1 || *number > MOST))
		ret = qeff_error_set(err, -EINVAL, "input %u is %lld, expected 1 to %d", input,
				     (long long)*number, MOST);
	return ret;
}

int qeff_op_dft(const struct qeff_node *node, struct qeff_dft *dft, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int64_t axis = qeff_node_int(node, "axis", -2);
	uint32_t count;
	int ret = infer_need_bound(node, 0, err);

	if (!ret && qeff_node_input(node, 2))
		ret = infer_ints(node, 2, &axis, 1, &count, err);
	if (ret)
		return ret;
	dft->axis = infer_normal_axis(axis, x->rank);
	dft->inverse = qeff_node_int(node, "inverse", 0);
	if (x->rank < 2 || dft->axis < 0 || dft->axis == (int)x->rank - 1 ||
	    x->dims[x->rank - 1].size < 1 || x->dims[x->rank - 1].size > 2)
		return infer_wrong(node, 0, "[.., 1 or 2] and another axis", err);
	ret = whole_number(node, 1, x->dims[dft->axis].size, &dft->length, err);
	dft->bins = qeff_node_int(node, "onesided", 0) ? dft->length / 2 + 1 : dft->length;
	return ret;
}

int infer_dft(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	struct qeff_dft dft;
	int ret = qeff_op_dft(node, &dft, err);

	if (ret)
		return ret;
	infer_same_as(node, 0, result);
	result->shape.dims[dft.axis] = qeff_dim_of(dft.bins);
	result->shape.dims[result->shape.rank - 1] = qeff_dim_of(2);
	return 0;
}

/* signal [batch, samples, 1 or 2], step, window or none, length of a frame or none */
int qeff_op_stft(const struct qeff_node *node, struct qeff_dft *dft, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	const struct qeff_value *window = qeff_node_input(node, 2);
	int64_t length = window && window->shape.rank == 1 ? window->shape.dims[0].size : 0;
	int ret = infer_need_bound(node, 0, err);

	if (!ret)
		ret = whole_number(node, 1, 0, &dft->step, err);
	if (!ret)
		ret = whole_number(node, 3, length, &dft->length, err);
	if (ret)
		return ret;
	dft->axis = 1;
	dft->inverse = false;
	dft->bins = qeff_node_int(node, "onesided", 1) ? dft->length / 2 + 1 : dft->length;
	if (x->rank != 3 || x->dims[2].size < 1 || x->dims[2].size > 2 ||
	    x->dims[1].size < dft->length || (window && length != dft->length))
		return infer_wrong(node, 0, "[batch, samples, 1 or 2] with a frame at least", err);
	dft->frames = (x->dims[1].size - dft->length) / dft->step + 1;
	return 0;
}

int infer_stft(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	struct qeff_dft dft;
	int ret = qeff_op_stft(node, &dft, err);

	if (ret)
		return ret;
	infer_same_as(node, 0, result);
	result->shape.rank = 4;
	result->shape.dims[1] = qeff_dim_of(dft.frames);
	result->shape.dims[2] = qeff_dim_of(dft.bins);
	result->shape.dims[3] = qeff_dim_of(2);
	return 0;
}

int infer_mel_weights(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	int64_t type = qeff_node_int(node, "output_datatype", QEFF_GRAPH_F32), bands, length, rate;
	double edges[2];
	uint32_t count;
	int ret = whole_number(node, 0, 0, &bands, err);

	if (!ret)
		ret = whole_number(node, 1, 0, &length, err);
	if (!ret)
		ret = infer_ints(node, 2, &rate, 1, &count, err);
	for (uint32_t i = 0; i < 2 && !ret; i++)
		ret = infer_floats(node, 3 + i, &edges[i], 1, &count, err);
	if (ret)
		return ret;
	if (rate < 1 || edges[0] < 0 || edges[1] < edges[0] || type < 1 || type > 31 ||
	    !(QEFF_TYPE_BIT(type) & QEFF_TYPES_NUMBER))
		return qeff_error_set(err, -EINVAL, "cannot make bands of %g to %g Hz", edges[0],
				      edges[1]);
	result->type = (enum qeff_graph_type)type;
	infer_set_shape(result, 2, (const int64_t[]){ length / 2 + 1, bands });
	return 0;
}
