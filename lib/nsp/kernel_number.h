/* SPDX-License-Identifier: MIT */
/*
 * Numbers of one class (enum qeff_nsp_number): loading, storing, instructions, folds.
 * kernel_numbers.h defines what each class is, and includes this once for each:
 *
 * NUMBER		names: NUMBER(load), ...
 * NUMBER_T		the C type
 * NUMBER_TYPE		the same as it is stored
 * NUMBER_FLOAT		1 for floats, 0 for integers
 * NUMBER_SIGNED	1 if there are negative ones
 * NUMBER_POWER		(x, y): x to the power of y
 * NUMBER_APPLY		functions that epilogues know, in place over many numbers, if there is a
 * faster way
 */
#include "nsp/nest.h"
#include "nsp/nsp_math.h"
#include "nsp/nsp_math_f64.h"

#include <string.h>

#ifndef QEFF_NSP_KERNEL_NUMBER_ONCE
#define QEFF_NSP_KERNEL_NUMBER_ONCE

#define NSP_UNUSED __attribute__((unused))

/* As the design page says: towards zero, to the nearest there is, NaN to 0. */
static inline NSP_UNUSED int64_t nsp_to_i64(double x)
{
	if (x >= 0x1p+63)
		return INT64_MAX;
	if (x <= -0x1p+63)
		return INT64_MIN;
	return x == x ? (int64_t)x : 0;
}

static inline NSP_UNUSED uint64_t nsp_to_u64(double x)
{
	if (x >= 0x1p+64)
		return UINT64_MAX;
	if (x >= 0x1p+63)
		return (uint64_t)(int64_t)(x - 0x1p+63) + (1ull << 63);
	return (uint64_t)nsp_to_i64(x);
}

/* To f32 with the last bit standing for all that was cut off, so that the next rounding, to a half,
 * is the only one. */
static inline NSP_UNUSED float nsp_to_odd(double x)
{
	float near = (float)x;
	uint32_t bits = qeff_f32_bits(near);

	if ((double)near == x || x != x || (bits & 0x7fffffff) == 0x7f800000)
		return near;
	if (nsp_f64_abs((double)near) > nsp_f64_abs(x))
		bits--;
	return qeff_f32_of_bits(bits | 1);
}

static inline NSP_UNUSED int64_t nsp_power_i64(int64_t base, int64_t exponent)
{
	uint64_t b = (uint64_t)base, power = 1;

	if (exponent < 0)
		return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
	for (; exponent; exponent >>= 1, b *= b)
		if (exponent & 1)
			power *= b;
	return (int64_t)power;
}

static inline NSP_UNUSED uint64_t nsp_power_u64(uint64_t base, uint64_t exponent)
{
	uint64_t power = 1;

	for (; exponent; exponent >>= 1, base *= base)
		if (exponent & 1)
			power *= base;
	return power;
}
#endif

#if NUMBER_FLOAT
#define OF_FLOAT(x) ((NUMBER_T)(x))
#elif NUMBER_SIGNED
#define OF_FLOAT(x) nsp_to_i64((double)(x))
#else
#define OF_FLOAT(x) nsp_to_u64((double)(x))
#endif
#if NUMBER_SIGNED
#define NEGATIVE(x) ((x) < 0)
#else
#define NEGATIVE(x) 0
#endif

#define LOAD(type, expression)                                                                     \
	do {                                                                                       \
		const type *at = from;                                                             \
                                                                                                   \
		for (uint32_t i = 0; i < count; i++) {                                             \
			const type x = at[i * stride];                                             \
                                                                                                   \
			to[i] = expression;                                                        \
		}                                                                                  \
	} while (0)

/* @count numbers of storage @type, @stride elements apart. */
static NSP_UNUSED void NUMBER(load_strided)(NUMBER_T *to, const void *from, unsigned int type,
					    int64_t stride, uint32_t count)
{
	switch (type) {
	case QEFF_NSP_F32:
		LOAD(float, OF_FLOAT(x));
		break;
	case QEFF_NSP_F16:
		LOAD(uint16_t, OF_FLOAT(qeff_f16_to_f32(x)));
		break;
	case QEFF_NSP_BF16:
		LOAD(uint16_t, OF_FLOAT(qeff_bf16_to_f32(x)));
		break;
	case QEFF_NSP_F64:
		LOAD(double, OF_FLOAT(x));
		break;
	case QEFF_NSP_I8:
		LOAD(int8_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_U8:
		LOAD(uint8_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_I16:
		LOAD(int16_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_U16:
		LOAD(uint16_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_I32:
		LOAD(int32_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_U32:
		LOAD(uint32_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_I64:
		LOAD(int64_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_U64:
		LOAD(uint64_t, (NUMBER_T)x);
		break;
	case QEFF_NSP_BOOL:
		LOAD(uint8_t, (NUMBER_T)(x != 0));
		break;
	}
}
#undef LOAD

static NSP_UNUSED void NUMBER(load)(NUMBER_T *to, const void *from, unsigned int type,
				    int64_t stride, uint32_t count)
{
	if (!stride && count > 1) {
		NUMBER(load_strided)(to, from, type, 0, 1);
		for (uint32_t i = 1; i < count; i++)
			to[i] = to[0];
		return;
	}
	NUMBER(load_strided)(to, from, type, stride, count);
}

#define STORE(type, expression)                                                                    \
	do {                                                                                       \
		type *at = to;                                                                     \
                                                                                                   \
		for (uint32_t i = 0; i < count; i++) {                                             \
			const NUMBER_T x = from[i];                                                \
                                                                                                   \
			at[i * stride] = (type)(expression);                                       \
		}                                                                                  \
	} while (0)
#if NUMBER_FLOAT
#define TO_INTEGER nsp_to_i64((double)x)
#define TO_U64	   nsp_to_u64((double)x)
#else
#define TO_INTEGER x
#define TO_U64	   x
#endif

static NSP_UNUSED void NUMBER(store)(void *to, unsigned int type, int64_t stride,
				     const NUMBER_T *from, uint32_t count)
{
	switch (type) {
	case QEFF_NSP_F32:
		STORE(float, x);
		break;
	case QEFF_NSP_F16:
		STORE(uint16_t, qeff_f32_to_f16(nsp_to_odd((double)x)));
		break;
	case QEFF_NSP_BF16:
		STORE(uint16_t, qeff_f32_to_bf16(nsp_to_odd((double)x)));
		break;
	case QEFF_NSP_F64:
		STORE(double, x);
		break;
	case QEFF_NSP_I8:
	case QEFF_NSP_U8:
		STORE(uint8_t, TO_INTEGER);
		break;
	case QEFF_NSP_I16:
	case QEFF_NSP_U16:
		STORE(uint16_t, TO_INTEGER);
		break;
	case QEFF_NSP_I32:
	case QEFF_NSP_U32:
		STORE(uint32_t, TO_INTEGER);
		break;
	case QEFF_NSP_I64:
		STORE(int64_t, TO_INTEGER);
		break;
	case QEFF_NSP_U64:
		STORE(uint64_t, TO_U64);
		break;
	case QEFF_NSP_BOOL:
		STORE(uint8_t, x != 0);
		break;
	}
}
#undef STORE
#undef TO_INTEGER
#undef TO_U64

/* What addition and the like are in this class. */
#if NUMBER_FLOAT
#define IS_NAN(x)   ((x) != (x))
#define PLUS(x, y)  ((x) + (y))
#define MINUS(x, y) ((x) - (y))
#define TIMES(x, y) ((x) * (y))
#else
#define IS_NAN(x)   0
#define PLUS(x, y)  ((NUMBER_T)((uint64_t)(x) + (uint64_t)(y)))
#define MINUS(x, y) ((NUMBER_T)((uint64_t)(x) - (uint64_t)(y)))
#define TIMES(x, y) ((NUMBER_T)((uint64_t)(x) * (uint64_t)(y)))
#endif
/* NaN in either is NaN. */
#define LARGER(x, y)  (IS_NAN(x) || (x) > (y) ? (x) : (y))
#define SMALLER(x, y) (IS_NAN(x) || (x) < (y) ? (x) : (y))

static inline NSP_UNUSED NUMBER_T NUMBER(fold)(unsigned int fold, NUMBER_T sum, NUMBER_T x)
{
	switch (fold) {
	case QEFF_NSP_FOLD_SUM:
		return PLUS(sum, x);
	case QEFF_NSP_FOLD_PRODUCT:
		return TIMES(sum, x);
	case QEFF_NSP_FOLD_MAX:
		return LARGER(sum, x);
	case QEFF_NSP_FOLD_MIN:
		return SMALLER(sum, x);
	default:
		return x;
	}
}

#define FOLD(expression)                                                                           \
	do {                                                                                       \
		for (uint32_t i = 0; i < count; i++)                                               \
			sum[i] = (NUMBER_T)(expression);                                           \
	} while (0)

/* Each of @x into its own sum. */
static NSP_UNUSED void NUMBER(fold_all)(unsigned int fold, NUMBER_T *sum, const NUMBER_T *x,
					uint32_t count)
{
	switch (fold) {
	case QEFF_NSP_FOLD_SUM:
		FOLD(PLUS(sum[i], x[i]));
		break;
	case QEFF_NSP_FOLD_PRODUCT:
		FOLD(TIMES(sum[i], x[i]));
		break;
	case QEFF_NSP_FOLD_MAX:
		FOLD(LARGER(sum[i], x[i]));
		break;
	case QEFF_NSP_FOLD_MIN:
		FOLD(SMALLER(sum[i], x[i]));
		break;
	}
}
#undef FOLD

/* Whether @x takes the place of @best, which came before. */
static inline NSP_UNUSED bool NUMBER(better)(unsigned int fold, NUMBER_T x, NUMBER_T best)
{
	if (IS_NAN(x))
		return !IS_NAN(best);
	switch (fold) {
	case QEFF_NSP_FOLD_ARGMAX:
		return x > best;
	case QEFF_NSP_FOLD_ARGMIN:
		return x < best;
	case QEFF_NSP_FOLD_ARGMAX_LAST:
		return x >= best;
	default:
		return x <= best;
	}
}

static inline NSP_UNUSED NUMBER_T NUMBER(divide)(NUMBER_T x, NUMBER_T y)
{
#if NUMBER_FLOAT
	return x / y;
#else
	if (!y)
		return 0;
	/* The least number divided by -1 wraps around. */
	if (NUMBER_SIGNED && y == (NUMBER_T)-1)
		return MINUS((NUMBER_T)0, x);
	return x / y;
#endif
}

/* The rest with the sign of @x. */
static inline NSP_UNUSED NUMBER_T NUMBER(rest)(NUMBER_T x, NUMBER_T y)
{
#if NUMBER_FLOAT
	return (NUMBER_T)nsp_f64_fmod((double)x, (double)y);
#else
	return !y || (NUMBER_SIGNED && y == (NUMBER_T)-1) ? 0 : x % y;
#endif
}

static inline NSP_UNUSED NUMBER_T NUMBER(modulo)(NUMBER_T x, NUMBER_T y)
{
	NUMBER_T rest = NUMBER(rest)(x, y);

	return rest != 0 && NEGATIVE(rest) != NEGATIVE(y) ? rest + y : rest;
}

static inline NSP_UNUSED NUMBER_T NUMBER(function)(unsigned int function, NUMBER_T x)
{
#if NUMBER_FLOAT
	return (NUMBER_T)nsp_f64_function(function, (double)x);
#else
	switch (function) {
	case QEFF_NSP_IDENTITY:
	case QEFF_NSP_FLOOR:
	case QEFF_NSP_CEIL:
	case QEFF_NSP_ROUND:
	case QEFF_NSP_TRUNC:
		return x;
	case QEFF_NSP_NEG:
		return MINUS((NUMBER_T)0, x);
	case QEFF_NSP_ABS:
		return NEGATIVE(x) ? MINUS((NUMBER_T)0, x) : x;
	case QEFF_NSP_RELU:
		return NEGATIVE(x) ? 0 : x;
	case QEFF_NSP_SIGN:
		return NEGATIVE(x) ? (NUMBER_T)-1 : x != 0;
	default:
		return OF_FLOAT(nsp_f64_function(function, (double)x));
	}
#endif
}

static NSP_UNUSED void NUMBER(apply)(unsigned int function, NUMBER_T *dst, const NUMBER_T *a,
				     uint32_t count)
{
#ifdef NUMBER_APPLY
	if (function < QEFF_NSP_FUNCTIONS) {
		if (dst != a)
			memcpy(dst, a, count * sizeof(*dst));
		NUMBER_APPLY(function, dst, count);
		return;
	}
#endif
	for (uint32_t i = 0; i < count; i++)
		dst[i] = NUMBER(function)(function, a[i]);
}

/* Binary instructions, element by element: a switch around loops, not the other way round. */
#define EACH(expression)                                                                           \
	do {                                                                                       \
		for (uint32_t i = 0; i < count; i++) {                                             \
			const NUMBER_T x = a[i], y = b[i];                                         \
                                                                                                   \
			dst[i] = (NUMBER_T)(expression);                                           \
		}                                                                                  \
	} while (0)

static NSP_UNUSED void NUMBER(execute)(const struct qeff_nsp_instruction *instruction,
				       NUMBER_T *dst, const NUMBER_T *a, const NUMBER_T *b,
				       uint32_t count)
{
	switch (instruction->code) {
	case QEFF_NSP_I_FUNCTION:
		NUMBER(apply)(instruction->b, dst, a, count);
		break;
	case QEFF_NSP_I_ADD:
		EACH(PLUS(x, y));
		break;
	case QEFF_NSP_I_SUB:
		EACH(MINUS(x, y));
		break;
	case QEFF_NSP_I_MUL:
		EACH(TIMES(x, y));
		break;
	case QEFF_NSP_I_DIV:
		EACH(NUMBER(divide)(x, y));
		break;
	case QEFF_NSP_I_MAX:
		EACH(LARGER(x, y));
		break;
	case QEFF_NSP_I_MIN:
		EACH(SMALLER(x, y));
		break;
	case QEFF_NSP_I_POW:
		EACH(NUMBER_POWER(x, y));
		break;
	case QEFF_NSP_I_CONST: {
		const NUMBER_T number = OF_FLOAT(instruction->imm);

		for (uint32_t i = 0; i < count; i++)
			dst[i] = number;
		break;
	}
	case QEFF_NSP_I_EQUAL:
		EACH(x == y);
		break;
	case QEFF_NSP_I_LESS:
		EACH(x < y);
		break;
	case QEFF_NSP_I_LESS_EQUAL:
		EACH(x <= y);
		break;
	case QEFF_NSP_I_SELECT:
		EACH(x != 0 ? y : dst[i]);
		break;
	case QEFF_NSP_I_MOD:
		EACH(NUMBER(modulo)(x, y));
		break;
	case QEFF_NSP_I_FMOD:
		EACH(NUMBER(rest)(x, y));
		break;
#if !NUMBER_FLOAT
	case QEFF_NSP_I_AND:
		EACH(x & y);
		break;
	case QEFF_NSP_I_OR:
		EACH(x | y);
		break;
	case QEFF_NSP_I_XOR:
		EACH(x ^ y);
		break;
	case QEFF_NSP_I_SHIFT_LEFT:
		EACH((uint64_t)y < 64 ? (uint64_t)x << (uint64_t)y : 0);
		break;
	case QEFF_NSP_I_SHIFT_RIGHT:
		EACH((uint64_t)y < 64 ? x >> y : 0);
		break;
#endif
	}
}
#undef EACH
