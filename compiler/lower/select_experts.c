/* SPDX-License-Identifier: MIT */
/* Selection of experts: rows choose some of many products by their routes, and what they make of a
 * row is summed up. */
#include "lower/select.h"

int qeff_select_route(struct select *s, const struct qeff_node *node)
{
	struct qeff_nsp_route_params *p;
	struct lower_op *op;
	uint32_t in;
	int rc = qeff_select_input(s, node, 0, &in);

	if (rc)
		return rc;
	op = qeff_select_op(s, node, QEFF_NSP_ROUTE, s->spec->tensors[in].domain);
	if (!op)
		return -ENOMEM;
	p = &op->nsp.u.route;
	p->experts = s->spec->tensors[in].width;
	p->chosen = (uint32_t)qeff_node_int(node, "top_k", 0);
	p->all = qeff_node_int(node, "all", 0) != 0;
	if (p->chosen > QEFF_NSP_MAX_CHOSEN)
		return qeff_select_refuse(s, node, "%u experts of a row, at most %u are possible",
					  p->chosen, QEFF_NSP_MAX_CHOSEN);
	qeff_select_read(op, 0, in);
	return qeff_select_write(s, op, node->outputs[0], op->nsp.domain, 2 * p->chosen, false);
}

/* Inputs 0 and 1 of @node: rows, and their routes. */
static int read_rows(struct select *s, const struct qeff_node *node, uint32_t *x, uint32_t *routes)
{
	int rc = qeff_select_input(s, node, 0, x);

	if (!rc)
		rc = qeff_select_input(s, node, 1, routes);
	if (!rc && s->spec->tensors[*x].domain != s->spec->tensors[*routes].domain)
		rc = qeff_select_refuse(s, node, "rows and routes differ");
	return rc;
}

int qeff_select_emit_experts(struct select *s, const struct select_matmul *m)
{
	const struct qeff_value *bias = qeff_node_input(m->node, 3);
	struct qeff_nsp_experts_params *p;
	const struct lower_weight *w;
	struct lower_op *op;
	uint32_t x, routes;
	int rc = read_rows(s, m->node, &x, &routes);

	if (rc)
		return rc;
	op = qeff_select_op(s, m->node, QEFF_NSP_EXPERTS, s->spec->tensors[x].domain);
	if (!op)
		return -ENOMEM;
	p = &op->nsp.u.experts;
	p->experts = (uint32_t)qeff_node_int(m->node, "experts", 0);
	p->chosen = s->spec->tensors[routes].width / 2;
	p->shared = qeff_node_int(m->node, "shared", 0) != 0;
	rc = qeff_select_experts_weight(s, m->node, qeff_node_input(m->node, 2), p->experts,
					&op->weight);
	if (rc)
		return rc;
	w = &s->l->weights[op->weight];
	p->matmul.inputs = w->inputs;
	p->matmul.outputs = w->outputs;
	p->matmul.weight_type = w->type;
	p->matmul.scale_group = w->scale_group;
	p->matmul.function = m->function;
	p->matmul.exact =
		w->type == QEFF_NSP_BF16 && (s->l->precision != QEFF_LOWER_BF16 || m->node->fp32);
	qeff_select_read(op, 0, x);
	qeff_select_read(op, 3, routes);
	if (bias)
		rc = qeff_select_table(s, m->node, bias, p->experts, w->outputs, &op->in[1]);
	if (!rc && m->mul)
		rc = qeff_select_companion(s, m, op, 2, m->mul);
	if (rc)
		return rc;
	return qeff_select_write(s, op, m->last, op->nsp.domain, p->chosen * w->outputs, false);
}

int qeff_select_emit_mix(struct select *s, const struct select_matmul *m)
{
	struct lower_op *op;
	uint32_t y, routes;
	int rc = read_rows(s, m->node, &y, &routes);

	if (rc)
		return rc;
	op = qeff_select_op(s, m->node, QEFF_NSP_MIX, s->spec->tensors[y].domain);
	if (!op)
		return -ENOMEM;
	op->nsp.u.mix.chosen = s->spec->tensors[routes].width / 2;
	op->nsp.u.mix.width = s->spec->tensors[y].width / op->nsp.u.mix.chosen;
	qeff_select_read(op, 0, y);
	qeff_select_read(op, 1, routes);
	rc = m->add ? qeff_select_companion(s, m, op, 2, m->add) : 0;
	if (rc)
		return rc;
	return qeff_select_write(s, op, m->last, op->nsp.domain, op->nsp.u.mix.width, false);
}
