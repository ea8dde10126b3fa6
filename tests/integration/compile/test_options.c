/* SPDX-License-Identifier: MIT */
/*
 * Options of the compiler and the files that hold them: which specialisations they make, what they
 * say of inputs and outputs, what is refused, and that a file means what the option means.
 */
#include "../../unit/model_folder.h"
#include "../../unit/unit.h"

#include <qeff/compiler.h>
#include <qeff/qpc.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>

static const char *tool;
static char llama[512], bert[512];
static struct folder folder;

/* The path of a file of the folder; eight are remembered. */
static const char *at(const char *name)
{
	static char paths[8][320];
	static unsigned int next;
	char *to = paths[next++ % 8];

	snprintf(to, sizeof(paths[0]), "%s/%s", folder.path, name);
	return to;
}

static const char *file(const char *name, const char *text)
{
	folder_text(&folder, name, text);
	return at(name);
}

/* Compiles the Llama, or what options say, to p.qpc; the sentence is printed if that fails. */
static struct qeff_compile_summary compile(struct qeff_compile_options o)
{
	struct qeff_compile_summary summary = { 0 };
	struct qeff_error err = { 0 };

	o.model_dir = o.model_dir ? o.model_dir : llama;
	o.output = o.output ? o.output : at("p.qpc");
	if (qeff_compile(&o, &summary, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(summary.architecture);
	return summary;
}

static void refused(struct qeff_compile_options o, int code, const char *sentence)
{
	struct qeff_error err = { 0 };

	o.model_dir = o.model_dir ? o.model_dir : llama;
	o.output = at("none.qpc");
	CU_ASSERT_EQUAL(qeff_compile(&o, NULL, &err), code);
	if (!strstr(err.message, sentence))
		printf("\n  \"%s\" does not say \"%s\"", err.message, sentence);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, sentence));
	CU_ASSERT_EQUAL(access(o.output, F_OK), -1);
}

static bool same_files(const char *a, const char *b)
{
	FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
	int c = 0, d = 0;

	while (x && y && c == d && c != EOF) {
		c = fgetc(x);
		d = fgetc(y);
	}
	if (x)
		fclose(x);
	if (y)
		fclose(y);
	return x && y && c == d;
}

static bool has_transform(const struct qeff_compile_summary *s, const char *name)
{
	for (uint32_t i = 0; i < s->num_transforms; i++)
		if (!strcmp(s->transforms[i], name))
			return true;
	return false;
}

/* "4x1/48+2": batch, tokens, positions, logits */
static void specialisations_are(struct qeff_compile_options o, const char *expected)
{
	struct qeff_compile_summary s = compile(o);
	char found[512] = "";

	for (uint32_t i = 0; i < s.num_specialisations; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%ux%u/%u+%u",
			 i ? " " : "", s.specialisations[i].batch_size,
			 s.specialisations[i].seq_len, s.specialisations[i].ctx_len,
			 s.specialisations[i].num_logits_to_keep);
	if (strcmp(found, expected))
		printf("\n  found %s, expected %s", found, expected);
	CU_ASSERT_STRING_EQUAL(found, expected);
	qeff_compile_summary_free(&s);
}

#define NUMBERS(...)                                                                               \
	{                                                                                          \
		(const uint32_t[]){ __VA_ARGS__ }, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4         \
	}

static void numbers_make_specialisations(void)
{
	specialisations_are((struct qeff_compile_options){ 0 }, "1x32/128+0 1x1/128+0");
	specialisations_are((struct qeff_compile_options){ .prefill_seq_len = 1, .batch_size = 3 },
			    "3x1/128+0");
	specialisations_are(
		(struct qeff_compile_options){ .full_batch_size = 4, .prefill_seq_len = 8 },
		"1x8/128+0 4x1/128+0");
	specialisations_are(
		(struct qeff_compile_options){ .full_batch_size = 4, .prefill_seq_len = 1 },
		"1x1/128+0 4x1/128+0");
	specialisations_are(
		(struct qeff_compile_options){ .prefill_seq_len = 8,
					       .ctx_len = 64,
					       .num_speculative_tokens = NUMBERS(3, 1, 3) },
		"1x8/64+1 1x4/64+4 1x2/64+2");
	specialisations_are((struct qeff_compile_options){ .full_batch_size = 4,
							   .prefill_seq_len = 8,
							   .prefill_only = true,
							   .enable_chunking = true },
			    "1x8/128+0");
	/* lengths past the context are the context, which is always there */
	specialisations_are(
		(struct qeff_compile_options){ .prefill_seq_len = 8,
					       .ctx_len = 64,
					       .comp_ctx_lengths_prefill = NUMBERS(16),
					       .comp_ctx_lengths_decode = NUMBERS(16, 32, 99) },
		"1x8/64+0 1x8/16+0 1x1/64+0 1x1/32+0 1x1/16+0");
	specialisations_are(
		(struct qeff_compile_options){ .seq_lens = (const uint32_t[]){ 8, 16, 8 },
					       .num_seq_lens = 3 },
		"1x16/16+0 1x8/8+0");
}

static bool warns(const struct qeff_compile_summary *s, const char *sentence)
{
	for (uint32_t i = 0; i < s->num_warnings; i++)
		if (strstr(s->warnings[i], sentence))
			return true;
	return false;
}

/* Options of transforms that have nothing to change: taken, with a note, and the same bytes. */
static void options_that_change_nothing(void)
{
	struct qeff_compile_options o = { .num_cores = 2, .output = at("plain.qpc") };
	struct qeff_compile_summary s = compile(o);

	CU_ASSERT_FALSE(warns(&s, "num_kv_blocks") || warns(&s, "prefill_only"));
	qeff_compile_summary_free(&s);
	o.output = at("blocks.qpc");
	o.num_kv_blocks = 4;
	o.num_replicate_kv_heads = 1;
	s = compile(o);
	CU_ASSERT_TRUE(warns(&s, "num_kv_blocks changed nothing"));
	CU_ASSERT_FALSE(has_transform(&s, "BlockingAttention"));
	qeff_compile_summary_free(&s);
	CU_ASSERT_TRUE(same_files(at("plain.qpc"), at("blocks.qpc")));
	o.prefill_only = true;
	s = compile(o);
	CU_ASSERT_TRUE(warns(&s, "prefill_only left out the decode step"));
	qeff_compile_summary_free(&s);
}

static void numbers_that_do_not_fit_are_refused(void)
{
	const uint32_t sixteen = 16;

	refused((struct qeff_compile_options){ .full_batch_size = 4, .batch_size = 2 }, -EINVAL,
		"batch_size is 2");
	refused((struct qeff_compile_options){ .kv_cache_batch_size = 4 }, -EINVAL,
		"full_batch_size");
	refused((struct qeff_compile_options){ .full_batch_size = 4, .kv_cache_batch_size = 3 },
		-EINVAL, "kv_cache_batch_size is 3");
	refused((struct qeff_compile_options){ .full_batch_size = 5000 }, -EINVAL, "4096");
	refused((struct qeff_compile_options){ .num_speculative_tokens = NUMBERS(1, 2),
					       .comp_ctx_lengths_decode = NUMBERS(16) },
		-EINVAL, "do not go together");
	refused((struct qeff_compile_options){ .num_speculative_tokens = NUMBERS(64),
					       .ctx_len = 64 },
		-EINVAL, "65 tokens");
	refused((struct qeff_compile_options){ .comp_ctx_lengths_prefill = NUMBERS(16) }, -EINVAL,
		"no room for the 32 tokens");
	refused((struct qeff_compile_options){ .comp_ctx_lengths_decode = NUMBERS(0) }, -EINVAL,
		"comp_ctx_lengths_decode has 0");
	refused((struct qeff_compile_options){ .num_devices = 2 }, -ENOTSUP, "num_devices is 2");
	refused((struct qeff_compile_options){ .num_replicate_kv_heads = 5 }, -EINVAL,
		"do not divide");
	refused((struct qeff_compile_options){ .model_dir = bert, .num_replicate_kv_heads = 2 },
		-EINVAL, "num_replicate_kv_heads is for models that generate text");
	refused((struct qeff_compile_options){ .enable_chunking = true }, -EINVAL,
		"enable_chunking is for prefill_only");
	refused((struct qeff_compile_options){ .prefill_only = true,
					       .num_speculative_tokens = NUMBERS(2) },
		-EINVAL, "prefill_only has no decode step");
	refused((struct qeff_compile_options){ .model_dir = bert, .num_kv_blocks = 2 }, -EINVAL,
		"num_kv_blocks is for models that generate text");
	refused((struct qeff_compile_options){ .seq_lens = &sixteen,
					       .num_seq_lens = 1,
					       .full_batch_size = 2 },
		-EINVAL, "full_batch_size");
	refused((struct qeff_compile_options){ .model_dir = bert,
					       .num_speculative_tokens = NUMBERS(2) },
		-EINVAL, "num_speculative_tokens is for models that generate text");
	refused((struct qeff_compile_options){ .specializations = file("s.json", "{}"),
					       .ctx_len = 64 },
		-EINVAL, "s.json lists the specialisations");
}

/* Both layouts of the file, and the numbers, make the same package. */
static void a_file_of_specialisations(void)
{
	static const char named[] =
		"{\"specializations\": [{\"name\": \"Prefill\", \"symbols\": {\"batch_size\": \"1\", "
		"\"seq_len\": \"8\", \"ctx_len\": \"64\", \"full_batch_size\": \"4\", "
		"\"full_batch_exec_size\": \"4\"}}, {\"name\": \"Decode\", \"symbols\": "
		"{\"batch_size\": \"4\", \"seq_len\": \"1\", \"ctx_len\": \"64\", "
		"\"full_batch_size\": \"4\"}}]}";
	static const char plain[] =
		"{\"specializations\": [{\"batch_size\": 4, \"seq_len\": 1, \"ctx_len\": 64, "
		"\"full_batch_size\": 4}, {\"seq_len\": 8, \"ctx_len\": 64, \"full_batch_size\": 4}]}";
	struct qeff_compile_options o = {
		.full_batch_size = 4, .prefill_seq_len = 8, .ctx_len = 64, .output = at("n.qpc")
	};
	struct qeff_compile_summary s = compile(o);

	qeff_compile_summary_free(&s);
	o = (struct qeff_compile_options){ .specializations = file("named.json", named) };
	specialisations_are(o, "1x8/64+0 4x1/64+0");
	CU_ASSERT_TRUE(same_files(at("n.qpc"), at("p.qpc")));
	o.specializations = file("plain.json", plain);
	specialisations_are(o, "1x8/64+0 4x1/64+0");
	CU_ASSERT_TRUE(same_files(at("n.qpc"), at("p.qpc")));
	/* an encoder, whose entries have no ctx_len */
	o.model_dir = bert;
	o.specializations = file("bert.json", "{\"specializations\": [{\"batch_size\": 2, "
					      "\"seq_len\": 16}, {\"batch_size\": 2, "
					      "\"seq_len\": 32}]}");
	specialisations_are(o, "2x32/32+0 2x16/16+0");
}

static void wrong_files_of_specialisations(void)
{
	static const struct {
		const char *entries, *sentence;
		int code;
	} wrong[] = {
		{ "[]", "a list of 1 to 64", -EINVAL },
		{ "[{\"batch_size\": 1}]", "no \"seq_len\"", -EINVAL },
		{ "[{\"seq_len\": \"x\"}]", "not a number from 1", -EINVAL },
		{ "[{\"seq_len\": 0}]", "not a number from 1", -EINVAL },
		{ "[{\"seq_len\": 8, \"img_size\": 4}]", "\"img_size\"", -ENOTSUP },
		{ "[{\"seq_len\": 8, \"ctx_len\": 64}, {\"seq_len\": 1, \"ctx_len\": 32}]",
		  "\"ctx_len\" of specialisation 1", -EINVAL },
		{ "[{\"seq_len\": 8, \"ctx_len\": 64}, {\"seq_len\": 1}]",
		  "\"ctx_len\" of specialisation 1", -EINVAL },
		{ "[{\"seq_len\": 65, \"ctx_len\": 64}]", "65 tokens for 64 positions", -EINVAL },
		{ "[{\"seq_len\": 1, \"ctx_len\": 64, \"num_logits_to_keep\": 1}, {\"seq_len\": 1, "
		  "\"ctx_len\": 64}]",
		  "\"num_logits_to_keep\" of specialisation 1", -EINVAL },
		{ "[{\"seq_len\": 4, \"ctx_len\": 64, \"num_logits_to_keep\": 2}]",
		  "num_logits_to_keep is 2: 1 or seq_len", -ENOTSUP },
		{ "[{\"seq_len\": 1, \"batch_size\": 3, \"ctx_len\": 64, \"full_batch_size\": 2}]",
		  "a batch of 3, but only 2 slots", -EINVAL },
		{ "[{\"seq_len\": 8, \"ctx_len\": 64, \"comp_ctx_lengths\": 4}]",
		  "\"comp_ctx_lengths\" is 4", -EINVAL },
		{ "[{\"seq_len\": 8, \"ctx_len\": 100000}]", "100000", -EINVAL },
		{ "[{\"name\": \"x\", \"symbols\": {\"seq_len\": 8}, \"ctx_len\": 64}]",
		  "\"ctx_len\" beside its \"symbols\"", -EINVAL },
		{ "[{\"symbols\": 5}]", "not an object", -EINVAL },
		{ "[5]", "not an object", -EINVAL },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"specializations\": %s}", wrong[i].entries);
		refused((struct qeff_compile_options){ .specializations = file("w.json", text) },
			wrong[i].code, wrong[i].sentence);
	}
	refused((struct qeff_compile_options){ .specializations = file("w.json", "[") }, -EINVAL,
		"line 1");
	refused((struct qeff_compile_options){ .specializations = file("w.json", "{\"x\": 1}") },
		-EINVAL, "\"x\"");
	refused((struct qeff_compile_options){ .specializations = at("absent.json") }, -EINVAL,
		"absent.json");
}

static enum qeff_type type_of(const char *package, const char *name)
{
	const struct qeff_network *network;
	enum qeff_type type = QEFF_TYPE_I64;
	struct qeff_qpc *qpc = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(package, &qpc, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_network(qpc, &network, &err), 0);
	for (uint32_t i = 0; i < network->num_inputs + network->num_outputs; i++)
		if (!strcmp(network->bindings[i].name, name))
			type = network->bindings[i].shape.type;
	qeff_qpc_close(qpc);
	return type;
}

static void precisions_of_inputs_and_outputs(void)
{
	struct qeff_compile_options o = {
		.custom_io = file("io.yaml", " - IOName: past_key.0\n   Precision: float16\n\n"
					     " - IOName: past_key.0_RetainedState\n"
					     "   Precision: float16\n\n"
					     " - IOName: past_value.1_RetainedState\n"
					     "   Precision: fp16\n\n"
					     " - IOName: input_ids\n   Precision: int64\n"
					     " - IOName: logits\n   Precision: float16\n"),
		.ctx_len = 64
	};
	struct qeff_compile_summary s = compile(o);

	CU_ASSERT_TRUE(has_transform(&s, "CustomIO"));
	/* 6 layers, keys and values, 2 heads of 32, 64 positions; two of the twelve in halves */
	CU_ASSERT_EQUAL(s.state_bytes, 2 * 64 * 32 * (10 * 4 + 2 * 2));
	CU_ASSERT_EQUAL(type_of(at("p.qpc"), "logits"), QEFF_TYPE_F16);
	CU_ASSERT_EQUAL(type_of(at("p.qpc"), "past_key.0"), QEFF_TYPE_F16);
	CU_ASSERT_EQUAL(type_of(at("p.qpc"), "past_key.0_RetainedState"), QEFF_TYPE_F16);
	CU_ASSERT_EQUAL(type_of(at("p.qpc"), "past_key.1"), QEFF_TYPE_F32);
	CU_ASSERT_EQUAL(type_of(at("p.qpc"), "past_value.1"), QEFF_TYPE_F16);
	qeff_compile_summary_free(&s);
}

static void wrong_files_of_precisions(void)
{
	static const struct {
		const char *text, *sentence;
		int code;
	} wrong[] = {
		{ "- IOName: nothing\n  Precision: float16\n", "\"nothing\" is no input", -EINVAL },
		{ "- IOName: logits\n  Precision: mxint8\n", "no KV cache", -ENOTSUP },
		{ "- IOName: logits\n  Precision: int4\n", "\"int4\" of \"logits\"", -ENOTSUP },
		{ "- IOName: input_ids\n  Precision: float16\n", "\"input_ids\" is i64", -ENOTSUP },
		{ "- IOName: past_key.0\n  Precision: float16\n- IOName: "
		  "past_key.0_RetainedState\n  Precision: float32\n",
		  "two precisions", -EINVAL },
		{ "- IOName: logits\n", "line 1", -EINVAL },
		{ "- [1, 2]\n", "line 1", -EINVAL },
		{ "logits: float16\n", "a list", -EINVAL },
		{ "- {IOName: a, IOName: b}\n", "once each", -EINVAL },
		{ "- IOName: 'a\n", "line", -EINVAL },
		{ "", "a list", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused((struct qeff_compile_options){ .custom_io = file("w.yaml", wrong[i].text) },
			wrong[i].code, wrong[i].sentence);
	refused((struct qeff_compile_options){ .custom_io = at("absent.yaml") }, -ENOENT,
		"absent.yaml");
}

static void nodes_by_name(void)
{
	static const char *const globs[] = { "logits", "model.layers.0.mlp.down_proj" };
	struct qeff_compile_options o = { .precision = QEFF_COMPILE_INT8,
					  .fp32_nodes = globs,
					  .num_fp32_nodes = 2,
					  .ctx_len = 32,
					  .output = at("g.qpc") };
	struct qeff_compile_summary s = compile(o);

	CU_ASSERT_EQUAL(s.fp32_nodes, 2);
	qeff_compile_summary_free(&s);
	o.output = NULL;
	o.num_fp32_nodes = 1;
	o.node_precision_info =
		file("nodes.yaml", "FP32NodeInstanceNames: [model.layers.0.mlp.down_proj]\n");
	s = compile(o);
	CU_ASSERT_EQUAL(s.fp32_nodes, 2);
	qeff_compile_summary_free(&s);
	CU_ASSERT_TRUE(same_files(at("g.qpc"), at("p.qpc")));
	o.node_precision_info = file("nodes.yaml", "FP32NodeInstanceNames:\n  - absent\n");
	refused(o, -EINVAL, "\"absent\" matches no node");
	o.node_precision_info = file("nodes.yaml", "FP16NodeInstanceNames: [logits]\n");
	refused(o, -EINVAL, "nothing else");
	o.node_precision_info = file("nodes.yaml", "FP32NodeInstanceNames: logits\n");
	refused(o, -EINVAL, "a list of names");
}

static int run(const char *arguments)
{
	char command[2048];
	int status;

	snprintf(command, sizeof(command), "%s %s %s >/dev/null 2>%s", tool, llama, arguments,
		 at("err"));
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A configuration file means what the options mean; an option that stands beside it wins. */
static void a_file_of_options(void)
{
	char arguments[1024];

	file("c.json",
	     "{\"num_cores\": 4, \"prefill_seq_len\": \"8\", \"ctx_len\": 64, "
	     "\"full_batch_size\": 2, \"num_speculative_tokens\": [2], \"precision\": \"fp16\", "
	     "\"fp32_nodes\": [\"logits\"], \"aic_enable_depth_first\": false}");
	snprintf(arguments, sizeof(arguments), "--config %s -o %s", at("c.json"), at("c.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	snprintf(arguments, sizeof(arguments),
		 "--num-cores 4 --prefill-seq-len 8 --ctx-len 64 --full-batch-size 2 "
		 "--num-speculative-tokens 2 --precision fp16 --fp32-nodes logits -o %s",
		 at("o.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	CU_ASSERT_TRUE(same_files(at("c.qpc"), at("o.qpc")));
	snprintf(arguments, sizeof(arguments),
		 "--ctx-len 48 --precision fp32 -o %s --config %s --num-cores 2", at("c.qpc"),
		 at("c.json"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	snprintf(arguments, sizeof(arguments),
		 "--num-cores 2 --prefill-seq-len 8 --ctx-len 48 --full-batch-size 2 "
		 "--num-speculative-tokens 2 --fp32-nodes logits -o %s",
		 at("o.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	CU_ASSERT_TRUE(same_files(at("c.qpc"), at("o.qpc")));
	/* what the QNN toolchain is told, where it means something */
	file("q.json", "{\"convertor_args_extension\": \"\", \"SKIP_QNN_CONVERTOR_STEP\": false, "
		       "\"qnn_compilation_backend\": {\"compiler_num_of_cores\": 4, "
		       "\"compiler_convert_to_FP16\": true, \"compiler_retained_state\": true, "
		       "\"compiler_printDDRStats\": false}}");
	snprintf(arguments, sizeof(arguments), "--config %s -o %s", at("q.json"), at("c.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	snprintf(arguments, sizeof(arguments), "--num-cores 4 --precision fp16 -o %s", at("o.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 0);
	CU_ASSERT_TRUE(same_files(at("c.qpc"), at("o.qpc")));
}

static void wrong_files_of_options(void)
{
	static const struct {
		const char *text, *sentence;
		int code;
	} wrong[] = {
		{ "{\"mos\": 1}", "\"mos\"", -ENOTSUP },
		{ "{\"qnn_compilation_backend\": {\"compiler_stat_level\": 10}}",
		  "\"qnn_compilation_backend.compiler_stat_level\"", -ENOTSUP },
		{ "{\"qnn_compilation_backend\": {\"compiler_retained_state\": false}}",
		  "compiler_retained_state", -EINVAL },
		{ "{\"qnn_compilation_backend\": 5}", "an object", -EINVAL },
		{ "{\"SKIP_QNN_CONVERTER_STEP\": true}", "\"SKIP_QNN_CONVERTER_STEP\"", -ENOTSUP },
		{ "{\"num_cores\": \"four\"}", "\"num_cores\" is not a number", -EINVAL },
		{ "{\"num_cores\": -4}", "\"num_cores\" is not a number", -EINVAL },
		{ "{\"num_cores\": 99999999999}", "\"num_cores\" is not a number", -EINVAL },
		{ "{\"mxfp6_matmul\": 1}", "true or false", -EINVAL },
		{ "{\"precision\": \"fp64\"}", "\"precision\"", -EINVAL },
		{ "{\"pooling\": \"median\"}", "\"pooling\"", -EINVAL },
		{ "{\"seq_len\": []}", "1 to 64 numbers", -EINVAL },
		{ "{\"fp32_nodes\": [5]}", "a list of texts", -EINVAL },
		{ "{\"fp32_nodes\": 5}", "a list of texts", -EINVAL },
		{ "{\"loras\": [\"a\", 5]}", "a list of texts", -EINVAL },
		{ "[]", "an object", -EINVAL },
		{ "{\"num_cores\": 1, \"num_cores\": 2}", "line 1", -EINVAL },
	};
	char arguments[512];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct qeff_compile_options options = { 0 };
		struct qeff_compile_config *config;
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL(qeff_compile_config_open(file("w.json", wrong[i].text), &options,
							 &config, &err),
				wrong[i].code);
		CU_ASSERT_PTR_NULL(config);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
	}
	snprintf(arguments, sizeof(arguments), "--config %s -o %s", at("absent.json"), at("c.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 1);
	snprintf(arguments, sizeof(arguments), "--num-speculative-tokens 1,0 -o %s", at("c.qpc"));
	CU_ASSERT_EQUAL(run(arguments), 2);
}

static const struct unit_test tests[] = {
	{ "numbers make specialisations", numbers_make_specialisations },
	{ "numbers that do not fit are refused", numbers_that_do_not_fit_are_refused },
	{ "options that change nothing", options_that_change_nothing },
	{ "a file of specialisations", a_file_of_specialisations },
	{ "wrong files of specialisations", wrong_files_of_specialisations },
	{ "precisions of inputs and outputs", precisions_of_inputs_and_outputs },
	{ "wrong files of precisions", wrong_files_of_precisions },
	{ "nodes by name", nodes_by_name },
	{ "a file of options", a_file_of_options },
	{ "wrong files of options", wrong_files_of_options },
};

int main(int argc, char **argv)
{
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: %s QEFF-COMPILE MODELS\n", argv[0]);
		return EXIT_FAILURE;
	}
	tool = argv[1];
	snprintf(llama, sizeof(llama), "%s/tiny-llama-stories", argv[2]);
	snprintf(bert, sizeof(bert), "%s/tiny-bert-embed", argv[2]);
	folder = folder_new();
	status = unit_main("options", tests, sizeof(tests) / sizeof(tests[0]));
	folder_remove(&folder);
	return status;
}
