/* SPDX-License-Identifier: MIT */
/*
 * AdapterWeightsToInputs: the weights of a LoRA adapter, which PEFT calls X.ADAPTER.weight, become
 * inputs X.weight, so that an application chooses the adapter when it runs the model. Each is given
 * out again as X.weight_RetainedState, as QEfficient's applications expect.
 */
#include "onnx/edit.h"
#include "onnx/transforms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETAINED "_RetainedState"
#define ROOM	 512

/* Appends a copy of @message to @list, which has @count. */
static bool add(struct qeff_onnx_model *model, void *list, size_t *count, const void *message)
{
	void *copy = onnx_edit_copy(model, message);
	uint8_t *elements;

	if (!copy)
		return false;
	if (!onnx_make_room(model, list, *count, *count + 1, sizeof(void *))) {
		protobuf_c_message_free_unpacked(copy, &model->memory.allocator);
		return false;
	}
	memcpy(&elements, list, sizeof(elements));
	memcpy(elements + (*count)++ * sizeof(copy), &copy, sizeof(copy));
	return true;
}

/* Input @name and output @retained, shaped like @weight, and the node between them. */
static bool add_input(struct qeff_onnx_model *model, char *name, char *retained,
		      const QeffOnnx__TensorProto *weight)
{
	QeffOnnx__GraphProto *g = model->proto->graph;
	QeffOnnx__TensorShapeProto__Dimension sizes[QEFF_GRAPH_MAX_RANK];
	QeffOnnx__TensorShapeProto__Dimension *dims[QEFF_GRAPH_MAX_RANK];
	QeffOnnx__TensorShapeProto shape = QEFF_ONNX__TENSOR_SHAPE_PROTO__INIT;
	QeffOnnx__TypeProto__Tensor tensor = QEFF_ONNX__TYPE_PROTO__TENSOR__INIT;
	QeffOnnx__TypeProto type = QEFF_ONNX__TYPE_PROTO__INIT;
	QeffOnnx__ValueInfoProto info = QEFF_ONNX__VALUE_INFO_PROTO__INIT;
	QeffOnnx__NodeProto node = QEFF_ONNX__NODE_PROTO__INIT;

	for (size_t i = 0; i < weight->n_dims; i++) {
		qeff_onnx__tensor_shape_proto__dimension__init(&sizes[i]);
		sizes[i].has_dim_value = 1;
		sizes[i].dim_value = weight->dims[i];
		dims[i] = &sizes[i];
	}
	shape.dim = dims;
	shape.n_dim = weight->n_dims;
	tensor.has_elem_type = 1;
	tensor.elem_type = weight->data_type;
	tensor.shape = &shape;
	type.tensor_type = &tensor;
	info.type = &type;
	info.name = name;
	node.op_type = (char *)"Identity";
	node.name = retained;
	node.input = &name;
	node.output = &retained;
	node.n_input = node.n_output = 1;
	if (!add(model, &g->input, &g->n_input, &info))
		return false;
	info.name = retained;
	return add(model, &g->output, &g->n_output, &info) &&
	       add(model, &g->node, &g->n_node, &node);
}

struct adapter {
	struct qeff_onnx_model *model;
	const char *suffix; /* ".ADAPTER.weight" */
	struct onnx_names made, names;
	uint32_t changes;
	struct qeff_error *err;
};

/* Whether initialiser @index was a weight of the adapter. */
static int take(struct adapter *a, size_t index)
{
	struct qeff_onnx_model *model = a->model;
	const QeffOnnx__TensorProto *weight = model->proto->graph->initializer[index];
	const char *old = onnx_text(weight->name);
	size_t length = strlen(old) - strlen(a->suffix);
	char name[ROOM], retained[ROOM + sizeof(RETAINED)];
	int ret;

	if (!onnx_ends_with(old, a->suffix))
		return 0;
	if (weight->n_dims > QEFF_GRAPH_MAX_RANK || length > ROOM - sizeof(".weight"))
		return qeff_error_set(a->err, -EINVAL,
				      "%s: \"%.64s\" has a name or a shape that no input can have",
				      model->name, old);
	snprintf(name, sizeof(name), "%.*s.weight", (int)length, old);
	snprintf(retained, sizeof(retained), "%s" RETAINED, name);
	if (onnx_names_find(&a->made, retained))
		return qeff_error_set(a->err, -EINVAL, "%s: \"%s\" is there already", model->name,
				      retained);
	ret = onnx_note_name(model, &a->made, &a->names, old, name);
	if (!ret)
		return qeff_error_set(a->err, -EINVAL, "%s: \"%s\" is there already", model->name,
				      name);
	if (ret < 0 || !add_input(model, name, retained, weight))
		return onnx_edit_no_memory(model, a->err);
	a->changes++;
	return 1;
}

int qeff_onnx_adapter_weights_to_inputs(struct qeff_onnx_model *model,
					const struct qeff_onnx_transform_options *options,
					uint32_t *changes, struct qeff_error *err)
{
	struct adapter a = { .model = model, .err = err };
	char suffix[ROOM];
	int ret = onnx_made_names(model, &a.made) ? 0 : onnx_edit_no_memory(model, err);

	snprintf(suffix, sizeof(suffix), ".%s.weight", options->adapter);
	a.suffix = suffix;
	/* from the front, so that inputs have the order of the weights */
	for (size_t i = 0; i < model->proto->graph->n_initializer && ret >= 0; i++)
		ret = take(&a, i);
	/* the weights themselves go; before anything is renamed */
	for (size_t i = model->proto->graph->n_initializer; i-- && ret >= 0;)
		if (onnx_names_find(&a.names, onnx_text(model->proto->graph->initializer[i]->name)))
			onnx_remove_initialiser(model, i);
	if (ret >= 0)
		ret = onnx_rename(model, &a.names, ONNX_RENAME_ALL)
			      ? 0
			      : onnx_edit_no_memory(model, err);
	*changes = a.changes;
	onnx_names_free(&a.made);
	onnx_names_free(&a.names);
	return ret;
}
