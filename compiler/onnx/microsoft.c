/* SPDX-License-Identifier: MIT */
/*
 * Import: operators of com.microsoft, which onnxruntime's optimiser and quantiser write. Each is
 * written out in ONNX, for its inputs and attributes, and that takes its place as a function's body
 * does; so what recognises patterns need not know of it.
 */
#include "onnx/microsoft.h"

#include "graph/ops.h"
#include "onnx/functions.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

void ms_say(struct ms_body *b, const char *format, ...)
{
	char line[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (b->ret)
		return;
	if (b->count == MS_LINES || length >= (int)sizeof(line)) {
		ms_refuse(b, "is too large to be written out");
		return;
	}
	b->lines[b->count] = qeff_arena_copy(&b->im->scratch, line, (size_t)length);
	if (!b->lines[b->count++])
		b->ret = import_no_memory(b->im);
}

void ms_refuse(struct ms_body *b, const char *format, ...)
{
	char what[256];
	va_list args;

	if (b->ret)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	b->ret = import_refuse(b->im, b->node, -ENOTSUP, "%s", what);
}

bool ms_has(const struct ms_body *b, uint32_t input)
{
	return input < b->node->num_inputs && b->node->inputs[input];
}

bool ms_wants(const struct ms_body *b, uint32_t output)
{
	return output < b->node->num_outputs && *b->node->outputs[output];
}

int ms_type(const struct ms_body *b, uint32_t input)
{
	return b->node->inputs[input]->type;
}

uint32_t ms_rank(const struct ms_body *b, uint32_t input)
{
	return b->node->inputs[input]->shape.rank;
}

int64_t ms_size(const struct ms_body *b, uint32_t input, uint32_t axis)
{
	return b->node->inputs[input]->shape.dims[axis].size;
}

bool ms_need_rank(struct ms_body *b, uint32_t input, uint32_t rank)
{
	if (!ms_has(b, input))
		ms_refuse(b, "input %u is missing", input);
	else if (ms_rank(b, input) != rank)
		ms_refuse(b, "input %u has %u dimensions, not %u", input, ms_rank(b, input), rank);
	return !b->ret;
}

int64_t ms_int(const struct ms_body *b, const char *name, int64_t fallback)
{
	return import_int(b->node, name, fallback);
}

float ms_float(struct ms_body *b, const char *name, float fallback)
{
	const struct qeff_attribute *a = import_attribute(b->node, name);

	if (!a)
		return fallback;
	if (a->kind != QEFF_ATTR_FLOAT || !isfinite(a->f))
		ms_refuse(b, "attribute \"%s\" is no number", name);
	return a->f;
}

int64_t ms_count(struct ms_body *b, const char *name)
{
	int64_t count = ms_int(b, name, 0);

	if (count < 1 || count > INT32_MAX) {
		ms_refuse(b, "attribute \"%s\" is missing or wrong", name);
		return 1;
	}
	return count;
}

void ms_ints(struct ms_body *b, const char *name, uint32_t count, const int64_t *numbers)
{
	char list[512];
	size_t at = 0;

	*list = 0;
	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%lld", i ? "," : "",
				       (long long)numbers[i]);
	ms_say(b, "%s = Constant() value_ints=[%s]", name, list);
}

void ms_number(struct ms_body *b, const char *name, int type, double number)
{
	ms_say(b, "%s/f32 = Constant() value_float=%.9g", name, number);
	ms_say(b, "%s = Cast(%s/f32) to=%d", name, name, type);
}

/* ---- the table ---- */

#define ATTENTION_ATTRIBUTES                                                                       \
	"num_heads unidirectional scale mask_filter_value do_rotary past_present_share_buffer"

/**
 * struct row - an operator
 * @inputs, @needed: names, and how many of the first ones must be there; "*" is any number
 * @outputs: names
 * @attributes: that it may have
 */
static const struct row {
	const char *op;
	const char *inputs;
	uint32_t needed;
	const char *outputs;
	const char *attributes;
	void (*write)(struct ms_body *b);
} rows[] = {
	{ "SkipLayerNormalization", "x skip gamma beta bias", 3, "y mean inverse sum", "epsilon",
	  ms_skip_layer_norm },
	{ "SkipSimplifiedLayerNormalization", "x skip gamma bias", 3, "y mean inverse sum",
	  "epsilon", ms_skip_rms_norm },
	{ "SimplifiedLayerNormalization", "x gamma", 2, "y inverse", "epsilon axis stash_type",
	  ms_rms_norm },
	{ "EmbedLayerNormalization",
	  "ids segment_ids words positions segments gamma beta mask position_ids", 1,
	  "y mask_index sum", "epsilon mask_index_type", ms_embed_layer_norm },
	{ "Gelu", "x", 1, "y", "", ms_gelu },
	{ "FastGelu", "x bias", 1, "y", "", ms_fast_gelu },
	{ "BiasGelu", "x bias", 2, "y", "", ms_bias_gelu },
	{ "QuickGelu", "x", 1, "y", "alpha", ms_quick_gelu },
	{ "FusedMatMul", "x w", 2, "y", "alpha transA transB transBatchA transBatchB",
	  ms_fused_matmul },
	{ "TransposeMatMul", "x w", 2, "y", "alpha transA transB", ms_fused_matmul },
	{ "FusedGemm", "x w c", 2, "y",
	  "alpha beta transA transB activation activation_alpha activation_beta activation_gamma",
	  ms_fused_gemm },
	{ "FusedConv", "x w bias z", 2, "y",
	  "activation activation_params auto_pad dilations group kernel_shape pads strides",
	  ms_fused_conv },
	{ "Attention", "x w bias mask past attention_bias past_length", 2, "y present",
	  ATTENTION_ATTRIBUTES " qkv_hidden_sizes rotary_embedding_dim", ms_attention },
	{ "QAttention", "x_q w_q bias x_scale w_scale mask x_zero w_zero past", 5, "y present",
	  ATTENTION_ATTRIBUTES, ms_qattention },
	{ "MultiHeadAttention", "q_in k_in v_in bias mask attention_bias past_k past_v", 1,
	  "y present_k present_v", "num_heads unidirectional scale mask_filter_value",
	  ms_multi_head_attention },
	{ "GroupQueryAttention", "q_in k_in v_in past_k past_v lengths total cos sin", 1,
	  "y present_k present_v",
	  "num_heads kv_num_heads scale do_rotary rotary_interleaved local_window_size softcap "
	  "smooth_softmax",
	  ms_group_query_attention },
	{ "RotaryEmbedding", "x position_ids cos sin", 4, "y",
	  "interleaved num_heads rotary_embedding_dim scale is_packed_batching",
	  ms_rotary_embedding },
	{ "MatMulNBits", "x w scales zeros groups bias", 3, "y",
	  "K N bits block_size accuracy_level", ms_matmul_nbits },
	{ "QuantizeLinear", "x scale zero", 2, "y", "axis", ms_quantize_linear },
	{ "DequantizeLinear", "x scale zero", 2, "y", "axis", ms_dequantize_linear },
	{ "DynamicQuantizeMatMul", "x w w_scale w_zero bias", 3, "y", "",
	  ms_dynamic_quantize_matmul },
	{ "MatMulIntegerToFloat", "x w x_scale w_scale x_zero w_zero bias", 4, "y", "",
	  ms_matmul_integer_to_float },
	{ "QGemm", "x x_scale x_zero w w_scale w_zero c y_scale y_zero", 5, "y",
	  "alpha transA transB", ms_qgemm },
	{ "QLinearAdd", "a a_scale a_zero b b_scale b_zero y_scale y_zero", 2, "y", "",
	  ms_qlinear_binary },
	{ "QLinearMul", "a a_scale a_zero b b_scale b_zero y_scale y_zero", 2, "y", "",
	  ms_qlinear_binary },
	{ "QLinearSigmoid", "a a_scale a_zero y_scale y_zero", 2, "y", "", ms_qlinear_unary },
	{ "QLinearLeakyRelu", "a a_scale a_zero y_scale y_zero", 2, "y", "alpha",
	  ms_qlinear_unary },
	{ "QLinearSoftmax", "a a_scale a_zero y_scale y_zero", 2, "y", "axis opset",
	  ms_qlinear_unary },
	{ "QLinearReduceMean", "a a_scale a_zero y_scale y_zero", 2, "y", "axes keepdims",
	  ms_qlinear_pool },
	{ "QLinearGlobalAveragePool", "a a_scale a_zero y_scale y_zero", 2, "y", "channels_last",
	  ms_qlinear_pool },
	{ "QLinearAveragePool", "a a_scale a_zero y_scale y_zero", 2, "y",
	  "auto_pad ceil_mode channels_last count_include_pad kernel_shape pads strides",
	  ms_qlinear_pool },
	{ "QLinearWhere", "condition a a_scale a_zero b b_scale b_zero y_scale y_zero", 9, "y", "",
	  ms_qlinear_where },
	{ "QLinearConcat", "*", 5, "y", "axis", ms_qlinear_concat },
};

/* Of ONNX itself, most from opset 23 on (the first one is onnxruntime's). */
static const struct row plain_rows[] = {
	{ "SimplifiedLayerNormalization", "x gamma", 2, "y inverse", "epsilon axis stash_type",
	  ms_rms_norm },
	{ "RMSNormalization", "x gamma", 2, "y", "epsilon axis stash_type", ms_rms_norm },
	{ "Attention", "q_in k_in v_in mask past_k past_v lengths", 3,
	  "y present_k present_v product",
	  "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap "
	  "softmax_precision",
	  os_attention },
	{ "RotaryEmbedding", "x cos sin position_ids", 3, "y",
	  "interleaved num_heads rotary_embedding_dim", os_rotary_embedding },
	{ "LpNormalization", "x", 1, "y", "axis p", os_lp_normalization },
	{ "Swish", "x", 1, "y", "alpha", os_swish },
	{ "TensorScatter", "cache update write", 2, "y", "axis mode", os_tensor_scatter },
};

static const struct row *find_in(const struct row *list, size_t count, const char *op)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(op, list[i].op))
			return &list[i];
	return NULL;
}

static const struct row *find(const struct import_node *node)
{
	if (!*node->domain)
		return find_in(plain_rows, sizeof(plain_rows) / sizeof(plain_rows[0]),
			       node->op_type);
	return strcmp(node->domain, "com.microsoft")
		       ? NULL
		       : find_in(rows, sizeof(rows) / sizeof(rows[0]), node->op_type);
}

static uint32_t num_words(const char *list)
{
	uint32_t count = *list != 0;

	for (; *list; list++)
		count += *list == ' ';
	return count;
}

static bool is_word_of(const char *list, const char *word)
{
	size_t length = strlen(word);

	/* one without a name is none */
	for (const char *at = list; length && (at = strstr(at, word)); at++)
		if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
	return false;
}

static void check(struct ms_body *b, const struct row *row)
{
	const struct import_node *node = b->node;

	for (uint32_t i = 0; i < row->needed; i++)
		if (!ms_has(b, i))
			ms_refuse(b, "input %u is missing", i);
	for (uint32_t i = 0; i < node->num_inputs; i++)
		for (uint32_t d = 0; node->inputs[i] && d < ms_rank(b, i); d++)
			if (node->inputs[i]->shape.dims[d].symbol)
				ms_refuse(b, "the size \"%s\" of its input %u must be given",
					  node->inputs[i]->shape.dims[d].symbol, i);
	if (*row->inputs != '*')
		for (uint32_t i = num_words(row->inputs); i < node->num_inputs; i++)
			if (ms_has(b, i))
				ms_refuse(b, "input %u is not supported", i);
	for (uint32_t i = num_words(row->outputs); i < node->num_outputs; i++)
		if (ms_wants(b, i))
			ms_refuse(b, "output %u is not supported", i);
	for (uint32_t i = 0; i < node->num_protos; i++)
		if (!is_word_of(row->attributes, onnx_text(node->protos[i]->name)))
			ms_refuse(b, "attribute \"%s\" is not supported",
				  onnx_text(node->protos[i]->name));
}

/* in0 in1 ...: of operators that take any number. */
static const char *numbered(struct ms_body *b)
{
	size_t room = 12u * b->node->num_inputs + 1, at = 0;
	char *names = qeff_arena_alloc(&b->im->scratch, room, 1);

	for (uint32_t i = 0; names && i < b->node->num_inputs; i++)
		at += (size_t)snprintf(names + at, room - at, "%sin%u", i ? " " : "", i);
	return names;
}

int import_microsoft(struct importer *im, struct scope *scope, struct import_node *node,
		     const QeffOnnx__FunctionProto **function)
{
	const struct row *row = find(node);
	struct qeff_onnx_function text;
	struct ms_body *b;

	*function = NULL;
	if (!row)
		return 0;
	b = qeff_arena_alloc(&im->scratch, 1, sizeof(*b));
	if (!b)
		return import_no_memory(im);
	*b = (struct ms_body){ .im = im, .scope = scope, .node = node };
	check(b, row);
	if (!b->ret)
		row->write(b);
	if (b->ret)
		return b->ret;
	text = (struct qeff_onnx_function){
		.name = row->op,
		.inputs = *row->inputs == '*' ? numbered(b) : row->inputs,
		.attributes = row->attributes,
		.body = b->lines,
		.outputs = row->outputs,
	};
	/* what is left out at the end is no input of the node either */
	while (node->num_inputs && !node->inputs[node->num_inputs - 1])
		node->num_inputs--;
	*function = text.inputs ? qeff_onnx_function_build(&im->scratch, &text) : NULL;
	return *function ? 0 : import_no_memory(im);
}
