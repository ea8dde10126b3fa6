/* SPDX-License-Identifier: MIT */
/* Pools: loops [batch, channels, places.., kernel..] over a copy with room around. */
#include "lower/plain_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define F32	QEFF_NSP_NUMBER_F32
#define NOWHERE 4611686018427387904.0 /* 2^62: no element has this number */

struct pool {
	struct qeff_window window;
	uint32_t rank;
	int64_t loops[DENSE_MAX_RANK];
	int64_t wide[QEFF_GRAPH_MAX_RANK]; /* of the copy: padding, and what the last place needs */
};

static void set_up(struct words *w, struct pool *p, const struct dense_view *x)
{
	struct qeff_window *v = &p->window;

	if (!w->rc)
		w->rc = qeff_op_window(w->node, UINT32_MAX, v, w->s->err);
	if (w->rc)
		return;
	p->rank = 2 + 2 * v->rank;
	p->loops[0] = x->size[0];
	p->loops[1] = x->size[1];
	for (uint32_t i = 0; i < v->rank; i++) {
		int64_t last =
			(v->out[i] - 1) * v->stride[i] + (v->kernel[i] - 1) * v->dilation[i] + 1;

		p->loops[2 + i] = v->out[i];
		p->loops[2 + v->rank + i] = v->kernel[i];
		p->wide[i] = v->begin[i] + v->in[i] + v->end[i];
		if (p->wide[i] < last)
			p->wide[i] = last;
	}
}

/* [a, b, wide..] as loops. */
static struct dense_view windows(const struct pool *p, const struct dense_view *x)
{
	const struct qeff_window *v = &p->window;
	struct dense_view view = *x;

	view.rank = p->rank;
	for (uint32_t i = 0; i < v->rank; i++) {
		view.size[2 + i] = v->out[i];
		view.size[2 + v->rank + i] = v->kernel[i];
		view.stride[2 + i] = x->stride[2 + i] * v->stride[i];
		view.stride[2 + v->rank + i] = x->stride[2 + i] * v->dilation[i];
	}
	return view;
}

static struct dense_view padded(struct words *w, const struct pool *p, const struct dense_view *x,
				double number)
{
	struct dense_view wide = *x, part;

	for (uint32_t i = 0; i < p->window.rank; i++)
		wide.size[2 + i] = p->wide[i];
	wide = words_like(w, x->type, &wide);
	words_fill(w, &wide, number);
	part = wide;
	for (uint32_t i = 0; i < p->window.rank && !w->rc; i++)
		dense_slice(&part, 2 + i, p->window.begin[i], x->size[2 + i], 1);
	words_copy(w, x, &part);
	return wide;
}

/* One over how many elements count at each place. */
static struct dense_view shares(struct words *w, const struct pool *p, bool with_padding)
{
	const struct qeff_window *v = &p->window;
	struct dense_view view = { 0 };
	uint64_t places = 1;
	float *share;

	for (uint32_t i = 0; i < v->rank; i++)
		places *= (uint64_t)v->out[i]; /* of an output that exists */
	share = words_table(w, (int64_t)places, 1, sizeof(*share));
	if (!share)
		return view;
	for (uint64_t at = 0; at < places; at++) {
		uint64_t rest = at;
		double all = 1;

		for (uint32_t i = v->rank; i--;) {
			int64_t place = (int64_t)(rest % (uint64_t)v->out[i]), counted = 0;
			int64_t low = with_padding ? 0 : v->begin[i];
			int64_t high = v->begin[i] + v->in[i] + (with_padding ? v->end[i] : 0);

			rest /= (uint64_t)v->out[i];
			for (int64_t k = 0; k < v->kernel[i]; k++) {
				int64_t x = place * v->stride[i] + k * v->dilation[i];

				counted += x >= low && x < high;
			}
			all *= (double)counted;
		}
		share[at] = (float)(1 / all);
	}
	view = words_constant(w, QEFF_NSP_F32, v->rank, v->out, share);
	free(share);
	return view;
}

/*
 * Where the largest of each window stands in x, flattened: the first one that equals it. @storage:
 * the last axes count column by column.
 */
static void positions(struct words *w, const struct pool *p, const struct dense_view *wide,
		      const struct dense_view *most, bool by_columns)
{
	const struct qeff_window *v = &p->window;
	struct dense_view out = words_out(w, 1), numbers, plane, base, x_loops, n_loops, m_loops;
	const double nowhere = NOWHERE;
	int64_t all = 1, inside = 1, size[QEFF_GRAPH_MAX_RANK] = { 1, 1 }, *table;

	if (w->rc)
		return;
	for (uint32_t i = 0; i < v->rank; i++) {
		size[2 + i] = p->wide[i];
		all *= p->wide[i]; /* of a copy that exists */
		inside *= v->in[i];
	}
	table = words_table(w, all, 1, sizeof(*table));
	if (!table)
		return;
	for (int64_t at = 0; at < all; at++) {
		int64_t rest = at, number = 0, step = 1, index[QEFF_GRAPH_MAX_RANK] = { 0 };
		bool in = true;

		for (uint32_t i = v->rank; i--; rest /= p->wide[i]) {
			index[i] = rest % p->wide[i] - v->begin[i];
			in = in && index[i] >= 0 && index[i] < v->in[i];
		}
		for (uint32_t i = 0; i < v->rank; i++) {
			uint32_t axis = by_columns ? i : v->rank - 1 - i;

			number += index[axis] * step;
			step *= v->in[axis];
		}
		table[at] = in ? number : (int64_t)NOWHERE;
	}
	numbers = words_constant(w, QEFF_NSP_I64, 2 + v->rank, size, table);
	free(table);
	plane = words_temp(w, QEFF_NSP_I64, 2, p->loops);
	{
		struct dense_view n = words_iota(w, &plane, 0), c = words_iota(w, &plane, 1);
		double params[2] = { (double)p->loops[1], (double)inside };

		WORDS_MAP(w, QEFF_NSP_NUMBER_I64, "a p0 * b + p1 *", params, &plane, &n, &c);
	}
	if (w->rc)
		return;
	x_loops = windows(p, wide);
	n_loops = windows(p, &numbers);
	n_loops.size[0] = n_loops.size[1] = 1;
	m_loops = *most;
	base = plane;
	for (uint32_t i = 0; i < v->rank; i++)
		dense_insert(&m_loops, m_loops.rank, 1, 0);
	for (uint32_t i = 0; i < 2 * v->rank; i++)
		dense_insert(&base, base.rank, 1, 0);
	WORDS_FOLD(w, QEFF_NSP_NUMBER_F64, QEFF_NSP_FOLD_MIN, "a b = c d + p0 ?", &nowhere, &out,
		   p->rank, p->loops, &x_loops, &m_loops, &n_loops, &base);
}

void plain_pool(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), wide, loops, share, sum;
	double limits[2], power = (double)words_int(w, "p", 2), inverse = 1 / power;
	struct pool p = { .rank = 0 };
	uint8_t number = dense_number(x.type);

	set_up(w, &p, &x);
	if (w->rc)
		return;
	if (qeff_node_is(w->node, "MaxPool")) {
		plain_limits(x.type, limits);
		wide = padded(w, &p, &x, limits[0]);
		loops = windows(&p, &wide);
		WORDS_FOLD(w, number, QEFF_NSP_FOLD_MAX, "a", NULL, &out, p.rank, p.loops, &loops);
		if (words_wants(w, 1))
			positions(w, &p, &wide, &out, words_int(w, "storage_order", 0));
		return;
	}
	wide = padded(w, &p, &x, 0);
	loops = windows(&p, &wide);
	sum = words_like(w, number == F32 ? QEFF_NSP_F32 : x.type, &out);
	if (qeff_node_is(w->node, "LpPool")) {
		WORDS_FOLD(w, number, QEFF_NSP_FOLD_SUM, "a abs p0 pow", &power, &sum, p.rank,
			   p.loops, &loops);
		WORDS_MAP(w, number, "a p0 pow", &inverse, &out, &sum);
		return;
	}
	WORDS_FOLD(w, number, QEFF_NSP_FOLD_SUM, "a", NULL, &sum, p.rank, p.loops, &loops);
	share = shares(w, &p, words_int(w, "count_include_pad", 0));
	WORDS_MAP(w, number, "a b *", NULL, &out, &sum, &share);
}

void plain_global_pool(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), sum;
	uint32_t axes = ((1u << x.rank) - 1) & ~3u;
	uint8_t number = dense_number(x.type);
	double params[2] = { 1, 1 };

	if (qeff_node_is(w->node, "GlobalMaxPool")) {
		words_reduce(w, number, QEFF_NSP_FOLD_MAX, "a", &x, axes, &out);
		return;
	}
	sum = words_like(w, number == F32 ? QEFF_NSP_F32 : x.type, &out);
	if (qeff_node_is(w->node, "GlobalLpPool")) {
		struct dense_view powers = words_like(w, sum.type, &x);

		params[0] = (double)words_int(w, "p", 2);
		params[1] = 1 / params[0];
		WORDS_MAP(w, number, "a abs p0 pow", params, &powers, &x);
		words_reduce(w, number, QEFF_NSP_FOLD_SUM, "a", &powers, axes, &sum);
		WORDS_MAP(w, number, "a p1 pow", params, &out, &sum);
		return;
	}
	for (uint32_t i = 2; i < x.rank; i++)
		params[0] *= (double)x.size[i];
	words_reduce(w, number, QEFF_NSP_FOLD_SUM, "a", &x, axes, &sum);
	WORDS_MAP(w, number, "a p0 /", params, &out, &sum);
}

/* Each element goes where its number says, in a tensor as large as the pool's input was. */
void plain_max_unpool(struct words *w)
{
	const struct qeff_attribute *kernel = qeff_node_attribute(w->node, "kernel_shape");
	const struct qeff_attribute *strides = qeff_node_attribute(w->node, "strides");
	const struct qeff_attribute *pads = qeff_node_attribute(w->node, "pads");
	struct dense_view x = words_in(w, 0), where = words_in(w, 1), out = words_out(w, 0);
	struct dense_view whole = out, flat, from, to;
	struct dense_pick pick = { .indices = where, .other = x, .components = 1 };
	int64_t all;

	if (w->rc)
		return;
	for (uint32_t i = 2; i < x.rank; i++) {
		uint32_t n = x.rank - 2;

		whole.size[i] = (x.size[i] - 1) * (strides ? strides->ints[i - 2] : 1) +
				kernel->ints[i - 2];
		if (pads)
			whole.size[i] -= pads->ints[i - 2] + pads->ints[n + i - 2];
	}
	whole = words_like(w, x.type, &whole);
	words_fill(w, &whole, 0);
	if (w->rc)
		return;
	all = (int64_t)dense_elements(&whole);
	flat = whole;
	words_reshape(w, &flat, 1, &all);
	pick.data = flat;
	pick.data.rank = x.rank;
	for (uint32_t i = 0; i < x.rank; i++) {
		pick.data.size[i] = x.size[i];
		pick.data.stride[i] = 0;
	}
	pick.stride[0] = 1;
	pick.limit[0] = all;
	words_put(w, &pick);
	words_fill(w, &out, 0);
	from = whole;
	to = out;
	for (uint32_t i = 2; i < x.rank && !w->rc; i++) {
		int64_t both = from.size[i] < to.size[i] ? from.size[i] : to.size[i];

		from = words_part(&from, i, 0, both);
		to = words_part(&to, i, 0, both);
	}
	words_copy(w, &from, &to);
}

/* x / (bias + alpha / size * sum of squares of the channels around) ^ beta */
void plain_lrn(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), wide = x, part, sum, loops;
	int64_t size = words_int(w, "size", 1), sizes[DENSE_MAX_RANK];
	double params[3] = { words_float(w, "bias", 1),
			     words_float(w, "alpha", 1e-4) / (double)size,
			     words_float(w, "beta", 0.75) };

	if (w->rc)
		return;
	if (size > 4096) {
		words_refuse(w, "at most 4096 channels around are possible");
		return;
	}
	wide.size[1] += size - 1;
	wide = words_like(w, QEFF_NSP_F32, &wide);
	words_fill(w, &wide, 0);
	if (w->rc)
		return;
	part = words_part(&wide, 1, (size - 1) / 2, x.size[1]);
	WORDS_MAP(w, F32, "a a *", NULL, &part, &x);
	sum = words_like(w, QEFF_NSP_F32, &x);
	loops = words_part(&wide, 1, 0, x.size[1]);
	dense_insert(&loops, loops.rank, size, wide.stride[1]);
	memcpy(sizes, loops.size, sizeof(sizes));
	WORDS_FOLD(w, F32, QEFF_NSP_FOLD_SUM, "a", NULL, &sum, loops.rank, sizes, &loops);
	WORDS_MAP(w, F32, "a b p1 * p0 + p2 pow /", params, &out, &x, &sum);
}
