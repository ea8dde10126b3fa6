/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef QEFF_CHECKPOINT_INTERNAL_H
#define QEFF_CHECKPOINT_INTERNAL_H

#include "checkpoint/checkpoint.h"
#include "util/file.h"

enum {
	CHECKPOINT_OPTIONAL = 1, /* the file may be missing: @json is NULL then */
	CHECKPOINT_LIST = 2,	 /* its top is a list, else an object */
};

/* Reads a JSON file. The caller decrefs @json. */
int checkpoint_read_json(const char *path, unsigned int flags, struct json_t **json,
			 struct qeff_error *err);

/* A name of a file in the model's own folder: no path, nothing hidden. */
bool checkpoint_plain_name(const char *name);

/* "folder/name" in new memory, or NULL. */
char *checkpoint_join(const char *folder, const char *name);

/**
 * struct safetensors - one mapped file and its tensors
 * @tensors: in file order; names and copies live as long as this struct
 * @header: the parsed header, which owns the names
 * @copies: tensors that stand unaligned in the file, in memory of our own
 */
struct safetensors {
	struct qeff_map map;
	struct qeff_checkpoint_tensor *tensors;
	size_t num_tensors;
	struct json_t *header;
	void **copies;
	size_t num_copies;
};

int safetensors_open(struct safetensors *file, const char *path, struct qeff_error *err);
void safetensors_close(struct safetensors *file);

/* modules.json, its Pooling module's config.json, sentence_bert_config.json. */
int checkpoint_read_pooling(const char *folder, struct qeff_checkpoint_pooling *pooling,
			    struct qeff_error *err);

#endif
