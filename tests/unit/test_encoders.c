/* SPDX-License-Identifier: MIT */
/*
 * Encoder architectures against what the transformers package computes with the same checkpoints
 * (tests/reference/make_architectures_encoders.py): each model of tests/data/models/arch is lowered
 * in fp32 and run, whole batches and single sequences, padded on either side.
 */
#include "unit.h"

#include "lowered.h"

#include <math.h>

static const char *const models[] = {
	"bert-classifier",
	"bert-masked-lm",
	"roberta",
	"roberta-classifier",
	"xlm-roberta",
	"xlm-roberta-classifier",
	"distilbert",
	"distilbert-classifier",
	"mpnet",
	"mpnet-classifier",
	"modernbert",
	"modernbert-classifier",
	"modernbert-first",
	"deberta-v2",
	"deberta-v2-classifier",
	"deberta-v2-keys",
};

#define COUNT (sizeof(models) / sizeof(models[0]))

/* Columns of a mask that are 1; they stand on the left. */
static uint32_t length_of(const int64_t *mask, uint32_t columns)
{
	uint32_t length = 0;

	while (length < columns && mask[length])
		length++;
	return length;
}

/**
 * struct encoding - a model that encodes some of its reference's sequences
 * @output: "logits" or "last_hidden_state"
 * @rows, @width: of one sequence there: 1 and labels, or tokens and columns
 * @seq: columns of the specialisation; the sequences begin behind @pad dead ones
 */
struct encoding {
	struct lowered *m;
	struct reference reference;
	const char *output;
	const struct qeff_checkpoint_tensor *ids, *mask, *expected;
	uint32_t columns, seq, pad, width;
};

static const struct qeff_checkpoint_tensor *find(const struct reference *reference,
						 const char *name)
{
	for (size_t i = 0; i < reference->file.num_tensors; i++)
		if (!strcmp(reference->file.tensors[i].name, name))
			return &reference->file.tensors[i];
	return NULL;
}

static void encoding_open(struct encoding *e, const char *model, uint32_t batch, uint32_t nsps,
			  uint32_t more, uint32_t pad)
{
	struct lowered_options options = { .num_nsps = nsps, .batch = batch, .num_seqs = 1 };
	char name[128];

	*e = (struct encoding){ .pad = pad };
	snprintf(name, sizeof(name), "arch/%s", model);
	reference_open(&e->reference, name);
	e->ids = reference_tensor(&e->reference, "input_ids");
	e->mask = reference_tensor(&e->reference, "attention_mask");
	e->columns = (uint32_t)e->ids->dims[1];
	e->seq = e->columns + more;
	options.seqs[0] = e->seq;
	e->m = lowered_open(name, &options);
	e->output = e->m->info.task == QEFF_MODEL_CLASSIFIER ? "logits" : "last_hidden_state";
	e->expected = reference_tensor(&e->reference, e->output);
	e->width = (uint32_t)e->expected->dims[e->expected->rank - 1];
}

static void encoding_close(struct encoding *e)
{
	lowered_close(e->m);
	safetensors_close(&e->reference.file);
}

/* Runs @count sequences of the reference from @first on. */
static void encode(struct encoding *e, uint32_t first, uint32_t count)
{
	static const char *const inputs[] = { "input_ids", "attention_mask", "token_type_ids" };

	for (int i = 0; i < 3; i++) {
		const struct qeff_checkpoint_tensor *from = find(&e->reference, inputs[i]);
		int64_t *to;

		if (i == 2 && !e->m->info.uses_token_types)
			continue;
		to = lowered_at(e->m, inputs[i]);
		memset(to, 0, (size_t)count * e->seq * 8);
		for (uint32_t b = 0; from && b < count; b++)
			memcpy(to + b * e->seq + e->pad,
			       (const int64_t *)from->data + (first + b) * e->columns,
			       e->columns * 8);
	}
	CU_ASSERT_EQUAL(lowered_run(e->m, 0), QEFF_NSP_FAULT_NONE);
}

/* Rows of sequence @b that count, and where they lie in the output and in the reference. */
static uint32_t rows_of(const struct encoding *e, uint32_t b, uint32_t entry, const float **got,
			const float **expected)
{
	const float *out = lowered_at(e->m, e->output);

	if (e->m->info.task == QEFF_MODEL_CLASSIFIER) {
		*got = out + (size_t)entry * e->width;
		*expected = (const float *)e->expected->data + (size_t)b * e->width;
		return 1;
	}
	*got = out + ((size_t)entry * e->seq + e->pad) * e->width;
	*expected = (const float *)e->expected->data + (size_t)b * e->columns * e->width;
	return length_of((const int64_t *)e->mask->data + b * e->columns, e->columns);
}

static double error_of(const struct encoding *e, uint32_t batch)
{
	double most = 0, magnitude = 0;

	for (uint32_t b = 0; b < batch; b++) {
		const float *got, *expected;
		uint32_t rows = rows_of(e, b, b, &got, &expected);

		for (size_t i = 0; i < (size_t)rows * e->width; i++) {
			double d = fabs((double)got[i] - expected[i]);

			most = d > most || isnan(d) ? d : most;
			magnitude = fmax(magnitude, fabs((double)expected[i]));
		}
	}
	return most / magnitude;
}

static void computes_what_the_references_say(void)
{
	for (size_t i = 0; i < COUNT; i++)
		for (uint32_t nsps = 1; nsps <= 4; nsps += 3) {
			struct reference reference;
			struct encoding e;
			uint32_t batch;
			char name[128];
			double error;

			snprintf(name, sizeof(name), "arch/%s", models[i]);
			reference_open(&reference, name);
			batch = (uint32_t)reference_tensor(&reference, "input_ids")->dims[0];
			safetensors_close(&reference.file);
			encoding_open(&e, models[i], batch, nsps, 0, 0);
			e.m->poison = true;
			encode(&e, 0, batch);
			error = error_of(&e, batch);
			if (!(error < 1e-4) || getenv("QEFF_TEST_VERBOSE"))
				printf("\n  %s: off by %.2g of the largest magnitude", models[i],
				       error);
			CU_ASSERT(error < 1e-4);
			encoding_close(&e);
		}
}

/* A sequence alone, with padding in front of it, has the bits that it has among others. */
static void bits_do_not_depend_on_padding(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		struct encoding all, one;
		uint32_t batch, more;

		encoding_open(&all, models[i], 2, 4, 0, 0);
		batch = 2;
		encode(&all, 0, batch);
		/* no more columns than the model has positions */
		more = all.m->info.positions > all.columns + 1 ? 2 : 0;
		encoding_open(&one, models[i], 1, 1, more, more);
		for (uint32_t b = 0; b < batch; b++) {
			const float *among, *alone, *expected;
			uint32_t rows;

			encode(&one, b, 1);
			rows = rows_of(&all, b, b, &among, &expected);
			CU_ASSERT_EQUAL(rows_of(&one, b, 0, &alone, &expected), rows);
			CU_ASSERT_EQUAL(memcmp(among, alone, (size_t)rows * one.width * 4), 0);
		}
		encoding_close(&one);
		encoding_close(&all);
	}
}

static const struct unit_test tests[] = {
	{ "computes what the references say", computes_what_the_references_say },
	{ "bits do not depend on padding", bits_do_not_depend_on_padding },
};
QEFF_UNIT_MAIN("encoders", tests)
