/* SPDX-License-Identifier: MIT */
/*
 * Text generation: prompts through a package with a KV cache, token by token.
 *
 *   qeff_generator_open(session, &generator, &err);
 *   struct qeff_generate_options options = { .max_new_tokens = 64 };
 *   qeff_generate_text(generator, "Once upon a time", &options, &result, &err);
 *   puts(result.text);
 *   qeff_generation_free(&result);
 *
 * A prompt is run in chunks of the package's prefill length (a dead position is -1), then the
 * package's one-token specialisation decodes against keys and values that stay on the card. Up to
 * batch size prompts run side by side. With continuous batching any number may be given: they queue
 * for the places. With speculative decoding the tokens are the same, several in a step where the
 * text repeats itself.
 */
#ifndef QEFF_GENERATE_H
#define QEFF_GENERATE_H

#include <qeff/api.h>
#include <qeff/error.h>
#include <qeff/session.h>
#include <qeff/tokenizer.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_generator;

/**
 * qeff_generator_open - prepare a session for generation
 * @session: a session on a package with a KV cache; borrowed, and used by the generator alone from
 * now on
 * @generator: receives the generator; close it before the session
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL if the package does not generate text (the sentence says what it lacks);
 * -ENOMEM; or what qeff_tokenizer_open_memory() returns for the package's tokenizer.
 */
QEFF_API int qeff_generator_open(struct qeff_session *session, struct qeff_generator **generator,
				 struct qeff_error *err);
/* NULL is fine. */
QEFF_API void qeff_generator_close(struct qeff_generator *generator);

/* The package's tokenizer, or NULL if it carries none; lives as long as the generator. */
QEFF_API const struct qeff_tokenizer *
qeff_generator_tokenizer(const struct qeff_generator *generator);

/**
 * struct qeff_generator_limits - what the package was compiled for
 * @batch_size: prompts side by side
 * @prefill_tokens: tokens of a prompt that one inference takes
 * @context_tokens: positions of the KV cache: prompt and new tokens together
 * @vocabulary: entries of a row of logits
 * @queues: more prompts than that queue up (continuous batching)
 * @adapters: LoRA adapters that a prompt can have; 0 if it has no choice
 */
struct qeff_generator_limits {
	uint32_t batch_size;
	uint32_t prefill_tokens;
	uint32_t context_tokens;
	uint32_t vocabulary;
	bool queues;
	size_t adapters;
};
QEFF_API struct qeff_generator_limits qeff_generator_limits(const struct qeff_generator *generator);

/* Number of the LoRA adapter called @name, from 1; 0 for "base", the model alone; -1 if there is
 * none. */
QEFF_API int qeff_generator_adapter(const struct qeff_generator *generator, const char *name);

/**
 * struct qeff_generate_options - how to continue a prompt; all zero is: greedy, until the model
 *stops or the context is full
 * @max_new_tokens: 0 for no limit of its own
 * @temperature: 0: the likeliest token (the lowest id among equals); else logits are divided by it
 *and a token is drawn
 * @top_k: draw among the @top_k likeliest; 0 for all
 * @top_p: draw among the likeliest that together have at least this probability; 0 or 1 for all
 * @min_p: not among those less likely than @min_p times the likeliest; 0 for all
 * @repetition_penalty: logits of tokens that prompt or continuation have already are divided by it
 *if above 0, else multiplied by it; 0 and 1 for none
 * @presence_penalty: is taken off the logits of tokens that the continuation has already
 * @seed: of the draws; the same seed gives the same tokens on every machine whose logits are the
 *same
 * @ignore_eos: go on after the tokens that end a text
 * @adapters: number of each prompt's LoRA adapter, 0 for the model alone; or NULL: 0 for all
 * @on_token: called for every new token, or NULL: @prompt is the number of the prompt, @text the
 *characters that are complete by now (maybe none; NULL without a tokenizer). Returns false to stop
 *everything
 * @user: handed to @on_token
 *
 * Order: penalties, temperature, top-k, top-p, min-p. A package whose card chooses tokens draws
 * there, among as many candidates as it was compiled for; the same seed gives other tokens than on
 * the host.
 */
struct qeff_generate_options {
	uint32_t max_new_tokens;
	float temperature;
	uint32_t top_k;
	float top_p;
	float min_p;
	float repetition_penalty;
	float presence_penalty;
	uint64_t seed;
	bool ignore_eos;
	const uint32_t *adapters;
	bool (*on_token)(void *user, size_t prompt, uint32_t id, const char *text,
			 size_t text_bytes);
	void *user;
};

/* Why a text ended. */
enum qeff_generation_end {
	QEFF_END_EOS = 0,    /* the model's end token, which is the last of the ids */
	QEFF_END_MAX_TOKENS, /* max_new_tokens */
	QEFF_END_CONTEXT,    /* the KV cache is full */
	QEFF_END_STOPPED,    /* on_token said so */
};

/**
 * struct qeff_generation - a continuation
 * @ids: the new tokens; @count of them
 * @text: the same as text without special tokens, NUL terminated; NULL without a tokenizer
 * @text_bytes: its length
 * @prompt_tokens: tokens of the prompt
 * @end: why it ended
 * @first_token_s: seconds from the call to the first new token
 * @prefill_s: seconds spent on the prompts of this call
 * @decode_s: seconds spent on the tokens after the first
 * @total_s: seconds of the call
 */
struct qeff_generation {
	uint32_t *ids;
	size_t count;
	char *text;
	size_t text_bytes;
	size_t prompt_tokens;
	enum qeff_generation_end end;
	double first_token_s;
	double prefill_s;
	double decode_s;
	double total_s;
};

QEFF_API void qeff_generation_free(struct qeff_generation *generation);

/* A prompt as token ids; borrowed during the call. */
struct qeff_prompt {
	const uint32_t *ids;
	size_t count;
};

/**
 * qeff_generate - continue prompts
 * @generator: one thread at a time
 * @prompts: @num_prompts of them, at most the batch size unless they queue, none empty
 * @num_prompts: how many
 * @options: or NULL for the defaults
 * @generations: receives @num_prompts continuations; free each with qeff_generation_free()
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL for an empty prompt, one longer than the context, or an id outside the
 * vocabulary; -ENOMEM; or what qeff_session_run() returns. On failure @generations is empty.
 */
QEFF_API int qeff_generate(struct qeff_generator *generator, const struct qeff_prompt *prompts,
			   size_t num_prompts, const struct qeff_generate_options *options,
			   struct qeff_generation *generations, struct qeff_error *err);

/* The same for one text, with the tokens that the tokenizer's post-processor adds. */
QEFF_API int qeff_generate_text(struct qeff_generator *generator, const char *text,
				const struct qeff_generate_options *options,
				struct qeff_generation *generation, struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
