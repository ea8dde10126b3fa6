/* SPDX-License-Identifier: MIT */
/*
 * Options from a file: a JSON object with the names that QEfficient's compile() has, and what of
 * its files for the QNN toolchain makes sense here. Whatever asks for something that does not
 * exist here is refused by name; what asks for nothing ("", false, 0) is let through.
 */
#include "util/error.h"

#include <qeff/compiler.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct qeff_compile_config {
	json_t *root;
	uint32_t numbers[4][QEFF_COMPILE_MAX_SPECIALISATIONS];
	const char **fp32_nodes;
	const char **input_shapes;
	const char **input_values;
	const char **loras;
};

struct reader {
	const char *file;
	struct qeff_compile_config *config;
	struct qeff_compile_options *options;
	struct qeff_error *err;
};

static int wrong(const struct reader *r, const char *key, const char *expected)
{
	return qeff_error_set(r->err, -EINVAL, "%s: \"%.64s\" is not %s", r->file, key, expected);
}

static int take_number(const struct reader *r, const char *key, const json_t *value, uint32_t *to)
{
	const char *text = json_string_value(value);
	long long number = json_is_integer(value) ? json_integer_value(value) : -1;

	if (text && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 11)
		number = atoll(text);
	if (number < 0 || number > UINT32_MAX)
		return wrong(r, key, "a number");
	*to = (uint32_t)number;
	return 0;
}

/* A number or a list of them, into the config's room number @room. */
static int take_numbers(const struct reader *r, const char *key, const json_t *value, int room,
			const uint32_t **values, uint32_t *count)
{
	size_t total = json_is_array(value) ? json_array_size(value) : 1;
	int rc = 0;

	if (!total || total > QEFF_COMPILE_MAX_SPECIALISATIONS)
		return wrong(r, key, "a list of 1 to 64 numbers");
	for (size_t i = 0; !rc && i < total; i++)
		rc = take_number(r, key, json_is_array(value) ? json_array_get(value, i) : value,
				 &r->config->numbers[room][i]);
	*values = r->config->numbers[room];
	*count = (uint32_t)total;
	return rc;
}

static int take_bool(const struct reader *r, const char *key, const json_t *value, bool *to)
{
	if (!json_is_boolean(value))
		return wrong(r, key, "true or false");
	*to = json_is_true(value);
	return 0;
}

static int take_text(const struct reader *r, const char *key, const json_t *value, const char **to)
{
	*to = json_string_value(value);
	return *to ? 0 : wrong(r, key, "a text");
}

/* A list of texts, of which the config keeps the array. */
static int take_texts(const struct reader *r, const char *key, const json_t *value,
		      const char ***own, const char *const **texts, size_t *count)
{
	size_t total = json_array_size(value);

	*own = calloc(total + 1, sizeof(**own));
	if (!*own)
		return qeff_error_set(r->err, -ENOMEM, "out of memory while reading %s", r->file);
	for (size_t i = 0; i < total; i++) {
		(*own)[i] = json_string_value(json_array_get(value, i));
		if (!(*own)[i])
			return wrong(r, key, "a list of texts");
	}
	*texts = *own;
	*count = total;
	return json_is_array(value) ? 0 : wrong(r, key, "a list of texts");
}

static int take_precision(const struct reader *r, const char *key, const json_t *value)
{
	for (int i = QEFF_COMPILE_FP32; json_is_string(value) && i <= QEFF_COMPILE_INT8; i++)
		if (!strcmp(qeff_compile_precision_name(i), json_string_value(value))) {
			r->options->precision = i;
			return 0;
		}
	return wrong(r, key, "fp32, fp16, bf16 or int8");
}

static int take_pooling(const struct reader *r, const char *key, const json_t *value)
{
	static const char *const modes[] = { "none", "mean", "cls", "max", "last" };

	for (int i = 0; json_is_string(value) && i < 5; i++)
		if (!strcmp(modes[i], json_string_value(value))) {
			r->options->pooling = QEFF_COMPILE_POOLING_NONE + i;
			return 0;
		}
	return wrong(r, key, "none, mean, cls, max or last");
}

static bool asks_for_nothing(const json_t *value)
{
	return json_is_null(value) || json_is_false(value) ||
	       (json_is_string(value) && !json_string_length(value)) ||
	       (json_is_integer(value) && !json_integer_value(value));
}

static int refuse(const struct reader *r, const char *where, const char *key, const json_t *value)
{
	if (asks_for_nothing(value))
		return 0;
	return qeff_error_set(r->err, -ENOTSUP,
			      "%s: \"%s%.64s\" is for another toolchain, or unknown: nothing here "
			      "does it",
			      r->file, where, key);
}

/* "qnn_compilation_backend": what the QNN toolchain's backend is told. */
static int read_backend(const struct reader *r, const json_t *object)
{
	struct qeff_compile_options *o = r->options;
	const char *key;
	json_t *value;
	bool on = false;
	int rc = json_is_object(object) ? 0 : wrong(r, "qnn_compilation_backend", "an object");

	json_object_foreach((json_t *)object, key, value)
	{
		if (rc)
			break;
		if (!strcmp(key, "compiler_num_of_cores")) {
			rc = take_number(r, key, value, &o->num_cores);
		} else if (!strcmp(key, "compiler_mxfp6_matmul_weights")) {
			rc = take_bool(r, key, value, &o->mxfp6_matmul);
		} else if (!strcmp(key, "compiler_convert_to_FP16")) {
			rc = take_bool(r, key, value, &on);
			if (!rc && on)
				o->precision = QEFF_COMPILE_FP16;
		} else if (!strcmp(key, "compiler_retained_state")) {
			/* a KV cache is always retained state */
			rc = take_bool(r, key, value, &on);
			if (!rc && !on)
				rc = wrong(r, key, "true: a KV cache stays on the card");
		} else {
			rc = refuse(r, "qnn_compilation_backend.", key, value);
		}
	}
	return rc;
}

static int read_key(const struct reader *r, const char *key, const json_t *value)
{
	struct qeff_compile_options *o = r->options;
	const struct {
		const char *key;
		uint32_t *number;
		bool *flag;
		const char **text;
		struct qeff_compile_numbers *numbers;
	} keys[] = {
		{ "num_cores", .number = &o->num_cores },
		{ "batch_size", .number = &o->batch_size },
		{ "prefill_seq_len", .number = &o->prefill_seq_len },
		{ "ctx_len", .number = &o->ctx_len },
		{ "full_batch_size", .number = &o->full_batch_size },
		{ "kv_cache_batch_size", .number = &o->kv_cache_batch_size },
		{ "max_top_k_ids", .number = &o->max_top_k_ids },
		{ "num_kv_blocks", .number = &o->num_kv_blocks },
		{ "num_replicate_kv_heads", .number = &o->num_replicate_kv_heads },
		{ "num_devices", .number = &o->num_devices },
		{ "mxfp6_matmul", .flag = &o->mxfp6_matmul },
		{ "mxint8_kv_cache", .flag = &o->mxint8_kv_cache },
		{ "prefill_only", .flag = &o->prefill_only },
		{ "enable_chunking", .flag = &o->enable_chunking },
		{ "include_sampler", .flag = &o->include_sampler },
		{ "include_guided_decoding", .flag = &o->include_guided_decoding },
		{ "return_pdfs", .flag = &o->return_pdfs },
		{ "comp_ctx_lengths_prefill", .numbers = &o->comp_ctx_lengths_prefill },
		{ "comp_ctx_lengths_decode", .numbers = &o->comp_ctx_lengths_decode },
		{ "num_speculative_tokens", .numbers = &o->num_speculative_tokens },
		{ "specializations", .text = &o->specializations },
		{ "custom_io", .text = &o->custom_io },
		{ "node_precision_info", .text = &o->node_precision_info },
		{ "adapter", .text = &o->adapter },
		{ "adapter_inputs", .text = &o->adapter_inputs },
		{ "remove_prefix", .flag = &o->remove_prefix },
		{ "onnx", .text = &o->onnx_dir },
	};
	int room = 0;
	bool on = false;
	int rc;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		room += keys[i].numbers != NULL;
		if (strcmp(key, keys[i].key))
			continue;
		return keys[i].number ? take_number(r, key, value, keys[i].number)
		       : keys[i].flag ? take_bool(r, key, value, keys[i].flag)
		       : keys[i].text ? take_text(r, key, value, keys[i].text)
				      : take_numbers(r, key, value, room, &keys[i].numbers->values,
						     &keys[i].numbers->count);
	}
	if (!strcmp(key, "seq_len"))
		return take_numbers(r, key, value, 0, &o->seq_lens, &o->num_seq_lens);
	if (!strcmp(key, "fp32_nodes"))
		return take_texts(r, key, value, &r->config->fp32_nodes, &o->fp32_nodes,
				  &o->num_fp32_nodes);
	if (!strcmp(key, "loras"))
		return take_texts(r, key, value, &r->config->loras, &o->loras, &o->num_loras);
	if (!strcmp(key, "input_shapes"))
		return take_texts(r, key, value, &r->config->input_shapes, &o->input_shapes,
				  &o->num_input_shapes);
	if (!strcmp(key, "input_values"))
		return take_texts(r, key, value, &r->config->input_values, &o->input_values,
				  &o->num_input_values);
	if (!strcmp(key, "precision"))
		return take_precision(r, key, value);
	if (!strcmp(key, "pooling"))
		return take_pooling(r, key, value);
	if (!strcmp(key, "qnn_compilation_backend"))
		return read_backend(r, value);
	if (strcmp(key, "normalize"))
		return refuse(r, "", key, value);
	rc = take_bool(r, key, value, &on);
	o->normalize = on ? QEFF_COMPILE_NORMALIZE_YES : QEFF_COMPILE_NORMALIZE_NO;
	return rc;
}

int qeff_compile_config_open(const char *path, struct qeff_compile_options *options,
			     struct qeff_compile_config **config, struct qeff_error *err)
{
	struct qeff_compile_config *c = calloc(1, sizeof(*c));
	const struct reader r = { path, c, options, err };
	json_error_t where;
	const char *key;
	json_t *value;
	int rc = 0;

	*config = NULL;
	if (!c)
		return qeff_error_set(err, -ENOMEM, "out of memory while reading %s", path);
	c->root = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
	if (!c->root)
		rc = qeff_error_set(err, -EINVAL, "%s: line %d, column %d: %s", path, where.line,
				    where.column, where.text);
	else if (!json_is_object(c->root))
		rc = qeff_error_set(err, -EINVAL, "%s: expected an object", path);
	json_object_foreach(c->root, key, value)
	{
		if (!rc)
			rc = read_key(&r, key, value);
	}
	if (rc)
		qeff_compile_config_close(c);
	else
		*config = c;
	return rc;
}

void qeff_compile_config_close(struct qeff_compile_config *config)
{
	if (!config)
		return;
	json_decref(config->root);
	free(config->fp32_nodes);
	free(config->input_shapes);
	free(config->input_values);
	free(config->loras);
	free(config);
}
