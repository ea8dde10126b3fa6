/* SPDX-License-Identifier: MIT */
/*
 * What an inference costs beside its arithmetic: a package that does nothing, through the queue of
 * a software card. One inference at a time, then as many in flight as the queue has slots, then two
 * threads of which one submits and the other takes. Seconds to run each: the first argument.
 */
#include "../unit/runtime_package.h"

#include <qeff/program.h>
#include <qeff/queue.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define DEPTH	    64
#define MAX_SAMPLES (4u << 20)

static uint32_t *samples; /* latencies in ns */
static size_t num_samples;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ret, const struct qeff_error *err)
{
	if (!ret)
		return;
	fprintf(stderr, "bench_noop: %s\n", err->message);
	exit(EXIT_FAILURE);
}

static void sample(uint64_t ns)
{
	if (num_samples < MAX_SAMPLES)
		samples[num_samples++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The CPU time of all threads says more than the rate does on a machine that others use. */
static void report(const char *what, uint64_t count, uint64_t ns, uint64_t cpu)
{
	qsort(samples, num_samples, sizeof(*samples), by_size);
	printf("%-26s %9.0f /s   p50 %7.2f us   p99 %8.2f us   CPU %6.2f us each\n", what,
	       (double)count * 1e9 / (double)ns, samples[num_samples / 2] / 1e3,
	       samples[num_samples - num_samples / 100 - 1] / 1e3,
	       (double)cpu / 1e3 / (double)count);
	num_samples = 0;
}

static void submit(struct qeff_queue *queue, struct qeff_slot *slot)
{
	struct qeff_error err = { 0 };

	if (!slot)
		check(qeff_queue_acquire(queue, -1, &slot, &err), &err);
	check(qeff_queue_submit(slot, NULL, -1, &err), &err);
}

static struct qeff_slot *complete(struct qeff_queue *queue)
{
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	check(qeff_queue_complete(queue, -1, &done, &err), &err);
	check(done.status, &done.error);
	sample(done.completed_ns - done.submitted_ns);
	return done.slot;
}

/* @in_flight at a time, by one thread. */
static void run(const char *what, struct qeff_queue *queue, unsigned int in_flight,
		uint64_t budget_ns)
{
	uint64_t began = now_ns(), cpu = cpu_ns(), count = 0;

	for (unsigned int i = 0; i < in_flight; i++)
		submit(queue, NULL);
	for (; now_ns() - began < budget_ns; count++)
		submit(queue, complete(queue));
	for (unsigned int i = 0; i < in_flight; i++, count++)
		qeff_slot_release(complete(queue));
	report(what, count, now_ns() - began, cpu_ns() - cpu);
}

struct stream {
	struct qeff_queue *queue;
	uint64_t count;
};

static void *take(void *arg)
{
	struct stream *stream = arg;

	for (uint64_t i = 0; i < stream->count; i++)
		qeff_slot_release(complete(stream->queue));
	return NULL;
}

static void two_threads(struct qeff_queue *queue, uint64_t count)
{
	struct stream stream = { .queue = queue, .count = count };
	uint64_t began = now_ns(), cpu = cpu_ns();
	pthread_t taker;

	pthread_create(&taker, NULL, take, &stream);
	for (uint64_t i = 0; i < count; i++)
		submit(queue, NULL);
	pthread_join(taker, NULL);
	report("two threads, 64 in flight", count, now_ns() - began, cpu_ns() - cpu);
}

int main(int argc, char **argv)
{
	const struct package_options no_op = { .no_op = true };
	const struct qeff_queue_options options = { .depth = DEPTH };
	uint64_t budget_ns = (uint64_t)((argc > 1 ? atof(argv[1]) : 2) * 1e9);
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_device *device;
	struct qeff_queue *queue;
	struct qeff_error err = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/tmp/qeff-noop-%d.qpc", (int)getpid());
	samples = malloc(MAX_SAMPLES * sizeof(*samples));
	if (!samples || !package_make(path, &no_op))
		return EXIT_FAILURE;
	check(qeff_device_open("soft0", &device, &err), &err);
	check(qeff_program_load(device, path, &program, &err), &err);
	unlink(path);
	check(qeff_program_activate(program, &activation, &err), &err);
	check(qeff_queue_open(activation, &options, &queue, &err), &err);

	run("warm up", queue, 1, budget_ns / 10);
	run("alone", queue, 1, budget_ns);
	run("one thread, 2 in flight", queue, 2, budget_ns);
	run("one thread, 64 in flight", queue, DEPTH, budget_ns);
	two_threads(queue, budget_ns / 20000);

	qeff_queue_close(queue);
	qeff_activation_end(activation);
	qeff_program_unload(program);
	qeff_device_close(device);
	free(samples);
	return EXIT_SUCCESS;
}
