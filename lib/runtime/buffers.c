/* SPDX-License-Identifier: MIT */
/* The buffers of one inference: a mapped BO for each transfer, with its slices laid on it. */
#include "runtime/runtime.h"

#include "nsp/program.h"
#include "util/bytes.h"

#include <stdlib.h>

static int create_buffer(struct qeff_slot *slot, struct qeff_activation *activation, uint32_t i,
			 struct qeff_error *err)
{
	struct qeff_transport *transport = activation->program->transport;
	const struct qeff_transfer *transfer = &activation->transfers[i];
	uint64_t size_bytes = transfer->size_bytes ? transfer->size_bytes : 1;
	void *map;
	int ret;

	ret = transport->ops->buffer_create(transport, size_bytes, &slot->handles[i], err);
	if (ret)
		return ret;
	slot->num_buffers = i + 1;
	ret = transport->ops->buffer_map(transport, slot->handles[i], &map, &size_bytes, err);
	if (ret)
		return ret;
	slot->maps[i] = map;
	slot->entries[i] = (struct qaic_execute_entry){ .handle = slot->handles[i],
							.dir = transfer->direction };
	slot->partial[i] = (struct qaic_partial_execute_entry){ .handle = slot->handles[i],
								.dir = transfer->direction };
	return transport->ops->slice(
		transport, slot->handles[i], activation->nnc.dbc_id, transfer->direction,
		activation->slices + transfer->first_slice, transfer->num_slices, err);
}

/* Where the card finds each partial input, and how long it is. */
static void write_partial_headers(struct qeff_slot *slot, const struct qeff_activation *activation)
{
	const struct qeff_network *network = activation->program->network;

	for (uint32_t i = 0; i < network->num_inputs; i++) {
		const struct qeff_binding *binding = &network->bindings[i];
		const struct qeff_place *place = &activation->places[i];
		uint8_t *header;

		if (!binding->is_partial || binding->is_retained)
			continue;
		header = slot->maps[place->transfer] + binding->dma_offset;
		qeff_put_u32(header, (uint32_t)place->offset);
		qeff_put_u32(header + 4, (uint32_t)binding->dma_size_bytes);
	}
}

int qeff_slot_create_buffers(struct qeff_slot *slot, struct qeff_activation *activation,
			     struct qeff_error *err)
{
	uint32_t count = activation->num_transfers;
	int ret;

	slot->handles = calloc(count, sizeof(*slot->handles));
	slot->maps = calloc(count, sizeof(*slot->maps));
	slot->entries = calloc(count, sizeof(*slot->entries));
	slot->partial = calloc(count, sizeof(*slot->partial));
	if (!slot->handles || !slot->maps || !slot->entries || !slot->partial)
		return qeff_error_set(err, -ENOMEM, "no memory for the buffers of an inference");
	for (uint32_t i = 0; i < count; i++) {
		ret = create_buffer(slot, activation, i, err);
		if (ret)
			return ret;
	}
	write_partial_headers(slot, activation);
	qeff_slot_measure(slot);
	return 0;
}

void qeff_slot_free_buffers(struct qeff_slot *slot, struct qeff_activation *activation)
{
	struct qeff_transport *transport = activation->program->transport;

	for (uint32_t i = 0; i < slot->num_buffers; i++)
		transport->ops->buffer_free(transport, slot->handles[i]);
	free(slot->handles);
	free(slot->maps);
	free(slot->entries);
	free(slot->partial);
}

void *qeff_slot_data(const struct qeff_slot *slot, uint32_t binding)
{
	const struct qeff_activation *activation = qeff_slot_activation(slot);
	const struct qeff_place *place;

	if (binding >= qeff_network_num_bindings(activation->program->network))
		return NULL;
	place = &activation->places[binding];
	if (place->transfer == UINT32_MAX)
		return NULL;
	return slot->maps[place->transfer] + place->offset;
}

int qeff_slot_select(struct qeff_slot *slot, uint32_t specialisation)
{
	const struct qeff_loaded_program *program = qeff_slot_activation(slot)->program;
	struct qeff_nsp_control *control;

	if (specialisation >= program->network->num_specialisations)
		return -EINVAL;
	if (program->control >= 0) {
		control = qeff_slot_data(slot, (uint32_t)program->control);
		*control = (struct qeff_nsp_control){ .specialisation = specialisation };
	} else if (specialisation) {
		return -EOPNOTSUPP;
	}
	slot->specialisation = specialisation;
	qeff_slot_measure(slot);
	return 0;
}

void qeff_slot_skip_outputs(struct qeff_slot *slot, bool skip)
{
	slot->skips_outputs = skip;
	qeff_slot_measure(slot);
}
