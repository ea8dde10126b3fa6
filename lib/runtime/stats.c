/* SPDX-License-Identifier: MIT */
/*
 * What the NSPs report of an inference, and their faults in words. The report comes from the card
 * and the program it refers to from a file: numbers in both are only used to look things up, and
 * every look-up is bounded here.
 */
#include "runtime/runtime.h"

#include "nsp/program.h"
#include "util/checked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATS_VERSION 1

/* ---- looking things up in the program ---- */

/* @count entries of @size bytes at @offset of the program, or NULL if they are not all there. */
static const void *table_entry(const struct qeff_constants *constants, uint64_t offset,
			       uint64_t index, uint64_t count, size_t size)
{
	uint64_t at;

	if (index >= count || !qeff_mul_u64(index, size, &at) || !qeff_add_u64(at, offset, &at) ||
	    !qeff_range_valid(at, size, constants->static_size_bytes) || at % 8)
		return NULL;
	return (const uint8_t *)constants->static_data + at;
}

static const struct qeff_nsp_header *program_header(const struct qeff_constants *constants)
{
	const struct qeff_nsp_header *header = constants->static_data;

	if (constants->static_size_bytes < sizeof(*header) || header->magic != QEFF_NSP_MAGIC ||
	    header->version_major != QEFF_NSP_VERSION_MAJOR)
		return NULL;
	return header;
}

bool qeff_stats_find(const struct qeff_loaded_program *program, uint64_t *offset)
{
	const struct qeff_nsp_header *header = program_header(&program->constants);
	const struct qeff_metadata *metadata = program->metadata;

	if (program->control < 0 || !header)
		return false;
	for (uint32_t i = 0; i < metadata->num_dma_requests; i++) {
		const struct qeff_md_dma_request *request = &metadata->dma_requests[i];

		if (request->buffer == program->network->stats_buffer &&
		    request->direction == QEFF_MD_FROM_DEVICE &&
		    request->device_space == QEFF_MD_SPACE_DDR &&
		    header->stats >= request->device_offset &&
		    qeff_range_valid(header->stats - request->device_offset,
				     sizeof(struct qeff_nsp_stats), request->size_bytes)) {
			*offset = request->host_offset + header->stats - request->device_offset;
			return true;
		}
	}
	return false;
}

static const struct qeff_nsp_op *find_op(const struct qeff_constants *constants, uint32_t index)
{
	const struct qeff_nsp_header *header = program_header(constants);

	return header ? table_entry(constants, header->ops_offset, index, header->ops,
				    sizeof(struct qeff_nsp_op))
		      : NULL;
}

static const struct qeff_nsp_spec *find_spec(const struct qeff_constants *constants, uint32_t index)
{
	const struct qeff_nsp_header *header = program_header(constants);

	return header ? table_entry(constants, header->specs_offset, index, header->specs,
				    sizeof(struct qeff_nsp_spec))
		      : NULL;
}

/* The input that begins at @ref of the device's memory, or -1. */
static int input_at(const struct qeff_loaded_program *program, uint64_t ref)
{
	const struct qeff_network *network = program->network;
	const struct qeff_metadata *metadata = program->metadata;

	if (QEFF_NSP_REF_SPACE(ref) != QEFF_NSP_DDR)
		return -1;
	for (uint32_t i = 0; i < network->num_inputs; i++) {
		const struct qeff_binding *binding = &network->bindings[i];

		for (uint32_t r = 0; r < metadata->num_dma_requests && !binding->is_retained; r++) {
			const struct qeff_md_dma_request *request = &metadata->dma_requests[r];

			if (request->buffer == binding->dma_buffer &&
			    request->device_space == QEFF_MD_SPACE_DDR &&
			    binding->dma_offset >= request->host_offset &&
			    binding->dma_offset - request->host_offset < request->size_bytes &&
			    request->device_offset + binding->dma_offset - request->host_offset ==
				    QEFF_NSP_REF_OFFSET(ref))
				return (int)i;
		}
	}
	return -1;
}

/* ---- sentences ---- */

/* "input_ids[0][3]": element @row of operand @operand of an operation, in the shape that ran. */
static const char *element_text(const struct qeff_slot *slot, const struct qeff_nsp_op *op,
				unsigned int operand, uint64_t row, char *text, size_t size)
{
	const struct qeff_loaded_program *program = qeff_slot_activation(slot)->program;
	int input = op ? input_at(program, op->in[operand].at) : -1;
	const struct qeff_shape *shape;

	if (input < 0) {
		snprintf(text, size, "an input, in row %" PRIu64, row);
		return text;
	}
	shape = qeff_network_shape(program->network, slot->specialisation, (uint32_t)input);
	if (shape->num_dims == 2 && shape->dims[1] > 0)
		snprintf(text, size, "%.100s[%" PRIu64 "][%" PRIu64 "]",
			 program->network->bindings[input].name, row / (uint32_t)shape->dims[1],
			 row % (uint32_t)shape->dims[1]);
	else
		snprintf(text, size, "%.100s[%" PRIu64 "]", program->network->bindings[input].name,
			 row);
	return text;
}

static int fault_sentence(const struct qeff_slot *slot, const struct qeff_nsp_stats *stats,
			  struct qeff_error *err)
{
	const struct qeff_constants *constants = &qeff_slot_activation(slot)->program->constants;
	const struct qeff_nsp_op *op = find_op(constants, stats->fault_op);
	const struct qeff_nsp_spec *spec = find_spec(constants, slot->specialisation);
	char element[160];

	switch (stats->fault) {
	case QEFF_NSP_FAULT_SPECIALISATION:
		return qeff_error_set(err, -EINVAL, "the program has no specialisation %" PRId64,
				      stats->fault_value);
	case QEFF_NSP_FAULT_POSITION:
		return qeff_error_set(
			err, -EINVAL,
			"%s is %" PRId64 ", outside the %" PRIu32 " positions of the context",
			element_text(slot, op, 0, stats->fault_row, element, sizeof(element)),
			stats->fault_value, spec ? spec->positions : 0);
	case QEFF_NSP_FAULT_SLOT:
		return qeff_error_set(
			err, -EINVAL, "%s is %" PRId64 ", outside the %" PRIu32 " slots there are",
			element_text(slot, op, 1, stats->fault_row, element, sizeof(element)),
			stats->fault_value, spec ? spec->slots : 0);
	case QEFF_NSP_FAULT_INDEX:
		return qeff_error_set(
			err, -EINVAL,
			"%s is %" PRId64 ", outside the embedding's %" PRIu32 " entries",
			element_text(slot, op, 0, stats->fault_row, element, sizeof(element)),
			stats->fault_value, op ? op->u.gather.entries : 0);
	case QEFF_NSP_FAULT_POISON:
		return qeff_error_set(err, -EFAULT,
				      "phase %" PRIu32 " wrote byte %" PRId64
				      " of device memory, which it does not declare",
				      stats->fault_op, stats->fault_value);
	case QEFF_NSP_FAULT_INPUT:
		return qeff_error_set(err, -EIO,
				      "an input of the inference did not reach the card");
	default:
		return qeff_error_set(err, -EFAULT,
				      "the NSPs report fault %" PRIu32 ", value %" PRId64,
				      stats->fault, stats->fault_value);
	}
}

int qeff_stats_read(const struct qeff_slot *slot, struct qeff_inference_stats *stats,
		    struct qeff_error *err)
{
	const struct qeff_place *place = &qeff_slot_activation(slot)->report;
	struct qeff_nsp_stats report;

	if (place->transfer == UINT32_MAX)
		return 0;
	memcpy(&report, slot->maps[place->transfer] + place->offset, sizeof(report));
	if (report.version != STATS_VERSION || !report.nsps || report.nsps > QEFF_NSP_MAX_NSPS)
		return 0; /* another producer's */
	stats->inferences = 1;
	stats->tokens = report.tokens;
	stats->device_us = report.time_us;
	stats->num_nsps = report.nsps;
	for (uint32_t i = 0; i < report.nsps; i++) {
		stats->nsp[i].macs = report.nsp[i].macs;
		stats->nsp[i].bytes = report.nsp[i].bytes;
	}
	return report.fault ? fault_sentence(slot, &report, err) : 0;
}
