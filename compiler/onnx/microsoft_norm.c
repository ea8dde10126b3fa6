/* SPDX-License-Identifier: MIT */
/* Operators of com.microsoft: norms, activations, products with something behind them. */
#include "onnx/microsoft.h"

#include <stdio.h>
#include <string.h>

#define SMALL_EPSILON 1e-12f

/* ---- norms ---- */

/* "sum" = x + skip + bias; a bias belongs to the product that it stands behind. */
static void say_sum(struct ms_body *b, uint32_t bias)
{
	const struct qeff_node *skip = b->node->inputs[1]->producer;
	const char *with = "x", *other = "skip";

	if (ms_wants(b, 1) || ms_wants(b, 2))
		ms_refuse(b, "mean and deviation, which only training reads, are not supported");
	if (qeff_node_is(skip, "MatMul")) {
		with = "skip";
		other = "x";
	}
	if (ms_has(b, bias)) {
		ms_say(b, "biased = Add(%s, bias)", with);
		with = "biased";
	}
	ms_say(b, "sum = Add(%s, %s)", with, other);
}

void ms_skip_layer_norm(struct ms_body *b)
{
	say_sum(b, 4);
	ms_say(b, "y = LayerNormalization(sum, gamma%s) axis=-1 epsilon=%#.9g",
	       ms_has(b, 3) ? ", beta" : "", ms_float(b, "epsilon", SMALL_EPSILON));
}

/* "y" = @x / root of mean of squares * gamma, over axes @axis.. of @rank, computed in f32. */
static void say_rms(struct ms_body *b, const char *x, int64_t axis, uint32_t rank, float epsilon)
{
	int64_t axes[QEFF_GRAPH_MAX_RANK];
	uint32_t count = 0;

	for (; axis < rank; axis++)
		axes[count++] = axis - rank;
	ms_ints(b, "axes", count, axes);
	ms_say(b, "wide = Cast(%s) to=%d", x, QEFF_GRAPH_F32);
	ms_say(b, "two = Constant() value_float=2");
	ms_say(b, "squares = Pow(wide, two)");
	ms_say(b, "mean = ReduceMean(squares, axes) keepdims=1");
	ms_say(b, "epsilon = Constant() value_float=%.9g", epsilon);
	ms_say(b, "more = Add(mean, epsilon)");
	ms_say(b, "root = Sqrt(more)");
	ms_say(b, "even = Div(wide, root)");
	ms_say(b, "narrow = Cast(even) to=%d", ms_type(b, 0));
	ms_say(b, "y = Mul(narrow, gamma)");
}

void ms_skip_rms_norm(struct ms_body *b)
{
	uint32_t rank = ms_rank(b, 0);

	if (!rank)
		ms_refuse(b, "its input has no dimensions");
	say_sum(b, 3);
	say_rms(b, "sum", (int64_t)rank - 1, rank, ms_float(b, "epsilon", SMALL_EPSILON));
}

void ms_rms_norm(struct ms_body *b)
{
	int64_t rank = ms_rank(b, 0), axis = ms_int(b, "axis", -1);

	axis += axis < 0 ? rank : 0;
	if (axis < 0 || axis >= rank) {
		ms_refuse(b, "attribute \"axis\" is none of its input's");
		return;
	}
	say_rms(b, "x", axis, (uint32_t)rank, ms_float(b, "epsilon", 1e-5f));
	if (ms_wants(b, 1))
		ms_say(b, "inverse = Reciprocal(root)");
}

static void say_mask_index(struct ms_body *b, int64_t batch)
{
	if (!ms_has(b, 7)) {
		MS_INTS(b, "batch", batch);
		ms_number(b, "none", QEFF_GRAPH_I32, 0);
		ms_say(b, "mask_index = Expand(none, batch)");
		return;
	}
	ms_number(b, "one", ms_type(b, 7), 1);
	ms_say(b, "live = Equal(mask, one)");
	ms_say(b, "count = Cast(live) to=%d", QEFF_GRAPH_I32);
	MS_INTS(b, "second", 1);
	ms_say(b, "mask_index = ReduceSum(count, second) keepdims=0");
}

void ms_embed_layer_norm(struct ms_body *b)
{
	for (uint32_t i = 2; i < 7; i++)
		if (!ms_has(b, i) && i != 4)
			ms_refuse(b, "input %u is missing", i);
	if (!ms_need_rank(b, 0, 2))
		return;
	if (ms_has(b, 1) != ms_has(b, 4))
		ms_refuse(b, "segments need ids and a table");
	ms_say(b, "word_rows = Gather(words, ids)");
	if (!ms_has(b, 8)) {
		ms_say(b, "first = Constant() value_int=0");
		ms_say(b, "end = Constant() value_int=%lld", (long long)ms_size(b, 0, 1));
		ms_say(b, "step = Constant() value_int=1");
		ms_say(b, "columns = Range(first, end, step)");
	}
	ms_say(b, "position_rows = Gather(positions, %s)",
	       ms_has(b, 8) ? "position_ids" : "columns");
	ms_say(b, "placed = Add(word_rows, position_rows)");
	if (ms_has(b, 1)) {
		ms_say(b, "segment_rows = Gather(segments, segment_ids)");
		ms_say(b, "sum = Add(placed, segment_rows)");
	} else {
		ms_say(b, "sum = Identity(placed)");
	}
	ms_say(b, "y = LayerNormalization(sum, gamma, beta) axis=-1 epsilon=%#.9g",
	       ms_float(b, "epsilon", SMALL_EPSILON));
	if (ms_wants(b, 1))
		say_mask_index(b, ms_size(b, 0, 0));
}

/* ---- activations ---- */

void ms_gelu(struct ms_body *b)
{
	ms_say(b, "y = Gelu(x)");
}

void ms_fast_gelu(struct ms_body *b)
{
	if (ms_has(b, 1))
		ms_say(b, "sum = Add(x, bias)");
	ms_say(b, "y = Gelu(%s) approximate=\"tanh\"", ms_has(b, 1) ? "sum" : "x");
}

void ms_bias_gelu(struct ms_body *b)
{
	ms_say(b, "sum = Add(x, bias)");
	ms_say(b, "y = Gelu(sum)");
}

/* x sigmoid(alpha x); SiLU with alpha 1 */
void ms_quick_gelu(struct ms_body *b)
{
	float alpha = ms_float(b, "alpha", 1.702f);

	ms_number(b, "alpha", ms_type(b, 0), alpha);
	if (alpha != 1)
		ms_say(b, "scaled = Mul(x, alpha)");
	ms_say(b, "gate = Sigmoid(%s)", alpha == 1 ? "x" : "scaled");
	ms_say(b, "y = Mul(x, gate)");
}

/* "y" = the function that attribute "activation" names of @x; its two numbers as ONNX calls them */
static void say_activation(struct ms_body *b, const char *x, uint32_t count, const float *numbers)
{
	static const struct {
		const char *name, *first, *second;
	} known[] = {
		{ "Relu", NULL, NULL },
		{ "Sigmoid", NULL, NULL },
		{ "Tanh", NULL, NULL },
		{ "LeakyRelu", "alpha", NULL },
		{ "Elu", "alpha", NULL },
		{ "ThresholdedRelu", "alpha", NULL },
		{ "Softplus", NULL, NULL },
		{ "Softsign", NULL, NULL },
		{ "HardSigmoid", "alpha", "beta" },
	};
	const struct qeff_attribute *a = import_attribute(b->node, "activation");
	const char *name = a && a->kind == QEFF_ATTR_STRING ? a->s : "";
	char first[64] = "", second[64] = "";

	if (!*name) {
		ms_say(b, "y = Identity(%s)", x);
		return;
	}
	if (!strcmp(name, "Clip") && count == 2) {
		ms_number(b, "least", ms_type(b, 0), numbers[0]);
		ms_number(b, "most", ms_type(b, 0), numbers[1]);
		ms_say(b, "y = Clip(%s, least, most)", x);
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name))
			continue;
		if (known[i].first && count > 0)
			snprintf(first, sizeof(first), " %s=%#.9g", known[i].first, numbers[0]);
		if (known[i].second && count > 1)
			snprintf(second, sizeof(second), " %s=%#.9g", known[i].second, numbers[1]);
		ms_say(b, "y = %s(%s)%s%s", name, x, first, second);
		return;
	}
	ms_refuse(b, "activation \"%s\" is not supported", name);
}

/* ---- products ---- */

/* @from with its first dimension behind the batch ones (@batch), and its last two swapped (@swap)
 */
static const char *turned(struct ms_body *b, const char *to, const char *from, uint32_t input,
			  bool batch, bool swap)
{
	uint32_t rank = ms_rank(b, input), perm[QEFF_GRAPH_MAX_RANK], last;
	char text[64];
	size_t at = 0;

	if (rank < 2 || (!batch && !swap))
		return from;
	for (uint32_t i = 0; i < rank; i++)
		perm[i] = i;
	if (batch) {
		memmove(perm, perm + 1, (rank - 2) * sizeof(*perm));
		perm[rank - 2] = 0;
	}
	if (swap) {
		last = perm[rank - 1];
		perm[rank - 1] = perm[rank - 2];
		perm[rank - 2] = last;
	}
	for (uint32_t i = 0; i < rank; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", i ? "," : "", perm[i]);
	ms_say(b, "%s = Transpose(%s) perm=[%s]", to, from, text);
	return to;
}

void ms_fused_matmul(struct ms_body *b)
{
	const char *x =
		turned(b, "x_t", "x", 0, ms_int(b, "transBatchA", 0), ms_int(b, "transA", 0));
	const char *w =
		turned(b, "w_t", "w", 1, ms_int(b, "transBatchB", 0), ms_int(b, "transB", 0));
	float alpha = ms_float(b, "alpha", 1);

	ms_say(b, "%s = MatMul(%s, %s)", alpha == 1 ? "y" : "product", x, w);
	if (alpha == 1)
		return;
	ms_number(b, "alpha", ms_type(b, 0), alpha);
	ms_say(b, "y = Mul(product, alpha)");
}

void ms_fused_gemm(struct ms_body *b)
{
	float numbers[2] = { ms_float(b, "activation_alpha", 0),
			     ms_float(b, "activation_beta", 0) };
	uint32_t count = !import_attribute(b->node, "activation_alpha")	 ? 0
			 : !import_attribute(b->node, "activation_beta") ? 1
									 : 2;

	ms_say(b, "product = Gemm(x, w%s) alpha=@alpha beta=@beta transA=@transA transB=@transB",
	       ms_has(b, 2) ? ", c" : "");
	say_activation(b, "product", count, numbers);
}

void ms_fused_conv(struct ms_body *b)
{
	const struct qeff_attribute *params = import_attribute(b->node, "activation_params");
	uint32_t count = params && params->kind == QEFF_ATTR_FLOATS ? params->count : 0;

	ms_say(b,
	       "conv = Conv(x, w%s) auto_pad=@auto_pad dilations=@dilations group=@group "
	       "kernel_shape=@kernel_shape pads=@pads strides=@strides",
	       ms_has(b, 2) ? ", bias" : "");
	if (ms_has(b, 3))
		ms_say(b, "sum = Add(conv, z)");
	say_activation(b, ms_has(b, 3) ? "sum" : "conv", count, count ? params->floats : NULL);
}
