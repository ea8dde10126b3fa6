/* SPDX-License-Identifier: MIT */
/*
 * ONNX's operators in the table: types and shapes of their outputs, and what is refused, one line a
 * case. Expected shapes are worked out by hand from the operators' definitions.
 */
#include "unit.h"

#include "graph/graph.h"
#include "graph/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX 8

/*
 * Operator, inputs, attributes, then outputs, or ! and a part of the refusal. An input or output is
 * a letter for the type (f F32, d F64, h F16, i I64, j I32, u U8, b BOOL) and sizes; N and M are
 * symbols; after = stand the numbers of a constant; - is absent.
 */
struct op_case {
	const char *op, *inputs, *attributes, *expected;
};

static const struct op_case cases[] = {
	{ "Add", "f2,1 f3", "", "f2,3" },
	{ "Add", "u2 u2", "", "u2" },
	{ "Add", "b2 b2", "", "!input 0, \"in0\", is bool[2], expected numbers" },
	{ "Pow", "j3 f3", "", "j3" },
	{ "Pow", "f3 b3", "", "!expected numbers" },
	{ "Mod", "d4 d4", "fmod=1", "d4" },
	{ "Max", "f3 f2,1 fN,1,1", "", "fN,2,3" },
	{ "Max", "f3 i3", "", "!input 1 does not fit" },
	{ "Mean", "i3", "", "!expected floats" },
	{ "BitShift", "u3 u3", "direction=LEFT", "u3" },
	{ "BitShift", "u3 u3", "direction=UP", "!expected LEFT or RIGHT" },
	{ "BitShift", "i3 i3", "direction=LEFT", "!unsigned integers" },
	{ "Abs", "j2", "", "j2" },
	{ "Exp", "i2", "", "!expected floats" },
	{ "Equal", "b2 b1", "", "b2" },
	{ "Less", "f2 f3", "", "!does not fit" },
	{ "IsNaN", "h2,N", "", "b2,N" },
	{ "And", "f2 f2", "", "!truths" },
	{ "Where", "b3 f2,1 f3", "", "f2,3" },
	{ "Where", "b3 f2,1 i3", "", "!input 2" },
	{ "Cast", "f2", "to=7", "i2" },
	{ "Cast", "f2", "to=8", "!element type 8" },
	{ "Cast", "f2", "", "!\"to\" is missing" },
	{ "CastLike", "f2,N h9", "", "h2,N" },
	{ "Clip", "f2 - f", "", "f2" },
	{ "Clip", "f2 f3", "", "!one number" },
	{ "PRelu", "f2,3 f3", "", "f2,3" },
	{ "PRelu", "f3 f2,3", "", "!slopes" },
	{ "Softmax", "f2,N", "axis=-2", "f2,N" },
	{ "Softmax", "f2", "axis=1", "!none of the 1" },
	{ "Dropout", "f2 =f0.5", "", "f2 b2" },
	{ "Dropout", "f2 =f0.5 =b1", "", "!at random" },
	{ "Dropout", "f2 =f0 =b1", "", "f2" },
	{ "QuantizeLinear", "f2,3 f3 u3", "axis=1", "u2,3" },
	{ "QuantizeLinear", "f2,3 f", "", "u2,3" },
	{ "QuantizeLinear", "f2,3 f2", "axis=1", "!one for each index" },
	{ "DequantizeLinear", "u2 f u", "", "f2" },
	{ "DequantizeLinear", "u2 f j", "", "!type of input 0" },
	{ "DynamicQuantizeLinear", "f2,3", "", "u2,3 f u" },
	{ "ReduceSum", "f2,3,4 =i1", "", "f2,1,4" },
	{ "ReduceSum", "f2,3,4", "keepdims=0", "f" },
	{ "ReduceSum", "f2,3", "noop_with_empty_axes=1", "f2,3" },
	{ "ReduceMax", "b2,3 =i-1", "keepdims=0", "b2" },
	{ "ReduceL2", "f2,3 =i2", "", "!axis 2 of 2" },
	{ "ReduceL2", "f2,3 i1", "", "!must be a constant" },
	{ "ArgMax", "f2,N", "axis=1 keepdims=0", "i2" },
	{ "TopK", "f2,8 =i3", "", "f2,3 i2,3" },
	{ "TopK", "f2,8 =i9", "", "!takes 9 of 8" },
	{ "CumSum", "f2,3 =i-1", "", "f2,3" },
	{ "CumSum", "f2,3 =i2", "", "!axis 2" },
	{ "MatMulInteger", "u2,3 u3,4", "", "j2,4" },
	{ "MatMulInteger", "u2,3 u4,4", "", "!fit input 0" },
	{ "QLinearMatMul", "u2,3 f u u3,4 f u f u", "", "u2,4" },
	{ "Gemm", "f3,2 f4,3 f4", "transA=1 transB=1", "f2,4" },
	{ "Gemm", "f2,3 f3,4 f5", "", "!stretches to the product" },
	{ "Gemm", "f2,3 f4,3", "", "!fits input 0" },
	{ "Einsum", "f2,3 f3,4", "equation=ij,jk->ik", "f2,4" },
	{ "Einsum", "f5,2,3 f5,3,4", "equation=...ij,...jk", "f5,2,4" },
	{ "Einsum", "f3,3", "equation=ii", "f" },
	{ "Einsum", "f3,3", "equation=ii->i", "f3" },
	{ "Einsum", "f3,3", "equation=ij->k", "!does not fit" },
	{ "Einsum", "f3,4", "equation=ii", "!does not fit" },
	{ "Einsum", "f3,4", "equation=i", "!does not fit" },
	{ "Det", "f2,3,3", "", "f2" },
	{ "Det", "f2,3", "", "!square" },
	{ "Conv", "f2,4,7,7 f6,2,3,3 f6", "group=2 pads=1,1,1,1 strides=2,2", "f2,6,4,4" },
	{ "Conv", "f1,1,5,5 f1,1,3,3", "auto_pad=SAME_LOWER strides=2,2", "f1,1,3,3" },
	{ "Conv", "f1,1,7 f1,1,3", "dilations=2", "f1,1,3" },
	{ "Conv", "f1,1,2 f1,1,3", "", "!has only 2" },
	{ "Conv", "f1,4,7 f1,3,3", "", "!channels" },
	{ "Conv", "f1,1,N f1,1,3", "", "!numbers" },
	{ "Conv", "f1,1,7 f1,1,3", "strides=0", "!\"strides\" has 0" },
	{ "ConvInteger", "u1,1,5,5 u1,1,3,3", "", "j1,1,3,3" },
	{ "QLinearConv", "u1,1,5 f u u2,1,3 f u f u j2", "", "u1,2,3" },
	{ "ConvTranspose", "f1,2,3 f2,4,3", "strides=2 output_padding=1", "f1,4,8" },
	{ "ConvTranspose", "f1,2,3 f2,4,3", "strides=2 output_shape=7", "f1,4,7" },
	{ "ConvTranspose", "f1,2,3 f2,4,3", "strides=2 auto_pad=SAME_UPPER", "f1,4,6" },
	{ "ConvTranspose", "f1,3,3 f2,4,3", "", "!channels" },
	{ "MaxPool", "f1,3,5,5", "kernel_shape=2,2 strides=2,2 ceil_mode=1", "f1,3,3,3 i1,3,3,3" },
	{ "MaxPool", "f1,3,5,5", "kernel_shape=2,2 strides=2,2", "f1,3,2,2" },
	{ "MaxPool", "f1,3,5", "kernel_shape=2,2", "!expected 1" },
	{ "AveragePool", "f1,1,4", "kernel_shape=2 strides=3 ceil_mode=1 pads=0,1", "f1,1,2" },
	{ "GlobalAveragePool", "fN,3,5,5", "", "fN,3,1,1" },
	{ "MaxUnpool", "f1,1,2,2 i1,1,2,2", "kernel_shape=2,2 strides=2,2", "f1,1,4,4" },
	{ "MaxUnpool", "f1,1,2,2 i1,1,2,2 =i1,1,5,5", "kernel_shape=2,2 strides=2,2", "f1,1,5,5" },
	{ "LRN", "f1,5,3", "size=3", "f1,5,3" },
	{ "Resize", "f1,1,2,4 - =f1,1,0.5,1.3", "", "f1,1,1,5" },
	{ "Resize", "f1,1,2,4 - - =i1,1,7,8", "", "f1,1,7,8" },
	{ "Resize", "f4,2 - - =i9,8", "keep_aspect_ratio_policy=not_larger axes=0,1", "f9,5" },
	{ "Resize", "f4,2", "", "!neither scales nor sizes" },
	{ "Resize", "f4,2 - =f1,-1", "", "!cannot resize axis 1" },
	{ "GridSample", "f2,3,4,4 f2,6,7,2", "", "f2,3,6,7" },
	{ "GridSample", "f2,3,4,4 f2,6,7,3", "", "!grid" },
	{ "LayerNormalization", "f2,3,4 f3,4", "axis=1", "f2,3,4 f2,1,1 f2,1,1" },
	{ "LayerNormalization", "f2,3 f4", "", "!fits the last axes" },
	{ "BatchNormalization", "f2,3,4 f3 f3 f3 f3", "", "f2,3,4" },
	{ "BatchNormalization", "f2,3,4 f3 f3 f3 f3", "training_mode=1", "f2,3,4 f3 f3" },
	{ "BatchNormalization", "f2,3,4 f3 f3 f4 f3", "", "!each channel" },
	{ "InstanceNormalization", "f2,3,4 f3 f3", "", "f2,3,4" },
	{ "GroupNormalization", "f2,6,4 f3 f3", "num_groups=3", "f2,6,4" },
	{ "GroupNormalization", "f2,6,4 f4 f4", "num_groups=4", "!whole groups" },
	{ "MeanVarianceNormalization", "f2,3,4,5", "", "f2,3,4,5" },
	{ "MeanVarianceNormalization", "f2,3", "axes=2", "!axis 2" },
	{ "Transpose", "f2,N,4", "", "f4,N,2" },
	{ "Transpose", "f2,3,4", "perm=1,2,0", "f3,4,2" },
	{ "Reshape", "f2,3 =i3,-1", "", "f3,2" },
	{ "Reshape", "f2,3 =i0,0", "allowzero=1", "!as many elements" },
	{ "Flatten", "f2,3,4", "axis=2", "f6,4" },
	{ "Flatten", "f2,3,4", "axis=0", "f1,24" },
	{ "Flatten", "f2,3,4", "axis=4", "!none of input 0" },
	{ "Squeeze", "f1,3,1", "", "f3" },
	{ "Squeeze", "f1,3,1 =i-1", "", "f1,3" },
	{ "Squeeze", "f1,3 =i1", "", "!dimensions of 1" },
	{ "Unsqueeze", "f2,N =i0,-1", "", "f1,2,N,1" },
	{ "Unsqueeze", "f2 =i0,0", "", "!twice" },
	{ "Unsqueeze", "f2,2,2,2,2,2,2,2 =i0", "", "!fewer dimensions" },
	{ "Expand", "f3,1 =i2,1,4", "", "f2,3,4" },
	{ "Expand", "f3 =i2", "", "!stretched" },
	{ "Tile", "f2,3 =i3,1", "", "f6,3" },
	{ "Tile", "f2,3 =i3", "", "!each dimension" },
	{ "Tile", "f2 =i-1", "", "!cannot repeat" },
	{ "Tile", "f2 =i9223372036854775807", "", "!cannot repeat" },
	{ "Slice", "f10,4 =i8 =i-100 =i0 =i-3", "", "f3,4" },
	{ "Slice", "f10 =i2 =i8 =i0 =i2", "", "f3" },
	{ "Slice", "f10 =i0 =i5 =i0 =i0", "", "!every 0th" },
	{ "Split", "f7,2", "num_outputs=3", "f3,2 f3,2 f1,2" },
	{ "Split", "f2,6 =i1,5", "axis=1", "f2,1 f2,5" },
	{ "Split", "f2,6 =i4,4", "axis=1", "!as are split off" },
	{ "Concat", "f2,3 f2,4", "axis=-1", "f2,7" },
	{ "Concat", "f2,3 f3,3", "axis=1", "!does not fit" },
	{ "Pad", "f2,3 =i0,1,0,2", "", "f2,6" },
	{ "Pad", "f2,3 =i1,1 - =i1", "mode=reflect", "f2,5" },
	{ "Pad", "f2,3 =i3,0 - =i1", "mode=reflect", "!cannot pad axis 1" },
	{ "Pad", "f2,3 =i0,-1,0,-1", "", "f2,1" },
	{ "Pad", "f2,3 =i0,-4,0,0", "", "!cannot pad" },
	{ "Pad", "f2,3 =i1", "", "!two numbers" },
	{ "Pad", "f2 =i1,1", "mode=round", "!\"round\"" },
	{ "DepthToSpace", "f1,8,2,3", "blocksize=2", "f1,2,4,6" },
	{ "DepthToSpace", "f1,6,2,3", "blocksize=2", "!whole blocks" },
	{ "SpaceToDepth", "f1,2,4,6", "blocksize=2", "f1,8,2,3" },
	{ "Trilu", "f2,3 =i-1", "upper=0", "f2,3" },
	{ "Trilu", "f3", "", "!two dimensions" },
	{ "EyeLike", "j2,3", "dtype=1", "f2,3" },
	{ "Range", "=f1 =f5 =f2", "", "f2" },
	{ "Range", "=i10 =i0 =i-3", "", "i4" },
	{ "Range", "=i0 =i9 =i0", "", "!cannot go" },
	{ "ReverseSequence", "f4,2,3 i2", "", "f4,2,3" },
	{ "ReverseSequence", "f4,2 i3", "", "!each sequence" },
	{ "Gather", "f4,3 i2,2", "axis=1", "f4,2,2" },
	{ "GatherElements", "f4,3 i2,3", "", "f2,3" },
	{ "GatherElements", "f4,3 i2,4", "", "!inside input 0" },
	{ "GatherND", "f2,3,4 i5,2", "", "f5,4" },
	{ "GatherND", "f2,3,4 i2,1", "batch_dims=1", "f2,4" },
	{ "GatherND", "f2,3 i5,3", "", "!dimensions that input 0 has" },
	{ "ScatterElements", "f4,3 i2,3 f2,3", "reduction=add", "f4,3" },
	{ "ScatterElements", "f4,3 i2,3 f2,2", "", "!as many updates" },
	{ "ScatterND", "f4,3 i2,1 f2,3", "", "f4,3" },
	{ "ScatterND", "f4,3 i2,1 f2,3", "reduction=xor", "!\"xor\"" },
	{ "OneHot", "i2,3 =i5 f2", "axis=1", "f2,5,3" },
	{ "OneHot", "i2 i1 f2", "", "!must be a constant" },
	{ "Compress", "f3,4 =b0,1,1", "axis=0", "f2,4" },
	{ "Compress", "f3,4 =b0,1,1,0,1", "", "f3" },
	{ "Compress", "f3,4 b3", "axis=0", "!must be a constant" },
	{ "RNN", "f5,2,3 f1,4,3 f1,4,4 f1,8", "", "f5,1,2,4 f1,2,4" },
	{ "GRU", "f5,2,3 f2,12,3 f2,12,4", "direction=bidirectional", "f5,2,2,4 f2,2,4" },
	{ "LSTM", "f2,5,3 f1,16,3 f1,16,4", "layout=1", "f2,5,1,4 f2,1,4 f2,1,4" },
	{ "LSTM", "f5,2,3 f1,15,3 f1,16,4", "", "!gates * hidden" },
	{ "NegativeLogLikelihoodLoss", "f3,5,2 i3,2", "reduction=none", "f3,2" },
	{ "NegativeLogLikelihoodLoss", "f3,5 i4", "", "!labels" },
	{ "SoftmaxCrossEntropyLoss", "f3,5 i3 f5", "", "f f3,5" },
	{ "HannWindow", "=i10", "", "f10" },
	{ "HannWindow", "=i0", "", "!window of 0" },
	{ "DFT", "f2,8,1", "", "f2,8,2" },
	{ "DFT", "f2,8,2 =i16", "onesided=1", "f2,9,2" },
	{ "DFT", "f2,8,3", "", "!1 or 2" },
	{ "STFT", "f1,16,1 =i4 f8", "", "f1,3,5,2" },
	{ "STFT", "f1,16,1 =i4 - =i32", "", "!a frame at least" },
	{ "MelWeightMatrix", "=i8 =i16 =i8192 =f0 =f4096", "", "f9,8" },
};

static enum qeff_graph_type type_of(char letter)
{
	static const char letters[] = "fdhijub";
	static const enum qeff_graph_type types[] = { QEFF_GRAPH_F32, QEFF_GRAPH_F64,
						      QEFF_GRAPH_F16, QEFF_GRAPH_I64,
						      QEFF_GRAPH_I32, QEFF_GRAPH_U8,
						      QEFF_GRAPH_BOOL };

	return types[strchr(letters, letter) - letters];
}

static struct qeff_value *make_input(struct qeff_graph *g, uint32_t index, char *text)
{
	enum qeff_graph_type type;
	struct qeff_dim dims[MAX + 1];
	uint32_t rank = 0;
	char name[8];

	if (*text == '-')
		return NULL;
	snprintf(name, sizeof(name), "in%u", index);
	if (*text == '=') {
		int64_t count = 0;
		void *data;
		char *save = NULL;
		struct qeff_value *value;

		for (char *c = text; *c; c++)
			count += *c == ',';
		count++;
		type = type_of(text[1]);
		value = qeff_graph_constant(g, name, type, 1, &count, &data);
		text += 2;
		for (int64_t i = 0; i < count; i++) {
			const char *number = strtok_r(i ? NULL : text, ",", &save);

			if (type == QEFF_GRAPH_F32)
				((float *)data)[i] = strtof(number, NULL);
			else if (type == QEFF_GRAPH_I64)
				((int64_t *)data)[i] = strtoll(number, NULL, 10);
			else
				((uint8_t *)data)[i] = *number == '1';
		}
		return value;
	}
	type = type_of(*text++);
	while (*text) {
		if (*text == 'N' || *text == 'M') {
			dims[rank++] = qeff_dim_symbol(*text == 'N' ? "N" : "M");
			text++;
		} else {
			dims[rank++] = qeff_dim_of(strtoll(text, &text, 10));
		}
		text += *text == ',';
	}
	return qeff_graph_input(g, name, type, rank, dims);
}

static struct qeff_attribute make_attribute(const struct qeff_op *op, char *text, int64_t *ints)
{
	struct qeff_attribute a = { .name = text };
	char *value = strchr(text, '=');

	*value++ = 0;
	for (uint32_t i = 0; i < QEFF_OP_MAX_ATTRIBUTES && op->attributes[i].name; i++)
		if (!strcmp(op->attributes[i].name, text))
			a.kind = op->attributes[i].kind;
	a.s = value;
	a.i = strtoll(value, NULL, 10);
	a.f = strtof(value, NULL);
	a.ints = ints;
	for (char *c = value; a.kind == QEFF_ATTR_INTS && *c; c += *c == ',')
		ints[a.count++] = strtoll(c, &c, 10);
	return a;
}

/* "f2,3" of an output. */
static void print_result(const struct qeff_value *value, char *text, size_t size)
{
	static const char *const letters[32] = {
		[QEFF_GRAPH_F32] = "f",	 [QEFF_GRAPH_F64] = "d", [QEFF_GRAPH_F16] = "h",
		[QEFF_GRAPH_I64] = "i",	 [QEFF_GRAPH_I32] = "j", [QEFF_GRAPH_U8] = "u",
		[QEFF_GRAPH_BOOL] = "b",
	};
	int at = snprintf(text, size, "%s", letters[value->type]);

	for (uint32_t i = 0; i < value->shape.rank; i++) {
		const struct qeff_dim *dim = &value->shape.dims[i];

		if (dim->symbol)
			at += snprintf(text + at, size - (size_t)at, "%s%s", i ? "," : "",
				       dim->symbol);
		else
			at += snprintf(text + at, size - (size_t)at, "%s%lld", i ? "," : "",
				       (long long)dim->size);
	}
}

static void run_case(const struct op_case *c)
{
	static const char *const names[] = { "y0", "y1", "y2" };
	struct qeff_graph *g = qeff_graph_new("g");
	char inputs_text[256], attributes_text[256], found[256] = "", *save = NULL;
	struct qeff_value *inputs[16] = { NULL };
	struct qeff_attribute attributes[MAX];
	int64_t ints[MAX][MAX];
	uint32_t num_inputs = 0, num_attributes = 0, num_outputs = 1;
	const struct qeff_op *op = qeff_op_find(c->op);
	struct qeff_error err = { 0 };
	struct qeff_node *node;
	size_t at = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(op);
	snprintf(inputs_text, sizeof(inputs_text), "%s", c->inputs);
	snprintf(attributes_text, sizeof(attributes_text), "%s", c->attributes);
	for (char *word = strtok_r(inputs_text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save), num_inputs++)
		inputs[num_inputs] = make_input(g, num_inputs, word);
	for (char *word = strtok_r(attributes_text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save), num_attributes++)
		attributes[num_attributes] = make_attribute(op, word, ints[num_attributes]);
	for (const char *e = c->expected; *e != '!' && *e; e++)
		num_outputs += *e == ' ';
	node = qeff_graph_node_of(g, c->op, num_outputs, names, num_inputs, inputs, num_attributes,
				  attributes);
	qeff_graph_status(g, &err);
	for (uint32_t i = 0; node && i < num_outputs; i++) {
		if (i)
			found[at++] = ' ';
		print_result(node->outputs[i], found + at, sizeof(found) - at);
		at = strlen(found);
	}
	if (*c->expected == '!' ? node || !strstr(err.message, c->expected + 1)
				: !node || strcmp(found, c->expected)) {
		printf("\n  %s(%s) %s: expected %s, got %s", c->op, c->inputs, c->attributes,
		       c->expected, node ? found : err.message);
		CU_FAIL("types and shapes");
	}
	qeff_graph_free(g);
}

static void infers(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(&cases[i]);
}

/* Every operator has a case, or shares its shape function with one that has. */
static void is_complete(void)
{
	for (size_t i = 0; i < qeff_num_ops; i++) {
		bool seen = strchr(qeff_ops[i].name, '.');

		for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]) && !seen; k++)
			seen = qeff_op_find(cases[k].op)->infer == qeff_ops[i].infer;
		/* these stand in test_graph.c */
		seen = seen || !strcmp(qeff_ops[i].name, "MatMul") ||
		       !strcmp(qeff_ops[i].name, "Gelu");
		if (!seen)
			printf("\n  no case for %s", qeff_ops[i].name);
		CU_ASSERT_TRUE(seen);
	}
}

static const struct unit_test tests[] = {
	{ "types and shapes", infers },
	{ "complete", is_complete },
};

QEFF_UNIT_MAIN("ops", tests)
