/* SPDX-License-Identifier: MIT */
/* A program that uses every operation, for tests that damage it. */
#ifndef QEFF_TESTS_NSP_EVERYTHING_H
#define QEFF_TESTS_NSP_EVERYTHING_H

#include "nsp_builder.h"

/* Operations, in the order of the table. */
enum {
	OP_ROWS,
	OP_GATHER,
	OP_GATHER_PACKED,
	OP_GATHER_POSITION,
	OP_MATMUL,
	OP_MATMUL_INT8,
	OP_NORM,
	OP_POINTWISE,
	OP_ROPE,
	OP_SCATTER_KEY,
	OP_SCATTER_VALUE,
	OP_ATTENTION,
	OP_ATTENTION_ROWS,
	OP_REDUCE,
	OP_COPY,
	OP_ROUTE,
	OP_EXPERTS,
	OP_MIX,
	OP_MARK_TEXT,
	OP_MARK_OUTPUT,
	OP_PENALISE,
	OP_BEST,
	OP_BEST_OF_ALL,
	OP_SAMPLE,
	OP_SAMPLE_SHARES,
	EVERY_OPS
};

#define EVERY_BATCH	2
#define EVERY_SEQ	4
#define EVERY_ROWS	(EVERY_BATCH * EVERY_SEQ)
#define EVERY_POSITIONS 16
#define EVERY_WIDTH	64
#define EVERY_ENTRIES	50
#define EVERY_CHOSEN	5

struct every {
	struct nsp_builder b;
	uint64_t positions, ids, out;
	/* of each batch entry: what penalties are worth, temperature, top p, min p, top k, masks,
	 * random numbers */
	uint64_t numbers[5], top_ks, masks, randoms;
	uint32_t seed;
};

static inline uint64_t every_randoms(struct every *e, size_t count)
{
	float *values = nsp_randoms(&e->seed, count);
	uint64_t at = nsp_const(&e->b, values, count * sizeof(float));

	free(values);
	return at;
}

static inline struct qeff_nsp_operand every_arena(struct every *e)
{
	return nsp_f32(nsp_arena(&e->b, EVERY_ROWS * EVERY_WIDTH * 4), EVERY_WIDTH);
}

static inline struct qeff_nsp_operand every_gathers(struct every *e)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	float *table = nsp_randoms(&e->seed, EVERY_ENTRIES * EVERY_WIDTH);
	uint64_t data = nsp_weights(&e->b, QEFF_NSP_F16, table, EVERY_ENTRIES, EVERY_WIDTH, 0);

	op.in[0] = nsp_rows(e->ids, EVERY_SEQ * 8, QEFF_NSP_I64);
	op.in[1] = nsp_f32(every_randoms(e, EVERY_ENTRIES * EVERY_WIDTH), EVERY_WIDTH);
	op.out = every_arena(e);
	op.u.gather = (struct qeff_nsp_gather_params){ .entries = EVERY_ENTRIES,
						       .width = EVERY_WIDTH,
						       .scale = 1 };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_ENTRIES, 1, QEFF_NSP_NONE, 0);
	op.in[1] = nsp_none();
	op.in[1].type = QEFF_NSP_F16;
	op.u.gather.packed = 1;
	op.u.gather.accumulate = 1;
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_ENTRIES, 32, data,
		  qeff_nsp_panel_bytes(QEFF_NSP_F16, EVERY_WIDTH, 0));
	op.in[0] = nsp_none();
	op.in[1] = nsp_f32(every_randoms(e, EVERY_POSITIONS * EVERY_WIDTH), EVERY_WIDTH);
	op.u.gather.packed = 0;
	op.u.gather.from_position = 1;
	op.u.gather.entries = EVERY_POSITIONS;
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_POSITIONS, 1, QEFF_NSP_NONE, 0);
	free(table);
	return op.out;
}

static inline struct qeff_nsp_operand every_matmul(struct every *e, struct qeff_nsp_operand x,
						   enum qeff_nsp_type type)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_MATMUL, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	uint32_t group = type == QEFF_NSP_I8 ? 32 : 0;
	float *w = nsp_randoms(&e->seed, EVERY_WIDTH * EVERY_WIDTH);
	uint64_t data = nsp_weights(&e->b, type, w, EVERY_WIDTH, EVERY_WIDTH, group);

	op.in[0] = x;
	op.in[1] = nsp_rows(every_randoms(e, EVERY_WIDTH), 0, QEFF_NSP_F32);
	op.in[2] = x;
	op.in[3] = x;
	op.out = every_arena(e);
	op.u.matmul = (struct qeff_nsp_matmul_params){ .inputs = EVERY_WIDTH,
						       .outputs = EVERY_WIDTH,
						       .scale_group = group,
						       .weight_type = type,
						       .function = QEFF_NSP_SILU };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_WIDTH, 32, data,
		  qeff_nsp_panel_bytes(type, EVERY_WIDTH, group));
	free(w);
	return op.out;
}

static inline struct qeff_nsp_operand every_rowwise(struct every *e, struct qeff_nsp_operand x)
{
	static const struct qeff_nsp_instruction code[] = {
		{ QEFF_NSP_I_CONST, 4, 0, 0, 0.5f },
		{ QEFF_NSP_I_FUNCTION, 0, 0, QEFF_NSP_TANH, 0 },
		{ QEFF_NSP_I_MUL, 0, 0, 4, 0 },
		{ QEFF_NSP_I_ADD, 0, 0, 1, 0 },
	};
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_NORM, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);

	op.in[0] = x;
	op.in[1] = nsp_rows(every_randoms(e, EVERY_WIDTH), 0, QEFF_NSP_F32);
	op.out = x;
	op.u.norm = (struct qeff_nsp_norm_params){ .width = EVERY_WIDTH,
						   .groups = 1,
						   .epsilon = 1e-5f };
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);

	op = nsp_op_of(QEFF_NSP_POINTWISE, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	op.in[0] = x;
	op.in[1] = nsp_rows(every_randoms(e, EVERY_WIDTH), 0, QEFF_NSP_F32);
	op.out = x;
	op.u.pointwise =
		(struct qeff_nsp_pointwise_params){ .width = EVERY_WIDTH, .instructions = 4 };
	qeff_bytes_append(&e->b.instructions, code, sizeof(code));
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);

	op = nsp_op_of(QEFF_NSP_ROPE, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	op.in[0] = x;
	op.in[1] = nsp_f32(every_randoms(e, EVERY_POSITIONS * 8), 8);
	op.in[2] = nsp_f32(every_randoms(e, EVERY_POSITIONS * 8), 8);
	op.out = x;
	op.u.rope = (struct qeff_nsp_rope_params){
		.heads = 4, .head_dim = 16, .rotary = 16, .positions = EVERY_POSITIONS
	};
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), 4, 1, QEFF_NSP_NONE, 0);
	return x;
}

static inline struct qeff_nsp_operand every_attention(struct every *e, struct qeff_nsp_operand x)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_SCATTER, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	struct qeff_nsp_state states[2];
	float buckets[2 * EVERY_SEQ - 1];

	nsp_phase(&e->b);
	for (int i = 0; i < 2; i++) {
		states[i] = (struct qeff_nsp_state){
			.at = nsp_state(&e->b, EVERY_BATCH * 4 * EVERY_POSITIONS * 16 * 4),
			.slot_stride = 4 * EVERY_POSITIONS * 16 * 4,
			.head_stride = EVERY_POSITIONS * 16 * 4,
			.position_stride = 16 * 4,
			.slots = EVERY_BATCH,
			.positions = EVERY_POSITIONS,
		};
		op.in[0] = x;
		op.u.scatter = (struct qeff_nsp_scatter_params){ .state = states[i],
								 .heads = 4,
								 .dim = 16 };
		nsp_share(&e->b, nsp_op(&e->b, &op), 4, 1, QEFF_NSP_NONE, 0);
	}
	op = nsp_op_of(QEFF_NSP_ATTENTION, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	op.in[0] = x;
	op.out = every_arena(e);
	op.u.attention = (struct qeff_nsp_attention_params){
		.key = states[0],
		.value = states[1],
		.heads = 4,
		.kv_heads = 4,
		.head_dim = 16,
		.value_dim = 16,
		.scale = 0.25f,
		.from_state = 1,
	};
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), 4, 1, QEFF_NSP_NONE, 0);
	op.in[0] = op.out;
	op.in[1] = x;
	op.in[2] = x;
	op.out = every_arena(e);
	op.in[3] = nsp_f32(every_randoms(e, 4 * 9), 9);
	for (int i = 0; i < 2 * EVERY_SEQ - 1; i++)
		buckets[i] = (float)(i / 2);
	op.u.attention.relative = (struct qeff_nsp_relative){
		.keys = every_randoms(e, EVERY_SEQ * EVERY_WIDTH),
		.queries = every_randoms(e, EVERY_SEQ * EVERY_WIDTH),
		.buckets = nsp_const(&e->b, buckets, sizeof(buckets)),
		.rows = EVERY_SEQ,
		.distances = EVERY_SEQ,
	};
	op.u.attention.bias_columns = 9;
	op.u.attention.bias_zero = 4;
	op.u.attention.from_state = 0;
	op.u.attention.window = 5;
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), 4, 1, QEFF_NSP_NONE, 0);
	return op.out;
}

/* Three experts, of which each row takes two: of its own numbers first, then of what they made. */
static inline void every_experts(struct every *e, struct qeff_nsp_operand x)
{
	const uint64_t panel = qeff_nsp_panel_bytes(QEFF_NSP_I8, EVERY_WIDTH, 32);
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ROUTE, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	struct qeff_nsp_operand routes;
	float *w = nsp_randoms(&e->seed, EVERY_WIDTH * EVERY_WIDTH);
	uint64_t data;

	/* the panels of one weight serve for all */
	data = nsp_const(&e->b, NULL, 3 * 2 * panel);
	for (uint32_t i = 0; i < 6; i++) {
		struct qeff_nsp_weights from;

		qeff_nsp_weights_of(&from, w, QEFF_NSP_F32, EVERY_WIDTH * 4, 4, i % 2 * 32,
				    EVERY_WIDTH);
		qeff_nsp_pack_panel(e->b.constants.data + data - NSP_BUILDER_PROGRAM_BYTES +
					    i * panel,
				    QEFF_NSP_I8, EVERY_WIDTH, 32, &from);
	}
	op.in[0] = x;
	op.out = routes = every_arena(e);
	op.u.route = (struct qeff_nsp_route_params){ .experts = 3, .chosen = 2, .all = 1 };
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);

	op = nsp_op_of(QEFF_NSP_EXPERTS, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	op.in[0] = x;
	op.in[1] = nsp_f32(every_randoms(e, 3 * EVERY_WIDTH), EVERY_WIDTH);
	op.in[3] = routes;
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_ROWS * EVERY_WIDTH * 8), EVERY_WIDTH * 2);
	op.u.experts = (struct qeff_nsp_experts_params){
		.matmul = { .inputs = EVERY_WIDTH,
			    .outputs = EVERY_WIDTH,
			    .scale_group = 32,
			    .weight_type = QEFF_NSP_I8,
			    .function = QEFF_NSP_GELU_TANH },
		.experts = 3,
		.chosen = 2,
		.shared = 1,
	};
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_WIDTH, 32, data, 3 * panel);

	x = op.out;
	op = nsp_op_of(QEFF_NSP_MIX, QEFF_NSP_ROWS_TOKENS, EVERY_ROWS);
	op.in[0] = x;
	op.in[1] = routes;
	op.out = every_arena(e);
	op.u.mix = (struct qeff_nsp_mix_params){ .width = EVERY_WIDTH, .chosen = 2 };
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
	free(w);
}

/* Flags of tokens and what they take off, in two slots; @x: of each segment EVERY_WIDTH logits. */
static inline struct qeff_nsp_operand every_penalties(struct every *e, struct qeff_nsp_operand x)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_MARK, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);
	struct qeff_nsp_state flags[2];

	nsp_phase(&e->b);
	for (int i = 0; i < 2; i++) {
		flags[i] = (struct qeff_nsp_state){
			.at = nsp_state(&e->b, EVERY_BATCH * EVERY_WIDTH),
			.slot_stride = EVERY_WIDTH,
			.slots = EVERY_BATCH,
			.positions = 1,
			.type = QEFF_NSP_BOOL,
		};
		op.in[0] = nsp_rows(e->ids, EVERY_SEQ * 8, QEFF_NSP_I64);
		op.u.mark =
			(struct qeff_nsp_mark_params){ .flags = flags[i], .width = EVERY_WIDTH };
		nsp_whole(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE);
	}
	for (int i = 0; i < 5; i++)
		e->numbers[i] = nsp_io(&e->b, EVERY_BATCH * 4);
	e->top_ks = nsp_io(&e->b, EVERY_BATCH * 4);
	e->masks = nsp_io(&e->b, EVERY_BATCH * EVERY_WIDTH);
	e->randoms = nsp_io(&e->b, EVERY_BATCH * EVERY_CHOSEN * 4);
	op = nsp_op_of(QEFF_NSP_PENALISE, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);
	op.in[0] = x;
	op.in[1] = nsp_rows(e->numbers[0], 0, QEFF_NSP_F32);
	op.in[2] = nsp_rows(e->numbers[1], 0, QEFF_NSP_F32);
	op.out = x;
	op.u.penalise = (struct qeff_nsp_penalise_params){ .repetition = flags[0],
							   .presence = flags[1],
							   .masks = e->masks,
							   .width = EVERY_WIDTH };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), EVERY_WIDTH, 1, QEFF_NSP_NONE, 0);
	return x;
}

/* A token of each segment, and how likely each token was. */
static inline void every_choice(struct every *e, struct qeff_nsp_operand x)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_BEST, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);

	op.in[0] = x;
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_BATCH * 4 * EVERY_CHOSEN * 4), 4 * EVERY_CHOSEN);
	op.u.best = (struct qeff_nsp_best_params){ .width = EVERY_WIDTH,
						   .parts = 2,
						   .chosen = EVERY_CHOSEN };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), 2, 1, QEFF_NSP_NONE, 0);
	op.in[0] = op.out;
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_BATCH * 2 * EVERY_CHOSEN * 4), 2 * EVERY_CHOSEN);
	op.u.best = (struct qeff_nsp_best_params){
		.width = 2 * EVERY_CHOSEN, .parts = 1, .chosen = EVERY_CHOSEN, .numbered = 1
	};
	nsp_phase(&e->b);
	nsp_whole(&e->b, nsp_op(&e->b, &op), 1, QEFF_NSP_NONE);
	x = op.out;
	op = nsp_op_of(QEFF_NSP_SAMPLE, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);
	op.in[0] = x;
	op.in[1] = nsp_rows(e->numbers[2], 0, QEFF_NSP_F32);
	op.in[2] = nsp_rows(e->top_ks, 0, QEFF_NSP_I32);
	op.in[3] = nsp_rows(e->numbers[3], 0, QEFF_NSP_F32);
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_BATCH * 4), 1);
	op.u.sample = (struct qeff_nsp_sample_params){ .chosen = EVERY_CHOSEN,
						       .min_ps = e->numbers[4],
						       .random_numbers = e->randoms };
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_BATCH * EVERY_WIDTH * 4), EVERY_WIDTH);
	op.u.sample.width = EVERY_WIDTH;
	op.u.sample.random_numbers = QEFF_NSP_NONE;
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
}

/* Lays the program out; @e keeps where its inputs and its output are. */
static inline uint8_t *every_layout(struct every *e, size_t *bytes)
{
	struct qeff_nsp_operand x, tokens;
	struct qeff_nsp_op op;

	memset(e, 0, sizeof(*e));
	nsp_builder_init(&e->b, 2);
	nsp_spec(&e->b, EVERY_BATCH, EVERY_SEQ, EVERY_POSITIONS, EVERY_BATCH);
	qeff_bytes_append(&e->b.strings, "first\0second", 13);
	e->positions = nsp_io(&e->b, EVERY_ROWS * 8);
	e->ids = nsp_io(&e->b, EVERY_ROWS * 8);
	e->out = nsp_io(&e->b, EVERY_BATCH * EVERY_WIDTH * 4);
	nsp_rows_phase(&e->b, EVERY_BATCH, EVERY_SEQ, e->positions, QEFF_NSP_NONE, false);
	x = every_gathers(e);
	x = every_matmul(e, x, QEFF_NSP_F32);
	x = every_matmul(e, x, QEFF_NSP_I8);
	x = every_rowwise(e, x);
	x = every_attention(e, x);
	tokens = x;

	op = nsp_op_of(QEFF_NSP_REDUCE, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);
	op.in[0] = x;
	op.out = nsp_f32(nsp_arena(&e->b, EVERY_BATCH * EVERY_WIDTH * 4), EVERY_WIDTH);
	op.u.reduce.width = EVERY_WIDTH;
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
	x = op.out;

	op = nsp_op_of(QEFF_NSP_COPY, QEFF_NSP_ROWS_SEGMENTS, EVERY_BATCH);
	op.in[0] = x;
	op.out = nsp_f32(e->out, EVERY_WIDTH);
	op.u.copy = (struct qeff_nsp_copy_params){ .width = EVERY_WIDTH, .out_rows = EVERY_BATCH };
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
	every_experts(e, tokens);
	every_choice(e, every_penalties(e, x));
	return nsp_layout(&e->b, bytes);
}

static inline void every_inputs(const struct every *e, struct nsp_machine *m)
{
	static const int64_t positions[EVERY_ROWS] = { -1, 0, 1, 2, 5, -1, 6, -1 };
	static const int64_t ids[EVERY_ROWS] = { 0, 49, 3, 17, 20, 0, 31, 32 };

	memcpy(nsp_ddr(m, e->positions), positions, sizeof(positions));
	memcpy(nsp_ddr(m, e->ids), ids, sizeof(ids));
	for (int i = 0; i < EVERY_BATCH; i++) {
		static const float numbers[5] = { 1.5f, 0.25f, 0.75f, 0.9f, 0.05f };

		for (int j = 0; j < 5; j++)
			((float *)nsp_ddr(m, e->numbers[j]))[i] = numbers[j] + 0.02f * (float)i;
		((int32_t *)nsp_ddr(m, e->top_ks))[i] = 4 * i;
		for (int c = 0; c < EVERY_WIDTH; c++)
			((uint8_t *)nsp_ddr(m, e->masks))[i * EVERY_WIDTH + c] = (c + i) % 7 != 3;
		for (int j = 0; j < EVERY_CHOSEN; j++)
			((float *)nsp_ddr(m, e->randoms))[i * EVERY_CHOSEN + j] =
				0.1f + 0.17f * (float)(j ^ i);
	}
}

#endif
