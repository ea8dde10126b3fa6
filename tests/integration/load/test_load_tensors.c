/* SPDX-License-Identifier: MIT */
/*
 * qeff-load with tensors: packages that qeff-compile made of the bundled models give the
 * reference's numbers, and bit for bit the same ones however the work is cut: NSPs, chunks, batch,
 * padding.
 */
#include "../../unit/unit.h"
#include "rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"
#define VOCAB 2048
#define CLOSE 1e-4

static struct npy prompt, prompt_logits;

static bool compile(const char *model, const char *package, const char *options)
{
	return run_well("%s %s/%s -o %s %s", rig.compile, rig.models, model, rig_file(package),
			options);
}

/* Runs a package on ids.npy (and what @options add) and reads an output. */
static bool load(const char *package, const char *options, const char *output, struct npy *npy)
{
	char name[64];

	if (!run_well("cd %s && %s %s -d soft -i input_ids=ids.npy %s -O out", rig.dir, rig.load,
		      package, options))
		return false;
	snprintf(name, sizeof(name), "out/%s.npy", output);
	return read_result(name, npy);
}

static bool same_bits(const struct npy *a, const float *expected, size_t count)
{
	return a->count == count && !memcmp(a->data, expected, count * sizeof(float));
}

/* First of all: what the others compare with. */
static void references(void)
{
	CU_ASSERT_TRUE_FATAL(reference(LLAMA, "input_ids", &prompt));
	CU_ASSERT_TRUE_FATAL(reference(LLAMA, "logits", &prompt_logits));
	CU_ASSERT_EQUAL_FATAL(prompt_logits.count, prompt.count * VOCAB);
}

static void last_logits(void)
{
	const float *expected = (float *)prompt_logits.data + (prompt.count - 1) * VOCAB;
	struct npy logits;

	if (!compile(LLAMA, "kv.qpc", "") ||
	    !write_ids("ids.npy", prompt.data, 1, (int32_t)prompt.count) ||
	    !load("kv.qpc", "", "logits", &logits))
		return;
	CU_ASSERT_EQUAL(logits.num_dims, 3);
	CU_ASSERT_EQUAL(logits.dims[0], 1);
	CU_ASSERT_EQUAL(logits.dims[1], 1);
	CU_ASSERT_EQUAL_FATAL(logits.count, VOCAB);
	CU_ASSERT_TRUE(difference(logits.data, expected, VOCAB) < CLOSE);
	npy_free(&logits);
}

static void all_logits(void)
{
	struct npy logits;

	if (!compile(LLAMA, "all.qpc", "--seq-len 32") ||
	    !write_ids("ids.npy", prompt.data, 1, (int32_t)prompt.count) ||
	    !load("all.qpc", "", "logits", &logits))
		return;
	CU_ASSERT_EQUAL(logits.dims[1], (int32_t)prompt.count);
	CU_ASSERT_EQUAL_FATAL(logits.count, prompt_logits.count);
	CU_ASSERT_TRUE(difference(logits.data, prompt_logits.data, logits.count) < CLOSE);
	npy_free(&logits);
}

/* The bits of the last row of logits, from the plainest package. */
static bool plain_logits(struct npy *logits)
{
	return compile(LLAMA, "plain.qpc", "--num-cores 1 --prefill-seq-len 32 --ctx-len 64") &&
	       write_ids("ids.npy", prompt.data, 1, (int32_t)prompt.count) &&
	       load("plain.qpc", "", "logits", logits);
}

static void nsps_and_chunks(void)
{
	static const char *const packages[] = {
		"--num-cores 4 --prefill-seq-len 32 --ctx-len 64",
		"--num-cores 16 --prefill-seq-len 32 --ctx-len 128",
		"--num-cores 16 --prefill-seq-len 5 --ctx-len 64",
		"--num-cores 3 --prefill-seq-len 1 --ctx-len 64",
		"--num-cores 16 --prefill-seq-len 22 --ctx-len 64",
	};
	struct npy plain, other;

	if (!plain_logits(&plain))
		return;
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		if (!compile(LLAMA, "other.qpc", packages[i]) ||
		    !load("other.qpc", "", "logits", &other))
			continue;
		/* with chunks of one token, every token has logits; the last ones count */
		CU_ASSERT_TRUE_FATAL(other.count >= VOCAB);
		CU_ASSERT_EQUAL(memcmp((float *)other.data + other.count - VOCAB, plain.data,
				       VOCAB * sizeof(float)),
				0);
		npy_free(&other);
	}
	npy_free(&plain);
}

/* The prompt in one of four batch entries, among shorter and longer ones, with padding on either
 * side; then as the only one of four. */
static void batch_and_padding(void)
{
	enum { LENGTH = 40 };
	int64_t ids[4][LENGTH] = { 0 }, mask[4][LENGTH] = { 0 };
	const int64_t *tokens = prompt.data;
	int32_t count = (int32_t)prompt.count;
	struct npy plain, batch;

	if (!plain_logits(&plain) ||
	    !compile(LLAMA, "batch.qpc", "--batch-size 4 --prefill-seq-len 16 --ctx-len 64"))
		return;
	for (int b = 0; b < 4; b++) {
		int first = b == 1 ? LENGTH - count : b == 3 ? 7 : 0;
		int length = b == 2 ? 3 : count;

		for (int i = 0; i < length; i++) {
			ids[b][first + i] = b == 2 ? i + 50 : tokens[i];
			mask[b][first + i] = 1;
		}
	}
	if (!write_ids("ids.npy", ids[0], 4, LENGTH) ||
	    !write_ids("mask.npy", mask[0], 4, LENGTH) ||
	    !load("batch.qpc", "-i attention_mask=mask.npy", "logits", &batch))
		return;
	CU_ASSERT_EQUAL_FATAL(batch.count, 4 * VOCAB);
	for (int b = 0; b < 4; b++) {
		int differs =
			memcmp((float *)batch.data + b * VOCAB, plain.data, VOCAB * sizeof(float));

		CU_ASSERT_EQUAL(!differs, b != 2);
	}
	npy_free(&batch);

	if (!write_ids("ids.npy", prompt.data, 1, count) ||
	    !load("batch.qpc", "", "logits", &batch))
		return;
	CU_ASSERT_TRUE(same_bits(&batch, plain.data, VOCAB));
	npy_free(&batch);
	npy_free(&plain);
}

/* Bytes that no operation declared are poisoned, and the bits stay. */
static void poison(void)
{
	struct npy plain, poisoned;

	if (!plain_logits(&plain) ||
	    !compile(LLAMA, "poison.qpc", "--prefill-seq-len 8 --ctx-len 64"))
		return;
	setenv("QEFF_POISON", "1", 1);
	if (load("poison.qpc", "--runs 2", "logits", &poisoned)) {
		CU_ASSERT_TRUE(same_bits(&poisoned, plain.data, VOCAB));
		npy_free(&poisoned);
	}
	unsetenv("QEFF_POISON");
	npy_free(&plain);
}

static void hidden_states(void)
{
	struct npy ids, mask, expected, hidden;
	size_t width;

	if (!reference(BERT, "input_ids", &ids) || !reference(BERT, "attention_mask", &mask) ||
	    !reference(BERT, "last_hidden_state", &expected) ||
	    !compile(BERT, "hidden.qpc", "--pooling none --batch-size 4 --seq-len 16,48,32") ||
	    !write_ids("ids.npy", ids.data, ids.dims[0], ids.dims[1]) ||
	    !write_ids("mask.npy", mask.data, mask.dims[0], mask.dims[1]) ||
	    !load("hidden.qpc", "-i attention_mask=mask.npy", "last_hidden_state", &hidden))
		return;
	CU_ASSERT_EQUAL_FATAL(hidden.count, expected.count);
	CU_ASSERT_EQUAL(memcmp(hidden.dims, expected.dims, 3 * sizeof(hidden.dims[0])), 0);
	width = (size_t)expected.dims[2];
	for (size_t row = 0; row < mask.count; row++) {
		/* dead rows mean nothing in the reference */
		if (((int64_t *)mask.data)[row])
			continue;
		memset((float *)expected.data + row * width, 0, width * sizeof(float));
	}
	CU_ASSERT_TRUE(difference(hidden.data, expected.data, hidden.count) < CLOSE);
	npy_free(&hidden);
	npy_free(&ids);
	npy_free(&mask);
	npy_free(&expected);
}

static void sentence_embedding(void)
{
	struct npy ids, mask, expected, found;

	if (!reference(BERT, "input_ids", &ids) || !reference(BERT, "attention_mask", &mask) ||
	    !reference(BERT, "sentence_embedding", &expected) ||
	    !compile(BERT, "mean.qpc", "--pooling mean --normalize --batch-size 8 --seq-len 64") ||
	    !write_ids("ids.npy", ids.data, ids.dims[0], ids.dims[1]) ||
	    !write_ids("mask.npy", mask.data, mask.dims[0], mask.dims[1]) ||
	    !load("mean.qpc", "-i attention_mask=mask.npy", "sentence_embedding", &found))
		return;
	CU_ASSERT_EQUAL(found.dims[0], 4);
	CU_ASSERT_EQUAL_FATAL(found.count, expected.count);
	CU_ASSERT_TRUE(difference(found.data, expected.data, found.count) < CLOSE);
	npy_free(&found);
	npy_free(&ids);
	npy_free(&mask);
	npy_free(&expected);
}

static void refusals(void)
{
	int64_t ids[70] = { 1, 2, 3 };
	char text[4096];

	if (!compile(BERT, "short.qpc", "--pooling mean --seq-len 16,32") ||
	    !write_ids("ids.npy", ids, 1, 40))
		return;
	CU_ASSERT_EQUAL(run(text, sizeof(text),
			    "cd %s && %s short.qpc -d soft -i input_ids=ids.npy", rig.dir,
			    rig.load),
			1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "input_ids is 1x40; this package has: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "1x16"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "1x32"));

	ids[3] = 99999;
	CU_ASSERT_TRUE(write_ids("ids.npy", ids, 1, 10));
	CU_ASSERT_EQUAL(run(text, sizeof(text),
			    "cd %s && %s short.qpc -d soft -i input_ids=ids.npy", rig.dir,
			    rig.load),
			1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "input_ids[0][3] is 99999, outside the embedding's "));
	CU_ASSERT_EQUAL(run(text, sizeof(text),
			    "cd %s && %s short.qpc -d soft -i input_ids=ids.npy -i x=ids.npy",
			    rig.dir, rig.load),
			1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "has no input \"x\""));
}

static const struct unit_test tests[] = {
	{ "references", references },
	{ "last logits", last_logits },
	{ "all logits", all_logits },
	{ "NSPs and chunks", nsps_and_chunks },
	{ "batch and padding", batch_and_padding },
	{ "poison", poison },
	{ "hidden states", hidden_states },
	{ "sentence embedding", sentence_embedding },
	{ "refusals", refusals },
};

int main(int argc, char **argv)
{
	int ret;

	if (!rig_open(argc, argv))
		return EXIT_FAILURE;
	ret = unit_main("qeff-load, tensors", tests, sizeof(tests) / sizeof(tests[0]));
	rig_close();
	npy_free(&prompt);
	npy_free(&prompt_logits);
	return ret;
}
