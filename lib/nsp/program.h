/* SPDX-License-Identifier: MIT */
/*
 * The NSP program: what the static constants of a package begin with, and what every NSP
 * interprets.
 *
 * Flat, versioned, relocatable, little-endian. It is validated once, when it is loaded, and then
 * run without parsing. docs/design/nsp-program.md explains the model; this header is the layout and
 * belongs to compiler and card alike, Hexagon included, so it needs nothing but fixed-width
 * integers.
 *
 * Layout of the static constants: header, then the tables it points to, then everything that
 * operations refer to with space QEFF_NSP_CONST: a region shared by all NSPs (vectors, lookup
 * tables), then one region for each NSP with its share of the packed weights.
 */
#ifndef QEFF_NSP_PROGRAM_H
#define QEFF_NSP_PROGRAM_H

#include "nsp/program_nest.h"

#include <stddef.h>
#include <stdint.h>

#define QEFF_NSP_MAGIC	       0x46455153u /* bytes "SQEF" */
#define QEFF_NSP_VERSION_MAJOR 0 /* 1 once the format is stable; another major is refused */
#define QEFF_NSP_VERSION_MINOR 5 /* a larger minor than the reader's is refused */

/* The exec-context major of packages that hold no Hexagon code: no firmware has it. */
#define QEFF_NSP_EXEC_CONTEXT_MAJOR 0x5145

#define QEFF_NSP_MAX_NSPS	   16
#define QEFF_NSP_MAX_SCRATCH_BYTES (8u << 20) /* VTCM */
#define QEFF_NSP_MAX_OPS	   (1u << 20)
#define QEFF_NSP_MAX_TILES	   (1u << 24)
#define QEFF_NSP_MAX_SPECS	   256
#define QEFF_NSP_MAX_PHASES	   (1u << 20)
#define QEFF_NSP_MAX_ROWS	   (1u << 20) /* batch x seq of one specialisation */
#define QEFF_NSP_MAX_POSITIONS	   (1u << 24)
#define QEFF_NSP_MAX_WIDTH	   (1u << 24) /* columns of any operand */
#define QEFF_NSP_PANEL		   32	      /* outputs of a weight panel */
#define QEFF_NSP_PANEL_ROW_BYTES   128

/* A reference: space in bits 63:60, byte offset in bits 55:0. QEFF_NSP_NONE: no operand. */
enum qeff_nsp_space {
	QEFF_NSP_CONST = 0, /* from the first byte of the static constants; read only */
	QEFF_NSP_DDR = 1,   /* from the first byte of the static shared DDR */
};
#define QEFF_NSP_NONE		    UINT64_MAX
#define QEFF_NSP_REF(space, offset) (((uint64_t)(space) << 60) | (uint64_t)(offset))
#define QEFF_NSP_REF_SPACE(ref)	    ((unsigned int)((ref) >> 60))
#define QEFF_NSP_REF_OFFSET(ref)    ((ref)&0x00ffffffffffffffull)

enum qeff_nsp_type {
	QEFF_NSP_F32 = 0,
	QEFF_NSP_F16 = 1,
	QEFF_NSP_BF16 = 2,
	QEFF_NSP_I8 = 3, /* of weights: codes with f32 scales, see "Packing" in the design page */
	QEFF_NSP_I32 = 4,
	QEFF_NSP_I64 = 5,
	QEFF_NSP_MXFP6 = 6,  /* weights only: E2M3, E8M0 scales for 32 of them */
	QEFF_NSP_MXINT8 = 7, /* state only: a row is its int8 elements, then their E8M0 scales */
	/* The rest, and I8: in nests only. */
	QEFF_NSP_U8 = 8,
	QEFF_NSP_I16 = 9,
	QEFF_NSP_U16 = 10,
	QEFF_NSP_U32 = 11,
	QEFF_NSP_U64 = 12,
	QEFF_NSP_F64 = 13,
	QEFF_NSP_BOOL = 14, /* a byte, 0 or 1 */
	QEFF_NSP_TYPES
};

/* How many rows an operation has. */
enum qeff_nsp_domain {
	QEFF_NSP_ROWS_STATIC = 0, /* op.rows of them */
	QEFF_NSP_ROWS_TOKENS = 1, /* the live tokens of this inference, at most op.rows */
	/* The batch entries with at least one live token, at most op.rows. */
	QEFF_NSP_ROWS_SEGMENTS = 2,
};

enum qeff_nsp_code {
	QEFF_NSP_ROWS = 1,
	QEFF_NSP_GATHER = 2,
	QEFF_NSP_MATMUL = 3,
	QEFF_NSP_NORM = 4,
	QEFF_NSP_POINTWISE = 5,
	QEFF_NSP_ROPE = 6,
	QEFF_NSP_SCATTER = 7,
	QEFF_NSP_ATTENTION = 8,
	QEFF_NSP_REDUCE = 9,
	QEFF_NSP_COPY = 10,
	QEFF_NSP_ROUTE = 11,
	QEFF_NSP_EXPERTS = 12,
	QEFF_NSP_MIX = 13,
	QEFF_NSP_NEST = 14, /* this and the next three: program_nest.h */
	QEFF_NSP_PICK = 15,
	QEFF_NSP_PUT = 16,
	QEFF_NSP_SORT = 17,
	QEFF_NSP_BEST = 18,
	QEFF_NSP_SAMPLE = 19,
	QEFF_NSP_MARK = 20,
	QEFF_NSP_PENALISE = 21,
	QEFF_NSP_CODES,
};

/* Functions of one number, for epilogues and pointwise expressions. */
enum qeff_nsp_function {
	QEFF_NSP_IDENTITY = 0,
	QEFF_NSP_RELU = 1,
	QEFF_NSP_SILU = 2,	/* x / (1 + exp(-x)) */
	QEFF_NSP_GELU_ERF = 3,	/* x/2 (1 + erf(x / sqrt 2)) */
	QEFF_NSP_GELU_TANH = 4, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
	QEFF_NSP_TANH = 5,
	QEFF_NSP_SIGMOID = 6,
	QEFF_NSP_EXP = 7,
	QEFF_NSP_ERF = 8,
	QEFF_NSP_SQRT = 9,
	QEFF_NSP_RECIPROCAL = 10,
	QEFF_NSP_NEG = 11,
	QEFF_NSP_ABS = 12,
	QEFF_NSP_LOG = 13,
	QEFF_NSP_FUNCTIONS, /* those that epilogues and POINTWISE know; expressions of NEST have all
			     */
	QEFF_NSP_FLOOR = 14,
	QEFF_NSP_CEIL = 15,
	QEFF_NSP_ROUND = 16, /* half to even */
	QEFF_NSP_TRUNC = 17,
	QEFF_NSP_SIGN = 18,
	QEFF_NSP_IS_NAN = 19,
	QEFF_NSP_IS_INF = 20, /* 1, -1 (minus infinity) or 0 */
	QEFF_NSP_SIN = 21,
	QEFF_NSP_COS = 22,
	QEFF_NSP_TAN = 23,
	QEFF_NSP_ASIN = 24,
	QEFF_NSP_ACOS = 25,
	QEFF_NSP_ATAN = 26,
	QEFF_NSP_SINH = 27,
	QEFF_NSP_COSH = 28,
	QEFF_NSP_ASINH = 29,
	QEFF_NSP_ACOSH = 30,
	QEFF_NSP_ATANH = 31,
	QEFF_NSP_LOG1P = 32,
	QEFF_NSP_ALL_FUNCTIONS
};

/**
 * struct qeff_nsp_operand - rows of numbers somewhere
 * @at: reference of row 0, or QEFF_NSP_NONE
 * @stride_bytes: from a row to the next; 0: every row is row 0 (a vector broadcast over rows)
 * @type: enum qeff_nsp_type
 *
 * @at is a multiple of the element size, as is @stride_bytes.
 */
struct qeff_nsp_operand {
	uint64_t at;
	uint32_t stride_bytes;
	uint8_t type;
	uint8_t reserved[3];
};

/* Retained state [slot, head, position, dim], dim contiguous. The strides are in bytes. */
struct qeff_nsp_state {
	uint64_t at;
	uint64_t slot_stride;
	uint32_t head_stride;
	uint32_t position_stride;
	uint32_t slots;
	uint32_t positions;
	uint8_t type;
	uint8_t reserved[7];
};

/*
 * ROWS: reads the inputs that say which rows live and builds the row table, which the executor
 * keeps to itself. Runs alone in the first phase of every specialisation, as one tile.
 *
 * in[0]: i64 [batch, seq], stride seq * 8: position_ids (dead: -1) or attention_mask (dead: 0; the
 * position of a live token is then the number of live tokens before it in its batch entry).
 *
 * in[1]: i64 [batch] batch_index (slot of each batch entry), or none: slot = batch entry.
 *
 * A position below -1 or >= spec.positions, or a slot outside [0, spec.slots), is a fault.
 */
struct qeff_nsp_rows_params {
	/* in[0] is an attention mask, a row's position is 1: the number of live tokens before it
	 * in its batch entry; 2: its column */
	uint8_t from_mask;
	uint8_t reserved[7];
};

/*
 * GATHER: out[row] (+)= scale * table[index(row)], rows are tokens.
 *
 * in[0]: i64 [batch, seq], stride seq * 8: the index, read at the token's source position; or none
 * with from_position 1 (the token's position) or 2 (always entry 0); or, with from_position 3,
 * i64 [batch], stride 8: the index of the token's batch entry.
 *
 * The table is in the constants, F32, F16 or BF16: row-major at in[1] (stride between entries), or,
 * with packed 1, packed like the weights of a MATMUL with @entries outputs and @width inputs: then
 * in[1] holds only the type (at NONE), tile.data is the panel of entry tile.begin, and tile.begin
 * is a multiple of 32.
 *
 * Tiles cover ranges of entries; a tile handles the rows whose index falls in its range. The tile
 * that ends at @entries also takes indices outside the table: it writes zeros and records a fault.
 */
struct qeff_nsp_gather_params {
	uint32_t entries;
	uint32_t width;
	float scale;
	uint8_t packed;
	uint8_t from_position;
	uint8_t accumulate; /* adds to out instead of replacing it */
	uint8_t reserved;
};

/*
 * MATMUL: out[row, n] = add[row, n] + mul[row, n] * f(bias[n] + sum over k of x[row, k] w[n, k])
 * with k ascending and one accumulator per output.
 *
 * in[0] x; in[1] bias (CONST f32 vector, stride 0) or none; in[2] mul or none; in[3] add or none;
 * out. out may be the same memory as in[2] or in[3], with equal strides and types; not as in[0].
 *
 * With BF16 weights x is rounded to bf16 first, unless @exact.
 *
 * Tiles cover ranges of outputs, begin a multiple of 32, end a multiple of 32 or outputs; tile.data
 * is the first panel of the range, a multiple of 128 bytes in the constants.
 */
struct qeff_nsp_matmul_params {
	uint32_t inputs;      /* K */
	uint32_t outputs;     /* N */
	uint32_t scale_group; /* I8: weights along K that share a scale, a multiple of 32; else 0 */
	uint8_t weight_type;  /* enum qeff_nsp_type: F32, F16, BF16, I8, MXFP6 */
	uint8_t function;     /* enum qeff_nsp_function */
	uint8_t exact;	      /* BF16: they are storage, x stays as it is; else 0 */
	uint8_t reserved;
};

/*
 * NORM: for each row and each of @groups groups of @width columns:
 * RMS    x / sqrt(mean(x^2) + eps) * gamma
 * LAYER  (x - mean) / sqrt(mean((x - mean)^2) + eps) * gamma + beta
 * L2     x / max(sqrt(sum x^2), eps)
 * in[0] x; in[1] gamma or none (1); in[2] beta or none (0), both CONST f32 vectors of @width; out
 * may be x.
 */
enum qeff_nsp_norm { QEFF_NSP_NORM_RMS = 0, QEFF_NSP_NORM_LAYER = 1, QEFF_NSP_NORM_L2 = 2 };
struct qeff_nsp_norm_params {
	uint32_t width;
	uint32_t groups;
	float epsilon;
	uint8_t kind;
	uint8_t reserved[3];
};

/*
 * POINTWISE: an expression over in[0..3], element by element, for @width columns. The instructions
 * stand in the program's expression table; registers 0..3 begin as in[0..3], a register must be set
 * before it is read, and the result is the last instruction's dst.
 *
 * An operand with stride 0 is a vector that every row uses. out may be one of the inputs, with
 * equal strides and types.
 */
enum qeff_nsp_instruction_code {
	QEFF_NSP_I_FUNCTION = 0, /* dst = function b of a */
	QEFF_NSP_I_ADD = 1,
	QEFF_NSP_I_SUB = 2,
	QEFF_NSP_I_MUL = 3,
	QEFF_NSP_I_DIV = 4,
	QEFF_NSP_I_MAX = 5,
	QEFF_NSP_I_MIN = 6,
	QEFF_NSP_I_POW = 7,
	QEFF_NSP_I_CONST = 8, /* dst = imm */
	/* The last one that POINTWISE knows. NEST also has: */
	QEFF_NSP_I_EQUAL = 9, /* comparisons: 1 or 0, and 0 with NaN */
	QEFF_NSP_I_LESS = 10,
	QEFF_NSP_I_LESS_EQUAL = 11,
	QEFF_NSP_I_SELECT = 12, /* dst = a ? b : dst */
	QEFF_NSP_I_MOD = 13,	/* the rest has the sign of b; integers: 0 if b is 0 */
	QEFF_NSP_I_FMOD = 14,	/* the rest has the sign of a */
	/* Bit by bit, in integers only; a shift by less than 0 or more than 63 leaves 0. */
	QEFF_NSP_I_AND = 15,
	QEFF_NSP_I_OR = 16,
	QEFF_NSP_I_XOR = 17,
	QEFF_NSP_I_SHIFT_LEFT = 18,
	QEFF_NSP_I_SHIFT_RIGHT = 19,
	QEFF_NSP_INSTRUCTIONS
};
#define QEFF_NSP_REGISTERS 8
struct qeff_nsp_instruction {
	uint8_t code, dst, a, b;
	float imm;
};
struct qeff_nsp_pointwise_params {
	uint32_t width;
	uint32_t first_instruction;
	uint32_t instructions; /* 1..64 */
};

/*
 * ROPE: rotates pairs of the first @rotary columns of each head by the token's position, from
 * tables of cosines and sines in the constants: f32 [positions, rotary / 2] each (in[1] cos, in[2]
 * sin). Pairs are (i, i + rotary / 2), or (2i, 2i + 1) with interleaved. Other columns are copied.
 *
 * in[0] x; out may be the same. Columns are heads * head_dim wide. Tiles cover ranges of heads.
 */
struct qeff_nsp_rope_params {
	uint32_t heads;
	uint32_t head_dim;
	uint32_t rotary;
	uint32_t positions;
	uint8_t interleaved;
	uint8_t reserved[7];
};

/* SCATTER (CtxScatter): state[slot(row), head, position(row)] = in[0][row, head]. Tiles: ranges of
 * heads. */
struct qeff_nsp_scatter_params {
	struct qeff_nsp_state state;
	uint32_t heads;
	uint32_t dim;
};

/*
 * ATTENTION: softmax(scale * q k^T) v for each row (a token) and head, in one pass over blocks of
 * keys with an online softmax. Head h reads KV head h / (heads / kv_heads). in[0] q [heads *
 * head_dim]; out [heads * value_dim]. Tiles cover ranges of heads.
 *
 * from_state 1: keys and values are retained state; a row sees positions 0 .. its own (causal
 * always).
 *
 * from_state 0: in[1] [kv_heads * head_dim] and in[2] [kv_heads * value_dim] are rows of this
 * inference; a row sees the live tokens of its own batch entry, up to itself if causal.
 *
 * window > 0: only the last window keys up to the row's own, and, unless causal, as many behind it:
 * keys nearer than window. softcap > 0: cap * tanh(score / cap).
 *
 * in[3], or none: f32 [heads] rows of @bias_columns numbers in the constants: a score gets added,
 * after softcap, the one of its head and distance: column key - query + @bias_zero, or the nearest
 * there is; with QEFF_NSP_BIAS_BY_KEY the one of its head and key.
 *
 * from_state 0 and @relative.distances > 0: q k^T becomes q k^T + q r^T + k s^T, where r is the row
 * of
 * @relative.keys and s that of @relative.queries (either may be NONE) which stands at the distance
 * key - query + distances - 1, or the nearest, in @relative.buckets. in[1] is F32 then.
 */
#define QEFF_NSP_BIAS_BY_KEY UINT32_MAX

struct qeff_nsp_relative {
	uint64_t keys;	  /* CONST f32 [rows][heads * head_dim] */
	uint64_t queries; /* the same */
	uint64_t buckets; /* CONST f32 [2 * distances - 1]: numbers of rows */
	uint32_t rows;
	uint32_t distances;
	uint8_t reserved[48];
};
struct qeff_nsp_attention_params {
	union {
		struct {
			struct qeff_nsp_state key;
			struct qeff_nsp_state value;
		};
		struct qeff_nsp_relative relative; /* from_state 0 */
	};
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
	uint32_t value_dim;
	float scale;
	float softcap;
	uint32_t window;
	uint8_t from_state;
	uint8_t causal;
	uint8_t reserved[2];
	uint32_t bias_columns;
	uint32_t bias_zero;
	/* CONST f32 [heads], or 0: for each head the score of a key without a value */
	uint64_t sinks;
};

/* REDUCE: rows are segments: out[segment] = kind over the segment's tokens of in[0] (rows of
 * tokens). */
enum qeff_nsp_reduce {
	QEFF_NSP_REDUCE_MEAN = 0,
	QEFF_NSP_REDUCE_MAX = 1,
	QEFF_NSP_REDUCE_FIRST = 2,
	QEFF_NSP_REDUCE_LAST = 3,
	QEFF_NSP_REDUCE_SUM = 4,
};
struct qeff_nsp_reduce_params {
	uint32_t width;
	uint8_t kind;
	uint8_t reserved[3];
};

/*
 * COPY: out[source(row)] = in[0][row] for live rows, zeros for every other of the @out_rows rows of
 * out: from compacted rows to the shape the application sees. Source is batch * seq + column for
 * tokens, the batch entry for segments, the row itself for static rows.
 *
 * Float types convert into each other and, cut towards zero, into I64 (what is no such number: 0);
 * I32 and I64 are copied as they are. Row parts of its tiles
 * cut the rows of out, dead ones included.
 */
struct qeff_nsp_copy_params {
	uint32_t width;
	uint32_t out_rows;
};

/*
 * ROUTE: which experts a row goes to. in[0] [@experts] scores; out, f32 [2 * @chosen]: the numbers
 * of the experts with the highest scores (of equals the first), highest first, then their weights:
 * softmax over the chosen ones, or, with @all, over all. Without enough scores that are numbers: 0
 * and NaN.
 */
#define QEFF_NSP_MAX_CHOSEN 64
struct qeff_nsp_route_params {
	uint32_t experts;
	uint32_t chosen; /* 1..QEFF_NSP_MAX_CHOSEN, at most experts */
	uint8_t all;
	uint8_t reserved[7];
};

/*
 * EXPERTS: a MATMUL whose weights each row chooses: for j in 0..chosen-1, with e the number j that
 * ROUTE found for the row, out[row, j * outputs + n] = mul[row, j * outputs + n] *
 * f(bias[e, n] + sum over k of x[row, k] w[e, n, k]). Without @shared, x[row, j * inputs + k].
 *
 * in[0] x; in[1] bias (CONST f32, a row for each expert) or none; in[2] mul or none; in[3] what
 * ROUTE wrote. Numbers there that are no expert's count as 0. Tiles are those of MATMUL; in
 * tile.data the panels of all experts stand side by side for each 32 outputs.
 */
struct qeff_nsp_experts_params {
	struct qeff_nsp_matmul_params matmul;
	uint32_t experts;
	uint32_t chosen;
	uint8_t shared;
	uint8_t reserved[7];
};

/* MIX: out[row, n] = add[row, n] + sum over j of weight j * in[0][row, j * width + n], j ascending,
 * with the weights of in[1], which ROUTE wrote. in[2] add or none; out may be in[2]. */
struct qeff_nsp_mix_params {
	uint32_t width;
	uint32_t chosen;
};

/*
 * BEST: of each part of a row, columns [width * p / parts, width * (p + 1) / parts), the @chosen
 * largest numbers, largest first and of equals the first; NaN is none, and where there are too few
 * NaN stands, with column 0. in[0] f32 [@width]; out f32 [@parts * @chosen] numbers, then as many
 * columns, by part. Tiles cover ranges of parts.
 *
 * With @numbered in[0] is such a row itself: behind its @width numbers stand their columns, which
 * are handed on.
 */
struct qeff_nsp_best_params {
	uint32_t width;
	uint32_t parts;
	uint32_t chosen;
	uint8_t numbered;
	uint8_t reserved[3];
};

/*
 * SAMPLE: which of @chosen candidates a row takes; rows are segments. in[0] is what BEST made of
 * one part; out f32 [1], the column taken. Without in[1] that is the first.
 *
 * Else, of the row's batch entry: in[1] f32 [batch] temperature, in[2] i32 [batch] top_k, in[3] f32
 * [batch] top_p, @min_ps f32 [batch], @random_numbers f32 [batch, @chosen], all dense. Temperature
 * 0 takes the first. Else numbers are divided by it; the first top_k stay (all, if that is none of
 * 1..@chosen); p is the softmax of these. From the last on, those go whose p and that of the ones
 * behind come to at most 1 - top_p, and those with p < min_p * the largest p; the first stays. The
 * largest number - log(-log(u)) is taken, of equals the last; u of the last candidate is the first
 * random number.
 *
 * With @width, out is f32 [@width] instead: in each column the probability that it is drawn (with
 * temperature 0 as with 1); there are no random numbers.
 */
struct qeff_nsp_sample_params {
	uint32_t chosen;
	uint32_t width;
	uint64_t min_ps; /* NONE without in[1] */
	uint64_t random_numbers;
};

/*
 * MARK: flags of which tokens a text has: rows are segments; row slot(row) of @flags, BOOL
 * [slots, @width] without gaps in retained state. Where the segment's first token has position 0,
 * the row is cleared. Then the flags of the segment's tokens are set: in[0] i64 [batch, seq],
 * stride seq * 8, read at the tokens' source positions; what is no column sets none. With @decode
 * nothing is set if seq is more than 1.
 */
struct qeff_nsp_mark_params {
	struct qeff_nsp_state flags; /* one position */
	uint32_t width;
	uint8_t decode;
	uint8_t reserved[3];
};

/*
 * PENALISE: rows are segments: out[row] from in[0][row], f32 [@width]: where @masks, BOOL [batch,
 * @width] or NONE, has 0 for the row's batch entry, the number becomes QEFF_NSP_MASKED; where
 * @repetition has a flag of the row's slot, it is divided by in[1] if it is more than 0, else
 * multiplied by it; where @presence has one, in[2] is taken off. in[1], in[2]: f32 [batch], dense.
 * out may be in[0]. Tiles cover ranges of columns.
 */
#define QEFF_NSP_MASKED -65504.0f
struct qeff_nsp_penalise_params {
	struct qeff_nsp_state repetition; /* as of MARK */
	struct qeff_nsp_state presence;
	uint64_t masks;
	uint32_t width;
	uint32_t reserved;
};

/**
 * struct qeff_nsp_op - one operation, shared by its tiles
 * @code: enum qeff_nsp_code
 * @domain: enum qeff_nsp_domain
 * @rows: rows of the operands at most (the static capacity of this specialisation)
 * @name: offset into the string table (a NUL terminated name for tools), or UINT32_MAX
 * @in: @in[i].at is QEFF_NSP_NONE where there is none
 */
struct qeff_nsp_op {
	uint16_t code;
	uint8_t domain;
	uint8_t reserved0;
	uint32_t rows;
	uint32_t name;
	uint32_t reserved1;
	struct qeff_nsp_operand in[4];
	struct qeff_nsp_operand out;
	union {
		struct qeff_nsp_rows_params rows;
		struct qeff_nsp_gather_params gather;
		struct qeff_nsp_matmul_params matmul;
		struct qeff_nsp_norm_params norm;
		struct qeff_nsp_pointwise_params pointwise;
		struct qeff_nsp_rope_params rope;
		struct qeff_nsp_scatter_params scatter;
		struct qeff_nsp_attention_params attention;
		struct qeff_nsp_reduce_params reduce;
		struct qeff_nsp_copy_params copy;
		struct qeff_nsp_route_params route;
		struct qeff_nsp_experts_params experts;
		struct qeff_nsp_mix_params mix;
		struct qeff_nsp_best_params best;
		struct qeff_nsp_sample_params sample;
		struct qeff_nsp_mark_params mark;
		struct qeff_nsp_penalise_params penalise;
		struct qeff_nsp_nest_params nest;
		struct qeff_nsp_pick_params pick; /* PUT, too */
		struct qeff_nsp_sort_params sort;
		uint8_t bytes[128];
	} u;
};

/**
 * struct qeff_nsp_tile - the part of an operation that one NSP does
 * @op: index of the operation
 * @begin, @end: range of outputs (MATMUL), table entries (GATHER), heads (ROPE, SCATTER,
 *ATTENTION), parts (BEST), columns (PENALISE); 0 and 0 for the others, which take whole rows
 * @row_part, @row_parts: rows [live * part / parts, live * (part + 1) / parts) of the rows alive in
 *			  this inference; 0 of 1 is all
 * @data: reference of the packed weights of this range, or QEFF_NSP_NONE
 */
struct qeff_nsp_tile {
	uint32_t op;
	uint32_t begin;
	uint32_t end;
	uint16_t row_part;
	uint16_t row_parts;
	uint64_t data;
};

/**
 * struct qeff_nsp_spec - one specialisation
 * @batch, @seq: shape of the token inputs
 * @positions: positions that ROWS accepts (context length)
 * @slots: slots that ROWS accepts
 * @first_phase, @phases: its phases; specialisations share out the program's phases in order, so
 *			  @first_phase is where the one before ends
 */
struct qeff_nsp_spec {
	uint32_t batch;
	uint32_t seq;
	uint32_t positions;
	uint32_t slots;
	uint32_t first_phase;
	uint32_t phases;
	uint32_t reserved[2];
};

/**
 * struct qeff_nsp_header - the first bytes of the static constants
 * @program_bytes: header and tables; constants proper start behind
 * @const_bytes: the whole static constants
 * @ddr_bytes: static shared DDR: I/O first, then retained state, then the arena
 * @control: offset in DDR of struct qeff_nsp_control (an input), @stats: of struct qeff_nsp_stats
 * (an output)
 * @state_offset, @arena_offset: regions of DDR, multiples of 4096; I/O is [0, @state_offset)
 * @scratch_bytes: per NSP, enough for every operation (checked)
 * @*_offset of tables: from the first byte of the header, multiples of 8
 *
 * The tile table is NSP-major: NSP n's tiles of phase p are tile_index[n * (phases + 1) + p] up to,
 * not including, tile_index[n * (phases + 1) + p + 1]; u32 each.
 */
struct qeff_nsp_header {
	uint32_t magic;
	uint16_t version_major;
	uint16_t version_minor;
	uint64_t program_bytes;
	uint64_t const_bytes;
	uint64_t ddr_bytes;
	uint64_t control;
	uint64_t stats;
	uint64_t state_offset;
	uint64_t arena_offset;
	uint32_t scratch_bytes;
	uint32_t nsps;
	uint32_t specs;
	uint32_t phases;
	uint32_t ops;
	uint32_t tiles;
	uint32_t instructions;
	uint32_t string_bytes;
	uint64_t specs_offset;
	uint64_t ops_offset;
	uint64_t tile_index_offset;
	uint64_t tiles_offset;
	uint64_t instructions_offset;
	uint64_t strings_offset;
	uint64_t nests_offset;
	uint32_t nests;
	uint32_t reserved;
};

/* Written by the host before an inference; all zeros is the first specialisation. */
#define QEFF_NSP_CONTROL_NAME "qeff.control" /* the binding's name in the network descriptor */
struct qeff_nsp_control {
	uint32_t specialisation;
	uint32_t reserved[15];
};

enum qeff_nsp_fault {
	QEFF_NSP_FAULT_NONE = 0,
	QEFF_NSP_FAULT_SPECIALISATION = 1, /* value: the number asked for */
	QEFF_NSP_FAULT_POSITION = 2,	   /* value: the position, row: source row */
	QEFF_NSP_FAULT_SLOT = 3,	   /* value: the slot, row: batch entry */
	QEFF_NSP_FAULT_INDEX = 4, /* GATHER, PICK, PUT: value: the index, row: source row */
	/* Debug: a phase changed arena bytes it did not declare. value: offset in DDR, op: phase.
	 */
	QEFF_NSP_FAULT_POISON = 5,
	/* A transfer of its inputs failed; set by the card. */
	QEFF_NSP_FAULT_INPUT = 6,
};

/* What the NSPs report of each inference: the descriptor's stats buffer. */
struct qeff_nsp_stats {
	uint32_t version; /* 1 */
	uint32_t nsps;
	uint32_t fault; /* enum qeff_nsp_fault; the outputs are undefined unless 0 */
	uint32_t fault_op;
	int64_t fault_value;
	uint32_t fault_row;
	uint32_t tokens;  /* live tokens of this inference */
	uint64_t time_us; /* from input doorbell to last phase */
	uint64_t reserved[3];
	struct {
		uint64_t macs;	/* multiply-accumulates of MATMUL and ATTENTION */
		uint64_t bytes; /* constants, state and activations that tiles read and wrote */
	} nsp[QEFF_NSP_MAX_NSPS];
};

_Static_assert(sizeof(struct qeff_nsp_operand) == 16, "operand layout");
_Static_assert(sizeof(struct qeff_nsp_state) == 40, "state layout");
_Static_assert(sizeof(struct qeff_nsp_op) == 16 + 80 + 128, "op layout");
_Static_assert(sizeof(struct qeff_nsp_relative) == 2 * sizeof(struct qeff_nsp_state),
	       "what distances need takes the place of state");
_Static_assert(sizeof(struct qeff_nsp_attention_params) <= 128, "op parameters fit");
_Static_assert(sizeof(struct qeff_nsp_tile) == 24, "tile layout");
_Static_assert(sizeof(struct qeff_nsp_spec) == 32, "spec layout");
_Static_assert(offsetof(struct qeff_nsp_header, scratch_bytes) == 64, "header layout");
_Static_assert(sizeof(struct qeff_nsp_header) == 160, "header layout");
_Static_assert(sizeof(struct qeff_nsp_control) == 64, "control layout");
_Static_assert(sizeof(struct qeff_nsp_stats) == 64 + 16 * QEFF_NSP_MAX_NSPS, "stats layout");

#endif
