/* SPDX-License-Identifier: MIT */
/*
 * Transforms of a model's file, one by one, on messages written here field by field: how many
 * places each changed, and what is imported afterwards, with the numbers of nodes before and after.
 */
#include "onnx_messages.h"

#include "onnx/transforms.h"

static const struct qeff_onnx_transform *transform(const char *name)
{
	for (size_t i = 0; i < qeff_num_onnx_transforms; i++)
		if (!strcmp(qeff_onnx_transforms[i].name, name))
			return &qeff_onnx_transforms[i];
	CU_FAIL_FATAL("there is such a transform");
	return NULL;
}

/* The graph of @m, which @name has changed in @changes places. */
static struct qeff_graph *changed(const message *m, const char *name,
				  const struct qeff_onnx_transform_options *o, uint32_t changes)
{
	struct qeff_error err = { 0 };
	struct qeff_graph *g = NULL;
	uint32_t count = 99;
	int ret = qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, &err);

	if (!ret)
		ret = transform(name)->apply(opened, o, &count, &err);
	if (!ret)
		ret = qeff_onnx_import(opened, &options, &g, &err);
	if (ret)
		printf("\n  %s", err.message);
	CU_ASSERT_FATAL(!ret);
	CU_ASSERT_EQUAL(count, changes);
	return g;
}

/* "x y": the inputs, or the outputs. */
static void named(struct qeff_value *const *values, uint32_t count, const char *expected)
{
	char got[512] = "";

	for (uint32_t i = 0; i < count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 values[i]->name);
	if (strcmp(got, expected)) {
		printf("\n  expected %s, got %s", expected, got);
		CU_FAIL("the names");
	}
}

static const struct qeff_onnx_transform_options none;

/* ---- RemovePrefix ---- */

static void prefixes_go(void)
{
	static const struct qeff_onnx_transform_options o = { .remove_prefix = true };
	static const uint8_t yes = 1;
	static message inner, body, a;
	struct qeff_graph *g;

	begin();
	inner = node("Neg a/x -> n", "", NULL);
	body.size = 0;
	put(&body, 1, &inner);
	inner = info("n", F32, 1, DIMS(3), "");
	put(&body, 12, &inner);
	a = attribute_of("then_branch", 6, 5, &body);
	add_node("If c -> i", &a);
	add_node("Add i,b/x -> s", NULL);
	add_node("Relu s -> out/y", NULL);
	add_tensor("c", 9, 0, NULL, &yes, 1);
	add_input("a/x", 1, DIMS(3));
	add_input("b/x", 1, DIMS(3));
	add_output("out/y");
	g = good(model(17));
	nodes_are(g, "Neg Add Relu");
	named(g->inputs, g->num_inputs, "a/x b/x");
	named(g->outputs, g->num_outputs, "out/y");
	done(g);
	/* the second x keeps its prefix: there is an x already */
	g = changed(model(17), "RemovePrefix", &o, 2);
	nodes_are(g, "Neg Add Relu");
	named(g->inputs, g->num_inputs, "x b/x");
	named(g->outputs, g->num_outputs, "y");
	done(g);
	CU_ASSERT(!transform("RemovePrefix")->wanted(&none));
}

/* ---- RenameFunctionOutputs ---- */

/* One function of the domain "own", whose nodes are in @lines. */
static void function(const char *name, const char *inputs, const char *outputs,
		     const char *const *lines, size_t count, const char *domain)
{
	static message inner;
	char list[256], *at = list, *word;

	functions.size = inner.size = 0;
	text(&functions, 1, name);
	snprintf(list, sizeof(list), "%s", inputs);
	while ((word = strsep(&at, " ")))
		text(&functions, 4, word);
	snprintf(list, sizeof(list), "%s", outputs);
	for (at = list; (word = strsep(&at, " "));)
		text(&functions, 5, word);
	for (size_t i = 0; i < count; i++) {
		inner = node(lines[i], strncmp(lines[i], "Ctx", 3) ? "" : domain, NULL);
		put(&functions, 7, &inner);
	}
	inner.size = 0;
	text(&inner, 1, "");
	number(&inner, 2, 17);
	put(&functions, 9, &inner);
	text(&functions, 10, "own");
}

static void call(const char *line)
{
	message m = node(line, "own", NULL);

	put(&graph, 1, &m);
}

static void layers_outputs_get_their_names(void)
{
	static const char *const lines[] = { "Relu h -> o",
					     "Neg k -> past_key.0_vl_InternalRetainedState" };
	struct qeff_graph *g;

	begin();
	function("TinyDecoderLayer", "h k", "o past_key.0_vl_InternalRetainedState", lines, 2, "");
	call("TinyDecoderLayer x,past_key.0 -> h0,n0");
	call("TinyDecoderLayer h0,past_key.1 -> h1,past_key.1_vl_InternalRetainedState");
	add_input("x", 1, DIMS(3));
	add_input("past_key.0", 1, DIMS(3));
	add_input("past_key.1", 1, DIMS(3));
	add_output("h1");
	add_output("n0");
	add_output("past_key.1_vl_InternalRetainedState");
	g = good(model(17));
	nodes_are(g, "Relu Neg Relu Neg");
	named(g->outputs, g->num_outputs, "h1 n0 past_key.1_vl_InternalRetainedState");
	done(g);
	g = changed(model(17), "RenameFunctionOutputs", &none, 2);
	nodes_are(g, "Relu Neg Relu Neg");
	named(g->outputs, g->num_outputs,
	      "h1 past_key.0_vl_RetainedState past_key.1_vl_RetainedState");
	done(g);
}

static void what_is_no_layer_keeps_its_outputs(void)
{
	static const char *const lines[] = { "Relu h -> past_key.0_InternalRetainedState" };
	struct qeff_graph *g;

	begin();
	function("Other", "h", "past_key.0_InternalRetainedState", lines, 1, "");
	call("Other x -> y");
	add_input("x", 1, DIMS(3));
	add_output("y");
	g = changed(model(17), "RenameFunctionOutputs", &none, 0);
	named(g->outputs, g->num_outputs, "y");
	done(g);
	/* nor does one take a name that is another's */
	begin();
	function("OtherLayer", "h", "past_key.0_InternalRetainedState", lines, 1, "");
	call("OtherLayer x -> y");
	add_node("Neg y -> past_key.0_RetainedState", NULL);
	add_input("x", 1, DIMS(3));
	add_output("past_key.0_RetainedState");
	g = changed(model(17), "RenameFunctionOutputs", &none, 0);
	nodes_are(g, "Relu Neg");
	done(g);
}

/* ---- PreserveNestedCacheRetainedState ---- */

static void add_typed_input(const char *name, int type, int rank, const int64_t *dims)
{
	message m = info(name, type, rank, dims, "N");

	put(&graph, 11, &m);
}

static const char *const writers[] = { "CtxScatter v,p,h -> vv", "CtxScatter k,p,h -> kk",
				       "Add kk,vv -> o" };

static void caches_inside_functions_come_out(void)
{
	struct qeff_graph *g;

	begin();
	function("Layer", "h k v p", "o", writers, 3, "qeff");
	/* keys and values are told apart by what is written, not by order */
	call("Layer x,past_key.0,past_value.0_RetainedState,p -> h0");
	call("Layer x,past_key.1,past_value.1,p -> h1");
	add_typed_input("x", F32, 4, DIMS(1, 1, 2, 4));
	add_typed_input("p", I64, 2, DIMS(1, 2));
	add_typed_input("past_key.0", F32, 4, DIMS(1, 1, 8, 4));
	add_typed_input("past_value.0_RetainedState", F32, 4, DIMS(1, 1, 8, 4));
	add_typed_input("past_key.1", F32, 4, DIMS(1, 1, 8, 4));
	add_typed_input("past_value.1", F32, 4, DIMS(1, 1, 8, 4));
	add_output("h0");
	add_output("h1");
	add_output("past_key.0_RetainedState");
	add_output("past_value.0_RetainedState");
	add_output("past_key.1_RetainedState");
	refused(model(17), -EINVAL, "nothing makes the output \"past_key.0_RetainedState\"");
	g = changed(model(17), "PreserveNestedCacheRetainedState", &none, 3);
	nodes_are(g, "CtxScatter CtxScatter Add CtxScatter CtxScatter Add");
	named(g->outputs, g->num_outputs,
	      "h0 h1 past_key.0_RetainedState past_value.0_RetainedState "
	      "past_key.1_RetainedState");
	named(g->inputs, g->num_inputs, "x p past_key.0 past_value.0 past_key.1 past_value.1");
	for (uint32_t i = 2; i < 5; i++) {
		const struct qeff_value *out = g->outputs[i];
		const char *in = out->producer->inputs[0]->name;

		CU_ASSERT(qeff_node_is(out->producer, "qeff.CtxScatter"));
		CU_ASSERT(!strncmp(out->name, in, strlen(in)));
	}
	done(g);
}

static void caches_that_come_out_stay(void)
{
	struct qeff_graph *g;

	begin();
	function("Layer", "h k v p", "o kk", writers, 3, "qeff");
	call("Layer x,past_key.0,past_value.0,p -> h0,past_key.0_RetainedState");
	add_typed_input("x", F32, 4, DIMS(1, 1, 2, 4));
	add_typed_input("p", I64, 2, DIMS(1, 2));
	add_typed_input("past_key.0", F32, 4, DIMS(1, 1, 8, 4));
	add_typed_input("past_value.0", F32, 4, DIMS(1, 1, 8, 4));
	add_output("h0");
	add_output("past_key.0_RetainedState");
	g = changed(model(17), "PreserveNestedCacheRetainedState", &none, 0);
	nodes_are(g, "CtxScatter CtxScatter Add");
	named(g->outputs, g->num_outputs, "h0 past_key.0_RetainedState");
	done(g);
}

/* ---- AdapterWeightsToInputs ---- */

static void adapters_become_inputs(void)
{
	static const struct qeff_onnx_transform_options o = { .adapter = "default" };
	static const struct qeff_onnx_transform_options other = { .adapter = "other" };
	static float a[3 * 400], b[400 * 3]; /* long enough not to be in the unpacked message */
	struct qeff_onnx_transforms_applied applied;
	struct qeff_error err = { 0 };
	struct qeff_graph *g;
	message *m;

	begin();
	add_node("MatMul x,l.lora_A.default.weight -> low", NULL);
	add_node("MatMul low,l.lora_B.default.weight -> y", NULL);
	add_tensor("l.lora_A.default.weight", F32, 2, DIMS(3, 400), a, sizeof(a));
	add_tensor("l.lora_B.default.weight", F32, 2, DIMS(400, 3), b, sizeof(b));
	add_input("x", 2, DIMS(2, 3));
	add_output("y");
	g = good(model(17));
	nodes_are(g, "MatMul MatMul");
	named(g->inputs, g->num_inputs, "x");
	done(g);
	g = changed(model(17), "AdapterWeightsToInputs", &o, 2);
	nodes_are(g, "MatMul MatMul Identity Identity");
	named(g->inputs, g->num_inputs, "x l.lora_A.weight l.lora_B.weight");
	named(g->outputs, g->num_outputs,
	      "y l.lora_A.weight_RetainedState l.lora_B.weight_RetainedState");
	CU_ASSERT_EQUAL(g->inputs[2]->shape.dims[0].size, 400);
	CU_ASSERT_EQUAL(g->outputs[2]->shape.dims[1].size, 3);
	CU_ASSERT_PTR_NULL(qeff_graph_find(g, "l.lora_A.default.weight"));
	done(g);
	m = model(17);
	CU_ASSERT_FATAL(!qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, &err));
	CU_ASSERT_EQUAL(qeff_onnx_transforms_apply(opened, &other, &applied, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "AdapterWeightsToInputs"));
	done(NULL);
	/* a name that is there */
	add_node("Neg x -> l.lora_A.weight", NULL);
	m = model(17);
	CU_ASSERT_FATAL(!qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, &err));
	CU_ASSERT_EQUAL(qeff_onnx_transforms_apply(opened, &o, &applied, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"l.lora_A.weight\" is there already"));
	done(NULL);
}

/* ---- Prune ---- */

static void what_nothing_reads_goes(void)
{
	static const char *const lines[] = { "Relu h -> o" };
	static const float w[3] = { 1, 2, 3 };
	struct qeff_graph *g;
	message fake = { .size = 0 };

	begin();
	function("Uncalled", "h", "o", lines, 1, "");
	add_node("Add x,w -> y", NULL);
	add_tensor("w", F32, 1, DIMS(3), w, sizeof(w));
	/* a shape, and no numbers */
	number(&fake, 1, 4096);
	number(&fake, 2, F32);
	text(&fake, 8, "fake");
	put(&graph, 5, &fake);
	add_input("x", 1, DIMS(3));
	add_output("y");
	refused(model(17), -EINVAL, "tensor \"fake\": has 0 numbers, its shape has 4096");
	g = changed(model(17), "Prune", &none, 2);
	nodes_are(g, "Add");
	CU_ASSERT_PTR_NOT_NULL(qeff_graph_find(g, "w"));
	done(g);
	/* what a body, a function's node or an output reads stays */
	begin();
	function("Called", "h", "o", lines, 1, "");
	call("Called w -> z");
	add_node("Add x,z -> y", NULL);
	add_tensor("w", F32, 1, DIMS(3), w, sizeof(w));
	add_tensor("v", F32, 1, DIMS(3), w, sizeof(w));
	add_input("x", 1, DIMS(3));
	add_output("y");
	add_output("v");
	g = changed(model(17), "Prune", &none, 0);
	nodes_are(g, "Relu Add Identity");
	done(g);
}

/* ---- all of them ---- */

static void all_in_order(void)
{
	static const char *const order[] = {
		"RemovePrefix",
		"RenameFunctionOutputs",
		"PreserveNestedCacheRetainedState",
		"AdapterWeightsToInputs",
		"Prune",
	};
	static const struct qeff_onnx_transform_options o = { .remove_prefix = true };
	static const float w[3] = { 1, 2, 3 };
	struct qeff_onnx_transforms_applied applied;
	struct qeff_error err = { 0 };
	message *m;

	CU_ASSERT_EQUAL_FATAL(qeff_num_onnx_transforms, sizeof(order) / sizeof(order[0]));
	for (size_t i = 0; i < qeff_num_onnx_transforms; i++)
		CU_ASSERT_STRING_EQUAL(qeff_onnx_transforms[i].name, order[i]);
	begin();
	add_node("Relu a/x -> b/y", NULL);
	add_tensor("w", F32, 1, DIMS(3), w, sizeof(w));
	add_input("a/x", 1, DIMS(3));
	add_output("b/y");
	m = model(17);
	CU_ASSERT_FATAL(!qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, &err));
	CU_ASSERT_EQUAL(qeff_onnx_transforms_apply(opened, &o, &applied, &err), 0);
	CU_ASSERT_EQUAL_FATAL(applied.count, 2);
	CU_ASSERT_STRING_EQUAL(applied.transform[0].name, "RemovePrefix");
	CU_ASSERT_EQUAL(applied.transform[0].changes, 2);
	CU_ASSERT_STRING_EQUAL(applied.transform[1].name, "Prune");
	CU_ASSERT_EQUAL(applied.transform[1].changes, 1);
	done(NULL);
}

static const struct unit_test tests[] = {
	{ "RemovePrefix", prefixes_go },
	{ "RenameFunctionOutputs", layers_outputs_get_their_names },
	{ "RenameFunctionOutputs leaves the rest", what_is_no_layer_keeps_its_outputs },
	{ "PreserveNestedCacheRetainedState", caches_inside_functions_come_out },
	{ "PreserveNestedCacheRetainedState leaves the rest", caches_that_come_out_stay },
	{ "AdapterWeightsToInputs", adapters_become_inputs },
	{ "Prune", what_nothing_reads_goes },
	{ "the table", all_in_order },
};
QEFF_UNIT_MAIN("onnx_transforms", tests)
