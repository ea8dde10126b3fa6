/* SPDX-License-Identifier: MIT */
/* Gemma with its norms, caps and windows; Phi; Starcoder2. */
#include "models/decoder_rows.h"

#include <math.h>

static const struct decoder_names gemma_names = { LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION,
						  LLAMA_MLP };

/* ---- Gemma ---- */

static void configure_gemma(struct decoder *d)
{
	decoder_attention_bias(d);
	d->embedding_scale = sqrt(d->b->info->hidden);
}

const struct decoder_row decoder_gemma = {
	.keys = &decoder_llama_keys,
	.names = &gemma_names,
	.norm = DECODER_RMS_PLUS_ONE,
	.tied = true,
	.epsilon = 1e-6,
	.activation = "gelu_pytorch_tanh",
	.theta = 10000,
	.configure = configure_gemma,
};

#define SANDWICH_NORMS                                                                             \
	.input_norm = "input_layernorm", .attended_norm = "post_attention_layernorm",              \
	.post_norm = "pre_feedforward_layernorm", .fed_norm = "post_feedforward_layernorm"

static const struct decoder_names gemma2_names = { LLAMA_ENDS, SANDWICH_NORMS, LLAMA_ATTENTION,
						   LLAMA_MLP };
static const struct decoder_names gemma3_names = { LLAMA_ENDS, SANDWICH_NORMS, LLAMA_ATTENTION,
						   QK_NORMS, LLAMA_MLP };

static bool even_layers(const struct decoder *d, uint32_t layer)
{
	return layer % 2 == 0;
}

/* All but the last of as many layers as the pattern is long. */
static bool by_pattern(const struct decoder *d, uint32_t layer)
{
	return (layer + 1) % d->window_pattern != 0;
}

static void configure_gemma2(struct decoder *d)
{
	configure_gemma(d);
	d->activation_key = "hidden_activation";
	d->scale = 1 / sqrt(model_float_or(d->b, "query_pre_attn_scalar", 256));
	d->softcap = model_float_or(d->b, "attn_logit_softcapping", 0);
	d->final_softcap = model_float_or(d->b, "final_logit_softcapping", 0);
	model_decoder_windows(d, decoder_window(d, 4096), even_layers);
}

const struct decoder_row decoder_gemma2 = {
	.keys = &decoder_llama_keys,
	.names = &gemma2_names,
	.norm = DECODER_RMS_PLUS_ONE,
	.tied = true,
	.epsilon = 1e-6,
	.activation = "gelu_pytorch_tanh",
	.theta = 10000,
	.configure = configure_gemma2,
};

static void configure_gemma3(struct decoder *d)
{
	configure_gemma2(d);
	d->qk_norm = DECODER_QK_HEAD;
	d->window_pattern = model_size_or(d->b, "sliding_window_pattern", INT32_MAX, 6);
	d->local_theta = model_float_or(d->b, "rope_local_base_freq", 10000);
	model_decoder_windows(d, decoder_window(d, 4096), by_pattern);
}

const struct decoder_row decoder_gemma3 = {
	.keys = &decoder_llama_keys,
	.names = &gemma3_names,
	.norm = DECODER_RMS_PLUS_ONE,
	.tied = true,
	.epsilon = 1e-6,
	.activation = "gelu_pytorch_tanh",
	.theta = 1000000,
	.configure = configure_gemma3,
};

/* ---- Phi ---- */

static const struct decoder_keys phi_keys = {
	.layers = "num_hidden_layers",
	.hidden = "hidden_size",
	.intermediate = "intermediate_size",
	.heads = "num_attention_heads",
	.kv_heads = "num_key_value_heads",
	.head_dim = "head_dim",
	.positions = "max_position_embeddings",
	.epsilon = "layer_norm_eps",
	.activation = "hidden_act",
};

static const struct decoder_names phi_names = {
	.embedding = "model.embed_tokens",
	.norm = "model.final_layernorm",
	.head = "lm_head",
	.layers = "model.layers",
	.input_norm = "input_layernorm",
	.q = "self_attn.q_proj",
	.k = "self_attn.k_proj",
	.v = "self_attn.v_proj",
	.o = "self_attn.dense",
	.up = "mlp.fc1",
	.down = "mlp.fc2",
};

static void partial_rotary(struct decoder *d, double fallback)
{
	double factor = model_partial_rotary(d->b, fallback);

	if (!(factor > 0 && factor <= 1)) {
		qeff_graph_fail(d->b->graph, -EINVAL,
				"%s: \"partial_rotary_factor\" is %g, expected more than 0, at "
				"most 1",
				d->b->config->file, factor);
		return;
	}
	d->rotary_dim = (uint32_t)(d->b->info->head_dim * factor);
}

static void configure_phi(struct decoder *d)
{
	d->head_bias = true;
	partial_rotary(d, 0.5);
	if (model_bool_or(d->b, "qk_layernorm", false)) {
		d->qk_norm = DECODER_QK_HEAD;
		d->names.q_norm = "self_attn.q_layernorm";
		d->names.k_norm = "self_attn.k_layernorm";
	}
}

const struct decoder_row decoder_phi = {
	.keys = &phi_keys,
	.names = &phi_names,
	.norm = DECODER_LAYER,
	.parallel = true,
	.bias = true,
	.epsilon = 1e-5,
	.activation = "gelu_new",
	.theta = 10000,
	.configure = configure_phi,
};

static const struct decoder_names phi3_names = {
	LLAMA_ENDS,
	LLAMA_NORMS,
	LLAMA_ATTENTION,
	LLAMA_MLP,
	.qkv = "self_attn.qkv_proj",
	.gate_up = "mlp.gate_up_proj",
};

static void configure_phi3(struct decoder *d)
{
	partial_rotary(d, 1);
	model_decoder_stacked_qkv(d);
	decoder_window_everywhere(d, 0);
}

const struct decoder_row decoder_phi3 = {
	.keys = &decoder_llama_keys,
	.names = &phi3_names,
	.epsilon = 1e-5,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_phi3,
};

/* ---- Starcoder2 ---- */

static const struct decoder_keys starcoder2_keys = {
	.layers = "num_hidden_layers",
	.hidden = "hidden_size",
	.intermediate = "intermediate_size",
	.heads = "num_attention_heads",
	.kv_heads = "num_key_value_heads",
	.head_dim = "head_dim",
	.positions = "max_position_embeddings",
	.epsilon = "norm_epsilon",
	.activation = "hidden_act",
};

static const struct decoder_names starcoder2_names = {
	LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION, .up = "mlp.c_fc", .down = "mlp.c_proj",
};

static void configure_starcoder2(struct decoder *d)
{
	d->qkv_bias = d->o_bias = d->mlp_bias = model_bool_or(d->b, "use_bias", true);
	decoder_window_everywhere(d, 0);
}

const struct decoder_row decoder_starcoder2 = {
	.keys = &starcoder2_keys,
	.names = &starcoder2_names,
	.norm = DECODER_LAYER,
	.tied = true,
	.epsilon = 1e-5,
	.activation = "gelu_pytorch_tanh",
	.theta = 10000,
	.configure = configure_starcoder2,
};
