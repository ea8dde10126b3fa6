/* SPDX-License-Identifier: MIT */
/*
 * The part of the program's layout that works on nests of loops: NEST, PICK, PUT and SORT over
 * tensors of any static shape and element type. They know no row table: their domain is
 * QEFF_NSP_ROWS_STATIC and op.rows is 1. Operands have no stride of their own (stride_bytes is 0),
 * operand.at is the element with all indices 0.
 */
#ifndef QEFF_NSP_PROGRAM_NEST_H
#define QEFF_NSP_PROGRAM_NEST_H

#include <stdint.h>

#define QEFF_NSP_MAX_NESTS	(1u << 20)
#define QEFF_NSP_NEST_RANK	12
#define QEFF_NSP_NEST_OUT	4	     /* index of the output's strides */
#define QEFF_NSP_MAX_ITERATIONS (1ull << 40) /* of a nest */

/**
 * struct qeff_nsp_nest - loops, the last one fastest, and how far each operand moves in them
 * @rank: loops
 * @size: iterations of each, at least 1; those behind @rank are 0
 * @stride: in elements, for in[0..3] and out; may be 0 or negative; those behind @rank are 0
 */
struct qeff_nsp_nest {
	uint32_t rank;
	uint32_t reserved;
	uint32_t size[QEFF_NSP_NEST_RANK];
	int64_t stride[QEFF_NSP_NEST_OUT + 1][QEFF_NSP_NEST_RANK];
};

/* What an expression computes in. Integers wrap around. */
enum qeff_nsp_number {
	QEFF_NSP_NUMBER_F32 = 0,
	QEFF_NSP_NUMBER_F64 = 1,
	QEFF_NSP_NUMBER_I64 = 2,
	QEFF_NSP_NUMBER_U64 = 3,
	QEFF_NSP_NUMBERS
};

enum qeff_nsp_fold {
	QEFF_NSP_FOLD_NONE = 0, /* all loops are kept */
	QEFF_NSP_FOLD_SUM = 1,
	QEFF_NSP_FOLD_PRODUCT = 2,
	QEFF_NSP_FOLD_MAX = 3, /* NaN if there is one */
	QEFF_NSP_FOLD_MIN = 4,
	/* The number of the iteration, counted over the loops folded; of equals the first, and with
	 * NaN the first NaN. out is an integer type. */
	QEFF_NSP_FOLD_ARGMAX = 5,
	QEFF_NSP_FOLD_ARGMIN = 6,
	/* ... and of equals the last. */
	QEFF_NSP_FOLD_ARGMAX_LAST = 7,
	QEFF_NSP_FOLD_ARGMIN_LAST = 8,
	QEFF_NSP_FOLDS
};

/*
 * NEST: for each index of the first @kept loops, out = @fold over all indices of the other loops,
 * ascending, of an expression of in[0..3] (see POINTWISE; without instructions, in[0]).
 *
 * Numbers come and go as ONNX's Cast has it: floats are cut to integers (towards zero; beyond the
 * 64 bits to the nearest there is, NaN to 0), integers keep their lowest bits, a BOOL is 0 or 1 and
 * anything but 0 is true.
 *
 * Tiles' row parts cut the strips of the kept loops. out has stride 0 in loops that are folded, and
 * no two kept indices share a place. If out is an input, both have the same strides and type, and
 * nothing is folded.
 */
struct qeff_nsp_nest_params {
	uint32_t nest;
	uint8_t kept;
	uint8_t number; /* enum qeff_nsp_number */
	uint8_t fold;	/* enum qeff_nsp_fold */
	uint8_t reserved;
	uint32_t first_instruction;
	uint32_t instructions; /* 0..64 */
};

#define QEFF_NSP_MAX_COMPONENTS 8

/*
 * PICK: out[i] = data[i + sum over j < @components of index_j(i) * @stride[j]] for each index i of
 * the nest; in[0] data, in[1] indices, I32 or I64; index_j stands @index_stride * j elements behind
 * that of i. Of data the nest's strides give element i.
 *
 * An index below 0 has @limit[j] added once; outside [0, @limit[j]) it is a fault. data and out
 * have one type and are not the same memory. Row parts cut the nest's strips.
 *
 * PUT: the same the other way round: out[i + ...] becomes in[0][i], or, with @fold sum, product,
 * max or min, takes it in, in the nest's order. One tile.
 */
struct qeff_nsp_pick_params {
	uint32_t nest;
	uint8_t components; /* 1..QEFF_NSP_MAX_COMPONENTS */
	uint8_t fold;	    /* PUT: enum qeff_nsp_fold up to MIN; PICK: 0 */
	uint8_t reserved[2];
	int64_t index_stride;
	int64_t stride[QEFF_NSP_MAX_COMPONENTS];
	uint32_t limit[QEFF_NSP_MAX_COMPONENTS]; /* at least 1; 0 behind @components */
};

/*
 * SORT: along the nest's last loop, the @chosen largest (or smallest) of in[0], in that order, and
 * of equals the first one first; NaN counts as largest. out: the numbers, of in[0]'s type, or their
 * positions, I32 or I64. out's last stride is that between results. Row parts cut the other loops.
 */
struct qeff_nsp_sort_params {
	uint32_t nest;
	uint32_t chosen; /* 1..the size of the last loop */
	uint8_t smallest;
	uint8_t positions;
	uint8_t reserved[6];
};

_Static_assert(sizeof(struct qeff_nsp_nest) == 8 + 48 + 480, "nest layout");
_Static_assert(sizeof(struct qeff_nsp_pick_params) == 112, "pick layout");

#endif
