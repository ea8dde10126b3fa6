/* SPDX-License-Identifier: MIT */
/* The software card's DMA bridge: elements, semaphores, doorbells, windows, rings, and what is not
 * allowed. */
#include "test_softcard_package.h"

#define MIB	(1u << 20)
#define SCRATCH (5u << 20) /* host memory that no test has another use for */

enum { OK, BAD_ELEMENT, DEVICE_ADDRESS, HOST_ADDRESS, DOORBELL };

/* A card with one activation of two NSPs on channel 0. */
static void open_one(struct host *h, struct active *a, uint32_t elements)
{
	uint32_t constants_id, elf_id;

	host_open(h, 4, 64 * MIB, false);
	package_load(h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(h, 1, constants_id, elf_id, 0, elements, a), 0);
}

static struct element move(uint8_t direction, uint64_t device, uint64_t host, uint32_t size)
{
	return (struct element){
		.command = (uint8_t)(CMD_BULK | direction),
		.source = direction == CMD_IN ? HOST_BASE + host : device,
		.destination = direction == CMD_IN ? device : HOST_BASE + host,
		.size = size,
	};
}

static struct element sems(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	return (struct element){ .command = CMD_BULK, .sem = { a, b, c, d } };
}

static void test_registers(void)
{
	struct active a;
	struct host h;

	open_one(&h, &a, 8);
	for (uint32_t offset = 0; offset <= 16; offset += 4) {
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, offset), 0);
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 15, offset), 0);
	}
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 16, 0), 0);
	/* Indices outside the ring, registers of the device, channels that are not there: nothing.
	 */
	qeff_card_dbc_write(h.card, 0, 4, 8);
	qeff_card_dbc_write(h.card, 0, 4, UINT32_MAX);
	qeff_card_dbc_write(h.card, 0, 8, 8);
	qeff_card_dbc_write(h.card, 0, 0, 3);
	qeff_card_dbc_write(h.card, 0, 12, 3);
	qeff_card_dbc_write(h.card, 1, 4, 1);
	qeff_card_dbc_write(h.card, 16, 4, 1);
	for (uint32_t offset = 0; offset <= 12; offset += 4)
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, offset), 0);
	/* Registers move with elements; after deactivation they are 0 again. */
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(0, 0, 0, 0)), OK);
	for (uint32_t offset = 0; offset <= 12; offset += 4)
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, offset), 1);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	for (uint32_t offset = 0; offset <= 12; offset += 4)
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, offset), 0);
	host_close(&h);
}

static void test_transfers(void)
{
	struct qeff_card_counters c;
	struct active a;
	struct host h;

	open_one(&h, &a, 4);
	for (int i = 0; i < 256; i++)
		h.ram[SCRATCH + i] = (uint8_t)(i ^ 0x5a);
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_IN, a.ddr_base + 1000, SCRATCH, 256)), OK);
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_OUT, a.ddr_base + 1000, SCRATCH + 4096, 256)),
			OK);
	CU_ASSERT_EQUAL(memcmp(h.ram + SCRATCH, h.ram + SCRATCH + 4096, 256), 0);
	/* Unaligned, a single byte. */
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_OUT, a.ddr_base + 1003, SCRATCH + 8191, 1)), OK);
	CU_ASSERT_EQUAL(h.ram[SCRATCH + 8191], 3 ^ 0x5a);
	/* Without the bulk bit, of type 0, or of length 0 nothing is moved, and addresses do not
	 * matter. */
	struct element e = move(CMD_OUT, a.ddr_base + 1000, SCRATCH + 9000, 16);

	e.command = CMD_OUT;
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), OK);
	e.command = CMD_BULK;
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), OK);
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_IN, 77, 0, 0)), OK);
	CU_ASSERT_EQUAL(h.ram[SCRATCH + 9000], 0);
	qeff_card_counters(h.card, &c);
	CU_ASSERT(c.bytes_in == 256 && c.bytes_out == 257 && c.elements == 6);
	CU_ASSERT_EQUAL(c.interrupts, 6);
	host_close(&h);
}

static void test_windows(void)
{
	uint32_t constants_id, elf_id;
	struct active a, b;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 8, &a), 0);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 1, 8, &b), 0);

#define CODE(direction, device, size) ring_run(&h, &a, move(direction, device, SCRATCH, size))
	for (int d = CMD_IN; d <= CMD_OUT; d++) {
		uint8_t direction = (uint8_t)d;

		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base, DDR_BYTES), OK);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base + DDR_BYTES - 1, 1), OK);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base + DDR_BYTES, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base - 1, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base - 1, 2), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base + 1, DDR_BYTES), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.ddr_base, UINT32_MAX), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, 0, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, UINT64_MAX, 1), DEVICE_ADDRESS);
		/* The other activation, and the lowest DDR, where the constants lie. */
		CU_ASSERT_EQUAL(CODE(direction, b.ddr_base, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, b.mcid_base, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, UINT64_C(1) << 32, 1), DEVICE_ADDRESS);
		/* Multicast: window 1 leads to one NSP and has 0x1000 bytes, window 2 does not
		 * exist. */
		CU_ASSERT_EQUAL(CODE(direction, a.mcid_base + 0x800000, 0x1000), OK);
		CU_ASSERT_EQUAL(CODE(direction, a.mcid_base + 0x800000 + 0xfff, 2), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.mcid_base + 0x1000000, 1), DEVICE_ADDRESS);
		CU_ASSERT_EQUAL(CODE(direction, a.mcid_base - 1, 1), DEVICE_ADDRESS);
		/* Host memory that is not mapped. */
		CU_ASSERT_EQUAL(ring_run(&h, &a, move(direction, a.ddr_base, HOST_RAM - 4, 8)),
				HOST_ADDRESS);
	}
	/* Window 0 leads to two NSPs: written, never read. */
	CU_ASSERT_EQUAL(CODE(CMD_IN, a.mcid_base + 8, 4), OK);
	CU_ASSERT_EQUAL(CODE(CMD_OUT, a.mcid_base + 8, 4), DEVICE_ADDRESS);
	/* Host memory that must not be written is only read. */
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_IN, a.ddr_base, HOST_READ_ONLY, 8)), OK);
	CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_OUT, a.ddr_base, HOST_READ_ONLY, 8)),
			HOST_ADDRESS);
	/* None of this reached the other activation. */
	CU_ASSERT_EQUAL(ring_run(&h, &b, move(CMD_OUT, b.ddr_base, SCRATCH, DDR_BYTES)), OK);
	for (uint32_t i = 0; i < DDR_BYTES; i++)
		if (h.ram[SCRATCH + i])
			CU_FAIL("foreign bytes");
	host_close(&h);
}

static void test_dynamic_ddr(void)
{
	uint32_t constants_id, elf_id;
	struct package p;
	struct active a;
	struct host h;
	size_t size;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	package_metadata(&p, 2, package_constants(h.ram + HOST_DATA, 2 * MIB, 2, 1));
	p.md.dynamic_shared_ddr_bytes = 5000;
	p.md.network_heap_bytes = 10000;
	size = package_elf(&p, h.ram + HOST_DATA, MIB);
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_DATA, size, &elf_id), 0);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 8, &a), 0);
	CU_ASSERT_EQUAL(a.dynamic_base % 2048, 0);
	memset(h.ram + SCRATCH, 0x77, 8192);
	CU_ASSERT_EQUAL(CODE(CMD_IN, a.dynamic_base, 5000), OK);
	CU_ASSERT_EQUAL(CODE(CMD_IN, a.dynamic_base, 5001), DEVICE_ADDRESS);
	/* The heap is the NSPs' own. */
	CU_ASSERT_EQUAL(CODE(CMD_IN, a.ddr_base + DDR_BYTES, 1), DEVICE_ADDRESS);
	memset(h.ram + SCRATCH, 0, 8192);
	CU_ASSERT_EQUAL(CODE(CMD_OUT, a.dynamic_base + 4999, 1), OK);
	CU_ASSERT_EQUAL(h.ram[SCRATCH], 0x77);
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

static void test_bad_elements(void)
{
	struct element e;
	struct active a;
	struct host h;

	open_one(&h, &a, 8);
	e = move(CMD_IN, a.ddr_base, SCRATCH, 16);
	e.command = CMD_BULK | 3;
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), BAD_ELEMENT);
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(SEM(7, 5, 0), 0, 0, 0)), BAD_ELEMENT);
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(SEM_PRE(INC, 5, 0), SEM_PRE(INC, 6, 0), 0, 0)),
			BAD_ELEMENT);
	e = sems(0, 0, 0, 0);
	e.doorbell = a.mcid_base + 0x800000;
	e.doorbell_attributes = 0x83;
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), BAD_ELEMENT);
	/* Nothing of a bad element is done: semaphore 5 is still 0. */
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(SEM(INIT, 5, 0), SEM(INC, 5, 0), SEM(7, 5, 0), 0)),
			BAD_ELEMENT);
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(SEM_PRE(EQUAL, 5, 0), 0, 0, 0)), OK);
	/* Words that are not enabled are nothing but a fence, whatever else stands in them. */
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(1u << 29, 1u << 30, 7u << 24, 3u << 29)), OK);
	CU_ASSERT_EQUAL(ring_run(&h, &a, sems(1u << 22, 1u << 22, 1u << 22, 0)), OK);
	host_close(&h);
}

/* Each operation, with 12-bit values; index 31 is the last. */
static void test_semaphores(void)
{
	struct active a;
	struct host h;

	open_one(&h, &a, 16);
#define DONE(w0, w1, w2, w3) CU_ASSERT_EQUAL(ring_run(&h, &a, sems(w0, w1, w2, w3)), OK)
	DONE(SEM(INIT, 31, 0xfff), SEM(EQUAL, 31, 0xfff), SEM(AT_LEAST, 31, 0xfff), 0);
	DONE(SEM(INC, 31, 0), SEM(EQUAL, 31, 0xfff), 0, 0);
	DONE(SEM(DEC, 31, 0), SEM(EQUAL, 31, 0xffe), SEM(AT_LEAST, 31, 5), 0);
	DONE(SEM(INIT, 31, 1), SEM(P, 31, 0), SEM(EQUAL, 31, 0), SEM(DEC, 31, 0));
	DONE(SEM_PRE(EQUAL, 31, 0), SEM(INC, 31, 0), SEM(INC, 31, 7), SEM(EQUAL, 31, 2));
	/* A presync stands before the transfer wherever in the element its word is. */
	DONE(SEM(INIT, 30, 9), SEM(NOP, 30, 1), SEM_PRE(EQUAL, 31, 2), SEM(EQUAL, 30, 9));
	/* Others are untouched. */
	DONE(SEM_PRE(EQUAL, 2, 0), SEM(EQUAL, 29, 0), SEM(EQUAL, 16, 0), 0);
	host_close(&h);
}

/* Each kind of wait blocks the channel, without a response, until deactivation. */
static void test_blocked(void)
{
	static const uint32_t waits[] = {
		SEM_PRE(EQUAL, 5, 1), SEM_PRE(AT_LEAST, 5, 1), SEM_PRE(P, 5, 0),
		SEM(EQUAL, 5, 1),     SEM(AT_LEAST, 5, 1),     SEM(P, 5, 0),
	};
	uint32_t constants_id, elf_id;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		struct element e;

		CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 8, &a), 0);
		memset(h.ram + SCRATCH, 0x11, 16);
		CU_ASSERT_EQUAL(ring_run(&h, &a, move(CMD_IN, a.ddr_base, SCRATCH, 16)), OK);
		memset(h.ram + SCRATCH, 0, 16);
		e = move(CMD_OUT, a.ddr_base, SCRATCH, 16);
		e.command |= CMD_COMPLETION;
		e.sem[2] = waits[i];
		ring_put(&h, &a, &e);
		ring_put(&h, &a, &e);
		ring_doorbell(&h, &a);
		/* In the calling thread: what could be done has been done. */
		CU_ASSERT_FALSE(ring_ready(&h, &a));
		CU_ASSERT_EQUAL(h.ram[SCRATCH], i < 3 ? 0 : 0x11);
		/* The element has left the ring, the next one has not. */
		CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, a.dbc, 0), 2);
		CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
		CU_ASSERT_FALSE(h.ram[SCRATCH] == 0x11 && i < 3);
	}
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

static void test_doorbells(void)
{
	static const uint8_t attributes[] = { 0x80, 0x81, 0x82 };
	static const uint32_t sizes[] = { 4, 2, 1 };
	struct element e;
	struct active a;
	struct host h;

	open_one(&h, &a, 8);
	for (int i = 0; i < 3; i++) {
		/* Written to window 1, read back from it: 8 bytes around the doorbell. */
		memset(h.ram + SCRATCH, 0xee, 8);
		CU_ASSERT_EQUAL(CODE(CMD_IN, a.mcid_base + 0x800000 + 0x500, 8), OK);
		e = sems(0, 0, 0, 0);
		e.doorbell = a.mcid_base + 0x800000 + 0x500;
		e.doorbell_attributes = attributes[i];
		e.doorbell_data = 0x44332211;
		CU_ASSERT_EQUAL(ring_run(&h, &a, e), OK);
		CU_ASSERT_EQUAL(CODE(CMD_OUT, a.mcid_base + 0x800000 + 0x500, 8), OK);
		CU_ASSERT_EQUAL(memcmp(h.ram + SCRATCH, "\x11\x22\x33\x44", sizes[i]), 0);
		for (uint32_t k = sizes[i]; k < 8; k++)
			CU_ASSERT_EQUAL(h.ram[SCRATCH + k], 0xee);
		/* Misaligned, past the window, nowhere. */
		if (sizes[i] > 1) {
			e.doorbell += 1;
			CU_ASSERT_EQUAL(ring_run(&h, &a, e), DOORBELL);
		}
		e.doorbell = a.mcid_base + 0x800000 + 0x1000;
		CU_ASSERT_EQUAL(ring_run(&h, &a, e), DOORBELL);
		e.doorbell = 0;
		CU_ASSERT_EQUAL(ring_run(&h, &a, e), DOORBELL);
		/* Not enabled: not looked at. */
		e.doorbell_attributes &= 0x7f;
		CU_ASSERT_EQUAL(ring_run(&h, &a, e), OK);
	}
	/* Into DDR as well. */
	e = sems(0, 0, 0, 0);
	e.doorbell = a.ddr_base + 8;
	e.doorbell_attributes = 0x80;
	e.doorbell_data = 0x01020304;
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), OK);
	CU_ASSERT_EQUAL(CODE(CMD_OUT, a.ddr_base + 8, 4), OK);
	CU_ASSERT_EQUAL(qeff_get_u32(h.ram + SCRATCH), 0x01020304);
	host_close(&h);
}

/* Responses come for elements that ask for one; an error of another goes to its request's next. */
static void test_completions(void)
{
	struct element e;
	struct active a;
	struct host h;

	open_one(&h, &a, 8);
	e = move(CMD_IN, 1, SCRATCH, 4);
	e.id = 7;
	ring_put(&h, &a, &e);
	e = move(CMD_IN, a.ddr_base, SCRATCH, 4);
	e.id = 7;
	ring_put(&h, &a, &e);
	e.command |= CMD_COMPLETION;
	ring_put(&h, &a, &e);
	e.id = 8;
	ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(ring_take(&h, &a), DEVICE_ADDRESS << 16 | 7);
	CU_ASSERT_EQUAL(ring_take(&h, &a), 8);
	CU_ASSERT_FALSE(ring_ready(&h, &a));
	host_close(&h);
}

static void test_interrupts(void)
{
	struct element e = sems(0, 0, 0, 0);
	struct active a;
	struct host h;

	open_one(&h, &a, 16);
	/* Three responses into an empty ring: one interrupt. */
	e.command |= CMD_COMPLETION;
	for (int i = 0; i < 3; i++)
		ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(h.interrupts[1], 1);
	/* Not empty: none, unless forced, and then without a response as well. */
	ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(h.interrupts[1], 1);
	e.command |= CMD_FORCE_MSI;
	ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(h.interrupts[1], 2);
	e.command = CMD_BULK | CMD_FORCE_MSI;
	ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(h.interrupts[1], 3);
	for (int i = 0; i < 5; i++)
		ring_take(&h, &a);
	CU_ASSERT_FALSE(ring_ready(&h, &a));
	/* Empty again. */
	e.command = CMD_BULK | CMD_COMPLETION;
	ring_put(&h, &a, &e);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(h.interrupts[1], 4);
	for (int i = 0; i < 17; i++)
		CU_ASSERT(i == 1 || !h.interrupts[i]);
	host_close(&h);
}

/* A full response ring blocks the channel until the host has taken something. */
static void test_full_responses(void)
{
	struct element e = sems(0, 0, 0, 0);
	struct active a;
	struct host h;

	open_one(&h, &a, 4);
	e.command |= CMD_COMPLETION;
	for (int i = 0; i < 3; i++) {
		e.id = (uint16_t)i;
		ring_put(&h, &a, &e);
	}
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, 12), 3);
	for (int i = 3; i < 5; i++) {
		e.id = (uint16_t)i;
		ring_put(&h, &a, &e);
	}
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, 12), 3);
	/* One element waits for room in the response ring, the other still stands in the request
	 * ring. */
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, 0), 0);
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, 4), 1);
	for (uint32_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(ring_take(&h, &a), i);
	CU_ASSERT_FALSE(ring_ready(&h, &a));
	host_close(&h);
}

/* Far more elements than the ring holds, in bursts of every size that fits. */
static void test_wrap(void)
{
	struct active a;
	struct host h;
	uint16_t id = 0;

	open_one(&h, &a, 5);
	for (int round = 0; round < 500; round++) {
		unsigned int burst = 1 + round % 4;

		for (unsigned int i = 0; i < burst; i++) {
			struct element e = move(CMD_IN, a.ddr_base + 8 * i, SCRATCH + 8 * i, 8);

			qeff_put_u64(h.ram + SCRATCH + 8 * i, (uint64_t)round * 16 + i);
			e.command |= CMD_COMPLETION;
			e.id = (uint16_t)(id + i);
			ring_put(&h, &a, &e);
		}
		ring_doorbell(&h, &a);
		for (unsigned int i = 0; i < burst; i++)
			CU_ASSERT_EQUAL(ring_take(&h, &a), id++);
		CU_ASSERT_EQUAL(
			ring_run(&h, &a, move(CMD_OUT, a.ddr_base, SCRATCH + 64, 8 * burst)), OK);
		CU_ASSERT_EQUAL(memcmp(h.ram + SCRATCH, h.ram + SCRATCH + 64, 8 * burst), 0);
	}
	host_close(&h);
}

struct late {
	struct host *host;
	struct active *a;
	bool returned; /* guarded by the host's lock */
};

static void *ring_main(void *argument)
{
	struct late *l = argument;

	ring_doorbell(l->host, l->a);
	return NULL;
}

static void *deactivate_main(void *argument)
{
	struct late *l = argument;

	CU_ASSERT_EQUAL(deactivate(l->host, 1, l->a->id), 0);
	pthread_mutex_lock(&l->host->lock);
	l->returned = true;
	pthread_cond_broadcast(&l->host->change);
	pthread_mutex_unlock(&l->host->lock);
	return NULL;
}

/* An element in the middle of its transfer: deactivation is answered when it has ended, not before.
 */
static void test_deactivate_waits(void)
{
	pthread_t ringing, deactivating;
	struct timespec until;
	struct element e;
	struct active a;
	struct host h;
	struct late l = { .host = &h, .a = &a };

	open_one(&h, &a, 8);
	e = move(CMD_IN, a.ddr_base, SCRATCH, 16);
	e.command |= CMD_COMPLETION;
	ring_put(&h, &a, &e);
	h.gate_address = HOST_BASE + SCRATCH;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&ringing, NULL, ring_main, &l), 0);
	pthread_mutex_lock(&h.lock);
	while (!h.gate_reached)
		pthread_cond_wait(&h.change, &h.lock);
	pthread_mutex_unlock(&h.lock);
	/* Registers can be read meanwhile, and rung. */
	CU_ASSERT_EQUAL(qeff_card_dbc_read(h.card, 0, 0), 1);
	ring_doorbell(&h, &a);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&deactivating, NULL, deactivate_main, &l), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h.lock);
	while (!l.returned && !pthread_cond_timedwait(&h.change, &h.lock, &until))
		;
	CU_ASSERT_FALSE(l.returned);
	h.gate_open = true;
	pthread_cond_broadcast(&h.change);
	pthread_mutex_unlock(&h.lock);
	pthread_join(ringing, NULL);
	pthread_join(deactivating, NULL);
	CU_ASSERT_TRUE(l.returned);
	/* Stopped after the transfer: no response. */
	CU_ASSERT_EQUAL(h.interrupts[1], 0);
	h.gate_address = 0;
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

/* Random bytes as elements: every one is answered or skipped, nothing outside the windows changes.
 */
static void test_random_elements(void)
{
	uint32_t state = 12345;
	struct active a, b;
	struct host h;
	uint32_t constants_id, elf_id;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 1, 8, &b), 0);
	for (int round = 0; round < 300; round++) {
		CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 64, &a), 0);
		for (uint32_t i = 0; i < 63 * 64; i++) {
			state = state * 1664525 + 1013904223;
			h.ram[a.ring + i] = (uint8_t)(state >> 24);
		}
		/* Half of them near enough to the windows to hit them. */
		for (uint32_t i = 0; i < 63; i += 2) {
			qeff_put_u64(h.ram + a.ring + 64 * i + 8, HOST_BASE + SCRATCH);
			qeff_put_u64(h.ram + a.ring + 64 * i + 16, a.ddr_base + i * 100);
			qeff_put_u32(h.ram + a.ring + 64 * i + 24, i * 10);
			qeff_put_u64(h.ram + a.ring + 64 * i + 32, a.mcid_base + i % 3 * 4);
		}
		qeff_card_dbc_write(h.card, a.dbc, 4, 63);
		CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	}
	CU_ASSERT_EQUAL(ring_run(&h, &b, move(CMD_OUT, b.ddr_base, SCRATCH, DDR_BYTES)), OK);
	for (uint32_t i = 0; i < DDR_BYTES; i++)
		if (h.ram[SCRATCH + i])
			CU_FAIL("foreign bytes");
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

static const struct unit_test tests[] = {
	{ "registers", test_registers },
	{ "transfers", test_transfers },
	{ "address windows", test_windows },
	{ "dynamic shared DDR", test_dynamic_ddr },
	{ "bad elements", test_bad_elements },
	{ "semaphore operations", test_semaphores },
	{ "blocked elements", test_blocked },
	{ "doorbells", test_doorbells },
	{ "completions", test_completions },
	{ "interrupts", test_interrupts },
	{ "full response ring", test_full_responses },
	{ "ring wrap", test_wrap },
	{ "deactivation waits for a transfer", test_deactivate_waits },
	{ "random elements", test_random_elements },
};

QEFF_UNIT_MAIN("softcard bridge", tests)
