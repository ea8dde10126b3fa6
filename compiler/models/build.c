/* SPDX-License-Identifier: MIT */
/* The pieces that models are made of. */
#include "models/build.h"

#include "nsp/mx.h"
#include "nsp/pack.h"

#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model_name model_name(const char *format, ...)
{
	struct model_name name;
	va_list args;

	va_start(args, format);
	vsnprintf(name.text, sizeof(name.text), format, args);
	va_end(args);
	return name;
}

bool model_failed(const struct model_build *b)
{
	return qeff_graph_status(b->graph, NULL);
}

void model_warn(struct model_build *b, const char *format, ...)
{
	struct qeff_model_info *info = b->info;
	char **warnings = reallocarray(info->warnings, info->num_warnings + 1, sizeof(*warnings));
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (!warnings || vasprintf(&text, format, args) < 0)
		qeff_graph_fail(b->graph, -ENOMEM, "out of memory");
	else
		warnings[info->num_warnings++] = text;
	va_end(args);
	if (warnings)
		info->warnings = warnings;
}

uint32_t model_size_or(struct model_build *b, const char *key, uint32_t max, uint32_t fallback)
{
	struct qeff_error why = { 0 };
	int64_t value = fallback;

	if (qeff_config_int(b->config, key, 1, max, &value, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	return (uint32_t)value;
}

uint32_t model_size(struct model_build *b, const char *key, uint32_t max)
{
	struct qeff_error why = { 0 };

	if (qeff_config_require(b->config, key, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	return model_size_or(b, key, max, 1);
}

double model_float_or(struct model_build *b, const char *key, double fallback)
{
	struct qeff_error why = { 0 };
	double value = fallback;

	if (qeff_config_float(b->config, key, -FLT_MAX, FLT_MAX, &value, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	return value;
}

bool model_bool_or(struct model_build *b, const char *key, bool fallback)
{
	struct qeff_error why = { 0 };
	bool value = fallback;

	if (qeff_config_bool(b->config, key, &value, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	return value;
}

bool model_layer_slides(struct model_build *b, uint32_t index, bool slides)
{
	const char *type = slides ? "sliding_attention" : "full_attention";
	struct qeff_error why = { 0 };

	if (qeff_config_string_of(b->config, "layer_types", index, &type, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	else if (strcmp(type, "sliding_attention") && strcmp(type, "full_attention"))
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"layer_types\" has \"%.64s\", which is not supported",
				b->config->file, type);
	return !strcmp(type, "sliding_attention");
}

bool model_has(const struct model_build *b, const char *name)
{
	return qeff_checkpoint_find(b->checkpoint, name);
}

static bool is_float(enum qeff_graph_type type)
{
	return type == QEFF_GRAPH_F32 || type == QEFF_GRAPH_F16 || type == QEFF_GRAPH_BF16;
}

static void shape_text(char *text, size_t size_bytes, uint32_t rank, const int64_t *dims)
{
	struct qeff_graph_shape shape = { .rank = rank };

	for (uint32_t i = 0; i < rank; i++)
		shape.dims[i] = qeff_dim_of(dims[i]);
	qeff_graph_shape_text(&shape, text, size_bytes);
}

/* The tensor @name, of this shape; NULL after a failure. */
static const struct qeff_checkpoint_tensor *find_tensor(struct model_build *b, const char *name,
							uint32_t rank, const int64_t *dims)
{
	const struct qeff_checkpoint_tensor *tensor;
	char found[128], expected[128];

	if (model_failed(b))
		return NULL;
	tensor = qeff_checkpoint_find(b->checkpoint, name);
	if (!tensor) {
		qeff_graph_fail(b->graph, -EINVAL, "%s: has no tensor \"%s\"",
				qeff_checkpoint_path(b->checkpoint), name);
		return NULL;
	}
	if (tensor->rank != rank || memcmp(tensor->dims, dims, rank * sizeof(*dims))) {
		shape_text(found, sizeof(found), tensor->rank, tensor->dims);
		shape_text(expected, sizeof(expected), rank, dims);
		qeff_graph_fail(b->graph, -EINVAL,
				"%s: tensor \"%s\" is %s, config.json makes it %s",
				qeff_checkpoint_path(b->checkpoint), name, found, expected);
		return NULL;
	}
	return tensor;
}

/* Its bytes as an initialiser that computes as @type; the same value when asked again. */
static struct qeff_value *use_tensor(struct model_build *b,
				     const struct qeff_checkpoint_tensor *tensor,
				     enum qeff_graph_type type, uint64_t parameters)
{
	const struct qeff_checkpoint_tensor *all;
	size_t count;

	all = qeff_checkpoint_tensors(b->checkpoint, &count);
	if (b->used[tensor - all])
		return qeff_graph_find(b->graph, tensor->name);
	b->used[tensor - all] = true;
	b->info->parameters += parameters;
	b->info->weight_bytes += tensor->size_bytes;
	return qeff_graph_initialiser(b->graph, tensor->name, type, tensor->type, tensor->rank,
				      tensor->dims, tensor->data);
}

struct qeff_value *model_weight(struct model_build *b, const char *name, uint32_t rank,
				const int64_t *dims)
{
	const struct qeff_checkpoint_tensor *tensor = find_tensor(b, name, rank, dims);

	if (!tensor)
		return NULL;
	if (!is_float(tensor->type)) {
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: tensor \"%s\" has type %s, expected F32, F16 or BF16",
				qeff_checkpoint_path(b->checkpoint), name, tensor->dtype);
		return NULL;
	}
	return use_tensor(b, tensor, QEFF_GRAPH_F32,
			  tensor->size_bytes / qeff_graph_type_bytes(tensor->type));
}

struct qeff_value *model_mxfp4_weight(struct model_build *b, const char *name, uint32_t rank,
				      const int64_t *dims)
{
	const struct qeff_checkpoint_tensor *blocks, *scales;
	struct qeff_value *value = qeff_graph_find(b->graph, name);
	int64_t stored[QEFF_GRAPH_MAX_RANK];

	if (value || model_failed(b))
		return value;
	memcpy(stored, dims, rank * sizeof(*dims));
	stored[rank - 1] = dims[rank - 1] / NSP_MX_BLOCK;
	stored[rank] = NSP_MXFP4_BLOCK_BYTES;
	if (dims[rank - 1] % NSP_MX_BLOCK)
		qeff_graph_fail(b->graph, -EINVAL,
				"%s: rows of %lld numbers are no whole blocks of MXFP4, \"%s\"",
				b->config->file, (long long)dims[rank - 1], name);
	blocks = find_tensor(b, model_name("%s_blocks", name).text, rank + 1, stored);
	scales = find_tensor(b, model_name("%s_scales", name).text, rank, stored);
	if (!scales)
		return NULL;
	if (blocks->type != QEFF_GRAPH_U8 || scales->type != QEFF_GRAPH_U8) {
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"%s\" has blocks of %s and scales of %s, expected U8",
				qeff_checkpoint_path(b->checkpoint), name, blocks->dtype,
				scales->dtype);
		return NULL;
	}
	return model_binary(b, "qeff.DequantizeMXFP4", name,
			    use_tensor(b, blocks, QEFF_GRAPH_U8, 2 * blocks->size_bytes),
			    use_tensor(b, scales, QEFF_GRAPH_U8, 0));
}

void model_ignore(struct model_build *b, const char *name)
{
	const struct qeff_checkpoint_tensor *all, *tensor;
	size_t count;

	all = qeff_checkpoint_tensors(b->checkpoint, &count);
	tensor = qeff_checkpoint_find(b->checkpoint, name);
	if (tensor)
		b->used[tensor - all] = true;
}

struct qeff_value *model_unary(struct model_build *b, const char *op, const char *name,
			       struct qeff_value *x)
{
	return qeff_graph_node(b->graph, op, name, 1, &x, 0, NULL);
}

struct qeff_value *model_binary(struct model_build *b, const char *op, const char *name,
				struct qeff_value *x, struct qeff_value *y)
{
	struct qeff_value *const inputs[] = { x, y };

	return qeff_graph_node(b->graph, op, name, 2, inputs, 0, NULL);
}

struct qeff_value *model_scalar(struct model_build *b, float number)
{
	struct model_name name = model_name("number/%.9g", (double)number);
	struct qeff_value *value = qeff_graph_find(b->graph, name.text);
	void *data;

	if (!value) {
		value = qeff_graph_constant(b->graph, name.text, QEFF_GRAPH_F32, 0, NULL, &data);
		if (value)
			*(float *)data = number;
	}
	return value;
}

/* A list of integers (a target shape, axes), shared by all that ask for it. */
static struct qeff_value *integers(struct model_build *b, uint32_t count, const int64_t *numbers)
{
	const int64_t dims[] = { count };
	struct model_name name = model_name("integers");
	struct qeff_value *value;
	void *data;

	for (uint32_t i = 0; i < count; i++)
		name = model_name("%s/%lld", model_name("%s", name.text).text,
				  (long long)numbers[i]);
	value = qeff_graph_find(b->graph, name.text);
	if (!value) {
		value = qeff_graph_constant(b->graph, name.text, QEFF_GRAPH_I64, 1, dims, &data);
		if (value)
			memcpy(data, numbers, count * sizeof(*numbers));
	}
	return value;
}

struct qeff_value *model_embedding(struct model_build *b, const char *module, uint32_t entries,
				   uint32_t width, struct qeff_value *indices)
{
	const int64_t dims[] = { entries, width };
	struct qeff_value *table = model_weight(b, model_name("%s.weight", module).text, 2, dims);

	return model_binary(b, "Gather", module, table, indices);
}

static struct qeff_value *reshape(struct model_build *b, const char *name, struct qeff_value *x,
				  uint32_t rank, const int64_t *shape)
{
	return model_binary(b, "Reshape", name, x, integers(b, rank, shape));
}

struct qeff_value *model_matrix(struct model_build *b, const char *name, struct qeff_value *x,
				int64_t rows, int64_t columns)
{
	const int64_t shape[] = { rows, columns };

	return reshape(b, name, x, 2, shape);
}

struct qeff_value *model_slice(struct model_build *b, const char *name, struct qeff_value *x,
			       int64_t begin, int64_t end, int64_t axis, int64_t step)
{
	struct qeff_value *const inputs[] = { x, integers(b, 1, &begin), integers(b, 1, &end),
					      integers(b, 1, &axis),
					      step == 1 ? NULL : integers(b, 1, &step) };

	return qeff_graph_node(b->graph, "Slice", name, 5, inputs, 0, NULL);
}

struct qeff_value *model_part(struct model_build *b, const char *name,
			      const struct model_part *part, uint32_t inputs, bool transposed)
{
	int64_t all = (int64_t)part->groups * part->group_rows;
	const int64_t dims[2] = { transposed ? inputs : all, transposed ? all : inputs };
	const int64_t grouped[3] = { part->groups, part->group_rows, inputs };
	const int64_t flat[2] = { (int64_t)part->groups * part->rows, inputs };
	uint32_t rank = inputs ? 2 : 1, end = part->first + part->rows;
	struct qeff_value *x = model_weight(b, name, rank, dims);
	struct model_name at = model_name("%s/%u:%u", name, part->first, end);

	if (part->rows == part->group_rows)
		return x;
	if (part->groups == 1)
		return model_slice(b, at.text, x, part->first, end, transposed, 1);
	x = reshape(b, model_name("%s/groups", at.text).text, x, rank + 1, grouped);
	x = model_slice(b, model_name("%s/taken", at.text).text, x, part->first, end, 1, 1);
	return reshape(b, at.text, x, rank, flat);
}

struct qeff_value *model_linear_part(struct model_build *b, const char *module, const char *output,
				     struct qeff_value *x, uint32_t inputs,
				     const struct model_part *part, bool bias, bool transposed)
{
	static const int64_t perm[] = { 1, 0 };
	const struct qeff_attribute attributes[] = { QEFF_INTS("perm", 2, perm) };
	struct model_name product = model_name(bias ? "%s/product" : "%s", output);
	struct qeff_value *weight, *y;

	weight = model_part(b, model_name("%s.weight", module).text, part, inputs, transposed);
	if (!transposed && !model_failed(b))
		weight = qeff_graph_node(b->graph, "Transpose",
					 model_name("%s/t", weight->name).text, 1, &weight, 1,
					 attributes);
	y = model_binary(b, "MatMul", product.text, x, weight);
	if (!bias)
		return y;
	return model_binary(b, "Add", output, y,
			    model_part(b, model_name("%s.bias", module).text, part, 0, false));
}

struct qeff_value *model_linear(struct model_build *b, const char *module, const char *output,
				struct qeff_value *x, uint32_t inputs, uint32_t outputs, bool bias)
{
	const struct model_part whole = { 1, outputs, 0, outputs };

	return model_linear_part(b, module, output, x, inputs, &whole, bias, false);
}

struct qeff_value *model_scale(struct model_build *b, const char *name, struct qeff_value *x,
			       double factor)
{
	return factor == 1 ? x : model_binary(b, "Mul", name, x, model_scalar(b, (float)factor));
}

static struct qeff_value *rms_norm(struct model_build *b, const char *module, struct qeff_value *x,
				   struct qeff_value *weight, float epsilon)
{
	static const int64_t last[] = { -1 };
	struct qeff_value *y;

	y = model_binary(b, "Pow", model_name("%s/square", module).text, x, model_scalar(b, 2));
	y = model_binary(b, "ReduceMean", model_name("%s/mean", module).text, y,
			 integers(b, 1, last));
	y = model_binary(b, "Add", model_name("%s/sum", module).text, y, model_scalar(b, epsilon));
	y = model_unary(b, "Sqrt", model_name("%s/root", module).text, y);
	y = model_binary(b, "Div", model_name("%s/normal", module).text, x, y);
	return model_binary(b, "Mul", module, y, weight);
}

struct qeff_value *model_rms_norm(struct model_build *b, const char *module, struct qeff_value *x,
				  uint32_t width, float epsilon)
{
	const int64_t dims[] = { width };

	return rms_norm(b, module, x,
			model_weight(b, model_name("%s.weight", module).text, 1, dims), epsilon);
}

static float number_at(const struct qeff_value *value, uint32_t i)
{
	enum qeff_nsp_type type = value->stored_type == QEFF_GRAPH_F16	  ? QEFF_NSP_F16
				  : value->stored_type == QEFF_GRAPH_BF16 ? QEFF_NSP_BF16
									  : QEFF_NSP_F32;

	return qeff_nsp_load(
		(const uint8_t *)value->data + i * qeff_graph_type_bytes(value->stored_type), type);
}

struct qeff_value *model_rms_norm_plus_one(struct model_build *b, const char *module,
					   struct qeff_value *x, uint32_t width, float epsilon)
{
	const int64_t dims[] = { width };
	struct model_name name = model_name("%s.weight", module);
	struct qeff_value *excess = model_weight(b, name.text, 1, dims), *weight;
	void *data;

	if (model_failed(b))
		return NULL;
	weight = qeff_graph_constant(b->graph, model_name("%s/plus_one", name.text).text,
				     QEFF_GRAPH_F32, 1, dims, &data);
	for (uint32_t i = 0; weight && i < width; i++)
		((float *)data)[i] = 1 + number_at(excess, i);
	return rms_norm(b, module, x, weight, epsilon);
}

/* The oldest checkpoints call weight and bias of a norm gamma and beta. */
static struct model_name norm_weight(struct model_build *b, const char *module, const char *name,
				     const char *old_name)
{
	struct model_name now = model_name("%s.%s", module, name);
	struct model_name old = model_name("%s.%s", module, old_name);

	return !model_has(b, now.text) && model_has(b, old.text) ? old : now;
}

struct qeff_value *model_layer_norm(struct model_build *b, const char *module, const char *output,
				    struct qeff_value *x, uint32_t width, float epsilon)
{
	const struct qeff_attribute attributes[] = { QEFF_INT("axis", -1),
						     QEFF_FLOAT("epsilon", epsilon) };
	struct model_name weight = norm_weight(b, module, "weight", "gamma");
	struct model_name bias = norm_weight(b, module, "bias", "beta");
	const int64_t dims[] = { width };
	struct qeff_value *const inputs[] = {
		x,
		model_weight(b, weight.text, 1, dims),
		model_has(b, bias.text) ? model_weight(b, bias.text, 1, dims) : NULL,
	};

	return qeff_graph_node(b->graph, "LayerNormalization", output, 3, inputs, 2, attributes);
}

static struct qeff_value *swap_heads(struct model_build *b, const char *name, struct qeff_value *x)
{
	static const int64_t perm[] = { 0, 2, 1, 3 };
	const struct qeff_attribute attributes[] = { QEFF_INTS("perm", 4, perm) };

	return qeff_graph_node(b->graph, "Transpose", name, 1, &x, 1, attributes);
}

struct qeff_value *model_split_heads(struct model_build *b, const char *module,
				     struct qeff_value *x, uint32_t heads, uint32_t dim)
{
	const int64_t shape[] = { 0, 0, heads, dim };

	x = model_binary(b, "Reshape", model_name("%s/split", module).text, x,
			 integers(b, 4, shape));
	return swap_heads(b, model_name("%s/heads", module).text, x);
}

struct qeff_value *model_merge_heads(struct model_build *b, const char *module,
				     struct qeff_value *x, uint32_t width)
{
	const int64_t shape[] = { 0, 0, width };

	x = swap_heads(b, model_name("%s/rows", module).text, x);
	return model_binary(b, "Reshape", model_name("%s/merged", module).text, x,
			    integers(b, 3, shape));
}

struct qeff_value *model_ids(struct model_build *b, const char *name)
{
	const struct qeff_dim dims[] = { qeff_dim_symbol("batch_size"),
					 qeff_dim_symbol("seq_len") };

	return qeff_graph_input(b->graph, name, QEFF_GRAPH_I64, 2, dims);
}
