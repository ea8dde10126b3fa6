/* SPDX-License-Identifier: MIT */
/*
 * The plain way of ONNX's operators, run as the card runs it. ONNX's own tests are another program
 * (tests/integration/onnx/node_tests); here is what those of an older release do not have, with
 * numbers worked out by hand, and that no operator is forgotten.
 */
#include "unit.h"

#include "graph/ops.h"
#include "lower/plain.h"
#include "lowered.h"

#include <math.h>

#define MAX 64

/*
 * Inputs and expected outputs are a letter for the type (f F32, i I64, j I32, u U8), sizes, a colon
 * and the numbers; after = they are constants; - is absent.
 */
struct plain_case {
	const char *op, *inputs, *attributes, *expected;
};

static const struct plain_case cases[] = {
	{ "BitwiseAnd", "j3:12,10,-1 j3:10,6,7", "", "j3:8,2,7" },
	{ "BitwiseOr", "u2:12,10 u2:3,6", "", "u2:15,14" },
	{ "BitwiseXor", "i2:12,-1 i2:10,1", "", "i2:6,-2" },
	{ "BitwiseNot", "u3:0,255,5", "", "u3:255,0,250" },
	{ "BitwiseNot", "j2:0,-8", "", "j2:-1,7" },
	{ "Mish", "f2:0,1", "", "f2:0,0.865098388" },
	{ "Gelu", "f2:1,-1", "", "f2:0.841344746,-0.158655254" },
	{ "Gelu", "f2:1,-1", "approximate=tanh", "f2:0.841191991,-0.158808009" },
	{ "Div", "j4:7,-7,7,-7 j4:2,2,-2,-2", "", "j4:3,-3,-3,3" },
	{ "Mod", "j4:7,-7,7,-7 j4:3,3,-3,-3", "", "j4:1,2,-2,-1" },
	{ "Mod", "f2:5.5,-5.5 f2:2,2", "fmod=1", "f2:1.5,-1.5" },
	{ "Pow", "i3:2,3,-2 i3:10,3,3", "", "i3:1024,27,-8" },
	{ "Sum", "f2:1,2 f2:10,20 f2:100,200 f2:0.5,0.5 f2:1,1", "", "f2:112.5,223.5" },
	{ "GroupNormalization", "f1,4,1:1,3,10,20 =f2:1,2 =f2:0,5", "num_groups=2 epsilon=0",
	  "f1,4,1:-1,1,3,7" },
	{ "GroupNormalization", "f1,4,1:1,3,10,20 =f4:1,2,3,4 =f4:0,0,0,1",
	  "num_groups=2 epsilon=0", "f1,4,1:-1,2,-3,5" },
	{ "LpPool", "f1,1,4:3,4,0,-2", "kernel_shape=2 p=2", "f1,1,3:5,4,2" },
	{ "GlobalLpPool", "f1,1,4:1,-2,3,-4", "p=1", "f1,1,1:10" },
	{ "GlobalLpPool", "f1,1,2:3,-4", "", "f1,1,1:5" },
	{ "AveragePool", "f1,1,4:1,2,3,4", "kernel_shape=3 strides=2 ceil_mode=1", "f1,1,2:2,3.5" },
	{ "MaxPool", "f1,1,4:1,4,3,4", "kernel_shape=2", "f1,1,3:4,4,4 i1,1,3:1,1,3" },
	{ "MaxPool", "u1,1,3:7,0,3", "kernel_shape=2 pads=1,0", "u1,1,3:7,7,3" },
	{ "Conv", "f1,1,3:1,2,3 =f1,1,2:1,10 =f1:0.5", "pads=1,1", "f1,1,4:10.5,21.5,32.5,3.5" },
	{ "Conv", "f1,2,2:1,2,3,4 =f2,1,1:10,100", "group=2", "f1,2,2:10,20,300,400" },
	{ "ConvTranspose", "f1,1,2:1,2 =f1,1,2:1,10", "strides=2", "f1,1,4:1,10,2,20" },
	{ "ConvTranspose", "f1,1,2:1,2 =f1,1,3:1,10,100", "pads=1,1", "f1,1,2:12,120" },
	{ "Pad", "f3:1,2,3 =i2:2,2", "mode=wrap", "f7:2,3,1,2,3,1,2" },
	{ "Pad", "f3:1,2,3 =i2:2,2", "mode=reflect", "f7:3,2,1,2,3,2,1" },
	{ "Pad", "f3:1,2,3 =i2:1,2", "mode=edge", "f6:1,1,2,3,3,3" },
	{ "Pad", "f3:1,2,3 =i2:-1,1 =f1:9", "", "f3:2,3,9" },
	{ "Slice", "f5:1,2,3,4,5 =i1:-1 =i1:-9 =i1:0 =i1:-2", "", "f3:5,3,1" },
	{ "Split", "f5:1,2,3,4,5", "num_outputs=2", "f3:1,2,3 f2:4,5" },
	{ "CumSum", "f4:1,2,3,4 =i1:0", "exclusive=1 reverse=1", "f4:9,7,4,0" },
	{ "TopK", "f5:3,1,3,5,2 =i1:3", "", "f3:5,3,3 i3:3,0,2" },
	{ "TopK", "f5:3,1,3,5,2 =i1:2", "largest=0", "f2:1,2 i2:1,4" },
	{ "ArgMax", "f4:1,5,5,2", "select_last_index=1", "i1:2" },
	{ "ScatterElements", "f3:1,2,3 i4:0,2,2,-3 f4:10,20,30,40", "reduction=add", "f3:51,2,53" },
	{ "ScatterElements", "f3:1,2,3 i2:1,1 f2:9,4", "reduction=max", "f3:1,9,3" },
	{ "ScatterND", "f2,2:1,2,3,4 i1,1:1 f1,2:8,9", "", "f2,2:1,2,8,9" },
	{ "GatherND", "f2,2:1,2,3,4 i2,2:0,1,-1,0", "", "f2:2,3" },
	{ "Einsum", "f2,2:1,2,3,4 f2:10,100", "equation=ij,j->i", "f2:210,430" },
	{ "Einsum", "f2,2:1,2,3,4", "equation=ii", "f:5" },
	{ "Einsum", "f2,2:1,2,3,4", "equation=ij->ji", "f2,2:1,3,2,4" },
	{ "MatMul", "f2:1,2 f2,2:1,2,3,4", "", "f2:7,10" },
	{ "MatMul", "f2,2:1,2,3,4 f2:1,10", "", "f2:21,43" },
	{ "MatMul", "j1,2:3,4 j2,1:5,6", "", "j1,1:39" },
	{ "MatMulInteger", "u1,2:3,4 u2,1:5,6 =u1:1 =u1:5", "", "j1,1:3" },
	{ "QuantizeLinear", "f4:0.5,1.5,-300,300 =f1:1 =u1:10", "", "u4:10,12,0,255" },
	{ "DequantizeLinear", "u2,2:1,2,3,4 =f2:1,10 =u2:0,1", "axis=1", "f2,2:1,10,3,30" },
	{ "RNN", "f2,1,1:1,2 =f1,1,1:1 =f1,1,1:10", "activations=Affine",
	  "f2,1,1,1:1,12 f1,1,1:12" },
	{ "RNN", "f2,1,1:1,2 =f1,1,1:1 =f1,1,1:10 - =j1:1", "activations=Relu",
	  "f2,1,1,1:1,0 f1,1,1:1" },
	{ "RNN", "f2,1,1:1,2 =f1,1,1:1 =f1,1,1:10", "activations=Relu direction=reverse",
	  "f2,1,1,1:21,2 f1,1,1:21" },
	{ "Resize", "f1,1,2:1,3 - - =i3:1,1,4", "mode=linear", "f1,1,4:1,1.5,2.5,3" },
	{ "Resize", "f1,1,4:1,2,3,4 - - =i3:1,1,2", "mode=linear antialias=1",
	  "f1,1,2:1.625,3.375" },
	{ "ReduceL1", "f2,2:1,-2,3,-4", "noop_with_empty_axes=1", "f2,2:1,2,3,4" },
	{ "ReduceLogSumExp", "f2:1000,1000", "keepdims=0", "f:1000.69315" },
	{ "ReduceMax", "i2,2:1,-2,3,-4 =i1:1", "", "i2,1:1,3" },
	{ "Trilu", "f2,3:1,2,3,4,5,6 =i1:1", "", "f2,3:0,2,3,0,0,6" },
	{ "OneHot", "i2:1,-1 =i1:3 f2:0,5", "", "f2,3:0,5,0,0,0,5" },
	{ "Det", "f3,3:2,0,1,1,3,2,1,1,1", "", "f:0" },
	{ "Det", "f2,2:1,2,3,4", "", "f:-2" },
	{ "Range", "=f1:1 =f1:2 =f1:0.25", "", "f4:1,1.25,1.5,1.75" },
};

static const char letters[] = "fiju";
static const enum qeff_graph_type types[] = { QEFF_GRAPH_F32, QEFF_GRAPH_I64, QEFF_GRAPH_I32,
					      QEFF_GRAPH_U8 };

/* A tensor as it is written above. */
struct tensor {
	bool constant;
	enum qeff_graph_type type;
	uint32_t rank;
	int64_t dims[8], count;
	double numbers[MAX];
};

static void parse(const char *text, struct tensor *t)
{
	char *at = (char *)text;

	*t = (struct tensor){ .constant = *at == '=', .count = 1 };
	at += t->constant;
	t->type = types[strchr(letters, *at++) - letters];
	while (*at != ':') {
		t->dims[t->rank] = strtoll(at, &at, 10);
		t->count *= t->dims[t->rank++];
		at += *at == ',';
	}
	for (int64_t i = 0; i < t->count; i++)
		t->numbers[i] = strtod(at + 1, &at);
}

static void store(const struct tensor *t, void *to)
{
	for (int64_t i = 0; i < t->count; i++) {
		if (t->type == QEFF_GRAPH_F32)
			((float *)to)[i] = (float)t->numbers[i];
		else if (t->type == QEFF_GRAPH_I64)
			((int64_t *)to)[i] = (int64_t)t->numbers[i];
		else if (t->type == QEFF_GRAPH_I32)
			((int32_t *)to)[i] = (int32_t)t->numbers[i];
		else
			((uint8_t *)to)[i] = (uint8_t)t->numbers[i];
	}
}

static double load(const struct tensor *t, const void *from, int64_t i)
{
	if (t->type == QEFF_GRAPH_F32)
		return (double)((const float *)from)[i];
	if (t->type == QEFF_GRAPH_I64)
		return (double)((const int64_t *)from)[i];
	if (t->type == QEFF_GRAPH_I32)
		return ((const int32_t *)from)[i];
	return ((const uint8_t *)from)[i];
}

static struct qeff_value *add_input(struct qeff_graph *g, const char *name, const struct tensor *t)
{
	struct qeff_dim dims[8];
	struct qeff_value *value;
	void *data;

	if (t->constant) {
		value = qeff_graph_constant(g, name, t->type, t->rank, t->dims, &data);
		store(t, data);
		return value;
	}
	for (uint32_t i = 0; i < t->rank; i++)
		dims[i] = qeff_dim_of(t->dims[i]);
	return qeff_graph_input(g, name, t->type, t->rank, dims);
}

static uint32_t add_attributes(const struct qeff_op *op, char *text, struct qeff_attribute *a,
			       int64_t ints[][8])
{
	uint32_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		struct qeff_attribute *to = &a[count];

		*value++ = 0;
		*to = (struct qeff_attribute){ .name = word, .s = value, .ints = ints[count] };
		for (uint32_t i = 0; i < QEFF_OP_MAX_ATTRIBUTES && op->attributes[i].name; i++)
			if (!strcmp(op->attributes[i].name, word))
				to->kind = op->attributes[i].kind;
		to->i = strtoll(value, NULL, 10);
		to->f = strtof(value, NULL);
		for (char *c = value; to->kind == QEFF_ATTR_INTS && *c; c += *c == ',')
			ints[count][to->count++] = strtoll(c, &c, 10);
		count++;
	}
	return count;
}

static void run_case(const struct plain_case *c)
{
	static const char *const out_names[] = { "y0", "y1", "y2" };
	static const char *const in_names[] = { "in0", "in1", "in2", "in3", "in4", "in5" };
	char inputs_text[256], attributes_text[256], outputs_text[256], *save = NULL;
	struct tensor in[6], out[3];
	struct qeff_value *inputs[6] = { NULL };
	struct qeff_attribute attributes[8];
	int64_t ints[8][8];
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_graph *g = qeff_graph_new("g");
	const struct qeff_op *op = qeff_op_find(c->op);
	uint32_t num_in = 0, num_out = 0, num_attributes;
	struct qeff_error err = { 0 };
	struct qeff_node *node;

	CU_ASSERT_PTR_NOT_NULL_FATAL(op);
	snprintf(inputs_text, sizeof(inputs_text), "%s", c->inputs);
	snprintf(attributes_text, sizeof(attributes_text), "%s", c->attributes);
	snprintf(outputs_text, sizeof(outputs_text), "%s", c->expected);
	for (char *word = strtok_r(inputs_text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save), num_in++) {
		if (*word == '-')
			continue;
		parse(word, &in[num_in]);
		inputs[num_in] = add_input(g, in_names[num_in], &in[num_in]);
	}
	for (char *word = strtok_r(outputs_text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		parse(word, &out[num_out++]);
	num_attributes = add_attributes(op, attributes_text, attributes, ints);
	node = qeff_graph_node_of(g, c->op, num_out, out_names, num_in, inputs, num_attributes,
				  attributes);
	for (uint32_t i = 0; node && i < num_out; i++)
		qeff_graph_output(g, node->outputs[i]);
	if (qeff_graph_finish(g, &err))
		lowered_die(c->op, &err);
	m->bound[m->num_bound++] = g;
	lowered_start(m, 3);
	for (uint32_t i = 0; i < num_in; i++)
		if (inputs[i] && !in[i].constant && inputs[i]->num_users)
			store(&in[i], lowered_at(m, in_names[i]));
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	for (uint32_t i = 0; i < num_out; i++)
		for (int64_t k = 0; k < out[i].count; k++) {
			double found = load(&out[i], lowered_at(m, out_names[i]), k);
			double expected = out[i].numbers[k];

			if (fabs(found - expected) <= 1e-6 * fmax(1, fabs(expected)))
				continue;
			printf("\n  %s(%s) %s: y%u[%lld] is %.9g, expected %.9g", c->op, c->inputs,
			       c->attributes, i, (long long)k, found, expected);
			CU_FAIL("numbers");
		}
	m->num_bound = 0;
	lowered_close(m);
	qeff_graph_free(g);
}

static void computes(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(&cases[i]);
}

static void is_complete(void)
{
	for (size_t i = 0; i < qeff_num_ops; i++) {
		bool has = strchr(qeff_ops[i].name, '.') || qeff_plain_has(qeff_ops[i].name);

		if (!has)
			printf("\n  %s has no lowering", qeff_ops[i].name);
		CU_ASSERT_TRUE(has);
	}
}

/* docs/onnx.md names them all. */
static void is_documented(void)
{
	static char page[65536];
	FILE *file = fopen(QEFF_TEST_DATA "/../../docs/onnx.md", "r");
	size_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	size = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	CU_ASSERT_TRUE(size < sizeof(page) - 1);
	for (size_t i = 0; i < qeff_num_ops; i++) {
		size_t length = strlen(qeff_ops[i].name);
		const char *at = page;
		bool found = strchr(qeff_ops[i].name, '.');

		while (!found && (at = strstr(at, qeff_ops[i].name))) {
			found = at[-1] == ' ' && (at[length] == ' ' || at[length] == '\n');
			at += length;
		}
		if (!found)
			printf("\n  the page lacks %s", qeff_ops[i].name);
		CU_ASSERT_TRUE(found);
	}
}

static const struct unit_test tests[] = {
	{ "computes", computes },
	{ "documented", is_documented },
	{ "every operator has a lowering", is_complete },
};

QEFF_UNIT_MAIN("plain", tests)
