/* SPDX-License-Identifier: MIT */
/* The table of transforms of a model's file, and applying those that are wanted. */
#include "onnx/transforms.h"

#include "onnx/model.h"

static bool always(const struct qeff_onnx_transform_options *options)
{
	return true;
}

static bool wants_remove_prefix(const struct qeff_onnx_transform_options *options)
{
	return options->remove_prefix;
}

static bool wants_adapter(const struct qeff_onnx_transform_options *options)
{
	return options->adapter;
}

const struct qeff_onnx_transform qeff_onnx_transforms[] = {
	{ "RemovePrefix", wants_remove_prefix, false, qeff_onnx_remove_prefix },
	{ "RenameFunctionOutputs", always, false, qeff_onnx_rename_function_outputs },
	{ "PreserveNestedCacheRetainedState", always, false,
	  qeff_onnx_preserve_nested_cache_retained_state },
	{ "AdapterWeightsToInputs", wants_adapter, true, qeff_onnx_adapter_weights_to_inputs },
	{ "Prune", always, false, qeff_onnx_prune },
};

const size_t qeff_num_onnx_transforms =
	sizeof(qeff_onnx_transforms) / sizeof(qeff_onnx_transforms[0]);

_Static_assert(sizeof(qeff_onnx_transforms) / sizeof(qeff_onnx_transforms[0]) <=
		       QEFF_ONNX_MAX_TRANSFORMS,
	       "every transform can be recorded");

int qeff_onnx_transforms_apply(struct qeff_onnx_model *model,
			       const struct qeff_onnx_transform_options *options,
			       struct qeff_onnx_transforms_applied *applied, struct qeff_error *err)
{
	*applied = (struct qeff_onnx_transforms_applied){ 0 };
	for (size_t i = 0; i < qeff_num_onnx_transforms; i++) {
		const struct qeff_onnx_transform *t = &qeff_onnx_transforms[i];
		uint32_t changes = 0;
		int ret = t->wanted(options) ? t->apply(model, options, &changes, err) : 0;

		if (ret)
			return qeff_error_prefix(err, ret, "%s", t->name);
		if (t->wanted(options) && t->demanded && !changes)
			return qeff_error_set(err, -EINVAL, "%s: %s has nothing that it applies to",
					      t->name, model->name);
		if (changes) {
			applied->transform[applied->count].name = t->name;
			applied->transform[applied->count++].changes = changes;
		}
	}
	return 0;
}
