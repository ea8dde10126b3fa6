/* SPDX-License-Identifier: MIT */
/*
 * The one inner loop of int8 matrix products: rows of codes times one block (32 inputs) of a panel.
 *
 * Integer sums are exact and the two f32 operations per block are rounded one by one, so all
 * instruction sets give the same bits; they differ only in nsp_dot_i8().
 */
#ifndef QEFF_NSP_KERNEL_I8_H
#define QEFF_NSP_KERNEL_I8_H

#include "nsp/vec.h"

#if defined(__HVX__)
#include <hexagon_types.h>
#include <hvx_hexagon_protos.h>
#endif

#define NSP_BLOCK	32 /* inputs that share an activation scale */
#define NSP_BLOCK_BYTES (NSP_BLOCK / 4 * QEFF_NSP_PANEL_ROW_BYTES)
#define NSP_I8_ROWS	4 /* rows that share the loading of weights */

/* Integer sums of one block for @rows rows: sums[r][n]. Codes are in [-127, 127] on both sides. */
NSP_INLINE void nsp_dot_i8(int32_t sums[NSP_I8_ROWS][QEFF_NSP_PANEL], const int8_t *codes,
			   size_t stride, const uint8_t *block, const int rows)
{
#if defined(__AVX512VNNI__)
	for (int v = 0; v < 2; v++) {
		__m512i sum[NSP_I8_ROWS] = { 0 }, weights = _mm512_setzero_si512();
		const __m512i bias = _mm512_set1_epi8((char)0x80);

		/* The instruction wants one side unsigned: codes + 128, minus 128 times the
		 * weights. */
		for (int k = 0; k < NSP_BLOCK / 4; k++) {
			__m512i w = _mm512_loadu_si512(block + k * 128 + v * 64);

			weights = _mm512_dpbusd_epi32(weights, bias, w);
			for (int r = 0; r < rows; r++) {
				int32_t four;

				__builtin_memcpy(&four, codes + r * stride + k * 4, 4);
				sum[r] = _mm512_dpbusd_epi32(
					sum[r], _mm512_xor_si512(_mm512_set1_epi32(four), bias), w);
			}
		}
		for (int r = 0; r < rows; r++)
			_mm512_storeu_si512(sums[r] + v * 16, _mm512_sub_epi32(sum[r], weights));
	}
#elif defined(__HVX__)
	HVX_Vector sum[NSP_I8_ROWS];

	for (int r = 0; r < rows; r++)
		sum[r] = Q6_V_vzero();
	for (int k = 0; k < NSP_BLOCK / 4; k++) {
		HVX_Vector w = *(const HVX_Vector *)(block + k * 128);

		for (int r = 0; r < rows; r++) {
			int32_t four;

			__builtin_memcpy(&four, codes + r * stride + k * 4, 4);
			sum[r] = Q6_Vw_vrmpyacc_VwVbVb(sum[r], w, Q6_V_vsplat_R(four));
		}
	}
	for (int r = 0; r < rows; r++)
		*(HVX_Vector *)sums[r] = sum[r];
#else
	for (int r = 0; r < rows; r++) {
		const int8_t *x = codes + r * stride;

		for (int n = 0; n < QEFF_NSP_PANEL; n++)
			sums[r][n] = 0;
		for (int k = 0; k < NSP_BLOCK / 4; k++)
			for (int n = 0; n < QEFF_NSP_PANEL; n++) {
				const int8_t *w = (const int8_t *)block + k * 128 + n * 4;

				sums[r][n] += w[0] * x[k * 4] + w[1] * x[k * 4 + 1] +
					      w[2] * x[k * 4 + 2] + w[3] * x[k * 4 + 3];
			}
	}
#endif
}

#if defined(__AVX2__) && !defined(__AVX512VNNI__)
/* Two vectors of outputs at a time, whose sums go from registers straight into the f32 ones. */
NSP_INLINE void nsp_block_i8_rows(float *sums, const int8_t *codes, size_t codes_stride,
				  const float *scales, size_t scales_stride, const uint8_t *block,
				  const float *weight_scales, const int rows)
{
	const __m256i ones = _mm256_set1_epi16(1);

#pragma GCC unroll 1
	for (int n = 0; n < QEFF_NSP_PANEL; n += 2 * VF) {
		__m256i sum[NSP_I8_ROWS][2] = { 0 };

		/* Not unrolled: the compiler would load all codes first and run out of registers.
		 * |w| times x with w's sign: pairs stay below 2 * 127 * 127 and cannot saturate. */
#pragma GCC unroll 1
		for (int k = 0; k < NSP_BLOCK / 4; k++) {
			const __m256i_u *w = (const __m256i_u *)(block + k * 128 + n * 4);
			__m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);
			__m256i low_size = _mm256_abs_epi8(low), high_size = _mm256_abs_epi8(high);

#pragma GCC unroll 4
			for (int r = 0; r < rows; r++) {
				int32_t four;
				__m256i x, pairs;

				__builtin_memcpy(&four, codes + r * codes_stride + k * 4, 4);
				x = _mm256_set1_epi32(four);
				pairs = _mm256_maddubs_epi16(low_size, _mm256_sign_epi8(x, low));
				sum[r][0] =
					_mm256_add_epi32(sum[r][0], _mm256_madd_epi16(pairs, ones));
				pairs = _mm256_maddubs_epi16(high_size, _mm256_sign_epi8(x, high));
				sum[r][1] =
					_mm256_add_epi32(sum[r][1], _mm256_madd_epi16(pairs, ones));
			}
		}
#pragma GCC unroll 4
		for (int r = 0; r < rows; r++) {
			float *to = sums + r * QEFF_NSP_PANEL + n;
			vf scale = vf_set(scales[r * scales_stride]);

			for (int v = 0; v < 2; v++) {
				vf product = __builtin_convertvector((vi)sum[r][v], vf) *
					     (vf_load(weight_scales + n + v * VF) * scale);

				vf_store(to + v * VF, vf_load(to + v * VF) + product);
			}
		}
	}
}
#else
NSP_INLINE void nsp_block_i8_rows(float *sums, const int8_t *codes, size_t codes_stride,
				  const float *scales, size_t scales_stride, const uint8_t *block,
				  const float *weight_scales, const int rows)
{
	int32_t dots[NSP_I8_ROWS][QEFF_NSP_PANEL] __attribute__((aligned(128)));

	nsp_dot_i8(dots, codes, codes_stride, block, rows);
	for (int r = 0; r < rows; r++) {
		float scale = scales[r * scales_stride];

		for (int n = 0; n < QEFF_NSP_PANEL; n += VF) {
			vi dot = *(const vi *)(dots[r] + n);
			vf product = __builtin_convertvector(dot, vf) *
				     (vf_load(weight_scales + n) * scale);

			vf_store(sums + r * 32 + n, vf_load(sums + r * 32 + n) + product);
		}
	}
}
#endif

/**
 * nsp_block_i8 - sums[r][0..31] += one block's products, for each of @rows rows
 * @codes, @codes_stride: the block's 32 codes of row 0, bytes to the next row's
 * @scales, @scales_stride: the block's activation scale of row 0, floats to the next row's
 * @block: NSP_BLOCK_BYTES of the panel
 * @weight_scales: 32 scales of the block's scale group
 */
NSP_INLINE void nsp_block_i8(float *sums, const int8_t *codes, size_t codes_stride,
			     const float *scales, size_t scales_stride, const uint8_t *block,
			     const float *weight_scales, uint32_t rows)
{
	for (; rows >= NSP_I8_ROWS; rows -= NSP_I8_ROWS) {
		nsp_block_i8_rows(sums, codes, codes_stride, scales, scales_stride, block,
				  weight_scales, NSP_I8_ROWS);
		sums += NSP_I8_ROWS * QEFF_NSP_PANEL;
		codes += NSP_I8_ROWS * codes_stride;
		scales += NSP_I8_ROWS * scales_stride;
	}
	for (; rows; rows--) {
		nsp_block_i8_rows(sums, codes, codes_stride, scales, scales_stride, block,
				  weight_scales, 1);
		sums += QEFF_NSP_PANEL;
		codes += codes_stride;
		scales += scales_stride;
	}
}

#if defined(__AVX2__)
#define NSP_I8_ROW 1

/**
 * nsp_row_i8 - sums[0..31] += one row's products over @blocks blocks of one scale group, with all
 * sums in registers, so that memory is what it waits for
 */
NSP_INLINE void nsp_row_i8(float *sums, const int8_t *codes, const float *scales,
			   const uint8_t *panel, const float *weight_scales, uint32_t blocks)
{
	enum { VECTORS = QEFF_NSP_PANEL / VF };
	vf sum[VECTORS];

	for (int v = 0; v < VECTORS; v++)
		sum[v] = vf_load(sums + v * VF);
	for (uint32_t b = 0; b < blocks; b++, codes += NSP_BLOCK, panel += NSP_BLOCK_BYTES) {
		vf scale = vf_set(scales[b]);
		vi dot[VECTORS] = { 0 };
#if defined(__AVX512VNNI__)
		const __m512i bias = _mm512_set1_epi8((char)0x80);
		__m512i weights[VECTORS] = { 0 };
#endif

#pragma GCC unroll 8
		for (int k = 0; k < NSP_BLOCK / 4; k++) {
			int32_t four;

			nsp_prefetch(panel + k * 128);
			__builtin_memcpy(&four, codes + k * 4, 4);
#if defined(__AVX512VNNI__)
			__m512i x = _mm512_xor_si512(_mm512_set1_epi32(four), bias);

			for (int v = 0; v < VECTORS; v++) {
				__m512i w = _mm512_loadu_si512(panel + k * 128 + v * 64);

				dot[v] = (vi)_mm512_dpbusd_epi32((__m512i)dot[v], x, w);
				weights[v] = _mm512_dpbusd_epi32(weights[v], bias, w);
			}
#else
			__m256i x = _mm256_set1_epi32(four);

#pragma GCC unroll 4
			for (int v = 0; v < VECTORS; v++) {
				__m256i w = _mm256_loadu_si256(
					(const __m256i_u *)(panel + k * 128 + v * 32));
				__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w),
								     _mm256_sign_epi8(x, w));

				dot[v] += (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
			}
#endif
		}
		for (int v = 0; v < VECTORS; v++) {
#if defined(__AVX512VNNI__)
			dot[v] -= (vi)weights[v];
#endif
			sum[v] += __builtin_convertvector(dot[v], vf) *
				  (vf_load(weight_scales + v * VF) * scale);
		}
	}
	for (int v = 0; v < VECTORS; v++)
		vf_store(sums + v * VF, sum[v]);
}
#else
#define NSP_I8_ROW 0
#endif

/* Codes and scale of one block of activations; false if a number is not finite. */
NSP_INLINE int nsp_quantise_block(int8_t *codes, float *scale, const float *x)
{
	const vf to_integer = vf_set(0x1.8p+23f);
	int32_t lanes[VF] __attribute__((aligned(64)));
	vi largest = {};
	float absmax, factor;

	for (int i = 0; i < NSP_BLOCK; i += VF) {
		/* As integers, NaN > infinity > every finite magnitude. */
		vi bits = (vi)vf_load(x + i) & 0x7fffffff;
		vi mask = bits > largest;

		largest = (mask & bits) | (~mask & largest);
	}
	*(vi *)lanes = largest;
	for (int half = VF / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
	if (lanes[0] >= 0x7f800000) {
		__builtin_memset(codes, 0, NSP_BLOCK);
		*scale = 0;
		return 0;
	}
	absmax = qeff_f32_of_bits((uint32_t)lanes[0]);
	/* So small that 127 / absmax overflows: as good as zeros. */
	factor = absmax < 0x1p-120f ? 0 : 127.0f / absmax;
	*scale = absmax < 0x1p-120f ? 0 : absmax / 127.0f;
	for (int i = 0; i < NSP_BLOCK; i += VF) {
		vi rounded = (vi)(vf_load(x + i) * factor + to_integer) - 0x4b400000;
#if defined(__AVX512F__)
		_mm_storeu_si128((__m128i_u *)(codes + i), _mm512_cvtepi32_epi8((__m512i)rounded));
#elif defined(__AVX2__)
		__m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)rounded),
						_mm256_extracti128_si256((__m256i)rounded, 1));

		_mm_storel_epi64((__m128i_u *)(codes + i), _mm_packs_epi16(words, words));
#else
		*(vi *)lanes = rounded;
		for (int j = 0; j < VF; j++)
			codes[i + j] = (int8_t)lanes[j];
#endif
	}
	return 1;
}

#endif
