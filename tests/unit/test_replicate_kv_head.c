/* SPDX-License-Identifier: MIT */
/*
 * ReplicateKVHead: nodes counted, numbers of the graph before and after; then every architecture
 * whose heads share keys, compiled with and without: the same logits bit for bit, in every
 * precision, from a KV cache of more heads. OLMo 2 normalises keys as whole rows, whose sum of more
 * squares rounds in other places.
 */
#include "transform_rig.h"

#include <errno.h>
#include <qeff/compiler.h>
#include <qeff/session.h>

#define TOKENS 5

static struct folder folder;

static void counts_and_numbers(void)
{
	const struct qeff_transform_options options = { .num_replicate_kv_heads = 3 };
	const struct qeff_transform_options cache = { .kv_cache = true };
	struct model m = open_model("tiny-llama-stories");
	uint64_t rows = (uint64_t)reference(&m, "input_ids")->dims[1] * m.info.vocab;
	uint32_t changes = 0, nodes = m.graph->num_nodes;
	float *before = run_reference(&m, "logits"), *after;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_transform_replicate_kv_head(m.graph, &options, &changes, &err),
			      0);
	CU_ASSERT_EQUAL(changes, 6);
	/* of each layer's two weights: Reshape, Expand, Reshape */
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes + 6 * 2 * 3);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "Expand"), 12);
	shape_is(m.graph, "model.layers.2.self_attn.k_proj.weight", "[64, 192]");
	shape_is(m.graph, "model.layers.2.self_attn.k_proj.weight/replicated", "[192, 192]");
	shape_is(m.graph, "model.layers.2.self_attn.k_proj/rotated",
		 "[batch_size, 6, seq_len, 32]");
	after = run_reference(&m, "logits");
	CU_ASSERT(!memcmp(after, before, rows * sizeof(*after)));
	CU_ASSERT_EQUAL(qeff_transform_kv_cache(m.graph, &cache, &changes, &err), 0);
	shape_is(m.graph, "past_key.5", "[batch_size, 6, ctx_len, 32]");
	shape_is(m.graph, "past_value.0_RetainedState", "[batch_size, 6, ctx_len, 32]");
	free(before);
	free(after);
	close_model(&m);
}

static void what_does_not_divide_is_refused(void)
{
	static const struct {
		const char *model;
		uint32_t times;
		const char *sentence;
	} wrong[] = {
		{ "tiny-llama-stories", 2, "has 6 heads, which 2 KV heads 2 times do not divide" },
		{ "tiny-llama-stories", 6, "do not divide" },
		{ "tiny-llama-stories", UINT32_MAX, "do not divide" },
		{ "arch/gpt2", 2, "as many KV heads as heads, 4" },
		{ "tiny-bert-embed", 2, "has nothing that it applies to" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct qeff_transform_options options = { .num_replicate_kv_heads =
									wrong[i].times };
		struct model m = open_model(wrong[i].model);
		struct qeff_transforms_applied applied;
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL(qeff_transforms_apply(m.graph, &options, &applied, &err), -EINVAL);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
		close_model(&m);
	}
}

static int64_t *ids_input(struct qeff_session *session, const char *name)
{
	const int32_t dims[] = { 1, TOKENS };
	struct qeff_tensor tensor = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_session_input(session, name, dims, 2, &tensor, NULL), 0);
	return tensor.data;
}

/* Logits behind two chunks, the second of which looks at the first through the cache; how many
 * heads that has. The caller frees them. */
static void *logits_of(struct qeff_compile_options options, size_t *bytes, int32_t *heads)
{
	struct qeff_compile_summary summary = { 0 };
	struct qeff_session *session = NULL;
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };
	struct qeff_tensor logits;
	bool listed = false;
	char output[320];
	void *copy;
	int binding, ret;

	snprintf(output, sizeof(output), "%s", folder_path(&folder, "package.qpc"));
	options.output = output;
	options.num_cores = 3;
	options.prefill_seq_len = TOKENS;
	options.ctx_len = 20;
	ret = qeff_compile(&options, &summary, &err);
	if (!ret)
		ret = qeff_device_open("soft", &device, &err);
	if (!ret)
		ret = qeff_session_open(device, output, NULL, &session, &err);
	qeff_device_close(device);
	for (int64_t chunk = 0; !ret && chunk < 2; chunk++) {
		for (int64_t i = 0; i < TOKENS; i++) {
			ids_input(session, "input_ids")[i] = 3 + 7 * i + chunk;
			ids_input(session, "position_ids")[i] = chunk * TOKENS + i;
		}
		ret = qeff_session_run(session, &err);
	}
	if (ret)
		printf("\n  %s: %s", options.model_dir, err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	for (uint32_t i = 0; i < summary.num_transforms; i++)
		listed |= !strcmp(summary.transforms[i], "ReplicateKVHead");
	CU_ASSERT_EQUAL(listed, options.num_replicate_kv_heads > 1);
	qeff_compile_summary_free(&summary);
	CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "logits", &logits, &err), 0);
	*bytes = logits.size_bytes;
	copy = malloc(*bytes);
	memcpy(copy, logits.data, *bytes);
	binding = qeff_session_find_input(session, "past_key.0");
	*heads = qeff_network_shape(qeff_session_network(session), 0, (uint32_t)binding)->dims[1];
	qeff_session_close(session);
	return copy;
}

static void same_logits(struct qeff_compile_options options, uint32_t times)
{
	size_t bytes, more_bytes;
	int32_t heads, more_heads;
	void *plain = logits_of(options, &bytes, &heads), *replicated;

	options.num_replicate_kv_heads = times;
	replicated = logits_of(options, &more_bytes, &more_heads);
	CU_ASSERT_EQUAL(more_heads, heads * (int32_t)times);
	CU_ASSERT_EQUAL_FATAL(bytes, more_bytes);
	if (strstr(options.model_dir, "olmo2") ? eval_error(replicated, plain, bytes / 4) > 1e-6
					       : memcmp(plain, replicated, bytes)) {
		printf("\n  %s, precision %d: other logits", options.model_dir,
		       (int)options.precision);
		CU_FAIL("the same logits");
	}
	free(plain);
	free(replicated);
}

static void every_architecture(void)
{
	/* in front of each how often */
	static const char *const models[] = {
		"2arch/falcon-11b",  "2arch/falcon-new",  "2arch/gemma",
		"2arch/gemma2",	     "2arch/gemma3",	  "2arch/gpt_bigcode",
		"4arch/gpt_bigcode", "2arch/gpt_oss",	  "2arch/gpt_oss-mxfp4",
		"2arch/granite",     "2arch/granitemoe",  "2arch/llama-bias",
		"2arch/llama-yarn",  "2arch/mistral",	  "2arch/mixtral",
		"2arch/olmo2",	     "2arch/phi",	  "2arch/phi3",
		"2arch/qwen2",	     "2arch/qwen3",	  "2arch/qwen3_moe",
		"2arch/starcoder2",  "2rand-llama3-rope", "3tiny-llama-stories",
	};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		char path[512];

		snprintf(path, sizeof(path), QEFF_TEST_DATA "/models/%s", models[i] + 1);
		same_logits((struct qeff_compile_options){ .model_dir = path },
			    (uint32_t)(models[i][0] - '0'));
	}
}

static void every_precision(void)
{
	static const char *const models[] = { "2arch/qwen2", "2arch/phi3", "4arch/gpt_bigcode" };

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		for (int way = 0; way < 6; way++) {
			char path[512];

			snprintf(path, sizeof(path), QEFF_TEST_DATA "/models/%s", models[i] + 1);
			same_logits(
				(struct qeff_compile_options){
					.model_dir = path,
					.precision = way < 4 ? (enum qeff_compile_precision)way
							     : QEFF_COMPILE_FP16,
					.mxfp6_matmul = way == 4,
					.mxint8_kv_cache = way == 5,
				},
				(uint32_t)(models[i][0] - '0'));
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
	{ "counts and numbers", counts_and_numbers },
	{ "what does not divide is refused", what_does_not_divide_is_refused },
	{ "a folder", begin },
	{ "every architecture", every_architecture },
	{ "every precision", every_precision },
	{ "the folder goes", end },
};

QEFF_UNIT_MAIN("replicate_kv_head", tests)
