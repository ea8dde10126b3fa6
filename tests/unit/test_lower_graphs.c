/* SPDX-License-Identifier: MIT */
/* Lowering of graphs by hand: what is taken into one operation and what stays, and what is refused.
 */
#include "unit.h"

#include "lowered.h"

#include <math.h>

static struct qeff_value *node(struct qeff_graph *graph, const char *op, const char *name,
			       struct qeff_value *a, struct qeff_value *b)
{
	struct qeff_value *const inputs[] = { a, b };

	return qeff_graph_node(graph, op, name, b ? 2 : 1, inputs, 0, NULL);
}

static struct qeff_value *transpose(struct qeff_graph *graph, const char *name,
				    struct qeff_value *x)
{
	static const int64_t swap[] = { 1, 0 };

	return qeff_graph_node(graph, "Transpose", name, 1, &x, 1, &QEFF_INTS("perm", 2, swap));
}

/* ids [2,3] -> x [2,3,4]: a lookup in a table of 40 entries, and by position in one of 3. */
static struct qeff_graph *lookup(struct qeff_value **x)
{
	const struct qeff_dim dims[] = { qeff_dim_of(2), qeff_dim_of(3) };
	struct qeff_graph *graph = qeff_graph_new("by hand");
	struct qeff_value *ids = qeff_graph_input(graph, "input_ids", QEFF_GRAPH_I64, 2, dims);
	struct qeff_value *mask =
		qeff_graph_input(graph, "attention_mask", QEFF_GRAPH_I64, 2, dims);
	struct qeff_value *table, *places, *positions;
	void *data;

	positions = node(graph, "qeff.MaskToPositions", "position_ids", mask, NULL);
	table = qeff_graph_constant(graph, "table", QEFF_GRAPH_F32, 2, (const int64_t[]){ 40, 4 },
				    &data);
	for (int i = 0; i < 160; i++)
		((float *)data)[i] = (float)i / 16;
	places = qeff_graph_constant(graph, "places", QEFF_GRAPH_F32, 2, (const int64_t[]){ 3, 4 },
				     &data);
	for (int i = 0; i < 12; i++)
		((float *)data)[i] = (float)i * 2;
	*x = node(graph, "Add", "x", node(graph, "Gather", "entry", table, ids),
		  node(graph, "Gather", "place", places, positions));
	return graph;
}

/* What x is there. */
static float looked_up(int64_t id, int position, int column)
{
	return (float)(id * 4 + column) / 16 + (float)(position * 4 + column) * 2;
}

static struct lowered *start_by_hand(struct qeff_graph *graph)
{
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(graph, &err))
		lowered_die("by hand", &err);
	m->bound[0] = graph;
	m->num_bound = 1;
	lowered_start(m, 3);
	return m;
}

static void elements_meet_elements(void)
{
	static const int64_t ids[] = { 39, 1, 2, 3, 4, 5 }, mask[] = { 1, 1, 0, 0, 1, 1 };
	struct qeff_value *x, *scale, *half, *y;
	struct qeff_graph *graph = lookup(&x);
	struct lowered *m;
	const float *got;
	void *data;

	scale = qeff_graph_constant(graph, "scale", QEFF_GRAPH_F32, 1, (const int64_t[]){ 4 },
				    &data);
	memcpy(data, (const float[]){ 1, -2, 3, -4 }, 16);
	half = qeff_graph_constant(graph, "half", QEFF_GRAPH_F32, 0, NULL, &data);
	*(float *)data = 0.5f;
	y = node(graph, "Mul", "scaled", x, scale);
	y = node(graph, "Sub", "shifted", y, half);
	y = node(graph, "Relu", "positive", y, NULL);
	y = node(graph, "Sub", "reversed", half, y);
	qeff_graph_output(graph, node(graph, "Add", "y", y, x));
	m = start_by_hand(graph);
	memcpy(lowered_at(m, "input_ids"), ids, sizeof(ids));
	memcpy(lowered_at(m, "attention_mask"), mask, sizeof(mask));
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 24; i++) {
		float scales[] = { 1, -2, 3, -4 };
		/* the second entry's tokens stand behind a dead one */
		float in = looked_up(ids[i / 4], i / 4 < 3 ? i / 4 : i / 4 - 4, i % 4);
		float expected = 0.5f - fmaxf(in * scales[i % 4] - 0.5f, 0) + in;

		CU_ASSERT_DOUBLE_EQUAL(got[i], mask[i / 4] ? expected : 0, 1e-6);
	}
	/* An index outside the table is a fault that names it. */
	((int64_t *)lowered_at(m, "input_ids"))[4] = 40;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_INDEX);
	CU_ASSERT_EQUAL(lowered_stats(m)->fault_value, 40);
	lowered_close(m);
}

/* y = r + m * silu(x w + b), all in one operation; and again where the product is read twice, so
 * that nothing may be taken in. */
static void epilogues(bool read_twice)
{
	static const float w[] = { 1, 0.5f, -1, 2, -0.25f, 3, 0, 1, 2, -2, 1, 1 }; /* [3][4] */
	static const float b[] = { 0.5f, -1, 0.25f };
	struct qeff_value *x, *weight, *bias, *y, *s, *product, *gate;
	struct qeff_graph *graph = lookup(&x);
	const float *got;
	struct lowered *m;

	weight = qeff_graph_initialiser(graph, "w", QEFF_GRAPH_F32, QEFF_GRAPH_F32, 2,
					(const int64_t[]){ 3, 4 }, w);
	bias = qeff_graph_initialiser(graph, "b", QEFF_GRAPH_F32, QEFF_GRAPH_F32, 1,
				      (const int64_t[]){ 3 }, b);
	gate = node(graph, "MatMul", "gate", x, transpose(graph, "wt", weight));
	product = node(graph, "MatMul", "product", x, transpose(graph, "wt2", weight));
	y = node(graph, "Add", "biased", product, bias);
	s = node(graph, "Sigmoid", "sigmoid", y, NULL);
	y = node(graph, "Mul", "silu", y, s);
	y = node(graph, "Mul", "gated", gate, y);
	qeff_graph_output(graph, node(graph, "Add", "y", y, gate));
	if (read_twice)
		qeff_graph_output(graph, product);
	m = start_by_hand(graph);
	/* rows, two lookups, two products, a copy; else another copy and five steps on their own */
	CU_ASSERT_EQUAL(m->l->specs[0].num_ops, read_twice ? 12 : 6);
	for (int i = 0; i < 6; i++) {
		((int64_t *)lowered_at(m, "input_ids"))[i] = i * 7;
		((int64_t *)lowered_at(m, "attention_mask"))[i] = 1;
	}
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 18; i++) {
		double sum = 0, with_bias;

		for (int k = 0; k < 4; k++)
			sum += (double)w[i % 3 * 4 + k] * looked_up(i / 3 * 7, i / 3 % 3, k);
		with_bias = sum + b[i % 3];
		CU_ASSERT_DOUBLE_EQUAL(got[i], sum + sum * with_bias / (1 + exp(-with_bias)), 2e-3);
	}
	lowered_close(m);
}

static void epilogues_are_taken_in(void)
{
	epilogues(false);
}

static void what_is_read_twice_stays(void)
{
	epilogues(true);
}

static void refuse(struct qeff_graph *graph, const char *sentence)
{
	const struct qeff_graph *graphs[] = { graph };
	struct qeff_lowering *l = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(
		qeff_lower(graphs, 1, &(struct qeff_lower_options){ .num_nsps = 4 }, &l, &err),
		-ENOTSUP);
	CU_ASSERT_PTR_NULL(l);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, sentence));
	if (!strstr(err.message, sentence))
		printf("\n  found: %s\n", err.message);
	qeff_graph_free(graph);
}

static void what_cannot_be_lowered_is_named(void)
{
	const struct qeff_dim dims[] = { qeff_dim_of(2), qeff_dim_of(3) };
	const struct qeff_attribute epsilon[] = { QEFF_FLOAT("epsilon", 1e-6f) };
	struct qeff_graph *graph = qeff_graph_new("no positions");
	struct qeff_value *x = qeff_graph_input(graph, "x", QEFF_GRAPH_F32, 2, dims);

	/* Our own operators work on rows of tokens, and there are none. */
	qeff_graph_output(graph,
			  qeff_graph_node(graph, "qeff.L2Normalize", "y", 1, &x, 1, epsilon));
	refuse(graph, "node y (qeff.L2Normalize) cannot be lowered: input 0 is not an activation");

	graph = lookup(&x);
	x = qeff_graph_node(graph, "Transpose", "t", 1, &x, 1,
			    &QEFF_INTS("perm", 3, ((const int64_t[]){ 0, 2, 1 })));
	qeff_graph_output(graph,
			  qeff_graph_node(graph, "qeff.L2Normalize", "y", 1, &x, 1, epsilon));
	refuse(graph, "node y (qeff.L2Normalize) cannot be lowered: input 0 is not an activation");
}

static void specialisations_must_agree(void)
{
	struct qeff_value *x;
	struct qeff_graph *a = lookup(&x), *b;
	const struct qeff_graph *graphs[2];
	struct qeff_lowering *l = NULL;
	struct qeff_error err = { 0 };

	qeff_graph_output(a, node(a, "Relu", "y", x, NULL));
	b = lookup(&x);
	qeff_graph_output(b, node(b, "Relu", "z", x, NULL));
	graphs[0] = a;
	graphs[1] = b;
	CU_ASSERT_EQUAL(
		qeff_lower(graphs, 2, &(struct qeff_lower_options){ .num_nsps = 4 }, &l, &err),
		-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "has z where the first one has y"));
	CU_ASSERT_EQUAL(
		qeff_lower(graphs, 1, &(struct qeff_lower_options){ .num_nsps = 0 }, &l, &err),
		-EINVAL);
	CU_ASSERT_EQUAL(
		qeff_lower(graphs, 1, &(struct qeff_lower_options){ .num_nsps = 17 }, &l, &err),
		-EINVAL);
	CU_ASSERT_EQUAL(
		qeff_lower(graphs, 0, &(struct qeff_lower_options){ .num_nsps = 1 }, &l, &err),
		-EINVAL);
	qeff_graph_free(a);
	qeff_graph_free(b);
}

static const struct unit_test tests[] = {
	{ "elements meet elements", elements_meet_elements },
	{ "epilogues are taken in", epilogues_are_taken_in },
	{ "what is read twice stays", what_is_read_twice_stays },
	{ "what cannot be lowered is named", what_cannot_be_lowered_is_named },
	{ "specialisations must agree", specialisations_must_agree },
};
QEFF_UNIT_MAIN("lower_graphs", tests)
