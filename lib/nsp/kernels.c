/* SPDX-License-Identifier: MIT */
/* The table of operations of one instruction set. */
#include "nsp/kernels.h"

#define NSP_STRING(name)    NSP_STRING_OF(name)
#define NSP_STRING_OF(name) #name

const struct qeff_nsp_kernels NSP_NAME(kernels) = {
	.name = NSP_STRING(QEFF_NSP_ISA),
	.run = {
		[QEFF_NSP_ROWS] = NSP_NAME(rows),
		[QEFF_NSP_GATHER] = NSP_NAME(gather),
		[QEFF_NSP_MATMUL] = NSP_NAME(matmul),
		[QEFF_NSP_NORM] = NSP_NAME(norm),
		[QEFF_NSP_POINTWISE] = NSP_NAME(pointwise),
		[QEFF_NSP_ROPE] = NSP_NAME(rope),
		[QEFF_NSP_SCATTER] = NSP_NAME(scatter),
		[QEFF_NSP_ATTENTION] = NSP_NAME(attention),
		[QEFF_NSP_REDUCE] = NSP_NAME(reduce),
		[QEFF_NSP_COPY] = NSP_NAME(copy),
		[QEFF_NSP_ROUTE] = NSP_NAME(route),
		[QEFF_NSP_EXPERTS] = NSP_NAME(experts),
		[QEFF_NSP_MIX] = NSP_NAME(mix),
		[QEFF_NSP_NEST] = NSP_NAME(nest),
		[QEFF_NSP_PICK] = NSP_NAME(pick),
		[QEFF_NSP_PUT] = NSP_NAME(put),
		[QEFF_NSP_SORT] = NSP_NAME(sort),
		[QEFF_NSP_BEST] = NSP_NAME(best),
		[QEFF_NSP_SAMPLE] = NSP_NAME(sample),
		[QEFF_NSP_MARK] = NSP_NAME(mark),
		[QEFF_NSP_PENALISE] = NSP_NAME(penalise),
	},
};
