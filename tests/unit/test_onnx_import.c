/* SPDX-License-Identifier: MIT */
/*
 * Import of ONNX from messages written here field by field: what becomes of nodes, functions,
 * bodies, older forms and tensors; and what is refused, with the sentence that says so.
 */
#include "unit.h"

#include "onnx_messages.h"

#include "util/bytes.h"

#include <stdio.h>
#include <string.h>

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

/* Long raw numbers are not unpacked: used where they lie, or copied to where they must. */
static void long_numbers(void)
{
	static float w[2][1500];
	struct qeff_graph *g;
	message twice;

	for (int i = 0; i < 1500; i++) {
		w[0][i] = (float)i;
		w[1][i] = (float)-i;
	}
	for (int shift = 0; shift < 4; shift++) {
		begin();
		add_node("Add x,w -> s", NULL);
		add_node("Add s,v -> y", NULL);
		/* names of other lengths move the numbers */
		text(&graph, 2, &"abcd"[shift]);
		add_tensor("w", F32, 1, DIMS(1500), w[0], sizeof(w[0]));
		add_tensor("small", F32, 1, DIMS(3), w[0], 12);
		add_tensor("v", F32, 1, DIMS(1500), w[1], sizeof(w[1]));
		add_input("x", 1, DIMS(1500));
		add_output("y");
		g = good(model(17));
		CU_ASSERT(!memcmp(qeff_graph_find(g, "w")->data, w[0], sizeof(w[0])));
		CU_ASSERT(!memcmp(qeff_graph_find(g, "v")->data, w[1], sizeof(w[1])));
		CU_ASSERT_EQUAL((uintptr_t)qeff_graph_find(g, "w")->data % 4, 0);
		CU_ASSERT_EQUAL((uintptr_t)qeff_graph_find(g, "v")->data % 4, 0);
		done(g);
	}
	/* a graph in two parts, which are one: left to the unpacker */
	twice = *model(17);
	graph.size = 0;
	add_tensor("late", F32, 1, DIMS(1500), w[1], sizeof(w[1]));
	put(&twice, 7, &graph);
	g = good(&twice);
	CU_ASSERT(!memcmp(qeff_graph_find(g, "w")->data, w[0], sizeof(w[0])));
	done(g);
	/* too few of them */
	begin();
	add_node("Add x,w -> y", NULL);
	add_tensor("w", F32, 1, DIMS(1501), w[0], sizeof(w[0]));
	add_input("x", 1, DIMS(1501));
	add_output("y");
	refused(model(17), -EINVAL, "tensor \"w\": has 6000 bytes, its shape needs 6004");
}

static void large_inputs(void)
{
	struct qeff_graph *g;

	begin();
	add_node("Relu x -> y", NULL);
	add_input("x", 1, DIMS(1ll << 31));
	add_output("y");
	refused(model(17), -EFBIG,
		"input \"x\": dimension 0 is 2147483648, 2147483647 is possible");
	begin();
	add_node("Relu x -> y", NULL);
	add_input("x", 1, DIMS((1ll << 31) - 1));
	add_output("y");
	g = good(model(17));
	CU_ASSERT_EQUAL(g->outputs[0]->shape.dims[0].size, INT32_MAX);
	done(g);
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
	{ "long numbers", long_numbers },
	{ "large inputs", large_inputs },
	{ "damaged messages", damaged },
};
QEFF_UNIT_MAIN("onnx_import", tests)
