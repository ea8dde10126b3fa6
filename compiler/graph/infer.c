/* SPDX-License-Identifier: MIT */
/*
 * What operators make of shapes.
 *
 * Dimensions are compared as they stand: two symbols are equal when their names are, a symbol never
 * equals a number. Messages name the input and its shape; the caller adds the node.
 */
#include "graph/infer.h"

#include "util/checked.h"

#include <string.h>

#define TEXT 160

static const struct qeff_graph_shape *shape_of(const struct qeff_node *node, uint32_t input)
{
	return &node->inputs[input]->shape;
}

static bool is_float(enum qeff_graph_type type)
{
	return type == QEFF_GRAPH_F32 || type == QEFF_GRAPH_F16 || type == QEFF_GRAPH_BF16 ||
	       type == QEFF_GRAPH_F64;
}

/* "input 1 is f32[4, 4], expected ..." */
static int wrong(const struct qeff_node *node, uint32_t input, const char *expected,
		 struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];
	char text[TEXT];

	return qeff_error_set(err, -EINVAL, "input %u, \"%s\", is %s%s, expected %s", input,
			      value->name, qeff_graph_type_name(value->type),
			      qeff_graph_shape_text(&value->shape, text, sizeof(text)), expected);
}

static int need_float(const struct qeff_node *node, uint32_t input, uint32_t rank,
		      const char *expected, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!is_float(value->type) || value->type != node->inputs[0]->type ||
	    (rank && value->shape.rank != rank))
		return wrong(node, input, expected, err);
	return 0;
}

/* An i64 input of rank 2 whose first dimension is @batch. */
static int need_ids(const struct qeff_node *node, uint32_t input, const struct qeff_dim *batch,
		    const char *expected, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (value->type != QEFF_GRAPH_I64 || value->shape.rank != 2 ||
	    !qeff_dim_equal(&value->shape.dims[0], batch))
		return wrong(node, input, expected, err);
	return 0;
}

static void same_as(const struct qeff_node *node, uint32_t input, struct qeff_op_result *result)
{
	result->type = node->inputs[input]->type;
	result->shape = node->inputs[input]->shape;
}

/* The numbers of an i64 initialiser with one dimension. */
static int constant_ints(const struct qeff_node *node, uint32_t input, const int64_t **numbers,
			 uint32_t *count, struct qeff_error *err)
{
	const struct qeff_value *value = node->inputs[input];

	if (!value->is_initialiser || value->type != QEFF_GRAPH_I64 ||
	    value->stored_type != QEFF_GRAPH_I64 || value->shape.rank != 1 ||
	    value->shape.dims[0].size > QEFF_GRAPH_MAX_RANK)
		return wrong(node, input, "a constant list of at most 8 i64", err);
	*numbers = value->data;
	*count = (uint32_t)value->shape.dims[0].size;
	return 0;
}

/* An axis counted from either end; -1 if it is none of @rank. */
static int normal_axis(int64_t axis, uint32_t rank)
{
	if (axis < 0)
		axis += rank;
	return axis >= 0 && axis < rank ? (int)axis : -1;
}

int infer_float_unary(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	int ret = need_float(node, 0, 0, "floats", err);

	same_as(node, 0, result);
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
	const struct qeff_graph_shape *a = shape_of(node, 0), *b = shape_of(node, 1);
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
	const struct qeff_graph_shape *a = shape_of(node, 0), *b = shape_of(node, 1);
	char text[TEXT];
	int ret = need_float(node, 0, 0, "floats", err);

	if (ret)
		return ret;
	if (a->rank < 2)
		return wrong(node, 0, "at least 2 dimensions", err);
	result->type = node->inputs[0]->type;
	if (node->inputs[1]->type != result->type || b->rank < 2 ||
	    !qeff_dim_equal(&a->dims[a->rank - 1], &b->dims[b->rank - 2]) ||
	    !broadcast(a->dims, a->rank - 2, b->dims, b->rank - 2, &result->shape)) {
		qeff_graph_shape_text(a, text, sizeof(text));
		ret = wrong(node, 1, "a matrix", err);
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
	const struct qeff_graph_shape *x = shape_of(node, 0);
	bool reduced[QEFF_GRAPH_MAX_RANK] = { false };
	const int64_t *axes;
	uint32_t count;
	int ret = need_float(node, 0, 0, "floats", err);

	if (!ret)
		ret = constant_ints(node, 1, &axes, &count, err);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++) {
		int axis = normal_axis(axes[i], x->rank);

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
	const struct qeff_graph_shape *data = shape_of(node, 0), *indices = shape_of(node, 1);
	enum qeff_graph_type type = node->inputs[1]->type;
	int axis = normal_axis(qeff_node_int(node, "axis", 0), data->rank);
	struct qeff_graph_shape *out = &result->shape;

	if (axis < 0)
		return qeff_error_set(err, -EINVAL,
				      "attribute \"axis\" is none of the %u of input 0",
				      data->rank);
	if (type != QEFF_GRAPH_I64 && type != QEFF_GRAPH_I32)
		return wrong(node, 1, "integers", err);
	if (data->rank + indices->rank - 1 > QEFF_GRAPH_MAX_RANK)
		return wrong(node, 1, "fewer dimensions", err);
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
	const struct qeff_graph_shape *x = shape_of(node, 0);
	uint32_t seen = 0;

	if (perm->count != x->rank)
		return wrong(node, 0, "as many dimensions as \"perm\" has", err);
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
	const struct qeff_graph_shape *x = shape_of(node, 0);
	struct qeff_graph_shape *out = &result->shape;
	uint64_t left = 1, given = 1;
	const struct qeff_dim *symbol = NULL;
	const int64_t *target;
	uint32_t count;
	int rest = -1, ret;

	ret = constant_ints(node, 1, &target, &count, err);
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
			return wrong(node, 0, "at most one symbol among what is reshaped", err);
		if (x->dims[i].symbol)
			symbol = &x->dims[i];
		else if (!qeff_mul_u64(left, (uint64_t)x->dims[i].size, &left))
			return wrong(node, 0, "fewer elements", err);
	}
	if (rest < 0 ? symbol || left != given : left % given || (symbol && left != given))
		return wrong(node, 0, "as many elements as the target shape has", err);
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
		ret = constant_ints(node, i + 1, &lists[i], &n, err);
		if (!ret && i && n != count)
			ret = wrong(node, i + 1, "as many numbers as input 1 has", err);
		count = n;
	}
	same_as(node, 0, result);
	for (uint32_t i = 0; i < count && !ret; i++) {
		int axis = normal_axis(lists[2] ? lists[2][i] : i, result->shape.rank);
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
	int axis = normal_axis(qeff_node_int(node, "axis", 0), shape_of(node, 0)->rank);
	uint64_t sum = 0;

	same_as(node, 0, result);
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

/* scores [.., experts] -> numbers of top_k of them, and their weights */
int infer_route(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t chosen = qeff_node_int(node, "top_k", 0);
	struct qeff_dim *last;
	int ret = need_float(node, 0, 0, "floats", err);

	same_as(node, 0, result);
	if (ret || !result->shape.rank)
		return wrong(node, 0, "floats [.., experts]", err);
	last = &result->shape.dims[result->shape.rank - 1];
	if (last->symbol || chosen < 1 || chosen > last->size)
		return qeff_error_set(err, -EINVAL, "attribute \"top_k\" is %lld of %lld experts",
				      (long long)chosen, (long long)last->size);
	*last = qeff_dim_of(2 * chosen);
	return 0;
}

/* x, routes [.., 2 chosen], weights [experts * outputs, inputs], biases [experts, outputs] */
int infer_experts(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err)
{
	const struct qeff_graph_shape *x = shape_of(node, 0), *routes = shape_of(node, 1);
	const struct qeff_graph_shape *w = shape_of(node, 2);
	int64_t experts = qeff_node_int(node, "experts", 0), chosen, wide;
	bool shared = qeff_node_int(node, "shared", 0);
	int ret = need_float(node, 0, 0, "floats", err);

	if (!ret)
		ret = need_float(node, 2, 2, "floats [experts * outputs, inputs]", err);
	if (!ret && (need_float(node, 1, x->rank, NULL, NULL) || !x->rank ||
		     routes->dims[x->rank - 1].symbol || routes->dims[x->rank - 1].size % 2))
		ret = wrong(node, 1, "floats [.., 2 * chosen] that fit input 0", err);
	if (ret)
		return ret;
	chosen = routes->dims[x->rank - 1].size / 2;
	wide = x->dims[x->rank - 1].size / (shared ? 1 : chosen);
	if (experts < 1 || w->dims[0].symbol || w->dims[0].size % experts ||
	    w->dims[1].size != wide)
		return wrong(node, 2, "floats [experts * outputs, inputs] that fit input 0", err);
	if (qeff_node_input(node, 3) &&
	    (need_float(node, 3, 2, NULL, NULL) || shape_of(node, 3)->dims[0].size != experts ||
	     shape_of(node, 3)->dims[1].size != w->dims[0].size / experts))
		return wrong(node, 3, "floats [experts, outputs]", err);
	same_as(node, 0, result);
	result->shape.dims[x->rank - 1] = qeff_dim_of(w->dims[0].size / experts * chosen);
	return 0;
}

/* y [.., chosen * width], routes [.., 2 chosen] -> [.., width] */
int infer_mix(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *y = shape_of(node, 0), *routes = shape_of(node, 1);
	int64_t chosen;
	int ret = need_float(node, 0, 0, "floats", err);

	if (!ret && (!y->rank || routes->rank != y->rank || y->dims[y->rank - 1].symbol ||
		     routes->dims[y->rank - 1].size < 2))
		ret = wrong(node, 1, "floats [.., 2 * chosen] that fit input 0", err);
	if (ret)
		return ret;
	chosen = routes->dims[y->rank - 1].size / 2;
	if (y->dims[y->rank - 1].size % chosen)
		return wrong(node, 0, "floats [.., chosen * width]", err);
	same_as(node, 0, result);
	result->shape.dims[y->rank - 1] = qeff_dim_of(y->dims[y->rank - 1].size / chosen);
	return 0;
}

/* LayerNormalization over the last axis, and RMSNorm: vectors as long as that axis. */
int infer_norm(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = shape_of(node, 0);
	int ret = need_float(node, 0, 0, "floats", err);

	if (ret)
		return ret;
	if (!x->rank)
		return wrong(node, 0, "at least one dimension", err);
	if (normal_axis(qeff_node_int(node, "axis", -1), x->rank) != (int)x->rank - 1)
		return qeff_error_set(err, -ENOTSUP,
				      "attribute \"axis\" is %lld, expected the last one",
				      (long long)qeff_node_int(node, "axis", -1));
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (need_float(node, i, 1, NULL, NULL) ||
		    !qeff_dim_equal(&shape_of(node, i)->dims[0], &x->dims[x->rank - 1]))
			return wrong(node, i, "a vector as long as the last axis of input 0", err);
	same_as(node, 0, result);
	return 0;
}

int infer_l2_normalize(const struct qeff_node *node, struct qeff_op_result *result,
		       struct qeff_error *err)
{
	if (!shape_of(node, 0)->rank)
		return wrong(node, 0, "at least one dimension", err);
	return infer_float_unary(node, result, err);
}

int infer_mask_to_positions(const struct qeff_node *node, struct qeff_op_result *result,
			    struct qeff_error *err)
{
	same_as(node, 0, result);
	return need_ids(node, 0, &shape_of(node, 0)->dims[0], "i64[batch, seq]", err);
}

int infer_rotary(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_graph_shape *x = shape_of(node, 0), *ids = shape_of(node, 1);
	int64_t rotary = qeff_node_int(node, "rotary_dim", 0);
	int ret = need_float(node, 0, 4, "floats [batch, heads, seq, dim]", err);

	if (!ret)
		ret = need_ids(node, 1, &x->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&ids->dims[1], &x->dims[2]))
		ret = wrong(node, 1, "i64[batch, seq] of input 0", err);
	if (!ret && (rotary < 2 || rotary % 2 || x->dims[3].symbol || rotary > x->dims[3].size))
		ret = qeff_error_set(
			err, -EINVAL,
			"attribute \"rotary_dim\" is %lld, expected an even part of the %lld "
			"dimensions of a head",
			(long long)rotary, (long long)x->dims[3].size);
	for (uint32_t i = 2; i < 4 && !ret; i++) {
		ret = need_float(node, i, 2, "floats [positions, rotary_dim / 2]", err);
		if (!ret &&
		    (shape_of(node, i)->dims[1].size != rotary / 2 ||
		     !qeff_dim_equal(&shape_of(node, i)->dims[0], &shape_of(node, 2)->dims[0])))
			ret = wrong(node, i, "floats [positions, rotary_dim / 2]", err);
	}
	same_as(node, 0, result);
	return ret;
}

/* Queries, keys, values and the positions of both. */
static int infer_attended(const struct qeff_node *node, struct qeff_op_result *result,
			  struct qeff_error *err)
{
	static const char expected[] = "floats [batch, heads, seq, dim] that fit input 0";
	const struct qeff_graph_shape *q = shape_of(node, 0), *k = shape_of(node, 1);
	const struct qeff_graph_shape *v = shape_of(node, 2);
	int ret = 0;

	for (uint32_t i = 0; i < 3 && !ret; i++)
		ret = need_float(node, i, 4, expected, err);
	if (ret)
		return ret;
	if (!qeff_dim_equal(&k->dims[0], &q->dims[0]) ||
	    !qeff_dim_equal(&k->dims[3], &q->dims[3]) || k->dims[1].symbol || q->dims[1].symbol ||
	    q->dims[1].size % k->dims[1].size)
		return wrong(node, 1, expected, err);
	for (uint32_t i = 0; i < 3; i++)
		if (!qeff_dim_equal(&v->dims[i], &k->dims[i]))
			return wrong(node, 2, "as input 1", err);
	ret = need_ids(node, 3, &q->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&shape_of(node, 3)->dims[1], &q->dims[2]))
		ret = wrong(node, 3, "i64[batch, seq] of input 0", err);
	if (!ret && qeff_node_input(node, 4)) {
		ret = need_ids(node, 4, &q->dims[0], "i64[batch, seq] of input 1", err);
		if (!ret && !qeff_dim_equal(&shape_of(node, 4)->dims[1], &k->dims[2]))
			ret = wrong(node, 4, "i64[batch, seq] of input 1", err);
	}
	same_as(node, 0, result);
	result->shape.dims[3] = v->dims[3];
	return ret;
}

int infer_attention(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	int ret = infer_attended(node, result, err);

	if (!ret && qeff_node_input(node, 5)) {
		ret = need_float(node, 5, 2, "floats [heads, distances]", err);
		if (!ret &&
		    !qeff_dim_equal(&shape_of(node, 5)->dims[0], &shape_of(node, 0)->dims[1]))
			ret = wrong(node, 5, "floats [heads, distances]", err);
	}
	if (!ret && qeff_node_input(node, 6)) {
		ret = need_float(node, 6, 1, "floats [heads]", err);
		if (!ret &&
		    !qeff_dim_equal(&shape_of(node, 6)->dims[0], &shape_of(node, 0)->dims[1]))
			ret = wrong(node, 6, "floats [heads]", err);
	}
	return ret;
}

/* Queries of relative keys and the like: [rows, heads * dim]. */
int infer_disentangled_attention(const struct qeff_node *node, struct qeff_op_result *result,
				 struct qeff_error *err)
{
	const struct qeff_graph_shape *q = shape_of(node, 0);
	int ret = infer_attended(node, result, err);
	int64_t rows = 0;

	if (!ret && !qeff_dim_equal(&shape_of(node, 1)->dims[1], &q->dims[1]))
		ret = wrong(node, 1, "as many heads as input 0", err);
	if (!ret)
		ret = need_float(node, 5, 1, "floats [distances]", err);
	for (uint32_t i = 6; i < 8 && !ret; i++) {
		if (!qeff_node_input(node, i))
			continue;
		ret = need_float(node, i, 2, "floats [rows, heads * dim]", err);
		if (!ret && (shape_of(node, i)->dims[1].size != q->dims[1].size * q->dims[3].size ||
			     (rows && shape_of(node, i)->dims[0].size != rows)))
			ret = wrong(node, i, "floats [rows, heads * dim]", err);
		rows = shape_of(node, i)->dims[0].size;
	}
	if (!ret && !rows)
		ret = qeff_error_set(err, -EINVAL, "has neither relative keys nor queries");
	return ret;
}

static int need_batch_index(const struct qeff_node *node, uint32_t input,
			    const struct qeff_dim *batch, struct qeff_error *err)
{
	const struct qeff_value *index = qeff_node_input(node, input);

	if (!index)
		return 0;
	if (index->shape.rank != 2 || index->shape.dims[1].size != 1)
		return wrong(node, input, "i64[batch, 1]", err);
	return need_ids(node, input, batch, "i64[batch, 1]", err);
}

int infer_ctx_scatter(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	const struct qeff_graph_shape *cache = shape_of(node, 0), *update = shape_of(node, 2);
	int ret = need_float(node, 0, 4, "floats [slots, heads, ctx, dim]", err);

	if (!ret)
		ret = need_float(node, 2, 4, "floats [batch, heads, seq, dim]", err);
	if (!ret && (!qeff_dim_equal(&update->dims[1], &cache->dims[1]) ||
		     !qeff_dim_equal(&update->dims[3], &cache->dims[3])))
		ret = wrong(node, 2, "heads and dim of input 0", err);
	if (!ret)
		ret = need_ids(node, 1, &update->dims[0], "i64[batch, seq] of input 2", err);
	if (!ret && !qeff_dim_equal(&shape_of(node, 1)->dims[1], &update->dims[2]))
		ret = wrong(node, 1, "i64[batch, seq] of input 2", err);
	if (!ret)
		ret = need_batch_index(node, 3, &update->dims[0], err);
	if (!ret && !qeff_node_input(node, 3) && !qeff_dim_equal(&update->dims[0], &cache->dims[0]))
		ret = wrong(node, 2, "the batch of input 0, as there is no batch_index", err);
	same_as(node, 0, result);
	return ret;
}

int infer_ctx_gather(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_value *index = qeff_node_input(node, 1);
	const struct qeff_value *length = qeff_node_input(node, 2);
	int ret = need_float(node, 0, 4, "floats [slots, heads, ctx, dim]", err);

	same_as(node, 0, result);
	if (!ret && length && (length->type != QEFF_GRAPH_I8 || length->shape.rank != 1))
		ret = wrong(node, 2, "i8[length]", err);
	if (!ret && length)
		result->shape.dims[2] = length->shape.dims[0];
	if (ret || !index)
		return ret;
	ret = need_batch_index(node, 1, &index->shape.dims[0], err);
	result->shape.dims[0] = index->shape.dims[0];
	return ret;
}

/* x [batch, seq, width] and the positions of its rows. */
static int need_rows(const struct qeff_node *node, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = shape_of(node, 0);
	int ret = need_float(node, 0, 3, "floats [batch, seq, width]", err);

	if (!ret)
		ret = need_ids(node, 1, &x->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&shape_of(node, 1)->dims[1], &x->dims[1]))
		ret = wrong(node, 1, "i64[batch, seq] of input 0", err);
	return ret;
}

int infer_last_token(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	int ret = need_rows(node, err);

	same_as(node, 0, result);
	result->shape.dims[1] = qeff_dim_of(1);
	return ret;
}

int infer_last_tokens(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	const struct qeff_value *keep = qeff_node_input(node, 2);
	int ret = need_rows(node, err);

	same_as(node, 0, result);
	if (!ret && (keep->type != QEFF_GRAPH_I64 || keep->shape.rank != 2))
		ret = wrong(node, 2, "i64[rows, 1]", err);
	if (!ret)
		result->shape.dims[1] = keep->shape.dims[0];
	return ret;
}

int infer_pool(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	static const char *const modes[] = { "mean", "cls", "max", "last" };
	const char *mode = qeff_node_string(node, "mode", "");
	int ret = need_rows(node, err);
	bool known = false;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		known = known || !strcmp(mode, modes[i]);
	if (!ret && !known)
		ret = qeff_error_set(
			err, -ENOTSUP,
			"attribute \"mode\" is \"%s\", expected mean, cls, max or last", mode);
	same_as(node, 0, result);
	result->shape.rank = 2;
	result->shape.dims[1] = result->shape.dims[2];
	return ret;
}
