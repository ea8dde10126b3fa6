/* SPDX-License-Identifier: MIT */
/*
 * Guests and clients that mean harm: a bounded random walk over registers, rings, contexts and
 * messages, and messages that are no messages. The card may do what it likes, but it answers
 * afterwards, and boots.
 */
#include "mhi_host.h"

#include "util/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* Addresses in the guest's memory, at its edges, and nowhere. */
static uint64_t any_address(void)
{
	switch (any(8)) {
	case 0:
		return UINT64_MAX - any(64);
	case 1:
		return GUEST_BASE + GUEST_BYTES - any(128);
	case 2:
		return GUEST_BASE - any(128);
	case 3:
		return any(65536);
	default:
		return GUEST_BASE + (any(4096) * 16u);
	}
}

static uint32_t any_value(void)
{
	switch (any(5)) {
	case 0:
		return 0xffffffff;
	case 1:
		return any(64);
	case 2:
		return (uint32_t)any_address();
	case 3:
		return (uint32_t)(any_address() >> 32);
	default:
		return any(UINT32_MAX);
	}
}

static void boots(struct mhi_host *h, struct client *c)
{
	CU_ASSERT_EQUAL(client_call(c, VFIO_DEVICE_RESET, NULL, 0, NULL, 0, NULL, 0, NULL), 0);
	c->used_bytes = 0;
	for (unsigned int i = 0; i < MESSAGES; i++) {
		if (c->irq[i] >= 0)
			close(c->irq[i]);
		c->irq[i] = -1;
	}
	host_open(h, c, 32);
	CU_ASSERT_FATAL(host_boot_sbl(h) && host_to_m0(h));
	CU_ASSERT_FATAL(h->environment == EE_AMSS && host_open_control(h));
}

static void any_registers(void)
{
	static struct mhi_host h;
	struct server s;
	struct client c;

	server_start(&s, NULL, "none");
	client_open(&c, &s);
	client_map_ram(&c, false);
	for (seed = 1; seed < 5;) {
		uint64_t walk = seed + 1;

		boots(&h, &c);
		for (int i = 0; i < 2000; i++) {
			uint32_t region = any(3) * 2, at = any(1024) * 4;

			if (any(20) == 0)
				region = CONFIG_REGION;
			if (region == QEFF_BAR_BRIDGE)
				at = 0x20000 + any(17) * 0x1000 + any(5) * 4;
			/* mostly doorbells and contexts */
			if (region == QEFF_BAR_MHI && any(2))
				at = any(2) ? 0x400 + any(60) * 4 : 0x58 + any(8) * 4;
			if (any(3))
				client_write(&c, region, at, any_value(), 4);
			else
				client_read(&c, region, at, 1u << any(3));
		}
		seed = walk;
	}
	boots(&h, &c);
	client_close(&c);
	server_stop(&s);
}

/* Rings of a card at work, overwritten with elements that are half right. */
static void any_rings(void)
{
	static struct mhi_host h;
	struct server s;
	struct client c;

	server_start(&s, NULL, "none");
	client_open(&c, &s);
	client_map_ram(&c, false);
	for (seed = 100; seed < 110;) {
		uint64_t walk = seed + 1;

		boots(&h, &c);
		CU_ASSERT_FATAL(host_start(&h, 0, CHANNEL_ELEMENTS, 0));
		CU_ASSERT_FATAL(host_start(&h, 1, CHANNEL_ELEMENTS, 2));
		for (int i = 0; i < 400; i++) {
			struct ring *rings[] = { &h.events,	&h.commands,	&h.channel[0],
						 &h.channel[1], &h.channel[10], &h.channel[11] };
			static const uint32_t doorbell[] = {
				0x800, 0x70, 0x400, 0x408, 0x450, 0x458
			};
			uint32_t which = any(6), n = any(rings[which]->elements);
			uint8_t *e = guest(&c, rings[which]->base + n * 16);
			uint64_t wp = rings[which]->base + any(rings[which]->elements) * 16;

			qeff_put_u64(e, any_address());
			qeff_put_u32(e + 8, any(4) ? any(65536) : any_value());
			qeff_put_u32(e + 12,
				     any(4) ? any(26) << 24 | (2 + 16 * any(2)) << 16 | any(0x800)
					    : any_value());
			if (any(10) == 0)
				qeff_put_u32(
					guest(&c, h.channel_contexts + any(26) * 44 + any(11) * 4),
					any_value());
			client_write(&c, 0, doorbell[which] + 4, (uint32_t)(wp >> 32), 4);
			client_write(&c, 0, doorbell[which], (uint32_t)wp, 4);
		}
		seed = walk;
	}
	boots(&h, &c);
	client_close(&c);
	server_stop(&s);
}

/* Control messages with every byte at risk. */
static void any_control(void)
{
	static struct mhi_host h;
	static uint8_t message[4096];
	struct server s;
	struct client c;

	server_start(&s, NULL, "none");
	client_open(&c, &s);
	client_map_ram(&c, false);
	boots(&h, &c);
	seed = 7;
	for (int i = 0; i < 3000; i++) {
		static const uint32_t types[] = { 4, 6, 9, 15, 17, 20, 18, 1 };
		uint32_t size = 32, count = 0, sent = h.sequence + 1;
		struct ring *r = &h.channel[10];
		uint64_t at;
		struct event e;

		memset(message, 0, sizeof(message));
		for (uint32_t n = any(4); n; n--, count++) {
			uint32_t length = 8 * (1 + any(15));

			qeff_put_u32(message + size, types[any(8)]);
			qeff_put_u32(message + size + 4, any(20) ? length : any_value());
			for (uint32_t k = 8; k < length; k += 4)
				qeff_put_u32(message + size + k, any(2) ? any(64) : any_value());
			size += length;
		}
		qeff_put_u32(message + 4, 0x43494151);
		qeff_put_u32(message + 8, ++h.sequence);
		qeff_put_u32(message + 12, any(10) ? size : any_value());
		qeff_put_u32(message + 16, any(10) ? count : any_value());
		at = h.control_staging;
		memcpy(guest(&c, at), message, size);
		qeff_put_u64(guest(&c, r->base + r->wp * 16), at);
		qeff_put_u32(guest(&c, r->base + r->wp * 16) + 8, size);
		qeff_put_u32(guest(&c, r->base + r->wp * 16) + 12, 2u << 16 | 1u << 9);
		r->wp = (r->wp + 1) % r->elements;
		client_write(&c, 0, 0x454, (uint32_t)(r->base >> 32), 4);
		client_write(&c, 0, 0x450, (uint32_t)(r->base + r->wp * 16), 4);
		/* it is taken, and perhaps answered: what is there is read, nothing is waited for
		 */
		CU_ASSERT_FATAL(host_event(&h, &e) && e.channel == 10 && e.code == 2);
		while (qeff_get_u64(guest(&c, h.event_context) + 28) !=
		       h.events.base + h.events.rp * 16) {
			CU_ASSERT_FATAL(host_event(&h, &e));
			CU_ASSERT_EQUAL(e.channel, 11);
			CU_ASSERT(e.size_bytes >= 32 && e.size_bytes <= 4096);
			CU_ASSERT_EQUAL(qeff_get_u32(guest(&c, h.buffer[11][h.channel[11].rp]) + 8),
					sent);
			h.channel[11].rp = (h.channel[11].rp + 1) % h.channel[11].elements;
			host_queue_buffer(&h, 11, 0);
		}
	}
	boots(&h, &c);
	client_close(&c);
	server_stop(&s);
}

/* --- clients --- */

static void bad_requests(void)
{
	uint8_t m[128] = { 0 }, reply[64];
	struct server s;
	struct client c;
	int pipes[2], fds[17];

	server_start(&s, NULL, "none");
	client_open(&c, &s);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	/* maps: no size, over the end, past the file, not aligned, no file, over one another */
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE, 0, 0, c.memory, 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, UINT64_MAX - 4095, 8192, 0, c.memory, 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE, GUEST_BYTES + 4096, 0, c.memory, 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE, 4096, UINT64_MAX - 4095, c.memory, 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE + 1, 4096, 0, c.memory, 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE, 4096, 0, pipes[0], 3), EINVAL);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE, 8192, 0, c.memory, 3), 0);
	CU_ASSERT_EQUAL(client_map(&c, GUEST_BASE + 4096, 8192, 0, c.memory, 3), EEXIST);
	CU_ASSERT_EQUAL(client_map(&c, 0xc0000, 4096, 0, -1, 1), 0);
	/* half of a map cannot go, all of it can, and what is not there goes easily */
	CU_ASSERT_EQUAL(client_unmap(&c, GUEST_BASE, 4096), EINVAL);
	CU_ASSERT_EQUAL(client_unmap(&c, GUEST_BASE, 1 << 20), 0);
	CU_ASSERT_EQUAL(client_unmap(&c, GUEST_BASE, 1 << 20), 0);
	CU_ASSERT_EQUAL(client_unmap(&c, UINT64_MAX, 2), EINVAL);
	/* messages that are too short or of no kind */
	for (uint16_t command = 2; command < 20; command++)
		if (command != VFIO_DEVICE_RESET)
			CU_ASSERT(client_call(&c, command, m, 4, NULL, 0, NULL, 0, NULL) > 0);
	/* regions */
	qeff_put_u32(m + 8, 7);
	qeff_put_u32(m + 12, 0xffffffff);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_READ, m, 16, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 12, 4);
	qeff_put_u64(m, 4094);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_READ, m, 16, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u64(m, UINT64_MAX - 1);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_WRITE, m, 20, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u64(m, 0);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_WRITE, m, 24, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 8, 1);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_READ, m, 16, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 8, 100);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_READ, m, 16, NULL, 0, NULL, 0, NULL), EINVAL);
	/* interrupts: too many, too few descriptors, a wrong index */
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 17; i++)
		fds[i] = pipes[1];
	qeff_put_u32(m + 4, 0x24);
	qeff_put_u32(m + 8, 1);
	qeff_put_u32(m + 12, 31);
	qeff_put_u32(m + 16, 2);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, fds, 2, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 12, 0xffffffff);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, fds, 2, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 12, 0);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, fds, 1, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 16, 0xffffffff);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, NULL, 0, NULL, 0, NULL), EINVAL);
	qeff_put_u32(m + 8, 2);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, fds, 1, NULL, 0, NULL), EINVAL);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_GET_INFO, m, 16, NULL, 0, reply, 16, NULL), 0);
	/* a pipe that is full is an interrupt like another */
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	while (write(pipes[1], m, sizeof(m)) > 0)
		;
	qeff_put_u32(m + 8, 1);
	qeff_put_u32(m + 16, 1);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_SET_IRQS, m, 20, fds, 1, NULL, 0, NULL), 0);
	client_write(&c, CONFIG_REGION, 4, 6, 2);
	client_write(&c, 0, 0x318, 1, 4);
	CU_ASSERT_EQUAL(client_read(&c, 0, 0x32c, 4) >> 30, 3);
	close(pipes[0]);
	close(pipes[1]);
	client_close(&c);
	server_stop(&s);
}

static void refused(struct server *s, const void *data, size_t size_bytes, bool leave)
{
	uint8_t byte;
	struct client c;

	client_open(&c, s);
	CU_ASSERT_TRUE(client_raw(&c, data, size_bytes));
	if (!leave)
		CU_ASSERT_EQUAL(read(c.fd, &byte, 1), 0);
	client_close(&c);
}

/* Each ends its own connection and nothing else. */
static void bad_connections(void)
{
	uint8_t header[16] = { 0 };
	struct server s;
	struct client c;

	server_start(&s, NULL, "none");
	qeff_put_u16(header + 2, VFIO_GET_INFO);
	qeff_put_u32(header + 4, 15);
	refused(&s, header, 16, false);
	qeff_put_u32(header + 4, 0xffffffff);
	refused(&s, header, 16, false);
	/* a reply to nothing */
	qeff_put_u32(header + 4, 16);
	qeff_put_u32(header + 8, 1);
	refused(&s, header, 16, false);
	/* gone in the middle of a message */
	qeff_put_u32(header + 8, 0);
	qeff_put_u32(header + 4, 100);
	refused(&s, header, 16, true);
	refused(&s, header, 5, true);
	/* another version, and capabilities that are no JSON */
	client_open(&c, &s);
	memset(header, 0, sizeof(header));
	header[0] = 9;
	CU_ASSERT_EQUAL(client_call(&c, VFIO_VERSION, header, 4, NULL, 0, NULL, 0, NULL), EINVAL);
	client_close(&c);
	client_open(&c, &s);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_VERSION, "\0\0\0\0{[", 7, NULL, 0, NULL, 0, NULL),
			EINVAL);
	client_close(&c);
	client_open(&c, &s);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0, 4), 0xa10017cb);
	client_close(&c);
	server_stop(&s);
}

static const struct unit_test tests[] = {
	{ "registers", any_registers },	     { "rings and contexts", any_rings },
	{ "control messages", any_control }, { "requests of a client", bad_requests },
	{ "connections", bad_connections },
};
QEFF_UNIT_MAIN("vcard-hostile", tests)
