/* SPDX-License-Identifier: MIT */
/*
 * NEST, PICK, PUT and SORT: functions against libm, instructions and conversions against C, folds
 * in ascending order whatever the shape. On every instruction set of this machine where they differ
 * in code, all under the poison check.
 */
#include "nsp_dense.h"
#include "unit.h"

#include "nsp/kernels.h"

#include <math.h>

#define COUNT 600

static const char *isas[4];
static size_t num_isas;

/* One NEST over [COUNT] of in[0] and in[1] at @in, into @out. */
static enum qeff_nsp_fault run(const char *isa, uint8_t number, uint8_t in_type, uint8_t out_type,
			       const struct qeff_nsp_instruction *code, uint32_t instructions,
			       const void *const in[2], void *out)
{
	const uint32_t size[] = { COUNT };
	uint32_t in_bytes = nsp_type_bytes(in_type), out_bytes = nsp_type_bytes(out_type);
	struct nsp_builder b;
	struct nsp_machine m;
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op op;
	enum qeff_nsp_fault fault;

	dense_begin(&b, 2);
	op = dense_op(&b, QEFF_NSP_NEST, 1, size, &nest);
	for (int i = 0; i < 2; i++) {
		op.in[i] = dense_at(nsp_io(&b, COUNT * in_bytes), in_type);
		nest.stride[i][0] = 1;
	}
	op.out = dense_at(nsp_arena(&b, COUNT * out_bytes), out_type);
	nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
	op.u.nest.number = number;
	dense_code(&b, &op, code, instructions);
	dense_add(&b, &op, &nest, 2);
	nsp_build(&m, &b, qeff_nsp_kernels_named(isa));
	for (int i = 0; i < 2; i++)
		memcpy(nsp_ddr(&m, op.in[i].at), in[i], COUNT * in_bytes);
	fault = nsp_infer(&m, 0);
	memcpy(out, nsp_ddr(&m, op.out.at), COUNT * out_bytes);
	nsp_unload(&m);
	return fault;
}

static double sign(double x)
{
	return (x > 0) - (x < 0);
}

static double identity(double x)
{
	return x;
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* Functions, where they are defined, and how many units in the last place of f64 they may be off.
 */
static const struct {
	uint8_t function;
	double (*want)(double x);
	double least, most;
	double ulps;
} functions[] = {
	{ QEFF_NSP_IDENTITY, identity, -9, 9, 0 }, { QEFF_NSP_FLOOR, floor, -9, 9, 0 },
	{ QEFF_NSP_CEIL, ceil, -9, 9, 0 },	   { QEFF_NSP_ROUND, rint, -9, 9, 0 },
	{ QEFF_NSP_TRUNC, trunc, -9, 9, 0 },	   { QEFF_NSP_SIGN, sign, -9, 9, 0 },
	{ QEFF_NSP_ABS, fabs, -9, 9, 0 },	   { QEFF_NSP_SQRT, sqrt, 0, 1e6, 0 },
	{ QEFF_NSP_EXP, exp, -700, 700, 3 },	   { QEFF_NSP_EXP, exp, -1, 1, 2 },
	{ QEFF_NSP_LOG, log, 1e-9, 1e9, 2 },	   { QEFF_NSP_LOG, log, 0.5, 2, 3 },
	{ QEFF_NSP_LOG1P, log1p, -0.9, 3, 4 },	   { QEFF_NSP_LOG1P, log1p, -1e-9, 1e-9, 2 },
	{ QEFF_NSP_TANH, tanh, -30, 30, 4 },	   { QEFF_NSP_TANH, tanh, -1e-3, 1e-3, 4 },
	{ QEFF_NSP_SIGMOID, sigmoid, -30, 30, 4 }, { QEFF_NSP_ERF, erf, -7, 7, 8 },
	{ QEFF_NSP_SIN, sin, -0.7, 0.7, 2 },	   { QEFF_NSP_COS, cos, -0.7, 0.7, 2 },
	{ QEFF_NSP_TAN, tan, -1.5, 1.5, 8 },	   { QEFF_NSP_ASIN, asin, -1, 1, 8 },
	{ QEFF_NSP_ACOS, acos, -1, 1, 8 },	   { QEFF_NSP_ATAN, atan, -1e3, 1e3, 6 },
	{ QEFF_NSP_ATAN, atan, -1, 1, 6 },	   { QEFF_NSP_SINH, sinh, -300, 300, 6 },
	{ QEFF_NSP_SINH, sinh, -1e-2, 1e-2, 4 },   { QEFF_NSP_COSH, cosh, -300, 300, 6 },
	{ QEFF_NSP_ASINH, asinh, -1e9, 1e9, 6 },   { QEFF_NSP_ASINH, asinh, -1e-2, 1e-2, 6 },
	{ QEFF_NSP_ACOSH, acosh, 1, 100, 8 },	   { QEFF_NSP_ATANH, atanh, -0.99, 0.99, 6 },
};

static void functions_in_f64(void)
{
	double x[COUNT], y[COUNT], got[COUNT];
	uint32_t seed = 1;

	for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
		const struct qeff_nsp_instruction code = { QEFF_NSP_I_FUNCTION, 2, 0,
							   functions[f].function, 0 };
		double middle = (functions[f].least + functions[f].most) / 2, worst = 0, at = 0;

		for (int i = 0; i < COUNT; i++) {
			x[i] = middle + (functions[f].most - middle) * (double)nsp_random(&seed);
			y[i] = 0;
		}
		x[0] = functions[f].least;
		x[1] = functions[f].most;
		run("portable", QEFF_NSP_NUMBER_F64, QEFF_NSP_F64, QEFF_NSP_F64, &code, 1,
		    (const void *[]){ x, y }, got);
		for (int i = 0; i < COUNT; i++) {
			double want = functions[f].want(x[i]);
			double off = nsp_off(got[i], want) / (fabs(want) * 0x1p-52 + 0x1p-1060);

			if (got[i] != want && off > worst) {
				worst = off;
				at = x[i];
			}
		}
		CU_ASSERT_TRUE(worst <= functions[f].ulps);
		if (worst > functions[f].ulps)
			printf("\n  function %u: %g units off at %a\n", functions[f].function,
			       worst, at);
	}
}

/* In f32 what epilogues know has its own versions; the rest is rounded from f64. */
static void functions_in_f32(void)
{
	float x[COUNT], y[COUNT], got[COUNT];
	uint32_t seed = 2;

	for (size_t isa = 0; isa < num_isas; isa++)
		for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
			const struct qeff_nsp_instruction code = { QEFF_NSP_I_FUNCTION, 2, 0,
								   functions[f].function, 0 };
			double middle = (functions[f].least + functions[f].most) / 2, worst = 0;
			double most = functions[f].most;

			if (functions[f].function == QEFF_NSP_EXP ||
			    functions[f].function == QEFF_NSP_SINH ||
			    functions[f].function == QEFF_NSP_COSH)
				most = most > 80 ? 80 : most;
			for (int i = 0; i < COUNT; i++) {
				x[i] = (float)(middle +
					       (most - middle) * (double)nsp_random(&seed));
				y[i] = 0;
			}
			run(isas[isa], QEFF_NSP_NUMBER_F32, QEFF_NSP_F32, QEFF_NSP_F32, &code, 1,
			    (const void *[]){ x, y }, got);
			for (int i = 0; i < COUNT; i++) {
				double want = functions[f].want((double)x[i]);
				double off = nsp_off((double)got[i], want) /
					     (fabs(want) * 0x1p-23 + 0x1p-140);

				worst = (float)want != got[i] && off > worst ? off : worst;
			}
			CU_ASSERT_TRUE(worst <= 3);
			if (worst > 3)
				printf("\n  function %u: %g units off\n", functions[f].function,
				       worst);
		}
}

/* What is asked of ends of ranges. */
static void odd_numbers(void)
{
	static const struct {
		uint8_t function;
		double x, want;
	} cases[] = {
		{ QEFF_NSP_EXP, INFINITY, INFINITY },
		{ QEFF_NSP_EXP, -INFINITY, 0 },
		{ QEFF_NSP_EXP, -745, 0x1p-1074 },
		{ QEFF_NSP_LOG, 0, -INFINITY },
		{ QEFF_NSP_LOG, -1, NAN },
		{ QEFF_NSP_LOG, INFINITY, INFINITY },
		{ QEFF_NSP_LOG, 0x1p-1074, -0x1.74385446d71c3p+9 },
		{ QEFF_NSP_TANH, INFINITY, 1 },
		{ QEFF_NSP_TANH, NAN, NAN },
		{ QEFF_NSP_ERF, -INFINITY, -1 },
		{ QEFF_NSP_ATAN, INFINITY, M_PI_2 },
		{ QEFF_NSP_ATAN, -INFINITY, -M_PI_2 },
		{ QEFF_NSP_ATAN, NAN, NAN },
		{ QEFF_NSP_ASIN, 2, NAN },
		{ QEFF_NSP_ACOS, -1, M_PI },
		{ QEFF_NSP_ACOS, 1, 0 },
		{ QEFF_NSP_ACOSH, 0.5, NAN },
		{ QEFF_NSP_ATANH, 1, INFINITY },
		{ QEFF_NSP_ATANH, -1, -INFINITY },
		{ QEFF_NSP_ATANH, 2, NAN },
		{ QEFF_NSP_SIN, INFINITY, NAN },
		{ QEFF_NSP_SINH, -INFINITY, -INFINITY },
		{ QEFF_NSP_COSH, -INFINITY, INFINITY },
		{ QEFF_NSP_ASINH, -INFINITY, -INFINITY },
		{ QEFF_NSP_SIGN, NAN, NAN },
		{ QEFF_NSP_IS_NAN, NAN, 1 },
		{ QEFF_NSP_IS_NAN, INFINITY, 0 },
		{ QEFF_NSP_IS_INF, INFINITY, 1 },
		{ QEFF_NSP_IS_INF, -INFINITY, -1 },
		{ QEFF_NSP_IS_INF, NAN, 0 },
		{ QEFF_NSP_ROUND, 2.5, 2 },
		{ QEFF_NSP_ROUND, -3.5, -4 },
		{ QEFF_NSP_ROUND, 0x1p+60, 0x1p+60 },
		{ QEFF_NSP_FLOOR, -0.5, -1 },
		{ QEFF_NSP_CEIL, -INFINITY, -INFINITY },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		const struct qeff_nsp_instruction code = { QEFF_NSP_I_FUNCTION, 2, 0,
							   cases[c].function, 0 };
		double x[COUNT] = { cases[c].x }, y[COUNT] = { 0 }, got[COUNT];
		bool same;

		run("portable", QEFF_NSP_NUMBER_F64, QEFF_NSP_F64, QEFF_NSP_F64, &code, 1,
		    (const void *[]){ x, y }, got);
		same = isnan(cases[c].want)
			       ? isnan(got[0])
			       : fabs(got[0] - cases[c].want) <= 1e-13 || got[0] == cases[c].want;
		CU_ASSERT_TRUE(same);
		if (!same)
			printf("\n  function %u of %g: %g\n", cases[c].function, cases[c].x,
			       got[0]);
	}
}

/* One instruction on two numbers. */
static void check_floats(uint8_t code, double a, double b, double want)
{
	const struct qeff_nsp_instruction instruction = { code, 2, 0, 1, 0 };
	double x[COUNT] = { a }, y[COUNT] = { b }, got[COUNT];
	float xf[COUNT] = { (float)a }, yf[COUNT] = { (float)b }, gotf[COUNT];

	run("portable", QEFF_NSP_NUMBER_F64, QEFF_NSP_F64, QEFF_NSP_F64, &instruction, 1,
	    (const void *[]){ x, y }, got);
	run("portable", QEFF_NSP_NUMBER_F32, QEFF_NSP_F32, QEFF_NSP_F32, &instruction, 1,
	    (const void *[]){ xf, yf }, gotf);
	CU_ASSERT_TRUE(isnan(want) ? isnan(got[0]) : fabs(got[0] - want) <= fabs(want) * 1e-14);
	CU_ASSERT_TRUE(isnan(want) ? isnan(gotf[0])
				   : fabs((double)gotf[0] - want) <= fabs(want) * 1e-6);
}

static void check_integers(uint8_t code, int64_t a, int64_t b, int64_t want)
{
	const struct qeff_nsp_instruction instruction = { code, 2, 0, 1, 0 };
	int64_t x[COUNT] = { a }, y[COUNT] = { b }, got[COUNT];

	run("portable", QEFF_NSP_NUMBER_I64, QEFF_NSP_I64, QEFF_NSP_I64, &instruction, 1,
	    (const void *[]){ x, y }, got);
	CU_ASSERT_EQUAL(got[0], want);
	if (got[0] != want)
		printf("\n  instruction %u of %lld, %lld: %lld\n", code, (long long)a, (long long)b,
		       (long long)got[0]);
}

static void check_unsigned(uint8_t code, uint64_t a, uint64_t b, uint64_t want)
{
	const struct qeff_nsp_instruction instruction = { code, 2, 0, 1, 0 };
	uint64_t x[COUNT] = { a }, y[COUNT] = { b }, got[COUNT];

	run("portable", QEFF_NSP_NUMBER_U64, QEFF_NSP_U64, QEFF_NSP_U64, &instruction, 1,
	    (const void *[]){ x, y }, got);
	CU_ASSERT_EQUAL(got[0], want);
}

static void instructions(void)
{
	check_floats(QEFF_NSP_I_MAX, NAN, 1, NAN);
	check_floats(QEFF_NSP_I_MIN, 1, NAN, NAN);
	check_floats(QEFF_NSP_I_MAX, -2, 3, 3);
	check_floats(QEFF_NSP_I_LESS, 1, 2, 1);
	check_floats(QEFF_NSP_I_LESS, NAN, 2, 0);
	check_floats(QEFF_NSP_I_LESS_EQUAL, 2, 2, 1);
	check_floats(QEFF_NSP_I_EQUAL, NAN, NAN, 0);
	check_floats(QEFF_NSP_I_EQUAL, 0, -0.0, 1);
	check_floats(QEFF_NSP_I_FMOD, -7.5, 2, -1.5);
	check_floats(QEFF_NSP_I_MOD, -7.5, 2, 0.5);
	check_floats(QEFF_NSP_I_MOD, 7.5, -2, -0.5);
	check_floats(QEFF_NSP_I_FMOD, 5, INFINITY, 5);
	check_floats(QEFF_NSP_I_FMOD, INFINITY, 5, NAN);
	check_floats(QEFF_NSP_I_FMOD, 5, 0, NAN);
	check_floats(QEFF_NSP_I_FMOD, 0x1p+100, 3, 1);
	check_floats(QEFF_NSP_I_POW, -2, 3, -8);
	check_floats(QEFF_NSP_I_POW, -2, 0.5, NAN);
	check_floats(QEFF_NSP_I_POW, 0, 0, 1);
	check_floats(QEFF_NSP_I_POW, 2.5, -3.25, pow(2.5, -3.25));
	check_integers(QEFF_NSP_I_ADD, INT64_MAX, 1, INT64_MIN);
	check_integers(QEFF_NSP_I_SUB, INT64_MIN, 1, INT64_MAX);
	check_integers(QEFF_NSP_I_MUL, INT64_MIN, -1, INT64_MIN);
	check_integers(QEFF_NSP_I_DIV, INT64_MIN, -1, INT64_MIN);
	check_integers(QEFF_NSP_I_DIV, -7, 2, -3);
	check_integers(QEFF_NSP_I_DIV, 7, 0, 0);
	check_integers(QEFF_NSP_I_MOD, -7, 3, 2);
	check_integers(QEFF_NSP_I_MOD, 7, -3, -2);
	check_integers(QEFF_NSP_I_MOD, 7, 0, 0);
	check_integers(QEFF_NSP_I_MOD, INT64_MIN, -1, 0);
	check_integers(QEFF_NSP_I_FMOD, -7, 3, -1);
	check_integers(QEFF_NSP_I_POW, -3, 3, -27);
	check_integers(QEFF_NSP_I_POW, 2, -1, 0);
	check_integers(QEFF_NSP_I_POW, -1, -3, -1);
	check_integers(QEFF_NSP_I_POW, 3, 41, (int64_t)0xfa2a1cf67b5fb863ull);
	check_integers(QEFF_NSP_I_AND, -1, 5, 5);
	check_integers(QEFF_NSP_I_OR, 4, 3, 7);
	check_integers(QEFF_NSP_I_XOR, -1, 5, -6);
	check_integers(QEFF_NSP_I_SHIFT_LEFT, 3, 62, (int64_t)(3ull << 62));
	check_integers(QEFF_NSP_I_SHIFT_LEFT, 3, 64, 0);
	check_integers(QEFF_NSP_I_SHIFT_RIGHT, -8, 1, -4);
	check_integers(QEFF_NSP_I_SHIFT_RIGHT, -8, -1, 0);
	check_integers(QEFF_NSP_I_LESS, -1, 1, 1);
	check_unsigned(QEFF_NSP_I_LESS, UINT64_MAX, 1, 0);
	check_unsigned(QEFF_NSP_I_DIV, UINT64_MAX, 2, UINT64_MAX / 2);
	check_unsigned(QEFF_NSP_I_MOD, UINT64_MAX, UINT64_MAX - 1, 1);
	check_unsigned(QEFF_NSP_I_SHIFT_RIGHT, 1ull << 63, 63, 1);
	check_unsigned(QEFF_NSP_I_MAX, UINT64_MAX, 1, UINT64_MAX);
}

/* @x as @in_type, through @number, as @out_type: the bytes at @want. */
static void convert(uint8_t number, uint8_t in_type, const void *x, uint8_t out_type,
		    const void *want)
{
	uint8_t in[COUNT * 8] = { 0 }, out[COUNT * 8];

	for (size_t isa = 0; isa < num_isas; isa++) {
		memcpy(in + (COUNT - 1) * nsp_type_bytes(in_type), x, nsp_type_bytes(in_type));
		memcpy(in, x, nsp_type_bytes(in_type));
		run(isas[isa], number, in_type, out_type, NULL, 0, (const void *[]){ in, in }, out);
		CU_ASSERT_FALSE(memcmp(out, want, nsp_type_bytes(out_type)));
		CU_ASSERT_FALSE(memcmp(out + (COUNT - 1) * nsp_type_bytes(out_type), want,
				       nsp_type_bytes(out_type)));
		if (memcmp(out, want, nsp_type_bytes(out_type)))
			printf("\n  %u: type %u to %u: %016llx\n", number, in_type, out_type,
			       *(unsigned long long *)(void *)out);
	}
}

#define CONVERT(number, in_type, in_c, x, out_type, out_c, want)                                   \
	convert(QEFF_NSP_NUMBER_##number, QEFF_NSP_##in_type, &(in_c){ x }, QEFF_NSP_##out_type,   \
		&(out_c){ want })

static void conversions(void)
{
	CONVERT(F32, F32, float, -2.7f, I32, int32_t, -2);
	CONVERT(F32, F32, float, 300.9f, U8, uint8_t, 44);
	CONVERT(F32, F32, float, -1.0f, U8, uint8_t, 255);
	CONVERT(F32, F32, float, NAN, I64, int64_t, 0);
	CONVERT(F32, F32, float, INFINITY, I64, int64_t, INT64_MAX);
	CONVERT(F32, F32, float, -1e30f, I64, int64_t, INT64_MIN);
	CONVERT(F32, F32, float, 0x1p+63f, U64, uint64_t, 1ull << 63);
	CONVERT(F32, F32, float, 1e30f, U64, uint64_t, UINT64_MAX);
	CONVERT(F32, F32, float, NAN, BOOL, uint8_t, 1);
	CONVERT(F32, F32, float, -0.0f, BOOL, uint8_t, 0);
	CONVERT(F32, F32, float, 0.25f, BOOL, uint8_t, 1);
	CONVERT(F32, F32, float, 65520.0f, F16, uint16_t, 0x7c00);
	CONVERT(F32, F16, uint16_t, 0x0001, F32, float, 0x1p-24f);
	CONVERT(F32, F16, uint16_t, 0xc000, I8, int8_t, -2);
	CONVERT(F32, BF16, uint16_t, 0x3fc0, F16, uint16_t, 0x3e00);
	CONVERT(F32, F32, float, 1.5f, BF16, uint16_t, 0x3fc0);
	/* Rounded once: half way in f16, and a little more, which f32 does not see. */
	CONVERT(F64, F64, double, 0x1.0020000000001p+0, F16, uint16_t, 0x3c01);
	CONVERT(F64, F64, double, 0x1.002p+0, F16, uint16_t, 0x3c00);
	CONVERT(F64, F64, double, 0x1.01p+0, BF16, uint16_t, 0x3f80);
	CONVERT(F64, F64, double, 0x1.0100000000001p+0, BF16, uint16_t, 0x3f81);
	CONVERT(F64, F64, double, 1e300, F32, float, INFINITY);
	CONVERT(F64, F64, double, 1e300, F16, uint16_t, 0x7c00);
	CONVERT(F64, I64, int64_t, (1ll << 53) + 1, F64, double, 0x1p+53);
	CONVERT(I64, I64, int64_t, (1ll << 24) + 1, F32, float, 0x1p+24f);
	CONVERT(I64, I64, int64_t, -1, U64, uint64_t, UINT64_MAX);
	CONVERT(I64, I64, int64_t, 0x1ff, U8, uint8_t, 0xff);
	CONVERT(I64, I64, int64_t, 0x18000, I16, int16_t, INT16_MIN);
	CONVERT(I64, I64, int64_t, 2, BOOL, uint8_t, 1);
	CONVERT(I64, BOOL, uint8_t, 7, I32, int32_t, 1);
	CONVERT(I64, U32, uint32_t, UINT32_MAX, I64, int64_t, UINT32_MAX);
	CONVERT(I64, U16, uint16_t, 0xffff, I32, int32_t, 0xffff);
	CONVERT(I64, I16, int16_t, -3, F64, double, -3);
	CONVERT(I64, I8, int8_t, -128, F16, uint16_t, 0xd800);
	CONVERT(I64, F64, double, -2.9, I64, int64_t, -2);
	CONVERT(U64, U64, uint64_t, UINT64_MAX, F64, double, 0x1p+64);
	CONVERT(U64, F64, double, 0x1p+63, U64, uint64_t, 1ull << 63);
	CONVERT(U64, F32, float, -1.0f, U64, uint64_t, UINT64_MAX);
	CONVERT(U64, U8, uint8_t, 200, U32, uint32_t, 200);
}

static uint64_t sum_of_macs(const struct nsp_machine *m)
{
	uint64_t sum = 0;

	for (int i = 0; i < QEFF_NSP_MAX_NSPS; i++)
		sum += nsp_stats(m)->nsp[i].macs;
	return sum;
}

/* Sums of [a][b] over either loop, against a plain loop in the same order: the same bits, whether
 * strips lie along the results or along what is folded, however it is cut. */
static void fold_shape(const char *isa, uint32_t a, uint32_t b, bool first, uint32_t nsps,
		       uint16_t parts)
{
	const uint32_t size[] = { first ? b : a, first ? a : b };
	float *x;
	uint32_t seed = a * 31 + b;
	struct nsp_builder builder;
	struct nsp_machine m;
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op op;
	const float *got;

	dense_begin(&builder, nsps);
	op = dense_op(&builder, QEFF_NSP_NEST, 2, size, &nest);
	op.in[0] = dense_at(nsp_io(&builder, a * b * 4), QEFF_NSP_F32);
	op.out = dense_at(nsp_arena(&builder, size[0] * 4), QEFF_NSP_F32);
	nest.stride[0][0] = first ? 1 : b;
	nest.stride[0][1] = first ? b : 1;
	nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
	op.u.nest.kept = 1;
	op.u.nest.fold = QEFF_NSP_FOLD_SUM;
	dense_add(&builder, &op, &nest, parts);
	nsp_build(&m, &builder, qeff_nsp_kernels_named(isa));
	x = nsp_ddr(&m, op.in[0].at);
	for (uint32_t i = 0; i < a * b; i++)
		x[i] = nsp_random(&seed);
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	got = nsp_ddr(&m, op.out.at);
	for (uint32_t i = 0; i < size[0]; i++) {
		float sum = 0;

		for (uint32_t j = 0; j < size[1]; j++)
			sum += x[first ? j * b + i : i * b + j];
		CU_ASSERT_EQUAL(got[i], sum);
	}
	CU_ASSERT_EQUAL(sum_of_macs(&m), (uint64_t)a * b);
	nsp_unload(&m);
}

static void folds_ascend(void)
{
	static const uint32_t shapes[][2] = { { 1, 1 },	  { 3, 700 }, { 700, 3 }, { 1, 1000 },
					      { 17, 33 }, { 16, 5 },  { 257, 40 } };

	for (size_t isa = 0; isa < num_isas; isa++)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
			for (int first = 0; first < 2; first++) {
				fold_shape(isas[isa], shapes[i][0], shapes[i][1], first, 1, 1);
				fold_shape(isas[isa], shapes[i][0], shapes[i][1], first, 3, 3);
			}
}

/* The place of the largest or smallest, with equals and NaN. */
static void fold_places(void)
{
	static const float x[] = { 1, 3, -2, 3, -2, 0, NAN, 9 };
	static const struct {
		uint8_t fold;
		uint32_t count;
		int64_t want;
	} cases[] = {
		{ QEFF_NSP_FOLD_ARGMAX, 6, 1 },	     { QEFF_NSP_FOLD_ARGMAX_LAST, 6, 3 },
		{ QEFF_NSP_FOLD_ARGMIN, 6, 2 },	     { QEFF_NSP_FOLD_ARGMIN_LAST, 6, 4 },
		{ QEFF_NSP_FOLD_ARGMAX, 8, 6 },	     { QEFF_NSP_FOLD_ARGMIN, 8, 6 },
		{ QEFF_NSP_FOLD_ARGMAX_LAST, 8, 6 }, { QEFF_NSP_FOLD_ARGMIN_LAST, 8, 6 },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
		for (uint32_t columns = 1; columns <= 20; columns += 19) {
			const uint32_t size[] = { columns, cases[c].count };
			struct nsp_builder b;
			struct nsp_machine m;
			struct qeff_nsp_nest nest;
			struct qeff_nsp_op op;

			dense_begin(&b, 1);
			op = dense_op(&b, QEFF_NSP_NEST, 2, size, &nest);
			op.in[0] = dense_at(nsp_io(&b, sizeof(x)), QEFF_NSP_F32);
			op.out = dense_at(nsp_arena(&b, columns * 4), QEFF_NSP_I32);
			nest.stride[0][1] = 1;
			nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
			op.u.nest.kept = 1;
			op.u.nest.fold = cases[c].fold;
			dense_add(&b, &op, &nest, 1);
			nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
			memcpy(nsp_ddr(&m, op.in[0].at), x, sizeof(x));
			CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
			for (uint32_t i = 0; i < columns; i++)
				CU_ASSERT_EQUAL(((int32_t *)nsp_ddr(&m, op.out.at))[i],
						cases[c].want);
			nsp_unload(&m);
		}
}

/* Rows of [5][4] by pairs of indices: out[i] = data[index0][index1], and the same way back. */
static void pairs_of_indices(void)
{
	static const int32_t index[] = { 0, 0, 4, 3, -1, -4, 2, 1, 2, 1, 4, -1 };
	const uint32_t size[] = { 6 };
	struct nsp_builder b;
	struct nsp_machine m;
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op pick, put, zero;
	const int16_t *got;

	dense_begin(&b, 3);
	pick = dense_op(&b, QEFF_NSP_PICK, 1, size, &nest);
	pick.in[0] = dense_at(nsp_io(&b, 40), QEFF_NSP_I16);
	pick.in[1] = dense_at(nsp_io(&b, sizeof(index)), QEFF_NSP_I32);
	pick.out = dense_at(nsp_arena(&b, 12), QEFF_NSP_I16);
	nest.stride[1][0] = 2;
	nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
	pick.u.pick = (struct qeff_nsp_pick_params){
		.components = 2, .index_stride = 1, .stride = { 4, 1 }, .limit = { 5, 4 }
	};
	dense_add(&b, &pick, &nest, 3);
	zero = dense_op(&b, QEFF_NSP_NEST, 1, (const uint32_t[]){ 20 }, &nest);
	zero.out = dense_at(nsp_arena(&b, 40), QEFF_NSP_I16);
	nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
	dense_code(&b, &zero, &(const struct qeff_nsp_instruction){ QEFF_NSP_I_CONST, 0, 0, 0, -1 },
		   1);
	dense_add(&b, &zero, &nest, 1);
	put = dense_op(&b, QEFF_NSP_PUT, 1, size, &nest);
	put.in[0] = pick.out;
	put.in[1] = pick.in[1];
	put.out = zero.out;
	nest.stride[0][0] = 1;
	nest.stride[1][0] = 2;
	pick.u.pick.nest = put.u.pick.nest;
	pick.u.pick.fold = QEFF_NSP_FOLD_SUM;
	put.u.pick = pick.u.pick;
	dense_add(&b, &put, &nest, 1);
	nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
	for (int i = 0; i < 20; i++)
		((int16_t *)nsp_ddr(&m, pick.in[0].at))[i] = (int16_t)(i * 1000);
	memcpy(nsp_ddr(&m, pick.in[1].at), index, sizeof(index));
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	got = nsp_ddr(&m, pick.out.at);
	CU_ASSERT(got[0] == 0 && got[1] == 19000 && got[2] == 16000 && got[3] == 9000 &&
		  got[4] == 9000 && got[5] == 19000);
	got = nsp_ddr(&m, put.out.at);
	/* 9000 and 19000 twice, and the -1 that was there; 16 bits wrap */
	CU_ASSERT(got[0] == -1 && got[16] == 15999 && got[9] == 17999 && got[1] == -1 &&
		  got[19] == (int16_t)37999);
	/* Every wrong index is found, wherever it stands. */
	for (int i = 0; i < 12; i++) {
		static const int32_t wrong[] = { 5, -6, INT32_MAX, INT32_MIN };
		int32_t *at = (int32_t *)nsp_ddr(&m, pick.in[1].at) + i;

		for (int w = 0; w < 4; w++) {
			*at = wrong[w];
			CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_INDEX);
			CU_ASSERT_EQUAL(nsp_stats(&m)->fault_value, wrong[w]);
		}
		*at = index[i];
	}
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	nsp_unload(&m);
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* All of a row in order, of all sizes; equals keep theirs. */
static void everything_in_order(void)
{
	for (uint32_t n = 1; n < 70; n++)
		for (int smallest = 0; smallest < 2; smallest++) {
			const uint32_t size[] = { 3, n }, chosen = n % 3 ? n : (n + 2) / 3;
			uint32_t seed = n;
			struct nsp_builder b;
			struct nsp_machine m;
			struct qeff_nsp_nest nest;
			struct qeff_nsp_op op;
			float *x, *want = malloc(n * 4);
			const int64_t *got;

			dense_begin(&b, 2);
			op = dense_op(&b, QEFF_NSP_SORT, 2, size, &nest);
			op.in[0] = dense_at(nsp_io(&b, 3 * n * 4), QEFF_NSP_F32);
			op.out = dense_at(nsp_arena(&b, 3 * n * 8), QEFF_NSP_I64);
			dense_strides(&nest, 0, 2);
			nest.stride[QEFF_NSP_NEST_OUT][0] = chosen;
			nest.stride[QEFF_NSP_NEST_OUT][1] = 1;
			op.u.sort.chosen = chosen;
			op.u.sort.positions = 1;
			op.u.sort.smallest = (uint8_t)smallest;
			dense_add(&b, &op, &nest, 2);
			nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
			x = nsp_ddr(&m, op.in[0].at);
			for (uint32_t i = 0; i < 3 * n; i++)
				x[i] = rintf(nsp_random(&seed) * 9);
			CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
			got = nsp_ddr(&m, op.out.at);
			for (uint32_t row = 0; row < 3; row++, x += n, got += chosen) {
				memcpy(want, x, n * 4);
				qsort(want, n, 4, compare_floats);
				for (uint32_t i = 0; i < chosen; i++) {
					CU_ASSERT_EQUAL(x[got[i]], want[smallest ? n - 1 - i : i]);
					CU_ASSERT_TRUE(!i || x[got[i]] != x[got[i - 1]] ||
						       got[i] > got[i - 1]);
				}
			}
			free(want);
			nsp_unload(&m);
		}
}

/* NaN is the largest, both zeros are one, integers of all widths keep their order. */
static void odd_keys(void)
{
	static const struct {
		uint8_t type;
		uint64_t bits[3]; /* in descending order */
	} cases[] = {
		{ QEFF_NSP_F32, { 0xffc00000, 0x7f800000, 0xff800000 } },
		{ QEFF_NSP_F32, { 0x80000000, 0x00000000, 0x80000001 } },
		{ QEFF_NSP_F16, { 0x3c00, 0x0001, 0xbc00 } },
		{ QEFF_NSP_BF16, { 0x7fc0, 0x3f80, 0xff7f } },
		{ QEFF_NSP_F64, { 0x7ff0000000000000, 1, 0xbff0000000000000 } },
		{ QEFF_NSP_I8, { 0x7f, 0, 0x80 } },
		{ QEFF_NSP_U8, { 0xff, 0x80, 0 } },
		{ QEFF_NSP_I16, { 0x7fff, 0xffff, 0x8000 } },
		{ QEFF_NSP_U16, { 0xffff, 0x7fff, 0 } },
		{ QEFF_NSP_I32, { 0x7fffffff, 0xffffffff, 0x80000000 } },
		{ QEFF_NSP_U32, { 0xffffffff, 0x80000000, 1 } },
		{ QEFF_NSP_I64, { 1, UINT64_MAX, 1ull << 63 } },
		{ QEFF_NSP_U64, { UINT64_MAX, 1ull << 63, 1 } },
		{ QEFF_NSP_BOOL, { 1, 0, 0 } },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
		for (int reversed = 0; reversed < 2; reversed++) {
			const uint32_t size[] = { 3 };
			uint32_t bytes = nsp_type_bytes(cases[c].type);
			struct nsp_builder b;
			struct nsp_machine m;
			struct qeff_nsp_nest nest;
			struct qeff_nsp_op op;
			const uint8_t *got;

			dense_begin(&b, 1);
			op = dense_op(&b, QEFF_NSP_SORT, 1, size, &nest);
			op.in[0] = dense_at(nsp_io(&b, 24), cases[c].type);
			op.out = dense_at(nsp_arena(&b, 24), cases[c].type);
			/* read backwards */
			op.in[0].at += reversed ? 2ull * bytes : 0;
			nest.stride[0][0] = reversed ? -1 : 1;
			nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
			op.u.sort.chosen = 3;
			dense_add(&b, &op, &nest, 1);
			nsp_build(&m, &b, qeff_nsp_kernels_named("portable"));
			for (int i = 0; i < 3; i++)
				memcpy((uint8_t *)nsp_ddr(&m, op.in[0].at) +
					       (reversed ? -(int64_t)i : i) * (int64_t)bytes,
				       &cases[c].bits[i], bytes);
			CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
			got = nsp_ddr(&m, op.out.at);
			for (uint32_t i = 0; i < 3; i++)
				CU_ASSERT_FALSE(memcmp(got + i * bytes, &cases[c].bits[i], bytes));
			nsp_unload(&m);
		}
}

static const struct unit_test tests[] = {
	{ "functions in f64", functions_in_f64 },
	{ "functions in f32", functions_in_f32 },
	{ "odd numbers", odd_numbers },
	{ "instructions", instructions },
	{ "conversions", conversions },
	{ "folds ascend", folds_ascend },
	{ "places of the largest and smallest", fold_places },
	{ "pairs of indices", pairs_of_indices },
	{ "everything in order", everything_in_order },
	{ "odd keys", odd_keys },
};

int main(void)
{
	num_isas = nsp_isas(isas);
	return unit_main("nsp_nest", tests, sizeof(tests) / sizeof(tests[0]));
}
