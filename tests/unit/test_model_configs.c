/* SPDX-License-Identifier: MIT */
/*
 * Model builders on small checkpoints that are wrong, unusual or not supported in one way each.
 */
#include "model_rig.h"

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
static const struct unit_test tests[] = {
	{ "refuses what it does not handle", refuses_what_it_does_not_handle },
	{ "families refuse", families_refuse },
	{ "windows have defaults", windows_have_defaults },
	{ "bounds rotary tables", bounds_rotary_tables },
	{ "builds variants", builds_variants },
	{ "makes rotary tables", makes_rotary_tables },
	{ "refuses types without meaning", refuses_types_without_meaning },
	{ "builds variants of BERT", builds_bert_variants },
};

QEFF_UNIT_MAIN("model-configs", tests)
