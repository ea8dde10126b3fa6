/* SPDX-License-Identifier: MIT */
/* The rows of encoders in the table of architectures. */
#include "models/encoder.h"

static const struct model_expectation bert_expectations[] = {
	{ "quantization_config", NULL },
	{ "position_embedding_type", "\"absolute\"" },
	{ "is_decoder", "false" },
	{ "add_cross_attention", "false" },
	{ NULL, NULL },
};

static const struct model_expectation distilbert_expectations[] = {
	{ "quantization_config", NULL },
	{ NULL, NULL },
};

/* The original looks for padding by this number, and puts distances into so many buckets. */
static const struct model_expectation mpnet_expectations[] = {
	{ "quantization_config", NULL },
	{ "pad_token_id", "1" },
	{ "relative_attention_num_buckets", "32" },
	{ NULL, NULL },
};

static const struct model_expectation deberta_expectations[] = {
	{ "quantization_config", NULL },
	{ "conv_kernel_size", "0" },
	{ "z_steps", "0" },
	{ NULL, NULL },
};

static const struct model_expectation modernbert_expectations[] = {
	{ "quantization_config", NULL },
	{ "rope_scaling", NULL },
	{ NULL, NULL },
};

static const char *const encoder_ignored[] = { "*embeddings.position_ids", "pooler.dense.*",
					       "*.pooler.dense.*", NULL };
/* Said to be left out in one sentence. */
static const char *const masked_lm_ignored[] = {
	"*embeddings.position_ids",
	"pooler.dense.*",
	"*.pooler.dense.*",
	"cls.*",
	"lm_head.*",
	"lm_predictions.*",
	"vocab_transform.*",
	"vocab_layer_norm.*",
	"vocab_projector.*",
	"head.*",
	"decoder.*",
	"mask_predictions.*",
	NULL,
};

/* A family's encoder alone, with a classifier, and of a model that guesses masked tokens. */
#define FAMILY(name, model_type, build, expectations)                                              \
	{                                                                                          \
		name "Model",	 model_type, QEFF_MODEL_ENCODER, build, expectations,              \
		encoder_ignored, NULL                                                              \
	},                                                                                         \
		{ name "ForSequenceClassification",                                                \
		  model_type,                                                                      \
		  QEFF_MODEL_CLASSIFIER,                                                           \
		  build,                                                                           \
		  expectations,                                                                    \
		  encoder_ignored,                                                                 \
		  NULL },                                                                          \
	{                                                                                          \
		name "ForMaskedLM", model_type, QEFF_MODEL_ENCODER, build, expectations,           \
			masked_lm_ignored, NULL                                                    \
	}

const struct model_architecture model_encoder_rows[] = {
	FAMILY("Bert", "bert", model_build_bert, bert_expectations),
	FAMILY("Roberta", "roberta", model_build_roberta, bert_expectations),
	FAMILY("XLMRoberta", "xlm-roberta", model_build_roberta, bert_expectations),
	FAMILY("DistilBert", "distilbert", model_build_distilbert, distilbert_expectations),
	FAMILY("MPNet", "mpnet", model_build_mpnet, mpnet_expectations),
	FAMILY("ModernBert", "modernbert", model_build_modernbert, modernbert_expectations),
	FAMILY("DebertaV2", "deberta-v2", model_build_deberta, deberta_expectations),
	{ 0 },
};
