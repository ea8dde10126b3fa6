/* SPDX-License-Identifier: MIT */
/*
 * Model builders: the graphs of the sample models, run by a plain evaluator against reference
 * outputs.
 */
#include "graph_eval.h"
#include "model_rig.h"

#define MODELS QEFF_TEST_DATA "/models/"

static const struct qeff_checkpoint_tensor *reference(const struct safetensors *file,
						      const char *name)
{
	for (size_t i = 0; i < file->num_tensors; i++)
		if (!strcmp(file->tensors[i].name, name))
			return &file->tensors[i];
	CU_FAIL_FATAL("the reference has this tensor");
	return NULL;
}

/* Every live row of @output within @tolerance of the reference's. */
static void outputs_match(const char *model, const char *output, double tolerance)
{
	const struct qeff_checkpoint_tensor *ids, *mask, *expected;
	struct qeff_checkpoint *cp = open_model(model);
	struct qeff_graph *graph, *bound = NULL;
	const struct qeff_value *value;
	struct qeff_model_info info;
	struct safetensors file;
	struct eval e;
	char path[512];
	int64_t width;

	snprintf(path, sizeof(path), "%s/reference.safetensors", model);
	CU_ASSERT_EQUAL_FATAL(safetensors_open(&file, path, NULL), 0);
	ids = reference(&file, "input_ids");
	mask = reference(&file, "attention_mask");
	expected = reference(&file, output);
	graph = build(cp, (uint32_t)ids->dims[1], &info);
	CU_ASSERT_EQUAL_FATAL(
		qeff_graph_bind(graph,
				(struct qeff_binding_size[]){ { "batch_size", ids->dims[0] },
							      { "seq_len", ids->dims[1] } },
				2, &bound, NULL),
		0);
	e = eval_new(bound);
	memcpy(eval_i(&e, qeff_graph_find(bound, "input_ids")), ids->data, ids->size_bytes);
	memcpy(eval_i(&e, qeff_graph_find(bound, "attention_mask")), mask->data, mask->size_bytes);
	eval_run(&e);
	value = qeff_graph_find(bound, output);
	width = eval_dim(value, 2);
	CU_ASSERT_EQUAL_FATAL(eval_count(value) * 4, expected->size_bytes);
	for (int64_t row = 0; row < ids->dims[0] * ids->dims[1]; row++) {
		if (((const int64_t *)mask->data)[row]) {
			double error = eval_error(eval_f(&e, value) + row * width,
						  (const float *)expected->data + row * width,
						  (uint64_t)width);

			CU_ASSERT_TRUE(error < tolerance);
		}
	}
	eval_free(&e);
	qeff_graph_free(bound);
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	safetensors_close(&file);
	qeff_checkpoint_close(cp);
}

static void computes_what_references_say(void)
{
	outputs_match(MODELS "tiny-llama-stories", "logits", 1e-5);
	outputs_match(MODELS "rand-llama3-rope", "logits", 1e-5);
	outputs_match(MODELS "tiny-bert-embed", "last_hidden_state", 1e-5);
}

static void builds_llama(void)
{
	struct qeff_checkpoint *cp = open_model(MODELS "tiny-llama-stories");
	struct qeff_model_info info;
	struct qeff_graph *g = build(cp, 32, &info);
	const struct qeff_checkpoint_tensor *tensors;
	const struct qeff_value *weight;
	size_t count;

	CU_ASSERT_STRING_EQUAL(info.architecture, "LlamaForCausalLM");
	CU_ASSERT_EQUAL(info.task, QEFF_MODEL_CAUSAL_LM);
	CU_ASSERT_EQUAL(info.layers, 6);
	CU_ASSERT_EQUAL(info.hidden, 192);
	CU_ASSERT_EQUAL(info.heads, 6);
	CU_ASSERT_EQUAL(info.kv_heads, 2);
	CU_ASSERT_EQUAL(info.head_dim, 32);
	CU_ASSERT_EQUAL(info.intermediate, 512);
	CU_ASSERT_EQUAL(info.vocab, 2048);
	CU_ASSERT_EQUAL(info.positions, 32);
	CU_ASSERT_EQUAL(info.max_positions, 256);
	CU_ASSERT_EQUAL(info.bos_token_id, 0);
	CU_ASSERT_EQUAL(info.pad_token_id, -1);
	CU_ASSERT_EQUAL(info.num_eos, 1);
	CU_ASSERT_EQUAL(info.eos_token_ids[0], 1);
	CU_ASSERT_FALSE(info.uses_token_types);
	CU_ASSERT_EQUAL(info.num_warnings, 0);

	/* every tensor once, the tied one too; f16 stays where it is mapped */
	tensors = qeff_checkpoint_tensors(cp, &count);
	for (size_t i = 0; i < count; i++) {
		weight = qeff_graph_find(g, tensors[i].name);
		CU_ASSERT_PTR_NOT_NULL_FATAL(weight);
		CU_ASSERT_PTR_EQUAL(weight->data, tensors[i].data);
		CU_ASSERT_EQUAL(weight->type, QEFF_GRAPH_F32);
		CU_ASSERT_EQUAL(weight->stored_type, QEFF_GRAPH_F16);
		info.weight_bytes -= tensors[i].size_bytes;
		info.parameters -= tensors[i].size_bytes / 2;
	}
	CU_ASSERT_EQUAL(info.weight_bytes, 0);
	CU_ASSERT_EQUAL(info.parameters, 0);

	CU_ASSERT_EQUAL(count_nodes(g, "qeff.Attention"), 6);
	CU_ASSERT_EQUAL(count_nodes(g, "qeff.RotaryEmbedding"), 12);
	CU_ASSERT_EQUAL(count_nodes(g, "MatMul"), 6 * 7 + 1);
	CU_ASSERT_EQUAL(count_nodes(g, "Pow"), 13);
	CU_ASSERT_EQUAL(count_nodes(g, "Sigmoid"), 6);
	CU_ASSERT_EQUAL(g->num_nodes, 6 * 42 + 10);
	CU_ASSERT_EQUAL(g->num_inputs, 2);
	CU_ASSERT_STRING_EQUAL(g->inputs[0]->name, "input_ids");
	CU_ASSERT_STRING_EQUAL(g->inputs[1]->name, "attention_mask");
	CU_ASSERT_EQUAL(g->num_outputs, 1);
	shape_is(g, "input_ids", "[batch_size, seq_len]");
	shape_is(g, "position_ids", "[batch_size, seq_len]");
	shape_is(g, "logits", "[batch_size, seq_len, 2048]");
	shape_is(g, "model.layers.5.self_attn.k_proj/rotated", "[batch_size, 2, seq_len, 32]");
	shape_is(g, "rotary.cos", "[32, 16]");
	qeff_graph_free(g);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
}

static void builds_bert(void)
{
	struct qeff_checkpoint *cp = open_model(MODELS "tiny-bert-embed");
	struct qeff_model_info info;
	struct qeff_graph *g = build(cp, 0, &info);

	CU_ASSERT_STRING_EQUAL(info.architecture, "BertModel");
	CU_ASSERT_EQUAL(info.task, QEFF_MODEL_ENCODER);
	CU_ASSERT_EQUAL(info.hidden, 128);
	CU_ASSERT_TRUE(info.uses_token_types);
	CU_ASSERT_EQUAL(info.num_warnings, 0); /* the pooler is known to be left out */
	CU_ASSERT_EQUAL(g->num_inputs, 3);
	CU_ASSERT_EQUAL(count_nodes(g, "qeff.Attention"), info.layers);
	CU_ASSERT_EQUAL(count_nodes(g, "MatMul"), info.layers * 6);
	CU_ASSERT_EQUAL(count_nodes(g, "LayerNormalization"), info.layers * 2 + 1);
	CU_ASSERT_EQUAL(count_nodes(g, "Gather"), 3);
	CU_ASSERT_EQUAL(count_nodes(g, "Gelu"), info.layers);
	CU_ASSERT_EQUAL(g->num_nodes, info.layers * 32 + 7);
	shape_is(g, "last_hidden_state", "[batch_size, seq_len, 128]");
	qeff_graph_free(g);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
}

static void lists_architectures(void)
{
	enum qeff_model_task task;
	const char *name, *type;
	bool encoders = false;
	size_t count = 0;

	CU_ASSERT_STRING_EQUAL(qeff_model_architecture(0, &type, &task), "LlamaForCausalLM");
	CU_ASSERT_STRING_EQUAL(type, "llama");
	CU_ASSERT_EQUAL(task, QEFF_MODEL_CAUSAL_LM);
	for (; (name = qeff_model_architecture(count, &type, &task)); count++) {
		CU_ASSERT(!encoders || task != QEFF_MODEL_CAUSAL_LM);
		encoders = task != QEFF_MODEL_CAUSAL_LM;
		for (size_t i = 0; i < count; i++)
			CU_ASSERT_STRING_NOT_EQUAL(qeff_model_architecture(i, NULL, NULL), name);
	}
	CU_ASSERT(encoders);
	CU_ASSERT(count >= 2);
}

static const struct unit_test tests[] = {
	{ "computes what references say", computes_what_references_say },
	{ "builds Llama", builds_llama },
	{ "builds BERT", builds_bert },
	{ "lists architectures", lists_architectures },
};

QEFF_UNIT_MAIN("models", tests)
