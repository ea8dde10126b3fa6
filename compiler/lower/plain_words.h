/* SPDX-License-Identifier: MIT */
/* The plain lowerings of ONNX's operators, by family; plain.c names them in its table. */
#ifndef QEFF_LOWER_PLAIN_WORDS_H
#define QEFF_LOWER_PLAIN_WORDS_H

#include "lower/words.h"

/* Elementwise operators are expressions in a table: 1 if @node is none of them. */
int plain_expression(struct words *w);
bool plain_is_expression(const char *op);

/* elementwise with a twist */
void plain_pow(struct words *w);
void plain_variadic(struct words *w);
void plain_clip(struct words *w);
void plain_cast(struct words *w);
void plain_identity(struct words *w);
void plain_dropout(struct words *w);
void plain_is_inf(struct words *w);
void plain_quantize(struct words *w);
void plain_dequantize(struct words *w);
void plain_dynamic_quantize(struct words *w);

/* folds */
void plain_reduce(struct words *w);
void plain_arg(struct words *w);
void plain_top_k(struct words *w);
void plain_cum_sum(struct words *w);
void plain_softmax(struct words *w);
void plain_hardmax(struct words *w);
void plain_layer_norm(struct words *w);
void plain_rms_norm(struct words *w);
void plain_batch_norm(struct words *w);
void plain_instance_norm(struct words *w);
void plain_group_norm(struct words *w);
void plain_mean_variance(struct words *w);
void plain_loss(struct words *w);
/* x - max - log(sum(exp(x - max))) along @axis. */
void plain_log_softmax_of(struct words *w, const struct dense_view *x, uint32_t axis,
			  const struct dense_view *out);

/* movement */
void plain_transpose(struct words *w);
void plain_reshape(struct words *w); /* whatever keeps elements in order */
void plain_expand(struct words *w);
void plain_tile(struct words *w);
void plain_slice(struct words *w);
void plain_split(struct words *w);
void plain_concat(struct words *w);
void plain_pad(struct words *w);
void plain_depth_to_space(struct words *w);
void plain_space_to_depth(struct words *w);
void plain_trilu(struct words *w);
void plain_eye_like(struct words *w);
void plain_range(struct words *w);

/* choice */
void plain_gather(struct words *w);
void plain_gather_elements(struct words *w);
void plain_gather_nd(struct words *w);
void plain_scatter_elements(struct words *w);
void plain_scatter_nd(struct words *w);
void plain_one_hot(struct words *w);
void plain_compress(struct words *w);
void plain_reverse_sequence(struct words *w);

/* products */
void plain_matmul(struct words *w);
void plain_gemm(struct words *w);
void plain_einsum(struct words *w);
void plain_matmul_integer(struct words *w);
void plain_qlinear_matmul(struct words *w);
void plain_det(struct words *w);
void plain_conv(struct words *w);
void plain_conv_integer(struct words *w);
void plain_qlinear_conv(struct words *w);
void plain_conv_transpose(struct words *w);
/* out = saturated(round(acc * sa * sb / sy) + zero point); operands stretch. */
void plain_requantize(struct words *w, const struct dense_view *acc, const struct dense_view *sa,
		      const struct dense_view *sb, const struct dense_view *sy,
		      const struct dense_view *zero, const struct dense_view *out);
/* The least and the most that a type holds. */
void plain_limits(uint8_t type, double limits[2]);

/* windows */
void plain_pool(struct words *w);
void plain_max_unpool(struct words *w);
void plain_global_pool(struct words *w);
void plain_lrn(struct words *w);
void plain_resize(struct words *w);
void plain_grid_sample(struct words *w);

/* signals */
void plain_signal_window(struct words *w);
void plain_dft(struct words *w);
void plain_stft(struct words *w);
void plain_mel_weights(struct words *w);

void plain_recurrent(struct words *w);

#endif
