/* SPDX-License-Identifier: MIT */
/* qeff-load with text: the reference's continuation token for token, draws that a seed repeats,
 * embeddings, and an end at the user's wish. */
#include "../../unit/unit.h"
#include "rig.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"

/* The object that qeff-load prints; NULL, and an assertion, if it fails. */
static json_t *load_json(const char *package, const char *options)
{
	static char text[1 << 20];
	json_t *object;
	int status =
		run(text, sizeof(text), "cd %s && %s -d soft --json %s %s 2>errors || cat errors",
		    rig.dir, rig.load, package, options);

	CU_ASSERT_EQUAL(status, 0);
	object = json_loads(text, 0, NULL);
	if (!object)
		fprintf(stderr, "%s: %s\n", options, text);
	CU_ASSERT_PTR_NOT_NULL(object);
	return object;
}

static bool compile(const char *model, const char *package, const char *options)
{
	return run_well("%s %s/%s -o %s %s", rig.compile, rig.models, model, rig_file(package),
			options);
}

static json_t *reference_text(const char *model, const char *name)
{
	char path[512];
	json_t *json;

	snprintf(path, sizeof(path), "%s/%s/%s", rig.models, model, name);
	json = json_load_file(path, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

/* "1,2,3" */
static void list(const struct npy *npy, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < npy->count; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "",
					 (long long)npy_integer(npy, i));
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void check_ids(const json_t *object, const struct npy *expected)
{
	json_t *ids = json_object_get(object, "token_ids");

	CU_ASSERT_EQUAL(json_array_size(ids), expected->count);
	for (size_t i = 0; i < json_array_size(ids) && i < expected->count; i++)
		CU_ASSERT_EQUAL(json_integer_value(json_array_get(ids, i)),
				npy_integer(expected, i));
}

static void greedy(void)
{
	static const char *const packages[] = {
		"--num-cores 16",
		"--num-cores 4 --prefill-seq-len 5 --ctx-len 64",
		"--num-cores 1 --prefill-seq-len 32 --ctx-len 55 --batch-size 2",
	};
	struct npy prompt, expected;
	char ids[1024], options[2048];
	json_t *texts = reference_text(LLAMA, "reference_text.json"), *object;

	CU_ASSERT_TRUE_FATAL(reference(LLAMA, "input_ids", &prompt));
	CU_ASSERT_TRUE_FATAL(reference(LLAMA, "greedy_ids", &expected));
	list(&prompt, ids, sizeof(ids));
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		if (!compile(LLAMA, "kv.qpc", packages[i]))
			continue;
		snprintf(options, sizeof(options), "--prompt-ids %s --max-new-tokens %zu", ids,
			 expected.count);
		object = load_json("kv.qpc", options);
		check_ids(object, &expected);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "end")),
				       "max_new_tokens");
		CU_ASSERT_EQUAL(number(object, "prompt_tokens"), (double)prompt.count);
		CU_ASSERT_TRUE(number(object, "prefill_tokens_per_s") > 0);
		CU_ASSERT_TRUE(number(object, "decode_tokens_per_s") > 0);
		CU_ASSERT_TRUE(number(object, "time_to_first_token_s") > 0);
		CU_ASSERT_TRUE(number(object, "total_s") > number(object, "time_to_first_token_s"));
		CU_ASSERT_EQUAL(json_array_size(json_object_get(object, "nsps")), i == 0   ? 16
										  : i == 1 ? 4
											   : 1);
		json_decref(object);

		snprintf(options, sizeof(options), "--prompt \"%s\" --max-new-tokens %zu",
			 json_string_value(json_object_get(texts, "prompt")), expected.count);
		object = load_json("kv.qpc", options);
		check_ids(object, &expected);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "text")),
				       json_string_value(json_object_get(texts, "greedy_text")));
		json_decref(object);
	}
	json_decref(texts);
	npy_free(&prompt);
	npy_free(&expected);
}

static void streamed(void)
{
	json_t *texts = reference_text(LLAMA, "reference_text.json");
	const char *expected = json_string_value(json_object_get(texts, "greedy_text"));
	char text[16384];
	FILE *file = fopen(rig_file("prompt.txt"), "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(json_string_value(json_object_get(texts, "prompt")), file);
	fclose(file);
	if (!compile(LLAMA, "kv.qpc", ""))
		return;
	CU_ASSERT_EQUAL(
		run(text, sizeof(text),
		    "cd %s && %s -d soft kv.qpc --prompt-file prompt.txt --max-new-tokens 32",
		    rig.dir, rig.load),
		0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, expected));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "tokens/s"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "time to first token"));
	json_decref(texts);
}

static void draws(void)
{
	static const char *const options[] = {
		"--prompt Once --max-new-tokens 24 --ignore-eos --temperature 1.5 --seed 7",
		"--prompt Once --max-new-tokens 24 --ignore-eos --temperature 1.5 --seed 7",
		"--prompt Once --max-new-tokens 24 --ignore-eos --temperature 1.5 --seed 8",
		"--prompt Once --max-new-tokens 24 --ignore-eos --temperature 1.5 --seed 7 --top-k 1",
		"--prompt Once --max-new-tokens 24 --ignore-eos",
	};
	json_t *ids[5];

	if (!compile(LLAMA, "kv.qpc", ""))
		return;
	for (size_t i = 0; i < 5; i++) {
		json_t *object = load_json("kv.qpc", options[i]);

		ids[i] = json_incref(json_object_get(object, "token_ids"));
		CU_ASSERT_EQUAL(json_array_size(ids[i]), 24);
		json_decref(object);
	}
	CU_ASSERT_TRUE(json_equal(ids[0], ids[1]));
	CU_ASSERT_FALSE(json_equal(ids[0], ids[2]));
	CU_ASSERT_TRUE(json_equal(ids[3], ids[4])); /* the likeliest one of one */
	for (size_t i = 0; i < 5; i++)
		json_decref(ids[i]);
}

static void limits(void)
{
	char text[4096];
	json_t *object;

	if (!compile(LLAMA, "tight.qpc", "--prefill-seq-len 4 --ctx-len 16"))
		return;
	object = load_json("tight.qpc", "--prompt-ids 5,6,7,8,9,10 --ignore-eos");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "end")), "context");
	CU_ASSERT_TRUE(json_array_size(json_object_get(object, "token_ids")) >= 10);
	json_decref(object);
	CU_ASSERT_EQUAL(run(text, sizeof(text),
			    "%s -d soft %s --prompt-ids 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
			    rig.load, rig_file("tight.qpc")),
			1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft %s --prompt-ids 99999", rig.load,
			    rig_file("tight.qpc")),
			1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft %s --text hello", rig.load,
			    rig_file("tight.qpc")),
			1);
}

static void embeddings(void)
{
	json_t *texts = reference_text(BERT, "reference_texts.json"), *object, *vectors;
	struct npy expected;
	char options[4096] = "";
	size_t used = 0;
	float *found;

	CU_ASSERT_TRUE_FATAL(reference(BERT, "sentence_embedding", &expected));
	for (size_t i = 0; i < json_array_size(texts); i++)
		used += (size_t)snprintf(options + used, sizeof(options) - used, " --text \"%s\"",
					 json_string_value(json_array_get(texts, i)));
	if (!compile(BERT, "mean.qpc", "--pooling mean --normalize --seq-len 16,32"))
		return;
	object = load_json("mean.qpc", options);
	vectors = json_object_get(object, "embeddings");
	CU_ASSERT_EQUAL_FATAL(json_array_size(vectors), (size_t)expected.dims[0]);
	found = calloc(expected.count, sizeof(*found));
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	for (size_t row = 0; row < (size_t)expected.dims[0]; row++) {
		json_t *vector = json_array_get(vectors, row);

		CU_ASSERT_EQUAL(json_array_size(vector), (size_t)expected.dims[1]);
		for (size_t i = 0; i < json_array_size(vector); i++)
			found[row * (size_t)expected.dims[1] + i] =
				(float)json_real_value(json_array_get(vector, i));
	}
	CU_ASSERT_TRUE(difference(found, expected.data, expected.count) < 1e-4);
	free(found);
	npy_free(&expected);
	json_decref(object);
	json_decref(texts);
}

/* ---- SIGINT ---- */

/* Starts a long generation; @out receives the end of its standard output. */
static pid_t start(int *out)
{
	int ends[2];
	pid_t child;

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	child = fork();
	CU_ASSERT_TRUE_FATAL(child >= 0);
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(rig.load, rig.load, "-d", "soft", rig_file("long.qpc"), "--prompt", "Once",
		      "--ignore-eos", "--max-new-tokens", "100000", "--runs", "100000", NULL);
		_exit(127);
	}
	close(ends[1]);
	*out = ends[0];
	return child;
}

static void stopped(void)
{
	char text[65536];
	size_t used = 0;
	int out, status;
	ssize_t got;
	pid_t child;

	if (!compile(LLAMA, "long.qpc", "--ctx-len 128"))
		return;
	child = start(&out);
	/* once it has begun to speak */
	CU_ASSERT_TRUE_FATAL(read(out, text, 1) == 1);
	CU_ASSERT_EQUAL(kill(child, SIGINT), 0);
	while ((got = read(out, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = 0;
	close(out);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "tokens/s"));
}

static const struct unit_test tests[] = {
	{ "greedy", greedy }, { "streamed", streamed },	    { "draws", draws },
	{ "limits", limits }, { "embeddings", embeddings }, { "stopped by SIGINT", stopped },
};

int main(int argc, char **argv)
{
	int ret;

	if (!rig_open(argc, argv))
		return EXIT_FAILURE;
	ret = unit_main("qeff-load, text", tests, sizeof(tests) / sizeof(tests[0]));
	rig_close();
	return ret;
}
