/* SPDX-License-Identifier: MIT */
/* GATHER: rows of a table in the constants, row-major or packed as weights, by index or by
 * position. */
#include "nsp/kernels.h"

#include "nsp/pack.h"
#include "nsp/vec.h"

#include <string.h>

#define COLUMNS 256

static int64_t index_of(const struct nsp_run *run, uint32_t row)
{
	const struct nsp_token *token = &run->instance->token[row];

	switch (run->op->u.gather.from_position) {
	case 0:
		return nsp_read_i64(nsp_at(run, run->op->in[0].at) + token->source * 8ull);
	case 1:
		return token->position;
	case 3:
		return nsp_read_i64(nsp_at(run, run->op->in[0].at) +
				    run->instance->segment[token->segment].source * 8ull);
	default:
		return 0;
	}
}

/* Columns [first, first + count) of @entry as f32. */
static const float *load(const struct nsp_run *run, float *to, uint32_t entry, uint32_t first,
			 uint32_t count)
{
	const struct qeff_nsp_gather_params *p = &run->op->u.gather;
	const struct qeff_nsp_operand *table = &run->op->in[1];
	uint32_t size = nsp_type_bytes(table->type), per_row;
	const uint8_t *panel;

	if (!p->packed)
		return vf_widen(to, nsp_in(run, table, entry) + (size_t)first * size, table->type,
				count);
	entry -= run->tile->begin;
	per_row = qeff_nsp_panel_row_inputs(table->type);
	panel = nsp_at(run, run->tile->data) +
		entry / QEFF_NSP_PANEL * qeff_nsp_panel_bytes(table->type, p->width, 0) +
		entry % QEFF_NSP_PANEL * 4;
	for (uint32_t i = 0, k = first; i < count; i++, k++)
		to[i] = qeff_nsp_load(panel + (size_t)(k / per_row) * QEFF_NSP_PANEL_ROW_BYTES +
					      k % per_row * size,
				      table->type);
	return to;
}

static void gather_row(const struct nsp_run *run, uint32_t row, int64_t entry)
{
	const struct qeff_nsp_gather_params *p = &run->op->u.gather;
	uint32_t type = run->op->out.type, size = nsp_type_bytes(type);
	uint8_t *out = nsp_out(run, row);
	float values[COLUMNS], buffer[COLUMNS];

	for (uint32_t c = 0; c < p->width; c += COLUMNS) {
		uint32_t count = p->width - c < COLUMNS ? p->width - c : COLUMNS;

		if (entry < 0)
			memset(values, 0, sizeof(values));
		else
			memcpy(values, load(run, buffer, (uint32_t)entry, c, count),
			       count * sizeof(float));
		for (uint32_t i = 0; i < count; i++)
			values[i] *= p->scale;
		if (p->accumulate) {
			const float *old = vf_widen(buffer, out + (size_t)c * size, type, count);

			for (uint32_t i = 0; i < count; i++)
				values[i] += old[i];
		}
		vf_narrow(out + (size_t)c * size, type, values, count);
	}
	run->counters->bytes += (uint64_t)p->width * (nsp_type_bytes(run->op->in[1].type) +
						      (p->accumulate ? 2 : 1) * size);
}

void NSP_NAME(gather)(const struct nsp_run *run)
{
	const struct qeff_nsp_gather_params *p = &run->op->u.gather;
	const struct qeff_nsp_tile *tile = run->tile;

	for (uint32_t row = run->first; row < run->end; row++) {
		int64_t entry = index_of(run, row);

		if (entry >= tile->begin && entry < tile->end) {
			gather_row(run, row, entry);
		} else if ((entry < 0 || entry >= p->entries) && tile->end == p->entries) {
			gather_row(run, row, -1);
			qeff_nsp_set_fault(run->instance, QEFF_NSP_FAULT_INDEX, tile->op,
					   run->instance->token[row].source, entry);
		}
	}
}
