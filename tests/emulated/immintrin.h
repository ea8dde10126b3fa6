/* SPDX-License-Identifier: MIT */
/*
 * AVX-512 for compilers' C alone: stands in for the compiler's header of this name, so that the
 * kernels of those instruction sets can be tested on any CPU. Most is SIMDe's.
 *
 * Here stands what SIMDe lacks (0.7.4 and 0.8.2), or rounds in another way than the instructions
 * do, by the operation sections of Intel's Software Developer's Manual.
 */
#ifndef QEFF_TESTS_EMULATED_IMMINTRIN_H
#define QEFF_TESTS_EMULATED_IMMINTRIN_H

/* Before the names of instruction sets: SIMDe would take them for the compiler's. */
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512/dpbf16.h>
#include <simde/x86/avx512/dpbusd.h>
#include <simde/x86/avx512/fmadd.h>
#include <simde/x86/avx512/loadu.h>
#include <simde/x86/avx512/set1.h>
#include <simde/x86/avx512/setzero.h>
#include <simde/x86/avx512/sqrt.h>
#include <simde/x86/avx512/srli.h>
#include <simde/x86/avx512/storeu.h>
#include <simde/x86/avx512/sub.h>
#include <simde/x86/avx512/xor.h>

#include <math.h>
#include <string.h>

#define __AVX2__       1
#define __FMA__	       1
#define __F16C__       1
#define __AVX512F__    1
#define __AVX512BW__   1
#define __AVX512DQ__   1
#define __AVX512VL__   1
#define __AVX512VNNI__ 1
#ifdef QEFF_EMULATED_BF16
#define __AVX512BF16__ 1
#endif

typedef __m128i __m128i_u __attribute__((aligned(1)));
typedef __m256i __m256i_u __attribute__((aligned(1)));

#define EMULATED static inline __attribute__((unused))

/* VFMADD: one rounding. */
EMULATED __m512 emulated_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
	for (int i = 0; i < 16; i++)
		c[i] = fmaf(a[i], b[i], c[i]);
	return c;
}

/* VPMOVDW, VPMOVDB: the lower bits, nothing saturates. */
EMULATED __m256i emulated_cvtepi32_epi16(__m512i a)
{
	int32_t from[16];
	int16_t to[16];
	__m256i result;

	memcpy(from, &a, sizeof(from));
	for (int i = 0; i < 16; i++)
		to[i] = (int16_t)from[i];
	memcpy(&result, to, sizeof(to));
	return result;
}

EMULATED __m128i emulated_cvtepi32_epi8(__m512i a)
{
	int32_t from[16];
	int8_t to[16];
	__m128i result;

	memcpy(from, &a, sizeof(from));
	for (int i = 0; i < 16; i++)
		to[i] = (int8_t)from[i];
	memcpy(&result, to, sizeof(to));
	return result;
}

/* VCVTPH2PS: exact, NaNs become quiet. */
EMULATED float emulated_widen(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 1023;
	float value;

	if (exponent == 31 && fraction) {
		uint32_t bits =
			(uint32_t)(half & 0x8000) << 16 | 0x7fc00000 | (uint32_t)fraction << 13;

		memcpy(&value, &bits, sizeof(bits));
		return value;
	}
	if (exponent == 31)
		value = INFINITY;
	else if (exponent)
		value = ldexpf((float)(1024 + fraction), exponent - 25);
	else
		value = ldexpf((float)fraction, -24);
	return half & 0x8000 ? -value : value;
}

EMULATED __m512 emulated_cvtph_ps(__m256i a)
{
	uint16_t from[16];
	__m512 result;

	memcpy(from, &a, sizeof(from));
	for (int i = 0; i < 16; i++)
		result[i] = emulated_widen(from[i]);
	return result;
}

/* VCVTPS2PH, to the nearest, halves to even, whatever MXCSR says: subnormal results stay. */
EMULATED uint16_t emulated_narrow(float value)
{
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	int exponent = 0;
	uint32_t bits;
	float steps;

	memcpy(&bits, &value, sizeof(bits));
	if (isnan(value))
		return sign | 0x7e00 | (bits >> 13 & 0x1ff);
	value = fabsf(value);
	if (value >= 65520) /* half way past the largest */
		return sign | 0x7c00;
	if (value >= 0x1p-14f)
		exponent = ilogbf(value) + 14;
	/* Between two powers of two lie 1024 steps, and below the least one as well. */
	steps = rintf(ldexpf(value, 24 - exponent));
	return sign | (uint16_t)((exponent << 10) + (int)steps);
}

EMULATED __m256i emulated_cvtps_ph(__m512 a, int rounding)
{
	uint16_t to[16];
	__m256i result;

	if (rounding != _MM_FROUND_TO_NEAREST_INT)
		__builtin_trap(); /* nobody asks for another */
	for (int i = 0; i < 16; i++)
		to[i] = emulated_narrow(a[i]);
	memcpy(&result, to, sizeof(to));
	return result;
}

/* VDPBF16PS: the odd pair, then the even one, each sum rounded to the nearest; subnormals are zeros
 * on the way in and out. */
EMULATED float emulated_flushed(float value)
{
	return fpclassify(value) == FP_SUBNORMAL ? copysignf(0, value) : value;
}

EMULATED float emulated_bf16(uint16_t half)
{
	uint32_t bits = (uint32_t)half << 16;
	float value;

	memcpy(&value, &bits, sizeof(bits));
	return emulated_flushed(value);
}

EMULATED __m512 emulated_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b)
{
	uint16_t x[32], y[32];

	memcpy(x, &a, sizeof(x));
	memcpy(y, &b, sizeof(y));
	for (int i = 0; i < 16; i++)
		for (int k = 2 * i + 1; k >= 2 * i; k--)
			sum[i] = emulated_flushed(fmaf(emulated_bf16(x[k]), emulated_bf16(y[k]),
						       emulated_flushed(sum[i])));
	return sum;
}

#undef _mm512_fmadd_ps
#undef _mm512_dpbf16_ps
#define _mm512_fmadd_ps	      emulated_fmadd_ps
#define _mm512_dpbf16_ps      emulated_dpbf16_ps
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16
#define _mm512_cvtepi32_epi8  emulated_cvtepi32_epi8
#define _mm512_cvtph_ps	      emulated_cvtph_ps
#define _mm512_cvtps_ph	      emulated_cvtps_ph

#endif
