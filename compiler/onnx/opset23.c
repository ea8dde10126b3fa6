/* SPDX-License-Identifier: MIT */
/*
 * Operators of ONNX's opsets 23 and 24 that older ones can say: attention, rotary positions, norms
 * of squares and what keeps a cache. Each is written out for its node, as those of com.microsoft
 * are, so that what recognises patterns need not know of it.
 */
#include "onnx/microsoft.h"

#include <math.h>
#include <stdio.h>

/* ---- Attention ---- */

/**
 * struct heads - queries of @heads heads, keys and values of @groups
 * @past, @keys: of what comes in as a cache, and with what is added to it
 * @rows: tensors are [batch, seq, heads * dim]
 */
struct heads {
	int64_t batch, seq, heads, groups, dim, value_dim, past, keys;
	bool rows;
};

enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };
enum { OUT, PRESENT_K, PRESENT_V, PRODUCT };

static bool look(struct ms_body *b, struct heads *h)
{
	const uint32_t rank = ms_rank(b, Q), seq = rank == 3 ? 1 : 2;

	*h = (struct heads){ .rows = rank == 3 };
	if (!ms_need_rank(b, Q, h->rows ? 3 : 4) || !ms_need_rank(b, K, h->rows ? 3 : 4) ||
	    !ms_need_rank(b, V, h->rows ? 3 : 4))
		return false;
	if (ms_has(b, PAST_K) != ms_has(b, PAST_V))
		ms_refuse(b, "past keys need past values");
	h->heads = h->rows ? ms_count(b, "q_num_heads") : ms_size(b, Q, 1);
	h->groups = h->rows ? ms_count(b, "kv_num_heads") : ms_size(b, K, 1);
	if (b->ret || h->groups < 1 || h->heads % h->groups ||
	    (h->rows && (ms_size(b, Q, 2) % h->heads || ms_size(b, K, 2) % h->groups ||
			 ms_size(b, V, 2) % h->groups))) {
		ms_refuse(b, "its heads do not share their keys evenly");
		return false;
	}
	h->batch = ms_size(b, Q, 0);
	h->seq = ms_size(b, Q, seq);
	h->keys = ms_size(b, K, seq);
	h->dim = ms_size(b, Q, rank - 1) / (h->rows ? h->heads : 1);
	h->value_dim = ms_size(b, V, rank - 1) / (h->rows ? h->groups : 1);
	if (ms_has(b, PAST_K)) {
		if (!ms_need_rank(b, PAST_K, 4) || !ms_need_rank(b, PAST_V, 4))
			return false;
		h->past = ms_size(b, PAST_K, 2);
		h->keys += h->past;
	}
	return h->dim > 0 && h->value_dim > 0 && !b->ret;
}

/* "NAME" [batch, groups, keys, dim] from input "NAME_in" and the cache "past_NAME", which go out as
 * "present_NAME"; "NAME_all" has all heads. */
static void say_keys(struct ms_body *b, const struct heads *h, const char *name, bool past,
		     int64_t dim)
{
	char from[16], new[16], all[16];

	snprintf(from, sizeof(from), "%s_in", name);
	snprintf(new, sizeof(new), "%s_new", name);
	snprintf(all, sizeof(all), "%s_all", name);
	if (h->rows)
		ms_split_heads(b, new, from, h->batch, h->keys - h->past, h->groups, dim);
	else
		ms_say(b, "%s = Identity(%s)", new, from);
	if (past)
		ms_say(b, "%s = Concat(past_%s, %s) axis=2", name, name, new);
	else
		ms_say(b, "%s = Identity(%s)", name, new);
	ms_say(b, "present_%s = Identity(%s)", name, name);
	if (h->groups == h->heads) {
		ms_say(b, "%s = Identity(%s)", all, name);
		return;
	}
	ms_say(b, "%s/two = Constant() value_ints=[2]", name);
	ms_say(b, "%s/apart = Unsqueeze(%s, %s/two)", name, name, name);
	ms_say(b, "%s/wide = Constant() value_ints=[%lld,%lld,%lld,%lld,%lld]", name,
	       (long long)h->batch, (long long)h->groups, (long long)(h->heads / h->groups),
	       (long long)h->keys, (long long)dim);
	ms_say(b, "%s/each = Expand(%s/apart, %s/wide)", name, name, name);
	ms_say(b, "%s/dims = Constant() value_ints=[%lld,%lld,%lld,%lld]", name,
	       (long long)h->batch, (long long)h->heads, (long long)h->keys, (long long)dim);
	ms_say(b, "%s = Reshape(%s/each, %s/dims)", all, name, name);
}

/* "seen", true where key "column" is at or before "row", which begin at @past. */
static void say_causal(struct ms_body *b, const struct heads *h)
{
	ms_say(b, "row/from = Constant() value_int=%lld", (long long)h->past);
	ms_say(b, "row/to = Constant() value_int=%lld", (long long)(h->past + h->seq));
	ms_say(b, "row/step = Constant() value_int=1");
	ms_say(b, "row/list = Range(row/from, row/to, row/step)");
	ms_say(b, "row/axis = Constant() value_ints=[1]");
	ms_say(b, "row = Unsqueeze(row/list, row/axis)");
	ms_say(b, "seen = GreaterOrEqual(row, column)");
}

/* "bias" to be added to scores; false if there is nothing to add. */
static bool say_bias(struct ms_body *b, const struct heads *h)
{
	const bool causal = ms_int(b, "is_causal", 0), lengths = ms_has(b, LENGTHS);
	const int type = ms_type(b, Q);
	const char *bias = NULL;
	int64_t missing;

	if (!causal && !lengths && !ms_has(b, MASK))
		return false;
	ms_number(b, "nought", type, 0);
	ms_number(b, "lowest", type, -INFINITY);
	ms_say(b, "column/from = Constant() value_int=0");
	ms_say(b, "column/to = Constant() value_int=%lld", (long long)h->keys);
	ms_say(b, "column/step = Constant() value_int=1");
	ms_say(b, "column = Range(column/from, column/to, column/step)");
	if (ms_has(b, MASK)) {
		const bool truths = ms_type(b, MASK) == QEFF_GRAPH_BOOL;
		const uint32_t rank = ms_rank(b, MASK);

		if (rank < 1 || (missing = h->keys - ms_size(b, MASK, rank - 1)) < 0)
			missing = 0; /* broadcasting decides */
		if (truths)
			ms_say(b, "masked = Where(mask, nought, lowest)");
		else
			ms_say(b, "masked = Identity(mask)");
		if (missing && rank && ms_size(b, MASK, rank - 1) > 1) {
			int64_t pads[2 * QEFF_GRAPH_MAX_RANK] = { 0 };

			pads[2 * rank - 1] = missing;
			ms_ints(b, "mask/pads", 2 * rank, pads);
			ms_say(b, "mask/all = Pad(masked, mask/pads, lowest)");
			bias = "mask/all";
		} else {
			bias = "masked";
		}
	}
	if (causal) {
		say_causal(b, h);
		ms_say(b, "past/bias = Where(seen, nought, lowest)");
		if (bias)
			ms_say(b, "past/sum = Add(%s, past/bias)", bias);
		bias = bias ? "past/sum" : "past/bias";
	}
	if (lengths) {
		MS_INTS(b, "length/axes", 1, 2, 3);
		ms_say(b, "length = Unsqueeze(lengths, length/axes)");
		ms_say(b, "alive = Less(column, length)");
		ms_say(b, "length/bias = Where(alive, nought, lowest)");
		if (bias)
			ms_say(b, "length/sum = Add(%s, length/bias)", bias);
		bias = bias ? "length/sum" : "length/bias";
	}
	ms_say(b, "bias = Identity(%s)", bias);
	return true;
}

void os_attention(struct ms_body *b)
{
	const int64_t mode = ms_int(b, "qk_matmul_output_mode", 0);
	const char *scores = "scores";
	struct heads h;
	float scale, cap;

	if (!look(b, &h))
		return;
	scale = ms_float(b, "scale", 1 / sqrtf((float)h.dim));
	cap = ms_float(b, "softcap", 0);
	if (!(scale > 0) || !(cap >= 0))
		ms_refuse(b, "scale and softcap are not what they can be");
	if (h.rows)
		ms_split_heads(b, "q", "q_in", h.batch, h.seq, h.heads, h.dim);
	else
		ms_say(b, "q = Identity(q_in)");
	say_keys(b, &h, "k", ms_has(b, PAST_K), h.dim);
	say_keys(b, &h, "v", ms_has(b, PAST_V), h.value_dim);
	ms_number(b, "root", ms_type(b, Q), sqrt((double)scale));
	ms_say(b, "q/scaled = Mul(q, root)");
	ms_say(b, "k/turned = Transpose(k_all) perm=[0,1,3,2]");
	ms_say(b, "k/scaled = Mul(k/turned, root)");
	ms_say(b, "scores = MatMul(q/scaled, k/scaled)");
	if (mode == 0)
		ms_say(b, "product = Identity(scores)");
	if (say_bias(b, &h)) {
		ms_say(b, "scores/masked = Add(scores, bias)");
		scores = "scores/masked";
	}
	if (mode == 1)
		ms_say(b, "product = Identity(%s)", scores);
	if (cap > 0) {
		ms_number(b, "cap", ms_type(b, Q), (double)cap);
		ms_say(b, "scores/part = Div(%s, cap)", scores);
		ms_say(b, "scores/bent = Tanh(scores/part)");
		ms_say(b, "scores/capped = Mul(scores/bent, cap)");
		scores = "scores/capped";
	}
	if (mode == 2)
		ms_say(b, "product = Identity(%s)", scores);
	ms_say(b, "shares = Softmax(%s) axis=-1", scores);
	if (mode == 3)
		ms_say(b, "product = Identity(shares)");
	if (mode < 0 || mode > 3)
		ms_refuse(b, "attribute \"qk_matmul_output_mode\" is %lld", (long long)mode);
	ms_say(b, "mixed = MatMul(shares, v_all)");
	if (h.rows)
		ms_join_heads(b, "mixed", h.batch, h.seq, h.heads * h.value_dim);
	else
		ms_say(b, "y = Identity(mixed)");
}

/* ---- RotaryEmbedding ---- */

void os_rotary_embedding(struct ms_body *b)
{
	const bool rows = ms_rank(b, 0) == 3, placed = ms_has(b, 3);
	int64_t batch, seq, heads, dim, rotary_dim = ms_int(b, "rotary_embedding_dim", 0);

	if (!ms_need_rank(b, 0, rows ? 3 : 4) || !ms_need_rank(b, 1, placed ? 2 : 3) ||
	    !ms_need_rank(b, 2, placed ? 2 : 3) || (placed && !ms_need_rank(b, 3, 2)))
		return;
	batch = ms_size(b, 0, 0);
	seq = ms_size(b, 0, rows ? 1 : 2);
	heads = rows ? ms_count(b, "num_heads") : ms_size(b, 0, 1);
	if (b->ret || ms_size(b, 0, rows ? 2 : 3) % (rows ? heads : 1)) {
		ms_refuse(b, "its rows are not those of heads");
		return;
	}
	dim = ms_size(b, 0, rows ? 2 : 3) / (rows ? heads : 1);
	rotary_dim = rotary_dim ? rotary_dim : dim;
	if (rotary_dim < 2 || rotary_dim > dim || rotary_dim % 2 ||
	    ms_size(b, 1, placed ? 1 : 2) != rotary_dim / 2) {
		ms_refuse(b, "its tables are not those of heads of %lld", (long long)dim);
		return;
	}
	MS_INTS(b, "head", 1);
	if (placed) {
		ms_say(b, "cos_own = Gather(cos, position_ids)");
		ms_say(b, "sin_own = Gather(sin, position_ids)");
	}
	ms_say(b, "cos_rows = Unsqueeze(cos%s, head)", placed ? "_own" : "");
	ms_say(b, "sin_rows = Unsqueeze(sin%s, head)", placed ? "_own" : "");
	ms_rotate_x(b, batch, seq, heads, dim, rotary_dim);
}

/* ---- LpNormalization, Swish, TensorScatter ---- */

void os_lp_normalization(struct ms_body *b)
{
	const int64_t p = ms_int(b, "p", 2);

	if (p != 1 && p != 2)
		ms_refuse(b, "attribute \"p\" is %lld", (long long)p);
	MS_INTS(b, "axis", ms_int(b, "axis", -1));
	ms_say(b, "norm = ReduceL%d(x, axis) keepdims=1", (int)p);
	ms_say(b, "y = Div(x, norm)");
}

void os_swish(struct ms_body *b)
{
	ms_number(b, "alpha", ms_type(b, 0), (double)ms_float(b, "alpha", 1));
	ms_say(b, "part = Mul(x, alpha)");
	ms_say(b, "share = Sigmoid(part)");
	ms_say(b, "y = Mul(x, share)");
}

/* The update goes to rows from write_indices[batch] on along an axis, in a ring or not. */
void os_tensor_scatter(struct ms_body *b)
{
	const uint32_t rank = ms_rank(b, 0);
	int64_t axis = ms_int(b, "axis", -2), dims[QEFF_GRAPH_MAX_RANK];
	int64_t axes[QEFF_GRAPH_MAX_RANK];
	const struct qeff_attribute *mode = import_attribute(b->node, "mode");
	bool ring = mode && mode->kind == QEFF_ATTR_STRING && mode->s[0] == 'c';
	uint32_t count = 0;

	axis += axis < 0 ? rank : 0;
	if (!ms_need_rank(b, 1, rank) || axis < 1 || axis >= (int64_t)rank) {
		ms_refuse(b, "axis %lld is none of its cache's", (long long)axis);
		return;
	}
	for (uint32_t i = 0; i < rank; i++)
		dims[i] = ms_size(b, 1, i);
	ms_say(b, "step/from = Constant() value_int=0");
	ms_say(b, "step/to = Constant() value_int=%lld", (long long)dims[axis]);
	ms_say(b, "step/by = Constant() value_int=1");
	ms_say(b, "step = Range(step/from, step/to, step/by)");
	if (ms_has(b, 2)) {
		MS_INTS(b, "column", 1);
		ms_say(b, "first = Unsqueeze(write, column)");
		ms_say(b, "place = Add(first, step)");
	} else {
		MS_INTS(b, "column", 0);
		ms_say(b, "place = Unsqueeze(step, column)");
	}
	if (ring) {
		ms_say(b, "length = Constant() value_int=%lld",
		       (long long)ms_size(b, 0, (uint32_t)axis));
		ms_say(b, "turned = Mod(place, length)");
	}
	/* [batch, steps] to [batch, 1, steps, 1] */
	for (uint32_t i = 1; i < rank; i++)
		if (i != axis)
			axes[count++] = i;
	ms_ints(b, "ones", count, axes);
	if (count)
		ms_say(b, "spread = Unsqueeze(%s, ones)", ring ? "turned" : "place");
	else
		ms_say(b, "spread = Identity(%s)", ring ? "turned" : "place");
	ms_ints(b, "dims", rank, dims);
	ms_say(b, "where = Expand(spread, dims)");
	ms_say(b, "y = ScatterElements(cache, where, update) axis=%lld", (long long)axis);
}
