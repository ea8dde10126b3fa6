/* SPDX-License-Identifier: MIT */
/*
 * The control plane: a message is checked as a whole, its transactions are sorted (commands on one
 * side, what accompanies them on the other), then carried out in order. Responses to commands come
 * first in the reply, since existing software reads the first bytes it gets.
 */
#include "softcard/core.h"

#include "util/bytes.h"

#include <string.h>

/* A message with more commands than its reply has room for is not carried out. STATUS's response is
 * the largest. */
#define RESPONSE_MAX_BYTES (QEFF_TRANSACTION_HEADER_BYTES + sizeof(struct qeff_nnc_status_resp))
#define RESULT_MAX_BYTES   24u
/* Refusals are padded to the size of the largest response they may stand for. */
#define REFUSAL_BYTES 64u

/* Any of the lists: they all begin with next and id. */
uint32_t qeff_qsm_new_id(struct qeff_card *card)
{
	const struct qeff_constants *c;
	const struct qeff_elf *e;
	const struct qeff_activation *a;
	uint32_t id;

	do {
		id = ++card->last_id;
		for (c = card->constants; c && c->id != id; c = c->next)
			;
		for (e = card->elfs; e && e->id != id; e = e->next)
			;
		for (a = card->activations; a && a->id != id; a = a->next)
			;
	} while (!id || c || e || a);
	return id;
}

void qeff_qsm_respond(struct qeff_qsm_message *m, const void *response, size_t size_bytes)
{
	qeff_transaction_add_passthrough(&m->reply, QEFF_PASSTHROUGH_FROM_DEV, response, size_bytes,
					 0);
}

static void refuse(struct qeff_qsm_message *m, uint32_t type, int32_t status)
{
	struct {
		struct qeff_nnc_result_resp result;
		uint8_t pad[REFUSAL_BYTES - sizeof(struct qeff_nnc_result_resp)];
	} response = { .result = { .type = type + 1, .status = status } };

	qeff_qsm_respond(m, &response, sizeof(response));
}

static void command(struct qeff_qsm_message *m, const uint8_t *at, size_t size_bytes)
{
	uint32_t type;

	if (size_bytes < sizeof(type)) {
		refuse(m, 0, QEFF_NNC_ERR_COMMAND_LENGTH);
		return;
	}
	type = qeff_get_u32(at);
	switch (type) {
	case QEFF_NNC_LOAD_CONSTANTS:
	case QEFF_NNC_LOAD_CONSTANTS_PAYLOAD:
	case QEFF_NNC_LOAD_ELF:
		qeff_qsm_load(m, at, size_bytes);
		break;
	case QEFF_NNC_LOAD_CONSTANTS_EX:
		qeff_qsm_load_constants_ex(m, at, size_bytes);
		break;
	case QEFF_NNC_UNLOAD_CONSTANTS:
	case QEFF_NNC_UNLOAD_ELF:
		qeff_qsm_unload(m, at, size_bytes);
		break;
	case QEFF_NNC_ACTIVATE:
		qeff_qsm_activate(m, at, size_bytes);
		break;
	case QEFF_NNC_DEACTIVATE:
		qeff_qsm_deactivate(m, at, size_bytes);
		break;
	case QEFF_NNC_STATUS:
		qeff_qsm_status(m, at, size_bytes);
		break;
	case QEFF_NNC_RESOURCE_INFO:
		qeff_qsm_resource_info(m, at, size_bytes);
		break;
	case QEFF_NNC_PERFORMANCE_INFO:
		qeff_qsm_performance_info(m, at, size_bytes);
		break;
	case QEFF_NNC_TERMINATE:
	case QEFF_NNC_RESERVE_VC:
	case QEFF_NNC_RELEASE_VC:
	case QEFF_NNC_AC_RESERVATION:
	case QEFF_NNC_AC_RELEASE:
	case QEFF_NNC_CREATE_RESOURCE_GROUP:
	case QEFF_NNC_RELEASE_RESOURCE_GROUP:
	case QEFF_NNC_ACTIVATE_STATE_CMD:
	case QEFF_NNC_DEVICE_CONFIG:
	case QEFF_NNC_UPDATE_AC_RESERVATION:
		refuse(m, type, QEFF_NNC_ERR_NOT_PERMITTED);
		break;
	default:
		refuse(m, type, QEFF_NNC_ERR_UNDEFINED_REQUEST);
		break;
	}
}

static void link_status(struct qeff_qsm_message *m)
{
	struct qeff_wire_status_from_dev *t =
		qeff_transaction_add(&m->reply, QEFF_STATUS_FROM_DEV, sizeof(*t));

	/* Flags 0: no CRC from here on, and nothing else that is optional. */
	if (t) {
		t->major = QEFF_WIRE_MAJOR;
		t->minor = QEFF_WIRE_MINOR;
	}
}

static void result(struct qeff_qsm_message *m, uint32_t type, int32_t status)
{
	struct qeff_wire_result *t = qeff_transaction_add(&m->reply, type, sizeof(*t));

	if (t)
		t->status = (uint32_t)status;
}

static void terminate(struct qeff_qsm_message *m, const struct qeff_transaction *t)
{
	struct qeff_wire_terminate_to_dev request;

	if (qeff_transaction_copy(t, &request, sizeof(request))) {
		qeff_qsm_terminate(m->card, request.handle);
		result(m, QEFF_TERMINATE_FROM_DEV, QEFF_NNC_OK);
	} else {
		result(m, QEFF_TERMINATE_FROM_DEV, QEFF_NNC_ERR_COMMAND_LENGTH);
	}
}

/* What the driver's ACTIVATE and DEACTIVATE get, after the commands they accompany. */
static void channel_results(struct qeff_qsm_message *m)
{
	struct qeff_wire_activate_from_dev *a;
	struct qeff_wire_deactivate_from_dev *d;

	if (m->has_activate) {
		a = qeff_transaction_add(&m->reply, QEFF_ACTIVATE_FROM_DEV, sizeof(*a));
		if (a) {
			a->status = (uint32_t)m->activate_status;
			a->dbc_id = m->activate_dbc;
			a->options = m->activate.options;
		}
	}
	for (uint32_t dbc = 0; dbc < QEFF_CARD_DBCS; dbc++) {
		if (!(m->deactivated >> dbc & 1))
			continue;
		d = qeff_transaction_add(&m->reply, QEFF_DEACTIVATE_FROM_DEV, sizeof(*d));
		if (d)
			d->dbc_id = dbc;
	}
}

/* A DMA_XFER that is not what it says is as good as none: its command is refused for want of data.
 */
static void take_dma(struct qeff_qsm_message *m, const struct qeff_transaction *t)
{
	struct qeff_wire_dma_xfer dma;

	if (m->has_dma || !qeff_transaction_copy(t, &dma, sizeof(dma)) ||
	    dma.count > (t->size_bytes - sizeof(dma)) / sizeof(struct qeff_wire_segment))
		return;
	m->has_dma = true;
	m->dma = dma;
	m->segments = t->data + sizeof(dma);
}

/* First pass. Returns false if the reply might not hold all responses. */
static bool sort(struct qeff_qsm_message *m, struct qeff_transaction_reader r)
{
	size_t reply_bytes = sizeof(struct qeff_wire_header);
	struct qeff_transaction t;

	while (qeff_transaction_next(&r, &t, NULL) > 0) {
		if (t.type == QEFF_PASSTHROUGH_TO_DEV) {
			m->commands++;
			/* A command may add one result for the driver. */
			reply_bytes += RESPONSE_MAX_BYTES + RESULT_MAX_BYTES;
		} else {
			reply_bytes += RESULT_MAX_BYTES;
		}
		if (reply_bytes > QEFF_WIRE_MAX_FROM_DEV_BYTES)
			return false;
		if (t.type == QEFF_DMA_XFER_TO_DEV)
			take_dma(m, &t);
		else if (t.type == QEFF_ACTIVATE_TO_DEV && !m->has_activate)
			m->has_activate =
				qeff_transaction_copy(&t, &m->activate, sizeof(m->activate));
	}
	return true;
}

static void carry_out(struct qeff_qsm_message *m, struct qeff_transaction_reader r)
{
	struct qeff_transaction_reader again = r;
	struct qeff_transaction t;

	if (!sort(m, r))
		return;
	if (!m->commands && m->has_dma)
		qeff_qsm_continue(m);
	while (qeff_transaction_next(&r, &t, NULL) > 0)
		if (t.type == QEFF_PASSTHROUGH_TO_DEV)
			command(m, t.data + QEFF_TRANSACTION_HEADER_BYTES,
				t.size_bytes - QEFF_TRANSACTION_HEADER_BYTES);
	channel_results(m);
	while (qeff_transaction_next(&again, &t, NULL) > 0) {
		if (t.type == QEFF_STATUS_TO_DEV)
			link_status(m);
		else if (t.type == QEFF_TERMINATE_TO_DEV)
			terminate(m, &t);
		else if (t.type == QEFF_VALIDATE_PARTITION_TO_DEV)
			result(m, QEFF_VALIDATE_PARTITION_FROM_DEV, QEFF_NNC_ERR_NOT_PERMITTED);
	}
}

/* A driver that comes up starts with STATUS and counts from the beginning. */
static bool is_link_up(struct qeff_transaction_reader r)
{
	struct qeff_transaction t;

	return qeff_transaction_next(&r, &t, NULL) > 0 && t.type == QEFF_STATUS_TO_DEV;
}

static bool is_duplicate(struct qeff_card *card, uint32_t sequence)
{
	uint32_t known = card->recent_count < QEFF_CARD_RECENT_SEQUENCES
				 ? card->recent_count
				 : QEFF_CARD_RECENT_SEQUENCES;

	for (uint32_t i = 0; i < known; i++)
		if (card->recent[i] == sequence)
			return true;
	card->recent[card->recent_count % QEFF_CARD_RECENT_SEQUENCES] = sequence;
	card->recent_count++;
	return false;
}

size_t qeff_qsm_handle(struct qeff_card *card, const void *message, size_t size_bytes, void *reply)
{
	struct qeff_transaction_reader transactions;
	_Alignas(8) uint8_t buffer[QEFF_WIRE_MAX_FROM_DEV_BYTES];
	struct qeff_wire_header header;
	size_t reply_bytes;
	struct qeff_qsm_message m = {
		.card = card,
		/* An ACTIVATE without its command sets nothing up. */
		.activate_status = QEFF_NNC_ERR_PARAMETER,
	};

	if (qeff_wire_parse(message, size_bytes, false, &header, &transactions, NULL))
		return 0;
	/* The driver sends CRCs until it has seen the flags of the first reply, then zeros. */
	if (header.crc32 && header.crc32 != qeff_wire_crc(message, size_bytes))
		return 0;
	if (is_link_up(transactions))
		card->recent_count = 0;
	if (is_duplicate(card, header.sequence_number))
		return 0;
	m.owner = header.handle;
	header.padding = 0;
	qeff_wire_begin(&m.reply, buffer, sizeof(buffer), &header);
	carry_out(&m, transactions);
	reply_bytes = qeff_wire_finish(&m.reply, false);
	memcpy(reply, buffer, reply_bytes);
	return reply_bytes;
}

/* The activations first: they hold on to the rest. */
void qeff_qsm_terminate(struct qeff_card *card, uint32_t owner)
{
	struct qeff_activation *a, *next_a;
	struct qeff_constants *c, *next_c;
	struct qeff_elf *e, *next_e;

	for (a = card->activations; a; a = next_a) {
		next_a = a->next;
		if (a->owner == owner)
			qeff_qsm_end_activation(card, a);
	}
	qeff_qsm_free_transfers(card, owner);
	for (e = card->elfs; e; e = next_e) {
		next_e = e->next;
		if (e->owner == owner)
			qeff_qsm_free_elf(card, e);
	}
	for (c = card->constants; c; c = next_c) {
		next_c = c->next;
		if (c->owner == owner)
			qeff_qsm_free_constants(card, c);
	}
}
