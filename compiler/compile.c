/* SPDX-License-Identifier: MIT */
/* The driver: checkpoint, graph, transforms, lowering, package, one stage after the other. */
#include "compile.h"

#include "compile_onnx.h"
#include "graph/graph.h"
#include "lower/fold.h"
#include "onnx/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct compile {
	const struct qeff_compile_options *options;
	struct qeff_compile_summary *summary;
	struct qeff_error *err;
	struct compile_plan plan;
	struct compile_lists lists;
	struct qeff_adapter *adapter;
	struct compile_loras loras;
	struct qeff_checkpoint *checkpoint;
	struct compile_onnx *imported; /* in place of the checkpoint */
	struct qeff_model_info info;
	struct qeff_graph *graph;
	struct qeff_transforms_applied applied;
	struct qeff_graph *cached[QEFF_COMPILE_MAX_SPECIALISATIONS]; /* imported, with a KV cache */
	struct qeff_graph *bound[QEFF_COMPILE_MAX_SPECIALISATIONS];
	struct qeff_lowering *lowering;
	char name[128];
	bool has_tokenizer;
	uint64_t package_bytes;
	double stage_began;
};

static int no_memory(struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "out of memory while compiling");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void begin_stage(struct compile *c, enum qeff_compile_stage stage)
{
	c->stage_began = now();
	if (c->options->progress)
		c->options->progress(c->options->user, stage, 0, 1);
}

static void end_stage(struct compile *c, enum qeff_compile_stage stage)
{
	c->summary->seconds[stage] = now() - c->stage_began;
	if (c->options->progress)
		c->options->progress(c->options->user, stage, 1, 1);
}

/* The network is called after the model's folder, in characters that every tool can print. */
static void name_network(struct compile *c)
{
	char *path = realpath(c->options->model_dir, NULL);
	const char *last = path ? strrchr(path, '/') : NULL;

	snprintf(c->name, sizeof(c->name), "%s", last && last[1] ? last + 1 : "model");
	for (char *at = c->name; *at; at++)
		if (*at <= ' ' || *at > '~')
			*at = '_';
	free(path);
}

/* Nodes and precisions, the caller's and those of files. */
static int read_lists(struct compile *c)
{
	const struct qeff_compile_options *o = c->options;
	int rc = 0;

	if (o->num_fp32_nodes) {
		c->lists.fp32_nodes = calloc(o->num_fp32_nodes, sizeof(*c->lists.fp32_nodes));
		if (!c->lists.fp32_nodes)
			return no_memory(c->err);
		memcpy(c->lists.fp32_nodes, o->fp32_nodes,
		       o->num_fp32_nodes * sizeof(*c->lists.fp32_nodes));
		c->lists.num_fp32_nodes = o->num_fp32_nodes;
	}
	if (o->node_precision_info)
		rc = qeff_compile_read_fp32_nodes(o->node_precision_info, &c->lists, c->err);
	if (!rc && o->custom_io)
		rc = qeff_compile_read_custom_io(o->custom_io, &c->lists, c->err);
	return rc;
}

static int read_checkpoint(struct compile *c)
{
	/* Few positions: this build is only to know the model. */
	const struct qeff_model_options probe = { .positions = 1 };
	struct qeff_graph *graph = NULL;
	int rc = read_lists(c);

	if (!rc && qeff_compile_is_onnx(c->options->model_dir))
		return qeff_compile_onnx_open(c->options, &c->plan, &c->imported, c->err);
	if (!rc && (c->options->num_input_shapes || c->options->num_input_values ||
		    c->options->adapter_inputs || c->options->remove_prefix))
		rc = qeff_error_set(c->err, -EINVAL,
				    "%s: shapes and values of inputs, adapters that are inputs and "
				    "prefixes are for ONNX models",
				    c->options->model_dir);
	if (!rc && c->options->adapter)
		rc = qeff_adapter_open(c->options->adapter, &c->adapter, c->err);
	if (!rc)
		rc = qeff_compile_open_loras(c->options, &c->loras, c->err);
	if (!rc)
		rc = qeff_checkpoint_open(c->options->model_dir, &c->checkpoint, c->err);
	if (rc)
		return rc;
	rc = qeff_model_build(c->checkpoint, &probe, &graph, &c->info, c->err);
	if (rc)
		return rc;
	qeff_graph_free(graph);
	rc = qeff_compile_settle(c->options, c->checkpoint, &c->info, &c->plan, c->err);
	qeff_model_info_clear(&c->info);
	return rc;
}

/* Hands a stage on, and frees its text and picture. */
static int show(struct compile *c, const char *stage, char *text, char *dot)
{
	bool have = text && dot;

	if (have)
		c->options->graph(c->options->user, stage, text, dot);
	free(text);
	free(dot);
	return have ? 0 : no_memory(c->err);
}

static int show_graph(void *user, const char *stage, const struct qeff_graph *graph,
		      struct qeff_error *err)
{
	return show(user, stage, qeff_graph_print(graph), qeff_graph_dot(graph));
}

static int show_program(struct compile *c)
{
	char *text, *dot;
	int rc = qeff_lowering_describe(c->lowering, &text, &dot, c->err);

	return rc ? rc : show(c, "program", text, dot);
}

/* Numbers in weights: those that decide shapes are none. */
static uint64_t count_parameters(const struct qeff_graph *graph)
{
	uint64_t elements, total = 0;

	for (uint32_t i = 0; i < graph->num_values; i++)
		if (graph->values[i]->is_initialiser &&
		    graph->values[i]->stored_type != QEFF_GRAPH_I64 &&
		    graph->values[i]->stored_type != QEFF_GRAPH_BOOL &&
		    qeff_graph_shape_elements(&graph->values[i]->shape, &elements))
			total += elements;
	return total;
}

/* @graph in the sizes of a specialisation. */
static int bind_graph(struct compile *c, const struct qeff_graph *graph,
		      const struct compile_spec *spec, struct qeff_graph **bound)
{
	const struct qeff_binding_size sizes[] = {
		{ "batch_size", spec->batch },
		{ "full_batch_size", c->plan.slots ? c->plan.slots : spec->batch },
		{ "seq_len", spec->seq },
		{ "ctx_len", c->plan.positions ? c->plan.positions : spec->seq },
		{ "comp_ctx_lengths", spec->compute ? spec->compute : 1 },
		{ "num_logits_to_keep", spec->keep ? spec->keep : 1 },
	};

	return qeff_graph_bind(graph, sizes, sizeof(sizes) / sizeof(sizes[0]), bound, c->err);
}

/* A graph for each specialisation, as each has been imported. */
static int import_graphs(struct compile *c, bool foreign)
{
	bool cached = foreign && qeff_compile_onnx_is_cached(c->imported);
	const struct qeff_transform_options transforms = {
		.fp32_nodes = c->lists.fp32_nodes,
		.num_fp32_nodes = c->lists.num_fp32_nodes,
		.custom_io = c->lists.io,
		.num_custom_io = c->lists.num_io,
		.mxint8_kv_cache = c->options->mxint8_kv_cache,
		.fp16 = c->plan.precision == QEFF_LOWER_FP16,
		.data_files = c->options->onnx_dir,
		.foreign = foreign,
		.kv_cache = cached,
		.positions = cached ? c->plan.positions : 0,
		.continuous_batching = c->plan.slots,
		.comp_ctx_lengths = c->plan.comp_ctx_lengths,
		.spd = cached && c->plan.spd,
		.sampler = cached && c->options->include_sampler,
		.max_top_k_ids = c->options->max_top_k_ids,
		.fold = qeff_lower_fold,
		.watch = c->options->graph ? show_graph : NULL,
		.watch_user = c,
	};
	int rc = 0;

	c->info.architecture = "ONNX";
	for (uint32_t i = 0; i < c->plan.num_specs && !rc; i++) {
		struct qeff_graph **graph = cached ? &c->cached[i] : &c->bound[i];

		rc = qeff_compile_onnx_graph(c->imported, &c->plan, &c->plan.specs[i], graph,
					     c->err);
		if (!rc && !i)
			c->info.parameters = count_parameters(*graph);
		if (!rc && c->options->graph)
			rc = show_graph(c, "imported", *graph, c->err);
		if (!rc)
			rc = qeff_transforms_apply(*graph, &transforms, &c->applied, c->err);
		if (!rc && cached)
			rc = bind_graph(c, *graph, &c->plan.specs[i], &c->bound[i]);
	}
	return rc;
}

static int make_graph(struct compile *c)
{
	size_t num_pairs = 0;
	const struct qeff_adapter_pair *pairs =
		c->adapter ? qeff_adapter_pairs(c->adapter, &num_pairs) : NULL;
	const struct qeff_model_options model = { .positions = c->plan.positions };
	const struct qeff_transform_options transforms = {
		.adapter_pairs = pairs,
		.num_adapter_pairs = num_pairs,
		.loras = c->loras.loras,
		.num_loras = c->loras.count,
		.kv_cache = c->plan.kv_cache,
		.num_replicate_kv_heads = c->options->num_replicate_kv_heads,
		.continuous_batching = c->plan.slots,
		.comp_ctx_lengths = c->plan.comp_ctx_lengths,
		.spd = c->plan.spd,
		.sampler = c->options->include_sampler,
		.max_top_k_ids = c->options->max_top_k_ids,
		.guided_decoding = c->options->include_guided_decoding,
		.return_pdfs = c->options->return_pdfs,
		.pooling = c->plan.pooling,
		.normalize = c->plan.normalize,
		.fp32_nodes = c->lists.fp32_nodes,
		.num_fp32_nodes = c->lists.num_fp32_nodes,
		.custom_io = c->lists.io,
		.num_custom_io = c->lists.num_io,
		.mxint8_kv_cache = c->options->mxint8_kv_cache,
		.fp16 = c->plan.precision == QEFF_LOWER_FP16,
		.data_files = c->options->onnx_dir,
		.watch = c->options->graph ? show_graph : NULL,
		.watch_user = c,
	};
	int rc;

	if (c->imported)
		return import_graphs(c, true);
	rc = qeff_model_build(c->checkpoint, &model, &c->graph, &c->info, c->err);
	if (!rc && c->options->graph)
		rc = show_graph(c, "built", c->graph, c->err);
	if (rc)
		return rc;
	return qeff_transforms_apply(c->graph, &transforms, &c->applied, c->err);
}

/* "A,B": those of @applied behind what stands in @names. */
static void add_names(const struct qeff_transforms_applied *applied, char *names, size_t room)
{
	for (size_t i = 0; i < applied->count; i++) {
		size_t length = strlen(names);

		snprintf(names + length, room - length, "%s%s", length ? "," : "",
			 applied->transform[i].name);
	}
}

static int export_onnx(struct compile *c)
{
	/* an imported one in the shapes of its first specialisation */
	const struct qeff_graph *graph = c->imported ? c->bound[0] : c->graph;
	uint32_t functions = qeff_onnx_functions(graph);
	char names[768] = "";

	if (functions && c->applied.count < QEFF_MAX_TRANSFORMS) {
		c->applied.transform[c->applied.count].name = "CustomOp";
		c->applied.transform[c->applied.count++].changes = functions;
	}
	if (c->imported)
		add_names(qeff_compile_onnx_applied(c->imported), names, sizeof(names));
	add_names(&c->applied, names, sizeof(names));
	return qeff_onnx_export(graph, c->options->onnx_dir, names, c->err);
}

static bool was_applied(const struct compile *c, const char *transform)
{
	for (size_t i = 0; i < c->applied.count; i++)
		if (!strcmp(c->applied.transform[i].name, transform))
			return true;
	return false;
}

static int import_again(struct compile *c)
{
	for (uint32_t i = 0; i < c->plan.num_specs; i++) {
		qeff_graph_free(c->bound[i]);
		c->bound[i] = NULL;
	}
	return import_graphs(c, false);
}

static int lower(struct compile *c)
{
	const struct qeff_lower_options options = {
		.num_nsps = c->plan.num_cores,
		.precision = c->plan.precision,
		.mxfp6_products = c->options->mxfp6_matmul,
	};
	int rc;

	for (uint32_t i = 0; i < c->plan.num_specs && !c->imported; i++) {
		rc = bind_graph(c, c->graph, &c->plan.specs[i], &c->bound[i]);
		if (rc)
			return rc;
	}
	rc = qeff_lower((const struct qeff_graph *const *)c->bound, c->plan.num_specs, &options,
			&c->lowering, c->err);
	/* Attention on rows may want more than a model of others has; the plain way does not. */
	if (rc == -ENOTSUP && c->imported && was_applied(c, "Attention")) {
		rc = import_again(c);
		if (!rc)
			rc = qeff_lower((const struct qeff_graph *const *)c->bound,
					c->plan.num_specs, &options, &c->lowering, c->err);
	}
	return !rc && c->options->graph ? show_program(c) : rc;
}

static int emit(struct compile *c)
{
	struct compile_package package = {
		.options = c->options,
		.checkpoint = c->checkpoint,
		.info = &c->info,
		.plan = &c->plan,
		.lowering = c->lowering,
		.loras = &c->loras,
		.name = c->name,
	};
	int rc;

	if (!c->options->output)
		return 0;
	name_network(c);
	rc = qeff_compile_write_package(&package, c->err);
	c->has_tokenizer = package.has_tokenizer;
	c->package_bytes = package.package_bytes;
	return rc;
}

static int run_stages(struct compile *c)
{
	static int (*const stages[])(struct compile * c) = {
		[QEFF_COMPILE_STAGE_READ] = read_checkpoint,
		[QEFF_COMPILE_STAGE_GRAPH] = make_graph,
		[QEFF_COMPILE_STAGE_ONNX] = export_onnx,
		[QEFF_COMPILE_STAGE_LOWER] = lower,
		[QEFF_COMPILE_STAGE_EMIT] = emit,
	};

	for (int i = 0; i < QEFF_COMPILE_STAGES; i++) {
		int rc;

		if (i == QEFF_COMPILE_STAGE_ONNX && !c->options->onnx_dir)
			continue;
		begin_stage(c, i);
		rc = stages[i](c);
		if (rc)
			return rc;
		end_stage(c, i);
	}
	return 0;
}

static int add_text(char ***list, uint32_t *count, const char *text)
{
	char **more = reallocarray(*list, *count + 1u, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	more[*count] = strdup(text);
	return more[*count] ? ((*count)++, 0) : -ENOMEM;
}

static int list_texts(struct compile *c)
{
	struct qeff_compile_summary *s = c->summary;
	const struct qeff_checkpoint_pooling *pooling =
		c->imported ? NULL : qeff_checkpoint_pooling(c->checkpoint);
	int rc = 0;

	s->architecture = strdup(c->info.architecture);
	if (!s->architecture)
		return -ENOMEM;
	if (c->imported) {
		const struct qeff_transforms_applied *first =
			qeff_compile_onnx_applied(c->imported);

		for (size_t i = 0; !rc && i < first->count; i++)
			rc = add_text(&s->transforms, &s->num_transforms, first->transform[i].name);
	}
	for (size_t i = 0; !rc && i < c->applied.count; i++)
		rc = add_text(&s->transforms, &s->num_transforms, c->applied.transform[i].name);
	for (size_t i = 0; !rc && i < c->info.num_warnings; i++)
		rc = add_text(&s->warnings, &s->num_warnings, c->info.warnings[i]);
	if (c->imported)
		return rc;
	if (!rc && c->info.task == QEFF_MODEL_ENCODER && pooling->unsupported &&
	    c->options->pooling == QEFF_COMPILE_POOLING_DEFAULT)
		rc = add_text(&s->warnings, &s->num_warnings, pooling->unsupported);
	if (!rc && c->options->prefill_only)
		rc = add_text(
			&s->warnings, &s->num_warnings,
			"prefill_only left out the decode step; the graph is the same: a chunk "
			"always sees the KV cache, and experts that no token chose cost nothing");
	if (!rc && c->options->num_kv_blocks)
		rc = add_text(
			&s->warnings, &s->num_warnings,
			"num_kv_blocks changed nothing: attention always goes by blocks of 64 "
			"positions");
	if (!rc && !c->has_tokenizer)
		rc = add_text(&s->warnings, &s->num_warnings,
			      "the model's folder has no tokenizer.json: the package takes token "
			      "ids, not text");
	return rc;
}

static int list_specialisations(struct compile *c, uint32_t count)
{
	struct qeff_compile_summary *s = c->summary;

	s->specialisations = calloc(count, sizeof(*s->specialisations));
	if (!s->specialisations)
		return -ENOMEM;
	s->num_specialisations = count;
	for (uint32_t i = 0; i < count; i++) {
		struct qeff_compile_specialisation *to = &s->specialisations[i];
		struct qeff_lower_spec_facts facts;

		qeff_lower_spec_facts(c->lowering, i, &facts);
		to->batch_size = facts.batch;
		to->seq_len = facts.seq;
		to->ctx_len = facts.positions;
		to->num_logits_to_keep = c->plan.specs[i].keep;
		to->phases = facts.phases;
		for (int nsp = 0; nsp < QEFF_COMPILE_MAX_CORES; nsp++) {
			to->nsp[nsp].macs = facts.nsp[nsp].macs;
			to->nsp[nsp].bytes = facts.nsp[nsp].bytes;
		}
	}
	return 0;
}

static int summarise(struct compile *c)
{
	struct qeff_compile_summary *s = c->summary;
	struct qeff_lower_facts facts;

	qeff_lower_facts(c->lowering, &facts);
	s->task = c->imported ? "tensors" : qeff_model_task_name(c->info.task);
	s->parameters = c->info.parameters;
	s->layers = c->info.layers;
	s->num_cores = facts.num_nsps;
	s->precision = c->options->precision;
	for (size_t i = 0; i < c->applied.count; i++)
		if (!strcmp(c->applied.transform[i].name, "FP32Nodes"))
			s->fp32_nodes = c->applied.transform[i].changes;
	s->operations = facts.operations;
	s->tiles = facts.tiles;
	s->constants_bytes = facts.constants_bytes;
	s->ddr_bytes = facts.ddr_bytes;
	s->io_bytes = facts.io_bytes;
	s->state_bytes = facts.state_bytes;
	s->arena_bytes = facts.arena_bytes;
	s->package_bytes = c->package_bytes;
	if (list_texts(c) || list_specialisations(c, facts.num_specs))
		return no_memory(c->err);
	return 0;
}

static void clean_up(struct compile *c)
{
	qeff_lowering_free(c->lowering);
	for (uint32_t i = 0; i < QEFF_COMPILE_MAX_SPECIALISATIONS; i++) {
		qeff_graph_free(c->bound[i]);
		qeff_graph_free(c->cached[i]);
	}
	qeff_graph_free(c->graph);
	qeff_compile_lists_clear(&c->lists);
	qeff_adapter_close(c->adapter);
	qeff_compile_loras_clear(&c->loras);
	qeff_model_info_clear(&c->info);
	qeff_checkpoint_close(c->checkpoint);
	qeff_compile_onnx_close(c->imported);
}

int qeff_compile(const struct qeff_compile_options *options, struct qeff_compile_summary *summary,
		 struct qeff_error *err)
{
	struct qeff_compile_summary own = { 0 };
	struct compile *c;
	int rc = qeff_compile_check_options(options, err);

	if (rc)
		return rc;
	c = calloc(1, sizeof(*c));
	if (!c)
		return no_memory(err);
	c->options = options;
	c->summary = &own;
	c->err = err;
	rc = run_stages(c);
	if (!rc && summary)
		rc = summarise(c);
	clean_up(c);
	free(c);
	if (rc || !summary)
		qeff_compile_summary_free(&own);
	else
		*summary = own;
	return rc;
}

void qeff_compile_summary_free(struct qeff_compile_summary *s)
{
	for (uint32_t i = 0; i < s->num_transforms; i++)
		free(s->transforms[i]);
	for (uint32_t i = 0; i < s->num_warnings; i++)
		free(s->warnings[i]);
	free(s->transforms);
	free(s->warnings);
	free(s->specialisations);
	free(s->architecture);
	*s = (struct qeff_compile_summary){ 0 };
}

int qeff_compile_describe_program(const void *constants, uint64_t constants_bytes, char **text,
				  char **dot, struct qeff_error *err)
{
	return qeff_lower_describe(constants, constants_bytes, constants_bytes, text, dot, err);
}

const char *qeff_compile_stage_name(enum qeff_compile_stage stage)
{
	static const char *const names[] = {
		[QEFF_COMPILE_STAGE_READ] = "read", [QEFF_COMPILE_STAGE_GRAPH] = "graph",
		[QEFF_COMPILE_STAGE_ONNX] = "onnx", [QEFF_COMPILE_STAGE_LOWER] = "lower",
		[QEFF_COMPILE_STAGE_EMIT] = "emit",
	};

	return (unsigned int)stage < QEFF_COMPILE_STAGES ? names[stage] : "?";
}

const char *qeff_compile_architecture(size_t index, const char **model_type, const char **task)
{
	static const char *const tasks[] = {
		[QEFF_MODEL_CAUSAL_LM] = "text-generation",
		[QEFF_MODEL_ENCODER] = "feature-extraction",
		[QEFF_MODEL_CLASSIFIER] = "text-classification",
	};
	enum qeff_model_task which;
	const char *name = qeff_model_architecture(index, model_type, &which);

	if (name && task)
		*task = tasks[which];
	return name;
}

const char *qeff_compile_precision_name(enum qeff_compile_precision precision)
{
	static const char *const names[] = {
		[QEFF_COMPILE_FP32] = "fp32",
		[QEFF_COMPILE_FP16] = "fp16",
		[QEFF_COMPILE_BF16] = "bf16",
		[QEFF_COMPILE_INT8] = "int8",
	};

	return (unsigned int)precision <= QEFF_COMPILE_INT8 ? names[precision] : "?";
}
