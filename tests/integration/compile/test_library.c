/* SPDX-License-Identifier: MIT */
/* Compiling through the library: progress, precisions, values that mean nothing. */
#include "rig.h"

struct seen {
	uint32_t calls[QEFF_COMPILE_STAGES];
	uint64_t last;
	bool backwards;
};

static void note(void *user, enum qeff_compile_stage stage, uint64_t done, uint64_t total)
{
	struct seen *seen = user;

	seen->calls[stage]++;
	if (stage == QEFF_COMPILE_STAGE_EMIT && total > 1) {
		seen->backwards |= done < seen->last || done > total;
		seen->last = done;
	}
}

static void progress_goes_forward(void)
{
	struct seen seen = { 0 };
	struct qeff_compile_options options = {
		.model_dir = model(LLAMA), .output = path("a.qpc"), .progress = note, .user = &seen
	};
	struct qeff_compile_summary summary;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_compile(&options, &summary, &err), 0);
	CU_ASSERT_FALSE(seen.backwards);
	CU_ASSERT_EQUAL(seen.last, summary.constants_bytes);
	CU_ASSERT_EQUAL(seen.calls[QEFF_COMPILE_STAGE_ONNX], 0);
	for (int i = 0; i < QEFF_COMPILE_STAGES; i++)
		CU_ASSERT(i == QEFF_COMPILE_STAGE_ONNX || seen.calls[i] >= 2);
	qeff_compile_summary_free(&summary);
	CU_ASSERT_PTR_NULL(summary.transforms);
	/* No summary is fine as well. */
	CU_ASSERT_EQUAL(qeff_compile(&options, NULL, NULL), 0);
}

/* The KV cache's type, as the package tells it. */
static enum qeff_type cache_type(const char *at)
{
	const struct qeff_network *network;
	struct qeff_qpc *qpc = package(at, &network);
	enum qeff_type type = QEFF_TYPE_F32;

	for (uint32_t i = 0; i < network->num_inputs; i++)
		if (network->bindings[i].is_retained)
			type = network->bindings[i].shape.type;
	qeff_qpc_close(qpc);
	return type;
}

static json_t *compile_json(const char *options)
{
	static char out[65536];
	json_t *json;

	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s -o %s --json --num-cores 4 %s",
			    model(LLAMA), path("p.qpc"), options),
			0);
	json = json_loads(out, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

static int64_t integer_of(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static void precisions(void)
{
	static const char *const names[] = { "fp32", "fp16", "bf16", "int8" };
	FILE *file = fopen(path("globs"), "we");
	int64_t bytes[4], state[4];
	char options[512], out[1024];
	json_t *json;

	for (int i = 0; i < 4; i++) {
		snprintf(options, sizeof(options), "--precision %s", names[i]);
		json = compile_json(options);
		CU_ASSERT_STRING_EQUAL(text_of(json, "precision"), names[i]);
		CU_ASSERT_EQUAL(integer_of(json, "fp32_nodes"), 0);
		bytes[i] = integer_of(json, "constants_bytes");
		state[i] = integer_of(json, "state_bytes");
		CU_ASSERT_EQUAL(cache_type(path("p.qpc")), i ? QEFF_TYPE_F16 : QEFF_TYPE_F32);
		json_decref(json);
	}
	/* The checkpoint is f16, and so is its embedding table beside int8. */
	CU_ASSERT_EQUAL(bytes[0], bytes[1]);
	CU_ASSERT_EQUAL(bytes[0], bytes[2]);
	CU_ASSERT(bytes[3] < bytes[1] * 3 / 4);
	for (int i = 1; i < 4; i++)
		CU_ASSERT_EQUAL(state[i] * 2, state[0]);

	/* One glob for each layer of six, some lines that say nothing. */
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs("# kept\n\nmodel.layers.?.self_attn.v_proj\nmodel.norm*  \n", file);
	fclose(file);
	snprintf(options, sizeof(options), "--precision int8 --fp32-nodes @%s", path("globs"));
	json = compile_json(options);
	CU_ASSERT(integer_of(json, "fp32_nodes") >= 7);
	CU_ASSERT(integer_of(json, "constants_bytes") > bytes[3]);
	json_decref(json);
	json = compile_json("--precision int8 --fp32-nodes '*.q_proj,*.k_proj,*_RetainedState'");
	CU_ASSERT_EQUAL(integer_of(json, "state_bytes"), state[0]);
	json_decref(json);
	CU_ASSERT_EQUAL(remove(path("globs")), 0);
	snprintf(options, sizeof(options), "-o %s --fp32-nodes @%s", path("p.qpc"), path("globs"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "%s %s", model(LLAMA), options), 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "globs: No such file"));
	CU_ASSERT_EQUAL(remove(path("p.qpc")), 0);
}

static void unknown_enumerators_are_refused(void)
{
	struct qeff_compile_options options = { .model_dir = model(BERT),
						.output = path("none.qpc") };
	struct qeff_error err = { 0 };

	options.precision = (enum qeff_compile_precision)7;
	CU_ASSERT_EQUAL(qeff_compile(&options, NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "precision 7"));
	options.precision = QEFF_COMPILE_FP32;
	options.pooling = (enum qeff_compile_pooling)9;
	CU_ASSERT_EQUAL(qeff_compile(&options, NULL, &err), -EINVAL);
	options.pooling = QEFF_COMPILE_POOLING_DEFAULT;
	options.normalize = (enum qeff_compile_normalize)9;
	CU_ASSERT_EQUAL(qeff_compile(&options, NULL, &err), -EINVAL);
	options.normalize = QEFF_COMPILE_NORMALIZE_DEFAULT;
	options.output = NULL;
	CU_ASSERT_EQUAL(qeff_compile(&options, NULL, &err), -EINVAL);
}

static const struct unit_test tests[] = {
	{ "progress goes forward", progress_goes_forward },
	{ "precisions", precisions },
	{ "unknown enumerators are refused", unknown_enumerators_are_refused },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, "compile-library", tests, sizeof(tests) / sizeof(tests[0]));
}
