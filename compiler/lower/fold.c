/* SPDX-License-Identifier: MIT */
/* Constant folding: one node as a graph, lowered for one NSP, run in the calling thread. */
#include "lower/fold.h"

#include "graph/ops.h"
#include "lower/ir.h"
#include "nsp/host/host.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CHAIN 64 /* nodes before the one that is computed, one behind the other */

/* The program with its constants, and memory to run it in. */
struct fold {
	struct qeff_graph *graph;
	struct qeff_lowering *l;
	struct qeff_bytes constants;
	uint8_t *aligned, *ddr, *scratch;
	struct qeff_nsp_instance *instance;
};

/* ---- the graph ---- */

static int copy_node(struct qeff_graph *graph, const struct qeff_node *node, uint32_t depth,
		     struct qeff_node **copy);

/* @value in @graph: an initialiser with the same bytes, or made by a copy of its node. */
static int copy_value(struct qeff_graph *graph, const struct qeff_value *value, uint32_t depth,
		      struct qeff_value **copy)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	struct qeff_node *producer;
	int ret;

	*copy = qeff_graph_find(graph, value->name);
	if (*copy)
		return 0;
	if (value->producer) {
		ret = copy_node(graph, value->producer, depth + 1, &producer);
		*copy = qeff_graph_find(graph, value->name);
		return ret;
	}
	if (!value->is_initialiser)
		return -ENOTSUP;
	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	*copy = qeff_graph_initialiser(graph, value->name, value->type, value->stored_type,
				       value->shape.rank, dims, value->data);
	return *copy ? 0 : -ENOMEM;
}

static int copy_node(struct qeff_graph *graph, const struct qeff_node *node, uint32_t depth,
		     struct qeff_node **copy)
{
	struct qeff_value **inputs = calloc(node->num_inputs + 1u, sizeof(struct qeff_value *));
	const char **names = calloc(node->num_outputs + 1u, sizeof(*names));
	int ret = inputs && names ? 0 : -ENOMEM;

	if (depth == MAX_CHAIN)
		ret = -ENOTSUP;
	for (uint32_t i = 0; i < node->num_inputs && !ret; i++)
		if (node->inputs[i])
			ret = copy_value(graph, node->inputs[i], depth, &inputs[i]);
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++)
		names[i] = node->outputs[i]->name;
	if (!ret) {
		*copy = qeff_graph_node_of(graph, node->op->name, node->num_outputs, names,
					   node->num_inputs, inputs, node->num_attributes,
					   node->attributes);
		ret = *copy ? 0 : -ENOTSUP;
	}
	free(inputs);
	free(names);
	return ret;
}

static int make_graph(struct fold *f, const struct qeff_node *node, struct qeff_error *err)
{
	struct qeff_node *copy = NULL;
	int ret;

	f->graph = qeff_graph_new("constant");
	ret = f->graph ? copy_node(f->graph, node, 0, &copy) : -ENOMEM;
	if (ret)
		return qeff_error_set(err, ret, "node \"%s\" (%s): cannot be computed here",
				      node->name, node->op->name);
	copy->fp32 = true;
	for (uint32_t i = 0; i < copy->num_outputs; i++)
		qeff_graph_output(f->graph, copy->outputs[i]);
	return qeff_graph_finish(f->graph, err);
}

/* ---- the program ---- */

static int take(void *user, const void *data, size_t size_bytes, struct qeff_error *err)
{
	return qeff_bytes_append(user, data, size_bytes) ? 0 : lower_no_memory(err);
}

static void *zeros(uint64_t bytes)
{
	uint64_t whole = (bytes + 4095) / 4096 * 4096 + 4096;
	void *at = whole > bytes ? aligned_alloc(4096, whole) : NULL;

	return at ? memset(at, 0, whole) : NULL;
}

static int run(struct fold *f, const struct qeff_node *node, struct qeff_error *err)
{
	struct qeff_nsp_program program;
	enum qeff_nsp_fault fault;
	int ret;

	f->aligned = zeros(f->constants.size_bytes);
	if (!f->aligned)
		return lower_no_memory(err);
	memcpy(f->aligned, f->constants.data, f->constants.size_bytes);
	ret = qeff_nsp_host_validate(f->aligned, f->constants.size_bytes, "constant", &program,
				     err);
	if (ret)
		return ret;
	f->ddr = zeros(program.header->ddr_bytes);
	f->scratch = zeros(program.header->scratch_bytes);
	f->instance = zeros(qeff_nsp_instance_bytes(&program));
	if (!f->ddr || !f->scratch || !f->instance)
		return lower_no_memory(err);
	qeff_nsp_instance_init(f->instance, &program, qeff_nsp_host_kernels(NULL), f->ddr);
	fault = qeff_nsp_host_run(f->instance, f->scratch, NULL);
	if (fault)
		return qeff_error_set(err, -EINVAL,
				      "node \"%s\" (%s): fails on its constants (fault %d)",
				      node->name, node->op->name, fault);
	return 0;
}

/* Each output from where the application would read it. */
static int read_outputs(const struct fold *f, const struct qeff_node *node, void *const *outputs,
			struct qeff_error *err)
{
	for (uint32_t i = 0; i < node->num_outputs; i++) {
		const struct qeff_value *value = node->outputs[i];
		uint32_t b = 0;
		uint64_t elements;

		while (b < f->l->num_bindings && strcmp(f->l->bindings[b].name, value->name))
			b++;
		if (b == f->l->num_bindings ||
		    !qeff_graph_shape_elements(&value->shape, &elements) ||
		    qeff_lower_binding_bytes(f->l, 0, b) !=
			    elements * qeff_graph_type_bytes(value->type))
			return qeff_error_set(err, -ENOTSUP,
					      "node \"%s\" (%s): output %u is stored in another "
					      "form",
					      node->name, node->op->name, i);
		memcpy(outputs[i], f->ddr + f->l->bindings[b].offset,
		       qeff_lower_binding_bytes(f->l, 0, b));
	}
	return 0;
}

int qeff_lower_fold(void *user, const struct qeff_node *node, void *const *outputs,
		    struct qeff_error *err)
{
	const struct qeff_lower_options options = { .num_nsps = 1 };
	struct fold f = { 0 };
	const struct qeff_lower_sink sink = { .write = take, .user = &f.constants };
	int ret = make_graph(&f, node, err);

	if (!ret)
		ret = qeff_lower((const struct qeff_graph *const *)&f.graph, 1, &options, &f.l,
				 err);
	if (!ret)
		ret = qeff_lower_emit(f.l, &sink, err);
	if (!ret)
		ret = run(&f, node, err);
	if (!ret)
		ret = read_outputs(&f, node, outputs, err);
	free(f.aligned);
	free(f.ddr);
	free(f.scratch);
	free(f.instance);
	qeff_bytes_free(&f.constants);
	qeff_lowering_free(f.l);
	qeff_graph_free(f.graph);
	return ret;
}
