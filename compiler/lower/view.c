/* SPDX-License-Identifier: MIT */
/*
 * Views of initialisers. A dimension is a run of factors, outermost first, each with its size and
 * stride: so Reshape only regroups factors, and what it makes of sliced dimensions stays a view.
 */
#include "lower/view.h"

#include "graph/forms.h"
#include "nsp/program.h"

#include <string.h>

#define MAX_STEPS   8 /* nodes between an initialiser and its reader */
#define MAX_FACTORS 16

struct factor {
	int64_t size, stride; /* in elements */
};

struct dimension {
	uint32_t count;
	struct factor factors[MAX_FACTORS];
};

struct layout {
	int64_t offset;
	uint32_t rank;
	struct dimension dims[QEFF_GRAPH_MAX_RANK];
};

static bool push(struct dimension *d, int64_t size, int64_t stride)
{
	if (size == 1)
		return true;
	if (d->count == MAX_FACTORS)
		return false;
	d->factors[d->count++] = (struct factor){ size, stride };
	return true;
}

static void contiguous(struct layout *l, const struct qeff_graph_shape *shape)
{
	int64_t stride = 1;

	*l = (struct layout){ .rank = shape->rank };
	for (uint32_t i = shape->rank; i--;) {
		push(&l->dims[i], shape->dims[i].size, stride);
		stride *= shape->dims[i].size;
	}
}

static void transpose(struct layout *l, const struct qeff_node *node)
{
	const struct qeff_attribute *perm = qeff_node_attribute(node, "perm");
	struct layout old = *l;

	for (uint32_t i = 0; i < l->rank; i++)
		l->dims[i] = old.dims[perm ? perm->ints[i] : l->rank - 1 - i];
}

static bool slice(struct layout *l, const struct qeff_node *node)
{
	const struct qeff_dim *whole = node->inputs[0]->shape.dims;
	int64_t begin[QEFF_GRAPH_MAX_RANK], step[QEFF_GRAPH_MAX_RANK];
	struct qeff_graph_shape shape;

	if (qeff_op_slice(node, begin, step, &shape, NULL))
		return false;
	for (uint32_t i = 0; i < l->rank; i++) {
		struct dimension *d = &l->dims[i];
		int64_t size = shape.dims[i].size;

		if ((!begin[i] && step[i] == 1 && size == whole[i].size) || !d->count)
			continue;
		if (d->count > 1)
			return false;
		l->offset += begin[i] * d->factors[0].stride;
		/* the step to a place that is not taken may be any */
		d->factors[0].size = size;
		d->factors[0].stride *= size > 1 ? step[i] : 1;
		d->count = size > 1;
	}
	return true;
}

static bool reshape(struct layout *l, const struct qeff_graph_shape *shape)
{
	struct dimension all = { 0 };
	struct factor *next = all.factors;

	for (uint32_t i = 0; i < l->rank; i++)
		for (uint32_t j = 0; j < l->dims[i].count; j++)
			if (!push(&all, l->dims[i].factors[j].size, l->dims[i].factors[j].stride))
				return false;
	l->rank = shape->rank;
	for (uint32_t i = 0; i < shape->rank; i++) {
		int64_t left = shape->dims[i].size;

		l->dims[i].count = 0;
		while (left > 1) {
			struct factor f = *next;

			if (left % f.size == 0) {
				next++;
			} else if (f.size % left == 0) {
				next->size = f.size / left;
				f = (struct factor){ left, f.stride * next->size };
			} else {
				return false;
			}
			left /= f.size;
			if (!push(&l->dims[i], f.size, f.stride))
				return false;
		}
	}
	return true;
}

/* Dimensions of 1 that became more, and new ones in front, repeat what they have. */
static void expand(struct layout *l, const struct qeff_graph_shape *shape)
{
	const struct layout old = *l;
	uint32_t added = shape->rank - old.rank;

	l->rank = shape->rank;
	for (uint32_t i = 0; i < shape->rank; i++) {
		struct dimension *d = &l->dims[i];

		memset(d, 0, sizeof(*d));
		if (i >= added)
			*d = old.dims[i - added];
		if (!d->count)
			push(d, shape->dims[i].size, 0);
	}
}

static bool is_step(const struct qeff_node *node)
{
	return qeff_node_is(node, "Transpose") || qeff_node_is(node, "Slice") ||
	       qeff_node_is(node, "Reshape") || qeff_node_is(node, "Expand");
}

/* Blocks of MXFP4 that stand in the checkpoint. */
static bool is_mxfp4(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;

	return qeff_node_is(node, "qeff.DequantizeMXFP4") && node->inputs[0]->is_initialiser &&
	       node->inputs[1]->is_initialiser;
}

/* The nodes from where the numbers stand to @value, last one first; what stands there, or NULL. */
static const struct qeff_value *trace(const struct qeff_value *value,
				      const struct qeff_node **steps, uint32_t *count)
{
	*count = 0;
	while (value && !value->is_initialiser && !is_mxfp4(value)) {
		if (!is_step(value->producer) || *count == MAX_STEPS)
			return NULL;
		steps[(*count)++] = value->producer;
		value = value->producer->inputs[0];
	}
	return value;
}

bool lower_is_view(const struct qeff_value *value)
{
	const struct qeff_node *steps[MAX_STEPS];
	uint32_t count;

	return trace(value, steps, &count);
}

static bool storage_type(const struct qeff_value *value, uint8_t *type)
{
	if (is_mxfp4(value)) {
		*type = QEFF_NSP_BF16;
		return true;
	}
	switch (value->stored_type) {
	case QEFF_GRAPH_F32:
		*type = QEFF_NSP_F32;
		return true;
	case QEFF_GRAPH_F16:
		*type = QEFF_NSP_F16;
		return true;
	case QEFF_GRAPH_BF16:
		*type = QEFF_NSP_BF16;
		return true;
	default:
		return false;
	}
}

/* Factors that lie as one become one. */
static void merge(struct dimension *d)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < d->count; i++) {
		struct factor *last = kept ? &d->factors[kept - 1] : NULL;
		const struct factor f = d->factors[i];

		if (last && last->stride == f.size * f.stride)
			*last = (struct factor){ last->size * f.size, f.stride };
		else
			d->factors[kept++] = f;
	}
	d->count = kept;
}

static int64_t elements(const struct dimension *d)
{
	int64_t product = 1;

	for (uint32_t i = 0; i < d->count; i++)
		product *= d->factors[i].size;
	return product;
}

/* What is @elements away from the first number is @bytes away from the first byte. */
struct unit {
	int64_t elements, bytes;
};

static uint64_t bytes_of(const struct unit *unit, int64_t elements)
{
	return (uint64_t)(elements / unit->elements * unit->bytes);
}

/* Rows of whole blocks that begin with a block. */
static bool mxfp4_fits(const struct layout *l, const struct dimension *rows,
		       const struct dimension *columns)
{
	if (l->offset % NSP_MX_BLOCK || elements(columns) % NSP_MX_BLOCK || columns->count != 1 ||
	    columns->factors[0].stride != 1)
		return false;
	for (uint32_t i = 0; i < rows->count; i++)
		if (rows->factors[i].stride % NSP_MX_BLOCK)
			return false;
	return true;
}

bool lower_view_of(const struct qeff_value *value, bool transposed, struct lower_view *view)
{
	const struct qeff_node *steps[MAX_STEPS];
	struct dimension rows = { 0 }, columns = { 0 };
	const struct qeff_value *base;
	struct layout l;
	struct unit unit = { 1, 0 };
	uint32_t count;

	*view = (struct lower_view){ 0 };
	base = trace(value, steps, &count);
	if (!base || base->type != QEFF_GRAPH_F32 || !storage_type(base, &view->stored))
		return false;
	contiguous(&l, &base->shape);
	while (count--) {
		const struct qeff_node *node = steps[count];
		bool fits = true;

		if (qeff_node_is(node, "Transpose"))
			transpose(&l, node);
		else if (qeff_node_is(node, "Slice"))
			fits = slice(&l, node);
		else if (qeff_node_is(node, "Expand"))
			expand(&l, &node->outputs[0]->shape);
		else
			fits = reshape(&l, &node->outputs[0]->shape);
		if (!fits)
			return false;
	}
	if (l.rank == 2) {
		rows = l.dims[transposed];
		columns = l.dims[!transposed];
	} else {
		for (uint32_t i = 0; i < l.rank; i++)
			for (uint32_t j = 0; j < l.dims[i].count; j++)
				if (!push(&rows, l.dims[i].factors[j].size,
					  l.dims[i].factors[j].stride))
					return false;
	}
	merge(&rows);
	merge(&columns);
	if (rows.count > 2 + (rows.factors[1].stride == 0) || columns.count > 1 ||
	    elements(&rows) > UINT32_MAX || elements(&columns) > UINT32_MAX)
		return false;
	view->name = base->name;
	if (base->is_initialiser) {
		unit.bytes = (int64_t)qeff_graph_type_bytes(base->stored_type);
		view->data = base->data;
	} else {
		if (!mxfp4_fits(&l, &rows, &columns))
			return false;
		unit = (struct unit){ NSP_MX_BLOCK, NSP_MXFP4_BLOCK_BYTES };
		view->data = base->producer->inputs[0]->data;
		view->scales = base->producer->inputs[1]->data;
		view->scales += l.offset / NSP_MX_BLOCK;
	}
	view->data += bytes_of(&unit, l.offset);
	view->rows = view->group_rows = (uint32_t)elements(&rows);
	view->columns = (uint32_t)elements(&columns);
	view->column_stride = bytes_of(&unit, columns.count ? columns.factors[0].stride : 1);
	view->row_stride = bytes_of(&unit, elements(&columns));
	if (columns.count)
		view->row_stride = view->columns * view->column_stride;
	if (rows.count)
		view->row_stride = bytes_of(&unit, rows.factors[rows.count - 1].stride);
	if (rows.count >= 2) {
		view->group_rows = (uint32_t)rows.factors[rows.count - 1].size;
		view->group_stride = bytes_of(&unit, rows.factors[0].stride);
	}
	view->repeat = rows.count == 3 ? (uint32_t)rows.factors[1].size : 1;
	return true;
}

bool lower_numbers_of(const struct qeff_value *value, struct lower_view *view)
{
	return lower_view_of(value, false, view) && !view->scales;
}

bool lower_view_equal(const struct lower_view *a, const struct lower_view *b)
{
	return a->data == b->data && a->scales == b->scales && a->stored == b->stored &&
	       a->rows == b->rows && a->columns == b->columns && a->group_rows == b->group_rows &&
	       a->repeat == b->repeat && a->group_stride == b->group_stride &&
	       a->row_stride == b->row_stride && a->column_stride == b->column_stride;
}
