/* SPDX-License-Identifier: MIT */
/* Where rows come from: the value that says which of them live, and the inputs that belong to them.
 */
#include "lower/select.h"

#include <string.h>

struct lower_ref qeff_select_binding(const struct select *s, const struct qeff_value *value)
{
	for (uint32_t i = 0; i < s->l->num_inputs; i++)
		if (!strcmp(s->l->bindings[i].name, value->name))
			return (struct lower_ref){ LOWER_REF_BINDING, i };
	return (struct lower_ref){ LOWER_REF_NONE, 0 };
}

bool qeff_select_is_tokens(const struct select *s, const struct qeff_value *value)
{
	return value && value->is_input && value->type == QEFF_GRAPH_I64 &&
	       value->shape.rank == 2 && qeff_select_dim(value, 0) == s->spec->batch &&
	       qeff_select_dim(value, 1) == s->spec->seq;
}

/* Whether @node takes rows from an attention mask; with @columns, their positions are columns. */
static bool takes_mask(const struct qeff_node *node, bool *columns)
{
	*columns = qeff_node_is(node, "qeff.MaskToColumns");
	return *columns || qeff_node_is(node, "qeff.MaskToPositions");
}

/* The value that says which rows live: position_ids, if one of our own operators asks for it. */
static const struct qeff_value *find_positions(const struct select *s)
{
	const struct qeff_value *value = qeff_graph_find(s->graph, "position_ids");
	bool columns;

	if (!value || takes_mask(value->producer, &columns))
		return value;
	for (uint32_t i = 0; i < value->num_users; i++)
		if (*value->users[i]->domain)
			return value;
	return NULL;
}

int qeff_select_rows(struct select *s)
{
	const struct qeff_value *value = find_positions(s);
	const struct qeff_value *batch_index = qeff_graph_find(s->graph, "batch_index");
	const struct qeff_value *length = qeff_graph_find(s->graph, "comp_ctx_lengths");
	const struct qeff_value *source = value;
	struct lower_op *op;
	bool from_mask, columns;

	s->spec->batch = s->spec->seq = s->spec->slots = s->spec->positions = 1;
	if (!value)
		return 0;
	from_mask = takes_mask(value->producer, &columns);
	if (from_mask)
		source = qeff_node_input(value->producer, 0);
	if (value->shape.rank != 2 || qeff_select_dim(value, 0) < 1 ||
	    qeff_select_dim(value, 1) < 1 ||
	    qeff_select_dim(value, 0) * qeff_select_dim(value, 1) > QEFF_NSP_MAX_ROWS)
		return qeff_error_set(s->err, -EFBIG,
				      "position_ids is %lld x %lld, at most %u tokens are possible",
				      (long long)qeff_select_dim(value, 0),
				      (long long)qeff_select_dim(value, 1), QEFF_NSP_MAX_ROWS);
	s->positions = value;
	s->spec->batch = (uint32_t)qeff_select_dim(value, 0);
	s->spec->seq = (uint32_t)qeff_select_dim(value, 1);
	s->spec->slots = s->spec->batch;
	s->spec->positions = s->spec->seq;
	if (!qeff_select_is_tokens(s, source))
		return qeff_error_set(
			s->err, -ENOTSUP,
			"%s: rows come from an int64 input of the graph, or from a mask that "
			"is one",
			value->name);
	if (s->l->num_states) {
		s->spec->positions = UINT32_MAX;
		s->spec->slots = UINT32_MAX;
	}
	for (uint32_t i = 0; i < s->l->num_states; i++) {
		const struct lower_state *state = &s->l->states[i];

		/* flags of tokens have none */
		if (state->type != QEFF_NSP_BOOL && state->positions < s->spec->positions)
			s->spec->positions = state->positions;
		if (state->slots < s->spec->slots)
			s->spec->slots = state->slots;
	}
	/* A row sees no position behind its own, so this is all that a shorter context takes. */
	if (length && length->is_input && qeff_select_dim(length, 0) < s->spec->positions)
		s->spec->positions = (uint32_t)qeff_select_dim(length, 0);
	op = qeff_select_op(s, NULL, QEFF_NSP_ROWS, QEFF_NSP_ROWS_STATIC);
	if (!op)
		return -ENOMEM;
	op->nsp.rows = s->spec->batch;
	op->nsp.u.rows.from_mask = columns ? 2 : from_mask;
	op->in[0] = qeff_select_binding(s, source);
	if (batch_index && batch_index->is_input)
		op->in[1] = qeff_select_binding(s, batch_index);
	return 0;
}
