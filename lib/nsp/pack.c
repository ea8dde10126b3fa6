/* SPDX-License-Identifier: MIT */
/*
 * Packing weights into panels.
 *
 * The source is walked in strips of a few dozen inputs, all 32 outputs of a strip before the next,
 * so that a panel streams through the cache whichever way the matrix lies.
 */
#include "nsp/pack.h"

#include "nsp/half.h"
#include "nsp/mx.h"

#include <string.h>

#define STRIP 64 /* inputs; a multiple of 32 */

unsigned int qeff_nsp_panel_row_inputs(enum qeff_nsp_type type)
{
	switch (type) {
	case QEFF_NSP_F32:
		return 1;
	case QEFF_NSP_F16:
	case QEFF_NSP_BF16:
		return 2;
	case QEFF_NSP_I8:
	case QEFF_NSP_MXFP6: /* when unpacked */
		return 4;
	default:
		return 0;
	}
}

uint64_t qeff_nsp_panel_bytes(enum qeff_nsp_type type, uint32_t inputs, uint32_t scale_group)
{
	uint64_t per_row = qeff_nsp_panel_row_inputs(type);
	uint64_t rows;

	if (!per_row || !inputs)
		return 0;
	if (type == QEFF_NSP_I8) {
		if (!scale_group || scale_group % 32)
			return 0;
		rows = ((uint64_t)inputs + 31) / 32 * 8 +
		       ((uint64_t)inputs + scale_group - 1) / scale_group;
	} else if (type == QEFF_NSP_MXFP6) {
		uint64_t blocks = ((uint64_t)inputs + NSP_MX_BLOCK - 1) / NSP_MX_BLOCK;

		rows = blocks * 6 + (blocks + 3) / 4;
	} else {
		rows = ((uint64_t)inputs + per_row - 1) / per_row;
	}
	return rows * QEFF_NSP_PANEL_ROW_BYTES;
}

void qeff_nsp_weights_of(struct qeff_nsp_weights *weights, const void *data,
			 enum qeff_nsp_type type, size_t output_stride, size_t input_stride,
			 uint32_t first, uint32_t outputs)
{
	weights->type = type;
	weights->input_stride = input_stride;
	memset(weights->scales, 0, sizeof(weights->scales));
	for (uint32_t i = 0; i < QEFF_NSP_PANEL; i++)
		weights->rows[i] = i < outputs && first < outputs - i
					   ? (const uint8_t *)data + (first + i) * output_stride
					   : NULL;
}

float qeff_nsp_load(const void *at, enum qeff_nsp_type type)
{
	uint16_t half;
	float value;

	if (type == QEFF_NSP_F32) {
		memcpy(&value, at, sizeof(value));
		return value;
	}
	memcpy(&half, at, sizeof(half));
	return type == QEFF_NSP_F16 ? qeff_f16_to_f32(half) : qeff_bf16_to_f32(half);
}

/* Contiguous f16 or bf16, in loops that become vectors. */
static void load_halves(float *to, const uint8_t *from, enum qeff_nsp_type type, uint32_t count)
{
	uint16_t halves[STRIP];

	memcpy(halves, from, count * sizeof(halves[0]));
	if (type == QEFF_NSP_F16)
		for (uint32_t k = 0; k < count; k++)
			to[k] = qeff_f16_to_f32(halves[k]);
	else
		for (uint32_t k = 0; k < count; k++)
			to[k] = qeff_bf16_to_f32(halves[k]);
}

/* Inputs [first, first + count) of blocks of MXFP4; @first is a multiple of 32. */
static void load_mxfp4(float *to, const uint8_t *blocks, const uint8_t *scales, uint32_t first,
		       uint32_t count)
{
	float scale = 0;

	for (uint32_t k = 0; k < count; k++) {
		uint8_t pair = blocks[(first + k) / 2];

		if (k % NSP_MX_BLOCK == 0)
			scale = qeff_e8m0_to_f32(scales[(first + k) / NSP_MX_BLOCK]);
		/* Halves: small scales stay exact, the largest ones do not overflow in between. */
		to[k] = (float)qeff_e2m1_halves(k % 2 ? pair >> 4 : pair) * 0.5f * scale;
	}
}

/* Widens inputs [first, first + count) of all outputs. */
static void load_strip(float strip[QEFF_NSP_PANEL][STRIP], const struct qeff_nsp_weights *w,
		       uint32_t first, uint32_t count)
{
	for (int n = 0; n < QEFF_NSP_PANEL; n++) {
		const uint8_t *at = w->rows[n];

		if (!at) {
			memset(strip[n], 0, count * sizeof(float));
			continue;
		}
		if (w->scales[n]) {
			load_mxfp4(strip[n], at, w->scales[n], first, count);
			continue;
		}
		at += first * w->input_stride;
		if (w->type != QEFF_NSP_F32 && w->input_stride == 2) {
			load_halves(strip[n], at, w->type, count);
			continue;
		}
		for (uint32_t k = 0; k < count; k++, at += w->input_stride)
			strip[n][k] = qeff_nsp_load(at, w->type);
	}
}

/* Same type on both sides: the bits travel untouched, halves that lie together in pairs. */
static void copy_panel(uint8_t *panel, size_t size, uint32_t inputs,
		       const struct qeff_nsp_weights *w)
{
	if (size == 2 && w->input_stride == 2) {
		struct qeff_nsp_weights pairs = *w;

		pairs.input_stride = 4;
		copy_panel(panel, 4, inputs / 2, &pairs);
		for (int n = 0; inputs % 2 && n < QEFF_NSP_PANEL; n++)
			if (w->rows[n])
				memcpy(panel + (size_t)(inputs / 2) * 128 + n * 4,
				       (const uint8_t *)w->rows[n] + (size_t)(inputs - 1) * 2, 2);
		return;
	}
	for (uint32_t first = 0; first < inputs; first += STRIP) {
		uint32_t count = inputs - first < STRIP ? inputs - first : STRIP;

		for (int n = 0; n < QEFF_NSP_PANEL; n++) {
			const uint8_t *at = w->rows[n];

			if (!at)
				continue;
			at += first * w->input_stride;
			for (uint32_t k = first; k < first + count; k++, at += w->input_stride) {
				size_t to = size == 4 ? (size_t)k * 128 + n * 4
						      : (size_t)(k / 2) * 128 + n * 4 + k % 2 * 2;

				if (size == 4)
					memcpy(panel + to, at, 4);
				else
					memcpy(panel + to, at, 2);
			}
		}
	}
}

static void pack_float(uint8_t *panel, enum qeff_nsp_type type, uint32_t inputs,
		       const struct qeff_nsp_weights *w)
{
	float strip[QEFF_NSP_PANEL][STRIP];

	for (uint32_t first = 0; first < inputs; first += STRIP) {
		uint32_t count = inputs - first < STRIP ? inputs - first : STRIP;

		load_strip(strip, w, first, count);
		for (uint32_t k = 0; k < count; k++) {
			uint32_t at = first + k;

			for (int n = 0; n < QEFF_NSP_PANEL; n++) {
				uint16_t half;

				if (type == QEFF_NSP_F32) {
					memcpy(panel + (size_t)at * 128 + n * 4, &strip[n][k], 4);
					continue;
				}
				half = type == QEFF_NSP_F16 ? qeff_f32_to_f16(strip[n][k])
							    : qeff_f32_to_bf16(strip[n][k]);
				memcpy(panel + (size_t)(at / 2) * 128 + n * 4 + at % 2 * 2, &half,
				       2);
			}
		}
	}
}

/* The codes' multiplier for a block whose largest magnitude is @absmax: 127 / absmax, or 0 for a
 * block so small that the quotient would overflow (it counts as zeros). */
static float code_factor(float absmax)
{
	return absmax < 0x1p-120f ? 0 : 127.0f / absmax;
}

static int8_t code_of(float value, float factor)
{
	/* Adding and taking away 1.5 * 2^23 rounds to an integer, half to even. */
	float rounded = (value * factor + 12582912.0f) - 12582912.0f;

	if (rounded > 127)
		return 127;
	return rounded < -127 ? -127 : (int8_t)rounded;
}

/* The largest magnitude of each output over a scale group, or NaN. */
static void group_absmax(float absmax[QEFF_NSP_PANEL], float strip[QEFF_NSP_PANEL][STRIP],
			 const struct qeff_nsp_weights *w, uint32_t first, uint32_t end)
{
	uint32_t largest[QEFF_NSP_PANEL] = { 0 };

	for (; first < end; first += STRIP) {
		uint32_t count = end - first < STRIP ? end - first : STRIP;

		load_strip(strip, w, first, count);
		for (int n = 0; n < QEFF_NSP_PANEL; n++)
			for (uint32_t k = 0; k < count; k++) {
				/* As integers, NaN > infinity > every finite magnitude. */
				uint32_t bits = qeff_f32_bits(strip[n][k]) & 0x7fffffff;

				if (bits > largest[n])
					largest[n] = bits;
			}
	}
	for (int n = 0; n < QEFF_NSP_PANEL; n++)
		absmax[n] = largest[n] >= 0x7f800000 ? __builtin_nanf("")
						     : qeff_f32_of_bits(largest[n]);
}

static void pack_int8(uint8_t *panel, uint32_t inputs, uint32_t group,
		      const struct qeff_nsp_weights *w)
{
	float strip[QEFF_NSP_PANEL][STRIP];
	float absmax[QEFF_NSP_PANEL];

	for (uint64_t begin = 0; begin < inputs; begin += group) {
		uint32_t end = inputs - begin < group ? inputs : (uint32_t)(begin + group);

		group_absmax(absmax, strip, w, (uint32_t)begin, end);
		for (uint32_t first = (uint32_t)begin; first < end; first += STRIP) {
			uint32_t count = end - first < STRIP ? end - first : STRIP;

			load_strip(strip, w, first, count);
			for (int n = 0; n < QEFF_NSP_PANEL; n++) {
				/* A NaN compares as nothing, and its group's codes stay zero. */
				float factor = absmax[n] >= 0 ? code_factor(absmax[n]) : 0;

				for (uint32_t k = 0; factor > 0 && k < count; k++)
					panel[(size_t)((first - begin + k) / 4) * 128 + n * 4 +
					      (first - begin + k) % 4] =
						(uint8_t)code_of(strip[n][k], factor);
			}
		}
		panel += ((size_t)(end - begin) + 31) / 32 * 8 * 128;
		for (int n = 0; n < QEFF_NSP_PANEL; n++) {
			float scale = absmax[n] < 0x1p-120f ? 0 : absmax[n] / 127.0f;

			memcpy(panel + n * 4, &scale, 4);
		}
		panel += QEFF_NSP_PANEL_ROW_BYTES;
	}
}

/* Codes of one block, [row of the int8 packing][byte], and its scales. */
static void mxfp6_block(uint8_t codes[8][QEFF_NSP_PANEL_ROW_BYTES], uint8_t scales[QEFF_NSP_PANEL],
			float strip[QEFF_NSP_PANEL][STRIP], uint32_t count)
{
	memset(codes, 0, 8 * QEFF_NSP_PANEL_ROW_BYTES);
	for (int n = 0; n < QEFF_NSP_PANEL; n++) {
		uint32_t largest = 0;
		float factor;

		for (uint32_t k = 0; k < count; k++) {
			uint32_t bits = qeff_f32_bits(strip[n][k]) & 0x7fffffff;

			largest = bits > largest ? bits : largest;
		}
		scales[n] = qeff_e8m0_of(largest, NSP_E2M3_EMAX);
		if (scales[n] == NSP_E8M0_NAN)
			continue;
		factor = qeff_e8m0_inverse(scales[n]);
		for (uint32_t k = 0; k < count; k++)
			codes[k / 4][n * 4 + k % 4] = qeff_e2m3_of(strip[n][k] * factor);
	}
}

/* Six rows for a block, and behind each four blocks (or what is left) a row with their scales. */
static void pack_mxfp6(uint8_t *panel, uint32_t inputs, const struct qeff_nsp_weights *w)
{
	uint32_t blocks = (uint32_t)(((uint64_t)inputs + NSP_MX_BLOCK - 1) / NSP_MX_BLOCK);
	uint8_t codes[8][QEFF_NSP_PANEL_ROW_BYTES], scales[QEFF_NSP_PANEL];
	float strip[QEFF_NSP_PANEL][STRIP];

	for (uint32_t b = 0; b < blocks; b++) {
		uint32_t group = b - b % 4, left = blocks - group, first = b * NSP_MX_BLOCK;
		uint32_t count = inputs - first < NSP_MX_BLOCK ? inputs - first : NSP_MX_BLOCK;
		uint8_t *rows = panel + b % 4 * 6 * QEFF_NSP_PANEL_ROW_BYTES;
		uint8_t *to = panel + (left < 4 ? left : 4) * 6 * QEFF_NSP_PANEL_ROW_BYTES;

		load_strip(strip, w, first, count);
		mxfp6_block(codes, scales, strip, count);
		for (int i = 0; i < 6; i++)
			for (int at = 0; at < QEFF_NSP_PANEL_ROW_BYTES; at++)
				rows[i * 128 + at] =
					(uint8_t)(codes[i][at] |
						  (codes[6 + i / 3][at] >> i % 3 * 2 & 3) << 6);
		for (int n = 0; n < QEFF_NSP_PANEL; n++)
			to[n * 4 + b % 4] = scales[n];
		if (b % 4 == 3)
			panel = to + QEFF_NSP_PANEL_ROW_BYTES;
	}
}

void qeff_nsp_pack_panel(void *panel, enum qeff_nsp_type type, uint32_t inputs,
			 uint32_t scale_group, const struct qeff_nsp_weights *weights)
{
	memset(panel, 0, qeff_nsp_panel_bytes(type, inputs, scale_group));
	if (type == QEFF_NSP_I8)
		pack_int8(panel, inputs, scale_group, weights);
	else if (type == QEFF_NSP_MXFP6)
		pack_mxfp6(panel, inputs, weights);
	else if (type == weights->type && !weights->scales[0])
		copy_panel(panel, type == QEFF_NSP_F32 ? 4 : 2, inputs, weights);
	else
		pack_float(panel, type, inputs, weights);
}
