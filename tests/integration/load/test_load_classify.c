/* SPDX-License-Identifier: MIT */
/*
 * qeff-load with a classifier: names of labels and their scores, against logits of transformers.
 * The checkpoints have no tokenizer; the test gives them one whose word "tN" is token N.
 */
#include "../../unit/unit.h"
#include "rig.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char texts[2][2048];

/* @around: with t2 before a text, and t3 behind it. */
static void write_tokenizer(const char *folder, int vocabulary, bool around)
{
	json_t *words = json_object(), *root;
	char name[64];

	for (int i = 0; i < vocabulary; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		json_object_set_new(words, name, json_integer(i));
	}
	root = json_pack("{s:s, s:{s:s}, s:{s:s, s:s, s:s, s:i, s:o}}", "version", "1.0",
			 "pre_tokenizer", "type", "WhitespaceSplit", "model", "type", "WordPiece",
			 "unk_token", "t0", "continuing_subword_prefix", "##",
			 "max_input_chars_per_word", 100, "vocab", words);
	if (around)
		json_object_set_new(root, "post_processor",
				    json_pack("{s:s, s:[s,i], s:[s,i]}", "type", "BertProcessing",
					      "cls", "t2", 2, "sep", "t3", 3));
	snprintf(name, sizeof(name), "%s/tokenizer.json", folder);
	CU_ASSERT_EQUAL_FATAL(json_dump_file(root, rig_file(name), 0), 0);
	json_decref(root);
}

/* Compiles model @name with a tokenizer for batches of @batch; its reference's first two sequences
 * become texts. */
static bool prepare(const char *name, int vocabulary, int batch, bool around)
{
	struct npy ids, mask;
	char model[64];

	snprintf(model, sizeof(model), "arch/%s", name);
	if (!run_well("cp -r %s/%s %s && chmod -R u+w %s", rig.models, model, rig.dir, rig.dir))
		return false;
	write_tokenizer(name, vocabulary, around);
	if (!reference(model, "input_ids", &ids) || !reference(model, "attention_mask", &mask))
		return false;
	for (int row = 0; row < 2; row++) {
		size_t used = 0;

		for (int32_t i = 0; i < ids.dims[1]; i++)
			if (((const int64_t *)mask.data)[row * ids.dims[1] + i])
				used += (size_t)sprintf(
					texts[row] + used, "%st%lld", i ? " " : "",
					(long long)((const int64_t *)
							    ids.data)[row * ids.dims[1] + i]);
	}
	npy_free(&ids);
	npy_free(&mask);
	return run_well("%s %s -o %s --batch-size %d", rig.compile, rig_file(name),
			rig_file("model.qpc"), batch);
}

static double expected_score(const float *logits, size_t labels, size_t at, bool softmax)
{
	double sum = 0;

	if (!softmax)
		return 1 / (1 + exp(-logits[at]));
	for (size_t i = 0; i < labels; i++)
		sum += exp((double)logits[i] - logits[at]);
	return 1 / sum;
}

static void check_json(const char *name, const char *const *names, size_t labels, bool softmax)
{
	static char text[1 << 18];
	json_t *object, *row, *label;
	struct npy logits;
	char model[64];

	snprintf(model, sizeof(model), "arch/%s", name);
	CU_ASSERT_TRUE_FATAL(reference(model, "logits", &logits));
	CU_ASSERT_EQUAL((size_t)logits.dims[1], labels);
	CU_ASSERT_EQUAL_FATAL(run(text, sizeof(text),
				  "%s -d soft --json %s --text '%s' --text '%s'", rig.load,
				  rig_file("model.qpc"), texts[0], texts[1]),
			      0);
	object = json_loads(text, 0, NULL);
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(object, "classes")), 2);
	for (size_t r = 0; r < 2; r++) {
		const float *expected = (const float *)logits.data + r * labels;

		row = json_array_get(json_object_get(object, "classes"), r);
		CU_ASSERT_EQUAL_FATAL(json_array_size(row), labels);
		for (size_t i = 0; i < labels; i++) {
			label = json_array_get(row, i);
			CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(label, "label")),
					       names[i]);
			CU_ASSERT(fabs(json_real_value(json_object_get(label, "logit")) -
				       expected[i]) < 1e-4);
			CU_ASSERT(fabs(json_real_value(json_object_get(label, "score")) -
				       expected_score(expected, labels, i, softmax)) < 1e-4);
		}
	}
	json_decref(object);
	npy_free(&logits);
}

/* One label excludes the others: scores add up to 1, the best one is printed first. */
static void one_of_several(void)
{
	static const char *const names[] = { "NEGATIVE", "POSITIVE" };
	char text[8192], *negative, *positive;
	struct npy logits;

	if (!prepare("distilbert-classifier", 97, 2, false))
		return;
	check_json("distilbert-classifier", names, 2, true);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft %s --text '%s'", rig.load,
			    rig_file("model.qpc"), texts[0]),
			0);
	negative = strstr(text, "  NEGATIVE\n");
	positive = strstr(text, "  POSITIVE\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(negative);
	CU_ASSERT_PTR_NOT_NULL_FATAL(positive);
	CU_ASSERT_TRUE_FATAL(reference("arch/distilbert-classifier", "logits", &logits));
	CU_ASSERT_EQUAL(
		negative<positive, ((const float *)logits.data)[0]>((const float *)logits.data)[1]);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "1 texts, 11 tokens, 2 labels"));
	npy_free(&logits);
}

/* Several labels may hold at once: a sigmoid of each. */
static void several_at_once(void)
{
	static const char *const names[] = { "anger", "joy", "fear", "love" };

	if (prepare("roberta-classifier", 101, 1, false))
		check_json("roberta-classifier", names, 4, false);
}

/* DistilBERT knows no types, so a pair is the text that has the same tokens. A pair after a pair
 * has the same first text. */
static void pairs(void)
{
	static char text[1 << 16];
	json_t *object, *rows;

	if (!prepare("distilbert-classifier", 97, 2, true))
		return;
	CU_ASSERT_EQUAL_FATAL(run(text, sizeof(text),
				  "%s -d soft --json %s --text 't5 t6' --text-pair t8 "
				  "--text-pair 't9 t10' --text 't5 t6 t3 t8' "
				  "--text 't5 t6 t3 t9 t10'",
				  rig.load, rig_file("model.qpc")),
			      0);
	object = json_loads(text, 0, NULL);
	rows = json_object_get(object, "classes");
	CU_ASSERT_EQUAL_FATAL(json_array_size(rows), 4);
	CU_ASSERT(json_equal(json_array_get(rows, 0), json_array_get(rows, 2)));
	CU_ASSERT(json_equal(json_array_get(rows, 1), json_array_get(rows, 3)));
	CU_ASSERT(!json_equal(json_array_get(rows, 0), json_array_get(rows, 1)));
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "tokens")), 6 + 7 + 6 + 7);
	json_decref(object);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft %s --text t5 --text-pair t6", rig.load,
			    rig_file("model.qpc")),
			0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "t5 | t6\n"));
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s %s --text-pair t8 --text t5", rig.load,
			    rig_file("model.qpc")),
			2);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--text-pair goes with the --text before it"));
	CU_ASSERT_EQUAL_FATAL(run(text, sizeof(text), "%s %s/tiny-bert-embed -o %s --pooling mean",
				  rig.compile, rig.models, rig_file("embeds.qpc")),
			      0);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft %s --text a --text-pair b", rig.load,
			    rig_file("embeds.qpc")),
			1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--text-pair is for classifiers"));
}

/* A classifier does not pool, an encoder names no labels. */
static void refusals(void)
{
	char text[4096];

	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s %s/arch/bert-classifier -o %s --pooling mean",
			    rig.compile, rig.models, rig_file("no.qpc")),
			1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "BertForSequenceClassification classifies; pooling"));
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s %s/arch/bert-classifier -o %s", rig.compile,
			    rig.models, rig_file("bare.qpc")),
			0);
	CU_ASSERT_EQUAL(
		run(text, sizeof(text), "%s -d soft %s --text t", rig.load, rig_file("bare.qpc")),
		1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "it carries no tokenizer"));
}

static const struct unit_test tests[] = {
	{ "one of several labels", one_of_several },
	{ "several labels at once", several_at_once },
	{ "pairs", pairs },
	{ "refusals", refusals },
};

int main(int argc, char **argv)
{
	int ret;

	if (!rig_open(argc, argv))
		return EXIT_FAILURE;
	ret = unit_main("qeff-load, classes", tests, sizeof(tests) / sizeof(tests[0]));
	rig_close();
	return ret;
}
