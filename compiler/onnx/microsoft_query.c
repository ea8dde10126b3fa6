/* SPDX-License-Identifier: MIT */
/* Operators of com.microsoft: rotary positions, and attention of decoders that share keys. */
#include "onnx/microsoft.h"

#include <math.h>
#include <stdio.h>

#define HIDDEN -1e30

/* ---- rotary positions ---- */

/* @to becomes [begin, end) of @from's last dimension, every @step-th. */
static void say_columns(struct ms_body *b, const char *to, const char *from, int64_t begin,
			int64_t end, int64_t step)
{
	ms_say(b, "%s/from = Constant() value_ints=[%lld]", to, (long long)begin);
	ms_say(b, "%s/to = Constant() value_ints=[%lld]", to, (long long)end);
	ms_say(b, "%s/last = Constant() value_ints=[-1]", to);
	ms_say(b, "%s/step = Constant() value_ints=[%lld]", to, (long long)step);
	ms_say(b, "%s = Slice(%s, %s/from, %s/to, %s/last, %s/step)", to, from, to, to, to, to);
}

void ms_rotate(struct ms_body *b, const char *to, const char *from, int64_t dim, int64_t rotary_dim,
	       bool interleaved)
{
	const int64_t half = rotary_dim / 2;
	char one[64], two[64], rest[64];

	snprintf(one, sizeof(one), "%s/1", to);
	snprintf(two, sizeof(two), "%s/2", to);
	snprintf(rest, sizeof(rest), "%s/rest", to);
	say_columns(b, one, from, 0, interleaved ? rotary_dim : half, interleaved ? 2 : 1);
	say_columns(b, two, from, interleaved ? 1 : half, rotary_dim, interleaved ? 2 : 1);
	ms_say(b, "%s/1c = Mul(%s/1, cos_rows)", to, to);
	ms_say(b, "%s/2s = Mul(%s/2, sin_rows)", to, to);
	ms_say(b, "%s/2c = Mul(%s/2, cos_rows)", to, to);
	ms_say(b, "%s/1s = Mul(%s/1, sin_rows)", to, to);
	ms_say(b, "%s/t1 = Sub(%s/1c, %s/2s)", to, to, to);
	ms_say(b, "%s/t2 = Add(%s/2c, %s/1s)", to, to, to);
	if (interleaved) {
		ms_say(b, "%s/pair = Constant() value_ints=[4]", to);
		ms_say(b, "%s/p1 = Unsqueeze(%s/t1, %s/pair)", to, to, to);
		ms_say(b, "%s/p2 = Unsqueeze(%s/t2, %s/pair)", to, to, to);
		ms_say(b, "%s/pairs = Concat(%s/p1, %s/p2) axis=-1", to, to, to);
		ms_say(b, "%s/flat = Constant() value_ints=[0,0,0,-1]", to);
		ms_say(b, "%s/turned = Reshape(%s/pairs, %s/flat)", to, to, to);
	} else {
		ms_say(b, "%s/turned = Concat(%s/t1, %s/t2) axis=-1", to, to, to);
	}
	if (rotary_dim == dim) {
		ms_say(b, "%s = Identity(%s/turned)", to, to);
		return;
	}
	say_columns(b, rest, from, rotary_dim, dim, 1);
	ms_say(b, "%s = Concat(%s/turned, %s) axis=-1", to, to, rest);
}

/* "cos_rows" and "sin_rows" at @positions [batch or 1, seq]; false if the tables, inputs @cos and
 * the next one, are none for heads of @dim. Says how many numbers turn. */
static bool say_tables(struct ms_body *b, const char *positions, uint32_t cos, int64_t dim,
		       int64_t *rotary_dim)
{
	if (!ms_need_rank(b, cos, 2) || !ms_need_rank(b, cos + 1, 2))
		return false;
	*rotary_dim = 2 * ms_size(b, cos, 1);
	if (*rotary_dim > dim || ms_size(b, cos + 1, 1) != ms_size(b, cos, 1)) {
		ms_refuse(b, "its tables are not those of heads of %lld", (long long)dim);
		return false;
	}
	MS_INTS(b, "of_heads", 1);
	ms_say(b, "cos/all = Gather(cos, %s)", positions);
	ms_say(b, "sin/all = Gather(sin, %s)", positions);
	ms_say(b, "cos_rows = Unsqueeze(cos/all, of_heads)");
	ms_say(b, "sin_rows = Unsqueeze(sin/all, of_heads)");
	return true;
}

void ms_rotate_x(struct ms_body *b, int64_t batch, int64_t seq, int64_t heads, int64_t dim,
		 int64_t rotary_dim)
{
	const bool interleaved = ms_int(b, "interleaved", 0);

	if (ms_rank(b, 0) != 3) {
		ms_rotate(b, "y", "x", dim, rotary_dim, interleaved);
		return;
	}
	ms_split_heads(b, "by_head", "x", batch, seq, heads, dim);
	ms_rotate(b, "turned", "by_head", dim, rotary_dim, interleaved);
	ms_join_heads(b, "turned", batch, seq, heads * dim);
}

/* "columns": 0, 1, ... @count - 1 */
static void say_count(struct ms_body *b, const char *columns, int64_t count)
{
	ms_say(b, "%s/from = Constant() value_int=0", columns);
	ms_say(b, "%s/to = Constant() value_int=%lld", columns, (long long)count);
	ms_say(b, "%s/step = Constant() value_int=1", columns);
	ms_say(b, "%s = Range(%s/from, %s/to, %s/step)", columns, columns, columns, columns);
}

void ms_rotary_embedding(struct ms_body *b)
{
	const bool rows = ms_rank(b, 0) == 3;
	int64_t heads = ms_int(b, "num_heads", 0), dim, rotary_dim, batch, seq;
	const char *positions = "position_ids";

	if (!ms_need_rank(b, 0, rows ? 3 : 4) || !ms_need_rank(b, 2, 2))
		return;
	if (ms_int(b, "is_packed_batching", 0) || ms_float(b, "scale", 1) != 1)
		ms_refuse(b, "packed batches and scales are not supported");
	batch = ms_size(b, 0, 0);
	seq = ms_size(b, 0, rows ? 1 : 2);
	if (!rows)
		dim = ms_size(b, 0, 3);
	else if (ms_int(b, "rotary_embedding_dim", 0) && heads > 0)
		dim = ms_size(b, 0, 2) / heads;
	else
		dim = 2 * ms_size(b, 2, 1);
	if (rows && (dim < 1 || ms_size(b, 0, 2) % dim)) {
		ms_refuse(b, "its rows are not those of heads of %lld", (long long)dim);
		return;
	}
	if (rows)
		heads = ms_size(b, 0, 2) / dim;
	if (ms_rank(b, 1) < 2) { /* one number: the first row's */
		say_count(b, "columns", seq);
		ms_say(b, "steps = Cast(columns) to=%d", ms_type(b, 1));
		ms_say(b, "places = Add(steps, position_ids)");
		MS_INTS(b, "front", 0);
		ms_say(b, "by_row = Unsqueeze(places, front)");
		positions = "by_row";
	}
	if (!say_tables(b, positions, 2, dim, &rotary_dim))
		return;
	ms_rotate_x(b, batch, seq, heads, dim, rotary_dim);
}

/* ---- GroupQueryAttention ---- */

/**
 * struct groups - queries of @heads heads, keys and values of @groups
 * @past, @keys: of the cache that comes in, and of the one that goes out
 * @prompt: nothing is past; else "before" [batch, 1, 1, 1] keys are
 */
struct groups {
	int64_t batch, seq, heads, groups, dim, past, keys;
	bool prompt;
	int type;
};

static bool look(struct ms_body *b, struct groups *g)
{
	const bool packed = !ms_has(b, 1);
	int64_t total = 0, of_heads;

	*g = (struct groups){ .heads = ms_count(b, "num_heads"),
			      .groups = ms_count(b, "kv_num_heads") };
	if (!ms_need_rank(b, 0, 3) ||
	    (!packed && (!ms_need_rank(b, 1, 3) || !ms_need_rank(b, 2, 3))))
		return false;
	if (!ms_has(b, 5) || !ms_has(b, 6) || !import_number(b->node->inputs[6], &total))
		ms_refuse(b, "its total length (input 6) must be a constant");
	if (ms_has(b, 3) != ms_has(b, 4) ||
	    (ms_has(b, 3) && (!ms_need_rank(b, 3, 4) || !ms_need_rank(b, 4, 4))))
		ms_refuse(b, "past keys need past values");
	if (g->heads % g->groups)
		ms_refuse(b, "%lld heads cannot share keys of %lld", (long long)g->heads,
			  (long long)g->groups);
	if (b->ret)
		return false;
	g->type = ms_type(b, 0);
	g->batch = ms_size(b, 0, 0);
	g->seq = ms_size(b, 0, 1);
	of_heads = packed ? g->heads + 2 * g->groups : g->heads;
	g->dim = ms_size(b, 0, 2) / of_heads;
	g->past = ms_has(b, 3) ? ms_size(b, 3, 2) : 0;
	g->keys = total > g->past ? total : g->past;
	g->prompt = total == g->seq;
	if (g->dim < 1 || ms_size(b, 0, 2) % of_heads || total < g->seq || total > INT32_MAX ||
	    (!packed && (ms_size(b, 1, 2) != g->groups * g->dim || ms_size(b, 1, 1) != g->seq)))
		ms_refuse(b, "its queries and keys are not those of so many heads");
	if (!g->prompt && !g->past)
		ms_refuse(b, "keys of before are missing");
	return !b->ret;
}

/* "q_heads", "k_heads", "v_heads" [batch, heads, seq, dim] */
static void say_heads(struct ms_body *b, const struct groups *g)
{
	const int64_t q = g->heads * g->dim, kv = g->groups * g->dim;

	if (ms_has(b, 1)) {
		ms_split_heads(b, "q_heads", "q_in", g->batch, g->seq, g->heads, g->dim);
		ms_split_heads(b, "k_heads", "k_in", g->batch, g->seq, g->groups, g->dim);
		ms_split_heads(b, "v_heads", "v_in", g->batch, g->seq, g->groups, g->dim);
		return;
	}
	say_columns(b, "q_part", "q_in", 0, q, 1);
	say_columns(b, "k_part", "q_in", q, q + kv, 1);
	say_columns(b, "v_part", "q_in", q + kv, q + 2 * kv, 1);
	ms_split_heads(b, "q_heads", "q_part", g->batch, g->seq, g->heads, g->dim);
	ms_split_heads(b, "k_heads", "k_part", g->batch, g->seq, g->groups, g->dim);
	ms_split_heads(b, "v_heads", "v_part", g->batch, g->seq, g->groups, g->dim);
}

/* @name/longer: @from [batch, groups, @length, dim] with zeros up to the cache's length */
static void say_longer(struct ms_body *b, const struct groups *g, const char *name,
		       const char *from, int64_t length)
{
	char dims[32];

	if (length == g->keys) {
		ms_say(b, "%s/longer = Identity(%s)", name, from);
		return;
	}
	snprintf(dims, sizeof(dims), "%s/none/dims", name);
	MS_INTS(b, dims, g->batch, g->groups, g->keys - length, g->dim);
	ms_say(b, "%s/none = Expand(zero, %s)", name, dims);
	ms_say(b, "%s/longer = Concat(%s, %s/none) axis=2", name, from, name);
}

/* "present_k" or "present_v" of what is past and the new rows: @fresh in its place */
static void say_present(struct ms_body *b, const struct groups *g, const char *name,
			const char *fresh)
{
	char past[32], text[64];

	snprintf(past, sizeof(past), "past_%s", name);
	snprintf(text, sizeof(text), "%s/new", name);
	if (g->prompt) {
		say_longer(b, g, name, fresh, g->seq);
		ms_say(b, "present_%s = Identity(%s/longer)", name, name);
		return;
	}
	say_longer(b, g, name, past, g->past);
	ms_say(b, "%s = GatherElements(%s, at) axis=2", text, fresh);
	ms_say(b, "%s/kept = Where(is_past, %s/longer, zero)", name, name);
	ms_say(b, "present_%s = Where(is_new, %s, %s/kept)", name, text, name);
}

/* "before" [batch, 1, 1, 1], and for each key's place whether it is past or new, and which */
static void say_places(struct ms_body *b, const struct groups *g)
{
	say_count(b, "key", g->keys);
	say_count(b, "row", g->seq);
	ms_say(b, "less = Constant() value_int=%lld", (long long)(g->prompt ? 0 : g->seq - 1));
	ms_say(b, "nothing = Constant() value_int=0");
	ms_say(b, "lasts = Cast(lengths) to=%d", QEFF_GRAPH_I64);
	ms_say(b, "firsts = Sub(lasts, less)");
	if (g->prompt)
		ms_say(b, "begin = Mul(firsts, nothing)");
	else
		ms_say(b, "begin = Max(firsts, nothing)");
	MS_INTS(b, "before/dims", g->batch, 1, 1, 1);
	ms_say(b, "before = Reshape(begin, before/dims)");
	if (g->prompt)
		return;
	MS_INTS(b, "key/dims", g->keys, 1);
	ms_say(b, "place = Reshape(key, key/dims)");
	ms_say(b, "is_past = Less(place, before)");
	ms_say(b, "which = Sub(place, before)");
	ms_say(b, "most = Constant() value_int=%lld", (long long)(g->seq - 1));
	ms_say(b, "not_before = GreaterOrEqual(which, nothing)");
	ms_say(b, "not_behind = LessOrEqual(which, most)");
	ms_say(b, "is_new = And(not_before, not_behind)");
	ms_say(b, "at/least = Max(which, nothing)");
	ms_say(b, "at/most = Min(at/least, most)");
	MS_INTS(b, "at/dims", g->batch, g->groups, g->keys, g->dim);
	ms_say(b, "at = Expand(at/most, at/dims)");
}

/* "k" or "v" for every head */
static void say_shared(struct ms_body *b, const struct groups *g, const char *name)
{
	if (g->heads == g->groups) {
		ms_say(b, "%s = Identity(present_%s)", name, name);
		return;
	}
	ms_say(b, "%s/one = Unsqueeze(present_%s, group/axis)", name, name);
	ms_say(b, "%s/all = Expand(%s/one, group/dims)", name, name);
	ms_say(b, "%s = Reshape(%s/all, heads/dims)", name, name);
}

/* "masked" scores: keys up to the row's own place, and so many before it if there is a window */
static void say_masked(struct ms_body *b, const struct groups *g, const char *scores)
{
	const int64_t window = ms_int(b, "local_window_size", -1);

	MS_INTS(b, "row/dims", g->seq, 1);
	ms_say(b, "rows_down = Reshape(row, row/dims)");
	ms_say(b, "own = Add(rows_down, before)");
	ms_say(b, "seen = LessOrEqual(key, own)");
	if (window > 0) {
		ms_say(b, "window = Constant() value_int=%lld", (long long)window);
		ms_say(b, "oldest = Sub(own, window)");
		ms_say(b, "recent = GreaterOrEqual(key, oldest)");
		ms_say(b, "near = And(seen, recent)");
	}
	ms_number(b, "hidden", g->type, g->type == QEFF_GRAPH_F16 ? -65504 : HIDDEN);
	ms_say(b, "masked = Where(%s, %s, hidden)", window > 0 ? "near" : "seen", scores);
}

void ms_group_query_attention(struct ms_body *b)
{
	float scale = ms_float(b, "scale", 0), cap = ms_float(b, "softcap", 0);
	const bool interleaved = ms_int(b, "rotary_interleaved", 0);
	const bool turns = ms_int(b, "do_rotary", 0);
	int64_t rotary_dim;
	struct groups g;

	if (!look(b, &g))
		return;
	ms_number(b, "zero", g.type, 0);
	say_heads(b, &g);
	say_places(b, &g);
	if (turns) {
		MS_INTS(b, "begin/dims", g.batch, 1);
		ms_say(b, "begin/down = Reshape(begin, begin/dims)");
		ms_say(b, "positions = Add(begin/down, row)");
		if (!say_tables(b, "positions", 7, g.dim, &rotary_dim))
			return;
		ms_rotate(b, "q", "q_heads", g.dim, rotary_dim, interleaved);
		ms_rotate(b, "k_turned", "k_heads", g.dim, rotary_dim, interleaved);
	} else {
		ms_say(b, "q = Identity(q_heads)");
		ms_say(b, "k_turned = Identity(k_heads)");
	}
	say_present(b, &g, "k", "k_turned");
	say_present(b, &g, "v", "v_heads");
	MS_INTS(b, "group/axis", 2);
	MS_INTS(b, "group/dims", g.batch, g.groups, g.heads / g.groups, g.keys, g.dim);
	MS_INTS(b, "heads/dims", g.batch, g.heads, g.keys, g.dim);
	say_shared(b, &g, "k");
	say_shared(b, &g, "v");
	ms_number(b, "scale", g.type, scale != 0 ? (double)scale : 1 / sqrt((double)g.dim));
	ms_say(b, "k/turned = Transpose(k) perm=[0,1,3,2]");
	ms_say(b, "products = MatMul(q, k/turned)");
	ms_say(b, "scaled = Mul(products, scale)");
	if (cap > 0) {
		ms_number(b, "cap", g.type, cap);
		ms_say(b, "ratio = Div(scaled, cap)");
		ms_say(b, "bent = Tanh(ratio)");
		ms_say(b, "capped = Mul(bent, cap)");
	}
	say_masked(b, &g, cap > 0 ? "capped" : "scaled");
	if (ms_int(b, "smooth_softmax", -1) == 1) { /* one more score, of 0, without a value */
		MS_INTS(b, "smooth/dims", g.batch, g.heads, g.seq, 1);
		ms_say(b, "smooth = Expand(zero, smooth/dims)");
		ms_say(b, "with_smooth = Concat(masked, smooth) axis=-1");
		ms_say(b, "all_shares = Softmax(with_smooth) axis=-1");
		say_columns(b, "shares", "all_shares", 0, g.keys, 1);
	} else {
		ms_say(b, "shares = Softmax(masked) axis=-1");
	}
	ms_say(b, "mixed = MatMul(shares, v)");
	ms_join_heads(b, "mixed", g.batch, g.seq, g.heads * g.dim);
}
