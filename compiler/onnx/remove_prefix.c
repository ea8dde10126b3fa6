/* SPDX-License-Identifier: MIT */
/* RemovePrefix: inputs and outputs whose names exporters put paths before. */
#include "onnx/edit.h"
#include "onnx/transforms.h"

#include <string.h>

static int note(struct qeff_onnx_model *model, struct onnx_names *made, struct onnx_names *names,
		const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? onnx_note_name(model, made, names, name, slash + 1) : 0;
}

int qeff_onnx_remove_prefix(struct qeff_onnx_model *model,
			    const struct qeff_onnx_transform_options *options, uint32_t *changes,
			    struct qeff_error *err)
{
	const QeffOnnx__GraphProto *g = model->proto->graph;
	struct onnx_names made = { 0 }, names = { 0 };
	int ret = onnx_made_names(model, &made) ? 0 : -ENOMEM;

	for (size_t i = 0; i < g->n_input && ret >= 0; i++)
		ret = note(model, &made, &names, onnx_text(g->input[i]->name));
	for (size_t i = 0; i < g->n_output && ret >= 0; i++)
		ret = note(model, &made, &names, onnx_text(g->output[i]->name));
	*changes = names.count;
	if (ret >= 0)
		ret = onnx_rename(model, &names, ONNX_RENAME_ALL) ? 0 : -ENOMEM;
	onnx_names_free(&made);
	onnx_names_free(&names);
	return ret ? onnx_edit_no_memory(model, err) : 0;
}
