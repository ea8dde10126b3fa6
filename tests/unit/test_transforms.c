/* SPDX-License-Identifier: MIT */
/*
 * Transforms, each alone: what they count, what comes in and goes out, and that the numbers stay
 * what they were, which a plain evaluator says of the graph before and after.
 */
#include "unit.h"

#include "checkpoint/internal.h"
#include "graph_eval.h"
#include "model_folder.h"
#include "models/models.h"
#include "transforms/transforms.h"

#define CONTEXT 40

struct model {
	struct qeff_checkpoint *checkpoint;
	struct qeff_graph *graph;
	struct qeff_model_info info;
	struct safetensors reference;
};

static struct model open_model(const char *name)
{
	const struct qeff_model_options options = { .positions = CONTEXT };
	struct qeff_error err = { 0 };
	struct model m = { 0 };
	char path[512];
	int ret;

	snprintf(path, sizeof(path), QEFF_TEST_DATA "/models/%s", name);
	ret = qeff_checkpoint_open(path, &m.checkpoint, &err);
	if (!ret)
		ret = qeff_model_build(m.checkpoint, &options, &m.graph, &m.info, &err);
	strcat(path, "/reference.safetensors");
	if (!ret)
		ret = safetensors_open(&m.reference, path, &err);
	if (ret)
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return m;
}

static void close_model(struct model *m)
{
	safetensors_close(&m->reference);
	qeff_graph_free(m->graph);
	qeff_model_info_clear(&m->info);
	qeff_checkpoint_close(m->checkpoint);
}

static const struct qeff_checkpoint_tensor *reference(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->reference.num_tensors; i++)
		if (!strcmp(m->reference.tensors[i].name, name))
			return &m->reference.tensors[i];
	CU_FAIL_FATAL("the reference has this tensor");
	return NULL;
}

static struct qeff_graph *bind(const struct qeff_graph *graph, int64_t batch, int64_t seq)
{
	const struct qeff_binding_size sizes[] = {
		{ "batch_size", batch },
		{ "seq_len", seq },
		{ "ctx_len", CONTEXT },
	};
	struct qeff_graph *bound = NULL;
	struct qeff_error err = { 0 };

	if (qeff_graph_bind(graph, sizes, 3, &bound, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bound);
	return bound;
}

static uint32_t count_nodes(const struct qeff_graph *graph, const char *op)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++)
		count += qeff_node_is(graph->nodes[i], op);
	return count;
}

static void shape_is(const struct qeff_graph *graph, const char *name, const char *expected)
{
	const struct qeff_value *value = qeff_graph_find(graph, name);
	char text[128];

	CU_ASSERT_PTR_NOT_NULL_FATAL(value);
	CU_ASSERT_STRING_EQUAL(qeff_graph_shape_text(&value->shape, text, sizeof(text)), expected);
}

/* The rows of @output of a graph as built, for the reference's tokens. The caller frees them. */
static float *run_reference(const struct model *m, const char *output)
{
	const struct qeff_checkpoint_tensor *ids = reference(m, "input_ids");
	const struct qeff_checkpoint_tensor *mask = reference(m, "attention_mask");
	struct qeff_graph *bound = bind(m->graph, ids->dims[0], ids->dims[1]);
	const struct qeff_value *value = qeff_graph_find(bound, output);
	struct eval e = eval_new(bound);
	float *rows;

	memcpy(eval_i(&e, qeff_graph_find(bound, "input_ids")), ids->data, ids->size_bytes);
	memcpy(eval_i(&e, qeff_graph_find(bound, "attention_mask")), mask->data, mask->size_bytes);
	eval_run(&e);
	rows = calloc(eval_count(value), sizeof(*rows));
	memcpy(rows, eval_f(&e, value), eval_count(value) * sizeof(*rows));
	eval_free(&e);
	qeff_graph_free(bound);
	return rows;
}

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

static void kv_cache_interface(void)
{
	const struct qeff_transform_options options = { .kv_cache = true };
	struct model m = open_model("tiny-llama-stories");
	uint32_t changes = 0, nodes = m.graph->num_nodes;
	struct qeff_error err = { 0 };
	char name[64];

	CU_ASSERT_EQUAL(qeff_transform_kv_cache(m.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 6);
	/* a scatter and a gather for each of keys and values; LastToken for MaskToPositions */
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes + 6 * 4);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.CtxScatter"), 12);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.CtxGather"), 12);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.LastToken"), 1);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.MaskToPositions"), 0);
	CU_ASSERT_EQUAL(m.graph->num_inputs, 2 + 12);
	CU_ASSERT_EQUAL(m.graph->num_outputs, 1 + 12);
	CU_ASSERT_PTR_NULL(qeff_graph_find(m.graph, "attention_mask"));
	CU_ASSERT_TRUE(qeff_graph_find(m.graph, "position_ids")->is_input);
	CU_ASSERT_STRING_EQUAL(m.graph->outputs[0]->name, "logits");
	shape_is(m.graph, "logits", "[batch_size, 1, 2048]");
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "past_key.%d", i);
		shape_is(m.graph, name, "[batch_size, 2, ctx_len, 32]");
		CU_ASSERT_STRING_EQUAL(m.graph->inputs[2 + 2 * i]->name, name);
		strcat(name, "_RetainedState");
		CU_ASSERT_STRING_EQUAL(m.graph->outputs[1 + 2 * i]->name, name);
		snprintf(name, sizeof(name), "past_value.%d_RetainedState", i);
		CU_ASSERT_STRING_EQUAL(m.graph->outputs[2 + 2 * i]->name, name);
	}
	/* keys are cached as they are compared: rotated; layers are counted in order */
	CU_ASSERT_STRING_EQUAL(
		qeff_graph_find(m.graph, "past_key.3_RetainedState")->producer->inputs[2]->name,
		"model.layers.3.self_attn.k_proj/rotated");
	CU_ASSERT_EQUAL(qeff_graph_find(m.graph, "model.layers.3.attention")->producer->num_inputs,
			4);
	CU_ASSERT_EQUAL(qeff_transform_kv_cache(m.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	close_model(&m);
}

/* One inference of a cached graph: @count tokens from @first on, in a shape of [1, @seq]; the
 * caches in @state go on. */
static void run_chunk(const struct qeff_graph *graph, const int64_t *tokens, int64_t first,
		      int64_t count, int64_t seq, float **state, float *logits)
{
	struct qeff_graph *bound = bind(graph, 1, seq);
	struct eval e = eval_new(bound);
	const struct qeff_value *out = qeff_graph_find(bound, "logits");

	for (int64_t i = 0; i < seq; i++) {
		eval_i(&e, qeff_graph_find(bound, "input_ids"))[i] =
			i < count ? tokens[first + i] : 0;
		eval_i(&e, qeff_graph_find(bound, "position_ids"))[i] = i < count ? first + i : -1;
	}
	for (uint32_t i = 2; i < bound->num_inputs; i++)
		memcpy(eval_f(&e, bound->inputs[i]), state[i],
		       eval_count(bound->inputs[i]) * sizeof(float));
	eval_run(&e);
	for (uint32_t i = 2; i < bound->num_inputs; i++)
		memcpy(state[i], eval_f(&e, bound->outputs[i - 1]),
		       eval_count(bound->inputs[i]) * sizeof(float));
	memcpy(logits, eval_f(&e, out), eval_count(out) * sizeof(*logits));
	eval_free(&e);
	qeff_graph_free(bound);
}

static int64_t argmax(const float *numbers, int64_t count)
{
	int64_t best = 0;

	for (int64_t i = 1; i < count; i++)
		best = numbers[i] > numbers[best] ? i : best;
	return best;
}

/* A prompt in chunks that do not divide it, then decoding: the tokens of the reference. */
static void generates(const char *name)
{
	const struct qeff_transform_options options = { .kv_cache = true };
	struct model m = open_model(name);
	const struct qeff_checkpoint_tensor *ids = reference(&m, "input_ids");
	const struct qeff_checkpoint_tensor *expected = reference(&m, "greedy_ids");
	int64_t prompt = ids->dims[1], vocab = m.info.vocab, tokens[CONTEXT], new_tokens = 6;
	float *before = run_reference(&m, "logits"), *logits, **state;
	struct qeff_transforms_applied applied;
	struct qeff_error err = { 0 };
	uint64_t cache = CONTEXT * m.info.kv_heads * m.info.head_dim;

	CU_ASSERT_EQUAL_FATAL(qeff_transforms_apply(m.graph, &options, &applied, &err), 0);
	CU_ASSERT_EQUAL(applied.count, 2);
	CU_ASSERT_STRING_EQUAL(applied.transform[0].name, "CustomOps");
	CU_ASSERT_EQUAL(applied.transform[0].changes, m.info.layers * 2 + 1);
	CU_ASSERT_STRING_EQUAL(applied.transform[1].name, "KVCache");
	CU_ASSERT_EQUAL(applied.transform[1].changes, m.info.layers);
	state = calloc(m.graph->num_inputs, sizeof(*state));
	for (uint32_t i = 2; i < m.graph->num_inputs; i++)
		state[i] = calloc(cache, sizeof(float));
	logits = calloc((size_t)vocab, sizeof(*logits));
	memcpy(tokens, ids->data, ids->size_bytes);
	for (int64_t at = 0; at < prompt; at += 10)
		run_chunk(m.graph, tokens, at, prompt - at < 10 ? prompt - at : 10, 10, state,
			  logits);
	CU_ASSERT_TRUE(eval_error(logits, before + (prompt - 1) * vocab, (uint64_t)vocab) < 1e-5);
	for (int64_t i = 0; i < new_tokens; i++) {
		tokens[prompt + i] = argmax(logits, vocab);
		CU_ASSERT_EQUAL(tokens[prompt + i], ((const int64_t *)expected->data)[i]);
		run_chunk(m.graph, tokens, prompt + i, 1, 1, state, logits);
	}
	for (uint32_t i = 2; i < m.graph->num_inputs; i++)
		free(state[i]);
	free(state);
	free(logits);
	free(before);
	close_model(&m);
}

static void kv_cache_generates(void)
{
	generates("tiny-llama-stories");
	generates("rand-llama3-rope");
}

/* Sizes of the symbols that continuous batching, compute context lengths and SpD add. */
static struct qeff_graph *bind_slots(const struct qeff_graph *graph, int64_t batch, int64_t seq,
				     int64_t compute, int64_t keep)
{
	const struct qeff_binding_size sizes[] = {
		{ "batch_size", batch },	 { "seq_len", seq },
		{ "ctx_len", CONTEXT },		 { "full_batch_size", 4 },
		{ "comp_ctx_lengths", compute }, { "num_logits_to_keep", keep },
	};
	struct qeff_graph *bound = NULL;
	struct qeff_error err = { 0 };

	if (qeff_graph_bind(graph, sizes, 6, &bound, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bound);
	return bound;
}

/* One inference of a graph whose sequences have slots; what is in the slots goes on in @state. */
static void run_slots(const struct qeff_graph *bound, const int64_t *ids, const int64_t *positions,
		      const int64_t *slots, float **state, float *logits)
{
	struct eval e = eval_new(bound);
	const struct qeff_value *input = qeff_graph_find(bound, "input_ids");
	const struct qeff_value *out = qeff_graph_find(bound, "logits");
	uint32_t at = 0;

	memcpy(eval_i(&e, input), ids, eval_count(input) * sizeof(*ids));
	memcpy(eval_i(&e, qeff_graph_find(bound, "position_ids")), positions,
	       eval_count(input) * sizeof(*ids));
	memcpy(eval_i(&e, qeff_graph_find(bound, "batch_index")), slots,
	       (size_t)eval_dim(input, 0) * sizeof(*slots));
	for (uint32_t i = 0; i < bound->num_inputs; i++)
		if (!strncmp(bound->inputs[i]->name, "past_", 5))
			memcpy(eval_f(&e, bound->inputs[i]), state[at++],
			       eval_count(bound->inputs[i]) * sizeof(float));
	eval_run(&e);
	for (uint32_t i = 0; i < at; i++)
		memcpy(state[i], eval_f(&e, bound->outputs[1 + i]),
		       eval_count(bound->outputs[1 + i]) * sizeof(float));
	memcpy(logits, eval_f(&e, out), eval_count(out) * sizeof(*logits));
	eval_free(&e);
}

/* Continuous batching, compute context lengths and SpD at once: a prompt into slot 2, then a step
 * of two sequences in slots 3 and 2 that gives logits for both tokens of each. */
static void slots_and_several_logits(void)
{
	const struct qeff_transform_options options = { .kv_cache = true,
							.continuous_batching = true,
							.comp_ctx_lengths = true };
	struct model m = open_model("rand-llama3-rope");
	const struct qeff_checkpoint_tensor *tensor = reference(&m, "input_ids");
	const int64_t *ids = tensor->data;
	int64_t prompt = tensor->dims[1] - 2, vocab = m.info.vocab, slot = 2, positions[CONTEXT];
	int64_t step[] = { 0, 0, ids[prompt], ids[prompt + 1] };
	int64_t step_positions[] = { -1, -1, prompt, prompt + 1 }, step_slots[] = { 3, 2 };
	float *before = run_reference(&m, "logits"), **state;
	float *logits = calloc((size_t)(4 * vocab), sizeof(*logits));
	struct qeff_graph *bound;
	uint32_t changes, nodes, layers = m.info.layers;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_transform_kv_cache(m.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, layers);
	shape_is(m.graph, "batch_index", "[batch_size, 1]");
	shape_is(m.graph, "comp_ctx_lengths", "[comp_ctx_lengths]");
	CU_ASSERT_EQUAL(qeff_graph_find(m.graph, "past_key.0")->shape.dims[0].symbol != NULL, true);
	CU_ASSERT_STRING_EQUAL(qeff_graph_find(m.graph, "past_key.0")->shape.dims[0].symbol,
			       "full_batch_size");
	nodes = m.graph->num_nodes;
	CU_ASSERT_EQUAL_FATAL(qeff_transform_spd(m.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.LastToken"), 0);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.LastTokens"), 1);
	CU_ASSERT_EQUAL(m.graph->num_inputs, 2 + 2 + 1 + 2 * layers);
	CU_ASSERT_EQUAL(m.graph->num_outputs, 1 + 2 * layers);
	CU_ASSERT_STRING_EQUAL(m.graph->outputs[0]->name, "logits");

	state = calloc(2 * layers, sizeof(*state));
	for (uint32_t i = 0; i < 2 * layers; i++)
		state[i] = calloc((size_t)4 * CONTEXT * m.info.kv_heads * m.info.head_dim,
				  sizeof(float));
	for (int64_t i = 0; i < prompt; i++)
		positions[i] = i;
	bound = bind_slots(m.graph, 1, prompt, prompt, 1);
	CU_ASSERT_EQUAL(eval_dim(qeff_graph_find(bound, "past_key.0/gathered"), 2), prompt);
	run_slots(bound, ids, positions, &slot, state, logits);
	CU_ASSERT_TRUE(eval_error(logits, before + (prompt - 1) * vocab, (uint64_t)vocab) < 1e-5);
	qeff_graph_free(bound);
	bound = bind_slots(m.graph, 2, 2, CONTEXT - 1, 2);
	run_slots(bound, step, step_positions, step_slots, state, logits);
	CU_ASSERT_TRUE(eval_error(logits + 2 * vocab, before + prompt * vocab,
				  (uint64_t)(2 * vocab)) < 1e-5);
	qeff_graph_free(bound);
	CU_ASSERT_EQUAL(qeff_transform_spd(m.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	for (uint32_t i = 0; i < 2 * layers; i++)
		free(state[i]);
	free(state);
	free(logits);
	free(before);
	close_model(&m);
}

#define QUERY	 "model.layers.1.self_attn.q_proj"
#define LORA_A	 "base_model.model." QUERY ".lora_A.weight"
#define LORA_B	 "base_model.model." QUERY ".lora_B.weight"
#define LORA_F32 "{\"dtype\":\"F32\",\"shape\":"

/* An adapter of rank 2 for one matrix of 64 x 64; with nothing in B if @empty. */
static struct folder make_adapter(bool empty, float *a, float *b)
{
	struct folder folder = folder_new();
	float data[256];

	for (int i = 0; i < 128; i++) {
		data[i] = a[i] = (float)(i % 7 - 3) / 8;
		data[128 + i] = b[i] = empty ? 0 : (float)(i % 5 - 2) / 16;
	}
	folder_text(&folder, "adapter_config.json",
		    "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 3, \"bias\": \"none\", "
		    "\"use_dora\": false, \"modules_to_save\": null, \"rank_pattern\": {}}");
	folder_tensors(&folder, "adapter_model.safetensors",
		       "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]},\"" LORA_B
		       "\":" LORA_F32 "[64,2],\"data_offsets\":[512,1024]}}",
		       data, sizeof(data));
	return folder;
}

/* W + alpha / r B A, element by element; an adapter of zeros changes no number. */
static void lora(void)
{
	for (int empty = 0; empty < 2; empty++) {
		struct model m = open_model("rand-llama3-rope");
		uint64_t count = (uint64_t)(reference(&m, "input_ids")->dims[1] * m.info.vocab);
		float *before = run_reference(&m, "logits"), *after, a[128], b[128];
		struct folder folder = make_adapter(empty, a, b);
		const struct qeff_value *weight = qeff_graph_find(m.graph, QUERY ".weight"),
					*merged;
		struct qeff_transform_options options = { 0 };
		struct qeff_adapter *adapter = NULL;
		uint32_t changes = 0, nodes = m.graph->num_nodes;
		struct qeff_error err = { 0 };
		double off = 0, *w = calloc(64 * 64, sizeof(*w));
		const float *found;

		CU_ASSERT_EQUAL_FATAL(weight->stored_type, QEFF_GRAPH_BF16);
		for (int i = 0; i < 64 * 64; i++) {
			uint32_t bits = (uint32_t)((const uint16_t *)weight->data)[i] << 16;
			float number;

			memcpy(&number, &bits, sizeof(number));
			w[i] = (double)number;
		}
		CU_ASSERT_EQUAL_FATAL(qeff_adapter_open(folder.path, &adapter, &err), 0);
		options.adapter_pairs = qeff_adapter_pairs(adapter, &options.num_adapter_pairs);
		CU_ASSERT_EQUAL(options.num_adapter_pairs, 1);
		CU_ASSERT_EQUAL_FATAL(qeff_transform_lora(m.graph, &options, &changes, &err), 0);
		qeff_adapter_close(adapter);
		CU_ASSERT_EQUAL(changes, 1);
		CU_ASSERT_EQUAL(m.graph->num_nodes, nodes);
		CU_ASSERT_PTR_NULL(qeff_graph_find(m.graph, QUERY ".weight"));
		merged = qeff_graph_find(m.graph, QUERY ".weight/merged");
		CU_ASSERT_PTR_NOT_NULL_FATAL(merged);
		found = merged->data;
		for (int o = 0; o < 64; o++)
			for (int i = 0; i < 64; i++)
				off = fmax(off,
					   fabs(w[o * 64 + i] +
						1.5 * (b[o * 2] * a[i] + b[o * 2 + 1] * a[64 + i]) -
						(double)found[o * 64 + i]));
		CU_ASSERT(off < 1e-6);
		after = run_reference(&m, "logits");
		CU_ASSERT((eval_error(after, before, count) > 1e-3) == !empty);
		CU_ASSERT(!empty || !memcmp(after, before, count * sizeof(float)));
		free(w);
		free(before);
		free(after);
		folder_remove(&folder);
		close_model(&m);
	}
}

static void wrong_adapters(void)
{
	static const struct {
		const char *config, *header, *sentence;
		int code;
	} wrong[] = {
		{ "{\"peft_type\": \"IA3\", \"lora_alpha\": 1}", NULL, "\"IA3\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\"}", NULL, "lora_alpha", -EINVAL },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"bias\": \"all\"}", NULL,
		  "\"bias\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"use_dora\": true}", NULL,
		  "\"use_dora\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"alpha_pattern\": {\"q\": 2}}",
		  NULL, "\"alpha_pattern\"", -ENOTSUP },
		{ NULL, "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]}}",
		  "no partner", -EINVAL },
		{ NULL,
		  "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]},\"" LORA_B
		  "\":" LORA_F32 "[128,1],\"data_offsets\":[512,1024]}}",
		  "no partner", -EINVAL },
		{ NULL, "{\"" LORA_B "\":" LORA_F32 "[64,2],\"data_offsets\":[0,512]}}",
		  "make 0 pairs", -EINVAL },
		{ NULL,
		  "{\"base_model.model.x.weight\":" LORA_F32 "[128],\"data_offsets\":[0,512]}}",
		  "no lora_A or lora_B", -ENOTSUP },
	};
	static const float zeros[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		float a[128], b[128];
		struct folder folder = make_adapter(false, a, b);
		struct qeff_adapter *adapter;
		struct qeff_error err = { 0 };

		if (wrong[i].config)
			folder_text(&folder, "adapter_config.json", wrong[i].config);
		if (wrong[i].header)
			folder_tensors(&folder, "adapter_model.safetensors", wrong[i].header, zeros,
				       strstr(wrong[i].header, "1024") ? 1024 : 512);
		CU_ASSERT_EQUAL(qeff_adapter_open(folder.path, &adapter, &err), wrong[i].code);
		CU_ASSERT_PTR_NULL(adapter);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
		folder_remove(&folder);
	}
	/* of another model */
	{
		struct model m = open_model("tiny-bert-embed");
		float a[128], b[128];
		struct folder folder = make_adapter(false, a, b);
		struct qeff_transform_options options = { 0 };
		struct qeff_adapter *adapter;
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL_FATAL(qeff_adapter_open(folder.path, &adapter, &err), 0);
		options.adapter_pairs = qeff_adapter_pairs(adapter, &options.num_adapter_pairs);
		CU_ASSERT_EQUAL(qeff_transform_lora(m.graph, &options, NULL, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no module with a weight"));
		qeff_adapter_close(adapter);
		folder_remove(&folder);
		close_model(&m);
	}
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

/* x + a + b + c + d, with initialisers of six numbers in three types; d's Add can stay in fp32. */
struct clip_graph {
	struct qeff_graph *graph;
	float a[6], d[6];
	uint16_t b[6], c[6];
};

static void make_clip_graph(struct clip_graph *g)
{
	static const int64_t dims[] = { 6 };
	const struct qeff_dim dim = qeff_dim_of(6);
	struct qeff_value *sum;

	memcpy(g->a, (float[]){ 65504, -65505, 1e30f, -INFINITY, NAN, 1 }, sizeof(g->a));
	/* bf16: 65280 is below the limit, 65536 the next number; infinity, NaN */
	memcpy(g->b, (uint16_t[]){ 0x477f, 0x4780, 0xc780, 0xff80, 0x7fc0, 0 }, sizeof(g->b));
	memcpy(g->c, (uint16_t[]){ 0x7bff, 0xfbff, 1, 2, 3, 4 }, sizeof(g->c)); /* f16 */
	memcpy(g->d, (float[]){ 1e30f, 0, 0, 0, 0, 0 }, sizeof(g->d));
	g->graph = qeff_graph_new("clip");
	sum = qeff_graph_input(g->graph, "x", QEFF_GRAPH_F32, 1, &dim);
	sum = qeff_graph_node(g->graph, "Add", "with_a", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "a", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F32, 1, dims, g->a) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_b", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "b", QEFF_GRAPH_F32,
								  QEFF_GRAPH_BF16, 1, dims, g->b) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_c", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "c", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F16, 1, dims, g->c) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_d", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "d", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F32, 1, dims, g->d) },
			      0, NULL);
	qeff_graph_output(g->graph, sum);
}

static const float *addend(const struct clip_graph *g, const char *node,
			   enum qeff_graph_type stored)
{
	const struct qeff_value *value = qeff_graph_find(g->graph, node)->producer->inputs[1];

	CU_ASSERT_EQUAL(value->stored_type, stored);
	return value->data;
}

static void fp16_clip(void)
{
	const char *const keep[] = { "*_d" };
	const struct qeff_transform_options options = { .fp16 = true,
							.fp32_nodes = keep,
							.num_fp32_nodes = 1 };
	struct clip_graph g;
	struct qeff_error err = { 0 };
	const float *a, *b;
	uint32_t changes;

	make_clip_graph(&g);
	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp32_nodes(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp16_clip(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 2);
	a = addend(&g, "with_a", QEFF_GRAPH_F32);
	CU_ASSERT_EQUAL(a[0], 65504);
	CU_ASSERT_EQUAL(a[1], -65504);
	CU_ASSERT_EQUAL(a[2], 65504);
	CU_ASSERT_EQUAL(a[3], -65504);
	CU_ASSERT(isnan(a[4]));
	CU_ASSERT_EQUAL(a[5], 1);
	b = addend(&g, "with_b", QEFF_GRAPH_F32);
	CU_ASSERT_EQUAL(b[0], 65280);
	CU_ASSERT_EQUAL(b[1], 65504);
	CU_ASSERT_EQUAL(b[2], -65504);
	CU_ASSERT_EQUAL(b[3], -65504);
	CU_ASSERT(isnan(b[4]));
	CU_ASSERT_EQUAL(b[5], 0);
	/* Nothing beyond the range, and what is kept in fp32: where they lay. */
	CU_ASSERT_PTR_EQUAL(addend(&g, "with_c", QEFF_GRAPH_F16), (void *)g.c);
	CU_ASSERT_PTR_EQUAL(addend(&g, "with_d", QEFF_GRAPH_F32), g.d);
	/* The checkpoint's own bytes are not written to. */
	CU_ASSERT_EQUAL(g.a[1], -65505);
	/* Once is enough. */
	CU_ASSERT_EQUAL(qeff_transform_fp16_clip(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	qeff_graph_free(g.graph);
}

static void fp32_nodes(void)
{
	const char *const globs[] = { "model.layers.[01].*_proj", "model.layers.0.self_attn*",
				      "no.such.node" };
	struct qeff_transform_options options = { .fp32_nodes = globs, .num_fp32_nodes = 2 };
	struct model m = open_model("tiny-llama-stories");
	struct qeff_graph *bound;
	struct qeff_error err = { 0 };
	uint32_t changes, kept = 0;

	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp32_nodes(m.graph, &options, &changes, &err), 0);
	CU_ASSERT(qeff_graph_find(m.graph, "model.layers.1.mlp.up_proj")->producer->fp32);
	CU_ASSERT_FALSE(qeff_graph_find(m.graph, "model.layers.2.mlp.up_proj")->producer->fp32);
	/* A node that two globs name counts once, and what is bound keeps the mark. */
	bound = bind(m.graph, 1, 4);
	for (uint32_t i = 0; i < bound->num_nodes; i++)
		kept += bound->nodes[i]->fp32;
	CU_ASSERT_EQUAL(kept, changes);
	CU_ASSERT(kept > 14);
	qeff_graph_free(bound);

	options.num_fp32_nodes = 3;
	CU_ASSERT_EQUAL(qeff_transform_fp32_nodes(m.graph, &options, &changes, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"no.such.node\" matches no node"));
	close_model(&m);
}

/* Initialisers of these many floats, in files of at most @limit bytes. */
static void splits(uint64_t limit, uint32_t count, const int64_t *floats, const uint32_t *files)
{
	static const float zeros[2048];
	const struct qeff_transform_options options = { .data_files = true,
							.data_file_bytes = limit };
	struct qeff_graph *graph = qeff_graph_new("split");
	struct qeff_error err = { 0 };
	uint32_t changes, expected = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct qeff_dim dim = qeff_dim_of(floats[i]);
		char x[16], name[16], sum[16];

		snprintf(x, sizeof(x), "x%u", i);
		snprintf(name, sizeof(name), "w%u", i);
		snprintf(sum, sizeof(sum), "y%u", i);
		qeff_graph_output(
			graph,
			qeff_graph_node(graph, "Add", sum, 2,
					(struct qeff_value *[]){
						qeff_graph_input(graph, x, QEFF_GRAPH_F32, 1, &dim),
						qeff_graph_initialiser(graph, name, QEFF_GRAPH_F32,
								       QEFF_GRAPH_F32, 1,
								       &floats[i], zeros) },
					0, NULL));
		expected += files[i] != 0;
	}
	CU_ASSERT_EQUAL_FATAL(qeff_transform_split_tensors(graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, expected);
	for (uint32_t i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "w%u", i);
		CU_ASSERT_EQUAL(qeff_graph_find(graph, name)->data_file, files[i]);
	}
	qeff_graph_free(graph);
}

static void split_tensors(void)
{
	/* 1024 bytes stay inside; a file takes what just fits, and one too large alone. */
	splits(0, 3, (int64_t[]){ 256, 257, 2048 }, (uint32_t[]){ 0, 1, 1 });
	splits(4096, 6, (int64_t[]){ 512, 512, 1, 257, 768, 257 },
	       (uint32_t[]){ 1, 1, 0, 2, 3, 4 });
	splits(4096, 4, (int64_t[]){ 2048, 300, 2048, 257 }, (uint32_t[]){ 1, 2, 3, 4 });
}

static const struct unit_test tests[] = {
	{ "CustomOps", custom_ops },
	{ "CustomOps only where it is one", custom_ops_only_where_it_is_one },
	{ "KVCache: what comes in and goes out", kv_cache_interface },
	{ "KVCache generates", kv_cache_generates },
	{ "slots and several logits", slots_and_several_logits },
	{ "LoRA", lora },
	{ "wrong adapters", wrong_adapters },
	{ "Pooling", pooling },
	{ "FP16Clip", fp16_clip },
	{ "FP32Nodes", fp32_nodes },
	{ "SplitTensors", split_tensors },
	{ "refuses what does not apply", refuses_what_does_not_apply },
};

QEFF_UNIT_MAIN("transforms", tests)
