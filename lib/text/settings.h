/* SPDX-License-Identifier: MIT */
/* What a package says of its model beyond shapes: its segments "generation.json" and
 * "tokenizer.json". */
#ifndef QEFF_TEXT_SETTINGS_H
#define QEFF_TEXT_SETTINGS_H

#include "util/error.h"

#include <qeff/qpc.h>
#include <qeff/tokenizer.h>

#define QEFF_SETTINGS_MAX_EOS	16
#define QEFF_SETTINGS_MAX_NAMES (1u << 20)

enum qeff_pooling { QEFF_POOL_MEAN = 0, QEFF_POOL_CLS, QEFF_POOL_MAX, QEFF_POOL_LAST };

/**
 * struct qeff_settings - generation.json
 * @eos_ids, @num_eos: tokens that end a text
 * @vocabulary: entries of the embedding, 0 if not said
 * @pooling, @normalize: how rows become a vector, where the card does not do it
 */
struct qeff_settings {
	uint32_t eos_ids[QEFF_SETTINGS_MAX_EOS];
	size_t num_eos;
	uint32_t vocabulary;
	enum qeff_pooling pooling;
	bool normalize;
};

/* A package without the segment gives the defaults: no end tokens, mean pooling. */
int qeff_settings_read(const struct qeff_qpc *qpc, struct qeff_settings *settings,
		       struct qeff_error *err);

/* Names of a list in generation.json. */
struct qeff_names {
	char **names;
	size_t count;
};
void qeff_names_free(struct qeff_names *names);

enum qeff_scores { QEFF_SCORES_NONE = 0, QEFF_SCORES_SOFTMAX, QEFF_SCORES_SIGMOID };

/**
 * struct qeff_labels - of generation.json: what a classifier's logits are
 * @names: label of each logit; none: the package is no classifier
 * @scores: what makes scores of logits
 */
struct qeff_labels {
	struct qeff_names names;
	enum qeff_scores scores;
};

/* @labels->names is to be freed, whatever is returned. */
int qeff_settings_labels(const struct qeff_qpc *qpc, struct qeff_labels *labels,
			 struct qeff_error *err);

/* The adapters that lora_ids chooses among, from number 1; to be freed, whatever is returned. */
int qeff_settings_adapters(const struct qeff_qpc *qpc, struct qeff_names *adapters,
			   struct qeff_error *err);

/* The package's tokenizer; *@tokenizer is NULL if it carries none. */
int qeff_settings_tokenizer(const struct qeff_qpc *qpc, struct qeff_tokenizer **tokenizer,
			    struct qeff_error *err);

#endif
