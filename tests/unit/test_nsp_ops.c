/* SPDX-License-Identifier: MIT */
/*
 * Every operation but MATMUL and ATTENTION against plain references in double, on every instruction
 * set and under the poison check. The token inputs are 3 entries of 5 columns with dead positions
 * in between.
 */
#include "nsp_builder.h"
#include "unit.h"

#include "nsp/half.h"
#include "nsp/kernels.h"

#include <math.h>

#define BATCH	 3
#define SEQ	 5
#define CAPACITY (BATCH * SEQ)
#define LIVE	 8
#define SEGMENTS 2

/* Entry 1 is dead; live tokens in order, by source: 0 1 3 | 10 11 12 13 14. */
static const int64_t positions[CAPACITY] = { 4, 0, -1, 2, -1, -1, -1, -1, -1, -1, 5, 6, 7, 8, 9 };
static const uint32_t sources[LIVE] = { 0, 1, 3, 10, 11, 12, 13, 14 };
static const uint32_t live_positions[LIVE] = { 4, 0, 2, 5, 6, 7, 8, 9 };

struct fixture {
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t positions;
};

static void begin(struct fixture *f, uint32_t nsps)
{
	nsp_builder_init(&f->b, nsps);
	nsp_spec(&f->b, BATCH, SEQ, 16, BATCH);
	f->positions = nsp_io(&f->b, sizeof(positions));
	nsp_rows_phase(&f->b, BATCH, SEQ, f->positions, QEFF_NSP_NONE, false);
	nsp_phase(&f->b);
}

static void load(struct fixture *f, const char *isa)
{
	nsp_build(&f->m, &f->b, qeff_nsp_kernels_named(isa));
	memcpy(nsp_ddr(&f->m, f->positions), positions, sizeof(positions));
}

static float *row_of(struct fixture *f, const struct qeff_nsp_operand *operand, uint32_t row)
{
	return (float *)((uint8_t *)nsp_ddr(&f->m, operand->at) + row * operand->stride_bytes);
}

static void randomise(struct fixture *f, const struct qeff_nsp_operand *operand, uint32_t rows,
		      uint32_t columns, uint32_t seed)
{
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0; c < columns; c++)
			row_of(f, operand, r)[c] = nsp_random(&seed);
}

static bool near(float got, double want)
{
	return fabs(got - want) <= 2e-6 * (1 + fabs(want));
}

#define ON_EVERY_ISA(isa)                                                                          \
	const char *isas[4];                                                                       \
	size_t isa_count = nsp_isas(isas);                                                         \
	const char *isa = isas[0];                                                                 \
	for (size_t i_ = 0; i_ < isa_count && (isa = isas[i_]); i_++)

static void check_rows(struct fixture *f)
{
	const struct qeff_nsp_instance *instance = f->m.instance;

	CU_ASSERT_EQUAL_FATAL(instance->tokens, LIVE);
	CU_ASSERT_EQUAL_FATAL(instance->segments, SEGMENTS);
	for (int i = 0; i < LIVE; i++) {
		CU_ASSERT_EQUAL(instance->token[i].source, sources[i]);
		CU_ASSERT_EQUAL(instance->token[i].position, live_positions[i]);
		CU_ASSERT_EQUAL(instance->token[i].slot, sources[i] / SEQ);
		CU_ASSERT_EQUAL(instance->token[i].segment, i >= 3);
	}
	CU_ASSERT_EQUAL(instance->segment[0].source, 0);
	CU_ASSERT_EQUAL(instance->segment[0].count, 3);
	CU_ASSERT_EQUAL(instance->segment[1].source, 2);
	CU_ASSERT_EQUAL(instance->segment[1].first, 3);
	CU_ASSERT_EQUAL(instance->segment[1].count, 5);
	CU_ASSERT_EQUAL(nsp_stats(&f->m)->tokens, LIVE);
}

static void test_rows(void)
{
	ON_EVERY_ISA(isa)
	{
		struct fixture f;

		begin(&f, 2);
		load(&f, isa);
		CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
		check_rows(&f);
		nsp_unload(&f.m);
	}
}

static void test_rows_mask(void)
{
	static const int64_t mask[CAPACITY] = { 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0 };
	static const int64_t slots[BATCH] = { 2, 0,
					      77 }; /* entry 2 is dead: its slot is nobody's */
	static const uint32_t want[5][3] = {
		{ 0, 0, 2 }, { 1, 1, 2 }, { 2, 2, 2 }, { 8, 0, 0 }, { 9, 1, 0 }
	};
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t input, slot_input;

	nsp_builder_init(&b, 1);
	nsp_spec(&b, BATCH, SEQ, 16, BATCH);
	input = nsp_io(&b, sizeof(mask));
	slot_input = nsp_io(&b, sizeof(slots));
	nsp_rows_phase(&b, BATCH, SEQ, input, slot_input, true);
	nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
	memcpy(nsp_ddr(&m, input), mask, sizeof(mask));
	memcpy(nsp_ddr(&m, slot_input), slots, sizeof(slots));
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT_EQUAL_FATAL(m.instance->tokens, 5);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(m.instance->token[i].source, want[i][0]);
		CU_ASSERT_EQUAL(m.instance->token[i].position, want[i][1]);
		CU_ASSERT_EQUAL(m.instance->token[i].slot, want[i][2]);
	}
	nsp_unload(&m);
}

static void test_faults(void)
{
	static const struct {
		int64_t position, slot;
		uint32_t spec;
		enum qeff_nsp_fault fault;
		int64_t value;
		uint32_t row;
	} cases[] = {
		{ 3, 1, 0, QEFF_NSP_FAULT_NONE, 0, 0 },
		{ -1, 9, 0, QEFF_NSP_FAULT_NONE, 0, 0 },
		{ 16, 1, 0, QEFF_NSP_FAULT_POSITION, 16, 7 },
		{ -2, 1, 0, QEFF_NSP_FAULT_POSITION, -2, 7 },
		{ INT64_MAX, 1, 0, QEFF_NSP_FAULT_POSITION, INT64_MAX, 7 },
		{ 1ll << 32, 1, 0, QEFF_NSP_FAULT_POSITION, 1ll << 32, 7 },
		{ 3, 3, 0, QEFF_NSP_FAULT_SLOT, 3, 1 },
		{ 3, -1, 0, QEFF_NSP_FAULT_SLOT, -1, 1 },
		{ 3, 1, 1, QEFF_NSP_FAULT_SPECIALISATION, 1, 0 },
		{ 3, 1, UINT32_MAX, QEFF_NSP_FAULT_SPECIALISATION, UINT32_MAX, 0 },
	};
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t input, slots;

	nsp_builder_init(&b, 3);
	nsp_spec(&b, BATCH, SEQ, 16, BATCH);
	input = nsp_io(&b, CAPACITY * 8);
	slots = nsp_io(&b, BATCH * 8);
	nsp_rows_phase(&b, BATCH, SEQ, input, slots, false);
	nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int c = 0; c < CAPACITY; c++)
			((int64_t *)nsp_ddr(&m, input))[c] = c == 7 ? cases[i].position : -1;
		((int64_t *)nsp_ddr(&m, slots))[1] = cases[i].slot;
		CU_ASSERT_EQUAL(nsp_infer(&m, cases[i].spec), cases[i].fault);
		CU_ASSERT_EQUAL(nsp_stats(&m)->version, 1);
		CU_ASSERT_EQUAL(nsp_stats(&m)->nsps, 3);
		CU_ASSERT_EQUAL(nsp_stats(&m)->fault, cases[i].fault);
		CU_ASSERT_EQUAL(nsp_stats(&m)->fault_value, cases[i].value);
		CU_ASSERT_EQUAL(nsp_stats(&m)->fault_row, cases[i].row);
	}
	nsp_unload(&m);
}

#define ENTRIES 75
#define WIDTH	37

/* @packed, @from_position, @accumulate as in the parameters; f16 rounds the table. */
static void check_gather(const char *isa, bool packed, uint8_t from_position, bool accumulate,
			 enum qeff_nsp_type type)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS, CAPACITY);
	uint32_t seed = 5, rows_seed = 9;
	float *table = nsp_randoms(&seed, ENTRIES * WIDTH), old[LIVE][WIDTH];
	uint64_t data = QEFF_NSP_NONE, ids;
	struct fixture f;

	begin(&f, 3);
	ids = nsp_io(&f.b, CAPACITY * 8);
	if (from_position == 0 || from_position == 3)
		op.in[0] = nsp_rows(ids, from_position ? 8 : SEQ * 8, QEFF_NSP_I64);
	op.in[1].type = type;
	if (packed) {
		data = nsp_weights(&f.b, type, table, ENTRIES, WIDTH, 0);
	} else {
		uint16_t halves[ENTRIES * WIDTH];

		for (int i = 0; i < ENTRIES * WIDTH; i++)
			halves[i] = qeff_f32_to_f16(table[i]);
		op.in[1] =
			type == QEFF_NSP_F32
				? nsp_f32(nsp_const(&f.b, table, sizeof(float) * ENTRIES * WIDTH),
					  WIDTH)
				: nsp_rows(nsp_const(&f.b, halves, sizeof(halves)), WIDTH * 2,
					   type);
	}
	op.out = nsp_f32(nsp_arena(&f.b, CAPACITY * (WIDTH + 3) * 4), WIDTH + 3);
	op.u.gather.entries = ENTRIES;
	op.u.gather.width = WIDTH;
	op.u.gather.scale = 1.5f;
	op.u.gather.packed = packed;
	op.u.gather.from_position = from_position;
	op.u.gather.accumulate = accumulate;
	nsp_share(&f.b, nsp_op(&f.b, &op), ENTRIES, packed ? 32 : 7, data,
		  packed ? qeff_nsp_panel_bytes(type, WIDTH, 0) : 0);
	load(&f, isa);
	for (int i = 0; i < CAPACITY; i++)
		((int64_t *)nsp_ddr(&f.m, ids))[i] = i * 5;
	randomise(&f, &op.out, CAPACITY, WIDTH, rows_seed);
	for (int r = 0; r < LIVE; r++)
		memcpy(old[r], row_of(&f, &op.out, r), sizeof(old[r]));
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t r = 0; r < LIVE; r++) {
		uint32_t entry = from_position == 0   ? sources[r] * 5
				 : from_position == 1 ? live_positions[r]
				 : from_position == 3 ? sources[r] / SEQ * 5
						      : 0;

		for (uint32_t c = 0; c < WIDTH; c++) {
			float want = table[entry * WIDTH + c];

			if (type == QEFF_NSP_F16)
				want = qeff_f16_to_f32(qeff_f32_to_f16(want));
			want = want * 1.5f + (accumulate ? old[r][c] : 0);
			CU_ASSERT(near(row_of(&f, &op.out, r)[c], want));
		}
	}
	free(table);
	nsp_unload(&f.m);
}

static void test_gather(void)
{
	ON_EVERY_ISA(isa)
	{
		for (uint8_t from = 0; from < 4; from++)
			for (int packed = 0; packed < 2; packed++) {
				check_gather(isa, packed, from, from == 1, QEFF_NSP_F32);
				check_gather(isa, packed, from, from == 0, QEFF_NSP_F16);
			}
	}
}

static void test_gather_fault(void)
{
	static const int64_t wrong[] = { -1, ENTRIES, INT64_MIN, INT64_MAX, 1ll << 32 };
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS, CAPACITY);
	uint32_t seed = 5;
	float *table = nsp_randoms(&seed, ENTRIES * WIDTH);
	struct fixture f;
	int64_t *ids;

	begin(&f, 2);
	op.in[0] = nsp_rows(nsp_io(&f.b, CAPACITY * 8), SEQ * 8, QEFF_NSP_I64);
	op.in[1] = nsp_f32(nsp_const(&f.b, table, sizeof(float) * ENTRIES * WIDTH), WIDTH);
	op.out = nsp_f32(nsp_arena(&f.b, CAPACITY * WIDTH * 4), WIDTH);
	op.u.gather.entries = ENTRIES;
	op.u.gather.width = WIDTH;
	op.u.gather.scale = 1;
	nsp_share(&f.b, nsp_op(&f.b, &op), ENTRIES, 1, QEFF_NSP_NONE, 0);
	load(&f, "portable");
	ids = nsp_ddr(&f.m, op.in[0].at);
	for (int i = 0; i < 5; i++) {
		ids[12] = wrong[i];
		ids[2] = INT64_MAX; /* dead: never read */
		CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_INDEX);
		CU_ASSERT_EQUAL(nsp_stats(&f.m)->fault_value, wrong[i]);
		CU_ASSERT_EQUAL(nsp_stats(&f.m)->fault_row, 12);
		CU_ASSERT_EQUAL(nsp_stats(&f.m)->fault_op, 1);
	}
	ids[12] = ENTRIES - 1;
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT_EQUAL(row_of(&f, &op.out, 5)[0], table[(ENTRIES - 1) * WIDTH]);
	free(table);
	nsp_unload(&f.m);
}

static double norm_reference(const struct qeff_nsp_norm_params *p, const float *x, uint32_t c,
			     const float *gamma, const float *beta)
{
	double mean = 0, square = 0, value;

	for (uint32_t i = 0; i < p->width; i++)
		mean += x[i];
	mean = p->kind == QEFF_NSP_NORM_LAYER ? mean / p->width : 0;
	for (uint32_t i = 0; i < p->width; i++)
		square += (x[i] - mean) * (x[i] - mean);
	if (p->kind == QEFF_NSP_NORM_L2)
		value = x[c] / fmax(sqrt(square), p->epsilon);
	else
		value = (x[c] - mean) / sqrt(square / p->width + p->epsilon);
	return value * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0);
}

static void check_norm(const char *isa, uint8_t kind, uint32_t width, uint32_t groups, bool affine,
		       bool in_place)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_NORM, QEFF_NSP_ROWS_TOKENS, CAPACITY);
	uint32_t seed = width, columns = width * groups;
	float *gamma = nsp_randoms(&seed, width), *beta = nsp_randoms(&seed, width), *x;
	struct fixture f;

	begin(&f, 2);
	op.in[0] = nsp_f32(nsp_arena(&f.b, CAPACITY * (columns + 1) * 4), columns + 1);
	op.out = in_place ? op.in[0] : nsp_f32(nsp_arena(&f.b, CAPACITY * columns * 4), columns);
	if (affine) {
		op.in[1] = nsp_rows(nsp_const(&f.b, gamma, width * 4), 0, QEFF_NSP_F32);
		op.in[2] = nsp_rows(nsp_const(&f.b, beta, width * 4), 0, QEFF_NSP_F32);
	}
	op.u.norm = (struct qeff_nsp_norm_params){
		.width = width, .groups = groups, .epsilon = 1e-5f, .kind = kind
	};
	nsp_share_rows(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE, 3);
	load(&f, isa);
	randomise(&f, &op.in[0], CAPACITY, columns, seed);
	x = malloc(LIVE * columns * sizeof(float));
	for (int r = 0; r < LIVE; r++)
		memcpy(x + r * columns, row_of(&f, &op.in[0], r), columns * sizeof(float));
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t r = 0; r < LIVE; r++)
		for (uint32_t c = 0; c < columns; c++)
			CU_ASSERT(
				near(row_of(&f, &op.out, r)[c],
				     norm_reference(&op.u.norm, x + r * columns + c / width * width,
						    c % width, affine ? gamma : NULL,
						    affine ? beta : NULL)));
	free(x);
	free(gamma);
	free(beta);
	nsp_unload(&f.m);
}

static void test_norm(void)
{
	static const uint32_t widths[] = { 1, 7, 16, 64, 259, 1000 };

	ON_EVERY_ISA(isa)
	{
		for (uint8_t kind = 0; kind <= QEFF_NSP_NORM_L2; kind++)
			for (int w = 0; w < 6; w++) {
				check_norm(isa, kind, widths[w], 1, kind == QEFF_NSP_NORM_LAYER,
					   false);
				check_norm(isa, kind, widths[w], 3, true, true);
			}
	}
}

static const struct qeff_nsp_instruction expression[] = {
	/* r4 = silu(in0); r0 = r4 * in1; r5 = 2; r0 = r0 / r5; r6 = max(in2, in3); r7 = r0 - r6 */
	{ QEFF_NSP_I_FUNCTION, 4, 0, QEFF_NSP_SILU, 0 },
	{ QEFF_NSP_I_MUL, 0, 4, 1, 0 },
	{ QEFF_NSP_I_CONST, 5, 0, 0, 2 },
	{ QEFF_NSP_I_DIV, 0, 0, 5, 0 },
	{ QEFF_NSP_I_MAX, 6, 2, 3, 0 },
	{ QEFF_NSP_I_SUB, 7, 0, 6, 0 },
	{ QEFF_NSP_I_ADD, 7, 7, 1, 0 },
	{ QEFF_NSP_I_MIN, 7, 7, 5, 0 },
	{ QEFF_NSP_I_POW, 7, 5, 7, 0 },
};

static double expression_of(double a, double b, double c, double d)
{
	return pow(2, fmin(a / (1 + exp(-a)) * b / 2 - fmax(c, d) + b, 2));
}

static void check_pointwise(const char *isa, uint32_t width)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_POINTWISE, QEFF_NSP_ROWS_TOKENS, CAPACITY);
	uint32_t seed = width;
	float *vector = nsp_randoms(&seed, width), *first;
	struct fixture f;

	begin(&f, 2);
	for (int i = 0; i < 3; i++)
		op.in[i] = nsp_f32(nsp_arena(&f.b, CAPACITY * (width + 2) * 4), width + 2);
	op.in[3] = nsp_rows(nsp_const(&f.b, vector, width * 4), 0, QEFF_NSP_F32);
	op.out = op.in[0];
	op.u.pointwise.width = width;
	op.u.pointwise.instructions = 9;
	qeff_bytes_append(&f.b.instructions, expression, sizeof(expression));
	nsp_share_rows(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE, 2);
	load(&f, isa);
	for (uint32_t i = 0; i < 3; i++)
		randomise(&f, &op.in[i], CAPACITY, width, seed + i);
	first = malloc(LIVE * width * sizeof(float));
	for (int r = 0; r < LIVE; r++)
		memcpy(first + r * width, row_of(&f, &op.in[0], r), width * sizeof(float));
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t r = 0; r < LIVE; r++)
		for (uint32_t c = 0; c < width; c++)
			CU_ASSERT(near(row_of(&f, &op.out, r)[c],
				       expression_of(first[r * width + c],
						     row_of(&f, &op.in[1], r)[c],
						     row_of(&f, &op.in[2], r)[c], vector[c])));
	free(first);
	free(vector);
	nsp_unload(&f.m);
}

static void test_pointwise(void)
{
	ON_EVERY_ISA(isa)
	{
		check_pointwise(isa, 1);
		check_pointwise(isa, 37);
		check_pointwise(isa, 515);
	}
}

#define HEADS 5
#define DIM   22

static void check_rope(const char *isa, uint32_t rotary, bool interleaved, bool in_place,
		       enum qeff_nsp_type type)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ROPE, QEFF_NSP_ROWS_TOKENS, CAPACITY);
	uint32_t seed = rotary, half = rotary / 2, size = type == QEFF_NSP_F32 ? 4 : 2;
	float *cosines = nsp_randoms(&seed, 16 * half), *sines = nsp_randoms(&seed, 16 * half);
	float x[LIVE][HEADS * DIM];
	struct fixture f;

	begin(&f, 2);
	op.in[0] =
		nsp_rows(nsp_arena(&f.b, CAPACITY * HEADS * DIM * size), HEADS * DIM * size, type);
	op.in[1] = nsp_f32(nsp_const(&f.b, cosines, 16 * half * 4), half);
	op.in[2] = nsp_f32(nsp_const(&f.b, sines, 16 * half * 4), half);
	op.out = in_place ? op.in[0]
			  : nsp_f32(nsp_arena(&f.b, CAPACITY * HEADS * DIM * 4), HEADS * DIM);
	op.u.rope = (struct qeff_nsp_rope_params){ .heads = HEADS,
						   .head_dim = DIM,
						   .rotary = rotary,
						   .positions = 16,
						   .interleaved = interleaved };
	nsp_share(&f.b, nsp_op(&f.b, &op), HEADS, 1, QEFF_NSP_NONE, 0);
	load(&f, isa);
	for (uint32_t r = 0; r < LIVE; r++)
		for (uint32_t c = 0; c < HEADS * DIM; c++) {
			uint16_t half_float = qeff_f32_to_f16(nsp_random(&seed));

			x[r][c] = qeff_f16_to_f32(half_float);
			memcpy((uint8_t *)row_of(&f, &op.in[0], r) + c * size,
			       size == 4 ? (void *)&x[r][c] : (void *)&half_float, size);
		}
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t r = 0; r < LIVE; r++)
		for (uint32_t c = 0; c < HEADS * DIM; c++) {
			uint32_t d = c % DIM, pair = interleaved ? d / 2 : d % half;
			bool second = interleaved ? d % 2 : d >= half;
			uint32_t other = interleaved ? d ^ 1 : second ? d - half : d + half;
			double want = x[r][c], got;

			if (d < rotary)
				want = want * cosines[live_positions[r] * half + pair] +
				       (second ? 1.0 : -1.0) * x[r][c - d + other] *
					       sines[live_positions[r] * half + pair];
			got = qeff_nsp_load((uint8_t *)row_of(&f, &op.out, r) +
						    c * (in_place ? size : 4),
					    in_place ? type : QEFF_NSP_F32);
			CU_ASSERT(fabs(got - want) <
				  (in_place && size == 2 ? 1e-3 : 1e-6) * (1 + fabs(want)));
		}
	free(cosines);
	free(sines);
	nsp_unload(&f.m);
}

static void test_rope(void)
{
	ON_EVERY_ISA(isa)
	{
		for (int in_place = 0; in_place < 2; in_place++)
			for (int interleaved = 0; interleaved < 2; interleaved++) {
				check_rope(isa, DIM, interleaved, in_place, QEFF_NSP_F32);
				check_rope(isa, 6, interleaved, in_place, QEFF_NSP_F32);
				check_rope(isa, 6, interleaved, in_place, QEFF_NSP_F16);
			}
	}
}

static void check_reduce(const char *isa, uint8_t kind)
{
	static const uint32_t first[SEGMENTS] = { 0, 3 }, count[SEGMENTS] = { 3, 5 };
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_REDUCE, QEFF_NSP_ROWS_SEGMENTS, BATCH);
	const uint32_t width = 300;
	struct fixture f;

	begin(&f, 2);
	op.in[0] = nsp_f32(nsp_arena(&f.b, CAPACITY * width * 4), width);
	op.out = nsp_f32(nsp_arena(&f.b, BATCH * width * 4), width);
	op.u.reduce.width = width;
	op.u.reduce.kind = kind;
	nsp_share_rows(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE, 2);
	load(&f, isa);
	randomise(&f, &op.in[0], CAPACITY, width, kind);
	row_of(&f, &op.in[0], 5)[7] = kind == QEFF_NSP_REDUCE_MAX ? NAN : 0;
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (int s = 0; s < SEGMENTS; s++)
		for (uint32_t c = 0; c < width; c++) {
			double sum = 0, most = -2, want;

			if (s == 1 && c == 7 && kind == QEFF_NSP_REDUCE_MAX) {
				CU_ASSERT(isnan(row_of(&f, &op.out, 1)[c]));
				continue;
			}
			for (uint32_t r = first[s]; r < first[s] + count[s]; r++) {
				sum += row_of(&f, &op.in[0], r)[c];
				most = fmax(most, row_of(&f, &op.in[0], r)[c]);
			}
			want = kind == QEFF_NSP_REDUCE_MEAN    ? sum / count[s]
			       : kind == QEFF_NSP_REDUCE_MAX   ? most
			       : kind == QEFF_NSP_REDUCE_FIRST ? row_of(&f, &op.in[0], first[s])[c]
			       : kind == QEFF_NSP_REDUCE_LAST
				       ? row_of(&f, &op.in[0], first[s] + count[s] - 1)[c]
				       : sum;
			CU_ASSERT(near(row_of(&f, &op.out, (uint32_t)s)[c], want));
		}
	nsp_unload(&f.m);
}

static void test_reduce(void)
{
	ON_EVERY_ISA(isa)
	{
		for (uint8_t kind = 0; kind <= QEFF_NSP_REDUCE_SUM; kind++)
			check_reduce(isa, kind);
	}
}

static void check_copy(const char *isa, uint8_t domain, uint16_t parts)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_COPY, domain, CAPACITY);
	const uint32_t width = 19, out_rows = CAPACITY + 2;
	struct fixture f;

	begin(&f, 2);
	op.in[0] = nsp_f32(nsp_arena(&f.b, CAPACITY * width * 4), width);
	op.out = nsp_f32(nsp_arena(&f.b, out_rows * width * 4), width);
	op.u.copy.width = width;
	op.u.copy.out_rows = out_rows;
	nsp_share_rows(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE, parts);
	load(&f, isa);
	randomise(&f, &op.in[0], CAPACITY, width, 3);
	randomise(&f, &op.out, out_rows, width, 4);
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t to = 0; to < out_rows; to++) {
		int from = -1;

		for (int r = 0; r < LIVE && domain == QEFF_NSP_ROWS_TOKENS; r++)
			from = sources[r] == to ? r : from;
		if (domain == QEFF_NSP_ROWS_SEGMENTS)
			from = to == 0 ? 0 : to == 2 ? 1 : -1;
		if (domain == QEFF_NSP_ROWS_STATIC)
			from = to < CAPACITY ? (int)to : -1;
		for (uint32_t c = 0; c < width; c++)
			CU_ASSERT_EQUAL(row_of(&f, &op.out, to)[c],
					from < 0 ? 0 : row_of(&f, &op.in[0], (uint32_t)from)[c]);
	}
	nsp_unload(&f.m);
}

static void test_copy(void)
{
	ON_EVERY_ISA(isa)
	{
		for (uint8_t domain = 0; domain <= QEFF_NSP_ROWS_SEGMENTS; domain++)
			for (uint16_t parts = 1; parts < 6; parts += 2)
				check_copy(isa, domain, parts);
	}
}

static void test_copy_integers(void)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_COPY, QEFF_NSP_ROWS_STATIC, 2);
	static const int64_t numbers[6] = { 1, -2, INT64_MAX, INT64_MIN, 5, 6 };
	struct fixture f;

	begin(&f, 1);
	op.in[0] = nsp_rows(nsp_const(&f.b, numbers, sizeof(numbers)), 24, QEFF_NSP_I64);
	op.out = nsp_rows(nsp_arena(&f.b, 64), 24, QEFF_NSP_I64);
	op.u.copy.width = 3;
	op.u.copy.out_rows = 2;
	nsp_whole(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE);
	load(&f, "portable");
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT_EQUAL(memcmp(nsp_ddr(&f.m, op.out.at), numbers, sizeof(numbers)), 0);
	nsp_unload(&f.m);
}

static void test_scatter(void)
{
	ON_EVERY_ISA(isa)
	{
		struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_SCATTER, QEFF_NSP_ROWS_TOKENS, CAPACITY);
		struct qeff_nsp_state *s = &op.u.scatter.state;
		unsigned int wrong = 0;
		uint16_t *state;
		struct fixture f;

		begin(&f, 2);
		op.in[0] = nsp_f32(nsp_arena(&f.b, CAPACITY * HEADS * DIM * 4), HEADS * DIM);
		*s = (struct qeff_nsp_state){ .at = nsp_state(&f.b, BATCH * HEADS * 16 * DIM * 2),
					      .slot_stride = HEADS * 16 * DIM * 2,
					      .head_stride = 16 * DIM * 2,
					      .position_stride = DIM * 2,
					      .slots = BATCH,
					      .positions = 16,
					      .type = QEFF_NSP_F16 };
		op.u.scatter.heads = HEADS;
		op.u.scatter.dim = DIM;
		nsp_share(&f.b, nsp_op(&f.b, &op), HEADS, 1, QEFF_NSP_NONE, 0);
		load(&f, isa);
		randomise(&f, &op.in[0], CAPACITY, HEADS * DIM, 8);
		CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
		state = nsp_ddr(&f.m, s->at);
		/* Position by position, so that whatever was not meant is seen to be zero. */
		for (uint32_t i = 0; i < BATCH * HEADS * 16 * DIM; i++) {
			uint32_t slot = i / (HEADS * 16 * DIM), head = i / (16 * DIM) % HEADS;
			uint32_t position = i / DIM % 16, column = i % DIM;
			uint16_t want = 0;

			for (uint32_t r = 0; r < LIVE; r++)
				if (sources[r] / SEQ == slot && live_positions[r] == position)
					want = qeff_f32_to_f16(
						row_of(&f, &op.in[0], r)[head * DIM + column]);
			wrong += state[i] != want;
		}
		CU_ASSERT_EQUAL(wrong, 0);
		nsp_unload(&f.m);
	}
}

static const struct unit_test tests[] = {
	{ "row table from positions", test_rows },
	{ "row table from a mask", test_rows_mask },
	{ "faults", test_faults },
	{ "gather", test_gather },
	{ "gather outside the table", test_gather_fault },
	{ "norm", test_norm },
	{ "pointwise", test_pointwise },
	{ "rope", test_rope },
	{ "reduce", test_reduce },
	{ "copy", test_copy },
	{ "copy of integers", test_copy_integers },
	{ "scatter", test_scatter },
};
QEFF_UNIT_MAIN("nsp_ops", tests)
