/* SPDX-License-Identifier: MIT */
/*
 * The one inner loop of float matrix products: rows of x times a panel of 32 outputs, f32, one
 * accumulator for each output over ascending k. Matmul runs it over packed weights, attention over
 * blocks of keys and values.
 *
 * Accumulators are loaded and stored around a run over k, which rounds nothing: cutting K into
 * pieces, or rows into groups, leaves every bit as it is.
 */
#ifndef QEFF_NSP_KERNEL_F32_H
#define QEFF_NSP_KERNEL_F32_H

#include "nsp/vec.h"

/* Registers: TILE_ROWS x TILE_VECTORS accumulators, the weights of one k, one broadcast. */
#if VF == 16
#define TILE_ROWS    12
#define TILE_VECTORS 2
#elif VF == 8
#define TILE_ROWS    6
#define TILE_VECTORS 2
#else
#define TILE_ROWS    3
#define TILE_VECTORS 4
#endif

/**
 * struct nsp_panel - 32 columns of the right-hand matrix
 * @w: f32, column c of row k at w[k * stride + c]
 * @stride: in floats
 */
struct nsp_panel {
	const float *w;
	size_t stride;
};

NSP_INLINE void nsp_tile_f32(float *sums, size_t sums_stride, const float *x, size_t x_stride,
			     struct nsp_panel panel, uint32_t inputs, const int rows,
			     const int vectors)
{
	vf sum[TILE_ROWS * TILE_VECTORS > 8 ? TILE_ROWS * TILE_VECTORS : 8];

#pragma GCC unroll 12
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++)
			sum[r * vectors + v] = vf_load(sums + r * sums_stride + v * VF);
#pragma GCC unroll 8
	for (uint32_t k = 0; k < inputs; k++) {
		vf w[8];

#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++)
			w[v] = vf_load(panel.w + k * panel.stride + v * VF);
#pragma GCC unroll 12
		for (int r = 0; r < rows; r++) {
			vf factor = vf_set(x[r * x_stride + k]);

#pragma GCC unroll 8
			for (int v = 0; v < vectors; v++)
				sum[r * vectors + v] = vf_fma(factor, w[v], sum[r * vectors + v]);
		}
	}
#pragma GCC unroll 12
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
		for (int v = 0; v < vectors; v++)
			vf_store(sums + r * sums_stride + v * VF, sum[r * vectors + v]);
}

/* One row has no other row to hide the latency of its sums behind: all 32 outputs at once. */
static __attribute__((unused, noinline)) void nsp_row_f32(float *sums, const float *x,
							  struct nsp_panel panel, uint32_t inputs)
{
#if VF == 4
	for (int c = 0; c < QEFF_NSP_PANEL; c += 8 * VF, panel.w += 8 * VF)
		nsp_tile_f32(sums + c, 0, x, 0, panel, inputs, 1, 8);
#else
	nsp_tile_f32(sums, 0, x, 0, panel, inputs, 1, QEFF_NSP_PANEL / VF);
#endif
}

#define NSP_TILE_CASE(n)                                                                           \
	case n:                                                                                    \
		nsp_tile_f32(sums, sums_stride, x, x_stride, panel, inputs, n, TILE_VECTORS);      \
		break

static __attribute__((unused, noinline)) void nsp_tile_rows_f32(float *sums, size_t sums_stride,
								const float *x, size_t x_stride,
								struct nsp_panel panel,
								uint32_t inputs, uint32_t rows)
{
	switch (rows) {
		NSP_TILE_CASE(1);
		NSP_TILE_CASE(2);
		NSP_TILE_CASE(3);
#if TILE_ROWS > 3
		NSP_TILE_CASE(4);
		NSP_TILE_CASE(5);
		NSP_TILE_CASE(6);
#endif
#if TILE_ROWS > 6
		NSP_TILE_CASE(7);
		NSP_TILE_CASE(8);
		NSP_TILE_CASE(9);
		NSP_TILE_CASE(10);
		NSP_TILE_CASE(11);
		NSP_TILE_CASE(12);
#endif
	}
}
#undef NSP_TILE_CASE

/**
 * nsp_panel_f32 - sums[r][0..31] += x[r][0..inputs) times the panel, for each of @rows rows
 * @sums_stride, @x_stride: in floats
 */
static inline __attribute__((unused)) void nsp_panel_f32(float *sums, size_t sums_stride,
							 const float *x, size_t x_stride,
							 struct nsp_panel panel, uint32_t inputs,
							 uint32_t rows)
{
	const int width = TILE_VECTORS * VF;

	if (rows == 1) {
		nsp_row_f32(sums, x, panel, inputs);
		return;
	}
	/* Both halves of a panel for the same rows: memory delivers its lines in their order. */
	for (uint32_t r = 0; r < rows; r += TILE_ROWS) {
		uint32_t count = rows - r < TILE_ROWS ? rows - r : TILE_ROWS;

		for (int c = 0; c < QEFF_NSP_PANEL; c += width) {
			struct nsp_panel part = { panel.w + c, panel.stride };

			nsp_tile_rows_f32(sums + r * sums_stride + c, sums_stride, x + r * x_stride,
					  x_stride, part, inputs, count);
		}
	}
}

#endif
