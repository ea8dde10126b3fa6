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

#define BLOCK_BYTES (8u << 20) /* of what is multiplied at once */

/* The elements under the kernel at each place, [places.., inputs, kernel..] of batch entry @entry,
 * from @first on along the first axis. */
static struct dense_view patches(const struct qeff_window *window, const struct dense_view *x,
				 int64_t entry, int64_t first, int64_t count)
{
	struct dense_view view = { .at = x->at, .type = x->type, .offset = x->offset };
	uint32_t n = window->rank;

	view.rank = 2 * n + 1;
	view.offset += entry * x->stride[0] + first * window->stride[0] * x->stride[2];
	view.size[n] = x->size[1];
	view.stride[n] = x->stride[1];
	for (uint32_t i = 0; i < n; i++) {
		view.size[i] = i ? window->out[i] : count;
		view.stride[i] = window->stride[i] * x->stride[2 + i];
		view.size[n + 1 + i] = window->kernel[i];
		view.stride[n + 1 + i] = window->dilation[i] * x->stride[2 + i];
	}
	return view;
}

/* Whether @view is rows of @columns numbers side by side. */
static bool are_rows(const struct dense_view *view, int64_t columns)
{
	struct dense_view rows = *view;

	return dense_reshape(
		       &rows, 2,
		       (const int64_t[]){ (int64_t)dense_elements(view) / columns, columns }) &&
	       rows.stride[1] == 1;
}

/* Places as rows of a matrix, block by block, times the weights: whatever padding @x has is in it.
 * @out: [batch, places.., outputs] */
static void multiply_patches(struct words *w, const struct qeff_window *window,
			     const struct dense_view *x, const struct dense_view *out)
{
	int64_t row = out->size[1] ? (int64_t)dense_elements(out) / out->size[0] / out->size[1] /
					     out->size[out->rank - 1]
				   : 1;
	int64_t patch = x->size[1], block;
	struct dense_view copy = { 0 };

	for (uint32_t i = 0; i < window->rank; i++)
		patch *= window->kernel[i];
	block = BLOCK_BYTES / (row * patch * 4);
	block = block < 1 ? 1 : block > window->out[0] ? window->out[0] : block;
	for (int64_t entry = 0; entry < x->size[0]; entry++)
		for (int64_t first = 0; first < window->out[0]; first += block) {
			int64_t left = window->out[0] - first, count = left < block ? left : block;
			const struct dense_view whole = patches(window, x, entry, first, count);
			struct dense_view from = whole, to = words_part(out, 0, entry, 1);

			to = words_part(&to, 1, first, count);
			/* A kernel of one element takes rows as they are. */
			if (!are_rows(&from, patch)) {
				if (!copy.rank)
					copy = words_like(w, from.type, &from);
				from = words_part(&copy, 0, 0, count);
				words_copy(w, &whole, &from);
			}
			if (!w->rc)
				w->rc = dense_product(w->s, w->node, &from, w->node->inputs[1],
						      false, qeff_node_input(w->node, 2),
						      QEFF_NSP_IDENTITY, &to);
			if (w->rc == 1) {
				w->rc = 0;
				words_refuse(w, "patches do not fit its weights");
			}
		}
}

/* A convolution by weights, without groups; false if it is none. What comes out has channels last,
 * which is a view of it for its readers. */
static bool by_product(struct words *w)
{
	const struct qeff_value *weight = qeff_node_input(w->node, 1);
	const struct qeff_value *bias = qeff_node_input(w->node, 2);
	struct qeff_window window;
	struct dense_view x, out;
	int64_t size[DENSE_MAX_RANK];
	uint32_t perm[DENSE_MAX_RANK];

	if (words_int(w, "group", 1) != 1 || !weight->is_initialiser ||
	    !qeff_select_is_float(weight) || (bias && !qeff_select_is_float(bias)) ||
	    w->node->outputs[0]->type != QEFF_GRAPH_F32 || qeff_select_dim(weight, 0) < 8)
		return false;
	x = words_in(w, 0);
	if (!w->rc)
		w->rc = qeff_op_window(w->node, 1, &window, w->s->err);
	if (w->rc)
		return true;
	if (has_padding(&window))
		x = padded(w, &window, &x, x.type, NULL, NULL);
	size[0] = x.size[0];
	perm[0] = 0;
	perm[1] = window.rank + 1;
	for (uint32_t i = 0; i < window.rank; i++) {
		size[1 + i] = window.out[i];
		perm[2 + i] = 1 + i;
	}
	size[window.rank + 1] = qeff_select_dim(weight, 0);
	out = words_temp(w, QEFF_NSP_F32, window.rank + 2, size);
	if (w->rc)
		return true;
	multiply_patches(w, &window, &x, &out);
	dense_transpose(&out, perm);
	words_alias(w, 0, &out);
	return true;
}

void plain_conv(struct words *w)
{
	struct dense_view x, out, bias;

	if (by_product(w))
		return;
	x = words_in(w, 0);
	out = words_out(w, 0);
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
