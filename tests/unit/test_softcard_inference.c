/* SPDX-License-Identifier: MIT */
/* NSP programs on the software card: inferences through the rings, faults, several at once, ends in
 * the middle. */
#include "test_softcard_package.h"

#define MIB (1u << 20)
#define IN  ((5u << 20) + 0x20000)
#define OUT ((5u << 20) + 0x80000)

static const int64_t all_live[SEQ] = { 0, 1, 2, 3 };

static void take_pair(struct host *h, struct active *a, uint16_t id)
{
	CU_ASSERT_EQUAL(ring_take(h, a), id);
	CU_ASSERT_EQUAL(ring_take(h, a), id + 1u);
}

static void test_one(uint32_t nsps, bool poison)
{
	static const int64_t ids[SEQ] = { 31, 0, 7, 16 }, some_live[SEQ] = { -1, 0, -1, 1 };
	const struct qeff_nsp_stats *stats;
	uint32_t constants_id, elf_id;
	struct qeff_card_counters c;
	struct active a;
	struct host h;

	host_open(&h, 16, 64 * MIB, poison);
	package_load(&h, 1, nsps, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 8, &a), 0);
	inference_input(&h, IN, ids, all_live);
	inference_put(&h, &a, nsps, 1, IN, OUT);
	ring_doorbell(&h, &a);
	take_pair(&h, &a, 1);
	inference_check(&h, OUT, ids, all_live);
	stats = inference_stats(&h, OUT);
	CU_ASSERT(stats->version == 1 && stats->nsps == nsps && stats->fault == 0 &&
		  stats->tokens == 4);
	/* Another one, in which two positions are dead. */
	inference_input(&h, IN, ids, some_live);
	inference_put(&h, &a, nsps, 3, IN, OUT);
	ring_doorbell(&h, &a);
	take_pair(&h, &a, 3);
	inference_check(&h, OUT, ids, some_live);
	CU_ASSERT_EQUAL(stats->tokens, 2);
	qeff_card_counters(h.card, &c);
	CU_ASSERT(c.inferences == 2 && c.elements == 4 && c.bytes_in == 2 * IN_BYTES &&
		  c.bytes_out == 2 * OUT_BYTES);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	terminate(&h, 1);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

static void test_one_nsp(void)
{
	test_one(1, false);
}

static void test_sixteen_nsps(void)
{
	test_one(16, false);
}

static void test_poisoned(void)
{
	test_one(4, true);
}

/* The host gets ahead by as much as the ring holds; everything completes in order. */
static void test_deep_queue(void)
{
	int64_t ids[12][SEQ];
	uint32_t constants_id, elf_id;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 25, &a), 0);
	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 12; i++) {
			for (uint32_t k = 0; k < SEQ; k++)
				ids[i][k] = (round * 7 + i * 5 + k * 3) % ENTRIES;
			inference_input(&h, IN + i * 4096, ids[i], all_live);
			inference_put(&h, &a, 2, (uint16_t)(2 * i), IN + i * 4096, OUT + i * 4096);
		}
		ring_doorbell(&h, &a);
		for (uint32_t i = 0; i < 12; i++) {
			take_pair(&h, &a, (uint16_t)(2 * i));
			inference_check(&h, OUT + i * 4096, ids[i], all_live);
		}
	}
	host_close(&h);
}

/* Faults stand in the statistics; the next inference is none the worse. */
static void test_faults(void)
{
	static const int64_t good[SEQ] = { 1, 2, 3, 4 }, bad[SEQ] = { 1, 2, ENTRIES, 4 };
	static const int64_t far[SEQ] = { 0, 1, 16, 3 };
	const struct qeff_nsp_stats *stats;
	uint32_t constants_id, elf_id;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 4, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 8, &a), 0);
	stats = inference_stats(&h, OUT);
	for (int i = 0; i < 8; i++) {
		inference_input(&h, IN, i == 0 ? bad : good, i == 2 ? far : all_live);
		if (i == 4)
			qeff_put_u32(h.ram + IN, 5);
		/* Inputs that are not there: the transfer fails, and the inference with it. */
		inference_put(&h, &a, 4, 10, i == 6 ? HOST_RAM - 8 : IN, OUT);
		ring_doorbell(&h, &a);
		CU_ASSERT_EQUAL(ring_take(&h, &a), i == 6 ? (3u << 16 | 10) : 10);
		CU_ASSERT_EQUAL(ring_take(&h, &a), 11);
		switch (i) {
		case 0:
			CU_ASSERT_EQUAL(stats->fault, QEFF_NSP_FAULT_INDEX);
			CU_ASSERT(stats->fault_value == ENTRIES && stats->fault_row == 2);
			break;
		case 2:
			CU_ASSERT_EQUAL(stats->fault, QEFF_NSP_FAULT_POSITION);
			CU_ASSERT_EQUAL(stats->fault_value, 16);
			break;
		case 4:
			CU_ASSERT_EQUAL(stats->fault, QEFF_NSP_FAULT_SPECIALISATION);
			CU_ASSERT_EQUAL(stats->fault_value, 5);
			break;
		case 6:
			CU_ASSERT_EQUAL(stats->fault, QEFF_NSP_FAULT_INPUT);
			break;
		default:
			CU_ASSERT_EQUAL(stats->fault, 0);
			inference_check(&h, OUT, good, all_live);
		}
	}
	host_close(&h);
}

/* The NSPs start when the inputs are there and the outputs of the run before have been taken, not
 * sooner. */
static void test_protocol(void)
{
	static const int64_t ids[SEQ] = { 3, 1, 4, 15 };
	struct qeff_card_counters c;
	uint32_t constants_id, elf_id;
	struct element e = { .command = CMD_BULK };
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a), 0);
	inference_input(&h, IN, ids, all_live);
	/* At activation: both NSPs take inputs, outputs stand at their number. */
	e.sem[0] = SEM_PRE(EQUAL, 0, 2);
	e.sem[1] = SEM(EQUAL, 1, 2);
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	/* The input doorbell of one NSP only, through window 1: nothing starts. */
	e = (struct element){ .command = CMD_BULK,
			      .doorbell = a.mcid_base + 0x800000,
			      .doorbell_attributes = 0x80,
			      .doorbell_data = 1 };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	qeff_card_counters(h.card, &c);
	CU_ASSERT_EQUAL(c.inferences, 0);
	/* That of both, by a transfer instead of a doorbell write: {1, 1} to L2TCM offset 0. */
	qeff_put_u32(h.ram + IN + 4096, 1);
	qeff_put_u32(h.ram + IN + 4100, 1);
	e = (struct element){ .command = CMD_BULK | CMD_IN,
			      .source = HOST_BASE + IN,
			      .destination = a.ddr_base,
			      .size = IN_BYTES };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	e = (struct element){ .command = CMD_BULK | CMD_IN,
			      .source = HOST_BASE + IN + 4096,
			      .destination = a.mcid_base,
			      .size = 8 };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	/* Done when semaphore 1 is 0; semaphore 0 has been incremented by both, to 4. */
	e = (struct element){ .command = CMD_BULK,
			      .sem = { SEM_PRE(EQUAL, 1, 0), SEM(EQUAL, 0, 4) } };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	qeff_card_counters(h.card, &c);
	CU_ASSERT_EQUAL(c.inferences, 1);
	/* The NSPs cleared their doorbells, so the input doorbell alone does not start them... */
	e = (struct element){ .command = CMD_BULK,
			      .doorbell = a.mcid_base,
			      .doorbell_attributes = 0x80,
			      .doorbell_data = 1,
			      .sem = { SEM(INIT, 0, 0), SEM(INIT, 1, 2) } };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	/* (it still stands there: an NSP that starts clears it) */
	e = (struct element){ .command = CMD_BULK | CMD_OUT,
			      .source = a.mcid_base + 0x800000,
			      .destination = HOST_BASE + OUT,
			      .size = 8 };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	CU_ASSERT(qeff_get_u32(h.ram + OUT) == 1 && qeff_get_u32(h.ram + OUT + 4) == 0);
	/* ...and that of the outputs does. */
	e = (struct element){ .command = CMD_BULK,
			      .doorbell = a.mcid_base + 4,
			      .doorbell_attributes = 0x80,
			      .doorbell_data = 1 };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	e = (struct element){ .command = CMD_BULK,
			      .sem = { SEM_PRE(EQUAL, 1, 0), SEM(EQUAL, 0, 2) } };
	CU_ASSERT_EQUAL(ring_run(&h, &a, e), 0);
	qeff_card_counters(h.card, &c);
	CU_ASSERT_EQUAL(c.inferences, 2);
	host_close(&h);
}

/* Doorbells that are rung while the NSPs run stay rung until the NSPs come back to them. */
static void test_ringing(void)
{
	static const int64_t ids[SEQ] = { 3, 1, 4, 15 };
	uint32_t constants_id, elf_id;
	struct qeff_card_counters c;
	struct element ring, look;
	unsigned int looked = 0;
	uint64_t before;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 20000, &constants_id, &elf_id);
	inference_input(&h, IN, ids, all_live);
	qeff_put_u32(h.ram + IN + 4096, 1);
	qeff_put_u32(h.ram + IN + 4100, 1);
	/* On a busy machine a run may be over before it is looked at. */
	for (int try = 0; try < 100 && !looked; try++) {
		CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a), 0);
		qeff_card_counters(h.card, &c);
		before = c.inferences;
		ring = (struct element){ .command = CMD_BULK | CMD_IN,
					 .source = HOST_BASE + IN + 4096,
					 .destination = a.mcid_base,
					 .size = 8 };
		look = (struct element){ .command = CMD_BULK | CMD_OUT,
					 .source = a.mcid_base + 0x800000,
					 .destination = HOST_BASE + OUT,
					 .size = 8 };
		/* The first ringing starts them, the others find them at work. */
		for (int i = 0; i < 20; i++) {
			CU_ASSERT_EQUAL(ring_run(&h, &a, ring), 0);
			CU_ASSERT_EQUAL(ring_run(&h, &a, look), 0);
			qeff_card_counters(h.card, &c);
			if (!i || c.inferences != before)
				continue;
			looked++;
			CU_ASSERT(qeff_get_u32(h.ram + OUT) == 1 &&
				  qeff_get_u32(h.ram + OUT + 4) == 1);
		}
		CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	}
	CU_ASSERT(looked > 0);
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

enum end { BY_DEACTIVATE, BY_TERMINATE, BY_RESET, BY_FREE };

/* A program of thousands of phases is at work, its output element waits, more stand behind it: and
 * it ends. */
static void end_while_running(enum end end)
{
	static const int64_t ids[SEQ] = { 3, 1, 4, 15 };
	uint32_t constants_id, elf_id;
	struct active a, b;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	h.adopts = true;
	package_load(&h, 1, 2, 20000, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a), 0);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 1, 16, &b), 0);
	inference_input(&h, IN, ids, all_live);
	for (uint16_t i = 0; i < 3; i++) {
		inference_put(&h, &a, 2, (uint16_t)(2 * i), IN, OUT);
		inference_put(&h, &b, 2, (uint16_t)(2 * i), IN, OUT + 4096);
	}
	ring_doorbell(&h, &a);
	ring_doorbell(&h, &b);
	CU_ASSERT_EQUAL(ring_take(&h, &a), 0);
	CU_ASSERT_EQUAL(ring_take(&h, &b), 0);
	switch (end) {
	case BY_DEACTIVATE:
		/* One runs, the other waits for the workers; either may be first. */
		CU_ASSERT_EQUAL(deactivate(&h, 1, b.id), 0);
		CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
		CU_ASSERT_EQUAL(unload(&h, 1, 5, constants_id), 0);
		CU_ASSERT_EQUAL(unload(&h, 1, 7, elf_id), 0);
		break;
	case BY_TERMINATE:
		terminate(&h, 1);
		break;
	case BY_RESET:
		qeff_card_reset(h.card);
		break;
	case BY_FREE:
		host_close(&h);
		return;
	}
	/* No byte of the host is touched any more. */
	memset(h.ram + HOST_RINGS, 0x99, 2 * HOST_RING_STRIDE);
	memset(h.ram + OUT, 0x99, 8192);
	check_all_free(&h, 4, 64 * MIB);
	CU_ASSERT_EQUAL(h.adopted, h.released);
	/* The card works on. */
	h.adopts = false;
	package_load(&h, 2, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(&h, 2, constants_id, elf_id, 2, 16, &a), 0);
	inference_put(&h, &a, 2, 1, IN, OUT + 65536);
	ring_doorbell(&h, &a);
	take_pair(&h, &a, 1);
	inference_check(&h, OUT + 65536, ids, all_live);
	for (uint32_t i = 0; i < 2 * HOST_RING_STRIDE; i++)
		if (h.ram[HOST_RINGS + i] != 0x99)
			CU_FAIL("a ring was written after its channel ended");
	for (uint32_t i = 0; i < 8192; i++)
		if (h.ram[OUT + i] != 0x99)
			CU_FAIL("outputs were written after their channel ended");
	host_close(&h);
}

static void test_ends(void)
{
	end_while_running(BY_DEACTIVATE);
	end_while_running(BY_TERMINATE);
	end_while_running(BY_RESET);
	end_while_running(BY_FREE);
}

/* Deactivation at no particular moment, again and again. */
static void test_end_races(void)
{
	static const int64_t ids[SEQ] = { 3, 1, 4, 15 };
	uint32_t constants_id, elf_id;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 4, 3, &constants_id, &elf_id);
	inference_input(&h, IN, ids, all_live);
	for (unsigned int i = 0; i < 300; i++) {
		CU_ASSERT_EQUAL_FATAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a), 0);
		for (uint16_t k = 0; k < 7; k++)
			inference_put(&h, &a, 4, k, IN, OUT);
		ring_doorbell(&h, &a);
		for (unsigned int k = 0; k < i % 5; k++)
			CU_ASSERT(ring_take(&h, &a) != UINT32_MAX);
		CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	}
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

/* --- several programs on one card at once --- */

struct user {
	struct host *host;
	pthread_t thread;
	unsigned int number;
	struct active a;
	unsigned int wrong;
};

static void *user_main(void *argument)
{
	struct user *u = argument;
	uint64_t in = IN + u->number * 16384, out = OUT + u->number * 16384;
	int64_t ids[SEQ];

	for (unsigned int i = 0; i < 200; i++) {
		for (uint32_t k = 0; k < SEQ; k++)
			ids[k] = (i * 5 + u->number * 11 + k) % ENTRIES;
		inference_input(u->host, in, ids, all_live);
		inference_put(u->host, &u->a, u->number + 1, (uint16_t)(2 * i), in, out);
		ring_doorbell(u->host, &u->a);
		if (ring_take(u->host, &u->a) != 2 * i || ring_take(u->host, &u->a) != 2 * i + 1) {
			u->wrong++;
			break;
		}
		for (uint32_t r = 0; r < SEQ; r++)
			for (uint32_t c = 0; c < WIDTH; c++)
				u->wrong += ((const float *)(u->host->ram + out))[r * WIDTH + c] !=
					    table_value((uint32_t)ids[r], c);
	}
	return NULL;
}

static void test_four_at_once(void)
{
	uint32_t constants_id[4], elf_id[4];
	struct user users[4] = { 0 };
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	for (unsigned int i = 0; i < 4; i++) {
		users[i] = (struct user){ .host = &h, .number = i };
		package_load(&h, i, i + 1, 1, &constants_id[i], &elf_id[i]);
		CU_ASSERT_EQUAL_FATAL(
			activate(&h, i, constants_id[i], elf_id[i], i, 8, &users[i].a), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&users[i].thread, NULL, user_main, &users[i]),
				      0);
	/* Meanwhile others ask for the card's status. */
	for (unsigned int i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(resources(&h).active, 4);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(users[i].thread, NULL);
		CU_ASSERT_EQUAL(users[i].wrong, 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		terminate(&h, (i * 3) % 4);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

static const struct unit_test tests[] = {
	{ "one NSP", test_one_nsp },
	{ "sixteen NSPs", test_sixteen_nsps },
	{ "with poison", test_poisoned },
	{ "a deep queue", test_deep_queue },
	{ "faults", test_faults },
	{ "doorbells and semaphores of the protocol", test_protocol },
	{ "doorbells all the time", test_ringing },
	{ "ends while running", test_ends },
	{ "ends at any moment", test_end_races },
	{ "four programs at once", test_four_at_once },
};

QEFF_UNIT_MAIN("softcard inference", tests)
