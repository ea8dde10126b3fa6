/* SPDX-License-Identifier: MIT */
/* Operations that only move rows: SCATTER into retained state, COPY to the shape the application
 * sees. */
#include "nsp/kernels.h"

#include "nsp/kernel_mx.h"
#include "nsp/vec.h"

#include <string.h>

#define COLUMNS 256

static int64_t cut(float x)
{
	/* cppcheck-suppress incorrectLogicOperator ; it does not read such numbers */
	return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : 0;
}

/* @count numbers from one storage type to another; integers only to themselves. */
static void convert(uint8_t *to, unsigned int to_type, const uint8_t *from, unsigned int from_type,
		    uint32_t count)
{
	uint32_t to_size = nsp_type_bytes(to_type), from_size = nsp_type_bytes(from_type);

	if (to_type == from_type) {
		memmove(to, from, (size_t)count * to_size);
		return;
	}
	for (uint32_t c = 0; c < count; c += COLUMNS) {
		uint32_t n = count - c < COLUMNS ? count - c : COLUMNS;
		float buffer[COLUMNS];
		const float *x = vf_widen(buffer, from + (size_t)c * from_size, from_type, n);

		if (to_type != QEFF_NSP_I64)
			vf_narrow(to + (size_t)c * to_size, to_type, x, n);
		else
			for (uint32_t i = 0; i < n; i++)
				((int64_t *)to)[c + i] = cut(x[i]);
	}
}

/* A row of @count numbers of @from_type as MXINT8. */
static void to_mxint8(uint8_t *to, const uint8_t *from, unsigned int from_type, uint32_t count)
{
	for (uint32_t c = 0; c < count; c += NSP_MX_BLOCK) {
		uint32_t n = count - c < NSP_MX_BLOCK ? count - c : NSP_MX_BLOCK;
		float buffer[NSP_MX_BLOCK];

		nsp_mxint8_narrow(to, count, c,
				  vf_widen(buffer, from + (size_t)c * nsp_type_bytes(from_type),
					   from_type, n),
				  n);
	}
}

void NSP_NAME(scatter)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_scatter_params *p = &op->u.scatter;
	uint32_t size = nsp_type_bytes(op->in[0].type);
	uint64_t heads = run->tile->end - run->tile->begin;

	for (uint32_t row = run->first; row < run->end; row++) {
		const struct nsp_token *token = &run->instance->token[row];

		for (uint32_t h = run->tile->begin; h < run->tile->end; h++) {
			uint8_t *to = run->instance->ddr +
				      nsp_state_offset(&p->state, token->slot, h, token->position);
			const uint8_t *from =
				nsp_in(run, &op->in[0], row) + (uint64_t)h * p->dim * size;

			if (p->state.type == QEFF_NSP_MXINT8)
				to_mxint8(to, from, op->in[0].type, p->dim);
			else
				convert(to, p->state.type, from, op->in[0].type, p->dim);
		}
	}
	run->counters->bytes += (run->end - run->first) * heads *
				((uint64_t)p->dim * size + nsp_row_bytes(p->state.type, p->dim));
}

/* The row of the application's shape that compacted row @row comes from. */
static uint32_t source_of(const struct nsp_run *run, uint32_t row)
{
	switch (run->op->domain) {
	case QEFF_NSP_ROWS_TOKENS:
		return run->instance->token[row].source;
	case QEFF_NSP_ROWS_SEGMENTS:
		return run->instance->segment[row].source;
	default:
		return row;
	}
}

/* Row parts of COPY cut the rows of its output, dead ones included; sources ascend with the rows.
 */
void NSP_NAME(copy)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	uint32_t width = op->u.copy.width, live = nsp_live(run->instance, op), row = 0;
	uint64_t in_bytes = (uint64_t)width * nsp_type_bytes(op->in[0].type);
	uint64_t out_bytes = (uint64_t)width * nsp_type_bytes(op->out.type);

	while (row < live && source_of(run, row) < run->first)
		row++;
	for (uint32_t to = run->first; to < run->end; to++) {
		if (row < live && source_of(run, row) == to) {
			convert(nsp_out(run, to), op->out.type, nsp_in(run, &op->in[0], row),
				op->in[0].type, width);
			run->counters->bytes += in_bytes;
			row++;
		} else {
			memset(nsp_out(run, to), 0, out_bytes);
		}
		run->counters->bytes += out_bytes;
	}
}
