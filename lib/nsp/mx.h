/* SPDX-License-Identifier: MIT */
/*
 * Numbers of the OCP Microscaling Formats (MX) Specification 1.0: 32 elements share a scale, a
 * power of two in E8M0. Here the two formats that programs hold, MXFP6 with E2M3 elements (weights)
 * and MXINT8 (retained state), and one that checkpoints come in: MXFP4, whose elements are E2M1.
 */
#ifndef QEFF_NSP_MX_H
#define QEFF_NSP_MX_H

#include "nsp/half.h"

#define NSP_MX_BLOCK 32
/* A block of E2M1: two elements a byte, the first one in the lower half. */
#define NSP_MXFP4_BLOCK_BYTES (NSP_MX_BLOCK / 2)

/* The largest element's exponent. */
#define NSP_E2M3_EMAX 2
#define NSP_INT8_EMAX 0

#define NSP_E8M0_NAN 0xff

/* The scale's code for a block whose largest magnitude has the bits @largest: two to the exponent
 * of that less the largest element's; NaN for a block that holds an infinity or a NaN. A block of
 * zeros has the smallest scale. */
static inline uint8_t qeff_e8m0_of(uint32_t largest, int emax)
{
	int exponent = (int)(largest >> 23);

	if (exponent == 255)
		return NSP_E8M0_NAN;
	return exponent > emax ? (uint8_t)(exponent - emax) : 0;
}

static inline float qeff_e8m0_to_f32(uint8_t code)
{
	/* 2^-127 is subnormal */
	return qeff_f32_of_bits(code == NSP_E8M0_NAN ? 0x7fc00000
				: code		     ? (uint32_t)code << 23
						     : 0x00400000);
}

/* 1 / scale, for codes other than NaN. */
static inline float qeff_e8m0_inverse(uint8_t code)
{
	return qeff_e8m0_to_f32((uint8_t)(254 - code));
}

/* To an integer, half to even; below 2^22. */
static inline float qeff_round_even(float value)
{
	return (value + 12582912.0f) - 12582912.0f;
}

/* The E2M3 number next to @value (half to even), at most 7.5: sign, two bits of exponent, three of
 * mantissa. */
static inline uint8_t qeff_e2m3_of(float value)
{
	uint32_t bits = qeff_f32_bits(value);
	float eighths = qeff_f32_of_bits(bits & 0x7fffffff) * 8;
	uint8_t sign = bits >> 31 ? 0x20 : 0;
	int n;

	if (!(eighths < 62))
		return sign | 0x1f;
	n = (int)qeff_round_even(eighths < 16 ? eighths : eighths < 32 ? eighths / 2 : eighths / 4);
	n += eighths < 16 ? 0 : eighths < 32 ? 8 : 16;
	return (uint8_t)(sign | n);
}

/* Eight times the number: an integer from -60 to 60. */
static inline int8_t qeff_e2m3_eighths(uint8_t code)
{
	int n = code & 0x1f;

	n = n < 16 ? n : n < 24 ? 2 * n - 16 : 4 * n - 64;
	return (int8_t)(code & 0x20 ? -n : n);
}

/* Twice the E2M1 number, sign, two bits of exponent, one of mantissa: an integer from -12 to 12. */
static inline int qeff_e2m1_halves(uint8_t code)
{
	int n = code & 7;

	n = n < 4 ? n : (2 + (n & 1)) << (n / 2 - 1);
	return code & 8 ? -n : n;
}

/* MXINT8's element is an integer from -127 to 127, in 64ths. (-128 stays unused, so that positive
 * and negative numbers round alike.) */
static inline int8_t qeff_mxint8_of(float value)
{
	float scaled = value * 64;

	return (int8_t)(scaled >= 127 ? 127 : scaled <= -127 ? -127 : qeff_round_even(scaled));
}

/* A row of MXINT8: its elements, then the scales' codes. */
static inline uint64_t qeff_mxint8_row_bytes(uint64_t columns)
{
	return columns + (columns + NSP_MX_BLOCK - 1) / NSP_MX_BLOCK;
}

#endif
