/* SPDX-License-Identifier: MIT */
/*
 * The compiler between checkpoint and package. The input is a list of choices: a model of the
 * folder $QEFF_FUZZ_MODEL, options, adapters, which transforms in which order, specialisations, how
 * it is lowered, what it is run with. No file is written, the checkpoints are opened once.
 */
#include "choices.h"
#include "fuzz.h"

#include "models/models.h"
#include "transforms/transforms.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODELS 128
#define MAX_PAIRS  3
#define MAX_STEPS  8
#define MAX_SPECS  3

struct model {
	uint32_t hash;
	struct qeff_checkpoint *checkpoint;
};

static struct model models[MAX_MODELS];
static uint32_t num_models;

/* FNV-1a of the name, so that an input means the same model when others join it. */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return (hash ^ hash >> 16) & 0xffff;
}

static void open_models(void)
{
	const char *from = getenv("QEFF_FUZZ_MODEL");
	DIR *dir = from ? opendir(from) : NULL;
	struct qeff_error err = { 0 };
	struct dirent *entry;
	char path[512];

	fuzz_require(dir, "QEFF_FUZZ_MODEL: no folder %s", from ? from : "given");
	while ((entry = readdir(dir))) {
		struct model *model = &models[num_models];

		if (entry->d_name[0] == '.')
			continue;
		fuzz_require(num_models++ < MAX_MODELS, "more than %d models", MAX_MODELS);
		snprintf(path, sizeof(path), "%s/%s", from, entry->d_name);
		model->hash = hash_name(entry->d_name);
		fuzz_require(!qeff_checkpoint_open(path, &model->checkpoint, &err), "%s",
			     err.message);
	}
	closedir(dir);
	fuzz_require(num_models, "no model in %s", from);
}

/* The one whose hash is nearest. */
static const struct qeff_checkpoint *choose_model(struct fuzz_choices *choices)
{
	uint32_t wanted = fuzz_choose(choices, 256) << 8 | fuzz_choose(choices, 256);
	const struct model *best = &models[0];

	for (uint32_t i = 1; i < num_models; i++)
		if ((models[i].hash ^ wanted) < (best->hash ^ wanted))
			best = &models[i];
	return best->checkpoint;
}

/* ---- what a transform may be given ---- */

struct pair {
	struct qeff_checkpoint_tensor a, b;
	char module[256];
};

struct wishes {
	struct qeff_transform_options options;
	struct qeff_adapter_pair pairs[MAX_PAIRS];
	struct pair memory[MAX_PAIRS];
	void *data;
	const char *globs[2];
	struct qeff_custom_io io[3];
};

static const struct qeff_value *choose_value(struct fuzz_choices *choices,
					     const struct qeff_graph *graph)
{
	uint32_t index = fuzz_choose(choices, 256) << 8 | fuzz_choose(choices, 256);

	return graph->values[index % graph->num_values];
}

/* As the reader of adapters lets them pass: floats, [rank, any] and [any, rank]. */
static void choose_adapter(struct fuzz_choices *choices, const struct qeff_graph *graph,
			   struct wishes *w, uint32_t index)
{
	static const enum qeff_graph_type types[] = { QEFF_GRAPH_F32, QEFF_GRAPH_F16,
						      QEFF_GRAPH_BF16 };
	const struct qeff_value *weight = choose_value(choices, graph);
	struct pair *pair = &w->memory[index];
	int64_t rank = 1 + fuzz_choose(choices, 4), out = 1, in = 1;
	uint32_t off = fuzz_choose(choices, 8);
	size_t length;

	/* the next one that could be it, mostly */
	for (uint32_t i = 0; i < graph->num_values && fuzz_choose(choices, 16) < 15; i++) {
		weight = graph->values[(weight->index + 1) % graph->num_values];
		if (weight->is_initialiser && weight->shape.rank == 2)
			break;
	}
	if (weight->shape.rank == 2 && weight->shape.dims[0].size > 0 &&
	    weight->shape.dims[1].size > 0) {
		out = weight->shape.dims[0].size + (off == 1);
		in = weight->shape.dims[1].size + (off == 2);
	}
	pair->a = (struct qeff_checkpoint_tensor){ .name = "a",
						   .type = types[fuzz_choose(choices, 3)],
						   .rank = 2,
						   .dims = { rank, in },
						   .data = w->data };
	pair->b = (struct qeff_checkpoint_tensor){ .name = "b",
						   .type = types[fuzz_choose(choices, 3)],
						   .rank = 2,
						   .dims = { out, rank },
						   .data = w->data };
	snprintf(pair->module, sizeof(pair->module), "%.200s", weight->name);
	length = strlen(pair->module);
	if (length > 7 && !strcmp(pair->module + length - 7, ".weight"))
		pair->module[length - 7] = '\0';
	w->pairs[index] = (struct qeff_adapter_pair){
		.module = pair->module, .a = &pair->a, .b = &pair->b, .scale = 0.5f
	};
}

#define ADAPTER_BYTES ((size_t)1 << 20)

static void choose_wishes(struct fuzz_choices *choices, const struct qeff_graph *graph,
			  struct wishes *w)
{
	static const char *const poolings[] = { NULL, "mean", "cls", "max", "last" };
	static const char *const globs[] = { "*", "*norm*", "*.0.*", "*/?", "[", "no such node" };
	static const uint64_t file_bytes[] = { 0, 1, 1000, 1 << 20 };
	uint32_t bits = fuzz_choose(choices, 256), more = fuzz_choose(choices, 256);
	uint32_t sampler = fuzz_choose(choices, 256);

	*w = (struct wishes){ 0 };
	w->options = (struct qeff_transform_options){
		.kv_cache = bits & 1,
		.continuous_batching = bits & 2,
		.comp_ctx_lengths = bits & 4,
		.spd = bits & 8,
		.normalize = bits & 16,
		.mxint8_kv_cache = bits & 32,
		.fp16 = bits & 64,
		.data_files = bits & 128,
		.pooling = poolings[fuzz_choose(choices, 5)],
		.adapter_pairs = w->pairs,
		.num_adapter_pairs = more & 3,
		.fp32_nodes = w->globs,
		.num_fp32_nodes = (more >> 2 & 3) % 3,
		.custom_io = w->io,
		.num_custom_io = more >> 4 & 3,
		.data_file_bytes = file_bytes[more >> 6],
		.num_replicate_kv_heads = sampler >> 6,
		.sampler = sampler & 1,
		.guided_decoding = sampler & 2,
		.return_pdfs = sampler & 4,
		.max_top_k_ids = sampler >> 3 & 7,
	};
	if (w->options.num_adapter_pairs) {
		w->data = calloc(1, ADAPTER_BYTES);
		fuzz_require(w->data, "no memory");
	}
	for (uint32_t i = 0; i < w->options.num_adapter_pairs; i++)
		choose_adapter(choices, graph, w, i);
	for (uint32_t i = 0; i < w->options.num_fp32_nodes; i++) {
		uint32_t which = fuzz_choose(choices, 8);

		w->globs[i] = which < 6 ? globs[which] : choose_value(choices, graph)->name;
	}
	for (uint32_t i = 0; i < w->options.num_custom_io; i++) {
		uint32_t which = fuzz_choose(choices, 64);
		uint32_t of = graph->num_inputs + graph->num_outputs;
		const struct qeff_value *value =
			which >= of		    ? choose_value(choices, graph)
			: which < graph->num_inputs ? graph->inputs[which]
						    : graph->outputs[which - graph->num_inputs];

		w->io[i].name = value->name;
		w->io[i].io = (enum qeff_graph_io)fuzz_choose(choices, QEFF_IO_I64 + 1);
	}
}

/* ---- stages ---- */

/* What every transform promises: a valid graph. */
static void check_graph(struct qeff_graph *graph, const char *transform)
{
	struct qeff_error err = { 0 };

	fuzz_require(!qeff_graph_finish(graph, &err), "%s left a graph that is not valid: %s",
		     transform, err.message);
}

/* As the compiler does it, or some of them in any order. */
static int transform(struct fuzz_choices *choices, struct qeff_graph *graph, const struct wishes *w,
		     struct qeff_error *err)
{
	uint32_t steps = fuzz_choose(choices, 2) * fuzz_choose(choices, MAX_STEPS + 1);
	struct qeff_transforms_applied applied;
	int rc = 0;

	if (!steps) {
		rc = qeff_transforms_apply(graph, &w->options, &applied, err);
		if (!rc)
			check_graph(graph, "all");
		return rc;
	}
	for (uint32_t i = 0; !rc && i < steps; i++) {
		const struct qeff_transform *t =
			&qeff_transforms[fuzz_choose(choices, (uint32_t)qeff_num_transforms)];

		rc = t->apply(graph, &w->options, NULL, err);
		if (!rc)
			check_graph(graph, t->name);
	}
	return rc;
}

static int bind(struct fuzz_choices *choices, const struct qeff_graph *graph, uint32_t positions,
		struct qeff_graph **bound, uint32_t *count, struct qeff_error *err)
{
	uint32_t wanted = 1 + fuzz_choose(choices, MAX_SPECS);
	int64_t slots = fuzz_choose_size(choices, 4), context = fuzz_choose_size(choices, 16);
	int rc = 0;

	if (fuzz_choose(choices, 8))
		context = positions ? positions : 8;
	while (!rc && *count < wanted) {
		const struct qeff_binding_size sizes[] = {
			{ "batch_size", fuzz_choose_size(choices, 3) },
			{ "seq_len", fuzz_choose_size(choices, 8) },
			{ "num_logits_to_keep", fuzz_choose_size(choices, 4) },
			{ "comp_ctx_lengths", fuzz_choose_size(choices, 16) },
			{ "ctx_len", context },
			{ "full_batch_size", slots },
		};

		rc = qeff_graph_bind(graph, sizes, 6, &bound[*count], err);
		*count += !rc;
	}
	return rc;
}

static int compile(struct fuzz_choices *choices, struct qeff_graph *graph, uint32_t positions,
		   struct qeff_error *err)
{
	struct qeff_graph *bound[MAX_SPECS] = { NULL };
	struct wishes wishes;
	uint32_t count = 0;
	int rc;

	choose_wishes(choices, graph, &wishes);
	rc = transform(choices, graph, &wishes, err);
	free(wishes.data);
	if (!rc)
		rc = bind(choices, graph, positions, bound, &count, err);
	if (!rc)
		rc = fuzz_lower((const struct qeff_graph *const *)bound, count, choices, err);
	for (uint32_t i = 0; i < count; i++)
		qeff_graph_free(bound[i]);
	return rc;
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	regions[0] = (struct fuzz_region){ 0, size };
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_choices choices = { data, size };
	const struct qeff_checkpoint *checkpoint;
	struct qeff_model_options options = { 0 };
	struct qeff_model_info info;
	struct qeff_graph *graph;
	struct qeff_error err = { 0 };
	int rc;

	if (!num_models)
		open_models();
	checkpoint = choose_model(&choices);
	options.positions = fuzz_choose(&choices, 41);
	rc = qeff_model_build(checkpoint, &options, &graph, &info, &err);
	if (!rc) {
		rc = compile(&choices, graph, options.positions, &err);
		qeff_graph_free(graph);
		qeff_model_info_clear(&info);
	}
	if (rc)
		fuzz_refused(rc, &err, "");
	else
		fuzz_ran();
	return 0;
}
