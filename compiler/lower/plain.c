/* SPDX-License-Identifier: MIT */
/* The table of plain lowerings. */
#include "lower/plain.h"

#include "graph/ops.h"
#include "lower/plain_words.h"

#include <string.h>

static const struct {
	const char *op;
	void (*lower)(struct words *w);
} table[] = {
	{ "ArgMax", plain_arg },
	{ "ArgMin", plain_arg },
	{ "AveragePool", plain_pool },
	{ "BatchNormalization", plain_batch_norm },
	{ "BlackmanWindow", plain_signal_window },
	{ "Cast", plain_cast },
	{ "CastLike", plain_cast },
	{ "Clip", plain_clip },
	{ "Compress", plain_compress },
	{ "Concat", plain_concat },
	{ "Conv", plain_conv },
	{ "ConvInteger", plain_conv_integer },
	{ "ConvTranspose", plain_conv_transpose },
	{ "CumSum", plain_cum_sum },
	{ "DFT", plain_dft },
	{ "DepthToSpace", plain_depth_to_space },
	{ "DequantizeLinear", plain_dequantize },
	{ "Det", plain_det },
	{ "Dropout", plain_dropout },
	{ "DynamicQuantizeLinear", plain_dynamic_quantize },
	{ "Einsum", plain_einsum },
	{ "Expand", plain_expand },
	{ "EyeLike", plain_eye_like },
	{ "Flatten", plain_reshape },
	{ "GRU", plain_recurrent },
	{ "Gather", plain_gather },
	{ "GatherElements", plain_gather_elements },
	{ "GatherND", plain_gather_nd },
	{ "Gemm", plain_gemm },
	{ "GlobalAveragePool", plain_global_pool },
	{ "GlobalLpPool", plain_global_pool },
	{ "GlobalMaxPool", plain_global_pool },
	{ "GridSample", plain_grid_sample },
	{ "GroupNormalization", plain_group_norm },
	{ "HammingWindow", plain_signal_window },
	{ "HannWindow", plain_signal_window },
	{ "Hardmax", plain_hardmax },
	{ "Identity", plain_identity },
	{ "InstanceNormalization", plain_instance_norm },
	{ "IsInf", plain_is_inf },
	{ "LRN", plain_lrn },
	{ "LSTM", plain_recurrent },
	{ "LayerNormalization", plain_layer_norm },
	{ "LogSoftmax", plain_softmax },
	{ "LpPool", plain_pool },
	{ "MatMul", plain_matmul },
	{ "MatMulInteger", plain_matmul_integer },
	{ "Max", plain_variadic },
	{ "MelWeightMatrix", plain_mel_weights },
	{ "MaxPool", plain_pool },
	{ "MaxUnpool", plain_max_unpool },
	{ "Mean", plain_variadic },
	{ "MeanVarianceNormalization", plain_mean_variance },
	{ "Min", plain_variadic },
	{ "NegativeLogLikelihoodLoss", plain_loss },
	{ "OneHot", plain_one_hot },
	{ "Pad", plain_pad },
	{ "Pow", plain_pow },
	{ "QLinearConv", plain_qlinear_conv },
	{ "QLinearMatMul", plain_qlinear_matmul },
	{ "QuantizeLinear", plain_quantize },
	{ "RNN", plain_recurrent },
	{ "Range", plain_range },
	{ "ReduceL1", plain_reduce },
	{ "ReduceL2", plain_reduce },
	{ "ReduceLogSum", plain_reduce },
	{ "ReduceLogSumExp", plain_reduce },
	{ "ReduceMax", plain_reduce },
	{ "ReduceMean", plain_reduce },
	{ "ReduceMin", plain_reduce },
	{ "ReduceProd", plain_reduce },
	{ "ReduceSum", plain_reduce },
	{ "ReduceSumSquare", plain_reduce },
	{ "Reshape", plain_reshape },
	{ "Resize", plain_resize },
	{ "ReverseSequence", plain_reverse_sequence },
	{ "STFT", plain_stft },
	{ "ScatterElements", plain_scatter_elements },
	{ "ScatterND", plain_scatter_nd },
	{ "Slice", plain_slice },
	{ "Softmax", plain_softmax },
	{ "SoftmaxCrossEntropyLoss", plain_loss },
	{ "SpaceToDepth", plain_space_to_depth },
	{ "Split", plain_split },
	{ "Squeeze", plain_reshape },
	{ "Sum", plain_variadic },
	{ "Tile", plain_tile },
	{ "TopK", plain_top_k },
	{ "Transpose", plain_transpose },
	{ "Trilu", plain_trilu },
	{ "Unsqueeze", plain_reshape },
	{ "qeff.RMSNorm", plain_rms_norm },
};

bool qeff_plain_has(const char *op)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].op, op))
			return true;
	return plain_is_expression(op);
}

/* What is too large is refused before anyone reckons with its sizes. */
static int check_size(struct select *s, const struct qeff_value *value)
{
	uint64_t elements;

	if (!value || (qeff_graph_shape_elements(&value->shape, &elements) &&
		       elements <= LOWER_MAX_STATE_BYTES / 8))
		return 0;
	return qeff_error_set(s->err, -EFBIG, "%s is larger than a tensor can be", value->name);
}

int qeff_plain_lower(struct select *s, const struct qeff_node *node)
{
	struct words w = { .s = s, .node = node };

	for (uint32_t i = 0; !w.rc && i < node->num_inputs; i++)
		w.rc = check_size(s, node->inputs[i]);
	for (uint32_t i = 0; !w.rc && i < node->num_outputs; i++)
		w.rc = check_size(s, node->outputs[i]);
	if (w.rc)
		return w.rc;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (qeff_node_is(node, table[i].op)) {
			table[i].lower(&w);
			return w.rc;
		}
	return plain_expression(&w);
}
