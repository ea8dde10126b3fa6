/* SPDX-License-Identifier: MIT */
/*
 * Programs of nests for tests, and one that uses all that nests can: every instruction and function
 * in every class of numbers, every fold both ways, picking, putting, sorting. It has no rows.
 */
#ifndef QEFF_TESTS_NSP_DENSE_H
#define QEFF_TESTS_NSP_DENSE_H

#include "nsp_builder.h"

/* Begins a program without rows. */
static inline void dense_begin(struct nsp_builder *b, uint32_t nsps)
{
	nsp_builder_init(b, nsps);
	nsp_spec(b, 1, 1, 1, 1);
}

/* An operation on loops of these sizes, without operands. */
static inline struct qeff_nsp_op dense_op(struct nsp_builder *b, uint16_t code, uint32_t rank,
					  const uint32_t *size, struct qeff_nsp_nest *nest)
{
	struct qeff_nsp_op op = nsp_op_of(code, QEFF_NSP_ROWS_STATIC, 1);

	*nest = (struct qeff_nsp_nest){ .rank = rank };
	memcpy(nest->size, size, rank * sizeof(*size));
	if (code == QEFF_NSP_NEST) {
		op.u.nest.nest = (uint32_t)(b->nests.size_bytes / sizeof(*nest));
		op.u.nest.kept = (uint8_t)rank;
	} else if (code == QEFF_NSP_SORT) {
		op.u.sort.nest = (uint32_t)(b->nests.size_bytes / sizeof(*nest));
	} else {
		op.u.pick.nest = (uint32_t)(b->nests.size_bytes / sizeof(*nest));
	}
	return op;
}

/* Row-major strides of operand @operand over loops [0, loops). */
static inline void dense_strides(struct qeff_nsp_nest *nest, int operand, uint32_t loops)
{
	int64_t step = 1;

	for (uint32_t i = loops; i--; step *= nest->size[i])
		nest->stride[operand][i] = step;
}

static inline struct qeff_nsp_operand dense_at(uint64_t at, uint8_t type)
{
	return nsp_rows(at, 0, type);
}

static inline void dense_code(struct nsp_builder *b, struct qeff_nsp_op *op,
			      const struct qeff_nsp_instruction *code, uint32_t count)
{
	op->u.nest.first_instruction = (uint32_t)(b->instructions.size_bytes / sizeof(*code));
	op->u.nest.instructions = count;
	qeff_bytes_append(&b->instructions, code, count * sizeof(*code));
}

/* In a phase of its own, cut into @parts. */
static inline void dense_add(struct nsp_builder *b, const struct qeff_nsp_op *op,
			     const struct qeff_nsp_nest *nest, uint16_t parts)
{
	qeff_bytes_append(&b->nests, nest, sizeof(*nest));
	nsp_phase(b);
	nsp_share_rows(b, nsp_op(b, op), 0, QEFF_NSP_NONE, parts);
}

#define DENSE_COUNT 700

struct dense_all {
	struct nsp_builder b;
	uint64_t x, y, index; /* inputs: f32 [DENSE_COUNT] twice, i64 [64] */
};

/* One expression over x and y, or over x alone, into a new tensor of @type. */
static inline uint64_t dense_expression(struct dense_all *d, uint8_t number, uint8_t type,
					const struct qeff_nsp_instruction *code, uint32_t count)
{
	const uint32_t size[] = { 7, DENSE_COUNT / 7 };
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op op = dense_op(&d->b, QEFF_NSP_NEST, 2, size, &nest);

	op.in[0] = dense_at(d->x, QEFF_NSP_F32);
	op.in[1] = dense_at(d->y, QEFF_NSP_F32);
	op.out = dense_at(nsp_arena(&d->b, DENSE_COUNT * 8), type);
	op.u.nest.number = number;
	for (int o = 0; o < 2; o++)
		dense_strides(&nest, o, 2);
	dense_strides(&nest, QEFF_NSP_NEST_OUT, 2);
	dense_code(&d->b, &op, code, count);
	dense_add(&d->b, &op, &nest, 3);
	return op.out.at;
}

/* Every function of a number, and every instruction that the class has. x is in [-1, 1), y in [1,
 * 5), so that nothing is NaN: what NaN's bits are is not promised. */
static inline void dense_expressions(struct dense_all *d, uint8_t number, uint8_t type)
{
	bool floats = number <= QEFF_NSP_NUMBER_F64;
	const uint32_t codes = floats ? QEFF_NSP_I_FMOD + 1 : QEFF_NSP_INSTRUCTIONS;

	for (uint8_t f = 0; f < QEFF_NSP_ALL_FUNCTIONS; f++) {
		/* these want 1 and more, or nothing below -1 */
		bool y = f == QEFF_NSP_LOG || f == QEFF_NSP_SQRT || f == QEFF_NSP_RECIPROCAL ||
			 f == QEFF_NSP_ACOSH;
		const struct qeff_nsp_instruction code = { QEFF_NSP_I_FUNCTION, 2, y, f, 0 };

		/* unsigned: not what lies outside asin's and acosh's ranges */
		if (!floats && (f == QEFF_NSP_ASIN || f == QEFF_NSP_ACOS || f == QEFF_NSP_ATANH))
			continue;
		dense_expression(d, number, type, &code, 1);
	}
	for (uint8_t c = QEFF_NSP_I_ADD; c < codes; c++) {
		const struct qeff_nsp_instruction code[] = {
			{ QEFF_NSP_I_CONST, 2, 0, 0, 3 },
			{ QEFF_NSP_I_MUL, 3, 0, 2, 0 },
			{ QEFF_NSP_I_FUNCTION, 4, 3, QEFF_NSP_ABS, 0 },
			/* a power of what is not negative, a shift by a small number */
			{ c, 2, c == QEFF_NSP_I_POW ? 4 : 3, 1, 2 },
			{ QEFF_NSP_I_ADD, 2, 2, 1, 0 },
		};

		dense_expression(d, number, type, code, 5);
	}
}

/* Every fold of x + y over the rows of [7, 100], which lie side by side, and over its columns. */
static inline void dense_folds(struct dense_all *d, uint8_t number, uint8_t type)
{
	const struct qeff_nsp_instruction code = { QEFF_NSP_I_ADD, 2, 0, 1, 0 };

	for (uint8_t fold = QEFF_NSP_FOLD_SUM; fold < QEFF_NSP_FOLDS; fold++)
		for (int turned = 0; turned < 2; turned++) {
			const uint32_t size[] = { turned ? 100 : 7, turned ? 7 : 100 };
			struct qeff_nsp_nest nest;
			struct qeff_nsp_op op = dense_op(&d->b, QEFF_NSP_NEST, 2, size, &nest);

			op.in[0] = dense_at(d->x, QEFF_NSP_F32);
			op.in[1] = dense_at(d->y, QEFF_NSP_F32);
			for (int o = 0; o < 2; o++) {
				nest.stride[o][turned] = 100;
				nest.stride[o][!turned] = 1;
			}
			/* arg folds say where */
			op.out = dense_at(nsp_arena(&d->b, 100 * 8),
					  fold >= QEFF_NSP_FOLD_ARGMAX ? QEFF_NSP_I64 : type);
			nest.stride[QEFF_NSP_NEST_OUT][0] = 1;
			op.u.nest.kept = 1;
			op.u.nest.number = number;
			op.u.nest.fold = fold;
			dense_code(&d->b, &op, &code, 1);
			dense_add(&d->b, &op, &nest, 2);
		}
}

/* Rows of x by index; sums of what has one index; all in order. */
static inline void dense_choices(struct dense_all *d)
{
	const uint32_t rows[] = { 64, 100 }, all[] = { 7, 100 };
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op op = dense_op(&d->b, QEFF_NSP_PICK, 2, rows, &nest);

	op.in[0] = dense_at(d->x, QEFF_NSP_F32);
	op.in[1] = dense_at(d->index, QEFF_NSP_I64);
	op.out = dense_at(nsp_arena(&d->b, 6400 * 4), QEFF_NSP_F32);
	nest.stride[0][1] = 1;
	nest.stride[1][0] = 1;
	dense_strides(&nest, QEFF_NSP_NEST_OUT, 2);
	op.u.pick = (struct qeff_nsp_pick_params){
		.nest = op.u.pick.nest, .components = 1, .stride = { 100 }, .limit = { 7 }
	};
	dense_add(&d->b, &op, &nest, 4);

	for (uint8_t fold = QEFF_NSP_FOLD_SUM; fold <= QEFF_NSP_FOLD_MIN; fold++) {
		uint64_t picked = op.u.pick.fold ? op.in[0].at : op.out.at;
		struct qeff_nsp_op fill = dense_op(&d->b, QEFF_NSP_NEST, 2, all, &nest);

		fill.in[0] = dense_at(d->y, QEFF_NSP_F32);
		fill.out = dense_at(nsp_arena(&d->b, 700 * 4), QEFF_NSP_F32);
		dense_strides(&nest, 0, 2);
		dense_strides(&nest, QEFF_NSP_NEST_OUT, 2);
		dense_add(&d->b, &fill, &nest, 1);
		op = dense_op(&d->b, QEFF_NSP_PUT, 2, rows, &nest);
		op.in[0] = dense_at(picked, QEFF_NSP_F32);
		op.in[1] = dense_at(d->index, QEFF_NSP_I64);
		op.out = fill.out;
		dense_strides(&nest, 0, 2);
		nest.stride[1][0] = 1;
		nest.stride[QEFF_NSP_NEST_OUT][1] = 1;
		op.u.pick = (struct qeff_nsp_pick_params){ .nest = op.u.pick.nest,
							   .components = 1,
							   .fold = fold,
							   .stride = { 100 },
							   .limit = { 7 } };
		dense_add(&d->b, &op, &nest, 1);
	}
	for (uint8_t i = 0; i < 4; i++) {
		op = dense_op(&d->b, QEFF_NSP_SORT, 2, all, &nest);
		op.in[0] = dense_at(d->x, QEFF_NSP_F32);
		op.out = dense_at(nsp_arena(&d->b, 7 * 9 * 8), i & 1 ? QEFF_NSP_I64 : QEFF_NSP_F32);
		dense_strides(&nest, 0, 2);
		nest.stride[QEFF_NSP_NEST_OUT][0] = 9;
		nest.stride[QEFF_NSP_NEST_OUT][1] = 1;
		op.u.sort.chosen = 9;
		op.u.sort.smallest = i >> 1;
		op.u.sort.positions = i & 1;
		dense_add(&d->b, &op, &nest, 2);
	}
}

/* The operations of the program that tests damage: NEST, a folding NEST, PICK, PUT, SORT. */
enum {
	DENSE_NEST,
	DENSE_FOLD,
	DENSE_PICK,
	DENSE_PUT = DENSE_PICK + 2,
	DENSE_SORT = DENSE_PICK + 9
};

/* @classes: numbers that expressions are computed in, a bit each; 0: a small program. */
static inline uint8_t *dense_layout(struct dense_all *d, uint32_t classes, size_t *bytes)
{
	static const struct qeff_nsp_instruction code[] = {
		{ QEFF_NSP_I_CONST, 4, 0, 0, 0.5f },
		{ QEFF_NSP_I_FUNCTION, 2, 0, QEFF_NSP_SIN, 0 },
		{ QEFF_NSP_I_SELECT, 4, 1, 2, 0 },
	};
	const uint32_t size[] = { DENSE_COUNT };
	struct qeff_nsp_nest nest;
	struct qeff_nsp_op op;

	memset(d, 0, sizeof(*d));
	dense_begin(&d->b, 2);
	d->x = nsp_io(&d->b, DENSE_COUNT * 4);
	d->y = nsp_io(&d->b, DENSE_COUNT * 4);
	d->index = nsp_io(&d->b, 64 * 8);
	if (!classes) {
		dense_expression(d, QEFF_NSP_NUMBER_F32, QEFF_NSP_F32, code, 3);
		op = dense_op(&d->b, QEFF_NSP_NEST, 1, size, &nest);
		op.in[0] = dense_at(d->x, QEFF_NSP_F32);
		op.out = dense_at(nsp_arena(&d->b, 8), QEFF_NSP_F32);
		nest.stride[0][0] = 1;
		op.u.nest.kept = 0;
		op.u.nest.fold = QEFF_NSP_FOLD_SUM;
		dense_add(&d->b, &op, &nest, 1);
		dense_choices(d);
		return nsp_layout(&d->b, bytes);
	}
	if (classes & 1 << QEFF_NSP_NUMBER_F32) {
		dense_expressions(d, QEFF_NSP_NUMBER_F32, QEFF_NSP_F32);
		dense_folds(d, QEFF_NSP_NUMBER_F32, QEFF_NSP_F16);
		dense_choices(d);
	}
	if (classes & 1 << QEFF_NSP_NUMBER_F64) {
		dense_expressions(d, QEFF_NSP_NUMBER_F64, QEFF_NSP_F64);
		dense_folds(d, QEFF_NSP_NUMBER_F64, QEFF_NSP_BF16);
	}
	if (classes & 1 << QEFF_NSP_NUMBER_I64) {
		dense_expressions(d, QEFF_NSP_NUMBER_I64, QEFF_NSP_I32);
		dense_folds(d, QEFF_NSP_NUMBER_I64, QEFF_NSP_I16);
	}
	if (classes & 1 << QEFF_NSP_NUMBER_U64) {
		dense_expressions(d, QEFF_NSP_NUMBER_U64, QEFF_NSP_U64);
		dense_folds(d, QEFF_NSP_NUMBER_U64, QEFF_NSP_U8);
	}
	return nsp_layout(&d->b, bytes);
}

static inline void dense_inputs(const struct dense_all *d, uint8_t *ddr)
{
	float *x = (float *)(ddr + QEFF_NSP_REF_OFFSET(d->x));
	float *y = (float *)(ddr + QEFF_NSP_REF_OFFSET(d->y));
	int64_t *index = (int64_t *)(ddr + QEFF_NSP_REF_OFFSET(d->index));
	uint32_t seed = 7;

	for (int i = 0; i < DENSE_COUNT; i++) {
		x[i] = nsp_random(&seed);
		y[i] = 3 + 2 * nsp_random(&seed);
	}
	for (int i = 0; i < 64; i++)
		index[i] = i % 14 - 7;
}

#endif
