/* SPDX-License-Identifier: MIT */
/*
 * CustomIO: what inputs and outputs are stored as, where that is not what the precision makes them.
 * Not a rewriting: it marks values. Both names of a retained state mean the same.
 */
#include "transforms/transforms.h"

#include <string.h>

/* The input that @value stands for if it is retained state, or NULL. */
static struct qeff_value *state_of(struct qeff_value *value)
{
	if (qeff_node_is(value->producer, "qeff.CtxScatter"))
		return value->producer->inputs[0];
	for (uint32_t i = 0; value->is_input && i < value->num_users; i++)
		if (qeff_node_is(value->users[i], "qeff.CtxScatter") &&
		    value->users[i]->inputs[0] == value)
			return value;
	return NULL;
}

static int mark(struct qeff_value *value, enum qeff_graph_io io, uint32_t *count,
		struct qeff_error *err)
{
	if (value->io && value->io != io)
		return qeff_error_set(err, -EINVAL, "\"%s\" is given two precisions", value->name);
	*count += !value->io;
	value->io = io;
	return 0;
}

static int mark_named(struct qeff_graph *graph, const struct qeff_custom_io *custom,
		      uint32_t *count, struct qeff_error *err)
{
	struct qeff_value *value = qeff_graph_find(graph, custom->name), *state;

	if (!value || (!value->is_input && !value->is_output))
		return qeff_error_set(err, -EINVAL, "\"%.128s\" is no input or output",
				      custom->name);
	if (value->type == QEFF_GRAPH_I64 && custom->io == QEFF_IO_I64)
		return 0;
	if (value->type != QEFF_GRAPH_F32 || custom->io == QEFF_IO_I64)
		return qeff_error_set(
			err, -ENOTSUP,
			"\"%s\" is %s: a float is stored as floats, an integer as it is",
			value->name, qeff_graph_type_name(value->type));
	state = state_of(value);
	if (!state && custom->io == QEFF_IO_MXINT8)
		return qeff_error_set(err, -ENOTSUP,
				      "\"%s\" is no KV cache, which alone can be mxint8",
				      value->name);
	return mark(state ? state : value, custom->io, count, err);
}

int qeff_transform_custom_io(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err)
{
	uint32_t count = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < options->num_custom_io; i++)
		ret = mark_named(graph, &options->custom_io[i], &count, err);
	for (uint32_t i = 0; !ret && options->mxint8_kv_cache && i < graph->num_inputs; i++)
		if (state_of(graph->inputs[i]) == graph->inputs[i])
			ret = mark(graph->inputs[i], QEFF_IO_MXINT8, &count, err);
	if (changes)
		*changes = count;
	return ret ? ret : qeff_graph_finish(graph, err);
}
