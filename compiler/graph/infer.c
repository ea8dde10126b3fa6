/* SPDX-License-Identifier: MIT */
/*
 * What ONNX's operators make of shapes.
 *
 * Dimensions are compared as they stand: two symbols are equal when their names are, a symbol never
 * equals a number.
 */
#include "graph/infer_check.h"

#include "util/checked.h"

#include <string.h>

#define TEXT 160

int infer_float_unary(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	int ret = infer_need_float(node, 0, 0, "floats", err);

	infer_same_as(node, 0, result);
	return ret;
}

int infer_gelu(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const char *approximate = qeff_node_string(node, "approximate", "none");

	if (strcmp(approximate, "none") && strcmp(approximate, "tanh"))
		return qeff_error_set(err, -ENOTSUP,
				      "attribute \"approximate\" is \"%s\", expected none or tanh",
				      approximate);
	return infer_float_unary(node, result, err);
}

/* Aligns two runs of dimensions at their ends; a 1 stretches. */
static bool broadcast(const struct qeff_dim *a, uint32_t a_rank, const struct qeff_dim *b,
		      uint32_t b_rank, struct qeff_graph_shape *out)
{
	out->rank = a_rank > b_rank ? a_rank : b_rank;
	for (uint32_t i = 0; i < out->rank; i++) {
		/* i counts from the end */
		const struct qeff_dim one = qeff_dim_of(1);
		const struct qeff_dim *x = i < a_rank ? &a[a_rank - 1 - i] : &one;
		const struct qeff_dim *y = i < b_rank ? &b[b_rank - 1 - i] : &one;

		if (!qeff_dim_equal(x, y) && x->size != 1 && y->size != 1)
			return false;
		out->dims[out->rank - 1 - i] = x->size == 1 ? *y : *x;
	}
	return true;
}

int infer_arithmetic(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_graph_shape *a = infer_shape_of(node, 0), *b = infer_shape_of(node, 1);
	char text[TEXT];

	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type != result->type ||
	    !broadcast(a->dims, a->rank, b->dims, b->rank, &result->shape))
		return qeff_error_set(err, -EINVAL,
				      "input 1, \"%s\", does not fit input 0, \"%s\", %s%s",
				      node->inputs[1]->name, node->inputs[0]->name,
				      qeff_graph_type_name(result->type),
				      qeff_graph_shape_text(a, text, sizeof(text)));
	return 0;
}

int infer_matmul(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_graph_shape *a = infer_shape_of(node, 0), *b = infer_shape_of(node, 1);
	char text[TEXT];
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (ret)
		return ret;
	if (a->rank < 2)
		return infer_wrong(node, 0, "at least 2 dimensions", err);
	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type != result->type || b->rank < 2 ||
	    !qeff_dim_equal(&a->dims[a->rank - 1], &b->dims[b->rank - 2]) ||
	    !broadcast(a->dims, a->rank - 2, b->dims, b->rank - 2, &result->shape)) {
		qeff_graph_shape_text(a, text, sizeof(text));
		ret = infer_wrong(node, 1, "a matrix", err);
		return qeff_error_prefix(err, ret, "does not fit input 0, %s", text);
	}
	result->shape.dims[result->shape.rank++] = a->dims[a->rank - 2];
	result->shape.dims[result->shape.rank++] = b->dims[b->rank - 1];
	return 0;
}

int infer_reduce(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	bool keep = qeff_node_int(node, "keepdims", 1);
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	bool reduced[QEFF_GRAPH_MAX_RANK] = { false };
	const int64_t *axes;
	uint32_t count;
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (!ret)
		ret = infer_constant_ints(node, 1, &axes, &count, err);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++) {
		int axis = infer_normal_axis(axes[i], x->rank);

		if (axis < 0)
			return qeff_error_set(err, -EINVAL, "axis %lld of %u dimensions",
					      (long long)axes[i], x->rank);
		reduced[axis] = true;
	}
	result->type = node->inputs[0]->type;
	result->shape.rank = 0;
	for (uint32_t i = 0; i < x->rank; i++)
		if (!reduced[i] || keep)
			result->shape.dims[result->shape.rank++] =
				reduced[i] ? qeff_dim_of(1) : x->dims[i];
	return 0;
}

int infer_gather(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_graph_shape *data = infer_shape_of(node, 0),
				      *indices = infer_shape_of(node, 1);
	enum qeff_graph_type type = node->inputs[1]->type;
	int axis = infer_normal_axis(qeff_node_int(node, "axis", 0), data->rank);
	struct qeff_graph_shape *out = &result->shape;

	if (axis < 0)
		return qeff_error_set(err, -EINVAL,
				      "attribute \"axis\" is none of the %u of input 0",
				      data->rank);
	if (type != QEFF_GRAPH_I64 && type != QEFF_GRAPH_I32)
		return infer_wrong(node, 1, "integers", err);
	if (data->rank + indices->rank - 1 > QEFF_GRAPH_MAX_RANK)
		return infer_wrong(node, 1, "fewer dimensions", err);
	result->type = node->inputs[0]->type;
	out->rank = 0;
	for (int i = 0; i < axis; i++)
		out->dims[out->rank++] = data->dims[i];
	for (uint32_t i = 0; i < indices->rank; i++)
		out->dims[out->rank++] = indices->dims[i];
	for (uint32_t i = (uint32_t)axis + 1; i < data->rank; i++)
		out->dims[out->rank++] = data->dims[i];
	return 0;
}

int infer_transpose(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	const struct qeff_attribute *perm = qeff_node_attribute(node, "perm");
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	uint32_t seen = 0;

	if (perm->count != x->rank)
		return infer_wrong(node, 0, "as many dimensions as \"perm\" has", err);
	result->type = node->inputs[0]->type;
	result->shape.rank = x->rank;
	for (uint32_t i = 0; i < x->rank; i++) {
		if (perm->ints[i] < 0 || perm->ints[i] >= x->rank || seen & 1u << perm->ints[i])
			return qeff_error_set(err, -EINVAL, "attribute \"perm\" is no permutation");
		seen |= 1u << perm->ints[i];
		result->shape.dims[i] = x->dims[perm->ints[i]];
	}
	return 0;
}

/*
 * 0 copies the input's dimension at this place, -1 takes what is left. What is left of the input
 * once the copied dimensions are taken away must be numbers, or one symbol that the -1 takes whole.
 */
int infer_reshape(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	struct qeff_graph_shape *out = &result->shape;
	uint64_t left = 1, given = 1;
	const struct qeff_dim *symbol = NULL;
	const int64_t *target;
	uint32_t count;
	int rest = -1, ret;

	ret = infer_constant_ints(node, 1, &target, &count, err);
	if (ret)
		return ret;
	result->type = node->inputs[0]->type;
	out->rank = count;
	for (uint32_t i = 0; i < count; i++) {
		out->dims[i] = qeff_dim_of(target[i]);
		if (target[i] == -1 && rest < 0)
			rest = (int)i;
		else if (i < x->rank && target[i] == 0)
			out->dims[i] = x->dims[i];
		else if (target[i] < 1 || !qeff_mul_u64(given, (uint64_t)target[i], &given))
			return qeff_error_set(err, -EINVAL, "cannot make dimension %u of %lld", i,
					      (long long)target[i]);
	}
	for (uint32_t i = 0; i < x->rank; i++) {
		if (i < count && target[i] == 0)
			continue;
		if (x->dims[i].symbol && symbol)
			return infer_wrong(node, 0, "at most one symbol among what is reshaped",
					   err);
		if (x->dims[i].symbol)
			symbol = &x->dims[i];
		else if (!qeff_mul_u64(left, (uint64_t)x->dims[i].size, &left))
			return infer_wrong(node, 0, "fewer elements", err);
	}
	if (rest < 0 ? symbol || left != given : left % given || (symbol && left != given))
		return infer_wrong(node, 0, "as many elements as the target shape has", err);
	if (rest >= 0)
		out->dims[rest] = symbol ? *symbol : qeff_dim_of((int64_t)(left / given));
	return 0;
}

/* Ranges of numbered dimensions: starts, ends, axes and steps are constants; steps are positive. */
int infer_slice(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const int64_t *lists[4] = { NULL }; /* starts, ends, axes, steps */
	uint32_t count = 0, n;
	int ret = 0;

	for (uint32_t i = 0; i < 4 && !ret; i++) {
		if (!qeff_node_input(node, i + 1))
			continue;
		ret = infer_constant_ints(node, i + 1, &lists[i], &n, err);
		if (!ret && i && n != count)
			ret = infer_wrong(node, i + 1, "as many numbers as input 1 has", err);
		count = n;
	}
	infer_same_as(node, 0, result);
	for (uint32_t i = 0; i < count && !ret; i++) {
		int axis = infer_normal_axis(lists[2] ? lists[2][i] : i, result->shape.rank);
		int64_t step = lists[3] ? lists[3][i] : 1, size, begin, end;

		if (axis < 0 || step < 1 || result->shape.dims[axis].symbol)
			return qeff_error_set(err, -EINVAL,
					      "cannot take every %lldth of axis %d of input 0",
					      (long long)step, axis);
		size = result->shape.dims[axis].size;
		begin = lists[0][i] < 0 ? lists[0][i] + size : lists[0][i];
		end = lists[1][i] < 0 ? lists[1][i] + size : lists[1][i];
		end = end > size ? size : end;
		if (begin < 0 || begin >= end)
			return qeff_error_set(err, -EINVAL, "takes nothing of axis %d of input 0",
					      axis);
		result->shape.dims[axis] = qeff_dim_of((end - begin - 1) / step + 1);
	}
	return ret;
}

int infer_concat(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	int axis = infer_normal_axis(qeff_node_int(node, "axis", 0), infer_shape_of(node, 0)->rank);
	uint64_t sum = 0;

	infer_same_as(node, 0, result);
	if (axis < 0)
		return qeff_error_set(err, -EINVAL,
				      "attribute \"axis\" is none of the %u of input 0",
				      result->shape.rank);
	for (uint32_t i = 0; i < node->num_inputs; i++) {
		const struct qeff_value *input = qeff_node_input(node, i);
		bool fits = input && input->type == result->type &&
			    input->shape.rank == result->shape.rank &&
			    !input->shape.dims[axis].symbol;

		for (uint32_t d = 0; fits && d < result->shape.rank; d++)
			fits = (int)d == axis ||
			       qeff_dim_equal(&input->shape.dims[d], &result->shape.dims[d]);
		if (!input || !fits)
			return qeff_error_set(err, -EINVAL, "input %u does not fit input 0", i);
		sum += (uint64_t)input->shape.dims[axis].size;
		if (sum > INT64_MAX)
			return qeff_error_set(err, -EOVERFLOW, "the output is too large");
	}
	result->shape.dims[axis] = qeff_dim_of((int64_t)sum);
	return 0;
}

/* LayerNormalization over the last axis, and RMSNorm: vectors as long as that axis. */
int infer_norm(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (ret)
		return ret;
	if (!x->rank)
		return infer_wrong(node, 0, "at least one dimension", err);
	if (infer_normal_axis(qeff_node_int(node, "axis", -1), x->rank) != (int)x->rank - 1)
		return qeff_error_set(err, -ENOTSUP,
				      "attribute \"axis\" is %lld, expected the last one",
				      (long long)qeff_node_int(node, "axis", -1));
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (infer_need_float(node, i, 1, NULL, NULL) ||
		    !qeff_dim_equal(&infer_shape_of(node, i)->dims[0], &x->dims[x->rank - 1]))
			return infer_wrong(node, i, "a vector as long as the last axis of input 0",
					   err);
	infer_same_as(node, 0, result);
	return 0;
}
