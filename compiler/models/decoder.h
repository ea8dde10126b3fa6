/* SPDX-License-Identifier: MIT */
/*
 * What decoders differ in. A row of the table says where a family's config keys and weights are and
 * which of the few shapes of a layer it has; its configure() turns the family's own keys into the
 * knobs of struct decoder, which the builder reads and nothing else.
 */
#ifndef QEFF_MODELS_DECODER_H
#define QEFF_MODELS_DECODER_H

#include "models/build.h"

#define DECODER_MAX_WIDTH   (1u << 20)
#define DECODER_MAX_LAYERS  1024
#define DECODER_MAX_VOCAB   (1u << 24)
#define DECODER_MAX_EXPERTS 1024
#define DECODER_MAX_CHOSEN  64

enum decoder_norm {
	DECODER_RMS,
	DECODER_RMS_PLUS_ONE, /* the weights are stored less 1 */
	DECODER_LAYER,
};

enum decoder_qk_norm {
	DECODER_QK_NONE,
	DECODER_QK_HEAD,  /* of each head of queries and keys */
	DECODER_QK_WHOLE, /* of all heads of a row at once */
};

enum decoder_alibi {
	DECODER_ALIBI_NONE,
	DECODER_ALIBI_MPT,
	DECODER_ALIBI_FALCON,
};

/* Keys of config.json. @intermediate: may be absent, or null, where @wide says what it is then. */
struct decoder_keys {
	const char *layers, *hidden, *intermediate, *heads, *kv_heads, *head_dim, *positions;
	const char *epsilon, *activation;
};

/**
 * struct decoder_names - names of a decoder's modules; NULL where it has none
 * @layers: a layer is this, a dot and its number; names from @input_norm on stand inside a layer
 * @input_norm, @attended_norm: before and after the attention
 * @post_norm, @fed_norm: before and after the feed-forward part; without @post_norm a parallel one
 *			  reads what the attention reads
 * @router, @experts: in layers with experts; @gate, @up and @down of these stand below @experts
 * @dense: where @gate, @up and @down stand in the layers without experts
 * @sinks: a parameter of the attention
 * @qkv, @gate_up: one matrix in place of @q, @k and @v, or of @gate and @up
 */
struct decoder_names {
	const char *embedding, *positions, *norm, *head, *layers;
	const char *input_norm, *attended_norm, *post_norm, *fed_norm;
	const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm;
	const char *gate, *up, *gate_up, *down;
	const char *router, *experts, *dense, *sinks;
};

enum decoder_experts {
	DECODER_EXPERTS_NONE,
	DECODER_EXPERTS_APART,	 /* a module each: gate, up and down below EXPERTS.NUMBER */
	DECODER_EXPERTS_STACKED, /* [experts, outputs, inputs]: gate above up, and down */
	/* [experts, inputs, outputs]: gate and up by turns, with biases; gates that are clamped */
	DECODER_EXPERTS_OSS,
};

struct decoder;

/**
 * struct decoder_row - what a family is made of
 * @wide: feed-forward width in hidden widths, where the config does not say it
 * @parallel: attention and feed-forward part read the same rows
 * @tied: the head is the embedding unless the config says otherwise
 * @transposed: weights lie as [inputs, outputs]
 * @interleaved: rotary pairs are neighbours, not halves
 * @bias: of all products in the layers, unless configure() says otherwise
 * @epsilon, @activation, @theta: where the config says none
 * @configure: reads the family's own keys, or NULL
 */
struct decoder_row {
	const struct decoder_keys *keys;
	const struct decoder_names *names;
	enum decoder_norm norm;
	uint32_t wide;
	bool parallel, tied, transposed, interleaved, bias;
	double epsilon;
	const char *activation;
	double theta;
	void (*configure)(struct decoder *decoder);
};

/**
 * struct decoder - a decoder in the making: the row's words and what the config made of them
 * @names: a copy that configure() may change
 * @qkv: parts of a shared matrix, if names.qkv
 * @rotary_dim: columns of a head that turn; 0: positions are not rotary
 * @alibi: positions as distances, by these slopes
 * @experts: how those of the layers that are not @dense lie; @num_experts of width @expert_width,
 *of which a row takes @chosen; @route_all: with shares of all experts' scores
 * @windows: by layer; 0: all keys are seen
 * @first_window, @window_pattern: of configure()'s own rules for them
 * @local: layers that use the second pair of rotary tables
 * @softcap, @final_softcap: 0: none
 * @scale: of scores; @layer_scale: also divides them by the layer's number, from 1
 * @embedding_scale, @residual_scale, @logits_scale: factors
 */
struct decoder {
	struct model_build *b;
	const struct decoder_row *row;
	struct decoder_names names;
	bool parallel;
	bool qkv_bias, o_bias, mlp_bias, head_bias;
	struct model_part qkv[3];
	uint32_t rotary_dim;
	enum decoder_qk_norm qk_norm;
	enum decoder_alibi alibi;
	double scale;
	bool layer_scale;
	double softcap, final_softcap;
	double embedding_scale, residual_scale, logits_scale;
	double epsilon, local_theta;
	const char *activation_key;
	enum decoder_experts experts;
	uint32_t num_experts, chosen, expert_width;
	bool route_all;
	bool dense[DECODER_MAX_LAYERS];
	uint32_t first_window, window_pattern;
	uint32_t windows[DECODER_MAX_LAYERS];
	bool local[DECODER_MAX_LAYERS];

	struct qeff_value *position_ids;
	struct model_rotary rotary[2];
	struct qeff_value *distances;
};

/* Fills the knobs from the config; a failure is noted in the graph. */
void model_read_decoder(struct decoder *decoder);

/* The feed-forward part of a layer with experts, of rows x. */
struct qeff_value *model_experts(struct decoder *decoder, const char *layer, struct qeff_value *x);

/* What ALiBi adds to scores: [heads, positions]. */
struct qeff_value *model_alibi(struct decoder *decoder);

/* For configure(): */
/* The matrix of queries, keys and values one below the other. */
void model_decoder_stacked_qkv(struct decoder *decoder);
/* The same for each group of queries that share a key. */
void model_decoder_grouped_qkv(struct decoder *decoder);
/* Layers whose type is "sliding_attention" see @window keys. "layer_types" says which; else
 * @slides; else all. */
void model_decoder_windows(struct decoder *decoder, uint32_t window,
			   bool (*slides)(const struct decoder *decoder, uint32_t layer));

#endif
