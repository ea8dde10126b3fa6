/* SPDX-License-Identifier: MIT */
/* Reads the package's own settings; their bytes are as hostile as the rest of the file. */
#include "text/settings.h"

#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_JSON_BYTES ((size_t)256 << 20)
#define SEGMENT	       "generation.json"

static int load(const struct qeff_qpc *qpc, json_t **root, struct qeff_error *err)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, SEGMENT);
	json_error_t json_err;

	*root = NULL;
	if (!segment)
		return 0;
	if (segment->size_bytes > MAX_JSON_BYTES)
		return qeff_error_set(err, -EINVAL,
				      "%s: segment \"" SEGMENT
				      "\" has %llu bytes, at most %zu expected",
				      qeff_qpc_path(qpc), (unsigned long long)segment->size_bytes,
				      MAX_JSON_BYTES);
	*root = json_loadb(segment->data, segment->size_bytes, JSON_REJECT_DUPLICATES, &json_err);
	if (!*root)
		return qeff_error_set(err, -EINVAL, "%s: segment \"" SEGMENT "\", line %d: %s",
				      qeff_qpc_path(qpc), json_err.line, json_err.text);
	if (!json_is_object(*root)) {
		json_decref(*root);
		return qeff_error_set(err, -EINVAL,
				      "%s: segment \"" SEGMENT "\" is not a JSON object",
				      qeff_qpc_path(qpc));
	}
	return 0;
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

int qeff_settings_tokenizer(const struct qeff_qpc *qpc, struct qeff_tokenizer **tokenizer,
			    struct qeff_error *err)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, "tokenizer.json");
	char *config = NULL;
	json_t *root;
	int ret;

	*tokenizer = NULL;
	if (!segment)
		return 0;
	ret = load(qpc, &root, err);
	if (ret)
		return ret;
	if (root && json_object_get(root, "tokenizer_config"))
		config = json_dumps(json_object_get(root, "tokenizer_config"), JSON_ENCODE_ANY);
	json_decref(root);
	ret = qeff_tokenizer_open_memory(segment->data, segment->size_bytes, config,
					 config ? strlen(config) : 0, tokenizer, err);
	free(config);
	return ret ? qeff_error_prefix(err, ret, "%s: segment \"tokenizer.json\"",
				       qeff_qpc_path(qpc))
		   : 0;
}
