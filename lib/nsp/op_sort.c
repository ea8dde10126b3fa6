/* SPDX-License-Identifier: MIT */
/*
 * SORT: the largest or smallest along a loop, in order. A heap of the best so far, the worst on
 * top, takes in number after number; then it is sorted in place. Keys are ordered as unsigned
 * integers whatever the type, and of equal ones the first place is the better one, so the order is
 * total.
 */
#include "nsp/kernels.h"

#include "nsp/nest.h"
#include "nsp/nsp_math_f64.h"
#include "nsp/vec.h"

#include <string.h>

struct entry {
	uint64_t key; /* the larger the better */
	uint32_t position;
};

static uint64_t float_key(double x)
{
	uint64_t bits = nsp_f64_bits(x + 0.0); /* one zero */

	if (x != x)
		return UINT64_MAX;
	return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static uint64_t signed_key(int64_t x)
{
	return (uint64_t)x ^ 1ull << 63;
}

static uint64_t key_of(const uint8_t *at, unsigned int type)
{
	switch (type) {
	case QEFF_NSP_F32:
		return float_key(*(const float *)at);
	case QEFF_NSP_F16:
		return float_key(qeff_f16_to_f32(*(const uint16_t *)at));
	case QEFF_NSP_BF16:
		return float_key(qeff_bf16_to_f32(*(const uint16_t *)at));
	case QEFF_NSP_F64:
		return float_key(*(const double *)at);
	case QEFF_NSP_I8:
		return signed_key(*(const int8_t *)at);
	case QEFF_NSP_I16:
		return signed_key(*(const int16_t *)at);
	case QEFF_NSP_I32:
		return signed_key(*(const int32_t *)at);
	case QEFF_NSP_I64:
		return signed_key(*(const int64_t *)at);
	case QEFF_NSP_U16:
		return *(const uint16_t *)at;
	case QEFF_NSP_U32:
		return *(const uint32_t *)at;
	case QEFF_NSP_U64:
		return *(const uint64_t *)at;
	default:
		return *at;
	}
}

static bool better(const struct entry *a, const struct entry *b)
{
	return a->key != b->key ? a->key > b->key : a->position < b->position;
}

/* @entry goes where nothing below it is worse. */
static void sift(struct entry *heap, uint32_t count, uint32_t at, struct entry entry)
{
	for (;;) {
		uint64_t child = 2ull * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && better(&heap[child], &heap[child + 1]))
			child++;
		if (!better(&entry, &heap[child]))
			break;
		heap[at] = heap[child];
		at = (uint32_t)child;
	}
	heap[at] = entry;
}

static void choose(const struct nsp_run *run, const uint8_t *from, int64_t stride_bytes,
		   uint32_t count, struct entry *heap)
{
	const struct qeff_nsp_sort_params *p = &run->op->u.sort;
	unsigned int type = run->op->in[0].type;
	uint64_t flip = p->smallest ? UINT64_MAX : 0;

	for (uint32_t i = 0; i < count; i++, from += stride_bytes) {
		const struct entry entry = { key_of(from, type) ^ flip, i };

		if (i < p->chosen) {
			heap[i] = entry;
			/* Full: from here on it is a heap. */
			for (uint32_t at = p->chosen / 2; i + 1 == p->chosen && at--;)
				sift(heap, p->chosen, at, heap[at]);
		} else if (better(&entry, &heap[0])) {
			sift(heap, p->chosen, 0, entry);
		}
	}
	/* The worst goes to the end, again and again. */
	for (uint32_t left = p->chosen; left > 1; left--) {
		const struct entry last = heap[left - 1];

		heap[left - 1] = heap[0];
		sift(heap, left - 1, 0, last);
	}
}

void NSP_NAME(sort)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_sort_params *p = &op->u.sort;
	const struct qeff_nsp_nest *nest = nsp_nest_of(&run->instance->program, op);
	const struct nsp_walk walk = nsp_walk_of(nest, op);
	const uint8_t *in = nsp_at(run, op->in[0].at);
	uint8_t *out = nsp_out(run, 0);
	uint32_t last = nest->rank - 1, size = nsp_type_bytes(op->in[0].type);
	int64_t out_size = nsp_type_bytes(op->out.type), in_stride = nest->stride[0][last] * size;
	struct entry *heap = (struct entry *)(void *)run->scratch;

	for (uint32_t u = run->first; u < run->end; u++) {
		const struct nsp_unit unit = nsp_unit_of(nest, &walk, u);
		const uint8_t *from = in + unit.offset[0] * size;
		uint8_t *to = out + unit.offset[QEFF_NSP_NEST_OUT] * out_size;

		choose(run, from, in_stride, nest->size[last], heap);
		for (uint32_t i = 0; i < p->chosen; i++) {
			if (!p->positions)
				memcpy(to, from + heap[i].position * in_stride, size);
			else if (op->out.type == QEFF_NSP_I64)
				*(int64_t *)(void *)to = heap[i].position;
			else
				*(int32_t *)(void *)to = (int32_t)heap[i].position;
			to += nest->stride[QEFF_NSP_NEST_OUT][last] * out_size;
		}
	}
	run->counters->bytes +=
		(uint64_t)(run->end - run->first) *
		((uint64_t)nest->size[last] * size + p->chosen * (uint64_t)out_size);
}
