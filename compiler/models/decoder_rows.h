/* SPDX-License-Identifier: MIT */
/* What the files of decoders' rows share: keys and names that many families have in common, and the
 * rows themselves for the table. */
#ifndef QEFF_MODELS_DECODER_ROWS_H
#define QEFF_MODELS_DECODER_ROWS_H

#include "models/decoder.h"

#define LLAMA_ATTENTION                                                                            \
	.q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",                 \
	.o = "self_attn.o_proj"
#define LLAMA_ENDS                                                                                 \
	.embedding = "model.embed_tokens", .norm = "model.norm", .head = "lm_head",                \
	.layers = "model.layers"
#define LLAMA_MLP   .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"
#define LLAMA_NORMS .input_norm = "input_layernorm", .post_norm = "post_attention_layernorm"
#define QK_NORMS    .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"

extern const struct decoder_keys decoder_llama_keys;

/* The keys of "sliding_window", @fallback where the config does not mention it; 0 for none. */
uint32_t decoder_window(struct decoder *decoder, uint32_t fallback);
void decoder_window_everywhere(struct decoder *decoder, uint32_t fallback);
/* "attention_bias" */
void decoder_attention_bias(struct decoder *decoder);
/* Windows as Qwen's keys say. */
void decoder_qwen_windows(struct decoder *decoder);
/* Heads of "head_dim", 128 unless it says otherwise, with a norm each. */
void decoder_qwen3_heads(struct decoder *decoder);
/* Granite's factors. */
void decoder_granite_factors(struct decoder *decoder);

extern const struct decoder_row decoder_gpt2;
extern const struct decoder_row decoder_bigcode;
extern const struct decoder_row decoder_gptj;
extern const struct decoder_row decoder_codegen;
extern const struct decoder_row decoder_falcon;
extern const struct decoder_row decoder_mpt;
extern const struct decoder_row decoder_llama;
extern const struct decoder_row decoder_mistral;
extern const struct decoder_row decoder_qwen2;
extern const struct decoder_row decoder_qwen3;
extern const struct decoder_row decoder_olmo2;
extern const struct decoder_row decoder_granite;
extern const struct decoder_row decoder_gemma;
extern const struct decoder_row decoder_gemma2;
extern const struct decoder_row decoder_gemma3;
extern const struct decoder_row decoder_phi;
extern const struct decoder_row decoder_phi3;
extern const struct decoder_row decoder_starcoder2;
extern const struct decoder_row decoder_mixtral;
extern const struct decoder_row decoder_qwen3_moe;
extern const struct decoder_row decoder_granite_moe;
extern const struct decoder_row decoder_gpt_oss;

#endif
