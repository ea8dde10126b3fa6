/* SPDX-License-Identifier: MIT */
/* Arithmetic on views of dense tensors. */
#include "lower/dense.h"

uint8_t dense_type(enum qeff_graph_type type)
{
	switch (type) {
	case QEFF_GRAPH_F16:
		return QEFF_NSP_F16;
	case QEFF_GRAPH_BF16:
		return QEFF_NSP_BF16;
	case QEFF_GRAPH_F64:
		return QEFF_NSP_F64;
	case QEFF_GRAPH_I8:
		return QEFF_NSP_I8;
	case QEFF_GRAPH_U8:
		return QEFF_NSP_U8;
	case QEFF_GRAPH_I16:
		return QEFF_NSP_I16;
	case QEFF_GRAPH_U16:
		return QEFF_NSP_U16;
	case QEFF_GRAPH_I32:
		return QEFF_NSP_I32;
	case QEFF_GRAPH_U32:
		return QEFF_NSP_U32;
	case QEFF_GRAPH_I64:
		return QEFF_NSP_I64;
	case QEFF_GRAPH_U64:
		return QEFF_NSP_U64;
	case QEFF_GRAPH_BOOL:
		return QEFF_NSP_BOOL;
	default:
		return QEFF_NSP_F32;
	}
}

uint8_t dense_number(uint8_t type)
{
	switch (type) {
	case QEFF_NSP_F32:
	case QEFF_NSP_F16:
	case QEFF_NSP_BF16:
		return QEFF_NSP_NUMBER_F32;
	case QEFF_NSP_F64:
		return QEFF_NSP_NUMBER_F64;
	case QEFF_NSP_U64:
		return QEFF_NSP_NUMBER_U64;
	default:
		return QEFF_NSP_NUMBER_I64;
	}
}

uint64_t dense_elements(const struct dense_view *view)
{
	uint64_t elements = 1;

	for (uint32_t i = 0; i < view->rank; i++)
		elements *= (uint64_t)view->size[i];
	return elements;
}

bool dense_is_contiguous(const struct dense_view *view)
{
	int64_t step = 1;

	for (uint32_t i = view->rank; i--;) {
		if (view->size[i] != 1 && view->stride[i] != step)
			return false;
		step *= view->size[i];
	}
	return true;
}

/* Each run of old dimensions that lie as one is cut up anew. */
bool dense_reshape(struct dense_view *view, uint32_t rank, const int64_t *size)
{
	int64_t old_size[DENSE_MAX_RANK], old_stride[DENSE_MAX_RANK], stride[DENSE_MAX_RANK];
	uint32_t old = 0, from = 0, to = 0;

	if (rank > DENSE_MAX_RANK)
		return false;
	for (uint32_t i = 0; i < view->rank; i++) {
		if (view->size[i] == 1)
			continue;
		old_size[old] = view->size[i];
		old_stride[old++] = view->stride[i];
	}
	while (from < old) {
		uint32_t from_end = from + 1, to_end = to;
		int64_t have = old_size[from], want = 1, step;

		while (want != have || to_end == to) {
			if (want < have || to_end == to) {
				if (to_end == rank)
					return false;
				want *= size[to_end++];
			} else {
				if (from_end == old ||
				    old_stride[from_end - 1] !=
					    old_size[from_end] * old_stride[from_end])
					return false;
				have *= old_size[from_end++];
			}
		}
		step = old_stride[from_end - 1];
		for (uint32_t i = to_end; i-- > to; step *= size[i])
			stride[i] = step;
		from = from_end;
		to = to_end;
	}
	for (; to < rank; to++) {
		if (size[to] != 1)
			return false;
		stride[to] = 0;
	}
	view->rank = rank;
	for (uint32_t i = 0; i < rank; i++) {
		view->size[i] = size[i];
		view->stride[i] = stride[i];
	}
	return true;
}

void dense_transpose(struct dense_view *view, const uint32_t *perm)
{
	const struct dense_view old = *view;

	for (uint32_t i = 0; i < view->rank; i++) {
		view->size[i] = old.size[perm[i]];
		view->stride[i] = old.stride[perm[i]];
	}
}

void dense_insert(struct dense_view *view, uint32_t axis, int64_t size, int64_t stride)
{
	for (uint32_t i = view->rank++; i > axis; i--) {
		view->size[i] = view->size[i - 1];
		view->stride[i] = view->stride[i - 1];
	}
	view->size[axis] = size;
	view->stride[axis] = stride;
}

void dense_remove(struct dense_view *view, uint32_t axis)
{
	view->rank--;
	for (uint32_t i = axis; i < view->rank; i++) {
		view->size[i] = view->size[i + 1];
		view->stride[i] = view->stride[i + 1];
	}
}

void dense_slice(struct dense_view *view, uint32_t axis, int64_t begin, int64_t size, int64_t step)
{
	view->offset += begin * view->stride[axis];
	view->size[axis] = size;
	/* the step to a place that is not taken may be any */
	view->stride[axis] *= size > 1 ? step : 1;
}

bool dense_broadcast(struct dense_view *view, uint32_t rank, const int64_t *size)
{
	uint32_t missing = rank - view->rank;

	if (view->rank > rank || rank > DENSE_MAX_RANK)
		return false;
	for (uint32_t i = 0; i < view->rank; i++)
		if (view->size[i] != 1 && view->size[i] != size[missing + i])
			return false;
	for (uint32_t i = rank; i--;) {
		bool repeats = i < missing || view->size[i - missing] == 1;

		view->stride[i] = repeats ? 0 : view->stride[i - missing];
		view->size[i] = size[i];
	}
	view->rank = rank;
	return true;
}
