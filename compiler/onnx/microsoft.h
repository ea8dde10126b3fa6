/* SPDX-License-Identifier: MIT */
/* What the files of microsoft*.c share: a body of ONNX that is written for one node. */
#ifndef QEFF_ONNX_MICROSOFT_H
#define QEFF_ONNX_MICROSOFT_H

#include "onnx/importer.h"

#define MS_LINES 256

/**
 * struct ms_body - lines as function_text.c reads them, which compute what @node does
 * @ret: of the first thing that went wrong, which is told; lines that follow are dropped
 *
 * Names of the node's inputs are those of its row in microsoft.c. Shapes of inputs are numbers.
 */
struct ms_body {
	struct importer *im;
	struct scope *scope;
	const struct import_node *node;
	const char *lines[MS_LINES + 1];
	uint32_t count;
	int ret;
};

__attribute__((format(printf, 2, 3))) void ms_say(struct ms_body *b, const char *format, ...);
__attribute__((format(printf, 2, 3))) void ms_refuse(struct ms_body *b, const char *format, ...);

bool ms_has(const struct ms_body *b, uint32_t input);
bool ms_wants(const struct ms_body *b, uint32_t output);
/* Of an input that is there. */
int ms_type(const struct ms_body *b, uint32_t input);
uint32_t ms_rank(const struct ms_body *b, uint32_t input);
int64_t ms_size(const struct ms_body *b, uint32_t input, uint32_t axis);
/* Refuses an input of another rank; false then, and whatever was wrong before. */
bool ms_need_rank(struct ms_body *b, uint32_t input, uint32_t rank);

int64_t ms_int(const struct ms_body *b, const char *name, int64_t fallback);
float ms_float(struct ms_body *b, const char *name, float fallback);
/* The same for an integer that must be at least 1. */
int64_t ms_count(struct ms_body *b, const char *name);

/* @name becomes a list of integers, or a number of element type @type. */
void ms_ints(struct ms_body *b, const char *name, uint32_t count, const int64_t *numbers);
#define MS_INTS(b, name, ...)                                                                      \
	ms_ints(b, name, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),                     \
		(int64_t[]){ __VA_ARGS__ })
void ms_number(struct ms_body *b, const char *name, int type, double number);

/* The operators, by families. */
void ms_skip_layer_norm(struct ms_body *b);
void ms_skip_rms_norm(struct ms_body *b);
void ms_rms_norm(struct ms_body *b);
void ms_embed_layer_norm(struct ms_body *b);
void ms_gelu(struct ms_body *b);
void ms_fast_gelu(struct ms_body *b);
void ms_bias_gelu(struct ms_body *b);
void ms_quick_gelu(struct ms_body *b);
void ms_fused_matmul(struct ms_body *b);
void ms_fused_gemm(struct ms_body *b);
void ms_fused_conv(struct ms_body *b);

void ms_attention(struct ms_body *b);
void ms_multi_head_attention(struct ms_body *b);
void ms_qattention(struct ms_body *b);
void ms_rotary_embedding(struct ms_body *b);
void ms_group_query_attention(struct ms_body *b);

void ms_matmul_nbits(struct ms_body *b);
void ms_quantize_linear(struct ms_body *b);
void ms_dequantize_linear(struct ms_body *b);
void ms_dynamic_quantize_matmul(struct ms_body *b);
void ms_matmul_integer_to_float(struct ms_body *b);
void ms_qgemm(struct ms_body *b);
void ms_qlinear_binary(struct ms_body *b);
void ms_qlinear_unary(struct ms_body *b);
void ms_qlinear_pool(struct ms_body *b);
void ms_qlinear_where(struct ms_body *b);
void ms_qlinear_concat(struct ms_body *b);

/* ONNX's own: the first of any opset, the others of 23 and 24. */
void os_lp_normalization(struct ms_body *b);
void os_attention(struct ms_body *b);
void os_rotary_embedding(struct ms_body *b);
void os_swish(struct ms_body *b);
void os_tensor_scatter(struct ms_body *b);

/* What the files of attention share. @rotary_dim numbers of each head turn by the rows "cos_rows"
 * and "sin_rows" [batch, 1, seq, rotary_dim / 2]; @to may not be @from [batch, heads, seq, dim]. */
void ms_rotate(struct ms_body *b, const char *to, const char *from, int64_t dim, int64_t rotary_dim,
	       bool interleaved);
/* "y" becomes "x", input 0, turned so: of rank 4, or [batch, seq, heads * dim]. Says whether
 * neighbours turn together by the attribute "interleaved". */
void ms_rotate_x(struct ms_body *b, int64_t batch, int64_t seq, int64_t heads, int64_t dim,
		 int64_t rotary_dim);
/* @to becomes @from [batch, seq, heads * dim] as [batch, heads, seq, dim]. */
void ms_split_heads(struct ms_body *b, const char *to, const char *from, int64_t batch, int64_t seq,
		    int64_t heads, int64_t dim);
/* "y" becomes @from [batch, heads, seq, dim] as [batch, seq, heads * dim]. */
void ms_join_heads(struct ms_body *b, const char *from, int64_t batch, int64_t seq, int64_t width);

#endif
