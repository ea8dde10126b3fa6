/* SPDX-License-Identifier: MIT */
/*
 * ACTIVATE and DEACTIVATE. Everything an activation takes is recorded in it as soon as it is taken,
 * so that one function gives all of it back, after a failure half way as after a long life.
 */
#include "softcard/core.h"

#include "nsp/program.h"
#include "util/checked.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

#define NO_VC 0xfe

/* The exec-context majors that this firmware serves: that of packages without Hexagon code, and
 * that of packages whose Hexagon code is the interpreter of the same NSP program. */
#define EXEC_CONTEXT_INTERPRETER 5

static void free_activation(struct qeff_card *card, struct qeff_activation *a)
{
	qeff_nsp_group_free(a->group);
	qeff_ddr_free(&card->ddr, a->dynamic_ddr);
	qeff_ddr_free(&card->ddr, a->fixed_ddr);
	card->nsps_used &= ~a->nsp_mask;
	card->mcids_used -= a->mcids;
	if (a->elf)
		a->elf->users--;
	if (a->constants)
		a->constants->users--;
	free(a);
}

void qeff_qsm_end_activation(struct qeff_card *card, struct qeff_activation *activation)
{
	struct qeff_activation **link = &card->activations;
	struct qeff_channel *ch = &card->channel[activation->vc];

	while (*link != activation)
		link = &(*link)->next;
	*link = activation->next;
	qeff_channel_stop(ch);
	qeff_nsp_group_stop(activation->group);
	qeff_channel_close(ch);
	free_activation(card, activation);
}

static int32_t find_program(struct qeff_qsm_message *m, const struct qeff_nnc_activate_req *request,
			    struct qeff_activation *a)
{
	struct qeff_elf *elf = m->card->elfs;
	struct qeff_constants *constants = m->card->constants;

	while (elf && elf->id != request->elf_id)
		elf = elf->next;
	while (constants && constants->id != request->constants_id)
		constants = constants->next;
	if (!elf || (request->constants_id && !constants))
		return QEFF_NNC_ERR_NOT_FOUND;
	if (elf->owner != m->owner || (constants && constants->owner != m->owner))
		return QEFF_NNC_ERR_NOT_PERMITTED;
	a->elf = elf;
	elf->users++;
	if (constants) {
		a->constants = constants;
		constants->users++;
	}
	return QEFF_NNC_OK;
}

static int32_t check_metadata(const struct qeff_metadata *md,
			      const struct qeff_constants *constants)
{
	if (md->exec_context_major != QEFF_NSP_EXEC_CONTEXT_MAJOR &&
	    md->exec_context_major != EXEC_CONTEXT_INTERPRETER)
		return QEFF_NNC_ERR_EXEC_CONTEXT;
	if (md->hw_version_major != QEFF_MD_HW_VERSION_MAJOR ||
	    md->hw_version_minor != QEFF_MD_HW_VERSION_MINOR)
		return QEFF_NNC_ERR_METADATA;
	if (md->static_constants_bytes > (constants ? constants->static_bytes : 0) ||
	    md->dynamic_constants_bytes > (constants ? constants->dynamic_bytes : 0))
		return QEFF_NNC_ERR_METADATA;
	/* Weights that never came would be zeros. */
	if (constants &&
	    constants->received_bytes < constants->static_bytes + constants->dynamic_bytes)
		return QEFF_NNC_ERR_PARAMETER;
	return QEFF_NNC_OK;
}

/* The NSPs with the lowest numbers. */
static int32_t take_nsps(struct qeff_card *card, struct qeff_activation *a, uint32_t count)
{
	uint32_t mask = 0;

	if (count > card->config.nsps)
		return QEFF_NNC_ERR_NSP_COUNT;
	for (uint32_t i = 0; i < card->config.nsps && count; i++) {
		if (card->nsps_used >> i & 1)
			continue;
		mask |= 1u << i;
		count--;
	}
	if (count)
		return QEFF_NNC_ERR_NSP;
	a->nsp_mask = mask;
	card->nsps_used |= mask;
	return QEFF_NNC_OK;
}

static int32_t take_vc(struct qeff_card *card, struct qeff_activation *a)
{
	for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++) {
		/* Only control messages open and close channels, and this is one. */
		if (card->channel[i].open)
			continue;
		a->vc = i;
		return QEFF_NNC_OK;
	}
	return QEFF_NNC_ERR_VC;
}

static int32_t take_mcids(struct qeff_card *card, struct qeff_activation *a, uint32_t count)
{
	if (count > QEFF_CARD_MCIDS)
		return QEFF_NNC_ERR_MCID_COUNT;
	if (count > QEFF_CARD_MCIDS - card->mcids_used)
		return QEFF_NNC_ERR_MCID;
	a->mcids = count;
	card->mcids_used += count;
	return QEFF_NNC_OK;
}

static int32_t take_ddr(struct qeff_card *card, struct qeff_activation *a,
			const struct qeff_metadata *md)
{
	uint64_t fixed;

	/* The heap lies behind the shared DDR, out of the host's reach. */
	if (!qeff_add_u64(md->static_shared_ddr_bytes, md->network_heap_bytes, &fixed))
		return QEFF_NNC_ERR_METADATA;
	a->fixed_ddr = qeff_ddr_alloc(&card->ddr, fixed);
	if (!a->fixed_ddr || qeff_ddr_back(a->fixed_ddr))
		return QEFF_NNC_ERR_MEMORY;
	if (!md->dynamic_shared_ddr_bytes)
		return QEFF_NNC_OK;
	a->dynamic_ddr = qeff_ddr_alloc(&card->ddr, md->dynamic_shared_ddr_bytes);
	if (!a->dynamic_ddr || qeff_ddr_back(a->dynamic_ddr))
		return QEFF_NNC_ERR_MEMORY;
	return QEFF_NNC_OK;
}

/* The rings, as the driver's ACTIVATE describes them. */
static int32_t map_rings(struct qeff_qsm_message *m, struct qeff_channel_setup *setup)
{
	const struct qeff_wire_activate_to_dev *t = &m->activate;
	const struct qeff_card_host *host = &m->card->host;
	uint64_t elements = t->request_elements;

	if (!m->has_activate)
		return QEFF_NNC_ERR_PARAMETER;
	if (elements < 2)
		return QEFF_NNC_ERR_QUEUE_TOO_SMALL;
	if (elements > QEFF_CARD_MAX_RING || t->response_elements != elements ||
	    t->buffer_bytes < elements * (sizeof(struct qeff_request_element) +
					  sizeof(struct qeff_response_element)))
		return QEFF_NNC_ERR_VC_CONFIGURATION;
	setup->requests = host->translate(host->user, t->request_ring,
					  elements * sizeof(struct qeff_request_element), false);
	setup->responses = host->translate(host->user, t->response_ring,
					   elements * sizeof(struct qeff_response_element), true);
	if (!setup->requests || !setup->responses)
		return QEFF_NNC_ERR_VC_CONFIGURATION;
	setup->elements = (uint32_t)elements;
	return QEFF_NNC_OK;
}

static int32_t make_group(struct qeff_card *card, struct qeff_activation *a)
{
	const struct qeff_metadata *md = a->elf->metadata;
	struct qeff_nsp_group_setup setup = {
		.channel = &card->channel[a->vc],
		.metadata = md,
		.ddr = a->fixed_ddr->data,
		.ddr_bytes = md->static_shared_ddr_bytes,
	};
	struct qeff_error err = { 0 };

	if (a->constants) {
		setup.constants =
			a->constants->adopted ? a->constants->adopted : a->constants->range->data;
		setup.constants_bytes = a->constants->static_bytes;
	}
	if (!card->pool &&
	    qeff_pool_new(QEFF_NSP_MAX_SCRATCH_BYTES + sizeof(struct qeff_nsp_worker), &card->pool,
			  &err)) {
		qeff_log(QEFF_LOG_ERROR, "%s", err.message);
		return QEFF_NNC_ERR_GENERAL;
	}
	return qeff_nsp_group_new(card, &setup, &a->group);
}

static void open_channel(struct qeff_card *card, struct qeff_activation *a,
			 struct qeff_channel_setup *setup)
{
	const struct qeff_metadata *md = a->elf->metadata;
	struct qeff_windows *w = &setup->windows;

	w->metadata = md;
	w->mcid_base = QEFF_WINDOW_MCID_BASE + a->vc * QEFF_WINDOW_VC_STRIDE;
	w->l2tcm = qeff_nsp_group_l2tcm(a->group);
	w->ddr[0] = (struct qeff_ddr_window){ .address = a->fixed_ddr->address,
					      .size_bytes = md->static_shared_ddr_bytes,
					      .data = a->fixed_ddr->data };
	if (a->dynamic_ddr)
		w->ddr[1] = (struct qeff_ddr_window){ .address = a->dynamic_ddr->address,
						      .size_bytes = md->dynamic_shared_ddr_bytes,
						      .data = a->dynamic_ddr->data };
	setup->semaphore_init = md->semaphore_init;
	setup->semaphores = md->num_semaphores;
	setup->group = a->group;
	qeff_channel_open(&card->channel[a->vc], setup);
	qeff_nsp_group_start(a->group);
}

static int32_t check_request(const struct qeff_nnc_activate_req *request)
{
	if (request->reservation_type || request->reservation_id != -1 ||
	    request->vc_reservation_id != -1)
		return QEFF_NNC_ERR_NOT_PERMITTED;
	if (request->opt_vc_setup != 1 || request->initial_state < 0 || request->initial_state > 1)
		return QEFF_NNC_ERR_PARAMETER;
	return QEFF_NNC_OK;
}

/* Takes one thing after the other; what has been taken stands in @a. */
static int32_t activate(struct qeff_qsm_message *m, const struct qeff_nnc_activate_req *request,
			struct qeff_activation *a)
{
	struct qeff_card *card = m->card;
	struct qeff_channel_setup setup = { 0 };
	const struct qeff_metadata *md;
	int32_t status;

	status = check_request(request);
	if (!status)
		status = find_program(m, request, a);
	if (status)
		return status;
	md = a->elf->metadata;
	status = check_metadata(md, a->constants);
	if (!status)
		status = take_nsps(card, a, md->num_nsps);
	if (!status)
		status = take_vc(card, a);
	if (!status)
		status = take_mcids(card, a, md->num_host_multicast);
	if (!status)
		status = take_ddr(card, a, md);
	if (!status)
		status = map_rings(m, &setup);
	if (!status)
		status = make_group(card, a);
	if (status)
		return status;
	a->id = qeff_qsm_new_id(card);
	a->owner = m->owner;
	a->next = card->activations;
	card->activations = a;
	open_channel(card, a, &setup);
	return QEFF_NNC_OK;
}

void qeff_qsm_activate(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_nnc_activate_resp response = { .type = QEFF_NNC_ACTIVATE_RESP };
	struct qeff_nnc_activate_req request;
	struct qeff_activation *a = NULL;

	if (size_bytes < sizeof(request)) {
		response.status = QEFF_NNC_ERR_COMMAND_LENGTH;
		goto respond;
	}
	memcpy(&request, command, sizeof(request));
	/* The driver's half serves one activation. */
	if (m->has_activate && !m->activate_status) {
		response.status = QEFF_NNC_ERR_PARAMETER;
		goto respond;
	}
	a = calloc(1, sizeof(*a));
	response.status = a ? activate(m, &request, a) : QEFF_NNC_ERR_MEMORY;
	m->activate_status = response.status;
	if (response.status) {
		if (a)
			free_activation(m->card, a);
		goto respond;
	}
	m->activate_dbc = a->vc;
	response.activation_id = a->id;
	response.virtual_channel_id = a->vc;
	response.ddr_base = a->fixed_ddr->address;
	response.dynamic_ddr_base = a->dynamic_ddr ? a->dynamic_ddr->address : 0;
	response.mcid_base = QEFF_WINDOW_MCID_BASE + a->vc * QEFF_WINDOW_VC_STRIDE;
	response.command_doorbell_length = 3; /* there is no command doorbell */
	response.nsp_mask = a->nsp_mask;
respond:
	qeff_qsm_respond(m, &response, sizeof(response));
}

void qeff_qsm_deactivate(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_nnc_result_resp response = { .type = QEFF_NNC_DEACTIVATE_RESP };
	struct qeff_activation *a = m->card->activations;
	struct qeff_nnc_deactivate_req request;

	if (size_bytes < sizeof(request)) {
		response.status = QEFF_NNC_ERR_COMMAND_LENGTH;
		goto respond;
	}
	memcpy(&request, command, sizeof(request));
	while (a && a->id != request.activation_id)
		a = a->next;
	if (!a) {
		response.status = QEFF_NNC_ERR_NOT_FOUND;
	} else if (a->owner != m->owner) {
		response.status = QEFF_NNC_ERR_NOT_PERMITTED;
	} else {
		/* Whether or not the driver's half came along: the rings are not touched any more.
		 */
		m->deactivated |= 1u << a->vc;
		qeff_qsm_end_activation(m->card, a);
	}
respond:
	qeff_qsm_respond(m, &response, sizeof(response));
}
