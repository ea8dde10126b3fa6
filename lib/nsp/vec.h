/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats, as wide as the instruction set that this copy of the kernels is compiled for.
 *
 * Plain arithmetic is the compilers' vector operators; only what has no operator stands here.
 * Wherever an order of operations shows in the bits (sums over a row), code works in NSP_LANES
 * lanes whatever the width, so every instruction set gives the same sums; only nsp_fma() differs
 * where there is no fused multiply-add.
 */
#ifndef QEFF_NSP_VEC_H
#define QEFF_NSP_VEC_H

#include "nsp/half.h"
#include "nsp/program.h"

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VF 16
#elif defined(__AVX2__)
#define VF 8
#else
#define VF 4
#endif

#define NSP_LANES  16
#define NSP_INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((vector_size(4 * VF)));
typedef int32_t vi __attribute__((vector_size(4 * VF)));
typedef uint32_t vu __attribute__((vector_size(4 * VF))); /* where bits may wrap around */
typedef float vf_unaligned __attribute__((vector_size(4 * VF), aligned(4), may_alias));

/* Weights are read once, from the first byte to the last: where a loop has much to do between two
 * rows of 128 bytes, the ones that come a little later are asked for now. Addresses past the end do
 * no harm. */
#define NSP_PREFETCH_BYTES 1024

NSP_INLINE void nsp_prefetch(const void *row)
{
	__builtin_prefetch((const char *)row + NSP_PREFETCH_BYTES);
	__builtin_prefetch((const char *)row + NSP_PREFETCH_BYTES + 64);
}

NSP_INLINE vf vf_load(const float *at)
{
	return *(const vf_unaligned *)at;
}

NSP_INLINE void vf_store(float *at, vf v)
{
	*(vf_unaligned *)at = v;
}

NSP_INLINE vf vf_set(float v)
{
#if VF == 16
	return (vf){ v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v };
#elif VF == 8
	return (vf){ v, v, v, v, v, v, v, v };
#else
	return (vf){ v, v, v, v };
#endif
}

/* The first @count lanes, zeros behind. */
NSP_INLINE vf vf_load_part(const float *at, unsigned int count)
{
	float lanes[VF] = { 0 };

	for (unsigned int i = 0; i < count; i++)
		lanes[i] = at[i];
	return vf_load(lanes);
}

NSP_INLINE void vf_store_part(float *at, vf v, unsigned int count)
{
	float lanes[VF];

	vf_store(lanes, v);
	for (unsigned int i = 0; i < count; i++)
		at[i] = lanes[i];
}

/* a * b + c: one rounding where the instruction set can, two elsewhere. */
NSP_INLINE vf vf_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
	return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
	return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
	return a * b + c;
#endif
}

/* @mask: lanes all ones or all zeros, as comparisons give them. */
NSP_INLINE vf vf_select(vi mask, vf yes, vf no)
{
	return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

/* @b where a comparison with NaN is false, so a NaN in @b stays. */
NSP_INLINE vf vf_max(vf a, vf b)
{
	return vf_select(a > b, a, b);
}

NSP_INLINE vf vf_min(vf a, vf b)
{
	return vf_select(a < b, a, b);
}

NSP_INLINE vf vf_abs(vf a)
{
	return (vf)((vi)a & 0x7fffffff);
}

NSP_INLINE vf vf_copysign(vf magnitude, vf sign)
{
	return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}

/* Correctly rounded everywhere. */
NSP_INLINE vf vf_sqrt(vf a)
{
#if defined(__AVX512F__)
	return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
	return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(__SSE2__)
	return (vf)_mm_sqrt_ps((__m128)a);
#else
	for (int i = 0; i < VF; i++)
		a[i] = __builtin_sqrtf(a[i]);
	return a;
#endif
}

NSP_INLINE vf vf_load_f16(const uint16_t *at)
{
#if defined(__AVX512F__)
	return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)at));
#elif defined(__F16C__)
	return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)at));
#else
	vf v = { 0 };

	for (int i = 0; i < VF; i++)
		v[i] = qeff_f16_to_f32(at[i]);
	return v;
#endif
}

NSP_INLINE void vf_store_f16(uint16_t *at, vf v)
{
#if defined(__AVX512F__)
	_mm256_storeu_si256((__m256i_u *)at, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
	_mm_storeu_si128((__m128i_u *)at, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
	for (int i = 0; i < VF; i++)
		at[i] = qeff_f32_to_f16(v[i]);
#endif
}

/* Rounded to bf16, as qeff_f32_to_bf16() does, and widened again. */
NSP_INLINE vf vf_round_bf16(vf v)
{
	vi bits = (vi)v;
	vi rounded = (bits + 0x7fff + (bits >> 16 & 1)) & (int32_t)0xffff0000;
	vi quiet = (bits | 0x400000) & (int32_t)0xffff0000;

	return vf_select((bits & 0x7fffffff) > 0x7f800000, (vf)quiet, (vf)rounded);
}

/* Widens @count numbers of F32, F16 or BF16 storage; F32 is returned where it lies. */
NSP_INLINE const float *vf_widen(float *to, const void *from, unsigned int type, uint32_t count)
{
	const uint16_t *half = from;
	uint32_t i = 0;

	if (type == QEFF_NSP_F32)
		return from;
	if (type == QEFF_NSP_F16) {
		for (; i + VF <= count; i += VF)
			vf_store(to + i, vf_load_f16(half + i));
		for (; i < count; i++)
			to[i] = qeff_f16_to_f32(half[i]);
	} else {
		for (; i < count; i++)
			to[i] = qeff_bf16_to_f32(half[i]);
	}
	return to;
}

/* Stores @count numbers as F32, F16 or BF16. @to may be @from (F32). */
NSP_INLINE void vf_narrow(void *to, unsigned int type, const float *from, uint32_t count)
{
	uint16_t *half = to;
	uint32_t i = 0;

	if (type == QEFF_NSP_F32) {
		if (to != (const void *)from)
			__builtin_memcpy(to, from, (size_t)count * sizeof(float));
	} else if (type == QEFF_NSP_F16) {
		for (; i + VF <= count; i += VF)
			vf_store_f16(half + i, vf_load(from + i));
		for (; i < count; i++)
			half[i] = qeff_f32_to_f16(from[i]);
	} else {
		for (; i < count; i++)
			half[i] = qeff_f32_to_bf16(from[i]);
	}
}

/* Sums in NSP_LANES lanes: element i goes to lane i % NSP_LANES, lanes are added pairwise at the
 * end. */
struct nsp_sum {
	vf lanes[NSP_LANES / VF];
};

NSP_INLINE void nsp_sum_add(struct nsp_sum *sum, unsigned int vector, vf v)
{
	sum->lanes[vector] += v;
}

NSP_INLINE float nsp_sum_total(const struct nsp_sum *sum)
{
	float lanes[NSP_LANES];

	for (int i = 0; i < NSP_LANES / VF; i++)
		vf_store(lanes + i * VF, sum->lanes[i]);
	for (int half = NSP_LANES / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] += lanes[i + half];
	return lanes[0];
}

#endif
