/* SPDX-License-Identifier: MIT */
/*
 * Import of ONNX from messages written here field by field: what becomes of nodes, functions,
 * bodies, older forms and tensors; and what is refused, with the sentence that says so.
 */
#include "unit.h"

#include "onnx/import.h"
#include "util/bytes.h"

#include <stdio.h>
#include <string.h>

/* ---- messages: field number and wire type, then a varint, or a length and its bytes ---- */

typedef struct {
	uint8_t data[1 << 16];
	size_t size;
} message;

static void varint(message *m, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		m->data[m->size++] = (uint8_t)(value | 128);
	m->data[m->size++] = (uint8_t)value;
}

static void number(message *m, uint32_t field, int64_t value)
{
	varint(m, field << 3);
	varint(m, (uint64_t)value);
}

static void bytes(message *m, uint32_t field, const void *data, size_t size)
{
	varint(m, field << 3 | 2);
	varint(m, size);
	memcpy(m->data + m->size, data, size);
	m->size += size;
}

static void text(message *m, uint32_t field, const char *value)
{
	bytes(m, field, value, strlen(value));
}

static void put(message *m, uint32_t field, const message *inner)
{
	bytes(m, field, inner->data, inner->size);
}

/* ValueInfoProto of a tensor; a dimension below 1 is symbolic. */
static message info(const char *name, int type, int rank, const int64_t *dims, const char *symbol)
{
	static message m, shape, tensor, kind, dim;

	m.size = shape.size = tensor.size = kind.size = 0;
	for (int i = 0; i < rank; i++) {
		dim.size = 0;
		if (dims[i] > 0)
			number(&dim, 1, dims[i]);
		else
			text(&dim, 2, symbol);
		put(&shape, 1, &dim);
	}
	number(&tensor, 1, type);
	put(&tensor, 2, &shape);
	put(&kind, 1, &tensor);
	text(&m, 1, name);
	put(&m, 2, &kind);
	return m;
}

/* NodeProto: "op a,b -> c,d" and, after it, an attribute, if any. */
static message node(const char *line, const char *domain, const message *attribute)
{
	static message m;
	char copy[256], *at = copy, *op, *word;

	m.size = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	op = strsep(&at, " ");
	for (char *list = strsep(&at, " "); list && (word = strsep(&list, ","));)
		if (strcmp(word, "-"))
			text(&m, 1, word);
	strsep(&at, " "); /* -> */
	for (char *list = at; list && (word = strsep(&list, ","));)
		text(&m, 2, word);
	text(&m, 4, op);
	if (attribute)
		put(&m, 5, attribute);
	if (*domain)
		text(&m, 7, domain);
	return m;
}

static message attribute_int(const char *name, int64_t value)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	number(&m, 3, value);
	number(&m, 20, 2);
	return m;
}

static message attribute_ints(const char *name, int count, const int64_t *values)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	for (int i = 0; i < count; i++)
		number(&m, 8, values[i]);
	number(&m, 20, 7);
	return m;
}

static message attribute_of(const char *name, uint32_t field, int type, const message *inner)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	put(&m, field, inner);
	number(&m, 20, type);
	return m;
}

/* TensorProto with numbers in its raw bytes. */
static message tensor(const char *name, int type, int rank, const int64_t *dims, const void *raw,
		      size_t size)
{
	static message m;

	m.size = 0;
	for (int i = 0; i < rank; i++)
		number(&m, 1, dims[i]);
	number(&m, 2, type);
	text(&m, 8, name);
	bytes(&m, 9, raw, size);
	return m;
}

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__ })
#define F32	  1
#define I64	  7

static message graph, functions;

static void begin(void)
{
	graph.size = functions.size = 0;
	text(&graph, 2, "g");
}

static void add_node(const char *line, const message *attribute)
{
	message m = node(line, "", attribute);

	put(&graph, 1, &m);
}

static void add_tensor(const char *name, int type, int rank, const int64_t *dims, const void *raw,
		       size_t size)
{
	message m = tensor(name, type, rank, dims, raw, size);

	put(&graph, 5, &m);
}

static void add_input(const char *name, int rank, const int64_t *dims)
{
	message m = info(name, F32, rank, dims, "N");

	put(&graph, 11, &m);
}

static void add_output(const char *name)
{
	message m = info(name, F32, 0, NULL, "N");

	put(&graph, 12, &m);
}

/* ModelProto around the graph. */
static message *model(int64_t opset)
{
	static message m, set;

	m.size = set.size = 0;
	number(&m, 1, 8);
	put(&m, 7, &graph);
	text(&set, 1, "");
	number(&set, 2, opset);
	put(&m, 8, &set);
	set.size = 0;
	text(&set, 1, "own");
	number(&set, 2, 3);
	put(&m, 8, &set);
	if (functions.size)
		put(&m, 25, &functions);
	return &m;
}

static struct qeff_onnx_model *opened;
static struct qeff_onnx_import_options options;

static int run(const message *m, struct qeff_graph **g, struct qeff_error *err)
{
	int ret = qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, err);

	*g = NULL;
	return ret ? ret : qeff_onnx_import(opened, &options, g, err);
}

static struct qeff_graph *good(const message *m)
{
	struct qeff_error err = { 0 };
	struct qeff_graph *g;

	if (run(m, &g, &err)) {
		printf("\n  %s", err.message);
		CU_FAIL_FATAL("imports");
	}
	return g;
}

static void done(struct qeff_graph *g)
{
	qeff_graph_free(g);
	qeff_onnx_close(opened);
	opened = NULL;
	options = (struct qeff_onnx_import_options){ 0 };
}

static void refused(const message *m, int code, const char *part)
{
	struct qeff_error err = { 0 };
	struct qeff_graph *g;
	int ret = run(m, &g, &err);

	if (ret != code || !strstr(err.message, part)) {
		printf("\n  expected %d \"%s\", got %d \"%s\"", code, part, ret, err.message);
		CU_FAIL("is refused");
	}
	done(g);
}

/* "Add Relu": the nodes in order. */
static void nodes_are(const struct qeff_graph *g, const char *expected)
{
	char got[512] = "";

	for (uint32_t i = 0; i < g->num_nodes; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 g->nodes[i]->op_type);
	if (strcmp(got, expected)) {
		printf("\n  expected %s, got %s", expected, got);
		CU_FAIL("the nodes");
	}
}

/* ---- what becomes of models ---- */

static void wrong_order(void)
{
	static const float w[3] = { 1, 2, 3 };
	struct qeff_graph *g;

	begin();
	add_node("Relu s -> y", NULL);
	add_node("Add x,w -> s", NULL);
	add_tensor("w", F32, 1, DIMS(3), w, sizeof(w));
	add_input("x", 2, DIMS(2, 3));
	add_output("y");
	g = good(model(17));
	nodes_are(g, "Add Relu");
	CU_ASSERT_STRING_EQUAL(g->outputs[0]->name, "y");
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[1].size, 3);
	CU_ASSERT(!memcmp(qeff_graph_find(g, "w")->data, w, sizeof(w)));
	done(g);
}

static void shapes_are_answered(void)
{
	static const int64_t minus = -1;
	struct qeff_graph *g;

	begin();
	add_node("Shape x -> s", NULL);
	add_node("Reshape x,s -> a", NULL);
	add_node("Identity a -> b", NULL);
	add_node("Reshape b,flat -> y", NULL);
	add_tensor("flat", I64, 1, DIMS(1), &minus, 8);
	add_input("x", 2, DIMS(0, 3));
	add_output("y");
	refused(model(17), -ENODATA, "the size \"N\" of its input must be given");
	options.sizes = &(struct qeff_binding_size){ "N", 4 };
	options.num_sizes = 1;
	g = good(model(17));
	nodes_are(g, "Reshape Reshape");
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[0].size, 12);
	done(g);
	/* a shape that was asked for gives the symbol its size */
	options.shapes = &(struct qeff_onnx_shape){ "x", 2, { 5, 3 } };
	options.num_shapes = 1;
	g = good(model(17));
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[0].size, 15);
	done(g);
}

static void functions_are_put_in(void)
{
	message a, inner;
	struct qeff_graph *g;

	begin();
	text(&functions, 1, "Twice");
	text(&functions, 4, "p");
	text(&functions, 5, "q");
	text(&functions, 6, "by");
	a = attribute_int("value_int", 0);
	a.size = 0;
	text(&a, 1, "value_int");
	number(&a, 20, 2);
	text(&a, 21, "by");
	inner = node("Constant - -> c", "", &a);
	put(&functions, 7, &inner);
	inner = node("Unsqueeze p,c -> q", "", NULL);
	put(&functions, 7, &inner);
	a.size = 0;
	text(&a, 1, "");
	number(&a, 2, 17);
	put(&functions, 9, &a);
	text(&functions, 10, "own");

	a = attribute_int("by", 1);
	inner = node("Twice x -> y", "own", &a);
	put(&graph, 1, &inner);
	add_input("x", 2, DIMS(2, 3));
	add_output("y");
	g = good(model(17));
	nodes_are(g, "Unsqueeze");
	CU_ASSERT_EQUAL(g->outputs[0]->shape.rank, 3);
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[1].size, 1);
	done(g);
	/* one that calls itself */
	a = attribute_int("by", 1);
	inner = node("Twice p -> r", "own", &a);
	put(&functions, 7, &inner);
	refused(model(17), -EFBIG, "functions inside each other");
}

/* body(turn, go, v) -> go, Add(v, x) */
static message loop_body(void)
{
	static message m;
	message part;

	m.size = 0;
	part = node("Add v,x -> w", "", NULL);
	put(&m, 1, &part);
	part = node("Identity go -> on", "", NULL);
	put(&m, 1, &part);
	text(&m, 2, "body");
	part = info("turn", I64, 0, NULL, "");
	put(&m, 11, &part);
	part = info("go", 9, 0, NULL, "");
	put(&m, 11, &part);
	part = info("v", F32, 1, DIMS(2), "");
	put(&m, 11, &part);
	part = info("on", 9, 0, NULL, "");
	put(&m, 12, &part);
	part = info("w", F32, 1, DIMS(2), "");
	put(&m, 12, &part);
	put(&m, 12, &part);
	return m;
}

static void loops_are_turned(void)
{
	static const int64_t three = 3;
	message body = loop_body(), a = attribute_of("body", 6, 5, &body);
	struct qeff_graph *g;

	begin();
	add_node("Loop n,,x -> last,all", &a);
	add_tensor("n", I64, 0, NULL, &three, 8);
	add_input("x", 1, DIMS(2));
	add_output("last");
	add_output("all");
	g = good(model(17));
	nodes_are(g, "Add Add Add Unsqueeze Unsqueeze Unsqueeze Concat");
	CU_ASSERT_EQUAL(g->outputs[1]->shape.dims[0].size, 3);
	done(g);
	/* how often is an input of the model */
	begin();
	add_node("Loop n,,x -> last,all", &a);
	body = info("n", I64, 0, NULL, "");
	put(&graph, 11, &body);
	add_input("x", 1, DIMS(2));
	add_output("last");
	refused(model(17), -ENOTSUP, "how often it runs");
	options.values = &(struct qeff_onnx_tensor){ "n", QEFF_GRAPH_I64, 0, { 0 }, &three, 8 };
	options.num_values = 1;
	g = good(model(17));
	nodes_are(g, "Add Add Add");
	done(g);
}

static void older_forms(void)
{
	message a = attribute_ints("axes", 1, DIMS(0));
	struct qeff_graph *g;

	begin();
	add_node("Squeeze x -> s", &a);
	a = attribute_int("axis", 1);
	add_node("Softmax s -> y", &a);
	add_input("x", 4, DIMS(1, 2, 3, 4));
	add_output("y");
	g = good(model(11));
	nodes_are(g, "Squeeze Flatten Softmax Reshape");
	CU_ASSERT_EQUAL(g->outputs[0]->shape.rank, 3);
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[2].size, 4);
	done(g);
	g = NULL;
	begin();
	add_node("Upsample x,s -> y", NULL);
	add_tensor("s", F32, 4, DIMS(1, 1, 1, 4), (const float[]){ 1, 1, 2, 2 }, 16);
	graph.size = 0;
	text(&graph, 2, "g");
	add_node("Upsample x,s -> y", NULL);
	add_tensor("s", F32, 1, DIMS(4), (const float[]){ 1, 1, 2, 2 }, 16);
	add_input("x", 4, DIMS(1, 2, 3, 4));
	add_output("y");
	g = good(model(9));
	nodes_are(g, "Resize");
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[3].size, 8);
	done(g);
}

/* ---- what is refused ---- */

static void wrong_graphs(void)
{
	begin();
	add_node("Add x,b -> a", NULL);
	add_node("Relu a -> b", NULL);
	add_input("x", 1, DIMS(2));
	add_output("b");
	refused(model(17), -EINVAL, "the graph has a cycle");

	begin();
	add_node("Add x,nowhere -> y", NULL);
	add_input("x", 1, DIMS(2));
	add_output("y");
	refused(model(17), -EINVAL, "reads \"nowhere\", which nothing makes");

	begin();
	add_node("Relu x -> y", NULL);
	add_node("Neg x -> y", NULL);
	add_input("x", 1, DIMS(2));
	add_output("y");
	refused(model(17), -EINVAL, "\"y\" is made twice");

	begin();
	add_input("x", 1, DIMS(2));
	add_output("z");
	refused(model(17), -EINVAL, "nothing makes the output \"z\"");

	begin();
	{
		message m = node("Frobnicate x -> y", "own", NULL);

		put(&graph, 1, &m);
	}
	add_input("x", 1, DIMS(2));
	add_output("y");
	refused(model(17), -ENOTSUP, "(own.Frobnicate): there is no such operator here (opset 3)");
}

static void wrong_tensors(void)
{
	static const float w[4];
	message t, part;

	begin();
	add_tensor("w", F32, 1, DIMS(3), w, 16);
	add_output("w");
	refused(model(17), -EINVAL, "tensor \"w\": has 16 bytes, its shape needs 12");
	begin();
	add_tensor("w", F32, 2, DIMS(1ll << 40, 1ll << 40), w, 16);
	add_output("w");
	refused(model(17), -EINVAL, "too large");
	begin();
	add_tensor("w", 8, 1, DIMS(1), "x", 1);
	add_output("w");
	refused(model(17), -ENOTSUP, "element type 8");
	/* outside the folder, or from memory, where there is none */
	begin();
	t.size = part.size = 0;
	number(&t, 1, 4);
	number(&t, 2, F32);
	text(&t, 8, "w");
	text(&part, 1, "location");
	text(&part, 2, "../../etc/passwd");
	put(&t, 13, &part);
	number(&t, 14, 1);
	put(&graph, 5, &t);
	add_output("w");
	refused(model(17), -EINVAL, "is not in the model's folder");
}

/* If in If in If, each the only node of a branch. */
static void too_deep(void)
{
	static message inner, branch, m;

	branch.size = 0;
	m = node("Identity x -> y", "", NULL);
	put(&branch, 1, &m);
	for (int i = 0; i < 20; i++) {
		m = attribute_of("then_branch", 6, 5, &branch);
		inner = node("If c -> y", "", &m);
		branch.size = 0;
		put(&branch, 1, &inner);
	}
	begin();
	put(&graph, 1, &inner);
	add_output("y");
	refused(model(17), -EFBIG, "graphs inside each other");
}

/* Every prefix, and every byte changed: an end in a graph or a sentence. */
static void damaged(void)
{
	static const int64_t three = 3;
	message body = loop_body(), a = attribute_of("body", 6, 5, &body);
	static message whole, m;
	struct qeff_graph *g;

	begin();
	add_node("Loop n,,x -> last,all", &a);
	add_tensor("n", I64, 0, NULL, &three, 8);
	add_input("x", 1, DIMS(2));
	add_output("all");
	whole = *model(17);
	for (size_t i = 0; i < whole.size * 4; i++) {
		struct qeff_error err = { 0 };
		int ret;

		m = whole;
		if (i < whole.size)
			m.size = i;
		else
			m.data[i % whole.size] ^= (uint8_t)(1u << (i / whole.size * 2));
		ret = run(&m, &g, &err);
		CU_ASSERT(ret ? *err.message && !g : g != NULL);
		done(g);
	}
}

static const struct unit_test tests[] = {
	{ "nodes in any order", wrong_order },
	{ "shapes are answered", shapes_are_answered },
	{ "functions are put in", functions_are_put_in },
	{ "loops are turned", loops_are_turned },
	{ "older forms", older_forms },
	{ "wrong graphs", wrong_graphs },
	{ "wrong tensors", wrong_tensors },
	{ "graphs too deep", too_deep },
	{ "damaged messages", damaged },
};
QEFF_UNIT_MAIN("onnx_import", tests)
