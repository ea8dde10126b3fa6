/* SPDX-License-Identifier: MIT */
/*
 * Rewritings of a model as its file has it, before it is imported, under QEfficient's names. Each
 * says how many places it changed; a model that it does not apply to stays as it is. Those of the
 * graph are transforms/transforms.h; SplitTensors and CustomOp become visible in an export.
 */
#ifndef QEFF_ONNX_TRANSFORMS_H
#define QEFF_ONNX_TRANSFORMS_H

#include "onnx/import.h"

#define QEFF_ONNX_MAX_TRANSFORMS 8

/**
 * struct qeff_onnx_transform_options - which of those with a choice are wanted
 * @remove_prefix: inputs and outputs are called by what stands behind the last slash of their names
 * @adapter: the weights of this LoRA adapter become inputs; or NULL
 */
struct qeff_onnx_transform_options {
	bool remove_prefix;
	const char *adapter;
};

struct qeff_onnx_transform {
	const char *name;
	bool (*wanted)(const struct qeff_onnx_transform_options *options);
	/* Wanted, it must find something to change. */
	bool demanded;
	int (*apply)(struct qeff_onnx_model *model,
		     const struct qeff_onnx_transform_options *options, uint32_t *changes,
		     struct qeff_error *err);
};

/* In the order in which they are applied. */
extern const struct qeff_onnx_transform qeff_onnx_transforms[];
extern const size_t qeff_num_onnx_transforms;

/**
 * struct qeff_onnx_transforms_applied - what changed
 * @count: how many transforms changed something
 * @transform: their names, static, and the places that each changed
 */
struct qeff_onnx_transforms_applied {
	size_t count;
	struct {
		const char *name;
		uint32_t changes;
	} transform[QEFF_ONNX_MAX_TRANSFORMS];
};

/* Applies the wanted ones. Fails with -EINVAL where a demanded one finds nothing to change. On
 * failure the model is not to be used further. */
int qeff_onnx_transforms_apply(struct qeff_onnx_model *model,
			       const struct qeff_onnx_transform_options *options,
			       struct qeff_onnx_transforms_applied *applied,
			       struct qeff_error *err);

/* One by one. */

/* "vision/past_key.0" becomes "past_key.0", where no other value is called so. */
int qeff_onnx_remove_prefix(struct qeff_onnx_model *model,
			    const struct qeff_onnx_transform_options *options, uint32_t *changes,
			    struct qeff_error *err);
/* Where decoder layers are functions: what one gives out as *_InternalRetainedState is called
 * past_key.N_RetainedState, past_value.N_RetainedState and so on, N being the layer's number. */
int qeff_onnx_rename_function_outputs(struct qeff_onnx_model *model,
				      const struct qeff_onnx_transform_options *options,
				      uint32_t *changes, struct qeff_error *err);
/* Where decoder layers are functions: outputs of the model, past_key.N_RetainedState, that nothing
 * makes are the caches that layer N's function writes and keeps to itself. */
int qeff_onnx_preserve_nested_cache_retained_state(
	struct qeff_onnx_model *model, const struct qeff_onnx_transform_options *options,
	uint32_t *changes, struct qeff_error *err);
/* Initialisers X.ADAPTER.weight become inputs X.weight, which are outputs X.weight_RetainedState
 * as well. */
int qeff_onnx_adapter_weights_to_inputs(struct qeff_onnx_model *model,
					const struct qeff_onnx_transform_options *options,
					uint32_t *changes, struct qeff_error *err);
/* Initialisers that nothing reads go, among them those of an exporter's dry run that have no
 * numbers; and functions that nothing calls. */
int qeff_onnx_prune(struct qeff_onnx_model *model,
		    const struct qeff_onnx_transform_options *options, uint32_t *changes,
		    struct qeff_error *err);

#endif
