/* SPDX-License-Identifier: MIT */
/*
 * Precisions, judged by what the programs compute on every instruction set this CPU has: how far
 * from the fp32 reference, the same continuation where the reference's lead allows, the same bits
 * however the work is cut; and by what is stored as what.
 */
#include "unit.h"

#include "lowered.h"

#include <math.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"
#define ROPE  "rand-llama3-rope"

/* Where the reference's best logit leads by less, a lower precision may choose another token; what
 * follows is another text then, and is not compared. */
#define MARGIN 0.01f

struct precision {
	enum qeff_lower_precision precision;
	const char *name;
	double error; /* of the largest magnitude; those of few bits are judged by their cosine */
	double cosine;
	float margin; /* see MARGIN */
	bool mxfp6, mxint8;
};

static const struct precision precisions[] = {
	{ QEFF_LOWER_FP16, "fp16", 5e-3, 0.9999, MARGIN, false, false },
	{ QEFF_LOWER_BF16, "bf16", 1e-2, 0.9999, MARGIN, false, false },
	{ QEFF_LOWER_INT8, "int8", 1, 0.999, MARGIN, false, false },
	{ QEFF_LOWER_FP16, "mxfp6", 0.15, 0.995, 0.1f, true, false },
	{ QEFF_LOWER_FP32, "mxint8 KV cache", 2e-2, 0.9999, MARGIN, false, true },
	{ QEFF_LOWER_FP16, "mxfp6 and mxint8", 0.15, 0.995, 0.1f, true, true },
};
#define PRECISIONS (sizeof(precisions) / sizeof(precisions[0]))

static const char *const isas[] = { "portable", "avx2", "avx512", "avx512bf16" };

/* Whether this CPU has instruction set @i; then what is opened next runs on it. */
static bool choose_isa(size_t i)
{
	if (!qeff_nsp_kernels_named(isas[i]))
		return false;
	setenv("QEFF_ISA", isas[i], 1);
	return true;
}

static double difference(const float *a, const float *b, size_t count)
{
	double most = 0, magnitude = 0;

	for (size_t i = 0; i < count; i++) {
		double d = fabs((double)a[i] - b[i]);

		most = d > most || isnan(d) ? d : most;
		magnitude = fabs((double)b[i]) > magnitude ? fabs((double)b[i]) : magnitude;
	}
	return most / magnitude;
}

static double cosine(const float *a, const float *b, size_t count)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < count; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}

static void check_numbers(size_t precision, const char *what, const float *got,
			  const float *expected, size_t count)
{
	double error = difference(got, expected, count), c = cosine(got, expected, count);
	bool fits = error <= precisions[precision].error && c >= precisions[precision].cosine;

	if (!fits || getenv("QEFF_TEST_NUMBERS"))
		printf("\n%s, %s, %s: error %.2e, cosine %.6f\n", getenv("QEFF_ISA"),
		       precisions[precision].name, what, error, c);
	CU_ASSERT(fits);
}

static struct lowered *open_full(const char *model, const struct precision *precision,
				 uint32_t batch, uint32_t length)
{
	struct lowered_options options = { .num_nsps = 4,
					   .batch = batch,
					   .seqs = { length },
					   .num_seqs = 1,
					   .precision = precision->precision,
					   .mxfp6_products = precision->mxfp6 };

	return lowered_open(model, &options);
}

static void check_logits(const char *model, size_t precision)
{
	const struct qeff_checkpoint_tensor *ids;
	struct reference reference;
	struct lowered *m;
	uint32_t length;

	reference_open(&reference, model);
	ids = reference_tensor(&reference, "input_ids");
	length = (uint32_t)ids->dims[1];
	m = open_full(model, &precisions[precision], 1, length);
	memcpy(lowered_at(m, "input_ids"), ids->data, length * 8);
	memcpy(lowered_at(m, "attention_mask"),
	       reference_tensor(&reference, "attention_mask")->data, length * 8);
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	check_numbers(precision, model, lowered_at(m, "logits"),
		      reference_tensor(&reference, "logits")->data, (size_t)length * m->info.vocab);
	lowered_close(m);
	safetensors_close(&reference.file);
}

static void check_hidden_states(size_t precision)
{
	struct lowered *m = open_full(BERT, &precisions[precision], 4, 20);
	const struct qeff_checkpoint_tensor *ids, *mask;
	const float *hidden, *got = lowered_at(m, "last_hidden_state");
	float live[80 * 128], expected[80 * 128];
	struct reference reference;
	size_t rows = 0;

	reference_open(&reference, BERT);
	ids = reference_tensor(&reference, "input_ids");
	mask = reference_tensor(&reference, "attention_mask");
	hidden = reference_tensor(&reference, "last_hidden_state")->data;
	CU_ASSERT_EQUAL_FATAL(ids->size_bytes, 80 * 8);
	memcpy(lowered_at(m, "input_ids"), ids->data, 80 * 8);
	memcpy(lowered_at(m, "attention_mask"), mask->data, 80 * 8);
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	for (size_t row = 0; row < 80; row++) {
		if (!((const int64_t *)mask->data)[row])
			continue;
		memcpy(live + rows * 128, got + row * 128, 512);
		memcpy(expected + rows++ * 128, hidden + row * 128, 512);
	}
	check_numbers(precision, BERT, live, expected, rows * 128);
	lowered_close(m);
	safetensors_close(&reference.file);
}

static void close_to_the_reference(void)
{
	for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
		if (!choose_isa(i))
			continue;
		for (size_t p = 0; p < PRECISIONS; p++) {
			check_logits(LLAMA, p);
			check_logits(ROPE, p);
			check_hidden_states(p);
		}
	}
	unsetenv("QEFF_ISA");
}

/* ---- with a cache ---- */

/* Feeds @count ids from @position on as the first entry of the batch. */
static void feed(struct lowered *m, uint32_t spec, const int64_t *ids, uint32_t count,
		 uint32_t position)
{
	uint32_t total = m->l->specs[spec].batch * m->l->specs[spec].seq;
	int64_t *input_ids = lowered_at(m, "input_ids");
	int64_t *position_ids = lowered_at(m, "position_ids");

	for (uint32_t i = 0; i < total; i++) {
		input_ids[i] = i < count ? ids[i] : 0;
		position_ids[i] = i < count ? (int64_t)position + i : -1;
	}
	CU_ASSERT_EQUAL(lowered_run(m, spec), QEFF_NSP_FAULT_NONE);
}

static struct lowered *open_cached(const char *model, const struct precision *precision,
				   uint32_t nsps, uint32_t batch, uint32_t prefill)
{
	struct lowered_options options = { .num_nsps = nsps,
					   .batch = batch,
					   .positions = 128,
					   .seqs = { prefill, 1 },
					   .num_seqs = 2,
					   .precision = precision->precision,
					   .mxfp6_products = precision->mxfp6,
					   .mxint8_kv_cache = precision->mxint8 };

	return lowered_open(model, &options);
}

/* The prompt in chunks; returns its length. */
static uint32_t prefill(struct lowered *m, const struct reference *reference)
{
	const struct qeff_checkpoint_tensor *prompt = reference_tensor(reference, "input_ids");
	uint32_t length = (uint32_t)prompt->dims[1], chunk = m->l->specs[0].seq;

	for (uint32_t at = 0; at < length; at += chunk)
		feed(m, 0, (const int64_t *)prompt->data + at,
		     length - at < chunk ? length - at : chunk, at);
	return length;
}

static uint32_t greedy(const float *logits, uint32_t vocab)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < vocab; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* Every token must be the reference's, up to a first one that differs where the reference itself
 * hardly leads. */
static void check_continuation(const char *model, size_t precision)
{
	const struct qeff_checkpoint_tensor *next, *margin;
	struct lowered *m = open_cached(model, &precisions[precision], 16, 1, 32);
	struct reference reference;
	uint32_t at;

	reference_open(&reference, model);
	next = reference_tensor(&reference, "greedy_ids");
	margin = reference_tensor(&reference, "greedy_margin");
	at = prefill(m, &reference);
	for (uint32_t i = 0; i < next->dims[1]; i++) {
		const int64_t *id = (const int64_t *)next->data + i;
		float lead = ((const float *)margin->data)[i];

		if (greedy(lowered_at(m, "logits"), m->info.vocab) != *id) {
			if (lead >= precisions[precision].margin)
				printf("\n%s, %s, %s: token %u differs, margin %.3f\n",
				       getenv("QEFF_ISA"), precisions[precision].name, model, i,
				       (double)lead);
			CU_ASSERT(lead < precisions[precision].margin);
			break;
		}
		feed(m, 1, id, 1, at++);
	}
	lowered_close(m);
	safetensors_close(&reference.file);
}

/* The last prompt token's logits, from keys and values that went through the cache. */
static void check_cached_logits(const char *model, size_t precision)
{
	struct lowered *m = open_cached(model, &precisions[precision], 4, 1, 8);
	struct reference reference;
	uint32_t length;

	reference_open(&reference, model);
	length = prefill(m, &reference);
	check_numbers(precision, "cached logits", lowered_at(m, "logits"),
		      (const float *)reference_tensor(&reference, "logits")->data +
			      (size_t)(length - 1) * m->info.vocab,
		      m->info.vocab);
	lowered_close(m);
	safetensors_close(&reference.file);
}

static void greedy_is_the_references(void)
{
	for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
		if (!choose_isa(i))
			continue;
		for (size_t p = 0; p < PRECISIONS; p++) {
			check_cached_logits(LLAMA, p);
			check_cached_logits(ROPE, p);
			check_continuation(LLAMA, p);
			check_continuation(ROPE, p);
		}
	}
	unsetenv("QEFF_ISA");
}

/* NSPs, chunks, dead batch neighbours: the same bits. */
static void bits_do_not_depend_on_surroundings(void)
{
	static const struct {
		uint32_t nsps, batch, prefill;
	} cuts[] = { { 4, 1, 32 }, { 1, 1, 32 }, { 16, 1, 5 }, { 3, 2, 7 }, { 4, 1, 1 } };
	struct reference reference;
	float *first;

	reference_open(&reference, LLAMA);
	for (size_t p = 0; p < PRECISIONS; p++) {
		first = NULL;
		for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			struct lowered *m = open_cached(LLAMA, &precisions[p], cuts[i].nsps,
							cuts[i].batch, cuts[i].prefill);
			size_t bytes = m->info.vocab * sizeof(float);

			prefill(m, &reference);
			if (!first)
				first = memcpy(malloc(bytes), lowered_at(m, "logits"), bytes);
			CU_ASSERT_EQUAL(memcmp(first, lowered_at(m, "logits"), bytes), 0);
			lowered_close(m);
		}
		free(first);
	}
	safetensors_close(&reference.file);
}

/* ---- what is stored as what ---- */

/* The types that weights with this name are packed as, a bit each. */
static uint32_t types_of(const struct lowered *m, const char *name)
{
	uint32_t types = 0;

	for (uint32_t i = 0; i < m->l->num_weights; i++)
		if (!strcmp(m->l->weights[i].view.name, name))
			types |= 1u << m->l->weights[i].type;
	return types;
}

static void types(void)
{
	static const struct {
		struct precision precision;
		uint32_t product, embedding; /* the checkpoint is f16, the head is tied */
		uint8_t state;
	} rows[] = {
		{ { .precision = QEFF_LOWER_FP32 },
		  1u << QEFF_NSP_F16,
		  1u << QEFF_NSP_F16,
		  QEFF_NSP_F32 },
		{ { .precision = QEFF_LOWER_FP16 },
		  1u << QEFF_NSP_F16,
		  1u << QEFF_NSP_F16,
		  QEFF_NSP_F16 },
		{ { .precision = QEFF_LOWER_BF16 },
		  1u << QEFF_NSP_BF16,
		  1u << QEFF_NSP_BF16,
		  QEFF_NSP_F16 },
		{ { .precision = QEFF_LOWER_INT8 },
		  1u << QEFF_NSP_I8,
		  1u << QEFF_NSP_I8 | 1u << QEFF_NSP_F16,
		  QEFF_NSP_F16 },
		{ { .precision = QEFF_LOWER_FP16, .mxfp6 = true, .mxint8 = true },
		  1u << QEFF_NSP_MXFP6,
		  1u << QEFF_NSP_MXFP6 | 1u << QEFF_NSP_F16,
		  QEFF_NSP_MXINT8 },
	};
	uint64_t state_bytes = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lowered *m = open_cached(LLAMA, &rows[i].precision, 4, 1, 32);

		CU_ASSERT_EQUAL(types_of(m, "model.layers.3.self_attn.q_proj.weight"),
				rows[i].product);
		CU_ASSERT_EQUAL(types_of(m, "model.embed_tokens.weight"), rows[i].embedding);
		CU_ASSERT_EQUAL_FATAL(m->l->num_states, 12);
		for (uint32_t s = 0; s < m->l->num_states; s++)
			CU_ASSERT_EQUAL(m->l->states[s].type, rows[i].state);
		if (!i)
			state_bytes = m->l->states[0].bytes;
		/* 32 numbers a row: 128 bytes, 64, or 33 */
		CU_ASSERT_EQUAL(m->l->states[0].bytes * 128 /
					(rows[i].state == QEFF_NSP_F32	 ? 128
					 : rows[i].state == QEFF_NSP_F16 ? 64
									 : 33),
				state_bytes);
		lowered_close(m);
	}
}

static void exceptions(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 1, .positions = 64, .seqs = { 8, 1 }, .num_seqs = 2
	};
	struct lowered *exact = lowered_open(LLAMA, &options), *m;

	/* All nodes kept: the very bytes of fp32. */
	options.fp32_nodes = "*";
	for (size_t p = 0; p < PRECISIONS; p++) {
		options.precision = precisions[p].precision;
		options.mxfp6_products = precisions[p].mxfp6;
		m = lowered_open(LLAMA, &options);
		CU_ASSERT_EQUAL_FATAL(m->constants.size_bytes, exact->constants.size_bytes);
		CU_ASSERT_EQUAL(
			memcmp(m->constants.data, exact->constants.data, m->constants.size_bytes),
			0);
		lowered_close(m);
	}
	/* Some: they alone. */
	options.precision = QEFF_LOWER_INT8;
	options.mxfp6_products = false;
	options.fp32_nodes = "model.layers.[03].*_proj";
	m = lowered_open(LLAMA, &options);
	CU_ASSERT_EQUAL(types_of(m, "model.layers.0.self_attn.v_proj.weight"), 1u << QEFF_NSP_F16);
	CU_ASSERT_EQUAL(types_of(m, "model.layers.3.mlp.down_proj.weight"), 1u << QEFF_NSP_F16);
	CU_ASSERT_EQUAL(types_of(m, "model.layers.1.mlp.down_proj.weight"), 1u << QEFF_NSP_I8);
	for (uint32_t s = 0; s < m->l->num_states; s++)
		CU_ASSERT_EQUAL(m->l->states[s].type, QEFF_NSP_F16);
	lowered_close(m);
	lowered_close(exact);
}

static const struct unit_test tests[] = {
	{ "close to the reference", close_to_the_reference },
	{ "greedy is the reference's", greedy_is_the_references },
	{ "bits do not depend on surroundings", bits_do_not_depend_on_surroundings },
	{ "types", types },
	{ "exceptions", exceptions },
};

QEFF_UNIT_MAIN("precision", tests)
