/* SPDX-License-Identifier: MIT */
/* ROWS: which positions of the token inputs hold a token; fills the row table of this inference. */
#include "nsp/kernels.h"

static int64_t slot_of(const struct nsp_run *run, uint32_t entry)
{
	const struct qeff_nsp_operand *in = &run->op->in[1];

	return in->at == QEFF_NSP_NONE ? entry : nsp_read_i64(nsp_at(run, in->at) + entry * 8ull);
}

void NSP_NAME(rows)(const struct nsp_run *run)
{
	struct qeff_nsp_instance *instance = run->instance;
	const struct qeff_nsp_spec *spec = instance->spec;
	uint32_t op = run->tile->op, tokens = 0, segments = 0;

	for (uint32_t entry = 0; entry < spec->batch; entry++) {
		struct nsp_segment *segment = &instance->segment[segments];
		int64_t slot = slot_of(run, entry);

		segment->source = entry;
		segment->first = tokens;
		for (uint32_t column = 0; column < spec->seq; column++) {
			uint32_t source = entry * spec->seq + column;
			int64_t position =
				nsp_read_i64(nsp_at(run, run->op->in[0].at) + source * 8ull);

			if (run->op->u.rows.from_mask == 2)
				position = position ? (int64_t)column : -1;
			else if (run->op->u.rows.from_mask)
				position = position ? (int64_t)(tokens - segment->first) : -1;
			if (position == -1)
				continue;
			if (position < 0 || position >= spec->positions) {
				qeff_nsp_set_fault(instance, QEFF_NSP_FAULT_POSITION, op, source,
						   position);
				return;
			}
			if (slot < 0 || slot >= spec->slots) {
				qeff_nsp_set_fault(instance, QEFF_NSP_FAULT_SLOT, op, entry, slot);
				return;
			}
			instance->token[tokens++] = (struct nsp_token){
				.source = source,
				.slot = (uint32_t)slot,
				.position = (uint32_t)position,
				.segment = segments,
			};
		}
		segment->count = tokens - segment->first;
		if (segment->count)
			segments++;
	}
	instance->tokens = tokens;
	instance->segments = segments;
	run->counters->bytes += (uint64_t)spec->batch * spec->seq * 8;
}
