/* SPDX-License-Identifier: MIT */
/*
 * Inputs and outputs of the graphs: what crosses the bus, and what stays on the card as retained
 * state. All specialisations must agree on names, types and state; only sizes differ.
 */
#include "lower/dense.h"
#include "nsp/mx.h"

#include <stdlib.h>
#include <string.h>

/* Whether @node makes of its input 0 what that is from now on. */
static bool updates_state(const struct qeff_node *node)
{
	return qeff_node_is(node, "qeff.CtxScatter") || qeff_node_is(node, "qeff.Mark");
}

static const struct qeff_node *update_of(const struct qeff_value *cache)
{
	for (uint32_t i = 0; i < cache->num_users; i++)
		if (updates_state(cache->users[i]) && qeff_node_input(cache->users[i], 0) == cache)
			return cache->users[i];
	return NULL;
}

static uint32_t find_state(const struct qeff_lowering *l, const char *name)
{
	for (uint32_t i = 0; i < l->num_states; i++)
		if (!strcmp(l->states[i].name, name))
			return i;
	return LOWER_NONE;
}

/* The state that a graph input or output stands for, or LOWER_NONE. */
static uint32_t state_of(const struct qeff_lowering *l, const struct qeff_value *value,
			 bool is_output)
{
	if (is_output) {
		if (!updates_state(value->producer))
			return LOWER_NONE;
		value = qeff_node_input(value->producer, 0);
	}
	return find_state(l, value->name);
}

static int element_type(const struct qeff_value *value, uint8_t *type, struct qeff_error *err)
{
	switch (value->type) {
	case QEFF_GRAPH_F32:
		*type = value->io == QEFF_IO_F16 ? QEFF_NSP_F16 : QEFF_NSP_F32;
		return 0;
	case QEFF_GRAPH_I64:
		*type = QEFF_NSP_I64;
		return 0;
	case QEFF_GRAPH_I8:
		*type = QEFF_NSP_I8;
		return 0;
	default:
		*type = dense_type(value->type);
		return 0;
	}
}

uint64_t qeff_lower_binding_bytes(const struct qeff_lowering *l, uint32_t spec, uint32_t binding)
{
	const struct lower_binding *b = &l->bindings[binding];
	uint64_t bytes = lower_type_bytes(b->type);

	for (uint32_t i = 0; i < b->rank; i++)
		bytes *= (uint64_t)b->dims[spec][i];
	return bytes;
}

/* A flag for each token of a vocabulary: a row of each slot. */
static int add_flags(struct qeff_lowering *l, const struct qeff_value *value,
		     struct qeff_error *err)
{
	const struct qeff_dim *dims = value->shape.dims;
	struct lower_state *state;
	uint64_t elements;

	if (!qeff_graph_shape_elements(&value->shape, &elements) || dims[0].size > UINT32_MAX ||
	    dims[1].size > QEFF_NSP_MAX_WIDTH || elements > LOWER_MAX_STATE_BYTES)
		return qeff_error_set(err, -EFBIG, "%s: retained state is too large", value->name);
	state = LOWER_GROW(l->states, l->num_states);
	if (!state)
		return lower_no_memory(err);
	*state = (struct lower_state){
		.name = value->name,
		.slots = (uint32_t)dims[0].size,
		.heads = 1,
		.positions = 1,
		.dim = (uint32_t)dims[1].size,
		.type = QEFF_NSP_BOOL,
		.row_bytes = (uint32_t)dims[1].size,
		.bytes = elements,
	};
	return 0;
}

static int add_state(struct qeff_lowering *l, const struct qeff_value *value,
		     struct qeff_error *err)
{
	const struct qeff_dim *dims = value->shape.dims;
	bool full = value->io ? value->io == QEFF_IO_F32
			      : l->precision == QEFF_LOWER_FP32 || update_of(value)->fp32;
	struct lower_state *state;
	uint64_t elements;

	if (qeff_node_is(update_of(value), "qeff.Mark"))
		return add_flags(l, value, err);
	if (value->shape.rank != 4 || value->type != QEFF_GRAPH_F32)
		return qeff_error_set(
			err, -ENOTSUP,
			"%s: retained state is float32 [slots, heads, positions, dim]",
			value->name);
	if (!qeff_graph_shape_elements(&value->shape, &elements) || dims[0].size > UINT32_MAX ||
	    dims[1].size > UINT32_MAX || dims[2].size > QEFF_NSP_MAX_ROWS ||
	    dims[3].size > QEFF_NSP_MAX_WIDTH ||
	    (uint64_t)dims[2].size * (uint64_t)dims[3].size * 4 > UINT32_MAX ||
	    elements > LOWER_MAX_STATE_BYTES / 4)
		return qeff_error_set(err, -EFBIG, "%s: retained state is too large", value->name);
	state = LOWER_GROW(l->states, l->num_states);
	if (!state)
		return lower_no_memory(err);
	state->name = value->name;
	state->slots = (uint32_t)dims[0].size;
	state->heads = (uint32_t)dims[1].size;
	state->positions = (uint32_t)dims[2].size;
	state->dim = (uint32_t)dims[3].size;
	state->type = value->io == QEFF_IO_MXINT8 ? QEFF_NSP_MXINT8
		      : full			  ? QEFF_NSP_F32
						  : QEFF_NSP_F16;
	state->row_bytes = state->type == QEFF_NSP_MXINT8
				   ? (uint32_t)qeff_mxint8_row_bytes(state->dim)
				   : state->dim * (full ? 4 : 2);
	state->bytes = elements / state->dim * state->row_bytes;
	return 0;
}

static int add_binding(struct qeff_lowering *l, const struct qeff_value *value, bool is_output,
		       struct qeff_error *err)
{
	struct lower_binding *binding;
	uint8_t type = QEFF_NSP_F32;
	int rc = element_type(value, &type, err);

	if (rc)
		return rc;
	if (value->shape.rank > LOWER_MAX_RANK)
		return qeff_error_set(err, -ENOTSUP, "%s: rank %u is more than %d", value->name,
				      value->shape.rank, LOWER_MAX_RANK);
	if (!is_output && update_of(value) && (rc = add_state(l, value, err)))
		return rc;
	binding = LOWER_GROW(l->bindings, l->num_bindings);
	if (!binding)
		return lower_no_memory(err);
	binding->dims = calloc(l->num_specs, sizeof(*binding->dims));
	if (!binding->dims)
		return lower_no_memory(err);
	binding->name = value->name;
	binding->type = type;
	binding->is_output = is_output;
	binding->rank = value->shape.rank;
	binding->state = state_of(l, value, is_output);
	return 0;
}

/* Takes the shape that @value has in specialisation @spec. */
static int add_shape(struct qeff_lowering *l, struct lower_binding *binding, uint32_t spec,
		     const struct qeff_value *value, struct qeff_error *err)
{
	uint64_t elements;

	if (strcmp(value->name, binding->name) || value->shape.rank != binding->rank ||
	    state_of(l, value, binding->is_output) != binding->state)
		return qeff_error_set(err, -EINVAL,
				      "specialisation %u has %s where the first one has %s", spec,
				      value->name, binding->name);
	if (!qeff_graph_shape_elements(&value->shape, &elements))
		return qeff_error_set(err, -EINVAL,
				      "%s: its shape is not bound in specialisation %u",
				      value->name, spec);
	elements *= lower_type_bytes(binding->type);
	for (uint32_t i = 0; i < binding->rank; i++) {
		if (value->shape.dims[i].size > LOWER_MAX_DIM)
			return qeff_error_set(err, -EFBIG,
					      "%s: dimension %u is %lld, %d is possible at most",
					      value->name, i, (long long)value->shape.dims[i].size,
					      LOWER_MAX_DIM);
		binding->dims[spec][i] = value->shape.dims[i].size;
		if (binding->state != LOWER_NONE && binding->dims[spec][i] != binding->dims[0][i])
			return qeff_error_set(
				err, -EINVAL,
				"%s: retained state has one shape, but it is %lld in "
				"dimension %u of specialisation %u and %lld in the first",
				binding->name, (long long)binding->dims[spec][i], i, spec,
				(long long)binding->dims[0][i]);
	}
	if (elements > binding->bytes)
		binding->bytes = elements;
	return 0;
}

int qeff_lower_bindings(struct qeff_lowering *l, const struct qeff_graph *const *graphs,
			struct qeff_error *err)
{
	const struct qeff_graph *first = graphs[0];
	int rc = 0;

	for (uint32_t i = 0; !rc && i < first->num_inputs; i++)
		rc = add_binding(l, first->inputs[i], false, err);
	l->num_inputs = l->num_bindings;
	for (uint32_t i = 0; !rc && i < first->num_outputs; i++)
		rc = add_binding(l, first->outputs[i], true, err);
	for (uint32_t s = 0; !rc && s < l->num_specs; s++) {
		const struct qeff_graph *graph = graphs[s];

		if (graph->num_inputs != first->num_inputs ||
		    graph->num_outputs != first->num_outputs)
			return qeff_error_set(err, -EINVAL,
					      "specialisation %u has %u inputs and %u outputs, the "
					      "first one %u and %u",
					      s, graph->num_inputs, graph->num_outputs,
					      first->num_inputs, first->num_outputs);
		for (uint32_t i = 0; !rc && i < l->num_bindings; i++)
			rc = add_shape(l, &l->bindings[i], s,
				       i < l->num_inputs ? graph->inputs[i]
							 : graph->outputs[i - l->num_inputs],
				       err);
	}
	return rc;
}
