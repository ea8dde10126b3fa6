/* SPDX-License-Identifier: MIT */
/*
 * What ONNX's operators make of shapes.
 *
 * Dimensions are compared as they stand: two symbols are equal when their names are, a symbol never
 * equals a number.
 */
#include "graph/forms.h"
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

int infer_arithmetic(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_graph_shape *a = infer_shape_of(node, 0), *b = infer_shape_of(node, 1);
	char text[TEXT];

	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type != result->type || !infer_broadcast(a, b, &result->shape))
		return qeff_error_set(err, -EINVAL,
				      "input 1, \"%s\", does not fit input 0, \"%s\", %s%s",
				      node->inputs[1]->name, node->inputs[0]->name,
				      qeff_graph_type_name(result->type),
				      qeff_graph_shape_text(a, text, sizeof(text)));
	return 0;
}

bool infer_product(const struct qeff_graph_shape *a, const struct qeff_graph_shape *b,
		   struct qeff_graph_shape *out)
{
	struct qeff_graph_shape left = *a, right = *b;

	if (!a->rank || !b->rank ||
	    !qeff_dim_equal(&a->dims[a->rank - 1], &b->dims[b->rank > 1 ? b->rank - 2 : 0]))
		return false;
	left.rank = a->rank > 2 ? a->rank - 2 : 0;
	right.rank = b->rank > 2 ? b->rank - 2 : 0;
	if (!infer_broadcast(&left, &right, out))
		return false;
	if (a->rank > 1)
		out->dims[out->rank++] = a->dims[a->rank - 2];
	if (b->rank > 1)
		out->dims[out->rank++] = b->dims[b->rank - 1];
	return true;
}

int infer_matmul(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	char text[TEXT];
	int ret;

	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type == result->type &&
	    infer_product(infer_shape_of(node, 0), infer_shape_of(node, 1), &result->shape))
		return 0;
	qeff_graph_shape_text(infer_shape_of(node, 0), text, sizeof(text));
	ret = infer_wrong(node, 1, "a matrix", err);
	return qeff_error_prefix(err, ret, "does not fit input 0, %s", text);
}

void infer_reduced(const struct qeff_graph_shape *x, uint32_t axes, bool keep,
		   struct qeff_graph_shape *out)
{
	out->rank = 0;
	for (uint32_t i = 0; i < x->rank; i++)
		if (keep || !(axes >> i & 1))
			out->dims[out->rank++] = axes >> i & 1 ? qeff_dim_of(1) : x->dims[i];
}

int infer_reduce(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	bool none_is_all = !qeff_node_int(node, "noop_with_empty_axes", 0);
	uint32_t axes;
	int ret = infer_axes(node, 1, x->rank, none_is_all ? (1u << x->rank) - 1 : 0, &axes, err);

	result->type = node->inputs[0]->type;
	infer_reduced(x, axes, qeff_node_int(node, "keepdims", 1), &result->shape);
	return ret;
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

	if (perm && perm->count != x->rank)
		return infer_wrong(node, 0, "as many dimensions as \"perm\" has", err);
	result->type = node->inputs[0]->type;
	result->shape.rank = x->rank;
	for (uint32_t i = 0; i < x->rank; i++) {
		int64_t from = perm ? perm->ints[i] : x->rank - 1 - i;

		if (from < 0 || from >= x->rank || seen & 1u << from)
			return qeff_error_set(err, -EINVAL, "attribute \"perm\" is no permutation");
		seen |= 1u << from;
		result->shape.dims[i] = x->dims[from];
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
	bool copies = !qeff_node_int(node, "allowzero", 0);
	int64_t target[QEFF_GRAPH_MAX_RANK];
	uint32_t count;
	int rest = -1, ret;

	ret = infer_ints(node, 1, target, QEFF_GRAPH_MAX_RANK, &count, err);
	if (ret)
		return ret;
	result->type = node->inputs[0]->type;
	out->rank = count;
	for (uint32_t i = 0; i < count; i++) {
		out->dims[i] = qeff_dim_of(target[i]);
		if (target[i] == -1 && rest < 0)
			rest = (int)i;
		else if (copies && i < x->rank && target[i] == 0)
			out->dims[i] = x->dims[i];
		else if (target[i] < copies || !qeff_mul_u64(given, (uint64_t)target[i], &given))
			return qeff_error_set(err, -EINVAL, "cannot make dimension %u of %lld", i,
					      (long long)target[i]);
	}
	for (uint32_t i = 0; i < x->rank; i++) {
		if (copies && i < count && target[i] == 0)
			continue;
		if (x->dims[i].symbol && symbol)
			return infer_wrong(node, 0, "at most one symbol among what is reshaped",
					   err);
		if (x->dims[i].symbol)
			symbol = &x->dims[i];
		else if (!qeff_mul_u64(left, (uint64_t)x->dims[i].size, &left))
			return infer_wrong(node, 0, "fewer elements", err);
	}
	if (rest < 0 ? symbol || left != given
		     : !given || left % given || (symbol && left != given))
		return infer_wrong(node, 0, "as many elements as the target shape has", err);
	if (rest >= 0)
		out->dims[rest] = symbol ? *symbol : qeff_dim_of((int64_t)(left / given));
	return 0;
}

int qeff_op_slice(const struct qeff_node *node, int64_t *begin, int64_t *step,
		  struct qeff_graph_shape *shape, struct qeff_error *err)
{
	int64_t lists[4][QEFF_GRAPH_MAX_RANK]; /* starts, ends, axes, steps */
	uint32_t count = 0, n;
	int ret = 0;

	for (uint32_t i = 0; i < 4 && !ret; i++) {
		if (!qeff_node_input(node, i + 1))
			continue;
		ret = infer_ints(node, i + 1, lists[i], QEFF_GRAPH_MAX_RANK, &n, err);
		if (!ret && i && n != count)
			ret = infer_wrong(node, i + 1, "as many numbers as input 1 has", err);
		count = n;
	}
	*shape = *infer_shape_of(node, 0);
	for (uint32_t i = 0; i < QEFF_GRAPH_MAX_RANK; i++) {
		begin[i] = 0;
		step[i] = 1;
	}
	for (uint32_t i = 0; i < count && !ret; i++) {
		int axis =
			infer_normal_axis(qeff_node_input(node, 3) ? lists[2][i] : i, shape->rank);
		int64_t by = qeff_node_input(node, 4) ? lists[3][i] : 1;
		int64_t size, from = lists[0][i], to = lists[1][i], least, most;

		if (axis < 0 || !by || by < -INT32_MAX || shape->dims[axis].symbol)
			return qeff_error_set(err, -EINVAL,
					      "cannot take every %lldth of axis %d of input 0",
					      (long long)by, axis);
		/* backwards, one before the first is an end, and the last a beginning */
		size = shape->dims[axis].size;
		least = by < 0 ? -1 : 0;
		most = by < 0 ? size - 1 : size;
		from += from < 0 ? size : 0;
		to += to < 0 ? size : 0;
		from = from < 0 ? 0 : from > most ? most : from;
		to = to < least ? least : to > most ? most : to;
		if (by < 0 ? to >= from : from >= to)
			shape->dims[axis] = qeff_dim_of(0);
		else
			shape->dims[axis] = qeff_dim_of(by < 0 ? (from - to + (-by) - 1) / -by
							       : (to - from - 1) / by + 1);
		begin[axis] = from;
		step[axis] = by;
	}
	return ret;
}

int infer_slice(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t begin[QEFF_GRAPH_MAX_RANK], step[QEFF_GRAPH_MAX_RANK];

	result->type = node->inputs[0]->type;
	return qeff_op_slice(node, begin, step, &result->shape, err);
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

/* RMSNorm: a vector as long as the last axis. */
int infer_norm(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (ret)
		return ret;
	if (!x->rank)
		return infer_wrong(node, 0, "at least one dimension", err);
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (infer_need_float(node, i, 1, NULL, NULL) ||
		    !qeff_dim_equal(&infer_shape_of(node, i)->dims[0], &x->dims[x->rank - 1]))
			return infer_wrong(node, i, "a vector as long as the last axis of input 0",
					   err);
	infer_same_as(node, 0, result);
	return 0;
}

/* Scale and bias broadcast to x; mean and the inverse deviation are those of the axes from "axis"
 * on. */
int infer_layer_norm(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int axis, ret = infer_axis(node, "axis", -1, &axis, err);

	if (ret)
		return ret;
	infer_same_as(node, 0, result);
	for (uint32_t i = 1; i < node->num_inputs; i++) {
		struct qeff_graph_shape wide;
		bool fits = !infer_need_float(node, i, 0, NULL, NULL) &&
			    infer_broadcast(x, infer_shape_of(node, i), &wide) &&
			    wide.rank == x->rank;

		for (uint32_t d = 0; fits && d < x->rank; d++)
			fits = qeff_dim_equal(&wide.dims[d], &x->dims[d]);
		if (!fits)
			return infer_wrong(node, i, "a shape that fits the last axes of input 0",
					   err);
	}
	for (uint32_t i = 1; i < node->num_outputs; i++) {
		result[i].type = QEFF_GRAPH_F32;
		infer_reduced(x, ((1u << x->rank) - 1) & ~((1u << axis) - 1), true,
			      &result[i].shape);
	}
	return 0;
}
