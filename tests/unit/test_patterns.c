/* SPDX-License-Identifier: MIT */
/*
 * What other exporters write out in primitives, recognised: an encoder layer by hand, as it comes
 * out of PyTorch, computes the same before (on the plain way) and after (on compacted rows).
 */
#include "unit.h"

#include "graph_look.h"
#include "graph_maker.h"
#include "lower/fold.h"
#include "lowered.h"

#include <math.h>

#define BATCH 3
#define SEQ   6
#define HEADS 2
#define DIM   4
#define WIDTH 8
#define INNER 12
#define VOCAB 40

enum mask_form { SUM, WHERE_TRUE, WHERE_FALSE, CAUSAL, WINDOW, LEAKING };

static struct qeff_value *layer_norm(struct maker *m, struct qeff_value *x)
{
	struct qeff_value *last = integers(m, 1, SIZE(-1));
	struct qeff_value *centred = OP(m, "Sub", x, OP(m, "ReduceMean", x, last));
	struct qeff_value *square = OP(m, "Pow", centred, number(m, 2));
	struct qeff_value *variance = OP(m, "ReduceMean", square, last);
	struct qeff_value *root = OP(m, "Sqrt", OP(m, "Add", variance, number(m, 1e-5f)));
	struct qeff_value *scaled =
		OP(m, "Mul", OP(m, "Div", centred, root), weights(m, 1, SIZE(WIDTH)));

	return OP(m, "Add", scaled, weights(m, 1, SIZE(WIDTH)));
}

static struct qeff_value *gelu(struct maker *m, struct qeff_value *x, bool tanh)
{
	struct qeff_value *curve;

	if (!tanh) {
		curve = OP(m, "Erf", OP(m, "Div", x, number(m, 1.41421354f)));
		curve = OP(m, "Mul", x, OP(m, "Add", curve, number(m, 1)));
		return OP(m, "Mul", curve, number(m, 0.5f));
	}
	curve = OP(m, "Mul", number(m, 0.044715f), OP(m, "Pow", x, number(m, 3)));
	curve = OP(m, "Mul", OP(m, "Add", x, curve), number(m, 0.797884583f));
	curve = OP(m, "Add", OP(m, "Tanh", curve), number(m, 1));
	return OP(m, "Mul", OP(m, "Mul", number(m, 0.5f), x), curve);
}

static struct qeff_value *heads(struct maker *m, struct qeff_value *x, const int64_t *order)
{
	const struct qeff_attribute perm = QEFF_INTS("perm", 4, order);
	struct qeff_value *split =
		OP(m, "Reshape", x, integers(m, 4, SIZE(BATCH, SEQ, HEADS, DIM)));

	return op(m, "Transpose", 1, &split, 1, &perm);
}

/* [1, 1, SEQ, SEQ]: 1 where a key lies behind its row (or, with a window, too far before it) */
static struct qeff_value *triangle(struct maker *m, int64_t window)
{
	struct qeff_value *made = weights(m, 4, SIZE(1, 1, SEQ, SEQ));
	float *data = (float *)(uintptr_t)made->data;

	for (int i = 0; i < SEQ; i++)
		for (int k = 0; k < SEQ; k++)
			data[i * SEQ + k] = k > i || (window && i - k >= window);
	return made;
}

/* Adds to @scores what hides keys; a mask that leaks adds a little to every key as well. */
static struct qeff_value *masked(struct maker *m, struct qeff_value *scores,
				 struct qeff_value *mask, enum mask_form form)
{
	const struct qeff_attribute to_f32 = QEFF_INT("to", QEFF_GRAPH_F32);
	const struct qeff_attribute to_bool = QEFF_INT("to", QEFF_GRAPH_BOOL);
	struct qeff_value *wide = OP(m, "Unsqueeze", mask, integers(m, 2, SIZE(1, 2)));
	struct qeff_value *hidden = op(m, "Cast", 1, &wide, 1, &to_f32);

	hidden = OP(m, "Sub", number(m, 1), hidden);
	if (form == WHERE_TRUE) {
		hidden = op(m, "Cast", 1, &hidden, 1, &to_bool);
		return OP(m, "Where", hidden, number(m, -3.4e38f), scores);
	}
	if (form == WHERE_FALSE) {
		wide = op(m, "Cast", 1, &wide, 1, &to_bool);
		return OP(m, "Where", wide, scores, number(m, -INFINITY));
	}
	if (form == CAUSAL || form == WINDOW)
		hidden = OP(m, "Max", hidden, triangle(m, form == WINDOW ? 3 : 0));
	if (form == LEAKING)
		hidden = OP(m, "Add", hidden, number(m, 0.25f));
	hidden = OP(m, "Mul", hidden, number(m, -3.4e38f));
	return OP(m, "Add", scores, hidden);
}

static struct qeff_value *attention(struct maker *m, struct qeff_value *x, struct qeff_value *mask,
				    enum mask_form form)
{
	static const int64_t swap[] = { 0, 2, 1, 3 }, keys_last[] = { 0, 2, 3, 1 };
	const struct qeff_attribute last = QEFF_INT("axis", -1);
	const struct qeff_attribute perm = QEFF_INTS("perm", 4, swap);
	struct qeff_value *q = heads(m, linear(m, x, WIDTH, WIDTH), swap);
	struct qeff_value *k = heads(m, linear(m, x, WIDTH, WIDTH), keys_last);
	struct qeff_value *v = heads(m, linear(m, x, WIDTH, WIDTH), swap);
	struct qeff_value *scores = OP(m, "Div", OP(m, "MatMul", q, k), number(m, 2));
	struct qeff_value *y;

	scores = masked(m, scores, mask, form);
	y = OP(m, "MatMul", op(m, "Softmax", 1, &scores, 1, &last), v);
	y = op(m, "Transpose", 1, &y, 1, &perm);
	return OP(m, "Reshape", y, integers(m, 3, SIZE(BATCH, SEQ, WIDTH)));
}

/* The layer, with an RMSNorm at its end. */
static struct qeff_graph *layer(enum mask_form form, bool tanh)
{
	struct maker m = { .graph = qeff_graph_new("layer"), .seed = 7 };
	const struct qeff_dim rows[] = { qeff_dim_of(BATCH), qeff_dim_of(SEQ) };
	struct qeff_value *ids = qeff_graph_input(m.graph, "input_ids", QEFF_GRAPH_I64, 2, rows);
	struct qeff_value *mask =
		qeff_graph_input(m.graph, "attention_mask", QEFF_GRAPH_I64, 2, rows);
	struct qeff_value *x = OP(&m, "Gather", weights(&m, 2, SIZE(VOCAB, WIDTH)), ids);
	struct qeff_value *y, *one_over;

	x = OP(&m, "Add", x, weights(&m, 3, SIZE(1, SEQ, WIDTH)));
	x = layer_norm(&m, x);
	y = linear(&m, attention(&m, x, mask, form), WIDTH, WIDTH);
	x = layer_norm(&m, OP(&m, "Add", y, x));
	y = gelu(&m, linear(&m, x, WIDTH, INNER), tanh);
	x = OP(&m, "Add", linear(&m, y, INNER, WIDTH), x);
	y = OP(&m, "ReduceMean", OP(&m, "Mul", x, x), integers(&m, 1, SIZE(-1)));
	one_over = OP(&m, "Reciprocal", OP(&m, "Sqrt", OP(&m, "Add", y, number(&m, 1e-6f))));
	y = OP(&m, "Mul", weights(&m, 1, SIZE(WIDTH)), OP(&m, "Mul", x, one_over));
	qeff_graph_rename(m.graph, y, "y");
	qeff_graph_output(m.graph, y);
	return m.graph;
}

/* Lowers and runs; the graph goes with it. */
static void run(struct qeff_graph *graph, float *y)
{
	struct lowered *m = calloc(1, sizeof(*m));
	int64_t *ids, *mask;

	m->bound[0] = graph;
	m->num_bound = 1;
	m->poison = true;
	lowered_start(m, 3);
	ids = lowered_at(m, "input_ids");
	mask = lowered_at(m, "attention_mask");
	for (int i = 0; i < BATCH * SEQ; i++) {
		ids[i] = i * 11 % VOCAB;
		/* padding behind, in front, and none */
		mask[i] = i / SEQ == 0 ? i < 4 : i / SEQ == 1 ? i % SEQ >= 2 : 1;
	}
	CU_ASSERT_EQUAL_FATAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	memcpy(y, lowered_at(m, "y"), BATCH * SEQ * WIDTH * sizeof(*y));
	lowered_close(m);
}

static bool is_live(int row)
{
	return row / SEQ == 0 ? row < 4 : row / SEQ == 1 ? row % SEQ >= 2 : true;
}

/* Transforms @graph as if others had made it. */
static void transform(struct qeff_graph *graph)
{
	const struct qeff_transform_options options = { .foreign = true, .fold = qeff_lower_fold };
	struct qeff_transforms_applied applied;
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(graph, &err) ||
	    qeff_transforms_apply(graph, &options, &applied, &err))
		lowered_die("transforms", &err);
}

/* Attention is recognised if @recognised; the numbers stay either way. */
static void try_form(enum mask_form form, bool tanh, bool recognised)
{
	struct qeff_graph *plain = layer(form, tanh), *fused = layer(form, tanh);
	float expected[BATCH * SEQ * WIDTH], got[BATCH * SEQ * WIDTH], most = 0, error = 0;
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(plain, &err))
		lowered_die("by hand", &err);
	transform(fused);
	CU_ASSERT_EQUAL(count_nodes(fused, "LayerNormalization"), 2);
	CU_ASSERT_EQUAL(count_nodes(fused, "Gelu"), 1);
	CU_ASSERT_EQUAL(count_nodes(fused, "qeff.RMSNorm"), 1);
	CU_ASSERT_EQUAL(count_nodes(fused, "qeff.Attention"), recognised);
	CU_ASSERT_EQUAL(count_nodes(fused, "Softmax"), !recognised);
	CU_ASSERT_EQUAL(count_nodes(fused, "qeff.MaskToColumns"), recognised);
	run(plain, expected);
	run(fused, got);
	for (int i = 0; i < BATCH * SEQ * WIDTH; i++) {
		if (!is_live(i / WIDTH))
			continue;
		most = fmaxf(most, fabsf(expected[i]));
		error = fmaxf(error, fabsf(expected[i] - got[i]));
	}
	CU_ASSERT(most > 0.1f);
	/* sums in another order, nothing more */
	CU_ASSERT(error < 2e-5f * most);
}

static void masks_that_are_added(void)
{
	try_form(SUM, false, true);
	try_form(SUM, true, true);
}

static void masks_that_choose(void)
{
	try_form(WHERE_TRUE, false, true);
	try_form(WHERE_FALSE, false, true);
}

static void causal_masks(void)
{
	try_form(CAUSAL, false, true);
}

/* What is no mask of ours stays as it is. */
static void other_masks(void)
{
	try_form(WINDOW, false, false);
	try_form(LEAKING, false, false);
}

static const struct unit_test tests[] = {
	{ "masks that are added", masks_that_are_added },
	{ "masks that choose", masks_that_choose },
	{ "causal masks", causal_masks },
	{ "other masks", other_masks },
};

QEFF_UNIT_MAIN("patterns", tests)
