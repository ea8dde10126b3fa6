/* SPDX-License-Identifier: MIT */
/* Reading a LoRA adapter; everything that the rest relies on is checked here. */
#include "checkpoint/adapter.h"

#include "checkpoint/internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG	 "adapter_config.json"
#define WEIGHTS	 "adapter_model.safetensors"
#define PREFIX	 "base_model.model."
#define MAX_RANK 65536

struct qeff_adapter {
	char *config_path;
	json_t *config;
	struct safetensors file;
	bool has_file;
	struct qeff_adapter_pair *pairs;
	size_t num_pairs;
};

static bool is_float(const struct qeff_checkpoint_tensor *t)
{
	return t->type == QEFF_GRAPH_F32 || t->type == QEFF_GRAPH_F16 || t->type == QEFF_GRAPH_BF16;
}

static bool asks_for_something(const json_t *value)
{
	return value && !json_is_null(value) && !json_is_false(value) &&
	       !(json_is_array(value) && !json_array_size(value)) &&
	       !(json_is_object(value) && !json_object_size(value));
}

static int check_config(const struct qeff_adapter *a, double *alpha, bool *root,
			struct qeff_error *err)
{
	static const char *const unsupported[] = {
		"use_dora",	   "modules_to_save",	      "rank_pattern",
		"alpha_pattern",   "fan_in_fan_out",	      "lora_bias",
		"use_qalora",	   "trainable_token_indices", "layer_replication",
		"megatron_config", "target_parameters",
	};
	const struct qeff_config config = { a->config_path, "", a->config };
	const char *kind = "", *bias = "none";
	int rc = qeff_config_string(&config, "peft_type", &kind, err);

	if (!rc)
		rc = qeff_config_string(&config, "bias", &bias, err);
	if (!rc)
		rc = qeff_config_require(&config, "lora_alpha", err);
	if (!rc)
		rc = qeff_config_float(&config, "lora_alpha", -1e6, 1e6, alpha, err);
	*root = false;
	if (!rc)
		rc = qeff_config_bool(&config, "use_rslora", root, err);
	if (!rc && strcmp(kind, "LORA"))
		rc = qeff_error_set(err, -ENOTSUP,
				    "%s: \"peft_type\" is \"%.64s\", expected \"LORA\"",
				    a->config_path, kind);
	if (!rc && strcmp(bias, "none"))
		rc = qeff_error_set(err, -ENOTSUP, "%s: \"bias\" is \"%.64s\", expected \"none\"",
				    a->config_path, bias);
	for (size_t i = 0; !rc && i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
		if (asks_for_something(json_object_get(a->config, unsupported[i])))
			rc = qeff_error_set(err, -ENOTSUP, "%s: \"%s\" is not supported",
					    a->config_path, unsupported[i]);
	return rc;
}

static const struct qeff_checkpoint_tensor *find(const struct qeff_adapter *a, const char *name)
{
	for (size_t i = 0; i < a->file.num_tensors; i++)
		if (!strcmp(a->file.tensors[i].name, name))
			return &a->file.tensors[i];
	return NULL;
}

/* The tensor PREFIX MODULE @end and its partner become a pair; the partner alone is nothing. */
static int add_pair(struct qeff_adapter *adapter, const struct qeff_checkpoint_tensor *a,
		    const char *end, const char *partner_end, double alpha, bool root,
		    struct qeff_error *err)
{
	size_t length = strlen(a->name) - strlen(PREFIX) - strlen(end);
	struct qeff_adapter_pair pair = { .a = a };
	char *partner = NULL;
	double rank;

	pair.module = strndup(a->name + strlen(PREFIX), length);
	if (!pair.module || asprintf(&partner, PREFIX "%s%s", pair.module, partner_end) < 0) {
		free(pair.module);
		return qeff_error_set(err, -ENOMEM, "out of memory while reading an adapter");
	}
	pair.b = find(adapter, partner);
	free(partner);
	if (!pair.b || a->rank != 2 || pair.b->rank != 2 || a->dims[0] < 1 ||
	    a->dims[0] > MAX_RANK || pair.b->dims[1] != a->dims[0] || !is_float(a) ||
	    !is_float(pair.b)) {
		int rc = qeff_error_set(err, -EINVAL,
					"%s: \"%s\" has no partner that it can be multiplied with",
					adapter->file.map.path, a->name);

		free(pair.module);
		return rc;
	}
	rank = (double)a->dims[0];
	pair.scale = (float)(alpha / (root ? sqrt(rank) : rank));
	adapter->pairs[adapter->num_pairs++] = pair;
	return 0;
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), tail = strlen(end);

	return length > tail + strlen(PREFIX) && !strcmp(name + length - tail, end) &&
	       !strncmp(name, PREFIX, strlen(PREFIX));
}

static int make_pairs(struct qeff_adapter *adapter, double alpha, bool root, struct qeff_error *err)
{
	static const char *const ends[][2] = {
		{ ".lora_A.weight", ".lora_B.weight" },
		{ ".lora_A.default.weight", ".lora_B.default.weight" },
	};
	int rc = 0;

	adapter->pairs = calloc(adapter->file.num_tensors + 1, sizeof(*adapter->pairs));
	if (!adapter->pairs)
		return qeff_error_set(err, -ENOMEM, "out of memory while reading an adapter");
	for (size_t i = 0; !rc && i < adapter->file.num_tensors; i++) {
		const struct qeff_checkpoint_tensor *t = &adapter->file.tensors[i];
		bool known = false;

		for (int e = 0; !rc && e < 2; e++) {
			known |= ends_with(t->name, ends[e][1]);
			if (!ends_with(t->name, ends[e][0]))
				continue;
			known = true;
			rc = add_pair(adapter, t, ends[e][0], ends[e][1], alpha, root, err);
		}
		if (!rc && !known)
			rc = qeff_error_set(err, -ENOTSUP,
					    "%s: tensor \"%.128s\" is no lora_A or lora_B of a "
					    "module",
					    adapter->file.map.path, t->name);
	}
	/* every B was some A's partner */
	if (!rc && (!adapter->num_pairs || 2 * adapter->num_pairs != adapter->file.num_tensors))
		rc = qeff_error_set(err, -EINVAL, "%s: %zu tensors make %zu pairs",
				    adapter->file.map.path, adapter->file.num_tensors,
				    adapter->num_pairs);
	return rc;
}

int qeff_adapter_open(const char *path, struct qeff_adapter **adapter, struct qeff_error *err)
{
	struct qeff_adapter *a = calloc(1, sizeof(*a));
	char *weights = checkpoint_join(path, WEIGHTS);
	double alpha = 0;
	bool root = false;
	int rc;

	*adapter = NULL;
	if (a)
		a->config_path = checkpoint_join(path, CONFIG);
	if (!a || !weights || !a->config_path)
		rc = qeff_error_set(err, -ENOMEM, "out of memory while reading an adapter");
	else
		rc = checkpoint_read_json(a->config_path, 0, &a->config, err);
	if (!rc)
		rc = check_config(a, &alpha, &root, err);
	if (!rc)
		rc = safetensors_open(&a->file, weights, err);
	if (!rc) {
		a->has_file = true;
		rc = make_pairs(a, alpha, root, err);
	}
	free(weights);
	if (rc)
		qeff_adapter_close(a);
	else
		*adapter = a;
	return rc;
}

void qeff_adapter_close(struct qeff_adapter *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->num_pairs; i++)
		free(a->pairs[i].module);
	free(a->pairs);
	if (a->has_file)
		safetensors_close(&a->file);
	json_decref(a->config);
	free(a->config_path);
	free(a);
}

const struct qeff_adapter_pair *qeff_adapter_pairs(const struct qeff_adapter *a, size_t *count)
{
	*count = a->num_pairs;
	return a->pairs;
}
