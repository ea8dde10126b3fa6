/* SPDX-License-Identifier: MIT */
/* Checkpoints and the graphs built from them; and a Llama as small as can be, written on the spot,
 * to be wrong or unusual in one way. */
#ifndef QEFF_TESTS_MODEL_RIG_H
#define QEFF_TESTS_MODEL_RIG_H

#include "checkpoint/internal.h"
#include "graph_look.h"
#include "model_folder.h"
#include "models/models.h"
#include "unit.h"

static inline struct qeff_checkpoint *open_model(const char *path)
{
	struct qeff_checkpoint *cp = NULL;
	struct qeff_error err = { 0 };

	if (qeff_checkpoint_open(path, &cp, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp);
	return cp;
}

static inline struct qeff_graph *build(const struct qeff_checkpoint *cp, uint32_t positions,
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

/* A Llama of 2 layers, 2 heads of 4, 1 KV head, hidden 8, FFN 6, 10 tokens: config keys and tensors
 * by choice. */
struct tiny {
	struct folder folder;
	char header[16384];
	size_t data_bytes;
};

static inline void tiny_tensor(struct tiny *t, const char *name, int rows, int columns)
{
	size_t at = strlen(t->header), bytes = (size_t)rows * (size_t)(columns ?: 1) * 4;
	char shape[32];

	snprintf(shape, sizeof(shape), columns ? "%d,%d" : "%d", rows, columns);
	snprintf(t->header + at, sizeof(t->header) - at,
		 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
		 at > 1 ? "," : "", name, shape, t->data_bytes, t->data_bytes + bytes);
	t->data_bytes += bytes;
}

static inline struct tiny *tiny_new(void)
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
static inline struct qeff_checkpoint *tiny_open(struct tiny *t, const char *keys)
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

static inline void tiny_free(struct tiny *t)
{
	folder_remove(&t->folder);
	free(t);
}

static inline void tiny_refused(struct tiny *t, const char *keys, int code, const char *part)
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

#endif
