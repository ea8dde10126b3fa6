/* SPDX-License-Identifier: MIT */
/* From a checkpoint to the graph of its model, before any transform. */
#ifndef QEFF_MODELS_MODELS_H
#define QEFF_MODELS_MODELS_H

#include "checkpoint/checkpoint.h"
#include "graph/graph.h"

#define QEFF_MODEL_MAX_EOS 16

enum qeff_model_task {
	QEFF_MODEL_CAUSAL_LM,  /* logits [B,S,V] */
	QEFF_MODEL_ENCODER,    /* last_hidden_state [B,S,W] */
	QEFF_MODEL_CLASSIFIER, /* logits [B,labels] */
};

/**
 * struct qeff_model_options - what the checkpoint does not say
 * @positions: rows of the rotary tables, the context length of a decoder; 0: what the config allows
 */
struct qeff_model_options {
	uint32_t positions;
};

/**
 * struct qeff_model_info - what was built
 * @architecture: the table's name for it: "LlamaForCausalLM"
 * @task: what it computes
 * @layers, @hidden, @heads, @kv_heads, @head_dim, @intermediate, @vocab: its shape
 * @positions: positions it can see: rows of the rotary tables, or of the position embeddings
 * @max_positions: positions it was trained for
 * @parameters: elements of the tensors it uses, a tied one counted once
 * @weight_bytes: their bytes in the checkpoint
 * @bos_token_id, @pad_token_id: -1 where the checkpoint names none
 * @eos_token_ids, @num_eos: of generation_config.json, else of config.json
 * @labels: of a classifier: its classes, named by "id2label"
 * @scores: what makes scores of its logits: "softmax", "sigmoid" or "none"; static
 * @uses_token_types: the graph has an input "token_type_ids"
 * @num_warnings, @warnings: sentences for the user: tensors that nothing reads, and the like
 */
struct qeff_model_info {
	const char *architecture;
	enum qeff_model_task task;
	uint32_t layers, hidden, heads, kv_heads, head_dim, intermediate, vocab;
	uint32_t positions, max_positions;
	uint64_t parameters, weight_bytes;
	int64_t bos_token_id, pad_token_id;
	int64_t eos_token_ids[QEFF_MODEL_MAX_EOS];
	size_t num_eos;
	uint32_t labels;
	const char *scores;
	bool uses_token_types;
	size_t num_warnings;
	char **warnings;
};

/**
 * qeff_model_build - build the graph of a checkpoint's model
 * @checkpoint: must outlive the graph, whose initialisers stay in it
 * @options: may be NULL
 * @graph: the result; freed with qeff_graph_free()
 * @info: filled; emptied with qeff_model_info_clear()
 * @err: one sentence that names file and key, or tensor
 *
 * docs/design/graph.md says how a model stands in the graph.
 *
 * Return: 0, -ENOTSUP (an architecture, or a config key that changes the computation, is not
 * handled), -EINVAL (the checkpoint contradicts itself), -ENOMEM.
 */
int qeff_model_build(const struct qeff_checkpoint *checkpoint,
		     const struct qeff_model_options *options, struct qeff_graph **graph,
		     struct qeff_model_info *info, struct qeff_error *err);
void qeff_model_info_clear(struct qeff_model_info *info);

/* "text-generation", "feature-extraction" or "text-classification". */
const char *qeff_model_task_name(enum qeff_model_task task);

/* The table of architectures, for --list-architectures: name of row @index, or NULL past the end;
 * @model_type and @task may be NULL. */
const char *qeff_model_architecture(size_t index, const char **model_type,
				    enum qeff_model_task *task);

#endif
