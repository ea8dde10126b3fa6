/* SPDX-License-Identifier: MIT */
/*
 * What of each buffer has to move. A buffer has room for the largest shapes of its bindings, and a
 * specialisation has smaller ones: what lies behind the last byte that it uses stays where it is.
 * Likewise the outputs, if nobody wants them: the report of the NSPs stands before them.
 */
#include "runtime/runtime.h"

#include "nsp/program.h"

#include <stdlib.h>

/*
 * Only for programs that follow the rules of ours, whose operations touch what their specialisation
 * describes and no more. And only where each buffer is one slice from its start: drivers disagree
 * about slices of which nothing is moved.
 */
static bool can_shorten(const struct qeff_activation *activation)
{
	if (activation->program->control < 0)
		return false;
	for (uint32_t i = 0; i < activation->num_transfers; i++) {
		const struct qeff_transfer *transfer = &activation->transfers[i];
		const struct qaic_attach_slice_entry *slice =
			&activation->slices[transfer->first_slice];

		if (transfer->num_slices != 1 || !slice->size || slice->offset)
			return false;
	}
	return true;
}

static uint64_t report_end(const struct qeff_activation *activation)
{
	return activation->report.offset + sizeof(struct qeff_nsp_stats);
}

/* Where what specialisation @spec uses of transfer @transfer ends. */
static uint64_t end_of(const struct qeff_activation *activation, uint32_t spec, uint32_t transfer)
{
	const struct qeff_network *network = activation->program->network;
	uint64_t size_bytes = activation->transfers[transfer].size_bytes, end = 0;

	if (activation->report.transfer == transfer)
		end = report_end(activation);
	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++) {
		const struct qeff_place *place = &activation->places[i];
		uint64_t used = network->bindings[i].is_partial
					? network->bindings[i].dma_size_bytes
					: qeff_network_shape(network, spec, i)->size_bytes;

		if (place->transfer == transfer && place->offset + used > end)
			end = place->offset + used;
	}
	/* an empty part is none, see can_shorten() */
	return end && end < size_bytes ? end : size_bytes;
}

int qeff_activation_measure(struct qeff_activation *activation, struct qeff_error *err)
{
	uint32_t specs = activation->program->network->num_specialisations;
	uint32_t count = activation->num_transfers;

	if (!can_shorten(activation))
		return 0;
	activation->needed = calloc((size_t)specs * count, sizeof(*activation->needed));
	if (!activation->needed)
		return qeff_error_set(err, -ENOMEM, "no memory for the transfers of %s",
				      qeff_qpc_path(activation->program->qpc));
	for (uint32_t s = 0; s < specs; s++)
		for (uint32_t i = 0; i < count; i++)
			activation->needed[(size_t)s * count + i] = end_of(activation, s, i);
	return 0;
}

uint64_t qeff_activation_needed(const struct qeff_activation *activation, uint32_t spec,
				bool outputs, uint32_t transfer)
{
	if (!activation->needed)
		return activation->transfers[transfer].size_bytes;
	if (!outputs && activation->report.transfer == transfer)
		return report_end(activation);
	return activation->needed[(size_t)spec * activation->num_transfers + transfer];
}

void qeff_slot_measure(struct qeff_slot *slot)
{
	const struct qeff_activation *activation = qeff_slot_activation(slot);

	slot->is_partial = false;
	for (uint32_t i = 0; i < activation->num_transfers; i++) {
		uint64_t needed = qeff_activation_needed(activation, slot->specialisation,
							 !slot->skips_outputs, i);

		slot->partial[i].resize = needed;
		slot->is_partial |= needed < activation->transfers[i].size_bytes;
	}
}
