/* SPDX-License-Identifier: MIT */
/* Import: what stands around the nodes: functions, sizes, inputs, initialisers, outputs. */
#include "onnx/importer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_functions(struct importer *im)
{
	const QeffOnnx__ModelProto *proto = im->model->proto;

	for (size_t i = 0; i < proto->n_functions; i++) {
		const char *domain = onnx_text(proto->functions[i]->domain);
		const char *name = onnx_text(proto->functions[i]->name);
		size_t room = strlen(domain) + strlen(name) + 2;
		char *key = qeff_arena_alloc(&im->scratch, room, 1);
		struct onnx_name *entry;

		if (!key)
			return import_no_memory(im);
		snprintf(key, room, "%s.%s", strcmp(domain, "ai.onnx") ? domain : "", name);
		entry = onnx_names_add(&im->functions, key);
		if (!entry)
			return import_no_memory(im);
		entry->u.number = (uint32_t)i;
	}
	return 0;
}

/* ---- inputs ---- */

static const struct qeff_onnx_shape *asked_shape(const struct importer *im, const char *name)
{
	for (uint32_t i = 0; i < im->options->num_shapes; i++)
		if (!strcmp(im->options->shapes[i].name, name))
			return &im->options->shapes[i];
	return NULL;
}

static const struct qeff_onnx_tensor *asked_value(const struct importer *im, const char *name)
{
	for (uint32_t i = 0; i < im->options->num_values; i++)
		if (!strcmp(im->options->values[i].name, name))
			return &im->options->values[i];
	return NULL;
}

static const QeffOnnx__TensorShapeProto *shape_of(const QeffOnnx__ValueInfoProto *info)
{
	return info->type && info->type->tensor_type ? info->type->tensor_type->shape : NULL;
}

/* Some writers call all that they do not know "?". */
static bool is_symbol(const QeffOnnx__TensorShapeProto__Dimension *dim)
{
	return *onnx_text(dim->dim_param) && strcmp(dim->dim_param, "?");
}

/* @weak: unless it has a size. */
static int set_size(struct importer *im, const char *symbol, int64_t size, bool weak)
{
	struct onnx_name *entry = onnx_names_add(&im->sizes, symbol);

	if (!entry)
		return import_no_memory(im);
	if (weak && entry->u.number)
		return 0;
	if (!entry->u.number) {
		im->bound[im->num_bound] = (struct qeff_binding_size){ symbol, size };
		entry->u.number = ++im->num_bound;
	}
	if (im->bound[entry->u.number - 1].size != size)
		return qeff_error_set(
			im->err, -EINVAL, "%s: \"%s\" is to be %lld, and %lld too", im->model->name,
			symbol, (long long)im->bound[entry->u.number - 1].size, (long long)size);
	return 0;
}

/* Sizes that were asked for, and those that follow from shapes that were. */
static int settle_sizes(struct importer *im)
{
	const struct qeff_onnx_import_options *o = im->options;
	const QeffOnnx__GraphProto *graph = im->model->proto->graph;
	int ret = 0;

	im->bound = calloc(o->num_sizes + (size_t)o->num_shapes * QEFF_GRAPH_MAX_RANK + 1,
			   sizeof(*im->bound));
	if (!im->bound)
		return import_no_memory(im);
	for (size_t i = 0; i < graph->n_input && !ret; i++) {
		const char *name = onnx_text(graph->input[i]->name);
		const QeffOnnx__TensorShapeProto *shape = shape_of(graph->input[i]);
		const struct qeff_onnx_shape *asked = asked_shape(im, name);

		if (!asked || !shape)
			continue;
		if (asked->rank != shape->n_dim)
			return qeff_error_set(
				im->err, -EINVAL,
				"%s: input \"%s\" has %zu dimensions, the shape asked "
				"for has %u",
				im->model->name, name, shape->n_dim, asked->rank);
		for (uint32_t d = 0; d < asked->rank && !ret; d++)
			if (is_symbol(shape->dim[d]))
				ret = set_size(im, shape->dim[d]->dim_param, asked->dims[d], false);
	}
	for (uint32_t i = 0; i < o->num_sizes && !ret; i++)
		ret = set_size(im, o->sizes[i].symbol, o->sizes[i].size, true);
	for (uint32_t i = 0; i < o->num_shapes && !ret; i++) {
		bool found = false;

		for (size_t n = 0; n < graph->n_input && !found; n++)
			found = !strcmp(onnx_text(graph->input[n]->name), o->shapes[i].name);
		if (!found)
			ret = qeff_error_set(im->err, -EINVAL, "%s: has no input \"%s\"",
					     im->model->name, o->shapes[i].name);
	}
	return ret;
}

static int input_dim(struct importer *im, const char *name, uint32_t index,
		     const QeffOnnx__TensorShapeProto__Dimension *from, struct qeff_dim *dim)
{
	const char *symbol = onnx_text(from->dim_param);
	const struct onnx_name *size;
	char *made;

	if (from->has_dim_value && from->dim_value > 0) {
		*dim = qeff_dim_of(from->dim_value);
		return 0;
	}
	if (!is_symbol(from)) { /* nothing is said of it */
		made = qeff_arena_alloc(&im->scratch, strlen(name) + 16, 1);
		if (!made)
			return import_no_memory(im);
		sprintf(made, "%s.dim%u", name, index);
		symbol = made;
	}
	size = onnx_names_find(&im->sizes, symbol);
	*dim = size ? qeff_dim_of(im->bound[size->u.number - 1].size) : qeff_dim_symbol(symbol);
	return 0;
}

static int add_input(struct importer *im, struct scope *scope, const QeffOnnx__ValueInfoProto *info)
{
	const char *name = onnx_text(info->name);
	const QeffOnnx__TensorShapeProto *shape = shape_of(info);
	const struct qeff_onnx_shape *asked = asked_shape(im, name);
	struct qeff_dim dims[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *value;
	uint32_t rank;
	int ret = 0;

	if (!info->type || !info->type->tensor_type)
		return qeff_error_set(im->err, -ENOTSUP,
				      "%s: input \"%s\" is no tensor (a sequence, a map, an "
				      "optional)",
				      im->model->name, name);
	if (!asked && !shape)
		return qeff_error_set(im->err, -ENODATA,
				      "%s: input \"%s\" has no shape; one must be given",
				      im->model->name, name);
	if (!qeff_graph_type_bytes((enum qeff_graph_type)info->type->tensor_type->elem_type))
		return qeff_error_set(im->err, -ENOTSUP,
				      "%s: input \"%s\" has element type %d, which no input can "
				      "have here (as a constant it may)",
				      im->model->name, name, info->type->tensor_type->elem_type);
	rank = asked ? asked->rank : (uint32_t)(shape->n_dim > 99 ? 99 : shape->n_dim);
	for (uint32_t d = 0; d < rank && rank <= QEFF_GRAPH_MAX_RANK && !ret; d++) {
		if (asked)
			dims[d] = qeff_dim_of(asked->dims[d]);
		else
			ret = input_dim(im, name, d, shape->dim[d], &dims[d]);
	}
	for (uint32_t d = 0; d < rank && rank <= QEFF_GRAPH_MAX_RANK && !ret; d++)
		if (!dims[d].symbol && dims[d].size > INT32_MAX)
			ret = qeff_error_set(im->err, -EFBIG,
					     "%s: input \"%s\": dimension %u is %lld, %d is "
					     "possible at most",
					     im->model->name, name, d, (long long)dims[d].size,
					     INT32_MAX);
	if (ret)
		return ret;
	value = qeff_graph_input(im->graph, name,
				 (enum qeff_graph_type)info->type->tensor_type->elem_type, rank,
				 dims);
	if (!value)
		return qeff_error_prefix(im->err, qeff_graph_status(im->graph, im->err), "%s",
					 im->model->name);
	return import_bind(im, scope, name, value);
}

static int add_inputs(struct importer *im, struct scope *scope)
{
	const QeffOnnx__GraphProto *graph = im->model->proto->graph;
	int ret = 0;

	for (uint32_t i = 0; i < im->options->num_values && !ret; i++) {
		const struct qeff_onnx_tensor *tensor = &im->options->values[i];
		struct qeff_value *value = import_constant(im, scope, tensor->name, tensor);

		ret = value ? import_bind(im, scope, tensor->name, value) : -EINVAL;
	}
	for (size_t i = 0; i < graph->n_input && !ret; i++) {
		const char *name = onnx_text(graph->input[i]->name);

		/* with a default: the default it is */
		if (!import_lookup(scope, name))
			ret = add_input(im, scope, graph->input[i]);
	}
	return ret;
}

/* ---- initialisers ---- */

static int add_initialiser(struct importer *im, struct scope *scope, const char *name,
			   const struct qeff_onnx_tensor *tensor)
{
	struct qeff_value *value;

	if (!scope->outer && !scope->call && asked_value(im, name))
		return 0;
	value = import_constant(im, scope, name, tensor);
	if (!value)
		return qeff_graph_status(im->graph, NULL) ? qeff_graph_status(im->graph, NULL)
							  : -ENOMEM;
	return import_bind(im, scope, name, value);
}

int import_initialisers(struct importer *im, struct scope *scope, const QeffOnnx__GraphProto *graph)
{
	struct qeff_onnx_tensor tensor;
	int ret = 0;

	for (size_t i = 0; i < graph->n_initializer && !ret; i++) {
		ret = onnx_tensor(im->model, graph->initializer[i], &tensor, im->err);
		if (!ret)
			ret = add_initialiser(im, scope, tensor.name, &tensor);
	}
	for (size_t i = 0; i < graph->n_sparse_initializer && !ret; i++) {
		ret = onnx_sparse_tensor(im->model, graph->sparse_initializer[i], &tensor, im->err);
		if (!ret)
			ret = add_initialiser(im, scope, tensor.name, &tensor);
	}
	return ret;
}

/* ---- outputs ---- */

/* @value gets the output's name, or a node that hands it on does. */
static int add_output(struct importer *im, const struct scope *scope, const char *name)
{
	struct qeff_value *value = import_lookup(scope, name), *other;
	const char *away;

	if (!value)
		return qeff_error_set(im->err, -EINVAL, "%s: nothing makes the output \"%s\"",
				      im->model->name, name);
	other = qeff_graph_find(im->graph, name);
	if (other && (other != value || value->is_initialiser)) {
		/* an alias stands for the one that the file calls so, or a constant needs a node */
		if (other->is_input)
			return qeff_error_set(im->err, -EINVAL, "%s: \"%s\" is made twice",
					      im->model->name, name);
		away = import_value_name(im, scope, name);
		if (!away)
			return import_no_memory(im);
		qeff_graph_rename(im->graph, other, away);
	}
	if (value->is_input && !strcmp(value->name, name))
		return qeff_error_set(im->err, -ENOTSUP,
				      "%s: \"%s\" is an input and an output at once",
				      im->model->name, name);
	if (value->is_input || value->is_initialiser || value->is_output)
		value = qeff_graph_node(im->graph, "Identity", name, 1, &value, 0, NULL);
	else
		qeff_graph_rename(im->graph, value, name);
	qeff_graph_output(im->graph, value);
	return qeff_graph_status(im->graph, im->err);
}

/* ---- all of it ---- */

static int run(struct importer *im)
{
	const QeffOnnx__ModelProto *proto = im->model->proto;
	struct scope scope = {
		.prefix = "",
		.opsets = proto->opset_import,
		.num_opsets = proto->n_opset_import,
	};
	int ret = add_functions(im);

	if (!ret)
		ret = settle_sizes(im);
	if (!ret)
		ret = import_initialisers(im, &scope, proto->graph);
	if (!ret)
		ret = add_inputs(im, &scope);
	if (!ret)
		ret = import_nodes(im, &scope, proto->graph->node, proto->graph->n_node);
	for (size_t i = 0; i < proto->graph->n_output && !ret; i++)
		ret = add_output(im, &scope, onnx_text(proto->graph->output[i]->name));
	onnx_names_free(&scope.names);
	if (ret)
		return ret;
	ret = qeff_graph_finish(im->graph, im->err);
	return ret ? qeff_error_prefix(im->err, ret, "%s", im->model->name) : 0;
}

int qeff_onnx_import(struct qeff_onnx_model *model, const struct qeff_onnx_import_options *options,
		     struct qeff_graph **graph, struct qeff_error *err)
{
	static const struct qeff_onnx_import_options none;
	const char *name = onnx_text(model->proto->graph->name);
	struct qeff_error own = { 0 };
	struct importer im = {
		.model = model,
		.options = options ? options : &none,
		.err = err ? err : &own,
	};
	int ret;

	*graph = NULL;
	im.graph = qeff_graph_new(*name ? name : "main");
	ret = im.graph ? run(&im) : import_no_memory(&im);
	if (ret)
		qeff_graph_free(im.graph);
	else
		*graph = im.graph;
	onnx_names_free(&im.functions);
	onnx_names_free(&im.sizes);
	onnx_names_free(&im.nibbles);
	qeff_arena_free(&im.scratch);
	free(im.constant);
	free(im.bound);
	return ret;
}
