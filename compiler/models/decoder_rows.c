/* SPDX-License-Identifier: MIT */
/* The rows of decoders in the table of architectures: for each what its config must not say, since
 * it would change the computation and is not handled, and which tensors it may have for nothing. */
#include "models/decoder_rows.h"

static const struct model_expectation gpt2_expectations[] = {
	{ "quantization_config", NULL },
	{ "add_cross_attention", "false" },
	{ NULL, NULL },
};

static const struct model_expectation plain_expectations[] = {
	{ "quantization_config", NULL },
	{ NULL, NULL },
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

static const char *const gptj_ignored[] = { "*.attn.bias", "*.attn.masked_bias",
					    "*.attn.causal_mask", "*.attn.embed_positions", NULL };

/* Keys that the original reads and that its builder here does not handle. */
static const struct model_expectation llama_expectations[] = {
	{ "quantization_config", NULL },
	{ "partial_rotary_factor", "1.0" },
	{ NULL, NULL },
};

static const struct model_expectation gemma_expectations[] = {
	{ "quantization_config", NULL },
	{ "partial_rotary_factor", "1.0" },
	{ "use_bidirectional_attention", "false" },
	{ NULL, NULL },
};

static const struct model_expectation starcoder2_expectations[] = {
	{ "quantization_config", NULL },
	{ "norm_type", "\"layer_norm\"" },
	{ "mlp_type", "\"default\"" },
	{ "partial_rotary_factor", "1.0" },
	{ NULL, NULL },
};

static const char *const rotary_ignored[] = { "*.rotary_emb.inv_freq", NULL };

static const char *const mask_ignored[] = { "*.attn.bias", "*.attn.masked_bias", NULL };

static const struct model_expectation gpt_oss_expectations[] = {
	{ "partial_rotary_factor", "1.0" },
	{ "swiglu_limit", "7.0" },
	{ "hidden_act", "\"silu\"" },
	{ NULL, NULL },
};

#define DECODER(name, type, row, expectations, ignored)                                            \
	{                                                                                          \
		name, type, QEFF_MODEL_CAUSAL_LM, model_build_decoder, expectations, ignored,      \
			&decoder_##row                                                             \
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
	DECODER("MixtralForCausalLM", "mixtral", mixtral, llama_expectations, rotary_ignored),
	DECODER("Qwen3MoeForCausalLM", "qwen3_moe", qwen3_moe, llama_expectations, rotary_ignored),
	DECODER("GraniteMoeForCausalLM", "granitemoe", granite_moe, llama_expectations,
		rotary_ignored),
	DECODER("GptOssForCausalLM", "gpt_oss", gpt_oss, gpt_oss_expectations, rotary_ignored),
	DECODER("Olmo2ForCausalLM", "olmo2", olmo2, llama_expectations, rotary_ignored),
	{ 0 },
};
