/* SPDX-License-Identifier: MIT */
/*
 * Penalties for tokens that a text has already: MARK, PENALISE and the probabilities of SAMPLE
 * against plain definitions.
 */
#include "unit.h"

#include "nsp_builder.h"

#include <math.h>

#define BATCH  3
#define WIDTH  211
#define CHOSEN 5
#define SLOTS  4
#define SEQ    3

/* A specialisation of @seq tokens with two kinds of flags and, with them, penalties. */
struct penalties {
	struct nsp_builder b;
	struct nsp_machine m;
	struct qeff_nsp_state flags[2];
	uint64_t positions, slots, ids, accepted, masks;
	struct qeff_nsp_op penalise;
	uint32_t seq;
};

static void build_penalties(struct penalties *p, const char *isa, uint32_t seq)
{
	struct qeff_nsp_op mark = nsp_op_of(QEFF_NSP_MARK, QEFF_NSP_ROWS_SEGMENTS, BATCH);
	struct qeff_nsp_op *op = &p->penalise;

	*p = (struct penalties){ .seq = seq };
	nsp_builder_init(&p->b, 2);
	nsp_spec(&p->b, BATCH, seq, 64, SLOTS);
	p->positions = nsp_io(&p->b, BATCH * seq * 8);
	p->slots = nsp_io(&p->b, BATCH * 8);
	p->ids = nsp_io(&p->b, BATCH * seq * 8);
	p->accepted = nsp_io(&p->b, BATCH * seq * 8);
	p->masks = nsp_io(&p->b, BATCH * WIDTH);
	*op = nsp_op_of(QEFF_NSP_PENALISE, QEFF_NSP_ROWS_SEGMENTS, BATCH);
	op->in[0] = nsp_f32(nsp_arena(&p->b, BATCH * WIDTH * 4), WIDTH);
	op->in[1] = nsp_rows(nsp_io(&p->b, BATCH * 4), 0, QEFF_NSP_F32);
	op->in[2] = nsp_rows(nsp_io(&p->b, BATCH * 4), 0, QEFF_NSP_F32);
	op->out = nsp_f32(nsp_arena(&p->b, BATCH * WIDTH * 4), WIDTH);
	nsp_rows_phase(&p->b, BATCH, seq, p->positions, p->slots, false);
	nsp_phase(&p->b);
	for (int i = 0; i < 2; i++) {
		p->flags[i] = (struct qeff_nsp_state){ .at = nsp_state(&p->b, SLOTS * WIDTH),
						       .slot_stride = WIDTH,
						       .slots = SLOTS,
						       .positions = 1,
						       .type = QEFF_NSP_BOOL };
		mark.in[0] = nsp_rows(i ? p->accepted : p->ids, seq * 8, QEFF_NSP_I64);
		mark.u.mark = (struct qeff_nsp_mark_params){ .flags = p->flags[i],
							     .width = WIDTH,
							     .decode = i == 1 };
		nsp_whole(&p->b, nsp_op(&p->b, &mark), 0, QEFF_NSP_NONE);
	}
	op->u.penalise = (struct qeff_nsp_penalise_params){ .repetition = p->flags[0],
							    .presence = p->flags[1],
							    .masks = p->masks,
							    .width = WIDTH };
	nsp_phase(&p->b);
	nsp_share(&p->b, nsp_op(&p->b, op), WIDTH, 1, QEFF_NSP_NONE, 0);
	nsp_build(&p->m, &p->b, qeff_nsp_kernels_named(isa));
}

/* A step of three sequences with their own slots; @known[slot][i][token] is what flags should be.
 */
static void step_penalties(struct penalties *p, uint32_t *seed, int64_t *lengths,
			   bool (*known)[2][WIDTH])
{
	int64_t *positions = nsp_ddr(&p->m, p->positions), *ids = nsp_ddr(&p->m, p->ids);
	int64_t *accepted = nsp_ddr(&p->m, p->accepted), *slots = nsp_ddr(&p->m, p->slots);
	uint8_t *masks = nsp_ddr(&p->m, p->masks);
	float *x = nsp_ddr(&p->m, p->penalise.in[0].at);
	float *factors = nsp_ddr(&p->m, p->penalise.in[1].at);
	float *less = nsp_ddr(&p->m, p->penalise.in[2].at);
	bool lives[BATCH];
	uint32_t row = 0;

	for (int i = 0; i < BATCH; i++) {
		/* slots 3, 1, 2; now and then one begins anew, or sleeps */
		int64_t slot = slots[i] = i ? i : 3;
		int dice = (int)((nsp_random(seed) + 1) * 5), live = 0;

		factors[i] = 1.1f + (float)i * 0.7f;
		less[i] = (float)i * 0.5f - 0.25f;
		if (dice == 1)
			lengths[slot] = 0;
		if (!lengths[slot])
			memset(known[slot], 0, dice == 0 ? 0 : sizeof(known[slot]));
		for (uint32_t t = 0; t < p->seq; t++) {
			size_t at = (size_t)i * p->seq + t;

			/* the last columns of a chunk are padding, in places */
			bool dead = dice == 0 || (dice == 2 && t);
			int64_t id = (int64_t)((nsp_random(seed) + 1) * WIDTH / 2);

			positions[at] = dead ? -1 : lengths[slot]++;
			ids[at] = id;
			/* what is no token marks none */
			accepted[at] = dice == 3 ? -1 : dice == 4 ? WIDTH : id;
			live += !dead;
			if (dead)
				continue;
			if (id < WIDTH)
				known[slot][0][id] = true;
			if (p->seq == 1 && dice != 3 && dice != 4 && id < WIDTH)
				known[slot][1][id] = true;
		}
		lives[i] = live;
		for (int c = 0; c < WIDTH; c++) {
			x[i * WIDTH + c] = nsp_random(seed) * 4;
			masks[i * WIDTH + c] = nsp_random(seed) < 0.9f;
		}
	}
	CU_ASSERT_EQUAL_FATAL(nsp_infer(&p->m, 0), QEFF_NSP_FAULT_NONE);
	for (int i = 0; i < BATCH; i++) {
		const float *found = (const float *)nsp_ddr(&p->m, p->penalise.out.at);

		if (!lives[i])
			continue;
		for (int c = 0; c < WIDTH; c++) {
			float want = x[row * WIDTH + (uint32_t)c];

			if (!masks[i * WIDTH + c])
				want = -65504;
			if (known[slots[i]][0][c])
				want = want > 0 ? want / factors[i] : want * factors[i];
			if (known[slots[i]][1][c])
				want -= less[i];
			if (found[row * WIDTH + (uint32_t)c] != want)
				CU_FAIL_FATAL("a logit less its penalties");
		}
		row++;
	}
	for (int slot = 0; slot < SLOTS; slot++)
		for (int i = 0; i < 2; i++) {
			const uint8_t *flags = nsp_ddr(&p->m, p->flags[i].at);

			for (int c = 0; c < WIDTH; c++)
				if (flags[slot * WIDTH + c] != known[slot][i][c])
					CU_FAIL_FATAL("flags of a slot");
		}
}

/* Chunks of a prompt mark repetition alone, steps of a token both. */
static void penalties_by_the_definition(void)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);
	uint32_t seed = 5;

	for (size_t i = 0; i < count; i++)
		for (uint32_t seq = 1; seq <= SEQ; seq += SEQ - 1) {
			bool known[SLOTS][2][WIDTH] = { 0 };
			int64_t lengths[SLOTS] = { 0 };
			struct penalties p;

			build_penalties(&p, isas[i], seq);
			for (int round = 0; round < 20; round++)
				step_penalties(&p, &seed, lengths, known);
			nsp_unload(&p.m);
		}
}

/* What remains of five candidates, and how likely each is then, in double. */
static void probabilities_by_the_definition(void)
{
	static const struct {
		float temperature, top_p, min_p;
		int32_t top_k;
	} wishes[] = {
		{ 1, 1, 0, 0 },	   { 0, 1, 0, 0 },	 { 0.5f, 0.8f, 0, 0 },
		{ 2, 1, 0.6f, 0 }, { 1, 0.5f, 0.1f, 3 }, { 1, 1, 0, 2 },
	};
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t k = 0; k < count; k++) {
		struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_SAMPLE, QEFF_NSP_ROWS_SEGMENTS, 1);
		struct nsp_builder b;
		struct nsp_machine m;
		uint64_t ids;

		nsp_builder_init(&b, 1);
		nsp_spec(&b, 1, 1, 1, 1);
		ids = nsp_io(&b, 8);
		for (int i = 1; i < 4; i++)
			op.in[i] = nsp_rows(nsp_io(&b, 4), 0, i == 2 ? QEFF_NSP_I32 : QEFF_NSP_F32);
		op.u.sample = (struct qeff_nsp_sample_params){ .chosen = CHOSEN,
							       .width = 9,
							       .min_ps = nsp_io(&b, 4),
							       .random_numbers = QEFF_NSP_NONE };
		op.in[0] = nsp_f32(nsp_arena(&b, 2 * CHOSEN * 4), 2 * CHOSEN);
		op.out = nsp_f32(nsp_arena(&b, 9 * 4), 9);
		nsp_rows_phase(&b, 1, 1, ids, QEFF_NSP_NONE, false);
		nsp_phase(&b);
		nsp_whole(&b, nsp_op(&b, &op), 0, QEFF_NSP_NONE);
		nsp_build(&m, &b, qeff_nsp_kernels_named(isas[k]));
		for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
			static const float x[] = { 3, 2.5f, 2.25f, 1, -1, 4, 0, 8, 3, 1 };
			double t = wishes[i].temperature == 0 ? 1 : (double)wishes[i].temperature;
			double p[CHOSEN], total = 0, behind = 0, kept = 0, want[9] = { 0 };
			const float *found = (const float *)nsp_ddr(&m, op.out.at);
			int most = wishes[i].top_k < 1 ? CHOSEN : wishes[i].top_k;

			*(float *)nsp_ddr(&m, op.in[1].at) = wishes[i].temperature;
			*(int32_t *)nsp_ddr(&m, op.in[2].at) = wishes[i].top_k;
			*(float *)nsp_ddr(&m, op.in[3].at) = wishes[i].top_p;
			*(float *)nsp_ddr(&m, op.u.sample.min_ps) = wishes[i].min_p;
			*(int64_t *)nsp_ddr(&m, ids) = 0;
			memcpy(nsp_ddr(&m, op.in[0].at), x, sizeof(x));
			CU_ASSERT_EQUAL_FATAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
			for (int j = 0; j < most; j++)
				total += p[j] = exp((double)(x[j] - x[0]) / t);
			for (int j = most - 1; j >= 0; j--) {
				behind += p[j] / total;
				if (j && (behind <= 1 - (double)wishes[i].top_p ||
					  p[j] < (double)wishes[i].min_p * p[0]))
					p[j] = 0;
				kept += p[j];
			}
			for (int j = 0; j < most; j++)
				want[(int)x[CHOSEN + j]] = p[j] / kept;
			for (int c = 0; c < 9; c++)
				CU_ASSERT(fabs((double)found[c] - want[c]) < 1e-6 &&
					  (want[c] != 0) == (found[c] != 0));
		}
		nsp_unload(&m);
	}
}

/* A sound operation of its kind in which one member is overwritten. */
static void broken_ones_are_refused(void)
{
	static const struct {
		uint16_t code;
		size_t at, size;
		uint64_t value;
		const char *what;
	} damages[] = {
		{ QEFF_NSP_MARK, NSP_OP_AT(domain), QEFF_NSP_ROWS_TOKENS, "domain" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.width), 0, "width" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.width), WIDTH + 1, "slots of flags overlap" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.decode), 2, "parameters of MARK" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.reserved[2]), 1, "parameters of MARK" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.type), QEFF_NSP_F32, "type of a state" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.type), UINT8_MAX, "type of a state" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.positions), 2, "several positions" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.slots), 0, "without slots" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.slots), 2, "fewer slots" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.slots), 1u << 30,
		  "leaves the state region" },
		{ QEFF_NSP_MARK, NSP_OP_AT(u.mark.flags.at), QEFF_NSP_REF(QEFF_NSP_DDR, 0),
		  "not in the state region" },
		{ QEFF_NSP_MARK, NSP_OP_AT(in[0].type), QEFF_NSP_I32, "wrong type" },
		{ QEFF_NSP_MARK, NSP_OP_AT(in[0].stride_bytes), 16, "not seq * 8" },
		{ QEFF_NSP_MARK, NSP_OP_AT(in[0].at), QEFF_NSP_NONE, "missing" },
		{ QEFF_NSP_MARK, NSP_OP_AT(reserved1), 0, NULL },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(domain), QEFF_NSP_ROWS_STATIC, "domain" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.width), 1u << 25, "width" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.reserved), 1, "parameters of PENALISE" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.repetition.slots), 2, "fewer slots" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.presence.slots), 2, "fewer slots" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.presence.type), QEFF_NSP_I8,
		  "type of a state" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.masks), NSP_BUILDER_STATE - 8, "leaves" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.masks),
		  QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_STATE - 8), "penalties need leaves" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(in[1].at),
		  QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_STATE - 4), "penalties need leaves" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(in[2].at), QEFF_NSP_REF(QEFF_NSP_DDR, 1026),
		  "not aligned" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(in[2].at), QEFF_NSP_NONE, "missing" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(in[0].type), QEFF_NSP_F16, "wrong type" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(out.stride_bytes), WIDTH * 4 - 4, "overlap" },
		{ QEFF_NSP_PENALISE, NSP_OP_AT(u.penalise.masks), QEFF_NSP_NONE, NULL },
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		bool marks = damages[i].code == QEFF_NSP_MARK;
		struct qeff_nsp_op op = nsp_op_of(damages[i].code, QEFF_NSP_ROWS_SEGMENTS, BATCH);
		struct qeff_nsp_state flags = {
			.slot_stride = WIDTH, .slots = BATCH, .positions = 1, .type = QEFF_NSP_BOOL
		};
		struct nsp_builder b;

		nsp_builder_init(&b, 1);
		nsp_spec(&b, BATCH, 1, 1, BATCH);
		nsp_rows_phase(&b, BATCH, 1, nsp_io(&b, BATCH * 8), QEFF_NSP_NONE, false);
		flags.at = nsp_state(&b, BATCH * WIDTH);
		if (marks) {
			op.in[0] = nsp_rows(nsp_io(&b, BATCH * 8), 8, QEFF_NSP_I64);
			op.u.mark = (struct qeff_nsp_mark_params){ .flags = flags, .width = WIDTH };
		} else {
			op.in[0] = nsp_f32(nsp_arena(&b, BATCH * WIDTH * 4), WIDTH);
			for (int j = 1; j < 3; j++)
				op.in[j] = nsp_rows(nsp_io(&b, BATCH * 4), 0, QEFF_NSP_F32);
			op.out = nsp_f32(nsp_arena(&b, BATCH * WIDTH * 4), WIDTH);
			op.u.penalise = (struct qeff_nsp_penalise_params){
				.repetition = flags,
				.presence = flags,
				.masks = nsp_io(&b, BATCH * WIDTH),
				.width = WIDTH,
			};
		}
		memcpy((uint8_t *)&op + damages[i].at, &damages[i].value, damages[i].size);
		nsp_phase(&b);
		nsp_whole(&b, nsp_op(&b, &op), marks ? 0 : WIDTH, QEFF_NSP_NONE);
		if (!nsp_judged(&b, i, damages[i].what))
			CU_FAIL("refused for what is wrong");
	}
}

static const struct unit_test tests[] = {
	{ "flags and what they take off, by the definition", penalties_by_the_definition },
	{ "probabilities, by the definition", probabilities_by_the_definition },
	{ "every broken rule is refused", broken_ones_are_refused },
};
QEFF_UNIT_MAIN("penalties", tests)
