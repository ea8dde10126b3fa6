/* SPDX-License-Identifier: MIT */
/* Weight panels against bytes written by hand, and every element against the layout's definition.
 */
#include "unit.h"

#include "nsp/half.h"
#include "nsp/pack.h"

#include <math.h>
#include <string.h>

static uint8_t panel[64 << 10];

static float f32_at(size_t offset)
{
	float value;

	memcpy(&value, panel + offset, sizeof(value));
	return value;
}

static void test_sizes(void)
{
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_F32, 5, 0), 5 * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_F16, 5, 0), 3 * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_BF16, 4, 0), 2 * 128);
	/* 40 inputs are two blocks of 8 rows, in one group of 64 or two of 32, each with its
	 * scales. */
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I8, 40, 64), (16 + 1) * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I8, 40, 32), (16 + 2) * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I8, 40, 0), 0);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I8, 40, 48), 0);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I64, 40, 0), 0);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_F32, 0, 0), 0);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_F32, UINT32_MAX, 0), 128ull * UINT32_MAX);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_I8, UINT32_MAX, 32), (1ull << 27) * 9 * 128);
}

/* Two outputs, three inputs. */
static const float small[2][3] = { { 1, 2, -3 }, { 0.5f, -2, 65504 } };

static void pack_small(enum qeff_nsp_type type, uint32_t group)
{
	struct qeff_nsp_weights w;

	memset(panel, 0xaa, sizeof(panel));
	qeff_nsp_weights_of(&w, small, QEFF_NSP_F32, 12, 4, 0, 2);
	qeff_nsp_pack_panel(panel, type, 3, group, &w);
}

static void test_f32_bytes(void)
{
	static const uint8_t row0[8] = { 0, 0, 0x80, 0x3f, 0, 0, 0, 0x3f };
	static const uint8_t row2[8] = { 0, 0, 0x40, 0xc0, 0, 0xe0, 0x7f, 0x47 };
	static const uint8_t zeros[120] = { 0 };

	pack_small(QEFF_NSP_F32, 0);
	CU_ASSERT_EQUAL(memcmp(panel, row0, 8), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 8, zeros, 120), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 256, row2, 8), 0);
	CU_ASSERT_EQUAL(panel[384], 0xaa);
}

static void test_half_bytes(void)
{
	/* Pairs of inputs, low one first; the fourth input is past the edge. */
	static const uint8_t f16_row0[8] = { 0x00, 0x3c, 0x00, 0x40, 0x00, 0x38, 0x00, 0xc0 };
	static const uint8_t f16_row1[8] = { 0x00, 0xc2, 0, 0, 0xff, 0x7b, 0, 0 };
	static const uint8_t bf16_row0[8] = { 0x80, 0x3f, 0x00, 0x40, 0x00, 0x3f, 0x00, 0xc0 };
	static const uint8_t bf16_row1[8] = { 0x40, 0xc0, 0, 0, 0x80, 0x47, 0, 0 };

	pack_small(QEFF_NSP_F16, 0);
	CU_ASSERT_EQUAL(memcmp(panel, f16_row0, 8), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 128, f16_row1, 8), 0);
	CU_ASSERT_EQUAL(panel[256], 0xaa);
	pack_small(QEFF_NSP_BF16, 0);
	CU_ASSERT_EQUAL(memcmp(panel, bf16_row0, 8), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 128, bf16_row1, 8), 0);
}

static void test_int8_bytes(void)
{
	/* 127/3 = 42.33: 1 -> 42, 2 -> 85, -3 -> -127; 65504 alone counts in the second output. */
	static const uint8_t row0[8] = { 42, 85, 0x81, 0, 0, 0, 127, 0 };

	pack_small(QEFF_NSP_I8, 32);
	CU_ASSERT_EQUAL(memcmp(panel, row0, 8), 0);
	for (int i = 8; i < 1024; i++)
		CU_ASSERT_EQUAL(panel[i], 0);
	CU_ASSERT_EQUAL(f32_at(1024), 3.0f / 127);
	CU_ASSERT_EQUAL(f32_at(1028), 65504.0f / 127);
	CU_ASSERT_EQUAL(f32_at(1032), 0);
	CU_ASSERT_EQUAL(panel[1152], 0xaa);
}

#define OUTPUTS 45
#define INPUTS	203
static float matrix[OUTPUTS][INPUTS], turned[INPUTS][OUTPUTS];
static uint16_t halves[OUTPUTS][INPUTS];

static void fill(void)
{
	for (int n = 0; n < OUTPUTS; n++)
		for (int k = 0; k < INPUTS; k++) {
			matrix[n][k] = sinf((float)(n * INPUTS + k)) * (1 + (float)n);
			turned[k][n] = matrix[n][k];
			halves[n][k] = qeff_f32_to_f16(matrix[n][k]);
		}
}

/* Element [n][k] of the packed panels, read as the layout says. */
static float element(enum qeff_nsp_type type, uint32_t k, uint32_t column)
{
	uint32_t per_row = type == QEFF_NSP_F32 ? 1 : 2;

	return qeff_nsp_load(panel + k / per_row * 128 + column * 4 + k % per_row * (4 / per_row),
			     type);
}

static void check_panels(const void *data, enum qeff_nsp_type from, size_t output_stride,
			 size_t input_stride, enum qeff_nsp_type to)
{
	unsigned int wrong = 0;

	for (uint32_t first = 0; first < OUTPUTS; first += 32) {
		struct qeff_nsp_weights w;

		memset(panel, 0xaa, sizeof(panel));
		qeff_nsp_weights_of(&w, data, from, output_stride, input_stride, first, OUTPUTS);
		qeff_nsp_pack_panel(panel, to, INPUTS, 0, &w);
		for (uint32_t c = 0; c < 32; c++)
			for (uint32_t k = 0; k < INPUTS; k++) {
				float want = 0;

				if (first + c < OUTPUTS)
					want = from == QEFF_NSP_F32
						       ? matrix[first + c][k]
						       : qeff_f16_to_f32(halves[first + c][k]);
				if (to == QEFF_NSP_F16)
					want = qeff_f16_to_f32(qeff_f32_to_f16(want));
				if (to == QEFF_NSP_BF16)
					want = qeff_bf16_to_f32(qeff_f32_to_bf16(want));
				wrong += element(to, k, c) != want;
			}
		CU_ASSERT_EQUAL(panel[qeff_nsp_panel_bytes(to, INPUTS, 0)], 0xaa);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_elements(void)
{
	fill();
	check_panels(matrix, QEFF_NSP_F32, INPUTS * 4, 4, QEFF_NSP_F32);
	check_panels(matrix, QEFF_NSP_F32, INPUTS * 4, 4, QEFF_NSP_F16);
	check_panels(matrix, QEFF_NSP_F32, INPUTS * 4, 4, QEFF_NSP_BF16);
	check_panels(turned, QEFF_NSP_F32, 4, OUTPUTS * 4, QEFF_NSP_F32);
	check_panels(turned, QEFF_NSP_F32, 4, OUTPUTS * 4, QEFF_NSP_BF16);
	check_panels(halves, QEFF_NSP_F16, INPUTS * 2, 2, QEFF_NSP_F16);
	check_panels(halves, QEFF_NSP_F16, INPUTS * 2, 2, QEFF_NSP_F32);
}

static void test_int8_elements(void)
{
	struct qeff_nsp_weights w;
	unsigned int wrong = 0;
	size_t at = 0;

	fill();
	qeff_nsp_weights_of(&w, matrix, QEFF_NSP_F32, INPUTS * 4, 4, 0, OUTPUTS);
	qeff_nsp_pack_panel(panel, QEFF_NSP_I8, INPUTS, 96, &w);
	for (uint32_t begin = 0; begin < INPUTS; begin += 96) {
		uint32_t end = begin + 96 < INPUTS ? begin + 96 : INPUTS;
		size_t scales = at + (end - begin + 31) / 32 * 1024;

		for (uint32_t n = 0; n < 32; n++)
			for (uint32_t k = begin; k < end; k++) {
				int8_t code = (int8_t)
					panel[at + (k - begin) / 4 * 128 + n * 4 + (k - begin) % 4];
				float scale = f32_at(scales + n * 4);

				wrong +=
					fabsf((float)code * scale - matrix[n][k]) > scale * 0.5001f;
			}
		at = scales + 128;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(at, qeff_nsp_panel_bytes(QEFF_NSP_I8, INPUTS, 96));
}

static void test_int8_odd_values(void)
{
	static float w[4][32] = {
		{ 1, NAN }, { 1e-38f, 1e-40f }, { 5, 2.5f, 7.5f }, { -INFINITY }
	};
	struct qeff_nsp_weights weights;

	w[2][3] = 254; /* so that a code is half the value: 2.5 is 1.25, 5 is 2.5 and goes to 2 */
	qeff_nsp_weights_of(&weights, w, QEFF_NSP_F32, sizeof(w[0]), 4, 0, 4);
	qeff_nsp_pack_panel(panel, QEFF_NSP_I8, 32, 32, &weights);
	CU_ASSERT(isnan(f32_at(1024)) && isnan(f32_at(1024 + 12)));
	CU_ASSERT_EQUAL(panel[0], 0);
	CU_ASSERT_EQUAL(f32_at(1024 + 4), 0);
	CU_ASSERT_EQUAL(panel[4], 0);
	CU_ASSERT_EQUAL(panel[8], 2);
	CU_ASSERT_EQUAL(panel[9], 1);
	CU_ASSERT_EQUAL(panel[10], 4);
	CU_ASSERT_EQUAL(panel[11], 127);
}

static void test_rows_from_anywhere(void)
{
	struct qeff_nsp_weights w = { .input_stride = 4, .type = QEFF_NSP_F32 };

	/* A panel across the edge of two matrices, with a gap. */
	w.rows[0] = small[1];
	w.rows[2] = small[0];
	qeff_nsp_pack_panel(panel, QEFF_NSP_F32, 3, 0, &w);
	CU_ASSERT_EQUAL(f32_at(0), 0.5f);
	CU_ASSERT_EQUAL(f32_at(4), 0);
	CU_ASSERT_EQUAL(f32_at(8), 1);
	CU_ASSERT_EQUAL(f32_at(128 + 8), 2);
}

static const struct unit_test tests[] = {
	{ "panel sizes", test_sizes },
	{ "f32 bytes", test_f32_bytes },
	{ "f16 and bf16 bytes", test_half_bytes },
	{ "int8 bytes", test_int8_bytes },
	{ "every element of odd shapes", test_elements },
	{ "int8 within half a step", test_int8_elements },
	{ "int8 of odd values", test_int8_odd_values },
	{ "rows from anywhere", test_rows_from_anywhere },
};
QEFF_UNIT_MAIN("nsp_pack", tests)
