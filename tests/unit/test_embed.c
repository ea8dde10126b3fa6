/* SPDX-License-Identifier: MIT */
/*
 * Embedding on packages made from the demo models, on a software card: the reference's vectors,
 * pooled on the card or here, texts that are too long, and packages of the other kind.
 */
#include "packages.h"

#include <errno.h>
#include <math.h>
#include <qeff/embed.h>
#include <qeff/generate.h>

static double difference(const float *found, const float *expected, size_t count)
{
	double largest = 0, worst = 0;

	for (size_t i = 0; i < count; i++) {
		largest = fmax(largest, fabs((double)expected[i]));
		worst = fmax(worst, fabs((double)found[i] - (double)expected[i]));
	}
	return worst / largest;
}

/* Pooled on the card or here, in any batch and specialisation: the reference's vectors. */
static void test_embed(void)
{
	static const uint32_t lengths[] = { 8, 16, 32 };
	const struct qeff_compile_options packages[] = {
		{ .model_dir = BERT,
		  .output = "card.qpc",
		  .seq_lens = lengths,
		  .num_seq_lens = 3,
		  .pooling = QEFF_COMPILE_POOLING_MEAN,
		  .normalize = QEFF_COMPILE_NORMALIZE_YES },
		{ .model_dir = BERT,
		  .output = "host.qpc",
		  .seq_lens = lengths + 2,
		  .num_seq_lens = 1,
		  .pooling = QEFF_COMPILE_POOLING_NONE,
		  .batch_size = 3 },
		{ .model_dir = BERT,
		  .output = "four.qpc",
		  .seq_lens = lengths + 2,
		  .num_seq_lens = 1,
		  .pooling = QEFF_COMPILE_POOLING_MEAN,
		  .normalize = QEFF_COMPILE_NORMALIZE_YES,
		  .batch_size = 4 },
	};
	struct reference r = reference_open(BERT);
	json_t *json = json_load_file(BERT "/reference_texts.json", 0, NULL);
	size_t rows, columns;
	const float *expected = reference_tensor(&r, "sentence_embedding", &rows, &columns);
	const char *texts[8];

	CU_ASSERT_FATAL(json_array_size(json) == rows && rows <= 8);
	for (size_t i = 0; i < rows; i++)
		texts[i] = json_string_value(json_array_get(json, i));
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		struct qeff_session *session = open_package(packages[i]);
		struct qeff_embedder *embedder;
		struct qeff_embeddings e;
		struct qeff_error err = { 0 };
		int ret = qeff_embedder_open(session, &embedder, &err);

		if (ret)
			fprintf(stderr, "%s\n", err.message);
		CU_ASSERT_EQUAL_FATAL(ret, 0);
		CU_ASSERT_EQUAL_FATAL(qeff_embed(embedder, texts, rows, &e, &err), 0);
		CU_ASSERT_EQUAL(e.count, rows);
		CU_ASSERT_EQUAL_FATAL(e.dimensions, columns);
		CU_ASSERT_EQUAL(e.truncated, 0);
		CU_ASSERT(difference(e.data, expected, rows * columns) < 1e-4);
		qeff_embeddings_free(&e);

		/* nothing is nothing */
		CU_ASSERT_EQUAL(qeff_embed(embedder, texts, 0, &e, &err), 0);
		CU_ASSERT_EQUAL(e.count, 0);
		qeff_embeddings_free(&e);
		qeff_embedder_close(embedder);
		qeff_session_close(session);
	}
	json_decref(json);
	reference_close(&r);
}

static void test_embed_long(void)
{
	static const uint32_t lengths[] = { 8 };
	struct qeff_session *session =
		open_package((struct qeff_compile_options){ .model_dir = BERT,
							    .output = "short.qpc",
							    .seq_lens = lengths,
							    .num_seq_lens = 1,
							    .pooling = QEFF_COMPILE_POOLING_CLS });
	const char *texts[] = { "the king went up to the house of the lord and spoke to the people",
				"the king went up to the house", "" };
	struct qeff_embedder *embedder;
	struct qeff_embeddings e;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_embedder_open(session, &embedder, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_embed(embedder, texts, 3, &e, &err), 0);
	CU_ASSERT(e.truncated >= 1);
	CU_ASSERT(e.tokens <= 8 + 8 + 2);
	CU_ASSERT(e.tokens >= 8 + 8);
	for (size_t i = 0; i < e.count * e.dimensions; i++)
		CU_ASSERT(isfinite(e.data[i]));
	/* both long texts begin with the same six words, the rest is cut off */
	CU_ASSERT(!memcmp(e.data, e.data + e.dimensions, e.dimensions * sizeof(float)));
	qeff_embeddings_free(&e);
	qeff_embedder_close(embedder);
	qeff_session_close(session);
}

static void test_wrong_package(void)
{
	static const uint32_t length = 16;
	struct qeff_session *encoder =
		open_package((struct qeff_compile_options){ .model_dir = BERT,
							    .output = "encoder.qpc",
							    .seq_lens = &length,
							    .num_seq_lens = 1 });
	struct qeff_session *decoder = open_package((struct qeff_compile_options){
		.model_dir = LLAMA, .output = "decoder.qpc", .ctx_len = 32 });
	struct qeff_generator *generator = NULL;
	struct qeff_embedder *embedder = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_generator_open(encoder, &generator, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(generator);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "encoder.qpc does not generate text"));
	CU_ASSERT_EQUAL(qeff_embedder_open(decoder, &embedder, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(embedder);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "decoder.qpc does not embed text"));
	qeff_session_close(encoder);
	qeff_session_close(decoder);
}

static const struct unit_test tests[] = {
	{ "embeddings", test_embed },
	{ "texts too long to embed", test_embed_long },
	{ "packages of the other kind", test_wrong_package },
};

int main(void)
{
	int ret;

	setenv("QEFF_SOFTCARDS", "ddr=1G", 1);
	folder = folder_new();
	ret = unit_main("embed", tests, sizeof(tests) / sizeof(tests[0]));
	folder_remove(&folder);
	return ret;
}
