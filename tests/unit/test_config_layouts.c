/* SPDX-License-Identifier: MIT */
/*
 * config.json as transformers 5 writes it means the same model: rope keys in one object, or in one
 * for each kind of layer. The checkpoints of tests/data/models/arch, built with either.
 */
#include "unit.h"

#include "model_folder.h"
#include "models/models.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define ARCH QEFF_TEST_DATA "/models/arch/"

struct built {
	struct folder folder;
	struct qeff_checkpoint *checkpoint;
	struct qeff_model_info info;
	struct qeff_graph *graph;
	struct qeff_error err;
	int ret;
};

/* The model @name without the keys @gone (a list), with those of the object @put. */
static struct built build(const char *name, const char *gone, const char *put)
{
	struct built b = { .folder = folder_new() };
	char path[512], weights[512];
	json_t *config, *keys = json_loads(gone, 0, NULL), *new = json_loads(put, 0, NULL), *key;
	char *text;
	size_t i;

	snprintf(path, sizeof(path), ARCH "%s/config.json", name);
	config = json_load_file(path, 0, NULL);
	CU_ASSERT_FATAL(config && keys && new);
	json_array_foreach(keys, i, key) json_object_del(config, json_string_value(key));
	json_object_update(config, new);
	text = json_dumps(config, 0);
	folder_text(&b.folder, "config.json", text);
	free(text);
	json_decref(config);
	json_decref(keys);
	json_decref(new);
	snprintf(path, sizeof(path), ARCH "%s/model.safetensors", name);
	snprintf(weights, sizeof(weights), "%s/model.safetensors", b.folder.path);
	CU_ASSERT_EQUAL_FATAL(symlink(path, weights), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_checkpoint_open(b.folder.path, &b.checkpoint, &b.err), 0);
	b.ret = qeff_model_build(b.checkpoint, NULL, &b.graph, &b.info, &b.err);
	return b;
}

static void finish(struct built *b)
{
	qeff_graph_free(b->graph);
	qeff_model_info_clear(&b->info);
	qeff_checkpoint_close(b->checkpoint);
	folder_remove(&b->folder);
}

/* Nodes and shapes, and every constant's bytes. */
static bool equal(const struct built *a, const struct built *b)
{
	char *x = qeff_graph_print(a->graph), *y = qeff_graph_print(b->graph);
	bool same = x && y && !strcmp(x, y);

	free(x);
	free(y);
	for (uint32_t i = 0; same && i < a->graph->num_values; i++) {
		const struct qeff_value *value = a->graph->values[i], *other;
		uint64_t count;

		if (!value->is_initialiser)
			continue;
		other = qeff_graph_find(b->graph, value->name);
		same = other && qeff_graph_shape_elements(&value->shape, &count) &&
		       !memcmp(value->data, other->data,
			       count * qeff_graph_type_bytes(value->stored_type));
	}
	return same;
}

#define ROPE "[\"rope_theta\",\"rope_scaling\",\"partial_rotary_factor\"]"
#define PHI3_FACTORS                                                                               \
	"\"rope_type\":\"longrope\",\"short_factor\":[1.0,1.0],\"long_factor\":[1.25,1.5],"        \
	"\"rope_theta\":10000.0,\"partial_rotary_factor\":0.8"

static const struct {
	const char *name, *gone, *put;
} layouts[] = {
	{ "llama-linear", ROPE,
	  "{\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.5,\"rope_theta\":10000.0}}" },
	/* what stands among them goes before what stands beside them */
	{ "llama-linear", "[]",
	  "{\"rope_theta\":7.0,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":9},"
	  "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.5,\"rope_theta\":10000.0,"
	  "\"partial_rotary_factor\":1.0}}" },
	{ "llama-bias", ROPE,
	  "{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0},"
	  "\"torch_dtype\":\"float16\"}" },
	{ "falcon-7b", ROPE,
	  "{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000.0}}" },
	{ "phi", ROPE,
	  "{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000.0,"
	  "\"partial_rotary_factor\":0.4}}" },
	{ "phi3-longrope", ROPE,
	  "{\"original_max_position_embeddings\":60,\"rope_parameters\":{" PHI3_FACTORS
	  ",\"original_max_position_embeddings\":8}}" },
	{ "phi3-longrope", ROPE, "{\"rope_parameters\":{" PHI3_FACTORS ",\"factor\":8.0}}" },
	{ "gpt_oss", ROPE,
	  "{\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"beta_fast\":8.0,"
	  "\"beta_slow\":1.0,\"truncate\":false,\"original_max_position_embeddings\":16,"
	  "\"rope_theta\":150000.0}}" },
	{ "gemma3",
	  "[\"rope_theta\",\"rope_scaling\",\"rope_local_base_freq\",\"sliding_window_pattern\"]",
	  "{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,"
	  "\"rope_theta\":1000000.0},\"sliding_attention\":{\"rope_type\":\"default\","
	  "\"rope_theta\":10000.0}}}" },
	{ "modernbert",
	  "[\"global_rope_theta\",\"local_rope_theta\",\"global_attn_every_n_layers\"]",
	  "{\"layer_types\":[\"full_attention\",\"sliding_attention\",\"sliding_attention\","
	  "\"full_attention\"],\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\","
	  "\"rope_theta\":160000.0},\"sliding_attention\":{\"rope_type\":\"default\","
	  "\"rope_theta\":10000.0}}}" },
};

static void mean_the_same(void)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct built old = build(layouts[i].name, "[]", "{}");
		struct built new = build(layouts[i].name, layouts[i].gone, layouts[i].put);

		CU_ASSERT_EQUAL(old.ret, 0);
		if (new.ret || !equal(&old, &new)) {
			printf("\n  %s, %zu: %s", layouts[i].name, i, new.err.message);
			CU_FAIL("the same model");
		}
		CU_ASSERT_EQUAL(new.info.num_warnings, old.info.num_warnings);
		finish(&old);
		finish(&new);
	}
}

/* Keys for one kind of layer are for that kind alone: so each of these is another model. */
static void tell_layers_apart(void)
{
	static const struct {
		const char *name, *put;
	} others[] = {
		{ "gemma3", "{\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1000000.0,"
			    "\"rope_type\":\"linear\",\"factor\":8.0},"
			    "\"sliding_attention\":{\"rope_theta\":9000.0}}}" },
		{ "gemma3", "{\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1000000.0,"
			    "\"rope_type\":\"linear\",\"factor\":8.0},"
			    "\"sliding_attention\":{\"rope_theta\":10000.0,"
			    "\"rope_type\":\"linear\",\"factor\":2.0}}}" },
		{ "modernbert", "{\"layer_types\":[\"full_attention\",\"sliding_attention\","
				"\"full_attention\",\"full_attention\"]}" },
		{ "modernbert", "{\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e5}}}" },
		{ "modernbert",
		  "{\"rope_parameters\":{\"sliding_attention\":{\"rope_theta\":1e5}}}" },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct built old = build(others[i].name, "[]", "{}");
		struct built new = build(others[i].name, "[]", others[i].put);

		CU_ASSERT_EQUAL(new.ret, 0);
		CU_ASSERT(!new.ret && !equal(&old, &new));
		finish(&old);
		finish(&new);
	}
}

static void refuse(void)
{
	static const struct {
		const char *name, *put, *part;
		int code;
	} cases[] = {
		{ "llama-linear", "{\"rope_parameters\":{\"partial_rotary_factor\":0.5}}",
		  "\"rope_parameters.partial_rotary_factor\" is 0.5", -ENOTSUP },
		{ "gemma3",
		  "{\"rope_parameters\":{\"sliding_attention\":{\"partial_rotary_factor\":0.5}}}",
		  "\"rope_parameters.sliding_attention.partial_rotary_factor\" is 0.5", -ENOTSUP },
		{ "gemma3", "{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"nosuch\"}}}",
		  "\"rope_parameters.full_attention.rope_type\" is \"nosuch\"", -ENOTSUP },
		{ "phi", "{\"rope_parameters\":{\"partial_rotary_factor\":\"half\"}}",
		  "\"rope_parameters.partial_rotary_factor\"", -EINVAL },
		{ "phi", "{\"rope_parameters\":[]}", "\"rope_parameters\" is", -EINVAL },
		{ "gpt_oss-mxfp4", "{\"intermediate_size\":48}",
		  "gate_up_proj_blocks\" is [3, 128, 1, 16], config.json makes it [3, 96, 1, 16]",
		  -EINVAL },
		{ "gpt_oss-mxfp4", "{\"quantization_config\":{\"quant_method\":\"gptq\"}}",
		  "\"quantization_config.quant_method\" is \"gptq\"", -ENOTSUP },
		{ "modernbert", "{\"layer_types\":[\"full_attention\"]}", "\"layer_types\"",
		  -EINVAL },
		{ "modernbert", "{\"layer_types\":[\"chunked_attention\"]}",
		  "\"layer_types\" has \"chunked_attention\"", -ENOTSUP },
		{ "modernbert", "{\"rope_scaling\":{\"rope_type\":\"default\"}}",
		  "\"rope_scaling\"", -ENOTSUP },
		{ "modernbert",
		  "{\"rope_parameters\":{\"sliding_attention\":{\"rope_theta\":0.5}}}",
		  "\"rope_parameters.sliding_attention.rope_theta\" is 0.5", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built b = build(cases[i].name, "[]", cases[i].put);

		CU_ASSERT_EQUAL(b.ret, cases[i].code);
		if (!strstr(b.err.message, cases[i].part)) {
			printf("\n  %s: expected %s, got \"%s\"", cases[i].put, cases[i].part,
			       b.err.message);
			CU_FAIL("the message names what is wrong");
		}
		finish(&b);
	}
}

static const struct unit_test tests[] = {
	{ "layouts mean the same", mean_the_same },
	{ "layers are told apart", tell_layers_apart },
	{ "what is not handled is refused", refuse },
};

QEFF_UNIT_MAIN("config_layouts", tests)
