/* SPDX-License-Identifier: MIT */
/* qeff-compile and <qeff/compiler.h>: packages, defaults, refusals, what is printed, what is left
 * behind. */
#include "../../unit/unit.h"

#include <qeff/compiler.h>
#include <qeff/qpc.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"

static const char *tool, *models;
static char folder[] = "/tmp/qeff-test-compile-XXXXXX";

/* ---- rig ---- */

static const char *path(const char *name)
{
	static char paths[8][320];
	static unsigned int next;
	char *to = paths[next++ % 8];

	snprintf(to, sizeof(paths[0]), "%s/%s", folder, name);
	return to;
}

static const char *model(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	char *to = paths[next++ % 4];

	snprintf(to, sizeof(paths[0]), "%s/%s", models, name);
	return to;
}

/* Runs "TOOL arguments"; what it printed, standard error last if @errors. */
__attribute__((format(printf, 4, 5))) static int run(char *output, size_t size, bool errors,
						     const char *format, ...)
{
	char command[4096];
	size_t used = 0, got;
	va_list args;
	FILE *pipe;
	int status;

	used = (size_t)snprintf(command, sizeof(command), "%s ", tool);
	va_start(args, format);
	used += (size_t)vsnprintf(command + used, sizeof(command) - used, format, args);
	va_end(args);
	CU_ASSERT_TRUE_FATAL(used + 16 < sizeof(command));
	strcat(command, errors ? " 2>&1 >/dev/null" : " 2>/dev/null");
	pipe = popen(command, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
	for (used = 0; used + 1 < size && (got = fread(output + used, 1, size - 1 - used, pipe));)
		used += got;
	output[used] = 0;
	while (fgetc(pipe) != EOF)
		;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int files_in_folder(void)
{
	DIR *dir = opendir(folder);
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static int remove_one(const char *at, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(at);
}

static uint8_t *slurp(const char *at, size_t *size)
{
	FILE *file = fopen(at, "re");
	uint8_t *data;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	data = malloc(*size + 1);
	CU_ASSERT_EQUAL_FATAL(fread(data, 1, *size, file), *size);
	data[*size] = 0;
	fclose(file);
	return data;
}

static bool same_files(const char *a, const char *b)
{
	size_t a_size, b_size;
	uint8_t *x = slurp(a, &a_size), *y = slurp(b, &b_size);
	bool same = a_size == b_size && !memcmp(x, y, a_size);

	free(x);
	free(y);
	return same;
}

/* A package, opened and verified. */
static struct qeff_qpc *package(const char *at, const struct qeff_network **network)
{
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc = NULL;
	int rc = qeff_qpc_open(at, &qpc, &err);

	if (!rc)
		rc = qeff_qpc_verify(qpc, &err);
	if (!rc)
		rc = qeff_qpc_network(qpc, network, &err);
	if (rc)
		printf("\n  %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return qpc;
}

static json_t *generation(const struct qeff_qpc *qpc)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, "generation.json");
	json_t *json;

	CU_ASSERT_PTR_NOT_NULL_FATAL(segment);
	json = json_loadb(segment->data, segment->size_bytes, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "(none)";
}

/* "[1, 32]" of binding @index in specialisation @spec. */
static const char *shape(const struct qeff_network *network, uint32_t spec, uint32_t index)
{
	const struct qeff_shape *s = qeff_network_shape(network, spec, index);
	static char texts[8][64];
	static unsigned int next;
	char *text = texts[next++ % 8];
	size_t used = 0;

	for (uint32_t i = 0; i < s->num_dims; i++)
		used += (size_t)snprintf(text + used, 64 - used, "%s%d", i ? "," : "[", s->dims[i]);
	snprintf(text + used, 64 - used, "]");
	return text;
}

static const struct qeff_binding *binding(const struct qeff_network *network, const char *name,
					  uint32_t *index)
{
	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++)
		if (!strcmp(network->bindings[i].name, name)) {
			*index = i;
			return &network->bindings[i];
		}
	printf("\n  no binding %s\n", name);
	CU_FAIL_FATAL("binding");
	return NULL;
}

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
	uint32_t at;
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
	uint32_t at;

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
	uint32_t at;

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
	uint32_t at;
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
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "transforms")), 3);
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

/* ---- the library ---- */

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
	{ "progress goes forward", progress_goes_forward },
	{ "precisions", precisions },
	{ "unknown enumerators are refused", unknown_enumerators_are_refused },
};

int main(int argc, char **argv)
{
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: %s QEFF-COMPILE MODELS\n", argv[0]);
		return EXIT_FAILURE;
	}
	tool = argv[1];
	models = argv[2];
	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	status = unit_main("compile", tests, sizeof(tests) / sizeof(tests[0]));
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return status;
}
