/* SPDX-License-Identifier: MIT */
/*
 * What the passes of lowering hand to each other: operations of the NSP program whose operands are
 * still names of tensors, weights and tables, not addresses. It knows neither graphs nor packages.
 */
#ifndef QEFF_LOWER_IR_H
#define QEFF_LOWER_IR_H

#include "lower/lower.h"
#include "lower/view.h"
#include "nsp/pack.h"
#include "util/checked.h"

#include <stdbool.h>

#define LOWER_NONE UINT32_MAX

/* Boundaries of DDR regions, of NSPs' shares of the constants: pages, so that they can be mapped.
 */
#define LOWER_REGION_ALIGNMENT 4096u
/* Tensors and rows: an HVX vector. */
#define LOWER_TENSOR_ALIGNMENT 128u
/* Bindings inside their DMA buffer. */
#define LOWER_BINDING_ALIGNMENT 64u
/* A constant mapping's size is 32 bits wide; longer ranges take several. */
#define LOWER_MAPPING_BYTES (1ull << 31)

enum lower_ref_kind {
	LOWER_REF_NONE = 0,
	LOWER_REF_TENSOR,  /* of the specialisation */
	LOWER_REF_BINDING, /* an input or output that crosses the bus */
	LOWER_REF_TABLE,   /* f32 in the shared region of the constants */
	LOWER_REF_RAW,	   /* bytes there, of any type */
};

struct lower_ref {
	uint32_t kind;
	uint32_t index;
};

/**
 * struct lower_tensor - an activation: compacted rows of f32, or a dense tensor of any type
 * @domain: enum qeff_nsp_domain: tokens or segments
 * @rows: at most
 * @width: columns
 * @stride_bytes: from a row to the next
 * @bytes: of a dense tensor, which has nothing of the above; else 0
 * @first_phase, @last_phase: from the first write to the last use
 * @offset: in the arena
 */
struct lower_tensor {
	uint8_t domain;
	uint32_t rows;
	uint32_t width;
	uint32_t stride_bytes;
	uint64_t bytes;
	uint32_t first_phase;
	uint32_t last_phase;
	uint64_t offset;
};

/**
 * struct lower_op - an operation
 * @nsp: its record in the program, all but addresses and name
 * @name: borrowed from the graph
 * @state: retained state: SCATTER's, MARK's; ATTENTION's keys and values; PENALISE's flags of
 *	   repetition and presence
 * @sinks: ATTENTION's scores without keys
 * @relative: ATTENTION's tables of distances: keys, queries, buckets
 * @wishes: SAMPLE's min_ps and random numbers; PENALISE's masks
 * @weight: packed weights (MATMUL, packed GATHER)
 * @dense: of operations on nests, for in[0..3] and out: where in what they refer to the element
 *	   with all indices 0 is, in elements, and the type; of a MATMUL of dense tensors the same
 *	   of in[0] and out, and how far the next row is
 * @partial: it writes a part that no other operation in turn overwrites
 */
struct lower_op {
	struct qeff_nsp_op nsp;
	const char *name;
	struct lower_ref in[4];
	struct lower_ref out;
	uint32_t state[2];
	struct lower_ref relative[3];
	struct lower_ref sinks;
	struct lower_ref wishes[2];
	uint32_t weight;
	uint32_t phase;
	struct {
		int64_t offset;
		uint8_t type;
		uint32_t row_bytes;
	} dense[QEFF_NSP_NEST_OUT + 1];
	bool partial;
};

/* A tile, and the NSP that has it. */
struct lower_tile {
	uint32_t op;
	uint32_t nsp;
	uint32_t begin, end;
	uint16_t row_part, row_parts;
	uint32_t run; /* of the operation's weight: run[nsp]; LOWER_NONE without weights */
};

/* One specialisation. */
struct lower_spec {
	uint32_t batch, seq;
	uint32_t positions, slots;
	uint32_t num_ops, num_tensors, num_tiles;
	struct lower_op *ops;
	struct lower_tensor *tensors;
	struct lower_tile *tiles;
	uint32_t phases;
	uint64_t arena_bytes;
	struct qeff_lower_share share[QEFF_NSP_MAX_NSPS];
};

/* The panels of a weight that one NSP has. */
struct lower_run {
	uint32_t first;
	uint32_t panels;
	uint64_t offset; /* of the first one in the constants */
};

/**
 * struct lower_weight - a matrix w[outputs][inputs] that is packed into panels
 * @view: where it lies: a row is an output; those of expert after expert
 * @pieces: in place of @view, one for each expert, or NULL
 * @experts: of EXPERTS; else 1
 * @type: enum qeff_nsp_type of the panels
 * @scale_group: of int8, else 0
 * @panel_bytes, @panels: bytes of a panel, or of those that all experts have for the same outputs;
 *			  how many
 * @cost_phase: a phase of the first specialisation that uses it
 */
struct lower_weight {
	struct lower_view view;
	struct lower_view *pieces;
	uint32_t experts;
	uint8_t type;
	uint32_t scale_group;
	uint32_t outputs, inputs;
	uint64_t panel_bytes;
	uint32_t panels;
	struct lower_run run[QEFF_NSP_MAX_NSPS];
};

/* Rows of f32 that all NSPs share: vectors, rotary and position tables; the numbers of @view in
 * order. */
struct lower_table {
	struct lower_view view;
	uint32_t rows, columns;
	uint64_t offset; /* in the constants */
};

/* Bytes that all NSPs share, as they are: initialisers of plain operations. @owned: to free. */
struct lower_raw {
	const void *data;
	void *owned;
	uint64_t bytes;
	uint64_t offset; /* in the constants */
};

/* Retained state [slots, heads, positions, dim]. */
struct lower_state {
	const char *name;
	uint32_t slots, heads, positions, dim;
	uint8_t type;
	uint32_t row_bytes; /* of a position of a head */
	uint64_t bytes;
	uint64_t offset; /* in DDR */
};

/* So that the sum over all states is a number that fits a reference. */
#define LOWER_MAX_STATE_BYTES (1ull << 40)

#define LOWER_MAX_RANK 8
/* Of a specialisation: what unrolls (recurrent layers, DFT) soon has more, and takes what memory
 * there is. */
#define LOWER_MAX_OPS (1u << 17)
/* Of an input or output: what the network descriptor has room for. */
#define LOWER_MAX_DIM INT32_MAX

/**
 * struct lower_binding - an input or output of the application
 * @name: borrowed
 * @type: enum qeff_nsp_type
 * @state: retained state, or LOWER_NONE
 * @rank, @dims: [spec][dimension]
 * @bytes: of the largest specialisation
 * @offset: in DDR, if it crosses the bus
 */
struct lower_binding {
	const char *name;
	uint8_t type;
	bool is_output;
	uint32_t state;
	uint32_t rank;
	int64_t (*dims)[LOWER_MAX_RANK];
	uint64_t bytes;
	uint64_t offset;
};

struct qeff_lowering {
	uint32_t num_nsps;
	enum qeff_lower_precision precision;
	bool mxfp6_products;
	uint32_t num_specs;
	struct lower_spec *specs;
	uint32_t num_weights, num_tables, num_states, num_bindings;
	struct lower_weight *weights;
	struct lower_table *tables;
	struct lower_state *states;
	struct lower_binding *bindings; /* inputs, then outputs; without the control buffer */
	uint32_t num_inputs;
	uint32_t num_instructions, num_nests, num_raws;
	struct qeff_nsp_instruction *instructions;
	struct qeff_nsp_nest *nests;
	struct lower_raw *raws;

	/* DDR: the buffer of inputs [0, in_bytes), that of outputs (statistics first), state,
	 * arena. */
	uint64_t in_bytes;
	uint64_t out_offset, out_bytes;
	uint64_t state_offset, arena_offset, ddr_bytes;

	/* Constants: program, shared region, the NSPs' regions. */
	struct qeff_bytes program;
	uint64_t shared_bytes; /* where the shared region ends */
	uint64_t region_offset[QEFF_NSP_MAX_NSPS];
	uint64_t region_bytes[QEFF_NSP_MAX_NSPS];
	uint64_t constants_bytes;
	uint64_t num_tiles, num_ops, num_phases;
};

static inline uint32_t lower_type_bytes(uint8_t type)
{
	switch (type) {
	case QEFF_NSP_I64:
	case QEFF_NSP_U64:
	case QEFF_NSP_F64:
		return 8;
	case QEFF_NSP_F16:
	case QEFF_NSP_BF16:
	case QEFF_NSP_I16:
	case QEFF_NSP_U16:
		return 2;
	case QEFF_NSP_I8:
	case QEFF_NSP_U8:
	case QEFF_NSP_BOOL:
		return 1;
	default:
		return 4;
	}
}

/* Makes room for one more element; returns it, zeroed, and counts it. NULL when memory runs out. */
void *qeff_lower_grow(void **array, uint32_t *count, size_t element_bytes);
#define LOWER_GROW(array, count) qeff_lower_grow((void **)&(array), &(count), sizeof(*(array)))

static inline int lower_no_memory(struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "out of memory while lowering the graph");
}

static inline bool lower_is_nest(const struct lower_op *op)
{
	return op->nsp.code >= QEFF_NSP_NEST && op->nsp.code <= QEFF_NSP_SORT;
}

/* Bytes that @tensor takes in the arena. */
static inline uint64_t lower_tensor_bytes(const struct lower_tensor *tensor)
{
	return tensor->bytes ? tensor->bytes : (uint64_t)tensor->rows * tensor->stride_bytes;
}

/* Of an input or output in one specialisation. */
uint64_t qeff_lower_binding_bytes(const struct qeff_lowering *l, uint32_t spec, uint32_t binding);

/* The passes. */
int qeff_lower_bindings(struct qeff_lowering *l, const struct qeff_graph *const *graphs,
			struct qeff_error *err);
int qeff_lower_select(struct qeff_lowering *l, uint32_t spec, const struct qeff_graph *graph,
		      struct qeff_error *err);
int qeff_lower_schedule(struct qeff_lowering *l, struct lower_spec *spec, struct qeff_error *err);
int qeff_lower_place(struct qeff_lowering *l, struct qeff_error *err);
int qeff_lower_plan(struct qeff_lowering *l, struct qeff_error *err);
int qeff_lower_tables(struct qeff_lowering *l, struct qeff_error *err);

/* What a tile costs: as the executor counts it, with every row live and half the context filled. */
struct qeff_lower_share qeff_lower_cost(const struct qeff_lowering *l,
					const struct lower_spec *spec,
					const struct lower_tile *tile);

/* Into how many parts an operation on a nest can be cut. */
uint64_t qeff_lower_nest_parts(const struct qeff_lowering *l, const struct lower_op *op);

/* Rows [*begin, *end) of @rows that part @part of @parts holds. */
static inline void lower_part(uint32_t rows, uint32_t part, uint32_t parts, uint32_t *begin,
			      uint32_t *end)
{
	*begin = (uint32_t)((uint64_t)rows * part / parts);
	*end = (uint32_t)((uint64_t)rows * (part + 1) / parts);
}

#endif
