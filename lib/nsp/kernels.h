/* SPDX-License-Identifier: MIT */
/*
 * What the executor and the operations share: the instance, one tile's view of it, and the table of
 * operations that exists once for each instruction set. Private to this folder (and to tests that
 * need a faulty table).
 *
 * The op_*.c files are compiled once per instruction set, with QEFF_NSP_ISA naming it; NSP_NAME()
 * gives each copy its own symbols.
 */
#ifndef QEFF_NSP_KERNELS_H
#define QEFF_NSP_KERNELS_H

#include "nsp/exec.h"
#include "nsp/mx.h"

/* A live position of the token inputs. */
struct nsp_token {
	uint32_t source; /* batch entry * seq + column */
	uint32_t slot;
	uint32_t position;
	uint32_t segment;
};

/* A batch entry with live tokens [first, first + count). */
struct nsp_segment {
	uint32_t source;
	uint32_t first;
	uint32_t count;
};

/* On a cache line of its own, since NSPs count at the same time. */
struct nsp_counters {
	uint64_t macs;
	uint64_t bytes;
} __attribute__((aligned(64)));

struct qeff_nsp_instance {
	struct qeff_nsp_program program;
	const struct qeff_nsp_kernels *kernels;
	uint8_t *ddr;
	const struct qeff_nsp_spec *spec; /* of the current inference; NULL: none was chosen */
	uint64_t inference;		  /* no other in the process has the number */
	uint32_t tokens;
	uint32_t segments;
	struct nsp_token *token;
	struct nsp_segment *segment;
	uint32_t fault_taken; /* atomic: whoever sets it writes the fault */
	uint32_t fault;
	uint32_t fault_op;
	uint32_t fault_row;
	int64_t fault_value;
	struct nsp_counters counters[QEFF_NSP_MAX_NSPS];
};

/**
 * struct nsp_run - one tile about to run
 * @first, @end: its rows, after row parts were cut
 */
struct nsp_run {
	struct qeff_nsp_instance *instance;
	const struct qeff_nsp_op *op;
	const struct qeff_nsp_tile *tile;
	struct nsp_counters *counters;
	uint8_t *scratch;
	struct qeff_nsp_staged *staged; /* what stands in scratch */
	uint32_t phase;
	uint32_t first;
	uint32_t end;
};

#define NSP_CODES QEFF_NSP_CODES

struct qeff_nsp_kernels {
	const char *name;
	void (*run[NSP_CODES])(const struct nsp_run *run);
};

/* Rows alive in @domain in the current inference. */
static inline uint32_t nsp_live(const struct qeff_nsp_instance *instance,
				const struct qeff_nsp_op *op)
{
	switch (op->domain) {
	case QEFF_NSP_ROWS_TOKENS:
		return instance->tokens;
	case QEFF_NSP_ROWS_SEGMENTS:
		return instance->segments;
	default:
		return op->rows;
	}
}

/* The tiles [first, end) of an NSP in a phase of the current specialisation. */
void qeff_nsp_tiles(const struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp,
		    uint32_t *first, uint32_t *end);
/* The rows [first, end) of a tile: its part of the rows alive (COPY: of the rows of its output). */
void qeff_nsp_tile_rows(const struct qeff_nsp_instance *instance, const struct qeff_nsp_op *op,
			const struct qeff_nsp_tile *tile, uint32_t *first, uint32_t *end);

static inline const uint8_t *nsp_at(const struct nsp_run *run, uint64_t reference)
{
	const uint8_t *base = QEFF_NSP_REF_SPACE(reference) == QEFF_NSP_CONST
				      ? run->instance->program.constants
				      : run->instance->ddr;

	return base + QEFF_NSP_REF_OFFSET(reference);
}

static inline const uint8_t *nsp_in(const struct nsp_run *run, const struct qeff_nsp_operand *in,
				    uint32_t row)
{
	return nsp_at(run, in->at) + (uint64_t)row * in->stride_bytes;
}

static inline uint8_t *nsp_out(const struct nsp_run *run, uint32_t row)
{
	const struct qeff_nsp_operand *out = &run->op->out;

	return run->instance->ddr + QEFF_NSP_REF_OFFSET(out->at) +
	       (uint64_t)row * out->stride_bytes;
}

/* Row of a retained state: [slot, head, position]. */
static inline uint64_t nsp_state_offset(const struct qeff_nsp_state *state, uint32_t slot,
					uint32_t head, uint32_t position)
{
	return QEFF_NSP_REF_OFFSET(state->at) + slot * state->slot_stride +
	       (uint64_t)head * state->head_stride + (uint64_t)position * state->position_stride;
}

static inline uint32_t nsp_type_bytes(unsigned int type)
{
	static const uint8_t bytes[] = {
		[QEFF_NSP_F32] = 4, [QEFF_NSP_F16] = 2, [QEFF_NSP_BF16] = 2,   [QEFF_NSP_I8] = 1,
		[QEFF_NSP_I32] = 4, [QEFF_NSP_I64] = 8, [QEFF_NSP_MXINT8] = 1, /* alignment */
		[QEFF_NSP_U8] = 1,  [QEFF_NSP_I16] = 2, [QEFF_NSP_U16] = 2,    [QEFF_NSP_U32] = 4,
		[QEFF_NSP_U64] = 8, [QEFF_NSP_F64] = 8, [QEFF_NSP_BOOL] = 1,
	};

	return bytes[type];
}

/* @columns numbers side by side. */
static inline uint64_t nsp_row_bytes(unsigned int type, uint64_t columns)
{
	return type == QEFF_NSP_MXINT8 ? qeff_mxint8_row_bytes(columns)
				       : columns * nsp_type_bytes(type);
}

/* Weights that meet activations as int8 codes. */
static inline bool qeff_nsp_takes_codes(unsigned int weight_type)
{
	return weight_type == QEFF_NSP_I8 || weight_type == QEFF_NSP_MXFP6;
}

/* Indices come from memory that others may write meanwhile: read once, then checked. */
static inline int64_t nsp_read_i64(const uint8_t *at)
{
	return *(const volatile int64_t *)at;
}

/* The keys [first, end) that a token sees: positions of retained state, or tokens counted from the
 * first of its batch entry. Returns the token's own number among them. */
static inline uint32_t nsp_visible(const struct qeff_nsp_instance *instance,
				   const struct qeff_nsp_attention_params *p, uint32_t row,
				   uint32_t *first, uint32_t *end)
{
	const struct nsp_token *token = &instance->token[row];
	const struct nsp_segment *segment = &instance->segment[token->segment];
	uint32_t own = p->from_state ? token->position : row - segment->first;

	*first = p->window && own >= p->window ? own - p->window + 1 : 0;
	*end = p->from_state || p->causal ? own + 1 : segment->count;
	if (p->window && *end > own && *end - own > p->window)
		*end = own + p->window;
	return own;
}

/* How MATMUL cuts its rows: as many at once as the scratch for them stays moderate. A property of
 * the operation, so that the validator knows the scratch it needs. */
struct nsp_matmul_plan {
	uint32_t rows;	       /* at once */
	uint32_t inputs;       /* columns of a staged row: K, for I8 rounded up to a block */
	uint64_t sums_bytes;   /* accumulators */
	uint64_t weight_bytes; /* one unpacked piece of a panel */
	uint64_t row_bytes;    /* one staged row of x */
	uint64_t bytes;	       /* all of it */
};
struct nsp_matmul_plan qeff_nsp_matmul_plan(const struct qeff_nsp_op *op);

/* EXPERTS, for one row and one expert: a MATMUL of that row. */
static inline struct qeff_nsp_op nsp_expert_matmul(const struct qeff_nsp_op *op)
{
	struct qeff_nsp_op one = *op;

	one.code = QEFF_NSP_MATMUL;
	one.domain = QEFF_NSP_ROWS_STATIC;
	one.rows = 1;
	one.in[3] = (struct qeff_nsp_operand){ .at = QEFF_NSP_NONE };
	one.u.matmul = op->u.experts.matmul;
	return one;
}

/* ATTENTION's blocks: 64 keys, at most 64 pairs of row and head. */
#define NSP_ATTENTION_KEYS    64
#define NSP_ATTENTION_QUERIES 64
#define NSP_PIECE_INPUTS      128 /* inputs of a piece of a panel: 16 KB of f32 */

#ifdef QEFF_NSP_ISA
#define NSP_PASTE(name, isa)  qeff_nsp_##name##_##isa
#define NSP_EXPAND(name, isa) NSP_PASTE(name, isa)
#define NSP_NAME(name)	      NSP_EXPAND(name, QEFF_NSP_ISA)

void NSP_NAME(rows)(const struct nsp_run *run);
void NSP_NAME(gather)(const struct nsp_run *run);
void NSP_NAME(matmul)(const struct nsp_run *run);
void NSP_NAME(norm)(const struct nsp_run *run);
void NSP_NAME(pointwise)(const struct nsp_run *run);
void NSP_NAME(rope)(const struct nsp_run *run);
void NSP_NAME(scatter)(const struct nsp_run *run);
void NSP_NAME(attention)(const struct nsp_run *run);
void NSP_NAME(reduce)(const struct nsp_run *run);
void NSP_NAME(copy)(const struct nsp_run *run);
void NSP_NAME(route)(const struct nsp_run *run);
void NSP_NAME(experts)(const struct nsp_run *run);
void NSP_NAME(mix)(const struct nsp_run *run);
void NSP_NAME(nest)(const struct nsp_run *run);
void NSP_NAME(pick)(const struct nsp_run *run);
void NSP_NAME(put)(const struct nsp_run *run);
void NSP_NAME(sort)(const struct nsp_run *run);
void NSP_NAME(best)(const struct nsp_run *run);
void NSP_NAME(sample)(const struct nsp_run *run);
void NSP_NAME(mark)(const struct nsp_run *run);
void NSP_NAME(penalise)(const struct nsp_run *run);
extern const struct qeff_nsp_kernels NSP_NAME(kernels);
#endif

#endif
