/* SPDX-License-Identifier: MIT */
/*
 * f16 and bf16 as storage: conversions to and from f32, one number at a time.
 *
 * Round to nearest even, overflow to infinity, subnormals kept, NaNs quieted with the upper bits of
 * their payload: bit for bit what F16C instructions do, so that vector and scalar code agree.
 * Freestanding.
 */
#ifndef QEFF_NSP_HALF_H
#define QEFF_NSP_HALF_H

#include <stdint.h>

static inline uint32_t qeff_f32_bits(float value)
{
	uint32_t bits;

	__builtin_memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline float qeff_f32_of_bits(uint32_t bits)
{
	float value;

	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline float qeff_bf16_to_f32(uint16_t half)
{
	return qeff_f32_of_bits((uint32_t)half << 16);
}

static inline uint16_t qeff_f32_to_bf16(float value)
{
	uint32_t bits = qeff_f32_bits(value);

	if ((bits & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Without branches, so that loops over it become vectors. */
static inline float qeff_f16_to_f32(uint16_t half)
{
	uint32_t magnitude = half & 0x7fff;
	uint32_t normal = (magnitude << 13) + (112 << 23);
	uint32_t special = 0x7f800000 | magnitude << 13 | (magnitude > 0x7c00 ? 0x400000 : 0);
	/* Zero or subnormal: a multiple of 2^-24, exact in f32. */
	uint32_t tiny = qeff_f32_bits((float)(int32_t)magnitude * 0x1p-24f);
	uint32_t bits = magnitude < 0x400 ? tiny : magnitude < 0x7c00 ? normal : special;

	return qeff_f32_of_bits((uint32_t)(half & 0x8000) << 16 | bits);
}

static inline uint16_t qeff_f32_to_f16(float value)
{
	uint32_t bits = qeff_f32_bits(value);
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	uint32_t magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | (uint16_t)(magnitude >> 13 & 0x3ff);
	if (magnitude >= 0x477ff000) /* 65520: half way past the largest f16 */
		return sign | 0x7c00;
	if (magnitude < 0x38800000) {
		/* Below 2^-14: the sum's last bit is worth 2^-24, so the addition rounds for us. */
		float sum = qeff_f32_of_bits(magnitude) + 0.5f;

		return sign | (uint16_t)(qeff_f32_bits(sum) - 0x3f000000);
	}
	magnitude += 0xfff + (magnitude >> 13 & 1);
	return sign | (uint16_t)((magnitude >> 13) - (112 << 10));
}

#endif
