/* SPDX-License-Identifier: MIT */
/* Embedders for others than embeddings: one row of numbers for each text, whatever it means. */
#ifndef QEFF_TEXT_VECTORS_H
#define QEFF_TEXT_VECTORS_H

#include <qeff/embed.h>

/* As qeff_embedder_open(), for a package whose output @output is [batch, numbers]. */
int qeff_embedder_open_for(struct qeff_session *session, const char *output,
			   struct qeff_embedder **embedder, struct qeff_error *err);
/* As qeff_embed(); @pairs: NULL, or for each text the one that it goes with, or NULL. */
int qeff_embed_pairs(struct qeff_embedder *embedder, const char *const *texts,
		     const char *const *pairs, size_t count, struct qeff_embeddings *embeddings,
		     struct qeff_error *err);
/* How many numbers. */
size_t qeff_embedder_dimensions(const struct qeff_embedder *embedder);

#endif
