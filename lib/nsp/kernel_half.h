/* SPDX-License-Identifier: MIT */
/*
 * f16 and bf16 panels: a row of a panel holds two inputs for each of 32 outputs, which become two
 * rows of f32.
 *
 * Few rows of x take them straight from registers, so that a single row goes as fast as memory
 * delivers weights; for many rows op_matmul.c unpacks a piece once and multiplies it as f32. Both
 * keep one accumulator for each output over ascending k: the same bits.
 */
#ifndef QEFF_NSP_KERNEL_HALF_H
#define QEFF_NSP_KERNEL_HALF_H

#include "nsp/vec.h"

/* Rows of x that share the unpacking in registers. */
#define NSP_HALF_ROWS 4

/* VF outputs x 2 inputs at @from: the first inputs' weights, and the second ones'. */
NSP_INLINE void nsp_unpack_half(vf *first, vf *second, const uint8_t *from, unsigned int type)
{
	typedef int32_t vi_unaligned __attribute__((vector_size(4 * VF), aligned(4), may_alias));
	vi pairs = *(const vi_unaligned *)from;

	if (type == QEFF_NSP_BF16) {
		*first = (vf)(pairs << 16);
		*second = (vf)(pairs & (int32_t)0xffff0000);
		return;
	}
#if defined(__AVX512F__)
	*first = (vf)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)pairs));
	*second = (vf)_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32((__m512i)pairs, 16)));
#elif defined(__AVX2__)
	/* Inside each half: four first inputs, four second ones; then the halves change places. */
	const __m256i order =
		_mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
				 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
	__m256i both = _mm256_permute4x64_epi64(_mm256_shuffle_epi8((__m256i)pairs, order), 0xd8);

	*first = (vf)_mm256_cvtph_ps(_mm256_castsi256_si128(both));
	*second = (vf)_mm256_cvtph_ps(_mm256_extracti128_si256(both, 1));
#else
	vf low = (vf)pairs, high = (vf)pairs;

	for (int i = 0; i < VF; i++) {
		low[i] = qeff_f16_to_f32((uint16_t)pairs[i]);
		high[i] = qeff_f16_to_f32((uint16_t)((uint32_t)pairs[i] >> 16));
	}
	*first = low;
	*second = high;
#endif
}

/* Rows [0, inputs / 2) of a panel to f32: [inputs][32]. */
NSP_INLINE void nsp_unpack_piece(float *to, const uint8_t *panel, uint32_t inputs,
				 unsigned int type)
{
	for (uint32_t k = 0; k < inputs; k += 2, to += 2 * QEFF_NSP_PANEL)
		for (int n = 0; n < QEFF_NSP_PANEL; n += VF) {
			vf first, second;

			nsp_unpack_half(&first, &second, panel + (size_t)k / 2 * 128 + n * 4, type);
			vf_store(to + n, first);
			vf_store(to + QEFF_NSP_PANEL + n, second);
		}
}

NSP_INLINE void nsp_half_tile(float *sums, const float *x, size_t x_stride, const uint8_t *panel,
			      uint32_t inputs, unsigned int type, const int rows, const int vectors)
{
	vf sum[8], first, second;

#pragma GCC unroll 4
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++)
			sum[r * vectors + v] = vf_load(sums + r * QEFF_NSP_PANEL + v * VF);
	for (uint32_t k = 0; k + 2 <= inputs; k += 2, panel += QEFF_NSP_PANEL_ROW_BYTES) {
		if (rows == 1 && type == QEFF_NSP_F16)
			nsp_prefetch(panel);
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++) {
			nsp_unpack_half(&first, &second, panel + v * VF * 4, type);
#pragma GCC unroll 4
			for (int r = 0; r < rows; r++) {
				vf *to = &sum[r * vectors + v];

				*to = vf_fma(vf_set(x[r * x_stride + k]), first, *to);
				*to = vf_fma(vf_set(x[r * x_stride + k + 1]), second, *to);
			}
		}
	}
	if (inputs % 2) {
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++) {
			nsp_unpack_half(&first, &second, panel + v * VF * 4, type);
#pragma GCC unroll 4
			for (int r = 0; r < rows; r++)
				sum[r * vectors + v] = vf_fma(vf_set(x[r * x_stride + inputs - 1]),
							      first, sum[r * vectors + v]);
		}
	}
#pragma GCC unroll 4
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++)
			vf_store(sums + r * QEFF_NSP_PANEL + v * VF, sum[r * vectors + v]);
}

/* All 32 outputs of @rows rows, eight accumulators at a time. */
NSP_INLINE void nsp_half_columns(float *sums, const float *x, size_t x_stride, const uint8_t *panel,
				 uint32_t inputs, unsigned int type, const int rows)
{
	const int all = QEFF_NSP_PANEL / VF, most = 8 / rows;
	const int vectors = most < all ? most : all;

	for (int v = 0; v < all; v += vectors)
		nsp_half_tile(sums + v * VF, x, x_stride, panel + v * VF * 4, inputs, type, rows,
			      vectors);
}

NSP_INLINE void nsp_half_typed(float *sums, const float *x, size_t x_stride, const uint8_t *panel,
			       uint32_t inputs, unsigned int type, uint32_t rows)
{
	uint32_t r = 0;

	for (; rows - r >= 4; r += 4)
		nsp_half_columns(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel,
				 inputs, type, 4);
	for (; rows - r >= 2; r += 2)
		nsp_half_columns(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel,
				 inputs, type, 2);
	if (r < rows)
		nsp_half_columns(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel,
				 inputs, type, 1);
}

/**
 * nsp_half_rows - sums[r][0..31] += x[r][0..inputs) times the panel
 * @x_stride: in floats
 */
static __attribute__((unused, noinline)) void nsp_half_rows(float *sums, const float *x,
							    size_t x_stride, const uint8_t *panel,
							    uint32_t inputs, unsigned int type,
							    uint32_t rows)
{
	if (type == QEFF_NSP_BF16)
		nsp_half_typed(sums, x, x_stride, panel, inputs, QEFF_NSP_BF16, rows);
	else
		nsp_half_typed(sums, x, x_stride, panel, inputs, QEFF_NSP_F16, rows);
}

#endif
