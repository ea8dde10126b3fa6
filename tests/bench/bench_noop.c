/* SPDX-License-Identifier: MIT */
/*
 * What an inference costs beside its arithmetic: a package that does nothing, through the queue of
 * a software card. One inference at a time, then as many in flight as the queue has slots, then two
 * threads of which one submits and the other takes. Seconds to run each: the first argument.
 */
#include "noop.h"

#include <pthread.h>

/* The CPU time of all threads says more than the rate does on a machine that others use. */
static void report(const char *what, uint64_t count, uint64_t ns, uint64_t cpu)
{
	double p50, p99;

	noop_latencies(&p50, &p99);
	printf("%-26s %9.0f /s   p50 %7.2f us   p99 %8.2f us   CPU %6.2f us each\n", what,
	       (double)count * 1e9 / (double)ns, p50, p99, (double)cpu / 1e3 / (double)count);
}

/* @in_flight at a time, by one thread. */
static void run(const char *what, struct qeff_queue *queue, unsigned int in_flight,
		uint64_t budget_ns)
{
	uint64_t began = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
		 count = 0;

	for (unsigned int i = 0; i < in_flight; i++)
		noop_submit(queue, NULL);
	for (; clock_ns(CLOCK_MONOTONIC) - began < budget_ns; count++)
		noop_submit(queue, noop_complete(queue));
	for (unsigned int i = 0; i < in_flight; i++, count++)
		qeff_slot_release(noop_complete(queue));
	report(what, count, clock_ns(CLOCK_MONOTONIC) - began,
	       clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

struct stream {
	struct qeff_queue *queue;
	uint64_t count;
};

static void *take(void *arg)
{
	struct stream *stream = arg;

	for (uint64_t i = 0; i < stream->count; i++)
		qeff_slot_release(noop_complete(stream->queue));
	return NULL;
}

static void two_threads(struct qeff_queue *queue, uint64_t count)
{
	struct stream stream = { .queue = queue, .count = count };
	uint64_t began = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	pthread_t taker;

	pthread_create(&taker, NULL, take, &stream);
	for (uint64_t i = 0; i < count; i++)
		noop_submit(queue, NULL);
	pthread_join(taker, NULL);
	report("two threads, 64 in flight", count, clock_ns(CLOCK_MONOTONIC) - began,
	       clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

int main(int argc, char **argv)
{
	uint64_t budget_ns = (uint64_t)((argc > 1 ? atof(argv[1]) : 2) * 1e9);
	struct noop noop;
	char path[64];

	noop_package(path, sizeof(path));
	noop_open(&noop, "soft0", path);
	unlink(path);

	run("warm up", noop.queue, 1, budget_ns / 10);
	run("alone", noop.queue, 1, budget_ns);
	run("one thread, 2 in flight", noop.queue, 2, budget_ns);
	run("one thread, 64 in flight", noop.queue, NOOP_DEPTH, budget_ns);
	two_threads(noop.queue, budget_ns / 20000);

	noop_close(&noop);
	return EXIT_SUCCESS;
}
