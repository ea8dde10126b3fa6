/* SPDX-License-Identifier: MIT */
/*
 * Generation on packages made from a demo model, on a software card: the reference's tokens,
 * however prompts are cut into chunks and batches, and every way in which a text ends or is
 * refused.
 */
#include "packages.h"

#include <errno.h>
#include <qeff/generate.h>
#include <stdbool.h>

static struct qeff_generator *open_generator(struct qeff_session *session)
{
	struct qeff_generator *generator = NULL;
	struct qeff_error err = { 0 };
	int ret = qeff_generator_open(session, &generator, &err);

	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return generator;
}

static void generate(struct qeff_generator *generator, const struct qeff_prompt *prompts,
		     size_t count, const struct qeff_generate_options *options,
		     struct qeff_generation *generations)
{
	struct qeff_error err = { 0 };
	int ret = qeff_generate(generator, prompts, count, options, generations, &err);

	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
}

static void check_ids(const struct qeff_generation *g, const uint32_t *ids, size_t count)
{
	CU_ASSERT_EQUAL_FATAL(g->count, count);
	CU_ASSERT(!memcmp(g->ids, ids, count * sizeof(*ids)));
}

/* What on_token heard. */
struct heard {
	uint32_t ids[512];
	size_t count;
	char text[4096];
	size_t text_bytes;
	size_t stop_after; /* tokens; 0: never */
};

static bool hear(void *user, size_t prompt, uint32_t id, const char *text, size_t text_bytes)
{
	struct heard *heard = user;

	CU_ASSERT_EQUAL(prompt, 0);
	heard->ids[heard->count++] = id;
	CU_ASSERT_EQUAL(strlen(text), text_bytes);
	memcpy(heard->text + heard->text_bytes, text, text_bytes + 1);
	heard->text_bytes += text_bytes;
	return heard->count != heard->stop_after;
}

static void test_greedy(void)
{
	static const struct {
		uint32_t cores, prefill, ctx;
	} packages[] = { { 16, 32, 128 }, { 4, 5, 64 }, { 1, 1, 55 } };
	struct reference r = reference_open(LLAMA);
	uint32_t prompt_ids[64], expected[64];
	struct qeff_prompt prompt = { prompt_ids, reference_ids(&r, "input_ids", prompt_ids, 64) };
	size_t count = reference_ids(&r, "greedy_ids", expected, 64);
	json_t *texts = json_load_file(LLAMA "/reference_text.json", 0, NULL);
	const char *text = json_string_value(json_object_get(texts, "greedy_text"));

	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		struct qeff_session *session = open_package(
			(struct qeff_compile_options){ .model_dir = LLAMA,
						       .output = "greedy.qpc",
						       .num_cores = packages[i].cores,
						       .prefill_seq_len = packages[i].prefill,
						       .ctx_len = packages[i].ctx });
		struct qeff_generator *generator = open_generator(session);
		struct qeff_generator_limits limits = qeff_generator_limits(generator);
		struct heard heard = { 0 };
		struct qeff_generate_options options = { .max_new_tokens = (uint32_t)count,
							 .on_token = hear,
							 .user = &heard };
		struct qeff_generation g;
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL(limits.batch_size, 1);
		CU_ASSERT_EQUAL(limits.prefill_tokens, packages[i].prefill);
		CU_ASSERT_EQUAL(limits.context_tokens, packages[i].ctx);
		CU_ASSERT_EQUAL(limits.vocabulary, 2048);
		/* twice: nothing is left of the first time */
		for (int time = 0; time < 2; time++) {
			memset(&heard, 0, sizeof(heard));
			generate(generator, &prompt, 1, &options, &g);
			check_ids(&g, expected, count);
			CU_ASSERT_EQUAL(g.end, QEFF_END_MAX_TOKENS);
			CU_ASSERT_EQUAL(g.prompt_tokens, prompt.count);
			CU_ASSERT_STRING_EQUAL(g.text, text);
			CU_ASSERT_EQUAL(g.text_bytes, strlen(text));
			CU_ASSERT_EQUAL(heard.count, count);
			CU_ASSERT(!memcmp(heard.ids, expected, count * sizeof(*expected)));
			CU_ASSERT(!strncmp(heard.text, text, heard.text_bytes));
			CU_ASSERT(g.first_token_s > 0 && g.prefill_s > 0 && g.decode_s > 0);
			CU_ASSERT(g.total_s >= g.first_token_s + g.decode_s);
			qeff_generation_free(&g);
		}
		options.on_token = NULL;
		CU_ASSERT_EQUAL_FATAL(
			qeff_generate_text(generator,
					   json_string_value(json_object_get(texts, "prompt")),
					   &options, &g, &err),
			0);
		check_ids(&g, expected, count);
		qeff_generation_free(&g);
		qeff_generator_close(generator);
		qeff_session_close(session);
	}
	json_decref(texts);
	reference_close(&r);
}

/* Prompts of different lengths side by side give what each gives alone, greedy or drawn. */
static void test_batch(void)
{
	struct qeff_compile_options alone = {
		.model_dir = LLAMA, .output = "alone.qpc", .prefill_seq_len = 7, .ctx_len = 48
	};
	struct qeff_compile_options batch = { .model_dir = LLAMA,
					      .output = "batch.qpc",
					      .prefill_seq_len = 4,
					      .ctx_len = 48,
					      .batch_size = 4 };
	struct qeff_session *one_session = open_package(alone), *four_session = open_package(batch);
	struct qeff_generator *one = open_generator(one_session),
			      *four = open_generator(four_session);
	struct reference r = reference_open(LLAMA);
	struct qeff_generate_options options[] = {
		{ .max_new_tokens = 12 },
		{ .max_new_tokens = 12,
		  .temperature = 0.9f,
		  .top_k = 50,
		  .top_p = 0.9f,
		  .seed = 3 },
		{ .ignore_eos = true },
	};
	struct qeff_prompt prompts[3];
	struct qeff_generation single, side[3];
	struct qeff_error err = { 0 };
	uint32_t ids[64];

	CU_ASSERT_EQUAL(qeff_generator_limits(four).batch_size, 4);
	reference_ids(&r, "input_ids", ids, 64);
	prompts[0] = (struct qeff_prompt){ ids, 23 };
	prompts[1] = (struct qeff_prompt){ ids + 2, 1 };
	prompts[2] = (struct qeff_prompt){ ids, 8 };
	for (size_t o = 0; o < 3; o++) {
		generate(four, prompts, 3, &options[o], side);
		for (size_t i = 0; i < 3; i++) {
			struct qeff_generate_options own = options[o];

			own.seed += i; /* rows draw apart */
			generate(one, &prompts[i], 1, &own, &single);
			check_ids(&side[i], single.ids, single.count);
			CU_ASSERT_STRING_EQUAL(side[i].text, single.text);
			CU_ASSERT_EQUAL(side[i].end, single.end);
			if (o == 2)
				CU_ASSERT_EQUAL(prompts[i].count + side[i].count, 48 + 1);
			qeff_generation_free(&single);
			qeff_generation_free(&side[i]);
		}
	}
	CU_ASSERT_EQUAL(qeff_generate(one, prompts, 2, NULL, side, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "batches of 1"));
	CU_ASSERT_EQUAL(qeff_generate(one, prompts, 0, NULL, side, &err), -EINVAL);
	qeff_generator_close(one);
	qeff_generator_close(four);
	qeff_session_close(one_session);
	qeff_session_close(four_session);
	reference_close(&r);
}

/* More prompts than places, of different lengths, each ending when it ends: what each gives alone.
 */
static void check_queue(struct qeff_generator *one, struct qeff_compile_options queue)
{
	struct qeff_session *session = open_package(queue);
	struct qeff_generator *generator = open_generator(session);
	struct reference r = reference_open(LLAMA);
	static const uint32_t starts[] = { 0, 2, 0, 5, 1, 7, 3 },
			      lengths[] = { 23, 1, 8, 3, 16, 4, 9 };
	struct qeff_generate_options options[] = {
		{ .max_new_tokens = 9 },
		{ .max_new_tokens = 9, .temperature = 0.9f, .top_k = 50, .seed = 3 },
		{ .ignore_eos = true },
	};
	struct qeff_prompt prompts[7];
	struct qeff_generation single, side[7];
	uint32_t ids[64];

	CU_ASSERT_EQUAL(qeff_generator_limits(generator).batch_size, 3);
	CU_ASSERT(qeff_generator_limits(generator).queues);
	CU_ASSERT_EQUAL(qeff_generator_limits(generator).context_tokens, 48);
	reference_ids(&r, "input_ids", ids, 64);
	for (size_t i = 0; i < 7; i++)
		prompts[i] = (struct qeff_prompt){ ids + starts[i], lengths[i] };
	for (size_t o = 0; o < 3; o++) {
		generate(generator, prompts, 7, &options[o], side);
		for (size_t i = 0; i < 7; i++) {
			struct qeff_generate_options own = options[o];

			own.seed += i;
			generate(one, &prompts[i], 1, &own, &single);
			check_ids(&side[i], single.ids, single.count);
			CU_ASSERT_STRING_EQUAL(side[i].text, single.text);
			CU_ASSERT_EQUAL(side[i].end, single.end);
			qeff_generation_free(&single);
			qeff_generation_free(&side[i]);
		}
	}
	qeff_generator_close(generator);
	qeff_session_close(session);
	reference_close(&r);
}

/* Continuous batching: with spare slots, with shorter contexts to look at, with guesses, from a
 * file of specialisations in each layout. */
static void test_queue(void)
{
	static const uint32_t lengths[] = { 8, 16, 24 }, guesses[] = { 1, 3 };
	static const char list[] =
		"{\"specializations\": [{\"batch_size\": \"1\", \"seq_len\": \"6\", "
		"\"ctx_len\": \"48\", \"full_batch_size\": \"3\", \"full_batch_exec_size\": 3},"
		"{\"batch_size\": 3, \"seq_len\": 1, \"ctx_len\": 48, \"full_batch_size\": 3}]}";
	static const char named[] =
		"{\"specializations\": [{\"name\": \"Prefill\", \"symbols\": {\"batch_size\": "
		"\"2\", \"seq_len\": \"6\", \"ctx_len\": \"48\", \"full_batch_size\": \"5\", "
		"\"num_logits_to_keep\": \"1\"}}, {\"name\": \"Decode\", \"symbols\": "
		"{\"batch_size\": \"3\", \"seq_len\": \"4\", \"ctx_len\": \"48\", "
		"\"full_batch_size\": \"5\", \"num_logits_to_keep\": \"4\"}}]}";
	struct qeff_session *session = open_package((struct qeff_compile_options){
		.model_dir = LLAMA, .output = "alone.qpc", .prefill_seq_len = 7, .ctx_len = 48 });
	struct qeff_generator *one = open_generator(session);
	struct qeff_compile_options o = { .model_dir = LLAMA,
					  .output = "queue.qpc",
					  .prefill_seq_len = 4,
					  .ctx_len = 48,
					  .full_batch_size = 3 };
	char path[320];

	check_queue(one, o);
	o.kv_cache_batch_size = 5;
	o.comp_ctx_lengths_prefill = (struct qeff_compile_numbers){ lengths, 1 };
	o.comp_ctx_lengths_decode = (struct qeff_compile_numbers){ lengths, 3 };
	check_queue(one, o);
	o.comp_ctx_lengths_prefill.count = o.comp_ctx_lengths_decode.count = 0;
	o.num_speculative_tokens = (struct qeff_compile_numbers){ guesses, 2 };
	check_queue(one, o);
	o = (struct qeff_compile_options){ .model_dir = LLAMA, .output = "queue.qpc" };
	folder_text(&folder, "list.json", list);
	snprintf(path, sizeof(path), "%s", folder.file);
	o.specializations = path;
	check_queue(one, o);
	folder_text(&folder, "list.json", named);
	check_queue(one, o);
	qeff_generator_close(one);
	qeff_session_close(session);
}

/* Steps that judge guesses give the same text in fewer inferences where it repeats itself. */
static void test_guesses(void)
{
	static const uint32_t guesses[] = { 4 };
	struct qeff_compile_options plain = {
		.model_dir = LLAMA, .output = "plain.qpc", .prefill_seq_len = 8, .ctx_len = 64
	};
	struct qeff_compile_options judging = plain;
	struct qeff_session *sessions[2];
	struct qeff_generator *generators[2];
	struct qeff_generate_options options = { .ignore_eos = true };
	struct qeff_generation g[2];
	uint32_t ids[] = { 0, 40, 50, 60, 40, 50, 60, 40, 50, 60 };
	struct qeff_prompt prompt = { ids, 10 };
	uint64_t steps[2];

	judging.output = "judging.qpc";
	judging.num_speculative_tokens = (struct qeff_compile_numbers){ guesses, 1 };
	for (int i = 0; i < 2; i++) {
		sessions[i] = open_package(i ? judging : plain);
		generators[i] = open_generator(sessions[i]);
		generate(generators[i], &prompt, 1, &options, &g[i]);
		steps[i] = qeff_session_total_stats(sessions[i])->inferences;
	}
	check_ids(&g[1], g[0].ids, g[0].count);
	CU_ASSERT_EQUAL(g[0].end, QEFF_END_CONTEXT);
	CU_ASSERT_EQUAL(g[1].end, QEFF_END_CONTEXT);
	CU_ASSERT(steps[1] < steps[0]);
	for (int i = 0; i < 2; i++) {
		qeff_generation_free(&g[i]);
		qeff_generator_close(generators[i]);
		qeff_session_close(sessions[i]);
	}
}

/* Logits that come in halves are good enough to be greedy. */
static void test_half_logits(void)
{
	struct reference r = reference_open(LLAMA);
	uint32_t prompt_ids[64], expected[64];
	struct qeff_prompt prompt = { prompt_ids, reference_ids(&r, "input_ids", prompt_ids, 64) };
	size_t count = reference_ids(&r, "greedy_ids", expected, 64);
	struct qeff_generate_options options = { .max_new_tokens = (uint32_t)count };
	struct qeff_generation g;
	char path[320];

	folder_text(&folder, "io.yaml", "- IOName: logits\n  Precision: float16\n");
	snprintf(path, sizeof(path), "%s", folder.file);
	struct qeff_session *session = open_package((struct qeff_compile_options){
		.model_dir = LLAMA, .output = "half.qpc", .custom_io = path });
	struct qeff_generator *generator = open_generator(session);

	generate(generator, &prompt, 1, &options, &g);
	check_ids(&g, expected, count);
	qeff_generation_free(&g);
	qeff_generator_close(generator);
	qeff_session_close(session);
	reference_close(&r);
}

static void test_draws(void)
{
	struct qeff_session *session = open_package(
		(struct qeff_compile_options){ .model_dir = LLAMA, .output = "draws.qpc" });
	struct qeff_generator *generator = open_generator(session);
	struct qeff_generate_options options = { .max_new_tokens = 20,
						 .temperature = 1,
						 .seed = 5 };
	struct qeff_generation first, again, other, greedy;
	uint32_t ids[] = { 0, 40, 50 };
	struct qeff_prompt prompt = { ids, 3 };

	generate(generator, &prompt, 1, &options, &first);
	generate(generator, &prompt, 1, &options, &again);
	options.seed = 6;
	generate(generator, &prompt, 1, &options, &other);
	check_ids(&again, first.ids, first.count);
	CU_ASSERT(other.count != first.count ||
		  memcmp(other.ids, first.ids, first.count * sizeof(*first.ids)));
	qeff_generation_free(&other);
	/* one candidate left: the greedy choice */
	options.top_k = 1;
	generate(generator, &prompt, 1, &options, &other);
	options = (struct qeff_generate_options){ .max_new_tokens = 20 };
	generate(generator, &prompt, 1, &options, &greedy);
	check_ids(&other, greedy.ids, greedy.count);
	qeff_generation_free(&first);
	qeff_generation_free(&again);
	qeff_generation_free(&other);
	qeff_generation_free(&greedy);
	qeff_generator_close(generator);
	qeff_session_close(session);
}

/* The Llama with other end tokens: the files by link, the settings by hand. */
static void link_model(struct folder *model, const char *eos)
{
	static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json",
					     "tokenizer_config.json" };
	char text[128];

	*model = folder_new();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char target[512];

		snprintf(target, sizeof(target), LLAMA "/%s", files[i]);
		CU_ASSERT_EQUAL_FATAL(symlink(target, folder_path(model, files[i])), 0);
	}
	snprintf(text, sizeof(text), "{\"bos_token_id\":0,\"eos_token_id\":%s}", eos);
	folder_text(model, "generation_config.json", text);
}

static void test_ends(void)
{
	struct reference r = reference_open(LLAMA);
	uint32_t prompt_ids[64], expected[64];
	struct qeff_prompt prompt = { prompt_ids, reference_ids(&r, "input_ids", prompt_ids, 64) };
	size_t count = reference_ids(&r, "greedy_ids", expected, 64), first = 4;
	struct qeff_generate_options options = { .max_new_tokens = (uint32_t)count };
	struct heard heard = { .stop_after = 3 };
	struct qeff_generator *generator;
	struct qeff_session *session;
	struct qeff_generation g;
	struct folder model;
	char eos[64];

	/* the fifth token of the continuation ends it, wherever it stands first */
	for (size_t i = 0; i < first; i++)
		if (expected[i] == expected[first])
			first = i;
	snprintf(eos, sizeof(eos), "[2047,%u]", expected[first]);
	link_model(&model, eos);
	session = open_package(
		(struct qeff_compile_options){ .model_dir = model.path, .output = "ends.qpc" });
	generator = open_generator(session);
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.end, QEFF_END_EOS);
	check_ids(&g, expected, first + 1);
	qeff_generation_free(&g);

	options.ignore_eos = true;
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.end, QEFF_END_MAX_TOKENS);
	check_ids(&g, expected, count);
	qeff_generation_free(&g);

	options.on_token = hear;
	options.user = &heard;
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.end, QEFF_END_STOPPED);
	check_ids(&g, expected, 3);
	qeff_generation_free(&g);
	qeff_generator_close(generator);
	qeff_session_close(session);
	folder_remove(&model);
	reference_close(&r);
}

/* Prompts up to the last position; what does not fit or is no token is refused with a sentence. */
static void test_limits(void)
{
	struct qeff_session *session = open_package((struct qeff_compile_options){
		.model_dir = LLAMA, .output = "limits.qpc", .prefill_seq_len = 4, .ctx_len = 16 });
	struct qeff_generator *generator = open_generator(session);
	uint32_t ids[17] = { 0 }, unknown[] = { 3, 2048 };
	struct qeff_generate_options options = { .ignore_eos = true };
	struct qeff_prompt prompt = { ids, 16 };
	struct qeff_error err = { 0 };
	struct qeff_generation g;

	for (size_t i = 0; i < 17; i++)
		ids[i] = (uint32_t)(50 + i);
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.count, 1);
	CU_ASSERT_EQUAL(g.end, QEFF_END_CONTEXT);
	qeff_generation_free(&g);
	prompt.count = 10;
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.count, 7);
	CU_ASSERT_EQUAL(g.end, QEFF_END_CONTEXT);
	qeff_generation_free(&g);

	prompt.count = 17;
	CU_ASSERT_EQUAL(qeff_generate(generator, &prompt, 1, &options, &g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "17 tokens"));
	CU_ASSERT_PTR_NULL(g.ids);
	prompt.count = 0;
	CU_ASSERT_EQUAL(qeff_generate(generator, &prompt, 1, &options, &g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "empty"));
	prompt = (struct qeff_prompt){ unknown, 2 };
	CU_ASSERT_EQUAL(qeff_generate(generator, &prompt, 1, &options, &g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2048"));
	/* and it still works */
	prompt = (struct qeff_prompt){ ids, 3 };
	generate(generator, &prompt, 1, &options, &g);
	CU_ASSERT_EQUAL(g.count, 14);
	qeff_generation_free(&g);
	qeff_generator_close(generator);
	qeff_session_close(session);
}

static const struct unit_test tests[] = {
	{ "greedy", test_greedy },
	{ "batches", test_batch },
	{ "queues", test_queue },
	{ "guesses", test_guesses },
	{ "logits in halves", test_half_logits },
	{ "draws", test_draws },
	{ "ends", test_ends },
	{ "limits", test_limits },
};

int main(void)
{
	int ret;

	setenv("QEFF_SOFTCARDS", "ddr=1G", 1);
	folder = folder_new();
	ret = unit_main("generate", tests, sizeof(tests) / sizeof(tests[0]));
	folder_remove(&folder);
	return ret;
}
