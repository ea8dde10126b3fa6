/* SPDX-License-Identifier: MIT */
/*
 * From the metadata's DMA requests to the slices that a driver takes: consecutive requests for one
 * buffer become the slices of one BO, and what the package says relative to its memory becomes
 * addresses of this activation. Metadata and descriptor are validated; the card's base addresses
 * are not, so sums with them are checked.
 */
#include "runtime/runtime.h"

#include "util/checked.h"

#include <inttypes.h>
#include <stdlib.h>

#define NO_TRANSFER UINT32_MAX

static int multicast_address(const struct qeff_nnc_activation *nnc, uint16_t id, uint64_t offset,
			     uint64_t *address)
{
	uint64_t window = (uint64_t)id * QEFF_MD_MULTICAST_STRIDE;

	return qeff_add_u64(nnc->mcid_base, window, address) &&
			       qeff_add_u64(*address, offset, address)
		       ? 0
		       : -EPROTO;
}

static int device_address(const struct qeff_nnc_activation *nnc,
			  const struct qeff_md_dma_request *request, uint64_t *address)
{
	uint64_t base;

	if (request->device_space == QEFF_MD_SPACE_MULTICAST)
		return multicast_address(nnc, request->multicast_id, request->device_offset,
					 address);
	base = request->device_space == QEFF_MD_SPACE_DDR ? nnc->ddr_base : nnc->dynamic_ddr_base;
	return qeff_add_u64(base, request->device_offset, address) ? 0 : -EPROTO;
}

static struct qaic_sem semaphore(const struct qeff_md_semaphore_op *op)
{
	return (struct qaic_sem){
		.val = op->value,
		.index = (uint8_t)op->semaphore,
		.presync = op->pre,
		.cmd = op->op, /* both count as the DMA bridge does */
		.flags = (uint8_t)((op->in_fence ? QAIC_SEM_INSYNCFENCE : 0) |
				   (op->out_fence ? QAIC_SEM_OUTSYNCFENCE : 0)),
	};
}

static int make_slice(const struct qeff_activation *activation, uint32_t index,
		      struct qaic_attach_slice_entry *slice, struct qeff_error *err)
{
	const struct qeff_md_dma_request *request =
		&activation->program->metadata->dma_requests[index];
	struct qaic_sem *sems[QEFF_MD_MAX_SEMAPHORE_OPS] = { &slice->sem0, &slice->sem1,
							     &slice->sem2, &slice->sem3 };
	uint64_t address;
	int ret;

	slice->size = request->size_bytes;
	slice->offset = request->host_offset;
	ret = device_address(&activation->nnc, request, &address);
	slice->dev_addr = address;
	for (uint32_t i = 0; i < request->num_semaphore_ops; i++)
		*sems[i] = semaphore(&request->semaphore_ops[i]);
	if (request->num_doorbell_ops > 1)
		return qeff_error_set(err, -EOPNOTSUPP,
				      "%s: DMA request %" PRIu32 " rings %" PRIu32
				      " doorbells, a transfer can ring one",
				      qeff_qpc_path(activation->program->qpc), index,
				      request->num_doorbell_ops);
	if (!ret && request->num_doorbell_ops) {
		const struct qeff_md_doorbell_op *doorbell = &request->doorbell_ops[0];

		ret = multicast_address(&activation->nnc, doorbell->multicast_id, doorbell->offset,
					&address);
		slice->db_addr = address;
		slice->db_data = doorbell->data;
		slice->db_len = 8u << doorbell->size_code;
	}
	if (ret)
		return qeff_error_set(err, ret,
				      "the card gave base addresses that DMA request %" PRIu32
				      " of %s runs over the end of",
				      index, qeff_qpc_path(activation->program->qpc));
	return 0;
}

/*
 * The transfer that @request belongs to: @current, or NULL for a new one. Requests that move
 * nothing go wherever their turn comes, since only their semaphores and doorbells matter.
 */
static struct qeff_transfer *joins(struct qeff_transfer *current,
				   const struct qeff_md_dma_request *request)
{
	if (!current || !request->size_bytes || current->buffer == request->buffer)
		return current;
	return current->buffer == QEFF_NO_DMA_BUFFER ? current : NULL;
}

static uint32_t direction(const struct qeff_md_dma_request *request)
{
	return request->direction == QEFF_MD_TO_DEVICE ? QAIC_DIR_TO_DEVICE : QAIC_DIR_FROM_DEVICE;
}

/* @transfer_of: by number of the DMA buffer. */
static int make_transfers(struct qeff_activation *activation, uint32_t *transfer_of,
			  struct qeff_error *err)
{
	const struct qeff_loaded_program *program = activation->program;
	const struct qeff_metadata *metadata = program->metadata;
	struct qeff_transfer *current = NULL;

	for (uint32_t i = 0; i < metadata->num_dma_requests; i++) {
		const struct qeff_md_dma_request *request = &metadata->dma_requests[i];
		int ret;

		current = joins(current, request);
		if (!current) {
			current = &activation->transfers[activation->num_transfers++];
			*current = (struct qeff_transfer){ .buffer = QEFF_NO_DMA_BUFFER,
							   .direction = direction(request),
							   .first_slice = i };
		}
		if (request->size_bytes && current->buffer == QEFF_NO_DMA_BUFFER) {
			if (request->buffer >= program->network->num_dma_buffers ||
			    transfer_of[request->buffer] != NO_TRANSFER)
				return qeff_error_set(
					err, -EOPNOTSUPP,
					"%s: DMA request %" PRIu32 " is for buffer %u, which %s",
					qeff_qpc_path(program->qpc), i, request->buffer,
					request->buffer >= program->network->num_dma_buffers
						? "does not exist"
						: "other requests use before the one in front of it");
			current->buffer = request->buffer;
			current->direction = direction(request);
			current->size_bytes =
				program->network->dma_buffers[request->buffer].size_bytes;
			transfer_of[request->buffer] = (uint32_t)(current - activation->transfers);
		}
		if (request->size_bytes &&
		    (current->direction != direction(request) ||
		     !qeff_range_valid(request->host_offset, request->size_bytes,
				       current->size_bytes)))
			return qeff_error_set(err, -EINVAL,
					      "%s: DMA request %" PRIu32
					      " leaves buffer %u or goes against its direction",
					      qeff_qpc_path(program->qpc), i, request->buffer);
		ret = make_slice(activation, i, &activation->slices[i], err);
		if (ret)
			return ret;
		current->num_slices++;
	}
	return 0;
}

/*
 * Partial inputs stand behind what the others use of their DMA buffer, each with room for all of
 * it, so that their addresses never move; a header at the start of the buffer says where.
 */
static int place_partial(struct qeff_activation *activation, struct qeff_error *err)
{
	const struct qeff_loaded_program *program = activation->program;
	const struct qeff_network *network = program->network;

	for (uint32_t i = 0; i < network->num_inputs; i++) {
		const struct qeff_binding *binding = &network->bindings[i];
		uint64_t at = 0, end = 0;

		if (!binding->is_partial || binding->is_retained)
			continue;
		for (uint32_t j = 0; j < network->num_inputs; j++) {
			const struct qeff_binding *other = &network->bindings[j];

			if (other->is_retained || other->dma_buffer != binding->dma_buffer)
				continue;
			if (!other->is_partial)
				end = other->dma_offset + other->dma_size_bytes;
			else if (j < i)
				end = activation->places[j].offset + other->dma_size_bytes;
			else
				end = (uint64_t)other->dma_offset + 8;
			at = end > at ? end : at;
		}
		at = (at + binding->alignment - 1) / binding->alignment * binding->alignment;
		if (!qeff_range_valid(at, binding->dma_size_bytes,
				      network->dma_buffers[binding->dma_buffer].size_bytes))
			return qeff_error_set(
				err, -EOPNOTSUPP,
				"%s: partial input \"%s\" does not fit whole into DMA "
				"buffer %" PRIu32
				" beside the others, and shorter ones are not done",
				qeff_qpc_path(program->qpc), binding->name, binding->dma_buffer);
		activation->places[i].offset = at;
	}
	return 0;
}

static int place_bindings(struct qeff_activation *activation, const uint32_t *transfer_of,
			  struct qeff_error *err)
{
	const struct qeff_loaded_program *program = activation->program;
	const struct qeff_network *network = program->network;

	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++) {
		const struct qeff_binding *binding = &network->bindings[i];
		struct qeff_place *place = &activation->places[i];

		place->transfer = NO_TRANSFER;
		if (binding->is_retained)
			continue;
		place->transfer = transfer_of[binding->dma_buffer];
		place->offset = binding->dma_offset;
		if (place->transfer == NO_TRANSFER)
			return qeff_error_set(err, -EINVAL,
					      "%s: no DMA request moves buffer %" PRIu32
					      ", in which \"%s\" travels",
					      qeff_qpc_path(program->qpc), binding->dma_buffer,
					      binding->name);
	}
	return place_partial(activation, err);
}

static void place_report(struct qeff_activation *activation, const uint32_t *transfer_of)
{
	struct qeff_place *report = &activation->report;

	report->transfer = NO_TRANSFER;
	if (qeff_stats_find(activation->program, &report->offset))
		report->transfer = transfer_of[activation->program->network->stats_buffer];
}

int qeff_activation_make_slices(struct qeff_activation *activation, struct qeff_error *err)
{
	const struct qeff_loaded_program *program = activation->program;
	uint32_t requests = program->metadata->num_dma_requests;
	uint32_t buffers = program->network->num_dma_buffers;
	uint32_t *transfer_of;
	int ret;

	if (!requests)
		return qeff_error_set(err, -EINVAL, "%s has no DMA requests: nothing can be run",
				      qeff_qpc_path(program->qpc));
	if (requests >= QEFF_RING_ELEMENTS)
		return qeff_error_set(
			err, -ENOSPC,
			"%s: an inference takes %" PRIu32 " DMA requests, the ring holds %d",
			qeff_qpc_path(program->qpc), requests, QEFF_RING_ELEMENTS - 1);
	activation->transfers = calloc(requests, sizeof(*activation->transfers));
	activation->slices = calloc(requests, sizeof(*activation->slices));
	activation->places = calloc(qeff_network_num_bindings(program->network) + 1,
				    sizeof(*activation->places));
	transfer_of = malloc((buffers + 1) * sizeof(*transfer_of));
	if (!activation->transfers || !activation->slices || !activation->places || !transfer_of) {
		free(transfer_of);
		return qeff_error_set(err, -ENOMEM, "no memory for the transfers of %s",
				      qeff_qpc_path(program->qpc));
	}
	for (uint32_t i = 0; i < buffers; i++)
		transfer_of[i] = NO_TRANSFER;
	ret = make_transfers(activation, transfer_of, err);
	if (!ret)
		ret = place_bindings(activation, transfer_of, err);
	if (!ret) {
		place_report(activation, transfer_of);
		ret = qeff_activation_measure(activation, err);
	}
	free(transfer_of);
	return ret;
}

void qeff_activation_free_slices(struct qeff_activation *activation)
{
	free(activation->transfers);
	free(activation->slices);
	free(activation->places);
	free(activation->needed);
}
