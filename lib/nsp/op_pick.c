/* SPDX-License-Identifier: MIT */
/* PICK and PUT: elements by indices that are data. Every index is read once and checked before it
 * is used. */
#include "nsp/kernels.h"

#include "nsp/nest.h"
#include "nsp/vec.h"

#include <string.h>

#include "nsp/kernel_numbers.h"

struct pick_run {
	const struct nsp_run *run;
	const struct qeff_nsp_pick_params *p;
	const uint8_t *index;
	unsigned int index_type;
	uint8_t *data; /* PICK: only read */
	uint8_t *other;
	uint32_t size; /* of an element */
	unsigned int type;
};

static int64_t read_index(const struct pick_run *n, int64_t at)
{
	if (n->index_type == QEFF_NSP_I32)
		return *(const volatile int32_t *)(n->index + at * 4);
	return nsp_read_i64(n->index + at * 8);
}

/* How far the index whose first component stands at @at moves within data; false: a fault. */
static bool reach(const struct pick_run *n, int64_t at, uint32_t unit, int64_t *distance)
{
	const struct qeff_nsp_pick_params *p = n->p;

	*distance = 0;
	for (uint32_t j = 0; j < p->components; j++) {
		int64_t index = read_index(n, at + j * p->index_stride), found = index;

		if (index < 0)
			index += p->limit[j];
		if (index < 0 || index >= p->limit[j]) {
			qeff_nsp_set_fault(n->run->instance, QEFF_NSP_FAULT_INDEX, n->run->tile->op,
					   unit, found);
			return false;
		}
		*distance += index * p->stride[j];
	}
	return true;
}

/* @count elements, strides in elements. */
static void move(uint8_t *to, int64_t to_stride, const uint8_t *from, int64_t from_stride,
		 uint32_t size, uint32_t count)
{
	if (to_stride == 1 && from_stride == 1) {
		memcpy(to, from, (size_t)count * size);
		return;
	}
	for (uint32_t i = 0; i < count; i++, to += to_stride * size, from += from_stride * size)
		memcpy(to, from, size);
}

static void fold_one(unsigned int type, unsigned int fold, uint8_t *data, const uint8_t *update)
{
#define FOLD_AS(class, number)                                                                     \
	do {                                                                                       \
		number x, y;                                                                       \
                                                                                                   \
		class##_load(&x, data, type, 1, 1);                                                \
		class##_load(&y, update, type, 1, 1);                                              \
		x = class##_fold(fold, x, y);                                                      \
		class##_store(data, type, 1, &x, 1);                                               \
	} while (0)

	switch (type) {
	case QEFF_NSP_F32:
	case QEFF_NSP_F16:
	case QEFF_NSP_BF16:
		FOLD_AS(f32, float);
		break;
	case QEFF_NSP_F64:
		FOLD_AS(f64, double);
		break;
	case QEFF_NSP_U64:
		FOLD_AS(u64, uint64_t);
		break;
	default:
		FOLD_AS(i64, int64_t);
	}
#undef FOLD_AS
}

static struct pick_run start(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	bool put = op->code == QEFF_NSP_PUT;

	return (struct pick_run){
		.run = run,
		.p = &op->u.pick,
		.index = nsp_at(run, op->in[1].at),
		.index_type = op->in[1].type,
		.data = put ? nsp_out(run, 0) : (uint8_t *)nsp_at(run, op->in[0].at),
		.other = put ? (uint8_t *)nsp_at(run, op->in[0].at) : nsp_out(run, 0),
		.size = nsp_type_bytes(op->out.type),
		.type = op->out.type,
	};
}

static void count_bytes(const struct pick_run *n, uint64_t elements, uint64_t indices)
{
	uint64_t index = n->index_type == QEFF_NSP_I32 ? 4 : 8;

	n->run->counters->bytes += elements * 2 * n->size + indices * n->p->components * index;
}

void NSP_NAME(pick)(const struct nsp_run *run)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&run->instance->program, run->op);
	const struct nsp_walk walk = nsp_walk_of(nest, run->op);
	const struct pick_run n = start(run);
	int64_t stride[NSP_OPERANDS] = { 0 };

	for (int o = 0; walk.lane >= 0 && o < NSP_OPERANDS; o++)
		stride[o] = nest->stride[o][walk.lane];
	for (uint32_t u = run->first; u < run->end; u++) {
		const struct nsp_unit unit = nsp_unit_of(nest, &walk, u);
		/* Where the whole strip has one index, it is one move. */
		uint32_t step = stride[1] ? 1 : unit.count;

		for (uint32_t i = 0; i < unit.count; i += step) {
			int64_t from = unit.offset[0] + i * stride[0], distance;
			int64_t to = unit.offset[QEFF_NSP_NEST_OUT] + i * stride[QEFF_NSP_NEST_OUT];

			if (!reach(&n, unit.offset[1] + i * stride[1], u, &distance))
				return;
			move(n.other + to * n.size, stride[QEFF_NSP_NEST_OUT],
			     n.data + (from + distance) * n.size, stride[0], n.size, step);
		}
		count_bytes(&n, unit.count, unit.count / step);
	}
}

void NSP_NAME(put)(const struct nsp_run *run)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&run->instance->program, run->op);
	const struct nsp_walk walk = nsp_walk_of(nest, run->op);
	const struct pick_run n = start(run);
	int64_t stride[NSP_OPERANDS] = { 0 };

	for (int o = 0; walk.lane >= 0 && o < NSP_OPERANDS; o++)
		stride[o] = nest->stride[o][walk.lane];
	for (uint32_t u = run->first; u < run->end; u++) {
		const struct nsp_unit unit = nsp_unit_of(nest, &walk, u);

		for (uint32_t i = 0; i < unit.count; i++) {
			int64_t from = unit.offset[0] + i * stride[0], distance;
			int64_t to = unit.offset[QEFF_NSP_NEST_OUT] + i * stride[QEFF_NSP_NEST_OUT];
			uint8_t *at;

			if (!reach(&n, unit.offset[1] + i * stride[1], u, &distance))
				return;
			at = n.data + (to + distance) * n.size;
			if (n.p->fold == QEFF_NSP_FOLD_NONE)
				memcpy(at, n.other + from * n.size, n.size);
			else
				fold_one(n.type, n.p->fold, at, n.other + from * n.size);
		}
		count_bytes(&n, unit.count, unit.count);
	}
}
