/* SPDX-License-Identifier: MIT */
/*
 * Embeddings: texts through an encoder package, one vector each.
 *
 *   qeff_embedder_open(session, &embedder, &err);
 *   qeff_embed(embedder, (const char *[]){ "My name is" }, 1, &embeddings, &err);
 *   ... embeddings.data[row * embeddings.dimensions + i]
 *   qeff_embeddings_free(&embeddings);
 */
#ifndef QEFF_EMBED_H
#define QEFF_EMBED_H

#include <qeff/api.h>
#include <qeff/error.h>
#include <qeff/session.h>
#include <qeff/tokenizer.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_embedder;

/**
 * qeff_embedder_open - prepare a session for embedding
 * @session: a session on an encoder package; borrowed, and used by the embedder alone from now on
 * @embedder: receives the embedder; close it before the session
 * @err: why it failed, or NULL
 *
 * A package compiled with pooling gives its `sentence_embedding`. One compiled without gives
 * `last_hidden_state`, and the rows are pooled (and normalised) here as the package's settings say,
 * by their mean if they say nothing.
 *
 * Returns 0; -EINVAL if the package is no encoder or carries no tokenizer; -ENOMEM; or what
 * qeff_tokenizer_open_memory() returns.
 */
QEFF_API int qeff_embedder_open(struct qeff_session *session, struct qeff_embedder **embedder,
				struct qeff_error *err);
/* NULL is fine. */
QEFF_API void qeff_embedder_close(struct qeff_embedder *embedder);

/* Lives as long as the embedder. */
QEFF_API const struct qeff_tokenizer *qeff_embedder_tokenizer(const struct qeff_embedder *embedder);

/**
 * struct qeff_embeddings - vectors of texts
 * @data: [@count][@dimensions], row-major
 * @count: texts
 * @dimensions: length of a vector
 * @tokens: tokens of all texts together, the added ones included
 * @truncated: texts that were longer than the package's longest specialisation, and lost their end
 */
struct qeff_embeddings {
	float *data;
	size_t count;
	size_t dimensions;
	size_t tokens;
	size_t truncated;
};

QEFF_API void qeff_embeddings_free(struct qeff_embeddings *embeddings);

/**
 * qeff_embed - embed texts
 * @embedder: one thread at a time
 * @texts: @count texts in UTF-8
 * @count: how many, any number: they are run in batches of the package's batch size, each in the
 *smallest specialisation that holds its longest text
 * @embeddings: receives the vectors; free them with qeff_embeddings_free()
 * @err: why it failed, or NULL
 *
 * Returns 0, -ENOMEM, or what qeff_tokenizer_encode() and qeff_session_run() return.
 */
QEFF_API int qeff_embed(struct qeff_embedder *embedder, const char *const *texts, size_t count,
			struct qeff_embeddings *embeddings, struct qeff_error *err);

/* The same for texts that are tokens already: @tokens is borrowed; one that is longer than the
 * longest specialisation is refused with -EINVAL, as is one without a token. */
QEFF_API int qeff_embed_tokens(struct qeff_embedder *embedder, const struct qeff_tokens *tokens,
			       size_t count, struct qeff_embeddings *embeddings,
			       struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
