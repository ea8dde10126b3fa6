/* SPDX-License-Identifier: MIT */
/* The table of architectures: which builder makes each, and in what it differs from the others of
 * that builder. */
#include "models/build.h"

static const struct decoder_names llama_names = {
	.embedding = "model.embed_tokens",
	.norm = "model.norm",
	.head = "lm_head",
	.layers = "model.layers",
	.input_norm = "input_layernorm",
	.q = "self_attn.q_proj",
	.k = "self_attn.k_proj",
	.v = "self_attn.v_proj",
	.o = "self_attn.o_proj",
	.post_norm = "post_attention_layernorm",
	.gate = "mlp.gate_proj",
	.up = "mlp.up_proj",
	.down = "mlp.down_proj",
};

/* Keys that the original reads and that its builder here does not handle. */
static const struct model_expectation llama_expectations[] = {
	{ "quantization_config", NULL },
	{ "partial_rotary_factor", "1.0" },
	{ NULL, NULL },
};

static const struct model_expectation bert_expectations[] = {
	{ "quantization_config", NULL },
	{ "position_embedding_type", "\"absolute\"" },
	{ "is_decoder", "false" },
	{ "add_cross_attention", "false" },
	{ NULL, NULL },
};

static const char *const llama_ignored[] = { "*.rotary_emb.inv_freq", NULL };
static const char *const bert_ignored[] = { "*embeddings.position_ids", "pooler.dense.*",
					    "bert.pooler.dense.*", NULL };

const struct model_architecture model_architectures[] = {
	{ "LlamaForCausalLM", "llama", QEFF_MODEL_CAUSAL_LM, model_build_decoder,
	  llama_expectations, llama_ignored, &llama_names },
	{ "BertModel", "bert", QEFF_MODEL_ENCODER, model_build_encoder, bert_expectations,
	  bert_ignored, NULL },
};

const size_t model_num_architectures = sizeof(model_architectures) / sizeof(model_architectures[0]);

const char *qeff_model_architecture(size_t index, enum qeff_model_task *task)
{
	if (index >= model_num_architectures)
		return NULL;
	if (task)
		*task = model_architectures[index].task;
	return model_architectures[index].name;
}
