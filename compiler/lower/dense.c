/* SPDX-License-Identifier: MIT */
/* The plain way: values of the graph as dense tensors, and temporaries. */
#include "lower/dense.h"

#include "lower/plain.h"

#include <stdlib.h>
#include <string.h>

static int too_large(struct select *s, const char *name)
{
	return qeff_error_set(s->err, -EFBIG, "%s is larger than a tensor can be", name);
}

/* Strides of a tensor without gaps. */
static void pack(struct dense_view *view)
{
	int64_t step = 1;

	for (uint32_t i = view->rank; i--;) {
		view->stride[i] = step;
		step *= view->size[i];
	}
}

static int set_shape(struct select *s, struct dense_view *view, uint8_t type, uint32_t rank,
		     const int64_t *size, const char *name, uint64_t *bytes)
{
	*view = (struct dense_view){ .type = type, .rank = rank };
	*bytes = lower_type_bytes(type);
	if (rank > DENSE_MAX_RANK)
		return too_large(s, name);
	for (uint32_t i = 0; i < rank; i++) {
		view->size[i] = size[i];
		if (size[i] < 1 || !qeff_mul_u64(*bytes, (uint64_t)size[i], bytes) ||
		    *bytes > LOWER_MAX_STATE_BYTES)
			return too_large(s, name);
	}
	pack(view);
	return 0;
}

static int shape_of(struct select *s, const struct qeff_value *value, uint8_t type,
		    struct dense_view *view, uint64_t *bytes)
{
	int64_t size[QEFF_GRAPH_MAX_RANK];

	for (uint32_t i = 0; i < value->shape.rank; i++)
		size[i] = value->shape.dims[i].size;
	return set_shape(s, view, type, value->shape.rank, size, value->name, bytes);
}

static int new_tensor(struct select *s, uint64_t bytes, struct lower_ref *at)
{
	struct lower_tensor *tensor = LOWER_GROW(s->spec->tensors, s->spec->num_tensors);

	if (!tensor)
		return lower_no_memory(s->err);
	tensor->bytes = bytes;
	*at = (struct lower_ref){ LOWER_REF_TENSOR, s->spec->num_tensors - 1 };
	return 0;
}

int dense_temp(struct select *s, uint8_t type, uint32_t rank, const int64_t *size,
	       struct dense_view *view)
{
	uint64_t bytes;
	int rc = set_shape(s, view, type, rank, size, "a number in between", &bytes);

	return rc ? rc : new_tensor(s, bytes, &view->at);
}

/* Bytes for the shared region; the same ones twice are one. */
static int add_raw(struct select *s, const void *data, uint64_t bytes, bool borrowed,
		   struct lower_ref *at)
{
	struct lower_raw *raw;

	for (uint32_t i = 0; i < s->l->num_raws; i++) {
		raw = &s->l->raws[i];
		if (raw->bytes == bytes &&
		    (raw->data == data || (bytes <= 4096 && !memcmp(raw->data, data, bytes)))) {
			*at = (struct lower_ref){ LOWER_REF_RAW, i };
			return 0;
		}
	}
	raw = LOWER_GROW(s->l->raws, s->l->num_raws);
	if (!raw)
		return lower_no_memory(s->err);
	raw->data = data;
	raw->bytes = bytes;
	if (!borrowed) {
		raw->data = raw->owned = malloc(bytes);
		if (!raw->owned)
			return lower_no_memory(s->err);
		memcpy(raw->owned, data, bytes);
	}
	*at = (struct lower_ref){ LOWER_REF_RAW, s->l->num_raws - 1 };
	return 0;
}

int dense_constant(struct select *s, uint8_t type, uint32_t rank, const int64_t *size,
		   const void *data, struct dense_view *view)
{
	uint64_t bytes;
	int rc = set_shape(s, view, type, rank, size, "a constant", &bytes);

	return rc ? rc : add_raw(s, data, bytes, false, &view->at);
}

int dense_scalar(struct select *s, double number, struct dense_view *view)
{
	return dense_constant(s, QEFF_NSP_F64, 0, NULL, &number, view);
}

static struct lower_ref binding_of(const struct select *s, const struct qeff_value *value,
				   bool output)
{
	uint32_t first = output ? s->l->num_inputs : 0;
	uint32_t end = output ? s->l->num_bindings : s->l->num_inputs;

	for (uint32_t i = first; i < end; i++)
		if (!strcmp(s->l->bindings[i].name, value->name) &&
		    s->l->bindings[i].state == LOWER_NONE)
			return (struct lower_ref){ LOWER_REF_BINDING, i };
	return (struct lower_ref){ LOWER_REF_NONE, 0 };
}

/* Rows as the application sees them, in a tensor of their own. */
static int spread_rows(struct select *s, const struct qeff_node *node,
		       const struct qeff_value *value, struct dense_view *view)
{
	const struct select_slot *slot = &s->slots[value->index];
	const struct lower_tensor tensor = s->spec->tensors[slot->index];
	bool segments = tensor.domain == QEFF_NSP_ROWS_SEGMENTS;
	uint32_t rows = s->spec->batch * (segments ? 1 : s->spec->seq);
	int64_t size[QEFF_GRAPH_MAX_RANK] = { rows, tensor.width };
	static const uint32_t swap[] = { 0, 2, 1, 3 };
	struct lower_op *op;
	uint64_t elements;
	int rc;

	if (!qeff_graph_shape_elements(&value->shape, &elements) ||
	    elements != (uint64_t)rows * tensor.width)
		return qeff_select_refuse(s, node, "%s has other numbers than its rows",
					  value->name);
	rc = dense_temp(s, QEFF_NSP_F32, 2, size, view);
	if (rc)
		return rc;
	op = qeff_select_op(s, value->producer ? value->producer : node, QEFF_NSP_COPY,
			    tensor.domain);
	if (!op)
		return -ENOMEM;
	op->nsp.u.copy.width = tensor.width;
	op->nsp.u.copy.out_rows = rows;
	op->name = value->name;
	qeff_select_read(op, 0, slot->index);
	op->out = view->at;
	for (uint32_t i = 0; i < value->shape.rank; i++)
		size[i] = value->shape.dims[i].size;
	if (slot->head_major) {
		int64_t heads = size[1];

		size[1] = size[2];
		size[2] = heads;
	}
	dense_reshape(view, value->shape.rank, size);
	if (slot->head_major)
		dense_transpose(view, swap);
	return 0;
}

static int leaf(struct select *s, const struct qeff_node *node, const struct qeff_value *value,
		struct dense_view *view)
{
	uint64_t bytes;
	int rc;

	if (value->is_initialiser) {
		rc = shape_of(s, value, dense_type(value->stored_type), view, &bytes);
		return rc ? rc : add_raw(s, value->data, bytes, true, &view->at);
	}
	rc = shape_of(s, value, dense_type(value->type), view, &bytes);
	if (rc)
		return rc;
	view->at = binding_of(s, value, false);
	if (view->at.kind == LOWER_REF_NONE)
		return qeff_select_refuse(s, node, "%s is no tensor here", value->name);
	view->type = s->l->bindings[view->at.index].type;
	return 0;
}

int dense_value(struct select *s, const struct qeff_node *node, const struct qeff_value *value,
		struct dense_view *view)
{
	struct dense_view *known = &s->dense[value->index];
	int rc = 0;

	if (known->at.kind == LOWER_REF_NONE) {
		if (s->slots[value->index].kind == SLOT_TENSOR)
			rc = spread_rows(s, node, value, known);
		else if (s->slots[value->index].kind == SLOT_STATE)
			rc = qeff_select_refuse(s, node, "%s is retained state", value->name);
		else if (value->producer)
			/* It was left to its readers: a view of weights, or positions. */
			rc = qeff_select_plain(s, value->producer);
		else
			rc = leaf(s, node, value, known);
	}
	if (!rc && known->at.kind == LOWER_REF_NONE)
		rc = qeff_select_refuse(s, node, "%s is no tensor", value->name);
	if (!rc)
		*view = *known;
	return rc;
}

int dense_input(struct select *s, const struct qeff_node *node, uint32_t index,
		struct dense_view *view)
{
	const struct qeff_value *value = qeff_node_input(node, index);

	if (!value)
		return qeff_select_refuse(s, node, "input %u is absent", index);
	return dense_value(s, node, value, view);
}

int dense_output(struct select *s, const struct qeff_node *node, uint32_t index,
		 struct dense_view *view)
{
	const struct qeff_value *value = node->outputs[index];
	uint64_t bytes;
	int rc = shape_of(s, value, dense_type(value->type), view, &bytes);

	if (rc)
		return rc;
	if (value->is_output)
		view->at = binding_of(s, value, true);
	if (view->at.kind == LOWER_REF_NONE || s->l->bindings[view->at.index].type != view->type)
		rc = new_tensor(s, bytes, &view->at);
	s->dense[value->index] = *view;
	return rc;
}

int dense_alias(struct select *s, const struct qeff_node *node, uint32_t index,
		const struct dense_view *view)
{
	const struct qeff_value *value = node->outputs[index];
	struct dense_view shaped = *view, out;
	int64_t size[QEFF_GRAPH_MAX_RANK];
	int rc;

	for (uint32_t i = 0; i < value->shape.rank; i++)
		size[i] = value->shape.dims[i].size;
	if (shaped.type == dense_type(value->type) &&
	    dense_reshape(&shaped, value->shape.rank, size)) {
		s->dense[value->index] = shaped;
		return 0;
	}
	rc = dense_output(s, node, index, &out);
	shaped = out;
	if (!rc && !dense_reshape(&shaped, view->rank, view->size))
		return qeff_select_refuse(s, node, "%s has not the numbers it is made of",
					  value->name);
	return rc ? rc : dense_copy(s, node, view, &shaped);
}

int dense_contiguous(struct select *s, const struct qeff_node *node, struct dense_view *view)
{
	struct dense_view copy;
	int rc;

	if (dense_is_contiguous(view))
		return 0;
	rc = dense_temp(s, view->type, view->rank, view->size, &copy);
	if (!rc)
		rc = dense_copy(s, node, view, &copy);
	if (!rc)
		*view = copy;
	return rc;
}
