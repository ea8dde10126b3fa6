/* SPDX-License-Identifier: MIT */
/*
 * Tensors in, tensors out. Inputs that belong to tokens (input_ids and its companions) may be
 * smaller than the package's shapes: they are padded with dead rows, a prompt longer than the
 * prefill of a package with state on the card goes through in chunks, and outputs come out as if
 * neither had happened. Companions that are missing get the values that transformers would give
 * them.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The companions of a token, each [batch, length]. */
enum { IDS, MASK, TYPES, POSITIONS, COLUMNS };

static const struct {
	const char *name;
	int64_t dead; /* in padding */
} columns[COLUMNS] = {
	[IDS] = { "input_ids", 0 },
	[MASK] = { "attention_mask", 0 },
	[TYPES] = { "token_type_ids", 0 },
	[POSITIONS] = { "position_ids", -1 },
};

/**
 * struct tokens - the token inputs as they were given
 * @batch, @length: their shape
 * @values: of each column, batch x length
 */
struct tokens {
	uint32_t batch, length;
	int64_t *values[COLUMNS];
};

/* An output as it will be written. */
struct result {
	const char *name;
	struct qeff_tensor shape; /* its data is not used */
	uint8_t *data;
	bool per_token;
};

struct run {
	struct qeff_session *session;
	const struct qeff_network *network;
	const struct load_options *options;
	int ids;       /* binding input_ids, or -1 */
	bool generate; /* whatever is not given */
	struct tokens tokens;
	struct result *results;
	size_t num_results;
};

static const struct load_input *given(const struct run *run, const char *name)
{
	for (size_t i = 0; i < run->options->num_inputs; i++)
		if (!strcmp(run->options->inputs[i].name, name))
			return &run->options->inputs[i];
	return NULL;
}

static int column_of(const char *name)
{
	for (int c = 0; c < COLUMNS; c++)
		if (!strcmp(name, columns[c].name))
			return c;
	return -1;
}

static bool has_state(const struct qeff_network *network)
{
	for (uint32_t i = 0; i < network->num_inputs; i++)
		if (network->bindings[i].is_retained)
			return true;
	return false;
}

/* ---- generated inputs ---- */

/* A fixed sequence: the check is the same each time. */
static uint32_t pseudo_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* From the package's settings; 2 if they do not say, which every vocabulary has. */
static uint32_t vocabulary(const struct qeff_session *session)
{
	const struct qeff_segment *segment =
		qeff_qpc_segment(qeff_session_qpc(session), "generation.json");
	json_t *json = segment ? json_loadb(segment->data, segment->size_bytes, 0, NULL) : NULL;
	json_int_t size = json_integer_value(json_object_get(json, "vocab_size"));

	json_decref(json);
	return size > 0 && size <= INT32_MAX ? (uint32_t)size : 2;
}

static void generate_tensor(struct qeff_tensor *tensor)
{
	size_t count = tensor->size_bytes / qeff_type_size_bytes(tensor->type);
	uint32_t state = 1;

	for (size_t i = 0; i < count; i++) {
		double value = pseudo_random(&state) / (double)(1 << 23) - 1;

		if (tensor->type == QEFF_TYPE_F32 || tensor->type == QEFF_TYPE_F16)
			store_float(tensor->data, tensor->type, i, value);
		else
			store_integer(tensor->data, tensor->type, i, 0);
	}
}

/* ---- token inputs ---- */

static void fill_default(struct run *run, int column)
{
	struct tokens *tokens = &run->tokens;
	uint32_t state = 1, vocab = run->generate ? vocabulary(run->session) : 0;

	for (uint32_t b = 0; b < tokens->batch; b++) {
		int64_t position = 0;

		for (uint32_t i = 0; i < tokens->length; i++) {
			size_t at = (size_t)b * tokens->length + i;
			int64_t *value = &tokens->values[column][at];

			switch (column) {
			case IDS:
				*value = pseudo_random(&state) % vocab;
				break;
			case MASK:
				*value = 1;
				break;
			case TYPES:
				*value = 0;
				break;
			case POSITIONS: /* the number of live tokens before it */
				*value = tokens->values[MASK][at] ? position++ : -1;
				break;
			}
		}
	}
}

static int take_column(struct run *run, int column, struct qeff_error *err)
{
	const struct load_input *input = given(run, columns[column].name);
	struct tokens *tokens = &run->tokens;
	size_t count = (size_t)tokens->batch * tokens->length;

	tokens->values[column] = calloc(count + 1, sizeof(int64_t));
	if (!tokens->values[column])
		return fail(err, -ENOMEM, "no memory for %s", columns[column].name);
	if (!input) {
		fill_default(run, column);
		return 0;
	}
	if (input->npy.kind == 'f')
		return fail(err, -EINVAL, "%s: %s must be integers", input->path, input->name);
	if (input->npy.count != count)
		return fail(err, -EINVAL, "%s: %s has %zu elements, %s has %zu", input->path,
			    input->name, input->npy.count, columns[IDS].name, count);
	for (size_t i = 0; i < count; i++)
		tokens->values[column][i] = npy_integer(&input->npy, i);
	return 0;
}

static int take_tokens(struct run *run, struct qeff_error *err)
{
	const struct load_input *ids = given(run, columns[IDS].name);
	const struct qeff_shape *shape = qeff_network_shape(run->network, 0, (uint32_t)run->ids);
	struct tokens *tokens = &run->tokens;
	int ret = 0;

	if (!ids && !run->generate)
		return fail(err, -EINVAL, "input %s was not given", columns[IDS].name);
	if (ids && (ids->npy.num_dims < 1 || ids->npy.num_dims > 2 || !ids->npy.count))
		return fail(err, -EINVAL, "%s: %s must be [batch, length]", ids->path, ids->name);
	if (ids) {
		tokens->batch = ids->npy.num_dims == 2 ? (uint32_t)ids->npy.dims[0] : 1;
		tokens->length = (uint32_t)ids->npy.dims[ids->npy.num_dims - 1];
	} else {
		tokens->batch = (uint32_t)shape->dims[0];
		tokens->length = (uint32_t)shape->dims[1];
	}
	for (int c = 0; c < COLUMNS && !ret; c++)
		ret = take_column(run, c, err);
	return ret;
}

/* Whether an input is [batch, length] in every specialisation. */
static bool are_tokens(const struct qeff_network *network, uint32_t input)
{
	for (uint32_t s = 0; s < network->num_specialisations; s++) {
		const struct qeff_shape *shape = qeff_network_shape(network, s, input);

		if (shape->num_dims != 2 || shape->dims[0] < 1 || shape->dims[1] < 1)
			return false;
	}
	return true;
}

/* Whether a mask has a place for each token and no others: not so where it tells of earlier tokens
 * as well. */
static bool masks_tokens(const struct qeff_network *network, uint32_t ids, int mask)
{
	for (uint32_t s = 0; mask >= 0 && s < network->num_specialisations; s++) {
		const struct qeff_shape *shape = qeff_network_shape(network, s, (uint32_t)mask);

		if (shape->num_dims != 2 ||
		    shape->dims[1] != qeff_network_shape(network, s, ids)->dims[1])
			return false;
	}
	return true;
}

/* The smallest specialisation with room for the tokens; where there is state, else the longest. */
static int choose_shape(struct run *run, const struct qeff_shape **chosen, struct qeff_error *err)
{
	const struct tokens *tokens = &run->tokens;
	const struct qeff_shape *fits = NULL, *longest = NULL;
	struct qeff_tensor unused;
	int32_t dims[2] = { (int32_t)tokens->batch, (int32_t)tokens->length };

	for (uint32_t s = 0; s < run->network->num_specialisations; s++) {
		const struct qeff_shape *shape =
			qeff_network_shape(run->network, s, (uint32_t)run->ids);

		if ((uint32_t)shape->dims[0] < tokens->batch)
			continue;
		if (!longest || shape->dims[1] > longest->dims[1])
			longest = shape;
		if ((uint32_t)shape->dims[1] >= tokens->length &&
		    (!fits || shape->size_bytes < fits->size_bytes))
			fits = shape;
	}
	*chosen = fits ? fits : has_state(run->network) ? longest : NULL;
	if (*chosen)
		return 0;
	return qeff_session_input(run->session, columns[IDS].name, dims, 2, &unused, err);
}

/* Writes tokens [@first, @first + dims[1]) of a column, and dead ones around them. */
static int write_column(const struct run *run, int column, uint32_t first,
			struct qeff_tensor *tensor, struct qeff_error *err)
{
	const struct tokens *tokens = &run->tokens;
	uint32_t seq = (uint32_t)tensor->dims[1];

	for (uint32_t b = 0; b < (uint32_t)tensor->dims[0]; b++)
		for (uint32_t i = 0; i < seq; i++) {
			bool live = b < tokens->batch && first + i < tokens->length;
			size_t at = (size_t)b * tokens->length + first + i;
			int64_t value = live ? tokens->values[column][at] : columns[column].dead;

			if (store_integer(tensor->data, tensor->type, (size_t)b * seq + i, value))
				return fail(err, -ERANGE, "%s: %" PRId64 " does not fit into %s",
					    tensor->name, value, qeff_type_name(tensor->type));
		}
	return 0;
}

/* ---- all inputs ---- */

static bool is_ours(const struct qeff_binding *binding)
{
	return !binding->is_retained && strcmp(binding->name, QEFF_CONTROL_BINDING);
}

static int write_other(struct run *run, const struct qeff_binding *binding, struct qeff_error *err)
{
	const struct load_input *input = given(run, binding->name);
	struct qeff_tensor tensor;
	int ret;

	if (!input && !run->generate && strcmp(binding->name, "batch_index"))
		return fail(err, -EINVAL, "input %s was not given", binding->name);
	ret = qeff_session_input(run->session, binding->name, input ? input->npy.dims : NULL,
				 input ? input->npy.num_dims : 0, &tensor, err);
	if (ret)
		return ret;
	if (input)
		return npy_convert(&input->npy, binding->name, tensor.type, tensor.data, err);
	if (strcmp(binding->name, "batch_index")) {
		generate_tensor(&tensor);
		return 0;
	}
	for (int32_t i = 0; i < tensor.dims[0]; i++)
		store_integer(tensor.data, tensor.type, (size_t)i, i);
	return 0;
}

static int write_inputs(struct run *run, const struct qeff_shape *shape, uint32_t first,
			struct qeff_error *err)
{
	int ret = 0;

	for (uint32_t i = 0; i < run->network->num_inputs && !ret; i++) {
		const struct qeff_binding *binding = &run->network->bindings[i];
		struct qeff_tensor tensor;
		int column = column_of(binding->name);

		if (!is_ours(binding))
			continue;
		if (run->ids < 0 || column < 0) {
			ret = write_other(run, binding, err);
			continue;
		}
		ret = qeff_session_input(run->session, binding->name, shape->dims, 2, &tensor, err);
		if (!ret)
			ret = write_column(run, column, first, &tensor, err);
	}
	return ret;
}

/* Whether every file has an input to go to. A mask is welcome where positions are derived from it,
 * and types where there is but one. */
static int check_names(const struct run *run, struct qeff_error *err)
{
	for (size_t i = 0; i < run->options->num_inputs; i++) {
		const char *name = run->options->inputs[i].name;
		int column = column_of(name);

		if (qeff_session_find_input(run->session, name) < 0 &&
		    !(run->ids >= 0 && (column == MASK || column == TYPES)))
			return fail(err, -ENOENT, "%s has no input \"%s\"", run->options->package,
				    name);
	}
	return 0;
}

/* ---- outputs ---- */

/* Whether dimension 1 of an output counts tokens: it is as long as input_ids in each
 * specialisation, and not by chance. */
static bool is_per_token(const struct run *run, uint32_t output)
{
	const struct qeff_network *network = run->network;
	int32_t first = 0;
	bool varies = false;

	if (run->ids < 0)
		return false;
	for (uint32_t s = 0; s < network->num_specialisations; s++) {
		const struct qeff_shape *ids = qeff_network_shape(network, s, (uint32_t)run->ids);
		const struct qeff_shape *shape = qeff_network_shape(network, s, output);

		if (shape->num_dims < 2 || shape->dims[1] != ids->dims[1])
			return false;
		varies |= s && ids->dims[1] != first;
		first = ids->dims[1];
	}
	return varies || network->bindings[output].shape.num_dims > 2;
}

static int make_result(struct run *run, uint32_t output, const struct qeff_shape *ids,
		       struct qeff_error *err)
{
	struct result *result = &run->results[run->num_results];
	int ret;

	result->name = run->network->bindings[output].name;
	ret = qeff_session_output(run->session, result->name, &result->shape, err);
	if (ret)
		return ret;
	result->per_token = is_per_token(run, output);
	if (ids && result->shape.num_dims && result->shape.dims[0] == ids->dims[0])
		result->shape.dims[0] = (int32_t)run->tokens.batch;
	if (result->per_token)
		result->shape.dims[1] = (int32_t)run->tokens.length;
	result->shape.size_bytes = qeff_type_size_bytes(result->shape.type);
	for (uint32_t i = 0; i < result->shape.num_dims; i++)
		result->shape.size_bytes *= (size_t)result->shape.dims[i];
	result->data = calloc(1, result->shape.size_bytes + 1);
	if (!result->data)
		return fail(err, -ENOMEM, "no memory for output %s", result->name);
	run->num_results++;
	return 0;
}

/* Whether batch entry @b has a live token in columns [@first, @end). */
static bool is_live(const struct tokens *tokens, uint32_t b, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end && i < tokens->length; i++)
		if (tokens->values[POSITIONS][(size_t)b * tokens->length + i] >= 0 &&
		    tokens->values[MASK][(size_t)b * tokens->length + i])
			return true;
	return false;
}

/* Takes over what the chunk that began at token @first says: of each token where the output has
 * them, else of each batch entry that had a live token in it. */
static int merge(struct run *run, struct result *result, const struct qeff_shape *ids,
		 uint32_t first, struct qeff_error *err)
{
	const struct tokens *tokens = &run->tokens;
	struct qeff_tensor tensor;
	size_t row, out_row, token;
	int ret;

	ret = qeff_session_output(run->session, result->name, &tensor, err);
	if (ret)
		return ret;
	if (!ids || !tensor.num_dims || tensor.dims[0] != ids->dims[0]) {
		memcpy(result->data, tensor.data, result->shape.size_bytes);
		return 0;
	}
	row = tensor.size_bytes / (size_t)tensor.dims[0];
	out_row = result->shape.size_bytes / tokens->batch;
	token = row / (size_t)ids->dims[1];
	for (uint32_t b = 0; b < tokens->batch; b++) {
		uint32_t count = tokens->length - first < (uint32_t)ids->dims[1]
					 ? tokens->length - first
					 : (uint32_t)ids->dims[1];
		const uint8_t *from = (const uint8_t *)tensor.data + b * row;

		if (result->per_token)
			memcpy(result->data + b * out_row + first * token, from, count * token);
		else if (!first || is_live(tokens, b, first, first + count))
			memcpy(result->data + b * out_row, from, out_row);
	}
	return 0;
}

static int take_outputs(struct run *run, const struct qeff_shape *ids, uint32_t first,
			struct qeff_error *err)
{
	const struct qeff_network *network = run->network;
	bool begin = !run->num_results;
	int ret = 0;

	for (uint32_t i = network->num_inputs; i < qeff_network_num_bindings(network) && begin;
	     i++) {
		if (network->bindings[i].is_retained)
			continue;
		ret = make_result(run, i, ids, err);
		if (ret)
			return ret;
	}
	for (size_t i = 0; i < run->num_results && !ret; i++)
		ret = merge(run, &run->results[i], ids, first, err);
	return ret;
}

static int write_outputs(const struct run *run, struct qeff_error *err)
{
	const char *dir = run->options->output_dir;
	char path[4096];

	if (!dir)
		return 0;
	if (mkdir(dir, 0777) && errno != EEXIST)
		return fail(err, -errno, "%s: %s", dir, strerror(errno));
	for (size_t i = 0; i < run->num_results; i++) {
		const struct result *result = &run->results[i];
		int ret;

		if (result->name[0] == '.' || (size_t)snprintf(path, sizeof(path), "%s/%s.npy", dir,
							       result->name) >= sizeof(path))
			return fail(err, -EINVAL, "output \"%s\" cannot be the name of a file",
				    result->name);
		/* names of ONNX models are paths as often as not */
		for (char *at = path + strlen(dir) + 1; *at; at++)
			if (*at == '/')
				*at = '_';
		ret = npy_write(path, result->shape.type, result->shape.dims,
				result->shape.num_dims, result->data, err);
		if (ret)
			return ret;
	}
	return 0;
}

static void report_results(const struct run *run, json_t *json)
{
	json_t *outputs = json_object();
	char text[256];

	for (size_t i = 0; i < run->num_results; i++) {
		const struct result *result = &run->results[i];
		json_t *dims = json_array();

		for (uint32_t d = 0; d < result->shape.num_dims; d++)
			json_array_append_new(dims, json_integer(result->shape.dims[d]));
		json_object_set_new(outputs, result->name, dims);
		if (!run->options->json)
			printf("result     %-24s %-8s %s\n", result->name,
			       qeff_type_name(result->shape.type),
			       dims_text(result->shape.dims, result->shape.num_dims, text,
					 sizeof(text)));
	}
	json_object_set_new(json, "outputs", outputs);
}

/* The check of generated inputs: whatever they are, numbers come out. */
static int check_finite(const struct run *run, struct qeff_error *err)
{
	for (size_t i = 0; i < run->num_results; i++) {
		const struct result *result = &run->results[i];

		if (result->shape.type != QEFF_TYPE_F32)
			continue;
		for (size_t e = 0; e < result->shape.size_bytes / sizeof(float); e++)
			if (!isfinite(((const float *)result->data)[e]))
				return fail(err, -EDOM, "output %s: element %zu is not finite",
					    result->name, e);
	}
	return 0;
}

/* ---- one run ---- */

static int run_once(struct run *run, const struct qeff_shape *shape, struct qeff_error *err)
{
	uint32_t first = 0;
	int ret;

	do {
		ret = write_inputs(run, shape, first, err);
		if (!ret)
			ret = qeff_session_run(run->session, err);
		if (!ret)
			ret = take_outputs(run, shape, first, err);
		first += shape ? (uint32_t)shape->dims[1] : 1;
	} while (!ret && shape && first < run->tokens.length && !interrupted);
	return ret;
}

static int prepare(struct run *run, const struct qeff_shape **shape, struct qeff_error *err)
{
	int ret;

	run->results = calloc(run->network->num_outputs + 1, sizeof(*run->results));
	if (!run->results)
		return fail(err, -ENOMEM, "no memory for the outputs");
	ret = check_names(run, err);
	if (ret || run->ids < 0)
		return ret;
	ret = take_tokens(run, err);
	return ret ? ret : choose_shape(run, shape, err);
}

static int repeat(struct run *run, const struct qeff_shape *shape, json_t *json,
		  struct qeff_error *err)
{
	double *seconds = calloc(run->options->runs, sizeof(*seconds)), total = 0;
	uint32_t done = 0;
	int ret = 0;

	if (!seconds)
		return fail(err, -ENOMEM, "no memory for %u runs", run->options->runs);
	while (done < run->options->runs && !ret && !interrupted) {
		double start = now_seconds();

		ret = run_once(run, shape, err);
		seconds[done] = now_seconds() - start;
		total += seconds[done++];
	}
	if (!ret) {
		json_object_set_new(json, "runs", json_integer(done));
		json_object_set_new(json, "total_s", json_real(total));
		report_results(run, json);
		if (!run->options->json)
			report_times("inference", seconds, done);
	}
	free(seconds);
	return ret;
}

int load_tensors(struct qeff_session *session, const struct load_options *options, json_t *json,
		 struct qeff_error *err)
{
	const struct qeff_shape *shape = NULL;
	struct run run = {
		.session = session,
		.network = qeff_session_network(session),
		.options = options,
		.ids = qeff_session_find_input(session, columns[IDS].name),
		.generate = !options->num_inputs,
	};
	int ret;

	if (run.ids >= 0 && (!are_tokens(run.network, (uint32_t)run.ids) ||
			     !masks_tokens(run.network, (uint32_t)run.ids,
					   qeff_session_find_input(session, columns[MASK].name))))
		run.ids = -1;
	ret = prepare(&run, &shape, err);
	if (!ret)
		ret = repeat(&run, shape, json, err);
	if (!ret && run.generate)
		ret = check_finite(&run, err);
	if (!ret)
		ret = write_outputs(&run, err);
	for (int c = 0; c < COLUMNS; c++)
		free(run.tokens.values[c]);
	for (size_t i = 0; i < run.num_results; i++)
		free(run.results[i].data);
	free(run.results);
	return ret;
}
