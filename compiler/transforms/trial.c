/* SPDX-License-Identifier: MIT */
/*
 * Trials: the nodes between a leaf and a value are rebuilt in a graph of their own, in which
 * everything is a constant, and computed one by one.
 */
#include "transforms/trial.h"

#include "graph/ops.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NODES    512
#define MAX_DEPTH    64
#define MAX_ELEMENTS (1u << 24)

/**
 * struct qeff_trial - the nodes behind a value
 * @nodes: each behind what it reads
 * @twins: by index of a value of the model's graph: the same in @graph
 * @memory: of results
 */
struct qeff_trial {
	const struct qeff_transform_options *options;
	const struct qeff_value *leaf;
	struct qeff_value *value;
	const struct qeff_node *nodes[MAX_NODES];
	uint32_t count;
	struct qeff_graph *graph;
	uint32_t num_twins;
	struct qeff_value **twins;
	void *memory[MAX_NODES];
	uint32_t num_memory;
	const void *data;
};

/* False if there is more than the leaf and constants behind @value. */
static bool collect(struct qeff_trial *t, const struct qeff_value *value, uint32_t depth)
{
	const struct qeff_node *node;

	if (!value || value == t->leaf || value->is_initialiser)
		return true;
	node = value->producer;
	if (!node || depth > MAX_DEPTH || node->num_inputs > 8 || node->num_outputs != 1)
		return false;
	for (uint32_t i = 0; i < t->count; i++)
		if (t->nodes[i] == node)
			return true;
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (!collect(t, node->inputs[i], depth + 1))
			return false;
	if (t->count == MAX_NODES)
		return false;
	t->nodes[t->count++] = node;
	return true;
}

static struct qeff_value *twin_of(struct qeff_trial *t, const struct qeff_value *value)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	bool leaf = value == t->leaf;

	if (!value)
		return NULL;
	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	if (!t->twins[value->index])
		t->twins[value->index] = qeff_graph_initialiser(
			t->graph, value->name, value->type, leaf ? value->type : value->stored_type,
			value->shape.rank, dims, leaf ? t->data : value->data);
	return t->twins[value->index];
}

static int compute(struct qeff_trial *t, const struct qeff_node *node, struct qeff_error *err)
{
	struct qeff_value *inputs[8];
	const char *name = node->outputs[0]->name;
	struct qeff_node *twin;
	uint64_t elements;
	void *data;
	int rc;

	for (uint32_t i = 0; i < node->num_inputs; i++)
		inputs[i] = twin_of(t, node->inputs[i]);
	twin = qeff_graph_node_of(t->graph, node->op->name, 1, &name, node->num_inputs, inputs,
				  node->num_attributes, node->attributes);
	if (!twin || !qeff_graph_shape_elements(&twin->outputs[0]->shape, &elements) ||
	    elements > MAX_ELEMENTS)
		return -ENOTSUP;
	data = calloc(elements + 1, qeff_graph_type_bytes(twin->outputs[0]->type));
	if (!data)
		return -ENOMEM;
	t->memory[t->num_memory++] = data;
	t->twins[node->outputs[0]->index] = twin->outputs[0];
	rc = t->options->fold(t->options->fold_user, twin, &data, err);
	if (!rc)
		qeff_graph_set_constant(t->graph, twin, (const void *const *)&data);
	return rc;
}

static void forget(struct qeff_trial *t)
{
	qeff_graph_free(t->graph);
	t->graph = NULL;
	for (uint32_t i = 0; i < t->num_memory; i++)
		free(t->memory[i]);
	t->num_memory = 0;
	memset(t->twins, 0, t->num_twins * sizeof(struct qeff_value *));
}

int qeff_trial_open(const struct qeff_graph *graph, const struct qeff_value *leaf,
		    struct qeff_value *value, const struct qeff_transform_options *options,
		    struct qeff_trial **trial, struct qeff_error *err)
{
	struct qeff_trial *t = calloc(1, sizeof(*t));
	uint64_t elements;

	*trial = NULL;
	if (!t)
		return qeff_error_set(err, -ENOMEM, "out of memory while trying what nodes do");
	t->options = options;
	t->leaf = leaf;
	t->value = value;
	if (!options->fold || !qeff_graph_shape_elements(&leaf->shape, &elements) ||
	    elements > MAX_ELEMENTS || !collect(t, value, 0)) {
		free(t);
		return 0;
	}
	t->num_twins = graph->num_values;
	t->twins = calloc(t->num_twins + 1u, sizeof(struct qeff_value *));
	*trial = t;
	if (t->twins)
		return 0;
	qeff_trial_close(t);
	*trial = NULL;
	return qeff_error_set(err, -ENOMEM, "out of memory while trying what nodes do");
}

int qeff_trial_run(struct qeff_trial *t, const void *data, const struct qeff_value **result,
		   struct qeff_error *err)
{
	int rc = 0;

	*result = NULL;
	forget(t);
	t->data = data;
	t->graph = qeff_graph_new("trial");
	if (!t->graph)
		rc = -ENOMEM;
	for (uint32_t i = 0; !rc && i < t->count; i++)
		rc = compute(t, t->nodes[i], err);
	if (!rc)
		*result = twin_of(t, t->value);
	if (rc == -ENOMEM)
		return qeff_error_set(err, rc, "out of memory while trying what nodes do");
	return 0;
}

void qeff_trial_close(struct qeff_trial *t)
{
	if (!t)
		return;
	if (t->twins)
		forget(t);
	free(t->twins);
	free(t);
}
