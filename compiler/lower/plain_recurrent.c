/* SPDX-License-Identifier: MIT */
/*
 * RNN, GRU and LSTM: what the inputs add is one product for all steps; then the steps are unrolled.
 */
#include "lower/plain_words.h"

#include <string.h>

#define F32	  QEFF_NSP_NUMBER_F32
#define SUM	  QEFF_NSP_FOLD_SUM
#define MAX_GATES 4

/* Functions by name: the expression, and the defaults of p0 (alpha) and p1 (beta). */
static const struct {
	const char *name, *text;
	double alpha, beta;
	uint8_t parameters;
} functions[] = {
	{ "Sigmoid", "a sigmoid", 0, 0, 0 },
	{ "Tanh", "a tanh", 0, 0, 0 },
	{ "Relu", "a 0 max", 0, 0, 0 },
	{ "Affine", "a p0 * p1 +", 1, 0, 2 },
	{ "LeakyRelu", "a 0 < a p0 * a ?", 0.01, 0, 1 },
	{ "ThresholdedRelu", "p0 a < a 0 ?", 1, 0, 1 },
	{ "ScaledTanh", "a p1 * tanh p0 *", 1, 1, 2 },
	{ "HardSigmoid", "a p0 * p1 + 1 min 0 max", 0.2, 0.5, 2 },
	{ "Elu", "a 0 < a exp 1 - p0 * a ?", 1, 0, 1 },
	{ "Softsign", "a a abs 1 + /", 0, 0, 0 },
	{ "Softplus", "a abs neg exp log1p a 0 max +", 0, 0, 0 },
};

struct function {
	const char *text;
	double params[2];
};

/* One direction of a layer. */
struct layer {
	struct words *w;
	uint32_t gates;
	int64_t steps, batch, hidden, inputs;
	bool backwards, first_sums; /* GRU: linear_before_reset */
	double clip;
	struct function f[3];
	struct dense_view x, y, ahead, r, bias_r, peepholes, h, c, lengths;
	bool has_y, has_lengths, has_peepholes, has_bias;
};

static bool same_name(const char *a, const char *b, size_t length)
{
	return strlen(b) == length && !strncasecmp(a, b, length);
}

/* The functions of direction @direction; numbers are taken by those that need some, in order. */
static void read_functions(struct words *w, uint32_t each, uint32_t direction, struct function *f)
{
	static const char *const defaults[] = { "Tanh", "Sigmoid,Tanh", "Sigmoid,Tanh,Tanh" };
	const char *given = qeff_node_string(w->node, "activations", NULL), *text;
	const struct qeff_attribute *alpha = qeff_node_attribute(w->node, "activation_alpha");
	const struct qeff_attribute *beta = qeff_node_attribute(w->node, "activation_beta");
	uint32_t alphas = 0, betas = 0;

	text = given ? given : defaults[each - 1];
	for (uint32_t n = 0; n < each * (given ? direction + 1 : 1); n++) {
		size_t length = strcspn(text, ","), k = 0;
		struct function *to = &f[n % each];

		while (k < sizeof(functions) / sizeof(functions[0]) &&
		       !same_name(text, functions[k].name, length))
			k++;
		if (k == sizeof(functions) / sizeof(functions[0])) {
			words_refuse(w,
				     "activations \"%s\": expected %u known ones for each "
				     "direction",
				     given ? given : "", each);
			return;
		}
		to->text = functions[k].text;
		to->params[0] = functions[k].alpha;
		to->params[1] = functions[k].beta;
		if (functions[k].parameters > 0 && alpha && alphas < alpha->count)
			to->params[0] = (double)alpha->floats[alphas++];
		if (functions[k].parameters > 1 && beta && betas < beta->count)
			to->params[1] = (double)beta->floats[betas++];
		text += length;
		text += *text == ',';
	}
}

/* The columns of gate @gate. */
static struct dense_view gate_of(const struct layer *l, const struct dense_view *view,
				 uint32_t gate)
{
	return words_part(view, view->rank - 1, gate * l->hidden, l->hidden);
}

/* f(x + h [+ peephole * cell]), clipped before. */
static struct dense_view gate(struct layer *l, uint32_t number, const struct function *f,
			      const struct dense_view *x, const struct dense_view *h,
			      const struct dense_view *cell, uint32_t peephole)
{
	struct words *w = l->w;
	struct dense_view out = words_like(w, QEFF_NSP_F32, &l->h), a = gate_of(l, x, number), b, p;

	b = h->rank ? gate_of(l, h, number) : a;
	if (cell && l->has_peepholes) {
		p = words_part(&l->peepholes, 0, peephole * l->hidden, l->hidden);
		WORDS_MAP(w, F32, "a b + c d * +", NULL, &out, &a, &b, &p, cell);
	} else {
		WORDS_MAP(w, F32, "a b +", NULL, &out, &a, &b);
	}
	if (l->clip > 0)
		WORDS_MAP(w, F32, "a p0 min 0 p0 - max", &l->clip, &out, &out);
	WORDS_MAP(w, F32, f->text, f->params, &out, &out);
	return out;
}

/* out [batch, columns] = h [batch, hidden] r' [columns, hidden]. */
static struct dense_view times(struct layer *l, const struct dense_view *h,
			       const struct dense_view *r)
{
	struct dense_view a = *h, out;
	int64_t loops[3] = { l->batch, r->size[0], l->hidden };

	out = words_temp(l->w, QEFF_NSP_F32, 2, loops);
	if (!l->w->rc)
		dense_insert(&a, 1, 1, 0);
	WORDS_FOLD(l->w, F32, SUM, "a b *", NULL, &out, 3, loops, &a, r);
	return out;
}

static void step_rnn(struct layer *l, const struct dense_view *x, struct dense_view *h)
{
	struct dense_view sum = times(l, h, &l->r);

	*h = gate(l, 0, &l->f[0], x, &sum, NULL, 0);
}

static void step_lstm(struct layer *l, const struct dense_view *x, struct dense_view *h,
		      struct dense_view *c)
{
	struct dense_view sum = times(l, h, &l->r), input, forget, output, fresh, cell;
	struct words *w = l->w;

	input = gate(l, 0, &l->f[0], x, &sum, c, 0);
	if (words_int(w, "input_forget", 0)) {
		forget = words_like(w, QEFF_NSP_F32, &l->h);
		WORDS_MAP(w, F32, "1 a -", NULL, &forget, &input);
	} else {
		forget = gate(l, 2, &l->f[0], x, &sum, c, 2);
	}
	fresh = gate(l, 3, &l->f[1], x, &sum, NULL, 0);
	cell = words_like(w, QEFF_NSP_F32, &l->h);
	WORDS_MAP(w, F32, "a b * c d * +", NULL, &cell, &forget, c, &input, &fresh);
	output = gate(l, 1, &l->f[0], x, &sum, &cell, 1);
	*c = cell;
	*h = words_like(w, QEFF_NSP_F32, &l->h);
	WORDS_MAP(w, F32, l->f[2].text, l->f[2].params, h, &cell);
	WORDS_MAP(w, F32, "a b *", NULL, h, h, &output);
}

static void step_gru(struct layer *l, const struct dense_view *x, struct dense_view *h)
{
	int64_t two = 2 * l->hidden;
	struct dense_view r_zr = words_part(&l->r, 0, 0, two);
	struct dense_view r_h = words_part(&l->r, 0, two, l->hidden);
	struct dense_view sum = times(l, h, &r_zr), update, reset, fresh, hidden, mixed, part;
	struct words *w = l->w;

	update = gate(l, 0, &l->f[0], x, &sum, NULL, 0);
	reset = gate(l, 1, &l->f[0], x, &sum, NULL, 0);
	mixed = words_like(w, QEFF_NSP_F32, &l->h);
	if (l->first_sums) {
		hidden = times(l, h, &r_h);
		if (l->has_bias) {
			part = words_part(&l->bias_r, 0, two, l->hidden);
			WORDS_MAP(w, F32, "a b + c *", NULL, &mixed, &hidden, &part, &reset);
		} else {
			WORDS_MAP(w, F32, "a b *", NULL, &mixed, &hidden, &reset);
		}
	} else {
		hidden = words_like(w, QEFF_NSP_F32, &l->h);
		WORDS_MAP(w, F32, "a b *", NULL, &hidden, h, &reset);
		mixed = times(l, &hidden, &r_h);
	}
	part = gate_of(l, x, 2);
	fresh = words_like(w, QEFF_NSP_F32, &l->h);
	WORDS_MAP(w, F32, "a b +", NULL, &fresh, &part, &mixed);
	if (l->clip > 0)
		WORDS_MAP(w, F32, "a p0 min 0 p0 - max", &l->clip, &fresh, &fresh);
	WORDS_MAP(w, F32, l->f[1].text, l->f[1].params, &fresh, &fresh);
	mixed = words_like(w, QEFF_NSP_F32, &l->h);
	WORDS_MAP(w, F32, "1 a - b * a c * +", NULL, &mixed, &update, &fresh, h);
	*h = mixed;
}

/* Behind the end of a sequence its state stays, and its output is 0. */
static void keep_ended(struct layer *l, int64_t t, const struct dense_view *before,
		       struct dense_view *after)
{
	struct words *w = l->w;
	struct dense_view kept = words_like(w, QEFF_NSP_F32, &l->h);
	double now = (double)t;

	WORDS_MAP(w, F32, "p0 c < a b ?", &now, &kept, after, before, &l->lengths);
	*after = kept;
}

static void run(struct layer *l)
{
	struct dense_view h = l->h, c = l->c;
	struct words *w = l->w;

	for (int64_t i = 0; i < l->steps && !w->rc; i++) {
		int64_t t = l->backwards ? l->steps - 1 - i : i;
		struct dense_view x = words_part(&l->ahead, 0, t, 1), old_h = h, old_c = c, y;
		double now = (double)t;

		dense_remove(&x, 0);
		if (l->gates == 1)
			step_rnn(l, &x, &h);
		else if (l->gates == 3)
			step_gru(l, &x, &h);
		else
			step_lstm(l, &x, &h, &c);
		if (l->has_lengths) {
			keep_ended(l, t, &old_h, &h);
			if (l->gates == 4)
				keep_ended(l, t, &old_c, &c);
		}
		if (!l->has_y)
			continue;
		y = words_part(&l->y, 0, t, 1);
		dense_remove(&y, 0);
		if (l->has_lengths)
			WORDS_MAP(w, F32, "p0 b < a 0 ?", &now, &y, &h, &l->lengths);
		else
			words_copy(w, &h, &y);
	}
	l->h = h;
	l->c = c;
}

/* x w' + both biases, for all steps: [steps, batch, gates * hidden]. */
static void look_ahead(struct layer *l, const struct dense_view *weights,
		       const struct dense_view *bias)
{
	int64_t columns = l->gates * l->hidden;
	int64_t loops[4] = { l->steps, l->batch, columns, l->inputs };
	struct dense_view x = l->x, b_w, b_r, part;
	struct words *w = l->w;

	l->ahead = words_temp(w, QEFF_NSP_F32, 3, loops);
	if (w->rc)
		return;
	dense_insert(&x, 2, 1, 0);
	WORDS_FOLD(w, F32, SUM, "a b *", NULL, &l->ahead, 4, loops, &x, weights);
	if (!l->has_bias)
		return;
	b_w = words_part(bias, 0, 0, columns);
	b_r = words_part(bias, 0, columns, columns);
	l->bias_r = b_r;
	part = l->ahead;
	if (l->first_sums) { /* the last gate's stays inside what is reset */
		part = words_part(&l->ahead, 2, 2 * l->hidden, l->hidden);
		b_w = words_part(bias, 0, 2 * l->hidden, l->hidden);
		WORDS_MAP(w, F32, "a b +", NULL, &part, &part, &b_w);
		part = words_part(&l->ahead, 2, 0, 2 * l->hidden);
		b_w = words_part(bias, 0, 0, 2 * l->hidden);
		b_r = words_part(&l->bias_r, 0, 0, 2 * l->hidden);
	}
	WORDS_MAP(w, F32, "a b + c +", NULL, &part, &part, &b_w, &b_r);
}

/* Index @d of the directions, wherever they are in the layout. */
static struct dense_view direction_of(const struct dense_view *view, uint32_t axis, uint32_t d)
{
	struct dense_view part = words_part(view, axis, d, 1);

	dense_remove(&part, axis);
	return part;
}

static void one_direction(struct words *w, uint32_t gates, uint32_t d,
			  const struct dense_view *outputs, const struct dense_view *x)
{
	const char *direction = qeff_node_string(w->node, "direction", "forward");
	uint32_t layout = (uint32_t)words_int(w, "layout", 0);
	struct layer l = { .w = w, .gates = gates, .x = *x };
	struct dense_view in[8];

	for (uint32_t i = 1; i < w->node->num_inputs && i < 8; i++)
		if (words_has(w, i)) {
			in[i] = words_in(w, i);
			if (!w->rc && i != 4)
				in[i] = direction_of(&in[i], i == 5 || i == 6 ? layout : 0, d);
		}
	if (w->rc)
		return;
	l.steps = x->size[0];
	l.batch = x->size[1];
	l.inputs = x->size[2];
	l.r = in[2];
	l.hidden = in[2].size[1];
	l.backwards = d || !strcmp(direction, "reverse");
	l.first_sums = gates == 3 && words_int(w, "linear_before_reset", 0);
	l.clip = words_float(w, "clip", 0);
	l.has_bias = words_has(w, 3);
	l.has_lengths = words_has(w, 4);
	l.has_peepholes = words_has(w, 7);
	if (l.has_lengths) {
		l.lengths = in[4];
		dense_insert(&l.lengths, 1, 1, 0);
	}
	if (l.has_peepholes)
		l.peepholes = in[7];
	read_functions(w, gates == 1 ? 1 : gates == 3 ? 2 : 3, d, l.f);
	look_ahead(&l, &in[1], &in[3]);
	for (uint32_t i = 0; i < 2; i++) {
		struct dense_view *state = i ? &l.c : &l.h;

		if (words_has(w, 5 + i) && (!i || gates == 4)) {
			*state = in[5 + i];
			continue;
		}
		*state = words_temp(w, QEFF_NSP_F32, 2, (int64_t[]){ l.batch, l.hidden });
		words_fill(w, state, 0);
	}
	if (w->rc)
		return;
	/* y as [steps, batch, hidden] */
	l.has_y = outputs[0].rank;
	if (l.has_y) {
		l.y = direction_of(&outputs[0], layout ? 2 : 1, d);
		if (layout)
			dense_transpose(&l.y, (const uint32_t[]){ 1, 0, 2 });
	}
	run(&l);
	for (uint32_t i = 1; i < w->node->num_outputs && !w->rc; i++) {
		struct dense_view to = direction_of(&outputs[i], layout, d);

		words_copy(w, i == 1 ? &l.h : &l.c, &to);
	}
}

void plain_recurrent(struct words *w)
{
	uint32_t gates = qeff_node_is(w->node, "RNN") ? 1 : qeff_node_is(w->node, "GRU") ? 3 : 4;
	struct dense_view outputs[3] = { 0 }, x = words_in(w, 0);
	int64_t directions = w->node->inputs[1]->shape.dims[0].size;

	if (words_int(w, "layout", 0) && !w->rc)
		dense_transpose(&x, (const uint32_t[]){ 1, 0, 2 });
	for (uint32_t i = 0; i < w->node->num_outputs && i < 3; i++)
		outputs[i] = words_out(w, i);
	for (uint32_t d = 0; d < directions && !w->rc; d++)
		one_direction(w, gates, d, outputs, &x);
}
