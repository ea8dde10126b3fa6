/* SPDX-License-Identifier: MIT */
/*
 * Classification: texts through a classifier package, a score for each label.
 *
 *   qeff_classifier_open(session, &classifier, &err);
 *   qeff_classify(classifier, (const char *[]){ "I like it" }, 1, &classes, &err);
 *   ... classes.scores[row * classes.labels + i] is that of qeff_classifier_label(classifier, i)
 *   qeff_classes_free(&classes);
 */
#ifndef QEFF_CLASSIFY_H
#define QEFF_CLASSIFY_H

#include <qeff/api.h>
#include <qeff/error.h>
#include <qeff/session.h>
#include <qeff/tokenizer.h>

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_classifier;

/* Whether the session's package is a classifier: its settings name labels. */
QEFF_API bool qeff_classifier_fits(const struct qeff_session *session);

/**
 * qeff_classifier_open - prepare a session for classification
 * @session: a session on a classifier package; borrowed, and used by the classifier alone from now
 *on
 * @classifier: receives the classifier; close it before the session
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL if the package is no classifier or carries no tokenizer; -ENOMEM; or what
 * qeff_tokenizer_open_memory() returns.
 */
QEFF_API int qeff_classifier_open(struct qeff_session *session, struct qeff_classifier **classifier,
				  struct qeff_error *err);
/* NULL is fine. */
QEFF_API void qeff_classifier_close(struct qeff_classifier *classifier);

/* How many labels there are; the name of each, in UTF-8, lives as long as the classifier. */
QEFF_API size_t qeff_classifier_labels(const struct qeff_classifier *classifier);
QEFF_API const char *qeff_classifier_label(const struct qeff_classifier *classifier, size_t index);

/**
 * struct qeff_classes - what texts were classified as
 * @logits: [@count][@labels], as the model gives them
 * @scores: the same as probabilities: a softmax over the labels, a sigmoid of each, or the logits
 *	    themselves, as the model was trained
 * @count: texts
 * @labels: labels
 * @tokens: tokens of all texts together, the added ones included
 * @truncated: texts that were longer than the package's longest specialisation, and lost their end
 */
struct qeff_classes {
	float *logits;
	float *scores;
	size_t count;
	size_t labels;
	size_t tokens;
	size_t truncated;
};

QEFF_API void qeff_classes_free(struct qeff_classes *classes);

/**
 * qeff_classify - classify texts
 * @classifier: one thread at a time
 * @texts: @count texts in UTF-8
 * @count: how many, any number, as for qeff_embed()
 * @classes: receives logits and scores; free them with qeff_classes_free()
 * @err: why it failed, or NULL
 *
 * Returns 0, -ENOMEM, or what qeff_tokenizer_encode() and qeff_session_run() return.
 */
QEFF_API int qeff_classify(struct qeff_classifier *classifier, const char *const *texts,
			   size_t count, struct qeff_classes *classes, struct qeff_error *err);

/* The same for pairs of texts, as rerankers and models of inference take them. @pairs: for each
 * text the one that it goes with, or NULL for a text alone; NULL: all are alone. Texts that are too
 * long are cut as qeff_tokenizer_encode_pair() says. */
QEFF_API int qeff_classify_pairs(struct qeff_classifier *classifier, const char *const *texts,
				 const char *const *pairs, size_t count,
				 struct qeff_classes *classes, struct qeff_error *err);

/* The same for texts that are tokens already, as qeff_embed_tokens(). */
QEFF_API int qeff_classify_tokens(struct qeff_classifier *classifier,
				  const struct qeff_tokens *tokens, size_t count,
				  struct qeff_classes *classes, struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
