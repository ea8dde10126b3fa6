/* SPDX-License-Identifier: MIT */
/*
 * Generation: prompts in chunks, then a token a step for every prompt that has not ended. Each
 * prompt has a place in the batch; places that have nothing to do are dead.
 *
 * Where a step says which slot of the KV cache its sequences have (continuous batching), prompts
 * queue up: one goes in as soon as a place is free. Where a step gives logits for several tokens
 * (speculative decoding), tokens that may follow are looked up in the text so far, and those that
 * the model confirms are taken.
 */
#include <qeff/generate.h>

#include "text/sampling.h"
#include "text/settings.h"
#include "text/steps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct qeff_generator {
	struct qeff_session *session;
	struct qeff_tokenizer *tokenizer;
	struct qeff_settings settings;
	struct qeff_names adapters;
	struct qeff_steps steps;
	struct qeff_generator_limits limits;
	struct qeff_candidate *candidates;
	float *penalised; /* logits less penalties */
};

/* Guesses in a step, and the length of what must stand before them. */
#define MAX_GUESSES 15
#define MAX_PHRASE  3

/* One prompt at work. */
struct row {
	struct qeff_generation *out;
	struct qeff_token_stream *stream;
	struct qeff_prompt prompt;
	struct qeff_random random;
	uint32_t adapter;
	uint8_t *seen; /* tokens of the text, where penalties are the host's business */
	size_t done;   /* prompt tokens in the cache */
	size_t capacity;
	/* the last new token, not in the cache yet, and guesses at what follows it */
	uint32_t next[1 + MAX_GUESSES];
	bool ended;
};

struct run {
	struct qeff_generator *g;
	struct qeff_generate_options options;
	struct row *rows;
	size_t num_rows;
	struct row **places; /* by place in the batch: who has it */
	struct qeff_columns *columns;
	double start;
	bool stopped;
	struct qeff_error *err;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int qeff_generator_open(struct qeff_session *session, struct qeff_generator **generator,
			struct qeff_error *err)
{
	struct qeff_generator *g = calloc(1, sizeof(*g));
	int ret;

	*generator = NULL;
	if (!g)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	g->session = session;
	ret = qeff_steps_open(&g->steps, session, err);
	g->limits = (struct qeff_generator_limits){
		.batch_size = g->steps.batch,
		.prefill_tokens = g->steps.tokens,
		.context_tokens = g->steps.context,
		.queues = g->steps.by_slot,
	};
	if (!ret)
		ret = qeff_settings_read(qeff_session_qpc(session), &g->settings, err);
	if (!ret && g->steps.by_adapter)
		ret = qeff_settings_adapters(qeff_session_qpc(session), &g->adapters, err);
	g->limits.adapters = g->adapters.count;
	g->limits.vocabulary = g->steps.candidates ? g->settings.vocabulary : g->steps.vocabulary;
	if (!ret)
		ret = qeff_settings_tokenizer(qeff_session_qpc(session), &g->tokenizer, err);
	if (!ret) {
		g->candidates = calloc(g->limits.vocabulary + 1u, sizeof(*g->candidates));
		g->penalised = calloc(g->limits.vocabulary + 1u, sizeof(*g->penalised));
		if (!g->candidates || !g->penalised)
			ret = qeff_error_set(err, -ENOMEM, "out of memory");
	}
	if (ret)
		qeff_generator_close(g);
	else
		*generator = g;
	return ret;
}

void qeff_generator_close(struct qeff_generator *g)
{
	if (!g)
		return;
	qeff_tokenizer_close(g->tokenizer);
	qeff_steps_close(&g->steps);
	qeff_names_free(&g->adapters);
	free(g->candidates);
	free(g->penalised);
	free(g);
}

const struct qeff_tokenizer *qeff_generator_tokenizer(const struct qeff_generator *g)
{
	return g->tokenizer;
}

struct qeff_generator_limits qeff_generator_limits(const struct qeff_generator *g)
{
	return g->limits;
}

int qeff_generator_adapter(const struct qeff_generator *g, const char *name)
{
	if (!strcmp(name, "base"))
		return 0;
	for (size_t i = 0; i < g->adapters.count; i++)
		if (!strcmp(g->adapters.names[i], name))
			return (int)i + 1;
	return -1;
}

void qeff_generation_free(struct qeff_generation *generation)
{
	free(generation->ids);
	free(generation->text);
	*generation = (struct qeff_generation){ 0 };
}

/* Appends text that became complete, and tells the caller of the new token, if there is one. */
static int tell(struct run *r, struct row *row, const uint32_t *id, const char *text,
		size_t text_bytes)
{
	struct qeff_generation *out = row->out;
	char *longer;

	if (row->stream) {
		longer = realloc(out->text, out->text_bytes + text_bytes + 1);
		if (!longer)
			return qeff_error_set(r->err, -ENOMEM, "out of memory");
		memcpy(longer + out->text_bytes, text, text_bytes);
		out->text = longer;
		out->text_bytes += text_bytes;
		out->text[out->text_bytes] = '\0';
	}
	if (id && r->options.on_token &&
	    !r->options.on_token(r->options.user, (size_t)(row - r->rows), *id, text, text_bytes))
		r->stopped = true;
	return 0;
}

static bool ends_text(const struct qeff_generator *g, uint32_t id)
{
	for (size_t i = 0; i < g->settings.num_eos; i++)
		if (g->settings.eos_ids[i] == id)
			return true;
	return false;
}

/* Tokens are below this. */
static uint32_t entries(const struct qeff_generator *g)
{
	uint32_t most = g->settings.vocabulary ? g->settings.vocabulary : g->limits.vocabulary;

	return most ? most : UINT32_MAX;
}

/* The row's next token from its @logits. */
static uint32_t choose(struct run *r, struct row *row, const float *logits)
{
	struct qeff_generator *g = r->g;
	const struct qeff_draw *draw = &g->steps.draw;
	uint32_t count = g->limits.vocabulary, id;

	if (row->seen) {
		qeff_penalise(g->penalised, logits, row->seen, count, draw);
		logits = g->penalised;
	}
	id = draw->temperature > 0 ? qeff_sample(logits, count, g->candidates, draw, &row->random)
				   : qeff_sample_greedy(logits, count);
	if (row->seen)
		row->seen[id] |= QEFF_SEEN_TEXT | QEFF_SEEN_OUTPUT;
	return id;
}

/* Takes the row's next token, the card's or one from its logits, and sees whether the row has
 * ended. */
static int take_token(struct run *r, struct row *row, const struct qeff_logits *from,
		      size_t sequence, size_t column)
{
	const float *logits = qeff_logits_at(from, sequence, column);
	struct qeff_generator *g = r->g;
	const struct qeff_generate_options *o = &r->options;
	struct qeff_generation *out = row->out;
	const char *text = NULL;
	size_t text_bytes = 0;
	uint32_t id;
	int ret;

	if (out->count == row->capacity) {
		size_t capacity = row->capacity ? 2 * row->capacity : 64;
		uint32_t *ids = reallocarray(out->ids, capacity, sizeof(*ids));

		if (!ids)
			return qeff_error_set(r->err, -ENOMEM, "out of memory");
		out->ids = ids;
		row->capacity = capacity;
	}
	if (!logits && (uint64_t)from->tokens[sequence] >= entries(g))
		return qeff_error_set(r->err, -EINVAL, "the card chose token %lld of %u",
				      (long long)from->tokens[sequence], entries(g));
	id = logits ? choose(r, row, logits) : (uint32_t)from->tokens[sequence];
	out->ids[out->count++] = row->next[0] = id;
	if (out->count == 1)
		out->first_token_s = now() - r->start;

	if (row->stream) {
		ret = qeff_token_stream_push(row->stream, id, &text, &text_bytes, r->err);
		if (ret)
			return ret;
	}
	ret = tell(r, row, &id, text, text_bytes);
	if (ret)
		return ret;
	row->ended = true;
	if (!o->ignore_eos && ends_text(g, id))
		out->end = QEFF_END_EOS;
	else if (o->max_new_tokens && out->count >= o->max_new_tokens)
		out->end = QEFF_END_MAX_TOKENS;
	else if (row->prompt.count + out->count > g->limits.context_tokens)
		out->end = QEFF_END_CONTEXT; /* the new token has no position left */
	else
		row->ended = false;
	return 0;
}

/* What @row puts into the next prefill step. */
static struct qeff_columns next_chunk(const struct run *r, struct row *row)
{
	size_t left = row->prompt.count - row->done, most = r->g->limits.prefill_tokens;

	return (struct qeff_columns){ .ids = row->prompt.ids + row->done,
				      .count = left < most ? left : most,
				      .position = row->done,
				      .adapter = row->adapter,
				      .random = &row->random };
}

/* Puts the prompts of places [@first, @first + @count) into the cache, chunk by chunk; each gets
 * its first new token from its last chunk. */
static int prefill(struct run *r, uint32_t first, uint32_t count)
{
	const uint32_t batch = r->g->steps.prefill_batch;
	struct qeff_logits logits = { 0 };
	bool more = true;

	while (more && !r->stopped) {
		bool last = false; /* of some prompt: its logits are wanted */
		int ret;

		for (uint32_t i = 0; i < batch; i++) {
			struct row *row = i < count ? r->places[first + i] : NULL;

			r->columns[i] = row ? next_chunk(r, row) : (struct qeff_columns){ 0 };
			/* a dead sequence names a slot too, but writes nothing there */
			r->columns[i].slot = i < count ? first + i : 0;
			last |= row && r->columns[i].count &&
				row->done + r->columns[i].count == row->prompt.count;
		}
		ret = qeff_steps_run(&r->g->steps, batch, r->columns, false, last ? &logits : NULL,
				     r->err);
		if (ret)
			return ret;
		more = false;
		for (uint32_t i = 0; i < count; i++) {
			struct row *row = r->places[first + i];

			if (!row || !r->columns[i].count)
				continue;
			row->done += r->columns[i].count;
			if (row->done < row->prompt.count) {
				more = true;
				continue;
			}
			row->out->prefill_s = now() - r->start;
			ret = take_token(r, row, &logits, i, r->columns[i].count - 1);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Token @i of prompt and continuation. */
static uint32_t token_at(const struct row *row, size_t i)
{
	return i < row->prompt.count ? row->prompt.ids[i] : row->out->ids[i - row->prompt.count];
}

/* Guesses what follows the text: what followed the last place where its last few words stood
 * before. Returns how many tokens stand in row->next, the known one included. */
static size_t guess(const struct run *r, struct row *row)
{
	size_t length = row->prompt.count + row->out->count, count = 1;
	size_t most = r->g->steps.decode_tokens, room = r->g->limits.context_tokens - (length - 1);

	most = most > 1 + MAX_GUESSES ? 1 + MAX_GUESSES : most;
	most = most > room ? room : most;
	for (size_t phrase = MAX_PHRASE; phrase && most > 1; phrase--) {
		for (size_t end = length - 1; end >= phrase; end--) {
			size_t same = 0;

			while (same < phrase &&
			       token_at(row, end - 1 - same) == token_at(row, length - 1 - same))
				same++;
			if (same < phrase)
				continue;
			while (count < most && end < length)
				row->next[count++] = token_at(row, end++);
			return count;
		}
	}
	return count;
}

/* A step for all places: each gets a token, and one more for each guess that it confirms. */
static int decode(struct run *r)
{
	const uint32_t batch = r->g->steps.batch;
	struct qeff_logits logits = { 0 };
	double from = now();
	int ret;

	for (uint32_t i = 0; i < batch; i++) {
		struct row *row = r->places[i];

		r->columns[i] = (struct qeff_columns){ .slot = i };
		if (!row || row->ended)
			continue;
		r->columns[i].ids = row->next;
		r->columns[i].count = guess(r, row);
		r->columns[i].position = row->prompt.count + row->out->count - 1;
		r->columns[i].adapter = row->adapter;
		r->columns[i].random = &row->random;
		r->columns[i].output = true;
	}
	ret = qeff_steps_run(&r->g->steps, batch, r->columns, true, &logits, r->err);
	for (uint32_t i = 0; !ret && i < batch; i++) {
		struct row *row = r->places[i];
		uint32_t guesses[1 + MAX_GUESSES];

		if (!r->columns[i].count)
			continue;
		memcpy(guesses, row->next, sizeof(guesses));
		for (size_t c = 0; !ret && c < r->columns[i].count && !row->ended; c++) {
			if (c && (r->stopped || guesses[c] != row->next[0]))
				break;
			ret = take_token(r, row, &logits, i, c);
		}
		row->out->decode_s += now() - from;
	}
	return ret;
}

static bool any_alive(const struct run *r)
{
	for (uint32_t i = 0; i < r->g->steps.batch; i++)
		if (r->places[i] && !r->places[i]->ended)
			return true;
	return false;
}

/* All prompts side by side from beginning to end. */
static int run_batch(struct run *r)
{
	int ret;

	for (size_t i = 0; i < r->num_rows; i++)
		r->places[i] = &r->rows[i];
	ret = prefill(r, 0, r->g->steps.batch);
	while (!ret && !r->stopped && any_alive(r))
		ret = decode(r);
	return ret;
}

/* Each prompt in the first place that is free, while the others go on. */
static int run_queue(struct run *r)
{
	size_t next = 0;
	int ret = 0;

	while (!ret && !r->stopped) {
		for (uint32_t i = 0; !ret && !r->stopped && i < r->g->steps.batch; i++) {
			while (!ret && !r->stopped && next < r->num_rows &&
			       (!r->places[i] || r->places[i]->ended)) {
				r->places[i] = &r->rows[next++];
				ret = prefill(r, i, 1);
			}
		}
		if (ret || r->stopped || !any_alive(r))
			break;
		ret = decode(r);
	}
	return ret;
}

static int check_prompt(struct run *r, size_t index)
{
	const struct qeff_prompt *p = &r->rows[index].prompt;
	const struct qeff_generator_limits *limits = &r->g->limits;

	if (!p->count)
		return qeff_error_set(r->err, -EINVAL,
				      "prompt %zu is empty: a model needs a token to go on from",
				      index);
	if (p->count > limits->context_tokens)
		return qeff_error_set(
			r->err, -EINVAL,
			"prompt %zu has %zu tokens, the package was compiled for a context of %u",
			index, p->count, limits->context_tokens);
	if (r->rows[index].adapter > limits->adapters)
		return qeff_error_set(r->err, -EINVAL,
				      "prompt %zu has adapter %u, the package has %zu", index,
				      r->rows[index].adapter, limits->adapters);
	for (size_t i = 0; i < p->count; i++)
		if (p->ids[i] >= entries(r->g))
			return qeff_error_set(
				r->err, -EINVAL,
				"token %zu of prompt %zu is %u, the vocabulary has %u entries", i,
				index, p->ids[i], entries(r->g));
	return 0;
}

static int start_row(struct run *r, size_t index, const struct qeff_prompt *prompt,
		     struct qeff_generation *out)
{
	struct row *row = &r->rows[index];
	int ret;

	*out = (struct qeff_generation){ .prompt_tokens = prompt->count, .end = QEFF_END_STOPPED };
	row->out = out;
	row->prompt = *prompt;
	/* rows draw apart, and a prompt alone draws as row 0 */
	qeff_random_seed(&row->random, r->options.seed + index);
	row->adapter = r->options.adapters ? r->options.adapters[index] : 0;
	ret = check_prompt(r, index);
	if (!ret && !r->g->steps.candidates && qeff_draw_penalises(&r->g->steps.draw)) {
		row->seen = calloc(r->g->limits.vocabulary, 1);
		if (!row->seen)
			return qeff_error_set(r->err, -ENOMEM, "out of memory");
		for (size_t i = 0; i < prompt->count; i++)
			if (prompt->ids[i] < r->g->limits.vocabulary)
				row->seen[prompt->ids[i]] = QEFF_SEEN_TEXT;
	}
	if (!ret && r->g->tokenizer)
		ret = qeff_token_stream_new(r->g->tokenizer, true, &row->stream, r->err);
	return ret;
}

static int finish_row(struct run *r, struct row *row)
{
	const char *text;
	size_t text_bytes;
	int ret = 0;

	if (row->stream) {
		ret = qeff_token_stream_finish(row->stream, &text, &text_bytes, r->err);
		if (!ret)
			ret = tell(r, row, NULL, text, text_bytes);
	}
	row->out->total_s = now() - r->start;
	return ret;
}

/* How tokens are chosen, unless the package cannot. */
static int settle_draw(struct qeff_generator *g, const struct qeff_generate_options *o,
		       struct qeff_error *err)
{
	struct qeff_draw *draw = &g->steps.draw;

	*draw = (struct qeff_draw){
		.temperature = o->temperature,
		.top_p = o->top_p,
		.min_p = o->min_p,
		.top_k = o->top_k,
		.repetition = o->repetition_penalty == 0 ? 1 : o->repetition_penalty,
		.presence = o->presence_penalty,
	};
	if (!(draw->repetition > 0) || !isfinite(draw->repetition) || !isfinite(draw->presence))
		return qeff_error_set(err, -EINVAL,
				      "a repetition penalty is a number above 0, a presence "
				      "penalty any number");
	if (draw->temperature > 0 && g->steps.candidates == 1)
		return qeff_error_set(err, -EINVAL,
				      "%s takes the likeliest token on the card and cannot draw",
				      qeff_qpc_path(qeff_session_qpc(g->session)));
	if (qeff_draw_penalises(draw) && g->steps.candidates && !g->steps.penalises)
		return qeff_error_set(err, -EINVAL,
				      "%s chooses tokens on the card, without penalties",
				      qeff_qpc_path(qeff_session_qpc(g->session)));
	return 0;
}

int qeff_generate(struct qeff_generator *g, const struct qeff_prompt *prompts, size_t num_prompts,
		  const struct qeff_generate_options *options, struct qeff_generation *generations,
		  struct qeff_error *err)
{
	struct run r = { .g = g, .num_rows = num_prompts, .start = now(), .err = err };
	size_t started = 0;
	int ret = 0;

	memset(generations, 0, num_prompts * sizeof(*generations));
	if (!num_prompts || (!g->limits.queues && num_prompts > g->limits.batch_size))
		return qeff_error_set(err, -EINVAL,
				      "%zu prompts, the package was compiled for batches of %u",
				      num_prompts, g->limits.batch_size);
	if (options)
		r.options = *options;
	ret = settle_draw(g, &r.options, err);
	if (ret)
		return ret;
	r.rows = calloc(num_prompts, sizeof(*r.rows));
	r.places = calloc(g->limits.batch_size, sizeof(struct row *));
	r.columns = calloc(g->limits.batch_size, sizeof(*r.columns));
	if (!r.rows || !r.places || !r.columns)
		ret = qeff_error_set(err, -ENOMEM, "out of memory");
	while (!ret && started < num_prompts) {
		ret = start_row(&r, started, &prompts[started], &generations[started]);
		started++;
	}
	if (!ret)
		ret = g->limits.queues ? run_queue(&r) : run_batch(&r);
	for (size_t i = 0; i < started; i++) {
		if (!ret)
			ret = finish_row(&r, &r.rows[i]);
		qeff_token_stream_free(r.rows[i].stream);
		free(r.rows[i].seen);
	}
	for (size_t i = 0; ret && i < num_prompts; i++)
		qeff_generation_free(&generations[i]);
	free(r.rows);
	free(r.places);
	free(r.columns);
	return ret;
}

int qeff_generate_text(struct qeff_generator *g, const char *text,
		       const struct qeff_generate_options *options,
		       struct qeff_generation *generation, struct qeff_error *err)
{
	struct qeff_tokens tokens;
	struct qeff_prompt prompt;
	int ret;

	*generation = (struct qeff_generation){ 0 };
	if (!g->tokenizer)
		return qeff_error_set(err, -EINVAL,
				      "%s carries no tokenizer: it takes token ids, not text",
				      qeff_qpc_path(qeff_session_qpc(g->session)));
	ret = qeff_tokenizer_encode(g->tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL, 0,
				    &tokens, err);
	if (ret)
		return ret;
	prompt = (struct qeff_prompt){ tokens.ids, tokens.count };
	ret = qeff_generate(g, &prompt, 1, options, generation, err);
	qeff_tokens_free(&tokens);
	return ret;
}
