/* SPDX-License-Identifier: MIT */
/*
 * A host for the software card: memory with DMA addresses, rings, interrupts; and a small package
 * to run on it. The host speaks bytes at the offsets of the public formats and shares no struct
 * with the card.
 */
#ifndef QEFF_TESTS_SOFTCARD_H
#define QEFF_TESTS_SOFTCARD_H

#include "unit.h"

#include "softcard/card.h"
#include "util/bytes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* --- the host --- */

#define HOST_RAM	 (8u << 20)
#define HOST_BASE	 UINT64_C(0x500000000)
#define HOST_READ_ONLY	 (6u << 20) /* from here on the device must not write */
#define HOST_RINGS	 (1u << 20) /* 64 KiB for each channel */
#define HOST_RING_STRIDE 65536u
#define HOST_DATA	 (2u << 20) /* tests put their data here */

struct host {
	struct qeff_card *card;
	uint8_t *ram;
	uint32_t sequence;
	bool adopts;
	unsigned int adopted, released;
	atomic_uint translations;
	uint64_t gate_address; /* translate() of this one waits until @gate_open */
	bool gate_reached, gate_open;
	pthread_mutex_t lock;
	pthread_cond_t change;
	unsigned int interrupts[17];
};

static inline void *host_translate(void *user, uint64_t address, size_t size_bytes, bool writes)
{
	struct host *h = user;

	atomic_fetch_add(&h->translations, 1);
	if (h->gate_address && address == h->gate_address) {
		pthread_mutex_lock(&h->lock);
		h->gate_reached = true;
		pthread_cond_broadcast(&h->change);
		while (!h->gate_open)
			pthread_cond_wait(&h->change, &h->lock);
		pthread_mutex_unlock(&h->lock);
	}
	if (address < HOST_BASE || address - HOST_BASE > HOST_RAM ||
	    size_bytes > HOST_RAM - (address - HOST_BASE))
		return NULL;
	if (writes && address - HOST_BASE + size_bytes > HOST_READ_ONLY)
		return NULL;
	return h->ram + (address - HOST_BASE);
}

static inline void host_interrupt(void *user, unsigned int vector)
{
	struct host *h = user;

	pthread_mutex_lock(&h->lock);
	h->interrupts[vector]++;
	pthread_cond_broadcast(&h->change);
	pthread_mutex_unlock(&h->lock);
}

static inline uint64_t host_time_us(void *user)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline const void *host_adopt(void *user, uint64_t address, size_t size_bytes)
{
	struct host *h = user;

	if (!h->adopts)
		return NULL;
	h->adopted++;
	return host_translate(h, address, size_bytes, false);
}

static inline void host_release(void *user, const void *data, size_t size_bytes)
{
	((struct host *)user)->released++;
}

static inline void host_open(struct host *h, uint32_t nsps, uint64_t ddr_bytes, bool poison)
{
	const struct qeff_card_config config = {
		.nsps = nsps,
		.ddr_bytes = ddr_bytes,
		.sku = 2,
		.serial = "T0001",
		.poison = poison,
	};
	const struct qeff_card_host callbacks = {
		.translate = host_translate,
		.interrupt = host_interrupt,
		.time_us = host_time_us,
		.adopt = host_adopt,
		.release = host_release,
		.user = h,
	};

	memset(h, 0, sizeof(*h));
	h->ram = aligned_alloc(4096, HOST_RAM);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h->ram);
	memset(h->ram, 0, HOST_RAM);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->change, NULL);
	CU_ASSERT_EQUAL_FATAL(qeff_card_new(&config, &callbacks, &h->card, NULL), 0);
}

static inline void host_close(struct host *h)
{
	qeff_card_free(h->card);
	CU_ASSERT_EQUAL(h->adopted, h->released);
	pthread_cond_destroy(&h->change);
	pthread_mutex_destroy(&h->lock);
	free(h->ram);
}

/* --- control messages --- */

#define REPLY_BYTES 4096

/* Transactions under construction; offsets as in the wire format. */
struct message {
	uint8_t bytes[65536];
	size_t size;
	uint32_t count;
};

static inline void message_begin(struct message *m)
{
	memset(m->bytes, 0, 32);
	m->size = 32;
	m->count = 0;
}

static inline uint8_t *message_add(struct message *m, uint32_t type, size_t size_bytes)
{
	uint8_t *at = m->bytes + m->size;

	memset(at, 0, size_bytes);
	qeff_put_u32(at, type);
	qeff_put_u32(at + 4, (uint32_t)size_bytes);
	m->size += size_bytes;
	m->count++;
	return at;
}

/* A passthrough (wire type 4) that carries a command of @size_bytes; returns the command. */
static inline uint8_t *message_command(struct message *m, uint32_t type, size_t size_bytes)
{
	uint8_t *at = message_add(m, 4, 8 + size_bytes + 8) + 8;

	qeff_put_u32(at, type);
	return at;
}

/* DMA_XFER (wire type 6) of one segment. */
static inline void message_dma(struct message *m, uint32_t tag, uint32_t chunk_id, uint64_t address,
			       uint64_t size_bytes)
{
	uint8_t *at = message_add(m, 6, 40);

	qeff_put_u32(at + 8, tag);
	qeff_put_u32(at + 12, 1);
	qeff_put_u32(at + 16, chunk_id);
	qeff_put_u64(at + 24, address);
	qeff_put_u64(at + 32, size_bytes);
}

static inline size_t message_send(struct host *h, struct message *m, uint32_t handle,
				  uint8_t *reply)
{
	qeff_put_u32(m->bytes + 4, 0x43494151);
	qeff_put_u32(m->bytes + 8, ++h->sequence);
	qeff_put_u32(m->bytes + 12, (uint32_t)m->size);
	qeff_put_u32(m->bytes + 16, m->count);
	qeff_put_u32(m->bytes + 20, handle);
	qeff_put_u32(m->bytes + 24, 0xffffffff);
	memset(reply, 0xee, REPLY_BYTES);
	return qeff_card_control(h->card, m->bytes, m->size, reply);
}

static inline int32_t get_i32(const uint8_t *at)
{
	return (int32_t)qeff_get_u32(at);
}

/* The first response of a reply: a passthrough (type 3) that holds @type. */
static inline const uint8_t *reply_response(const uint8_t *reply, size_t size, uint32_t type,
					    uint32_t response_bytes)
{
	CU_ASSERT_FATAL(size >= 48);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 32), 3);
	CU_ASSERT_FATAL(qeff_get_u32(reply + 36) >= 8 + response_bytes);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 40), type);
	return reply + 40;
}

/* LOAD_CONSTANTS_EX; returns the status, stores the id. */
static inline int32_t constants_new(struct host *h, uint32_t handle, uint64_t static_bytes,
				    uint64_t dynamic_bytes, uint32_t *id)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	uint8_t *c;

	message_begin(&m);
	c = message_command(&m, 15, 80 + 24);
	memcpy(c + 8, "test", 4);
	qeff_put_u32(c + 72, 24);
	qeff_put_u64(c + 80, static_bytes);
	qeff_put_u64(c + 88, dynamic_bytes);
	r = reply_response(reply, message_send(h, &m, handle, reply), 2, 16);
	*id = qeff_get_u32(r + 4);
	return get_i32(r + 8);
}

static inline void payload_command(struct message *m, uint32_t id, uint64_t size_bytes,
				   uint64_t offset)
{
	uint8_t *c = message_command(m, 16, 32);

	qeff_put_u32(c + 8, 300);
	qeff_put_u32(c + 12, id);
	qeff_put_u64(c + 16, size_bytes);
	qeff_put_u64(c + 24, offset);
}

/* LOAD_CONSTANTS_PAYLOAD of host memory at offset @from. */
static inline int32_t constants_payload(struct host *h, uint32_t handle, uint32_t id, uint64_t from,
					uint64_t size_bytes, uint64_t offset)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;

	message_begin(&m);
	payload_command(&m, id, size_bytes, offset);
	message_dma(&m, 300, 0, HOST_BASE + from, size_bytes);
	return get_i32(reply_response(reply, message_send(h, &m, handle, reply), 2, 16) + 8);
}

static inline int32_t elf_load(struct host *h, uint32_t handle, uint64_t from, uint64_t size_bytes,
			       uint32_t *id)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	uint8_t *c;

	message_begin(&m);
	c = message_command(&m, 3, 96);
	qeff_put_u32(c + 4, 100);
	memcpy(c + 16, "test", 4);
	qeff_put_u64(c + 80, size_bytes);
	message_dma(&m, 100, 0, HOST_BASE + from, size_bytes);
	r = reply_response(reply, message_send(h, &m, handle, reply), 4, 16);
	*id = qeff_get_u32(r + 4);
	return get_i32(r + 8);
}

/* UNLOAD_CONSTANTS (5) or UNLOAD_ELF (7). */
static inline int32_t unload(struct host *h, uint32_t handle, uint32_t type, uint32_t id)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;

	message_begin(&m);
	qeff_put_u32(message_command(&m, type, 8) + 4, id);
	return get_i32(reply_response(reply, message_send(h, &m, handle, reply), type + 1, 8) + 4);
}

struct active {
	uint32_t id;
	uint32_t dbc;
	uint32_t elements;
	uint64_t ddr_base;
	uint64_t dynamic_base;
	uint64_t mcid_base;
	uint32_t nsp_mask;
	uint32_t request_tail;
	uint32_t response_head;
	uint64_t ring; /* offset in host memory */
};

/* Fields that a test may spoil. */
struct activate_args {
	uint32_t constants_id, elf_id;
	uint32_t elements;
	uint32_t response_elements;
	uint32_t buffer_bytes;
	uint32_t reservation_type;
	int32_t reservation_id;
	uint32_t opt_vc_setup;
	int32_t vc_reservation;
	uint64_t ring; /* offset in host memory, 0: the place for the next channel */
	bool no_transaction;
};

static inline struct activate_args activate_args(uint32_t constants_id, uint32_t elf_id,
						 uint32_t elements)
{
	return (struct activate_args){
		.constants_id = constants_id,
		.elf_id = elf_id,
		.elements = elements,
		.response_elements = elements,
		.buffer_bytes = (elements * 68 + 256 + 4095) & ~4095u,
		.reservation_id = -1,
		.opt_vc_setup = 1,
		.vc_reservation = -1,
		.ring = HOST_RINGS,
	};
}

static inline int32_t activate_with(struct host *h, uint32_t handle,
				    const struct activate_args *args, struct active *a)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	uint8_t *c, *t;
	size_t size;

	message_begin(&m);
	c = message_command(&m, 9, 48);
	qeff_put_u32(c + 8, args->constants_id);
	qeff_put_u32(c + 12, args->elf_id);
	qeff_put_u32(c + 16, args->reservation_type);
	qeff_put_u32(c + 20, (uint32_t)args->reservation_id);
	qeff_put_u32(c + 24, args->opt_vc_setup);
	qeff_put_u32(c + 28, (uint32_t)args->vc_reservation);
	qeff_put_u32(c + 32, 1);
	if (!args->no_transaction) {
		t = message_add(&m, 9, 40);
		qeff_put_u64(t + 8, HOST_BASE + args->ring);
		qeff_put_u64(t + 16, HOST_BASE + args->ring + args->buffer_bytes -
					     4 * (uint64_t)args->response_elements);
		qeff_put_u32(t + 24, args->elements);
		qeff_put_u32(t + 28, args->response_elements);
		qeff_put_u32(t + 32, args->buffer_bytes);
	}
	size = message_send(h, &m, handle, reply);
	r = reply_response(reply, size, 10, 88);
	if (!args->no_transaction) {
		/* ACTIVATE_FROM_DEV follows, with the same verdict. */
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 2);
		CU_ASSERT_EQUAL_FATAL(size, 32 + 96 + 24);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 128), 8);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 132), 24);
		CU_ASSERT_EQUAL(!get_i32(r + 4), !qeff_get_u32(reply + 136));
		if (!get_i32(r + 4))
			CU_ASSERT_EQUAL(qeff_get_u32(reply + 140), qeff_get_u32(r + 12));
	}
	*a = (struct active){
		.id = qeff_get_u32(r + 8),
		.dbc = qeff_get_u32(r + 12),
		.elements = args->elements,
		.ddr_base = qeff_get_u64(r + 16),
		.dynamic_base = qeff_get_u64(r + 24),
		.mcid_base = qeff_get_u64(r + 32),
		.nsp_mask = qeff_get_u32(r + 82),
		.ring = args->ring,
	};
	return get_i32(r + 4);
}

/* With rings in the @slot-th place for them; the caller knows which are taken. */
static inline int32_t activate(struct host *h, uint32_t handle, uint32_t constants_id,
			       uint32_t elf_id, uint32_t slot, uint32_t elements, struct active *a)
{
	struct activate_args args = activate_args(constants_id, elf_id, elements);

	args.ring = HOST_RINGS + slot * HOST_RING_STRIDE;
	memset(h->ram + args.ring, 0, HOST_RING_STRIDE);
	return activate_with(h, handle, &args, a);
}

static inline int32_t deactivate(struct host *h, uint32_t handle, uint32_t id)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	uint8_t *c;
	size_t size;

	message_begin(&m);
	c = message_command(&m, 11, 16);
	qeff_put_u32(c + 4, id);
	qeff_put_u32(c + 8, 1);
	size = message_send(h, &m, handle, reply);
	r = reply_response(reply, size, 12, 8);
	if (!get_i32(r + 4)) {
		/* DEACTIVATE_FROM_DEV for the driver. */
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 2);
		CU_ASSERT_EQUAL(size, 32 + 16 + 16);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 48), 11);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 56), 0);
	}
	return get_i32(r + 4);
}

static inline void terminate(struct host *h, uint32_t handle)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;

	message_begin(&m);
	qeff_put_u32(message_add(&m, 17, 16) + 8, handle);
	CU_ASSERT_EQUAL(message_send(h, &m, handle, reply), 48);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 32), 16);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 40), 0);
}

struct resources {
	uint32_t ddr_free_mb;
	uint32_t fragmentation;
	uint8_t vc_free, nsp_free;
	uint32_t mcid_free, semaphores_free;
	uint32_t constants, constants_in_use;
	uint8_t networks, active;
};

/* From the STATUS response: dev_data at 16, resource_info at 152 of it. */
static inline struct resources resources(struct host *h)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *d;

	message_begin(&m);
	message_command(&m, 13, 8);
	d = reply_response(reply, message_send(h, &m, 0, reply), 14, 504) + 16;
	return (struct resources){
		.ddr_free_mb = qeff_get_u32(d + 156),
		.fragmentation = qeff_get_u32(d + 160),
		.vc_free = d[165],
		.nsp_free = d[167],
		.mcid_free = qeff_get_u32(d + 172),
		.semaphores_free = qeff_get_u32(d + 180),
		.constants = qeff_get_u32(d + 248),
		.constants_in_use = qeff_get_u32(d + 252),
		.networks = d[256],
		.active = d[257],
	};
}

/* Everything as on a new card. */
static inline void check_all_free(struct host *h, uint32_t nsps, uint64_t ddr_bytes)
{
	const struct resources r = resources(h);

	CU_ASSERT_EQUAL(r.ddr_free_mb, ddr_bytes >> 20);
	CU_ASSERT_EQUAL(r.fragmentation, 0);
	CU_ASSERT(r.vc_free == 16 && r.nsp_free == nsps && r.mcid_free == 256 &&
		  r.semaphores_free == 512);
	CU_ASSERT(!r.constants && !r.constants_in_use && !r.networks && !r.active);
}

#endif
