/* SPDX-License-Identifier: MIT */
/*
 * What compiled code calls on Hexagon and no library of the distribution provides: memory
 * functions, division, and the square root.
 *
 * Float results are rounded correctly (to nearest, ties to even), since the executor promises the
 * same bits as on other instruction sets. Bit by bit, so plain rather than fast.
 */
#include <stdint.h>
#include <string.h>

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b);
uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b);
int32_t __hexagon_divsi3(int32_t a, int32_t b);
int32_t __hexagon_modsi3(int32_t a, int32_t b);
uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b);
uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b);
int64_t __hexagon_divdi3(int64_t a, int64_t b);
int64_t __hexagon_moddi3(int64_t a, int64_t b);
float __hexagon_divsf3(float a, float b);
double __hexagon_divdf3(double a, double b);
void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from,
							    uint32_t count);
float __hexagon_sqrtf(float x);
double sqrt(double x);

/* memcpy() and memset() must not become calls of themselves. */
void *memcpy(void *to, const void *from, size_t count)
{
	volatile uint8_t *t = to;
	const uint8_t *f = from;

	if (!(((uintptr_t)to | (uintptr_t)from | count) & 3)) {
		volatile uint32_t *words = to;
		const uint32_t *source = from;

		for (size_t i = 0; i < count / 4; i++)
			words[i] = source[i];
		return to;
	}
	for (size_t i = 0; i < count; i++)
		t[i] = f[i];
	return to;
}

void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from,
							    uint32_t count)
{
	return memcpy(to, from, count);
}

void *memmove(void *to, const void *from, size_t count)
{
	volatile uint8_t *t = to;
	const uint8_t *f = from;

	if ((uintptr_t)to <= (uintptr_t)from)
		return memcpy(to, from, count);
	for (size_t i = count; i > 0; i--)
		t[i - 1] = f[i - 1];
	return to;
}

void *memset(void *to, int value, size_t count)
{
	volatile uint8_t *t = to;

	for (size_t i = 0; i < count; i++)
		t[i] = (uint8_t)value;
	return to;
}

/* Long division: the quotient, and what is left in @rest. */
static uint64_t divide(uint64_t a, uint64_t b, uint64_t *rest)
{
	uint64_t quotient = 0, left = 0;

	for (int bit = 63; bit >= 0; bit--) {
		uint64_t carry = left >> 63;

		left = left << 1 | (a >> bit & 1);
		if (carry || left >= b) {
			left -= b;
			quotient |= 1ull << bit;
		}
	}
	*rest = left;
	return quotient;
}

uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b)
{
	uint64_t rest;

	return divide(a, b, &rest);
}

uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b)
{
	uint64_t rest;

	divide(a, b, &rest);
	return rest;
}

int64_t __hexagon_divdi3(int64_t a, int64_t b)
{
	uint64_t rest;
	uint64_t size = divide(a < 0 ? 0 - (uint64_t)a : (uint64_t)a,
			       b < 0 ? 0 - (uint64_t)b : (uint64_t)b, &rest);

	return (int64_t)((a < 0) != (b < 0) ? 0 - size : size);
}

int64_t __hexagon_moddi3(int64_t a, int64_t b)
{
	uint64_t rest;

	divide(a < 0 ? 0 - (uint64_t)a : (uint64_t)a, b < 0 ? 0 - (uint64_t)b : (uint64_t)b, &rest);
	return (int64_t)(a < 0 ? 0 - rest : rest);
}

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b)
{
	return (uint32_t)__hexagon_udivdi3(a, b);
}

uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b)
{
	return (uint32_t)__hexagon_umoddi3(a, b);
}

int32_t __hexagon_divsi3(int32_t a, int32_t b)
{
	return (int32_t)__hexagon_divdi3(a, b);
}

int32_t __hexagon_modsi3(int32_t a, int32_t b)
{
	return (int32_t)__hexagon_moddi3(a, b);
}

/* A floating-point format: bits of its fraction and of its exponent. */
struct format {
	int fraction, exponent;
};

static const struct format f32 = { 23, 8 }, f64 = { 52, 11 };

/* A finite number other than 0, as fraction * 2^exponent with the fraction's top bit at
 * 2^f.fraction. */
static uint64_t unpack(struct format f, uint64_t bits, int *exponent)
{
	uint64_t fraction = bits & ((1ull << f.fraction) - 1);
	int field = (int)(bits >> f.fraction & ((1ull << f.exponent) - 1));

	*exponent = field ? field : 1;
	if (field)
		return fraction | 1ull << f.fraction;
	while (!(fraction >> f.fraction)) {
		fraction <<= 1;
		--*exponent;
	}
	return fraction;
}

/* Rounds a magnitude to the format. @fraction has two bits below the last of the result, the lowest
 * of them sticky, and its top bit at 2^(f.fraction + 2); @exponent is the biased one. */
static uint64_t pack(struct format f, uint64_t fraction, int exponent)
{
	uint64_t infinity = ((1ull << f.exponent) - 1) << f.fraction, bits;

	for (; exponent < 1; exponent++) {
		fraction = fraction >> 1 | (fraction & 1);
		if (!fraction)
			break;
	}
	if (exponent < 1)
		exponent = 1;
	bits = fraction >> 2;
	/* The leading one, if it is there, carries into the exponent field. */
	bits += (uint64_t)(exponent - 1) << f.fraction;
	if ((fraction & 3) == 3 || ((fraction & 3) == 2 && (bits & 1)))
		bits++;
	return bits < infinity ? bits : infinity;
}

static uint64_t divide_float(struct format f, uint64_t a, uint64_t b)
{
	uint64_t sign = (a ^ b) & 1ull << (f.fraction + f.exponent);
	uint64_t size = (1ull << (f.fraction + f.exponent)) - 1;
	uint64_t infinity = ((1ull << f.exponent) - 1) << f.fraction;
	uint64_t quiet = infinity | 1ull << (f.fraction - 1), quotient = 0;
	int a_exponent, b_exponent, exponent;

	a &= size;
	b &= size;
	if (a > infinity || b > infinity || (a == infinity && b == infinity) || (!a && !b))
		return quiet;
	if (a == infinity || !b)
		return sign | infinity;
	if (!a || b == infinity)
		return sign;
	a = unpack(f, a, &a_exponent);
	b = unpack(f, b, &b_exponent);
	exponent = a_exponent - b_exponent + (1 << (f.exponent - 1)) - 1;
	if (a < b) {
		a <<= 1;
		exponent--;
	}
	for (int bit = f.fraction + 2; bit >= 0; bit--) {
		quotient <<= 1;
		if (a >= b) {
			a -= b;
			quotient |= 1;
		}
		a <<= 1;
	}
	return sign | pack(f, quotient | (a != 0), exponent);
}

float __hexagon_divsf3(float a, float b)
{
	union {
		float value;
		uint32_t bits;
	} x = { a }, y = { b };

	x.bits = (uint32_t)divide_float(f32, x.bits, y.bits);
	return x.value;
}

double __hexagon_divdf3(double a, double b)
{
	union {
		double value;
		uint64_t bits;
	} x = { a }, y = { b };

	x.bits = divide_float(f64, x.bits, y.bits);
	return x.value;
}

/* The root of a positive finite number, pair of bits by pair of bits. */
static uint64_t square_root(struct format f, uint64_t bits)
{
	uint64_t fraction, root = 0, rest = 0;
	int exponent;

	fraction = unpack(f, bits, &exponent);
	exponent -= (1 << (f.exponent - 1)) - 1;
	if (exponent & 1) {
		fraction <<= 1;
		exponent--;
	}
	/* Of fraction * 2^(f.fraction + 4): the result's bits and two behind them. */
	for (int bit = f.fraction + 2; bit >= 0; bit--) {
		int shift = 2 * bit - f.fraction - 4;
		uint64_t pair = shift >= 0 ? fraction >> shift : shift == -1 ? fraction << 1 : 0;
		uint64_t trial = root << 2 | 1;

		rest = rest << 2 | (pair & 3);
		root <<= 1;
		if (rest >= trial) {
			rest -= trial;
			root |= 1;
		}
	}
	return pack(f, root | (rest != 0), exponent / 2 + (1 << (f.exponent - 1)) - 1);
}

float __hexagon_sqrtf(float value)
{
	union {
		float value;
		uint32_t bits;
	} x = { value };

	if (x.bits == 0x80000000 || x.bits == 0 || x.bits == 0x7f800000)
		return value;
	/* negative, or NaN */
	x.bits = x.bits > 0x7f800000 ? 0x7fc00000 : (uint32_t)square_root(f32, x.bits);
	return x.value;
}

double sqrt(double value)
{
	union {
		double value;
		uint64_t bits;
	} x = { value };

	if (x.bits == 1ull << 63 || x.bits == 0 || x.bits == 0x7ff0000000000000ull)
		return value;
	x.bits = x.bits > 0x7ff0000000000000ull ? 0x7ff8000000000000ull : square_root(f64, x.bits);
	return x.value;
}
