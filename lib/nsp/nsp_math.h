/* SPDX-License-Identifier: MIT */
/*
 * Functions of one number, on vectors, and pow.
 *
 * Multiplications and additions are rounded one by one (no fused multiply-add), so every
 * instruction set gives the same bits. Coefficients are minimax fits made for this file; errors
 * stay within about two units in the last place (tests/unit/test_nsp_math.c). NaN stays NaN.
 */
#ifndef QEFF_NSP_MATH_H
#define QEFF_NSP_MATH_H

#include "nsp/vec.h"

NSP_INLINE vf nsp_exp(vf x)
{
	const float log2_e = 0x1.715476p+0f;
	const float ln2_high = 0x1.62e4p-1f; /* times an integer below 2^9 is exact */
	const float ln2_low = 0x1.7f7d1cp-20f;
	const float to_integer = 0x1.8p+23f;
	vf clamped = vf_select(x > 104.0f, vf_set(104.0f), x);
	vf shifted, n, r, q, value;
	vi half, rest;

	clamped = vf_select(clamped < -150.0f, vf_set(-150.0f), clamped);
	shifted = clamped * log2_e + to_integer;
	n = shifted - to_integer;
	r = (clamped - n * ln2_high) - n * ln2_low;
	q = r * 0x1.9f088ap-13f + 0x1.6d8d06p-10f;
	q = q * r + 0x1.111270p-7f;
	q = q * r + 0x1.55548ep-5f;
	q = q * r + 0x1.555554p-3f;
	q = q * r + 0.5f;
	value = (r + r * r * q) + 1.0f;
	/* 2^n in two factors, so that subnormal results and the largest ones come out right. */
	half = ((vi)shifted - 0x4b400000) >> 1;
	rest = ((vi)shifted - 0x4b400000) - half;
	value *= (vf)((half + 127) << 23);
	return value * (vf)((rest + 127) << 23);
}

NSP_INLINE vf nsp_log(vf x)
{
	const float ln2_high = 0x1.62e4p-1f;
	const float ln2_low = 0x1.7f7d1cp-20f;
	vi tiny = x < 0x1p-126f;
	vf scaled = vf_select(tiny, x * 0x1p+23f, x);
	/* The exponent that puts the fraction between sqrt(1/2) and sqrt(2). */
	vi bits = (vi)((vu)scaled - 0x3f3504f3u);
	vi exponent = bits >> 23;
	vf f = (vf)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
	vf e = __builtin_convertvector(exponent - (tiny & 23), vf);
	vf p = f * 0x1.1b4090p-4f - 0x1.e2e84ep-4f;
	vf square = f * f;
	vf value;

	p = p * f + 0x1.e650dcp-4f;
	p = p * f - 0x1.fb436ap-4f;
	p = p * f + 0x1.2332c0p-3f;
	p = p * f - 0x1.5562e2p-3f;
	p = p * f + 0x1.99a546p-3f;
	p = p * f - 0x1.ffffeep-3f;
	p = p * f + 0x1.555546p-2f;
	p = p * f * square + e * ln2_low;
	value = (p - square * 0.5f) + f;
	value += e * ln2_high;
	value = vf_select(x == 0.0f, vf_set(-__builtin_inff()), value);
	value = vf_select(x < 0.0f, vf_set(__builtin_nanf("")), value);
	return vf_select(x < __builtin_inff(), value, x); /* infinity and NaN */
}

NSP_INLINE vf nsp_tanh(vf x)
{
	vf magnitude = vf_abs(x);
	vf z = x * x;
	vf p = z * 0x1.18e184p-9f - 0x1.0bf4e2p-7f;
	vf large;

	p = p * z + 0x1.638b52p-6f;
	p = p * z - 0x1.b9ee90p-5f;
	p = p * z + 0x1.111066p-3f;
	p = p * z - 0x1.555554p-2f;
	p = x + x * (z * p);
	large = 1.0f - 2.0f / (nsp_exp(magnitude + magnitude) + 1.0f);
	return vf_copysign(vf_select(magnitude > 0.625f, large, p), x);
}

NSP_INLINE vf nsp_erf(vf x)
{
	vf magnitude = vf_abs(x);
	vf a = vf_select(magnitude > 4.0f, vf_set(4.0f), magnitude);
	vf z = x * x;
	vf p = z * 0x1.5aec88p-14f - 0x1.a9add6p-11f;
	vf q = a * -0x1.6579a4p-16f + 0x1.ca24e2p-12f;

	p = p * z + 0x1.54b7f4p-8f;
	p = p * z - 0x1.b80cfap-6f;
	p = p * z + 0x1.ce2df8p-4f;
	p = p * z - 0x1.812742p-2f;
	p = p * z + 0x1.06eba8p-3f;
	p = x + x * p;
	/* log(erfc(a)) */
	q = q * a - 0x1.122318p-8f;
	q = q * a + 0x1.9c12bap-6f;
	q = q * a - 0x1.bbb72ep-4f;
	q = q * a - 0x1.444034p-1f;
	q = q * a - 0x1.212958p+0f;
	q = q * a + 0x1.7809b8p-13f;
	q = vf_copysign(1.0f - nsp_exp(q), x);
	return vf_select(magnitude > 0.9375f, q, p);
}

NSP_INLINE vf nsp_sigmoid(vf x)
{
	return 1.0f / (1.0f + nsp_exp(-x));
}

NSP_INLINE vf nsp_function(unsigned int function, vf x)
{
	switch (function) {
	case QEFF_NSP_RELU:
		return vf_select(x < 0.0f, vf_set(0.0f), x);
	case QEFF_NSP_SILU:
		return x / (1.0f + nsp_exp(-x));
	case QEFF_NSP_GELU_ERF:
		return x * 0.5f * (1.0f + nsp_erf(x * 0x1.6a09e6p-1f));
	case QEFF_NSP_GELU_TANH:
		return x * 0.5f *
		       (1.0f + nsp_tanh((x + x * x * x * 0x1.6e4e26p-5f) * 0x1.988454p-1f));
	case QEFF_NSP_TANH:
		return nsp_tanh(x);
	case QEFF_NSP_SIGMOID:
		return nsp_sigmoid(x);
	case QEFF_NSP_EXP:
		return nsp_exp(x);
	case QEFF_NSP_ERF:
		return nsp_erf(x);
	case QEFF_NSP_SQRT:
		return vf_sqrt(x);
	case QEFF_NSP_RECIPROCAL:
		return 1.0f / x;
	case QEFF_NSP_NEG:
		return -x;
	case QEFF_NSP_ABS:
		return vf_abs(x);
	case QEFF_NSP_LOG:
		return nsp_log(x);
	default:
		return x;
	}
}

#define NSP_EACH(expression)                                                                       \
	do {                                                                                       \
		uint32_t i = 0;                                                                    \
		vf x;                                                                              \
                                                                                                   \
		for (; i + VF <= count; i += VF) {                                                 \
			x = vf_load(values + i);                                                   \
			vf_store(values + i, expression);                                          \
		}                                                                                  \
		if (i < count) {                                                                   \
			x = vf_load_part(values + i, count - i);                                   \
			vf_store_part(values + i, expression, count - i);                          \
		}                                                                                  \
	} while (0)
#define NSP_EACH_CASE(name)                                                                        \
	case name:                                                                                 \
		NSP_EACH(nsp_function(name, x));                                                   \
		break

/* In place over @count numbers. */
static inline __attribute__((unused)) void nsp_apply(unsigned int function, float *values,
						     uint32_t count)
{
	switch (function) {
		NSP_EACH_CASE(QEFF_NSP_RELU);
		NSP_EACH_CASE(QEFF_NSP_SILU);
		NSP_EACH_CASE(QEFF_NSP_GELU_ERF);
		NSP_EACH_CASE(QEFF_NSP_GELU_TANH);
		NSP_EACH_CASE(QEFF_NSP_TANH);
		NSP_EACH_CASE(QEFF_NSP_SIGMOID);
		NSP_EACH_CASE(QEFF_NSP_EXP);
		NSP_EACH_CASE(QEFF_NSP_ERF);
		NSP_EACH_CASE(QEFF_NSP_SQRT);
		NSP_EACH_CASE(QEFF_NSP_RECIPROCAL);
		NSP_EACH_CASE(QEFF_NSP_NEG);
		NSP_EACH_CASE(QEFF_NSP_ABS);
		NSP_EACH_CASE(QEFF_NSP_LOG);
	}
}

/* |x|^y for finite x != 0 and finite y, in double: rounding to f32 happens once. */
static inline __attribute__((unused)) float nsp_pow_magnitude(float x, float y)
{
	double m, s, z, log2_x, power, n, r, e = 1;
	uint64_t bits;
	int exponent;

	m = x < 0 ? -(double)x : (double)x;
	__builtin_memcpy(&bits, &m, sizeof(bits));
	bits -= 0x3fe6a09e667f3bcdull;
	exponent = (int)((int64_t)bits >> 52);
	bits = (bits & 0xfffffffffffffull) + 0x3fe6a09e667f3bcdull;
	__builtin_memcpy(&m, &bits, sizeof(m));
	/* log m = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172 */
	s = (m - 1) / (m + 1);
	z = s * s;
	log2_x = 0;
	for (int k = 19; k > 0; k -= 2)
		log2_x = log2_x * z + 1.0 / k;
	log2_x = exponent + log2_x * s * 0x1.71547652b82fep+1;
	power = y * log2_x;
	if (power > 1000)
		power = 1000;
	if (power < -1000)
		power = -1000;
	n = (double)(int)(power + (power < 0 ? -0.5 : 0.5));
	r = (power - n) * 0x1.62e42fefa39efp-1;
	for (int k = 13; k > 0; k--)
		e = 1 + e * r * (1.0 / k);
	bits = (uint64_t)((int)n + 1023) << 52;
	__builtin_memcpy(&m, &bits, sizeof(m));
	return (float)(e * m);
}

static inline __attribute__((unused)) float nsp_pow(float x, float y)
{
	float magnitude = x < 0 ? -x : x, size = y < 0 ? -y : y;
	int whole = size >= 0x1p+24f || (float)(int)size == size;
	int odd = size < 0x1p+24f && whole && ((int)size & 1);
	int negative = qeff_f32_bits(x) >> 31;
	float value;

	if (y == 0 || x == 1)
		return 1;
	if (x != x || y != y)
		return x + y;
	if (size == __builtin_inff()) {
		if (magnitude == 1)
			return 1;
		return (magnitude > 1) == (y > 0) ? __builtin_inff() : 0;
	}
	if (x == 0 || magnitude == __builtin_inff())
		value = (x == 0) == (y > 0) ? 0 : __builtin_inff();
	else if (negative && !whole)
		return __builtin_nanf("");
	else
		value = nsp_pow_magnitude(x, y);
	return negative && odd ? -value : value;
}

#endif
