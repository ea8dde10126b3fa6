/* SPDX-License-Identifier: MIT */
/*
 * Deactivation meets the card at the worst moments, each brought about on purpose: the host's
 * clock, which NSPs read as a run begins and as it ends, is where they are held up.
 */
#include "../../unit/test_softcard_package.h"

#include "softcard/core.h"

#define MIB (1u << 20)
#define IN  ((5u << 20) + 0x20000)
#define OUT ((5u << 20) + 0x80000)

static const int64_t all_live[SEQ] = { 0, 1, 2, 3 }, ids[SEQ] = { 3, 1, 4, 15 };

/* Readings of the clock; the second, at the end of the first run, waits for @open. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	unsigned int readings;
	bool open;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static uint64_t gated_time_us(void *user)
{
	pthread_mutex_lock(&gate.lock);
	gate.readings++;
	pthread_cond_broadcast(&gate.change);
	while (gate.readings == 2 && !gate.open)
		pthread_cond_wait(&gate.change, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	return 0;
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.change);
	pthread_mutex_unlock(&gate.lock);
}

/* A host whose NSPs stand at the end of their first run. Doorbells are rung again meanwhile, so the
 * next run would begin at once. */
static void hold_up(struct host *h, struct active *a)
{
	uint32_t constants_id, elf_id;
	struct element ring;

	gate.readings = 0;
	gate.open = false;
	host_open(h, 4, 64 * MIB, false);
	h->card->host.time_us = gated_time_us;
	package_load(h, 1, 2, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL_FATAL(activate(h, 1, constants_id, elf_id, 0, 16, a), 0);
	inference_input(h, IN, ids, all_live);
	qeff_put_u32(h->ram + IN + 4096, 1);
	qeff_put_u32(h->ram + IN + 4100, 1);
	ring = (struct element){ .command = CMD_BULK | CMD_IN,
				 .source = HOST_BASE + IN + 4096,
				 .destination = a->mcid_base,
				 .size = 8 };
	CU_ASSERT_EQUAL(ring_run(h, a, ring), 0);
	pthread_mutex_lock(&gate.lock);
	while (gate.readings < 2)
		pthread_cond_wait(&gate.change, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	CU_ASSERT_EQUAL(ring_run(h, a, ring), 0);
}

struct ending {
	struct host *host;
	struct active *a;
	pthread_t thread;
	int32_t status;
};

static void *deactivate_main(void *argument)
{
	struct ending *e = argument;

	e->status = deactivate(e->host, 1, e->a->id);
	return NULL;
}

/* Until the channel takes no element any more, which is how a host sees that deactivation is under
 * way; false if it went on taking them for 10 seconds. */
static bool channel_stops(struct host *h, struct active *a)
{
	struct element nothing = { .command = CMD_BULK };
	struct timespec began, now;
	uint32_t head;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do {
		head = qeff_card_dbc_read(h->card, a->dbc, 0);
		ring_put(h, a, &nothing);
		ring_doorbell(h, a);
		if (qeff_card_dbc_read(h->card, a->dbc, 0) == head)
			return true;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - began.tv_sec < 10);
	return false;
}

/* Deactivation stops the channel first, at once, while the NSPs are still at work; and NSPs that
 * finish after that do not begin anew, whatever doorbells are rung. */
static void stopped_before_the_end(void)
{
	struct qeff_card_counters c;
	struct ending e;
	struct active a;
	struct host h;

	hold_up(&h, &a);
	e = (struct ending){ .host = &h, .a = &a, .status = -1 };
	CU_ASSERT_EQUAL_FATAL(pthread_create(&e.thread, NULL, deactivate_main, &e), 0);
	CU_ASSERT_TRUE(channel_stops(&h, &a));
	open_gate();
	pthread_join(e.thread, NULL);
	CU_ASSERT_EQUAL(e.status, 0);
	CU_ASSERT_EQUAL(gate.readings, 2);
	qeff_card_counters(h.card, &c);
	CU_ASSERT_EQUAL(c.inferences, 1);
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

/* The same without deactivation: the doorbells do begin the next run. */
static void not_stopped(void)
{
	struct active a;
	struct host h;

	hold_up(&h, &a);
	open_gate();
	pthread_mutex_lock(&gate.lock);
	while (gate.readings < 4)
		pthread_cond_wait(&gate.change, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

static const struct unit_test tests[] = {
	{ "stopped before the end of a run", stopped_before_the_end },
	{ "not stopped", not_stopped },
};

QEFF_UNIT_MAIN("stops", tests)
