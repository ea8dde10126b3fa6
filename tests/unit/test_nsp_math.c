/* SPDX-License-Identifier: MIT */
/* The kernels' own functions against libm in double, and half floats against their definition. */
#include "unit.h"

#include "nsp/nsp_math.h"

#include <math.h>
#include <stdio.h>

static float apply(unsigned int function, float x)
{
	nsp_apply(function, &x, 1);
	return x;
}

/* Distance in units of the last place of the true value. */
static double ulps(float got, double want)
{
	float rounded = (float)want;
	int exponent;

	if (isnan(want))
		return isnan(got) ? 0 : INFINITY;
	if (got == rounded)
		return 0;
	if (!isfinite(got) || isinf(rounded))
		return INFINITY;
	frexp(fabs(want), &exponent);
	if (exponent < -125)
		exponent = -125;
	return fabs((double)got - want) / ldexp(1, exponent - 24);
}

struct accuracy {
	const char *name;
	unsigned int function;
	double (*exact)(double);
	float low, high;
	double limit;
};

static double silu(double x)
{
	return x / (1 + exp(-x));
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static const struct accuracy accuracies[] = {
	{ "exp", QEFF_NSP_EXP, exp, -104, 89, 1.5 },
	{ "exp near 0", QEFF_NSP_EXP, exp, -1, 1, 1.5 },
	{ "log", QEFF_NSP_LOG, log, 0, 3e38f, 1.5 },
	{ "log near 1", QEFF_NSP_LOG, log, 0.5f, 2, 2 },
	{ "log of subnormals", QEFF_NSP_LOG, log, 1e-44f, 1e-38f, 1.5 },
	{ "tanh", QEFF_NSP_TANH, tanh, -10, 10, 2 },
	{ "tanh near 0", QEFF_NSP_TANH, tanh, -0.7f, 0.7f, 2 },
	{ "erf", QEFF_NSP_ERF, erf, -5, 5, 2 },
	{ "erf near 0", QEFF_NSP_ERF, erf, -1e-3f, 1e-3f, 2 },
	{ "sqrt", QEFF_NSP_SQRT, sqrt, 0, 1e30f, 0.5 },
	{ "silu", QEFF_NSP_SILU, silu, -80, 80, 3 },
	{ "sigmoid", QEFF_NSP_SIGMOID, sigmoid, -80, 80, 3 },
};

static void test_accuracy(void)
{
	for (size_t i = 0; i < sizeof(accuracies) / sizeof(accuracies[0]); i++) {
		const struct accuracy *a = &accuracies[i];
		double worst = 0;
		float at = 0;

		for (int step = 0; step <= 200000; step++) {
			float x = (float)(a->low + ((double)a->high - a->low) * step / 200000);
			double error = ulps(apply(a->function, x), a->exact(x));

			if (error > worst) {
				worst = error;
				at = x;
			}
		}
		if (worst > a->limit)
			printf("\n%s: %g ulp at %.9g\n", a->name, worst, at);
		CU_ASSERT(worst <= a->limit);
	}
}

static double off(float got, double want)
{
	return isnan(got) ? INFINITY : fabs(got - want);
}

/* GELU's tail is a difference, so it is held to an absolute error. */
static void test_gelu(void)
{
	double worst_erf = 0, worst_tanh = 0;

	for (int step = -100000; step <= 100000; step++) {
		float x = (float)(step * 1e-4);
		double by_erf = x / 2.0 * (1 + erf(x / sqrt(2)));
		double by_tanh =
			x / 2.0 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * (double)x * x * x)));
		double size = fabs(x) > 1 ? fabs(x) : 1;

		worst_erf = fmax(worst_erf, off(apply(QEFF_NSP_GELU_ERF, x), by_erf) / size);
		worst_tanh = fmax(worst_tanh, off(apply(QEFF_NSP_GELU_TANH, x), by_tanh) / size);
	}
	CU_ASSERT(worst_erf < 2e-7);
	CU_ASSERT(worst_tanh < 2e-7);
}

static void test_special(void)
{
	const float inf = INFINITY;

	CU_ASSERT(apply(QEFF_NSP_EXP, -inf) == 0 && apply(QEFF_NSP_EXP, inf) == inf);
	CU_ASSERT(apply(QEFF_NSP_EXP, 0) == 1 && apply(QEFF_NSP_EXP, 1000) == inf);
	CU_ASSERT(apply(QEFF_NSP_EXP, 88.7f) > 3e38f && apply(QEFF_NSP_EXP, 88.8f) == inf);
	CU_ASSERT(apply(QEFF_NSP_LOG, 0) == -inf && apply(QEFF_NSP_LOG, inf) == inf);
	CU_ASSERT(isnan(apply(QEFF_NSP_LOG, -1)) && apply(QEFF_NSP_LOG, 1) == 0);
	CU_ASSERT(apply(QEFF_NSP_TANH, inf) == 1 && apply(QEFF_NSP_TANH, -inf) == -1);
	CU_ASSERT(apply(QEFF_NSP_ERF, inf) == 1 && apply(QEFF_NSP_ERF, -inf) == -1);
	CU_ASSERT(signbit(apply(QEFF_NSP_TANH, -0.0f)) && signbit(apply(QEFF_NSP_ERF, -0.0f)));
	CU_ASSERT(apply(QEFF_NSP_RELU, -3) == 0 && apply(QEFF_NSP_RELU, 3) == 3);
	CU_ASSERT(apply(QEFF_NSP_NEG, 2) == -2 && apply(QEFF_NSP_ABS, -2) == 2);
	CU_ASSERT(apply(QEFF_NSP_RECIPROCAL, 4) == 0.25f && apply(QEFF_NSP_IDENTITY, 4) == 4);
	for (unsigned int function = 0; function < QEFF_NSP_FUNCTIONS; function++)
		CU_ASSERT(isnan(apply(function, NAN)));
}

static void test_pow(void)
{
	static const float odd[] = { 0,	       -0.0f,	  1,	-1,    2,      -2,
				     0.5f,     -0.5f,	  3,	-3,    2.5f,   -2.5f,
				     INFINITY, -INFINITY, NAN,	1e30f, -1e30f, 1e-40f,
				     16777216, 16777215,  4e9f, -7 };
	const size_t count = sizeof(odd) / sizeof(odd[0]);
	double worst = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			float got = nsp_pow(odd[i], odd[j]), want = powf(odd[i], odd[j]);

			if (ulps(got, pow(odd[i], odd[j])) > 1)
				printf("\npow(%g, %g) = %g, not %g\n", odd[i], odd[j], got, want);
			CU_ASSERT(ulps(got, pow(odd[i], odd[j])) <= 1);
			CU_ASSERT(isnan(want) || !signbit(got) == !signbit(want));
		}
	for (int i = 1; i < 400; i++)
		for (int j = -200; j < 200; j++) {
			float x = (float)i * i * 0.0173f, y = (float)j * 0.0917f;

			worst = fmax(worst, ulps(nsp_pow(x, y), pow(x, y)));
		}
	CU_ASSERT(worst <= 0.51);
}

/* The value of a half, from its fields. */
static double half_value(uint16_t half, int fraction_bits, int bias)
{
	int exponent_bits = 15 - fraction_bits;
	int exponent = half >> fraction_bits & ((1 << exponent_bits) - 1);
	int fraction = half & ((1 << fraction_bits) - 1);
	double sign = half >> 15 ? -1 : 1;

	if (exponent == (1 << exponent_bits) - 1)
		return fraction ? NAN : sign * INFINITY;
	if (!exponent)
		return sign * ldexp(fraction, 1 - bias - fraction_bits);
	return sign * ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

static void check_halves(int fraction_bits, int bias, float (*widen)(uint16_t),
			 uint16_t (*narrow)(float))
{
	const uint16_t infinity = (uint16_t)(((1 << (15 - fraction_bits)) - 1) << fraction_bits);
	unsigned int wrong = 0;

	for (uint32_t h = 0; h < 0x10000; h++) {
		double value = half_value((uint16_t)h, fraction_bits, bias);
		float wide = widen((uint16_t)h);

		if (isnan(value)) {
			wrong += !isnan(wide) || !isnan(widen(narrow(wide)));
			continue;
		}
		wrong += wide != value || !signbit(wide) != !signbit(value) || narrow(wide) != h;
		/* Half way to the next magnitude goes to the even one, a hair beside it does not.
		 */
		if ((h & 0x7fff) < infinity) {
			/* The step past the largest is as wide as the one before it. */
			double next = (h & 0x7fff) + 1 == infinity
					      ? 2 * value - half_value((uint16_t)(h - 1),
								       fraction_bits, bias)
					      : half_value((uint16_t)(h + 1), fraction_bits, bias);
			float middle = (float)((value + next) / 2);

			wrong += narrow(middle) != (h & 1 ? h + 1 : h);
			wrong += narrow(nextafterf(middle, (float)value)) != h;
			if ((h & 0x7fff) + 1 < infinity)
				wrong += narrow(nextafterf(middle, (float)next)) != h + 1;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(narrow(INFINITY), infinity);
	CU_ASSERT_EQUAL(narrow(-INFINITY), infinity | 0x8000);
	CU_ASSERT_EQUAL(narrow(0x1.fffffep127f), infinity);
}

static void test_half(void)
{
	check_halves(10, 15, qeff_f16_to_f32, qeff_f32_to_f16);
	check_halves(7, 127, qeff_bf16_to_f32, qeff_f32_to_bf16);
	CU_ASSERT_EQUAL(qeff_f32_to_f16(1.0f), 0x3c00);
	CU_ASSERT_EQUAL(qeff_f32_to_f16(65504.0f), 0x7bff);
	CU_ASSERT_EQUAL(qeff_f32_to_f16(-0x1p-24f), 0x8001);
	CU_ASSERT_EQUAL(qeff_f32_to_bf16(1.0f), 0x3f80);
}

static const struct unit_test tests[] = {
	{ "functions against libm", test_accuracy },
	{ "gelu", test_gelu },
	{ "zeros, infinities and NaN", test_special },
	{ "pow", test_pow },
	{ "every half float", test_half },
};
QEFF_UNIT_MAIN("nsp_math", tests)
