/* SPDX-License-Identifier: MIT */
/* Control messages from user transactions, and request elements from slices, as the kernel driver
 * makes them. */
#include "guest_driver.h"

#include "nnc/user.h"
#include "nnc/wire.h"
#include "nsp/program.h"
#include "qpc/package.h"
#include "util/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HANDLE	    0u /* of the first opener, and of the kernel itself */
#define ELEMENT	    64u
#define CHUNK	    5u
#define BRIDGE_BASE 0x20000u

uint32_t driver_register(struct guest_driver *d, uint32_t offset)
{
	return client_read(d->h->c, QEFF_BAR_BRIDGE, BRIDGE_BASE + d->dbc * 0x1000 + offset, 4);
}

static void set_register(struct guest_driver *d, uint32_t offset, uint32_t value)
{
	client_write(d->h->c, QEFF_BAR_BRIDGE, BRIDGE_BASE + d->dbc * 0x1000 + offset, value, 4);
}

/* --- control --- */

/**
 * struct exchange - one MANAGE call
 * @data: guest copy of a transfer's bytes; @sent_bytes of @data_bytes are described
 */
struct exchange {
	uint8_t message[65536];
	struct qeff_transaction_writer w;
	uint64_t data;
	uint64_t data_bytes;
	uint64_t sent_bytes;
	uint32_t tag;
};

static void begin(struct exchange *x)
{
	const struct qeff_wire_header header = { .handle = HANDLE, .partition_id = -1 };

	qeff_wire_begin(&x->w, x->message, sizeof(x->message), &header);
}

/* As many segments as the message has room for. */
static void add_segments(struct guest_driver *d, struct exchange *x, bool first)
{
	uint64_t left = x->data_bytes - x->sent_bytes, room;
	uint64_t count = (left + d->segment_bytes - 1) / d->segment_bytes;
	uint8_t *t;

	room = (d->message_bytes - x->w.size_bytes - 24) / 16;
	t = qeff_transaction_add(&x->w, QEFF_DMA_XFER_TO_DEV,
				 24 + 16 * (count < room ? count : room));
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	qeff_put_u32(t + 8, x->tag);
	qeff_put_u32(t + 12, (uint32_t)(count < room ? count : room));
	qeff_put_u32(t + 16, first && count <= room ? 0 : CHUNK);
	for (uint64_t i = 0; i < count && i < room; i++) {
		uint64_t size = x->data_bytes - x->sent_bytes;

		size = size < d->segment_bytes ? size : d->segment_bytes;
		qeff_put_u64(t + 24 + 16 * i, x->data + x->sent_bytes);
		qeff_put_u64(t + 32 + 16 * i, size);
		x->sent_bytes += size;
	}
}

static void add_transfer(struct guest_driver *d, struct exchange *x,
			 const struct qeff_transaction *t)
{
	struct qeff_user_dma_xfer user;

	qeff_transaction_copy(t, &user, sizeof(user));
	x->data = guest_alloc(d->h->c, user.size_bytes, 4096);
	x->data_bytes = user.size_bytes;
	x->tag = user.tag;
	memcpy(guest(d->h->c, x->data), (const void *)(uintptr_t)user.address, user.size_bytes);
	add_segments(d, x, true);
}

static void add_activate(struct guest_driver *d, struct exchange *x,
			 const struct qeff_transaction *t)
{
	uint32_t elements = qeff_get_u32(t->data + 8);
	uint32_t bytes = (elements * (ELEMENT + 4) + 256 + 4095) & ~4095u;
	uint8_t *a = qeff_transaction_add(&x->w, QEFF_ACTIVATE_TO_DEV, 40);

	d->request_ring = guest_alloc(d->h->c, bytes, 4096);
	d->response_ring = d->request_ring + bytes - 4 * elements;
	d->elements = elements;
	d->tail = d->head = 0;
	qeff_put_u64(a + 8, d->request_ring);
	qeff_put_u64(a + 16, d->response_ring);
	qeff_put_u32(a + 24, elements);
	qeff_put_u32(a + 28, elements);
	qeff_put_u32(a + 32, bytes);
}

static bool send(struct guest_driver *d, struct exchange *x)
{
	size_t size = qeff_wire_finish(&x->w, false);

	CU_ASSERT_NOT_EQUAL_FATAL(size, 0);
	return host_control(d->h, x->message, size);
}

/* The rest of a long transfer; each part but the last is acknowledged by what came so far. */
static bool send_rest(struct guest_driver *d, struct exchange *x)
{
	while (x->sent_bytes < x->data_bytes) {
		const uint8_t *r = d->h->received;

		CU_ASSERT_EQUAL(qeff_get_u32(r + 16), 1);
		CU_ASSERT_EQUAL(qeff_get_u32(r + 32), QEFF_DMA_XFER_CONT);
		CU_ASSERT_EQUAL(qeff_get_u32(r + 40), CHUNK);
		CU_ASSERT_EQUAL(qeff_get_u64(r + 48), x->sent_bytes);
		begin(x);
		add_segments(d, x, false);
		d->parts++;
		if (!send(d, x))
			return false;
	}
	return true;
}

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct qeff_transaction_reader r = { .data = data, .size_bytes = *size_bytes };
	struct guest_driver *d = user;
	struct qeff_transaction t;
	static struct exchange x;

	x.data_bytes = x.sent_bytes = 0;
	begin(&x);
	while (qeff_transaction_next(&r, &t, err) == 1) {
		switch (t.type) {
		case QEFF_PASSTHROUGH_FROM_USR:
			qeff_transaction_add_passthrough(&x.w, QEFF_PASSTHROUGH_TO_DEV, t.data + 8,
							 t.size_bytes - 8, 0);
			break;
		case QEFF_DMA_XFER_FROM_USR:
			add_transfer(d, &x, &t);
			break;
		case QEFF_ACTIVATE_FROM_USR:
			add_activate(d, &x, &t);
			break;
		case QEFF_DEACTIVATE_FROM_USR:
			break;
		default:
			return -EINVAL;
		}
	}
	if (!send(d, &x) || !send_rest(d, &x))
		return -ETIMEDOUT;
	*size_bytes = (uint32_t)d->h->received_bytes - 32;
	*count = qeff_get_u32(d->h->received + 16);
	memcpy(data, d->h->received + 32, *size_bytes);
	return 0;
}

void driver_open(struct guest_driver *d, struct mhi_host *h)
{
	*d = (struct guest_driver){
		.h = h,
		.client = { .manage = manage, .user = d, .retry_ms = 1 },
		.segment_bytes = 1u << 20,
		.message_bytes = 65536 - 1024,
	};
}

/* --- programs --- */

bool driver_load(struct guest_driver *d, struct guest_program *p, struct qeff_qpc *qpc)
{
	struct qeff_loaded_program *program = &p->program;
	const struct qeff_segment *image = qeff_qpc_segment(qpc, QEFF_SEGMENT_IMAGE);
	const struct qeff_segment *desc = qeff_qpc_segment(qpc, QEFF_SEGMENT_CONSTANTS_DESC);
	struct qeff_nnc_constants constants;
	struct qeff_nnc_elf elf;
	struct qeff_error err = { 0 };
	int ret;

	memset(p, 0, sizeof(*p));
	program->client = d->client;
	program->qpc = qpc;
	ret = qeff_qpc_network(qpc, &program->network, &err);
	ret = ret ? ret : qeff_qpc_metadata(qpc, &program->metadata, &err);
	ret = ret ? ret : qeff_qpc_constants(qpc, &program->constants, &err);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	program->control = qeff_network_control(program->network);
	constants = (struct qeff_nnc_constants){
		.name = program->network->name,
		.descriptor = desc->data,
		.descriptor_bytes = (uint32_t)desc->size_bytes,
		.static_data = program->constants.static_data,
		.static_bytes = program->constants.static_size_bytes,
		.dynamic_data = program->constants.dynamic_data,
		.dynamic_bytes = program->constants.dynamic_size_bytes,
		.dynamic_offset = program->constants.static_space_bytes,
	};
	elf = (struct qeff_nnc_elf){ .name = program->network->name,
				     .data = image->data,
				     .size_bytes = image->size_bytes };
	ret = qeff_nnc_load_constants(&d->client, &constants, &program->constants_id, &err);
	ret = ret ? ret : qeff_nnc_load_elf(&d->client, &elf, &program->elf_id, &err);
	p->activation.program = program;
	ret = ret ? ret
		  : qeff_nnc_activate(&d->client, program->constants_id, program->elf_id,
				      QEFF_RING_ELEMENTS, &p->activation.nnc, &err);
	ret = ret ? ret : qeff_activation_make_slices(&p->activation, &err);
	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL(ret, 0);
	if (ret)
		return false;
	d->dbc = p->activation.nnc.dbc_id;
	CU_ASSERT_FATAL(p->activation.num_transfers <= 16);
	for (uint32_t i = 0; i < p->activation.num_transfers; i++)
		p->buffer[i] =
			guest_alloc(d->h->c, p->activation.transfers[i].size_bytes + 1, 4096);
	return true;
}

bool driver_unload(struct guest_driver *d, struct guest_program *p)
{
	struct qeff_error err = { 0 };
	int ret = qeff_nnc_deactivate(&d->client, &p->activation.nnc, &err);

	ret = ret ? ret : qeff_nnc_unload_elf(&d->client, p->program.elf_id, &err);
	ret = ret ? ret : qeff_nnc_unload_constants(&d->client, p->program.constants_id, &err);
	qeff_activation_free_slices(&p->activation);
	return !ret;
}

uint8_t *driver_binding(struct guest_driver *d, struct guest_program *p, uint32_t binding)
{
	const struct qeff_place *place = &p->activation.places[binding];

	if (place->transfer == UINT32_MAX)
		return NULL;
	return guest(d->h->c, p->buffer[place->transfer]) + place->offset;
}

void driver_select(struct guest_driver *d, struct guest_program *p, uint32_t specialisation)
{
	struct qeff_nsp_control *control =
		(void *)driver_binding(d, p, (uint32_t)p->program.control);

	control->specialisation = p->specialisation = specialisation;
}

/* --- the DMA bridge --- */

static uint32_t semaphore_word(const struct qaic_sem *s)
{
	return s->val | (uint32_t)s->index << 16 | (uint32_t)s->presync << 22 |
	       (uint32_t)s->cmd << 24 | (s->flags & QAIC_SEM_OUTSYNCFENCE ? 1u << 29 : 0) |
	       (s->flags & QAIC_SEM_INSYNCFENCE ? 1u << 30 : 0) | (s->cmd ? 1u << 31 : 0);
}

/* A slice becomes an element for each segment; what comes after the data stands in the last. */
static void put_slice(struct guest_driver *d, const struct qaic_attach_slice_entry *s,
		      uint64_t host, bool to_device, uint16_t id)
{
	const struct qaic_sem *sems[4] = { &s->sem0, &s->sem1, &s->sem2, &s->sem3 };
	uint64_t done = 0;

	do {
		uint8_t *e = guest(d->h->c, d->request_ring + (uint64_t)d->tail * ELEMENT);
		uint64_t n = s->size - done < d->segment_bytes ? s->size - done : d->segment_bytes;
		bool last = done + n == s->size;

		memset(e, 0, ELEMENT);
		qeff_put_u16(e, id);
		e[3] = (uint8_t)(8 | (last ? 0x10 : 0) | (!s->size ? 0 : to_device ? 1 : 2));
		qeff_put_u64(e + 8, to_device ? host + done : s->dev_addr + done);
		qeff_put_u64(e + 16, to_device ? s->dev_addr + done : host + done);
		qeff_put_u32(e + 24, (uint32_t)n);
		for (int i = 0; i < 4; i++)
			if (last || sems[i]->presync)
				qeff_put_u32(e + 48 + 4 * i, semaphore_word(sems[i]));
		if (last && s->db_len) {
			qeff_put_u64(e + 32, s->db_addr);
			e[40] = 0x80 | (s->db_len == 32 ? 0 : s->db_len == 16 ? 1 : 2);
			qeff_put_u32(e + 44, s->db_data);
		}
		d->tail = (d->tail + 1) % d->elements;
		done += n;
	} while (done < s->size);
}

void driver_doorbell(struct guest_driver *d)
{
	set_register(d, 4, d->tail);
}

unsigned int driver_execute(struct guest_driver *d, const struct guest_program *p)
{
	unsigned int answers = 0;

	for (uint32_t i = 0; i < p->activation.num_transfers; i++) {
		const struct qeff_transfer *t = &p->activation.transfers[i];

		for (uint32_t k = 0; k < t->num_slices; k++, answers++) {
			struct qaic_attach_slice_entry s = p->activation.slices[t->first_slice + k];
			uint64_t needed =
				qeff_activation_needed(&p->activation, p->specialisation, true, i);

			if (s.size > needed) /* a shortened transfer is one slice from offset 0 */
				s.size = needed;
			put_slice(d, &s, p->buffer[i] + s.offset,
				  t->direction == QAIC_DIR_TO_DEVICE, (uint16_t)i);
		}
	}
	driver_doorbell(d);
	CU_ASSERT_EQUAL(driver_register(d, 4), d->tail);
	return answers;
}

int driver_wait(struct guest_driver *d, unsigned int count)
{
	unsigned int message = d->h->c->irq[1] >= 0 ? d->dbc + 1 : 0;
	uint32_t tail;
	int code = 0;

	while (count) {
		tail = driver_register(d, 12);
		if (tail == d->head) {
			if (!client_wait(d->h->c, message))
				return -1;
			continue;
		}
		while (d->head != tail && count) {
			const uint8_t *r = guest(d->h->c, d->response_ring + 4 * d->head);

			code = code ? code : qeff_get_u16(r + 2);
			d->head = (d->head + 1) % d->elements;
			count--;
		}
		set_register(d, 8, d->head);
	}
	return code;
}
