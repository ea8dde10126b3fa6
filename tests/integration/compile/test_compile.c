/* SPDX-License-Identifier: MIT */
/* qeff-compile: packages, defaults, refusals, what is printed, what is left behind. */
#include "rig.h"

/* ---- packages ---- */

static void same_input_same_bytes(void)
{
	char out[8192];

	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "%s -o %s", model(LLAMA), path("a.qpc")), 0);
	/* Nothing on standard error in a pipe. */
	CU_ASSERT_STRING_EQUAL(out, "");
	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "-o %s %s/", path("b.qpc"), model(LLAMA)), 0);
	CU_ASSERT(same_files(path("a.qpc"), path("b.qpc")));
	CU_ASSERT_EQUAL(
		run(out, sizeof(out), true, "%s -o %s --num-cores 4", model(LLAMA), path("b.qpc")),
		0);
	CU_ASSERT_FALSE(same_files(path("a.qpc"), path("b.qpc")));
}

static void a_decoder_by_default(void)
{
	const struct qeff_network *network;
	const struct qeff_program *program;
	const struct qeff_binding *b;
	struct qeff_qpc *qpc;
	char out[8192];
	uint32_t at = 0;
	json_t *json;

	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s -o %s", model(LLAMA), path("a.qpc")), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "LlamaForCausalLM"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "CustomOps KVCache"));
	qpc = package(path("a.qpc"), &network);
	CU_ASSERT_STRING_EQUAL(network->name, LLAMA);
	CU_ASSERT_EQUAL(network->num_nsps, 16);
	CU_ASSERT_EQUAL(network->num_specialisations, 2);
	binding(network, "input_ids", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,32]");
	CU_ASSERT_STRING_EQUAL(shape(network, 1, at), "[1,1]");
	b = binding(network, "past_value.5", &at);
	CU_ASSERT(b->is_retained && !b->is_output);
	CU_ASSERT_STRING_EQUAL(shape(network, 1, at), "[1,2,128,32]");
	CU_ASSERT(binding(network, "past_key.0_RetainedState", &at)->is_retained);
	binding(network, "logits", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,1,2048]");
	/* One buffer in, control first; one out, statistics first. */
	b = binding(network, "qeff.control", &at);
	CU_ASSERT_EQUAL(at, network->num_inputs - 1);
	CU_ASSERT_EQUAL(b->dma_offset, 0);
	CU_ASSERT_EQUAL(b->shape.size_bytes, 64);
	CU_ASSERT_EQUAL(network->num_dma_buffers, 2);
	CU_ASSERT_EQUAL(network->dma_buffers[0].size_bytes, 64 + 2 * 256);
	CU_ASSERT_EQUAL(network->dma_buffers[1].size_bytes, 2048 * 4 + 64 + 16 * 16);
	CU_ASSERT_EQUAL(binding(network, "logits", &at)->dma_offset, 64 + 16 * 16);
	CU_ASSERT_EQUAL(network->stats_buffer, 1);

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_program(qpc, &program, NULL), 0);
	CU_ASSERT_EQUAL(program->exec_context_major, 0x5145);
	CU_ASSERT_EQUAL(program->num_semaphores, 2);
	CU_ASSERT_EQUAL(program->num_dma_requests, 2);
	CU_ASSERT_EQUAL(program->num_constant_mappings, 17);
	CU_ASSERT_EQUAL(qeff_qpc_segment(qpc, "constants.bin")->file_offset % (2 << 20), 0);
	CU_ASSERT_EQUAL(qeff_qpc_segment(qpc, "constants.bin")->size_bytes,
			program->static_constants_bytes);

	json = generation(qpc);
	CU_ASSERT_STRING_EQUAL(text_of(json, "task"), "text-generation");
	CU_ASSERT_STRING_EQUAL(text_of(json, "architecture"), "LlamaForCausalLM");
	CU_ASSERT_EQUAL(
		json_integer_value(json_array_get(json_object_get(json, "eos_token_id"), 0)), 1);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "max_position_embeddings")), 256);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "vocab_size")), 2048);
	CU_ASSERT(json_is_object(json_object_get(json, "tokenizer_config")));
	json_decref(json);
	qeff_qpc_close(qpc);
}

static void the_tokenizer_is_verbatim(void)
{
	const struct qeff_network *network;
	const struct qeff_segment *segment;
	char out[8192], from[600];
	struct qeff_qpc *qpc;
	size_t size;
	uint8_t *file;

	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "%s -o %s", model(BERT), path("a.qpc")), 0);
	qpc = package(path("a.qpc"), &network);
	segment = qeff_qpc_segment(qpc, "tokenizer.json");
	CU_ASSERT_PTR_NOT_NULL_FATAL(segment);
	snprintf(from, sizeof(from), "%s/tokenizer.json", model(BERT));
	file = slurp(from, &size);
	CU_ASSERT_EQUAL(segment->size_bytes, size);
	CU_ASSERT_EQUAL(memcmp(segment->data, file, size), 0);
	free(file);
	qeff_qpc_close(qpc);
}

static void a_decoder_without_cache(void)
{
	const struct qeff_network *network;
	struct qeff_qpc *qpc;
	char out[8192];
	uint32_t at = 0;

	CU_ASSERT_EQUAL(run(out, sizeof(out), true,
			    "%s -o %s --seq-len 24 --batch-size 2 --num-cores 1", model(LLAMA),
			    path("a.qpc")),
			0);
	qpc = package(path("a.qpc"), &network);
	CU_ASSERT_EQUAL(network->num_specialisations, 1);
	CU_ASSERT_EQUAL(network->num_inputs, 3);
	CU_ASSERT_EQUAL(network->num_outputs, 1);
	binding(network, "attention_mask", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[2,24]");
	binding(network, "logits", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[2,24,2048]");
	qeff_qpc_close(qpc);
}

static void lengths_of_the_cache(void)
{
	const struct qeff_network *network;
	struct qeff_qpc *qpc;
	char out[8192];
	uint32_t at = 0;

	/* A prefill of one token is the decode step. */
	CU_ASSERT_EQUAL(
		run(out, sizeof(out), true,
		    "%s -o %s --prefill-seq-len 1 --ctx-len 256 --batch-size 4 --num-cores 2",
		    model(LLAMA), path("a.qpc")),
		0);
	qpc = package(path("a.qpc"), &network);
	CU_ASSERT_EQUAL(network->num_specialisations, 1);
	CU_ASSERT_EQUAL(network->batch_size, 4);
	binding(network, "position_ids", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[4,1]");
	binding(network, "past_key.0", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[4,2,256,32]");
	qeff_qpc_close(qpc);
	/* The default prefill is no longer than the cache. */
	CU_ASSERT_EQUAL(
		run(out, sizeof(out), true, "%s -o %s --ctx-len 20", model(LLAMA), path("a.qpc")),
		0);
	qpc = package(path("a.qpc"), &network);
	binding(network, "input_ids", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,20]");
	qeff_qpc_close(qpc);
}

static void an_encoder_pools_as_its_files_say(void)
{
	const struct qeff_network *network;
	struct qeff_qpc *qpc;
	char out[8192];
	uint32_t at = 0;
	json_t *json;

	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "%s -o %s --seq-len 16,64,16", model(BERT),
			    path("a.qpc")),
			0);
	qpc = package(path("a.qpc"), &network);
	CU_ASSERT_EQUAL(network->num_specialisations, 2);
	binding(network, "token_type_ids", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,64]"); /* longest first */
	CU_ASSERT_STRING_EQUAL(shape(network, 1, at), "[1,16]");
	binding(network, "sentence_embedding", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,128]");
	json = generation(qpc);
	CU_ASSERT_STRING_EQUAL(text_of(json, "task"), "feature-extraction");
	CU_ASSERT_STRING_EQUAL(text_of(json, "pooling"), "mean");
	CU_ASSERT(json_is_true(json_object_get(json, "normalize")));
	json_decref(json);
	qeff_qpc_close(qpc);

	CU_ASSERT_EQUAL(
		run(out, sizeof(out), true, "%s -o %s --pooling none", model(BERT), path("a.qpc")),
		0);
	qpc = package(path("a.qpc"), &network);
	binding(network, "last_hidden_state", &at);
	CU_ASSERT_STRING_EQUAL(shape(network, 0, at), "[1,128,128]");
	json = generation(qpc); /* what a host that pools should do */
	CU_ASSERT_STRING_EQUAL(text_of(json, "pooling"), "mean");
	json_decref(json);
	qeff_qpc_close(qpc);

	CU_ASSERT_EQUAL(
		run(out, sizeof(out), true, "%s -o %s --pooling cls", model(BERT), path("a.qpc")),
		0);
	qpc = package(path("a.qpc"), &network);
	json = generation(qpc);
	CU_ASSERT_STRING_EQUAL(text_of(json, "pooling"), "cls");
	CU_ASSERT(json_is_false(json_object_get(json, "normalize")));
	json_decref(json);
	qeff_qpc_close(qpc);
}

/* ---- what is printed ---- */

static void the_summary_as_json(void)
{
	char out[65536];
	json_t *json, *specs, *nsps;
	uint64_t macs = 0;

	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s -o %s --json --num-cores 4 --onnx %s",
			    model(LLAMA), path("a.qpc"), path("onnx")),
			0);
	json = json_loads(out, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "parameters")), 2755008);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "layers")), 6);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "num_cores")), 4);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "state_bytes")),
			6 * 2 * 2 * 128 * 32 * 4);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "transforms")), 4);
	specs = json_object_get(json, "specialisations");
	CU_ASSERT_EQUAL(json_array_size(specs), 2);
	nsps = json_object_get(json_array_get(specs, 1), "nsps");
	CU_ASSERT_EQUAL(json_array_size(nsps), 4);
	for (size_t i = 0; i < 4; i++)
		macs += (uint64_t)json_integer_value(
			json_object_get(json_array_get(nsps, i), "macs"));
	/* A decode step multiplies by every matrix once, and attends to half of the context. */
	CU_ASSERT(macs >= 2752512 && macs < 2752512 * 1.2);
	json_decref(json);
	CU_ASSERT_EQUAL(access(path("onnx/model.onnx"), R_OK), 0);
	nftw(path("onnx"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Without -o the package goes into the cache, and the second time it comes from there. */
static void the_cache(void)
{
	char out[8192];
	json_t *json;

	setenv("QEFF_HOME", path("home"), 1);
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s --json --ctx-len 32", model(LLAMA)), 0);
	json = json_loads(out, 0, NULL);
	CU_ASSERT_EQUAL(access(json_string_value(json_object_get(json, "package")), R_OK), 0);
	CU_ASSERT_PTR_NOT_NULL(json_object_get(json, "operations"));
	json_decref(json);
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s --ctx-len 32", model(LLAMA)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "programqpc.bin: from the cache"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "%s --ctx-len 32 --no-cache", model(LLAMA)),
			0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "transforms:"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--cache list"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "current"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--cache prune"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "removed 0"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--cache clear --json"), 0);
	json = json_loads(out, 0, NULL);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "removed")), 1);
	json_decref(json);
	unsetenv("QEFF_HOME");
}

static void help_and_version(void)
{
	char out[8192];
	int lines = 0;

	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--help"), 0);
	for (char *at = out; *at; at++)
		lines += *at == '\n';
	CU_ASSERT(lines > 10 && lines <= 24);
	for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
		CU_ASSERT(strlen(line) <= 80);
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--list-architectures"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "LlamaForCausalLM"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "gpt_oss"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "text-classification"));
	CU_ASSERT_EQUAL(run(out, sizeof(out), false, "--version"), 0);
	CU_ASSERT_STRING_EQUAL(out, "qeff-compile " QEFF_VERSION "\n");
}

/* ---- refusals ---- */

static void wrong_use_is_told(void)
{
	static const struct {
		const char *model, *options;
		int status;
		const char *says;
	} cases[] = {
		{ LLAMA, "--onnx @", 2, "-o OUT.qpc" },
		{ LLAMA, "--cache list", 2, "takes no model" },
		{ "", "--cache empty", 2, "list, prune or clear" },
		{ "", "-o @", 2, "folder is missing" },
		{ LLAMA, "-o @ --num-cores 17", 2, "1 to 16" },
		{ LLAMA, "-o @ --num-cores 0", 2, "positive number" },
		{ LLAMA, "-o @ --ctx-len 12x", 2, "\"12x\"" },
		{ LLAMA, "-o @ --seq-len 8,,9", 2, "positive number" },
		{ LLAMA, "-o @ --precision fp8", 2, "fp8" },
		{ BERT, "-o @ --pooling median", 2, "median" },
		{ LLAMA, "-o @ --fp32-nodes model.norm,nothing", 1, "\"nothing\" matches no node" },
		{ LLAMA, "-o @ --no-such-option", 2, "no-such-option" },
		{ LLAMA, "-o @ --ctx-len 257", 1,
		  "ctx_len is 257, but the model has 256 positions" },
		{ LLAMA, "-o @ --ctx-len 64 --prefill-seq-len 65", 1, "prefill_seq_len is 65" },
		{ LLAMA, "-o @ --ctx-len 64 --seq-len 8", 1, "without KV cache" },
		{ LLAMA, "-o @ --seq-len 300", 1, "seq_len is 300" },
		{ LLAMA, "-o @ --pooling mean", 1, "for encoders" },
		{ LLAMA, "-o @ --batch-size 5000", 1, "batch_size is 5000" },
		{ BERT, "-o @ --ctx-len 64", 1, "no KV cache" },
		{ BERT, "-o @ --seq-len 16,257", 1, "seq_len is 257" },
		{ BERT, "-o @ --pooling none --normalize", 1, "normalize needs pooling" },
		{ "no-such-model", "-o @", 1, "no-such-model" },
		{ LLAMA, "-o @/no/such/folder.qpc", 1, "no/such/folder.qpc" },
	};
	char out[8192], options[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strchr(cases[i].options, '@');
		int status;

		/* @ stands for a file in the test's folder. */
		if (at)
			snprintf(options, sizeof(options), "%.*s%s%s", (int)(at - cases[i].options),
				 cases[i].options, path("none.qpc"), at + 1);
		else
			snprintf(options, sizeof(options), "%s", cases[i].options);
		status = run(out, sizeof(out), true, "%s %s",
			     *cases[i].model ? model(cases[i].model) : "", options);
		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT_PTR_NOT_NULL(strstr(out, cases[i].says));
		if (status != cases[i].status || !strstr(out, cases[i].says))
			printf("\n  %s: exit status %d: %s\n", cases[i].options, status, out);
		CU_ASSERT_NOT_EQUAL(access(path("none.qpc"), F_OK), 0);
	}
}

/* A failure while weights are written leaves the older package and nothing else. */
static void an_older_package_survives_failure(void)
{
	char out[8192], before[320], command[1024];
	int files;

	CU_ASSERT_EQUAL(run(out, sizeof(out), true, "%s -o %s", model(LLAMA), path("old.qpc")), 0);
	snprintf(before, sizeof(before), "%s", path("old.qpc"));
	snprintf(command, sizeof(command), "cp %s %s", before, path("copy.qpc"));
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	files = files_in_folder();
	/* No file may grow beyond 4 MB, and the signal for that is ignored: the write fails. */
	snprintf(command, sizeof(command),
		 "trap '' XFSZ; ulimit -f 4096; %s %s -o %s --num-cores 2 >/dev/null 2>%s", tool,
		 model(LLAMA), before, path("said"));
	CU_ASSERT_NOT_EQUAL(system(command), 0);
	CU_ASSERT_EQUAL(files_in_folder(), files + 1);
	CU_ASSERT(same_files(before, path("copy.qpc")));
}

static const struct unit_test tests[] = {
	{ "same input, same bytes", same_input_same_bytes },
	{ "a decoder by default", a_decoder_by_default },
	{ "the tokenizer is verbatim", the_tokenizer_is_verbatim },
	{ "a decoder without cache", a_decoder_without_cache },
	{ "lengths of the cache", lengths_of_the_cache },
	{ "an encoder pools as its files say", an_encoder_pools_as_its_files_say },
	{ "the summary as JSON", the_summary_as_json },
	{ "the cache", the_cache },
	{ "help and version", help_and_version },
	{ "wrong use is told", wrong_use_is_told },
	{ "an older package survives failure", an_older_package_survives_failure },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, "compile", tests, sizeof(tests) / sizeof(tests[0]));
}
