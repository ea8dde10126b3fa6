/* SPDX-License-Identifier: MIT */
/*
 * Every decoder architecture: the checkpoints of tests/data/models/arch, compiled for fp32, against
 * what transformers computed from them (tests/reference/make_architectures.py).
 */
#include "unit.h"

#include "lowered_decoder.h"

#include <dirent.h>

#define CONTEXT 32

static char *folders[256];
static int num_folders;

static bool has_tensor(const struct reference *reference, const char *name)
{
	for (size_t i = 0; i < reference->file.num_tensors; i++)
		if (!strcmp(reference->file.tensors[i].name, name))
			return true;
	return false;
}

/* Those whose reference is logits of all positions. */
static void find_folders(void)
{
	DIR *dir = opendir(QEFF_TEST_DATA "/models/arch");
	const struct dirent *entry;

	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while ((entry = readdir(dir)) && num_folders < 256) {
		struct reference reference;
		char *name;

		if (*entry->d_name == '.' || asprintf(&name, "arch/%s", entry->d_name) < 0)
			continue;
		reference_open(&reference, name);
		if (has_tensor(&reference, "logits") &&
		    reference_tensor(&reference, "logits")->rank == 3)
			folders[num_folders++] = name;
		else
			free(name);
		safetensors_close(&reference.file);
	}
	closedir(dir);
	CU_ASSERT(num_folders >= 20);
}

static void check(double error, double limit, const char *model, const char *what)
{
	if (!(error < limit)) {
		printf("\n  %s: %s differ by %.2e", model, what, error);
		CU_FAIL("numbers are the reference's");
	}
}

/* Root of the mean square of the difference, in that of what is expected. */
static double deviation(const float *a, const float *b, size_t count)
{
	double difference = 0, magnitude = 0;

	for (size_t i = 0; i < count; i++) {
		difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		magnitude += (double)b[i] * b[i];
	}
	return sqrt(difference / magnitude);
}

/* A rounded row may go to other experts, which are other numbers altogether. */
static double slack(const struct lowered *m)
{
	for (uint32_t i = 0; m->precision && i < m->l->specs[0].num_ops; i++)
		if (m->l->specs[0].ops[i].nsp.code == QEFF_NSP_EXPERTS)
			return 3;
	return 1;
}

static void logits_are(const char *model, enum qeff_lower_precision precision, double limit)
{
	const struct qeff_checkpoint_tensor *ids, *logits;
	struct reference reference;
	uint32_t length;

	reference_open(&reference, model);
	ids = reference_tensor(&reference, "input_ids");
	logits = reference_tensor(&reference, "logits");
	length = (uint32_t)ids->dims[1];
	for (uint32_t nsps = 1; nsps < 4; nsps += 2) {
		struct lowered_options options = { .precision = precision,
						   .num_nsps = nsps,
						   .batch = 1,
						   .seqs = { length },
						   .num_seqs = 1 };
		struct lowered *m = lowered_open(model, &options);

		memcpy(lowered_at(m, "input_ids"), ids->data, length * 8);
		for (uint32_t i = 0; i < length; i++)
			((int64_t *)lowered_at(m, "attention_mask"))[i] = 1;
		m->poison = true;
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		check((precision ? deviation : difference)(lowered_at(m, "logits"), logits->data,
							   (size_t)length * m->info.vocab),
		      limit * slack(m), model, "logits");
		/* every tensor has a place; more positions than trained for are worth a word */
		CU_ASSERT_EQUAL(m->info.num_warnings, length > m->info.max_positions);
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

static void logits_without_cache(void)
{
	for (int i = 0; i < num_folders; i++)
		logits_are(folders[i], QEFF_LOWER_FP32, 1e-4);
}

/* Greedy text token for token, through prefill and decode; the same bits in a batch, behind padding
 * and in chunks. */
static void continues(const char *model)
{
	static const struct {
		uint32_t nsps, batch, prefill, chunk, entry, pad;
		bool all;
	} cases[] = { { 1, 1, 16, 16, 0, 0, false }, { 3, 3, 8, 5, 1, 2, true } };
	const struct qeff_checkpoint_tensor *logits;
	struct reference reference;
	float *first = NULL;

	reference_open(&reference, model);
	logits = reference_tensor(&reference, "logits");
	for (int i = 0; i < 2 && has_tensor(&reference, "greedy_ids"); i++) {
		struct lowered_options options = { .num_nsps = cases[i].nsps,
						   .batch = cases[i].batch,
						   .positions = CONTEXT,
						   .seqs = { cases[i].prefill, 1 },
						   .num_seqs = 2 };
		struct lowered *m = lowered_open(model, &options);
		uint32_t steps, vocab = m->info.vocab;
		float *kept;

		m->poison = !i;
		kept = generate(m, &reference, cases[i].chunk, cases[i].entry, cases[i].all,
				cases[i].pad, &steps);
		check(difference(kept, (const float *)logits->data + (logits->dims[1] - 1) * vocab,
				 vocab),
		      1e-4, model, "the last logits");
		if (first && memcmp(first, kept, (size_t)steps * vocab * 4)) {
			printf("\n  %s: bits differ in a batch", model);
			CU_FAIL("bits do not depend on surroundings");
		}
		free(first ? kept : NULL);
		first = first ? first : kept;
		lowered_close(m);
	}
	free(first);
	safetensors_close(&reference.file);
}

/* Shared matrices, turned weights, experts and sinks in the other types of weights. */
static void precisions(void)
{
	static const struct {
		enum qeff_lower_precision precision;
		double limit;
	} cases[] = { { QEFF_LOWER_FP16, 1e-4 },
		      { QEFF_LOWER_BF16, 0.02 },
		      { QEFF_LOWER_INT8, 0.1 } };

	for (int i = 0; i < num_folders; i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
			logits_are(folders[i], cases[j].precision, cases[j].limit);
}

static void continuations(void)
{
	for (int i = 0; i < num_folders; i++)
		continues(folders[i]);
	for (int i = 0; i < num_folders; i++)
		free(folders[i]);
}

/* What the card counts for one token at position 0 is the products it needs, and of experts those
 * that the token chose. */
static void rows_pay_for_their_experts(void)
{
	static const char *const models[] = { "arch/mixtral", "arch/granitemoe", "arch/gpt_oss" };

	for (int i = 0; i < 3; i++) {
		struct lowered_options options = { .num_nsps = 2,
						   .batch = 1,
						   .positions = CONTEXT,
						   .seqs = { 1 },
						   .num_seqs = 1 };
		struct lowered *m = lowered_open(models[i], &options);
		uint64_t expected = 0, counted = 0;
		const int64_t id = 5;
		uint32_t experts = 0;

		for (uint32_t op = 0; op < m->l->specs[0].num_ops; op++) {
			const struct qeff_nsp_op *o = &m->l->specs[0].ops[op].nsp;
			const struct qeff_nsp_experts_params *e = &o->u.experts;
			const struct qeff_nsp_attention_params *a = &o->u.attention;

			if (o->code == QEFF_NSP_MATMUL) {
				expected += (uint64_t)o->u.matmul.inputs * o->u.matmul.outputs;
			} else if (o->code == QEFF_NSP_ATTENTION) {
				expected += (uint64_t)a->heads * (a->head_dim + a->value_dim);
			} else if (o->code == QEFF_NSP_EXPERTS) {
				CU_ASSERT(e->chosen < e->experts);
				expected +=
					(uint64_t)e->chosen * e->matmul.inputs * e->matmul.outputs;
				experts++;
			}
		}
		CU_ASSERT_EQUAL(experts, 3 * m->info.layers);
		feed(m, 0, &id, 1, 0, 0, false, 0);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		for (uint32_t nsp = 0; nsp < 2; nsp++)
			counted += lowered_stats(m)->nsp[nsp].macs;
		CU_ASSERT_EQUAL(counted, expected);
		lowered_close(m);
	}
}

static const struct unit_test tests[] = {
	{ "finds the checkpoints", find_folders },
	{ "logits without a cache", logits_without_cache },
	{ "other precisions", precisions },
	{ "rows pay for their experts", rows_pay_for_their_experts },
	{ "continuations", continuations },
};

QEFF_UNIT_MAIN("architectures", tests)
