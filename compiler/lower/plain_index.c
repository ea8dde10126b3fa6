/* SPDX-License-Identifier: MIT */
/* Operators that choose elements by numbers which another tensor has. */
#include "lower/plain_words.h"

#include <stdlib.h>
#include <string.h>

static uint32_t axis_of(const struct words *w, uint32_t rank, int64_t fallback)
{
	int64_t axis = words_int(w, "axis", fallback);

	/* a view that could not be made has none */
	if (w->rc)
		return 0;
	return (uint32_t)(axis < 0 ? axis + rank : axis);
}

/* Axis @axis of data gives way to the dimensions of the indices. */
static void take(struct words *w, const struct dense_view *data, uint32_t axis,
		 const struct dense_view *indices, const struct dense_view *out)
{
	struct dense_pick pick = { .data = *data, .indices = *indices, .other = *out };

	if (w->rc)
		return;
	pick.components = 1;
	pick.stride[0] = data->stride[axis];
	pick.limit[0] = data->size[axis];
	dense_slice(&pick.data, axis, 0, 1, 1);
	dense_remove(&pick.data, axis);
	for (uint32_t i = 0; i < indices->rank; i++)
		dense_insert(&pick.data, axis + i, indices->size[i], 0);
	for (uint32_t i = 0; i < axis; i++)
		dense_insert(&pick.indices, i, data->size[i], 0);
	for (uint32_t i = axis + 1; i < data->rank; i++)
		dense_insert(&pick.indices, pick.indices.rank, data->size[i], 0);
	words_pick(w, &pick);
}

void plain_gather(struct words *w)
{
	struct dense_view data = words_in(w, 0), indices = words_in(w, 1), out = words_out(w, 0);

	take(w, &data, axis_of(w, data.rank, 0), &indices, &out);
}

/* Elements are as many as indices, and move along the axis only. */
static void along_axis(const struct words *w, struct dense_pick *pick)
{
	uint32_t axis = axis_of(w, pick->data.rank, 0);

	pick->components = 1;
	pick->stride[0] = pick->data.stride[axis];
	pick->limit[0] = pick->data.size[axis];
	memcpy(pick->data.size, pick->indices.size, sizeof(pick->data.size));
	pick->data.stride[axis] = 0;
}

void plain_gather_elements(struct words *w)
{
	struct dense_pick pick = { .data = words_in(w, 0),
				   .indices = words_in(w, 1),
				   .other = words_out(w, 0) };

	if (w->rc)
		return;
	along_axis(w, &pick);
	words_pick(w, &pick);
}

/* The last dimension of the indices is the components, and then come the elements they name. */
static void by_components(struct words *w, struct dense_pick *pick)
{
	struct dense_view *data = &pick->data, *indices = &pick->indices;
	uint32_t batch = (uint32_t)words_int(w, "batch_dims", 0), last;

	if (w->rc)
		return;
	last = indices->rank - 1;
	pick->components = (uint32_t)indices->size[last];
	pick->index_stride = indices->stride[last];
	if (pick->components > QEFF_NSP_MAX_COMPONENTS) {
		words_refuse(w, "indices have %u components", pick->components);
		return;
	}
	for (uint32_t i = 0; i < pick->components; i++) {
		pick->stride[i] = data->stride[batch];
		pick->limit[i] = data->size[batch];
		dense_slice(data, batch, 0, 1, 1);
		dense_remove(data, batch);
	}
	dense_slice(indices, last, 0, 1, 1);
	dense_remove(indices, last);
	for (uint32_t i = batch; i < last; i++)
		dense_insert(data, i, indices->size[i], 0);
	for (uint32_t i = last; i < data->rank; i++)
		dense_insert(indices, i, data->size[i], 0);
}

void plain_gather_nd(struct words *w)
{
	struct dense_pick pick = { .data = words_in(w, 0),
				   .indices = words_in(w, 1),
				   .other = words_out(w, 0) };

	by_components(w, &pick);
	words_pick(w, &pick);
}

static uint8_t fold_of(const struct words *w)
{
	static const char *const names[] = { "none", "add", "mul", "max", "min" };
	const char *reduction = qeff_node_string(w->node, "reduction", "none");
	uint8_t fold = 0;

	while (fold < QEFF_NSP_FOLD_MIN && strcmp(reduction, names[fold]))
		fold++;
	return fold;
}

/* The updates go into a copy of the data. */
static void scatter(struct words *w, void (*place)(struct words *w, struct dense_pick *pick))
{
	struct dense_view data = words_in(w, 0), out = words_out(w, 0);
	struct dense_pick pick = {
		.data = out, .indices = words_in(w, 1), .other = words_in(w, 2), .fold = fold_of(w)
	};

	words_copy(w, &data, &out);
	if (w->rc)
		return;
	place(w, &pick);
	words_put(w, &pick);
}

static void place_along_axis(struct words *w, struct dense_pick *pick)
{
	along_axis(w, pick);
}

void plain_scatter_elements(struct words *w)
{
	scatter(w, place_along_axis);
}

void plain_scatter_nd(struct words *w)
{
	scatter(w, by_components);
}

void plain_one_hot(struct words *w)
{
	struct dense_view indices = words_in(w, 0), values = words_in(w, 2), out = words_out(w, 0);
	struct dense_view off, on, iota;
	uint32_t axis = axis_of(w, out.rank, -1);
	double depth;

	if (w->rc)
		return;
	depth = (double)out.size[axis];
	iota = words_iota(w, &out, axis);
	dense_insert(&indices, axis, 1, 0);
	off = words_part(&values, 0, 0, 1);
	on = words_part(&values, 0, 1, 1);
	WORDS_MAP(w, dense_number(out.type), "a 0 < a p0 + a ? b = d c ?", &depth, &out, &indices,
		  &iota, &off, &on);
}

/* The condition is a constant, so it is a Gather whose indices are known. */
void plain_compress(struct words *w)
{
	const struct qeff_value *condition = qeff_node_input(w->node, 1);
	bool flat = !qeff_node_attribute(w->node, "axis");
	struct dense_view data = words_in(w, 0), out = words_out(w, 0), where;
	uint32_t axis = flat ? 0 : axis_of(w, data.rank, 0);
	int64_t count = 0, *chosen, all;

	if (w->rc)
		return;
	all = (int64_t)dense_elements(&data);
	if (flat)
		words_reshape(w, &data, 1, &all);
	chosen = calloc((size_t)condition->shape.dims[0].size, sizeof(*chosen));
	if (!chosen) {
		w->rc = lower_no_memory(w->s->err);
		return;
	}
	for (int64_t i = 0; i < condition->shape.dims[0].size; i++)
		if (((const uint8_t *)condition->data)[i])
			chosen[count++] = i;
	where = words_constant(w, QEFF_NSP_I64, 1, &count, chosen);
	free(chosen);
	take(w, &data, axis, &where, &out);
}

/* Of each sequence, what stands before its length, the other way round. */
void plain_reverse_sequence(struct words *w)
{
	uint32_t time = (uint32_t)words_int(w, "time_axis", 0);
	struct dense_view x = words_in(w, 0), lengths = words_in(w, 1), out = words_out(w, 0);
	struct dense_view where, iota;
	struct dense_pick pick = { .data = x, .other = out, .components = 1 };

	if (w->rc)
		return;
	where = words_temp(w, QEFF_NSP_I64, 2, x.size);
	iota = words_iota(w, &where, time);
	if (!time)
		dense_insert(&lengths, 0, 1, 0);
	else
		dense_insert(&lengths, 1, 1, 0);
	WORDS_MAP(w, QEFF_NSP_NUMBER_I64, "a b < b a - 1 - a ?", NULL, &where, &iota, &lengths);
	pick.stride[0] = x.stride[time];
	pick.limit[0] = x.size[time];
	pick.data.stride[time] = 0;
	pick.indices = where;
	for (uint32_t i = 2; i < x.rank && !w->rc; i++)
		dense_insert(&pick.indices, i, x.size[i], 0);
	words_pick(w, &pick);
}
