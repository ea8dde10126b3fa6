/* SPDX-License-Identifier: MIT */
/*
 * Generation: which specialisations a package has, prompts in chunks, then one token a step for
 * every prompt that has not ended. Each prompt is a row of the batch, with its own positions; rows
 * that have nothing to do are dead (-1).
 */
#include <qeff/generate.h>

#include "text/sampling.h"
#include "text/settings.h"
#include "text/tensors.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct qeff_generator {
	struct qeff_session *session;
	struct qeff_tokenizer *tokenizer;
	struct qeff_settings settings;
	struct qeff_generator_limits limits;
	uint32_t decode_tokens; /* columns of the specialisation that decodes */
	struct qeff_candidate *candidates;
};

/* One prompt at work. */
struct row {
	struct qeff_generation *out;
	struct qeff_token_stream *stream;
	struct qeff_prompt prompt;
	struct qeff_random random;
	size_t done; /* prompt tokens in the cache */
	size_t capacity;
	uint32_t next; /* the last new token, not in the cache yet */
	bool ended;
};

struct run {
	struct qeff_generator *g;
	struct qeff_generate_options options;
	struct row *rows;
	size_t num_rows;
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

static int lacks(struct qeff_generator *g, const char *what, struct qeff_error *err)
{
	return qeff_error_set(err, -EINVAL, "%s does not generate text: it has no %s",
			      qeff_qpc_path(qeff_session_qpc(g->session)), what);
}

/* Longest and shortest token input, the KV cache's length, the width of the logits. */
static int find_limits(struct qeff_generator *g, struct qeff_error *err)
{
	const struct qeff_network *n = qeff_session_network(g->session);
	int ids = qeff_session_find_input(g->session, "input_ids");
	int positions = qeff_session_find_input(g->session, "position_ids");
	int past = qeff_session_find_input(g->session, "past_key.0");
	int logits = qeff_session_find_output(g->session, "logits");
	const struct qeff_shape *shape;

	if (ids < 0)
		return lacks(g, "input \"input_ids\"", err);
	if (logits < 0)
		return lacks(g, "output \"logits\"", err);
	if (positions < 0 || past < 0)
		return lacks(g, "KV cache (inputs \"position_ids\" and \"past_key.0\")", err);
	shape = &n->bindings[past].shape;
	if (shape->num_dims != 4 || shape->dims[2] < 1)
		return lacks(g, "KV cache of four dimensions", err);
	g->limits.context_tokens = (uint32_t)shape->dims[2];
	shape = &n->bindings[logits].shape;
	if (shape->num_dims != 3 || shape->type != QEFF_TYPE_F32 || shape->dims[1] != 1 ||
	    shape->dims[2] < 1)
		return lacks(g, "float32 \"logits\" of shape [batch, 1, vocabulary]", err);
	g->limits.batch_size = (uint32_t)shape->dims[0];
	g->limits.vocabulary = (uint32_t)shape->dims[2];
	for (uint32_t i = 0; i < n->num_specialisations; i++) {
		const struct qeff_shape *s = qeff_network_shape(n, i, (uint32_t)ids);

		if (s->num_dims != 2 || s->type != QEFF_TYPE_I64 || s->dims[1] < 1 ||
		    (uint32_t)s->dims[0] != g->limits.batch_size)
			return lacks(g, "int64 \"input_ids\" of shape [batch, tokens]", err);
		if ((uint32_t)s->dims[1] > g->limits.prefill_tokens)
			g->limits.prefill_tokens = (uint32_t)s->dims[1];
		if (!g->decode_tokens || (uint32_t)s->dims[1] < g->decode_tokens)
			g->decode_tokens = (uint32_t)s->dims[1];
	}
	return 0;
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
	ret = find_limits(g, err);
	if (!ret)
		ret = qeff_settings_read(qeff_session_qpc(session), &g->settings, err);
	if (!ret)
		ret = qeff_settings_tokenizer(qeff_session_qpc(session), &g->tokenizer, err);
	if (!ret) {
		g->candidates = calloc(g->limits.vocabulary, sizeof(*g->candidates));
		if (!g->candidates)
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
	free(g->candidates);
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

/* Takes the row's next token from its logits, and sees whether the row has ended. */
static int take_token(struct run *r, struct row *row, const float *logits)
{
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
	id = o->temperature > 0 ? qeff_sample(logits, g->limits.vocabulary, g->candidates,
					      o->temperature, o->top_k, o->top_p, &row->random)
				: qeff_sample_greedy(logits, g->limits.vocabulary);
	out->ids[out->count++] = row->next = id;
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

/*
 * One inference. @columns says for a row how many tokens it puts in and what they are and where; 0
 * is a dead row.
 */
struct columns {
	const uint32_t *ids;
	size_t count;
	size_t position;
};

static int infer(struct run *r, uint32_t tokens, const struct columns *columns,
		 const float **logits)
{
	struct qeff_session *s = r->g->session;
	const uint32_t batch = r->g->limits.batch_size;
	int64_t *ids, *positions;
	int ret = qeff_input_ids(s, "input_ids", batch, tokens, &ids, r->err);

	if (!ret)
		ret = qeff_input_ids(s, "position_ids", batch, tokens, &positions, r->err);
	if (ret)
		return ret;
	for (size_t row = 0, at = 0; row < batch; row++) {
		size_t count = row < r->num_rows ? columns[row].count : 0;

		for (size_t i = 0; i < tokens; i++, at++) {
			ids[at] = i < count ? columns[row].ids[i] : 0;
			positions[at] = i < count ? (int64_t)(columns[row].position + i) : -1;
		}
	}
	ret = qeff_session_run(s, r->err);
	if (!ret)
		ret = qeff_output_floats(s, "logits", (size_t)batch * r->g->limits.vocabulary,
					 logits, r->err);
	return ret;
}

/* Puts the prompts into the cache, chunk by chunk; each gets its first new token from its last
 * chunk. */
static int prefill(struct run *r, struct columns *columns)
{
	const float *logits;
	bool more = true;

	for (uint32_t tokens = r->g->limits.prefill_tokens; more && !r->stopped;) {
		int ret;

		for (size_t i = 0; i < r->num_rows; i++) {
			struct row *row = &r->rows[i];
			size_t left = row->prompt.count - row->done;

			columns[i] = (struct columns){ row->prompt.ids + row->done,
						       left < tokens ? left : tokens, row->done };
		}
		ret = infer(r, tokens, columns, &logits);
		if (ret)
			return ret;
		more = false;
		for (size_t i = 0; i < r->num_rows; i++) {
			struct row *row = &r->rows[i];

			row->done += columns[i].count;
			if (row->done < row->prompt.count) {
				more = true;
			} else if (columns[i].count) {
				row->out->prefill_s = now() - r->start;
				ret = take_token(r, row, logits + i * r->g->limits.vocabulary);
				if (ret)
					return ret;
			}
		}
	}
	return 0;
}

static int decode(struct run *r, struct columns *columns)
{
	const float *logits;
	double from = now();

	for (;;) {
		bool alive = false;
		int ret;

		for (size_t i = 0; i < r->num_rows; i++) {
			struct row *row = &r->rows[i];
			size_t cached = row->prompt.count + row->out->count - 1;

			columns[i] = (struct columns){ &row->next, row->ended ? 0 : 1, cached };
			alive |= !row->ended;
		}
		if (!alive || r->stopped)
			return 0;
		ret = infer(r, r->g->decode_tokens, columns, &logits);
		for (size_t i = 0; !ret && i < r->num_rows; i++) {
			if (!columns[i].count)
				continue;
			ret = take_token(r, &r->rows[i], logits + i * r->g->limits.vocabulary);
			r->rows[i].out->decode_s = now() - from;
		}
		if (ret)
			return ret;
	}
}

static int check_prompt(struct run *r, size_t index)
{
	const struct qeff_prompt *p = &r->rows[index].prompt;
	const struct qeff_generator_limits *limits = &r->g->limits;
	uint32_t entries =
		r->g->settings.vocabulary ? r->g->settings.vocabulary : limits->vocabulary;

	if (!p->count)
		return qeff_error_set(r->err, -EINVAL,
				      "prompt %zu is empty: a model needs a token to go on from",
				      index);
	if (p->count > limits->context_tokens)
		return qeff_error_set(
			r->err, -EINVAL,
			"prompt %zu has %zu tokens, the package was compiled for a context of %u",
			index, p->count, limits->context_tokens);
	for (size_t i = 0; i < p->count; i++)
		if (p->ids[i] >= entries)
			return qeff_error_set(
				r->err, -EINVAL,
				"token %zu of prompt %zu is %u, the vocabulary has %u entries", i,
				index, p->ids[i], entries);
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
	ret = check_prompt(r, index);
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

int qeff_generate(struct qeff_generator *g, const struct qeff_prompt *prompts, size_t num_prompts,
		  const struct qeff_generate_options *options, struct qeff_generation *generations,
		  struct qeff_error *err)
{
	struct run r = { .g = g, .num_rows = num_prompts, .start = now(), .err = err };
	struct columns *columns;
	size_t started = 0;
	int ret = 0;

	memset(generations, 0, num_prompts * sizeof(*generations));
	if (!num_prompts || num_prompts > g->limits.batch_size)
		return qeff_error_set(err, -EINVAL,
				      "%zu prompts, the package was compiled for batches of %u",
				      num_prompts, g->limits.batch_size);
	if (options)
		r.options = *options;
	r.rows = calloc(num_prompts, sizeof(*r.rows));
	columns = calloc(num_prompts, sizeof(*columns));
	if (!r.rows || !columns)
		ret = qeff_error_set(err, -ENOMEM, "out of memory");
	while (!ret && started < num_prompts) {
		ret = start_row(&r, started, &prompts[started], &generations[started]);
		started++;
	}
	if (!ret)
		ret = prefill(&r, columns);
	if (!ret)
		ret = decode(&r, columns);
	for (size_t i = 0; i < started; i++) {
		if (!ret)
			ret = finish_row(&r, &r.rows[i]);
		qeff_token_stream_free(r.rows[i].stream);
	}
	for (size_t i = 0; ret && i < num_prompts; i++)
		qeff_generation_free(&generations[i]);
	free(r.rows);
	free(columns);
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
