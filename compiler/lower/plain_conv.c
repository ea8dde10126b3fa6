/* SPDX-License-Identifier: MIT */
/*
 * Convolutions: a copy with zeros around, then loops [batch, group, outputs of the group, places..]
 * that sum over [inputs of the group, kernel..]. The other way round, zeros go between the elements
 * as well, and the kernel is walked backwards.
 */
#include "lower/plain_words.h"

#include <string.h>

struct convolution {
	struct qeff_window window;
	int64_t group, inputs, outputs; /* of a group */
	uint32_t rank;
	int64_t loops[DENSE_MAX_RANK];
};

static void set_up(struct words *w, struct convolution *c, int64_t batch, int64_t group,
		   int64_t inputs, int64_t outputs)
{
	const struct qeff_window *window = &c->window;
	uint32_t at = 3;

	c->group = group;
	c->inputs = inputs;
	c->outputs = outputs;
	c->rank = 4 + 2 * window->rank;
	if (c->rank > DENSE_MAX_RANK) {
		words_refuse(w, "kernels of at most 4 dimensions are possible");
		return;
	}
	c->loops[0] = batch;
	c->loops[1] = group;
	c->loops[2] = outputs;
	for (uint32_t i = 0; i < window->rank; i++)
		c->loops[at++] = window->out[i];
	c->loops[at++] = inputs;
	for (uint32_t i = 0; i < window->rank; i++)
		c->loops[at++] = window->kernel[i];
}

/* x [batch, channels, padded..] where output @step and kernel element @walk elements apart begin
 * at @first. */
static struct dense_view input_loops(const struct convolution *c, const struct dense_view *x,
				     const int64_t *step, const int64_t *walk, const int64_t *first)
{
	struct dense_view view = *x;
	uint32_t n = c->window.rank;

	view.rank = c->rank;
	memcpy(view.size, c->loops, sizeof(view.size));
	view.stride[0] = x->stride[0];
	view.stride[1] = x->stride[1] * c->inputs;
	view.stride[2] = 0;
	view.stride[3 + n] = x->stride[1];
	for (uint32_t i = 0; i < n; i++) {
		view.offset += first[i] * x->stride[2 + i];
		view.stride[3 + i] = step[i] * x->stride[2 + i];
		view.stride[4 + n + i] = walk[i] * x->stride[2 + i];
	}
	return view;
}

/* Weights [group * @outputs, inputs, kernel..], or, @swapped, [group * inputs, outputs, kernel..].
 */
static struct dense_view weight_loops(const struct convolution *c, const struct dense_view *k,
				      bool swapped)
{
	struct dense_view view = *k;
	uint32_t n = c->window.rank;

	view.rank = c->rank;
	memcpy(view.size, c->loops, sizeof(view.size));
	view.stride[0] = 0;
	view.stride[1] = k->stride[0] * (swapped ? c->inputs : c->outputs);
	view.stride[2] = k->stride[swapped];
	view.stride[3 + n] = k->stride[!swapped];
	for (uint32_t i = 0; i < n; i++) {
		view.stride[3 + i] = 0;
		view.stride[4 + n + i] = k->stride[2 + i];
	}
	return view;
}

/* A copy of @type with room for padding; the elements go in through @text. */
static struct dense_view padded(struct words *w, const struct qeff_window *window,
				const struct dense_view *x, uint8_t type, const char *text,
				const struct dense_view *zero)
{
	struct dense_view wide = *x, part;

	for (uint32_t i = 0; i < window->rank; i++)
		wide.size[2 + i] += window->begin[i] + window->end[i];
	wide = words_like(w, type, &wide);
	words_fill(w, &wide, 0);
	part = wide;
	for (uint32_t i = 0; i < window->rank && !w->rc; i++)
		dense_slice(&part, 2 + i, window->begin[i], x->size[2 + i], 1);
	if (zero)
		WORDS_MAP(w, QEFF_NSP_NUMBER_I64, text, NULL, &part, x, zero);
	else
		words_copy(w, x, &part);
	return wide;
}

static bool has_padding(const struct qeff_window *window)
{
	for (uint32_t i = 0; i < window->rank; i++)
		if (window->begin[i] || window->end[i])
			return true;
	return false;
}

/* A vector of outputs as [1, outputs, 1..]. */
static struct dense_view channels(struct words *w, uint32_t input, uint32_t rank)
{
	struct dense_view view = words_in(w, input);

	for (uint32_t i = 2; i < rank && !w->rc && view.rank; i++)
		dense_insert(&view, view.rank, 1, 0);
	return view;
}

/* The sums, into @out [batch, outputs, places..]; zero points of x and weights, where there are. */
static void convolve(struct words *w, uint32_t weight, const struct dense_view *x,
		     const struct dense_view *x_zero, uint32_t w_zero, const struct dense_view *out)
{
	static const int64_t origin[QEFF_GRAPH_MAX_RANK];
	struct dense_view k = words_in(w, weight), data = *x, zero, to = *out;
	int64_t group = words_int(w, "group", 1);
	uint8_t number = dense_number(out->type);
	struct convolution c;

	if (!w->rc)
		w->rc = qeff_op_window(w->node, weight, &c.window, w->s->err);
	if (w->rc)
		return;
	set_up(w, &c, x->size[0], group, k.size[1], k.size[0] / group);
	if (has_padding(&c.window) || x_zero)
		data = padded(w, &c.window, x, x_zero ? QEFF_NSP_I32 : x->type, "a b -", x_zero);
	words_reshape(w, &to, 3 + c.window.rank, c.loops);
	if (w->rc)
		return;
	data = input_loops(&c, &data, c.window.stride, c.window.dilation, origin);
	k = weight_loops(&c, &k, false);
	if (!words_has(w, w_zero)) {
		WORDS_FOLD(w, number, QEFF_NSP_FOLD_SUM, "a b *", NULL, &to, c.rank, c.loops, &data,
			   &k);
		return;
	}
	zero = words_in(w, w_zero);
	if (!w->rc && zero.rank && zero.size[0] > 1)
		words_reshape(w, &zero, 2, (const int64_t[]){ c.group, c.outputs });
	for (uint32_t i = 0; i < 1 + 2 * c.window.rank && !w->rc && zero.rank; i++)
		dense_insert(&zero, zero.rank, 1, 0);
	WORDS_FOLD(w, number, QEFF_NSP_FOLD_SUM, "a b c - *", NULL, &to, c.rank, c.loops, &data, &k,
		   &zero);
}

void plain_conv(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), bias;

	convolve(w, 1, &x, NULL, UINT32_MAX, &out);
	if (!words_has(w, 2))
		return;
	bias = channels(w, 2, out.rank);
	WORDS_MAP(w, dense_number(out.type), "a b +", NULL, &out, &out, &bias);
}

void plain_conv_integer(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), zero;

	if (words_has(w, 2))
		zero = words_in(w, 2);
	convolve(w, 1, &x, words_has(w, 2) ? &zero : NULL, 3, &out);
}

void plain_qlinear_conv(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), zero = words_in(w, 2);
	struct dense_view acc = words_like(w, QEFF_NSP_I32, &out), bias;
	struct dense_view sx = words_in(w, 1), sk = channels(w, 4, out.rank), sy = words_in(w, 6);
	struct dense_view zy = words_in(w, 7);

	convolve(w, 3, &x, &zero, 5, &acc);
	if (words_has(w, 8)) {
		bias = channels(w, 8, out.rank);
		WORDS_MAP(w, QEFF_NSP_NUMBER_I64, "a b +", NULL, &acc, &acc, &bias);
	}
	plain_requantize(w, &acc, &sx, &sk, &sy, &zy, &out);
}

void plain_conv_transpose(struct words *w)
{
	struct dense_view x = words_in(w, 0), k = words_in(w, 1), out = words_out(w, 0), spread;
	struct dense_view part, to = out;
	int64_t group = words_int(w, "group", 1), one[QEFF_GRAPH_MAX_RANK],
		back[QEFF_GRAPH_MAX_RANK], first[QEFF_GRAPH_MAX_RANK];
	struct convolution c;

	if (!w->rc)
		w->rc = qeff_op_window_back(w->node, &c.window, w->s->err);
	if (w->rc)
		return;
	set_up(w, &c, x.size[0], group, x.size[1] / group, k.size[1]);
	spread = x;
	for (uint32_t i = 0; i < c.window.rank; i++) {
		const struct qeff_window *v = &c.window;
		int64_t before = (v->kernel[i] - 1) * v->dilation[i];
		int64_t behind = (v->in[i] - 1) * v->stride[i] + 1;

		if (behind < v->out[i] + v->begin[i])
			behind = v->out[i] + v->begin[i];
		one[i] = 1;
		back[i] = -v->dilation[i];
		first[i] = before + v->begin[i];
		spread.size[2 + i] = before + behind;
	}
	spread = words_like(w, x.type, &spread);
	words_fill(w, &spread, 0);
	part = spread;
	for (uint32_t i = 0; i < c.window.rank && !w->rc; i++)
		dense_slice(&part, 2 + i, first[i] - c.window.begin[i], x.size[2 + i],
			    c.window.stride[i]);
	words_copy(w, &x, &part);
	words_reshape(w, &to, 3 + c.window.rank, c.loops);
	if (w->rc)
		return;
	spread = input_loops(&c, &spread, one, back, first);
	k = weight_loops(&c, &k, true);
	WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &to, c.rank,
		   c.loops, &spread, &k);
	if (words_has(w, 2)) {
		struct dense_view bias = channels(w, 2, out.rank);

		WORDS_MAP(w, dense_number(out.type), "a b +", NULL, &out, &out, &bias);
	}
}
