/* SPDX-License-Identifier: MIT */
/* Text from a prompt, streamed as it comes, and embeddings of texts; how fast both were. */
#include "load.h"

#include <qeff/embed.h>
#include <qeff/generate.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts whose nearness to each other is printed at most. */
#define MAX_COSINES 16

/* ---- generation ---- */

/* What repeated runs add up to. */
struct totals {
	size_t runs;
	double prompt_tokens, decoded_tokens;
	double first_token_s, prefill_s, decode_s, total_s;
};

static bool print_token(void *user, size_t prompt, uint32_t id, const char *text, size_t text_bytes)
{
	const bool *quiet = user;

	if (!*quiet) {
		if (text)
			fwrite(text, 1, text_bytes, stdout);
		else
			printf("%u ", id);
		fflush(stdout);
	}
	return !interrupted;
}

/* Draws if told a temperature, or anything else that only makes sense for draws. */
static float temperature(const struct load_options *options)
{
	if (options->temperature >= 0)
		return options->temperature;
	return options->top_k || options->top_p > 0 || options->min_p > 0 || options->seed ? 1.0f
											   : 0.0f;
}

/* The number of adapter @lora, which is a name or a number. */
static int find_adapter(const struct qeff_generator *generator, const char *lora, uint32_t *adapter,
			struct qeff_error *err)
{
	size_t most = qeff_generator_limits(generator).adapters;
	unsigned long long value;
	int number;
	char *end;

	if (!lora)
		return 0;
	number = qeff_generator_adapter(generator, lora);
	value = number < 0 ? strtoull(lora, &end, 10) : (unsigned long long)number;
	if (number < 0 && (end == lora || *end || *lora == '-' || value > most))
		return fail(err, -EINVAL,
			    "--lora: the package has %zu adapters, and none \"%.64s\"", most, lora);
	*adapter = (uint32_t)value;
	return 0;
}

static int generate_once(struct qeff_generator *generator, const struct load_options *options,
			 bool quiet, struct qeff_generation *generation, struct qeff_error *err)
{
	uint32_t adapter = 0;
	const struct qeff_generate_options generate = {
		.adapters = &adapter,
		.max_new_tokens = options->max_new_tokens,
		.temperature = temperature(options),
		.top_k = options->top_k,
		.top_p = options->top_p,
		.min_p = options->min_p,
		.repetition_penalty = options->repeat_penalty,
		.presence_penalty = options->presence_penalty,
		.seed = options->seed,
		.ignore_eos = options->ignore_eos,
		.on_token = print_token,
		.user = &quiet,
	};
	struct qeff_prompt prompt = { .count = options->num_prompt_ids };
	uint32_t *ids;
	int ret = find_adapter(generator, options->lora, &adapter, err);

	if (ret)
		return ret;
	if (options->prompt)
		return qeff_generate_text(generator, options->prompt, &generate, generation, err);
	ids = calloc(prompt.count + 1, sizeof(*ids));
	if (!ids)
		return fail(err, -ENOMEM, "no memory for the prompt");
	for (size_t i = 0; i < prompt.count; i++)
		ids[i] = (uint32_t)options->prompt_ids[i];
	prompt.ids = ids;
	ret = qeff_generate(generator, &prompt, 1, &generate, generation, err);
	free(ids);
	return ret;
}

static void add_up(struct totals *totals, const struct qeff_generation *generation)
{
	totals->runs++;
	totals->prompt_tokens += (double)generation->prompt_tokens;
	totals->decoded_tokens += generation->count ? (double)(generation->count - 1) : 0;
	totals->first_token_s += generation->first_token_s;
	totals->prefill_s += generation->prefill_s;
	totals->decode_s += generation->decode_s;
	totals->total_s += generation->total_s;
}

static double rate(double count, double seconds)
{
	return seconds > 0 ? count / seconds : 0;
}

static void print_speed(const struct qeff_generation *generation, const struct totals *totals)
{
	double runs = (double)totals->runs;

	printf("\n\n%zu tokens in, %zu out%s\n", generation->prompt_tokens, generation->count,
	       generation->end == QEFF_END_CONTEXT   ? "; the context is full"
	       : generation->end == QEFF_END_STOPPED ? "; stopped"
						     : "");
	printf("time to first token  %.4f s\n", totals->first_token_s / runs);
	printf("prefill              %.1f tokens/s\n",
	       rate(totals->prompt_tokens, totals->prefill_s));
	printf("decode               %.1f tokens/s\n",
	       rate(totals->decoded_tokens, totals->decode_s));
	printf("total                %.4f s\n", totals->total_s / runs);
	if (totals->runs > 1)
		printf("(on average of %zu runs)\n", totals->runs);
}

static const char *end_name(enum qeff_generation_end end)
{
	static const char *const names[] = {
		[QEFF_END_EOS] = "eos",
		[QEFF_END_MAX_TOKENS] = "max_new_tokens",
		[QEFF_END_CONTEXT] = "context",
		[QEFF_END_STOPPED] = "stopped",
	};

	return names[end];
}

static void fill_json(json_t *json, const struct qeff_generation *generation,
		      const struct totals *totals)
{
	double runs = (double)totals->runs;
	json_t *ids = json_array();

	for (size_t i = 0; i < generation->count; i++)
		json_array_append_new(ids, json_integer(generation->ids[i]));
	json_object_set_new(json, "token_ids", ids);
	if (generation->text)
		json_object_set_new(json, "text",
				    json_stringn(generation->text, generation->text_bytes));
	json_object_set_new(json, "end", json_string(end_name(generation->end)));
	json_object_set_new(json, "prompt_tokens",
			    json_integer((json_int_t)generation->prompt_tokens));
	json_object_set_new(json, "runs", json_integer((json_int_t)totals->runs));
	json_object_set_new(json, "time_to_first_token_s", json_real(totals->first_token_s / runs));
	json_object_set_new(json, "prefill_tokens_per_s",
			    json_real(rate(totals->prompt_tokens, totals->prefill_s)));
	json_object_set_new(json, "decode_tokens_per_s",
			    json_real(rate(totals->decoded_tokens, totals->decode_s)));
	json_object_set_new(json, "total_s", json_real(totals->total_s / runs));
}

static int check_ids(const struct load_options *options, struct qeff_error *err)
{
	for (size_t i = 0; i < options->num_prompt_ids; i++)
		if (options->prompt_ids[i] < 0 || options->prompt_ids[i] > UINT32_MAX)
			return fail(err, -EINVAL, "--prompt-ids: %lld is no token id",
				    (long long)options->prompt_ids[i]);
	return 0;
}

int load_generate(struct qeff_session *session, const struct load_options *options, json_t *json,
		  struct qeff_error *err)
{
	struct qeff_generator *generator = NULL;
	struct qeff_generation generation = { .ids = NULL };
	struct totals totals = { .runs = 0 };
	int ret;

	ret = check_ids(options, err);
	if (!ret)
		ret = qeff_generator_open(session, &generator, err);
	for (uint32_t i = 0; i < options->runs && !ret && !interrupted; i++) {
		qeff_generation_free(&generation);
		generation = (struct qeff_generation){ .ids = NULL };
		ret = generate_once(generator, options, options->json || i, &generation, err);
		if (!ret)
			add_up(&totals, &generation);
	}
	if (!ret && totals.runs) {
		fill_json(json, &generation, &totals);
		if (!options->json)
			print_speed(&generation, &totals);
	}
	qeff_generation_free(&generation);
	qeff_generator_close(generator);
	return ret;
}

/* ---- embeddings ---- */

static void print_vectors(const struct qeff_embeddings *embeddings)
{
	for (size_t row = 0; row < embeddings->count; row++)
		for (size_t i = 0; i < embeddings->dimensions; i++)
			printf("%.7g%c", embeddings->data[row * embeddings->dimensions + i],
			       i + 1 < embeddings->dimensions ? ' ' : '\n');
}

static double cosine(const float *a, const float *b, size_t count)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < count; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* How near the texts are to each other: a row and a column for each. */
static void print_cosines(const struct qeff_embeddings *e, const char **texts)
{
	printf("\ncosines\n");
	for (size_t row = 0; row < e->count; row++) {
		for (size_t column = 0; column < e->count; column++)
			printf("%7.4f", cosine(e->data + row * e->dimensions,
					       e->data + column * e->dimensions, e->dimensions));
		printf("  %s\n", texts[row]);
	}
}

static json_t *vectors_json(const struct qeff_embeddings *embeddings)
{
	json_t *all = json_array();

	for (size_t row = 0; row < embeddings->count; row++) {
		json_t *vector = json_array();

		for (size_t i = 0; i < embeddings->dimensions; i++)
			json_array_append_new(
				vector,
				json_real(embeddings->data[row * embeddings->dimensions + i]));
		json_array_append_new(all, vector);
	}
	return all;
}

static void report_embeddings(const struct qeff_embeddings *embeddings, double seconds,
			      uint32_t runs, const struct load_options *options, json_t *json)
{
	json_object_set_new(json, "embeddings", vectors_json(embeddings));
	json_object_set_new(json, "tokens", json_integer((json_int_t)embeddings->tokens));
	json_object_set_new(json, "truncated", json_integer((json_int_t)embeddings->truncated));
	json_object_set_new(json, "runs", json_integer(runs));
	json_object_set_new(json, "tokens_per_s",
			    json_real(rate((double)embeddings->tokens * runs, seconds)));
	json_object_set_new(json, "total_s", json_real(seconds / runs));
	if (embeddings->truncated)
		fprintf(stderr,
			"qeff-load: %zu of %zu texts were longer than the package takes, and lost "
			"their end\n",
			embeddings->truncated, embeddings->count);
	if (options->json)
		return;
	print_vectors(embeddings);
	if (embeddings->count > 1 && embeddings->count <= MAX_COSINES)
		print_cosines(embeddings, options->texts);
	printf("\n%zu texts, %zu tokens, %zu dimensions\n", embeddings->count, embeddings->tokens,
	       embeddings->dimensions);
	printf("total      %.4f s, %.1f tokens/s\n", seconds / runs,
	       rate((double)embeddings->tokens * runs, seconds));
}

int load_embed(struct qeff_session *session, const struct load_options *options, json_t *json,
	       struct qeff_error *err)
{
	struct qeff_embedder *embedder = NULL;
	struct qeff_embeddings embeddings = { .data = NULL };
	double seconds = 0;
	uint32_t runs = 0;
	int ret;

	ret = qeff_embedder_open(session, &embedder, err);
	while (runs < options->runs && !ret && !interrupted) {
		double start = now_seconds();

		qeff_embeddings_free(&embeddings);
		embeddings = (struct qeff_embeddings){ .data = NULL };
		ret = qeff_embed(embedder, options->texts, options->num_texts, &embeddings, err);
		seconds += now_seconds() - start;
		runs++;
	}
	if (!ret && runs)
		report_embeddings(&embeddings, seconds, runs, options, json);
	qeff_embeddings_free(&embeddings);
	qeff_embedder_close(embedder);
	return ret;
}
