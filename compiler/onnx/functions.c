/* SPDX-License-Identifier: MIT */
/*
 * The meaning of the qeff domain in terms of ONNX. Names in the bodies: pos, a row's position (-1:
 * dead); one, two,
 * ...: constants. A dead query row of Attention sees no key; its result is finite and means
 * nothing.
 */
#include "onnx/functions.h"

#include <string.h>

#define BODY(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* [B,S] positions -> [B,S,1] f32 with 1 at live rows */
#define LIVE_ROWS                                                                                  \
	"zero = Constant() value_int=0", "live = GreaterOrEqual(pos, zero)",                       \
		"last = Constant() value_ints=[-1]", "live3 = Unsqueeze(live, last)",              \
		"live_f = Cast(live3) to=1"

/* x [B,S,W], index [B,1] -> [B,1,W] */
#define TAKE_ROW                                                                                   \
	"tail = Constant() value_ints=[-1]", "index3 = Unsqueeze(index, tail)",                    \
		"shape = Shape(x)", "first = Constant() value_ints=[0]",                           \
		"third = Constant() value_ints=[2]", "batch = Gather(shape, first)",               \
		"width = Gather(shape, third)", "single = Constant() value_ints=[1]",              \
		"wide = Concat(batch, single, width) axis=0", "index_w = Expand(index3, wide)",    \
		"row = GatherElements(x, index_w) axis=1"

#define LAST_INDEX "pos_i32 = Cast(pos) to=6", "index = ArgMax(pos_i32) axis=1 keepdims=1"

/* scores [B,G,H/G,S,T] without positions */
#define SCORES                                                                                     \
	"qshape = Shape(q)", "kshape = Shape(k)", "i0 = Constant() value_ints=[0]",                \
		"i1 = Constant() value_ints=[1]", "i2 = Constant() value_ints=[2]",                \
		"i3 = Constant() value_ints=[3]", "minus = Constant() value_ints=[-1]",            \
		"b = Gather(qshape, i0)", "h = Gather(qshape, i1)", "s = Gather(qshape, i2)",      \
		"d = Gather(qshape, i3)", "g = Gather(kshape, i1)",                                \
		"grouped = Concat(b, g, minus, s, d) axis=0", "q5 = Reshape(q, grouped)",          \
		"k5 = Unsqueeze(k, i2)", "v5 = Unsqueeze(v, i2)",                                  \
		"kt = Transpose(k5) perm=[0,1,2,4,3]", "raw = MatMul(q5, kt)",                     \
		"factor = Constant() value_float=@scale", "scaled = Mul(raw, factor)"

#define CAP                                                                                        \
	"cap = Constant() value_float=@softcap", "tiny = Constant() value_float=0.000001",         \
		"safe_cap = Max(cap, tiny)", "ratio = Div(scaled, safe_cap)",                      \
		"bent = Tanh(ratio)", "capped = Mul(bent, safe_cap)",                              \
		"zero_f = Constant() value_float=0.0", "has_cap = Greater(cap, zero_f)",           \
		"unbiased = Where(has_cap, capped, scaled)"

/* positions of keys, kpos [B,T], and queries against each other */
#define DISTANCES                                                                                  \
	"key_axes = Constant() value_ints=[1,2,3]", "query_axes = Constant() value_ints=[1,2,4]",  \
		"kp = Unsqueeze(kpos, key_axes)", "qp = Unsqueeze(pos, query_axes)",               \
		"zero = Constant() value_int=0", "alive = GreaterOrEqual(kp, zero)"

/* bias [H,R]: each head's number for the distance, or (bias_zero -1) for the key */
#define BIAS                                                                                       \
	"distance = Sub(kp, qp)", "origin = Constant() value_int=@bias_zero",                      \
		"by_distance = Add(distance, origin)", "by_key = Less(origin, zero)",              \
		"column = Where(by_key, kp, by_distance)", "bias_dims = Shape(bias)",              \
		"columns = Gather(bias_dims, i1)", "most = Sub(columns, i1)",                      \
		"not_left = Max(column, zero)", "at = Min(not_left, most)",                        \
		"by_head = Gather(bias, at) axis=1",                                               \
		"by_entry = Transpose(by_head) perm=[1,0,2,3,4,5]", "t = Gather(kshape, i2)",      \
		"bias_shape = Concat(b, g, minus, s, t) axis=0",                                   \
		"bias5 = Reshape(by_entry, bias_shape)", "scores = Add(unbiased, bias5)"

/* rows [B,H,S,T] of the embeddings of distances, and these turned, [H,D,R] */
#define RELATIVE_ROWS                                                                              \
	"distance = Sub(kp, qp)", "bucket_dims = Shape(buckets)", "last = Sub(bucket_dims, i1)",   \
		"origin = Div(last, i2)", "column = Add(distance, origin)",                        \
		"not_left = Max(column, zero)", "at = Min(not_left, last)",                        \
		"row_f = Gather(buckets, at)", "row5 = Cast(row_f) to=7",                          \
		"row4 = Squeeze(row5, i1)", "t = Gather(kshape, i2)",                              \
		"full = Concat(b, h, s, t) axis=0", "row = Expand(row4, full)",                    \
		"split = Concat(minus, h, d) axis=0"
#define FROM_QUERIES                                                                               \
	"rk3 = Reshape(rk, split)", "rkt = Transpose(rk3) perm=[1,2,0]",                           \
		"c2p_all = MatMul(q, rkt)", "c2p = GatherElements(c2p_all, row) axis=3"
#define FROM_KEYS                                                                                  \
	"rq3 = Reshape(rq, split)", "rqt = Transpose(rq3) perm=[1,2,0]",                           \
		"p2c_all = MatMul(k, rqt)", "row_t = Transpose(row) perm=[0,1,3,2]",               \
		"p2c_t = GatherElements(p2c_all, row_t) axis=3",                                   \
		"p2c = Transpose(p2c_t) perm=[0,1,3,2]"
#define DISENTANGLED                                                                               \
	"grouped_t = Concat(b, h, i1, s, t) axis=0", "related5 = Reshape(related, grouped_t)",     \
		"bias5 = Mul(related5, factor)", "scores = Add(scaled, bias5)",                    \
		"visible = And(alive, alive)"

#define SEEN                                                                                       \
	"is_causal = Constant() value_int=@causal", "free = Equal(is_causal, zero)",               \
		"past = LessOrEqual(kp, qp)", "seen_c = Or(past, free)",                           \
		"span = Constant() value_int=@window", "unbounded = Equal(span, zero)",            \
		"oldest = Sub(qp, span)", "newest = Add(qp, span)",                                \
		"recent = Greater(kp, oldest)", "early = Less(kp, newest)",                        \
		"near = And(recent, early)", "seen_w = Or(near, unbounded)",                       \
		"seen = And(seen_c, seen_w)", "visible = And(alive, seen)"

#define MASKED "lowest = Constant() value_float=-1e30", "masked = Where(visible, scores, lowest)"

/* sinks [H]: a score of no key, which takes its share */
#define SHARES_BESIDE_SINKS                                                                        \
	"sink_dims = Concat(i1, g, minus, i1, i1) axis=0", "sink5 = Reshape(sinks, sink_dims)",    \
		"sink_rows = Concat(b, i1, i1, s, i1) axis=0", "sink = Expand(sink5, sink_rows)",  \
		"with_sink = Concat(masked, sink) axis=-1",                                        \
		"all_shares = Softmax(with_sink) axis=-1", "t = Gather(kshape, i2)",               \
		"weights = Slice(all_shares, i0, t, minus)"

#define WEIGHTED                                                                                   \
	"mixed = MatMul(weights, v5)", "ungrouped = Concat(b, h, s, minus) axis=0",                \
		"y = Reshape(mixed, ungrouped)"

#define MIX MASKED, "weights = Softmax(masked) axis=-1", WEIGHTED

/* x [B,H,S,D], columns [0, rotary) of heads, what is behind them, and the rows' cosines and sines
 */
#define ROTARY_PARTS                                                                               \
	"zero = Constant() value_int=0", "at = Max(pos, zero)", "cos_s = Gather(cos, at)",         \
		"sin_s = Gather(sin, at)", "i1 = Constant() value_ints=[1]",                       \
		"c = Unsqueeze(cos_s, i1)", "s = Unsqueeze(sin_s, i1)", "table = Shape(cos)",      \
		"half = Gather(table, i1)", "rotary = Add(half, half)",                            \
		"i0 = Constant() value_ints=[0]", "axis = Constant() value_ints=[3]",              \
		"huge = Constant() value_ints=[9223372036854775807]",                              \
		"rest = Slice(x, rotary, huge, axis)"

/* of routes [B,S,2k] the numbers of experts, [B,S,k]; of w [E*N,K] the matrices of each row's */
#define CHOSEN                                                                                     \
	"i0 = Constant() value_ints=[0]", "i1 = Constant() value_ints=[1]",                        \
		"i2 = Constant() value_ints=[2]", "i4 = Constant() value_ints=[4]",                \
		"minus = Constant() value_ints=[-1]", "route_dims = Shape(routes)",                \
		"b = Gather(route_dims, i0)", "s = Gather(route_dims, i1)",                        \
		"both = Gather(route_dims, i2)", "k = Div(both, i2)",                              \
		"numbers = Slice(routes, i0, k, i2)", "ids = Cast(numbers) to=7",                  \
		"count = Constant() value_int=@experts", "experts = Unsqueeze(count, i0)",         \
		"w_dims = Shape(w)", "inputs = Gather(w_dims, i1)",                                \
		"w3_dims = Concat(experts, minus, inputs) axis=0", "w3 = Reshape(w, w3_dims)",     \
		"matrices = Gather(w3, ids)"
#define SHARED "x_axes = Constant() value_ints=[2,4]", "x5 = Unsqueeze(x, x_axes)"
#define OWN                                                                                        \
	"x4_dims = Concat(b, s, k, minus) axis=0", "x4 = Reshape(x, x4_dims)",                     \
		"x5 = Unsqueeze(x4, i4)"
#define PRODUCTS "y5 = MatMul(matrices, x5)", "y4 = Squeeze(y5, i4)"
#define BIASED	 "biases = Gather(bias, ids)", "sum = Add(y4, biases)"
#define SPREAD	 "y_dims = Concat(b, s, minus) axis=0"

/* cache, positions and update of a CtxScatter up to the batch entry's slot, "batch" [B]; one
 * position more than the cache has catches the dead rows */
#define SCATTER_WHERE                                                                              \
	"shape = Shape(cache)", "n0 = Constant() value_int=0", "n1 = Constant() value_int=1",      \
		"n2 = Constant() value_int=2", "slots = Gather(shape, n0)",                        \
		"heads = Gather(shape, n1)", "length = Gather(shape, n2)",                         \
		"i0 = Constant() value_ints=[0]", "i1 = Constant() value_ints=[1]",                \
		"i2 = Constant() value_ints=[2]", "i3 = Constant() value_ints=[3]",                \
		"sv = Gather(shape, i0)", "hv = Gather(shape, i1)", "lv = Gather(shape, i2)",      \
		"dv = Gather(shape, i3)", "spare_shape = Concat(sv, hv, i1, dv) axis=0",           \
		"nought = Constant() value_float=0.0", "spare = Expand(nought, spare_shape)",      \
		"longer = Concat(cache, spare) axis=2", "dead = Less(pos, n0)",                    \
		"at = Where(dead, length, pos)", "pshape = Shape(pos)", "bv = Gather(pshape, i0)", \
		"rv = Gather(pshape, i1)", "b0 = Gather(pshape, n0)",                              \
		"full = Concat(bv, hv, rv, i1) axis=0"

/* the slot of each batch entry is there: write */
#define SCATTER_WRITE                                                                              \
	"head = Range(n0, heads, n1)", "batch_axes = Constant() value_ints=[1,2,3]",               \
		"head_axes = Constant() value_ints=[0,2,3]",                                       \
		"at_axes = Constant() value_ints=[1,3]", "batch4 = Unsqueeze(batch, batch_axes)",  \
		"head4 = Unsqueeze(head, head_axes)", "at4 = Unsqueeze(at, at_axes)",              \
		"bi = Expand(batch4, full)", "hi = Expand(head4, full)", "pi = Expand(at4, full)", \
		"where = Concat(bi, hi, pi) axis=-1",                                              \
		"written = ScatterND(longer, where, update)", "y = Slice(written, i0, lv, i2)"

#define GATHER_SLOTS                                                                               \
	"column = Constant() value_ints=[1]", "slot = Squeeze(index, column)",                     \
		"rows = Gather(cache, slot) axis=0"

/* as many positions as @length has elements */
#define GATHER_FIRST                                                                               \
	"n = Shape(length)", "from = Constant() value_ints=[0]",                                   \
		"axis = Constant() value_ints=[2]", "y = Slice(rows, from, n, axis)"

/* key t of a cache has position t: kpos [1,T] */
#define CACHE_POSITIONS                                                                            \
	"cache = Shape(k)", "ti = Constant() value_int=2", "length = Gather(cache, ti)",           \
		"from = Constant() value_int=0", "step = Constant() value_int=1",                  \
		"range = Range(from, length, step)", "front = Constant() value_ints=[0]",          \
		"kpos = Unsqueeze(range, front)"

/* of logits x [B,1,V] the @most highest: which of them stay, by temperature, top k, top p, min p */
#define CANDIDATES                                                                                 \
	"nothing = Constant() value_float=0.0", "unit = Constant() value_float=1.0",               \
		"zero = Constant() value_int=0", "one = Constant() value_int=1",                   \
		"rows = Squeeze(x, n1)", "cold = Equal(t, nothing)",                               \
		"safe = Where(cold, unit, t)", "hot = Div(rows, safe)",                            \
		"values,ids = TopK(hot, most)", "end = Squeeze(most)",                             \
		"rank = Range(zero, end, one)", "k64 = Cast(k) to=7", "few = Less(k64, one)",      \
		"many = Greater(k64, end)", "off = Or(few, many)",                                 \
		"kept_k = Where(off, end, k64)", "in_k = Less(rank, kept_k)",                      \
		"lowest = Constant() value_float=-3.4e38", "left = Where(in_k, values, lowest)",   \
		"p = Softmax(left) axis=-1", "behind = CumSum(p, one) reverse=1",                  \
		"spare = Sub(unit, tp)", "out_p = LessOrEqual(behind, spare)",                     \
		"largest = ReduceMax(p, n1) keepdims=1", "least = Mul(mp, largest)",               \
		"out_m = Less(p, least)", "out = Or(out_p, out_m)", "stays = Not(out)",            \
		"first = Equal(rank, zero)", "either = Or(first, stays)",                          \
		"kept = And(either, in_k)"

#define MARK_NAMES                                                                                 \
	"i0 = Constant() value_ints=[0]", "i1 = Constant() value_ints=[1]",                        \
		"zero = Constant() value_int=0", "unit = Constant() value_float=1.0"

/* flags [N,V], whose rows "batch" [B] are those of the sequences: without what a sequence had that
 * begins, with its tokens; one column and one row more catch what is no token and who is dead */
#define MARK_ROWS                                                                                  \
	"dims = Shape(flags)", "slots = Gather(dims, i0)", "columns = Gather(dims, i1)",           \
		"live = GreaterOrEqual(pos, zero)", "live_f = Cast(live) to=1",                    \
		"lives_f = ReduceMax(live_f, i1) keepdims=0", "lives = Cast(lives_f) to=9",        \
		"begins = Equal(pos, zero)", "begins_f = Cast(begins) to=1",                       \
		"new_f = ReduceMax(begins_f, i1) keepdims=1", "old_f = Sub(unit, new_f)",          \
		"before = Cast(flags) to=1", "rows = Gather(before, batch)",                       \
		"kept = Mul(rows, old_f)", "spare = Sub(old_f, old_f)",                            \
		"longer = Concat(kept, spare) axis=1", "pdims = Shape(pos)",                       \
		"tokens = Gather(pdims, i1)", "single = Equal(tokens, i1)",                        \
		"only = Constant() value_int=@decode", "any = Equal(only, zero)",                  \
		"counts = Or(single, any)", "not_low = GreaterOrEqual(ids, zero)",                 \
		"not_high = Less(ids, columns)", "token = And(not_low, not_high)",                 \
		"meant = And(token, live)", "sets = And(meant, counts)",                           \
		"at = Where(sets, ids, columns)", "dead_f = Sub(unit, live_f)",                    \
		"ones = Add(live_f, dead_f)", "marked = ScatterElements(longer, at, ones) axis=1", \
		"row = Slice(marked, i0, columns, i1)", "place = Where(lives, batch, slots)",      \
		"places = Unsqueeze(place, i1)", "extra = Slice(before, i0, i1, i0)",              \
		"more = Concat(before, extra) axis=0", "written = ScatterND(more, places, row)",   \
		"those = Slice(written, i0, slots, i0)", "y = Cast(those) to=9"

#define OWN_FLAGS "rep_rows = Identity(rep)", "pres_rows = Identity(pres)"
#define SLOT_FLAGS                                                                                 \
	"slot = Squeeze(index, i1)", "rep_rows = Gather(rep, slot)",                               \
		"pres_rows = Gather(pres, slot)"
#define OPEN_BY_MASKS                                                                              \
	"mask = Unsqueeze(masks, i1)", "closed = Constant() value_float=-65504.0",                 \
		"open = Where(mask, x, closed)"
#define PENALTIES                                                                                  \
	"r = Unsqueeze(rep_rows, i1)", "factor = Unsqueeze(factors, i1)",                          \
		"nothing = Constant() value_float=0.0", "above = Greater(open, nothing)",          \
		"down = Div(open, factor)", "up = Mul(open, factor)",                              \
		"bent = Where(above, down, up)", "repeated = Where(r, bent, open)",                \
		"p = Unsqueeze(pres_rows, i1)", "off = Unsqueeze(less, i1)",                       \
		"lower = Sub(repeated, off)", "y = Where(p, lower, repeated)"

static const struct qeff_onnx_function functions[] = {
	{ "MaskToPositions", "mask", "",
	  BODY("zero = Constant() value_int=0", "live = Greater(mask, zero)",
	       "ones = Cast(live) to=7", "axis = Constant() value_int=1",
	       "count = CumSum(ones, axis)", "one = Constant() value_int=1",
	       "index = Sub(count, one)", "dead = Constant() value_int=-1",
	       "pos = Where(live, index, dead)") },
	{ "MaskToColumns", "mask", "",
	  BODY("zero = Constant() value_int=0", "live = Greater(mask, zero)",
	       "ones = Cast(live) to=7", "all = Mul(ones, zero)", "one = Constant() value_int=1",
	       "unit = Add(all, one)", "axis = Constant() value_int=1",
	       "count = CumSum(unit, axis)", "index = Sub(count, one)",
	       "dead = Constant() value_int=-1", "pos = Where(live, index, dead)") },
	{ "RMSNorm", "x weight", "epsilon",
	  BODY("square = Mul(x, x)", "last = Constant() value_ints=[-1]",
	       "mean = ReduceMean(square, last) keepdims=1",
	       "eps = Constant() value_float=@epsilon", "variance = Add(mean, eps)",
	       "deviation = Sqrt(variance)", "normal = Div(x, deviation)",
	       "y = Mul(normal, weight)") },
	{ "RotaryEmbedding", "x pos cos sin", "",
	  BODY(ROTARY_PARTS, "x1 = Slice(x, i0, half, axis)", "x2 = Slice(x, half, rotary, axis)",
	       "x1c = Mul(x1, c)", "x2s = Mul(x2, s)", "x2c = Mul(x2, c)", "x1s = Mul(x1, s)",
	       "y1 = Sub(x1c, x2s)", "y2 = Add(x2c, x1s)", "y = Concat(y1, y2, rest) axis=-1") },
	{ "InterleavedRotaryEmbedding", "x pos cos sin", "",
	  BODY(ROTARY_PARTS, "two = Constant() value_ints=[2]",
	       "turned = Slice(x, i0, rotary, axis)", "x1 = Slice(turned, i0, huge, axis, two)",
	       "x2 = Slice(turned, i1, huge, axis, two)", "x1c = Mul(x1, c)", "x2s = Mul(x2, s)",
	       "x2c = Mul(x2, c)", "x1s = Mul(x1, s)", "y1 = Sub(x1c, x2s)", "y2 = Add(x2c, x1s)",
	       "pair = Constant() value_ints=[4]", "y1p = Unsqueeze(y1, pair)",
	       "y2p = Unsqueeze(y2, pair)", "pairs = Concat(y1p, y2p) axis=-1",
	       "flat = Constant() value_ints=[0,0,0,-1]", "y12 = Reshape(pairs, flat)",
	       "y = Concat(y12, rest) axis=-1") },
	{ "Attention", "q k v pos kpos", "scale causal window softcap",
	  BODY(SCORES, CAP, "scores = Identity(unbiased)", DISTANCES, SEEN, MIX) },
	{ "SinkAttention", "q k v pos kpos none sinks", "scale causal window softcap",
	  BODY(SCORES, CAP, "scores = Identity(unbiased)", DISTANCES, SEEN, MASKED,
	       SHARES_BESIDE_SINKS, WEIGHTED) },
	{ "CachedSinkAttention", "q k v pos none nothing sinks", "scale causal window softcap",
	  BODY(CACHE_POSITIONS, SCORES, CAP, "scores = Identity(unbiased)", DISTANCES, SEEN, MASKED,
	       SHARES_BESIDE_SINKS, WEIGHTED) },
	{ "DequantizeMXFP4", "blocks scales", "",
	  BODY("bytes = Cast(blocks) to=7", "sixteen = Constant() value_int=16",
	       "high = Div(bytes, sixteen)", "above = Mul(high, sixteen)",
	       "low = Sub(bytes, above)", "last = Constant() value_ints=[-1]",
	       "low1 = Unsqueeze(low, last)", "high1 = Unsqueeze(high, last)",
	       "codes = Concat(low1, high1) axis=-1",
	       "halves = Constant() "
	       "value_ints=[0,1,2,3,4,6,8,12,0,-1,-2,-3,-4,-6,-8,-12]",
	       "twice_i = Gather(halves, codes)", "twice = Cast(twice_i) to=1",
	       "half = Constant() value_float=0.5", "elements = Mul(twice, half)",
	       "biased = Cast(scales) to=1", "bias = Constant() value_float=127",
	       "exponents = Sub(biased, bias)", "two = Constant() value_float=2",
	       "powers = Pow(two, exponents)", "most = Constant() value_float=254",
	       "none = Greater(biased, most)", "nan = Constant() value_float=nan",
	       "scale = Where(none, nan, powers)", "ends = Constant() value_ints=[-1,-2]",
	       "scale3 = Unsqueeze(scale, ends)", "numbers = Mul(elements, scale3)",
	       "dims = Shape(scales)", "front = Constant() value_ints=[0]",
	       "outer = Slice(dims, front, last)", "full = Concat(outer, last) axis=0",
	       "y = Reshape(numbers, full)") },
	{ "Route", "scores", "top_k all",
	  BODY("top = Constant() value_int=@top_k", "first = Constant() value_ints=[0]",
	       "k = Unsqueeze(top, first)", "values,indices = TopK(scores, k)",
	       "of_few = Softmax(values) axis=-1", "shares = Softmax(scores) axis=-1",
	       "of_all = GatherElements(shares, indices) axis=-1",
	       "is_all = Constant() value_int=@all", "zero = Constant() value_int=0",
	       "few = Equal(is_all, zero)", "weights = Where(few, of_few, of_all)",
	       "numbers = Cast(indices) to=1", "y = Concat(numbers, weights) axis=-1") },
	{ "Experts", "x routes w", "experts",
	  BODY(CHOSEN, OWN, PRODUCTS, SPREAD, "y = Reshape(y4, y_dims)") },
	{ "SharedExperts", "x routes w", "experts",
	  BODY(CHOSEN, SHARED, PRODUCTS, SPREAD, "y = Reshape(y4, y_dims)") },
	{ "BiasedExperts", "x routes w bias", "experts",
	  BODY(CHOSEN, OWN, PRODUCTS, BIASED, SPREAD, "y = Reshape(sum, y_dims)") },
	{ "SharedBiasedExperts", "x routes w bias", "experts",
	  BODY(CHOSEN, SHARED, PRODUCTS, BIASED, SPREAD, "y = Reshape(sum, y_dims)") },
	{ "Mix", "x routes", "",
	  BODY("i0 = Constant() value_ints=[0]", "i1 = Constant() value_ints=[1]",
	       "i2 = Constant() value_ints=[2]", "minus = Constant() value_ints=[-1]",
	       "route_dims = Shape(routes)", "b = Gather(route_dims, i0)",
	       "s = Gather(route_dims, i1)", "both = Gather(route_dims, i2)", "k = Div(both, i2)",
	       "weights = Slice(routes, k, both, i2)", "weights4 = Unsqueeze(weights, i2)",
	       "x4_dims = Concat(b, s, k, minus) axis=0", "x4 = Reshape(x, x4_dims)",
	       "y4 = MatMul(weights4, x4)", "y = Squeeze(y4, i2)") },
	{ "BiasedAttention", "q k v pos kpos bias", "scale causal window softcap bias_zero",
	  BODY(SCORES, CAP, DISTANCES, BIAS, SEEN, MIX) },
	{ "CachedBiasedAttention", "q k v pos none bias", "scale causal window softcap bias_zero",
	  BODY(CACHE_POSITIONS, SCORES, CAP, DISTANCES, BIAS, SEEN, MIX) },
	{ "DisentangledAttention", "q k v pos kpos buckets rk rq", "scale",
	  BODY(SCORES, DISTANCES, RELATIVE_ROWS, FROM_QUERIES, FROM_KEYS, "related = Add(c2p, p2c)",
	       DISENTANGLED, MIX) },
	{ "QueryDisentangledAttention", "q k v pos kpos buckets rk", "scale",
	  BODY(SCORES, DISTANCES, RELATIVE_ROWS, FROM_QUERIES, "related = Identity(c2p)",
	       DISENTANGLED, MIX) },
	{ "KeyDisentangledAttention", "q k v pos kpos buckets none rq", "scale",
	  BODY(SCORES, DISTANCES, RELATIVE_ROWS, FROM_KEYS, "related = Identity(p2c)", DISENTANGLED,
	       MIX) },
	{ "CachedAttention", "q k v pos", "scale causal window softcap",
	  BODY(CACHE_POSITIONS, SCORES, CAP, "scores = Identity(unbiased)", DISTANCES, SEEN, MIX) },
	{ "CtxScatter", "cache pos update", "",
	  BODY(SCATTER_WHERE, "batch = Range(n0, b0, n1)", SCATTER_WRITE) },
	{ "CtxScatterCB", "cache pos update index", "",
	  BODY(SCATTER_WHERE, "column = Constant() value_ints=[1]",
	       "batch = Squeeze(index, column)", SCATTER_WRITE) },
	{ "CtxGather", "cache", "", BODY("y = Identity(cache)") },
	{ "CtxGatherCB", "cache index", "", BODY(GATHER_SLOTS, "y = Identity(rows)") },
	{ "CtxGatherCCL", "cache none length", "", BODY("rows = Identity(cache)", GATHER_FIRST) },
	{ "CtxGatherCBCCL", "cache index length", "", BODY(GATHER_SLOTS, GATHER_FIRST) },
	{ "LastToken", "x pos", "", BODY(LAST_INDEX, TAKE_ROW) },
	{ "LastTokens", "x pos keep", "",
	  BODY(LAST_INDEX, "n = Shape(keep)", "i0 = Constant() value_ints=[0]",
	       "i1 = Constant() value_ints=[1]", "i2 = Constant() value_ints=[2]",
	       "count = Gather(n, i0)", "before = Sub(index, count)", "start = Add(before, i1)",
	       "c0 = Max(start, i0)", "nought = Constant() value_int=0",
	       "single = Constant() value_int=1", "length = Squeeze(count)",
	       "steps = Range(nought, length, single)", "rows = Add(c0, steps)",
	       "rows3 = Unsqueeze(rows, i2)", "shape = Shape(x)", "batch = Gather(shape, i0)",
	       "width = Gather(shape, i2)", "wide = Concat(batch, count, width) axis=0",
	       "where = Expand(rows3, wide)", "y = GatherElements(x, where) axis=1") },
	{ "SequenceGather", "table ids pos", "",
	  BODY("rows = Gather(table, ids)", "shape = Shape(pos)",
	       "single = Constant() value_ints=[1]", "full = Concat(shape, single) axis=0",
	       "y = Expand(rows, full)") },
	{ "Sample", "x t k tp mp u", "",
	  BODY("n1 = Constant() value_ints=[1]", "u_dims = Shape(u)", "most = Gather(u_dims, n1)",
	       CANDIDATES, "n2 = Constant() value_ints=[2]", "last = Constant() value_ints=[-1]",
	       "front = Constant() value_ints=[-9223372036854775807]",
	       "back = Slice(u, last, front, n1, last)", "l1 = Log(back)", "l2 = Neg(l1)",
	       "l3 = Log(l2)", "noise = Neg(l3)", "drawn = Add(left, noise)",
	       "final = Where(kept, drawn, lowest)",
	       "pick = ArgMax(final) axis=1 keepdims=1 select_last_index=1",
	       "taken = Where(cold, zero, pick)", "token = GatherElements(ids, taken) axis=1",
	       "y = Unsqueeze(token, n2)") },
	{ "Probabilities", "x t k tp mp", "candidates",
	  BODY("n1 = Constant() value_ints=[1]", "n0 = Constant() value_ints=[0]",
	       "number = Constant() value_int=@candidates", "most = Unsqueeze(number, n0)",
	       CANDIDATES, "final = Where(kept, left, lowest)", "shares = Softmax(final) axis=-1",
	       "dims = Shape(rows)", "none = Expand(nothing, dims)",
	       "spread = ScatterElements(none, ids, shares) axis=1", "y = Unsqueeze(spread, n1)") },
	{ "Mark", "flags pos ids", "decode",
	  BODY(MARK_NAMES, "pdims0 = Shape(pos)", "n0 = Constant() value_int=0",
	       "entries = Gather(pdims0, n0)", "n1 = Constant() value_int=1",
	       "batch = Range(n0, entries, n1)", MARK_ROWS) },
	{ "MarkCB", "flags pos ids index", "decode",
	  BODY(MARK_NAMES, "batch = Squeeze(index, i1)", MARK_ROWS) },
	{ "Penalise", "x rep pres factors less", "",
	  BODY("i1 = Constant() value_ints=[1]", OWN_FLAGS, "open = Identity(x)", PENALTIES) },
	{ "PenaliseCB", "x rep pres factors less index", "",
	  BODY("i1 = Constant() value_ints=[1]", SLOT_FLAGS, "open = Identity(x)", PENALTIES) },
	{ "PenaliseMasked", "x rep pres factors less none masks", "",
	  BODY("i1 = Constant() value_ints=[1]", OWN_FLAGS, OPEN_BY_MASKS, PENALTIES) },
	{ "PenaliseMaskedCB", "x rep pres factors less index masks", "",
	  BODY("i1 = Constant() value_ints=[1]", SLOT_FLAGS, OPEN_BY_MASKS, PENALTIES) },
	{ "PoolMean", "x pos", "",
	  BODY(LIVE_ROWS, "kept = Mul(x, live_f)", "one = Constant() value_ints=[1]",
	       "sum = ReduceSum(kept, one) keepdims=0", "count = ReduceSum(live_f, one) keepdims=0",
	       "least = Constant() value_float=0.000000001", "n = Max(count, least)",
	       "y = Div(sum, n)") },
	{ "PoolMax", "x pos", "",
	  BODY(LIVE_ROWS, "lowest = Constant() value_float=-3.4e38",
	       "kept = Where(live3, x, lowest)", "one = Constant() value_ints=[1]",
	       "y = ReduceMax(kept, one) keepdims=0") },
	{ "PoolCls", "x pos", "",
	  BODY("origin = Constant() value_int=0", "is_first = Equal(pos, origin)",
	       "first_i = Cast(is_first) to=6", "index = ArgMax(first_i) axis=1 keepdims=1",
	       TAKE_ROW, "y = Squeeze(row, single)") },
	{ "PoolLast", "x pos", "", BODY(LAST_INDEX, TAKE_ROW, "y = Squeeze(row, single)") },
	{ "L2Normalize", "x", "epsilon",
	  BODY("last = Constant() value_ints=[-1]", "norm = ReduceL2(x, last) keepdims=1",
	       "eps = Constant() value_float=@epsilon", "n = Max(norm, eps)", "y = Div(x, n)") },
};

const struct qeff_onnx_function *qeff_onnx_function_for(const struct qeff_node *node)
{
	const char *name = node->op_type;

	if (!strcmp(name, "Attention")) {
		bool cached = !qeff_node_input(node, 4);

		if (qeff_node_input(node, 5) && qeff_node_input(node, 6))
			return NULL;
		if (qeff_node_input(node, 6))
			name = cached ? "CachedSinkAttention" : "SinkAttention";
		else if (qeff_node_input(node, 5))
			name = cached ? "CachedBiasedAttention" : "BiasedAttention";
		else if (cached)
			name = "CachedAttention";
	} else if (!strcmp(name, "DisentangledAttention")) {
		if (!qeff_node_input(node, 7))
			name = "QueryDisentangledAttention";
		else if (!qeff_node_input(node, 6))
			name = "KeyDisentangledAttention";
	} else if (!strcmp(name, "Mark") && qeff_node_input(node, 3)) {
		name = "MarkCB";
	} else if (!strcmp(name, "Penalise") && qeff_node_input(node, 6)) {
		name = qeff_node_input(node, 5) ? "PenaliseMaskedCB" : "PenaliseMasked";
	} else if (!strcmp(name, "Penalise") && qeff_node_input(node, 5)) {
		name = "PenaliseCB";
	} else if (!strcmp(name, "CtxScatter") && qeff_node_input(node, 3)) {
		name = "CtxScatterCB";
	} else if (!strcmp(name, "CtxGather") && qeff_node_input(node, 2)) {
		name = qeff_node_input(node, 1) ? "CtxGatherCBCCL" : "CtxGatherCCL";
	} else if (!strcmp(name, "CtxGather") && qeff_node_input(node, 1)) {
		name = "CtxGatherCB";
	} else if (!strcmp(name, "Pool")) {
		const struct qeff_attribute *mode = qeff_node_attribute(node, "mode");

		if (!mode || mode->kind != QEFF_ATTR_STRING)
			return NULL;
		name = !strcmp(mode->s, "mean")	  ? "PoolMean"
		       : !strcmp(mode->s, "max")  ? "PoolMax"
		       : !strcmp(mode->s, "cls")  ? "PoolCls"
		       : !strcmp(mode->s, "last") ? "PoolLast"
						  : "";
	} else if (!strcmp(name, "RotaryEmbedding") && qeff_node_int(node, "interleaved", 0)) {
		name = "InterleavedRotaryEmbedding";
	} else if (!strcmp(name, "Experts")) {
		bool shared = qeff_node_int(node, "shared", 0);

		if (qeff_node_input(node, 3))
			name = shared ? "SharedBiasedExperts" : "BiasedExperts";
		else if (shared)
			name = "SharedExperts";
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!strcmp(functions[i].name, name))
			return &functions[i];
	return NULL;
}
