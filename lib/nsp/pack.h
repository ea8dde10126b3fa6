/* SPDX-License-Identifier: MIT */
/*
 * The one packing of weights, as its writer sees it: panel by panel, from a mapped checkpoint into
 * the package. The layout stands in docs/design/nsp-program.md, "Packing". Nothing is allocated;
 * thread safe.
 */
#ifndef QEFF_NSP_PACK_H
#define QEFF_NSP_PACK_H

#include "nsp/program.h"

#include <stddef.h>

/* Inputs in a 128-byte row of a panel: 1 (F32), 2 (F16, BF16), 4 (I8, unpacked MXFP6); 0 for any
 * other type. */
unsigned int qeff_nsp_panel_row_inputs(enum qeff_nsp_type type);

/* Bytes of a panel (32 outputs) of @inputs inputs. @scale_group: for I8 a multiple of 32, else 0. 0
 * if the arguments make no panel. */
uint64_t qeff_nsp_panel_bytes(enum qeff_nsp_type type, uint32_t inputs, uint32_t scale_group);

/**
 * struct qeff_nsp_weights - where the 32 outputs of a panel come from
 * @rows: for each output the address of its weight for input 0, or NULL for an output past the edge
 *(zeros)
 * @input_stride: bytes from an input's weight to the next one's: the element size for
 *w[outputs][inputs], the length of a row for a transposed w[inputs][outputs]
 * @type: F32, F16 or BF16
 * @scales: for each output NULL, or the E8M0 scales of its blocks: then @rows is where MXFP4's
 *blocks of 32 inputs stand one behind the other, and @input_stride and @type mean nothing
 *
 * Since every output has its own address, a panel may span the edge between fused matrices.
 */
struct qeff_nsp_weights {
	const void *rows[QEFF_NSP_PANEL];
	size_t input_stride;
	enum qeff_nsp_type type;
	const uint8_t *scales[QEFF_NSP_PANEL];
};

/* Points @weights at outputs [@first, @first + 32) of a matrix of @outputs outputs that begins at
 * @data. */
void qeff_nsp_weights_of(struct qeff_nsp_weights *weights, const void *data,
			 enum qeff_nsp_type type, size_t output_stride, size_t input_stride,
			 uint32_t first, uint32_t outputs);

/**
 * qeff_nsp_pack_panel - writes one panel
 * @panel: qeff_nsp_panel_bytes() of room
 * @type: what to pack as: F32, F16, BF16, I8 or MXFP6
 *
 * f16 and bf16 widen exactly; narrowing rounds to nearest even. I8 takes scale = absmax / 127 for
 * each output and scale group; a group that holds a non-finite weight gets a NaN scale, so that it
 * cannot pass for a number. MXFP6 takes scales and rounds as the MX specification says, with the
 * same care. MXFP4 weights are numbers like others here: all of them are bf16 numbers, but for the
 * largest scale's.
 */
void qeff_nsp_pack_panel(void *panel, enum qeff_nsp_type type, uint32_t inputs,
			 uint32_t scale_group, const struct qeff_nsp_weights *weights);

/* One number of F32, F16 or BF16 storage. */
float qeff_nsp_load(const void *at, enum qeff_nsp_type type);

#endif
