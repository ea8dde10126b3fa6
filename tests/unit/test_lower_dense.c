/* SPDX-License-Identifier: MIT */
/*
 * The plain way of lowering: graphs without rows, values that are rows for one reader and dense for
 * another, views that cost no operation, parts written side by side. All under the poison check.
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

static struct qeff_value *input(struct qeff_graph *graph, const char *name,
				enum qeff_graph_type type, uint32_t rank, const int64_t *size)
{
	struct qeff_dim dims[QEFF_GRAPH_MAX_RANK];

	for (uint32_t i = 0; i < rank; i++)
		dims[i] = qeff_dim_of(size[i]);
	return qeff_graph_input(graph, name, type, rank, dims);
}

static struct qeff_value *integers(struct qeff_graph *graph, const char *name, uint32_t count,
				   const int64_t *numbers)
{
	const int64_t size[] = { count };
	void *data;
	struct qeff_value *value = qeff_graph_constant(graph, name, QEFF_GRAPH_I64, 1, size, &data);

	memcpy(data, numbers, count * sizeof(*numbers));
	return value;
}

static struct lowered *start(struct qeff_graph *graph, uint32_t nsps)
{
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(graph, &err))
		lowered_die("by hand", &err);
	m->bound[0] = graph;
	m->num_bound = 1;
	m->poison = true;
	lowered_start(m, nsps);
	return m;
}

static uint32_t count_ops(const struct lowered *m, enum qeff_nsp_code code)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->l->specs[0].num_ops; i++)
		count += m->l->specs[0].ops[i].nsp.code == code;
	return count;
}

#define SIZE(...)                                                                                  \
	(const int64_t[])                                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* Two inputs, one broadcast; no token anywhere. */
static void a_graph_without_rows(void)
{
	struct qeff_graph *graph = qeff_graph_new("sum");
	struct qeff_value *a = input(graph, "a", QEFF_GRAPH_F32, 3, SIZE(2, 3, 5));
	struct qeff_value *b = input(graph, "b", QEFF_GRAPH_F32, 2, SIZE(3, 1));
	struct lowered *m;
	float *x, *y;

	qeff_graph_output(graph, node(graph, "Add", "y", a, b));
	m = start(graph, 3);
	CU_ASSERT_EQUAL(m->l->specs[0].num_ops, 1);
	CU_ASSERT_EQUAL(m->l->specs[0].phases, 1);
	x = lowered_at(m, "a");
	y = lowered_at(m, "b");
	for (int i = 0; i < 30; i++)
		x[i] = (float)i;
	for (int i = 0; i < 3; i++)
		y[i] = (float)(i * 100);
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT_EQUAL(lowered_stats(m)->tokens, 0);
	for (int i = 0; i < 30; i++)
		CU_ASSERT_EQUAL(((float *)lowered_at(m, "y"))[i], (float)(i + i / 5 % 3 * 100));
	lowered_close(m);
}

/* Integers of 64 bits keep all of them. */
static void other_types(void)
{
	struct qeff_graph *graph = qeff_graph_new("types");
	struct qeff_value *a = input(graph, "a", QEFF_GRAPH_I64, 1, SIZE(3));
	struct qeff_value *b = input(graph, "b", QEFF_GRAPH_I64, 1, SIZE(3));
	static const int64_t in[] = { (1ll << 60) + 1, INT64_MAX, -5 };
	struct lowered *m;
	int64_t *got;

	qeff_graph_output(graph, node(graph, "Add", "sum", a, b));
	qeff_graph_output(graph, node(graph, "Mul", "product", a, b));
	m = start(graph, 1);
	memcpy(lowered_at(m, "a"), in, sizeof(in));
	for (int i = 0; i < 3; i++)
		((int64_t *)lowered_at(m, "b"))[i] = i + 1;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "sum");
	CU_ASSERT_EQUAL(got[0], (1ll << 60) + 2);
	CU_ASSERT_EQUAL(got[1], INT64_MIN + 1);
	CU_ASSERT_EQUAL(got[2], -2);
	got = lowered_at(m, "product");
	CU_ASSERT_EQUAL(got[1], -2);
	CU_ASSERT_EQUAL(got[2], -15);
	lowered_close(m);
}

/* What turns and cuts is a view; only the output is copied. */
static void views_cost_nothing(void)
{
	struct qeff_graph *graph = qeff_graph_new("views");
	struct qeff_value *x = input(graph, "x", QEFF_GRAPH_F32, 2, SIZE(4, 6));
	struct qeff_value *t, *s, *in[5];
	struct lowered *m;
	float *from, *got;

	t = qeff_graph_node(graph, "Transpose", "t", 1, &x, 1, &QEFF_INTS("perm", 2, SIZE(1, 0)));
	in[0] = t;
	in[1] = integers(graph, "starts", 1, SIZE(4));
	in[2] = integers(graph, "ends", 1, SIZE(0));
	in[3] = integers(graph, "axes", 1, SIZE(0));
	in[4] = integers(graph, "steps", 1, SIZE(-2));
	s = qeff_graph_node(graph, "Slice", "s", 5, in, 0, NULL);
	qeff_graph_output(graph, s); /* [2, 4]: rows 4 and 2 of t */
	m = start(graph, 2);
	CU_ASSERT_EQUAL(m->l->specs[0].num_ops, 1);
	from = lowered_at(m, "x");
	for (int i = 0; i < 24; i++)
		from[i] = (float)i;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "s");
	for (int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(got[i], (float)(i % 4 * 6 + (i < 4 ? 4 : 2)));
	lowered_close(m);
}

/* Parts of one tensor are written in one phase, and read in the next. */
static void parts_side_by_side(void)
{
	struct qeff_graph *graph = qeff_graph_new("parts");
	struct qeff_value *in[3], *y;
	struct lowered *m;
	float *got;

	for (int i = 0; i < 3; i++)
		in[i] = input(graph,
			      i == 0   ? "a"
			      : i == 1 ? "b"
				       : "c",
			      QEFF_GRAPH_F32, 2, SIZE(2, i + 1));
	y = qeff_graph_node(graph, "Concat", "all", 3, in, 1, &QEFF_INT("axis", 1));
	qeff_graph_output(graph, node(graph, "Neg", "y", y, NULL));
	m = start(graph, 2);
	CU_ASSERT_EQUAL(m->l->specs[0].num_ops, 4);
	CU_ASSERT_EQUAL(m->l->specs[0].phases, 2);
	for (int n = 0; n < 3; n++)
		for (int i = 0; i < 2 * (n + 1); i++)
			((float *)lowered_at(m, in[n]->name))[i] = (float)(n * 10 + i);
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int row = 0; row < 2; row++) {
		CU_ASSERT_EQUAL(got[row * 6], (float)-row);
		CU_ASSERT_EQUAL(got[row * 6 + 1], (float)-(10 + row * 2));
		CU_ASSERT_EQUAL(got[row * 6 + 5], (float)-(20 + row * 3 + 2));
	}
	lowered_close(m);
}

/* ids [2,3] -> rows of a table of 8 entries and 4 columns, entry e's column c is 4 e + c. */
static struct qeff_value *lookup(struct qeff_graph *graph)
{
	struct qeff_value *ids = input(graph, "input_ids", QEFF_GRAPH_I64, 2, SIZE(2, 3));
	struct qeff_value *mask = input(graph, "attention_mask", QEFF_GRAPH_I64, 2, SIZE(2, 3));
	struct qeff_value *table, *places, *positions;
	void *data;

	positions = node(graph, "qeff.MaskToPositions", "position_ids", mask, NULL);
	table = qeff_graph_constant(graph, "table", QEFF_GRAPH_F32, 2, SIZE(8, 4), &data);
	for (int i = 0; i < 32; i++)
		((float *)data)[i] = (float)i;
	places = qeff_graph_constant(graph, "places", QEFF_GRAPH_F32, 2, SIZE(3, 4), &data);
	return node(graph, "Add", "x", node(graph, "Gather", "entry", table, ids),
		    node(graph, "Gather", "place", places, positions));
}

/* Rows that a plain node reads have the application's shape there, zeros where no token is; who can
 * take rows still does. */
static void rows_for_one_dense_for_another(void)
{
	static const int64_t ids[] = { 1, 2, 3, 4, 5, 6 }, mask[] = { 1, 0, 1, 1, 1, 0 };
	struct qeff_graph *graph = qeff_graph_new("both");
	struct qeff_value *x = lookup(graph), *t;
	struct lowered *m;
	float *got;

	qeff_graph_output(graph, node(graph, "Relu", "rows", x, NULL));
	t = qeff_graph_node(graph, "Transpose", "t", 1, &x, 1,
			    &QEFF_INTS("perm", 3, SIZE(0, 2, 1)));
	qeff_graph_output(graph, node(graph, "MatMul", "scores", x, t));
	m = start(graph, 3);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_ROWS), 1);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_POINTWISE), 1);
	/* what leaves the rows: an output, and x, once for both readers */
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_COPY), 2);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_NEST), 1);
	memcpy(lowered_at(m, "input_ids"), ids, sizeof(ids));
	memcpy(lowered_at(m, "attention_mask"), mask, sizeof(mask));
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "scores");
	for (int b = 0; b < 2; b++)
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++) {
				int p = b * 3 + i, q = b * 3 + j;
				float sum = 0;

				for (int c = 0; mask[p] && mask[q] && c < 4; c++)
					sum += (float)((ids[p] * 4 + c) * (ids[q] * 4 + c));
				CU_ASSERT_EQUAL(got[p * 3 + j], sum);
			}
	lowered_close(m);
}

/* A constant whose numbers go along the tokens must not be taken for one that goes along columns,
 * even if it has as many. */
static void numbers_for_each_token(void)
{
	static const int64_t ids[] = { 1, 2, 3, 4, 5, 6 }, mask[] = { 1, 1, 1, 1, 1, 1 };
	struct qeff_graph *graph = qeff_graph_new("tokens");
	struct qeff_value *x = lookup(graph), *w, *y;
	struct lowered *m;
	float *got;
	void *data;

	w = qeff_graph_constant(graph, "w", QEFF_GRAPH_F32, 3, SIZE(1, 3, 4), &data);
	for (int i = 0; i < 12; i++)
		((float *)data)[i] = (float)(i * 100);
	y = node(graph, "Add", "y", x, w);
	qeff_graph_output(graph, y);
	m = start(graph, 2);
	memcpy(lowered_at(m, "input_ids"), ids, sizeof(ids));
	memcpy(lowered_at(m, "attention_mask"), mask, sizeof(mask));
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 24; i++)
		CU_ASSERT_EQUAL(got[i], (float)(ids[i / 4] * 4 + i % 4 + i % 12 * 100));
	lowered_close(m);
}

/* A product by a weight is a MATMUL, with bias and function; another order of dimensions is copied
 * first, and a product of two tensors is none. */
static void products_by_weights(void)
{
	struct qeff_graph *graph = qeff_graph_new("products");
	struct qeff_value *x = input(graph, "x", QEFF_GRAPH_F32, 3, SIZE(2, 3, 5)), *w, *b, *y,
			  *in[3];
	struct lowered *m;
	float *from, *got;
	void *data;

	w = qeff_graph_constant(graph, "w", QEFF_GRAPH_F32, 2, SIZE(5, 37), &data);
	for (int i = 0; i < 5 * 37; i++)
		((float *)data)[i] = (float)(i % 7 - 3);
	b = qeff_graph_constant(graph, "b", QEFF_GRAPH_F32, 1, SIZE(37), &data);
	for (int i = 0; i < 37; i++)
		((float *)data)[i] = (float)-i;
	y = node(graph, "Relu", "y",
		 node(graph, "Add", "biased", node(graph, "MatMul", "product", x, w), b), NULL);
	qeff_graph_output(graph, y);
	in[0] = qeff_graph_node(graph, "Reshape", "flat", 2,
				(struct qeff_value *[]){ x, integers(graph, "to", 2, SIZE(5, 6)) },
				0, NULL);
	in[0] = qeff_graph_node(graph, "Transpose", "turned", 1, in, 1,
				&QEFF_INTS("perm", 2, SIZE(1, 0)));
	in[1] = w;
	in[2] = b;
	y = qeff_graph_node(graph, "Gemm", "z", 3, in, 0, NULL);
	qeff_graph_output(graph, y);
	m = start(graph, 3);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_MATMUL), 2);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_NEST), 1);
	CU_ASSERT_EQUAL(m->l->num_weights, 1);
	from = lowered_at(m, "x");
	for (int i = 0; i < 30; i++)
		from[i] = (float)(i - 9);
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	for (int turned = 0; turned < 2; turned++) {
		got = lowered_at(m, turned ? "z" : "y");
		for (int row = 0; row < 6; row++)
			for (int n = 0; n < 37; n++) {
				float sum = (float)-n;

				for (int k = 0; k < 5; k++)
					sum += from[turned ? k * 6 + row : row * 5 + k] *
					       (float)((k * 37 + n) % 7 - 3);
				if (!turned && sum < 0)
					sum = 0;
				CU_ASSERT_EQUAL(got[row * 37 + n], sum);
			}
	}
	lowered_close(m);
}

/* x [2,3,7,6] by w [9,3,3,2] with padding, strides and dilation, then by w [8,9,1,1], whose places
 * are rows as they lie. */
static void convolutions_by_weights(void)
{
	const struct qeff_attribute attributes[] = { QEFF_INTS("pads", 4, SIZE(1, 0, 2, 1)),
						     QEFF_INTS("strides", 2, SIZE(2, 1)),
						     QEFF_INTS("dilations", 2, SIZE(1, 2)) };
	struct qeff_graph *graph = qeff_graph_new("convolutions");
	struct qeff_value *in[3], *y;
	struct lowered *m;
	float *x, *w, *v, *got, want[2][9][4][5];
	void *data;

	in[0] = input(graph, "x", QEFF_GRAPH_F32, 4, SIZE(2, 3, 7, 6));
	in[1] = qeff_graph_constant(graph, "w", QEFF_GRAPH_F32, 4, SIZE(9, 3, 3, 2), &data);
	w = data;
	for (int i = 0; i < 9 * 18; i++)
		w[i] = (float)(i % 11 - 5);
	in[2] = qeff_graph_constant(graph, "b", QEFF_GRAPH_F32, 1, SIZE(9), &data);
	for (int i = 0; i < 9; i++)
		((float *)data)[i] = (float)(i * 100);
	y = qeff_graph_node(graph, "Conv", "y", 3, in, 3, attributes);
	qeff_graph_output(graph, y);
	in[0] = y;
	in[1] = qeff_graph_constant(graph, "v", QEFF_GRAPH_F32, 4, SIZE(8, 9, 1, 1), &data);
	v = data;
	for (int i = 0; i < 72; i++)
		v[i] = (float)(i % 5 - 2);
	qeff_graph_output(graph, qeff_graph_node(graph, "Conv", "z", 2, in, 0, NULL));
	m = start(graph, 2);
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_MATMUL), 4);
	/* padding twice; patches of two entries; outputs as the application wants them */
	CU_ASSERT_EQUAL(count_ops(m, QEFF_NSP_NEST), 6);
	x = lowered_at(m, "x");
	for (int i = 0; i < 2 * 3 * 42; i++)
		x[i] = (float)(i % 13 - 6);
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 2 * 9 * 4 * 5; i++) {
		int n = i / 180, o = i / 20 % 9, r = i / 5 % 4, c = i % 5;
		float sum = (float)(o * 100);

		for (int k = 0; k < 18; k++) {
			int row = r * 2 - 1 + k / 2 % 3, column = c + k % 2 * 2;

			if (row >= 0 && row < 7 && column < 6)
				sum += x[((n * 3 + k / 6) * 7 + row) * 6 + column] * w[o * 18 + k];
		}
		want[n][o][r][c] = sum;
		CU_ASSERT_EQUAL(got[i], sum);
	}
	got = lowered_at(m, "z");
	for (int i = 0; i < 2 * 8 * 20; i++) {
		float sum = 0;

		for (int k = 0; k < 9; k++)
			sum += want[i / 160][k][i / 5 % 4][i % 5] * v[i / 20 % 8 * 9 + k];
		CU_ASSERT_EQUAL(got[i], sum);
	}
	lowered_close(m);
}

/* Indices out of range are a fault that names the index. */
static void an_index_out_of_range(void)
{
	struct qeff_graph *graph = qeff_graph_new("pick");
	struct qeff_value *x = input(graph, "x", QEFF_GRAPH_F32, 2, SIZE(5, 3));
	struct qeff_value *at = input(graph, "at", QEFF_GRAPH_I64, 1, SIZE(2));
	struct lowered *m;
	float *got;

	qeff_graph_output(graph, node(graph, "Gather", "y", x, at));
	m = start(graph, 1);
	for (int i = 0; i < 15; i++)
		((float *)lowered_at(m, "x"))[i] = (float)i;
	((int64_t *)lowered_at(m, "at"))[0] = -1;
	((int64_t *)lowered_at(m, "at"))[1] = 2;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(got[i], (float)(12 + i));
		CU_ASSERT_EQUAL(got[3 + i], (float)(6 + i));
	}
	((int64_t *)lowered_at(m, "at"))[1] = 5;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_INDEX);
	CU_ASSERT_EQUAL(lowered_stats(m)->fault_value, 5);
	((int64_t *)lowered_at(m, "at"))[1] = INT64_MIN;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_INDEX);
	CU_ASSERT_EQUAL(lowered_stats(m)->fault_value, INT64_MIN);
	lowered_close(m);
}

static const struct unit_test tests[] = {
	{ "a graph without rows", a_graph_without_rows },
	{ "other types", other_types },
	{ "views cost nothing", views_cost_nothing },
	{ "parts are written side by side", parts_side_by_side },
	{ "rows for one, dense for another", rows_for_one_dense_for_another },
	{ "numbers for each token", numbers_for_each_token },
	{ "products by weights", products_by_weights },
	{ "convolutions by weights", convolutions_by_weights },
	{ "an index out of range", an_index_out_of_range },
};

QEFF_UNIT_MAIN("lower_dense", tests)
