/* SPDX-License-Identifier: MIT */
/* The KV cache as a transform: what comes in and goes out, in chunks as at once, with slots and
 * with logits of several tokens. */
#include "transform_rig.h"

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

/* The outputs and inputs of a sampler, and what each kind of it adds in nodes. */
static void sampler_interface(void)
{
	static const struct {
		struct qeff_transform_options options;
		uint32_t nodes, inputs, outputs;
	} kinds[] = {
		/* ArgMax */
		{ { .kv_cache = true, .sampler = true, .max_top_k_ids = 1 }, 1, 0, 0 },
		/* two Mark, Penalise, Sample; five wishes, two penalties, tokens, two kinds of
		   flags */
		{ { .kv_cache = true, .sampler = true, .max_top_k_ids = 8 }, 4, 10, 2 },
		{ { .kv_cache = true, .sampler = true, .return_pdfs = true }, 5, 10, 3 },
		{ { .kv_cache = true, .sampler = true, .guided_decoding = true }, 4, 11, 2 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct model m = open_model("rand-llama3-rope");
		uint32_t nodes, inputs, outputs, changes = 0;
		const struct qeff_value *tokens;

		CU_ASSERT_EQUAL(qeff_transform_kv_cache(m.graph, &kinds[i].options, &changes, NULL),
				0);
		nodes = m.graph->num_nodes;
		inputs = m.graph->num_inputs;
		outputs = m.graph->num_outputs;
		CU_ASSERT_EQUAL(qeff_transform_sampler(m.graph, &kinds[i].options, &changes, NULL),
				0);
		CU_ASSERT_EQUAL(changes, 1);
		CU_ASSERT_EQUAL(m.graph->num_nodes, nodes + kinds[i].nodes);
		CU_ASSERT_EQUAL(m.graph->num_inputs, inputs + kinds[i].inputs);
		CU_ASSERT_EQUAL(m.graph->num_outputs, outputs + kinds[i].outputs);
		tokens = m.graph->outputs[0];
		CU_ASSERT_STRING_EQUAL(tokens->name, "next_tokens");
		shape_is(m.graph, "next_tokens", "[batch_size, 1, 1]");
		CU_ASSERT_FALSE(qeff_graph_find(m.graph, "logits")->is_output);
		if (kinds[i].nodes > 1) {
			CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.Mark"), 2);
			shape_is(m.graph, "past_presence_penalty_buffer", "[batch_size, 512]");
			shape_is(m.graph, "last_accepted_output_tokens", "[batch_size, seq_len]");
			shape_is(m.graph, "random_numbers",
				 kinds[i].options.max_top_k_ids ? "[batch_size, 8]"
								: "[batch_size, 512]");
		}
		CU_ASSERT_EQUAL(qeff_transform_sampler(m.graph, &kinds[i].options, &changes, NULL),
				0);
		CU_ASSERT_EQUAL(changes, 0);
		close_model(&m);
	}
}

static const struct unit_test tests[] = {
	{ "Sampler: what comes in and goes out", sampler_interface },
	{ "KVCache: what comes in and goes out", kv_cache_interface },
	{ "KVCache generates", kv_cache_generates },
	{ "slots and several logits", slots_and_several_logits },
};

QEFF_UNIT_MAIN("transform-cache", tests)
