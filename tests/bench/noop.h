/* SPDX-License-Identifier: MIT */
/*
 * Inferences that do nothing, for those who measure what they cost: a card with such a package and
 * a queue, and how long each inference was on its way.
 */
#ifndef QEFF_TESTS_NOOP_H
#define QEFF_TESTS_NOOP_H

#include "../unit/runtime_package.h"

#include <qeff/program.h>
#include <qeff/queue.h>

#include <time.h>
#include <unistd.h>

#define NOOP_DEPTH	 64
#define NOOP_MAX_SAMPLES (4u << 20)

struct noop {
	struct qeff_device *device;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_queue *queue;
};

static uint32_t noop_samples[NOOP_MAX_SAMPLES]; /* latencies in ns */
static size_t noop_num_samples;

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void noop_check(int ret, const struct qeff_error *err)
{
	if (!ret)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(EXIT_FAILURE);
}

/* The package, in a file that the caller unlinks. */
static inline void noop_package(char *path, size_t size)
{
	const struct package_options no_op = { .no_op = true };

	snprintf(path, size, "/tmp/qeff-noop-%d.qpc", (int)getpid());
	if (!package_make(path, &no_op))
		exit(EXIT_FAILURE);
}

static inline void noop_open(struct noop *noop, const char *device, const char *package)
{
	const struct qeff_queue_options options = { .depth = NOOP_DEPTH };
	struct qeff_error err = { 0 };

	noop_check(qeff_device_open(device, &noop->device, &err), &err);
	noop_check(qeff_program_load(noop->device, package, &noop->program, &err), &err);
	noop_check(qeff_program_activate(noop->program, &noop->activation, &err), &err);
	noop_check(qeff_queue_open(noop->activation, &options, &noop->queue, &err), &err);
}

static inline void noop_close(struct noop *noop)
{
	qeff_queue_close(noop->queue);
	qeff_activation_end(noop->activation);
	qeff_program_unload(noop->program);
	qeff_device_close(noop->device);
}

/* @slot NULL: one that is free. */
static inline void noop_submit(struct qeff_queue *queue, struct qeff_slot *slot)
{
	struct qeff_error err = { 0 };

	if (!slot)
		noop_check(qeff_queue_acquire(queue, -1, &slot, &err), &err);
	noop_check(qeff_queue_submit(slot, NULL, -1, &err), &err);
}

static inline struct qeff_slot *noop_complete(struct qeff_queue *queue)
{
	struct qeff_completion done;
	struct qeff_error err = { 0 };
	uint64_t ns;

	noop_check(qeff_queue_complete(queue, -1, &done, &err), &err);
	noop_check(done.status, &done.error);
	ns = done.completed_ns - done.submitted_ns;
	if (noop_num_samples < NOOP_MAX_SAMPLES)
		noop_samples[noop_num_samples++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	return done.slot;
}

static inline int noop_by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

/* Latencies since the last call, in us. */
static inline void noop_latencies(double *p50, double *p99)
{
	size_t n = noop_num_samples;

	qsort(noop_samples, n, sizeof(*noop_samples), noop_by_size);
	*p50 = noop_samples[n / 2] / 1e3;
	*p99 = noop_samples[n - n / 100 - 1] / 1e3;
	noop_num_samples = 0;
}

#endif
