/* SPDX-License-Identifier: MIT */
/*
 * ROUTE, EXPERTS and MIX against plain references, on every instruction set; numbers of experts
 * that are none; what the validator refuses of them.
 */
#include "nsp_builder.h"
#include "unit.h"

#include <math.h>

#define ROWS	9
#define EXPERTS 5
#define CHOSEN	3
#define INPUTS	70
#define OUTPUTS 45

/* A program without token inputs worth mentioning: its rows are static. */
struct fixture {
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t positions;
};

static void begin(struct fixture *f, uint32_t nsps)
{
	nsp_builder_init(&f->b, nsps);
	nsp_spec(&f->b, 1, 1, 1, 1);
	f->positions = nsp_io(&f->b, 8);
	nsp_rows_phase(&f->b, 1, 1, f->positions, QEFF_NSP_NONE, false);
}

static struct qeff_nsp_operand floats(struct fixture *f, uint32_t columns)
{
	return nsp_f32(nsp_arena(&f->b, (uint64_t)ROWS * columns * 4), columns);
}

static float *at(struct fixture *f, const struct qeff_nsp_operand *operand)
{
	return nsp_ddr(&f->m, operand->at);
}

/* ---- ROUTE ---- */

static const float scores[ROWS][EXPERTS] = {
	{ 1, 5, 2, 4, 3 },	     { 2, 2, 2, 2, 2 },
	{ 0, -1, 0, 7, 7 },	     { -INFINITY, 1, INFINITY, 0, 2 },
	{ NAN, 3, 1, NAN, 2 },	     { NAN, 3, NAN, NAN, 2 },
	{ NAN, NAN, NAN, NAN, NAN }, { -80, -90, -85, -100, -95 },
	{ 100, 20, 90, 95, 99 },
};
static const uint32_t wanted[ROWS][CHOSEN] = {
	{ 1, 3, 4 }, { 0, 1, 2 }, { 3, 4, 0 }, { 2, 4, 1 }, { 1, 4, 2 },
	{ 1, 4, 0 }, { 0, 0, 0 }, { 0, 2, 1 }, { 0, 4, 3 },
};

static void check_routes(const float *out, bool all)
{
	for (uint32_t r = 0; r < ROWS; r++, out += 2 * CHOSEN) {
		double total = 0;

		for (uint32_t j = 0; j < CHOSEN; j++)
			CU_ASSERT_EQUAL(out[j], wanted[r][j]);
		for (uint32_t i = 0; i < (all ? EXPERTS : CHOSEN); i++)
			total += exp((double)scores[r][all ? i : wanted[r][i]] -
				     scores[r][wanted[r][0]]);
		for (uint32_t j = 0; j < CHOSEN && r != 3 && r != 5 && r != 6; j++) {
			double want =
				exp((double)scores[r][wanted[r][j]] - scores[r][wanted[r][0]]) /
				total;

			CU_ASSERT(isnan(want) ? isnan(out[CHOSEN + j])
					      : fabs(out[CHOSEN + j] - want) < 1e-6);
		}
		/* what cannot be routed must not pass for a number */
		if (r == 3 || r == 5 || r == 6)
			CU_ASSERT(isnan(out[CHOSEN]));
	}
}

static void routes(void)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t i = 0; i < count; i++)
		for (int all = 0; all < 2; all++) {
			struct qeff_nsp_op op =
				nsp_op_of(QEFF_NSP_ROUTE, QEFF_NSP_ROWS_STATIC, ROWS);
			struct fixture f;

			begin(&f, 2);
			op.in[0] = floats(&f, EXPERTS);
			op.out = floats(&f, 2 * CHOSEN);
			op.u.route = (struct qeff_nsp_route_params){ .experts = EXPERTS,
								     .chosen = CHOSEN,
								     .all = (uint8_t)all };
			nsp_phase(&f.b);
			nsp_share_rows(&f.b, nsp_op(&f.b, &op), 0, QEFF_NSP_NONE, 4);
			nsp_build(&f.m, &f.b, qeff_nsp_kernels_named(isas[i]));
			memcpy(at(&f, &op.in[0]), scores, sizeof(scores));
			CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
			check_routes(at(&f, &op.out), all);
			nsp_unload(&f.m);
		}
}

/* ---- EXPERTS and MIX ---- */

struct experts_case {
	enum qeff_nsp_type type;
	bool shared, biased, gated;
	uint8_t function;
	double tolerance;
};

/* The third is no expert, the fourth not even a number: both count as 0. */
static const float chosen[ROWS][CHOSEN] = {
	{ 0, 1, 2 }, { 4, 3, 0 }, { 5, 2, 1 },	    { NAN, 4, 2 }, { 1, 0, 3 },
	{ 2, 3, 4 }, { 3, 1, 4 }, { -1e30f, 2, 0 }, { 4, 0, 1 },
};

static uint32_t expert_of(uint32_t row, uint32_t j)
{
	return chosen[row][j] >= 0 && chosen[row][j] < EXPERTS ? (uint32_t)chosen[row][j] : 0;
}

/* Panels of all experts side by side for each 32 outputs. */
static uint64_t pack(struct fixture *f, enum qeff_nsp_type type, const float *w, uint32_t group)
{
	uint64_t panel = qeff_nsp_panel_bytes(type, INPUTS, group), at;
	uint32_t panels = (OUTPUTS + 31) / 32;

	at = nsp_const(&f->b, NULL, panel * panels * EXPERTS);
	for (uint32_t e = 0; e < EXPERTS; e++)
		for (uint32_t p = 0; p < panels; p++) {
			struct qeff_nsp_weights from;

			qeff_nsp_weights_of(&from, w + (size_t)e * OUTPUTS * INPUTS, QEFF_NSP_F32,
					    INPUTS * 4, 4, p * 32, OUTPUTS);
			qeff_nsp_pack_panel(f->b.constants.data + at - NSP_BUILDER_PROGRAM_BYTES +
						    (p * EXPERTS + e) * panel,
					    type, INPUTS, group, &from);
		}
	return at;
}

/* Runs EXPERTS, and MIX of what it makes with @residual; @out gets the rows of both. */
static void run(const struct experts_case *c, const char *isa, uint32_t nsps, const float *w,
		const float *bias, float *out, float *mixed)
{
	uint32_t group = c->type == QEFF_NSP_I8 ? 32 : 0,
		 x_width = INPUTS * (c->shared ? 1 : CHOSEN);
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_EXPERTS, QEFF_NSP_ROWS_STATIC, ROWS);
	struct qeff_nsp_op mix = nsp_op_of(QEFF_NSP_MIX, QEFF_NSP_ROWS_STATIC, ROWS);
	uint32_t seed = 11;
	struct fixture f;
	uint64_t data;

	begin(&f, nsps);
	data = pack(&f, c->type, w, group);
	op.in[0] = floats(&f, x_width);
	if (c->biased)
		op.in[1] = nsp_f32(nsp_const(&f.b, bias, EXPERTS * OUTPUTS * 4), OUTPUTS);
	if (c->gated)
		op.in[2] = floats(&f, CHOSEN * OUTPUTS);
	op.in[3] = floats(&f, 2 * CHOSEN);
	op.out = floats(&f, CHOSEN * OUTPUTS);
	op.u.experts = (struct qeff_nsp_experts_params){
		.matmul = { .inputs = INPUTS,
			    .outputs = OUTPUTS,
			    .scale_group = group,
			    .weight_type = (uint8_t)c->type,
			    .function = c->function },
		.experts = EXPERTS,
		.chosen = CHOSEN,
		.shared = c->shared,
	};
	nsp_phase(&f.b);
	nsp_share(&f.b, nsp_op(&f.b, &op), OUTPUTS, 32, data,
		  EXPERTS * qeff_nsp_panel_bytes(c->type, INPUTS, group));
	mix.in[0] = op.out;
	mix.in[1] = op.in[3];
	mix.in[2] = floats(&f, OUTPUTS);
	mix.out = mix.in[2];
	mix.u.mix = (struct qeff_nsp_mix_params){ .width = OUTPUTS, .chosen = CHOSEN };
	nsp_phase(&f.b);
	nsp_share_rows(&f.b, nsp_op(&f.b, &mix), 0, QEFF_NSP_NONE, 2);
	nsp_build(&f.m, &f.b, qeff_nsp_kernels_named(isa));
	for (uint32_t i = 0; i < ROWS * x_width; i++)
		at(&f, &op.in[0])[i] = nsp_random(&seed);
	for (uint32_t i = 0; c->gated && i < ROWS * CHOSEN * OUTPUTS; i++)
		at(&f, &op.in[2])[i] = nsp_random(&seed);
	for (uint32_t i = 0; i < ROWS * OUTPUTS; i++)
		at(&f, &mix.in[2])[i] = nsp_random(&seed);
	for (uint32_t r = 0; r < ROWS; r++)
		for (uint32_t j = 0; j < CHOSEN; j++) {
			at(&f, &op.in[3])[r * 2 * CHOSEN + j] = chosen[r][j];
			at(&f, &op.in[3])[r * 2 * CHOSEN + CHOSEN + j] = nsp_random(&seed);
		}
	CU_ASSERT_EQUAL(nsp_infer(&f.m, 0), QEFF_NSP_FAULT_NONE);
	memcpy(out, at(&f, &op.out), ROWS * CHOSEN * OUTPUTS * 4);
	memcpy(mixed, at(&f, &mix.out), ROWS * OUTPUTS * 4);
	nsp_unload(&f.m);
}

/* One number of EXPERTS, from the same seed as run() takes. */
static void check(const struct experts_case *c, const float *w, const float *bias, const float *out,
		  const float *mixed)
{
	uint32_t x_width = INPUTS * (c->shared ? 1 : CHOSEN), seed = 11;
	float *x = nsp_randoms(&seed, ROWS * x_width), *gates = NULL, *residual, *weights;
	double worst = 0, worst_mix = 0;

	if (c->gated)
		gates = nsp_randoms(&seed, ROWS * CHOSEN * OUTPUTS);
	residual = nsp_randoms(&seed, ROWS * OUTPUTS);
	weights = nsp_randoms(&seed, ROWS * CHOSEN);
	for (uint32_t r = 0; r < ROWS; r++)
		for (uint32_t n = 0; n < OUTPUTS; n++) {
			double sum = residual[r * OUTPUTS + n];

			for (uint32_t j = 0; j < CHOSEN; j++) {
				uint32_t e = expert_of(r, j), to = (r * CHOSEN + j) * OUTPUTS + n;
				double want = c->biased ? bias[e * OUTPUTS + n] : 0;

				for (uint32_t k = 0; k < INPUTS; k++)
					want += (double)w[((size_t)e * OUTPUTS + n) * INPUTS + k] *
						x[r * x_width + (c->shared ? 0 : j * INPUTS) + k];
				if (c->function == QEFF_NSP_RELU)
					want = want > 0 ? want : 0;
				if (gates)
					want *= gates[to];
				worst = fmax(worst, nsp_off(out[to], want));
				sum += (double)weights[r * CHOSEN + j] * out[to];
			}
			worst_mix = fmax(worst_mix, nsp_off(mixed[r * OUTPUTS + n], sum));
		}
	if (!(worst < c->tolerance && worst_mix < 1e-5))
		printf("\n  type %d: off by %g, mixed by %g", c->type, worst, worst_mix);
	CU_ASSERT(worst < c->tolerance && worst_mix < 1e-5);
	free(x);
	free(gates);
	free(residual);
	free(weights);
}

static void experts(void)
{
	static const struct experts_case cases[] = {
		{ QEFF_NSP_F32, true, false, false, QEFF_NSP_IDENTITY, 1e-4 },
		{ QEFF_NSP_F32, false, true, false, QEFF_NSP_RELU, 1e-4 },
		{ QEFF_NSP_F16, true, true, true, QEFF_NSP_RELU, 1e-2 },
		{ QEFF_NSP_BF16, false, false, true, QEFF_NSP_IDENTITY, 1e-1 },
		{ QEFF_NSP_I8, true, false, true, QEFF_NSP_IDENTITY, 2e-1 },
	};
	static float out[2][ROWS * CHOSEN * OUTPUTS], mixed[2][ROWS * OUTPUTS];
	const char *isas[4];
	size_t count = nsp_isas(isas);
	uint32_t seed = 5;
	float *w = nsp_randoms(&seed, EXPERTS * OUTPUTS * INPUTS);
	float *bias = nsp_randoms(&seed, EXPERTS * OUTPUTS);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			run(&cases[j], isas[i], 1, w, bias, out[0], mixed[0]);
			check(&cases[j], w, bias, out[0], mixed[0]);
			/* the number of NSPs must not change a bit */
			run(&cases[j], isas[i], 2, w, bias, out[1], mixed[1]);
			CU_ASSERT_EQUAL(memcmp(out[0], out[1], sizeof(out[0])), 0);
			CU_ASSERT_EQUAL(memcmp(mixed[0], mixed[1], sizeof(mixed[0])), 0);
		}
	free(w);
	free(bias);
}

/* ---- the validator ---- */

static struct qeff_nsp_op sound(struct fixture *f, uint16_t code)
{
	struct qeff_nsp_op op = nsp_op_of(code, QEFF_NSP_ROWS_STATIC, ROWS);

	op.in[0] = floats(f, CHOSEN * OUTPUTS);
	op.out = floats(f, CHOSEN * OUTPUTS);
	switch (code) {
	case QEFF_NSP_ROUTE:
		op.u.route = (struct qeff_nsp_route_params){ .experts = EXPERTS, .chosen = CHOSEN };
		break;
	case QEFF_NSP_MIX:
		op.in[1] = floats(f, 2 * CHOSEN);
		op.u.mix = (struct qeff_nsp_mix_params){ .width = OUTPUTS, .chosen = CHOSEN };
		break;
	default:
		op.in[1] = nsp_f32(nsp_const(&f->b, NULL, EXPERTS * OUTPUTS * 4), OUTPUTS);
		op.in[3] = floats(f, 2 * CHOSEN);
		op.u.experts = (struct qeff_nsp_experts_params){
			.matmul = { .inputs = INPUTS, .outputs = OUTPUTS },
			.experts = EXPERTS,
			.chosen = CHOSEN,
			.shared = 1,
		};
	}
	return op;
}

static void break_route_chosen(struct qeff_nsp_op *op)
{
	op->u.route.chosen = EXPERTS + 1;
}

static void break_route_none(struct qeff_nsp_op *op)
{
	op->u.route.chosen = 0;
}

static void break_route_all(struct qeff_nsp_op *op)
{
	op->u.route.all = 2;
}

static void break_in_place(struct qeff_nsp_op *op)
{
	op->out = op->in[0];
}

static void break_route_long(struct qeff_nsp_op *op)
{
	op->u.route.experts = 1u << 23;
}

static void break_no_routes(struct qeff_nsp_op *op)
{
	op->in[3] = nsp_none();
}

static void break_bias(struct qeff_nsp_op *op)
{
	op->in[1].at = QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_ARENA);
}

static void break_bias_rows(struct qeff_nsp_op *op)
{
	op->in[1].stride_bytes = 1u << 30;
}

static void break_experts(struct qeff_nsp_op *op)
{
	op->u.experts.experts = 1u << 20;
}

static void break_shared(struct qeff_nsp_op *op)
{
	op->u.experts.shared = 3;
}

static void break_own(struct qeff_nsp_op *op)
{
	op->u.experts.shared = 0;
	op->u.experts.matmul.inputs = 1u << 22;
}

static void break_type(struct qeff_nsp_op *op)
{
	op->u.experts.matmul.weight_type = 99;
}

static void break_mix(struct qeff_nsp_op *op)
{
	op->u.mix.chosen = 0;
}

static void break_mix_wide(struct qeff_nsp_op *op)
{
	op->u.mix.width = 1u << 22;
}

static void nothing(struct qeff_nsp_op *op)
{
}

static void refuses(void)
{
	static const struct {
		uint16_t code;
		void (*damage)(struct qeff_nsp_op *op);
		const char *what; /* NULL: accepted */
	} cases[] = {
		{ QEFF_NSP_ROUTE, nothing, NULL },
		{ QEFF_NSP_ROUTE, break_route_chosen, "number of experts" },
		{ QEFF_NSP_ROUTE, break_route_none, "number of experts" },
		{ QEFF_NSP_ROUTE, break_route_all, "parameters of ROUTE" },
		{ QEFF_NSP_ROUTE, break_route_long, "leaves the memory" },
		{ QEFF_NSP_ROUTE, break_in_place, "in place" },
		{ QEFF_NSP_EXPERTS, nothing, NULL },
		{ QEFF_NSP_EXPERTS, break_no_routes, "missing" },
		{ QEFF_NSP_EXPERTS, break_bias, "not in the constants" },
		{ QEFF_NSP_EXPERTS, break_bias_rows, "leaves the memory" },
		{ QEFF_NSP_EXPERTS, break_experts, "leave" },
		{ QEFF_NSP_EXPERTS, break_shared, "parameters of EXPERTS" },
		{ QEFF_NSP_EXPERTS, break_own, "leaves the memory" },
		{ QEFF_NSP_EXPERTS, break_type, "weights of MATMUL" },
		{ QEFF_NSP_EXPERTS, break_in_place, "in place" },
		{ QEFF_NSP_MIX, nothing, NULL },
		{ QEFF_NSP_MIX, break_mix, "number of experts" },
		{ QEFF_NSP_MIX, break_mix_wide, "leaves the memory" },
		{ QEFF_NSP_MIX, break_in_place, "in place" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool experts = cases[i].code == QEFF_NSP_EXPERTS;
		struct qeff_nsp_op op;
		struct fixture f;
		uint64_t data;

		begin(&f, 1);
		op = sound(&f, cases[i].code);
		data = nsp_const(&f.b, NULL,
				 2 * EXPERTS * qeff_nsp_panel_bytes(QEFF_NSP_F32, INPUTS, 0));
		cases[i].damage(&op);
		f.b.header.scratch_bytes = 1 << 20;
		nsp_phase(&f.b);
		nsp_whole(&f.b, nsp_op(&f.b, &op), experts ? OUTPUTS : 0,
			  experts ? data : QEFF_NSP_NONE);
		if (!nsp_judged(&f.b, i, cases[i].what))
			CU_FAIL("refused for what is wrong");
	}
}

static const struct unit_test tests[] = {
	{ "routes", routes },
	{ "experts and their mix", experts },
	{ "refuses", refuses },
};

QEFF_UNIT_MAIN("nsp experts", tests)
