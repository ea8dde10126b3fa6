/* SPDX-License-Identifier: MIT */
/*
 * Constants and ELFs. Their data is read from host memory, described in the message of the command
 * and, if it takes more room than that has, in further messages. A transfer that has failed goes on
 * to the end with its data only counted, because the driver expects exact counts; the status stands
 * in the final response.
 */
#include "softcard/core.h"

#include "qpc/image.h"
#include "util/bytes.h"
#include "util/checked.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

#define NSP_CONSTANTS_ALIGNMENT 128u

static struct qeff_constants *find_constants(struct qeff_card *card, uint32_t id)
{
	struct qeff_constants *c = card->constants;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static struct qeff_elf *find_elf(struct qeff_card *card, uint32_t id)
{
	struct qeff_elf *e = card->elfs;

	while (e && e->id != id)
		e = e->next;
	return e;
}

void qeff_qsm_free_constants(struct qeff_card *card, struct qeff_constants *constants)
{
	struct qeff_constants **link = &card->constants;

	while (*link != constants)
		link = &(*link)->next;
	*link = constants->next;
	if (constants->adopted)
		card->host.release(card->host.user, constants->adopted, constants->static_bytes);
	qeff_ddr_free(&card->ddr, constants->range);
	free(constants);
}

static void drop_elf(struct qeff_card *card, struct qeff_elf *elf)
{
	qeff_metadata_free(elf->metadata);
	qeff_ddr_free(&card->ddr, elf->range);
	free(elf);
}

void qeff_qsm_free_elf(struct qeff_card *card, struct qeff_elf *elf)
{
	struct qeff_elf **link = &card->elfs;

	while (*link != elf)
		link = &(*link)->next;
	*link = elf->next;
	drop_elf(card, elf);
}

/* The transfer is in no list. What LOAD_CONSTANTS made itself goes with a transfer that did not
 * succeed. */
static void drop_transfer(struct qeff_card *card, struct qeff_transfer *transfer)
{
	if (transfer->constants) {
		transfer->constants->users--;
		if (transfer->command == QEFF_NNC_LOAD_CONSTANTS)
			qeff_qsm_free_constants(card, transfer->constants);
	}
	if (transfer->elf)
		drop_elf(card, transfer->elf);
	free(transfer);
}

void qeff_qsm_free_transfers(struct qeff_card *card, uint32_t owner)
{
	struct qeff_transfer **link = &card->transfers, *transfer;

	while ((transfer = *link)) {
		if (transfer->owner != owner) {
			link = &transfer->next;
			continue;
		}
		*link = transfer->next;
		drop_transfer(card, transfer);
	}
}

/* Makes a constants area of the given sizes. */
static int32_t new_constants(struct qeff_qsm_message *m, uint64_t static_bytes,
			     uint64_t dynamic_bytes, struct qeff_constants **result)
{
	struct qeff_constants *constants;
	struct qeff_ddr_range *range;
	uint64_t total, count = 0;

	if (!qeff_add_u64(static_bytes, dynamic_bytes, &total) || !total)
		return QEFF_NNC_ERR_PARAMETER;
	for (constants = m->card->constants; constants; constants = constants->next)
		count++;
	if (count >= QEFF_CARD_MAX_CONSTANTS)
		return QEFF_NNC_ERR_MEMORY;
	range = qeff_ddr_alloc(&m->card->ddr, total);
	if (!range)
		return QEFF_NNC_ERR_MEMORY;
	constants = calloc(1, sizeof(*constants));
	if (!constants) {
		qeff_ddr_free(&m->card->ddr, range);
		return QEFF_NNC_ERR_MEMORY;
	}
	constants->id = qeff_qsm_new_id(m->card);
	constants->owner = m->owner;
	constants->static_bytes = static_bytes;
	constants->dynamic_bytes = dynamic_bytes;
	constants->range = range;
	constants->next = m->card->constants;
	m->card->constants = constants;
	*result = constants;
	return QEFF_NNC_OK;
}

static void respond_constants(struct qeff_qsm_message *m, uint32_t id, int32_t status)
{
	const struct qeff_nnc_load_constants_resp response = {
		.type = QEFF_NNC_LOAD_CONSTANTS_RESP,
		.constants_id = id,
		.status = status,
	};

	qeff_qsm_respond(m, &response, sizeof(response));
}

void qeff_qsm_load_constants_ex(struct qeff_qsm_message *m, const uint8_t *command,
				size_t size_bytes)
{
	struct qeff_nnc_load_constants_ex_req request;
	struct qeff_constants *constants = NULL;
	int32_t status = QEFF_NNC_ERR_COMMAND_LENGTH;

	if (size_bytes >= sizeof(request)) {
		memcpy(&request, command, sizeof(request));
		/* The descriptor: static bytes u64, dynamic bytes u64, ECC flags. */
		if (request.descriptor_length >= 24 &&
		    request.descriptor_length <= size_bytes - sizeof(request))
			status = new_constants(m, qeff_get_u64(command + sizeof(request)),
					       qeff_get_u64(command + sizeof(request) + 8),
					       &constants);
	}
	respond_constants(m, constants ? constants->id : 0, status);
}

/* Where a payload goes. */
static void target_constants(struct qeff_qsm_message *m, struct qeff_transfer *t,
			     struct qeff_constants *constants, uint64_t offset)
{
	uint64_t area_bytes = constants->static_bytes + constants->dynamic_bytes;

	if (!qeff_range_valid(offset, t->total_bytes, area_bytes)) {
		t->status = QEFF_NNC_ERR_PARAMETER;
		return;
	}
	/* Not while somebody runs on them, nor over pages that are not ours. */
	if (constants->users || (constants->adopted && offset < constants->static_bytes)) {
		t->status = QEFF_NNC_ERR_NOT_PERMITTED;
		return;
	}
	t->constants = constants;
	constants->users++;
	t->adopt = !offset && t->total_bytes == constants->static_bytes && !t->chunk_id &&
		   !constants->received_bytes && m->card->host.adopt && m->card->host.release;
	if (!t->adopt && qeff_ddr_back(constants->range))
		t->status = QEFF_NNC_ERR_MEMORY;
	else if (!t->adopt)
		t->to = constants->range->data + offset;
	else
		t->to = NULL;
}

static void begin_constants(struct qeff_qsm_message *m, struct qeff_transfer *t,
			    const struct qeff_nnc_load_constants_payload_req *request)
{
	struct qeff_constants *constants = find_constants(m->card, request->constants_id);

	if (!constants)
		t->status = QEFF_NNC_ERR_NOT_FOUND;
	else if (constants->owner != m->owner)
		t->status = QEFF_NNC_ERR_NOT_PERMITTED;
	else
		target_constants(m, t, constants, request->offset);
}

static void begin_constants_at_once(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	struct qeff_constants *constants;

	t->status = new_constants(m, t->total_bytes, 0, &constants);
	if (!t->status)
		target_constants(m, t, constants, 0);
}

static void begin_elf(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	uint32_t count = 0;

	for (const struct qeff_elf *e = m->card->elfs; e; e = e->next)
		count++;
	if (!t->total_bytes) {
		t->status = QEFF_NNC_ERR_PARAMETER;
		return;
	}
	t->status = QEFF_NNC_ERR_MEMORY;
	if (count >= QEFF_CARD_MAX_ELFS)
		return;
	t->elf = calloc(1, sizeof(*t->elf));
	if (!t->elf)
		return;
	t->elf->owner = m->owner;
	t->elf->range = qeff_ddr_alloc(&m->card->ddr, t->total_bytes);
	if (!t->elf->range || qeff_ddr_back(t->elf->range))
		return;
	t->to = t->elf->range->data;
	t->status = QEFF_NNC_OK;
}

/* Reads the command into @t; false if it is too short to be one. */
static bool begin(struct qeff_qsm_message *m, struct qeff_transfer *t, const uint8_t *command,
		  size_t size_bytes)
{
	struct qeff_nnc_load_constants_payload_req payload;
	struct qeff_nnc_load_constants_req constants;
	struct qeff_nnc_load_elf_req elf;

	t->command = qeff_get_u32(command);
	t->owner = m->owner;
	t->chunk_id = m->has_dma ? m->dma.chunk_id : 0;
	switch (t->command) {
	case QEFF_NNC_LOAD_CONSTANTS_PAYLOAD:
		if (size_bytes < sizeof(payload))
			return false;
		memcpy(&payload, command, sizeof(payload));
		t->tag = payload.tag;
		t->total_bytes = payload.data_length;
		begin_constants(m, t, &payload);
		return true;
	case QEFF_NNC_LOAD_CONSTANTS:
		if (size_bytes < sizeof(constants))
			return false;
		memcpy(&constants, command, sizeof(constants));
		t->tag = constants.tag;
		t->total_bytes = constants.data_length;
		begin_constants_at_once(m, t);
		return true;
	default:
		if (size_bytes < sizeof(elf))
			return false;
		memcpy(&elf, command, sizeof(elf));
		t->tag = elf.tag;
		t->total_bytes = elf.data_length;
		begin_elf(m, t);
		return true;
	}
}

/* Takes over the pages instead of copying: one run of host addresses, as long as the static part.
 */
static bool adopt(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	const struct qeff_card_host *host = &m->card->host;
	struct qeff_wire_segment segment;
	uint64_t start = 0, end = 0;
	const void *data;

	for (uint32_t i = 0; i < m->dma.count; i++) {
		memcpy(&segment, m->segments + (size_t)i * sizeof(segment), sizeof(segment));
		if (!i)
			start = end = segment.address;
		if (segment.address != end || !qeff_add_u64(end, segment.size_bytes, &end))
			return false;
	}
	if (end - start != t->total_bytes)
		return false;
	data = host->adopt(host->user, start, t->total_bytes);
	if (!data)
		return false;
	if ((uintptr_t)data % NSP_CONSTANTS_ALIGNMENT) {
		host->release(host->user, data, t->total_bytes);
		return false;
	}
	t->constants->adopted = data;
	t->done_bytes = t->total_bytes;
	return true;
}

/* Takes what this message describes. */
static void feed(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	const struct qeff_card_host *host = &m->card->host;
	struct qeff_wire_segment segment;
	const void *data;

	if (t->adopt && !t->status) {
		if (adopt(m, t))
			return;
		t->adopt = false;
		if (qeff_ddr_back(t->constants->range))
			t->status = QEFF_NNC_ERR_MEMORY;
		else
			t->to = t->constants->range->data;
	}
	for (uint32_t i = 0; i < m->dma.count; i++) {
		memcpy(&segment, m->segments + (size_t)i * sizeof(segment), sizeof(segment));
		if (!t->status && segment.size_bytes > t->total_bytes - t->done_bytes)
			t->status = QEFF_NNC_ERR_COMMAND_LENGTH;
		if (!t->status && segment.size_bytes) {
			data = host->translate(host->user, segment.address, segment.size_bytes,
					       false);
			if (data)
				memcpy(t->to + t->done_bytes, data, segment.size_bytes);
			else
				t->status = QEFF_NNC_ERR_DMA;
		}
		if (!qeff_add_u64(t->done_bytes, segment.size_bytes, &t->done_bytes)) {
			t->done_bytes = UINT64_MAX;
			t->status = QEFF_NNC_ERR_COMMAND_LENGTH;
		}
	}
}

/* Reads the metadata of an ELF that is complete. */
static int32_t parse_elf(struct qeff_elf *elf, uint64_t size_bytes)
{
	struct qeff_image_metadata found;
	struct qeff_error err = { 0 };
	int rc;

	rc = qeff_image_find_metadata(elf->range->data, size_bytes, &found, &err);
	if (!rc) {
		rc = qeff_metadata_parse(found.data, found.size_bytes, &elf->metadata, &err);
		if (!rc)
			return QEFF_NNC_OK;
		qeff_log(QEFF_LOG_INFO, "software card: %s", err.message);
		return rc == -ENOMEM ? QEFF_NNC_ERR_MEMORY : QEFF_NNC_ERR_METADATA_PARSE;
	}
	qeff_log(QEFF_LOG_INFO, "software card: %s", err.message);
	if (rc == -ENOMEM)
		return QEFF_NNC_ERR_MEMORY;
	return rc == -ENOENT ? QEFF_NNC_ERR_METADATA_RETRIEVAL : QEFF_NNC_ERR_PROGRAM_IMAGE;
}

static void respond_elf(struct qeff_qsm_message *m, uint32_t id, int32_t status)
{
	const struct qeff_nnc_load_elf_resp response = {
		.type = QEFF_NNC_LOAD_ELF_RESP,
		.elf_id = id,
		.status = status,
	};

	qeff_qsm_respond(m, &response, sizeof(response));
}

static void finish_elf(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	struct qeff_elf *elf = t->elf;

	if (!t->status)
		t->status = parse_elf(elf, t->total_bytes);
	if (t->status) {
		respond_elf(m, 0, t->status);
		return;
	}
	t->elf = NULL;
	elf->id = qeff_qsm_new_id(m->card);
	elf->next = m->card->elfs;
	m->card->elfs = elf;
	respond_elf(m, elf->id, QEFF_NNC_OK);
}

static void finish_constants(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	struct qeff_constants *constants = t->constants;

	if (t->status) {
		respond_constants(m, 0, t->status);
		return;
	}
	t->constants = NULL;
	constants->users--;
	constants->received_bytes += t->done_bytes;
	respond_constants(m, constants->id, QEFF_NNC_OK);
}

/* All data is there, or never will be: the command's response. Frees the transfer. */
static void finish(struct qeff_qsm_message *m, struct qeff_transfer *t)
{
	if (!t->status && t->done_bytes != t->total_bytes)
		t->status = QEFF_NNC_ERR_COMMAND_LENGTH;
	if (t->command == QEFF_NNC_LOAD_ELF)
		finish_elf(m, t);
	else
		finish_constants(m, t);
	drop_transfer(m->card, t);
}

/* More is to come: says how much has been taken so far. */
static void await_more(struct qeff_qsm_message *m, uint32_t chunk_id, uint64_t done_bytes)
{
	struct qeff_wire_dma_xfer_cont *t =
		qeff_transaction_add(&m->reply, QEFF_DMA_XFER_CONT, sizeof(*t));

	if (t) {
		t->chunk_id = chunk_id;
		t->transferred_bytes = done_bytes;
	}
}

static uint32_t unfinished(const struct qeff_card *card, uint32_t owner)
{
	uint32_t count = 0;

	for (const struct qeff_transfer *t = card->transfers; t; t = t->next)
		count += t->owner == owner;
	return count;
}

void qeff_qsm_load(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_transfer *t = calloc(1, sizeof(*t));
	bool is_elf = qeff_get_u32(command) == QEFF_NNC_LOAD_ELF;
	int32_t status = t ? QEFF_NNC_ERR_COMMAND_LENGTH : QEFF_NNC_ERR_MEMORY;

	if (!t || !begin(m, t, command, size_bytes)) {
		free(t);
		if (is_elf)
			respond_elf(m, 0, status);
		else
			respond_constants(m, 0, status);
		return;
	}
	if (!m->has_dma || m->dma.tag != t->tag) {
		t->status = t->status ? t->status : QEFF_NNC_ERR_DMA;
		finish(m, t);
		return;
	}
	/* The answer to a part may hold nothing but the byte count: no room for other commands. */
	if (t->chunk_id && m->commands > 1)
		t->status = QEFF_NNC_ERR_PARAMETER;
	feed(m, t);
	if (!t->chunk_id || t->done_bytes >= t->total_bytes || m->commands > 1 ||
	    unfinished(m->card, m->owner) >= QEFF_CARD_MAX_TRANSFERS) {
		finish(m, t);
		return;
	}
	t->next = m->card->transfers;
	m->card->transfers = t;
	await_more(m, t->chunk_id, t->done_bytes);
}

void qeff_qsm_continue(struct qeff_qsm_message *m)
{
	struct qeff_transfer **link = &m->card->transfers, *t;

	while ((t = *link) && (t->owner != m->owner || t->chunk_id != m->dma.chunk_id))
		link = &t->next;
	if (!t)
		return;
	if (!m->dma.tag && !m->dma.count) {
		*link = t->next;
		drop_transfer(m->card, t);
		await_more(m, m->dma.chunk_id, 0);
		return;
	}
	if (m->dma.tag != t->tag)
		t->status = t->status ? t->status : QEFF_NNC_ERR_DMA;
	feed(m, t);
	if (t->done_bytes < t->total_bytes) {
		await_more(m, t->chunk_id, t->done_bytes);
		return;
	}
	*link = t->next;
	finish(m, t);
}

void qeff_qsm_unload(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_nnc_unload_req request = { .type = qeff_get_u32(command) };
	struct qeff_nnc_result_resp response = { .type = request.type + 1 };
	struct qeff_constants *constants = NULL;
	struct qeff_elf *elf = NULL;
	uint32_t owner = 0, users = 0;

	if (size_bytes < sizeof(request)) {
		response.status = QEFF_NNC_ERR_COMMAND_LENGTH;
		goto respond;
	}
	memcpy(&request, command, sizeof(request));
	if (request.type == QEFF_NNC_UNLOAD_ELF)
		elf = find_elf(m->card, request.id);
	else
		constants = find_constants(m->card, request.id);
	if (elf) {
		owner = elf->owner;
		users = elf->users;
	} else if (constants) {
		owner = constants->owner;
		users = constants->users;
	}
	if (!elf && !constants)
		response.status = QEFF_NNC_ERR_NOT_FOUND;
	else if (owner != m->owner || users)
		response.status = QEFF_NNC_ERR_NOT_PERMITTED;
	else if (elf)
		qeff_qsm_free_elf(m->card, elf);
	else
		qeff_qsm_free_constants(m->card, constants);
respond:
	qeff_qsm_respond(m, &response, sizeof(response));
}
