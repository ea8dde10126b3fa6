/* SPDX-License-Identifier: MIT */
/*
 * Prune: what nothing reads. Exporters that run a model without its weights leave initialisers
 * behind that have a shape and no numbers, and functions that no node calls any more.
 */
#include "onnx/edit.h"
#include "onnx/transforms.h"

#include <string.h>

struct prune {
	const struct qeff_onnx_model *model;
	struct onnx_names read, called;
};

static bool note_nodes(struct prune *p, QeffOnnx__NodeProto *const *nodes, size_t count)
{
	bool good = true;

	for (size_t n = 0; n < count && good; n++) {
		struct onnx_name *called = onnx_names_add(&p->called, onnx_text(nodes[n]->op_type));

		good = called;
		for (size_t i = 0; i < nodes[n]->n_input && good; i++)
			good = onnx_names_add(&p->read, onnx_text(nodes[n]->input[i]));
		for (size_t a = 0; a < nodes[n]->n_attribute && good; a++) {
			const QeffOnnx__GraphProto *body =
				onnx_subgraph(p->model, nodes[n]->attribute[a]);

			for (size_t i = 0; body && i < body->n_output && good; i++)
				good = onnx_names_add(&p->read, onnx_text(body->output[i]->name));
			if (body && good)
				good = note_nodes(p, body->node, body->n_node);
		}
	}
	return good;
}

/* What is called somewhere; a function that only an uncalled one calls stays, and does no harm. */
static bool note_functions(struct prune *p)
{
	const QeffOnnx__ModelProto *proto = p->model->proto;
	bool good = true;

	for (size_t i = 0; i < proto->n_functions && good; i++)
		good = note_nodes(p, proto->functions[i]->node, proto->functions[i]->n_node);
	return good;
}

/* Bodies stand in a table by their attributes, so a function with some stays. */
static bool is_needed(const struct prune *p, const QeffOnnx__FunctionProto *f)
{
	for (size_t n = 0; n < f->n_node; n++)
		for (size_t a = 0; a < f->node[n]->n_attribute; a++)
			if (f->node[n]->attribute[a]->has_g)
				return true;
	return onnx_names_find(&p->called, onnx_text(f->name));
}

static uint32_t remove_functions(struct qeff_onnx_model *model, const struct prune *p)
{
	QeffOnnx__ModelProto *proto = model->proto;
	size_t total = proto->n_functions, kept = 0;

	/* first those that stay: the names that say so are borrowed from those that go, too */
	for (size_t i = 0; i < total; i++) {
		QeffOnnx__FunctionProto *f = proto->functions[i];

		if (!is_needed(p, f))
			continue;
		proto->functions[i] = proto->functions[kept];
		proto->functions[kept++] = f;
	}
	for (size_t i = kept; i < total; i++)
		qeff_onnx__function_proto__free_unpacked(proto->functions[i],
							 &model->memory.allocator);
	proto->n_functions = kept;
	return (uint32_t)(total - kept);
}

int qeff_onnx_prune(struct qeff_onnx_model *model,
		    const struct qeff_onnx_transform_options *options, uint32_t *changes,
		    struct qeff_error *err)
{
	const QeffOnnx__GraphProto *g = model->proto->graph;
	struct prune p = { .model = model };
	bool good = note_nodes(&p, g->node, g->n_node) && note_functions(&p);

	for (size_t i = 0; i < g->n_output && good; i++)
		good = onnx_names_add(&p.read, onnx_text(g->output[i]->name));
	*changes = 0;
	for (size_t i = g->n_initializer; i-- && good;)
		if (!onnx_names_find(&p.read, onnx_text(g->initializer[i]->name))) {
			onnx_remove_initialiser(model, i);
			++*changes;
		}
	if (good)
		*changes += remove_functions(model, &p);
	onnx_names_free(&p.read);
	onnx_names_free(&p.called);
	return good ? 0 : onnx_edit_no_memory(model, err);
}
