/* SPDX-License-Identifier: MIT */
/* The model folder: which files make it up, and all tensors of all shards under one sorted index.
 */
#include "checkpoint/internal.h"

#include "util/log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INDEX_NAME "model.safetensors.index.json"
#define MAX_SHARDS 4096

enum { CONFIG, GENERATION, TOKENIZER, CONFIGS };

static const char *const config_names[CONFIGS] = { "config.json", "generation_config.json",
						   "tokenizer_config.json" };

struct shard {
	char *name;
	struct safetensors file;
};

struct qeff_checkpoint {
	char *path;
	struct qeff_config configs[CONFIGS];
	char *config_paths[CONFIGS];
	json_t *config_json[CONFIGS];
	struct qeff_checkpoint_pooling pooling;
	struct shard *shards;
	size_t num_shards;
	struct qeff_checkpoint_tensor *tensors; /* sorted by name */
	size_t num_tensors;
};

static int out_of_memory(const struct qeff_checkpoint *cp, struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "%s: out of memory", cp->path ?: "checkpoint");
}

static int by_name(const void *a, const void *b)
{
	const struct qeff_checkpoint_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int open_configs(struct qeff_checkpoint *cp, struct qeff_error *err)
{
	for (int i = 0; i < CONFIGS; i++) {
		int ret;

		cp->config_paths[i] = checkpoint_join(cp->path, config_names[i]);
		if (!cp->config_paths[i])
			return out_of_memory(cp, err);
		ret = checkpoint_read_json(cp->config_paths[i],
					   i == CONFIG ? 0 : CHECKPOINT_OPTIONAL,
					   &cp->config_json[i], err);
		if (ret)
			return ret;
		cp->configs[i] = (struct qeff_config){ .file = cp->config_paths[i],
						       .path = "",
						       .json = cp->config_json[i] };
	}
	return 0;
}

/* The shard @name, opened if it is new. */
static int open_shard(struct qeff_checkpoint *cp, const char *name, struct shard **shard,
		      struct qeff_error *err)
{
	struct shard *shards;
	char *path;
	int ret;

	for (size_t i = cp->num_shards; i-- > 0;) {
		*shard = &cp->shards[i];
		if (!strcmp(cp->shards[i].name, name))
			return 0;
	}
	if (cp->num_shards == MAX_SHARDS)
		return qeff_error_set(err, -EINVAL, "%s/" INDEX_NAME ": names more than %d files",
				      cp->path, MAX_SHARDS);
	shards = reallocarray(cp->shards, cp->num_shards + 1, sizeof(*shards));
	if (!shards)
		return out_of_memory(cp, err);
	cp->shards = shards;
	*shard = &shards[cp->num_shards];
	**shard = (struct shard){ .name = strdup(name) };
	path = checkpoint_join(cp->path, name);
	ret = (*shard)->name && path ? safetensors_open(&(*shard)->file, path, err)
				     : out_of_memory(cp, err);
	free(path);
	if (ret) {
		free((*shard)->name);
		return ret;
	}
	qsort((*shard)->file.tensors, (*shard)->file.num_tensors,
	      sizeof(struct qeff_checkpoint_tensor), by_name);
	cp->num_shards++;
	return 0;
}

static const struct qeff_checkpoint_tensor *find(const struct qeff_checkpoint_tensor *tensors,
						 size_t count, const char *name)
{
	const struct qeff_checkpoint_tensor key = { .name = name };

	return count ? bsearch(&key, tensors, count, sizeof(key), by_name) : NULL;
}

/* The index says for each tensor which file has it; what it does not name is not part of the model.
 */
static int open_indexed(struct qeff_checkpoint *cp, const json_t *map, struct qeff_error *err)
{
	size_t in_shards = 0;
	const char *name;
	json_t *file;

	if (!json_is_object(map))
		return qeff_error_set(err, -EINVAL,
				      "%s/" INDEX_NAME ": \"weight_map\" is no object", cp->path);
	cp->tensors = calloc(json_object_size(map) + 1, sizeof(*cp->tensors));
	if (!cp->tensors)
		return out_of_memory(cp, err);
	json_object_foreach((json_t *)map, name, file)
	{
		const struct qeff_checkpoint_tensor *tensor;
		struct shard *shard = NULL;
		int ret;

		if (!json_is_string(file) || !checkpoint_plain_name(json_string_value(file)))
			return qeff_error_set(err, -EINVAL,
					      "%s/" INDEX_NAME
					      ": tensor \"%.200s\": expected the plain "
					      "name of a file in this folder",
					      cp->path, name);
		ret = open_shard(cp, json_string_value(file), &shard, err);
		if (ret)
			return ret;
		tensor = find(shard->file.tensors, shard->file.num_tensors, name);
		if (!tensor)
			return qeff_error_set(err, -EINVAL,
					      "%s/%s: has no tensor \"%.200s\", which " INDEX_NAME
					      " places there",
					      cp->path, shard->name, name);
		cp->tensors[cp->num_tensors++] = *tensor;
	}
	for (size_t i = 0; i < cp->num_shards; i++)
		in_shards += cp->shards[i].file.num_tensors;
	if (in_shards != cp->num_tensors)
		qeff_log(QEFF_LOG_WARN, "%s: its files hold %zu tensors, " INDEX_NAME " names %zu",
			 cp->path, in_shards, cp->num_tensors);
	return 0;
}

static int open_single(struct qeff_checkpoint *cp, struct qeff_error *err)
{
	struct shard *shard = NULL;
	int ret = open_shard(cp, "model.safetensors", &shard, err);

	if (ret)
		return ret;
	cp->tensors = calloc(shard->file.num_tensors + 1, sizeof(*cp->tensors));
	if (!cp->tensors)
		return out_of_memory(cp, err);
	cp->num_tensors = shard->file.num_tensors;
	if (cp->num_tensors)
		memcpy(cp->tensors, shard->file.tensors, cp->num_tensors * sizeof(*cp->tensors));
	return 0;
}

static int open_tensors(struct qeff_checkpoint *cp, struct qeff_error *err)
{
	char *single = checkpoint_join(cp->path, "model.safetensors");
	char *index = checkpoint_join(cp->path, INDEX_NAME);
	json_t *json = NULL;
	int ret;

	if (!single || !index) {
		ret = out_of_memory(cp, err);
	} else if (!access(single, F_OK)) {
		ret = open_single(cp, err);
	} else if (!access(index, F_OK)) {
		ret = checkpoint_read_json(index, 0, &json, err);
		if (!ret)
			ret = open_indexed(cp, json_object_get(json, "weight_map"), err);
	} else {
		ret = qeff_error_set(err, -ENOENT,
				     "%s: has neither model.safetensors nor " INDEX_NAME
				     " (weights in another form must be converted first)",
				     cp->path);
	}
	json_decref(json);
	free(single);
	free(index);
	if (!ret && cp->num_tensors)
		qsort(cp->tensors, cp->num_tensors, sizeof(*cp->tensors), by_name);
	return ret;
}

int qeff_checkpoint_open(const char *path, struct qeff_checkpoint **checkpoint,
			 struct qeff_error *err)
{
	struct qeff_checkpoint *cp = calloc(1, sizeof(*cp));
	int ret;

	*checkpoint = NULL;
	if (!cp)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	cp->path = strdup(path);
	ret = cp->path ? open_configs(cp, err) : out_of_memory(cp, err);
	if (!ret)
		ret = checkpoint_read_pooling(cp->path, &cp->pooling, err);
	if (!ret)
		ret = open_tensors(cp, err);
	if (ret) {
		qeff_checkpoint_close(cp);
		return ret;
	}
	*checkpoint = cp;
	return 0;
}

void qeff_checkpoint_close(struct qeff_checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	for (size_t i = 0; i < checkpoint->num_shards; i++) {
		safetensors_close(&checkpoint->shards[i].file);
		free(checkpoint->shards[i].name);
	}
	for (int i = 0; i < CONFIGS; i++) {
		json_decref(checkpoint->config_json[i]);
		free(checkpoint->config_paths[i]);
	}
	free(checkpoint->shards);
	free(checkpoint->tensors);
	free(checkpoint->path);
	free(checkpoint);
}

const char *qeff_checkpoint_path(const struct qeff_checkpoint *checkpoint)
{
	return checkpoint->path;
}

const struct qeff_checkpoint_tensor *
qeff_checkpoint_tensors(const struct qeff_checkpoint *checkpoint, size_t *count)
{
	*count = checkpoint->num_tensors;
	return checkpoint->tensors;
}

const struct qeff_checkpoint_tensor *qeff_checkpoint_find(const struct qeff_checkpoint *checkpoint,
							  const char *name)
{
	return find(checkpoint->tensors, checkpoint->num_tensors, name);
}

const struct qeff_config *qeff_checkpoint_config(const struct qeff_checkpoint *checkpoint)
{
	return &checkpoint->configs[CONFIG];
}

const struct qeff_config *qeff_checkpoint_generation(const struct qeff_checkpoint *checkpoint)
{
	return &checkpoint->configs[GENERATION];
}

const struct qeff_config *qeff_checkpoint_tokenizer(const struct qeff_checkpoint *checkpoint)
{
	return &checkpoint->configs[TOKENIZER];
}

const struct qeff_checkpoint_pooling *
qeff_checkpoint_pooling(const struct qeff_checkpoint *checkpoint)
{
	return &checkpoint->pooling;
}
