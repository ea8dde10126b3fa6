/* SPDX-License-Identifier: MIT */
/* Hexagon's missing arithmetic, compiled here under other names and held against this machine's
 * own. */
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define memcpy	hexagon_memcpy
#define memmove hexagon_memmove
#define memset	hexagon_memset
#define sqrt	hexagon_sqrt
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
#include "nsp/hexagon/runtime.c"

static uint64_t state = 88172645463325252ull;

static uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static float f32_of(uint32_t bits)
{
	union {
		uint32_t bits;
		float value;
	} x = { bits };

	return x.value;
}

static double f64_of(uint64_t bits)
{
	union {
		uint64_t bits;
		double value;
	} x = { bits };

	return x.value;
}

static bool same32(float a, float b)
{
	return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static bool same64(double a, double b)
{
	return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void test_f32(void)
{
	static const uint32_t odd[] = {
		0,	    0x80000000, 1,	    0x80000001, 0x007fffff,
		0x00800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0x7f800000,
		0xff800000, 0x7fc00000, 0x3f7fffff, 0x3f800001, 0x00400000
	};
	unsigned int wrong = 0;

	for (int i = 0; i < 15; i++) {
		float a = f32_of(odd[i]);

		wrong += !same32(__hexagon_sqrtf(a), sqrtf(a));
		for (int j = 0; j < 15; j++)
			wrong += !same32(__hexagon_divsf3(a, f32_of(odd[j])), a / f32_of(odd[j]));
	}
	for (int i = 0; i < 500000; i++) {
		uint64_t bits = random_bits();
		/* Every third is subnormal on one side or the other. */
		float a = f32_of((uint32_t)bits & (i % 3 ? 0xffffffff : 0x807fffff));
		float b = f32_of((uint32_t)(bits >> 32) & (i % 3 != 1 ? 0xffffffff : 0x80ffffff));

		wrong += !same32(__hexagon_divsf3(a, b), a / b);
		wrong += !same32(__hexagon_sqrtf(fabsf(a)), sqrtf(fabsf(a)));
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_f64(void)
{
	unsigned int wrong = 0;

	for (int i = 0; i < 200000; i++) {
		uint64_t a = random_bits(), b = random_bits();

		if (i % 3 == 0) /* quotients near the subnormals */
			a = (a & ~(0x7ffull << 52)) | (uint64_t)(i % 60) << 52;
		if (i % 6 == 0)
			b = (b & ~(0x7ffull << 52)) | (uint64_t)(1000 + i % 60) << 52;
		wrong += !same64(__hexagon_divdf3(f64_of(a), f64_of(b)), f64_of(a) / f64_of(b));
		if (i % 5 == 0) /* roots of subnormals */
			a &= 0x800fffffffffffffull;
		wrong += !same64(hexagon_sqrt(f64_of(a)), __builtin_sqrt(f64_of(a)));
	}
	for (uint64_t bits = 0; bits < 8; bits++) {
		double a = f64_of(bits >> 2 << 63 | (bits & 3) * 0x3ff8000000000000ull);

		wrong += !same64(hexagon_sqrt(a), __builtin_sqrt(a));
	}
	CU_ASSERT_TRUE(hexagon_sqrt(INFINITY) == INFINITY);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_integers(void)
{
	unsigned int wrong = 0;

	for (int i = 0; i < 200000; i++) {
		uint64_t a = random_bits() >> i % 64, b = random_bits() >> i / 64 % 64;
		int64_t sa = (int64_t)a, sb = (int64_t)b;

		if ((sa == INT64_MIN && sb == -1) || !(uint32_t)b)
			continue;
		wrong += __hexagon_udivdi3(a, b) != a / b || __hexagon_umoddi3(a, b) != a % b;
		wrong += __hexagon_divdi3(sa, sb) != sa / sb || __hexagon_moddi3(sa, sb) != sa % sb;
		wrong += __hexagon_udivsi3((uint32_t)a, (uint32_t)b) != (uint32_t)a / (uint32_t)b;
		wrong += __hexagon_umodsi3((uint32_t)a, (uint32_t)b) != (uint32_t)a % (uint32_t)b;
		if ((int32_t)a == INT32_MIN && (int32_t)b == -1)
			continue;
		wrong += __hexagon_divsi3((int32_t)a, (int32_t)b) != (int32_t)a / (int32_t)b;
		wrong += __hexagon_modsi3((int32_t)a, (int32_t)b) != (int32_t)a % (int32_t)b;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_memory(void)
{
	_Alignas(8) uint8_t bytes[64];
	unsigned int wrong = 0;

	for (size_t from = 0; from < 16; from++)
		for (size_t to = 0; to < 16; to++)
			for (size_t count = 0; count < 40; count++) {
				for (int i = 0; i < 64; i++)
					bytes[i] = (uint8_t)(i * 7);
				memmove(bytes + to, bytes + from, count);
				for (size_t i = 0; i < 64; i++) {
					size_t source =
						i >= to && i < to + count ? i - to + from : i;

					wrong += bytes[i] != (uint8_t)(source * 7);
				}
			}
	CU_ASSERT_PTR_EQUAL(memset(bytes + 3, 0x1a5, 5), bytes + 3);
	for (int i = 3; i < 8; i++)
		wrong += bytes[i] != 0xa5;
	wrong += bytes[2] == 0xa5 || bytes[8] == 0xa5;
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct unit_test tests[] = {
	{ "f32 division and square root", test_f32 },
	{ "f64 division", test_f64 },
	{ "integer division", test_integers },
	{ "memory", test_memory },
};
QEFF_UNIT_MAIN("nsp_hexagon", tests)
