/* SPDX-License-Identifier: MIT */
/* The graph: building, shapes, rewriting, binding; what is wrong is refused with a sentence. */
#include "unit.h"

#include "graph/graph.h"
#include "graph/ops.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define F32	     QEFF_GRAPH_F32
#define I64	     QEFF_GRAPH_I64
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* "B" and "S" are symbols, anything else numbers: "B,S,8" */
static uint32_t parse_dims(const char *text, struct qeff_dim *dims)
{
	uint32_t rank = 0;

	for (; *text; rank++) {
		char *end = (char *)text + 1;

		if (*text == 'B' || *text == 'S' || *text == 'C')
			dims[rank] = qeff_dim_symbol(*text == 'B' ? "B" : *text == 'S' ? "S" : "C");
		else
			dims[rank] = qeff_dim_of(strtoll(text, &end, 10));
		text = *end == ',' ? end + 1 : end;
	}
	return rank;
}

static struct qeff_value *input(struct qeff_graph *graph, const char *name,
				enum qeff_graph_type type, const char *dims_text)
{
	struct qeff_dim dims[16];
	uint32_t rank = parse_dims(dims_text, dims);

	return qeff_graph_input(graph, name, type, rank, dims);
}

static struct qeff_value *integers(struct qeff_graph *graph, const char *name, uint32_t count,
				   const int64_t *numbers)
{
	const int64_t dims[] = { count };
	void *data = NULL;
	struct qeff_value *value = qeff_graph_constant(graph, name, I64, 1, dims, &data);

	if (value)
		memcpy(data, numbers, count * sizeof(*numbers));
	return value;
}

static struct qeff_value *add(struct qeff_graph *graph, const char *name, struct qeff_value *a,
			      struct qeff_value *b)
{
	return qeff_graph_node(graph, "Add", name, 2, (struct qeff_value *[]){ a, b }, 0, NULL);
}

static void status_says(struct qeff_graph *graph, int code, const char *part)
{
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_graph_status(graph, &err), code);
	if (!strstr(err.message, part)) {
		printf("\n  expected \"%s\", got \"%s\"", part, err.message);
		CU_FAIL("the sentence names what is wrong");
	}
	qeff_graph_free(graph);
}

static void builds(void)
{
	struct qeff_graph *g = qeff_graph_new("g");
	struct qeff_value *x = input(g, "x", F32, "B,S,8"), *y;
	const float weights[32] = { 0 };
	const int64_t dims[] = { 8, 4 };
	struct qeff_value *w =
		qeff_graph_initialiser(g, "w", F32, QEFF_GRAPH_F16, 2, dims, weights);
	struct qeff_error err = { 0 };
	char text[64];

	y = qeff_graph_node(g, "MatMul", "y", 3, (struct qeff_value *[]){ x, w, NULL }, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(y);
	qeff_graph_output(g, y);
	qeff_graph_output(g, y); /* once is enough */
	CU_ASSERT_EQUAL(qeff_graph_validate(g, &err), 0);
	CU_ASSERT_EQUAL(err.code, 0);
	CU_ASSERT_EQUAL(g->num_values, 3);
	CU_ASSERT_EQUAL(g->num_nodes, 1);
	CU_ASSERT_EQUAL(g->num_inputs, 1);
	CU_ASSERT_EQUAL(g->num_outputs, 1);
	CU_ASSERT_STRING_EQUAL(qeff_graph_shape_text(&y->shape, text, sizeof(text)), "[B, S, 4]");
	CU_ASSERT_STRING_EQUAL(qeff_graph_shape_text(&y->shape, text, 5), "[B, ");
	CU_ASSERT_PTR_EQUAL(y->producer, g->nodes[0]);
	CU_ASSERT_STRING_EQUAL(g->nodes[0]->op_type, "MatMul");
	CU_ASSERT_STRING_EQUAL(g->nodes[0]->domain, "");
	CU_ASSERT_EQUAL(g->nodes[0]->num_inputs, 2); /* the absent one at the end is dropped */
	CU_ASSERT_TRUE(w->is_initialiser);
	CU_ASSERT_EQUAL(w->stored_type, QEFF_GRAPH_F16);
	CU_ASSERT_PTR_EQUAL(w->data, weights);
	CU_ASSERT_PTR_EQUAL(qeff_graph_find(g, "w"), w);
	CU_ASSERT_PTR_NULL(qeff_graph_find(g, "B")); /* a symbol is no value */
	CU_ASSERT_EQUAL(qeff_value_uses(g, x), 1);
	CU_ASSERT_EQUAL(qeff_value_uses(g, y), 1);
	CU_ASSERT_PTR_EQUAL(x->users[0], g->nodes[0]);
	qeff_graph_free(g);
	qeff_graph_free(NULL);
}

static void refuses_wrong_arguments(void)
{
	struct qeff_graph *g = qeff_graph_new("g");

	input(g, "x", F32, "4");
	CU_ASSERT_PTR_NULL(input(g, "x", F32, "4"));
	CU_ASSERT_PTR_NULL(input(g, "z", F32, "4")); /* the first error stays */
	status_says(g, -EINVAL, "\"x\": the graph has one of this name already");

	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(input(g, "", F32, "4"));
	status_says(g, -EINVAL, "has no name");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(input(g, "x", F32, "4,0"));
	status_says(g, -EINVAL, "\"x\": dimension 1 is 0");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(input(g, "x", F32, "1,1,1,1,1,1,1,1,1"));
	status_says(g, -EINVAL, "9 dimensions");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(input(g, "x", 8, "4"));
	status_says(g, -EINVAL, "type 8");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(input(g, "x", F32, "4294967296,4294967296"));
	status_says(g, -EOVERFLOW, "too large");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(
		qeff_graph_initialiser(g, "w", F32, F32, 1, (const int64_t[]){ 4 }, NULL));
	status_says(g, -EINVAL, "has no bytes");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(qeff_graph_node(g, "Conjure", "y", 0, NULL, 0, NULL));
	status_says(g, -ENOTSUP, "node \"y\": unknown operator Conjure");
	g = qeff_graph_new("g");
	CU_ASSERT_PTR_NULL(add(g, "y", input(g, "x", F32, "4"), NULL));
	status_says(g, -EINVAL, "node \"y\" (Add): input 1 is missing");
	g = qeff_graph_new("g");
	qeff_graph_fail(g, -ENOTSUP, "no %s", "way");
	qeff_graph_fail(g, -EINVAL, "later");
	CU_ASSERT_PTR_NULL(input(g, "x", F32, "4"));
	status_says(g, -ENOTSUP, "no way");
}

/* An operator, its inputs ("f:" floats, "i:" i64, "j:" i32), an attribute, and the output's shape,
 * or a part of the refusal. */
struct shape_case {
	const char *op;
	const char *inputs[8];
	struct qeff_attribute attributes[3];
	const char *expected;
};

static void run_shape_case(const struct shape_case *c)
{
	struct qeff_graph *g = qeff_graph_new("g");
	struct qeff_value *inputs[8] = { NULL }, *y;
	uint32_t num_attributes = 0;
	struct qeff_error err = { 0 };
	char name[8], text[128];

	for (uint32_t i = 0; i < 8 && c->inputs[i]; i++) {
		snprintf(name, sizeof(name), "in%u", i);
		if (c->inputs[i][0] == '=') {
			int64_t numbers[8];
			struct qeff_dim dims[8];
			uint32_t count = parse_dims(c->inputs[i] + 1, dims);

			for (uint32_t n = 0; n < count; n++)
				numbers[n] = dims[n].size;
			inputs[i] = integers(g, name, count, numbers);
		} else if (c->inputs[i][0] != '-') {
			inputs[i] = input(g, name,
					  c->inputs[i][0] == 'f'   ? F32
					  : c->inputs[i][0] == 'j' ? QEFF_GRAPH_I32
					  : c->inputs[i][0] == 'b' ? QEFF_GRAPH_BOOL
								   : I64,
					  c->inputs[i] + 2);
		}
	}
	while (num_attributes < 3 && c->attributes[num_attributes].name)
		num_attributes++;
	y = qeff_graph_node(g, c->op, "y", 8, inputs, num_attributes, c->attributes);
	qeff_graph_status(g, &err);
	if (y)
		qeff_graph_shape_text(&y->shape, text, sizeof(text));
	if (c->expected[0] == '[' ? !y || strcmp(text, c->expected)
				  : y || !strstr(err.message, c->expected)) {
		printf("\n  %s(%s, %s, ...): expected %s, got %s", c->op, c->inputs[0],
		       c->inputs[1], c->expected, y ? text : err.message);
		CU_FAIL("shape");
	}
	qeff_graph_free(g);
}

#define PERM(...)                                                                                  \
	{                                                                                          \
		QEFF_INTS("perm", COUNT(((const int64_t[]){ __VA_ARGS__ })),                       \
			  ((const int64_t[]){ __VA_ARGS__ }))                                      \
	}
#define EPSILON                                                                                    \
	{                                                                                          \
		QEFF_FLOAT("epsilon", 1)                                                           \
	}
#define ROTARY(n)                                                                                  \
	{                                                                                          \
		QEFF_INT("rotary_dim", (n))                                                        \
	}
#define CAUSAL                                                                                     \
	{                                                                                          \
		QEFF_FLOAT("scale", 1), QEFF_INT("causal", 1)                                      \
	}

static void infers_shapes(void)
{
	const struct shape_case cases[] = {
		{ "Add", { "f:B,S,8", "f:8" }, { { 0 } }, "[B, S, 8]" },
		{ "Add", { "f:8,1", "f:2,1,4" }, { { 0 } }, "[2, 8, 4]" },
		{ "Mul", { "f:", "f:B,S" }, { { 0 } }, "[B, S]" },
		{ "Add", { "f:B,1", "f:1,S" }, { { 0 } }, "[B, S]" },
		{ "Add", { "f:4", "f:3" }, { { 0 } }, "input 1, \"in1\", does not fit input 0" },
		{ "Add", { "f:B", "f:S" }, { { 0 } }, "does not fit" },
		{ "Add", { "f:B", "f:4" }, { { 0 } }, "does not fit" },
		{ "Add", { "f:4", "i:4" }, { { 0 } }, "does not fit" },
		{ "Add", { "f:4", "f:4", "f:4" }, { { 0 } }, "has 3 inputs, expected at most 2" },
		{ "Add", { "f:4", "f:4" }, { QEFF_INT("axis", 1) }, "unknown attribute \"axis\"" },
		{ "Sqrt", { "f:B,4" }, { { 0 } }, "[B, 4]" },
		{ "Sqrt", { "i:4" }, { { 0 } }, "expected floats" },
		{ "Gelu", { "f:B" }, { QEFF_STRING("approximate", "tanh") }, "[B]" },
		{ "Gelu", { "f:B" }, { QEFF_STRING("approximate", "x") }, "\"x\"" },
		{ "Gelu", { "f:B" }, { QEFF_INT("approximate", 1) }, "has kind 0, expected 2" },
		{ "MatMul", { "f:B,S,8", "f:8,4" }, { { 0 } }, "[B, S, 4]" },
		{ "MatMul", { "f:2,1,3,8", "f:5,8,S" }, { { 0 } }, "[2, 5, 3, S]" },
		{ "MatMul", { "f:B,7", "f:8,4" }, { { 0 } }, "input 1, \"in1\", is f32[8, 4]" },
		{ "MatMul", { "f:8", "f:8,4" }, { { 0 } }, "[4]" },
		{ "MatMul", { "f:2,8", "f:8" }, { { 0 } }, "[2]" },
		{ "MatMul", { "f:", "f:8" }, { { 0 } }, "does not fit input 0" },
		{ "MatMul", { "f:2,2,2", "f:3,2,2" }, { { 0 } }, "does not fit" },
		{ "ReduceMean", { "f:B,S,8", "=-1" }, { { 0 } }, "[B, S, 1]" },
		{ "ReduceMean", { "f:B,S,8", "=0,2" }, { QEFF_INT("keepdims", 0) }, "[S]" },
		{ "ReduceMean", { "f:B,S,8", "=3" }, { { 0 } }, "axis 3 of 3" },
		{ "ReduceMean", { "f:B,S,8", "i:1" }, { { 0 } }, "must be a constant" },
		{ "Gather", { "f:32,8", "i:B,S" }, { { 0 } }, "[B, S, 8]" },
		{ "Gather", { "f:4,32,8", "i:B" }, { QEFF_INT("axis", -2) }, "[4, B, 8]" },
		{ "Gather", { "f:32,8", "i:B" }, { QEFF_INT("axis", 2) }, "\"axis\"" },
		{ "Gather", { "f:32,8", "f:B" }, { { 0 } }, "expected integers" },
		{ "Gather", { "f:2,2,2,2,2", "i:1,1,1,1,1" }, { { 0 } }, "fewer dimensions" },
		{ "Transpose", { "f:B,4,S" }, PERM(2, 0, 1), "[S, B, 4]" },
		{ "Transpose", { "f:B,4" }, PERM(0, 0), "no permutation" },
		{ "Transpose", { "f:B,4" }, PERM(0, 2), "no permutation" },
		{ "Transpose", { "f:B,4" }, PERM(0), "as many dimensions" },
		{ "Transpose", { "f:B,4" }, { { 0 } }, "[4, B]" },
		{ "Reshape", { "f:B,S,8", "=0,0,2,4" }, { { 0 } }, "[B, S, 2, 4]" },
		{ "Reshape", { "f:B,S,2,4", "=0,0,8" }, { { 0 } }, "[B, S, 8]" },
		{ "Reshape", { "f:B,S,2,4", "=0,0,-1" }, { { 0 } }, "[B, S, 8]" },
		{ "Reshape", { "f:2,S,4", "=8,-1" }, { { 0 } }, "[8, S]" },
		{ "Reshape", { "f:6,4", "=3,-1" }, { { 0 } }, "[3, 8]" },
		{ "Reshape", { "f:6,4", "=5,-1" }, { { 0 } }, "as many elements" },
		{ "Reshape", { "f:6,4", "=5,5" }, { { 0 } }, "as many elements" },
		{ "Reshape", { "f:6,4", "=-1,-1" }, { { 0 } }, "cannot make dimension 1 of -1" },
		{ "Reshape", { "f:6,4", "=24,1,0" }, { { 0 } }, "cannot make dimension 2 of 0" },
		{ "Reshape", { "f:B,S,4", "=-1,4" }, { { 0 } }, "at most one symbol" },
		{ "Reshape", { "f:B,4", "=4" }, { { 0 } }, "as many elements" },
		{ "Slice", { "f:B,8,4", "=2,0", "=6,3", "=1,2" }, { { 0 } }, "[B, 4, 3]" },
		{ "Slice", { "f:8,4", "=0", "=7", "=0", "=3" }, { { 0 } }, "[3, 4]" },
		{ "Slice", { "f:8,4", "=-2", "=99", "=-2" }, { { 0 } }, "[2, 4]" },
		{ "Slice", { "f:8,4", "=6", "=6", "=0" }, { { 0 } }, "takes nothing" },
		{ "Slice", { "f:B,4", "=0", "=1", "=0" }, { { 0 } }, "axis 0 of input 0" },
		{ "Slice", { "f:8,4", "=0,0", "=1", "=0" }, { { 0 } }, "as many numbers" },
		{ "LayerNormalization", { "f:B,8", "f:8", "f:8" }, EPSILON, "[B, 8]" },
		{ "LayerNormalization", { "f:B,8", "f:4", "f:8" }, EPSILON, "fits the last axes" },
		{ "LayerNormalization",
		  { "f:B,8", "f:8" },
		  { QEFF_INT("axis", 2) },
		  "\"axis\" is 2" },
		{ "qeff.RMSNorm", { "f:B,8", "f:8" }, EPSILON, "[B, 8]" },
		{ "qeff.RMSNorm", { "f:B,8", "f:8" }, { { 0 } }, "\"epsilon\" is missing" },
		{ "qeff.RMSNorm", { "f:", "f:8" }, EPSILON, "at least one dimension" },
		{ "qeff.L2Normalize", { "f:B,8" }, EPSILON, "[B, 8]" },
		{ "qeff.MaskToPositions", { "i:B,S" }, { { 0 } }, "[B, S]" },
		{ "qeff.MaskToPositions", { "f:B,S" }, { { 0 } }, "expected i64[batch, seq]" },
		{ "qeff.RotaryEmbedding",
		  { "f:B,2,S,8", "i:B,S", "f:99,4", "f:99,4" },
		  ROTARY(8),
		  "[B, 2, S, 8]" },
		{ "qeff.RotaryEmbedding",
		  { "f:B,2,S,8", "i:B,S", "f:99,4", "f:98,4" },
		  ROTARY(8),
		  "input 3" },
		{ "qeff.RotaryEmbedding",
		  { "f:B,2,S,8", "i:B,S", "f:99,4", "f:99,4" },
		  ROTARY(6),
		  "input 2" },
		{ "qeff.RotaryEmbedding",
		  { "f:B,2,S,8", "i:B,S", "f:99,4", "f:99,4" },
		  ROTARY(10),
		  "\"rotary_dim\" is 10" },
		{ "qeff.RotaryEmbedding",
		  { "f:B,2,S,8", "i:B,4", "f:99,4", "f:99,4" },
		  ROTARY(8),
		  "input 1" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,S,8", "f:B,2,S,6", "i:B,S", "i:B,S" },
		  CAUSAL,
		  "[B, 4, S, 6]" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S" },
		  CAUSAL,
		  "[B, 4, S, 8]" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,3,S,8", "f:B,3,S,8", "i:B,S" },
		  CAUSAL,
		  "input 1" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,S,4", "f:B,2,S,8", "i:B,S" },
		  CAUSAL,
		  "input 1" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,S,8", "i:B,S" },
		  CAUSAL,
		  "input 2" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,C" },
		  CAUSAL,
		  "input 3" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S", "i:B,S" },
		  CAUSAL,
		  "input 4" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S", "-", "f:4,33" },
		  CAUSAL,
		  "[B, 4, S, 8]" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S", "-", "f:2,33" },
		  CAUSAL,
		  "input 5" },
		{ "qeff.DisentangledAttention",
		  { "f:B,2,S,8", "f:B,2,S,8", "f:B,2,S,6", "i:B,S", "i:B,S", "f:9", "f:5,16" },
		  { QEFF_FLOAT("scale", 1) },
		  "[B, 2, S, 6]" },
		{ "qeff.DisentangledAttention",
		  { "f:B,2,S,8", "f:B,2,S,8", "f:B,2,S,8", "i:B,S", "i:B,S", "f:9", "f:5,16",
		    "f:6,16" },
		  { QEFF_FLOAT("scale", 1) },
		  "input 7" },
		{ "qeff.DisentangledAttention",
		  { "f:B,2,S,8", "f:B,2,S,8", "f:B,2,S,8", "i:B,S", "i:B,S", "f:9", "-", "f:6,15" },
		  { QEFF_FLOAT("scale", 1) },
		  "input 7" },
		{ "qeff.DisentangledAttention",
		  { "f:B,2,S,8", "f:B,2,S,8", "f:B,2,S,8", "i:B,S", "i:B,S", "f:9" },
		  { QEFF_FLOAT("scale", 1) },
		  "neither relative keys nor queries" },
		{ "qeff.DisentangledAttention",
		  { "f:B,2,S,8", "f:B,1,S,8", "f:B,1,S,8", "i:B,S", "i:B,S", "f:9", "f:5,16" },
		  { QEFF_FLOAT("scale", 1) },
		  "as many heads" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S", "-", "-", "f:4" },
		  CAUSAL,
		  "[B, 4, S, 8]" },
		{ "qeff.Attention",
		  { "f:B,4,S,8", "f:B,2,C,8", "f:B,2,C,8", "i:B,S", "-", "-", "f:2" },
		  CAUSAL,
		  "input 6" },
		{ "Concat", { "f:3,8", "f:4,8" }, { QEFF_INT("axis", 0) }, "[7, 8]" },
		{ "Concat", { "f:B,3", "f:B,4" }, { QEFF_INT("axis", -1) }, "[B, 7]" },
		{ "Concat", { "f:3,8", "f:4,7" }, { QEFF_INT("axis", 0) }, "input 1" },
		{ "Concat", { "f:B,8", "f:B,8" }, { QEFF_INT("axis", 0) }, "input 0" },
		{ "qeff.Route", { "f:B,S,8" }, { QEFF_INT("top_k", 2) }, "[B, S, 4]" },
		{ "qeff.Route", { "f:B,S,8" }, { QEFF_INT("top_k", 9) }, "9 of 8 experts" },
		{ "qeff.Experts",
		  { "f:B,S,8", "f:B,S,4", "f:15,8" },
		  { QEFF_INT("experts", 3), QEFF_INT("shared", 1) },
		  "[B, S, 10]" },
		{ "qeff.Experts",
		  { "f:B,S,10", "f:B,S,4", "f:24,5", "f:3,8" },
		  { QEFF_INT("experts", 3), QEFF_INT("shared", 0) },
		  "[B, S, 16]" },
		{ "qeff.Experts",
		  { "f:B,S,8", "f:B,S,4", "f:16,8" },
		  { QEFF_INT("experts", 3), QEFF_INT("shared", 1) },
		  "input 2" },
		{ "qeff.Experts",
		  { "f:B,S,8", "f:B,S,4", "f:15,8", "f:3,4" },
		  { QEFF_INT("experts", 3), QEFF_INT("shared", 1) },
		  "input 3" },
		{ "qeff.Experts",
		  { "f:B,S,8", "f:B,S,3", "f:15,8" },
		  { QEFF_INT("experts", 3), QEFF_INT("shared", 1) },
		  "input 1" },
		{ "qeff.Mix", { "f:B,S,16", "f:B,S,4" }, { { 0 } }, "[B, S, 8]" },
		{ "qeff.Mix", { "f:B,S,15", "f:B,S,4" }, { { 0 } }, "input 0" },
		{ "qeff.CtxScatter",
		  { "f:B,2,C,8", "i:B,S", "f:B,2,S,8" },
		  { { 0 } },
		  "[B, 2, C, 8]" },
		{ "qeff.CtxScatter",
		  { "f:4,2,C,8", "i:B,S", "f:B,2,S,8", "i:B,1" },
		  { { 0 } },
		  "[4, 2, C, 8]" },
		{ "qeff.CtxScatter",
		  { "f:4,2,C,8", "i:B,S", "f:B,2,S,8" },
		  { { 0 } },
		  "no batch_index" },
		{ "qeff.CtxScatter", { "f:B,2,C,8", "i:B,C", "f:B,2,S,8" }, { { 0 } }, "input 1" },
		{ "qeff.CtxScatter", { "f:B,2,C,8", "i:B,S", "f:B,3,S,8" }, { { 0 } }, "input 2" },
		{ "qeff.CtxGather", { "f:B,2,C,8" }, { { 0 } }, "[B, 2, C, 8]" },
		{ "qeff.CtxGather", { "f:4,2,C,8", "i:B,1" }, { { 0 } }, "[B, 2, C, 8]" },
		{ "qeff.CtxGather", { "f:4,2,C,8", "i:B,2" }, { { 0 } }, "input 1" },
		{ "qeff.LastToken", { "f:B,S,8", "i:B,S" }, { { 0 } }, "[B, 1, 8]" },
		{ "qeff.LastToken", { "f:B,S,8", "i:B,C" }, { { 0 } }, "input 1" },
		{ "qeff.LastTokens", { "f:B,S,8", "i:B,S", "i:C,1" }, { { 0 } }, "[B, C, 8]" },
		{ "qeff.LastTokens", { "f:B,S,8", "i:B,S", "i:C" }, { { 0 } }, "i64[rows, 1]" },
		{ "qeff.SequenceGather", { "f:5,2", "i:B,1", "i:B,S" }, { { 0 } }, "[B, S, 2]" },
		{ "qeff.SequenceGather", { "f:5,2", "i:B,S", "i:B,S" }, { { 0 } }, "input 1" },
		{ "qeff.SequenceGather", { "f:5,2", "i:C,1", "i:B,S" }, { { 0 } }, "input 1" },
		{ "qeff.Sample",
		  { "f:B,1,90", "f:B,1", "j:B,1", "f:B,1", "f:B,1", "f:B,9" },
		  { { 0 } },
		  "[B, 1, 1]" },
		{ "qeff.Sample",
		  { "f:B,1,8", "f:B,1", "j:B,1", "f:B,1", "f:B,1", "f:B,9" },
		  { { 0 } },
		  "input 5" },
		{ "qeff.Sample",
		  { "f:B,1,90", "f:B,1", "i:B,1", "f:B,1", "f:B,1", "f:B,9" },
		  { { 0 } },
		  "input 2" },
		{ "qeff.Sample",
		  { "f:B,2,90", "f:B,1", "j:B,1", "f:B,1", "f:B,1", "f:B,9" },
		  { { 0 } },
		  "input 0" },
		{ "qeff.Probabilities",
		  { "f:B,1,90", "f:B,1", "j:B,1", "f:B,1", "f:B,1" },
		  { QEFF_INT("candidates", 9) },
		  "[B, 1, 90]" },
		{ "qeff.Probabilities",
		  { "f:B,1,8", "f:B,1", "j:B,1", "f:B,1", "f:B,1" },
		  { QEFF_INT("candidates", 9) },
		  "9 of 8 tokens" },
		{ "qeff.Mark", { "b:B,90", "i:B,S", "i:B,S" }, { { 0 } }, "[B, 90]" },
		{ "qeff.Mark", { "b:C,90", "i:B,S", "i:B,S", "i:B,1" }, { { 0 } }, "[C, 90]" },
		{ "qeff.Mark", { "b:C,90", "i:B,S", "i:B,S" }, { { 0 } }, "input 1" },
		{ "qeff.Mark", { "b:B,90", "i:B,S", "i:B,C" }, { { 0 } }, "input 2" },
		{ "qeff.Mark", { "f:B,90", "i:B,S", "i:B,S" }, { { 0 } }, "input 0" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:B,90", "b:B,90", "f:B,1", "f:B,1" },
		  { { 0 } },
		  "[B, 1, 90]" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:C,90", "b:C,90", "f:B,1", "f:B,1", "i:B,1", "b:B,90" },
		  { { 0 } },
		  "[B, 1, 90]" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:C,90", "b:C,90", "f:B,1", "f:B,1" },
		  { { 0 } },
		  "input 1" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:B,90", "b:B,91", "f:B,1", "f:B,1" },
		  { { 0 } },
		  "input 2" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:C,90", "b:C,90", "f:B,1", "f:B,1", "i:B,1", "b:C,90" },
		  { { 0 } },
		  "input 6" },
		{ "qeff.Penalise",
		  { "f:B,1,90", "b:B,90", "b:B,90", "f:B,2", "f:B,1" },
		  { { 0 } },
		  "input 3" },
		{ "qeff.Pool", { "f:B,S,8", "i:B,S" }, { QEFF_STRING("mode", "mean") }, "[B, 8]" },
		{ "qeff.Pool",
		  { "f:B,S,8", "i:B,S" },
		  { QEFF_STRING("mode", "median") },
		  "median" },
		{ "qeff.DequantizeMXFP4", { "f:2,16", "f:2" }, { { 0 } }, "u8[.., blocks, 16]" },
		{ "qeff.Pool", { "f:B,8", "i:B,8" }, { QEFF_STRING("mode", "mean") }, "input 0" },
		/* each input fits, what they stretch to does not */
		{ "Add", { "f:1048576,1048576,1,1", "f:1048576,1048576" }, { { 0 } }, "too large" },
	};
	bool seen[512] = { false };

	for (size_t i = 0; i < COUNT(cases); i++) {
		run_shape_case(&cases[i]);
		if (qeff_op_find(cases[i].op))
			seen[qeff_op_find(cases[i].op) - qeff_ops] = true;
	}
	/* those of one shape function more than once in the table need no case each */
	for (size_t i = 0; i < qeff_num_ops; i++) {
		for (size_t j = 0; j < qeff_num_ops; j++)
			seen[i] = seen[i] || (seen[j] && qeff_ops[j].infer == qeff_ops[i].infer);
		/* ONNX's are test_ops.c's */
		CU_ASSERT_TRUE(seen[i] || !strchr(qeff_ops[i].name, '.'));
	}
}

/* x -> a -> b -> c, and x -> d; c is the output. */
static struct qeff_graph *chain(void)
{
	struct qeff_graph *g = qeff_graph_new("chain");
	struct qeff_value *x = input(g, "x", F32, "B,4"), *y = input(g, "y", F32, "4");
	struct qeff_value *a = add(g, "a", x, y), *b = add(g, "b", a, a);

	add(g, "d", x, input(g, "z", F32, "4"));
	qeff_graph_output(g, add(g, "c", b, y));
	return g;
}

static void prunes(void)
{
	struct qeff_graph *g = chain();

	CU_ASSERT_EQUAL(g->num_nodes, 4);
	CU_ASSERT_EQUAL(g->num_inputs, 3);
	CU_ASSERT_EQUAL(qeff_graph_prune(g), 1);
	CU_ASSERT_EQUAL(g->num_nodes, 3);
	CU_ASSERT_EQUAL(g->num_inputs, 2);
	CU_ASSERT_EQUAL(g->num_values, 5);
	CU_ASSERT_PTR_NULL(qeff_graph_find(g, "d"));
	CU_ASSERT_PTR_NULL(qeff_graph_find(g, "z"));
	CU_ASSERT_EQUAL(qeff_value_uses(g, qeff_graph_find(g, "x")), 1);
	CU_ASSERT_EQUAL(qeff_graph_validate(g, NULL), 0);
	CU_ASSERT_EQUAL(qeff_graph_prune(g), 0);
	/* the names are free again */
	CU_ASSERT_PTR_NOT_NULL(input(g, "z", F32, "2"));
	qeff_graph_free(g);
}

static void replaces(void)
{
	struct qeff_graph *g = chain();
	struct qeff_value *a = qeff_graph_find(g, "a"), *c = qeff_graph_find(g, "c"), *late;
	struct qeff_error err = { 0 };

	/* made last, read first: sorting puts it right */
	late = add(g, "late", qeff_graph_find(g, "x"), qeff_graph_find(g, "z"));
	qeff_graph_replace_uses(g, a, late);
	CU_ASSERT_EQUAL(qeff_value_uses(g, a), 0);
	CU_ASSERT_EQUAL(qeff_value_uses(g, late), 2);
	CU_ASSERT_EQUAL(qeff_graph_validate(g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"b\": reads \"late\" before it is made"));
	err.message[0] = '\0';
	CU_ASSERT_EQUAL(qeff_graph_finish(g, &err), 0);
	CU_ASSERT_EQUAL(g->num_nodes, 3);
	CU_ASSERT_STRING_EQUAL(g->nodes[0]->name, "late");
	CU_ASSERT_STRING_EQUAL(g->nodes[1]->name, "b");
	CU_ASSERT_STRING_EQUAL(g->nodes[2]->name, "c");

	/* an output is replaced with its readers, or alone */
	qeff_graph_replace_uses(g, c, qeff_graph_find(g, "b"));
	CU_ASSERT_EQUAL(qeff_graph_finish(g, &err), 0);
	CU_ASSERT_EQUAL(g->num_nodes, 2);
	CU_ASSERT_STRING_EQUAL(g->outputs[0]->name, "b");
	qeff_graph_replace_output(g, qeff_graph_find(g, "b"),
				  add(g, "e", qeff_graph_find(g, "b"), qeff_graph_find(g, "x")));
	CU_ASSERT_EQUAL(qeff_graph_finish(g, &err), 0);
	CU_ASSERT_STRING_EQUAL(g->outputs[0]->name, "e");
	CU_ASSERT_EQUAL(g->num_nodes, 3);
	CU_ASSERT_FALSE(qeff_graph_find(g, "b")->is_output);

	/* two outputs never become one */
	qeff_graph_output(g, qeff_graph_find(g, "b"));
	qeff_graph_replace_uses(g, qeff_graph_find(g, "b"), qeff_graph_find(g, "e"));
	status_says(g, -EINVAL, "output \"b\" cannot be replaced by \"e\"");
}

static void sets_inputs(void)
{
	struct qeff_graph *g = qeff_graph_new("g");
	struct qeff_value *cache = input(g, "cache", F32, "B,2,C,8");
	struct qeff_value *index = input(g, "index", I64, "B,1");
	struct qeff_value *y = qeff_graph_node(g, "qeff.CtxGather", "y", 1, &cache, 0, NULL);
	struct qeff_node *node = y->producer;

	qeff_graph_output(g, y);
	qeff_graph_set_input(g, node, 1, index);
	CU_ASSERT_EQUAL(node->num_inputs, 2);
	CU_ASSERT_EQUAL(qeff_value_uses(g, index), 1);
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	CU_ASSERT_EQUAL(g->num_inputs, 2);
	qeff_graph_set_input(g, node, 1, NULL);
	CU_ASSERT_EQUAL(node->num_inputs, 1);
	CU_ASSERT_EQUAL(qeff_value_uses(g, index), 0);
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	CU_ASSERT_EQUAL(g->num_inputs, 1);
	/* shapes follow */
	qeff_graph_set_input(g, node, 0, input(g, "other", F32, "B,3,C,5"));
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	CU_ASSERT_EQUAL(y->shape.dims[1].size, 3);
	CU_ASSERT_EQUAL(y->shape.dims[3].size, 5);
	qeff_graph_set_input(g, node, 3, y);
	status_says(g, -EINVAL, "\"y\" (qeff.CtxGather): has no input 3");
}

static void morphs_and_renames(void)
{
	struct qeff_graph *g = chain();
	struct qeff_value *b = qeff_graph_find(g, "b"), *x = qeff_graph_find(g, "x");
	struct qeff_node *node = b->producer;

	qeff_graph_morph(g, node, "qeff.L2Normalize", 1, &x, 1,
			 (struct qeff_attribute[]){ QEFF_FLOAT("epsilon", 0.5f) });
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	CU_ASSERT_EQUAL(g->num_nodes, 2); /* a and d are gone */
	CU_ASSERT_PTR_EQUAL(qeff_graph_find(g, "b")->producer, node);
	CU_ASSERT_TRUE(qeff_node_is(node, "qeff.L2Normalize"));
	CU_ASSERT_STRING_EQUAL(node->op_type, "L2Normalize");
	CU_ASSERT_STRING_EQUAL(node->domain, "qeff");
	CU_ASSERT_EQUAL(qeff_node_float(node, "epsilon", 0), 0.5f);
	CU_ASSERT_EQUAL(qeff_node_float(node, "other", 3), 3);
	CU_ASSERT_EQUAL(qeff_node_int(node, "epsilon", 4), 4); /* of another kind */

	qeff_graph_rename(g, b, "n");
	CU_ASSERT_PTR_NULL(qeff_graph_find(g, "b"));
	CU_ASSERT_PTR_EQUAL(qeff_graph_find(g, "n"), b);
	CU_ASSERT_STRING_EQUAL(node->name, "n");
	qeff_graph_rename(g, b, "n");
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	qeff_graph_morph(g, node, "MatMul", 1, &x, 0, NULL);
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), -EINVAL);
	qeff_graph_rename(g, b, "c");
	status_says(g, -EINVAL, "\"n\": cannot be named \"c\", as another is");
}

static void finds_cycles(void)
{
	struct qeff_graph *g = chain();
	struct qeff_error err = { 0 };

	qeff_graph_set_input(g, qeff_graph_find(g, "a")->producer, 1, qeff_graph_find(g, "b"));
	CU_ASSERT_EQUAL(qeff_graph_finish(g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "cycle"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"a\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"b\""));
	qeff_graph_free(g);

	g = qeff_graph_new("empty");
	CU_ASSERT_EQUAL(qeff_graph_finish(g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "has no output"));
	qeff_graph_free(g);
}

static void validates(void)
{
	struct qeff_graph *g = chain();
	struct qeff_error err = { 0 };
	struct qeff_value *a = qeff_graph_find(g, "a");

	CU_ASSERT_EQUAL(qeff_graph_validate(g, &err), 0);
	a->is_input = true;
	CU_ASSERT_EQUAL(qeff_graph_validate(g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"a\": is made twice"));
	a->is_input = false;
	a->producer = NULL;
	CU_ASSERT_EQUAL(qeff_graph_validate(g, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"a\": nothing makes it"));
	qeff_graph_free(g);
}

static void binds(void)
{
	const struct qeff_binding_size sizes[] = { { "B", 3 }, { "S", 5 } };
	struct qeff_graph *g = qeff_graph_new("g"), *bound = NULL;
	static const int64_t shape[] = { 0, 0, 2, 4 };
	struct qeff_value *x = input(g, "x", F32, "B,S,8"), *y;
	struct qeff_error err = { 0 };
	uint64_t elements;
	char *text;

	y = qeff_graph_node(g, "Reshape", "y", 2,
			    (struct qeff_value *[]){ x, integers(g, "shape", 4, shape) }, 0, NULL);
	qeff_graph_output(g, y);
	CU_ASSERT_FALSE(qeff_graph_shape_elements(&y->shape, &elements));
	CU_ASSERT_EQUAL(qeff_graph_bind(g, sizes, 1, &bound, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(bound);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.message, "input \"x\": no size is given for dimension \"S\""));
	CU_ASSERT_EQUAL_FATAL(qeff_graph_bind(g, sizes, 2, &bound, &err), 0);
	CU_ASSERT_EQUAL(qeff_graph_validate(bound, &err), 0);
	y = qeff_graph_find(bound, "y");
	CU_ASSERT_TRUE(qeff_graph_shape_elements(&y->shape, &elements));
	CU_ASSERT_EQUAL(elements, 3 * 5 * 8);
	CU_ASSERT_PTR_EQUAL(qeff_graph_find(bound, "shape")->data,
			    qeff_graph_find(g, "shape")->data);
	text = qeff_graph_print(bound);
	CU_ASSERT_STRING_EQUAL(text, "graph g\n"
				     "input x: f32[3, 5, 8]\n"
				     "y: f32[3, 5, 2, 4] = Reshape(x, shape)\n"
				     "output y\n");
	free(text);
	qeff_graph_free(bound);
	CU_ASSERT_EQUAL(qeff_graph_bind(g, (struct qeff_binding_size[]){ { "B", 0 }, { "S", 1 } },
					2, &bound, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(
		qeff_graph_bind(g,
				(struct qeff_binding_size[]){ { "B", INT64_MAX / 9 }, { "S", 1 } },
				2, &bound, &err),
		-EOVERFLOW);
	qeff_graph_free(g);
}

/* 100,000 nodes; anything that grows with the square would take minutes. */
static void grows_linearly(void)
{
	struct qeff_graph *g = qeff_graph_new("long"), *bound = NULL;
	struct qeff_value *x = input(g, "x", F32, "B,4"), *y = x;
	const struct qeff_binding_size size = { "B", 2 };
	clock_t start = clock();
	char name[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "node.%d", i);
		y = add(g, name, y, x);
	}
	qeff_graph_output(g, y);
	CU_ASSERT_EQUAL(qeff_graph_finish(g, NULL), 0);
	CU_ASSERT_EQUAL(g->num_nodes, 100000);
	CU_ASSERT_EQUAL(qeff_value_uses(g, x), 100001);
	CU_ASSERT_EQUAL(qeff_graph_bind(g, &size, 1, &bound, NULL), 0);
	CU_ASSERT_TRUE(clock() - start < 10 * CLOCKS_PER_SEC);
	qeff_graph_free(bound);
	qeff_graph_free(g);
}

static const struct unit_test tests[] = {
	{ "builds", builds },
	{ "refuses wrong arguments", refuses_wrong_arguments },
	{ "infers shapes", infers_shapes },
	{ "prunes", prunes },
	{ "replaces", replaces },
	{ "sets inputs", sets_inputs },
	{ "morphs and renames", morphs_and_renames },
	{ "finds cycles", finds_cycles },
	{ "validates", validates },
	{ "binds", binds },
	{ "grows linearly", grows_linearly },
};

QEFF_UNIT_MAIN("graph", tests)
