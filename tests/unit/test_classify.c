/* SPDX-License-Identifier: MIT */
/*
 * Sequence classifiers through the model classes, on a software card: logits of transformers, pairs
 * of texts with their types, what is too long, and models that do not classify.
 */
#include "model_folder.h"
#include "unit.h"

#include "checkpoint/internal.h"

#include <jansson.h>
#include <math.h>
#include <qeff/auto.h>
#include <string.h>
#include <unistd.h>

#define ARCH	   QEFF_TEST_DATA "/models/arch/bert-classifier"
#define LABELS	   3
#define VOCABULARY 101
#define TOKENS	   32

static struct folder folder;

/* The checkpoint with a tokenizer whose word "tN" is token N, between t2 and t3. */
static void make_folder(void)
{
	static const char *const files[] = { "config.json", "model.safetensors" };
	json_t *words = json_object(), *root;
	char name[512], *text;

	folder = folder_new();
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), ARCH "/%s", files[i]);
		CU_ASSERT_EQUAL_FATAL(symlink(name, folder_path(&folder, files[i])), 0);
	}
	for (int i = 0; i < VOCABULARY; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		json_object_set_new(words, name, json_integer(i));
	}
	root = json_pack("{s:s, s:{s:s}, s:{s:s, s:s, s:s, s:i, s:o}, s:{s:s, s:[s,i], s:[s,i]}}",
			 "version", "1.0", "pre_tokenizer", "type", "WhitespaceSplit", "model",
			 "type", "WordPiece", "unk_token", "t0", "continuing_subword_prefix", "##",
			 "max_input_chars_per_word", 100, "vocab", words, "post_processor", "type",
			 "BertProcessing", "cls", "t2", 2, "sep", "t3", 3);
	text = json_dumps(root, 0);
	folder_text(&folder, "tokenizer.json", text);
	free(text);
	json_decref(root);
}

static struct qeff_auto_model *open_model(const char *path)
{
	const struct qeff_auto_options options = { .device = "soft" };
	struct qeff_auto_model *model;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_auto_model_from_pretrained(path, &options, &model, &err), 0);
	return model;
}

static void compile(struct qeff_auto_model *model)
{
	const uint32_t length = TOKENS;
	const struct qeff_compile_options options = { .output = folder_path(&folder, "model.qpc"),
						      .num_cores = 2,
						      .batch_size = 2,
						      .seq_lens = &length,
						      .num_seq_lens = 1 };
	struct qeff_error err = { 0 };

	if (qeff_auto_model_compile(model, &options, &err))
		printf("\n  %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(err.code, 0);
}

static const struct qeff_checkpoint_tensor *tensor_of(const struct safetensors *file,
						      const char *name)
{
	for (size_t i = 0; i < file->num_tensors; i++)
		if (!strcmp(file->tensors[i].name, name))
			return &file->tensors[i];
	CU_FAIL_FATAL("the reference has the tensor");
	return NULL;
}

/* The reference's sequences, types and all. */
static void logits_are_the_references(void)
{
	struct qeff_auto_model *model = open_model(folder.path);
	const struct qeff_checkpoint_tensor *ids, *mask, *types, *logits;
	uint32_t all_ids[8][TOKENS], all_types[8][TOKENS];
	struct qeff_tokens tokens[8];
	struct qeff_classifier *classifier;
	struct qeff_classes classes;
	struct safetensors file;
	struct qeff_error err = { 0 };
	double worst = 0, largest = 0;

	CU_ASSERT_EQUAL(qeff_auto_model_classify(model, tokens, 0, &classes, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "not compiled"));
	compile(model);
	CU_ASSERT_EQUAL_FATAL(safetensors_open(&file, ARCH "/reference.safetensors", &err), 0);
	ids = tensor_of(&file, "input_ids");
	mask = tensor_of(&file, "attention_mask");
	types = tensor_of(&file, "token_type_ids");
	logits = tensor_of(&file, "logits");
	CU_ASSERT_FATAL(ids->dims[0] <= 8 && ids->dims[1] <= TOKENS && logits->dims[1] == LABELS);
	for (int64_t row = 0; row < ids->dims[0]; row++) {
		tokens[row] = (struct qeff_tokens){ all_ids[row], all_types[row], 0 };
		for (int64_t i = row * ids->dims[1]; i < (row + 1) * ids->dims[1]; i++) {
			if (!((const int64_t *)mask->data)[i])
				continue;
			all_ids[row][tokens[row].count] = (uint32_t)((const int64_t *)ids->data)[i];
			all_types[row][tokens[row].count++] =
				(uint32_t)((const int64_t *)types->data)[i];
		}
	}
	CU_ASSERT_EQUAL_FATAL(
		qeff_auto_model_classify(model, tokens, (size_t)ids->dims[0], &classes, &err), 0);
	CU_ASSERT_EQUAL(classes.labels, LABELS);
	for (int64_t i = 0; i < ids->dims[0] * LABELS; i++) {
		float expected = ((const float *)logits->data)[i];

		worst = fmax(worst, fabs((double)classes.logits[i] - expected));
		largest = fmax(largest, fabs((double)expected));
	}
	CU_ASSERT(worst < 1e-4 * largest);
	qeff_classes_free(&classes);
	CU_ASSERT_EQUAL_FATAL(qeff_auto_model_classifier(model, &classifier, &err), 0);
	CU_ASSERT_EQUAL(qeff_classifier_labels(classifier), LABELS);
	CU_ASSERT_STRING_EQUAL(qeff_classifier_label(classifier, 1), "middling");
	safetensors_close(&file);
	qeff_auto_model_free(model);
}

static void pairs_have_types(void)
{
	static const uint32_t ids[] = { 2, 5, 6, 7, 3, 8, 9, 3 };
	static const uint32_t types[] = { 0, 0, 0, 0, 0, 1, 1, 1 };
	const char *const texts[] = { "t5 t6 t7", "t5 t6 t7 t3 t8 t9", "t4" };
	const char *second[] = { "t8 t9", NULL, NULL };
	struct qeff_auto_model *model = open_model(folder.path);
	struct qeff_classifier *classifier;
	struct qeff_classes one, all;
	struct qeff_tokens tokens;
	struct qeff_error err = { 0 };
	char longer[TOKENS * 4 + 1];

	compile(model);
	CU_ASSERT_EQUAL_FATAL(
		qeff_auto_model_tokenize_pair(model, texts[0], second[0], &tokens, &err), 0);
	CU_ASSERT_EQUAL_FATAL(tokens.count, 8);
	CU_ASSERT_EQUAL(memcmp(tokens.ids, ids, sizeof(ids)), 0);
	CU_ASSERT_EQUAL(memcmp(tokens.type_ids, types, sizeof(types)), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_auto_model_classify(model, &tokens, 1, &one, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_auto_model_classifier(model, &classifier, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_classify_pairs(classifier, texts, second, 3, &all, &err), 0);
	CU_ASSERT_EQUAL(memcmp(one.logits, all.logits, LABELS * sizeof(float)), 0);
	/* the same tokens, but the model has embeddings of types */
	CU_ASSERT_NOT_EQUAL(memcmp(one.logits, all.logits + LABELS, LABELS * sizeof(float)), 0);
	CU_ASSERT_EQUAL(all.tokens, 8 + 8 + 3);
	CU_ASSERT_EQUAL(all.truncated, 0);
	qeff_classes_free(&one);
	qeff_classes_free(&all);
	qeff_tokens_free(&tokens);
	/* what is too long is cut to the package's 32 tokens, the short text last */
	*longer = 0;
	for (int i = 0; i < TOKENS; i++)
		strcat(longer, "t7 ");
	second[2] = longer;
	CU_ASSERT_EQUAL_FATAL(qeff_classify_pairs(classifier, texts, second, 3, &all, &err), 0);
	CU_ASSERT_EQUAL(all.tokens, 8 + 8 + TOKENS);
	CU_ASSERT_EQUAL(all.truncated, 1);
	qeff_classes_free(&all);
	qeff_auto_model_free(model);
}

static void others_are_refused(void)
{
	struct qeff_auto_model *classifier = open_model(folder.path);
	struct qeff_auto_model *encoder = open_model(QEFF_TEST_DATA "/models/tiny-bert-embed");
	struct qeff_embeddings features;
	struct qeff_classes classes;
	struct qeff_tokens tokens;
	struct qeff_error err = { 0 };

	compile(classifier);
	CU_ASSERT_EQUAL_FATAL(qeff_auto_model_tokenize(classifier, "t5", &tokens, &err), 0);
	CU_ASSERT_EQUAL(qeff_auto_model_generate(classifier, &tokens, 1, &features, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "sentence_embedding"));
	qeff_auto_model_free(classifier);
	compile(encoder);
	CU_ASSERT_EQUAL(qeff_auto_model_classify(encoder, &tokens, 1, &classes, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "names no labels"));
	qeff_tokens_free(&tokens);
	qeff_auto_model_free(encoder);
	folder_remove(&folder);
}

static const struct unit_test tests[] = {
	{ "a folder with a tokenizer", make_folder },
	{ "logits are the reference's", logits_are_the_references },
	{ "pairs have types", pairs_have_types },
	{ "others are refused", others_are_refused },
};

QEFF_UNIT_MAIN("classify", tests)
