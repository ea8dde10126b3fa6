/* SPDX-License-Identifier: MIT */
/* The rows of decoders in the table of architectures, family by family. */
#include "models/decoder.h"

#include <math.h>

/* ---- keys and names that families share ---- */

static const struct decoder_keys llama_keys = {
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

static const struct decoder_keys gpt2_keys = {
	.layers = "n_layer",
	.hidden = "n_embd",
	.intermediate = "n_inner",
	.heads = "n_head",
	.positions = "n_positions",
	.epsilon = "layer_norm_epsilon",
	.activation = "activation_function",
};

#define LLAMA_ATTENTION                                                                            \
	.q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",                 \
	.o = "self_attn.o_proj"
#define LLAMA_ENDS                                                                                 \
	.embedding = "model.embed_tokens", .norm = "model.norm", .head = "lm_head",                \
	.layers = "model.layers"
#define LLAMA_MLP   .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"
#define LLAMA_NORMS .input_norm = "input_layernorm", .post_norm = "post_attention_layernorm"

static const struct decoder_names llama_names = { LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION,
						  LLAMA_MLP };

static const char *const rotary_ignored[] = { "*.rotary_emb.inv_freq", NULL };
static const char *const mask_ignored[] = { "*.attn.bias", "*.attn.masked_bias", NULL };

static bool every_layer(const struct decoder *d, uint32_t layer)
{
	return true;
}

/* The keys of "sliding_window", 0 for none. */
static uint32_t window_of(struct decoder *d)
{
	if (!qeff_config_has(d->b->config, "sliding_window"))
		return 0;
	return model_size(d->b, "sliding_window", INT32_MAX);
}

static void window_everywhere(struct decoder *d)
{
	model_decoder_windows(d, window_of(d), every_layer);
}

static void attention_bias(struct decoder *d)
{
	d->qkv_bias = d->o_bias = model_bool_or(d->b, "attention_bias", false);
}

/* ---- GPT-2, GPT-J, CodeGen, GPTBigCode ---- */

static const struct decoder_names gpt2_names = {
	.embedding = "transformer.wte",
	.positions = "transformer.wpe",
	.norm = "transformer.ln_f",
	.head = "lm_head",
	.layers = "transformer.h",
	.input_norm = "ln_1",
	.q = "attn.q",
	.k = "attn.k",
	.v = "attn.v",
	.qkv = "attn.c_attn",
	.o = "attn.c_proj",
	.post_norm = "ln_2",
	.up = "mlp.c_fc",
	.down = "mlp.c_proj",
};

/* Checkpoints of the base model name everything without "transformer." */
static void without_prefix(struct decoder *d, const struct decoder_names *names)
{
	if (model_has(d->b, "transformer.wte.weight"))
		return;
	d->names.embedding = names->embedding + sizeof("transformer.") - 1;
	d->names.positions = names->positions + sizeof("transformer.") - 1;
	d->names.norm = names->norm + sizeof("transformer.") - 1;
	d->names.layers = names->layers + sizeof("transformer.") - 1;
}

static void configure_gpt2(struct decoder *d)
{
	without_prefix(d, &gpt2_names);
	if (!model_bool_or(d->b, "scale_attn_weights", true))
		d->scale = 1;
	d->layer_scale = model_bool_or(d->b, "scale_attn_by_inverse_layer_idx", false);
	model_decoder_stacked_qkv(d);
}

static const struct decoder_row gpt2 = {
	.keys = &gpt2_keys,
	.names = &gpt2_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.tied = true,
	.transposed = true,
	.bias = true,
	.epsilon = 1e-5,
	.activation = "gelu_new",
	.configure = configure_gpt2,
};

static const struct model_expectation gpt2_expectations[] = {
	{ "quantization_config", NULL },
	{ "add_cross_attention", "false" },
	{ NULL, NULL },
};

static void configure_bigcode(struct decoder *d)
{
	without_prefix(d, &gpt2_names);
	if (!model_bool_or(d->b, "scale_attn_weights", true))
		d->scale = 1;
	if (model_bool_or(d->b, "multi_query", true)) {
		d->b->info->kv_heads = 1;
		model_decoder_stacked_qkv(d);
	} else {
		model_decoder_grouped_qkv(d);
	}
}

static const struct decoder_row bigcode = {
	.keys = &gpt2_keys,
	.names = &gpt2_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.tied = true,
	.bias = true,
	.epsilon = 1e-5,
	.activation = "gelu_pytorch_tanh",
	.configure = configure_bigcode,
};

static const struct decoder_names gptj_names = {
	.embedding = "transformer.wte",
	.norm = "transformer.ln_f",
	.head = "lm_head",
	.layers = "transformer.h",
	.input_norm = "ln_1",
	.q = "attn.q_proj",
	.k = "attn.k_proj",
	.v = "attn.v_proj",
	.o = "attn.out_proj",
	.up = "mlp.fc_in",
	.down = "mlp.fc_out",
};

static const struct decoder_names codegen_names = {
	.embedding = "transformer.wte",
	.norm = "transformer.ln_f",
	.head = "lm_head",
	.layers = "transformer.h",
	.input_norm = "ln_1",
	.q = "attn.q",
	.k = "attn.k",
	.v = "attn.v",
	.qkv = "attn.qkv_proj",
	.o = "attn.out_proj",
	.up = "mlp.fc_in",
	.down = "mlp.fc_out",
};

static void configure_gptj(struct decoder *d)
{
	d->qkv_bias = d->o_bias = false;
	d->head_bias = true;
	d->rotary_dim = model_size_or(d->b, "rotary_dim", DECODER_MAX_WIDTH, 64);
}

/* Queries, values and keys in each of the four parts that the model was trained on. */
static void configure_codegen(struct decoder *d)
{
	const struct qeff_model_info *info = d->b->info;
	uint32_t part = info->hidden / 4;

	configure_gptj(d);
	if (info->heads % 4)
		qeff_graph_fail(d->b->graph, -EINVAL,
				"%s: \"n_head\" is %u, expected a multiple of 4",
				d->b->config->file, info->heads);
	d->qkv[0] = (struct model_part){ 4, 3 * part, 0, part };
	d->qkv[1] = (struct model_part){ 4, 3 * part, 2 * part, part };
	d->qkv[2] = (struct model_part){ 4, 3 * part, part, part };
}

static const struct decoder_row gptj = {
	.keys = &gpt2_keys,
	.names = &gptj_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.parallel = true,
	.interleaved = true,
	.bias = true,
	.epsilon = 1e-5,
	.activation = "gelu_new",
	.theta = 10000,
	.configure = configure_gptj,
};

static const struct decoder_row codegen = {
	.keys = &gpt2_keys,
	.names = &codegen_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.parallel = true,
	.interleaved = true,
	.bias = true,
	.epsilon = 1e-5,
	.activation = "gelu_new",
	.theta = 10000,
	.configure = configure_codegen,
};

static const char *const gptj_ignored[] = { "*.attn.bias", "*.attn.masked_bias",
					    "*.attn.causal_mask", "*.attn.embed_positions", NULL };

static const struct model_expectation plain_expectations[] = {
	{ "quantization_config", NULL },
	{ NULL, NULL },
};

/* ---- Falcon ---- */

static const struct decoder_keys falcon_keys = {
	.layers = "num_hidden_layers",
	.hidden = "hidden_size",
	.intermediate = "ffn_hidden_size",
	.heads = "num_attention_heads",
	.positions = "max_position_embeddings",
	.epsilon = "layer_norm_epsilon",
	.activation = "activation",
};

static const struct decoder_names falcon_names = {
	.embedding = "transformer.word_embeddings",
	.norm = "transformer.ln_f",
	.head = "lm_head",
	.layers = "transformer.h",
	.input_norm = "input_layernorm",
	.q = "self_attention.query",
	.k = "self_attention.key",
	.v = "self_attention.value",
	.qkv = "self_attention.query_key_value",
	.o = "self_attention.dense",
	.up = "mlp.dense_h_to_4h",
	.down = "mlp.dense_4h_to_h",
};

static void configure_falcon(struct decoder *d)
{
	struct model_build *b = d->b;
	struct qeff_model_info *info = b->info;
	bool is_new = model_bool_or(b, "new_decoder_architecture", false);
	uint32_t norms = model_size_or(b, "num_ln_in_parallel_attn", 2, is_new ? 2 : 1);

	d->qkv_bias = d->o_bias = d->mlp_bias = model_bool_or(b, "bias", false);
	d->parallel = model_bool_or(b, "parallel_attn", true);
	if (model_bool_or(b, "alibi", false)) {
		d->alibi = DECODER_ALIBI_FALCON;
		d->rotary_dim = 0;
	}
	if (is_new && !d->parallel)
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"parallel_attn\" is false with "
				"\"new_decoder_architecture\", which is not supported",
				b->config->file);
	if (!d->parallel) {
		d->names.post_norm = "post_attention_layernorm";
	} else if (norms == 2) {
		d->names.input_norm = "ln_attn";
		d->names.post_norm = "ln_mlp";
	}
	if (is_new) {
		info->kv_heads = model_size_or(b, "num_kv_heads", DECODER_MAX_WIDTH, info->heads);
		model_decoder_grouped_qkv(d);
	} else if (model_bool_or(b, "multi_query", true)) {
		info->kv_heads = 1;
		model_decoder_stacked_qkv(d);
	} else {
		model_decoder_grouped_qkv(d);
	}
}

static const struct decoder_row falcon = {
	.keys = &falcon_keys,
	.names = &falcon_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.tied = true,
	.epsilon = 1e-5,
	.activation = "gelu",
	.theta = 10000,
	.configure = configure_falcon,
};

/* ---- MPT ---- */

static const struct decoder_keys mpt_keys = {
	.layers = "n_layers",
	.hidden = "d_model",
	.heads = "n_heads",
	.positions = "max_seq_len",
	.epsilon = "layer_norm_epsilon",
};

static const struct decoder_names mpt_names = {
	.embedding = "transformer.wte",
	.norm = "transformer.norm_f",
	.head = "lm_head",
	.layers = "transformer.blocks",
	.input_norm = "norm_1",
	.q = "attn.query",
	.k = "attn.key",
	.v = "attn.value",
	.qkv = "attn.Wqkv",
	.o = "attn.out_proj",
	.post_norm = "norm_2",
	.up = "ffn.up_proj",
	.down = "ffn.down_proj",
};

static void configure_mpt(struct decoder *d)
{
	static const struct model_expectation expectations[] = {
		{ "attn_type", "\"multihead_attention\"" },
		{ "alibi", "true" },
		{ "alibi_bias_max", "8" },
		{ "clip_qkv", NULL },
		{ "prefix_lm", "false" },
		{ "qk_ln", "false" },
		{ "attn_uses_sequence_id", "false" },
	};
	struct qeff_error why = { 0 };
	struct qeff_config attention;
	int ret = qeff_config_object(d->b->config, "attn_config", "attn_config.", &attention, &why);

	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]) && !ret; i++)
		ret = qeff_config_expect(&attention, expectations[i].key, expectations[i].json,
					 &why);
	if (!ret)
		ret = qeff_config_float(&attention, "softmax_scale", 0, 1e6, &d->scale, &why);
	if (ret)
		qeff_graph_fail(d->b->graph, why.code, "%s", why.message);
	d->rotary_dim = 0;
	d->alibi = DECODER_ALIBI_MPT;
	model_decoder_stacked_qkv(d);
}

static const struct decoder_row mpt = {
	.keys = &mpt_keys,
	.names = &mpt_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.tied = true,
	.epsilon = 1e-5,
	.activation = "gelu",
	.configure = configure_mpt,
};

static const struct model_expectation mpt_expectations[] = {
	{ "quantization_config", NULL },
	{ "expansion_ratio", "4" },
	{ "no_bias", "true" },
	{ "logit_scale", NULL },
	{ "norm_type", "\"low_precision_layernorm\"" },
	{ "embedding_fraction", "1.0" },
	{ NULL, NULL },
};

/* ---- Llama and its relatives ---- */

static void configure_llama(struct decoder *d)
{
	attention_bias(d);
	d->mlp_bias = model_bool_or(d->b, "mlp_bias", false);
}

static const struct decoder_row llama = {
	.keys = &llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_llama,
};

static const struct decoder_row mistral = {
	.keys = &llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = window_everywhere,
};

/* Keys that the original reads and that its builder here does not handle. */
static const struct model_expectation llama_expectations[] = {
	{ "quantization_config", NULL },
	{ "partial_rotary_factor", "1.0" },
	{ NULL, NULL },
};

static bool beyond_max_window_layers(const struct decoder *d, uint32_t layer)
{
	return layer >= d->first_window;
}

static void qwen_windows(struct decoder *d)
{
	if (!model_bool_or(d->b, "use_sliding_window", false))
		return;
	d->first_window = model_size_or(d->b, "max_window_layers", INT32_MAX, 28);
	model_decoder_windows(d, window_of(d) ?: 4096, beyond_max_window_layers);
}

static void configure_qwen2(struct decoder *d)
{
	d->qkv_bias = true;
	qwen_windows(d);
}

static const struct decoder_row qwen2 = {
	.keys = &llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_qwen2,
};

#define QK_NORMS .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"

static const struct decoder_names qwen3_names = { LLAMA_ENDS, LLAMA_NORMS, LLAMA_ATTENTION,
						  QK_NORMS, LLAMA_MLP };

static void configure_qwen3(struct decoder *d)
{
	struct qeff_model_info *info = d->b->info;

	info->head_dim = model_size_or(d->b, "head_dim", DECODER_MAX_WIDTH, 128);
	d->rotary_dim = info->head_dim;
	d->scale = 1 / sqrt(info->head_dim);
	d->qk_norm = DECODER_QK_HEAD;
	attention_bias(d);
	qwen_windows(d);
}

static const struct decoder_row qwen3 = {
	.keys = &llama_keys,
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
	attention_bias(d);
}

static const struct decoder_row olmo2 = {
	.keys = &llama_keys,
	.names = &olmo2_names,
	.epsilon = 1e-5,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_olmo2,
};

static void configure_granite(struct decoder *d)
{
	attention_bias(d);
	d->mlp_bias = model_bool_or(d->b, "mlp_bias", false);
	d->embedding_scale = model_float_or(d->b, "embedding_multiplier", 1);
	d->residual_scale = model_float_or(d->b, "residual_multiplier", 1);
	d->scale = model_float_or(d->b, "attention_multiplier", 1);
	d->logits_scale = 1 / model_float_or(d->b, "logits_scaling", 1);
	if (!isfinite(d->logits_scale))
		qeff_graph_fail(d->b->graph, -EINVAL, "%s: \"logits_scaling\" is 0",
				d->b->config->file);
}

static const struct decoder_row granite = {
	.keys = &llama_keys,
	.names = &llama_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_granite,
};

/* ---- Gemma ---- */

static void configure_gemma(struct decoder *d)
{
	attention_bias(d);
	d->embedding_scale = sqrt(d->b->info->hidden);
}

static const struct decoder_row gemma = {
	.keys = &llama_keys,
	.names = &llama_names,
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
	model_decoder_windows(d, window_of(d), even_layers);
}

static const struct decoder_row gemma2 = {
	.keys = &llama_keys,
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
	model_decoder_windows(d, window_of(d), by_pattern);
}

static const struct decoder_row gemma3 = {
	.keys = &llama_keys,
	.names = &gemma3_names,
	.norm = DECODER_RMS_PLUS_ONE,
	.tied = true,
	.epsilon = 1e-6,
	.activation = "gelu_pytorch_tanh",
	.theta = 1000000,
	.configure = configure_gemma3,
};

static const struct model_expectation gemma_expectations[] = {
	{ "quantization_config", NULL },
	{ "partial_rotary_factor", "1.0" },
	{ "use_bidirectional_attention", "false" },
	{ NULL, NULL },
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
	double factor = model_float_or(d->b, "partial_rotary_factor", fallback);

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

static const struct decoder_row phi = {
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
	window_everywhere(d);
}

static const struct decoder_row phi3 = {
	.keys = &llama_keys,
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
	window_everywhere(d);
}

static const struct decoder_row starcoder2 = {
	.keys = &starcoder2_keys,
	.names = &starcoder2_names,
	.norm = DECODER_LAYER,
	.tied = true,
	.epsilon = 1e-5,
	.activation = "gelu_pytorch_tanh",
	.theta = 10000,
	.configure = configure_starcoder2,
};

static const struct model_expectation starcoder2_expectations[] = {
	{ "quantization_config", NULL },
	{ "norm_type", "\"layer_norm\"" },
	{ "mlp_type", "\"default\"" },
	{ "partial_rotary_factor", "1.0" },
	{ NULL, NULL },
};

/* ---- the table ---- */

#define DECODER(name, type, row, expectations, ignored)                                            \
	{                                                                                          \
		name, type, QEFF_MODEL_CAUSAL_LM, model_build_decoder, expectations, ignored, &row \
	}

const struct model_architecture model_decoder_rows[] = {
	DECODER("LlamaForCausalLM", "llama", llama, llama_expectations, rotary_ignored),
	DECODER("GPT2LMHeadModel", "gpt2", gpt2, gpt2_expectations, mask_ignored),
	DECODER("GPTJForCausalLM", "gptj", gptj, plain_expectations, gptj_ignored),
	DECODER("GPTBigCodeForCausalLM", "gpt_bigcode", bigcode, gpt2_expectations, mask_ignored),
	DECODER("Starcoder2ForCausalLM", "starcoder2", starcoder2, starcoder2_expectations,
		rotary_ignored),
	DECODER("CodeGenForCausalLM", "codegen", codegen, plain_expectations, gptj_ignored),
	DECODER("FalconForCausalLM", "falcon", falcon, plain_expectations, rotary_ignored),
	DECODER("MptForCausalLM", "mpt", mpt, mpt_expectations, mask_ignored),
	DECODER("MistralForCausalLM", "mistral", mistral, llama_expectations, rotary_ignored),
	DECODER("Qwen2ForCausalLM", "qwen2", qwen2, llama_expectations, rotary_ignored),
	DECODER("Qwen3ForCausalLM", "qwen3", qwen3, llama_expectations, rotary_ignored),
	DECODER("GemmaForCausalLM", "gemma", gemma, gemma_expectations, rotary_ignored),
	DECODER("Gemma2ForCausalLM", "gemma2", gemma2, gemma_expectations, rotary_ignored),
	DECODER("Gemma3ForCausalLM", "gemma3_text", gemma3, gemma_expectations, rotary_ignored),
	DECODER("PhiForCausalLM", "phi", phi, plain_expectations, rotary_ignored),
	DECODER("Phi3ForCausalLM", "phi3", phi3, plain_expectations, rotary_ignored),
	DECODER("GraniteForCausalLM", "granite", granite, llama_expectations, rotary_ignored),
	DECODER("Olmo2ForCausalLM", "olmo2", olmo2, llama_expectations, rotary_ignored),
	{ 0 },
};
