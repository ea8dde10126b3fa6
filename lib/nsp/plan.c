/* SPDX-License-Identifier: MIT */
/* How much scratch an operation needs, and how MATMUL uses it. */
#include "nsp/kernels.h"

#define MOST_ROWS      240	    /* of x at once: a multiple of every instruction set's tile */
#define STAGED_BYTES   (2ull << 20) /* what staged rows may take, one row aside */
#define ALIGNED(bytes) (((bytes) + 127) & ~127ull)

struct nsp_matmul_plan qeff_nsp_matmul_plan(const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_matmul_params *p = &op->u.matmul;
	struct nsp_matmul_plan plan = { .inputs = p->inputs };
	uint64_t rows = op->rows < MOST_ROWS ? op->rows : MOST_ROWS;

	if (qeff_nsp_takes_codes(p->weight_type)) {
		plan.inputs = (p->inputs + 31) / 32 * 32;
		/* codes, a scale a block, and whether the row is finite */
		plan.row_bytes = plan.inputs + (uint64_t)plan.inputs / 32 * 4 + 1;
	} else if ((p->weight_type == QEFF_NSP_BF16 && !p->exact) ||
		   op->in[0].type != QEFF_NSP_F32) {
		/* f32, or bf16 and a zero behind an odd last one */
		plan.row_bytes = (uint64_t)p->inputs * 4;
	}
	if (p->weight_type == QEFF_NSP_F16 || p->weight_type == QEFF_NSP_BF16)
		plan.weight_bytes = NSP_PIECE_INPUTS * QEFF_NSP_PANEL * 4;
	if (plan.row_bytes && rows > STAGED_BYTES / plan.row_bytes)
		rows = STAGED_BYTES / plan.row_bytes ? STAGED_BYTES / plan.row_bytes : 1;
	plan.rows = (uint32_t)rows;
	plan.sums_bytes = ALIGNED(rows * QEFF_NSP_PANEL * 4);
	plan.bytes = plan.sums_bytes + plan.weight_bytes + ALIGNED(rows * plan.row_bytes);
	return plan;
}

static uint64_t attention_bytes(const struct qeff_nsp_attention_params *p)
{
	uint64_t width =
		((uint64_t)p->value_dim + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL * QEFF_NSP_PANEL;
	uint64_t floats = (NSP_ATTENTION_KEYS + NSP_ATTENTION_QUERIES) * (p->head_dim + width) +
			  NSP_ATTENTION_QUERIES * NSP_ATTENTION_KEYS;

	return ALIGNED(floats * 4);
}

uint64_t qeff_nsp_scratch_bytes(const struct qeff_nsp_op *op)
{
	switch (op->code) {
	case QEFF_NSP_MATMUL:
		return qeff_nsp_matmul_plan(op).bytes;
	case QEFF_NSP_EXPERTS: {
		const struct qeff_nsp_op one = nsp_expert_matmul(op);

		return qeff_nsp_matmul_plan(&one).bytes;
	}
	case QEFF_NSP_ATTENTION:
		return attention_bytes(&op->u.attention);
	case QEFF_NSP_SORT:
		return ALIGNED(16ull * op->u.sort.chosen); /* key and position of each */
	default:
		return 0;
	}
}
