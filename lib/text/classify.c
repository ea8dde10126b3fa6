/* SPDX-License-Identifier: MIT */
/* Classification: an embedder whose vectors are logits, and what they mean. */
#include <qeff/classify.h>

#include "text/settings.h"
#include "text/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct qeff_classifier {
	struct qeff_embedder *embedder;
	struct qeff_labels labels;
};

bool qeff_classifier_fits(const struct qeff_session *session)
{
	struct qeff_labels labels;
	bool fits = !qeff_settings_labels(qeff_session_qpc(session), &labels, NULL) &&
		    labels.names.count;

	qeff_names_free(&labels.names);
	return fits;
}

int qeff_classifier_open(struct qeff_session *session, struct qeff_classifier **classifier,
			 struct qeff_error *err)
{
	const struct qeff_qpc *qpc = qeff_session_qpc(session);
	struct qeff_classifier *c = calloc(1, sizeof(*c));
	int ret;

	*classifier = NULL;
	if (!c)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	ret = qeff_settings_labels(qpc, &c->labels, err);
	if (!ret && !c->labels.names.count)
		ret = qeff_error_set(err, -EINVAL, "%s does not classify: it names no labels",
				     qeff_qpc_path(qpc));
	if (!ret)
		ret = qeff_embedder_open_for(session, "logits", &c->embedder, err);
	if (!ret && qeff_embedder_dimensions(c->embedder) != c->labels.names.count)
		ret = qeff_error_set(err, -EINVAL, "%s gives %zu logits for %zu labels",
				     qeff_qpc_path(qpc), qeff_embedder_dimensions(c->embedder),
				     c->labels.names.count);
	if (ret)
		qeff_classifier_close(c);
	else
		*classifier = c;
	return ret;
}

void qeff_classifier_close(struct qeff_classifier *c)
{
	if (!c)
		return;
	qeff_embedder_close(c->embedder);
	qeff_names_free(&c->labels.names);
	free(c);
}

size_t qeff_classifier_labels(const struct qeff_classifier *c)
{
	return c->labels.names.count;
}

const char *qeff_classifier_label(const struct qeff_classifier *c, size_t index)
{
	return index < c->labels.names.count ? c->labels.names.names[index] : NULL;
}

void qeff_classes_free(struct qeff_classes *classes)
{
	free(classes->logits);
	free(classes->scores);
	*classes = (struct qeff_classes){ 0 };
}

static void score(enum qeff_scores kind, const float *logits, float *scores, size_t count)
{
	double largest = -INFINITY, sum = 0;

	for (size_t i = 0; i < count; i++)
		largest = logits[i] > largest ? logits[i] : largest;
	for (size_t i = 0; i < count; i++)
		sum += exp(logits[i] - largest);
	for (size_t i = 0; i < count; i++)
		scores[i] = kind == QEFF_SCORES_SOFTMAX	  ? (float)(exp(logits[i] - largest) / sum)
			    : kind == QEFF_SCORES_SIGMOID ? (float)(1 / (1 + exp(-logits[i])))
							  : logits[i];
}

/* Takes the vectors over. */
static int finish(const struct qeff_classifier *c, struct qeff_embeddings *vectors,
		  struct qeff_classes *classes, struct qeff_error *err)
{
	*classes = (struct qeff_classes){
		.logits = vectors->data,
		.scores = calloc(vectors->count ? vectors->count : 1,
				 c->labels.names.count * sizeof(*classes->scores)),
		.count = vectors->count,
		.labels = c->labels.names.count,
		.tokens = vectors->tokens,
		.truncated = vectors->truncated,
	};
	if (!classes->scores) {
		qeff_classes_free(classes);
		return qeff_error_set(err, -ENOMEM, "out of memory for scores");
	}
	for (size_t i = 0; i < classes->count; i++)
		score(c->labels.scores, classes->logits + i * classes->labels,
		      classes->scores + i * classes->labels, classes->labels);
	return 0;
}

int qeff_classify(struct qeff_classifier *c, const char *const *texts, size_t count,
		  struct qeff_classes *classes, struct qeff_error *err)
{
	return qeff_classify_pairs(c, texts, NULL, count, classes, err);
}

int qeff_classify_pairs(struct qeff_classifier *c, const char *const *texts,
			const char *const *pairs, size_t count, struct qeff_classes *classes,
			struct qeff_error *err)
{
	struct qeff_embeddings vectors;
	int ret = qeff_embed_pairs(c->embedder, texts, pairs, count, &vectors, err);

	*classes = (struct qeff_classes){ 0 };
	return ret ? ret : finish(c, &vectors, classes, err);
}

int qeff_classify_tokens(struct qeff_classifier *c, const struct qeff_tokens *tokens, size_t count,
			 struct qeff_classes *classes, struct qeff_error *err)
{
	struct qeff_embeddings vectors;
	int ret = qeff_embed_tokens(c->embedder, tokens, count, &vectors, err);

	*classes = (struct qeff_classes){ 0 };
	return ret ? ret : finish(c, &vectors, classes, err);
}
