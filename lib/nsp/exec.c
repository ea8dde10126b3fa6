/* SPDX-License-Identifier: MIT */
/* One inference: choose the specialisation, run tiles phase by phase, report. */
#include "nsp/nest.h"

#include <string.h>

#define ALIGNED(bytes) (((bytes) + 63) & ~(size_t)63)

size_t qeff_nsp_instance_bytes(const struct qeff_nsp_program *program)
{
	return ALIGNED(sizeof(struct qeff_nsp_instance)) +
	       ALIGNED((size_t)program->max_tokens * sizeof(struct nsp_token)) +
	       ALIGNED((size_t)program->max_segments * sizeof(struct nsp_segment));
}

void qeff_nsp_instance_init(struct qeff_nsp_instance *instance,
			    const struct qeff_nsp_program *program,
			    const struct qeff_nsp_kernels *kernels, uint8_t *ddr)
{
	uint8_t *behind = (uint8_t *)instance + ALIGNED(sizeof(*instance));

	memset(instance, 0, sizeof(*instance));
	instance->program = *program;
	instance->kernels = kernels;
	instance->ddr = ddr;
	instance->token = (struct nsp_token *)behind;
	behind += ALIGNED((size_t)program->max_tokens * sizeof(struct nsp_token));
	instance->segment = (struct nsp_segment *)behind;
}

void qeff_nsp_set_fault(struct qeff_nsp_instance *instance, enum qeff_nsp_fault fault, uint32_t op,
			uint32_t row, int64_t value)
{
	if (__atomic_exchange_n(&instance->fault_taken, 1, __ATOMIC_ACQ_REL))
		return;
	instance->fault = fault;
	instance->fault_op = op;
	instance->fault_row = row;
	instance->fault_value = value;
}

static bool faulted(const struct qeff_nsp_instance *instance)
{
	return __atomic_load_n(&instance->fault_taken, __ATOMIC_ACQUIRE);
}

/* 64 bits do not wrap around; a Hexagon's 32 would in years. */
static unsigned long inferences;

uint32_t qeff_nsp_begin(struct qeff_nsp_instance *instance)
{
	const struct qeff_nsp_header *header = instance->program.header;
	const struct qeff_nsp_control *control =
		(const struct qeff_nsp_control *)(instance->ddr + header->control);
	uint32_t spec = *(const volatile uint32_t *)&control->specialisation;

	instance->spec = NULL;
	instance->inference = __atomic_add_fetch(&inferences, 1, __ATOMIC_RELAXED);
	instance->tokens = 0;
	instance->segments = 0;
	instance->fault_taken = 0;
	instance->fault = QEFF_NSP_FAULT_NONE;
	instance->fault_op = 0;
	instance->fault_row = 0;
	instance->fault_value = 0;
	memset(instance->counters, 0, sizeof(instance->counters));
	if (spec >= header->specs) {
		qeff_nsp_set_fault(instance, QEFF_NSP_FAULT_SPECIALISATION, 0, 0, spec);
		return 0;
	}
	instance->spec = &instance->program.specs[spec];
	return instance->spec->phases;
}

/* The tiles of @nsp in a phase of the current specialisation. */
void qeff_nsp_tiles(const struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp,
		    uint32_t *first, uint32_t *end)
{
	const struct qeff_nsp_program *program = &instance->program;
	const uint32_t *index = program->tile_index +
				(uint64_t)nsp * (program->header->phases + 1) +
				instance->spec->first_phase + phase;

	*first = index[0];
	*end = index[1];
}

void qeff_nsp_tile_rows(const struct qeff_nsp_instance *instance, const struct qeff_nsp_op *op,
			const struct qeff_nsp_tile *tile, uint32_t *first, uint32_t *end)
{
	uint32_t rows = op->code == QEFF_NSP_COPY ? op->u.copy.out_rows : nsp_live(instance, op);

	if (nsp_is_nest(op->code))
		rows = (uint32_t)nsp_walk_of(nsp_nest_of(&instance->program, op), op).units;
	*first = (uint32_t)((uint64_t)rows * tile->row_part / tile->row_parts);
	*end = (uint32_t)((uint64_t)rows * (tile->row_part + 1u) / tile->row_parts);
}

void qeff_nsp_phase_on(struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp,
		       struct qeff_nsp_worker *worker)
{
	const struct qeff_nsp_program *program = &instance->program;
	uint32_t first, end;

	qeff_nsp_tiles(instance, phase, nsp, &first, &end);
	for (uint32_t i = first; i < end && !faulted(instance); i++) {
		struct nsp_run run = {
			.instance = instance,
			.tile = &program->tiles[i],
			.counters = &instance->counters[nsp],
			.scratch = worker->scratch,
			.staged = &worker->staged,
			.phase = phase,
		};

		run.op = &program->ops[run.tile->op];
		/* Other operations use scratch as they please. */
		if (run.op->code != QEFF_NSP_MATMUL && run.op->code != QEFF_NSP_EXPERTS)
			worker->staged.inference = 0;
		qeff_nsp_tile_rows(instance, run.op, run.tile, &run.first, &run.end);
		instance->kernels->run[run.op->code](&run);
	}
}

void qeff_nsp_phase(struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp, void *scratch)
{
	struct qeff_nsp_worker worker = { .scratch = scratch };

	qeff_nsp_phase_on(instance, phase, nsp, &worker);
}

enum qeff_nsp_fault qeff_nsp_end(struct qeff_nsp_instance *instance, uint64_t time_us)
{
	const struct qeff_nsp_header *header = instance->program.header;
	struct qeff_nsp_stats *stats = (struct qeff_nsp_stats *)(instance->ddr + header->stats);

	memset(stats, 0, sizeof(*stats));
	stats->version = 1;
	stats->nsps = header->nsps;
	stats->fault = instance->fault;
	stats->fault_op = instance->fault_op;
	stats->fault_value = instance->fault_value;
	stats->fault_row = instance->fault_row;
	stats->tokens = instance->tokens;
	stats->time_us = time_us;
	for (uint32_t i = 0; i < header->nsps; i++) {
		stats->nsp[i].macs = instance->counters[i].macs;
		stats->nsp[i].bytes = instance->counters[i].bytes;
	}
	return (enum qeff_nsp_fault)instance->fault;
}
