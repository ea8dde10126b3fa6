/* SPDX-License-Identifier: MIT */
/* Calls that are small to make and large to answer: nobody may be kept waiting by them. */
#include "bugs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RING   32768u
#define SLICES 16384u
#define NAMES  65536u
#define LEAVE  300u

/* A call that names one buffer of many slices as often as a call may. */
void bug_execute_many(void)
{
	struct qaic_attach_slice_entry *slices = calloc(SLICES, sizeof(*slices));
	struct qaic_execute_entry *entries = calloc(NAMES, sizeof(*entries));
	struct qaic_execute args = { .hdr.count = NAMES, .data = (uintptr_t)entries };
	struct client c;
	uint32_t handle;
	double begin;

	expect("load", 0, client_load(&c));
	expect("activate", 0, client_activate_ring(&c, RING));
	handle = bo_new(c.fd, 4096);
	for (unsigned int i = 0; i < SLICES; i++)
		slices[i].dev_addr = c.active.ddr_base;
	expect("attach", 0, client_attach(&c, handle, 1, slices, SLICES));
	for (unsigned int i = 0; i < NAMES; i++)
		entries[i].handle = handle;
	args.hdr.dbc_id = c.active.dbc_id;
	begin = now();
	expect("execute", -EINVAL, call(c.fd, DRM_IOCTL_QAIC_EXECUTE_BO, &args));
	printf("# %.3f s\n", now() - begin);
	check("at once", now() - begin < 3);
	expect("once", 0, client_execute(&c, &handle, 1));
	expect("wait", 0, client_wait(&c, handle, 5000));
	close(c.fd);
	free(slices);
	free(entries);
}

static void *leave(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

/* More users leave than works of one kind run at a time, and the card answers none of them: it is
 * reset all the same as soon as it reports a fatal error. */
void bug_leaving(void)
{
	struct qaic_attach_slice_entry stuck = {
		.sem0 = { .val = 1, .index = 31, .presync = 1, .cmd = QAIC_SEM_WAIT_GT_EQ },
	};
	static pthread_t threads[LEAVE];
	static int fds[LEAVE];
	struct client c;
	uint32_t handle;
	double begin;

	expect("open", 0, client_open(&c));
	stuck.dev_addr = c.active.ddr_base;
	handle = bo_new(c.fd, 4096);
	expect("attach", 0, client_attach(&c, handle, 1, &stuck, 1));
	for (unsigned int i = 0; i < LEAVE; i++) {
		fds[i] = open_node();
		check("another user", fds[i] >= 0);
	}
	plan("drop@control#1+,ras-fatal@doorbell#1");
	for (unsigned int i = 0; i < LEAVE; i++)
		pthread_create(&threads[i], NULL, leave, &fds[i]);
	/* close() waits for the card for a second */
	for (unsigned int i = 0; i < LEAVE; i++)
		pthread_join(threads[i], NULL);
	begin = now();
	expect("execute", 0, client_execute(&c, &handle, 1));
	expect("wait", -ENODEV, client_wait(&c, handle, 20000));
	printf("# %.3f s\n", now() - begin);
	plan("stall@doorbell#1000000");
	close(c.fd);
}
