/* SPDX-License-Identifier: MIT */
/*
 * ATTENTION against softmax in double, and what a row's bits may not depend on: how many NSPs, row
 * parts, chunks, batch neighbours and dead positions there are, and on which side those stand.
 */
#include "nsp_builder.h"
#include "unit.h"

#include "nsp/half.h"

#include <math.h>

/**
 * struct attention_case - one ATTENTION over given queries, keys and values
 * @batch, @seq, @input: token inputs (position_ids)
 * @bias_columns, @bias_zero: a bias by head and distance, or by key; 0: none
 * @sinks: each head has a score of no key
 * @distances: embeddings of distances, two to a row; 0: none. @sides: for queries 1, for keys 2
 */
struct attention_case {
	uint32_t heads, kv_heads, head_dim, value_dim, window;
	float softcap;
	bool from_state, causal;
	enum qeff_nsp_type type;
	uint32_t nsps;
	uint16_t row_parts;
	uint32_t bias_columns, bias_zero, distances, sides;
	bool sinks;
};

#define BATCH	  2
#define SEQ	  90
#define POSITIONS 200
#define ROWS	  (BATCH * SEQ)

/* Of each live row: its batch entry and its position or place; filled from the input. */
struct live {
	uint32_t entry[ROWS], own[ROWS], first[BATCH], count[BATCH], rows;
};

static void find_live(struct live *live, const int64_t *input, bool from_state)
{
	memset(live, 0, sizeof(*live));
	for (uint32_t i = 0; i < ROWS; i++) {
		uint32_t entry = i / SEQ;

		if (input[i] < 0)
			continue;
		if (!live->count[entry])
			live->first[entry] = live->rows;
		live->entry[live->rows] = entry;
		live->own[live->rows] = from_state ? (uint32_t)input[i] : live->count[entry];
		live->count[entry]++;
		live->rows++;
	}
}

static float rounded(enum qeff_nsp_type type, float value)
{
	return type == QEFF_NSP_F16 ? qeff_f16_to_f32(qeff_f32_to_f16(value)) : value;
}

static void store(uint8_t *at, enum qeff_nsp_type type, uint64_t index, float value)
{
	uint16_t half = qeff_f32_to_f16(value);

	if (type == QEFF_NSP_F32)
		memcpy(at + index * 4, &value, 4);
	else
		memcpy(at + index * 2, &half, 2);
}

/* Deterministic number @column of the key (0) or value (1) of a KV head at a key number of a batch
 * entry. */
static float kv_number(const struct attention_case *c, uint32_t entry, uint32_t head, uint32_t key,
		       uint32_t column, uint32_t what)
{
	uint32_t seed = (((entry * 131 + head) * 977 + key) * 331 + column) * 2 + what;

	nsp_random(&seed);
	nsp_random(&seed);
	return rounded(c->type, nsp_random(&seed) * 2);
}

static float q_number(uint32_t entry, uint32_t own, uint32_t column)
{
	uint32_t seed = (entry * 977 + own) * 7919 + column;

	nsp_random(&seed);
	nsp_random(&seed);
	return nsp_random(&seed) * 2;
}

/* Deterministic number @column of row @row of the bias (0), of the embeddings that serve as keys
 * (1) or as queries (2). */
static float relative_number(uint32_t row, uint32_t column, uint32_t what)
{
	uint32_t seed = (row * 613 + column) * 3 + what;

	nsp_random(&seed);
	nsp_random(&seed);
	return nsp_random(&seed);
}

static int64_t clamp(int64_t x, int64_t most)
{
	return x < 0 ? 0 : x > most ? most : x;
}

/* What distances add to the score, before and after the scale. */
static double relative_score(const struct attention_case *c, uint32_t entry, uint32_t own,
			     uint32_t head, uint32_t key, double *bias)
{
	int64_t distance = (int64_t)key - own, most = (int64_t)c->distances - 1;
	int64_t place = c->bias_zero == QEFF_NSP_BIAS_BY_KEY ? key : distance + c->bias_zero;
	uint32_t row = (uint32_t)clamp(distance + most, 2 * most) / 2;
	double score = 0;

	*bias = c->bias_columns
			? relative_number(head, (uint32_t)clamp(place, c->bias_columns - 1ll), 0)
			: 0;
	for (uint32_t d = 0; c->distances && d < c->head_dim; d++) {
		uint32_t column = head * c->head_dim + d;

		if (c->sides & 1)
			score += (double)q_number(entry, own, column) *
				 relative_number(row, column, 1);
		if (c->sides & 2)
			score += (double)kv_number(c, entry, head / (c->heads / c->kv_heads), key,
						   d, 0) *
				 relative_number(row, column, 2);
	}
	return score;
}

static void check_row(const struct attention_case *c, const struct live *live, uint32_t row,
		      uint32_t head, const float *out, double *worst)
{
	uint32_t entry = live->entry[row], own = live->own[row],
		 kv = head / (c->heads / c->kv_heads);
	uint32_t end = c->from_state || c->causal ? own + 1 : live->count[entry];
	uint32_t first = c->window && own + 1 > c->window ? own + 1 - c->window : 0;
	double scores[POSITIONS], most = -INFINITY, total = 0, bias;

	if (c->window && end > own + c->window)
		end = own + c->window;

	for (uint32_t key = first; key < end; key++) {
		double score = relative_score(c, entry, own, head, key, &bias);

		for (uint32_t d = 0; d < c->head_dim; d++)
			score += (double)q_number(entry, own, head * c->head_dim + d) *
				 kv_number(c, entry, kv, key, d, 0);
		score *= 0.25;
		scores[key] = c->softcap > 0 ? c->softcap * tanh(score / c->softcap) : score;
		scores[key] += bias;
		most = fmax(most, scores[key]);
	}
	if (c->sinks)
		most = fmax(most, relative_number(0, head, 0));
	for (uint32_t key = first; key < end; key++)
		total += exp(scores[key] - most);
	if (c->sinks)
		total += exp(relative_number(0, head, 0) - most);
	for (uint32_t d = 0; d < c->value_dim; d++) {
		double want = 0;

		for (uint32_t key = first; key < end; key++)
			want += exp(scores[key] - most) / total *
				kv_number(c, entry, kv, key, d, 1);
		*worst = fmax(*worst, nsp_off(out[d], want));
	}
}

/* Puts the case's numbers into state, or into rows of this inference. */
static void put_kv(const struct attention_case *c, struct nsp_machine *m,
		   const struct qeff_nsp_op *op, const struct live *live)
{
	const struct qeff_nsp_attention_params *p = &op->u.attention;

	for (uint32_t what = 0; what < 2; what++) {
		uint32_t dim = what ? c->value_dim : c->head_dim;
		uint64_t at =
			c->from_state ? (what ? p->value.at : p->key.at) : op->in[1 + what].at;
		uint8_t *memory = nsp_ddr(m, at);

		for (uint32_t e = 0; e < BATCH; e++)
			for (uint32_t h = 0; h < c->kv_heads; h++) {
				uint32_t keys = c->from_state ? POSITIONS : live->count[e];

				for (uint32_t k = 0; k < keys; k++)
					for (uint32_t d = 0; d < dim; d++) {
						uint64_t index = c->from_state
									 ? ((e * c->kv_heads + h) *
										    POSITIONS +
									    k) * dim +
										   d
									 : ((live->first[e] + k) *
										    c->kv_heads +
									    h) * dim +
										   d;

						store(memory, c->type, index,
						      kv_number(c, e, h, k, d, what));
					}
			}
	}
}

static struct qeff_nsp_state state_of(const struct attention_case *c, struct nsp_builder *b,
				      uint32_t dim)
{
	uint32_t size = c->type == QEFF_NSP_F32 ? 4 : 2;

	return (struct qeff_nsp_state){
		.at = nsp_state(b, (uint64_t)BATCH * c->kv_heads * POSITIONS * dim * size),
		.slot_stride = (uint64_t)c->kv_heads * POSITIONS * dim * size,
		.head_stride = POSITIONS * dim * size,
		.position_stride = dim * size,
		.slots = BATCH,
		.positions = POSITIONS,
		.type = c->type,
	};
}

static uint64_t relative_numbers(struct nsp_builder *b, uint32_t rows, uint32_t columns,
				 uint32_t what)
{
	float *numbers = calloc((size_t)rows * columns, sizeof(*numbers));
	uint64_t at;

	for (uint32_t i = 0; i < rows * columns; i++)
		numbers[i] = relative_number(i / columns, i % columns, what);
	at = nsp_const(b, numbers, (size_t)rows * columns * sizeof(*numbers));
	free(numbers);
	return at;
}

static void add_relative(const struct attention_case *c, struct nsp_builder *b,
			 struct qeff_nsp_op *op)
{
	float buckets[2 * SEQ];
	uint32_t width = c->heads * c->head_dim;

	op->u.attention.bias_columns = c->bias_columns;
	op->u.attention.bias_zero = c->bias_zero;
	if (c->bias_columns)
		op->in[3] =
			nsp_f32(relative_numbers(b, c->heads, c->bias_columns, 0), c->bias_columns);
	if (c->sinks)
		op->u.attention.sinks =
			nsp_rows(relative_numbers(b, 1, c->heads, 0), 0, QEFF_NSP_F32).at;
	if (!c->distances)
		return;
	for (uint32_t i = 0; i < 2 * c->distances - 1; i++)
		buckets[i] = (float)(i / 2);
	op->u.attention.relative = (struct qeff_nsp_relative){
		.keys = c->sides & 1 ? relative_numbers(b, c->distances, width, 1) : QEFF_NSP_NONE,
		.queries =
			c->sides & 2 ? relative_numbers(b, c->distances, width, 2) : QEFF_NSP_NONE,
		.buckets = nsp_const(b, buckets, (2 * c->distances - 1) * sizeof(float)),
		.rows = c->distances,
		.distances = c->distances,
	};
}

/* Runs the case; @out gets rows [live][heads * value_dim]. */
static void run(const struct attention_case *c, const char *isa, const int64_t *input,
		struct live *live, float *out)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ATTENTION, QEFF_NSP_ROWS_TOKENS, ROWS);
	uint32_t size = c->type == QEFF_NSP_F32 ? 4 : 2, q_width = c->heads * c->head_dim;
	uint32_t out_width = c->heads * c->value_dim;
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t ids;

	nsp_builder_init(&b, c->nsps);
	nsp_spec(&b, BATCH, SEQ, POSITIONS, BATCH);
	ids = nsp_io(&b, ROWS * 8);
	nsp_rows_phase(&b, BATCH, SEQ, ids, QEFF_NSP_NONE, false);
	op.in[0] = nsp_f32(nsp_arena(&b, ROWS * q_width * 4), q_width);
	op.out = nsp_f32(nsp_arena(&b, ROWS * out_width * 4), out_width);
	if (c->from_state) {
		op.u.attention.key = state_of(c, &b, c->head_dim);
		op.u.attention.value = state_of(c, &b, c->value_dim);
	} else {
		for (int i = 1; i < 3; i++) {
			uint32_t stride =
				c->kv_heads * (i == 1 ? c->head_dim : c->value_dim) * size;

			op.in[i] = nsp_rows(nsp_arena(&b, ROWS * stride), stride, c->type);
		}
	}
	add_relative(c, &b, &op);
	op.u.attention.heads = c->heads;
	op.u.attention.kv_heads = c->kv_heads;
	op.u.attention.head_dim = c->head_dim;
	op.u.attention.value_dim = c->value_dim;
	op.u.attention.scale = 0.25f;
	op.u.attention.softcap = c->softcap;
	op.u.attention.window = c->window;
	op.u.attention.from_state = c->from_state;
	op.u.attention.causal = c->causal;
	nsp_phase(&b);
	if (c->row_parts > 1)
		nsp_share_rows(&b, nsp_op(&b, &op), c->heads, QEFF_NSP_NONE, c->row_parts);
	else
		nsp_share(&b, nsp_op(&b, &op), c->heads, 1, QEFF_NSP_NONE, 0);
	nsp_build(&m, &b, qeff_nsp_kernels_named(isa));

	find_live(live, input, c->from_state);
	memcpy(nsp_ddr(&m, ids), input, ROWS * 8);
	put_kv(c, &m, &op, live);
	for (uint32_t r = 0; r < live->rows; r++)
		for (uint32_t d = 0; d < q_width; d++)
			((float *)nsp_ddr(&m, op.in[0].at))[r * q_width + d] =
				q_number(live->entry[r], live->own[r], d);
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	memcpy(out, nsp_ddr(&m, op.out.at), live->rows * out_width * 4);
	nsp_unload(&m);
}

static void fill_input(int64_t *input, uint32_t first0, uint32_t count0, uint32_t first1,
		       uint32_t count1, uint32_t position0, uint32_t position1)
{
	for (uint32_t i = 0; i < SEQ; i++) {
		input[i] =
			i >= first0 && i < first0 + count0 ? (int64_t)position0 + i - first0 : -1;
		input[SEQ + i] =
			i >= first1 && i < first1 + count1 ? (int64_t)position1 + i - first1 : -1;
	}
}

static const struct attention_case cases[] = {
	{ 4, 4, 16, 16, 0, 0, true, true, QEFF_NSP_F32, 1, 1 },
	{ 6, 2, 32, 32, 0, 0, true, true, QEFF_NSP_F32, 2, 1 },
	{ 6, 2, 40, 24, 0, 0, true, true, QEFF_NSP_F16, 3, 1 },
	{ 4, 1, 64, 64, 5, 0, true, true, QEFF_NSP_F32, 1, 3 },
	{ 4, 2, 33, 65, 70, 3, true, true, QEFF_NSP_F32, 2, 4 },
	{ 3, 3, 32, 32, 0, 0, false, false, QEFF_NSP_F32, 2, 1 },
	{ 4, 2, 24, 40, 0, 0, false, true, QEFF_NSP_F16, 4, 1 },
	{ 2, 1, 16, 32, 9, 5, false, true, QEFF_NSP_F32, 1, 2 },
	{ 70, 1, 4, 4, 0, 0, true, true, QEFF_NSP_F32, 2, 1 },
	/* nearby keys on both sides */
	{ 3, 3, 32, 32, 7, 0, false, false, QEFF_NSP_F32, 2, 1 },
	{ 4, 2, 24, 24, 66, 0, false, false, QEFF_NSP_F16, 3, 2 },
	/* a bias by head and distance, embeddings of distances */
	{ 6, 2, 32, 32, 0, 0, true, true, QEFF_NSP_F16, 2, 1, 150, 149 },
	{ 3, 3, 20, 20, 0, 4, false, false, QEFF_NSP_F32, 2, 2, 31, 15 },
	{ 6, 2, 32, 32, 0, 0, true, true, QEFF_NSP_F16, 2, 1, 200, QEFF_NSP_BIAS_BY_KEY },
	{ 3, 3, 20, 20, 0, 4, false, false, QEFF_NSP_F32, 2, 2, 31, QEFF_NSP_BIAS_BY_KEY },
	{ 3, 3, 36, 36, 0, 0, false, false, QEFF_NSP_F32, 2, 1, 0, 0, 90, 3 },
	{ 2, 2, 16, 16, 0, 0, false, false, QEFF_NSP_F32, 1, 2, 0, 0, 12, 1 },
	{ 4, 2, 5, 16, 20, 0, false, false, QEFF_NSP_F32, 3, 1, 9, 4, 33, 2 },
	/* scores of no key */
	{ 6, 2, 32, 20, 0, 0, true, true, QEFF_NSP_F16, 2, 1, 0, 0, 0, 0, true },
	{ 4, 2, 24, 40, 9, 0, false, true, QEFF_NSP_F32, 3, 2, 0, 0, 0, 0, true },
};

static void test_reference(void)
{
	static float out[ROWS * 70 * 65];
	int64_t input[ROWS];
	const char *isas[4];
	size_t count = nsp_isas(isas);
	struct live live;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			const struct attention_case *c = &cases[j];
			uint32_t width = c->heads * c->value_dim;
			double worst = 0;

			fill_input(input, 0, 90, 17, 20, 100, 0);
			run(c, isas[i], input, &live, out);
			for (uint32_t r = 0; r < live.rows; r++)
				for (uint32_t h = 0; h < c->heads; h++)
					check_row(c, &live, r, h,
						  out + r * width + h * c->value_dim, &worst);
			if (!(worst < 1e-5))
				printf("\n%s case %zu: off by %g\n", isas[i], j, worst);
			CU_ASSERT(worst < 1e-5);
		}
}

/* The rows of @entry with own numbers [0, count) must be the same bits in both. */
static void compare_rows(const struct attention_case *c, const struct live *a, const float *out_a,
			 const struct live *b, const float *out_b)
{
	uint32_t width = c->heads * c->value_dim, compared = 0, wrong = 0;

	for (uint32_t i = 0; i < a->rows; i++)
		for (uint32_t j = 0; j < b->rows; j++)
			if (a->entry[i] == b->entry[j] && a->own[i] == b->own[j]) {
				wrong += memcmp(out_a + i * width, out_b + j * width, width * 4) !=
					 0;
				compared++;
			}
	CU_ASSERT(compared > 0);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_invariance(void)
{
	static float out[ROWS * 70 * 65], other[ROWS * 70 * 65];
	int64_t input[ROWS];
	const char *isas[4];
	size_t count = nsp_isas(isas);
	struct live live, other_live;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			struct attention_case c = cases[j];

			fill_input(input, 0, 70, 0, 20, 0, 3);
			run(&c, isas[i], input, &live, out);
			/* Other numbers of NSPs, other row parts. */
			c.nsps = 5 - c.nsps;
			c.row_parts = 8 - c.row_parts;
			run(&c, isas[i], input, &other_live, other);
			compare_rows(&c, &live, out, &other_live, other);
			/* Padding on the other side. */
			fill_input(input, 20, 70, 70, 20, 0, 3);
			run(&c, isas[i], input, &other_live, other);
			compare_rows(&c, &live, out, &other_live, other);
			/* Without the neighbour. */
			fill_input(input, 5, 70, 0, 0, 0, 0);
			run(&c, isas[i], input, &other_live, other);
			compare_rows(&c, &live, out, &other_live, other);
			/* A chunk from the middle, and a single token. */
			if (!c.from_state)
				continue;
			fill_input(input, 0, 11, 1, 1, 37, 7);
			run(&c, isas[i], input, &other_live, other);
			compare_rows(&c, &live, out, &other_live, other);
		}
}

/* What lies in the state behind a row's position must not reach it, not even as 0 times NaN. */
static void test_unseen_keys(void)
{
	const struct attention_case *c = &cases[0];
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ATTENTION, QEFF_NSP_ROWS_TOKENS, ROWS);
	uint32_t width = c->heads * c->head_dim;
	int64_t input[ROWS];
	const char *isas[4];
	size_t count = nsp_isas(isas);

	fill_input(input, 0, 10, 0, 0, 0, 0);
	for (size_t i = 0; i < count; i++) {
		struct nsp_builder b;
		struct nsp_machine m;
		uint64_t ids;
		float *values, *out;

		nsp_builder_init(&b, 1);
		nsp_spec(&b, BATCH, SEQ, POSITIONS, BATCH);
		ids = nsp_io(&b, ROWS * 8);
		nsp_rows_phase(&b, BATCH, SEQ, ids, QEFF_NSP_NONE, false);
		op.in[0] = nsp_f32(nsp_arena(&b, ROWS * width * 4), width);
		op.out = nsp_f32(nsp_arena(&b, ROWS * width * 4), width);
		op.u.attention = (struct qeff_nsp_attention_params){
			.key = state_of(c, &b, 16),
			.value = state_of(c, &b, 16),
			.heads = 4,
			.kv_heads = 4,
			.head_dim = 16,
			.value_dim = 16,
			.scale = 1,
			.from_state = 1,
		};
		nsp_phase(&b);
		nsp_whole(&b, nsp_op(&b, &op), 4, QEFF_NSP_NONE);
		nsp_build(&m, &b, qeff_nsp_kernels_named(isas[i]));
		memcpy(nsp_ddr(&m, ids), input, sizeof(input));
		values = nsp_ddr(&m, op.u.attention.value.at);
		for (uint32_t k = 0; k < BATCH * 4 * POSITIONS * 16; k++)
			values[k] = k / 16 % POSITIONS > 5 ? NAN : 1;
		CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
		out = nsp_ddr(&m, op.out.at);
		for (uint32_t r = 0; r < 10; r++)
			for (uint32_t d = 0; d < width; d++)
				CU_ASSERT(r > 5 ? isnan(out[r * width + d])
						: out[r * width + d] == 1);
		nsp_unload(&m);
	}
}

static const struct unit_test tests[] = {
	{ "against softmax in double", test_reference },
	{ "bits do not depend on company", test_invariance },
	{ "keys a row does not see", test_unseen_keys },
};
QEFF_UNIT_MAIN("nsp_attention", tests)
