/* SPDX-License-Identifier: MIT */
/*
 * Transforms, each alone: what they count, what comes in and goes out, and that the numbers stay
 * what they were, which a plain evaluator says of the graph before and after.
 */
#include "transform_rig.h"

static void custom_ops(void)
{
	const struct qeff_transform_options options = { 0 };
	struct model m = open_model("tiny-llama-stories");
	float *before = run_reference(&m, "logits"), *after;
	const struct qeff_checkpoint_tensor *ids = reference(&m, "input_ids");
	uint32_t changes = 0, nodes = m.graph->num_nodes;

	CU_ASSERT_EQUAL(qeff_transform_custom_ops(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 13);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes - 13 * 5);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.RMSNorm"), 13);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "Pow"), 0);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "Div"), 0);
	CU_ASSERT_PTR_NULL(qeff_graph_find(m.graph, "number/2"));
	CU_ASSERT_EQUAL(
		qeff_node_float(qeff_graph_find(m.graph, "model.norm")->producer, "epsilon", 0),
		1e-5f);
	after = run_reference(&m, "logits");
	CU_ASSERT_TRUE(eval_error(after, before, (uint64_t)(ids->dims[1] * m.info.vocab)) < 1e-6);
	CU_ASSERT_EQUAL(qeff_transform_custom_ops(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 0);
	free(before);
	free(after);
	close_model(&m);
}

/* x / sqrt(mean(x^2) + 1) * w, with one thing otherwise in each variant. */
static bool fuses(int variant)
{
	static const float weights[16];
	static const int64_t matrix[] = { 1, 4 }, axes[] = { -1, 0 };
	const struct qeff_dim dims[] = { qeff_dim_symbol("S"), qeff_dim_of(4) };
	const struct qeff_attribute keep = QEFF_INT("keepdims", 1);
	struct qeff_graph *g = qeff_graph_new("norm");
	struct qeff_value *x = qeff_graph_input(g, "x", QEFF_GRAPH_F32, 2, dims);
	struct qeff_value *other = qeff_graph_input(g, "other", QEFF_GRAPH_F32, 2, dims);
	struct qeff_value *w, *two, *epsilon, *axis, *y;
	void *data;
	uint32_t changes = 0;

#define NODE(op, name, a, b)                                                                       \
	qeff_graph_node(g, op, name, 2, (struct qeff_value *[]){ (a), (b) }, 0, NULL)
	w = qeff_graph_initialiser(g, "w", QEFF_GRAPH_F32, QEFF_GRAPH_F32, variant == 1 ? 2 : 1,
				   variant == 1 ? matrix : matrix + 1, weights);
	two = qeff_graph_constant(g, "two", QEFF_GRAPH_F32, 0, NULL, &data);
	*(float *)data = variant == 2 ? 3 : 2;
	epsilon = qeff_graph_constant(g, "epsilon", QEFF_GRAPH_F32, 0, NULL, &data);
	*(float *)data = 1;
	axis = qeff_graph_constant(g, "axis", QEFF_GRAPH_I64, 1, (const int64_t[]){ 1 }, &data);
	*(int64_t *)data = axes[variant == 3];
	y = NODE("Pow", "pow", x, two);
	y = qeff_graph_node(g, "ReduceMean", "mean", 2, (struct qeff_value *[]){ y, axis }, 1,
			    &keep);
	if (variant == 4) /* commuted: still the same */
		y = NODE("Add", "add", epsilon, y);
	else
		y = NODE("Add", "add", y, epsilon);
	y = qeff_graph_node(g, "Sqrt", "root", 1, &y, 0, NULL);
	y = NODE("Div", "div", variant == 5 ? other : x, y);
	if (variant == 4)
		y = NODE("Mul", "y", w, y);
	else
		y = NODE("Mul", "y", y, variant == 6 ? other : w);
#undef NODE
	if (variant == 7) /* the normal rows are wanted as well: they stay */
		qeff_graph_output(g, qeff_graph_find(g, "div"));
	qeff_graph_output(g, y);
	CU_ASSERT_EQUAL(qeff_transform_custom_ops(g, NULL, &changes, NULL), 0);
	if (variant == 7)
		CU_ASSERT_PTR_NOT_NULL(qeff_graph_find(g, "div"));
	CU_ASSERT_EQUAL(count_nodes(g, "qeff.RMSNorm"), changes);
	qeff_graph_free(g);
	return changes;
}

static void custom_ops_only_where_it_is_one(void)
{
	CU_ASSERT_TRUE(fuses(0));
	CU_ASSERT_FALSE(fuses(1)); /* a matrix of weights */
	CU_ASSERT_FALSE(fuses(2)); /* a cube */
	CU_ASSERT_FALSE(fuses(3)); /* over the rows */
	CU_ASSERT_TRUE(fuses(4));
	CU_ASSERT_FALSE(fuses(5)); /* of other rows */
	CU_ASSERT_FALSE(fuses(6)); /* times no weight */
	CU_ASSERT_TRUE(fuses(7));
}

static void pools(const char *mode, bool normalize)
{
	const struct qeff_transform_options options = { .pooling = mode, .normalize = normalize };
	struct model m = open_model("tiny-bert-embed");
	const struct qeff_checkpoint_tensor *expected = reference(&m, "sentence_embedding");
	const struct qeff_checkpoint_tensor *mask = reference(&m, "attention_mask");
	float *rows = run_reference(&m, "last_hidden_state"), *pooled;
	uint32_t changes = 0, nodes = m.graph->num_nodes;
	int64_t width = m.info.hidden, columns = mask->dims[1];

	CU_ASSERT_EQUAL(qeff_transform_pooling(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes + 1 + normalize);
	CU_ASSERT_EQUAL(m.graph->num_outputs, 1);
	CU_ASSERT_STRING_EQUAL(m.graph->outputs[0]->name, "sentence_embedding");
	shape_is(m.graph, "sentence_embedding", "[batch_size, 128]");
	pooled = run_reference(&m, "sentence_embedding");
	if (!strcmp(mode, "mean") && normalize) {
		CU_ASSERT_TRUE(eval_error(pooled, expected->data, expected->size_bytes / 4) < 1e-5);
	} else {
		/* cls and last are rows as they were: the first live one and the last */
		for (int64_t b = 0; b < mask->dims[0]; b++) {
			const int64_t *live = (const int64_t *)mask->data + b * columns;
			int64_t first = 0, last = columns - 1;

			while (!live[first])
				first++;
			while (!live[last])
				last--;
			CU_ASSERT_EQUAL(
				memcmp(pooled + b * width,
				       rows + (b * columns + (mode[0] == 'c' ? first : last)) *
						       width,
				       (size_t)width * sizeof(float)),
				0);
		}
	}
	CU_ASSERT_EQUAL(qeff_transform_pooling(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 0);
	free(rows);
	free(pooled);
	close_model(&m);
}

static void pooling(void)
{
	pools("mean", true);
	pools("cls", false);
	pools("last", false);
}

static void refuses_what_does_not_apply(void)
{
	const struct qeff_transform_options pool = { .pooling = "mean" },
					    cache = { .kv_cache = true };
	const struct qeff_transform_options median = { .pooling = "median" };
	struct model llama = open_model("rand-llama3-rope"), bert = open_model("tiny-bert-embed");
	struct qeff_transforms_applied applied;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_transforms_apply(llama.graph, &pool, &applied, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.message, "Pooling: graph \"LlamaForCausalLM\" has nothing"));
	CU_ASSERT_EQUAL(qeff_transforms_apply(bert.graph, &cache, &applied, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "KVCache: graph \"BertModel\" has nothing"));
	CU_ASSERT_EQUAL(qeff_transforms_apply(bert.graph, &median, &applied, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "Pooling: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "median"));
	close_model(&llama);
	close_model(&bert);

	/* nothing asked for: BERT has nothing for CustomOps, which is no error */
	bert = open_model("tiny-bert-embed");
	CU_ASSERT_EQUAL(qeff_transforms_apply(bert.graph, &(struct qeff_transform_options){ 0 },
					      &applied, &err),
			0);
	CU_ASSERT_EQUAL(applied.count, 0);
	close_model(&bert);
}

static const struct unit_test tests[] = {
	{ "CustomOps", custom_ops },
	{ "CustomOps only where it is one", custom_ops_only_where_it_is_one },
	{ "Pooling", pooling },
	{ "refuses what does not apply", refuses_what_does_not_apply },
};

QEFF_UNIT_MAIN("transforms", tests)
