/* SPDX-License-Identifier: MIT */
/*
 * Functions of one number in double, one number at a time, for expressions of nests: plain series
 * over reduced arguments, every operation rounded by itself, so that every instruction set gives
 * the same bits. In f32 what comes out is rounded once (tests/unit/test_nsp_math.c).
 */
#ifndef QEFF_NSP_MATH_F64_H
#define QEFF_NSP_MATH_F64_H

#include "nsp/program.h"
#include "nsp/vec.h"

#define NSP_INF	     __builtin_inf()
#define NSP_NAN	     __builtin_nan("")
#define NSP_LN2_HIGH 0x1.62e42fef00000p-1 /* times an integer below 2^20 is exact */
#define NSP_LN2_LOW  0x1.473de6af278edp-34
#define NSP_PI_2     0x1.921fb54442d18p+0

static inline __attribute__((unused)) uint64_t nsp_f64_bits(double x)
{
	uint64_t bits;

	__builtin_memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline __attribute__((unused)) double nsp_f64_of_bits(uint64_t bits)
{
	double x;

	__builtin_memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline __attribute__((unused)) double nsp_f64_abs(double x)
{
	return nsp_f64_of_bits(nsp_f64_bits(x) & ~(1ull << 63));
}

static inline __attribute__((unused)) double nsp_f64_copysign(double x, double sign)
{
	return nsp_f64_of_bits((nsp_f64_bits(x) & ~(1ull << 63)) |
			       (nsp_f64_bits(sign) & 1ull << 63));
}

/* Half to even. */
static inline __attribute__((unused)) double nsp_f64_round(double x)
{
	double a = nsp_f64_abs(x);

	if (!(a < 0x1p+52))
		return x;
	return nsp_f64_copysign((a + 0x1p+52) - 0x1p+52, x);
}

static inline __attribute__((unused)) double nsp_f64_floor(double x)
{
	double r = nsp_f64_round(x);

	return r > x ? nsp_f64_copysign(r - 1, x) : r;
}

static inline __attribute__((unused)) double nsp_f64_ceil(double x)
{
	return -nsp_f64_floor(-x);
}

static inline __attribute__((unused)) double nsp_f64_trunc(double x)
{
	return nsp_f64_copysign(nsp_f64_floor(nsp_f64_abs(x)), x);
}

/* exp(r) - 1 for |r| <= ln 2 / 2 or so */
static inline __attribute__((unused)) double nsp_f64_expm1_small(double r)
{
	static const double inverse[] = { 1,	   1. / 2,  1. / 3,  1. / 4,  1. / 5,
					  1. / 6,  1. / 7,  1. / 8,  1. / 9,  1. / 10,
					  1. / 11, 1. / 12, 1. / 13, 1. / 14, 1. / 15 };
	double e = 1;

	for (int k = 14; k > 0; k--)
		e = 1 + e * r * inverse[k];
	return r * e;
}

static inline __attribute__((unused)) double nsp_f64_exp(double x)
{
	double n, r;
	int whole, half;

	if (x != x)
		return x;
	if (x > 710)
		return NSP_INF;
	if (x < -746)
		return 0;
	n = nsp_f64_round(x * 0x1.71547652b82fep+0);
	r = (x - n * NSP_LN2_HIGH) - n * NSP_LN2_LOW;
	whole = (int)n;
	half = whole / 2;
	/* 2^n in two factors, so that subnormal results and the largest ones come out right. */
	r = (1 + nsp_f64_expm1_small(r)) * nsp_f64_of_bits((uint64_t)(half + 1023) << 52);
	return r * nsp_f64_of_bits((uint64_t)(whole - half + 1023) << 52);
}

static inline __attribute__((unused)) double nsp_f64_expm1(double x)
{
	return nsp_f64_abs(x) < 0.34 ? nsp_f64_expm1_small(x) : nsp_f64_exp(x) - 1;
}

/* log((1 + s) / (1 - s)) for |s| < 0.172 */
static inline __attribute__((unused)) double nsp_f64_log_of_ratio(double s)
{
	static const double inverse[] = { 2,	   2. / 3,  2. / 5,  2. / 7,  2. / 9, 2. / 11,
					  2. / 13, 2. / 15, 2. / 17, 2. / 19, 2. / 21 };
	double z = s * s, sum = 0;

	for (int k = 10; k >= 0; k--)
		sum = sum * z + inverse[k];
	return s * sum;
}

static inline __attribute__((unused)) double nsp_f64_log(double x)
{
	uint64_t bits;
	double exponent = 0, m;

	if (x == 0)
		return -NSP_INF;
	if (!(x > 0))
		return NSP_NAN;
	if (x == NSP_INF)
		return x;
	if (x < 0x1p-1022) {
		x *= 0x1p+54;
		exponent = -54;
	}
	/* The exponent that puts the fraction between sqrt(1/2) and sqrt(2). */
	bits = nsp_f64_bits(x) - 0x3fe6a09e667f3bcdull;
	exponent += (double)(int)((int64_t)bits >> 52);
	m = nsp_f64_of_bits((bits & 0xfffffffffffffull) + 0x3fe6a09e667f3bcdull);
	return exponent * NSP_LN2_HIGH +
	       (nsp_f64_log_of_ratio((m - 1) / (m + 1)) + exponent * NSP_LN2_LOW);
}

static inline __attribute__((unused)) double nsp_f64_log1p(double x)
{
	if (nsp_f64_abs(x) < 0.29)
		return nsp_f64_log_of_ratio(x / (2 + x));
	return nsp_f64_log(1 + x);
}

static inline __attribute__((unused)) double nsp_f64_tanh(double x)
{
	double a = nsp_f64_abs(x), e;

	if (x != x)
		return x;
	e = nsp_f64_expm1(2 * (a < 30 ? a : 30));
	return nsp_f64_copysign(e / (e + 2), x);
}

static inline __attribute__((unused)) double nsp_f64_sinh(double x)
{
	double e = nsp_f64_expm1(nsp_f64_abs(x));

	return nsp_f64_copysign(e == NSP_INF ? e : (e + e / (e + 1)) * 0.5, x);
}

static inline __attribute__((unused)) double nsp_f64_cosh(double x)
{
	double e = nsp_f64_exp(nsp_f64_abs(x));

	return (e + 1 / e) * 0.5;
}

static inline __attribute__((unused)) double nsp_f64_asinh(double x)
{
	double a = nsp_f64_abs(x);

	if (a > 0x1p+28)
		a = nsp_f64_log(a) + 0x1.62e42fefa39efp-1;
	else
		a = nsp_f64_log1p(a + a * a / (1 + __builtin_sqrt(a * a + 1)));
	return nsp_f64_copysign(a, x);
}

static inline __attribute__((unused)) double nsp_f64_acosh(double x)
{
	double t = x - 1;

	if (x > 0x1p+28)
		return nsp_f64_log(x) + 0x1.62e42fefa39efp-1;
	return t < 0 ? NSP_NAN : nsp_f64_log1p(t + __builtin_sqrt(2 * t + t * t));
}

static inline __attribute__((unused)) double nsp_f64_atanh(double x)
{
	double a = nsp_f64_abs(x);

	return nsp_f64_copysign(nsp_f64_log1p(2 * a / (1 - a)) * 0.5, x);
}

static inline __attribute__((unused)) double nsp_f64_atan(double x)
{
	double a = nsp_f64_abs(x), t = a > 1 ? 1 / a : a, z, sum = 0;

	/* Half the angle twice: |t| < 0.2 */
	t = t / (1 + __builtin_sqrt(1 + t * t));
	t = t / (1 + __builtin_sqrt(1 + t * t));
	z = t * t;
	for (int k = 23; k > 0; k -= 2)
		sum = 1. / k - sum * z;
	sum = 4 * t * sum;
	return nsp_f64_copysign(a > 1 ? NSP_PI_2 - sum : sum, x);
}

/* sin(x + quarters * pi / 2); NaN where |x| is 2^28 or more. */
static inline __attribute__((unused)) double nsp_f64_sine(double x, int quarters)
{
	double n, r, z, sum = 0;

	if (!(nsp_f64_abs(x) < 0x1p+28))
		return NSP_NAN;
	n = nsp_f64_round(x * 0x1.45f306dc9c883p-1);
	/* pi / 2 in three parts, the products with the first two exact */
	r = ((x - n * 0x1.921fb50000000p+0) - n * 0x1.110b460000000p-26) -
	    n * 0x1.1a62633145c07p-54;
	quarters += (int)n & 3;
	z = r * r;
	if (quarters & 1) {
		for (int k = 16; k > 0; k -= 2)
			sum = 1 - sum * z * (1. / (k * (k - 1)));
	} else {
		for (int k = 17; k > 1; k -= 2)
			sum = 1 - sum * z * (1. / (k * (k - 1)));
		sum *= r;
	}
	return quarters & 2 ? -sum : sum;
}

/* 2 / sqrt(pi) exp(-x^2) times the sum of 2^n x^(2n+1) / (1 3 5 ... (2n+1)) */
static inline __attribute__((unused)) double nsp_f64_erf(double x)
{
	double a = nsp_f64_abs(x), term = a, sum = a;

	if (x != x)
		return x;
	if (a >= 6)
		return nsp_f64_copysign(1, x);
	for (int n = 1; n < 120; n++) {
		term = term * (2 * a * a) / (2 * n + 1);
		sum += term;
	}
	return nsp_f64_copysign(0x1.20dd750429b6dp+0 * nsp_f64_exp(-a * a) * sum, x);
}

static inline __attribute__((unused)) double nsp_f64_sigmoid(double x)
{
	return 1 / (1 + nsp_f64_exp(-x));
}

static inline __attribute__((unused)) double nsp_f64_function(unsigned int function, double x)
{
	switch (function) {
	case QEFF_NSP_RELU:
		return x < 0 ? 0 : x;
	case QEFF_NSP_SILU:
		return x / (1 + nsp_f64_exp(-x));
	case QEFF_NSP_GELU_ERF:
		return x * 0.5 * (1 + nsp_f64_erf(x * 0x1.6a09e667f3bcdp-1));
	case QEFF_NSP_GELU_TANH:
		return x * 0.5 *
		       (1 + nsp_f64_tanh((x + x * x * x * 0.044715) * 0x1.9884533d43651p-1));
	case QEFF_NSP_TANH:
		return nsp_f64_tanh(x);
	case QEFF_NSP_SIGMOID:
		return nsp_f64_sigmoid(x);
	case QEFF_NSP_EXP:
		return nsp_f64_exp(x);
	case QEFF_NSP_ERF:
		return nsp_f64_erf(x);
	case QEFF_NSP_SQRT:
		return __builtin_sqrt(x);
	case QEFF_NSP_RECIPROCAL:
		return 1 / x;
	case QEFF_NSP_NEG:
		return -x;
	case QEFF_NSP_ABS:
		return nsp_f64_abs(x);
	case QEFF_NSP_LOG:
		return nsp_f64_log(x);
	case QEFF_NSP_FLOOR:
		return nsp_f64_floor(x);
	case QEFF_NSP_CEIL:
		return nsp_f64_ceil(x);
	case QEFF_NSP_ROUND:
		return nsp_f64_round(x);
	case QEFF_NSP_TRUNC:
		return nsp_f64_trunc(x);
	case QEFF_NSP_SIGN:
		return x > 0 ? 1 : x < 0 ? -1 : x;
	case QEFF_NSP_IS_NAN:
		return x != x;
	case QEFF_NSP_IS_INF:
		return (x == NSP_INF) - (x == -NSP_INF);
	case QEFF_NSP_SIN:
		return nsp_f64_sine(x, 0);
	case QEFF_NSP_COS:
		return nsp_f64_sine(x, 1);
	case QEFF_NSP_TAN:
		return nsp_f64_sine(x, 0) / nsp_f64_sine(x, 1);
	case QEFF_NSP_ASIN:
		return nsp_f64_atan(x / __builtin_sqrt((1 - x) * (1 + x)));
	case QEFF_NSP_ACOS:
		return 2 * nsp_f64_atan(__builtin_sqrt((1 - x) / (1 + x)));
	case QEFF_NSP_ATAN:
		return nsp_f64_atan(x);
	case QEFF_NSP_SINH:
		return nsp_f64_sinh(x);
	case QEFF_NSP_COSH:
		return nsp_f64_cosh(x);
	case QEFF_NSP_ASINH:
		return nsp_f64_asinh(x);
	case QEFF_NSP_ACOSH:
		return nsp_f64_acosh(x);
	case QEFF_NSP_ATANH:
		return nsp_f64_atanh(x);
	case QEFF_NSP_LOG1P:
		return nsp_f64_log1p(x);
	default:
		return x;
	}
}

/* |x|^y for finite x != 0 */
static inline __attribute__((unused)) double nsp_f64_pow(double x, double y)
{
	double a = nsp_f64_abs(x), size = nsp_f64_abs(y), value;
	bool whole = nsp_f64_trunc(size) == size;
	bool odd = whole && size < 0x1p+53 && ((int64_t)size & 1);

	if (y == 0 || x == 1)
		return 1;
	if (x != x || y != y)
		return x + y;
	if (size == NSP_INF) {
		if (a == 1)
			return 1;
		return (a > 1) == (y > 0) ? NSP_INF : 0;
	}
	if (x < 0 && a != NSP_INF && !whole)
		return NSP_NAN;
	if (a == 0 || a == NSP_INF)
		value = (a == 0) == (y > 0) ? 0 : NSP_INF;
	else
		value = nsp_f64_exp(y * nsp_f64_log(a));
	return odd ? nsp_f64_copysign(value, x) : value;
}

/* The rest of a / b, exact, with the sign of a. */
static inline __attribute__((unused)) double nsp_f64_fmod(double a, double b)
{
	double left = nsp_f64_abs(a), unit = nsp_f64_abs(b), step;

	if (!(left < NSP_INF) || !(unit > 0))
		return NSP_NAN;
	if (unit == NSP_INF)
		return a;
	/* Long division: step is unit times a power of two, and left less than twice that. */
	for (step = unit; step <= left * 0.5;)
		step += step;
	for (; step >= unit; step *= 0.5)
		if (left >= step)
			left -= step;
	return nsp_f64_copysign(left, a);
}

#endif
