/* SPDX-License-Identifier: MIT */
/*
 * PreserveNestedCacheRetainedState: exports whose decoder layers are functions may write the caches
 * inside the function and give out nothing of it, so that the model's outputs
 * past_key.N_RetainedState hang in the air. The function gets them as outputs, and its calls do.
 */
#include "onnx/edit.h"
#include "onnx/transforms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETAINED    "_RetainedState"
#define MAX_OUTPUTS 4096 /* of a function */

struct preserve {
	struct qeff_onnx_model *model;
	struct onnx_names made, dangling;
	struct onnx_names inputs, outputs; /* to be renamed: inputs, outputs of nodes */
	uint32_t changes;
};

/* "past_key.3" or "past_value.3", perhaps with the end that outputs have. Returns 0 for keys, 1
 * for values, -1 for neither, and where the number begins. */
static int kind_of(const char *name, const char **number)
{
	static const char *const starts[] = { "past_key.", "past_value." };

	for (int kind = 0; kind < 2; kind++) {
		size_t length = strlen(starts[kind]), digits;

		if (strncmp(name, starts[kind], length))
			continue;
		digits = strspn(name + length, "0123456789");
		if (!digits || digits > 9 ||
		    (name[length + digits] && strcmp(name + length + digits, RETAINED)))
			continue;
		*number = name + length;
		return kind;
	}
	return -1;
}

/* The two nodes of @f that write caches; false if there are more or fewer. */
static bool find_writers(const QeffOnnx__FunctionProto *f, const QeffOnnx__NodeProto *writers[2])
{
	uint32_t count = 0;

	for (size_t i = 0; i < f->n_node; i++) {
		if (strncmp(onnx_text(f->node[i]->op_type), "CtxScatter", 10) ||
		    !f->node[i]->n_output || !f->node[i]->n_input)
			continue;
		if (count < 2)
			writers[count] = f->node[i];
		count++;
	}
	return count == 2;
}

/* The cache that @writer writes, among what @node hands to @f, or NULL. */
static const char *cache_of(const QeffOnnx__FunctionProto *f, const QeffOnnx__NodeProto *node,
			    const QeffOnnx__NodeProto *writer)
{
	for (size_t i = 0; i < f->n_input && i < node->n_input; i++)
		if (!strcmp(onnx_text(f->input[i]), onnx_text(writer->input[0])))
			return onnx_text(node->input[i]);
	return NULL;
}

/* Which output of @f @name is; it becomes one if it is none. -1 when memory runs out. */
static int output_of(struct preserve *p, QeffOnnx__FunctionProto *f, const char *name)
{
	for (size_t i = 0; i < f->n_output; i++)
		if (!strcmp(onnx_text(f->output[i]), name))
			return (int)i;
	if (f->n_output >= MAX_OUTPUTS ||
	    !onnx_make_room(p->model, &f->output, f->n_output, f->n_output + 1, sizeof(char *)) ||
	    !onnx_set_text(p->model, &f->output[f->n_output], name))
		return -1;
	return (int)f->n_output++;
}

/* @node gives out @name as its output @at. */
static int give_out(struct preserve *p, QeffOnnx__NodeProto *node, size_t at, const char *name)
{
	int ret;

	if (at >= node->n_output &&
	    !onnx_make_room(p->model, &node->output, node->n_output, at + 1, sizeof(char *)))
		return -ENOMEM;
	for (; node->n_output <= at; node->n_output++)
		if (!onnx_set_text(p->model, &node->output[node->n_output], ""))
			return -ENOMEM;
	/* it may have had another name for it, which is no output's */
	if (*node->output[at]) {
		const QeffOnnx__GraphProto *g = p->model->proto->graph;

		for (size_t i = 0; i < g->n_output; i++)
			if (!strcmp(onnx_text(g->output[i]->name), node->output[at]))
				return 0;
		ret = onnx_note_name(p->model, &p->made, &p->outputs, node->output[at], name);
		p->changes += ret > 0;
		return ret < 0 ? ret : 0;
	}
	p->changes++;
	return onnx_set_text(p->model, &node->output[at], name) &&
			       onnx_names_add(&p->made, node->output[at])
		       ? 0
		       : -ENOMEM;
}

/* An input past_key.N_RetainedState is past_key.N. */
static int plain_input(struct preserve *p, const char *cache)
{
	char name[64];

	if (!onnx_ends_with(cache, RETAINED) || strlen(cache) >= sizeof(name))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(strlen(cache) - strlen(RETAINED)), cache);
	return onnx_note_name(p->model, &p->made, &p->inputs, cache, name);
}

static int preserve(struct preserve *p, QeffOnnx__NodeProto *node, QeffOnnx__FunctionProto *f)
{
	const QeffOnnx__NodeProto *writers[2];
	const char *cache[2], *number[2];
	int ret = 0;

	if (!find_writers(f, writers))
		return 0;
	for (int i = 0; i < 2; i++) {
		cache[i] = cache_of(f, node, writers[i]);
		/* keys and values of one layer */
		if (!cache[i] || kind_of(cache[i], &number[i]) < 0)
			return 0;
	}
	if (atoi(number[0]) != atoi(number[1]) ||
	    kind_of(cache[0], &number[0]) == kind_of(cache[1], &number[1]))
		return 0;
	for (int i = 0; i < 2 && ret >= 0; i++) {
		char name[64];
		int at;

		snprintf(name, sizeof(name), "past_%s.%.*s" RETAINED,
			 kind_of(cache[i], &number[i]) ? "value" : "key",
			 (int)strspn(number[i], "0123456789"), number[i]);
		if (!onnx_names_find(&p->dangling, name))
			continue;
		at = output_of(p, f, onnx_text(writers[i]->output[0]));
		ret = at < 0 ? -ENOMEM : give_out(p, node, (size_t)at, name);
		if (ret >= 0)
			ret = plain_input(p, cache[i]);
	}
	return ret < 0 ? ret : 0;
}

/* Outputs that nothing in the graph makes; an input of that name is no maker. */
static bool find_dangling(struct preserve *p)
{
	const QeffOnnx__GraphProto *g = p->model->proto->graph;
	struct onnx_names by_nodes = { 0 };
	bool good = true;

	for (size_t n = 0; n < g->n_node && good; n++)
		for (size_t i = 0; i < g->node[n]->n_output && good; i++)
			good = onnx_names_add(&by_nodes, onnx_text(g->node[n]->output[i]));
	for (size_t i = 0; i < g->n_output && good; i++) {
		const char *name = onnx_text(g->output[i]->name);

		if (onnx_ends_with(name, RETAINED) && !onnx_names_find(&by_nodes, name))
			good = onnx_names_add(&p->dangling, name);
	}
	onnx_names_free(&by_nodes);
	return good;
}

int qeff_onnx_preserve_nested_cache_retained_state(
	struct qeff_onnx_model *model, const struct qeff_onnx_transform_options *options,
	uint32_t *changes, struct qeff_error *err)
{
	const QeffOnnx__GraphProto *g = model->proto->graph;
	struct preserve p = { .model = model };
	int ret = find_dangling(&p) && onnx_made_names(model, &p.made) ? 0 : -ENOMEM;

	for (size_t n = 0; n < g->n_node && p.dangling.count && !ret; n++) {
		QeffOnnx__FunctionProto *f = onnx_called(model, g->node[n]);

		if (f)
			ret = preserve(&p, g->node[n], f);
	}
	if (!ret)
		ret = onnx_rename(model, &p.inputs, ONNX_RENAME_READ) &&
				      onnx_rename(model, &p.outputs,
						  ONNX_RENAME_READ | ONNX_RENAME_MADE)
			      ? 0
			      : -ENOMEM;
	*changes = p.changes;
	onnx_names_free(&p.made);
	onnx_names_free(&p.dangling);
	onnx_names_free(&p.inputs);
	onnx_names_free(&p.outputs);
	return ret ? onnx_edit_no_memory(model, err) : 0;
}
