/* SPDX-License-Identifier: MIT */
/*
 * Four clients that work while the card misbehaves: each call gives what is right, or an error, in
 * its time and a second; and at the end the card works again. Says "at work" when it is.
 *
 * usage: vm-faults NODE PACKAGE SECONDS CONTROL-TIMEOUT-SECONDS
 */
#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#define SIZE	16384
#define WAIT_MS 1000

static atomic_uint rounds, errors, wrong, late, opens;
static atomic_uint codes[200];
static atomic_uint stalled_ms;
static double end, seconds, control_timeout;

/* A machine that is emulated on a busy one stands still at times, which is nobody's fault in it. */
static void *heartbeat(void *arg)
{
	double before = now(), after;

	(void)arg;
	for (;; before = after) {
		usleep(10000);
		after = now();
		if (after - before > 0.1)
			stalled_ms += (unsigned int)((after - before) * 1000);
	}
	return NULL;
}

/* A call that may take @limit seconds. */
static int timed(double begin, unsigned int stalled, double limit, int ret, const char *what)
{
	double took = now() - begin;

	if (took > limit + 1 + (stalled_ms - stalled) / 1e3) {
		late++;
		printf("# %s took %.1f s: %s\n", what, took, strerror(-ret));
	}
	if (ret) {
		errors++;
		codes[-ret % 200]++;
	}
	return ret;
}
#define TIMED(limit, expression, what)                                                             \
	({                                                                                         \
		double begin_ = now();                                                             \
		unsigned int stalled_ = stalled_ms;                                                \
		int ret_ = (expression);                                                           \
		timed(begin_, stalled_, limit, ret_, what);                                        \
	})

static int round_(struct client *r, uint32_t *h, uint8_t *a, uint8_t *b, unsigned int seed)
{
	int ret;

	for (size_t i = 0; i < SIZE; i++)
		a[i] = (uint8_t)(i * seed + seed / 3);
	memset(b, (int)seed, 64);
	ret = TIMED(0, client_execute(r, h, 2), "execute");
	if (ret)
		return ret;
	ret = TIMED(WAIT_MS / 1e3, client_wait(r, h[1], WAIT_MS), "wait");
	if (ret)
		return ret;
	ret = TIMED(WAIT_MS / 1e3, client_wait(r, h[0], WAIT_MS), "wait");
	if (ret)
		return ret;
	if (memcmp(a, b, SIZE)) {
		wrong++;
		printf("# wrong data\n");
	}
	/* the time counts from the first one on: until then it may take as long as it takes */
	if (!rounds++) {
		end = now() + seconds;
		printf("# at work\n");
	}
	return 0;
}

static int session(struct client *r, unsigned int seed)
{
	struct qaic_attach_slice_entry in[4] = { 0 }, out[4] = { 0 };
	uint32_t h[2];
	uint8_t *a, *b;
	int ret = TIMED(6 * control_timeout, client_open(r), "open");

	if (ret)
		return ret;
	opens++;
	for (int i = 0; i < 4; i++) {
		in[i].size = out[i].size = SIZE / 4;
		in[i].offset = out[i].offset = (uint64_t)i * SIZE / 4;
		in[i].dev_addr = out[i].dev_addr = r->active.ddr_base + in[i].offset;
	}
	out[0].sem0.flags = QAIC_SEM_INSYNCFENCE;
	out[0].sem0.presync = 1;
	h[0] = bo_new(r->fd, SIZE);
	h[1] = bo_new(r->fd, SIZE);
	a = bo_map(r->fd, h[0], SIZE);
	b = bo_map(r->fd, h[1], SIZE);
	if (a && b)
		ret = client_attach(r, h[0], 1, in, 4) ?: client_attach(r, h[1], 2, out, 4);
	for (int i = 0; a && b && !ret && i < 50 && now() < end; i++)
		ret = round_(r, h, a, b, seed + (unsigned int)i);
	if (!ret && seed % 2)
		TIMED(control_timeout, client_deactivate(r), "deactivate");
	if (a)
		munmap(a, SIZE);
	if (b)
		munmap(b, SIZE);
	return 0;
}

static void *work(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;
	struct client r;

	while (now() < end) {
		session(&r, seed++);
		if (r.fd >= 0)
			TIMED(1, close(r.fd), "close");
		if (errors)
			usleep(20000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int seeds[4] = { 1, 1000, 2001, 3000 }, before;
	pthread_t threads[4], beat;

	if (argc != 5)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	seconds = atof(argv[3]);
	end = now() + 60 + seconds;
	control_timeout = atof(argv[4]);
	if (clients_init(argv[1], argv[2]))
		return 2;
	pthread_create(&beat, NULL, heartbeat, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, &seeds[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("# %u opens, %u rounds, %u errors, %u wrong, %u late\n", opens, rounds, errors,
	       wrong, late);
	for (int i = 0; i < 200; i++)
		if (codes[i])
			printf("#   %s: %u\n", strerror(i), codes[i]);
	/* and then it works again */
	before = rounds;
	end = now() + 40;
	while (rounds == before && now() < end) {
		struct client r;

		session(&r, 5);
		if (r.fd >= 0)
			close(r.fd);
		usleep(100000);
	}
	printf("# after: %s\n", rounds > before ? "works" : "does not work");
	return wrong || late || rounds == before;
}
