/* SPDX-License-Identifier: MIT */
/*
 * Models that arrive as ONNX: specialisations give the model's symbolic sizes their numbers, by the
 * names that export, QEfficient and optimum use; --shape and --value say the rest.
 */
#include "compile_onnx.h"

#include "lower/fold.h"
#include "onnx/import.h"
#include "onnx/transforms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAST	       "past_sequence_length" /* as optimum calls it */
#define MANY_POSITIONS 0xffffffu	      /* a file does not say how many it was trained for */

struct compile_onnx {
	struct qeff_onnx_model *model;
	struct qeff_onnx_shape *shapes;
	uint32_t num_shapes;
	struct qeff_onnx_tensor *values;
	struct qeff_onnx_tensor_file **files; /* of values, or NULL */
	uint32_t num_values;
	struct qeff_transforms_applied applied;
	char *name;
};

/* Names of sizes that a specialisation knows. */
static const struct {
	const char *symbol;
	size_t at; /* in struct sizes */
} symbols[] = {
	{ "batch_size", 0 },
	{ "batch", 0 },
	{ "full_batch_size", 1 },
	{ "seq_len", 2 },
	{ "sequence_length", 2 },
	{ "seq_length", 2 },
	{ "sequence", 2 },
	{ "ctx_len", 3 },
	{ "comp_ctx_lengths", 4 },
	{ "num_logits_to_keep", 5 },
	{ PAST, 6 },
	{ PAST " + sequence_length", 7 },
	{ "total_sequence_length", 7 },
};

#define NUM_SYMBOLS (sizeof(symbols) / sizeof(symbols[0]))

bool qeff_compile_is_onnx(const char *path)
{
	size_t length = strlen(path);
	struct stat s;

	return length > 5 && !strcmp(path + length - 5, ".onnx") && !stat(path, &s) &&
	       S_ISREG(s.st_mode);
}

static int no_memory(struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "out of memory while reading what inputs are to be");
}

/* "NAME=..." -> NAME, the caller's, and what follows. */
static const char *split(const char *text, char **name)
{
	const char *equals = strchr(text, '=');

	*name = equals && equals != text ? strndup(text, (size_t)(equals - text)) : NULL;
	return *name ? equals + 1 : NULL;
}

/* NAME=1x128 */
static int read_shape(struct compile_onnx *onnx, const char *text, struct qeff_error *err)
{
	struct qeff_onnx_shape *shape = &onnx->shapes[onnx->num_shapes];
	char *name, *end;
	const char *at = split(text, &name);

	if (!at)
		return qeff_error_set(err, -EINVAL, "shape \"%s\": expected NAME=SIZExSIZE...",
				      text);
	shape->name = name;
	onnx->num_shapes++;
	while (*at) {
		long long size;

		errno = 0;
		size = strtoll(at, &end, 10);
		if (errno || end == at || size < 1 || shape->rank == QEFF_GRAPH_MAX_RANK ||
		    (*end && *end != 'x') || (*end == 'x' && !end[1]))
			return qeff_error_set(
				err, -EINVAL,
				"shape \"%s\": expected NAME=SIZExSIZE..., at most %d "
				"sizes of at least 1",
				text, QEFF_GRAPH_MAX_RANK);
		shape->dims[shape->rank++] = size;
		at = *end ? end + 1 : end;
	}
	return 0;
}

/* Numbers in the text itself: one is a scalar or what else has one element, several are a list. */
static int read_numbers(struct compile_onnx *onnx, const char *text, const char *at,
			struct qeff_onnx_tensor *value, struct qeff_error *err)
{
	int64_t *numbers = calloc(strlen(at) + 1, sizeof(*numbers));
	uint32_t count = 0;
	char *end;
	int ret = numbers ? 0 : no_memory(err);

	value->data = numbers;
	while (!ret) {
		errno = 0;
		numbers[count++] = strtoll(at, &end, 10);
		if (errno || end == at || (*end && *end != ','))
			ret = qeff_error_set(err, -EINVAL,
					     "value \"%s\": expected NAME=FILE.pb or integers, "
					     "NAME=N,N,...",
					     text);
		if (!*end)
			break;
		at = end + 1;
	}
	if (!ret)
		ret = qeff_onnx_give_integers(onnx->model, value->name, count, numbers, value, err);
	return ret;
}

static int read_value(struct compile_onnx *onnx, const char *text, struct qeff_error *err)
{
	struct qeff_onnx_tensor *value = &onnx->values[onnx->num_values];
	struct stat s;
	char *name;
	const char *at = split(text, &name);
	int ret;

	if (!at)
		return qeff_error_set(err, -EINVAL,
				      "value \"%s\": expected NAME=FILE.pb or NAME=N,N", text);
	value->name = name;
	onnx->num_values++;
	if (stat(at, &s))
		return read_numbers(onnx, text, at, value, err);
	ret = qeff_onnx_tensor_open(at, &onnx->files[onnx->num_values - 1], value, err);
	value->name = name;
	return ret;
}

static int read_inputs(struct compile_onnx *onnx, const struct qeff_compile_options *o,
		       struct qeff_error *err)
{
	int ret = 0;

	onnx->shapes = calloc(o->num_input_shapes + 1, sizeof(*onnx->shapes));
	onnx->values = calloc(o->num_input_values + 1, sizeof(*onnx->values));
	onnx->files = calloc(o->num_input_values + 1, sizeof(*onnx->files));
	if (!onnx->shapes || !onnx->values || !onnx->files)
		return no_memory(err);
	for (size_t i = 0; i < o->num_input_shapes && !ret; i++)
		ret = read_shape(onnx, o->input_shapes[i], err);
	for (size_t i = 0; i < o->num_input_values && !ret; i++)
		ret = read_value(onnx, o->input_values[i], err);
	return ret;
}

static bool has_symbol(const struct compile_onnx *onnx, const char *symbol)
{
	const char *found;

	for (uint32_t i = 0; (found = qeff_onnx_symbol(onnx->model, i)); i++)
		if (!strcmp(found, symbol))
			return true;
	return false;
}

bool qeff_compile_onnx_is_cached(const struct compile_onnx *onnx)
{
	for (uint32_t i = 0; i < onnx->num_shapes; i++)
		if (!strncmp(onnx->shapes[i].name, "past", strlen("past")))
			return false;
	return has_symbol(onnx, PAST);
}

static int settle(const struct compile_onnx *onnx, const struct qeff_compile_options *o,
		  struct compile_plan *plan, struct qeff_error *err)
{
	const struct qeff_model_info info = {
		.architecture = onnx->name,
		.task = has_symbol(onnx, "ctx_len") || qeff_compile_onnx_is_cached(onnx)
				? QEFF_MODEL_CAUSAL_LM
				: QEFF_MODEL_CLASSIFIER,
		.max_positions = MANY_POSITIONS,
	};

	if (o->pooling > QEFF_COMPILE_POOLING_NONE || o->normalize == QEFF_COMPILE_NORMALIZE_YES ||
	    o->adapter || o->num_loras)
		return qeff_error_set(err, -EINVAL,
				      "%s: pooling, normalize and adapters are for checkpoints; an "
				      "ONNX model computes what it computes",
				      onnx->name);
	return qeff_compile_settle(o, NULL, &info, plan, err);
}

/* Changes the file's model, and notes by which transforms. */
static int transform(struct compile_onnx *o, const struct qeff_onnx_transform_options *options,
		     struct qeff_error *err)
{
	struct qeff_onnx_transforms_applied applied;
	int ret = qeff_onnx_transforms_apply(o->model, options, &applied, err);

	for (size_t i = 0; !ret && i < applied.count; i++) {
		o->applied.transform[i].name = applied.transform[i].name;
		o->applied.transform[i].changes = applied.transform[i].changes;
		o->applied.count++;
	}
	return ret;
}

_Static_assert(QEFF_ONNX_MAX_TRANSFORMS <= QEFF_MAX_TRANSFORMS, "they are noted in the same list");

int qeff_compile_onnx_open(const struct qeff_compile_options *options, struct compile_plan *plan,
			   struct compile_onnx **onnx, struct qeff_error *err)
{
	const struct qeff_onnx_transform_options transforms = {
		.remove_prefix = options->remove_prefix,
		.adapter = options->adapter_inputs,
	};
	struct compile_onnx *o = calloc(1, sizeof(*o));
	int ret;

	*onnx = NULL;
	if (!o)
		return no_memory(err);
	o->name = strdup(options->model_dir);
	ret = o->name ? qeff_onnx_open(options->model_dir, &o->model, err) : no_memory(err);
	if (!ret)
		ret = transform(o, &transforms, err);
	if (!ret)
		ret = read_inputs(o, options, err);
	if (!ret)
		ret = settle(o, options, plan, err);
	if (ret)
		qeff_compile_onnx_close(o);
	else
		*onnx = o;
	return ret;
}

const struct qeff_transforms_applied *qeff_compile_onnx_applied(const struct compile_onnx *onnx)
{
	return &onnx->applied;
}

void qeff_compile_onnx_close(struct compile_onnx *o)
{
	if (!o)
		return;
	for (uint32_t i = 0; i < o->num_shapes; i++)
		free((char *)o->shapes[i].name);
	for (uint32_t i = 0; i < o->num_values; i++) {
		free((char *)o->values[i].name);
		if (o->files[i])
			qeff_onnx_tensor_free(o->files[i]);
		else
			free((void *)o->values[i].data);
	}
	qeff_onnx_close(o->model);
	free(o->shapes);
	free(o->values);
	free(o->files);
	free(o->name);
	free(o);
}

/* A size that nothing gave is better named than met by lowering. */
static int check_bound(const struct compile_onnx *onnx, const struct qeff_graph *graph,
		       struct qeff_error *err)
{
	for (uint32_t i = 0; i < graph->num_inputs; i++) {
		const struct qeff_value *input = graph->inputs[i];

		for (uint32_t d = 0; d < input->shape.rank; d++)
			if (input->shape.dims[d].symbol)
				return qeff_error_set(
					err, -ENODATA,
					"%s: input \"%s\": no size is given for dimension %u, "
					"\"%s\"; give its shape",
					onnx->name, input->name, d, input->shape.dims[d].symbol);
	}
	return 0;
}

int qeff_compile_onnx_graph(struct compile_onnx *onnx, const struct compile_plan *plan,
			    const struct compile_spec *spec, struct qeff_graph **graph,
			    struct qeff_error *err)
{
	/* the cache is full, so that what the model makes of its length is known */
	const uint32_t past = plan->positions > spec->seq ? plan->positions - spec->seq : 1;
	const uint32_t numbers[] = {
		spec->batch,
		plan->slots ? plan->slots : spec->batch,
		spec->seq,
		plan->positions ? plan->positions : spec->seq,
		spec->compute ? spec->compute : 1,
		spec->keep ? spec->keep : 1,
		past,
		past + spec->seq,
	};
	struct qeff_binding_size sizes[NUM_SYMBOLS];
	const struct qeff_onnx_import_options options = {
		.sizes = sizes,
		.num_sizes = NUM_SYMBOLS,
		.shapes = onnx->shapes,
		.num_shapes = onnx->num_shapes,
		.values = onnx->values,
		.num_values = onnx->num_values,
		.fold = qeff_lower_fold,
	};
	int ret;

	for (size_t i = 0; i < NUM_SYMBOLS; i++)
		sizes[i] = (struct qeff_binding_size){ symbols[i].symbol, numbers[symbols[i].at] };
	ret = qeff_onnx_import(onnx->model, &options, graph, err);
	if (ret)
		return ret;
	ret = check_bound(onnx, *graph, err);
	if (ret) {
		qeff_graph_free(*graph);
		*graph = NULL;
	}
	return ret;
}
