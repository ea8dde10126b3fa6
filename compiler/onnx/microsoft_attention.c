/* SPDX-License-Identifier: MIT */
/* Operators of com.microsoft: attention whose keys are the tokens', or another text's. */
#include "onnx/microsoft.h"

#include <math.h>
#include <stdio.h>

#define LOWEST_F32 (-3.4028234663852886e38)
#define LOWEST_F16 (-65504.0)

/**
 * struct heads - an attention between queries, keys and values "q", "k", "v" [batch, heads, .., ..]
 * @seq, @keys: of queries and, with the @past ones, of keys
 * @mask, @bias: inputs, which need not be there
 */
struct heads {
	int64_t batch, heads, seq, keys, past;
	int64_t dim, value_dim;
	uint32_t mask, bias;
	int type;
};

/* ---- heads ---- */

void ms_split_heads(struct ms_body *b, const char *to, const char *from, int64_t batch, int64_t seq,
		    int64_t heads, int64_t dim)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/dims", to);
	MS_INTS(b, name, batch, seq, heads, dim);
	ms_say(b, "%s/rows = Reshape(%s, %s)", to, from, name);
	ms_say(b, "%s = Transpose(%s/rows) perm=[0,2,1,3]", to, to);
}

void ms_join_heads(struct ms_body *b, const char *from, int64_t batch, int64_t seq, int64_t width)
{
	ms_say(b, "rows = Transpose(%s) perm=[0,2,1,3]", from);
	MS_INTS(b, "y/dims", batch, seq, width);
	ms_say(b, "y = Reshape(rows, y/dims)");
}

/* @to becomes [begin, end) of @from along @axis. */
static void say_slice(struct ms_body *b, const char *to, const char *from, int64_t begin,
		      int64_t end, int64_t axis)
{
	ms_say(b, "%s/from = Constant() value_ints=[%lld]", to, (long long)begin);
	ms_say(b, "%s/to = Constant() value_ints=[%lld]", to, (long long)end);
	ms_say(b, "%s/axis = Constant() value_ints=[%lld]", to, (long long)axis);
	ms_say(b, "%s = Slice(%s, %s/from, %s/to, %s/axis)", to, from, to, to, to);
}

/* ---- what is seen ---- */

/* "live" [batch or 1, 1, seq or 1, keys], true where a key may be seen, by input @h->mask */
static void say_live(struct ms_body *b, const struct heads *h)
{
	const int64_t first = ms_size(b, h->mask, 0);
	const uint32_t rank = ms_rank(b, h->mask);

	if ((rank == 2 && first == h->batch && ms_size(b, h->mask, 1) == h->keys) ||
	    (rank == 3 && first == h->batch && ms_size(b, h->mask, 1) == h->seq &&
	     ms_size(b, h->mask, 2) == h->keys)) {
		ms_number(b, "nought", ms_type(b, h->mask), 0);
		ms_say(b, "alive = Greater(mask, nought)");
		if (rank == 2)
			MS_INTS(b, "live/axes", 1, 2);
		else
			MS_INTS(b, "live/axes", 1);
		ms_say(b, "live = Unsqueeze(alive, live/axes)");
		return;
	}
	if (rank != 1 || (first != h->batch && first != 2 * h->batch)) {
		ms_refuse(b, "a mask of this shape is not supported");
		return;
	}
	/* one past the last key of each batch entry, then the first key of each */
	ms_say(b, "column/from = Constant() value_int=0");
	ms_say(b, "column/to = Constant() value_int=%lld", (long long)h->keys);
	ms_say(b, "column/step = Constant() value_int=1");
	ms_say(b, "column = Range(column/from, column/to, column/step)");
	ms_say(b, "ends = Cast(mask) to=%d", QEFF_GRAPH_I64);
	MS_INTS(b, "end/dims", h->batch, 1, 1, 1);
	say_slice(b, "end/all", "ends", 0, h->batch, 0);
	ms_say(b, "end = Reshape(end/all, end/dims)");
	ms_say(b, "before_end = Less(column, end)");
	if (first == h->batch) {
		ms_say(b, "live = Identity(before_end)");
		return;
	}
	say_slice(b, "start/all", "ends", h->batch, 2 * h->batch, 0);
	ms_say(b, "start = Reshape(start/all, end/dims)");
	ms_say(b, "behind_start = GreaterOrEqual(column, start)");
	ms_say(b, "live = And(before_end, behind_start)");
}

/* "hidden": what scores get added; false if they get nothing */
static bool say_hidden(struct ms_body *b, const struct heads *h)
{
	const double lowest = h->type == QEFF_GRAPH_F16 ? LOWEST_F16 : LOWEST_F32;
	const bool causal = ms_int(b, "unidirectional", 0) && h->seq > 1;
	const char *so_far = ms_has(b, h->bias) ? "attention_bias" : NULL;

	ms_number(b, "zero", h->type, 0);
	if (ms_has(b, h->mask)) {
		say_live(b, h);
		ms_number(b, "filter", h->type, ms_float(b, "mask_filter_value", -10000));
		ms_say(b, "masked = Where(live, zero, filter)");
		if (so_far)
			ms_say(b, "biased = Add(masked, %s)", so_far);
		so_far = so_far ? "biased" : "masked";
	}
	if (causal) {
		ms_say(b, "n0 = Constant() value_int=0");
		ms_say(b, "n1 = Constant() value_int=1");
		ms_say(b, "np = Constant() value_int=%lld", (long long)h->past);
		ms_say(b, "nt = Constant() value_int=%lld", (long long)h->keys);
		ms_say(b, "ns = Constant() value_int=%lld", (long long)(h->past + h->seq));
		ms_say(b, "key = Range(n0, nt, n1)");
		ms_say(b, "queries = Range(np, ns, n1)");
		MS_INTS(b, "last", 1);
		ms_say(b, "query = Unsqueeze(queries, last)");
		ms_say(b, "future = Greater(key, query)");
		ms_number(b, "lowest", h->type, lowest);
		ms_say(b, "unseen = Where(future, lowest, %s)", so_far ? so_far : "zero");
		so_far = "unseen";
	}
	if (so_far)
		ms_say(b, "hidden = Identity(%s)", so_far);
	return so_far != NULL;
}

static void say_attention(struct ms_body *b, const struct heads *h)
{
	float scale = ms_float(b, "scale", 0);

	ms_number(b, "scale", h->type, scale != 0 ? (double)scale : 1 / sqrt((double)h->dim));
	ms_say(b, "turned = Transpose(k) perm=[0,1,3,2]");
	ms_say(b, "products = MatMul(q, turned)");
	ms_say(b, "scaled = Mul(products, scale)");
	if (say_hidden(b, h))
		ms_say(b, "scores = Add(scaled, hidden)");
	else
		ms_say(b, "scores = Identity(scaled)");
	ms_say(b, "shares = Softmax(scores) axis=-1");
	ms_say(b, "mixed = MatMul(shares, v)");
	ms_join_heads(b, "mixed", h->batch, h->seq, h->heads * h->value_dim);
}

/* ---- Attention: products by stacked weights "x", "w" first ---- */

/* Queries, keys and values are products by columns of the weights. */
static void say_projection(struct ms_body *b, const struct heads *h, const char *name,
			   int64_t begin, int64_t width)
{
	char part[64];

	snprintf(part, sizeof(part), "%s/weight", name);
	say_slice(b, part, "w", begin, begin + width, 1);
	ms_say(b, "%s/product = MatMul(x, %s)", name, part);
	if (ms_has(b, 2)) {
		snprintf(part, sizeof(part), "%s/bias", name);
		say_slice(b, part, "bias", begin, begin + width, 0);
		ms_say(b, "%s/projection = Add(%s/product, %s)", name, name, part);
	} else {
		ms_say(b, "%s/projection = Identity(%s/product)", name, name);
	}
	snprintf(part, sizeof(part), "%s/projection", name);
	ms_split_heads(b, name, part, h->batch, h->seq, h->heads, width / h->heads);
}

/* "past" [2, batch, heads, past, dim] stands in front of "k_new" and "v_new" */
static void say_past(struct ms_body *b, bool has_past, bool wants_present)
{
	static const char *const name[] = { "k", "v" };

	if (wants_present)
		MS_INTS(b, "front", 0);
	for (int i = 0; i < 2; i++) {
		if (has_past) {
			char part[64];

			snprintf(part, sizeof(part), "%s_past/all", name[i]);
			say_slice(b, part, "past", i, i + 1, 0);
			ms_say(b, "%s_past/axis = Constant() value_ints=[0]", name[i]);
			ms_say(b, "%s_past = Squeeze(%s, %s_past/axis)", name[i], part, name[i]);
			ms_say(b, "%s = Concat(%s_past, %s_new) axis=2", name[i], name[i], name[i]);
		} else {
			ms_say(b, "%s = Identity(%s_new)", name[i], name[i]);
		}
		if (wants_present)
			ms_say(b, "%s_present = Unsqueeze(%s, front)", name[i], name[i]);
	}
	if (wants_present)
		ms_say(b, "present = Concat(k_present, v_present) axis=0");
}

/* Inputs @x, @w and @past by number: "x", "w", "past" by then. */
static void say_packed(struct ms_body *b, uint32_t x, uint32_t w, uint32_t mask, uint32_t past,
		       uint32_t bias)
{
	const struct qeff_attribute *sizes = import_attribute(b->node, "qkv_hidden_sizes");
	const int64_t heads = ms_count(b, "num_heads");
	int64_t width[3], total = 0;
	struct heads h = { .heads = heads, .mask = mask, .bias = bias };

	if (ms_int(b, "do_rotary", 0) || ms_int(b, "past_present_share_buffer", 0))
		ms_refuse(b, "rotary positions and shared buffers are not supported");
	if (!ms_need_rank(b, x, 3) || !ms_need_rank(b, w, 2) ||
	    (ms_has(b, past) && !ms_need_rank(b, past, 5)))
		return;
	for (int i = 0; i < 3; i++) {
		width[i] = ms_size(b, w, 1) / 3;
		if (sizes && sizes->kind == QEFF_ATTR_INTS && sizes->count == 3)
			width[i] = sizes->ints[i];
		if (width[i] < 1 || width[i] > ms_size(b, w, 1) || width[i] % heads)
			ms_refuse(b, "its weights are not those of so many heads");
		total += width[i];
	}
	if (total != ms_size(b, w, 1) || width[0] != width[1])
		ms_refuse(b, "its weights are not those of queries, keys and values");
	h.batch = ms_size(b, x, 0);
	h.seq = ms_size(b, x, 1);
	h.past = ms_has(b, past) ? ms_size(b, past, 3) : 0;
	h.keys = h.past + h.seq;
	h.dim = width[0] / heads;
	h.value_dim = width[2] / heads;
	h.type = ms_type(b, 2 /* bias */ < b->node->num_inputs && ms_has(b, 2) ? 2 : x);
	if (b->ret)
		return;
	say_projection(b, &h, "q", 0, width[0]);
	say_projection(b, &h, "k_new", width[0], width[1]);
	say_projection(b, &h, "v_new", width[0] + width[1], width[2]);
	say_past(b, ms_has(b, past), ms_wants(b, 1));
	say_attention(b, &h);
}

void ms_attention(struct ms_body *b)
{
	if (ms_has(b, 6))
		ms_refuse(b, "input 6 is not supported");
	say_packed(b, 0, 1, 3, 4, 5);
}

void ms_qattention(struct ms_body *b)
{
	ms_say(b, "x = DequantizeLinear(x_q, x_scale%s)", ms_has(b, 6) ? ", x_zero" : "");
	ms_say(b, "w = DequantizeLinear(w_q, w_scale%s) axis=1", ms_has(b, 7) ? ", w_zero" : "");
	say_packed(b, 0, 1, 5, 8, UINT32_MAX);
}

/* ---- MultiHeadAttention ---- */

/* @name: the part of a packed input [batch, seq, heads, parts, dim], or input @name itself; as
 * [batch, seq, width], with its part of the bias, in heads, and called @to. */
static void say_part(struct ms_body *b, const struct heads *h, const char *to, const char *packed,
		     const char *name, int part, int64_t seq, int64_t dim, int64_t bias)
{
	char text[64];

	if (packed) {
		snprintf(text, sizeof(text), "%s/part", to);
		say_slice(b, text, packed, part, part + 1, 3);
		ms_say(b, "%s/flat/dims = Constant() value_ints=[%lld,%lld,%lld]", to,
		       (long long)h->batch, (long long)seq, (long long)(h->heads * dim));
		ms_say(b, "%s/flat = Reshape(%s, %s/flat/dims)", to, text, to);
		snprintf(text, sizeof(text), "%s/flat", to);
		name = text;
	}
	if (ms_has(b, 3)) {
		char slice[64];

		snprintf(slice, sizeof(slice), "%s/bias", to);
		say_slice(b, slice, "bias", bias, bias + h->heads * dim, 0);
		ms_say(b, "%s/biased = Add(%s, %s)", to, name, slice);
		snprintf(text, sizeof(text), "%s/biased", to);
		name = text;
	}
	ms_split_heads(b, to, name, h->batch, seq, h->heads, dim);
}

/* "k" and "v" of "k_new" and "v_new" behind what is past. */
static void say_pasts(struct ms_body *b)
{
	static const char *const name[] = { "k", "v" };

	for (uint32_t i = 0; i < 2; i++) {
		if (ms_has(b, 6 + i))
			ms_say(b, "%s = Concat(past_%s, %s_new) axis=2", name[i], name[i], name[i]);
		else
			ms_say(b, "%s = Identity(%s_new)", name[i], name[i]);
		if (ms_wants(b, 1 + i))
			ms_say(b, "present_%s = Identity(%s)", name[i], name[i]);
	}
}

void ms_multi_head_attention(struct ms_body *b)
{
	struct heads h = { .heads = ms_count(b, "num_heads"), .mask = 4, .bias = 5 };
	const bool all_packed = ms_rank(b, 0) == 5, pair = ms_has(b, 1) && ms_rank(b, 1) == 5;
	const bool split = ms_has(b, 1) && ms_rank(b, 1) == 4;
	int64_t width, own, value_width;

	if (ms_has(b, 6) != ms_has(b, 7) || (ms_has(b, 6) && (split || !ms_need_rank(b, 6, 4))))
		ms_refuse(b, "past keys need past values, and new ones");
	if (!ms_need_rank(b, 0, all_packed ? 5 : 3))
		return;
	if (!all_packed && !ms_need_rank(b, 1, pair ? 5 : split ? 4 : 3))
		return;
	if (!all_packed && !pair && !ms_need_rank(b, 2, split ? 4 : 3))
		return;
	h.type = ms_type(b, 0);
	h.batch = ms_size(b, 0, 0);
	h.seq = ms_size(b, 0, 1);
	width = all_packed ? h.heads * ms_size(b, 0, 4) : ms_size(b, 0, 2);
	if (!width || width % h.heads || (all_packed && ms_size(b, 0, 2) != h.heads)) {
		ms_refuse(b, "its queries are not those of so many heads");
		return;
	}
	h.dim = width / h.heads;
	own = all_packed ? h.seq : ms_size(b, 1, split ? 2 : 1);
	value_width = all_packed || pair ? width
		      : split		 ? ms_size(b, 2, 3) * h.heads
					 : ms_size(b, 2, 2);
	h.value_dim = value_width / h.heads;
	h.past = ms_has(b, 6) ? ms_size(b, 6, 2) : 0;
	h.keys = own + h.past;
	say_part(b, &h, "q", all_packed ? "q_in" : NULL, "q_in", 0, h.seq, h.dim, 0);
	if (split) {
		ms_say(b, "k_new = Identity(k_in)");
		ms_say(b, "v_new = Identity(v_in)");
	} else {
		say_part(b, &h, "k_new",
			 all_packed ? "q_in"
			 : pair	    ? "k_in"
				    : NULL,
			 "k_in", all_packed, own, h.dim, width);
		say_part(b, &h, "v_new",
			 all_packed ? "q_in"
			 : pair	    ? "k_in"
				    : NULL,
			 "v_in", 1 + all_packed, own, h.value_dim, 2 * width);
	}
	say_pasts(b);
	say_attention(b, &h);
}
