/* SPDX-License-Identifier: MIT */
/* Decoders with experts: Mixtral, Qwen3-MoE, GraniteMoE, gpt-oss. */
#include "models/decoder_rows.h"

static void read_experts(struct decoder *d, enum decoder_experts kind, const char *experts,
			 uint32_t width)
{
	d->experts = kind;
	d->num_experts = model_size(d->b, experts, DECODER_MAX_EXPERTS);
	d->chosen = model_size(d->b, "num_experts_per_tok", DECODER_MAX_CHOSEN);
	d->expert_width = width;
	if (d->chosen > d->num_experts)
		qeff_graph_fail(d->b->graph, -EINVAL,
				"%s: \"num_experts_per_tok\" is %u, of \"%s\", %u",
				d->b->config->file, d->chosen, experts, d->num_experts);
}

static const struct decoder_names mixtral_names = {
	LLAMA_ENDS,
	LLAMA_NORMS,
	LLAMA_ATTENTION,
	.router = "block_sparse_moe.gate",
	.experts = "block_sparse_moe.experts",
	.gate = "w1",
	.up = "w3",
	.down = "w2",
};

static void configure_mixtral(struct decoder *d)
{
	decoder_window_everywhere(d, 0);
	read_experts(d, DECODER_EXPERTS_APART, "num_local_experts", d->b->info->intermediate);
}

const struct decoder_row decoder_mixtral = {
	.keys = &decoder_llama_keys,
	.names = &mixtral_names,
	.epsilon = 1e-5,
	.activation = "silu",
	.theta = 1e6,
	.configure = configure_mixtral,
};

/* Layers without experts have the names of Llama's feed-forward part. */
static const struct decoder_names qwen3_moe_names = {
	LLAMA_ENDS,	      LLAMA_NORMS,
	LLAMA_ATTENTION,      QK_NORMS,
	.router = "mlp.gate", .experts = "mlp.experts",
	.gate = "gate_proj",  .up = "up_proj",
	.down = "down_proj",  .dense = "mlp",
};

static void configure_qwen3_moe(struct decoder *d)
{
	struct model_build *b = d->b;
	uint32_t step = model_size_or(b, "decoder_sparse_step", INT32_MAX, 1);
	int64_t dense[DECODER_MAX_LAYERS];
	struct qeff_error why = { 0 };
	size_t count = 0;

	decoder_qwen3_heads(d);
	decoder_attention_bias(d);
	if (model_bool_or(b, "use_sliding_window", false))
		decoder_window_everywhere(d, 4096);
	d->route_all = !model_bool_or(b, "norm_topk_prob", false);
	read_experts(d, DECODER_EXPERTS_APART, "num_experts",
		     model_size(b, "moe_intermediate_size", DECODER_MAX_WIDTH));
	if (qeff_config_ints(b->config, "mlp_only_layers", 0, DECODER_MAX_LAYERS - 1,
			     DECODER_MAX_LAYERS, dense, &count, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	for (uint32_t i = 0; i < b->info->layers; i++)
		d->dense[i] = (i + 1) % step != 0;
	for (size_t i = 0; i < count; i++)
		d->dense[dense[i]] = true;
}

const struct decoder_row decoder_qwen3_moe = {
	.keys = &decoder_llama_keys,
	.names = &qwen3_moe_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_qwen3_moe,
};

static const struct decoder_names granite_moe_names = {
	LLAMA_ENDS,
	LLAMA_NORMS,
	LLAMA_ATTENTION,
	.router = "block_sparse_moe.router.layer",
	.experts = "block_sparse_moe",
	.gate_up = "input_linear",
	.down = "output_linear",
};

static void configure_granite_moe(struct decoder *d)
{
	decoder_granite_factors(d);
	read_experts(d, DECODER_EXPERTS_STACKED, "num_local_experts", d->b->info->intermediate);
}

const struct decoder_row decoder_granite_moe = {
	.keys = &decoder_llama_keys,
	.names = &granite_moe_names,
	.epsilon = 1e-6,
	.activation = "silu",
	.theta = 10000,
	.configure = configure_granite_moe,
};

static const struct decoder_names gpt_oss_names = {
	LLAMA_ENDS,
	LLAMA_NORMS,
	LLAMA_ATTENTION,
	.sinks = "self_attn.sinks",
	.router = "mlp.router",
	.experts = "mlp.experts",
	.gate_up = "gate_up_proj",
	.down = "down_proj",
};

static bool even_layers(const struct decoder *d, uint32_t layer)
{
	return layer % 2 == 0;
}

/* Weights are what their tensors are: of those in MXFP4 the config has nothing to add. */
static void expect_mxfp4(struct decoder *d)
{
	struct qeff_config quantised;
	struct qeff_error why = { 0 };

	if (qeff_config_object(d->b->config, "quantization_config", "quantization_config.",
			       &quantised, &why) ||
	    qeff_config_expect(&quantised, "quant_method", "\"mxfp4\"", &why))
		qeff_graph_fail(d->b->graph, why.code, "%s", why.message);
	else if (quantised.json && !qeff_config_has(&quantised, "quant_method"))
		qeff_graph_fail(d->b->graph, -ENOTSUP,
				"%s: \"quantization_config\" names no \"quant_method\"",
				d->b->config->file);
}

static void configure_gpt_oss(struct decoder *d)
{
	expect_mxfp4(d);
	d->qkv_bias = d->o_bias = model_bool_or(d->b, "attention_bias", true);
	model_decoder_windows(d, decoder_window(d, 128), even_layers);
	read_experts(d, DECODER_EXPERTS_OSS, "num_local_experts", d->b->info->intermediate);
}

const struct decoder_row decoder_gpt_oss = {
	.keys = &decoder_llama_keys,
	.names = &gpt_oss_names,
	.epsilon = 1e-5,
	.activation = "silu",
	.theta = 150000,
	.configure = configure_gpt_oss,
};
