/* SPDX-License-Identifier: MIT */
/* Reads the package's own settings; their bytes are as hostile as the rest of the file. */
#include "text/settings.h"

#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT "generation.json"

static int load(const struct qeff_qpc *qpc, json_t **root, struct qeff_error *err)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, SEGMENT);
	char where[300];

	*root = NULL;
	if (!segment)
		return 0;
	snprintf(where, sizeof(where), "%s: segment \"" SEGMENT "\"", qeff_qpc_path(qpc));
	return qeff_json_load(segment->data, segment->size_bytes, where, root, err);
}

static int read_eos(const json_t *root, const char *where, struct qeff_settings *settings,
		    struct qeff_error *err)
{
	const json_t *ids = json_object_get(root, "eos_token_id"), *id;
	size_t i;
	int ret;

	if (!ids || json_is_null(ids))
		return 0;
	if (!json_is_array(ids) || json_array_size(ids) > QEFF_SETTINGS_MAX_EOS)
		return qeff_error_set(err, -EINVAL,
				      "%s: \"eos_token_id\" is not a list of at most %d ids", where,
				      QEFF_SETTINGS_MAX_EOS);
	json_array_foreach((json_t *)ids, i, id)
	{
		ret = qeff_json_id(id, where, "eos_token_id", &settings->eos_ids[i], err);
		if (ret)
			return ret;
		settings->num_eos = i + 1;
	}
	return 0;
}

static int read_pooling(const json_t *root, const char *where, struct qeff_settings *settings,
			struct qeff_error *err)
{
	static const char *const names[] = { "mean", "cls", "max", "last" };
	const json_t *pooling = json_object_get(root, "pooling");

	if (pooling && !json_is_null(pooling)) {
		const char *name = json_string_value(pooling);
		size_t i = 0;

		while (name && i < 4 && strcmp(name, names[i]))
			i++;
		if (!name || i == 4)
			return qeff_error_set(err, -EINVAL,
					      "%s: \"pooling\" is not mean, cls, max or last",
					      where);
		settings->pooling = (enum qeff_pooling)i;
	}
	return qeff_json_bool(root, where, "normalize", &settings->normalize, err);
}

int qeff_settings_read(const struct qeff_qpc *qpc, struct qeff_settings *settings,
		       struct qeff_error *err)
{
	size_t vocabulary = 0;
	char where[300];
	json_t *root;
	int ret;

	*settings = (struct qeff_settings){ .pooling = QEFF_POOL_MEAN };
	ret = load(qpc, &root, err);
	if (ret || !root)
		return ret;
	snprintf(where, sizeof(where), "%s: segment \"" SEGMENT "\"", qeff_qpc_path(qpc));
	ret = read_eos(root, where, settings, err);
	if (!ret)
		ret = read_pooling(root, where, settings, err);
	if (!ret)
		ret = qeff_json_size(root, where, "vocab_size", UINT32_MAX, &vocabulary, err);
	settings->vocabulary = (uint32_t)vocabulary;
	json_decref(root);
	return ret;
}

static int read_scores(const json_t *root, const char *where, struct qeff_labels *labels,
		       struct qeff_error *err)
{
	static const char *const names[] = { "none", "softmax", "sigmoid" };
	const char *name = json_string_value(json_object_get(root, "scores"));

	for (size_t i = 0; name && i < 3; i++)
		if (!strcmp(name, names[i])) {
			labels->scores = (enum qeff_scores)i;
			return 0;
		}
	return qeff_error_set(err, -EINVAL, "%s: \"scores\" is not none, softmax or sigmoid",
			      where);
}

static int read_names(const json_t *root, const char *where, const char *key,
		      struct qeff_names *names, struct qeff_error *err)
{
	json_t *list = json_object_get(root, key), *name;
	size_t i;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list) || json_array_size(list) > QEFF_SETTINGS_MAX_NAMES)
		return qeff_error_set(err, -EINVAL, "%s: \"%s\" is not a list of at most %u names",
				      where, key, QEFF_SETTINGS_MAX_NAMES);
	names->names = calloc(json_array_size(list) + 1, sizeof(*names->names));
	if (!names->names)
		return qeff_error_set(err, -ENOMEM, "out of memory for names");
	json_array_foreach(list, i, name)
	{
		if (!json_is_string(name))
			return qeff_error_set(err, -EINVAL, "%s: name %zu of \"%s\" is no string",
					      where, i, key);
		names->names[i] = strdup(json_string_value(name));
		if (!names->names[i])
			return qeff_error_set(err, -ENOMEM, "out of memory for names");
		names->count++;
	}
	return 0;
}

void qeff_names_free(struct qeff_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct qeff_names){ 0 };
}

int qeff_settings_adapters(const struct qeff_qpc *qpc, struct qeff_names *adapters,
			   struct qeff_error *err)
{
	char where[300];
	json_t *root;
	int ret;

	*adapters = (struct qeff_names){ 0 };
	ret = load(qpc, &root, err);
	if (ret || !root)
		return ret;
	snprintf(where, sizeof(where), "%s: segment \"" SEGMENT "\"", qeff_qpc_path(qpc));
	ret = read_names(root, where, "adapters", adapters, err);
	json_decref(root);
	return ret;
}

int qeff_settings_labels(const struct qeff_qpc *qpc, struct qeff_labels *labels,
			 struct qeff_error *err)
{
	char where[300];
	json_t *root;
	int ret;

	*labels = (struct qeff_labels){ 0 };
	ret = load(qpc, &root, err);
	if (ret || !root)
		return ret;
	snprintf(where, sizeof(where), "%s: segment \"" SEGMENT "\"", qeff_qpc_path(qpc));
	ret = read_names(root, where, "labels", &labels->names, err);
	if (!ret && labels->names.count)
		ret = read_scores(root, where, labels, err);
	json_decref(root);
	return ret;
}

int qeff_settings_tokenizer(const struct qeff_qpc *qpc, struct qeff_tokenizer **tokenizer,
			    struct qeff_error *err)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, "tokenizer.json");
	const json_t *object;
	char *config = NULL;
	json_t *root;
	int ret;

	*tokenizer = NULL;
	if (!segment)
		return 0;
	ret = load(qpc, &root, err);
	if (ret)
		return ret;
	object = json_object_get(root, "tokenizer_config");
	if (json_is_object(object)) {
		config = json_dumps(object, 0);
		if (!config)
			ret = qeff_error_set(err, -ENOMEM, "no memory for tokenizer settings");
	}
	json_decref(root);
	if (ret)
		return ret;
	ret = qeff_tokenizer_open_memory(segment->data, segment->size_bytes, config,
					 config ? strlen(config) : 0, tokenizer, err);
	free(config);
	return ret ? qeff_error_prefix(err, ret, "%s: segment \"tokenizer.json\"",
				       qeff_qpc_path(qpc))
		   : 0;
}
