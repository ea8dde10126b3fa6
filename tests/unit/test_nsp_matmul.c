/* SPDX-License-Identifier: MIT */
/*
 * MATMUL at odd sizes, against sums in double; int8 against the definition, bit for bit, on every
 * instruction set. All runs are under the poison check.
 */
#include "nsp_builder.h"
#include "unit.h"

#include "nsp/half.h"

#include <math.h>

#define STATIC QEFF_NSP_ROWS_STATIC

/**
 * struct matmul_case - one program
 * @rows, @inputs, @outputs: shape
 * @weights, @x, @out: types
 * @group: scale group of int8
 * @function: of the epilogue
 * @epilogue: 1 bias, 2 mul, 4 add
 * @nsps, @row_parts: how it is cut
 */
struct matmul_case {
	uint32_t rows, inputs, outputs;
	enum qeff_nsp_type weights, x, out;
	uint32_t group;
	unsigned int function;
	unsigned int epilogue;
	uint32_t nsps;
	uint16_t row_parts;
	uint8_t exact;
};

struct matmul_data {
	float *x, *w, *bias, *mul, *add, *out;
};

static float stored(enum qeff_nsp_type type, float value)
{
	switch (type) {
	case QEFF_NSP_F16:
		return qeff_f16_to_f32(qeff_f32_to_f16(value));
	case QEFF_NSP_BF16:
		return qeff_bf16_to_f32(qeff_f32_to_bf16(value));
	default:
		return value;
	}
}

static size_t size_of(enum qeff_nsp_type type)
{
	return type == QEFF_NSP_F32 ? 4 : 2;
}

static void put(uint8_t *at, enum qeff_nsp_type type, float value)
{
	uint16_t half = type == QEFF_NSP_F16 ? qeff_f32_to_f16(value) : qeff_f32_to_bf16(value);

	memcpy(at, type == QEFF_NSP_F32 ? (void *)&value : (void *)&half, size_of(type));
}

static void fill(struct matmul_data *d, const struct matmul_case *c)
{
	uint32_t seed = c->rows * 31 + c->inputs * 7 + c->outputs;

	d->x = nsp_randoms(&seed, c->rows * c->inputs);
	d->w = nsp_randoms(&seed, c->outputs * c->inputs);
	d->bias = nsp_randoms(&seed, c->outputs);
	d->mul = nsp_randoms(&seed, c->rows * c->outputs);
	d->add = nsp_randoms(&seed, c->rows * c->outputs);
	d->out = calloc(c->rows * c->outputs, sizeof(float));
	for (uint32_t i = 0; i < c->rows * c->inputs; i++)
		d->x[i] = stored(c->x, d->x[i]);
}

static void drop(struct matmul_data *d)
{
	free(d->x);
	free(d->w);
	free(d->bias);
	free(d->mul);
	free(d->add);
	free(d->out);
}

/* Runs the case on one instruction set; rows of x and out stand apart by odd strides. */
static void run(const struct matmul_case *c, struct matmul_data *d, const char *isa)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_MATMUL, STATIC, c->rows);
	uint32_t x_stride = (c->inputs + 3) * size_of(c->x);
	uint32_t out_stride = (c->outputs + 5) * size_of(c->out);
	uint64_t data, positions;
	struct nsp_builder b;
	struct nsp_machine m;

	nsp_builder_init(&b, c->nsps);
	nsp_spec(&b, 1, 1, 1, 1);
	positions = nsp_io(&b, 8);
	nsp_rows_phase(&b, 1, 1, positions, QEFF_NSP_NONE, false);
	op.in[0] = nsp_rows(nsp_arena(&b, c->rows * x_stride), x_stride, c->x);
	op.out = nsp_rows(nsp_arena(&b, c->rows * out_stride), out_stride, c->out);
	if (c->epilogue & 1)
		op.in[1] = nsp_rows(nsp_const(&b, d->bias, c->outputs * 4), 0, QEFF_NSP_F32);
	if (c->epilogue & 2)
		op.in[2] = nsp_f32(nsp_arena(&b, c->rows * c->outputs * 4), c->outputs);
	if (c->epilogue & 4)
		op.in[3] = nsp_f32(nsp_arena(&b, c->rows * c->outputs * 4), c->outputs);
	op.u.matmul.inputs = c->inputs;
	op.u.matmul.outputs = c->outputs;
	op.u.matmul.scale_group = c->group;
	op.u.matmul.weight_type = c->weights;
	op.u.matmul.exact = c->exact;
	op.u.matmul.function = c->function;
	data = nsp_weights(&b, c->weights, d->w, c->outputs, c->inputs, c->group);
	nsp_phase(&b);
	if (c->row_parts > 1)
		nsp_share_rows(&b, nsp_op(&b, &op), c->outputs, data, c->row_parts);
	else
		nsp_share(&b, nsp_op(&b, &op), c->outputs, 32, data,
			  qeff_nsp_panel_bytes(c->weights, c->inputs, c->group));
	nsp_build(&m, &b, qeff_nsp_kernels_named(isa));

	for (uint32_t r = 0; r < c->rows; r++)
		for (uint32_t k = 0; k < c->inputs; k++)
			put((uint8_t *)nsp_ddr(&m, op.in[0].at) + r * x_stride + k * size_of(c->x),
			    c->x, d->x[r * c->inputs + k]);
	if (c->epilogue & 2)
		memcpy(nsp_ddr(&m, op.in[2].at), d->mul, c->rows * c->outputs * 4);
	if (c->epilogue & 4)
		memcpy(nsp_ddr(&m, op.in[3].at), d->add, c->rows * c->outputs * 4);
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t r = 0; r < c->rows; r++)
		for (uint32_t n = 0; n < c->outputs; n++)
			d->out[r * c->outputs + n] =
				qeff_nsp_load((uint8_t *)nsp_ddr(&m, op.out.at) + r * out_stride +
						      n * size_of(c->out),
					      c->out);
	CU_ASSERT_EQUAL(nsp_stats(&m)->fault, 0);
	nsp_unload(&m);
}

static double function_of(unsigned int function, double x)
{
	switch (function) {
	case QEFF_NSP_SILU:
		return x / (1 + exp(-x));
	case QEFF_NSP_GELU_ERF:
		return x / 2 * (1 + erf(x / sqrt(2)));
	case QEFF_NSP_RELU:
		return x > 0 ? x : 0;
	default:
		return x;
	}
}

static void check(const struct matmul_case *c, const struct matmul_data *d, const char *isa)
{
	double worst = 0;

	for (uint32_t r = 0; r < c->rows; r++)
		for (uint32_t n = 0; n < c->outputs; n++) {
			double sum = c->epilogue & 1 ? d->bias[n] : 0, size = 1;
			double step = c->out == QEFF_NSP_F32 ? 0 : 0x1p-8;

			for (uint32_t k = 0; k < c->inputs; k++) {
				float x = d->x[r * c->inputs + k];
				float w = stored(c->weights, d->w[n * c->inputs + k]);

				if (c->weights == QEFF_NSP_BF16 && !c->exact)
					x = stored(QEFF_NSP_BF16, x);
				sum += (double)x * w;
				size += fabs((double)x * w);
			}
			sum = function_of(c->function, sum);
			if (c->epilogue & 2)
				sum *= d->mul[r * c->outputs + n];
			if (c->epilogue & 4)
				sum += d->add[r * c->outputs + n];
			worst = fmax(worst,
				     (nsp_off(d->out[r * c->outputs + n], sum) - step * fabs(sum)) /
					     size);
		}
	if (!(worst < 2e-6))
		printf("\n%s %ux%ux%u weights %d: off by %g\n", isa, c->rows, c->inputs, c->outputs,
		       c->weights, worst);
	CU_ASSERT(worst < 2e-6);
}

static void run_everywhere(const struct matmul_case *c)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);
	struct matmul_data d;

	fill(&d, c);
	for (size_t i = 0; i < count; i++) {
		run(c, &d, isas[i]);
		check(c, &d, isas[i]);
	}
	drop(&d);
}

#define F32  QEFF_NSP_F32
#define F16  QEFF_NSP_F16
#define BF16 QEFF_NSP_BF16
#define I8   QEFF_NSP_I8

static void test_shapes(void)
{
	static const uint32_t rows[] = { 1, 2, 5, 6, 7, 13, 25 };
	static const uint32_t inputs[] = { 1, 31, 129, 300 };
	static const uint32_t outputs[] = { 1, 33, 96 };

	for (int r = 0; r < 7; r++)
		for (int k = 0; k < 4; k++)
			for (int n = 0; n < 3; n++) {
				struct matmul_case c = { rows[r], inputs[k], outputs[n], F32,
							 F32,	  F32,	     0,		 0,
							 0,	  1,	     1 };

				run_everywhere(&c);
			}
}

/* Halves take other paths for one row, for few and for many, and an odd last input by itself. */
static void test_half_shapes(void)
{
	static const uint32_t rows[] = { 1, 2, 3, 4, 5, 13 };
	static const uint32_t inputs[] = { 1, 2, 127, 128, 301 };

	for (int r = 0; r < 6; r++)
		for (int k = 0; k < 5; k++)
			for (int t = 0; t < 3; t++) {
				struct matmul_case c = { .rows = rows[r],
							 .inputs = inputs[k],
							 .outputs = 65,
							 .weights = t ? BF16 : F16,
							 .exact = t == 2,
							 .nsps = 1,
							 .row_parts = 1 };

				run_everywhere(&c);
			}
}

static void test_types(void)
{
	static const enum qeff_nsp_type types[] = { F32, F16, BF16 };

	for (int w = 0; w < 3; w++)
		for (int x = 0; x < 3; x++)
			for (int out = 0; out < 3; out++) {
				struct matmul_case c = { 7, 133, 70, types[w], types[x], types[out],
							 0, 0,	 7,  2,	       1 };

				run_everywhere(&c);
			}
}

static void test_epilogues(void)
{
	static const unsigned int functions[] = { QEFF_NSP_IDENTITY, QEFF_NSP_RELU, QEFF_NSP_SILU,
						  QEFF_NSP_GELU_ERF };

	for (int f = 0; f < 4; f++)
		for (unsigned int epilogue = 0; epilogue < 8; epilogue++) {
			struct matmul_case c = { 3, 40,		  45,	    F32, F32, F32,
						 0, functions[f], epilogue, 3,	 1 };

			run_everywhere(&c);
		}
}

/* More rows than are staged at once. */
static void test_many_rows(void)
{
	struct matmul_case c = { 500, 64, 40, F32, F32, F32, 0, 0, 1, 2, 1 };
	struct matmul_case parts = { 500, 64, 40, F16, F16, F32, 0, 0, 1, 4, 5 };

	run_everywhere(&c);
	run_everywhere(&parts);
}

/* The design page's int8 product, in the plainest words. */
static float int8_output(const struct matmul_case *c, const struct matmul_data *d, uint32_t r,
			 uint32_t n)
{
	const float *x = d->x + r * c->inputs, *w = d->w + n * c->inputs;
	float sum = 0;

	for (uint32_t b = 0; b < c->inputs; b += 32) {
		uint32_t end = b + 32 < c->inputs ? b + 32 : c->inputs;
		uint32_t group = b / c->group * c->group;
		uint32_t group_end = group + c->group < c->inputs ? group + c->group : c->inputs;
		float x_most = 0, w_most = 0, product;
		int32_t dot = 0;

		for (uint32_t k = b; k < end; k++) {
			if (!isfinite(x[k]))
				return NAN;
			x_most = fmaxf(x_most, fabsf(x[k]));
		}
		for (uint32_t k = group; k < group_end; k++)
			w_most = fmaxf(w_most, fabsf(w[k]));
		for (uint32_t k = b; k < end; k++) {
			float x_code = x_most > 0 ? rintf(x[k] * (127 / x_most)) : 0;
			float w_code = w_most > 0 ? rintf(w[k] * (127 / w_most)) : 0;

			dot += (int32_t)x_code * (int32_t)w_code;
		}
		product = (x_most / 127) * (w_most / 127);
		product = (float)dot * product;
		sum = sum + product;
	}
	return sum;
}

/* The same with weights of MXFP6, by the specification: X = 2^(exponent of the largest - 2),
 * elements on the grid of E2M3. */
static float mxfp6_output(const struct matmul_case *c, const struct matmul_data *d, uint32_t r,
			  uint32_t n)
{
	const float *x = d->x + r * c->inputs, *w = d->w + n * c->inputs;
	float sum = 0;

	for (uint32_t b = 0; b < c->inputs; b += 32) {
		uint32_t end = b + 32 < c->inputs ? b + 32 : c->inputs;
		float x_most = 0, w_most = 0, scale, product;
		int32_t dot = 0;
		int exponent;

		for (uint32_t k = b; k < end; k++) {
			x_most = fmaxf(x_most, fabsf(x[k]));
			w_most = fmaxf(w_most, fabsf(w[k]));
		}
		frexpf(w_most, &exponent); /* of a fraction from 0.5 to 1 */
		scale = w_most > 0 ? ldexpf(1, exponent - 1 - 2) : 0x1p-127f;
		for (uint32_t k = b; k < end; k++) {
			float size = fabsf(w[k]) / scale;
			float step = size < 2 ? 0.125f : size < 4 ? 0.25f : 0.5f;
			float element = copysignf(fminf(rintf(size / step) * step, 7.5f), w[k]);
			float x_code = x_most > 0 ? rintf(x[k] * (127 / x_most)) : 0;

			dot += (int32_t)x_code * (int32_t)(element * 8);
		}
		product = (x_most / 127) * (scale / 8);
		product = (float)dot * product;
		sum = sum + product;
	}
	return sum;
}

static void check_int8(const struct matmul_case *c, struct matmul_data *d)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t i = 0; i < count; i++) {
		unsigned int wrong = 0;

		run(c, d, isas[i]);
		for (uint32_t r = 0; r < c->rows; r++)
			for (uint32_t n = 0; n < c->outputs; n++) {
				float want = c->weights == QEFF_NSP_MXFP6 ? mxfp6_output(c, d, r, n)
									  : int8_output(c, d, r, n);
				float got = d->out[r * c->outputs + n];

				wrong += isnan(want) ? !isnan(got)
						     : memcmp(&want, &got, sizeof(want)) != 0;
			}
		if (wrong)
			printf("\n%s: int8 %ux%ux%u: %u wrong\n", isas[i], c->rows, c->inputs,
			       c->outputs, wrong);
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void test_int8(void)
{
	static const uint32_t rows[] = { 1, 3, 4, 9 };
	static const uint32_t inputs[] = { 1, 32, 33, 200, 512 };
	static const uint32_t groups[] = { 32, 64, 1024, 0 /* MXFP6 */ };

	for (int r = 0; r < 4; r++)
		for (int k = 0; k < 5; k++)
			for (int g = 0; g < 4; g++) {
				struct matmul_case c = { rows[r],   inputs[k], 70, I8, F32, F32,
							 groups[g], 0,	       0,  2,  1 };
				struct matmul_data d;

				if (!groups[g])
					c.weights = QEFF_NSP_MXFP6;

				fill(&d, &c);
				check_int8(&c, &d);
				drop(&d);
			}
}

static void test_int8_values(void)
{
	struct matmul_case c = { 6, 96, 33, I8, F32, F32, 32, 0, 0, 1, 1 };
	struct matmul_data d;

	fill(&d, &c);
	d.x[0 * 96 + 40] = NAN;
	d.x[1 * 96 + 95] = -INFINITY;
	for (int k = 0; k < 96; k++) {
		d.x[2 * 96 + k] = 0;
		d.x[3 * 96 + k] = k & 1 ? 3e38f : -3e38f; /* the largest codes on both sides */
		d.x[4 * 96 + k] *= 1e-30f;
		d.w[5 * 96 + k] = k & 1 ? 1 : -1;
		d.w[6 * 96 + k] = 0;
	}
	d.x[5 * 96 + 1] = -0.0f;
	check_int8(&c, &d);
	drop(&d);
}

/* Blocks so small that 127 / absmax overflows count as zeros. */
static void test_int8_tiny(void)
{
	struct matmul_case c = { 1, 32, 1, I8, F32, F32, 32, 0, 0, 1, 1 };
	struct matmul_data d;
	const char *isas[4];
	size_t count = nsp_isas(isas);

	fill(&d, &c);
	for (int k = 0; k < 32; k++)
		d.x[k] = 1e-40f;
	for (size_t i = 0; i < count; i++) {
		run(&c, &d, isas[i]);
		CU_ASSERT_EQUAL(d.out[0], 0);
	}
	drop(&d);
}

static void test_not_finite(void)
{
	static const enum qeff_nsp_type types[] = { F32, F16, BF16 };
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t i = 0; i < count; i++)
		for (int t = 0; t < 3; t++) {
			struct matmul_case c = {
				4, 50, 33, types[t], types[t], F32, 0, 0, 0, 1, 1
			};
			struct matmul_data d;

			fill(&d, &c);
			d.x[0] = NAN;
			d.x[50] = INFINITY;
			for (int n = 0; n < 33; n++)
				d.w[n * 50] = n % 2 ? 1 : -1;
			run(&c, &d, isas[i]);
			for (int n = 0; n < 33; n++) {
				CU_ASSERT(isnan(d.out[n]));
				CU_ASSERT_EQUAL(d.out[33 + n], n % 2 ? INFINITY : -INFINITY);
				CU_ASSERT(isfinite(d.out[66 + n]) && isfinite(d.out[99 + n]));
			}
			drop(&d);
		}
}

/* The first rows of a case, whatever stands behind them and however it is cut. */
static void test_bits(void)
{
	static const enum qeff_nsp_type types[] = { F32, F16, BF16, I8, BF16, QEFF_NSP_MXFP6 };
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t i = 0; i < count; i++)
		for (int t = 0; t < 6; t++) {
			struct matmul_case c = {
				13, 300, 130, types[t], F32, F32, t == 3 ? 64 : 0, QEFF_NSP_SILU,
				7,  1,	 1,   t == 4
			};
			struct matmul_data d;
			float *all;

			fill(&d, &c);
			run(&c, &d, isas[i]);
			all = malloc(13 * 130 * sizeof(float));
			memcpy(all, d.out, 13 * 130 * sizeof(float));
			for (c.rows = 1; c.rows <= 13; c.rows++) {
				c.nsps = 1 + c.rows % 5;
				c.row_parts = c.rows % 3 ? 1 : 4;
				run(&c, &d, isas[i]);
				CU_ASSERT_EQUAL(memcmp(all, d.out, c.rows * 130 * sizeof(float)),
						0);
			}
			free(all);
			drop(&d);
		}
}

static const struct unit_test tests[] = {
	{ "odd shapes", test_shapes },
	{ "odd shapes of halves", test_half_shapes },
	{ "every pair of types", test_types },
	{ "epilogues", test_epilogues },
	{ "many rows", test_many_rows },
	{ "int8 bit for bit", test_int8 },
	{ "int8 of odd values", test_int8_values },
	{ "int8 of tiny values", test_int8_tiny },
	{ "not finite", test_not_finite },
	{ "bits do not depend on company", test_bits },
};
QEFF_UNIT_MAIN("nsp_matmul", tests)
