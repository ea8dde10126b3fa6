/* SPDX-License-Identifier: MIT */
/* Operators that fold axes: sums and their kin, what normalises, where the largest stand, losses.
 */
#include "lower/plain_words.h"

#include <stdlib.h>
#include <string.h>

#define F32 QEFF_NSP_NUMBER_F32

static uint32_t all_axes(const struct dense_view *view)
{
	return (1u << view->rank) - 1;
}

static int64_t folded(const struct dense_view *view, uint32_t axes)
{
	int64_t count = 1;

	for (uint32_t i = 0; i < view->rank; i++)
		count *= axes >> i & 1 ? view->size[i] : 1;
	return count;
}

static uint32_t axis_of(const struct words *w, const struct dense_view *view, int64_t fallback)
{
	int64_t axis = words_int(w, "axis", fallback);

	/* a view that could not be made has none */
	if (w->rc)
		return 0;
	return (uint32_t)(axis < 0 ? axis + view->rank : axis);
}

/* log(sum(exp(x))), with the largest taken out first. */
static void log_sum_exp(struct words *w, const struct dense_view *x, uint32_t axes,
			const struct dense_view *out)
{
	struct dense_view most = words_reduced(w, out->type, x, axes);
	struct dense_view terms = words_like(w, out->type, x);
	struct dense_view sum = words_reduced(w, out->type, x, axes), flat;
	uint8_t number = dense_number(out->type);

	words_reduce(w, number, QEFF_NSP_FOLD_MAX, "a", x, axes, &most);
	WORDS_MAP(w, number, "a b isinf 0 b ? - exp", NULL, &terms, x, &most);
	words_reduce(w, number, QEFF_NSP_FOLD_SUM, "a", &terms, axes, &sum);
	WORDS_MAP(w, number, "a log b isinf 0 b ? +", NULL, &sum, &sum, &most);
	flat = sum;
	words_reshape(w, &flat, out->rank, out->size);
	words_copy(w, &flat, out);
}

void plain_reduce(struct words *w)
{
	static const struct {
		const char *op, *before;
		uint8_t fold;
		const char *after;
	} kinds[] = {
		{ "ReduceSum", "a", QEFF_NSP_FOLD_SUM, NULL },
		{ "ReduceMean", "a", QEFF_NSP_FOLD_SUM, "a p0 /" },
		{ "ReduceProd", "a", QEFF_NSP_FOLD_PRODUCT, NULL },
		{ "ReduceMax", "a", QEFF_NSP_FOLD_MAX, NULL },
		{ "ReduceMin", "a", QEFF_NSP_FOLD_MIN, NULL },
		{ "ReduceL1", "a abs", QEFF_NSP_FOLD_SUM, NULL },
		{ "ReduceL2", "a a *", QEFF_NSP_FOLD_SUM, "a sqrt" },
		{ "ReduceSumSquare", "a a *", QEFF_NSP_FOLD_SUM, NULL },
		{ "ReduceLogSum", "a", QEFF_NSP_FOLD_SUM, "a log" },
	};
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), sum;
	uint8_t number = dense_number(x.type);
	uint32_t axes = 0;
	double count;

	if (!w->rc)
		w->rc = qeff_op_axes(w->node, 1,
				     words_int(w, "noop_with_empty_axes", 0) ? 0 : all_axes(&x),
				     &axes, w->s->err);
	if (qeff_node_is(w->node, "ReduceLogSumExp")) {
		log_sum_exp(w, &x, axes, &out);
		return;
	}
	count = (double)folded(&x, axes);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!qeff_node_is(w->node, kinds[i].op))
			continue;
		if (!kinds[i].after) {
			words_reduce(w, number, kinds[i].fold, kinds[i].before, &x, axes, &out);
			return;
		}
		/* sums of halves do not fit in halves */
		sum = words_like(w, number == F32 ? QEFF_NSP_F32 : out.type, &out);
		words_reduce(w, number, kinds[i].fold, kinds[i].before, &x, axes, &sum);
		if (number > QEFF_NSP_NUMBER_F64 && strcmp(kinds[i].op, "ReduceMean"))
			number = QEFF_NSP_NUMBER_F64;
		WORDS_MAP(w, number, kinds[i].after, &count, &out, &sum);
	}
}

void plain_arg(struct words *w)
{
	bool last = words_int(w, "select_last_index", 0), most = qeff_node_is(w->node, "ArgMax");
	struct dense_view x = words_in(w, 0), out = words_out(w, 0);
	uint8_t fold = most ? (last ? QEFF_NSP_FOLD_ARGMAX_LAST : QEFF_NSP_FOLD_ARGMAX)
			    : (last ? QEFF_NSP_FOLD_ARGMIN_LAST : QEFF_NSP_FOLD_ARGMIN);

	words_reduce(w, dense_number(x.type), fold, "a", &x, 1u << axis_of(w, &x, 0), &out);
}

void plain_top_k(struct words *w)
{
	bool smallest = !words_int(w, "largest", 1);
	struct dense_view x = words_in(w, 0);
	uint32_t axis = axis_of(w, &x, -1);

	for (uint32_t i = 0; i < w->node->num_outputs && !w->rc; i++) {
		struct dense_view out = words_out(w, i);

		if (!w->rc)
			w->rc = dense_sort(w->s, w->node, &x, axis, smallest, i == 1, &out);
	}
}

/* A product with a matrix of ones on one side of the diagonal. */
void plain_cum_sum(struct words *w)
{
	bool exclusive = words_int(w, "exclusive", 0), reverse = words_int(w, "reverse", 0);
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), ones;
	int64_t axis = 0, loops[DENSE_MAX_RANK], n, sizes[2];
	uint32_t count;
	uint8_t *table;

	if (!w->rc)
		w->rc = qeff_op_ints(w->node, 1, &axis, 1, &count, w->s->err);
	if (w->rc)
		return;
	axis += axis < 0 ? x.rank : 0;
	n = sizes[0] = sizes[1] = x.size[axis];
	if (n > 4096) {
		words_refuse(w, "sums over at most 4096 elements are possible, not %lld",
			     (long long)n);
		return;
	}
	table = calloc((size_t)(n * n), 1);
	if (!table) {
		w->rc = lower_no_memory(w->s->err);
		return;
	}
	for (int64_t to = 0; to < n; to++)
		for (int64_t from = 0; from < n; from++)
			table[to * n + from] =
				reverse ? from >= to + exclusive : from + exclusive <= to;
	ones = words_constant(w, QEFF_NSP_U8, 2, sizes, table);
	free(table);
	if (w->rc)
		return;
	/* loops: those of out, then the one that is summed */
	memcpy(loops, out.size, sizeof(loops));
	loops[out.rank] = n;
	for (uint32_t i = 0; i < out.rank; i++)
		if (i != (uint32_t)axis)
			dense_insert(&ones, i, loops[i], 0);
	dense_insert(&x, x.rank, n, x.stride[axis]);
	x.size[axis] = n;
	x.stride[axis] = 0;
	WORDS_FOLD(w, dense_number(x.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &out, out.rank + 1,
		   loops, &x, &ones);
}

void plain_log_softmax_of(struct words *w, const struct dense_view *x, uint32_t axis,
			  const struct dense_view *out)
{
	struct dense_view sum = words_reduced(w, QEFF_NSP_F32, x, 1u << axis);

	log_sum_exp(w, x, 1u << axis, &sum);
	WORDS_MAP(w, dense_number(x->type), "a b -", NULL, out, x, &sum);
}

void plain_softmax(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), most, sum, terms;
	uint32_t axis = axis_of(w, &x, -1);
	uint8_t number = dense_number(x.type);
	uint8_t type = number == F32 ? QEFF_NSP_F32 : x.type;

	if (qeff_node_is(w->node, "LogSoftmax")) {
		plain_log_softmax_of(w, &x, axis, &out);
		return;
	}
	most = words_reduced(w, type, &x, 1u << axis);
	sum = words_reduced(w, type, &x, 1u << axis);
	terms = words_like(w, type, &x);
	words_reduce(w, number, QEFF_NSP_FOLD_MAX, "a", &x, 1u << axis, &most);
	WORDS_MAP(w, number, "a b - exp", NULL, &terms, &x, &most);
	words_reduce(w, number, QEFF_NSP_FOLD_SUM, "a", &terms, 1u << axis, &sum);
	WORDS_MAP(w, number, "a b /", NULL, &out, &terms, &sum);
}

void plain_hardmax(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), where, iota;
	uint32_t axis = axis_of(w, &x, -1);

	where = words_reduced(w, QEFF_NSP_I32, &x, 1u << axis);
	iota = words_iota(w, &x, axis);
	words_reduce(w, dense_number(x.type), QEFF_NSP_FOLD_ARGMAX, "a", &x, 1u << axis, &where);
	WORDS_MAP(w, F32, "a b =", NULL, &out, &where, &iota);
}

/* Mean and 1 / sqrt(variance + epsilon) over @axes, which stay as 1. */
static void moments(struct words *w, const struct dense_view *x, uint32_t axes, double epsilon,
		    const struct dense_view *mean, const struct dense_view *inverse)
{
	struct dense_view square = words_like(w, QEFF_NSP_F32, x);
	double params[2] = { (double)folded(x, axes), epsilon };

	words_reduce(w, F32, QEFF_NSP_FOLD_SUM, "a", x, axes, mean);
	WORDS_MAP(w, F32, "a p0 /", params, mean, mean);
	WORDS_MAP(w, F32, "a b - a b - *", NULL, &square, x, mean);
	words_reduce(w, F32, QEFF_NSP_FOLD_SUM, "a", &square, axes, inverse);
	WORDS_MAP(w, F32, "1 a p0 / p1 + sqrt /", params, inverse, inverse);
}

void plain_rms_norm(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), scale = words_in(w, 1);
	uint32_t axes = 1u << axis_of(w, &x, -1);
	double params[2] = { (double)folded(&x, axes), words_float(w, "epsilon", 1e-5) };
	struct dense_view inverse = words_reduced(w, QEFF_NSP_F32, &x, axes);

	words_reduce(w, F32, QEFF_NSP_FOLD_SUM, "a a *", &x, axes, &inverse);
	WORDS_MAP(w, F32, "1 a p0 / p1 + sqrt /", params, &inverse, &inverse);
	WORDS_MAP(w, F32, "a b * c *", NULL, &out, &x, &inverse, &scale);
}

/* A vector for the channels, which are axis 1 of @rank. */
static struct dense_view channels(struct words *w, uint32_t input, uint32_t rank)
{
	struct dense_view view = words_in(w, input);

	for (uint32_t i = 2; i < rank && !w->rc; i++)
		dense_insert(&view, view.rank, 1, 0);
	return view;
}

void plain_layer_norm(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), scale = words_in(w, 1);
	uint32_t axis = axis_of(w, &x, -1), axes = all_axes(&x) & ~((1u << axis) - 1);
	struct dense_view mean, inverse, middle, bias;

	mean = words_wants(w, 1) ? words_out(w, 1) : words_reduced(w, QEFF_NSP_F32, &x, axes);
	inverse = words_wants(w, 2) ? words_out(w, 2) : words_reduced(w, QEFF_NSP_F32, &x, axes);
	moments(w, &x, axes, words_float(w, "epsilon", 1e-5), &mean, &inverse);
	if (!words_has(w, 2)) {
		WORDS_MAP(w, F32, "a b - c * d *", NULL, &out, &x, &mean, &inverse, &scale);
		return;
	}
	bias = words_in(w, 2);
	middle = words_like(w, QEFF_NSP_F32, &x);
	WORDS_MAP(w, F32, "a b - c *", NULL, &middle, &x, &mean, &inverse);
	WORDS_MAP(w, F32, "a b * c +", NULL, &out, &middle, &scale, &bias);
}

void plain_batch_norm(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), mean, inverse, middle;
	struct dense_view scale = channels(w, 1, x.rank), bias = channels(w, 2, x.rank);
	struct dense_view old_mean = channels(w, 3, x.rank), old_var = channels(w, 4, x.rank);
	double params[2] = { words_float(w, "epsilon", 1e-5), words_float(w, "momentum", 0.9) };
	uint32_t axes = all_axes(&x) & ~2u;
	bool training = words_int(w, "training_mode", 0);

	middle = words_like(w, QEFF_NSP_F32, &x);
	inverse = words_reduced(w, QEFF_NSP_F32, &x, axes);
	mean = old_mean;
	if (training) {
		mean = words_reduced(w, QEFF_NSP_F32, &x, axes);
		moments(w, &x, axes, params[0], &mean, &inverse);
	} else {
		WORDS_MAP(w, F32, "1 a p0 + sqrt /", params, &inverse, &old_var);
	}
	WORDS_MAP(w, F32, "a b - c *", NULL, &middle, &x, &mean, &inverse);
	WORDS_MAP(w, F32, "a b * c +", NULL, &out, &middle, &scale, &bias);
	if (words_wants(w, 1)) {
		struct dense_view next = words_out(w, 1);

		words_reshape(w, &mean, 1, next.size);
		words_reshape(w, &old_mean, 1, next.size);
		WORDS_MAP(w, F32, "a p1 * b 1 p1 - * +", params, &next, &old_mean, &mean);
	}
	if (words_wants(w, 2)) {
		struct dense_view next = words_out(w, 2);

		words_reshape(w, &inverse, 1, next.size);
		words_reshape(w, &old_var, 1, next.size);
		WORDS_MAP(w, F32, "a p1 * 1 b b * / p0 - 1 p1 - * +", params, &next, &old_var,
			  &inverse);
	}
}

void plain_instance_norm(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), mean, inverse, middle;
	struct dense_view scale = channels(w, 1, x.rank), bias = channels(w, 2, x.rank);
	uint32_t axes = all_axes(&x) & ~3u;

	mean = words_reduced(w, QEFF_NSP_F32, &x, axes);
	inverse = words_reduced(w, QEFF_NSP_F32, &x, axes);
	middle = words_like(w, QEFF_NSP_F32, &x);
	moments(w, &x, axes, words_float(w, "epsilon", 1e-5), &mean, &inverse);
	WORDS_MAP(w, F32, "a b - c *", NULL, &middle, &x, &mean, &inverse);
	WORDS_MAP(w, F32, "a b * c +", NULL, &out, &middle, &scale, &bias);
}

/* Channels in groups that are normalised together; scale and bias are for groups, or channels. */
void plain_group_norm(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), mean, inverse, middle, grouped;
	int64_t groups = words_int(w, "num_groups", 1), size[DENSE_MAX_RANK], each;
	struct dense_view factors[2];

	if (w->rc)
		return;
	each = x.size[1] / groups;
	size[0] = x.size[0];
	size[1] = groups;
	size[2] = each;
	for (uint32_t i = 2; i < x.rank; i++)
		size[1 + i] = x.size[i];
	grouped = x;
	words_reshape(w, &grouped, x.rank + 1, size);
	words_reshape(w, &out, x.rank + 1, size);
	mean = words_reduced(w, QEFF_NSP_F32, &grouped, all_axes(&grouped) & ~3u);
	inverse = words_reduced(w, QEFF_NSP_F32, &grouped, all_axes(&grouped) & ~3u);
	middle = words_like(w, QEFF_NSP_F32, &grouped);
	moments(w, &grouped, all_axes(&grouped) & ~3u, words_float(w, "epsilon", 1e-5), &mean,
		&inverse);
	WORDS_MAP(w, F32, "a b - c *", NULL, &middle, &grouped, &mean, &inverse);
	for (uint32_t i = 0; i < 2 && !w->rc; i++) {
		factors[i] = words_in(w, 1 + i);
		if (!w->rc && factors[i].size[0] == groups)
			dense_insert(&factors[i], 1, 1, 0);
		else
			words_reshape(w, &factors[i], 2, (const int64_t[]){ groups, each });
		for (uint32_t d = 2; d < x.rank && !w->rc; d++)
			dense_insert(&factors[i], factors[i].rank, 1, 0);
	}
	WORDS_MAP(w, F32, "a b * c +", NULL, &out, &middle, &factors[0], &factors[1]);
}

void plain_mean_variance(struct words *w)
{
	const struct qeff_attribute *given = qeff_node_attribute(w->node, "axes");
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), mean, inverse;
	uint32_t axes = given ? 0 : 1u | 4 | 8;

	for (uint32_t i = 0; given && i < given->count; i++)
		axes |= 1u << (given->ints[i] < 0 ? given->ints[i] + x.rank : given->ints[i]);
	mean = words_reduced(w, QEFF_NSP_F32, &x, axes);
	inverse = words_reduced(w, QEFF_NSP_F32, &x, axes);
	moments(w, &x, axes, 0, &mean, &inverse);
	/* as the definition has it: 1e-9 is added to the deviation */
	WORDS_MAP(w, F32, "a b - 1 c / 0.000000001 + /", NULL, &out, &x, &mean, &inverse);
}

/* Negative log likelihood, from probabilities' logarithms or (the other operator) from scores. */
void plain_loss(struct words *w)
{
	const char *reduction = qeff_node_string(w->node, "reduction", "mean");
	bool none = !strcmp(reduction, "none"), mean = !strcmp(reduction, "mean");
	bool ignores = qeff_node_attribute(w->node, "ignore_index");
	struct dense_view x = words_in(w, 0), label = words_in(w, 1), out = words_out(w, 0);
	struct dense_view weight, iota, loss, share, sums[2], classes;
	double ignored = (double)words_int(w, "ignore_index", 0);
	int64_t loops[DENSE_MAX_RANK] = { 0 };
	uint32_t perm[DENSE_MAX_RANK];

	if (w->rc)
		return;
	if (qeff_node_is(w->node, "SoftmaxCrossEntropyLoss")) {
		struct dense_view logs =
			words_wants(w, 1) ? words_out(w, 1) : words_like(w, QEFF_NSP_F32, &x);

		plain_log_softmax_of(w, &x, 1, &logs);
		x = logs;
	}
	/* loops: those of the labels, then the classes */
	for (uint32_t i = 0; i < x.rank; i++)
		perm[i] = i == 0 ? 0 : i + 1 < x.rank ? i + 1 : 1;
	classes = x;
	dense_transpose(&classes, perm);
	memcpy(loops, classes.size, sizeof(loops));
	iota = words_iota(w, &classes, classes.rank - 1);
	loss = none ? out : words_like(w, QEFF_NSP_F32, &label);
	share = words_like(w, QEFF_NSP_F32, &label);
	if (words_has(w, 2)) {
		weight = words_in(w, 2);
	} else {
		weight = words_temp(w, QEFF_NSP_F32, 1, &x.size[1]);
		words_fill(w, &weight, 1);
	}
	dense_insert(&label, label.rank, 1, 0);
	WORDS_FOLD(w, F32, QEFF_NSP_FOLD_SUM,
		   ignores ? "b c = 1 b p0 = - * a neg d * 0 ?" : "b c = a neg d * 0 ?", &ignored,
		   &loss, classes.rank, loops, &classes, &label, &iota, &weight);
	if (none)
		return;
	WORDS_FOLD(w, F32, QEFF_NSP_FOLD_SUM, ignores ? "a b = 1 a p0 = - * c 0 ?" : "a b = c 0 ?",
		   &ignored, &share, classes.rank, loops, &label, &iota, &weight);
	for (uint32_t i = 0; i < 2; i++) {
		sums[i] = words_temp(w, QEFF_NSP_F32, 0, NULL);
		words_reduce(w, F32, QEFF_NSP_FOLD_SUM, "a", i ? &share : &loss, all_axes(&loss),
			     &sums[i]);
	}
	WORDS_MAP(w, F32, mean ? "a b /" : "a", NULL, &out, &sums[0], &sums[1]);
}
