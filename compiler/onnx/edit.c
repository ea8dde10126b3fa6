/* SPDX-License-Identifier: MIT */
/* Changing a model's message in place: names, lists, what refers to what. */
#include "onnx/edit.h"

#include <string.h>

int onnx_edit_no_memory(const struct qeff_onnx_model *model, struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM,
			      "%s: out of memory, or of what a file of its size may "
			      "take",
			      model->name);
}

static void *allocate(struct qeff_onnx_model *model, size_t size_bytes)
{
	ProtobufCAllocator *a = &model->memory.allocator;
	void *at = a->alloc(a->allocator_data, size_bytes);

	return at ? memset(at, 0, size_bytes) : NULL;
}

static void release(struct qeff_onnx_model *model, void *at)
{
	ProtobufCAllocator *a = &model->memory.allocator;

	a->free(a->allocator_data, at);
}

bool onnx_set_text(struct qeff_onnx_model *model, char **field, const char *text)
{
	size_t size_bytes = strlen(text) + 1;
	char *copy = allocate(model, size_bytes);

	if (!copy)
		return false;
	memcpy(copy, text, size_bytes);
	if (*field)
		release(model, *field);
	*field = copy;
	return true;
}

void *onnx_edit_copy(struct qeff_onnx_model *model, const void *message)
{
	const ProtobufCMessage *m = message;
	size_t size_bytes = protobuf_c_message_get_packed_size(m);
	uint8_t *packed = qeff_arena_alloc(&model->arena, 1, size_bytes + 1);

	if (!packed)
		return NULL;
	protobuf_c_message_pack(m, packed);
	return protobuf_c_message_unpack(m->descriptor, &model->memory.allocator, size_bytes,
					 packed);
}

/* @list is a pointer to a pointer of any type: it is read and written as bytes. */
bool onnx_make_room(struct qeff_onnx_model *model, void *list, size_t count, size_t room,
		    size_t size_bytes)
{
	void *old, *more = allocate(model, room * size_bytes);

	if (!more)
		return false;
	memcpy(&old, list, sizeof(old));
	if (count)
		memcpy(more, old, count * size_bytes);
	if (old)
		release(model, old);
	memcpy(list, &more, sizeof(more));
	return true;
}

bool onnx_made_names(const struct qeff_onnx_model *model, struct onnx_names *names)
{
	const QeffOnnx__GraphProto *g = model->proto->graph;
	bool good = true;

	for (size_t i = 0; i < g->n_input && good; i++)
		good = onnx_names_add(names, onnx_text(g->input[i]->name));
	for (size_t i = 0; i < g->n_initializer && good; i++)
		good = onnx_names_add(names, onnx_text(g->initializer[i]->name));
	for (size_t n = 0; n < g->n_node && good; n++)
		for (size_t i = 0; i < g->node[n]->n_output && good; i++)
			good = onnx_names_add(names, onnx_text(g->node[n]->output[i]));
	return good;
}

int onnx_note_name(struct qeff_onnx_model *model, struct onnx_names *made, struct onnx_names *names,
		   const char *from, const char *to)
{
	struct onnx_name *entry;

	if (!*to || !strcmp(from, to) || onnx_names_find(made, to) || onnx_names_find(names, from))
		return 0;
	from = qeff_arena_copy(&model->arena, from, strlen(from));
	to = qeff_arena_copy(&model->arena, to, strlen(to));
	entry = from && to && onnx_names_add(made, to) ? onnx_names_add(names, from) : NULL;
	if (!entry)
		return -ENOMEM;
	entry->u.text = to;
	return 1;
}

static bool rename_one(struct qeff_onnx_model *model, const struct onnx_names *names, char **field)
{
	const struct onnx_name *entry = onnx_names_find(names, onnx_text(*field));

	return !entry || onnx_set_text(model, field, entry->u.text);
}

static bool rename_nodes(struct qeff_onnx_model *model, const struct onnx_names *names,
			 QeffOnnx__NodeProto **nodes, size_t count, int where)
{
	bool good = true;

	for (size_t n = 0; n < count && good; n++) {
		for (size_t i = 0; where & ONNX_RENAME_READ && i < nodes[n]->n_input && good; i++)
			good = rename_one(model, names, &nodes[n]->input[i]);
		for (size_t i = 0; where & ONNX_RENAME_MADE && i < nodes[n]->n_output && good; i++)
			good = rename_one(model, names, &nodes[n]->output[i]);
		for (size_t a = 0; a < nodes[n]->n_attribute && good; a++) {
			/* as deep as unpacking allowed */
			const QeffOnnx__GraphProto *body =
				onnx_subgraph(model, nodes[n]->attribute[a]);

			for (size_t i = 0; body && i < body->n_output && good; i++)
				good = rename_one(model, names, &body->output[i]->name);
			if (body && good)
				good = rename_nodes(model, names, body->node, body->n_node, where);
		}
	}
	return good;
}

bool onnx_rename(struct qeff_onnx_model *model, const struct onnx_names *names, int where)
{
	QeffOnnx__GraphProto *g = model->proto->graph;
	bool good = !names->count || rename_nodes(model, names, g->node, g->n_node, where);

	for (size_t i = 0; where & ONNX_RENAME_READ && i < g->n_input && good; i++)
		good = rename_one(model, names, &g->input[i]->name);
	for (size_t i = 0; where & ONNX_RENAME_READ && i < g->n_initializer && good; i++)
		good = rename_one(model, names, &g->initializer[i]->name);
	for (size_t i = 0; where & ONNX_RENAME_OUTPUTS && i < g->n_output && good; i++)
		good = rename_one(model, names, &g->output[i]->name);
	return good;
}

void onnx_remove_initialiser(struct qeff_onnx_model *model, size_t index)
{
	QeffOnnx__GraphProto *g = model->proto->graph;
	QeffOnnx__TensorProto *tensor = g->initializer[index];

	for (uint32_t i = 0; i < model->raws.count; i++)
		if (model->raws.list[i].tensor == tensor) {
			tensor->raw_data = (ProtobufCBinaryData){ 0 };
			model->raws.list[i].tensor = NULL;
		}
	qeff_onnx__tensor_proto__free_unpacked(tensor, &model->memory.allocator);
	g->n_initializer--;
	memmove(&g->initializer[index], &g->initializer[index + 1],
		(g->n_initializer - index) * sizeof(QeffOnnx__TensorProto *));
}

QeffOnnx__FunctionProto *onnx_called(const struct qeff_onnx_model *model,
				     const QeffOnnx__NodeProto *node)
{
	const QeffOnnx__ModelProto *proto = model->proto;

	for (size_t i = 0; i < proto->n_functions; i++)
		if (!strcmp(onnx_text(proto->functions[i]->name), onnx_text(node->op_type)) &&
		    !strcmp(onnx_text(proto->functions[i]->domain), onnx_text(node->domain)))
			return proto->functions[i];
	return NULL;
}
