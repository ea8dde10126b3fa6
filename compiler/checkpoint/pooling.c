/* SPDX-License-Identifier: MIT */
/*
 * How sentence-transformers stands around an encoder: modules.json lists modules, each a folder
 * with a config.json. What is not supported is remembered, not refused: whoever asks for a pooling
 * of his own need not care.
 */
#include "checkpoint/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key;
	const char *mode; /* NULL: not supported */
} modes[] = {
	{ "pooling_mode_mean_tokens", "mean" },	       { "pooling_mode_cls_token", "cls" },
	{ "pooling_mode_max_tokens", "max" },	       { "pooling_mode_lasttoken", "last" },
	{ "pooling_mode_mean_sqrt_len_tokens", NULL }, { "pooling_mode_weightedmean_tokens", NULL },
};

static int read_modes(const struct qeff_config *config, struct qeff_checkpoint_pooling *pooling,
		      struct qeff_error *err)
{
	int chosen = -1;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		bool on = false;
		int ret = qeff_config_bool(config, modes[i].key, &on, err);

		if (ret)
			return ret;
		if (!on)
			continue;
		if (chosen >= 0 || !modes[i].mode) {
			pooling->unsupported =
				modes[i].mode ? "it joins several poolings" : modes[i].key;
			return 0;
		}
		chosen = (int)i;
	}
	if (chosen >= 0)
		pooling->mode = modes[chosen].mode;
	else
		pooling->unsupported = "its Pooling module names no pooling";
	return 0;
}

static int read_module(const char *folder, const char *subfolder,
		       struct qeff_checkpoint_pooling *pooling, struct qeff_error *err)
{
	struct qeff_config config = { .path = "" };
	char *path = NULL;
	json_t *json = NULL;
	int ret;

	if (!checkpoint_plain_name(subfolder))
		return qeff_error_set(
			err, -EINVAL,
			"%s/modules.json: \"path\" is \"%.64s\", expected the name of a folder",
			folder, subfolder);
	if (asprintf(&path, "%s/%s/config.json", folder, subfolder) < 0)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", folder);
	ret = checkpoint_read_json(path, 0, &json, err);
	if (!ret) {
		config.file = path;
		config.json = json;
		ret = read_modes(&config, pooling, err);
	}
	json_decref(json);
	free(path);
	return ret;
}

/* The last part of a dotted name: "Pooling" of "sentence_transformers.models.Pooling". */
static const char *last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

static int read_modules(const char *folder, const json_t *list,
			struct qeff_checkpoint_pooling *pooling, struct qeff_error *err)
{
	bool seen = false;
	size_t index;
	json_t *module;
	int ret = 0;

	json_array_foreach(list, index, module)
	{
		const char *type = json_string_value(json_object_get(module, "type"));
		const char *path = json_string_value(json_object_get(module, "path"));

		if (!type || !path)
			return qeff_error_set(
				err, -EINVAL,
				"%s/modules.json: module %zu has no \"type\" or no \"path\"",
				folder, index);
		type = last_part(type);
		if (!strcmp(type, "Pooling") && !seen) {
			seen = true;
			ret = read_module(folder, path, pooling, err);
		} else if (!strcmp(type, "Normalize") && seen) {
			pooling->normalize = true;
		} else if (strcmp(type, "Transformer") || seen) {
			pooling->unsupported =
				"it has modules beyond Transformer, Pooling and Normalize";
		}
		if (ret)
			return ret;
	}
	if (pooling->unsupported)
		pooling->mode = NULL;
	return 0;
}

static int read_max_length(const char *folder, struct qeff_checkpoint_pooling *pooling,
			   struct qeff_error *err)
{
	struct qeff_config config = { .path = "" };
	char *path = checkpoint_join(folder, "sentence_bert_config.json");
	json_t *json = NULL;
	int64_t length = 0;
	int ret;

	if (!path)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", folder);
	ret = checkpoint_read_json(path, CHECKPOINT_OPTIONAL, &json, err);
	config.file = path;
	config.json = json;
	if (!ret)
		ret = qeff_config_int(&config, "max_seq_length", 1, INT32_MAX, &length, err);
	pooling->max_seq_length = (uint32_t)length;
	json_decref(json);
	free(path);
	return ret;
}

int checkpoint_read_pooling(const char *folder, struct qeff_checkpoint_pooling *pooling,
			    struct qeff_error *err)
{
	char *path = checkpoint_join(folder, "modules.json");
	json_t *list = NULL;
	int ret;

	if (!path)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", folder);
	ret = checkpoint_read_json(path, CHECKPOINT_OPTIONAL | CHECKPOINT_LIST, &list, err);
	if (!ret && list)
		ret = read_modules(folder, list, pooling, err);
	json_decref(list);
	free(path);
	return ret ? ret : read_max_length(folder, pooling, err);
}
