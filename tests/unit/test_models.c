/* SPDX-License-Identifier: MIT */
/*
 * Model builders: the graphs of the sample models, run by a plain evaluator against reference
 * outputs, and small checkpoints written here that are wrong, unusual or not supported in one way
 * each.
 */
#include "unit.h"

#include "checkpoint/internal.h"
#include "graph_eval.h"
#include "model_folder.h"
#include "models/models.h"

#define MODELS QEFF_TEST_DATA "/models/"

static struct qeff_checkpoint *open_model(const char *path)
{
	struct qeff_checkpoint *cp = NULL;
	struct qeff_error err = { 0 };

	if (qeff_checkpoint_open(path, &cp, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp);
	return cp;
}

static struct qeff_graph *build(const struct qeff_checkpoint *cp, uint32_t positions,
				struct qeff_model_info *info)
{
	const struct qeff_model_options options = { .positions = positions };
	struct qeff_graph *graph = NULL;
	struct qeff_error err = { 0 };

	if (qeff_model_build(cp, &options, &graph, info, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
	CU_ASSERT_EQUAL(qeff_graph_validate(graph, &err), 0);
	return graph;
}

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

/* A Llama of 2 layers, 2 heads of 4, 1 KV head, hidden 8, FFN 6, 10 tokens: config keys and tensors
 * by choice. */
struct tiny {
	struct folder folder;
	char header[16384];
	size_t data_bytes;
};

static void tiny_tensor(struct tiny *t, const char *name, int rows, int columns)
{
	size_t at = strlen(t->header), bytes = (size_t)rows * (size_t)(columns ?: 1) * 4;
	char shape[32];

	snprintf(shape, sizeof(shape), columns ? "%d,%d" : "%d", rows, columns);
	snprintf(t->header + at, sizeof(t->header) - at,
		 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
		 at > 1 ? "," : "", name, shape, t->data_bytes, t->data_bytes + bytes);
	t->data_bytes += bytes;
}

static struct tiny *tiny_new(void)
{
	static const struct {
		const char *name;
		int rows, columns;
	} layer[] = {
		{ "input_layernorm.weight", 8, 0 },  { "self_attn.q_proj.weight", 8, 8 },
		{ "self_attn.k_proj.weight", 4, 8 }, { "self_attn.v_proj.weight", 4, 8 },
		{ "self_attn.o_proj.weight", 8, 8 }, { "post_attention_layernorm.weight", 8, 0 },
		{ "mlp.gate_proj.weight", 6, 8 },    { "mlp.up_proj.weight", 6, 8 },
		{ "mlp.down_proj.weight", 8, 6 },
	};
	struct tiny *t = calloc(1, sizeof(*t));
	char name[128];

	t->folder = folder_new();
	strcpy(t->header, "{");
	tiny_tensor(t, "model.embed_tokens.weight", 10, 8);
	tiny_tensor(t, "model.norm.weight", 8, 0);
	for (int l = 0; l < 2; l++) {
		for (size_t i = 0; i < sizeof(layer) / sizeof(layer[0]); i++) {
			snprintf(name, sizeof(name), "model.layers.%d.%s", l, layer[i].name);
			tiny_tensor(t, name, layer[i].rows, layer[i].columns);
		}
	}
	return t;
}

/* Writes the folder; @keys are added to the config, or replace what it has. */
static struct qeff_checkpoint *tiny_open(struct tiny *t, const char *keys)
{
	static const char *const defaults[] = {
		"\"architectures\":[\"LlamaForCausalLM\"]",
		"\"hidden_size\":8",
		"\"num_hidden_layers\":2",
		"\"num_attention_heads\":2",
		"\"num_key_value_heads\":1",
		"\"intermediate_size\":6",
		"\"vocab_size\":10",
		"\"max_position_embeddings\":16",
		"\"tie_word_embeddings\":true",
	};
	char config[2048] = "{", *header = NULL;
	void *data = calloc(1, t->data_bytes);

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		char key[64];

		snprintf(key, sizeof(key), "%.*s", (int)(strchr(defaults[i], ':') - defaults[i]),
			 defaults[i]);
		if (!strstr(keys, key))
			sprintf(config + strlen(config), "%s,", defaults[i]);
	}
	sprintf(config + strlen(config), "%s}", *keys ? keys : "\"x\":0");
	folder_text(&t->folder, "config.json", config);
	CU_ASSERT_TRUE_FATAL(asprintf(&header, "%s}", t->header) > 0);
	folder_tensors(&t->folder, "model.safetensors", header, data, t->data_bytes);
	free(header);
	free(data);
	return open_model(t->folder.path);
}

static void tiny_free(struct tiny *t)
{
	folder_remove(&t->folder);
	free(t);
}

static void tiny_refused(struct tiny *t, const char *keys, int code, const char *part)
{
	struct qeff_checkpoint *cp = tiny_open(t, keys);
	struct qeff_model_info info;
	struct qeff_graph *graph;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_model_build(cp, NULL, &graph, &info, &err), code);
	CU_ASSERT_PTR_NULL(graph);
	CU_ASSERT_EQUAL(info.num_warnings, 0);
	if (!strstr(err.message, part) || !strstr(err.message, t->folder.path)) {
		printf("\n  %s: expected \"%s\", got \"%s\"", keys, part, err.message);
		CU_FAIL("the message names what is wrong, and where");
	}
	qeff_graph_free(graph);
	qeff_checkpoint_close(cp);
}

static void refuses_what_it_does_not_handle(void)
{
	static const struct {
		const char *keys;
		int code;
		const char *part;
	} cases[] = {
		{ "\"architectures\":[\"NoSuchModel\"]", -ENOTSUP,
		  "\"NoSuchModel\" is not supported" },
		{ "\"architectures\":null", -ENOTSUP, "(none named)" },
		{ "\"architectures\":null,\"model_type\":\"nosuch\"", -ENOTSUP, "\"nosuch\"" },
		{ "\"architectures\":\"LlamaForCausalLM\"", -EINVAL, "a list of strings" },
		{ "\"architectures\":[]", -EINVAL, "a list of strings" },
		{ "\"hidden_act\":\"nosuch\"", -ENOTSUP, "\"hidden_act\" is \"nosuch\"" },
		{ "\"hidden_act\":3", -EINVAL, "\"hidden_act\" is an integer" },
		{ "\"quantization_config\":{\"bits\":4}", -ENOTSUP,
		  "\"quantization_config\" is {" },
		{ "\"partial_rotary_factor\":0.5", -ENOTSUP, "\"partial_rotary_factor\" is 0.5" },
		{ "\"rope_scaling\":{\"type\":\"nosuch\",\"factor\":2.0}", -ENOTSUP,
		  "\"rope_scaling.rope_type\" is \"nosuch\"" },
		{ "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1]}", -EINVAL,
		  "\"rope_scaling.short_factor\" lists 1 numbers, expected 2" },
		{ "\"rope_scaling\":{\"rope_type\":\"linear\"}", -EINVAL,
		  "\"rope_scaling.factor\" is missing" },
		{ "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":2,"
		  "\"high_freq_factor\":2,\"original_max_position_embeddings\":8}",
		  -EINVAL, "\"rope_scaling.high_freq_factor\" is 2, expected more" },
		{ "\"rope_scaling\":7", -EINVAL,
		  "\"rope_scaling\" is an integer, expected an object" },
		{ "\"rope_theta\":0", -EINVAL, "\"rope_theta\" is 0" },
		{ "\"hidden_size\":0", -EINVAL, "\"hidden_size\" is 0" },
		{ "\"hidden_size\":null", -EINVAL, "\"hidden_size\" is missing" },
		{ "\"hidden_size\":99999999999", -EINVAL, "\"hidden_size\" is 99999999999" },
		{ "\"hidden_size\":8.0", -EINVAL, "\"hidden_size\" is a number with a fraction" },
		{ "\"num_hidden_layers\":3", -EINVAL, "no tensor \"model.layers.2." },
		{ "\"num_hidden_layers\":1000000", -EINVAL, "\"num_hidden_layers\"" },
		{ "\"num_attention_heads\":3", -EINVAL,
		  "no multiple of \"num_attention_heads\", 3" },
		{ "\"num_key_value_heads\":3", -EINVAL,
		  "no multiple of \"num_key_value_heads\", 3" },
		{ "\"head_dim\":6", -EINVAL, "config.json makes it [12, 8]" },
		{ "\"head_dim\":1000000,\"num_attention_heads\":8", -ENOTSUP,
		  "8 heads of 1000000" },
		{ "\"intermediate_size\":7", -EINVAL,
		  "\"model.layers.0.mlp.gate_proj.weight\" is [6, 8], config.json makes it [7, 8]" },
		{ "\"vocab_size\":11", -EINVAL, "is [10, 8], config.json makes it [11, 8]" },
		{ "\"tie_word_embeddings\":false", -EINVAL, "no tensor \"lm_head.weight\"" },
		{ "\"attention_bias\":true", -EINVAL,
		  "no tensor \"model.layers.0.self_attn.q_proj.bias\"" },
		{ "\"mlp_bias\":true", -EINVAL, "no tensor \"model.layers.0.mlp.gate_proj.bias\"" },
		{ "\"mlp_bias\":1", -EINVAL, "\"mlp_bias\" is an integer, expected true or false" },
		{ "\"rms_norm_eps\":\"x\"", -EINVAL, "\"rms_norm_eps\" is a string" },
		{ "\"eos_token_id\":[1,\"2\"]", -EINVAL, "\"eos_token_id\" is a string" },
	};
	struct tiny *t = tiny_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tiny_refused(t, cases[i].keys, cases[i].code, cases[i].part);
	tiny_free(t);
}

/* What each family's config may say that would change the computation. */
static void families_refuse(void)
{
#define FAMILY(name) "\"architectures\":[\"" name "\"],"
#define GPT	     "\"n_embd\":8,\"n_layer\":2,\"n_head\":2,\"n_positions\":16,"
#define MPT	     "\"d_model\":8,\"n_layers\":2,\"n_heads\":2,\"max_seq_len\":16,"
	static const struct {
		const char *keys;
		int code;
		const char *part;
	} cases[] = {
		{ FAMILY("GPT2LMHeadModel") GPT "\"add_cross_attention\":true", -ENOTSUP,
		  "\"add_cross_attention\" is true" },
		{ FAMILY("GPT2LMHeadModel") GPT "\"activation_function\":\"mish\"", -EINVAL,
		  "has no tensor \"wte.weight\"" },
		{ FAMILY("GPTJForCausalLM") GPT "\"rotary_dim\":6", -EINVAL,
		  "6 columns of heads of 4" },
		{ FAMILY("CodeGenForCausalLM") GPT "\"rotary_dim\":2", -EINVAL,
		  "\"n_head\" is 2, expected a multiple of 4" },
		{ FAMILY("Starcoder2ForCausalLM") "\"mlp_type\":\"gated\"", -ENOTSUP,
		  "\"mlp_type\" is \"gated\"" },
		{ FAMILY("FalconForCausalLM") "\"new_decoder_architecture\":true,"
					      "\"parallel_attn\":false",
		  -ENOTSUP, "\"parallel_attn\" is false" },
		{ FAMILY("FalconForCausalLM") "\"new_decoder_architecture\":true,"
					      "\"num_kv_heads\":3",
		  -EINVAL, "no multiple" },
		{ FAMILY("MptForCausalLM") MPT "\"expansion_ratio\":2", -ENOTSUP,
		  "\"expansion_ratio\" is 2" },
		{ FAMILY("MptForCausalLM") MPT "\"attn_config\":{\"clip_qkv\":8}", -ENOTSUP,
		  "\"attn_config.clip_qkv\" is 8" },
		{ FAMILY("MptForCausalLM") MPT "\"attn_config\":{\"alibi\":false}", -ENOTSUP,
		  "\"attn_config.alibi\" is false" },
		{ FAMILY("MptForCausalLM") MPT "\"attn_config\":[]", -EINVAL, "\"attn_config\"" },
		{ FAMILY("MistralForCausalLM") "\"sliding_window\":0", -EINVAL,
		  "\"sliding_window\" is 0" },
		{ FAMILY("MistralForCausalLM") "\"layer_types\":[\"full_attention\"]", -EINVAL,
		  "\"layer_types\" has no entry 1" },
		{ FAMILY("Qwen2ForCausalLM") "\"use_sliding_window\":true,\"layer_types\":"
					     "[\"full_attention\",\"chunked_attention\"]",
		  -ENOTSUP, "\"chunked_attention\"" },
		{ FAMILY("Gemma3ForCausalLM") "\"use_bidirectional_attention\":true", -ENOTSUP,
		  "\"use_bidirectional_attention\" is true" },
		{ FAMILY("PhiForCausalLM") "\"partial_rotary_factor\":1.5", -EINVAL,
		  "\"partial_rotary_factor\" is 1.5" },
		{ FAMILY("GraniteForCausalLM") "\"logits_scaling\":0", -EINVAL,
		  "\"logits_scaling\" is 0" },
		{ FAMILY("MixtralForCausalLM") "\"num_local_experts\":2", -EINVAL,
		  "\"num_experts_per_tok\" is missing" },
		{ FAMILY("MixtralForCausalLM") "\"num_local_experts\":2,"
					       "\"num_experts_per_tok\":3",
		  -EINVAL, "\"num_experts_per_tok\" is 3, of" },
		{ FAMILY("MixtralForCausalLM") "\"num_local_experts\":2000,"
					       "\"num_experts_per_tok\":3",
		  -EINVAL, "\"num_local_experts\" is 2000" },
		{ FAMILY("Qwen3MoeForCausalLM") "\"num_experts\":2,\"num_experts_per_tok\":1,"
						"\"moe_intermediate_size\":8,"
						"\"mlp_only_layers\":[-1]",
		  -EINVAL, "\"mlp_only_layers\" is -1" },
		{ FAMILY("GptOssForCausalLM") "\"quantization_config\":"
					      "{\"quant_method\":\"awq\"}",
		  -ENOTSUP, "\"quantization_config.quant_method\" is \"awq\"" },
		{ FAMILY("GptOssForCausalLM") "\"quantization_config\":{}", -ENOTSUP,
		  "names no \"quant_method\"" },
		{ FAMILY("GptOssForCausalLM") "\"swiglu_limit\":5.0", -ENOTSUP,
		  "\"swiglu_limit\" is 5.0" },
	};
	struct tiny *t = tiny_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tiny_refused(t, cases[i].keys, cases[i].code, cases[i].part);
	tiny_free(t);
}

static int64_t window_of(struct tiny *t, const char *keys)
{
	struct qeff_checkpoint *cp = tiny_open(t, keys);
	struct qeff_model_info info;
	struct qeff_graph *graph = build(cp, 0, &info);
	int64_t window = qeff_node_int(qeff_graph_find(graph, "model.layers.0.attention")->producer,
				       "window", 0);

	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
	return window;
}

/* A key that is not there means the family's default, null means none. */
static void windows_have_defaults(void)
{
#define MISTRAL "\"architectures\":[\"MistralForCausalLM\"]"
	struct tiny *t = tiny_new();

	CU_ASSERT_EQUAL(window_of(t, MISTRAL), 4096);
	CU_ASSERT_EQUAL(window_of(t, MISTRAL ",\"sliding_window\":null"), 0);
	CU_ASSERT_EQUAL(window_of(t, MISTRAL ",\"sliding_window\":7"), 7);
	CU_ASSERT_EQUAL(window_of(t, MISTRAL ",\"sliding_window\":7,\"layer_types\":"
					     "[\"full_attention\",\"sliding_attention\"]"),
			0);
	CU_ASSERT_EQUAL(window_of(t, "\"sliding_window\":7"), 0);
	tiny_free(t);
}

static void bounds_rotary_tables(void)
{
	struct tiny *t = tiny_new();
	struct qeff_checkpoint *cp = tiny_open(t, "\"max_position_embeddings\":2000000000");
	struct qeff_model_info info;
	struct qeff_graph *graph;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_model_build(cp, NULL, &graph, &info, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2000000000 positions"));
	graph = build(cp, 4, &info);
	shape_is(graph, "rotary.sin", "[4, 2]");
	CU_ASSERT_EQUAL(info.num_warnings, 0);
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);

	cp = tiny_open(t, "");
	graph = build(cp, 17, &info);
	CU_ASSERT_EQUAL(info.num_warnings, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(info.warnings[0], "17 positions are more than the 16"));
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
	tiny_free(t);
}

static void builds_variants(void)
{
	static const char *const projections[] = { "q_proj", "k_proj", "v_proj", "o_proj" };
	struct tiny *t = tiny_new();
	struct qeff_model_info info;
	struct qeff_checkpoint *cp;
	struct qeff_graph *graph;
	char name[128];

	/* no list of architectures, but a model type; no bias, although there are tensors for one
	 */
	for (int l = 0; l < 2; l++) {
		for (int p = 0; p < 4; p++) {
			snprintf(name, sizeof(name), "model.layers.%d.self_attn.%s.bias", l,
				 projections[p]);
			tiny_tensor(t, name, p == 1 || p == 2 ? 4 : 8, 0);
		}
		snprintf(name, sizeof(name), "model.layers.%d.self_attn.rotary_emb.inv_freq", l);
		tiny_tensor(t, name, 2, 0);
	}
	tiny_tensor(t, "lm_head.weight", 10, 8);
	tiny_tensor(t, "extra.weight", 10, 8);
	cp = tiny_open(t, "\"architectures\":null,\"model_type\":\"llama\"");
	graph = build(cp, 0, &info);
	CU_ASSERT_EQUAL(info.num_warnings, 9);
	CU_ASSERT_PTR_NOT_NULL(strstr(info.warnings[0], "\"extra.weight\" is not part of Llama"));
	CU_ASSERT_PTR_NOT_NULL(strstr(info.warnings[8], "1 more tensors"));
	CU_ASSERT_PTR_NULL(qeff_graph_find(graph, "lm_head.weight"));
	CU_ASSERT_EQUAL(info.positions, 16);
	CU_ASSERT_EQUAL(graph->num_nodes, 2 * 42 + 10);
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);

	/* with them, and with a head of its own; a table of activations has the others */
	cp = tiny_open(
		t,
		"\"attention_bias\":true,\"tie_word_embeddings\":false,\"hidden_act\":\"gelu_new\"");
	graph = build(cp, 0, &info);
	CU_ASSERT_EQUAL(info.num_warnings, 1);
	CU_ASSERT_PTR_NOT_NULL(qeff_graph_find(graph, "lm_head.weight"));
	CU_ASSERT_EQUAL(graph->num_nodes, 2 * (42 + 4 - 1) + 10);
	CU_ASSERT_STRING_EQUAL(
		qeff_node_string(qeff_graph_find(graph, "model.layers.0.mlp.act_fn")->producer,
				 "approximate", ""),
		"tanh");
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
	tiny_free(t);
}

/* The angle of position 1 at pair @pair of the tables, from its sine and cosine. */
static double angle(const struct qeff_graph *graph, uint32_t pair)
{
	const float *cosines = qeff_graph_find(graph, "rotary.cos")->data;
	const float *sines = qeff_graph_find(graph, "rotary.sin")->data;

	/* the second row; heads of 4 have two pairs */
	return atan2(sines[2 + pair], cosines[2 + pair]);
}

static void angles_are(struct tiny *t, const char *keys, double first, double second)
{
	struct qeff_checkpoint *cp = tiny_open(t, keys);
	struct qeff_model_info info;
	struct qeff_graph *graph = build(cp, 0, &info);

	if (fabs(angle(graph, 0) - first) > 1e-6 || fabs(angle(graph, 1) - second) > 1e-6) {
		printf("\n  %s: %.9g %.9g, expected %.9g %.9g", keys, angle(graph, 0),
		       angle(graph, 1), first, second);
		CU_FAIL("angles");
	}
	qeff_graph_free(graph);
	qeff_model_info_clear(&info);
	qeff_checkpoint_close(cp);
}

static void makes_rotary_tables(void)
{
	/* theta 10: the second pair turns 10^(-1/2) a position, a wave of 19.869 positions, between
	 * 32/4 and 32/1 */
	const double turn = 0.31622776601683794, wave = 2 * M_PI / turn, mix = (32 / wave - 1) / 3;
	struct tiny *t = tiny_new();

	angles_are(t, "", 1, 0.01);
	angles_are(t, "\"rope_scaling\":null,\"rope_theta\":1000000", 1, 0.001);
	angles_are(t, "\"rope_scaling\":{\"rope_type\":\"default\"},\"rope_theta\":100.0", 1, 0.1);
	angles_are(t, "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":100.0}", 1,
		   0.1);
	angles_are(t, "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}", 0.25, 0.0025);
	/* a wave of 2 pi is short and stays; one of 628 is long and is stretched */
	angles_are(
		t,
		"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
		"\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}",
		1, 0.01 / 8);
	angles_are(t,
		   "\"rope_theta\":10,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
		   "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
		   "\"original_max_position_embeddings\":32}",
		   1, (1 - mix) * turn / 8 + mix * turn);
	/* 16 positions: as many as the model was made for, or twice as many */
	angles_are(t, "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}", 1, 0.01);
	angles_are(
		t,
		"\"original_max_position_embeddings\":16,\"rope_scaling\":{\"type\":\"longrope\","
		"\"short_factor\":[2,4],\"long_factor\":[3,5]}",
		0.5, 0.0025);
	angles_are(t,
		   "\"original_max_position_embeddings\":8,\"rope_scaling\":{\"type\":\"su\","
		   "\"short_factor\":[2,4],\"long_factor\":[3,5]}",
		   1 / 3.0, 0.002);
	/* the first pair turns 2.5 times over 16 positions and stays, the second is stretched */
	angles_are(t,
		   "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"beta_fast\":2.0,"
		   "\"original_max_position_embeddings\":16}",
		   1, 0.01 / 4);
	/* each kind of layer with its own keys; Llama has one kind */
	angles_are(t,
		   "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":100.0},"
		   "\"sliding_attention\":{\"rope_theta\":4.0}}",
		   1, 0.1);
	tiny_free(t);
}

static void refuses_types_without_meaning(void)
{
	struct tiny *t = tiny_new();
	char *at = strstr(t->header, "F32");

	memcpy(at, "I32", 3);
	tiny_refused(t, "", -ENOTSUP,
		     "\"model.embed_tokens.weight\" has type I32, expected F32, F16 or BF16");
	memcpy(at, "U32", 3);
	tiny_refused(t, "", -ENOTSUP, "has type U32");
	tiny_free(t);
}

/* A BERT of one layer whose tensors stand under @prefix, with norms of the old names. */
static void bert_tensors(struct tiny *t, const char *prefix)
{
	static const struct {
		const char *name;
		int rows, columns;
	} tensors[] = {
		{ "embeddings.word_embeddings.weight", 10, 8 },
		{ "embeddings.position_embeddings.weight", 16, 8 },
		{ "embeddings.token_type_embeddings.weight", 2, 8 },
		{ "embeddings.LayerNorm.gamma", 8, 0 },
		{ "embeddings.LayerNorm.beta", 8, 0 },
		{ "encoder.layer.0.attention.self.query.weight", 8, 8 },
		{ "encoder.layer.0.attention.self.query.bias", 8, 0 },
		{ "encoder.layer.0.attention.self.key.weight", 8, 8 },
		{ "encoder.layer.0.attention.self.key.bias", 8, 0 },
		{ "encoder.layer.0.attention.self.value.weight", 8, 8 },
		{ "encoder.layer.0.attention.self.value.bias", 8, 0 },
		{ "encoder.layer.0.attention.output.dense.weight", 8, 8 },
		{ "encoder.layer.0.attention.output.dense.bias", 8, 0 },
		{ "encoder.layer.0.attention.output.LayerNorm.weight", 8, 0 },
		{ "encoder.layer.0.attention.output.LayerNorm.bias", 8, 0 },
		{ "encoder.layer.0.intermediate.dense.weight", 6, 8 },
		{ "encoder.layer.0.intermediate.dense.bias", 6, 0 },
		{ "encoder.layer.0.output.dense.weight", 8, 6 },
		{ "encoder.layer.0.output.dense.bias", 8, 0 },
		{ "encoder.layer.0.output.LayerNorm.weight", 8, 0 },
		{ "encoder.layer.0.output.LayerNorm.bias", 8, 0 },
		{ "embeddings.position_ids", 16, 0 },
		{ "pooler.dense.weight", 8, 8 },
		{ "pooler.dense.bias", 8, 0 },
	};
	char name[128];

	strcpy(t->header, "{");
	t->data_bytes = 0;
	for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, tensors[i].name);
		tiny_tensor(t, name, tensors[i].rows, tensors[i].columns);
	}
}

#define BERT "\"architectures\":[\"BertModel\"],\"num_hidden_layers\":1"

static void builds_bert_variants(void)
{
	static const char *const prefixes[] = { "", "bert." };
	struct tiny *t = tiny_new();

	for (int i = 0; i < 2; i++) {
		struct qeff_checkpoint *cp;
		struct qeff_model_info info;
		struct qeff_graph *graph;

		bert_tensors(t, prefixes[i]);
		cp = tiny_open(t, BERT
			       ",\"position_embedding_type\":\"absolute\",\"hidden_act\":\"relu\"");
		graph = build(cp, 0, &info);
		CU_ASSERT_EQUAL(info.num_warnings, 0);
		CU_ASSERT_EQUAL(info.positions, 16);
		CU_ASSERT_EQUAL(graph->num_nodes, 32 + 7);
		CU_ASSERT_EQUAL(count_nodes(graph, "Relu"), 1);
		qeff_graph_free(graph);
		qeff_model_info_clear(&info);
		qeff_checkpoint_close(cp);
	}
	tiny_refused(t, BERT ",\"position_embedding_type\":\"relative_key\"", -ENOTSUP,
		     "\"position_embedding_type\" is \"relative_key\"");
	tiny_refused(t, BERT ",\"is_decoder\":true", -ENOTSUP, "\"is_decoder\" is true");
	tiny_refused(t, BERT ",\"type_vocab_size\":3", -EINVAL, "config.json makes it [3, 8]");
	tiny_refused(t, BERT ",\"num_attention_heads\":3", -EINVAL, "no multiple");
	tiny_free(t);
}

/* Every row once, decoders first. */
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
	{ "refuses what it does not handle", refuses_what_it_does_not_handle },
	{ "families refuse", families_refuse },
	{ "windows have defaults", windows_have_defaults },
	{ "bounds rotary tables", bounds_rotary_tables },
	{ "builds variants", builds_variants },
	{ "makes rotary tables", makes_rotary_tables },
	{ "refuses types without meaning", refuses_types_without_meaning },
	{ "builds variants of BERT", builds_bert_variants },
	{ "lists architectures", lists_architectures },
};

QEFF_UNIT_MAIN("models", tests)
