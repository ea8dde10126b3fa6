/* SPDX-License-Identifier: MIT */
/* Selection of weights: views of the checkpoint become tables that all NSPs see, or matrices that
 * are packed for their precision; the same one twice is one. */
#include "lower/select.h"

#include <stdlib.h>

bool qeff_select_is_float(const struct qeff_value *value)
{
	struct lower_view view;

	return lower_numbers_of(value, &view);
}

int qeff_select_table(struct select *s, const struct qeff_node *node,
		      const struct qeff_value *value, uint32_t rows, uint32_t columns,
		      struct lower_ref *ref)
{
	struct lower_table *table;
	struct lower_view view;

	if (!lower_numbers_of(value, &view) ||
	    (uint64_t)view.rows * view.columns != (uint64_t)rows * columns ||
	    columns > QEFF_NSP_MAX_WIDTH)
		return qeff_select_refuse(s, node, "%s is not an initialiser of %u x %u floats",
					  value ? value->name : "an input", rows, columns);
	for (uint32_t i = 0; i < s->l->num_tables; i++) {
		table = &s->l->tables[i];
		if (lower_view_equal(&table->view, &view) && table->rows == rows &&
		    table->columns == columns) {
			*ref = (struct lower_ref){ LOWER_REF_TABLE, i };
			return 0;
		}
	}
	table = LOWER_GROW(s->l->tables, s->l->num_tables);
	if (!table)
		return lower_no_memory(s->err);
	table->view = view;
	table->rows = rows;
	table->columns = columns;
	*ref = (struct lower_ref){ LOWER_REF_TABLE, s->l->num_tables - 1 };
	return 0;
}

/* What @node's weights, stored as @stored, are packed as. */
static uint8_t packed_type(const struct select *s, const struct qeff_node *node, uint8_t stored,
			   bool lookup)
{
	if (s->l->mxfp6_products && !lookup && !node->fp32)
		return QEFF_NSP_MXFP6;
	switch (node->fp32 ? QEFF_LOWER_FP32 : s->l->precision) {
	case QEFF_LOWER_FP16:
		return QEFF_NSP_F16;
	case QEFF_LOWER_BF16:
		return QEFF_NSP_BF16;
	case QEFF_LOWER_INT8:
		return lookup ? stored : QEFF_NSP_I8;
	default:
		return stored;
	}
}

static bool same_weight(const struct lower_weight *a, const struct lower_weight *b)
{
	if (a->type != b->type || a->experts != b->experts || !a->pieces != !b->pieces ||
	    !lower_view_equal(&a->view, &b->view))
		return false;
	for (uint32_t i = 0; a->pieces && i < a->experts; i++)
		if (!lower_view_equal(&a->pieces[i], &b->pieces[i]))
			return false;
	return true;
}

/* Adds @weight, whose view, pieces and experts are set, if it is not there. Takes the pieces. */
static int add_weight(struct select *s, const struct qeff_node *node, struct lower_weight *weight,
		      bool lookup, uint32_t *index)
{
	uint32_t rows = weight->view.rows / (weight->pieces ? 1 : weight->experts);
	struct lower_weight *w;

	if (rows > QEFF_NSP_MAX_WIDTH || weight->view.columns > QEFF_NSP_MAX_WIDTH) {
		free(weight->pieces);
		return qeff_select_refuse(s, node, "%s is %u x %u, at most %u are possible",
					  weight->view.name, rows, weight->view.columns,
					  QEFF_NSP_MAX_WIDTH);
	}
	weight->type = packed_type(s, node, weight->view.stored, lookup);
	weight->scale_group = weight->type == QEFF_NSP_I8 ? QEFF_LOWER_SCALE_GROUP : 0;
	weight->outputs = rows;
	weight->inputs = weight->view.columns;
	weight->panel_bytes =
		qeff_nsp_panel_bytes(weight->type, weight->inputs, weight->scale_group) *
		weight->experts;
	weight->panels = (weight->outputs + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL;
	for (*index = 0; *index < s->l->num_weights; ++*index)
		if (same_weight(&s->l->weights[*index], weight)) {
			free(weight->pieces);
			return 0;
		}
	w = LOWER_GROW(s->l->weights, s->l->num_weights);
	if (!w) {
		free(weight->pieces);
		return lower_no_memory(s->err);
	}
	*w = *weight;
	return 0;
}

/* An initialiser [outputs, ...] as a matrix: all that belongs to an output is a row. */
static bool flatten(const struct qeff_value *value, bool transposed, struct lower_view *view)
{
	uint64_t element = qeff_graph_type_bytes(value->stored_type);

	if (!value->is_initialiser || transposed || value->shape.rank < 2)
		return false;
	view->columns = view->rows / (uint32_t)value->shape.dims[0].size;
	view->rows = view->group_rows = (uint32_t)value->shape.dims[0].size;
	view->group_stride = 0;
	view->column_stride = element;
	view->row_stride = view->columns * element;
	return true;
}

int qeff_select_weight(struct select *s, const struct qeff_node *node,
		       const struct qeff_value *value, bool transposed, bool lookup,
		       uint32_t *weight)
{
	struct lower_weight w = { .experts = 1 };

	if (!value || !lower_view_of(value, transposed, &w.view) ||
	    (value->shape.rank != 2 && !flatten(value, transposed, &w.view)))
		return qeff_select_refuse(s, node, "%s is not a matrix of floats",
					  value ? value->name : "an input");
	return add_weight(s, node, &w, lookup, weight);
}

int qeff_select_experts_weight(struct select *s, const struct qeff_node *node,
			       const struct qeff_value *value, uint32_t experts, uint32_t *weight)
{
	const struct qeff_node *concat = value->producer;
	struct lower_weight w = { .experts = experts };
	bool fits = true;

	if (lower_view_of(value, false, &w.view))
		return add_weight(s, node, &w, false, weight);
	if (!qeff_node_is(concat, "Concat") || qeff_node_int(concat, "axis", 0) ||
	    concat->num_inputs != experts)
		return qeff_select_refuse(s, node, "%s is not the weights of %u experts",
					  value->name, experts);
	w.pieces = calloc(experts, sizeof(*w.pieces));
	if (!w.pieces)
		return lower_no_memory(s->err);
	for (uint32_t i = 0; i < experts && fits; i++)
		fits = lower_view_of(concat->inputs[i], false, &w.pieces[i]) &&
		       w.pieces[i].rows == w.pieces[0].rows &&
		       w.pieces[i].columns == w.pieces[0].columns &&
		       w.pieces[i].stored == w.pieces[0].stored &&
		       !w.pieces[i].scales == !w.pieces[0].scales &&
		       w.pieces[i].column_stride == w.pieces[0].column_stride;
	if (!fits) {
		free(w.pieces);
		return qeff_select_refuse(s, node, "%s: the experts' weights differ in form",
					  value->name);
	}
	w.view = w.pieces[0];
	return add_weight(s, node, &w, false, weight);
}
