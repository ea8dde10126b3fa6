/* SPDX-License-Identifier: MIT */
/* Lines of the trace. Messages are traced before anybody has judged them, so nothing is trusted. */
#include "softcard/trace.h"

#include "nnc/command.h"
#include "nnc/wire.h"
#include "softcard/bridge.h"
#include "softcard/card.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAMES 1024u

/**
 * struct base - where a channel's addresses begin
 * @valid: its activation has been seen
 */
struct base {
	bool valid;
	uint64_t ddr;
	uint64_t dynamic;
	uint64_t mcid;
};

/**
 * struct slice - elements of one slice, put together
 * @open: @first has been seen, the last has not
 */
struct slice {
	bool open;
	struct qeff_request_element first;
	uint64_t size_bytes;
};

struct qeff_trace {
	FILE *file;
	pthread_mutex_t lock;
	struct {
		char kind;
		uint32_t id;
	} names[MAX_NAMES];
	unsigned int num_names;
	struct base base[QEFF_CARD_DBCS];
	struct slice slice[QEFF_CARD_DBCS];
};

int qeff_trace_open(const char *path, struct qeff_trace **trace, struct qeff_error *err)
{
	struct qeff_trace *t = calloc(1, sizeof(*t));
	char text[128];
	int ret;

	if (!t)
		return qeff_error_set(err, -ENOMEM, "%s: no memory for a trace", path);
	t->file = fopen(path, "we");
	if (!t->file) {
		ret = -errno;
		free(t);
		return qeff_error_set(err, ret, "%s: %s", path,
				      qeff_strerror(-ret, text, sizeof(text)));
	}
	pthread_mutex_init(&t->lock, NULL);
	*trace = t;
	return 0;
}

void qeff_trace_close(struct qeff_trace *t)
{
	if (!t)
		return;
	fclose(t->file);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* The number of @id among those of its kind, from 0, in order of appearance. */
static unsigned int name(struct qeff_trace *t, char kind, uint32_t id)
{
	unsigned int of_kind = 0;

	for (unsigned int i = 0; i < t->num_names; i++) {
		if (t->names[i].kind != kind)
			continue;
		if (t->names[i].id == id)
			return of_kind;
		of_kind++;
	}
	if (t->num_names == MAX_NAMES)
		return MAX_NAMES;
	t->names[t->num_names].kind = kind;
	t->names[t->num_names++].id = id;
	return of_kind;
}

/* --- control messages --- */

static void print_text(struct qeff_trace *t, const char *field)
{
	char text[QEFF_NNC_NAME_BYTES + 1];

	qeff_nnc_text(text, field, QEFF_NNC_NAME_BYTES);
	fprintf(t->file, " \"%s\"", text);
}

static void trace_load(struct qeff_trace *t, uint32_t type, const uint8_t *c, size_t size)
{
	const size_t ex_bytes = sizeof(struct qeff_nnc_load_constants_ex_req);
	struct qeff_nnc_load_constants_payload_req payload;
	struct qeff_nnc_load_elf_req elf;

	if (type == QEFF_NNC_LOAD_CONSTANTS_EX && size >= ex_bytes + 16) {
		print_text(t,
			   (const char *)c + offsetof(struct qeff_nnc_load_constants_ex_req, name));
		fprintf(t->file, " static %" PRIu64 " dynamic %" PRIu64, qeff_get_u64(c + ex_bytes),
			qeff_get_u64(c + ex_bytes + 8));
	} else if (type == QEFF_NNC_LOAD_CONSTANTS_PAYLOAD && size >= sizeof(payload)) {
		memcpy(&payload, c, sizeof(payload));
		fprintf(t->file, " constants%u bytes %" PRIu64 " at %" PRIu64,
			name(t, 'c', payload.constants_id), payload.data_length, payload.offset);
	} else if (type == QEFF_NNC_LOAD_ELF && size >= sizeof(elf)) {
		memcpy(&elf, c, sizeof(elf));
		print_text(t, elf.name);
		fprintf(t->file, " bytes %" PRIu64 " crc %08x %08x", elf.data_length,
			elf.metadata_crc, elf.metadata_fb_crc);
	}
}

static void trace_activation(struct qeff_trace *t, uint32_t type, const uint8_t *c, size_t size)
{
	struct qeff_nnc_activate_req activate;
	struct qeff_nnc_activate_resp response;
	struct qeff_nnc_deactivate_req deactivate;

	if (type == QEFF_NNC_ACTIVATE && size >= sizeof(activate)) {
		memcpy(&activate, c, sizeof(activate));
		fprintf(t->file, " elf%u", name(t, 'e', activate.elf_id));
		if (activate.constants_id)
			fprintf(t->file, " constants%u", name(t, 'c', activate.constants_id));
		fprintf(t->file, " setup %u state %d", activate.opt_vc_setup,
			activate.initial_state);
	} else if (type == QEFF_NNC_ACTIVATE_RESP && size >= sizeof(response)) {
		memcpy(&response, c, sizeof(response));
		fprintf(t->file, " status %d", response.status);
		if (response.status || response.virtual_channel_id >= QEFF_CARD_DBCS)
			return;
		fprintf(t->file, " activation%u nsps %d", name(t, 'a', response.activation_id),
			__builtin_popcount(response.nsp_mask));
		t->base[response.virtual_channel_id] = (struct base){
			.valid = true,
			.ddr = response.ddr_base,
			.dynamic = response.dynamic_ddr_base,
			.mcid = response.mcid_base,
		};
	} else if (type == QEFF_NNC_DEACTIVATE && size >= sizeof(deactivate)) {
		memcpy(&deactivate, c, sizeof(deactivate));
		fprintf(t->file, " activation%u teardown %u",
			name(t, 'a', deactivate.activation_id), deactivate.opt_vc_teardown);
	}
}

static void trace_command(struct qeff_trace *t, const uint8_t *c, size_t size)
{
	uint32_t type = size >= 4 ? qeff_get_u32(c) : 0;
	uint32_t id = size >= 8 ? qeff_get_u32(c + 4) : 0;

	fprintf(t->file, " %s", qeff_nnc_command_name(type));
	switch (type) {
	case QEFF_NNC_LOAD_CONSTANTS_EX:
	case QEFF_NNC_LOAD_CONSTANTS_PAYLOAD:
	case QEFF_NNC_LOAD_ELF:
		trace_load(t, type, c, size);
		break;
	case QEFF_NNC_ACTIVATE:
	case QEFF_NNC_ACTIVATE_RESP:
	case QEFF_NNC_DEACTIVATE:
		trace_activation(t, type, c, size);
		break;
	case QEFF_NNC_LOAD_CONSTANTS_RESP:
	case QEFF_NNC_LOAD_ELF_RESP:
		if (size >= 12)
			fprintf(t->file, " %s%u status %d",
				type == QEFF_NNC_LOAD_ELF_RESP ? "elf" : "constants",
				name(t, type == QEFF_NNC_LOAD_ELF_RESP ? 'e' : 'c', id),
				(int32_t)qeff_get_u32(c + 8));
		break;
	case QEFF_NNC_UNLOAD_CONSTANTS:
		fprintf(t->file, " constants%u", name(t, 'c', id));
		break;
	case QEFF_NNC_UNLOAD_ELF:
		fprintf(t->file, " elf%u", name(t, 'e', id));
		break;
	case QEFF_NNC_UNLOAD_CONSTANTS_RESP:
	case QEFF_NNC_UNLOAD_ELF_RESP:
	case QEFF_NNC_DEACTIVATE_RESP:
	case QEFF_NNC_STATUS_RESP:
		fprintf(t->file, " status %d", (int32_t)id);
		break;
	default:
		/* the rest asks for facts or is refused */
		break;
	}
}

static void trace_transaction(struct qeff_trace *t, const struct qeff_transaction *x)
{
	uint32_t words[4] = { 0 };

	memcpy(words, x->data, x->size_bytes < sizeof(words) ? x->size_bytes : sizeof(words));
	switch (x->type) {
	case QEFF_PASSTHROUGH_TO_DEV:
	case QEFF_PASSTHROUGH_FROM_DEV:
		trace_command(t, x->data + 8, x->size_bytes - 8);
		break;
	case QEFF_DMA_XFER_TO_DEV:
		fprintf(t->file, " dma_xfer tag %u", words[2]);
		break;
	case QEFF_ACTIVATE_TO_DEV:
		fprintf(t->file, " activate ring %u",
			x->size_bytes >= 28 ? qeff_get_u32(x->data + 24) : 0);
		break;
	case QEFF_ACTIVATE_FROM_DEV:
		fprintf(t->file, " activate status %u channel%u", words[2], name(t, 'd', words[3]));
		break;
	case QEFF_DEACTIVATE_FROM_DEV:
		fprintf(t->file, " deactivate status %u channel%u", words[2],
			name(t, 'd', words[3]));
		break;
	case QEFF_STATUS_TO_DEV:
		fprintf(t->file, " status");
		break;
	case QEFF_STATUS_FROM_DEV:
		fprintf(t->file, " status %u.%u %u", words[2] & 0xffff, words[2] >> 16, words[3]);
		break;
	case QEFF_TERMINATE_TO_DEV:
		fprintf(t->file, " terminate user%u", name(t, 'u', words[2]));
		break;
	case QEFF_TERMINATE_FROM_DEV:
		fprintf(t->file, " terminate status %u", words[2]);
		break;
	default:
		fprintf(t->file, " transaction %u of %u bytes", x->type, x->size_bytes);
		break;
	}
}

/* The later parts of a long transfer, and the answers to all but the last. */
static bool is_part(const struct qeff_wire_header *header,
		    const struct qeff_transaction_reader *transactions)
{
	struct qeff_transaction_reader r = *transactions;
	struct qeff_transaction x;

	return header->count == 1 && qeff_transaction_next(&r, &x, NULL) == 1 &&
	       (x.type == QEFF_DMA_XFER_CONT || x.type == QEFF_DMA_XFER_TO_DEV);
}

void qeff_trace_control(struct qeff_trace *t, bool to_card, const void *message, size_t size_bytes)
{
	struct qeff_transaction_reader r;
	struct qeff_wire_header header;
	struct qeff_transaction x;
	bool first = true;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	if (qeff_wire_parse(message, size_bytes, false, &header, &r, NULL)) {
		fprintf(t->file, "%c malformed, %zu bytes\n", to_card ? '>' : '<', size_bytes);
	} else if (!is_part(&header, &r)) {
		fprintf(t->file, "%c user%u", to_card ? '>' : '<', name(t, 'u', header.handle));
		while (qeff_transaction_next(&r, &x, NULL) == 1) {
			fprintf(t->file, first ? ":" : ",");
			first = false;
			trace_transaction(t, &x);
		}
		fprintf(t->file, "\n");
	}
	fflush(t->file);
	pthread_mutex_unlock(&t->lock);
}

/* --- elements --- */

static void print_device_address(struct qeff_trace *t, unsigned int dbc, uint64_t address)
{
	const struct base *b = &t->base[dbc];

	if (b->valid && address >= b->mcid)
		fprintf(t->file, "nsp+%#" PRIx64, address - b->mcid);
	else if (b->valid && b->dynamic > b->ddr && address >= b->dynamic)
		fprintf(t->file, "dynamic+%#" PRIx64, address - b->dynamic);
	else if (b->valid && address >= b->ddr)
		fprintf(t->file, "ddr+%#" PRIx64, address - b->ddr);
	else
		fprintf(t->file, "outside");
}

/* Fences are the driver's way to keep a slice together, so they say nothing about it. */
static void print_semaphores(struct qeff_trace *t, const struct qeff_request_element *e)
{
	static const char *const operations[8] = { "nop",   "init",    "inc",  "dec",
						   "equal", "atleast", "take", "bad" };

	for (int i = 0; i < 4; i++) {
		uint32_t word = e->semaphore[i];

		if (word & QEFF_SEM_ENABLE)
			fprintf(t->file, " %s-%s(s%u, %u)",
				word & QEFF_SEM_PRESYNC ? "pre" : "post",
				operations[word >> 24 & 7], word >> 16 & 31,
				word & QEFF_SEMAPHORE_MAX);
	}
}

/* The last element of a slice says what comes after it. */
static void print_slice(struct qeff_trace *t, unsigned int dbc, const struct slice *s,
			const struct qeff_request_element *last)
{
	static const char *const types[4] = { "sync", "in", "out", "bad" };
	unsigned int type = s->first.command & QEFF_ELEMENT_TYPE;

	fprintf(t->file, "* channel%u %s", name(t, 'd', dbc), types[type]);
	if (type == QEFF_ELEMENT_TO_DEVICE || type == QEFF_ELEMENT_FROM_DEVICE) {
		fprintf(t->file, " %" PRIu64 " ", s->size_bytes);
		print_device_address(t, dbc,
				     type == QEFF_ELEMENT_TO_DEVICE ? s->first.destination
								    : s->first.source);
	}
	print_semaphores(t, last);
	if (last->doorbell_attributes & QEFF_DOORBELL_ENABLE) {
		fprintf(t->file, " doorbell%u ", 32u >> (last->doorbell_attributes & 3));
		print_device_address(t, dbc, last->doorbell);
		fprintf(t->file, "=%u", last->doorbell_data);
	}
	if (last->command & QEFF_ELEMENT_COMPLETION)
		fprintf(t->file, " completion");
	if (last->command & QEFF_ELEMENT_FORCE_MSI)
		fprintf(t->file, " msi");
	fprintf(t->file, "\n");
}

static bool continues(const struct slice *s, const struct qeff_request_element *e)
{
	unsigned int type = s->first.command & QEFF_ELEMENT_TYPE;

	if (!s->open || e->req_id != s->first.req_id ||
	    (e->command & QEFF_ELEMENT_TYPE) != (s->first.command & QEFF_ELEMENT_TYPE))
		return false;
	return type == QEFF_ELEMENT_TO_DEVICE
		       ? e->destination == s->first.destination + s->size_bytes
		       : e->source == s->first.source + s->size_bytes;
}

void qeff_trace_element(struct qeff_trace *t, unsigned int dbc, const void *element)
{
	struct qeff_request_element e;
	struct slice *s;

	if (!t || dbc >= QEFF_CARD_DBCS)
		return;
	memcpy(&e, element, sizeof(e));
	pthread_mutex_lock(&t->lock);
	s = &t->slice[dbc];
	if (!continues(s, &e)) {
		if (s->open)
			print_slice(t, dbc, s, &s->first);
		*s = (struct slice){ .open = true, .first = e };
	}
	s->size_bytes += e.size_bytes;
	if (e.command & QEFF_ELEMENT_COMPLETION) {
		print_slice(t, dbc, s, &e);
		s->open = false;
	}
	fflush(t->file);
	pthread_mutex_unlock(&t->lock);
}
