/* SPDX-License-Identifier: MIT */
/* Embeddings: batches of texts through an encoder, in the smallest specialisation that holds them.
 */
#include <qeff/embed.h>

#include "text/settings.h"
#include "text/tensors.h"
#include "text/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct qeff_embedder {
	struct qeff_session *session;
	struct qeff_tokenizer *tokenizer;
	struct qeff_settings settings;
	const char *output; /* "sentence_embedding", or "last_hidden_state" to be pooled here */
	bool pooled;
	bool has_types;
	uint32_t batch_size;
	uint32_t max_tokens;
	size_t dimensions;
};

static int unfit(struct qeff_embedder *e, const char *why, struct qeff_error *err)
{
	return qeff_error_set(err, -EINVAL, "%s does not embed text: %s",
			      qeff_qpc_path(qeff_session_qpc(e->session)), why);
}

/* @output: has a row for each text, if it is there. */
static int find_shapes(struct qeff_embedder *e, const char *output, struct qeff_error *err)
{
	const struct qeff_network *n = qeff_session_network(e->session);
	int ids = qeff_session_find_input(e->session, "input_ids");
	int out = qeff_session_find_output(e->session, output);
	const struct qeff_shape *shape;

	if (ids < 0 || qeff_session_find_input(e->session, "attention_mask") < 0)
		return unfit(e, "it has no inputs \"input_ids\" and \"attention_mask\"", err);
	e->pooled = out >= 0;
	e->output = e->pooled ? output : "last_hidden_state";
	if (!e->pooled)
		out = qeff_session_find_output(e->session, e->output);
	if (out < 0)
		return qeff_error_set(err, -EINVAL,
				      "%s has no output \"%s\" or \"last_hidden_state\"",
				      qeff_qpc_path(qeff_session_qpc(e->session)), output);
	e->has_types = qeff_session_find_input(e->session, "token_type_ids") >= 0;
	for (uint32_t i = 0; i < n->num_specialisations; i++) {
		shape = qeff_network_shape(n, i, (uint32_t)ids);
		if (shape->num_dims != 2 || shape->type != QEFF_TYPE_I64 || shape->dims[0] < 1 ||
		    shape->dims[1] < 1 || (i && (uint32_t)shape->dims[0] != e->batch_size))
			return unfit(e, "\"input_ids\" is not int64 [batch, tokens]", err);
		e->batch_size = (uint32_t)shape->dims[0];
		if ((uint32_t)shape->dims[1] > e->max_tokens)
			e->max_tokens = (uint32_t)shape->dims[1];
	}
	shape = &n->bindings[out].shape;
	if (shape->type != QEFF_TYPE_F32 || shape->num_dims != (e->pooled ? 2u : 3u) ||
	    (uint32_t)shape->dims[0] != e->batch_size || shape->dims[shape->num_dims - 1] < 1)
		return unfit(e, "its output is not float32 with a row for each text", err);
	e->dimensions = (size_t)shape->dims[shape->num_dims - 1];
	return 0;
}

int qeff_embedder_open(struct qeff_session *session, struct qeff_embedder **embedder,
		       struct qeff_error *err)
{
	return qeff_embedder_open_for(session, "sentence_embedding", embedder, err);
}

size_t qeff_embedder_dimensions(const struct qeff_embedder *e)
{
	return e->dimensions;
}

int qeff_embedder_open_for(struct qeff_session *session, const char *output,
			   struct qeff_embedder **embedder, struct qeff_error *err)
{
	struct qeff_embedder *e = calloc(1, sizeof(*e));
	int ret;

	*embedder = NULL;
	if (!e)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	e->session = session;
	ret = find_shapes(e, output, err);
	if (!ret)
		ret = qeff_settings_read(qeff_session_qpc(session), &e->settings, err);
	if (!ret)
		ret = qeff_settings_tokenizer(qeff_session_qpc(session), &e->tokenizer, err);
	if (!ret && !e->tokenizer)
		ret = unfit(e, "it carries no tokenizer", err);
	if (ret)
		qeff_embedder_close(e);
	else
		*embedder = e;
	return ret;
}

void qeff_embedder_close(struct qeff_embedder *e)
{
	if (!e)
		return;
	qeff_tokenizer_close(e->tokenizer);
	free(e);
}

const struct qeff_tokenizer *qeff_embedder_tokenizer(const struct qeff_embedder *e)
{
	return e->tokenizer;
}

void qeff_embeddings_free(struct qeff_embeddings *embeddings)
{
	free(embeddings->data);
	*embeddings = (struct qeff_embeddings){ 0 };
}

/* The smallest specialisation that holds @longest tokens; @longest is at most max_tokens. */
static uint32_t fitting(const struct qeff_embedder *e, size_t longest)
{
	const struct qeff_network *n = qeff_session_network(e->session);
	uint32_t ids = (uint32_t)qeff_session_find_input(e->session, "input_ids"),
		 best = e->max_tokens;

	for (uint32_t i = 0; i < n->num_specialisations; i++) {
		uint32_t tokens = (uint32_t)qeff_network_shape(n, i, ids)->dims[1];

		if (tokens >= longest && tokens < best)
			best = tokens;
	}
	return best;
}

static void pool(const struct qeff_embedder *e, const float *rows, size_t count, float *vector)
{
	enum qeff_pooling pooling = e->settings.pooling;

	if (pooling == QEFF_POOL_LAST)
		rows += (count - 1) * e->dimensions;
	if (pooling == QEFF_POOL_LAST || pooling == QEFF_POOL_CLS)
		count = 1;
	for (size_t d = 0; d < e->dimensions; d++) {
		float value = rows[d];

		for (size_t i = 1; i < count; i++) {
			float x = rows[i * e->dimensions + d];

			if (pooling == QEFF_POOL_MAX)
				value = x > value ? x : value;
			else
				value += x;
		}
		vector[d] = pooling == QEFF_POOL_MEAN ? value / (float)count : value;
	}
	if (e->settings.normalize) {
		double sum = 0;

		for (size_t d = 0; d < e->dimensions; d++)
			sum += (double)vector[d] * vector[d];
		sum = fmax(sqrt(sum), 1e-12);
		for (size_t d = 0; d < e->dimensions; d++)
			vector[d] = (float)(vector[d] / sum);
	}
}

/* Runs @count texts, at most a batch; an input row without a text has no live token. */
static int run_batch(struct qeff_embedder *e, const struct qeff_tokens *batch, size_t count,
		     float *vectors, struct qeff_error *err)
{
	const uint32_t rows = e->batch_size;
	int64_t *ids, *mask, *types = NULL;
	const float *out;
	size_t longest = 0, tokens, stride;
	int ret;

	for (size_t row = 0; row < count; row++)
		longest = batch[row].count > longest ? batch[row].count : longest;
	tokens = fitting(e, longest);
	ret = qeff_input_ids(e->session, "input_ids", rows, (uint32_t)tokens, &ids, err);
	if (!ret)
		ret = qeff_input_ids(e->session, "attention_mask", rows, (uint32_t)tokens, &mask,
				     err);
	if (!ret && e->has_types)
		ret = qeff_input_ids(e->session, "token_type_ids", rows, (uint32_t)tokens, &types,
				     err);
	if (ret)
		return ret;
	for (size_t row = 0, at = 0; row < rows; row++) {
		const size_t length = row < count ? batch[row].count : 0;

		for (size_t i = 0; i < tokens; i++, at++) {
			ids[at] = i < length ? batch[row].ids[i] : 0;
			mask[at] = i < length;
			if (types)
				types[at] = i < length ? batch[row].type_ids[i] : 0;
		}
	}
	stride = (e->pooled ? 1 : tokens) * e->dimensions;
	ret = qeff_session_run(e->session, err);
	if (!ret)
		ret = qeff_output_floats(e->session, e->output, rows * stride, &out, err);
	if (ret)
		return ret;
	if (e->pooled) {
		memcpy(vectors, out, count * stride * sizeof(*vectors));
		return 0;
	}
	for (size_t row = 0; row < count; row++)
		pool(e, out + row * stride, batch[row].count, vectors + row * e->dimensions);
	return 0;
}

int qeff_embed_tokens(struct qeff_embedder *e, const struct qeff_tokens *tokens, size_t count,
		      struct qeff_embeddings *embeddings, struct qeff_error *err)
{
	int ret = 0;

	*embeddings = (struct qeff_embeddings){ .count = count, .dimensions = e->dimensions };
	for (size_t i = 0; i < count; i++) {
		if (!tokens[i].count || tokens[i].count > e->max_tokens)
			return qeff_error_set(err, -EINVAL,
					      "text %zu has %zu tokens, the package takes 1 to %u",
					      i, tokens[i].count, e->max_tokens);
		embeddings->tokens += tokens[i].count;
	}
	embeddings->data = calloc(count ? count : 1, e->dimensions * sizeof(float));
	if (!embeddings->data)
		return qeff_error_set(err, -ENOMEM,
				      "out of memory for %zu embeddings of %zu numbers", count,
				      e->dimensions);
	for (size_t at = 0; !ret && at < count; at += e->batch_size) {
		size_t part = count - at < e->batch_size ? count - at : e->batch_size;

		ret = run_batch(e, tokens + at, part, embeddings->data + at * e->dimensions, err);
	}
	if (ret)
		qeff_embeddings_free(embeddings);
	return ret;
}

static int encode(struct qeff_embedder *e, const char *text, const char *pair, size_t max_tokens,
		  struct qeff_tokens *tokens, struct qeff_error *err)
{
	if (pair)
		return qeff_tokenizer_encode_pair(e->tokenizer, text, strlen(text), pair,
						  strlen(pair), QEFF_ENCODE_SPECIAL, max_tokens,
						  tokens, err);
	return qeff_tokenizer_encode(e->tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL,
				     max_tokens, tokens, err);
}

/* Tokens of a text, or of a pair of them, cut to what the package takes. */
static int encode_cut(struct qeff_embedder *e, const char *text, const char *pair,
		      struct qeff_tokens *tokens, bool *truncated, struct qeff_error *err)
{
	int ret = encode(e, text, pair, 0, tokens, err);

	*truncated = !ret && tokens->count > e->max_tokens;
	if (!*truncated)
		return ret;
	qeff_tokens_free(tokens);
	return encode(e, text, pair, e->max_tokens, tokens, err);
}

int qeff_embed(struct qeff_embedder *e, const char *const *texts, size_t count,
	       struct qeff_embeddings *embeddings, struct qeff_error *err)
{
	return qeff_embed_pairs(e, texts, NULL, count, embeddings, err);
}

int qeff_embed_pairs(struct qeff_embedder *e, const char *const *texts, const char *const *pairs,
		     size_t count, struct qeff_embeddings *embeddings, struct qeff_error *err)
{
	struct qeff_tokens *tokens = calloc(count ? count : 1, sizeof(*tokens));
	size_t truncated = 0;
	int ret = 0;

	*embeddings = (struct qeff_embeddings){ 0 };
	if (!tokens)
		return qeff_error_set(err, -ENOMEM, "out of memory for %zu texts", count);
	for (size_t i = 0; !ret && i < count; i++) {
		bool cut;

		ret = encode_cut(e, texts[i], pairs ? pairs[i] : NULL, &tokens[i], &cut, err);
		truncated += cut;
	}
	if (!ret)
		ret = qeff_embed_tokens(e, tokens, count, embeddings, err);
	embeddings->truncated = truncated;
	for (size_t i = 0; i < count; i++)
		qeff_tokens_free(&tokens[i]);
	free(tokens);
	return ret;
}
