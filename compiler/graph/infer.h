/* SPDX-License-Identifier: MIT */
/* The shape functions that the rows of the operator table name. Inputs that must be there, are. */
#ifndef QEFF_GRAPH_INFER_H
#define QEFF_GRAPH_INFER_H

#include "graph/ops.h"

#define DECLARE_INFER(name)                                                                        \
	int infer_##name(const struct qeff_node *node, struct qeff_op_result *result,              \
			 struct qeff_error *err)

DECLARE_INFER(arithmetic);
DECLARE_INFER(pow);
DECLARE_INFER(variadic);
DECLARE_INFER(bit_shift);
DECLARE_INFER(same);
DECLARE_INFER(float_unary);
DECLARE_INFER(gelu);
DECLARE_INFER(prelu);
DECLARE_INFER(clip);
DECLARE_INFER(softmax);
DECLARE_INFER(dropout);
DECLARE_INFER(compare);
DECLARE_INFER(test);
DECLARE_INFER(where);
DECLARE_INFER(cast);
DECLARE_INFER(cast_like);
DECLARE_INFER(quantize);
DECLARE_INFER(dequantize);
DECLARE_INFER(dynamic_quantize);
DECLARE_INFER(reduce);
DECLARE_INFER(arg);
DECLARE_INFER(top_k);
DECLARE_INFER(cum_sum);
DECLARE_INFER(matmul);
DECLARE_INFER(matmul_integer);
DECLARE_INFER(qlinear_matmul);
DECLARE_INFER(gemm);
DECLARE_INFER(einsum);
DECLARE_INFER(det);
DECLARE_INFER(conv);
DECLARE_INFER(conv_integer);
DECLARE_INFER(qlinear_conv);
DECLARE_INFER(conv_transpose);
DECLARE_INFER(window_pool);
DECLARE_INFER(global_pool);
DECLARE_INFER(max_unpool);
DECLARE_INFER(lrn);
DECLARE_INFER(resize);
DECLARE_INFER(grid_sample);
DECLARE_INFER(layer_norm);
DECLARE_INFER(batch_norm);
DECLARE_INFER(instance_norm);
DECLARE_INFER(group_norm);
DECLARE_INFER(mean_variance);
DECLARE_INFER(transpose);
DECLARE_INFER(reshape);
DECLARE_INFER(flatten);
DECLARE_INFER(squeeze);
DECLARE_INFER(unsqueeze);
DECLARE_INFER(expand);
DECLARE_INFER(tile);
DECLARE_INFER(slice);
DECLARE_INFER(split);
DECLARE_INFER(concat);
DECLARE_INFER(pad);
DECLARE_INFER(depth_to_space);
DECLARE_INFER(space_to_depth);
DECLARE_INFER(trilu);
DECLARE_INFER(eye_like);
DECLARE_INFER(range);
DECLARE_INFER(reverse_sequence);
DECLARE_INFER(gather);
DECLARE_INFER(gather_elements);
DECLARE_INFER(gather_nd);
DECLARE_INFER(scatter_elements);
DECLARE_INFER(scatter_nd);
DECLARE_INFER(one_hot);
DECLARE_INFER(compress);
DECLARE_INFER(rnn);
DECLARE_INFER(gru);
DECLARE_INFER(lstm);
DECLARE_INFER(loss);
DECLARE_INFER(signal_window);
DECLARE_INFER(dft);
DECLARE_INFER(stft);
DECLARE_INFER(mel_weights);

DECLARE_INFER(dequantize_mxfp4);
DECLARE_INFER(route);
DECLARE_INFER(experts);
DECLARE_INFER(mix);
DECLARE_INFER(norm);
DECLARE_INFER(l2_normalize);
DECLARE_INFER(mask_to_positions);
DECLARE_INFER(rotary);
DECLARE_INFER(attention);
DECLARE_INFER(disentangled_attention);
DECLARE_INFER(ctx_scatter);
DECLARE_INFER(ctx_gather);
DECLARE_INFER(last_token);
DECLARE_INFER(last_tokens);
DECLARE_INFER(sequence_gather);
DECLARE_INFER(sample);
DECLARE_INFER(probabilities);
DECLARE_INFER(mark);
DECLARE_INFER(penalise);
DECLARE_INFER(pool);

#undef DECLARE_INFER

#endif
