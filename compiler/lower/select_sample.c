/* SPDX-License-Identifier: MIT */
/*
 * Selection of what chooses tokens. The vocabulary is cut into as many parts as there are NSPs; the
 * best of each, then the best of those, are a few numbers, of which one is taken.
 */
#include "lower/select.h"

/* A part is worth an NSP's while if it has so many columns. */
#define PART_COLUMNS 64

/* BEST of @x into node's output. */
static int best(struct select *s, const struct qeff_node *node, uint32_t x, uint32_t width,
		uint32_t parts, uint32_t chosen, bool numbered)
{
	uint8_t domain = s->spec->tensors[x].domain;
	struct lower_op *op = qeff_select_op(s, node, QEFF_NSP_BEST, domain);

	if (!op)
		return -ENOMEM;
	op->nsp.u.best.width = width;
	op->nsp.u.best.parts = parts;
	op->nsp.u.best.chosen = chosen;
	op->nsp.u.best.numbered = numbered;
	qeff_select_read(op, 0, x);
	return qeff_select_write(s, op, node->outputs[0], domain, 2 * parts * chosen, false);
}

/* The @chosen best of the rows that @node reads, in order, as SAMPLE takes them. */
static int candidates(struct select *s, const struct qeff_node *node, uint32_t chosen,
		      uint32_t *tensor)
{
	const struct qeff_value *value = qeff_node_input(node, 0);
	uint32_t parts = s->l->num_nsps, least = chosen > PART_COLUMNS ? chosen : PART_COLUMNS;
	uint32_t x, width;
	int rc = qeff_select_input(s, node, 0, &x);

	if (rc)
		return rc;
	width = s->spec->tensors[x].width;
	if (s->spec->tensors[x].domain != QEFF_NSP_ROWS_SEGMENTS ||
	    qeff_select_dim(value, value->shape.rank - 1) != (int64_t)width ||
	    s->slots[value->index].head_major)
		return qeff_select_refuse(s, node, "one number is chosen for each sequence");
	if (parts > width / least)
		parts = width / least ? width / least : 1;
	rc = best(s, node, x, width, parts, chosen, false);
	x = qeff_select_tensor(s, node->outputs[0]);
	if (!rc && parts > 1)
		rc = best(s, node, x, parts * chosen, 1, chosen, true);
	*tensor = qeff_select_tensor(s, node->outputs[0]);
	return rc;
}

static struct lower_op *sample(struct select *s, const struct qeff_node *node, uint32_t tensor,
			       uint32_t chosen)
{
	struct lower_op *op = qeff_select_op(s, node, QEFF_NSP_SAMPLE, QEFF_NSP_ROWS_SEGMENTS);

	if (op) {
		op->nsp.u.sample.chosen = chosen;
		qeff_select_read(op, 0, tensor);
	}
	return op;
}

int qeff_select_arg_max(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *x = qeff_node_input(node, 0);
	int64_t axis = qeff_node_int(node, "axis", 0), rank = x->shape.rank;
	struct lower_op *op;
	uint32_t tensor;
	int rc;

	if ((axis != -1 && axis != rank - 1) || qeff_node_int(node, "select_last_index", 0))
		return qeff_select_refuse(s, node, "only the first highest of a row is found");
	rc = candidates(s, node, 1, &tensor);
	if (rc)
		return rc;
	op = sample(s, node, tensor, 1);
	return op ? qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_SEGMENTS, 1, false)
		  : -ENOMEM;
}

/* Inputs [@first, @first + @count) of @node, which are inputs of the graph. */
static int read_wishes(struct select *s, const struct qeff_node *node, uint32_t first,
		       uint32_t count, struct lower_ref *wishes)
{
	for (uint32_t i = 0; i < count; i++) {
		wishes[i] = qeff_select_binding(s, qeff_node_input(node, first + i));
		if (wishes[i].kind != LOWER_REF_BINDING)
			return qeff_select_refuse(s, node, "%s is no input of the graph",
						  qeff_node_input(node, first + i)->name);
		if (s->l->bindings[wishes[i].index].type == QEFF_NSP_F16)
			return qeff_select_refuse(s, node, "%s is read as float32 only",
						  qeff_node_input(node, first + i)->name);
	}
	return 0;
}

/* SAMPLE among @chosen candidates: a token, or, with @width, the probabilities of as many. */
static int wished(struct select *s, const struct qeff_node *node, uint32_t chosen, uint32_t width)
{
	struct lower_ref wishes[5] = { { 0 } };
	struct lower_op *op;
	uint32_t tensor;
	int rc = candidates(s, node, chosen, &tensor);

	if (!rc)
		rc = read_wishes(s, node, 1, width ? 4 : 5, wishes);
	if (rc)
		return rc;
	op = sample(s, node, tensor, chosen);
	if (!op)
		return -ENOMEM;
	for (int i = 0; i < 3; i++)
		op->in[1 + i] = wishes[i];
	op->wishes[0] = wishes[3];
	op->wishes[1] = wishes[4];
	op->nsp.u.sample.width = width;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_SEGMENTS, width ? width : 1,
				 false);
}

int qeff_select_sample(struct select *s, const struct qeff_node *node)
{
	return wished(s, node, (uint32_t)qeff_select_dim(qeff_node_input(node, 5), 1), 0);
}

int qeff_select_probabilities(struct select *s, const struct qeff_node *node)
{
	return wished(s, node, (uint32_t)qeff_node_int(node, "candidates", 0),
		      (uint32_t)qeff_select_dim(qeff_node_input(node, 0), 2));
}

int qeff_select_mark(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *ids = qeff_node_input(node, 2);
	uint32_t state = qeff_select_state(s, qeff_node_input(node, 0));
	struct lower_op *op;

	if (state == LOWER_NONE || qeff_node_input(node, 1) != s->positions ||
	    !qeff_select_is_batch_index(s, qeff_node_input(node, 3)) ||
	    !qeff_select_is_tokens(s, ids))
		return qeff_select_refuse(s, node,
					  "it marks an input of tokens at position_ids in an input "
					  "of the graph");
	op = qeff_select_op(s, node, QEFF_NSP_MARK, QEFF_NSP_ROWS_SEGMENTS);
	if (!op)
		return -ENOMEM;
	op->in[0] = qeff_select_binding(s, ids);
	op->state[0] = state;
	op->nsp.u.mark.width = s->l->states[state].dim;
	op->nsp.u.mark.decode = qeff_node_int(node, "decode", 0) != 0;
	s->slots[node->outputs[0]->index] = (struct select_slot){ SLOT_STATE, false, state };
	return 0;
}

int qeff_select_penalise(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *masks = qeff_node_input(node, 6);
	struct lower_ref wishes[2] = { { 0 } }, mask = { 0 };
	const struct select_slot *flags[2];
	struct lower_op *op;
	uint32_t x, width;
	int rc = qeff_select_input(s, node, 0, &x);

	if (!rc)
		rc = read_wishes(s, node, 3, 2, wishes);
	if (!rc && masks)
		rc = read_wishes(s, node, 6, 1, &mask);
	if (rc)
		return rc;
	width = s->spec->tensors[x].width;
	for (int i = 0; i < 2; i++) {
		flags[i] = &s->slots[qeff_node_input(node, 1 + (uint32_t)i)->index];
		if (flags[i]->kind != SLOT_STATE || s->l->states[flags[i]->index].dim != width ||
		    s->l->states[flags[i]->index].type != QEFF_NSP_BOOL)
			return qeff_select_refuse(s, node, "it reads what qeff.Mark has marked");
	}
	if (s->spec->tensors[x].domain != QEFF_NSP_ROWS_SEGMENTS ||
	    !qeff_select_is_batch_index(s, qeff_node_input(node, 5)))
		return qeff_select_refuse(s, node, "logits are those of one token of a sequence");
	op = qeff_select_op(s, node, QEFF_NSP_PENALISE, QEFF_NSP_ROWS_SEGMENTS);
	if (!op)
		return -ENOMEM;
	qeff_select_read(op, 0, x);
	for (int i = 0; i < 2; i++) {
		op->in[1 + i] = wishes[i];
		op->state[i] = flags[i]->index;
	}
	op->wishes[0] = mask;
	op->nsp.u.penalise.width = width;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_SEGMENTS, width, false);
}
