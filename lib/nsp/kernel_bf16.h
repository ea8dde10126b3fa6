/* SPDX-License-Identifier: MIT */
/*
 * bf16 products by the instruction for them, where the instruction set has it: two inputs of an
 * output at a time, into one f32 accumulator over ascending k. It treats subnormals as zeros and
 * rounds its sums in its own way, so bits differ from other instruction sets, never with the number
 * of rows.
 */
#ifndef QEFF_NSP_KERNEL_BF16_H
#define QEFF_NSP_KERNEL_BF16_H

#include "nsp/vec.h"

#ifdef __AVX512BF16__
#define NSP_BF16_PRODUCTS 1
#define NSP_BF16_ROWS	  12 /* x 2 vectors of accumulators */

NSP_INLINE void nsp_bf16_tile(float *sums, const uint16_t *x, size_t x_stride, const uint8_t *panel,
			      uint32_t inputs, const int rows)
{
	__m512 sum[NSP_BF16_ROWS][2];

#pragma GCC unroll 12
	for (int r = 0; r < rows; r++)
		for (int v = 0; v < 2; v++)
			sum[r][v] = _mm512_loadu_ps(sums + r * QEFF_NSP_PANEL + v * 16);
	for (uint32_t k = 0; k < inputs; k += 2, panel += QEFF_NSP_PANEL_ROW_BYTES) {
		__m512i low = _mm512_loadu_si512(panel), high = _mm512_loadu_si512(panel + 64);

#pragma GCC unroll 12
		for (int r = 0; r < rows; r++) {
			int32_t pair;
			__m512i both;

			__builtin_memcpy(&pair, x + r * x_stride + k, 4);
			both = _mm512_set1_epi32(pair);
			sum[r][0] = _mm512_dpbf16_ps(sum[r][0], (__m512bh)low, (__m512bh)both);
			sum[r][1] = _mm512_dpbf16_ps(sum[r][1], (__m512bh)high, (__m512bh)both);
		}
	}
#pragma GCC unroll 12
	for (int r = 0; r < rows; r++)
		for (int v = 0; v < 2; v++)
			_mm512_storeu_ps(sums + r * QEFF_NSP_PANEL + v * 16, sum[r][v]);
}

/**
 * nsp_bf16_rows - sums[r][0..31] += x[r][0..inputs) times the panel
 * @x: bf16, a zero behind the last where @inputs is odd
 * @x_stride: in numbers
 */
static __attribute__((noinline)) void nsp_bf16_rows(float *sums, const uint16_t *x, size_t x_stride,
						    const uint8_t *panel, uint32_t inputs,
						    uint32_t rows)
{
	uint32_t r = 0;

	for (; rows - r >= NSP_BF16_ROWS; r += NSP_BF16_ROWS)
		nsp_bf16_tile(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel, inputs,
			      NSP_BF16_ROWS);
	for (; rows - r >= 4; r += 4)
		nsp_bf16_tile(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel, inputs,
			      4);
	for (; r < rows; r++)
		nsp_bf16_tile(sums + r * QEFF_NSP_PANEL, x + r * x_stride, x_stride, panel, inputs,
			      1);
}
#else
#define NSP_BF16_PRODUCTS 0
#endif

#endif
