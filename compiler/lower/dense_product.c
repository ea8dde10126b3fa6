/* SPDX-License-Identifier: MIT */
/*
 * Products of dense tensors and weights: a MATMUL over packed panels as rows have it, so that what
 * no fast path takes is not slow where it matters. Every row of the dense tensor is one of its
 * rows.
 */
#include "lower/dense.h"

/* As rows of @columns numbers side by side; false if they do not lie like that. */
static bool as_rows(const struct dense_view *view, int64_t columns, struct dense_view *rows)
{
	const int64_t size[] = { (int64_t)dense_elements(view) / columns, columns };

	*rows = *view;
	return dense_reshape(rows, 2, size) && (columns == 1 || rows->stride[1] == 1) &&
	       rows->stride[0] >= 0 && size[0] <= QEFF_NSP_MAX_ROWS &&
	       rows->stride[0] * lower_type_bytes(view->type) <= UINT32_MAX;
}

static bool is_float(uint8_t type)
{
	return type == QEFF_NSP_F32 || type == QEFF_NSP_F16 || type == QEFF_NSP_BF16;
}

static bool is_vector_of(const struct qeff_value *value, int64_t elements)
{
	uint64_t count;

	return qeff_select_is_float(value) && qeff_graph_shape_elements(&value->shape, &count) &&
	       (int64_t)count == elements &&
	       qeff_select_dim(value, value->shape.rank - 1) == elements;
}

int dense_product(struct select *s, const struct qeff_node *node, const struct dense_view *x,
		  const struct qeff_value *weight, bool transposed, const struct qeff_value *bias,
		  uint8_t function, const struct dense_view *out)
{
	int64_t inputs = 1, outputs = qeff_select_dim(weight, transposed);
	struct dense_view from, to;
	const struct lower_weight *w;
	struct lower_op *op;
	int rc;

	for (uint32_t i = 0; i < weight->shape.rank; i++)
		inputs *= i == transposed ? 1 : qeff_select_dim(weight, i);
	if (weight->shape.rank < 2 || (weight->shape.rank > 2 && !weight->is_initialiser) ||
	    !qeff_select_is_float(weight) || !is_float(x->type) || !is_float(out->type) ||
	    !as_rows(x, inputs, &from) || !as_rows(out, outputs, &to) ||
	    (bias && !is_vector_of(bias, outputs)))
		return 1;
	op = qeff_select_op(s, node, QEFF_NSP_MATMUL, QEFF_NSP_ROWS_STATIC);
	if (!op)
		return -ENOMEM;
	op->nsp.rows = (uint32_t)from.size[0];
	rc = qeff_select_weight(s, node, weight, transposed, false, &op->weight);
	if (!rc && bias)
		rc = qeff_select_table(s, node, bias, 1, (uint32_t)outputs, &op->in[1]);
	if (rc)
		return rc;
	w = &s->l->weights[op->weight];
	op->nsp.u.matmul = (struct qeff_nsp_matmul_params){
		.inputs = w->inputs,
		.outputs = w->outputs,
		.scale_group = w->scale_group,
		.weight_type = w->type,
		.function = function,
		.exact = w->type == QEFF_NSP_BF16 &&
			 (s->l->precision != QEFF_LOWER_BF16 || node->fp32),
	};
	op->in[0] = from.at;
	op->out = to.at;
	op->dense[0].type = from.type;
	op->dense[0].offset = from.offset;
	op->dense[0].row_bytes = (uint32_t)from.stride[0] * lower_type_bytes(from.type);
	op->dense[QEFF_NSP_NEST_OUT].type = to.type;
	op->dense[QEFF_NSP_NEST_OUT].offset = to.offset;
	op->dense[QEFF_NSP_NEST_OUT].row_bytes = (uint32_t)to.stride[0] * lower_type_bytes(to.type);
	op->partial = dense_is_part(s, &to);
	return 0;
}

/* What the product makes of a row: the number after bias and function, if @m took no more in. */
static const struct qeff_node *last_of(const struct select_matmul *m)
{
	return m && !m->mul && !m->add ? m->last->producer : NULL;
}

/* MatMul and Gemm of a dense tensor by a weight; with @m, all that it took in as well. */
int qeff_select_dense_product(struct select *s, const struct qeff_node *node,
			      const struct select_matmul *m)
{
	bool gemm = qeff_node_is(node, "Gemm");
	const struct qeff_value *weight = qeff_node_input(node, 1), *bias = NULL;
	const struct qeff_node *last = last_of(m) ? last_of(m) : node;
	struct dense_view x, out;
	int rc;

	if ((!gemm && !qeff_node_is(node, "MatMul")) || !lower_is_view(weight) ||
	    weight->shape.rank != 2 || !qeff_select_is_float(weight) ||
	    lower_is_view(qeff_node_input(node, 0)) || qeff_node_input(node, 0)->shape.rank < 2 ||
	    node->outputs[0]->type != QEFF_GRAPH_F32)
		return 1;
	if (gemm) {
		bias = qeff_node_input(node, 2);
		if (qeff_node_float(node, "alpha", 1) != 1 || qeff_node_int(node, "transA", 0) ||
		    (bias && (qeff_node_float(node, "beta", 1) != 1 ||
			      !is_vector_of(bias, qeff_select_dim(node->outputs[0], 1)))))
			return 1;
	}
	rc = dense_input(s, node, 0, &x);
	if (!rc && !dense_is_contiguous(&x))
		rc = dense_contiguous(s, node, &x);
	if (!rc)
		rc = dense_output(s, last, 0, &out);
	if (rc)
		return rc;
	return dense_product(s, node, &x, weight, !(gemm && qeff_node_int(node, "transB", 0)),
			     last == node ? bias : m->bias,
			     last == node ? QEFF_NSP_IDENTITY : m->function, &out);
}
