/* SPDX-License-Identifier: MIT */
/*
 * Operators of com.microsoft: what onnxruntime's quantiser writes. Integers become the floats that
 * they stand for, which for weights is done once while compiling; activations that the model
 * quantises are rounded as it says.
 */
#include "onnx/microsoft.h"

#include "nsp/half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BLOCK (1 << 16) /* weights that share a scale */

/* @to becomes the floats of @from; input @zero need not be there. */
static void say_floats(struct ms_body *b, const char *to, const char *from, const char *scale,
		       uint32_t zero, const char *zero_name, int64_t axis)
{
	ms_say(b, "%s = DequantizeLinear(%s, %s%s%s) axis=%lld", to, from, scale,
	       ms_has(b, zero) ? ", " : "", ms_has(b, zero) ? zero_name : "", (long long)axis);
}

/* "y" becomes the integers of @from, of input 0's type. */
static void say_integers(struct ms_body *b, const char *from, uint32_t zero, const char *zero_name,
			 int type)
{
	if (!ms_has(b, zero)) {
		ms_number(b, "no_zero", type, 0);
		zero_name = "no_zero";
	}
	ms_say(b, "y = QuantizeLinear(%s, y_scale, %s)", from, zero_name);
}

static bool need_scale(struct ms_body *b, uint32_t input)
{
	if (!ms_has(b, input))
		ms_refuse(b, "input %u, a scale, is missing", input);
	return !b->ret;
}

void ms_quantize_linear(struct ms_body *b)
{
	ms_say(b, "y = QuantizeLinear(x, scale%s) axis=%lld", ms_has(b, 2) ? ", zero" : "",
	       (long long)ms_int(b, "axis", 0));
}

void ms_dequantize_linear(struct ms_body *b)
{
	say_floats(b, "y", "x", "scale", 2, "zero", ms_int(b, "axis", 0));
}

/* @to: the integers of @from less their zero points, as floats, which have room for them. */
static void say_whole(struct ms_body *b, const char *to, const char *from, uint32_t zero,
		      const char *zero_name)
{
	if (!ms_has(b, zero)) {
		ms_say(b, "%s = Cast(%s) to=%d", to, from, QEFF_GRAPH_F32);
		return;
	}
	ms_say(b, "%s/whole = Cast(%s) to=%d", to, from, QEFF_GRAPH_F32);
	ms_say(b, "%s/zero = Cast(%s) to=%d", to, zero_name, QEFF_GRAPH_F32);
	ms_say(b, "%s = Sub(%s/whole, %s/zero)", to, to, to);
}

/*
 * "y" = product of the whole numbers "a" and "weights", times their scales, plus a bias. Sums of
 * whole numbers are exact in floats below 2^24, so the next quantisation rounds what onnxruntime's
 * integers make.
 */
static void say_product(struct ms_body *b, uint32_t bias)
{
	ms_say(b, "sums = MatMul(a, weights)");
	ms_say(b, "scales = Mul(x_scale, w_scale)");
	ms_say(b, "%s = Mul(sums, scales)", ms_has(b, bias) ? "product" : "y");
	if (ms_has(b, bias))
		ms_say(b, "y = Add(product, bias)");
}

void ms_dynamic_quantize_matmul(struct ms_body *b)
{
	ms_say(b, "x_q,x_scale,x_zero = DynamicQuantizeLinear(x)");
	ms_say(b, "a/whole = Cast(x_q) to=%d", QEFF_GRAPH_F32);
	ms_say(b, "a/zero = Cast(x_zero) to=%d", QEFF_GRAPH_F32);
	ms_say(b, "a = Sub(a/whole, a/zero)");
	say_whole(b, "weights", "w", 3, "w_zero");
	say_product(b, 4);
}

static bool is_one_number(const struct ms_body *b, uint32_t input)
{
	return !ms_has(b, input) || !ms_rank(b, input) ||
	       (ms_rank(b, input) == 1 && ms_size(b, input, 0) == 1);
}

void ms_matmul_integer_to_float(struct ms_body *b)
{
	if (!is_one_number(b, 2) || !is_one_number(b, 4))
		ms_refuse(b, "scales or zero points of A's columns are not supported");
	say_whole(b, "a", "x", 4, "x_zero");
	say_whole(b, "weights", "w", 5, "w_zero");
	say_product(b, 6);
}

/* c is counted in alpha, the product's scales */
void ms_qgemm(struct ms_body *b)
{
	const bool quantised = ms_has(b, 7), turned = ms_int(b, "transB", 0);
	const char *result = ms_has(b, 6) ? "sum" : "product";

	if (!ms_need_rank(b, 0, 2) || !ms_need_rank(b, 3, 2) || !need_scale(b, 4))
		return;
	say_floats(b, "a", "x", "x_scale", 2, "x_zero", 0);
	say_floats(b, "weights", "w", "w_scale", 5, "w_zero", !turned);
	ms_say(b, "product = Gemm(a, weights) alpha=@alpha transA=@transA transB=@transB");
	if (ms_has(b, 6)) {
		ms_number(b, "alpha", ms_type(b, 1), ms_float(b, "alpha", 1));
		ms_say(b, "scales = Mul(x_scale, w_scale)");
		ms_say(b, "unit = Mul(scales, alpha)");
		ms_say(b, "c_f = Cast(c) to=%d", ms_type(b, 1));
		ms_say(b, "offset = Mul(c_f, unit)");
		ms_say(b, "sum = Add(product, offset)");
	}
	if (quantised)
		say_integers(b, result, 8, "y_zero", ms_type(b, 0));
	else
		ms_say(b, "y = Identity(%s)", result);
}

void ms_qlinear_binary(struct ms_body *b)
{
	if (!ms_has(b, 3) || !need_scale(b, 4) || !need_scale(b, 6))
		ms_refuse(b, "input 3 is missing");
	say_floats(b, "a_f", "a", "a_scale", 2, "a_zero", 0);
	say_floats(b, "b_f", "b", "b_scale", 5, "b_zero", 0);
	ms_say(b, "f = %s(a_f, b_f)", b->node->op_type + strlen("QLinear"));
	say_integers(b, "f", 7, "y_zero", ms_type(b, 0));
}

void ms_qlinear_where(struct ms_body *b)
{
	say_floats(b, "a_f", "a", "a_scale", 3, "a_zero", 0);
	say_floats(b, "b_f", "b", "b_scale", 6, "b_zero", 0);
	ms_say(b, "f = Where(condition, a_f, b_f)");
	say_integers(b, "f", 8, "y_zero", ms_type(b, 1));
}

void ms_qlinear_unary(struct ms_body *b)
{
	const char *op = b->node->op_type + strlen("QLinear");

	if (!need_scale(b, 3))
		return;
	say_floats(b, "a_f", "a", "a_scale", 2, "a_zero", 0);
	if (!strcmp(op, "LeakyRelu"))
		ms_say(b, "f = LeakyRelu(a_f) alpha=@alpha");
	else if (strcmp(op, "Softmax"))
		ms_say(b, "f = %s(a_f)", op);
	else if (ms_int(b, "opset", 13) < 13 && ms_int(b, "axis", -1) != -1 &&
		 ms_int(b, "axis", -1) != (int64_t)ms_rank(b, 0) - 1)
		ms_refuse(b, "a softmax over several dimensions is not supported");
	else
		ms_say(b, "f = Softmax(a_f) axis=%lld", (long long)ms_int(b, "axis", -1));
	say_integers(b, "f", 4, "y_zero", ms_type(b, 0));
}

void ms_qlinear_pool(struct ms_body *b)
{
	const struct qeff_attribute *axes = import_attribute(b->node, "axes");
	const bool channels_last = ms_int(b, "channels_last", 0);
	const char *op = b->node->op_type + strlen("QLinear");
	int64_t own[QEFF_GRAPH_MAX_RANK];
	uint32_t count = 0;

	if (!need_scale(b, 3))
		return;
	say_floats(b, "a_f", "a", "a_scale", 2, "a_zero", 0);
	if (!strcmp(op, "AveragePool")) {
		if (channels_last)
			ms_refuse(b, "channels_last is not supported");
		ms_say(b, "f = AveragePool(a_f) auto_pad=@auto_pad ceil_mode=@ceil_mode "
			  "count_include_pad=@count_include_pad kernel_shape=@kernel_shape "
			  "pads=@pads strides=@strides");
	} else if (!strcmp(op, "GlobalAveragePool")) {
		for (uint32_t i = 2 - channels_last; i < ms_rank(b, 0) - channels_last; i++)
			own[count++] = i;
		ms_ints(b, "axes", count, own);
		ms_say(b, "f = ReduceMean(a_f, axes) keepdims=1");
	} else {
		if (!axes || axes->kind != QEFF_ATTR_INTS || axes->count > QEFF_GRAPH_MAX_RANK)
			ms_refuse(b, "attribute \"axes\" is missing or wrong");
		else
			ms_ints(b, "axes", axes->count, axes->ints);
		ms_say(b, "f = ReduceMean(a_f, axes) keepdims=%lld",
		       (long long)ms_int(b, "keepdims", 1));
	}
	say_integers(b, "f", 4, "y_zero", ms_type(b, 0));
}

/* in0 and in1 are the result's scale and zero point; each part follows with its own. */
void ms_qlinear_concat(struct ms_body *b)
{
	const uint32_t parts = (b->node->num_inputs - 2) / 3, most = 32;
	char list[1024] = "";
	size_t at = 0;

	if (b->node->num_inputs != 2 + 3 * parts || parts > most) {
		ms_refuse(b, "has %u inputs, not two and three for each of %u parts at most",
			  b->node->num_inputs, most);
		return;
	}
	for (uint32_t i = 0; i < parts; i++) {
		const uint32_t first = 2 + 3 * i;
		char to[16], from[16], scale[16], zero[16];

		if (!ms_has(b, first) || !need_scale(b, first + 1))
			ms_refuse(b, "input %u is missing", first);
		snprintf(to, sizeof(to), "f%u", i);
		snprintf(from, sizeof(from), "in%u", first);
		snprintf(scale, sizeof(scale), "in%u", first + 1);
		snprintf(zero, sizeof(zero), "in%u", first + 2);
		say_floats(b, to, from, scale, first + 2, zero, 0);
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", to);
	}
	ms_say(b, "f = Concat(%s) axis=@axis", list);
	ms_say(b, "y_scale = Identity(in0)");
	say_integers(b, "f", 1, "in1", ms_type(b, 2));
}

/* ---- MatMulNBits ---- */

/**
 * struct blocks - weights [outputs, inputs]; of each output, blocks of @size inputs share a scale
 * and a zero point
 */
struct blocks {
	int64_t inputs, outputs, size, blocks;
	uint32_t bits;
	const uint8_t *packed;
	const void *scales;
	int scale_type;
	const uint8_t *packed_zeros;
	const void *zeros; /* of scale_type */
};

static float scale_at(const struct blocks *w, const void *list, int64_t index)
{
	if (w->scale_type == QEFF_GRAPH_F32)
		return ((const float *)list)[index];
	return qeff_f16_to_f32(((const uint16_t *)list)[index]);
}

/* Of a row of numbers that fill bytes from their low bits on. */
static uint32_t bits_at(const struct blocks *w, const uint8_t *row, int64_t index)
{
	const uint32_t per_byte = 8 / w->bits;

	return row[index / per_byte] >> (index % per_byte * w->bits) & ((1u << w->bits) - 1);
}

static void unpack(const struct blocks *w, float *to)
{
	const int64_t zero_bytes = (w->blocks * w->bits + 7) / 8;
	const int64_t block_bytes = w->size * w->bits / 8;

	for (int64_t o = 0; o < w->outputs; o++)
		for (int64_t i = 0; i < w->inputs; i++) {
			const int64_t block = i / w->size, at = o * w->blocks + block;
			float zero = (float)(1u << (w->bits - 1));

			if (w->zeros)
				zero = scale_at(w, w->zeros, at);
			else if (w->packed_zeros)
				zero = (float)bits_at(w, w->packed_zeros + o * zero_bytes, block);
			*to++ = ((float)bits_at(w, w->packed + at * block_bytes, i % w->size) -
				 zero) *
				scale_at(w, w->scales, at);
		}
}

/* The constant input @input of @elements of type @type or, if @other, of that; NULL if it is not.
 */
static const void *constant_of(struct ms_body *b, uint32_t input, int64_t elements, int type,
			       int other)
{
	const struct qeff_value *value = ms_has(b, input) ? b->node->inputs[input] : NULL;
	uint64_t count = 0;

	if (!value || !value->is_initialiser || value->type != value->stored_type ||
	    ((int)value->type != type && (int)value->type != other) ||
	    !qeff_graph_shape_elements(&value->shape, &count) || count != (uint64_t)elements) {
		ms_refuse(b, "input %u is no constant of %lld elements of the expected type", input,
			  (long long)elements);
		return NULL;
	}
	return value->data;
}

static void find_blocks(struct ms_body *b, struct blocks *w)
{
	const int64_t bits = ms_int(b, "bits", 4);

	*w = (struct blocks){ .inputs = ms_count(b, "K"),
			      .outputs = ms_count(b, "N"),
			      .size = ms_count(b, "block_size"),
			      .bits = (uint32_t)bits };
	if ((bits != 2 && bits != 4 && bits != 8) || w->size % 8 || w->size > MAX_BLOCK)
		ms_refuse(b, "%lld bits in blocks of %lld are not supported", (long long)bits,
			  (long long)w->size);
	if (ms_has(b, 4))
		ms_refuse(b, "groups in another order (input 4) are not supported");
	if (b->ret)
		return;
	w->blocks = (w->inputs + w->size - 1) / w->size;
	/* counts are below 2^31, their products below 2^62, bits and all */
	w->packed = constant_of(b, 1, w->outputs * w->blocks * (w->size * bits / 8), QEFF_GRAPH_U8,
				QEFF_GRAPH_U8);
	w->scale_type = ms_type(b, 2);
	w->scales = constant_of(b, 2, w->outputs * w->blocks, QEFF_GRAPH_F32, QEFF_GRAPH_F16);
	if (ms_has(b, 3) && ms_type(b, 3) == QEFF_GRAPH_U8)
		w->packed_zeros = constant_of(b, 3, w->outputs * ((w->blocks * bits + 7) / 8),
					      QEFF_GRAPH_U8, QEFF_GRAPH_U8);
	else if (ms_has(b, 3))
		w->zeros = constant_of(b, 3, w->outputs * w->blocks, w->scale_type, w->scale_type);
}

void ms_matmul_nbits(struct ms_body *b)
{
	struct qeff_onnx_tensor tensor = { .type = QEFF_GRAPH_F32, .rank = 2 };
	struct importer *im = b->im;
	struct blocks w;
	float *floats;

	find_blocks(b, &w);
	if (b->ret)
		return;
	tensor.dims[0] = w.outputs;
	tensor.dims[1] = w.inputs;
	tensor.size_bytes = (uint64_t)(w.outputs * w.inputs) * sizeof(float);
	floats = malloc(tensor.size_bytes);
	if (floats) {
		unpack(&w, floats);
		tensor.data = onnx_constant(im->model, floats, tensor.size_bytes);
	}
	free(floats);
	if (!tensor.data) {
		b->ret = import_no_memory(im);
		return;
	}
	b->ret = import_check_computed(im);
	if (b->ret)
		return;
	b->node->inputs[1] = import_constant(im, b->scope, "weights", &tensor);
	if (!b->node->inputs[1]) {
		b->ret = im->err->code;
		return;
	}
	/* scales of half precision make better numbers than they could be stored as */
	ms_say(b, "a = Cast(x) to=%d", QEFF_GRAPH_F32);
	ms_say(b, "turned = Transpose(w) perm=[1,0]");
	ms_say(b, "%s = MatMul(a, turned)", ms_has(b, 5) ? "product" : "wide");
	if (ms_has(b, 5)) {
		ms_say(b, "bias_f = Cast(bias) to=%d", QEFF_GRAPH_F32);
		ms_say(b, "wide = Add(product, bias_f)");
	}
	ms_say(b, "y = Cast(wide) to=%d", ms_type(b, 0));
}
