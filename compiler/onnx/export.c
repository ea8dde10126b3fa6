/* SPDX-License-Identifier: MIT */
/*
 * Export: the graph becomes one ModelProto, built in an arena, with the functions its nodes need;
 * large initialisers go to a data file beside it. Those that are kept in fewer bytes than the graph
 * computes with are exported so, each with a node that converts it.
 */
#include "onnx/onnx.h"

#include "util/arena.h"
#include "onnx/functions.h"
#include "util/bytes.h"
#include "util/checked.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DATA_ALIGNMENT 4096
#define IR_VERSION     9

struct exporter {
	const struct qeff_graph *graph;
	struct qeff_arena arena;
	const char *directory;
	struct qeff_output *data; /* files under construction */
	uint32_t num_data;
	const struct qeff_onnx_function *functions[64];
	size_t num_functions;
	struct qeff_error *err;
};

static int out_of_memory(struct exporter *e)
{
	return qeff_error_set(e->err, -ENOMEM, "ONNX export of \"%s\": out of memory",
			      e->graph->name);
}

static char *format_u64(struct qeff_arena *arena, uint64_t value)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	return qeff_arena_copy(arena, text, (size_t)length);
}

static QeffOnnx__StringStringEntryProto *entry(struct qeff_arena *arena, const char *key,
					       const char *value)
{
	QeffOnnx__StringStringEntryProto *e = qeff_arena_alloc(arena, 1, sizeof(*e));

	if (!e)
		return NULL;
	qeff_onnx__string_string_entry_proto__init(e);
	e->key = (char *)key;
	e->value = (char *)value;
	return e;
}

/* model.onnx.data, model_1.onnx.data, ... */
static void name_data(char name[64], uint32_t number)
{
	if (number == 1)
		strcpy(name, "model.onnx.data");
	else
		snprintf(name, 64, "model_%u.onnx.data", number - 1);
}

/* Opens data files up to @number. */
static int open_data(struct exporter *e, uint32_t number)
{
	while (e->num_data < number) {
		struct qeff_output *more =
			reallocarray(e->data, e->num_data + 1u, sizeof(*e->data));
		char name[64], *path;
		int ret;

		if (!more)
			return out_of_memory(e);
		e->data = more;
		name_data(name, e->num_data + 1);
		if (asprintf(&path, "%s/%s", e->directory, name) < 0)
			return out_of_memory(e);
		ret = qeff_output_open(&e->data[e->num_data], path, e->err);
		free(path);
		if (ret)
			return ret;
		e->num_data++;
	}
	return 0;
}

/* What an initialiser is called that a node converts to the type the graph computes with. */
static const char *stored_name(struct qeff_arena *arena, const struct qeff_value *v)
{
	char *name;

	if (v->stored_type == v->type)
		return v->name;
	name = qeff_arena_alloc(arena, strlen(v->name) + sizeof(".stored"), 1);
	return name ? strcat(strcpy(name, v->name), ".stored") : NULL;
}

static int initialiser(struct exporter *e, const struct qeff_value *v, QeffOnnx__TensorProto **out)
{
	QeffOnnx__TensorProto *t = qeff_arena_alloc(&e->arena, 1, sizeof(*t));
	size_t element_bytes = qeff_graph_type_bytes(v->stored_type);
	struct qeff_output *data;
	uint64_t count, size_bytes;
	char location[64];
	int ret;

	if (!qeff_graph_shape_elements(&v->shape, &count) ||
	    !qeff_mul_u64(count, element_bytes, &size_bytes))
		return qeff_error_set(e->err, -EINVAL, "initialiser \"%s\" has no fixed size",
				      v->name);
	if (v->stored_type != v->type &&
	    (v->type != QEFF_GRAPH_F32 ||
	     (v->stored_type != QEFF_GRAPH_F16 && v->stored_type != QEFF_GRAPH_BF16)))
		return qeff_error_set(e->err, -EOPNOTSUPP,
				      "initialiser \"%s\": cannot export %s stored as %s", v->name,
				      qeff_graph_type_name(v->type),
				      qeff_graph_type_name(v->stored_type));
	if (!t)
		return out_of_memory(e);
	qeff_onnx__tensor_proto__init(t);
	t->name = (char *)stored_name(&e->arena, v);
	t->has_data_type = 1;
	t->data_type = (int32_t)v->stored_type;
	t->n_dims = v->shape.rank;
	t->dims = qeff_arena_alloc(&e->arena, QEFF_GRAPH_MAX_RANK, sizeof(*t->dims));
	if (!t->dims)
		return out_of_memory(e);
	for (uint32_t i = 0; i < v->shape.rank; i++)
		t->dims[i] = v->shape.dims[i].size;
	*out = t;

	if (!v->data_file) {
		t->has_raw_data = 1;
		t->raw_data.len = size_bytes;
		t->raw_data.data = (uint8_t *)v->data;
		return 0;
	}
	ret = open_data(e, v->data_file);
	if (ret)
		return ret;
	name_data(location, v->data_file);
	data = &e->data[v->data_file - 1];
	ret = qeff_output_align(data, DATA_ALIGNMENT, e->err);
	if (ret)
		return ret;
	t->has_data_location = 1;
	t->data_location = QEFF_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	t->external_data = qeff_arena_alloc(&e->arena, 3, sizeof(*t->external_data));
	if (!t->external_data)
		return out_of_memory(e);
	t->external_data[0] = entry(&e->arena, "location",
				    qeff_arena_copy(&e->arena, location, strlen(location)));
	t->external_data[1] = entry(&e->arena, "offset", format_u64(&e->arena, data->offset));
	t->external_data[2] = entry(&e->arena, "length", format_u64(&e->arena, size_bytes));
	t->n_external_data = 3;
	if (e->arena.failed)
		return out_of_memory(e);
	return qeff_output_write(data, v->data, size_bytes, e->err);
}

static QeffOnnx__AttributeProto *attribute(struct qeff_arena *arena,
					   const struct qeff_attribute *from)
{
	QeffOnnx__AttributeProto *a = qeff_arena_alloc(arena, 1, sizeof(*a));

	if (!a)
		return NULL;
	qeff_onnx__attribute_proto__init(a);
	a->name = (char *)from->name;
	a->has_type = 1;
	switch (from->kind) {
	case QEFF_ATTR_INT:
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
		a->has_i = 1;
		a->i = from->i;
		break;
	case QEFF_ATTR_FLOAT:
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
		a->has_f = 1;
		a->f = from->f;
		break;
	case QEFF_ATTR_STRING:
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
		a->has_s = 1;
		a->s.data = (uint8_t *)from->s;
		a->s.len = strlen(from->s);
		break;
	case QEFF_ATTR_INTS:
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
		a->n_ints = from->count;
		a->ints = (int64_t *)from->ints;
		break;
	case QEFF_ATTR_FLOATS:
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
		a->n_floats = from->count;
		a->floats = (float *)from->floats;
		break;
	}
	return a;
}

/* Remembers that a function is needed; false if there are more kinds than functions.c has rows. */
static bool need_function(struct exporter *e, const struct qeff_onnx_function *f)
{
	for (size_t i = 0; i < e->num_functions; i++)
		if (e->functions[i] == f)
			return true;
	if (e->num_functions == sizeof(e->functions) / sizeof(e->functions[0]))
		return false;
	e->functions[e->num_functions++] = f;
	return true;
}

/* A function's node carries just the attributes that the function declares. */
static bool declared(const struct qeff_onnx_function *f, const char *name)
{
	const char *at = f->attributes;
	size_t length = strlen(name);

	while ((at = strstr(at, name))) {
		if ((at == f->attributes || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
		at += length;
	}
	return false;
}

/* Attributes that a function declares must stand at each of its nodes; those of Attention default
 * to 0. */
static const struct qeff_attribute attention_defaults[] = {
	QEFF_INT("causal", 0),
	QEFF_INT("window", 0),
	QEFF_FLOAT("softcap", 0.0f),
	QEFF_INT("bias_zero", 0),
};

/* A model in half of the bytes is exported in half of the bytes. */
static QeffOnnx__NodeProto *conversion(struct exporter *e, const struct qeff_value *v)
{
	const struct qeff_attribute to = QEFF_INT("to", v->type);
	QeffOnnx__NodeProto *n = qeff_arena_alloc(&e->arena, 1, sizeof(*n));

	if (!n)
		return NULL;
	qeff_onnx__node_proto__init(n);
	n->name = (char *)v->name;
	n->op_type = (char *)"Cast";
	n->domain = (char *)"";
	n->input = qeff_arena_alloc(&e->arena, 1, sizeof(*n->input));
	n->output = qeff_arena_alloc(&e->arena, 1, sizeof(*n->output));
	n->attribute = qeff_arena_alloc(&e->arena, 1, sizeof(*n->attribute));
	if (e->arena.failed)
		return NULL;
	n->input[n->n_input++] = (char *)stored_name(&e->arena, v);
	n->output[n->n_output++] = (char *)v->name;
	n->attribute[n->n_attribute++] = attribute(&e->arena, &to);
	return n;
}

static int node(struct exporter *e, const struct qeff_node *from, QeffOnnx__NodeProto **out)
{
	QeffOnnx__NodeProto *n = qeff_arena_alloc(&e->arena, 1, sizeof(*n));
	const size_t num_defaults = sizeof(attention_defaults) / sizeof(attention_defaults[0]);
	const struct qeff_onnx_function *f = NULL;

	if (!n)
		return out_of_memory(e);
	qeff_onnx__node_proto__init(n);
	n->name = (char *)from->name;
	n->op_type = (char *)from->op_type;
	n->domain = (char *)from->domain;
	if (!strcmp(from->domain, QEFF_GRAPH_DOMAIN)) {
		f = qeff_onnx_function_for(from);
		if (!f || !need_function(e, f))
			return qeff_error_set(
				e->err, -EOPNOTSUPP,
				"node \"%s\": qeff.%s in this form has no ONNX function",
				from->name, from->op_type);
		n->op_type = (char *)f->name;
	}
	n->input = qeff_arena_alloc(&e->arena, from->num_inputs, sizeof(*n->input));
	n->output = qeff_arena_alloc(&e->arena, from->num_outputs, sizeof(*n->output));
	n->attribute = qeff_arena_alloc(&e->arena, from->num_attributes + num_defaults,
					sizeof(*n->attribute));
	if (e->arena.failed)
		return out_of_memory(e);
	for (uint32_t i = 0; i < from->num_inputs; i++)
		n->input[n->n_input++] = (char *)(from->inputs[i] ? from->inputs[i]->name : "");
	while (n->n_input && !*n->input[n->n_input - 1])
		n->n_input--;
	for (uint32_t i = 0; i < from->num_outputs; i++)
		n->output[n->n_output++] = (char *)from->outputs[i]->name;
	for (uint32_t i = 0; i < from->num_attributes; i++)
		if (!f || declared(f, from->attributes[i].name))
			n->attribute[n->n_attribute++] = attribute(&e->arena, &from->attributes[i]);
	for (size_t i = 0; f && i < num_defaults; i++)
		if (declared(f, attention_defaults[i].name) &&
		    !qeff_node_attribute(from, attention_defaults[i].name))
			n->attribute[n->n_attribute++] =
				attribute(&e->arena, &attention_defaults[i]);
	*out = n;
	return e->arena.failed ? out_of_memory(e) : 0;
}

static QeffOnnx__ValueInfoProto *value_info(struct qeff_arena *arena, const struct qeff_value *v)
{
	QeffOnnx__ValueInfoProto *info = qeff_arena_alloc(arena, 1, sizeof(*info));
	QeffOnnx__TypeProto *type = qeff_arena_alloc(arena, 1, sizeof(*type));
	QeffOnnx__TypeProto__Tensor *tensor = qeff_arena_alloc(arena, 1, sizeof(*tensor));
	QeffOnnx__TensorShapeProto *shape = qeff_arena_alloc(arena, 1, sizeof(*shape));
	QeffOnnx__TensorShapeProto__Dimension *dims =
		qeff_arena_alloc(arena, QEFF_GRAPH_MAX_RANK, sizeof(*dims));
	QeffOnnx__TensorShapeProto__Dimension **list =
		qeff_arena_alloc(arena, QEFF_GRAPH_MAX_RANK, sizeof(*list));

	if (arena->failed)
		return NULL;
	qeff_onnx__value_info_proto__init(info);
	qeff_onnx__type_proto__init(type);
	qeff_onnx__type_proto__tensor__init(tensor);
	qeff_onnx__tensor_shape_proto__init(shape);
	info->name = (char *)v->name;
	info->type = type;
	type->tensor_type = tensor;
	tensor->has_elem_type = 1;
	tensor->elem_type = (int32_t)v->type;
	tensor->shape = shape;
	shape->dim = list;
	for (; shape->n_dim < v->shape.rank; shape->n_dim++) {
		const struct qeff_dim *from = &v->shape.dims[shape->n_dim];
		QeffOnnx__TensorShapeProto__Dimension *d = &dims[shape->n_dim];

		qeff_onnx__tensor_shape_proto__dimension__init(d);
		if (from->symbol && from->size < 0) {
			d->dim_param = (char *)from->symbol;
		} else {
			d->has_dim_value = 1;
			d->dim_value = from->size;
		}
		list[shape->n_dim] = d;
	}
	return info;
}

static int fill_graph(struct exporter *e, QeffOnnx__GraphProto *g)
{
	const struct qeff_graph *graph = e->graph;
	int ret;

	g->name = (char *)graph->name;
	g->node = qeff_arena_alloc(&e->arena, (uint64_t)graph->num_nodes + graph->num_values,
				   sizeof(*g->node));
	g->initializer = qeff_arena_alloc(&e->arena, graph->num_values, sizeof(*g->initializer));
	g->input = qeff_arena_alloc(&e->arena, graph->num_inputs, sizeof(*g->input));
	g->output = qeff_arena_alloc(&e->arena, graph->num_outputs, sizeof(*g->output));
	if (e->arena.failed)
		return out_of_memory(e);
	for (uint32_t i = 0; i < graph->num_values; i++) {
		if (!graph->values[i]->is_initialiser)
			continue;
		ret = initialiser(e, graph->values[i], &g->initializer[g->n_initializer++]);
		if (ret)
			return ret;
		if (graph->values[i]->stored_type != graph->values[i]->type)
			g->node[g->n_node++] = conversion(e, graph->values[i]);
	}
	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		ret = node(e, graph->nodes[i], &g->node[g->n_node++]);
		if (ret)
			return ret;
	}
	for (uint32_t i = 0; i < graph->num_inputs; i++)
		g->input[g->n_input++] = value_info(&e->arena, graph->inputs[i]);
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		g->output[g->n_output++] = value_info(&e->arena, graph->outputs[i]);
	return e->arena.failed ? out_of_memory(e) : 0;
}

static int write_model(struct exporter *e, const char *path, const char *transforms)
{
	QeffOnnx__ModelProto model = QEFF_ONNX__MODEL_PROTO__INIT;
	QeffOnnx__GraphProto graph = QEFF_ONNX__GRAPH_PROTO__INIT;
	QeffOnnx__OperatorSetIdProto onnx = QEFF_ONNX__OPERATOR_SET_ID_PROTO__INIT;
	QeffOnnx__OperatorSetIdProto qeff = QEFF_ONNX__OPERATOR_SET_ID_PROTO__INIT;
	QeffOnnx__OperatorSetIdProto *opsets[] = { &onnx, &qeff };
	QeffOnnx__StringStringEntryProto *metadata[1];
	size_t size_bytes;
	uint8_t *packed;
	int ret = fill_graph(e, &graph);

	/* the data first: a model whose data is missing would be half a file */
	for (uint32_t i = 0; i < e->num_data; i++) {
		if (ret)
			qeff_output_abort(&e->data[i]);
		else
			ret = qeff_output_commit(&e->data[i], e->err);
	}
	free(e->data);
	if (ret)
		return ret;
	onnx.domain = (char *)"";
	onnx.has_version = qeff.has_version = 1;
	onnx.version = QEFF_GRAPH_OPSET;
	qeff.domain = (char *)QEFF_GRAPH_DOMAIN;
	qeff.version = 1;
	metadata[0] = entry(&e->arena, "qeff.transforms", transforms ? transforms : "");
	model.has_ir_version = 1;
	model.ir_version = IR_VERSION;
	model.producer_name = (char *)"qeff";
	model.producer_version = (char *)QEFF_VERSION;
	model.graph = &graph;
	model.opset_import = opsets;
	model.n_opset_import = 2;
	model.metadata_props = metadata;
	model.n_metadata_props = 1;
	model.functions = qeff_arena_alloc(&e->arena, e->num_functions, sizeof(*model.functions));
	for (; model.functions && model.n_functions < e->num_functions; model.n_functions++)
		model.functions[model.n_functions] =
			qeff_onnx_function_build(&e->arena, e->functions[model.n_functions]);
	if (e->arena.failed)
		return out_of_memory(e);

	size_bytes = qeff_onnx__model_proto__get_packed_size(&model);
	packed = malloc(size_bytes);
	if (!packed)
		return out_of_memory(e);
	qeff_onnx__model_proto__pack(&model, packed);
	ret = qeff_write_file(path, packed, size_bytes, e->err);
	free(packed);
	return ret;
}

uint32_t qeff_onnx_functions(const struct qeff_graph *graph)
{
	struct exporter e = { .graph = graph };

	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		const struct qeff_onnx_function *f =
			strcmp(graph->nodes[i]->domain, QEFF_GRAPH_DOMAIN)
				? NULL
				: qeff_onnx_function_for(graph->nodes[i]);

		if (f)
			need_function(&e, f);
	}
	return (uint32_t)e.num_functions;
}

int qeff_onnx_export(const struct qeff_graph *graph, const char *directory, const char *transforms,
		     struct qeff_error *err)
{
	struct exporter e = { .graph = graph, .directory = directory, .err = err };
	char *model_path = NULL, text[128];
	int ret;

	if (mkdir(directory, 0777) < 0 && errno != EEXIST) {
		ret = -errno;
		return qeff_error_set(err, ret, "%s: cannot make this directory: %s", directory,
				      qeff_strerror(-ret, text, sizeof(text)));
	}
	if (asprintf(&model_path, "%s/model.onnx", directory) < 0) {
		ret = out_of_memory(&e);
		goto out;
	}
	ret = write_model(&e, model_path, transforms);
out:
	qeff_arena_free(&e.arena);
	free(model_path);
	return ret;
}
