/* SPDX-License-Identifier: MIT */
/* Weight panels against bytes written by hand, and every element against the layout's definition.
 */
#include "unit.h"

#include "nsp/half.h"
#include "nsp/mx.h"
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
	/* six rows a block, a row of scales for four blocks or what is left */
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_MXFP6, 40, 0), (12 + 1) * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_MXFP6, 128, 0), (24 + 1) * 128);
	CU_ASSERT_EQUAL(qeff_nsp_panel_bytes(QEFF_NSP_MXFP6, 129, 0), (30 + 2) * 128);
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

/* MXFP6 against codes worked out from the specification: E2M3 has bias 1, so 1 is 0b01000, 7.5 is
 * 0b11111, 0.125 the smallest; the scale is two to (exponent of the largest - 2). */
static void test_mxfp6_bytes(void)
{
	/* largest 6 = 1.5 * 2^2: scale 1, code 127 */
	static float w[4][40] = {
		{ 6, -1, 0.125f, 7, 0.0625f, 0.1875f, -7.4f, 3.9f, [24] = 1, [28] = -7, [32] = 96 },
		{ NAN, 1 },
		{ 0x1p-140f },
		{ 65504, 1 },
	};
	/* the first eight: 6 is 2^2 1.5; 0.0625 is half of the smallest and goes to the even 0,
	 * 0.1875 to the even 2; 7.4 to 7.5; 3.9 to 4 (3.875 is no number: 3.75 and 4 are) */
	static const uint8_t codes[] = { 0x1c, 0x28, 0x01, 0x1e, 0x00, 0x02, 0x3f, 0x18 };
	struct qeff_nsp_weights weights;

	memset(panel, 0xaa, sizeof(panel));
	qeff_nsp_weights_of(&weights, w, QEFF_NSP_F32, sizeof(w[0]), 4, 0, 4);
	qeff_nsp_pack_panel(panel, QEFF_NSP_MXFP6, 40, 0, &weights);
	for (int k = 0; k < 8; k++)
		CU_ASSERT_EQUAL(panel[k / 4 * 128 + k % 4] & 0x3f, codes[k]);
	/* inputs 24 and 28 are in rows 6 and 7: in the upper bits of rows 0-2 and 3-5 */
	CU_ASSERT_EQUAL(panel[0] >> 6, 0x08 & 3);
	CU_ASSERT_EQUAL(panel[128] >> 6, 0x08 >> 2 & 3);
	CU_ASSERT_EQUAL(panel[256] >> 6, 0x08 >> 4);
	CU_ASSERT_EQUAL(panel[384] >> 6, 0x3e & 3);
	CU_ASSERT_EQUAL(panel[512] >> 6, 0x3e >> 2 & 3);
	CU_ASSERT_EQUAL(panel[640] >> 6, 0x3e >> 4);
	/* second block: 96 = 1.5 * 2^6, scale 2^4, again 6 */
	CU_ASSERT_EQUAL(panel[768] & 0x3f, 0x1c);
	CU_ASSERT_EQUAL(panel[1536], 127);
	CU_ASSERT_EQUAL(panel[1536 + 1], 127 + 4);
	CU_ASSERT_EQUAL(panel[1536 + 2], 0);
	/* a block that holds no number has no scale; one of subnormals the smallest */
	CU_ASSERT_EQUAL(panel[1536 + 4], 0xff);
	CU_ASSERT_EQUAL(panel[1536 + 8], 0);
	CU_ASSERT_EQUAL(panel[8] & 0x3f, 0);
	/* 65504 = 1.999 * 2^15: scale 2^13, and saturates at 7.5 */
	CU_ASSERT_EQUAL(panel[1536 + 12], 127 + 13);
	CU_ASSERT_EQUAL(panel[12] & 0x3f, 0x1f);
	CU_ASSERT_EQUAL(panel[1664], 0xaa);
}

/* Every code there is, and that what lies between two goes to the nearer or the even one. */
static void test_e2m3(void)
{
	static const float numbers[32] = { 0, .125f,  .25f,  .375f,  .5f,  .625f,  .75f,  .875f,
					   1, 1.125f, 1.25f, 1.375f, 1.5f, 1.625f, 1.75f, 1.875f,
					   2, 2.25f,  2.5f,  2.75f,  3,	   3.25f,  3.5f,  3.75f,
					   4, 4.5f,   5,     5.5f,   6,	   6.5f,   7,	  7.5f };

	for (int i = 0; i < 32; i++) {
		CU_ASSERT_EQUAL(qeff_e2m3_of(numbers[i]), i);
		CU_ASSERT_EQUAL(qeff_e2m3_of(-numbers[i]) & 0x1f, i);
		CU_ASSERT_EQUAL((float)qeff_e2m3_eighths((uint8_t)i), numbers[i] * 8);
		CU_ASSERT_EQUAL((float)qeff_e2m3_eighths((uint8_t)(i | 0x20)), numbers[i] * -8);
		if (i == 31)
			break;
		float middle = (numbers[i] + numbers[i + 1]) / 2;

		CU_ASSERT_EQUAL(qeff_e2m3_of(middle), i + i % 2);
		CU_ASSERT_EQUAL(qeff_e2m3_of(nextafterf(middle, 0)), i);
		CU_ASSERT_EQUAL(qeff_e2m3_of(nextafterf(middle, 9)), i + 1);
	}
	CU_ASSERT_EQUAL(qeff_e2m3_of(7.99f), 31);
	CU_ASSERT_EQUAL(qeff_e2m3_of(-100), 63);
	CU_ASSERT_EQUAL(qeff_mxint8_of(1.984375f), 127);
	CU_ASSERT_EQUAL(qeff_mxint8_of(1.9999f), 127);
	CU_ASSERT_EQUAL(qeff_mxint8_of(-1.9999f), -127);
	CU_ASSERT_EQUAL(qeff_mxint8_of(0.0078125f), 0);
	CU_ASSERT_EQUAL(qeff_mxint8_of(0.0234375f), 2);
	CU_ASSERT_EQUAL(qeff_e8m0_to_f32(0), 0x1p-127f);
	CU_ASSERT_EQUAL(qeff_e8m0_to_f32(127), 1);
	CU_ASSERT_EQUAL(qeff_e8m0_to_f32(254), 0x1p127f);
	CU_ASSERT(isnan(qeff_e8m0_to_f32(255)));
	CU_ASSERT_EQUAL(qeff_e8m0_inverse(0), 0x1p127f);
	CU_ASSERT_EQUAL(qeff_e8m0_inverse(254), 0x1p-127f);
}

/* Two outputs of 64 inputs in blocks of MXFP4: every code once, and scales at their ends. */
static void test_from_mxfp4(void)
{
	static const float numbers[8] = { 0, .5f, 1, 1.5f, 2, 3, 4, 6 };
	static const uint8_t scales[2][2] = { { 127, 124 }, { 0, 0xff } };
	uint8_t blocks[2][32];
	struct qeff_nsp_weights w = { .rows = { blocks[0], NULL, blocks[1] },
				      .scales = { scales[0], NULL, scales[1] } };

	for (int i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL((float)qeff_e2m1_halves((uint8_t)i),
				numbers[i % 8] * (i < 8 ? 2 : -2));
		/* the first input in the lower half */
		blocks[0][i] = blocks[0][16 + i] = (uint8_t)(i | (15 - i) << 4);
		blocks[1][i] = blocks[1][16 + i] = 0x71;
	}
	qeff_nsp_pack_panel(panel, QEFF_NSP_F32, 64, 0, &w);
	for (int k = 0; k < 64; k++) {
		int code = k % 2 ? 15 - k % 32 / 2 : k % 32 / 2;

		CU_ASSERT_EQUAL(f32_at((size_t)k * 128), numbers[code % 8] *
								 (code < 8 ? 1.0f : -1.0f) *
								 (k < 32 ? 1.0f : 0.125f));
		CU_ASSERT_EQUAL(f32_at((size_t)k * 128 + 4), 0);
	}
	CU_ASSERT_EQUAL(f32_at(8), 0x1p-128f);
	CU_ASSERT_EQUAL(f32_at(128 + 8), 6 * 0x1p-127f);
	CU_ASSERT(isnan(f32_at(32 * 128 + 8)));
	/* all of them are bf16 numbers: -6 and 0.5 of the first, 0.5 and 6 of the third */
	qeff_nsp_pack_panel(panel, QEFF_NSP_BF16, 64, 0, &w);
	CU_ASSERT_EQUAL(memcmp(panel, (uint8_t[]){ 0, 0, 0xc0, 0xc0 }, 4), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 128, (uint8_t[]){ 0, 0x3f, 0x80, 0xc0 }, 4), 0);
	CU_ASSERT_EQUAL(memcmp(panel + 8, (uint8_t[]){ 0x20, 0, 0x40, 0x01 }, 4), 0);
	/* MXFP6 holds them too, with the same scale */
	qeff_nsp_pack_panel(panel, QEFF_NSP_MXFP6, 64, 0, &w);
	CU_ASSERT_EQUAL(panel[1536], 127);
	CU_ASSERT_EQUAL(panel[1] & 0x3f, 0x3c);
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
	{ "MXFP6 bytes", test_mxfp6_bytes },
	{ "E2M3, E8M0 and MXINT8", test_e2m3 },
	{ "from MXFP4", test_from_mxfp4 },
	{ "rows from anywhere", test_rows_from_anywhere },
};
QEFF_UNIT_MAIN("nsp_pack", tests)
