/* SPDX-License-Identifier: MIT */
/*
 * What encoders share: the state of a build, the form of a family's layers, the heads of
 * classifiers. A family is data (encoder_rows.c) and, where its attention differs, a function.
 */
#ifndef QEFF_MODELS_ENCODER_H
#define QEFF_MODELS_ENCODER_H

#include "models/build.h"

#define ENCODER_MAX_WIDTH     (1u << 20)
#define ENCODER_MAX_LAYERS    1024
#define ENCODER_MAX_VOCAB     (1u << 24)
#define ENCODER_MAX_LABELS    (1u << 16)
#define ENCODER_MAX_POSITIONS (1u << 20)

struct encoder;

/**
 * struct encoder_form - how the encoders of a family differ
 * @base: what stands before names of the encoder where a task's head stands beside it: "bert."
 * @hidden, @layers, @heads, @intermediate, @activation: the config's keys
 * @norm_epsilon: of "layer_norm_eps", where the config does not say
 * @layer: a layer is this, a dot and its number; names from @q on stand inside it
 * @core: what the attention's own node is called after
 * @token_types: of "type_vocab_size", where the config does not say; 0: the family has none
 * @behind_padding: embeddings of positions begin behind that of "pad_token_id" (this, where the
 *		    config does not say; -1: they begin at 0)
 * @read_config: what else the config says, or NULL
 * @attend: the attention of one layer on its heads, [B,H,S,D]; NULL: without relative positions
 * @head: of hidden rows to logits
 */
struct encoder_form {
	const char *base;
	const char *hidden, *layers, *heads, *intermediate, *activation;
	double norm_epsilon;
	const char *layer;
	const char *q, *k, *v, *core, *attention_out, *attention_norm, *wide, *act, *narrow, *norm;
	uint32_t token_types;
	int behind_padding;
	void (*read_config)(struct encoder *e);
	struct qeff_value *(*attend)(struct encoder *e, const char *layer, const char *core,
				     struct qeff_value *const *qkv);
	struct qeff_value *(*head)(struct encoder *e, struct qeff_value *x);
};

/**
 * struct encoder - an encoder that is being built
 * @position_ids: which rows live, and where
 * @positions: whether rows have embeddings of their positions
 * @bias, @bias_zero: MPNet: numbers added to scores, by head and distance
 * @relative, @buckets, @span, @c2p, @p2c, @shared_projections: DeBERTa: embeddings of distances,
 *the rows of them for each distance, half their number, and what is made of them
 */
struct encoder {
	struct model_build *b;
	const struct encoder_form *form;
	struct qeff_value *position_ids;
	float norm_epsilon;
	bool positions;
	struct qeff_value *bias;
	uint32_t bias_zero;
	struct qeff_value *relative, *buckets;
	uint32_t span;
	bool c2p, p2c, shared_projections;
};

/* @name of the encoder in the checkpoint. */
struct model_name encoder_name(const struct encoder *e, const char *layer, const char *name);

/* Finds the names' prefix and makes the inputs input_ids and attention_mask; the ids. */
struct qeff_value *encoder_begin(struct encoder *e, const char *embedding);
/* The output: the rows themselves, or the logits of the head. */
void encoder_end(struct encoder *e, struct qeff_value *x);
/* What the rows are called: the output's name if they are it. */
const char *encoder_rows_name(const struct encoder *e);

/* The first token's row [B,W]; mean of the rows. */
struct qeff_value *encoder_first_row(struct encoder *e, struct qeff_value *x);
struct qeff_value *encoder_mean_row(struct encoder *e, struct qeff_value *x);
/* "num_labels", or as many as "id2label" has. */
uint32_t encoder_labels(struct encoder *e);

struct qeff_value *encoder_head_bert(struct encoder *e, struct qeff_value *x);
struct qeff_value *encoder_head_roberta(struct encoder *e, struct qeff_value *x);
struct qeff_value *encoder_head_distilbert(struct encoder *e, struct qeff_value *x);
struct qeff_value *encoder_head_deberta(struct encoder *e, struct qeff_value *x);

void encoder_read_mpnet(struct encoder *e);
struct qeff_value *encoder_attend_mpnet(struct encoder *e, const char *layer, const char *core,
					struct qeff_value *const *qkv);
void encoder_read_deberta(struct encoder *e);
struct qeff_value *encoder_attend_deberta(struct encoder *e, const char *layer, const char *core,
					  struct qeff_value *const *qkv);

/* Builders of rows. */
void model_build_bert(struct model_build *b);
void model_build_roberta(struct model_build *b);
void model_build_distilbert(struct model_build *b);
void model_build_mpnet(struct model_build *b);
void model_build_deberta(struct model_build *b);
void model_build_modernbert(struct model_build *b);

#endif
