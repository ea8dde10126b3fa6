/* SPDX-License-Identifier: MIT */
/* What the operators of the qeff domain make of shapes. */
#include "graph/infer_check.h"

#include <string.h>

int infer_l2_normalize(const struct qeff_node *node, struct qeff_op_result *result,
		       struct qeff_error *err)
{
	if (!infer_shape_of(node, 0)->rank)
		return infer_wrong(node, 0, "at least one dimension", err);
	return infer_float_unary(node, result, err);
}

int infer_mask_to_positions(const struct qeff_node *node, struct qeff_op_result *result,
			    struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	return infer_need_ids(node, 0, &infer_shape_of(node, 0)->dims[0], "i64[batch, seq]", err);
}

int infer_rotary(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *ids = infer_shape_of(node, 1);
	int64_t rotary = qeff_node_int(node, "rotary_dim", 0);
	int ret = infer_need_float(node, 0, 4, "floats [batch, heads, seq, dim]", err);

	if (!ret)
		ret = infer_need_ids(node, 1, &x->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&ids->dims[1], &x->dims[2]))
		ret = infer_wrong(node, 1, "i64[batch, seq] of input 0", err);
	if (!ret && (rotary < 2 || rotary % 2 || x->dims[3].symbol || rotary > x->dims[3].size))
		ret = qeff_error_set(
			err, -EINVAL,
			"attribute \"rotary_dim\" is %lld, expected an even part of the %lld "
			"dimensions of a head",
			(long long)rotary, (long long)x->dims[3].size);
	for (uint32_t i = 2; i < 4 && !ret; i++) {
		ret = infer_need_float(node, i, 2, "floats [positions, rotary_dim / 2]", err);
		if (!ret && (infer_shape_of(node, i)->dims[1].size != rotary / 2 ||
			     !qeff_dim_equal(&infer_shape_of(node, i)->dims[0],
					     &infer_shape_of(node, 2)->dims[0])))
			ret = infer_wrong(node, i, "floats [positions, rotary_dim / 2]", err);
	}
	infer_same_as(node, 0, result);
	return ret;
}

/* Queries, keys, values and the positions of both. */
static int infer_attended(const struct qeff_node *node, struct qeff_op_result *result,
			  struct qeff_error *err)
{
	static const char expected[] = "floats [batch, heads, seq, dim] that fit input 0";
	const struct qeff_graph_shape *q = infer_shape_of(node, 0), *k = infer_shape_of(node, 1);
	const struct qeff_graph_shape *v = infer_shape_of(node, 2);
	int ret = 0;

	for (uint32_t i = 0; i < 3 && !ret; i++)
		ret = infer_need_float(node, i, 4, expected, err);
	if (ret)
		return ret;
	if (!qeff_dim_equal(&k->dims[0], &q->dims[0]) ||
	    !qeff_dim_equal(&k->dims[3], &q->dims[3]) || k->dims[1].symbol || q->dims[1].symbol ||
	    q->dims[1].size % k->dims[1].size)
		return infer_wrong(node, 1, expected, err);
	for (uint32_t i = 0; i < 3; i++)
		if (!qeff_dim_equal(&v->dims[i], &k->dims[i]))
			return infer_wrong(node, 2, "as input 1", err);
	ret = infer_need_ids(node, 3, &q->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&infer_shape_of(node, 3)->dims[1], &q->dims[2]))
		ret = infer_wrong(node, 3, "i64[batch, seq] of input 0", err);
	if (!ret && qeff_node_input(node, 4)) {
		ret = infer_need_ids(node, 4, &q->dims[0], "i64[batch, seq] of input 1", err);
		if (!ret && !qeff_dim_equal(&infer_shape_of(node, 4)->dims[1], &k->dims[2]))
			ret = infer_wrong(node, 4, "i64[batch, seq] of input 1", err);
	}
	infer_same_as(node, 0, result);
	result->shape.dims[3] = v->dims[3];
	return ret;
}

int infer_attention(const struct qeff_node *node, struct qeff_op_result *result,
		    struct qeff_error *err)
{
	int ret = infer_attended(node, result, err);

	if (!ret && qeff_node_input(node, 5)) {
		ret = infer_need_float(node, 5, 2, "floats [heads, distances]", err);
		if (!ret && !qeff_dim_equal(&infer_shape_of(node, 5)->dims[0],
					    &infer_shape_of(node, 0)->dims[1]))
			ret = infer_wrong(node, 5, "floats [heads, distances]", err);
	}
	if (!ret && qeff_node_input(node, 6)) {
		ret = infer_need_float(node, 6, 1, "floats [heads]", err);
		if (!ret && !qeff_dim_equal(&infer_shape_of(node, 6)->dims[0],
					    &infer_shape_of(node, 0)->dims[1]))
			ret = infer_wrong(node, 6, "floats [heads]", err);
	}
	return ret;
}

/* Queries of relative keys and the like: [rows, heads * dim]. */
int infer_disentangled_attention(const struct qeff_node *node, struct qeff_op_result *result,
				 struct qeff_error *err)
{
	const struct qeff_graph_shape *q = infer_shape_of(node, 0);
	int ret = infer_attended(node, result, err);
	int64_t rows = 0;

	if (!ret && !qeff_dim_equal(&infer_shape_of(node, 1)->dims[1], &q->dims[1]))
		ret = infer_wrong(node, 1, "as many heads as input 0", err);
	if (!ret)
		ret = infer_need_float(node, 5, 1, "floats [distances]", err);
	for (uint32_t i = 6; i < 8 && !ret; i++) {
		if (!qeff_node_input(node, i))
			continue;
		ret = infer_need_float(node, i, 2, "floats [rows, heads * dim]", err);
		if (!ret &&
		    (infer_shape_of(node, i)->dims[1].size != q->dims[1].size * q->dims[3].size ||
		     (rows && infer_shape_of(node, i)->dims[0].size != rows)))
			ret = infer_wrong(node, i, "floats [rows, heads * dim]", err);
		rows = infer_shape_of(node, i)->dims[0].size;
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
		return infer_wrong(node, input, "i64[batch, 1]", err);
	return infer_need_ids(node, input, batch, "i64[batch, 1]", err);
}

int infer_ctx_scatter(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	const struct qeff_graph_shape *cache = infer_shape_of(node, 0),
				      *update = infer_shape_of(node, 2);
	int ret = infer_need_float(node, 0, 4, "floats [slots, heads, ctx, dim]", err);

	if (!ret)
		ret = infer_need_float(node, 2, 4, "floats [batch, heads, seq, dim]", err);
	if (!ret && (!qeff_dim_equal(&update->dims[1], &cache->dims[1]) ||
		     !qeff_dim_equal(&update->dims[3], &cache->dims[3])))
		ret = infer_wrong(node, 2, "heads and dim of input 0", err);
	if (!ret)
		ret = infer_need_ids(node, 1, &update->dims[0], "i64[batch, seq] of input 2", err);
	if (!ret && !qeff_dim_equal(&infer_shape_of(node, 1)->dims[1], &update->dims[2]))
		ret = infer_wrong(node, 1, "i64[batch, seq] of input 2", err);
	if (!ret)
		ret = need_batch_index(node, 3, &update->dims[0], err);
	if (!ret && !qeff_node_input(node, 3) && !qeff_dim_equal(&update->dims[0], &cache->dims[0]))
		ret = infer_wrong(node, 2, "the batch of input 0, as there is no batch_index", err);
	infer_same_as(node, 0, result);
	return ret;
}

int infer_ctx_gather(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_value *index = qeff_node_input(node, 1);
	const struct qeff_value *length = qeff_node_input(node, 2);
	int ret = infer_need_float(node, 0, 4, "floats [slots, heads, ctx, dim]", err);

	infer_same_as(node, 0, result);
	if (!ret && length && (length->type != QEFF_GRAPH_I8 || length->shape.rank != 1))
		ret = infer_wrong(node, 2, "i8[length]", err);
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
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = infer_need_float(node, 0, 3, "floats [batch, seq, width]", err);

	if (!ret)
		ret = infer_need_ids(node, 1, &x->dims[0], "i64[batch, seq] of input 0", err);
	if (!ret && !qeff_dim_equal(&infer_shape_of(node, 1)->dims[1], &x->dims[1]))
		ret = infer_wrong(node, 1, "i64[batch, seq] of input 0", err);
	return ret;
}

int infer_last_token(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	int ret = need_rows(node, err);

	infer_same_as(node, 0, result);
	result->shape.dims[1] = qeff_dim_of(1);
	return ret;
}

int infer_last_tokens(const struct qeff_node *node, struct qeff_op_result *result,
		      struct qeff_error *err)
{
	const struct qeff_value *keep = qeff_node_input(node, 2);
	int ret = need_rows(node, err);

	infer_same_as(node, 0, result);
	if (!ret && (keep->type != QEFF_GRAPH_I64 || keep->shape.rank != 2))
		ret = infer_wrong(node, 2, "i64[rows, 1]", err);
	if (!ret)
		result->shape.dims[1] = keep->shape.dims[0];
	return ret;
}

/* table [entries, width], ids [batch, 1], positions [batch, seq] -> [batch, seq, width] */
int infer_sequence_gather(const struct qeff_node *node, struct qeff_op_result *result,
			  struct qeff_error *err)
{
	const struct qeff_graph_shape *positions = infer_shape_of(node, 2);
	int ret = infer_need_float(node, 0, 2, "floats [entries, width]", err);

	if (!ret)
		ret = infer_need_ids(node, 2, &positions->dims[0], "i64[batch, seq]", err);
	if (!ret && !qeff_node_input(node, 1))
		ret = qeff_error_set(err, -EINVAL, "input 1 is missing");
	if (!ret)
		ret = need_batch_index(node, 1, &positions->dims[0], err);
	infer_same_as(node, 0, result);
	result->shape.rank = 3;
	result->shape.dims[2] = result->shape.dims[1];
	result->shape.dims[0] = positions->dims[0];
	result->shape.dims[1] = positions->dims[1];
	return ret;
}

/* flags [slots, vocabulary] of tokens, positions and ids [batch, seq], (batch_index [batch, 1]) */
int infer_mark(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_value *flags = qeff_node_input(node, 0);
	const struct qeff_graph_shape *positions = infer_shape_of(node, 1);
	int ret = 0;

	if (flags->type != QEFF_GRAPH_BOOL || flags->shape.rank != 2 || flags->shape.dims[1].symbol)
		return infer_wrong(node, 0, "bool[slots, vocabulary]", err);
	for (uint32_t i = 1; !ret && i < 3; i++) {
		ret = infer_need_ids(node, i, &positions->dims[0], "i64[batch, seq]", err);
		if (!ret && !qeff_dim_equal(&infer_shape_of(node, i)->dims[1], &positions->dims[1]))
			ret = infer_wrong(node, i, "i64[batch, seq] of input 1", err);
	}
	if (!ret)
		ret = need_batch_index(node, 3, &positions->dims[0], err);
	if (!ret && !qeff_node_input(node, 3) &&
	    !qeff_dim_equal(&positions->dims[0], &flags->shape.dims[0]))
		ret = infer_wrong(node, 1, "the batch of input 0, as there is no batch_index", err);
	infer_same_as(node, 0, result);
	return ret;
}

/* f32 [batch, 1] of the batch of input 0 */
static int need_numbers(const struct qeff_node *node, uint32_t input, struct qeff_error *err)
{
	const struct qeff_value *value = qeff_node_input(node, input);

	if (value->type != QEFF_GRAPH_F32 || value->shape.rank != 2 ||
	    value->shape.dims[1].size != 1 ||
	    !qeff_dim_equal(&value->shape.dims[0], &infer_shape_of(node, 0)->dims[0]))
		return infer_wrong(node, input, "f32[batch, 1] of input 0", err);
	return 0;
}

static int need_logits(const struct qeff_node *node, struct qeff_error *err)
{
	static const char expected[] = "floats [batch, 1, vocabulary]";
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = infer_need_float(node, 0, 3, expected, err);

	return !ret && (x->dims[1].size != 1 || x->dims[2].symbol)
		       ? infer_wrong(node, 0, expected, err)
		       : ret;
}

/* logits [batch, 1, vocabulary], two kinds of flags [slots, vocabulary], what each is worth [batch,
 * 1], (batch_index), (masks [batch, vocabulary]) */
int infer_penalise(const struct qeff_node *node, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = need_logits(node, err);

	for (uint32_t i = 1; !ret && i < 7; i += i == 2 ? 4 : 1) {
		const struct qeff_value *flags = qeff_node_input(node, i);

		if (flags && (flags->type != QEFF_GRAPH_BOOL || flags->shape.rank != 2 ||
			      !qeff_dim_equal(&flags->shape.dims[1], &x->dims[2]) ||
			      (i == 6 && !qeff_dim_equal(&flags->shape.dims[0], &x->dims[0]))))
			ret = infer_wrong(node, i,
					  i == 6 ? "bool[batch, vocabulary] of input 0"
						 : "bool[slots, vocabulary] of input 0",
					  err);
	}
	for (uint32_t i = 3; !ret && i < 5; i++)
		ret = need_numbers(node, i, err);
	if (!ret)
		ret = need_batch_index(node, 5, &x->dims[0], err);
	for (uint32_t i = 1; !ret && i < 3; i++)
		if (!qeff_node_input(node, 5) &&
		    !qeff_dim_equal(&infer_shape_of(node, i)->dims[0], &x->dims[0]))
			ret = infer_wrong(node, i,
					  "the batch of input 0, as there is no "
					  "batch_index",
					  err);
	infer_same_as(node, 0, result);
	return ret;
}

/* The wishes of a draw, inputs 1 to 4. */
static int need_wishes(const struct qeff_node *node, struct qeff_error *err)
{
	const struct qeff_value *top_ks = qeff_node_input(node, 2);
	int ret = need_logits(node, err);

	for (uint32_t i = 1; !ret && i < 5; i++)
		if (i != 2)
			ret = need_numbers(node, i, err);
	if (!ret && (top_ks->type != QEFF_GRAPH_I32 || top_ks->shape.rank != 2 ||
		     top_ks->shape.dims[1].size != 1 ||
		     !qeff_dim_equal(&top_ks->shape.dims[0], &infer_shape_of(node, 0)->dims[0])))
		ret = infer_wrong(node, 2, "i32[batch, 1] of input 0", err);
	return ret;
}

/* logits [batch, 1, vocabulary], then of each sequence what it wants: [batch, 1] temperatures,
 * top_ks, top_ps, min_ps, [batch, candidates] random numbers -> tokens [batch, 1, 1] */
int infer_sample(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	const struct qeff_value *random = qeff_node_input(node, 5);
	const struct qeff_graph_shape *x = infer_shape_of(node, 0);
	int ret = need_wishes(node, err);

	if (!ret && (random->type != QEFF_GRAPH_F32 || random->shape.rank != 2 ||
		     !qeff_dim_equal(&random->shape.dims[0], &x->dims[0]) ||
		     random->shape.dims[1].symbol || random->shape.dims[1].size > x->dims[2].size))
		ret = infer_wrong(node, 5, "f32[batch, candidates], at most the vocabulary", err);
	infer_same_as(node, 0, result);
	result->type = QEFF_GRAPH_I64;
	result->shape.dims[2] = qeff_dim_of(1);
	return ret;
}

/* The same without random numbers: what is drawn how often. */
int infer_probabilities(const struct qeff_node *node, struct qeff_op_result *result,
			struct qeff_error *err)
{
	int64_t candidates = qeff_node_int(node, "candidates", 0);
	int ret = need_wishes(node, err);

	infer_same_as(node, 0, result);
	if (!ret && (candidates < 1 || candidates > result->shape.dims[2].size))
		ret = qeff_error_set(err, -EINVAL,
				     "attribute \"candidates\" is %lld of %lld tokens",
				     (long long)candidates, (long long)result->shape.dims[2].size);
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
	infer_same_as(node, 0, result);
	result->shape.rank = 2;
	result->shape.dims[1] = result->shape.dims[2];
	return ret;
}

/* blocks u8 [.., n, 16], scales u8 [.., n] -> [.., 32 n] */
int infer_dequantize_mxfp4(const struct qeff_node *node, struct qeff_op_result *result,
			   struct qeff_error *err)
{
	const struct qeff_graph_shape *blocks = infer_shape_of(node, 0);
	const struct qeff_value *scales = node->inputs[1];
	uint32_t rank = scales->shape.rank;
	struct qeff_dim *last;

	if (node->inputs[0]->type != QEFF_GRAPH_U8 || blocks->rank < 2 ||
	    blocks->dims[blocks->rank - 1].size != 16)
		return infer_wrong(node, 0, "u8[.., blocks, 16]", err);
	if (scales->type != QEFF_GRAPH_U8 || rank != blocks->rank - 1)
		return infer_wrong(node, 1, "u8[.., blocks] of input 0", err);
	for (uint32_t i = 0; i < rank; i++)
		if (!qeff_dim_equal(&scales->shape.dims[i], &blocks->dims[i]))
			return infer_wrong(node, 1, "u8[.., blocks] of input 0", err);
	infer_same_as(node, 1, result);
	result->type = QEFF_GRAPH_F32;
	last = &result->shape.dims[rank - 1];
	if (last->symbol || last->size > INT64_MAX / 32)
		return infer_wrong(node, 1, "a fixed number of blocks", err);
	last->size *= 32;
	return 0;
}

/* scores [.., experts] -> numbers of top_k of them, and their weights */
int infer_route(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	int64_t chosen = qeff_node_int(node, "top_k", 0);
	struct qeff_dim *last;
	int ret = infer_need_float(node, 0, 0, "floats", err);

	infer_same_as(node, 0, result);
	if (ret || !result->shape.rank)
		return infer_wrong(node, 0, "floats [.., experts]", err);
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
	const struct qeff_graph_shape *x = infer_shape_of(node, 0),
				      *routes = infer_shape_of(node, 1);
	const struct qeff_graph_shape *w = infer_shape_of(node, 2);
	int64_t experts = qeff_node_int(node, "experts", 0), chosen, wide;
	bool shared = qeff_node_int(node, "shared", 0);
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (!ret)
		ret = infer_need_float(node, 2, 2, "floats [experts * outputs, inputs]", err);
	if (!ret && (infer_need_float(node, 1, x->rank, NULL, NULL) || !x->rank ||
		     routes->dims[x->rank - 1].symbol || routes->dims[x->rank - 1].size % 2))
		ret = infer_wrong(node, 1, "floats [.., 2 * chosen] that fit input 0", err);
	if (ret)
		return ret;
	chosen = routes->dims[x->rank - 1].size / 2;
	wide = x->dims[x->rank - 1].size / (shared ? 1 : chosen);
	if (experts < 1 || w->dims[0].symbol || w->dims[0].size % experts ||
	    w->dims[1].size != wide)
		return infer_wrong(node, 2, "floats [experts * outputs, inputs] that fit input 0",
				   err);
	if (qeff_node_input(node, 3) &&
	    (infer_need_float(node, 3, 2, NULL, NULL) ||
	     infer_shape_of(node, 3)->dims[0].size != experts ||
	     infer_shape_of(node, 3)->dims[1].size != w->dims[0].size / experts))
		return infer_wrong(node, 3, "floats [experts, outputs]", err);
	infer_same_as(node, 0, result);
	result->shape.dims[x->rank - 1] = qeff_dim_of(w->dims[0].size / experts * chosen);
	return 0;
}

/* y [.., chosen * width], routes [.., 2 chosen] -> [.., width] */
int infer_mix(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *y = infer_shape_of(node, 0),
				      *routes = infer_shape_of(node, 1);
	int64_t chosen;
	int ret = infer_need_float(node, 0, 0, "floats", err);

	if (!ret && (!y->rank || routes->rank != y->rank || y->dims[y->rank - 1].symbol ||
		     routes->dims[y->rank - 1].size < 2))
		ret = infer_wrong(node, 1, "floats [.., 2 * chosen] that fit input 0", err);
	if (ret)
		return ret;
	chosen = routes->dims[y->rank - 1].size / 2;
	if (y->dims[y->rank - 1].size % chosen)
		return infer_wrong(node, 0, "floats [.., chosen * width]", err);
	infer_same_as(node, 0, result);
	result->shape.dims[y->rank - 1] = qeff_dim_of(y->dims[y->rank - 1].size / chosen);
	return 0;
}
