/* SPDX-License-Identifier: MIT */
/* Llama and its relatives: Mistral, Qwen2, Qwen3, OLMo 2, Granite. */
#include "models/decoder_rows.h"

#include <math.h>

const struct decoder_keys decoder_llama_keys = {
	.layers = "num_hidden_layers",
	.hidden = "hidden_size",
	.intermediate = "intermediate_size",
	.heads = "num_attention_heads",
	.kv_heads = "num_key_value_heads",
	.head_dim = "head_dim",
	.positions = "max_position_embeddings",
	.epsilon = "rms_norm_eps",
	.activation = "hidden_act",
};

static const struct decoder_names llama_names = { LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION,
						  LLAMA_MLP };

static bool every_layer(const struct decoder *d, uint32_t layer)
{
	return true;
}

uint32_t decoder_window(struct decoder *d, uint32_t fallback)
{
	if (qeff_config_has(d->b->config, "sliding_window"))
		return model_size(d->b, "sliding_window", INT32_MAX);
	return qeff_config_null(d->b->config, "sliding_window") ? 0 : fallback;
}

void decoder_window_everywhere(struct decoder *d, uint32_t fallback)
{
	model_decoder_windows(d, decoder_window(d, fallback), every_layer);
}

void decoder_attention_bias(struct decoder *d)
{
	d->qkv_bias = d->o_bias = model_bool_or(d->b, "attention_bias", false);
}

static void configure_llama(struct decoder *d)
{
	decoder_attention_bias(d);
	d->mlp_bias = model_bool_or(d->b, "mlp_bias", false);
}

const struct decoder_row decoder_llama = {
	.keys = &decoder_llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_llama,
};

static void configure_mistral(struct decoder *d)
{
	decoder_window_everywhere(d, 4096);
}

const struct decoder_row decoder_mistral = {
	.keys = &decoder_llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_mistral,
};

static bool beyond_max_window_layers(const struct decoder *d, uint32_t layer)
{
	return layer >= d->first_window;
}

void decoder_qwen_windows(struct decoder *d)
{
	if (!model_bool_or(d->b, "use_sliding_window", false))
		return;
	d->first_window = model_size_or(d->b, "max_window_layers", INT32_MAX, 28);
	model_decoder_windows(d, decoder_window(d, 4096), beyond_max_window_layers);
}

static void configure_qwen2(struct decoder *d)
{
	d->qkv_bias = true;
	decoder_qwen_windows(d);
}

const struct decoder_row decoder_qwen2 = {
	.keys = &decoder_llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_qwen2,
};

static const struct decoder_names qwen3_names = { LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION,
						  QK_NORMS, LLAMA_MLP };

void decoder_qwen3_heads(struct decoder *d)
{
	struct qeff_model_info *info = d->b->info;

	info->head_dim = model_size_or(d->b, "head_dim", DECODER_MAX_WIDTH, 128);
	d->rotary_dim = info->head_dim;
	d->scale = 1 / sqrt(info->head_dim);
	d->qk_norm = DECODER_QK_HEAD;
}

static void configure_qwen3(struct decoder *d)
{
	decoder_qwen3_heads(d);
	decoder_attention_bias(d);
	decoder_qwen_windows(d);
}

const struct decoder_row decoder_qwen3 = {
	.keys = &decoder_llama_keys,
	.names = &qwen3_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_qwen3,
};

static const struct decoder_names olmo2_names = {
	LLAMA_ENDS,
	LLAMA_ATTENTION,
	QK_NORMS,
	LLAMA_MLP,
	.attended_norm = "post_attention_layernorm",
	.fed_norm = "post_feedforward_layernorm",
};

static void configure_olmo2(struct decoder *d)
{
	d->qk_norm = DECODER_QK_WHOLE;
	decoder_attention_bias(d);
}

const struct decoder_row decoder_olmo2 = {
	.keys = &decoder_llama_keys,
	.names = &olmo2_names,
	.epsilon = 1e-5,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_olmo2,
};

void decoder_granite_factors(struct decoder *d)
{
	decoder_attention_bias(d);
	d->mlp_bias = model_bool_or(d->b, "mlp_bias", false);
	d->embedding_scale = model_float_or(d->b, "embedding_multiplier", 1);
	d->residual_scale = model_float_or(d->b, "residual_multiplier", 1);
	d->scale = model_float_or(d->b, "attention_multiplier", 1);
	d->logits_scale = 1 / model_float_or(d->b, "logits_scaling", 1);
	if (!isfinite(d->logits_scale))
		qeff_graph_fail(d->b->graph, -EINVAL, "%s: \"logits_scaling\" is 0",
				d->b->config->file);
}

const struct decoder_row decoder_granite = {
	.keys = &decoder_llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = decoder_granite_factors,
};
