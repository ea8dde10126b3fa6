/* SPDX-License-Identifier: MIT */
/*
 * Microscaling formats in the kernels: blocks of MXFP6 become blocks of the int8 packing, rows of
 * MXINT8 become floats and back. Plain loops, which the compiler turns into vectors; all of it is
 * exact or rounds once, so every instruction set gives the same bits.
 */
#ifndef QEFF_NSP_KERNEL_MX_H
#define QEFF_NSP_KERNEL_MX_H

#include "nsp/mx.h"
#include "nsp/program.h"

/* 32 outputs times 32 inputs of 6 bits: six rows of a panel. */
#define NSP_MXFP6_BLOCK_BYTES (6 * QEFF_NSP_PANEL_ROW_BYTES)
/* Blocks along K whose scales stand in one row. */
#define NSP_MXFP6_BLOCKS 4

static inline __attribute__((always_inline)) int8_t nsp_e2m3_eighths(uint8_t code)
{
	uint8_t n = code & 0x1f, over = n >= 16 ? (uint8_t)(n - 16) : 0;
	uint8_t far = n >= 24 ? (uint8_t)(2 * (n - 24)) : 0;
	uint8_t sign = code & 0x20 ? 0xff : 0;

	n = (uint8_t)(n + over + far);
	return (int8_t)(uint8_t)((n ^ sign) - sign);
}

/* The rows of six become the eight rows of an int8 block, in eighths. The last two rows lie in the
 * upper bits of the first six, two bits at a time. */
static inline __attribute__((always_inline)) void nsp_unpack_mxfp6(int8_t *restrict block,
								   const uint8_t *restrict rows)
{
	for (int i = 0; i < 6; i++)
		for (int b = 0; b < QEFF_NSP_PANEL_ROW_BYTES; b++)
			block[i * 128 + b] = nsp_e2m3_eighths(rows[i * 128 + b]);
	for (int i = 0; i < 2; i++) {
		const uint8_t *three = rows + i * 3 * 128;

		for (int b = 0; b < QEFF_NSP_PANEL_ROW_BYTES; b++) {
			uint8_t code = (uint8_t)(three[b] >> 6 | three[128 + b] >> 6 << 2 |
						 three[256 + b] >> 6 << 4);

			block[(6 + i) * 128 + b] = nsp_e2m3_eighths(code);
		}
	}
}

/* Columns [first, first + count) of a row of MXINT8 with @columns of them; @first is a multiple of
 * 32. */
static inline void nsp_mxint8_widen(float *to, const uint8_t *row, uint32_t columns, uint32_t first,
				    uint32_t count)
{
	const uint8_t *scales = row + columns + first / NSP_MX_BLOCK;

	for (uint32_t c = 0; c < count; c += NSP_MX_BLOCK, scales++) {
		uint32_t n = count - c < NSP_MX_BLOCK ? count - c : NSP_MX_BLOCK;
		float scale = qeff_e8m0_to_f32(*scales) * 0x1p-6f;

		for (uint32_t i = 0; i < n; i++)
			to[c + i] = (float)((const int8_t *)row)[first + c + i] * scale;
	}
}

/* Up to 32 numbers of a row with @columns columns, from column @first on, a multiple of 32. */
static inline void nsp_mxint8_narrow(uint8_t *row, uint32_t columns, uint32_t first,
				     const float *from, uint32_t count)
{
	uint32_t largest = 0;
	uint8_t code;
	float factor;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t bits = qeff_f32_bits(from[i]) & 0x7fffffff;

		largest = bits > largest ? bits : largest;
	}
	code = qeff_e8m0_of(largest, NSP_INT8_EMAX);
	row[columns + first / NSP_MX_BLOCK] = code;
	factor = code == NSP_E8M0_NAN ? 0 : qeff_e8m0_inverse(code);
	for (uint32_t i = 0; i < count; i++)
		row[first + i] =
			code == NSP_E8M0_NAN ? 0 : (uint8_t)qeff_mxint8_of(from[i] * factor);
}

#endif
