/* SPDX-License-Identifier: MIT */
/*
 * FoldConstants: what is made of weights alone is computed here, once, in fp32: the keys and
 * queries that DeBERTa makes of its embeddings of distances. A weight that is merely turned stays
 * as it is: lowering looks through that.
 */
#include "transforms/transforms.h"

#include "nsp/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8  /* of nodes one behind the other */
#define COLUMNS	  16 /* that are summed at a time */

static bool storage(const struct qeff_value *value, enum qeff_nsp_type *type)
{
	*type = value->stored_type == QEFF_GRAPH_F32   ? QEFF_NSP_F32
		: value->stored_type == QEFF_GRAPH_F16 ? QEFF_NSP_F16
						       : QEFF_NSP_BF16;
	return value->is_initialiser && value->type == QEFF_GRAPH_F32 &&
	       (value->stored_type == QEFF_GRAPH_F32 || value->stored_type == QEFF_GRAPH_F16 ||
		value->stored_type == QEFF_GRAPH_BF16);
}

static int64_t columns_of(const struct qeff_value *value)
{
	return value->shape.rank ? value->shape.dims[value->shape.rank - 1].size : 1;
}

/* x [rows, W] and vectors of W, or two matrices. */
static bool is_computable(const struct qeff_node *node)
{
	const struct qeff_value *a = qeff_node_input(node, 0), *b = qeff_node_input(node, 1);

	if (qeff_node_is(node, "LayerNormalization"))
		return a->shape.rank == 2;
	if (qeff_node_is(node, "MatMul"))
		return a->shape.rank == 2 && b->shape.rank == 2;
	if (qeff_node_is(node, "Add"))
		return a->shape.rank == 2 && b->shape.rank == 1;
	return false;
}

static bool is_turned(const struct qeff_node *node)
{
	const struct qeff_attribute *perm = qeff_node_attribute(node, "perm");

	return qeff_node_is(node, "Transpose") && node->inputs[0]->shape.rank == 2 &&
	       (!perm || perm->ints[0] == 1);
}

static bool is_constant(const struct qeff_value *value, int depth)
{
	const struct qeff_node *node = value->producer;
	enum qeff_nsp_type type;

	if (!node || depth > MAX_DEPTH)
		return storage(value, &type);
	if (!is_computable(node) && !is_turned(node))
		return false;
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (node->inputs[i] && !is_constant(node->inputs[i], depth + 1))
			return false;
	return true;
}

static void multiply(float *y, const float *a, const float *b, size_t rows, size_t inputs,
		     size_t columns)
{
	for (size_t row = 0; row < rows; row++)
		for (size_t c = 0; c < columns; c += COLUMNS) {
			size_t count = columns - c < COLUMNS ? columns - c : COLUMNS;
			float sum[COLUMNS] = { 0 };

			for (size_t k = 0; k < inputs; k++) {
				const float *from = b + k * columns + c;
				float factor = a[row * inputs + k];

				if (count == COLUMNS)
					for (size_t i = 0; i < COLUMNS; i++)
						sum[i] += factor * from[i];
				else
					for (size_t i = 0; i < count; i++)
						sum[i] += factor * from[i];
			}
			memcpy(y + row * columns + c, sum, count * sizeof(*sum));
		}
}

static void normalise(float *y, const float *x, const float *weight, const float *bias, size_t rows,
		      size_t columns, float epsilon)
{
	for (size_t row = 0; row < rows; row++, x += columns, y += columns) {
		double mean = 0, square = 0;

		for (size_t i = 0; i < columns; i++)
			mean += x[i];
		mean /= (double)columns;
		for (size_t i = 0; i < columns; i++)
			square += (x[i] - mean) * (x[i] - mean);
		square = sqrt(square / (double)columns + epsilon);
		for (size_t i = 0; i < columns; i++)
			y[i] = (float)((x[i] - mean) / square) * weight[i] + (bias ? bias[i] : 0);
	}
}

static float *compute(const struct qeff_value *value, uint64_t elements);

static void compute_node(float *y, const struct qeff_value *value, float *const *in)
{
	const struct qeff_node *node = value->producer;
	size_t columns = (size_t)columns_of(value), rows = (size_t)value->shape.dims[0].size;

	if (qeff_node_is(node, "MatMul"))
		multiply(y, in[0], in[1], rows, (size_t)columns_of(node->inputs[0]), columns);
	else if (qeff_node_is(node, "LayerNormalization"))
		normalise(y, in[0], in[1], in[2], rows, columns,
			  qeff_node_float(node, "epsilon", 1e-5f));
	else
		for (size_t i = 0; i < rows * columns; i++)
			y[i] = qeff_node_is(node, "Add") ? in[0][i] + in[1][i % columns]
							 : in[0][i % columns * rows + i / columns];
}

/* The numbers of a constant; NULL when memory runs out. */
static float *compute(const struct qeff_value *value, uint64_t elements)
{
	float *y = calloc(elements, sizeof(*y)), *in[3] = { NULL };
	const struct qeff_node *node = value->producer;
	enum qeff_nsp_type type;
	bool failed = !y;

	if (!failed && !node) {
		storage(value, &type);
		for (uint64_t i = 0; i < elements; i++)
			y[i] = qeff_nsp_load((const uint8_t *)value->data +
						     i * qeff_graph_type_bytes(value->stored_type),
					     type);
		return y;
	}
	for (uint32_t i = 0; i < 3 && !failed; i++) {
		const struct qeff_value *input = qeff_node_input(node, i);

		if (input && qeff_graph_shape_elements(&input->shape, &elements)) {
			in[i] = compute(input, elements);
			failed = !in[i];
		}
	}
	if (!failed)
		compute_node(y, value, in);
	for (int i = 0; i < 3; i++)
		free(in[i]);
	if (failed)
		free(y);
	return failed ? NULL : y;
}

/* Whether somebody reads it who is not constant himself. */
static bool is_wanted(const struct qeff_value *value)
{
	bool wanted = value->is_output;

	for (uint32_t i = 0; i < value->num_users; i++)
		wanted = wanted || !is_constant(value->users[i]->outputs[0], 0);
	return wanted;
}

static int fold(struct qeff_graph *graph, struct qeff_value *value, struct qeff_error *err)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *constant;
	uint64_t elements;
	char *name = NULL;
	float *numbers;
	void *data;

	if (!qeff_graph_shape_elements(&value->shape, &elements) ||
	    asprintf(&name, "%s/folded", value->name) < 0)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	numbers = compute(value, elements);
	constant = qeff_graph_constant(graph, name, QEFF_GRAPH_F32, value->shape.rank, dims, &data);
	free(name);
	if (numbers && constant) {
		memcpy(data, numbers, elements * sizeof(*numbers));
		qeff_graph_replace_uses(graph, value, constant);
	}
	free(numbers);
	return numbers && constant ? 0 : qeff_error_set(err, -ENOMEM, "out of memory");
}

int qeff_transform_fold_constants(struct qeff_graph *graph,
				  const struct qeff_transform_options *options, uint32_t *changes,
				  struct qeff_error *err)
{
	uint32_t found = 0;
	int rc;

	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		struct qeff_value *value = graph->nodes[i]->outputs[0];

		if (!is_computable(graph->nodes[i]) || !is_constant(value, 0) || !is_wanted(value))
			continue;
		rc = fold(graph, value, err);
		if (rc)
			return rc;
		found++;
	}
	if (changes)
		*changes = found;
	return qeff_graph_finish(graph, err);
}
