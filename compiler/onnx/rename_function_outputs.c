/* SPDX-License-Identifier: MIT */
/*
 * RenameFunctionOutputs: exports whose decoder layers are functions call what a layer keeps
 * *_InternalRetainedState; an application asks for past_key.N_RetainedState.
 */
#include "onnx/edit.h"
#include "onnx/transforms.h"

#include <stdio.h>
#include <string.h>

#define INTERNAL "_InternalRetainedState"
#define RETAINED "_RetainedState"
#define ROOM	 256

static bool is_layer(const char *name)
{
	return strstr(name, "DecoderLayer") || strstr(name, "Block") || strstr(name, "Layer");
}

/* The public name of @output of the call in layer @layer, which the function calls @inner; false
 * if there is none. */
static bool public_name(const char *output, const char *inner, uint32_t layer, char name[ROOM])
{
	static const char *const tokens[] = { "past_key.", "past_value.", "compressed_kv.",
					      "k_pe." };
	const char *end = strstr(inner, INTERNAL), *infix;
	int length = 0;

	if (onnx_ends_with(output, INTERNAL)) {
		length = snprintf(name, ROOM, "%.*s" RETAINED,
				  (int)(strlen(output) - strlen(INTERNAL)), output);
		return length < ROOM;
	}
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		if (strncmp(inner, tokens[i], strlen(tokens[i])))
			continue;
		/* "past_key.0_prefix": what stands between the number and the end stays */
		infix = strchr(inner + strlen(tokens[i]), '_');
		if (!infix || infix > end)
			infix = end;
		length = snprintf(name, ROOM, "%s%u%.*s" RETAINED, tokens[i], layer,
				  (int)(end - infix), infix);
		return length < ROOM;
	}
	return false;
}

int qeff_onnx_rename_function_outputs(struct qeff_onnx_model *model,
				      const struct qeff_onnx_transform_options *options,
				      uint32_t *changes, struct qeff_error *err)
{
	const QeffOnnx__GraphProto *g = model->proto->graph;
	struct onnx_names made = { 0 }, names = { 0 };
	int ret = onnx_made_names(model, &made) ? 0 : -ENOMEM;
	uint32_t layer = 0;

	for (size_t n = 0; n < g->n_node && model->proto->n_functions && ret >= 0; n++) {
		const QeffOnnx__NodeProto *node = g->node[n];
		const QeffOnnx__FunctionProto *f = NULL;
		char name[ROOM];

		if (is_layer(onnx_text(node->name)) || is_layer(onnx_text(node->op_type)))
			f = onnx_called(model, node);
		for (size_t i = 0; f && i < f->n_output && i < node->n_output && ret >= 0; i++) {
			const char *output = onnx_text(node->output[i]);

			if (*output && strstr(onnx_text(f->output[i]), INTERNAL) &&
			    public_name(output, f->output[i], layer, name))
				ret = onnx_note_name(model, &made, &names, output, name);
		}
		layer += f != NULL;
	}
	*changes = names.count;
	if (ret >= 0)
		ret = onnx_rename(model, &names, ONNX_RENAME_ALL) ? 0 : -ENOMEM;
	onnx_names_free(&made);
	onnx_names_free(&names);
	return ret ? onnx_edit_no_memory(model, err) : 0;
}
