/* SPDX-License-Identifier: MIT */
/* The table of transforms, and applying those that are wanted. */
#include "transforms/transforms.h"

static bool always(const struct qeff_transform_options *options)
{
	return true;
}

static bool wants_lora(const struct qeff_transform_options *options)
{
	return options->num_adapter_pairs;
}

static bool wants_target_modules(const struct qeff_transform_options *options)
{
	return options->num_loras;
}

static bool wants_attention(const struct qeff_transform_options *options)
{
	return options->foreign;
}

static bool wants_replicate_kv_head(const struct qeff_transform_options *options)
{
	return options->num_replicate_kv_heads > 1;
}

static bool wants_kv_concat(const struct qeff_transform_options *options)
{
	return options->foreign && options->kv_cache;
}

static bool wants_kv_cache(const struct qeff_transform_options *options)
{
	return options->kv_cache && !options->foreign;
}

static bool wants_spd(const struct qeff_transform_options *options)
{
	return options->spd;
}

static bool wants_sampler(const struct qeff_transform_options *options)
{
	return options->sampler;
}

static bool wants_pooling(const struct qeff_transform_options *options)
{
	return options->pooling;
}

static bool wants_fp32_nodes(const struct qeff_transform_options *options)
{
	return options->num_fp32_nodes;
}

static bool wants_custom_io(const struct qeff_transform_options *options)
{
	return options->num_custom_io || options->mxint8_kv_cache;
}

static bool wants_fp16(const struct qeff_transform_options *options)
{
	return options->fp16;
}

static bool wants_data_files(const struct qeff_transform_options *options)
{
	return options->data_files;
}

const struct qeff_transform qeff_transforms[] = {
	{ "LoRA", wants_lora, true, qeff_transform_lora },
	{ "TargetModules", wants_target_modules, true, qeff_transform_target_modules },
	{ "CustomOps", always, false, qeff_transform_custom_ops },
	{ "Attention", wants_attention, false, qeff_transform_attention },
	{ "KVConcat", wants_kv_concat, true, qeff_transform_kv_concat },
	{ "RotaryEmbedding", wants_attention, false, qeff_transform_rotary_embedding },
	{ "TextClassification", always, false, qeff_transform_text_classification },
	{ "FoldConstants", always, false, qeff_transform_fold_constants },
	{ "ReplicateKVHead", wants_replicate_kv_head, true, qeff_transform_replicate_kv_head },
	{ "KVCache", wants_kv_cache, true, qeff_transform_kv_cache },
	{ "SpD", wants_spd, true, qeff_transform_spd },
	{ "Sampler", wants_sampler, true, qeff_transform_sampler },
	{ "Pooling", wants_pooling, true, qeff_transform_pooling },
	{ "CustomIO", wants_custom_io, false, qeff_transform_custom_io },
	{ "FP32Nodes", wants_fp32_nodes, true, qeff_transform_fp32_nodes },
	{ "FP16Clip", wants_fp16, false, qeff_transform_fp16_clip },
	{ "SplitTensors", wants_data_files, false, qeff_transform_split_tensors },
};

const size_t qeff_num_transforms = sizeof(qeff_transforms) / sizeof(qeff_transforms[0]);

_Static_assert(sizeof(qeff_transforms) / sizeof(qeff_transforms[0]) <= QEFF_MAX_TRANSFORMS,
	       "every transform can be recorded");

int qeff_transforms_apply(struct qeff_graph *graph, const struct qeff_transform_options *options,
			  struct qeff_transforms_applied *applied, struct qeff_error *err)
{
	*applied = (struct qeff_transforms_applied){ 0 };
	for (size_t i = 0; i < qeff_num_transforms; i++) {
		const struct qeff_transform *t = &qeff_transforms[i];
		uint32_t changes = 0;
		int ret;

		if (!t->wanted(options))
			continue;
		ret = t->apply(graph, options, &changes, err);
		if (ret)
			return qeff_error_prefix(err, ret, "%s", t->name);
		if (!changes && t->demanded)
			return qeff_error_set(err, -EINVAL,
					      "%s: graph \"%s\" has nothing that it applies to",
					      t->name, graph->name);
		if (changes) {
			applied->transform[applied->count].name = t->name;
			applied->transform[applied->count++].changes = changes;
			ret = options->watch
				      ? options->watch(options->watch_user, t->name, graph, err)
				      : 0;
			if (ret)
				return ret;
		}
	}
	return 0;
}
