/* SPDX-License-Identifier: MIT */
/*
 * The validator: every rule broken in turn, random damage that must be refused or run cleanly, and
 * the poison check against operations that write what they did not declare.
 */
#include "nsp_everything.h"
#include "unit.h"

#include "nsp/kernels.h"

#include <math.h>

enum table { HEADER, SPEC, OP, TILE, INDEX, CODE, STRING };

/**
 * struct damage - one rule broken
 * @table, @entry: what to change
 * @offset, @size: the field
 * @value: its new value
 * @what: must occur in the validator's phrase
 */
struct damage {
	enum table table;
	uint32_t entry;
	size_t offset, size;
	uint64_t value;
	const char *what;
};

#define FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define H(field)	   HEADER, 0, FIELD(qeff_nsp_header, field)
#define S(field)	   SPEC, 0, FIELD(qeff_nsp_spec, field)
#define O(op, field)	   OP, op, FIELD(qeff_nsp_op, field)
#define T(tile, field)	   TILE, tile, FIELD(qeff_nsp_tile, field)
#define I(code, field)	   CODE, code, FIELD(qeff_nsp_instruction, field)
#define DDR(offset)	   QEFF_NSP_REF(QEFF_NSP_DDR, offset)

static const struct damage damages[] = {
	{ H(magic), 1, "do not begin with a program" },
	{ H(version_major), 9, "another major version" },
	{ H(version_minor), 9, "newer minor version" },
	{ H(reserved), 1, "reserved" },
	{ H(const_bytes), 1u << 30, "const_bytes exceeds the constants" },
	{ H(program_bytes), 159, "program_bytes" },
	{ H(program_bytes), 1u << 30, "program_bytes" },
	{ H(nsps), 0, "number of NSPs" },
	{ H(nsps), 17, "number of NSPs" },
	{ H(scratch_bytes), (8 << 20) + 1, "scratch_bytes" },
	{ H(scratch_bytes), 128, "more scratch than the program declares" },
	{ H(ddr_bytes), UINT64_MAX, "ddr_bytes" },
	{ H(ddr_bytes), 4096, "arena_offset" },
	{ H(arena_offset), (1u << 20) + 64, "arena_offset" },
	{ H(state_offset), 2u << 20, "state_offset" },
	{ H(state_offset), 2048, "state_offset" },
	{ H(control), 4, "control buffer" },
	{ H(control), NSP_BUILDER_STATE - 56, "control buffer" },
	{ H(control), UINT64_MAX - 7, "control buffer" },
	{ H(stats), 68, "statistics" },
	{ H(stats), NSP_BUILDER_STATE - 64, "statistics" },
	{ H(stats), UINT64_MAX - 7, "statistics" },
	{ H(stats), 56, "overlap" },
	{ H(control), 64 + 312, "overlap" },
	{ H(specs), 0, "number of specialisations" },
	{ H(specs), 257, "number of specialisations" },
	{ H(phases), (1u << 20) + 1, "number of phases" },
	{ H(ops), (1u << 20) + 1, "number of operations" },
	{ H(tiles), (1u << 24) + 1, "number of tiles" },
	{ H(specs_offset), NSP_BUILDER_PROGRAM_BYTES - 24, "specialisations leave" },
	{ H(specs_offset), 164, "specialisations leave" },
	{ H(ops_offset), UINT64_MAX - 7, "operations leave" },
	{ H(tile_index_offset), NSP_BUILDER_PROGRAM_BYTES, "tile index leaves" },
	{ H(tiles_offset), NSP_BUILDER_PROGRAM_BYTES, "tiles leave" },
	{ H(instructions), UINT32_MAX, "instructions leave" },
	{ H(strings_offset), 1ull << 40, "strings leave" },
	{ H(string_bytes), 8, "does not end" },
	{ INDEX, 0, 0, 4, 1, "does not begin where" },
	{ INDEX, 3, 0, 4, 0, "do not ascend" },
	{ INDEX, 1, 0, 4, UINT32_MAX, "do not ascend" },
	{ H(tiles), 9, "does not end with the last tile" },
	{ H(phases), 3, "does not begin where" },
	{ S(reserved), 1, "reserved" },
	{ S(batch), 0, "batch x seq" },
	{ S(seq), 0, "batch x seq" },
	{ S(seq), UINT32_MAX, "batch x seq" },
	{ S(positions), 0, "positions" },
	{ S(positions), UINT32_MAX, "positions" },
	{ S(slots), 0, "slots" },
	{ S(first_phase), 1, "do not follow" },
	{ S(phases), 0, "number of phases" },
	{ S(phases), UINT32_MAX, "number of phases" },
	{ S(phases), 2, "belong to no specialisation" },
	{ S(batch), 3, "fewer rows than can live" },
	{ S(seq), 5, "fewer rows than can live" },
	{ S(seq), 3, "not seq * 8 bytes apart" },
	{ S(positions), 17, "fewer entries than there are positions" },
	{ S(slots), 3, "fewer slots" },
	{ T(0, op), EVERY_OPS, "no such operation" },
	{ T(0, op), OP_NORM, "in a specialisation without ROWS" },
	{ T(1, op), OP_ROWS, "ROWS belongs in the first phase" },
	{ INDEX, 1, 0, 4, 0, "ROWS belongs in the first phase" },
	{ T(1, row_parts), 0, "row part" },
	{ T(1, row_part), 1, "row part" },
	{ T(0, row_parts), 2, "ROWS or PUT in parts" },
	{ T(1, begin), 25, "empty range" },
	{ T(1, end), EVERY_ENTRIES + 1, "past the end" },
	{ T(0, end), 1, "whole rows" },
	{ T(1, data), QEFF_NSP_PANEL_ROW_BYTES, "weights where none" },
	{ T(2, begin), 1, "consist of panels" },
	{ T(2, end), 31, "consist of panels" },
	{ T(2, data), 64, "not aligned to 128" },
	{ T(2, data), DDR(1u << 20), "not aligned to 128 in the constants" },
	{ T(2, data), QEFF_NSP_NONE, "not aligned to 128" },
	{ T(2, data), 1u << 30, "weights leave" },
	{ T(2, data), 0x0100000000000080ull, "weights leave" },
	{ O(OP_ROWS, code), 0, "no such code" },
	{ O(OP_ROWS, code), QEFF_NSP_CODES, "no such code" },
	{ O(OP_ROWS, code), UINT16_MAX, "no such code" },
	{ O(OP_NORM, domain), 3, "no such domain" },
	{ O(OP_NORM, rows), 0, "operation: rows" },
	{ O(OP_NORM, rows), UINT32_MAX, "operation: rows" },
	{ O(OP_NORM, rows), 7, "fewer rows than can live" },
	{ O(OP_NORM, rows), 1u << 20, "leaves the memory" },
	{ O(OP_NORM, name), 13, "name" },
	{ O(OP_NORM, reserved0), 1, "reserved" },
	{ O(OP_NORM, reserved1), 1, "reserved" },
	{ O(OP_NORM, in[0].at), QEFF_NSP_NONE, "missing" },
	{ O(OP_NORM, in[3].at), 0, "too many" },
	{ O(OP_NORM, out.at), QEFF_NSP_NONE, "missing" },
	{ O(OP_NORM, in[0].type), QEFF_NSP_I64, "wrong type" },
	{ O(OP_NORM, in[0].type), 200, "wrong type" },
	{ O(OP_NORM, in[0].reserved), 1, "reserved" },
	{ O(OP_NORM, in[0].at), DDR((1u << 20) + 2), "not aligned to its elements" },
	{ O(OP_NORM, in[0].stride_bytes), 254, "not aligned to its elements" },
	{ O(OP_NORM, in[0].stride_bytes), 512, "in place on rows that differ" },
	{ O(OP_NORM, out.stride_bytes), 128, "rows it writes overlap" },
	{ O(OP_NORM, out.stride_bytes), 0, "rows it writes overlap" },
	{ O(OP_NORM, out.stride_bytes), UINT32_MAX - 3, "output leaves" },
	{ O(OP_NORM, out.at), 0, "constants cannot be written" },
	{ O(OP_NORM, out.at), QEFF_NSP_REF(2, 0), "no such space" },
	{ O(OP_NORM, out.at), DDR(0x0100000000000000ull), "output leaves" },
	{ O(OP_NORM, out.at), DDR(NSP_BUILDER_DDR - 2044), "output leaves" },
	{ O(OP_NORM, out.at), DDR(NSP_BUILDER_STATE - 64), "output leaves" },
	{ O(OP_NORM, out.at), DDR(NSP_BUILDER_ARENA - 64), "output leaves" },
	{ O(OP_NORM, out.at), DDR(380), "over the control buffer or the statistics" },
	{ O(OP_NORM, in[0].at), 1u << 30, "input leaves" },
	{ O(OP_NORM, in[0].at), DDR(1ull << 50), "input leaves" },
	{ O(OP_NORM, in[1].at), DDR(1u << 20), "not in the constants with stride 0" },
	{ O(OP_NORM, in[1].stride_bytes), 4, "not in the constants with stride 0" },
	{ O(OP_NORM, u.norm.width), 0, "width" },
	{ O(OP_NORM, u.norm.groups), 0, "width" },
	{ O(OP_NORM, u.norm.width), UINT32_MAX, "width" },
	{ O(OP_NORM, u.norm.groups), 1u << 18, "output leaves|input leaves" },
	{ O(OP_NORM, u.norm.kind), 3, "kind of NORM" },
	{ O(OP_NORM, u.norm.reserved), 1, "kind of NORM" },
	{ O(OP_ROWS, u.rows.from_mask), 3, "parameters of ROWS" },
	{ O(OP_ROWS, in[0].at), DDR(NSP_BUILDER_STATE - 8), "token input leaves" },
	{ O(OP_ROWS, in[0].stride_bytes), 64, "not seq * 8" },
	{ O(OP_ROWS, in[0].type), QEFF_NSP_I32, "wrong type" },
	{ O(OP_GATHER, domain), QEFF_NSP_ROWS_STATIC, "domain" },
	{ O(OP_GATHER, u.gather.from_position), 4, "parameters of GATHER" },
	{ O(OP_GATHER, u.gather.from_position), 3, "batch entries is not dense" },
	{ O(OP_GATHER, u.gather.from_position), 1, "too many" },
	{ O(OP_GATHER, u.gather.packed), 2, "parameters of GATHER" },
	{ O(OP_GATHER, u.gather.packed), 1, "packed GATHER" },
	{ O(OP_GATHER, u.gather.accumulate), 2, "parameters of GATHER" },
	{ O(OP_GATHER, u.gather.entries), 0, "parameters of GATHER" },
	{ O(OP_GATHER, u.gather.entries), UINT32_MAX, "input leaves" },
	{ O(OP_GATHER, u.gather.width), 65, "rows it writes overlap" },
	{ O(OP_GATHER, in[0].at), DDR(NSP_BUILDER_STATE - 8), "token input leaves" },
	{ O(OP_GATHER, in[0].stride_bytes), 8, "not seq * 8" },
	{ O(OP_GATHER, in[1].at), DDR(1u << 20), "table is not in the constants" },
	{ O(OP_GATHER_PACKED, in[1].type), QEFF_NSP_I8, "packed GATHER" },
	{ O(OP_GATHER_POSITION, u.gather.entries), 15, "past the end|fewer entries" },
	{ O(OP_MATMUL, u.matmul.weight_type), QEFF_NSP_I32, "weights of MATMUL" },
	{ O(OP_MATMUL, u.matmul.exact), 1, "weights of MATMUL" },
	{ O(OP_MATMUL, u.matmul.function), QEFF_NSP_FUNCTIONS, "no such function" },
	{ O(OP_MATMUL, u.matmul.scale_group), 32, "scale group" },
	{ O(OP_MATMUL, u.matmul.inputs), 0, "width" },
	{ O(OP_MATMUL, u.matmul.inputs), 1u << 23, "input leaves" },
	{ O(OP_MATMUL, u.matmul.outputs), 0, "width" },
	{ O(OP_MATMUL, u.matmul.outputs), 65, "rows it writes overlap" },
	{ O(OP_MATMUL, in[1].type), QEFF_NSP_F16, "wrong type" },
	{ O(OP_MATMUL, out.at), DDR(NSP_BUILDER_ARENA), "MATMUL cannot work in place" },
	{ O(OP_MATMUL_INT8, u.matmul.scale_group), 0, "scale group" },
	{ O(OP_MATMUL_INT8, u.matmul.scale_group), 48, "scale group" },
	{ O(OP_POINTWISE, u.pointwise.instructions), 0, "its instructions" },
	{ O(OP_POINTWISE, u.pointwise.instructions), 65, "its instructions" },
	{ O(OP_POINTWISE, u.pointwise.first_instruction), 1, "its instructions" },
	{ O(OP_POINTWISE, u.pointwise.first_instruction), UINT32_MAX, "its instructions" },
	{ O(OP_POINTWISE, u.pointwise.width), 1u << 22, "leaves|overlap" },
	{ I(0, code), 9, "no such instruction" },
	{ I(0, dst), 8, "no such instruction" },
	{ I(0, dst), 5, "not set" },
	{ I(2, a), 7, "not set" },
	{ I(2, b), 8, "not set" },
	{ I(3, b), 255, "not set" },
	{ I(1, b), QEFF_NSP_FUNCTIONS, "no such function" },
	{ O(OP_ROPE, domain), QEFF_NSP_ROWS_SEGMENTS, "domain" },
	{ O(OP_ROPE, u.rope.rotary), 0, "rotary columns" },
	{ O(OP_ROPE, u.rope.rotary), 15, "rotary columns" },
	{ O(OP_ROPE, u.rope.rotary), 18, "rotary columns" },
	{ O(OP_ROPE, u.rope.positions), 0, "parameters of ROPE" },
	{ O(OP_ROPE, u.rope.positions), 15, "rotary tables have fewer" },
	{ O(OP_ROPE, u.rope.positions), UINT32_MAX, "input leaves" },
	{ O(OP_ROPE, u.rope.heads), 5, "overlap" },
	{ O(OP_ROPE, u.rope.heads), 3, "past the end" },
	{ O(OP_ROPE, u.rope.interleaved), 2, "parameters of ROPE" },
	{ O(OP_ROPE, in[1].at), DDR(1u << 20), "rotary table is not in the constants" },
	{ O(OP_ROPE, in[2].at), QEFF_NSP_NONE, "missing" },
	{ O(OP_SCATTER_KEY, domain), QEFF_NSP_ROWS_STATIC, "domain" },
	{ O(OP_SCATTER_KEY, out.at), DDR(1u << 20), "too many" },
	{ O(OP_SCATTER_KEY, u.scatter.heads), 1u << 25, "width" },
	{ O(OP_SCATTER_KEY, u.scatter.dim), 17, "input leaves|overlap" },
	{ O(OP_SCATTER_KEY, u.scatter.state.at), DDR(NSP_BUILDER_ARENA),
	  "not in the state region" },
	{ O(OP_SCATTER_KEY, u.scatter.state.at), DDR(4096), "not in the state region" },
	{ O(OP_SCATTER_KEY, u.scatter.state.at), 4096, "not in the state region" },
	{ O(OP_SCATTER_KEY, u.scatter.state.at), DDR(NSP_BUILDER_STATE + 2), "not aligned" },
	{ O(OP_SCATTER_KEY, u.scatter.state.at), DDR(NSP_BUILDER_ARENA - 4096),
	  "leaves the state" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slot_stride), UINT64_MAX - 3, "too large" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slot_stride), 1ull << 63,
	  "leaves the state|too large" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slot_stride), 6, "not aligned" },
	{ O(OP_SCATTER_KEY, u.scatter.state.head_stride), UINT32_MAX - 3, "leaves the state" },
	{ O(OP_SCATTER_KEY, u.scatter.state.position_stride), 32, "positions of a state overlap" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slots), UINT32_MAX, "leaves the state" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slots), 1, "fewer slots" },
	{ O(OP_SCATTER_KEY, u.scatter.state.slots), 0, "without slots" },
	{ O(OP_SCATTER_KEY, u.scatter.state.positions), 15, "fewer positions" },
	{ O(OP_SCATTER_KEY, u.scatter.state.positions), UINT32_MAX, "leaves the state" },
	{ O(OP_SCATTER_KEY, u.scatter.state.type), QEFF_NSP_I8, "type of a state" },
	{ O(OP_SCATTER_KEY, u.scatter.state.reserved), 1, "type of a state" },
	{ O(OP_ATTENTION, domain), QEFF_NSP_ROWS_SEGMENTS, "domain" },
	{ O(OP_ATTENTION, u.attention.kv_heads), 0, "KV heads" },
	{ O(OP_ATTENTION, u.attention.kv_heads), 3, "KV heads" },
	{ O(OP_ATTENTION, u.attention.kv_heads), 8, "KV heads" },
	{ O(OP_ATTENTION, u.attention.heads), 0, "KV heads" },
	{ O(OP_ATTENTION, u.attention.heads), 8, "leaves|overlap" },
	{ O(OP_ATTENTION, u.attention.head_dim), 0, "width" },
	{ O(OP_ATTENTION, u.attention.value_dim), 0, "width" },
	{ O(OP_ATTENTION, u.attention.value_dim), 17, "overlap" },
	{ O(OP_ATTENTION, u.attention.from_state), 2, "parameters of ATTENTION" },
	{ O(OP_ATTENTION, u.attention.from_state), 0, "missing" },
	{ O(OP_ATTENTION, u.attention.causal), 2, "parameters of ATTENTION" },
	{ O(OP_ATTENTION, u.attention.key.positions), 15, "fewer positions" },
	{ O(OP_ATTENTION, u.attention.value.slots), 1, "fewer slots" },
	{ O(OP_ATTENTION, u.attention.value.at), DDR(NSP_BUILDER_ARENA),
	  "not in the state region" },
	{ O(OP_ATTENTION_ROWS, u.attention.from_state), 1, "too many" },
	{ O(OP_ATTENTION_ROWS, in[1].at), DDR(NSP_BUILDER_DDR - 256), "input leaves" },
	{ O(OP_ATTENTION_ROWS, in[3].at), QEFF_NSP_NONE, "a bias and its columns" },
	{ O(OP_ATTENTION_ROWS, in[3].at), DDR(1u << 20), "a bias is not in the constants" },
	{ O(OP_ATTENTION_ROWS, in[3].type), QEFF_NSP_F16, "wrong type" },
	{ O(OP_ATTENTION_ROWS, in[3].stride_bytes), 1u << 30, "input leaves" },
	{ O(OP_ATTENTION_ROWS, u.attention.bias_columns), 0, "a bias and its columns" },
	{ O(OP_ATTENTION_ROWS, u.attention.bias_columns), UINT32_MAX, "width" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.keys), DDR(1u << 20), "not in the constants" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.queries), 1ull << 40, "leaves the constants" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.buckets), QEFF_NSP_NONE,
	  "not in the constants" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.buckets), 2, "not aligned" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.rows), 0, "rows of distances" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.rows), UINT32_MAX, "leaves the constants" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.distances), UINT32_MAX, "number of distances" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.distances), 1u << 22, "leaves the constants" },
	{ O(OP_ATTENTION_ROWS, u.attention.relative.reserved[47]), 1, "distances are not zero" },
	{ O(OP_REDUCE, domain), QEFF_NSP_ROWS_TOKENS, "domain" },
	{ O(OP_REDUCE, u.reduce.kind), 5, "kind of REDUCE" },
	{ O(OP_REDUCE, u.reduce.width), 0, "width" },
	{ O(OP_REDUCE, in[0].at), DDR(NSP_BUILDER_DDR - 512), "rows to reduce leave" },
	{ O(OP_ROUTE, u.route.chosen), 0, "number of experts" },
	{ O(OP_ROUTE, out.type), QEFF_NSP_F16, "wrong type" },
	{ O(OP_EXPERTS, u.experts.experts), 1u << 30, "number of experts" },
	{ O(OP_EXPERTS, u.experts.experts), 1u << 23, "leave" },
	{ O(OP_EXPERTS, u.experts.matmul.scale_group), 33, "scale group" },
	{ O(OP_EXPERTS, in[3].at), QEFF_NSP_NONE, "missing" },
	{ O(OP_MIX, u.mix.chosen), 65, "number of experts" },
	{ O(OP_MIX, u.mix.width), 0, "width" },
	{ O(OP_COPY, u.copy.out_rows), 0, "rows of COPY" },
	{ O(OP_COPY, u.copy.out_rows), UINT32_MAX, "rows of COPY" },
	{ O(OP_COPY, u.copy.out_rows), 1, "fewer output rows" },
	{ O(OP_COPY, u.copy.out_rows), 4096, "output leaves" },
	{ O(OP_COPY, in[0].type), QEFF_NSP_I32, "do not convert" },
	{ O(OP_COPY, in[0].type), QEFF_NSP_I8, "wrong type" },
	{ O(OP_COPY, domain), QEFF_NSP_ROWS_TOKENS, "fewer rows than can live" },
};

static uint8_t *place_of(uint8_t *constants, const struct damage *d)
{
	struct qeff_nsp_header h;

	memcpy(&h, constants, sizeof(h));
	switch (d->table) {
	case SPEC:
		return constants + h.specs_offset + d->entry * 32 + d->offset;
	case OP:
		return constants + h.ops_offset + d->entry * 224 + d->offset;
	case CODE:
		return constants + h.instructions_offset + d->entry * 8 + d->offset;
	case INDEX:
		return constants + h.tile_index_offset + d->entry * 4;
	case TILE: {
		/* Tiles 0, 1, 2: the first of ROWS, GATHER and the packed GATHER. */
		return constants + h.tiles_offset + d->entry * 24 + d->offset;
	}
	default:
		return constants + d->offset;
	}
}

static void test_rules(void)
{
	size_t bytes;
	struct every e;
	uint8_t *constants = every_layout(&e, &bytes);

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		struct qeff_nsp_problem problem = { .what = "accepted" };
		uint8_t saved[16], *at = place_of(constants, d);
		struct qeff_nsp_program program;
		bool valid;

		memcpy(saved, at, d->size);
		memcpy(at, &d->value, d->size < 8 ? d->size : 8);
		valid = qeff_nsp_validate(constants, bytes, &program, &problem);
		if (valid || !says(problem.what, d->what))
			printf("\ndamage %zu: \"%s\", not \"%s\"\n", i, problem.what, d->what);
		CU_ASSERT(!valid && says(problem.what, d->what));
		CU_ASSERT(!qeff_nsp_validate(constants, bytes, &program, NULL));
		memcpy(at, saved, d->size);
	}
	free(constants);
}

static void test_sound(void)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);
	float out[2][EVERY_BATCH * EVERY_WIDTH];

	for (size_t i = 0; i < count; i++) {
		struct nsp_machine m;
		struct every e;
		size_t bytes;
		uint8_t *constants = every_layout(&e, &bytes);

		nsp_load(&m, constants, bytes, qeff_nsp_kernels_named(isas[i]));
		every_inputs(&e, &m);
		CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
		CU_ASSERT_EQUAL(nsp_stats(&m)->tokens, 5);
		memcpy(out[0], nsp_ddr(&m, e.out), sizeof(out[0]));
		/* And without the poison check. */
		CU_ASSERT_EQUAL(qeff_nsp_host_run(m.instance, m.scratch, NULL), 0);
		memcpy(out[1], nsp_ddr(&m, e.out), sizeof(out[1]));
		CU_ASSERT_EQUAL(memcmp(out[0], out[1], sizeof(out[0])), 0);
		for (int j = 0; j < EVERY_BATCH * EVERY_WIDTH; j++)
			CU_ASSERT(isfinite(out[0][j]));
		nsp_unload(&m);
	}
}

/* After a fault no later phase runs: not even COPY's zeros are written. */
static void test_fault_stops(void)
{
	struct nsp_machine m;
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	nsp_load(&m, constants, bytes, qeff_nsp_host_kernels(NULL));
	every_inputs(&e, &m);
	((int64_t *)nsp_ddr(&m, e.positions))[6] = EVERY_POSITIONS;
	memset(nsp_ddr(&m, e.out), 0x77, EVERY_BATCH * EVERY_WIDTH * 4);
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_POSITION);
	for (int i = 0; i < EVERY_BATCH * EVERY_WIDTH * 4; i++)
		CU_ASSERT_EQUAL(((uint8_t *)nsp_ddr(&m, e.out))[i], 0x77);
	CU_ASSERT_EQUAL(nsp_stats(&m)->tokens, 0);
	/* And the next inference is as good as any. */
	every_inputs(&e, &m);
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT_EQUAL(nsp_stats(&m)->tokens, 5);
	nsp_unload(&m);
}

static void test_sentence(void)
{
	struct qeff_nsp_program program;
	struct qeff_error err = { 0 };
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	constants[0] = 0;
	CU_ASSERT_EQUAL(qeff_nsp_host_validate(constants, bytes, "a.qpc", &program, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "a.qpc: NSP program refused: header: "));
	free(constants);
}

/* Cut anywhere in its tables, a program is refused; and nothing behind the cut is read (the copy
 * ends there). */
static void test_truncated(void)
{
	struct qeff_nsp_program program;
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	for (size_t size = 0; size < bytes; size += size < 256 ? 1 : 997) {
		uint8_t *copy = aligned_alloc(128, (size + 128) & ~(size_t)127);
		uint8_t *end = copy + ((size + 128) & ~(size_t)127) - size;

		/* The last bytes of the allocation, if that keeps the alignment; else its start. */
		if ((uintptr_t)end % 128)
			end = copy;
		memcpy(end, constants, size);
		CU_ASSERT(!qeff_nsp_validate(end, size, &program, NULL));
		free(copy);
	}
	free(constants);
}

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Numbers that matter more often than chance. */
static uint64_t nasty(uint32_t *state, uint64_t old)
{
	switch (next(state) % 8) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return UINT64_MAX >> next(state) % 64;
	case 3:
		return 1ull << next(state) % 64;
	case 4:
		return old ^ 1ull << next(state) % 64;
	case 5:
		return next(state) % 64;
	case 6:
		return QEFF_NSP_REF(next(state) % 3, next(state) % NSP_BUILDER_DDR);
	default:
		return (uint64_t)next(state) << 32 | next(state);
	}
}

/* Changes a field somewhere in the header and tables. */
static void damage_one(uint8_t *constants, size_t used, uint32_t *state)
{
	static const size_t sizes[] = { 1, 2, 4, 8 };
	size_t size = sizes[next(state) % 4];
	size_t at = next(state) % used / size * size;
	uint64_t old = 0;

	memcpy(&old, constants + at, size);
	old = nasty(state, old);
	memcpy(constants + at, &old, size);
}

static uint64_t width_of(const struct qeff_nsp_op *op)
{
	switch (op->code) {
	case QEFF_NSP_GATHER:
		return op->u.gather.width;
	case QEFF_NSP_MATMUL:
		return (uint64_t)op->u.matmul.inputs * op->u.matmul.outputs / 16;
	case QEFF_NSP_NORM:
		return (uint64_t)op->u.norm.width * op->u.norm.groups;
	case QEFF_NSP_POINTWISE:
		return (uint64_t)op->u.pointwise.width * op->u.pointwise.instructions;
	case QEFF_NSP_ROPE:
		return (uint64_t)op->u.rope.heads * op->u.rope.head_dim;
	case QEFF_NSP_SCATTER:
		return (uint64_t)op->u.scatter.heads * op->u.scatter.dim;
	case QEFF_NSP_ATTENTION:
		return (uint64_t)op->u.attention.heads *
		       (op->u.attention.head_dim + op->u.attention.value_dim);
	case QEFF_NSP_REDUCE:
		return op->u.reduce.width;
	case QEFF_NSP_ROUTE:
		return (uint64_t)op->u.route.experts * op->u.route.chosen;
	case QEFF_NSP_EXPERTS:
		return (uint64_t)op->u.experts.matmul.inputs * op->u.experts.matmul.outputs *
		       op->u.experts.chosen / 16;
	case QEFF_NSP_MIX:
		return (uint64_t)op->u.mix.width * op->u.mix.chosen;
	case QEFF_NSP_COPY:
		return (uint64_t)op->u.copy.width * op->u.copy.out_rows;
	default:
		return 1;
	}
}

/* Whether one inference is a matter of moments; what is merely slow is no subject here. */
static bool affordable(const struct qeff_nsp_program *p)
{
	uint64_t work = 0;

	for (uint32_t i = 0; i < p->header->tiles; i++)
		work += width_of(&p->ops[p->tiles[i].op]);
	return work < 1u << 20 && p->header->ddr_bytes <= 8u << 20 && p->max_tokens <= EVERY_ROWS;
}

/* Runs it on @memory if that is just as long as the DDR it declares. */
static void run_damaged(const struct qeff_nsp_program *program, const struct every *e,
			const struct qeff_nsp_kernels *kernels, uint8_t *memory)
{
	uint64_t bytes = program->header->ddr_bytes;
	struct nsp_machine m = {
		.program = *program,
		.ddr = bytes == NSP_BUILDER_DDR ? memory : nsp_aligned(bytes),
		.scratch = nsp_aligned(program->header->scratch_bytes),
		.instance = nsp_aligned(qeff_nsp_instance_bytes(program)),
	};

	qeff_nsp_instance_init(m.instance, program, kernels, m.ddr);
	if (QEFF_NSP_REF_OFFSET(e->out) <= bytes)
		every_inputs(e, &m);
	qeff_nsp_host_run(m.instance, m.scratch, NULL);
	if (m.ddr != memory)
		free(m.ddr);
	free(m.scratch);
	free(m.instance);
}

static void test_damage(void)
{
	const struct qeff_nsp_kernels *kernels = qeff_nsp_host_kernels(NULL);
	uint32_t state = 20240229, ran = 0, refused = 0;
	struct every e;
	size_t bytes, used = 0;
	uint8_t *good = every_layout(&e, &bytes), *bad = nsp_aligned(bytes);
	uint8_t *memory = nsp_aligned(NSP_BUILDER_DDR);

	for (size_t i = 0; i < NSP_BUILDER_PROGRAM_BYTES; i++)
		used = good[i] ? i + 1 : used;
	memcpy(bad, good, bytes);
	for (int i = 0; i < 20000; i++) {
		struct qeff_nsp_program program;

		memcpy(bad, good, used);
		for (uint32_t n = 0; n <= next(&state) % 3; n++)
			damage_one(bad, used, &state);
		if (!qeff_nsp_validate(bad, bytes, &program, NULL))
			refused++;
		else if (affordable(&program) && ++ran)
			run_damaged(&program, &e, kernels, memory);
	}
	/* Both happen, or the damage is not worth its name. */
	CU_ASSERT(refused > 5000);
	CU_ASSERT(ran > 1000);
	free(good);
	free(bad);
	free(memory);
}

/* Kernels with a fault of the kind the poison check is for. */
static const struct qeff_nsp_kernels *sound;
static uint64_t stray; /* DDR offset */

static void writes_astray(const struct nsp_run *run)
{
	sound->run[QEFF_NSP_NORM](run);
	run->instance->ddr[stray] = 0x55;
}

static void leaves_undone(const struct nsp_run *run)
{
}

static void test_poison(void)
{
	static const struct {
		uint64_t offset;
		enum qeff_nsp_fault fault;
	} cases[] = {
		{ NSP_BUILDER_DDR - 1, QEFF_NSP_FAULT_POISON },
		{ NSP_BUILDER_ARENA, QEFF_NSP_FAULT_POISON },	/* another operation's output */
		{ NSP_BUILDER_STATE + 8, QEFF_NSP_FAULT_NONE }, /* not the arena */
	};
	struct qeff_nsp_kernels broken;
	struct nsp_machine m;
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	sound = qeff_nsp_host_kernels(NULL);
	broken = *sound;
	broken.run[QEFF_NSP_NORM] = writes_astray;
	nsp_load(&m, constants, bytes, &broken);
	every_inputs(&e, &m);
	for (int i = 0; i < 3; i++) {
		stray = cases[i].offset;
		CU_ASSERT_EQUAL(nsp_infer(&m, 0), cases[i].fault);
		CU_ASSERT_EQUAL(nsp_stats(&m)->fault_value,
				cases[i].fault ? (int64_t)cases[i].offset : 0);
	}
	broken.run[QEFF_NSP_NORM] = sound->run[QEFF_NSP_NORM];
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	/* A write that does not happen shows in the result. */
	broken.run[QEFF_NSP_REDUCE] = leaves_undone;
	CU_ASSERT_EQUAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	CU_ASSERT(isnan(*(float *)nsp_ddr(&m, e.out)));
	nsp_unload(&m);
}

static void changes_its_input(const struct nsp_run *run)
{
	sound->run[QEFF_NSP_MATMUL](run);
	((uint8_t *)nsp_in(run, &run->op->in[0], run->first))[0] ^= 1;
}

static void test_poison_input(void)
{
	struct qeff_nsp_kernels broken;
	struct nsp_machine m;
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	sound = qeff_nsp_host_kernels(NULL);
	broken = *sound;
	broken.run[QEFF_NSP_MATMUL] = changes_its_input;
	/* One NSP's change would undo the other's. */
	nsp_load(&m, constants, bytes, &broken);
	every_inputs(&e, &m);
	qeff_nsp_begin(m.instance);
	for (uint32_t phase = 0; phase < 5; phase++) {
		qeff_nsp_poison_before(m.instance, phase, m.shadow);
		qeff_nsp_phase(m.instance, phase, 0, m.scratch);
		if (phase < 4)
			qeff_nsp_phase(m.instance, phase, 1, m.scratch);
		qeff_nsp_poison_after(m.instance, phase, m.shadow);
	}
	CU_ASSERT_EQUAL(qeff_nsp_end(m.instance, 7), QEFF_NSP_FAULT_POISON);
	CU_ASSERT_EQUAL(nsp_stats(&m)->fault_op, 4);
	CU_ASSERT_EQUAL(nsp_stats(&m)->fault_value,
			(int64_t)QEFF_NSP_REF_OFFSET(m.program.ops[OP_MATMUL].in[0].at));
	CU_ASSERT_EQUAL(nsp_stats(&m)->time_us, 7);
	nsp_unload(&m);
}

static void test_kernels(void)
{
	struct qeff_error err = { 0 };

	CU_ASSERT_PTR_NOT_NULL(qeff_nsp_kernels_named("portable"));
	CU_ASSERT_PTR_NULL(qeff_nsp_kernels_named("sse9"));
	setenv("QEFF_ISA", "portable", 1);
	CU_ASSERT_STRING_EQUAL(qeff_nsp_kernels_name(qeff_nsp_host_kernels(NULL)), "portable");
	setenv("QEFF_ISA", "sse9", 1);
	CU_ASSERT_PTR_NULL(qeff_nsp_host_kernels(&err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "QEFF_ISA=sse9"));
	unsetenv("QEFF_ISA");
	CU_ASSERT_PTR_NOT_NULL(qeff_nsp_host_kernels(NULL));
}

static const struct unit_test tests[] = {
	{ "a sound program runs", test_sound },
	{ "every rule broken in turn", test_rules },
	{ "a fault stops the inference", test_fault_stops },
	{ "a sentence", test_sentence },
	{ "truncated", test_truncated },
	{ "random damage", test_damage },
	{ "poison finds stray writes", test_poison },
	{ "poison finds changed inputs", test_poison_input },
	{ "choice of kernels", test_kernels },
};
QEFF_UNIT_MAIN("nsp_validate", tests)
