/* SPDX-License-Identifier: MIT */
/* What operations on nests read and write (see declare.c). */
#include "nsp/declare.h"

#include "nsp/nest.h"

/* Elements [low, high] around an operand's place. */
static void span(const struct declare *d, const struct qeff_nsp_operand *operand, int64_t low,
		 int64_t high, bool written)
{
	uint64_t size = nsp_type_bytes(operand->type);

	if (operand->at == QEFF_NSP_NONE || QEFF_NSP_REF_SPACE(operand->at) != QEFF_NSP_DDR)
		return;
	d->visit(d->user, QEFF_NSP_REF_OFFSET(operand->at) + (uint64_t)low * size,
		 (uint64_t)(high - low + 1) * size, written);
}

/* An operand's elements over loops [first, end) from @offset on, the last loop in one piece if it
 * has no gaps. */
static void elements(const struct declare *d, const struct qeff_nsp_nest *nest, int operand,
		     uint32_t first, uint32_t end, const int64_t offset[NSP_OPERANDS], bool written)
{
	const struct qeff_nsp_operand *at =
		operand < QEFF_NSP_NEST_OUT ? &d->op->in[operand] : &d->op->out;
	uint32_t index[QEFF_NSP_NEST_RANK] = { 0 };
	int64_t low = 0, high = 0, o[NSP_OPERANDS];

	for (int i = 0; i < NSP_OPERANDS; i++)
		o[i] = offset[i];
	if (end > first) {
		int64_t step = nest->stride[operand][end - 1];

		if (step >= -1 && step <= 1) {
			end--;
			*(step < 0 ? &low : &high) = step * ((int64_t)nest->size[end] - 1);
		}
	}
	do {
		span(d, at, o[operand] + low, o[operand] + high, written);
	} while (nsp_step(nest, first, end, index, o));
}

/* What a unit of @walk does with an operand: its strip, over all folded loops. */
static void unit(const struct declare *d, const struct qeff_nsp_nest *nest,
		 const struct nsp_walk *walk, uint64_t at, int operand, bool written)
{
	const struct nsp_unit u = nsp_unit_of(nest, walk, at);
	struct qeff_nsp_nest loops = *nest;
	uint32_t first = walk->kept;

	if (!walk->folds && walk->lane >= 0) {
		first--;
		loops.size[first] = u.count;
	}
	elements(d, &loops, operand, first, written ? walk->kept : nest->rank, u.offset, written);
}

void qeff_nsp_declare_nest(const struct declare *d)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&d->instance->program, d->op);
	const struct nsp_walk walk = nsp_walk_of(nest, d->op);

	for (uint64_t u = d->first; u < d->end; u++) {
		for (int i = 0; i < QEFF_NSP_NEST_OUT; i++)
			if (d->op->in[i].at != QEFF_NSP_NONE)
				unit(d, nest, &walk, u, i, false);
		unit(d, nest, &walk, u, QEFF_NSP_NEST_OUT, true);
	}
}

/* Data by its span, since indices may name anything in it. */
static void data(const struct declare *d, const struct qeff_nsp_nest *nest, int operand,
		 bool written)
{
	int64_t low, high;

	nsp_extent(nest, operand, nest->rank, &low, &high);
	nsp_pick_extent(&d->op->u.pick, &low, &high);
	span(d, operand < QEFF_NSP_NEST_OUT ? &d->op->in[operand] : &d->op->out, low, high,
	     written);
}

/* The components of the indices that unit @u reads. */
static void indices(const struct declare *d, const struct qeff_nsp_nest *nest,
		    const struct nsp_walk *walk, uint64_t u)
{
	const struct qeff_nsp_pick_params *p = &d->op->u.pick;
	struct declare component = *d;
	struct qeff_nsp_op op = *d->op;
	uint64_t size = nsp_type_bytes(op.in[1].type);

	component.op = &op;
	for (uint32_t j = 0; j < p->components; j++) {
		unit(&component, nest, walk, u, 1, false);
		op.in[1].at += (uint64_t)p->index_stride * size;
	}
}

void qeff_nsp_declare_pick(const struct declare *d)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&d->instance->program, d->op);
	const struct nsp_walk walk = nsp_walk_of(nest, d->op);

	if (d->first < d->end)
		data(d, nest, 0, false);
	for (uint64_t u = d->first; u < d->end; u++) {
		indices(d, nest, &walk, u);
		unit(d, nest, &walk, u, QEFF_NSP_NEST_OUT, true);
	}
}

void qeff_nsp_declare_put(const struct declare *d)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&d->instance->program, d->op);
	const struct nsp_walk walk = nsp_walk_of(nest, d->op);

	for (uint64_t u = d->first; u < d->end; u++) {
		indices(d, nest, &walk, u);
		unit(d, nest, &walk, u, 0, false);
	}
	/* What no index names stays as it is. */
	data(d, nest, QEFF_NSP_NEST_OUT, false);
	data(d, nest, QEFF_NSP_NEST_OUT, true);
}

void qeff_nsp_declare_sort(const struct declare *d)
{
	const struct qeff_nsp_nest *nest = nsp_nest_of(&d->instance->program, d->op);
	const struct nsp_walk walk = nsp_walk_of(nest, d->op);
	struct qeff_nsp_nest out = *nest;

	out.size[nest->rank - 1] = d->op->u.sort.chosen;
	for (uint64_t u = d->first; u < d->end; u++) {
		const struct nsp_unit at = nsp_unit_of(nest, &walk, u);

		elements(d, nest, 0, nest->rank - 1, nest->rank, at.offset, false);
		elements(d, &out, QEFF_NSP_NEST_OUT, nest->rank - 1, nest->rank, at.offset, true);
	}
}
