/* SPDX-License-Identifier: MIT */
/* NEST: an expression over tensors of any shape, folded over some of the loops. */
#include "nsp/kernels.h"

#include "nsp/nest.h"
#include "nsp/vec.h"

#include <string.h>

/* A tile at work. */
struct nest_run {
	const struct qeff_nsp_op *op;
	const struct qeff_nsp_nest *nest;
	struct nsp_walk walk;
	const struct qeff_nsp_instruction *code;
	uint32_t instructions;
	const uint8_t *base[4]; /* NULL: no such operand */
	uint8_t *out;
	int64_t size[NSP_OPERANDS]; /* of an element */
	int64_t lane_stride[NSP_OPERANDS];
};

#define NUMBER_ALSO "nsp/kernel_nest.h"
#include "nsp/kernel_numbers.h"

/* How many of @numbers come before unit @unit, if all units are alike: parts add up to all. */
static uint64_t share(const struct nsp_walk *walk, uint64_t numbers, uint32_t unit)
{
	return (uint64_t)((double)numbers * unit / (double)walk->units);
}

void NSP_NAME(nest)(const struct nsp_run *run)
{
	static void (*const classes[QEFF_NSP_NUMBERS])(const struct nest_run *n, uint32_t first,
						       uint32_t end) = {
		[QEFF_NSP_NUMBER_F32] = f32_nest,
		[QEFF_NSP_NUMBER_F64] = f64_nest,
		[QEFF_NSP_NUMBER_I64] = i64_nest,
		[QEFF_NSP_NUMBER_U64] = u64_nest,
	};
	const struct qeff_nsp_op *op = run->op;
	struct nest_run n = {
		.op = op,
		.nest = nsp_nest_of(&run->instance->program, op),
		.code = run->instance->program.instructions + op->u.nest.first_instruction,
		.instructions = op->u.nest.instructions,
		.out = nsp_out(run, 0),
	};
	uint64_t numbers = 1, bytes = 0, folded = 1;

	n.walk = nsp_walk_of(n.nest, op);
	for (int i = 0; i < NSP_OPERANDS; i++) {
		const struct qeff_nsp_operand *operand =
			i < QEFF_NSP_NEST_OUT ? &op->in[i] : &op->out;

		if (operand->at == QEFF_NSP_NONE)
			continue;
		if (i < QEFF_NSP_NEST_OUT)
			n.base[i] = nsp_at(run, operand->at);
		n.size[i] = nsp_type_bytes(operand->type);
		n.lane_stride[i] = n.walk.lane < 0 ? 0 : n.nest->stride[i][n.walk.lane];
		if (i < QEFF_NSP_NEST_OUT)
			bytes += (uint64_t)n.size[i];
	}
	classes[op->u.nest.number](&n, run->first, run->end);
	for (uint32_t i = 0; i < n.nest->rank; i++)
		*(i < n.walk.kept ? &numbers : &folded) *= n.nest->size[i];
	numbers = share(&n.walk, numbers, run->end) - share(&n.walk, numbers, run->first);
	run->counters->bytes += numbers * (folded * bytes + (uint64_t)n.size[QEFF_NSP_NEST_OUT]);
	if (op->u.nest.fold == QEFF_NSP_FOLD_SUM)
		run->counters->macs += numbers * folded;
}
