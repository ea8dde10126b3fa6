/* SPDX-License-Identifier: MIT */
/* The host's side of MHI. */
#include "mhi_host.h"

#include "util/bytes.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define ELEMENT 16u
#define CONTEXT 44u

uint32_t host_mhi_read(struct mhi_host *h, uint32_t offset)
{
	return client_read(h->c, QEFF_BAR_MHI, offset, 4);
}

void host_mhi_write(struct mhi_host *h, uint32_t offset, uint32_t value)
{
	client_write(h->c, QEFF_BAR_MHI, offset, value, 4);
}

/* High word first: the low one is the trigger. */
static void write64(struct mhi_host *h, uint32_t offset, uint64_t value)
{
	host_mhi_write(h, offset + 4, (uint32_t)(value >> 32));
	host_mhi_write(h, offset, (uint32_t)value);
}

uint32_t host_environment(struct mhi_host *h)
{
	return host_mhi_read(h, h->bhi + 0x28);
}

uint32_t host_state(struct mhi_host *h)
{
	return host_mhi_read(h, 0x48) >> 8 & 0xff;
}

void host_open(struct mhi_host *h, struct client *c, unsigned int messages)
{
	memset(h, 0, sizeof(*h));
	h->c = c;
	client_write(c, CONFIG_REGION, 4, 0x0406, 2);
	client_enable_msi(c, messages);
	h->bhi = host_mhi_read(h, 0x28);
	CU_ASSERT_FATAL(h->bhi < 4096);
}

bool host_boot_sbl(struct mhi_host *h)
{
	uint64_t image = guest_alloc(h->c, 70000, 4096);

	for (uint32_t i = 0; i < 70000; i++)
		guest(h->c, image)[i] = (uint8_t)(i * 7);
	host_mhi_write(h, h->bhi + 0x20, 0);
	if (host_environment(h) != EE_PBL)
		return false;
	host_mhi_write(h, h->bhi + 0x2c, 0);
	host_mhi_write(h, h->bhi + 0x0c, (uint32_t)(image >> 32));
	host_mhi_write(h, h->bhi + 0x08, (uint32_t)image);
	host_mhi_write(h, h->bhi + 0x10, 70000);
	host_mhi_write(h, h->bhi + 0x18, 0x12345678);
	if (!client_wait(h->c, 0) || host_mhi_read(h, h->bhi + 0x2c) >> 30 != 2)
		return false;
	CU_ASSERT_EQUAL(host_environment(h), EE_PBL);
	return true;
}

static void put_context(struct mhi_host *h, uint64_t at, uint32_t w0, uint32_t w1,
			const struct ring *r, uint32_t wp)
{
	uint8_t *context = guest(h->c, at);

	qeff_put_u32(context, w0);
	qeff_put_u32(context + 4, w1);
	qeff_put_u32(context + 8, 0);
	qeff_put_u64(context + 12, r->base);
	qeff_put_u64(context + 20, (uint64_t)r->elements * ELEMENT);
	qeff_put_u64(context + 28, r->base);
	qeff_put_u64(context + 36, r->base + (uint64_t)wp * ELEMENT);
}

static void make_ring(struct mhi_host *h, struct ring *r, uint32_t elements)
{
	*r = (struct ring){ .base = guest_alloc(h->c, elements * ELEMENT, elements * ELEMENT),
			    .elements = elements };
}

bool host_to_m0(struct mhi_host *h)
{
	struct event e;

	if (host_mhi_read(h, 0x38) & 2 || !(host_mhi_read(h, 0x48) & 1))
		return false;
	h->channel_doorbells = host_mhi_read(h, 0x18);
	h->event_doorbells = host_mhi_read(h, 0x20);
	h->channel_contexts = guest_alloc(h->c, 128 * CONTEXT, 4096);
	h->event_context = guest_alloc(h->c, CONTEXT, 4096);
	h->command_context = guest_alloc(h->c, CONTEXT, 4096);
	make_ring(h, &h->events, EVENT_ELEMENTS);
	make_ring(h, &h->commands, COMMAND_ELEMENTS);
	h->events.wp = EVENT_ELEMENTS - 1;
	put_context(h, h->event_context, 0, 1, &h->events, h->events.wp);
	put_context(h, h->command_context, 0, 0, &h->commands, 0);
	write64(h, 0x58, h->channel_contexts);
	write64(h, 0x60, h->event_context);
	write64(h, 0x68, h->command_context);
	write64(h, 0x80, 0);
	write64(h, 0x98, 0);
	write64(h, 0x88, UINT32_MAX);
	write64(h, 0xa0, UINT32_MAX);
	host_mhi_write(h, 0x10, (host_mhi_read(h, 0x10) & ~0xffff0000) | 1 << 16);
	write64(h, h->event_doorbells, h->events.base + h->events.wp * ELEMENT);
	h->environment = EE_PBL;
	host_mhi_write(h, 0x38, (host_mhi_read(h, 0x38) & ~0xff00u) | 2 << 8);
	if (!host_event(h, &e) || e.type != 0x20 || e.code != 2 || host_state(h) != 2)
		return false;
	/* the wake doorbell, as Linux toggles it */
	write64(h, h->channel_doorbells + 8 * 127, 1);
	write64(h, h->channel_doorbells + 8 * 127, 0);
	return host_event(h, &e) && e.type == 0x40 && e.code == host_environment(h);
}

bool host_event(struct mhi_host *h, struct event *e)
{
	const uint8_t *context = guest(h->c, h->event_context);
	const uint8_t *at = guest(h->c, h->events.base + h->events.rp * ELEMENT);
	uint32_t d0, d1;

	while (__atomic_load_n((const uint32_t *)(context + 28), __ATOMIC_ACQUIRE) ==
	       (uint32_t)(h->events.base + h->events.rp * ELEMENT))
		if (!client_wait(h->c, 0))
			return false;
	d0 = qeff_get_u32(at + 8);
	d1 = qeff_get_u32(at + 12);
	*e = (struct event){
		.pointer = qeff_get_u64(at),
		.type = d1 >> 16 & 0xff,
		.code = d0 >> 24,
		.size_bytes = d0 & 0xffff,
		.channel = d1 >> 24,
	};
	h->events.rp = (h->events.rp + 1) % h->events.elements;
	h->events.wp = (h->events.wp + 1) % h->events.elements;
	write64(h, h->event_doorbells, h->events.base + h->events.wp * ELEMENT);
	if (e->type == 0x40)
		h->environment = e->code;
	if (e->type == 0x20)
		h->state = e->code;
	return true;
}

/* Takes the message of an inbound completion and gives its buffer back. */
static void take(struct mhi_host *h, const struct event *e)
{
	struct ring *r = &h->channel[e->channel];
	uint32_t at = (uint32_t)((e->pointer - r->base) / ELEMENT);

	CU_ASSERT_EQUAL_FATAL(e->pointer, r->base + (uint64_t)r->rp * ELEMENT);
	h->received_bytes = e->size_bytes;
	h->received_code = e->code;
	CU_ASSERT_FATAL(e->size_bytes <= RECEIVE_BYTES);
	memcpy(h->received, guest(h->c, h->buffer[e->channel][at]), e->size_bytes);
	r->rp = (r->rp + 1) % r->elements;
	host_queue_buffer(h, e->channel, 0);
}

uint32_t host_command(struct mhi_host *h, uint32_t type, unsigned int channel)
{
	uint64_t element = h->commands.base + (uint64_t)h->commands.wp * ELEMENT;
	uint8_t *at = guest(h->c, element);
	struct event e;

	qeff_put_u64(at, 0);
	qeff_put_u32(at + 8, 0);
	qeff_put_u32(at + 12, channel << 24 | type << 16);
	h->commands.wp = (h->commands.wp + 1) % h->commands.elements;
	write64(h, 0x70, h->commands.base + (uint64_t)h->commands.wp * ELEMENT);
	while (host_event(h, &e)) {
		if (e.type != 0x21)
			continue;
		CU_ASSERT_EQUAL(e.pointer, element);
		return e.code;
	}
	return 0;
}

void host_queue_buffer(struct mhi_host *h, unsigned int channel, uint32_t size_bytes)
{
	struct ring *r = &h->channel[channel];
	uint64_t *buffer = &h->buffer[channel][r->wp];
	uint8_t *at = guest(h->c, r->base + (uint64_t)r->wp * ELEMENT);

	if (!*buffer)
		*buffer = guest_alloc(h->c, RECEIVE_BYTES, 4096);
	qeff_put_u64(at, *buffer);
	qeff_put_u32(at + 8, size_bytes ? size_bytes : RECEIVE_BYTES);
	qeff_put_u32(at + 12, 2u << 16 | 1u << 9);
	r->wp = (r->wp + 1) % r->elements;
	write64(h, h->channel_doorbells + 8 * channel, r->base + (uint64_t)r->wp * ELEMENT);
}

bool host_start(struct mhi_host *h, unsigned int channel, uint32_t elements, uint32_t buffers)
{
	struct ring *r = &h->channel[channel];

	make_ring(h, r, elements);
	put_context(h, h->channel_contexts + channel * CONTEXT, 1 | 2 << 8, 1 + (channel & 1), r,
		    0);
	if (host_command(h, 18, channel) != 1)
		return false;
	for (uint32_t i = 0; i < buffers; i++)
		host_queue_buffer(h, channel, 0);
	return true;
}

static void put_chain(struct mhi_host *h, unsigned int channel, uint64_t address, size_t size_bytes,
		      size_t piece, bool more)
{
	struct ring *r = &h->channel[channel];

	while (size_bytes) {
		uint8_t *at = guest(h->c, r->base + (uint64_t)r->wp * ELEMENT);
		size_t n = size_bytes < piece ? size_bytes : piece;
		bool last = n == size_bytes && !more;

		qeff_put_u64(at, address);
		qeff_put_u32(at + 8, (uint32_t)n);
		qeff_put_u32(at + 12, 2u << 16 | (last ? 1u << 9 : 1u));
		r->wp = (r->wp + 1) % r->elements;
		address += n;
		size_bytes -= n;
	}
}

static bool ring_and_wait(struct mhi_host *h, unsigned int channel)
{
	struct ring *r = &h->channel[channel];
	uint32_t last = (r->wp + r->elements - 1) % r->elements;
	struct event e;

	write64(h, h->channel_doorbells + 8 * channel, r->base + (uint64_t)r->wp * ELEMENT);
	if (!host_event(h, &e))
		return false;
	CU_ASSERT_EQUAL(e.type, 0x22);
	CU_ASSERT_EQUAL(e.channel, channel);
	CU_ASSERT_EQUAL(e.code, 2);
	CU_ASSERT_EQUAL(e.pointer, r->base + (uint64_t)last * ELEMENT);
	r->rp = r->wp;
	return e.type == 0x22 && e.channel == channel && e.code == 2;
}

bool host_send(struct mhi_host *h, unsigned int channel, uint64_t address, size_t size_bytes,
	       size_t piece)
{
	put_chain(h, channel, address, size_bytes, piece, false);
	return ring_and_wait(h, channel);
}

bool host_receive(struct mhi_host *h, unsigned int channel)
{
	struct event e;

	if (!host_event(h, &e) || e.type != 0x22 || e.channel != channel)
		return false;
	take(h, &e);
	return true;
}

/* --- Sahara --- */

static bool send_packet(struct mhi_host *h, const uint8_t *packet, uint32_t size_bytes)
{
	memcpy(guest(h->c, h->staging), packet, size_bytes);
	return host_send(h, 2, h->staging, size_bytes, 0xffff);
}

static bool send_simple(struct mhi_host *h, uint32_t command)
{
	uint8_t packet[8];

	qeff_put_u32(packet, command);
	qeff_put_u32(packet + 4, sizeof(packet));
	return send_packet(h, packet, sizeof(packet));
}

static bool send_image(struct mhi_host *h)
{
	uint32_t image = qeff_get_u32(h->received + 8), offset = qeff_get_u32(h->received + 12);
	uint32_t size = qeff_get_u32(h->received + 16);

	CU_ASSERT_EQUAL(h->received_bytes, 0x14);
	CU_ASSERT(size <= 0x80000 && size != 8);
	if (image >= 16 || !h->image[image] || offset > h->image_bytes[image] ||
	    size > h->image_bytes[image] - offset || size > 0x80000)
		return send_simple(h, 7);
	memcpy(guest(h->c, h->staging), h->image[image] + offset, size);
	return host_send(h, 2, h->staging, size, 0xffff);
}

static bool answer(struct mhi_host *h)
{
	uint8_t packet[0x30] = { 0 };

	CU_ASSERT_EQUAL(qeff_get_u32(h->received + 4), h->received_bytes);
	switch (qeff_get_u32(h->received)) {
	case 1:
		CU_ASSERT_EQUAL(h->received_bytes, 0x30);
		CU_ASSERT_EQUAL(qeff_get_u32(h->received + 8), 2);
		qeff_put_u32(packet, 2);
		qeff_put_u32(packet + 4, sizeof(packet));
		qeff_put_u32(packet + 8, 2);
		qeff_put_u32(packet + 12, 2);
		qeff_put_u32(packet + 20, qeff_get_u32(h->received + 20));
		return send_packet(h, packet, sizeof(packet));
	case 3:
		return send_image(h);
	case 4:
		h->images_done++;
		return send_simple(h, 5);
	case 6:
		CU_ASSERT_EQUAL(h->received_bytes, 12);
		return true;
	default:
		return false;
	}
}

bool host_boot_amss(struct mhi_host *h)
{
	struct event e;

	h->staging = guest_alloc(h->c, 0x80000, 4096);
	if (!host_start(h, 2, CHANNEL_ELEMENTS, 0) || !host_start(h, 3, CHANNEL_ELEMENTS, 8))
		return false;
	while (h->environment != EE_AMSS) {
		if (!host_event(h, &e))
			return false;
		if (e.type != 0x22)
			continue;
		if (e.channel != 3)
			return false;
		take(h, &e);
		if (!answer(h))
			return false;
	}
	return host_environment(h) == EE_AMSS && host_command(h, 16, 2) == 1 &&
	       host_command(h, 16, 3) == 1;
}

bool host_boot(struct mhi_host *h)
{
	return host_boot_sbl(h) && host_to_m0(h) && host_boot_amss(h);
}

/* --- control --- */

bool host_control(struct mhi_host *h, uint8_t *message, size_t size_bytes)
{
	uint64_t at = h->control_staging;
	uint32_t offset = 32;

	if (!at)
		at = h->control_staging = guest_alloc(h->c, 65536, 4096);
	qeff_put_u32(message, 0);
	qeff_put_u32(message + 4, 0x43494151);
	qeff_put_u32(message + 8, ++h->sequence);
	qeff_put_u32(message + 12, (uint32_t)size_bytes);
	qeff_put_u32(message, (uint32_t)crc32(0, message, (uInt)size_bytes));
	memcpy(guest(h->c, at), message, size_bytes);
	/* the header alone, then the transactions, in buffers of at most 4 KiB */
	put_chain(h, 10, at, offset, 4096, size_bytes > offset);
	put_chain(h, 10, at + offset, size_bytes - offset, 4096, false);
	if (!ring_and_wait(h, 10) || !host_receive(h, 11))
		return false;
	CU_ASSERT_EQUAL(h->received_code, 2);
	CU_ASSERT_EQUAL(qeff_get_u32(h->received + 8), h->sequence);
	return true;
}

bool host_open_control(struct mhi_host *h)
{
	uint8_t message[40] = { 0 };

	if (!host_start(h, 10, CONTROL_ELEMENTS, 0) ||
	    !host_start(h, 11, CONTROL_ELEMENTS, CONTROL_BUFFERS))
		return false;
	qeff_put_u32(message + 16, 1);
	qeff_put_u32(message + 24, 0xffffffff);
	qeff_put_u32(message + 32, 15);
	qeff_put_u32(message + 36, 8);
	if (!host_control(h, message, sizeof(message)))
		return false;
	CU_ASSERT_EQUAL(h->received_bytes, 32 + 24);
	CU_ASSERT_EQUAL(qeff_get_u32(h->received + 32), 14);
	CU_ASSERT_EQUAL(qeff_get_u16(h->received + 40), 5);
	CU_ASSERT_EQUAL(qeff_get_u16(h->received + 42), 0);
	CU_ASSERT_EQUAL(qeff_get_u32(h->received + 44), 0);
	return true;
}
