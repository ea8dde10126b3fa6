/* SPDX-License-Identifier: MIT */
/*
 * What each AVX-512 intrinsic of the kernels gives for many operands, as one digest a line: built
 * once with the instructions and once with immintrin.h of this folder, it must print the same.
 *
 * Operands are random bits, so every kind of number occurs; NaNs count as one, since which of two
 * an operation hands on is not promised.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define VECTORS 4000

static uint64_t state = 1, digest;

static uint32_t random_bits(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 32);
}

/* Numbers of like size half of the time, so that sums cancel and halves neither vanish nor
 * overflow. */
static __m512i random_vector(void)
{
	uint32_t lanes[16];
	__m512i vector;

	for (int i = 0; i < 16; i++) {
		lanes[i] = random_bits();
		if (i & 1)
			lanes[i] = (lanes[i] & 0x83ffffff) | 0x3c000000;
	}
	memcpy(&vector, lanes, sizeof(vector));
	return vector;
}

static __m512 random_floats(void)
{
	__m512i bits = random_vector();
	__m512 vector;

	memcpy(&vector, &bits, sizeof(vector));
	return vector;
}

static void take(const void *value, size_t bytes)
{
	const uint8_t *at = value;

	for (size_t i = 0; i < bytes; i++)
		digest = (digest ^ at[i]) * 1099511628211ull;
}

static void take_floats(__m512 value)
{
	float lanes[16];

	memcpy(lanes, &value, sizeof(lanes));
	for (int i = 0; i < 16; i++) {
		if (lanes[i] != lanes[i])
			lanes[i] = __builtin_nanf("");
		take(&lanes[i], sizeof(lanes[i]));
	}
}

enum intrinsic { DPBUSD, SUB_XOR_SRLI, TO_I16, TO_I8, TO_F16, FROM_F16, FMADD, SQRT, DPBF16 };

static const char *const names[] = { "dpbusd",	      "sub, xor, srli", "cvtepi32_epi16",
				     "cvtepi32_epi8", "cvtps_ph",	"cvtph_ps",
				     "fmadd_ps",      "sqrt_ps",	"dpbf16_ps" };

static void try(enum intrinsic which)
{
	__m512i a = random_vector(), b = random_vector(), c = random_vector();
	__m512 x = random_floats(), y = random_floats(), z = random_floats();
	__m256i words;
	__m128i bytes;

	switch (which) {
	case DPBUSD:
		c = _mm512_dpbusd_epi32(c, a, b);
		take(&c, sizeof(c));
		break;
	case SUB_XOR_SRLI:
		c = _mm512_sub_epi32(_mm512_xor_si512(a, b), _mm512_srli_epi32(c, 16));
		take(&c, sizeof(c));
		break;
	case TO_I16:
		words = _mm512_cvtepi32_epi16(a);
		take(&words, sizeof(words));
		break;
	case TO_I8:
		bytes = _mm512_cvtepi32_epi8(a);
		take(&bytes, sizeof(bytes));
		break;
	case TO_F16:
		words = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
		take(&words, sizeof(words));
		break;
	case FROM_F16:
		take_floats(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)));
		break;
	case FMADD:
		take_floats(_mm512_fmadd_ps(x, y, z));
		break;
	case SQRT:
		take_floats(_mm512_sqrt_ps(x));
		break;
	case DPBF16:
		take_floats(_mm512_dpbf16_ps(x, (__m512bh)a, (__m512bh)b));
		break;
	}
}

int main(void)
{
	for (enum intrinsic which = DPBUSD; which <= DPBF16; which++) {
		state = 1;
		digest = 14695981039346656037ull;
		for (int n = 0; n < VECTORS; n++)
			try(which);
		printf("%s: %016llx\n", names[which], (unsigned long long)digest);
	}
	return 0;
}
