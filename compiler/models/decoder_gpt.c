/* SPDX-License-Identifier: MIT */
/* Decoders that come after GPT: GPT-2, GPT-J, CodeGen, GPTBigCode, Falcon, MPT. */
#include "models/decoder_rows.h"

static const struct decoder_keys gpt2_keys = {
	.layers = "n_layer",
	.hidden = "n_embd",
	.intermediate = "n_inner",
	.heads = "n_head",
	.positions = "n_positions",
	.epsilon = "layer_norm_epsilon",
	.activation = "activation_function",
};

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

const struct decoder_row decoder_gpt2 = {
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

const struct decoder_row decoder_bigcode = {
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

const struct decoder_row decoder_gptj = {
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

const struct decoder_row decoder_codegen = {
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

const struct decoder_row decoder_falcon = {
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

const struct decoder_row decoder_mpt = {
	.keys = &mpt_keys,
	.names = &mpt_names,
	.norm = DECODER_LAYER,
	.wide = 4,
	.tied = true,
	.epsilon = 1e-5,
	.activation = "gelu",
	.configure = configure_mpt,
};
