/* SPDX-License-Identifier: MIT */
/*
 * A model folder in Hugging Face layout: its tensors, mapped and validated, and its configuration
 * files.
 *
 * A checkpoint is immutable once open: any thread may read it. What these functions give out lives
 * until qeff_checkpoint_close().
 */
#ifndef QEFF_CHECKPOINT_CHECKPOINT_H
#define QEFF_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/config.h"
#include "graph/graph.h"

struct qeff_checkpoint;

/**
 * struct qeff_checkpoint_tensor - one tensor
 * @name: unique in the checkpoint
 * @dtype: the element type as the file names it: "F16"
 * @type: the graph's name for it, or 0 where the graph has none ("F8_E4M3")
 * @rank: number of dimensions, at most QEFF_GRAPH_MAX_RANK
 * @dims: dimensions, outermost first, none negative
 * @data: row-major, little-endian, aligned to the element size
 * @size_bytes: product of the dimensions times the element size
 */
struct qeff_checkpoint_tensor {
	const char *name;
	const char *dtype;
	enum qeff_graph_type type;
	uint32_t rank;
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	const void *data;
	uint64_t size_bytes;
};

/**
 * qeff_checkpoint_open - open a model folder
 * @path: the folder; it holds config.json and either model.safetensors or
 *	  model.safetensors.index.json with its shards
 * @checkpoint: the result; closed with qeff_checkpoint_close()
 * @err: one sentence that names the file and the place
 *
 * Headers are read and checked here, tensors stay in the mapped files.
 *
 * Return: 0, -ENOENT (a file is missing), -EINVAL (a file is malformed), another error of the
 *system.
 */
int qeff_checkpoint_open(const char *path, struct qeff_checkpoint **checkpoint,
			 struct qeff_error *err);
/* Accepts NULL. */
void qeff_checkpoint_close(struct qeff_checkpoint *checkpoint);

const char *qeff_checkpoint_path(const struct qeff_checkpoint *checkpoint);

/* All tensors, sorted by name. */
const struct qeff_checkpoint_tensor *
qeff_checkpoint_tensors(const struct qeff_checkpoint *checkpoint, size_t *count);
/* NULL if there is none of this name. */
const struct qeff_checkpoint_tensor *qeff_checkpoint_find(const struct qeff_checkpoint *checkpoint,
							  const char *name);

/* config.json; the others are empty where the folder has no such file. */
const struct qeff_config *qeff_checkpoint_config(const struct qeff_checkpoint *checkpoint);
/* generation_config.json */
const struct qeff_config *qeff_checkpoint_generation(const struct qeff_checkpoint *checkpoint);
/* tokenizer_config.json */
const struct qeff_config *qeff_checkpoint_tokenizer(const struct qeff_checkpoint *checkpoint);

/**
 * struct qeff_checkpoint_pooling - how sentence-transformers would pool this encoder
 * @mode: "mean", "cls", "max", "last" (the modes of qeff.Pool), or NULL: the folder says nothing,
 *or something that is not supported
 * @normalize: a Normalize module follows
 * @unsupported: why @mode is NULL although the folder describes a pooling; NULL otherwise
 * @max_seq_length: of sentence_bert_config.json, 0 if it is not given
 */
struct qeff_checkpoint_pooling {
	const char *mode;
	bool normalize;
	const char *unsupported;
	uint32_t max_seq_length;
};

const struct qeff_checkpoint_pooling *
qeff_checkpoint_pooling(const struct qeff_checkpoint *checkpoint);

#endif
