/* SPDX-License-Identifier: MIT */
/*
 * Tokens that the card chooses: BEST and SAMPLE against plain definitions, and packages that do so
 * on a software card. The likeliest token is the host's; draws follow the distribution that the
 * options ask for.
 */
#include "unit.h"

#include "model_folder.h"
#include "nsp_builder.h"

#include <errno.h>
#include <math.h>
#include <qeff/compiler.h>
#include <qeff/generate.h>

#define MODEL  QEFF_TEST_DATA "/models/rand-llama3-rope"
#define BATCH  3
#define WIDTH  211
#define CHOSEN 5

static struct folder folder;

/* The @chosen largest of columns [begin, end): by looking again and again. */
static void plain_best(const float *x, uint32_t begin, uint32_t end, float *numbers, float *columns)
{
	bool taken[WIDTH] = { false };

	for (uint32_t j = 0; j < CHOSEN; j++) {
		uint32_t at = end;

		for (uint32_t c = begin; c < end; c++)
			if (!taken[c] && !isnan(x[c]) && (at == end || x[c] > x[at]))
				at = c;
		numbers[j] = at < end ? x[at] : NAN;
		columns[j] = at < end ? (float)at : 0;
		if (at < end)
			taken[at] = true;
	}
}

/* Parts on two NSPs, then the best of all parts. */
static void best(const char *isa, uint32_t parts)
{
	struct qeff_nsp_op first = nsp_op_of(QEFF_NSP_BEST, QEFF_NSP_ROWS_STATIC, BATCH);
	struct qeff_nsp_op second = first;
	uint32_t seed = 7;
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t ids;

	nsp_builder_init(&b, 2);
	nsp_spec(&b, 1, 1, 1, 1);
	ids = nsp_io(&b, 8);
	nsp_rows_phase(&b, 1, 1, ids, QEFF_NSP_NONE, false);
	first.in[0] = nsp_f32(nsp_arena(&b, BATCH * WIDTH * 4), WIDTH);
	first.out = nsp_f32(nsp_arena(&b, BATCH * 2 * parts * CHOSEN * 4), 2 * parts * CHOSEN);
	first.u.best =
		(struct qeff_nsp_best_params){ .width = WIDTH, .parts = parts, .chosen = CHOSEN };
	second.in[0] = first.out;
	second.out = nsp_f32(nsp_arena(&b, BATCH * 2 * CHOSEN * 4), 2 * CHOSEN);
	second.u.best = (struct qeff_nsp_best_params){
		.width = parts * CHOSEN, .parts = 1, .chosen = CHOSEN, .numbered = 1
	};
	nsp_phase(&b);
	nsp_share(&b, nsp_op(&b, &first), parts, 1, QEFF_NSP_NONE, 0);
	nsp_phase(&b);
	nsp_whole(&b, nsp_op(&b, &second), 1, QEFF_NSP_NONE);
	nsp_build(&m, &b, qeff_nsp_kernels_named(isa));
	for (int i = 0; i < BATCH * WIDTH; i++) {
		float *x = (float *)nsp_ddr(&m, first.in[0].at) + i;

		/* many equal ones, some that are no numbers; the last row has few that are */
		*x = floorf(nsp_random(&seed) * 20);
		if (i % 13 == 5 || (i >= 2 * WIDTH && i % 70))
			*x = NAN;
		if (i % 17 == 2)
			*x = -INFINITY;
	}
	*(int64_t *)nsp_ddr(&m, ids) = 0;
	CU_ASSERT_EQUAL_FATAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
	for (int row = 0; row < BATCH; row++) {
		const float *x = (const float *)nsp_ddr(&m, first.in[0].at) + row * WIDTH;
		const float *found = (const float *)nsp_ddr(&m, second.out.at) + row * 2 * CHOSEN;
		float numbers[CHOSEN], columns[CHOSEN];

		plain_best(x, 0, WIDTH, numbers, columns);
		CU_ASSERT(!memcmp(found + CHOSEN, columns, sizeof(columns)));
		for (int j = 0; j < CHOSEN; j++)
			CU_ASSERT(found[j] == numbers[j] || (isnan(found[j]) && isnan(numbers[j])));
	}
	nsp_unload(&m);
}

static void finds_the_best(void)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);

	for (size_t i = 0; i < count; i++)
		for (uint32_t parts = 1; parts < 9; parts += 3)
			best(isas[i], parts);
}

struct wish {
	float temperature, top_p, min_p;
	int32_t top_k;
};

/* What the definition gives for candidates @x, largest first, in double. */
static int plain_draw(const struct wish *w, const float *x, const float *u)
{
	double p[CHOSEN], total = 0, behind = 0, most = -INFINITY;
	int k = w->top_k < 1 || w->top_k > CHOSEN ? CHOSEN : w->top_k, taken = 0;

	if (w->temperature == 0)
		return 0;
	for (int i = 0; i < k; i++)
		total += p[i] = exp((double)(x[i] - x[0]) / (double)w->temperature);
	for (int i = k - 1; i >= 0; i--) {
		double drawn =
			(double)(x[i] / w->temperature) - log(-log((double)u[CHOSEN - 1 - i]));

		behind += p[i] / total;
		if (i && (behind <= 1 - (double)w->top_p ||
			  p[i] / total < (double)w->min_p * (p[0] / total)))
			continue;
		if (drawn > most) {
			most = drawn;
			taken = i;
		}
	}
	return taken;
}

/* Two live sequences of three, each with its own wishes. */
static void draw(const char *isa, uint32_t *seed)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_SAMPLE, QEFF_NSP_ROWS_SEGMENTS, BATCH);
	static const float temperatures[] = { 0, 0.5f, 1, 2 }, top_ps[] = { 1, 0.8f, 0.3f };
	static const float min_ps[] = { 0, 0.1f, 0.6f };
	struct nsp_builder b;
	struct nsp_machine m;
	uint64_t ids;

	nsp_builder_init(&b, 1);
	nsp_spec(&b, BATCH, 1, 1, BATCH);
	ids = nsp_io(&b, BATCH * 8);
	for (int i = 1; i < 4; i++)
		op.in[i] = nsp_rows(nsp_io(&b, BATCH * 4), 0, i == 2 ? QEFF_NSP_I32 : QEFF_NSP_F32);
	op.u.sample.min_ps = nsp_io(&b, BATCH * 4);
	op.u.sample.random_numbers = nsp_io(&b, BATCH * CHOSEN * 4);
	op.u.sample.chosen = CHOSEN;
	op.in[0] = nsp_f32(nsp_arena(&b, BATCH * 2 * CHOSEN * 4), 2 * CHOSEN);
	op.out = nsp_f32(nsp_arena(&b, BATCH * 4), 1);
	nsp_rows_phase(&b, BATCH, 1, ids, QEFF_NSP_NONE, false);
	nsp_phase(&b);
	nsp_whole(&b, nsp_op(&b, &op), 0, QEFF_NSP_NONE);
	nsp_build(&m, &b, qeff_nsp_kernels_named(isa));
	for (int round = 0; round < 200; round++) {
		struct wish wishes[BATCH];
		float *u = nsp_ddr(&m, op.u.sample.random_numbers);
		float *x = nsp_ddr(&m, op.in[0].at);

		for (int i = 0; i < BATCH; i++) {
			wishes[i] = (struct wish){ temperatures[(round + i) % 4],
						   top_ps[(round / 4 + i) % 3],
						   min_ps[(round / 12 + i) % 3],
						   (round + 2 * i) % 8 - 1 };
			((float *)nsp_ddr(&m, op.in[1].at))[i] = wishes[i].temperature;
			((int32_t *)nsp_ddr(&m, op.in[2].at))[i] = wishes[i].top_k;
			((float *)nsp_ddr(&m, op.in[3].at))[i] = wishes[i].top_p;
			((float *)nsp_ddr(&m, op.u.sample.min_ps))[i] = wishes[i].min_p;
			for (int j = 0; j < CHOSEN; j++) {
				u[i * CHOSEN + j] = (nsp_random(seed) + 1) / 2 * 0.98f + 0.01f;
				x[i * 2 * CHOSEN + j] = 3 - (float)j - nsp_random(seed) * 0.4f;
				x[i * 2 * CHOSEN + CHOSEN + j] = (float)(100 * i + j);
			}
			((int64_t *)nsp_ddr(&m, ids))[i] = i == 1 ? -1 : 0;
		}
		CU_ASSERT_EQUAL_FATAL(nsp_infer(&m, 0), QEFF_NSP_FAULT_NONE);
		/* sequences 0 and 2 are rows 0 and 1 */
		for (int row = 0; row < 2; row++) {
			float found = ((const float *)nsp_ddr(&m, op.out.at))[row];
			int want = plain_draw(&wishes[row * 2], x + row * 2 * CHOSEN,
					      u + row * 2 * CHOSEN);

			CU_ASSERT_EQUAL(found, (float)(100 * row + want));
		}
	}
	nsp_unload(&m);
}

static void draws_by_the_definition(void)
{
	const char *isas[4];
	size_t count = nsp_isas(isas);
	uint32_t seed = 11;

	for (size_t i = 0; i < count; i++)
		draw(isas[i], &seed);
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
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.parts), 0, "parts of a row" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.parts), WIDTH + 1, "parts of a row" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.chosen), 0, "width" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.chosen), 1u << 24, "width" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.chosen), 6, "overlap" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.width), 1u << 20, "input leaves" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.numbered), 2, "parameters of BEST" },
		{ QEFF_NSP_BEST, NSP_OP_AT(u.best.reserved[0]), 1, "parameters of BEST" },
		{ QEFF_NSP_BEST, NSP_OP_AT(in[0].type), QEFF_NSP_F16, "wrong type" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(domain), QEFF_NSP_ROWS_TOKENS, "domain" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.chosen), 0, "width" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.chosen), 1u << 20, "leaves" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.width), 1, "not all" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(in[2].at), QEFF_NSP_NONE, "not all" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.min_ps), QEFF_NSP_NONE, "not all" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(in[2].type), QEFF_NSP_F32, "wrong type" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.random_numbers),
		  QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_STATE - 8), "a draw needs leaves" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(in[1].at),
		  QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_STATE - 4), "a draw needs leaves" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(u.sample.min_ps), QEFF_NSP_REF(QEFF_NSP_DDR, 1026),
		  "not aligned" },
		{ QEFF_NSP_SAMPLE, NSP_OP_AT(reserved1), 0, NULL },
		{ QEFF_NSP_BEST, NSP_OP_AT(reserved1), 0, NULL },
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		bool is_best = damages[i].code == QEFF_NSP_BEST;
		struct qeff_nsp_op op =
			nsp_op_of(damages[i].code,
				  is_best ? QEFF_NSP_ROWS_STATIC : QEFF_NSP_ROWS_SEGMENTS, BATCH);
		struct nsp_builder b;

		nsp_builder_init(&b, 1);
		nsp_spec(&b, BATCH, 1, 1, BATCH);
		nsp_rows_phase(&b, BATCH, 1, nsp_io(&b, BATCH * 8), QEFF_NSP_NONE, false);
		op.in[0] = nsp_f32(nsp_arena(&b, BATCH * WIDTH * 4), WIDTH);
		op.out = nsp_f32(nsp_arena(&b, BATCH * 2 * CHOSEN * 4), 2 * CHOSEN);
		if (is_best) {
			op.u.best = (struct qeff_nsp_best_params){ .width = WIDTH,
								   .parts = 1,
								   .chosen = CHOSEN };
		} else {
			for (int j = 1; j < 4; j++)
				op.in[j] = nsp_rows(nsp_io(&b, BATCH * 4), 0,
						    j == 2 ? QEFF_NSP_I32 : QEFF_NSP_F32);
			op.u.sample.min_ps = nsp_io(&b, BATCH * 4);
			op.u.sample.random_numbers = nsp_io(&b, BATCH * CHOSEN * 4);
			op.u.sample.chosen = CHOSEN;
		}
		memcpy((uint8_t *)&op + damages[i].at, &damages[i].value, damages[i].size);
		nsp_phase(&b);
		nsp_whole(&b, nsp_op(&b, &op), is_best, QEFF_NSP_NONE);
		if (!nsp_judged(&b, i, damages[i].what))
			CU_FAIL("refused for what is wrong");
	}
}

static struct qeff_generator *open_generator(struct qeff_compile_options options,
					     struct qeff_session **session)
{
	struct qeff_generator *generator = NULL;
	struct qeff_error err = { 0 };
	struct qeff_device *device;
	char output[320];
	int ret;

	snprintf(output, sizeof(output), "%s", folder_path(&folder, "package.qpc"));
	options.model_dir = MODEL;
	options.output = output;
	if (!options.num_cores)
		options.num_cores = 5;
	if (!options.prefill_seq_len)
		options.prefill_seq_len = 4;
	options.ctx_len = 60;
	ret = qeff_compile(&options, NULL, &err);
	if (!ret)
		ret = qeff_device_open("soft", &device, &err);
	if (!ret) {
		ret = qeff_session_open(device, output, NULL, session, &err);
		qeff_device_close(device);
	}
	if (!ret)
		ret = qeff_generator_open(*session, &generator, &err);
	if (ret)
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return generator;
}

#define NEW	20
#define PROMPTS 4

static void generate(struct qeff_generator *generator, const struct qeff_generate_options *options,
		     uint32_t (*ids)[NEW])
{
	static const uint32_t text[] = { 5, 70, 333, 12, 48, 9, 461, 27, 84, 3, 55 };
	struct qeff_prompt prompts[PROMPTS];
	struct qeff_generation out[PROMPTS];
	struct qeff_error err = { 0 };

	for (size_t i = 0; i < PROMPTS; i++)
		prompts[i] = (struct qeff_prompt){ text + i, 1 + 3 * i % 8 };
	if (qeff_generate(generator, prompts, PROMPTS, options, out, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(err.message[0], 0);
	for (size_t i = 0; i < PROMPTS; i++) {
		CU_ASSERT_EQUAL_FATAL(out[i].count, NEW);
		memcpy(ids[i], out[i].ids, sizeof(ids[i]));
		qeff_generation_free(&out[i]);
	}
}

/* Side by side and queueing: with one candidate, with many, and with the logits on the host. */
static void takes_the_likeliest(void)
{
	const struct qeff_generate_options greedy = { .max_new_tokens = NEW, .ignore_eos = true };
	uint32_t want[PROMPTS][NEW], found[PROMPTS][NEW];

	for (uint32_t slots = 0; slots < 3; slots += 2)
		for (int way = 0; way < 3; way++) {
			struct qeff_session *session;
			struct qeff_generator *generator = open_generator(
				(struct qeff_compile_options){
					.batch_size = slots ? 0 : PROMPTS,
					.full_batch_size = slots,
					.include_sampler = way > 0,
					.max_top_k_ids = way == 1 ? 1 : 0,
				},
				&session);

			CU_ASSERT_EQUAL(qeff_session_find_output(session, "logits") < 0, way > 0);
			CU_ASSERT_EQUAL(qeff_session_find_output(session, "next_tokens") >= 0,
					way > 0);
			CU_ASSERT_EQUAL(qeff_session_find_input(session, "top_ks") >= 0, way > 1);
			generate(generator, &greedy, way ? found : want);
			CU_ASSERT(!way || !memcmp(found, want, sizeof(want)));
			if (way == 1) {
				const struct qeff_generate_options warm = { .temperature = 1 };
				const struct qeff_generate_options other = { .presence_penalty =
										     1 };
				const uint32_t id = 1;
				const struct qeff_prompt prompt = { &id, 1 };
				struct qeff_generation out;

				CU_ASSERT_EQUAL(
					qeff_generate(generator, &prompt, 1, &warm, &out, NULL),
					-EINVAL);
				CU_ASSERT_EQUAL(
					qeff_generate(generator, &prompt, 1, &other, &out, NULL),
					-EINVAL);
			}
			qeff_generator_close(generator);
			qeff_session_close(session);
		}
}

/* The same seed the same tokens; a top_k of 1 the likeliest; other seeds others. */
static void draws_on_the_card(void)
{
	struct qeff_generate_options o = { .max_new_tokens = NEW, .ignore_eos = true };
	uint32_t greedy[PROMPTS][NEW], one[PROMPTS][NEW], again[PROMPTS][NEW];
	struct qeff_session *session;
	struct qeff_generator *generator = open_generator(
		(struct qeff_compile_options){
			.batch_size = PROMPTS, .include_sampler = true, .max_top_k_ids = 40 },
		&session);

	generate(generator, &o, greedy);
	o.temperature = 1.5f;
	o.seed = 3;
	generate(generator, &o, one);
	generate(generator, &o, again);
	CU_ASSERT(!memcmp(one, again, sizeof(one)));
	CU_ASSERT(memcmp(one, greedy, sizeof(one)));
	o.seed = 4;
	generate(generator, &o, again);
	CU_ASSERT(memcmp(one, again, sizeof(one)));
	o.top_k = 1;
	generate(generator, &o, again);
	CU_ASSERT(!memcmp(greedy, again, sizeof(greedy)));
	o.top_k = 0;
	o.top_p = 1e-6f;
	generate(generator, &o, again);
	CU_ASSERT(!memcmp(greedy, again, sizeof(greedy)));
	qeff_generator_close(generator);
	qeff_session_close(session);
}

/* Whether no token stands twice among the new ones of a prompt. */
static bool all_differ(const uint32_t *ids)
{
	for (int i = 0; i < NEW; i++)
		for (int j = 0; j < i; j++)
			if (ids[i] == ids[j])
				return false;
	return true;
}

/* Side by side and queueing, in chunks and token by token: the card's penalties are the host's, to
 * the bit of a tie; a sequence that takes a slot over begins with none. */
static void penalises_as_the_host(void)
{
	static const struct {
		float repetition, presence;
	} wishes[] = { { 1.3f, 0 }, { 0.7f, 0 }, { 0, 0.9f }, { 1.1f, 0.35f }, { 0, 1000 } };
	static const struct {
		uint32_t slots, prefill, cores;
		bool guided;
	} ways[] = {
		{ 0, 4, 5, false }, { 2, 4, 1, false }, { 2, 1, 16, true }, { 0, 1, 3, true }
	};
	struct qeff_generate_options o = { .max_new_tokens = NEW, .ignore_eos = true };
	uint32_t plain[PROMPTS][NEW], want[5][PROMPTS][NEW], found[PROMPTS][NEW];
	struct qeff_session *session;
	struct qeff_generator *generator =
		open_generator((struct qeff_compile_options){ .batch_size = PROMPTS }, &session);

	generate(generator, &o, plain);
	for (int i = 0; i < 5; i++) {
		o.repetition_penalty = wishes[i].repetition;
		o.presence_penalty = wishes[i].presence;
		generate(generator, &o, want[i]);
		CU_ASSERT(memcmp(want[i], plain, sizeof(plain)));
	}
	for (int i = 0; i < PROMPTS; i++)
		CU_ASSERT(all_differ(want[4][i]));
	qeff_generator_close(generator);
	qeff_session_close(session);
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		generator = open_generator(
			(struct qeff_compile_options){
				.batch_size = ways[w].slots ? 0 : PROMPTS,
				.full_batch_size = ways[w].slots,
				.prefill_seq_len = ways[w].prefill,
				.num_cores = ways[w].cores,
				.include_sampler = true,
				.max_top_k_ids = 7,
				.include_guided_decoding = ways[w].guided,
			},
			&session);
		for (int i = 0; i < 5; i++) {
			o.repetition_penalty = wishes[i].repetition;
			o.presence_penalty = wishes[i].presence;
			generate(generator, &o, found);
			CU_ASSERT(!memcmp(found, want[i], sizeof(found)));
		}
		o.repetition_penalty = o.presence_penalty = 0;
		generate(generator, &o, found);
		CU_ASSERT(!memcmp(found, plain, sizeof(found)));
		qeff_generator_close(generator);
		qeff_session_close(session);
	}
}

static void *input_of(struct qeff_session *session, const char *name, int32_t columns)
{
	const int32_t dims[] = { 1, columns };
	struct qeff_tensor tensor = { 0 };
	struct qeff_error err = { 0 };

	if (qeff_session_input(session, name, dims, 2, &tensor, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tensor.data);
	return tensor.data;
}

/* Through the session: masks leave out tokens, probs are those of what is left and come to 1. */
static void guides_and_tells(void)
{
	struct qeff_tensor tokens, probs;
	struct qeff_session *session;
	struct qeff_generator *generator =
		open_generator((struct qeff_compile_options){ .prefill_seq_len = 1,
							      .include_sampler = true,
							      .max_top_k_ids = 30,
							      .include_guided_decoding = true,
							      .return_pdfs = true },
			       &session);
	uint8_t *masks;

	qeff_generator_close(generator);
	for (int round = 0; round < 3; round++) {
		double sum = 0;
		int64_t token;
		uint32_t most = 0;

		*(int64_t *)input_of(session, "input_ids", 1) = 77;
		*(int64_t *)input_of(session, "position_ids", 1) = 0;
		*(int64_t *)input_of(session, "last_accepted_output_tokens", 1) = -1;
		*(float *)input_of(session, "repetition_penalties", 1) = 1;
		*(float *)input_of(session, "presence_penalties", 1) = 0;
		*(float *)input_of(session, "temperatures", 1) = 0;
		*(int32_t *)input_of(session, "top_ks", 1) = 0;
		*(float *)input_of(session, "top_ps", 1) = 1;
		*(float *)input_of(session, "min_ps", 1) = 0;
		for (int i = 0; i < 30; i++)
			((float *)input_of(session, "random_numbers", 30))[i] = 0.5f;
		masks = input_of(session, "token_bitmasks", 512);
		/* all; not the one that was taken; three alone */
		memset(masks, round < 2, 512);
		if (round == 1)
			masks[*(const int64_t *)tokens.data] = 0;
		for (int i = 0; round == 2 && i < 3; i++)
			masks[100 + 50 * i] = 1;
		token = round == 1 ? *(const int64_t *)tokens.data : -1;
		CU_ASSERT_EQUAL_FATAL(qeff_session_run(session, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "next_tokens", &tokens, NULL),
				      0);
		CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "probs", &probs, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(probs.size_bytes, 512 * sizeof(float));
		for (uint32_t i = 0; i < 512; i++) {
			float p = ((const float *)probs.data)[i];

			sum += (double)p;
			most = p > ((const float *)probs.data)[most] ? i : most;
			CU_ASSERT(p == 0 || masks[i]);
		}
		CU_ASSERT(fabs(sum - 1) < 1e-5);
		CU_ASSERT_EQUAL(*(const int64_t *)tokens.data, most);
		CU_ASSERT_NOT_EQUAL(*(const int64_t *)tokens.data, token);
	}
	qeff_session_close(session);
}

static void refuses(void)
{
	static const uint32_t two = 2, seq = 16;
	static const struct {
		struct qeff_compile_options options;
		const char *sentence;
	} wrong[] = {
		{ { .include_sampler = true, .num_speculative_tokens = { &two, 1 } },
		  "do not go together" },
		{ { .max_top_k_ids = 5 }, "is for include_sampler" },
		{ { .include_sampler = true, .max_top_k_ids = 513 }, "has 512 tokens" },
		{ { .return_pdfs = true }, "return_pdfs is for include_sampler" },
		{ { .include_guided_decoding = true }, "guided_decoding is for include_sampler" },
		{ { .include_sampler = true, .max_top_k_ids = 1, .return_pdfs = true },
		  "nothing to guide" },
		{ { .include_sampler = true, .seq_lens = &seq, .num_seq_lens = 1 },
		  "include_sampler" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct qeff_compile_options options = wrong[i].options;
		struct qeff_error err = { 0 };

		options.model_dir = MODEL;
		options.output = folder_path(&folder, "wrong.qpc");
		CU_ASSERT(qeff_compile(&options, NULL, &err) < 0);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
	}
}

static void begin(void)
{
	folder = folder_new();
}

static void end(void)
{
	folder_remove(&folder);
}

static const struct unit_test tests[] = {
	{ "BEST", finds_the_best },
	{ "SAMPLE", draws_by_the_definition },
	{ "broken ones are refused", broken_ones_are_refused },
	{ "a folder", begin },
	{ "the likeliest token is the host's", takes_the_likeliest },
	{ "draws on the card", draws_on_the_card },
	{ "penalties of the card and of the host", penalises_as_the_host },
	{ "masks and probabilities", guides_and_tells },
	{ "what is refused", refuses },
	{ "the folder goes", end },
};

QEFF_UNIT_MAIN("sampler", tests)
