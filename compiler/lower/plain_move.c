/* SPDX-License-Identifier: MIT */
/* Operators that only move elements: most are a view of their input, and nothing is copied. */
#include "lower/plain_words.h"

#include <string.h>

void plain_transpose(struct words *w)
{
	const struct qeff_attribute *given = qeff_node_attribute(w->node, "perm");
	struct dense_view x = words_in(w, 0);
	uint32_t perm[DENSE_MAX_RANK];

	if (w->rc)
		return;
	for (uint32_t i = 0; i < x.rank; i++)
		perm[i] = given ? (uint32_t)given->ints[i] : x.rank - 1 - i;
	dense_transpose(&x, perm);
	words_alias(w, 0, &x);
}

void plain_reshape(struct words *w)
{
	struct dense_view x = words_in(w, 0);

	words_alias(w, 0, &x);
}

/* The sizes of an output. */
static void sizes_of(const struct words *w, uint32_t output, int64_t *sizes)
{
	const struct qeff_graph_shape *shape = &w->node->outputs[output]->shape;

	for (uint32_t i = 0; i < shape->rank; i++)
		sizes[i] = shape->dims[i].size;
}

void plain_expand(struct words *w)
{
	struct dense_view x = words_in(w, 0);
	int64_t sizes[DENSE_MAX_RANK];

	sizes_of(w, 0, sizes);
	if (!w->rc && !dense_broadcast(&x, w->node->outputs[0]->shape.rank, sizes))
		words_refuse(w, "the shapes do not fit");
	words_alias(w, 0, &x);
}

/* A dimension that is repeated is two, of which the outer one does not move. */
void plain_tile(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0);
	int64_t split[DENSE_MAX_RANK];
	uint32_t rank = 0;

	for (uint32_t i = 0, dim = 0; !w->rc && i < out.rank; i++, dim++) {
		int64_t repeats = out.size[i] / x.size[dim];

		if (repeats > 1 && rank + 2 > DENSE_MAX_RANK) {
			words_refuse(w, "too many dimensions are repeated");
			return;
		}
		if (repeats > 1) {
			dense_insert(&x, dim++, repeats, 0);
			split[rank++] = repeats;
		}
		split[rank++] = x.size[dim];
	}
	words_reshape(w, &out, rank, split);
	words_copy(w, &x, &out);
}

void plain_slice(struct words *w)
{
	int64_t begin[QEFF_GRAPH_MAX_RANK], step[QEFF_GRAPH_MAX_RANK];
	struct dense_view x = words_in(w, 0);
	struct qeff_graph_shape shape;

	if (!w->rc)
		w->rc = qeff_op_slice(w->node, begin, step, &shape, w->s->err);
	for (uint32_t i = 0; !w->rc && i < x.rank; i++)
		dense_slice(&x, i, begin[i], shape.dims[i].size, step[i]);
	words_alias(w, 0, &x);
}

static uint32_t axis_of(const struct words *w, uint32_t rank, int64_t fallback)
{
	int64_t axis = words_int(w, "axis", fallback);

	/* a view that could not be made has none */
	if (w->rc)
		return 0;
	return (uint32_t)(axis < 0 ? axis + rank : axis);
}

void plain_split(struct words *w)
{
	struct dense_view x = words_in(w, 0);
	uint32_t axis = axis_of(w, x.rank, 0);
	int64_t begin = 0;

	for (uint32_t i = 0; i < w->node->num_outputs && !w->rc; i++) {
		int64_t size = w->node->outputs[i]->shape.dims[axis].size;
		struct dense_view part = words_part(&x, axis, begin, size);

		words_alias(w, i, &part);
		begin += size;
	}
}

void plain_concat(struct words *w)
{
	struct dense_view out = words_out(w, 0);
	uint32_t axis = axis_of(w, out.rank, 0);
	int64_t begin = 0;

	for (uint32_t i = 0; i < w->node->num_inputs && !w->rc; i++) {
		int64_t size = w->node->inputs[i]->shape.dims[axis].size;
		struct dense_view x, part;

		if (!size)
			continue;
		x = words_in(w, i);
		part = words_part(&out, axis, begin, size);
		words_copy(w, &x, &part);
		begin += size;
	}
}

/* What stands before (or behind) @x in its axis @axis, in the order in which it stands there. */
static struct dense_view beyond(const struct dense_view *x, const char *mode, uint32_t axis,
				bool behind, int64_t count)
{
	struct dense_view from = *x;
	int64_t n = x->size[axis];

	if (!strcmp(mode, "reflect"))
		dense_slice(&from, axis, behind ? n - 2 : count, count, -1);
	else if (!strcmp(mode, "wrap"))
		dense_slice(&from, axis, behind ? 0 : n - count, count, 1);
	else
		dense_slice(&from, axis, behind ? n - 1 : 0, count, 0);
	return from;
}

/* One axis after the other, so that corners are what stands beyond what was put beyond. */
static struct dense_view pad_axis(struct words *w, const struct dense_view *x, const char *mode,
				  uint32_t axis, int64_t begin, int64_t end)
{
	struct dense_view wide = *x, part, from;

	wide.size[axis] += begin + end;
	wide = words_like(w, x->type, &wide);
	if (w->rc)
		return wide;
	part = words_part(&wide, axis, begin, x->size[axis]);
	words_copy(w, x, &part);
	for (int behind = 0; behind < 2; behind++) {
		int64_t count = behind ? end : begin;

		if (!count)
			continue;
		part = words_part(&wide, axis, behind ? begin + x->size[axis] : 0, count);
		from = beyond(x, mode, axis, behind, count);
		words_copy(w, &from, &part);
	}
	return wide;
}

void plain_pad(struct words *w)
{
	int64_t begin[QEFF_GRAPH_MAX_RANK], end[QEFF_GRAPH_MAX_RANK];
	const char *mode = qeff_node_string(w->node, "mode", "constant");
	struct dense_view x = words_in(w, 0), out, part;

	if (!w->rc)
		w->rc = qeff_op_pads(w->node, begin, end, w->s->err);
	/* less than nothing beyond an edge takes away what is inside */
	for (uint32_t i = 0; !w->rc && i < x.rank; i++) {
		int64_t cut = begin[i] < 0 ? -begin[i] : 0;

		dense_slice(&x, i, cut, x.size[i] - cut - (end[i] < 0 ? -end[i] : 0), 1);
		begin[i] = begin[i] < 0 ? 0 : begin[i];
		end[i] = end[i] < 0 ? 0 : end[i];
	}
	if (strcmp(mode, "constant")) {
		for (uint32_t i = 0; !w->rc && i < x.rank; i++)
			if (begin[i] || end[i])
				x = pad_axis(w, &x, mode, i, begin[i], end[i]);
		words_alias(w, 0, &x);
		return;
	}
	out = words_out(w, 0);
	if (words_has(w, 2)) {
		struct dense_view value = words_in(w, 2);

		words_reshape(w, &value, 0, NULL);
		words_copy(w, &value, &out);
	} else {
		words_fill(w, &out, 0);
	}
	part = out;
	for (uint32_t i = 0; !w->rc && i < x.rank; i++)
		dense_slice(&part, i, begin[i], x.size[i], 1);
	words_copy(w, &x, &part);
}

void plain_depth_to_space(struct words *w)
{
	bool columns = !strcmp(qeff_node_string(w->node, "mode", "DCR"), "CRD");
	static const uint32_t dcr[] = { 0, 3, 4, 1, 5, 2 }, crd[] = { 0, 1, 4, 2, 5, 3 };
	int64_t b = words_int(w, "blocksize", 1);
	struct dense_view x = words_in(w, 0);
	int64_t depth = x.size[1] / (b * b);

	if (columns)
		words_reshape(w, &x, 6,
			      (int64_t[]){ x.size[0], depth, b, b, x.size[2], x.size[3] });
	else
		words_reshape(w, &x, 6,
			      (int64_t[]){ x.size[0], b, b, depth, x.size[2], x.size[3] });
	if (!w->rc)
		dense_transpose(&x, columns ? crd : dcr);
	words_alias(w, 0, &x);
}

void plain_space_to_depth(struct words *w)
{
	static const uint32_t perm[] = { 0, 3, 5, 1, 2, 4 };
	int64_t b = words_int(w, "blocksize", 1);
	struct dense_view x = words_in(w, 0);

	words_reshape(w, &x, 6,
		      (int64_t[]){ x.size[0], x.size[1], x.size[2] / b, b, x.size[3] / b, b });
	if (!w->rc)
		dense_transpose(&x, perm);
	words_alias(w, 0, &x);
}

/* Above or below a diagonal, by comparing row and column. */
void plain_trilu(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), rows, columns;
	int64_t k = 0;
	uint32_t count;
	double shift;

	if (!w->rc && words_has(w, 1))
		w->rc = qeff_op_ints(w->node, 1, &k, 1, &count, w->s->err);
	if (w->rc)
		return;
	/* farther away than all there is, is all the same */
	k = k > (1 << 24) ? 1 << 24 : k < -(1 << 24) ? -(1 << 24) : k;
	shift = (double)k;
	rows = words_iota(w, &x, x.rank - 2);
	columns = words_iota(w, &x, x.rank - 1);
	WORDS_MAP(w, dense_number(x.type),
		  words_int(w, "upper", 1) ? "b p0 + c <= a 0 ?" : "c b p0 + <= a 0 ?", &shift,
		  &out, &x, &rows, &columns);
}

void plain_eye_like(struct words *w)
{
	struct dense_view out = words_out(w, 0);
	int64_t k = words_int(w, "k", 0), row, column, count;

	words_fill(w, &out, 0);
	if (w->rc)
		return;
	row = k < 0 ? -k : 0;
	column = k > 0 ? k : 0;
	if (row >= out.size[0] || column >= out.size[1] || row < 0)
		return;
	count = out.size[0] - row;
	if (out.size[1] - column < count)
		count = out.size[1] - column;
	out.offset += row * out.stride[0] + column * out.stride[1];
	out.stride[0] += out.stride[1];
	out.size[0] = count;
	dense_slice(&out, 1, 0, 1, 1);
	dense_remove(&out, 1);
	words_fill(w, &out, 1);
}

void plain_range(struct words *w)
{
	struct dense_view start = words_in(w, 0), step = words_in(w, 2), out = words_out(w, 0);
	struct dense_view iota = words_iota(w, &out, 0);

	words_reshape(w, &start, 0, NULL);
	words_reshape(w, &step, 0, NULL);
	WORDS_MAP(w, dense_number(out.type), "a b * c +", NULL, &out, &iota, &step, &start);
}
