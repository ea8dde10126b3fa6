/* SPDX-License-Identifier: MIT */
/*
 * Every ioctl of the driver with every field wrong in turn, from its owner and from another client,
 * and what the right calls promise. Prints what is not as it should be.
 *
 * usage: vm-ioctls NODE PACKAGE
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned int tests, failures;

static void report(const char *name, int line, bool ok)
{
	tests++;
	failures += !ok;
	if (!ok)
		printf("# line %d: %s\n", line, name);
}
#define check(name, condition) report(name, __LINE__, condition)

static void expect_at(const char *name, int line, int want, int got)
{
	if (got != want)
		printf("# %s, wanted %s:\n", strerror(-got), strerror(-want));
	report(name, line, got == want);
}
#define expect(name, want, fd, request, argument)                                                  \
	expect_at(name, __LINE__, want, call(fd, request, argument))

static void manage_wrong(int fd)
{
	static uint8_t buf[8192];
	struct qaic_manage_trans_status_to_dev status = { { QAIC_TRANS_STATUS_FROM_USR, 8 } };
	struct qaic_manage_trans_dma_xfer dma = {
		{ QAIC_TRANS_DMA_XFER_FROM_USR, 32 }, 1, 0, (uintptr_t)buf, 4096
	};
	struct qaic_manage_trans_activate_to_dev act = {
		{ QAIC_TRANS_ACTIVATE_FROM_USR, 24 }, 64, 0, 0, 0
	};
	struct qaic_manage_trans_deactivate deact = { { QAIC_TRANS_DEACTIVATE_FROM_USR, 16 },
						      0,
						      0 };
	struct qaic_manage_msg m;
	struct qaic_manage_trans_status_from_dev got;
	const uint64_t p = (uintptr_t)buf;

#define M(name, want, l, c, d)                                                                     \
	do {                                                                                       \
		m = (struct qaic_manage_msg){ l, c, d };                                           \
		expect("manage: " name, want, fd, DRM_IOCTL_QAIC_MANAGE, &m);                      \
	} while (0)
	memcpy(buf, &status, 8);
	M("status", 0, 8, 1, p);
	memcpy(&got, buf, sizeof(got));
	check("manage: status reply", m.len == 24 && m.count == 1 &&
					      got.hdr.type == QAIC_TRANS_STATUS_FROM_DEV &&
					      got.major == 5 && !got.status);
	memcpy(buf, &status, 8);
	M("length 4097", -EINVAL, 4097, 1, p);
	M("count 513", -EINVAL, 8, 513, p);
	M("count 0", -EINVAL, 8, 0, p);
	M("length 0", -EINVAL, 0, 1, p);
	M("length 7", -EINVAL, 7, 1, p);
	M("pointer", -EFAULT, 8, 1, 8);
	M("count more than there is", -EINVAL, 8, 2, p);
	M("length more than transactions", -EINVAL, 16, 1, p);
	for (uint32_t type = 0; type < 24; type++)
		if (type != QAIC_TRANS_PASSTHROUGH_FROM_USR && type != QAIC_TRANS_STATUS_FROM_USR) {
			status.hdr.type = type;
			memcpy(buf, &status, 8);
			m = (struct qaic_manage_msg){ 8, 1, p };
			if (call(fd, DRM_IOCTL_QAIC_MANAGE, &m) != -EINVAL)
				check("manage: type of 8 bytes", false);
		}
	status.hdr.type = QAIC_TRANS_STATUS_FROM_USR;
	static const uint32_t lengths[] = { 0, 7, 9, 12, 0x7fffffff, 0xfffffff8, 0xffffffff };
	for (size_t i = 0; i < sizeof(lengths) / 4; i++) {
		status.hdr.len = lengths[i];
		memcpy(buf, &status, 8);
		M("status of wrong length", -EINVAL, 8, 1, p);
	}
	status.hdr.len = 9;
	memcpy(buf, (uint32_t[]){ QAIC_TRANS_PASSTHROUGH_FROM_USR, 12, 0, 0 }, 16);
	M("passthrough not of eights", -EINVAL, 12, 1, p);
	memcpy(buf, (uint32_t[]){ QAIC_TRANS_PASSTHROUGH_FROM_USR, 0xfffffff8, 0, 0 }, 16);
	M("passthrough that wraps", -EINVAL, 16, 1, p);

#define D(name, want)                                                                              \
	memcpy(buf, &dma, 32);                                                                     \
	M(name, want, 32, 1, p)
	dma.size = 0;
	D("transfer of nothing", -EINVAL);
	dma.size = ~0ull;
	D("transfer that wraps", -EINVAL);
	dma.addr = ~0ull - 4095;
	dma.size = 4096;
	D("transfer at the end", -EINVAL);
	dma.addr = 1ull << 63;
	D("transfer from the kernel", -EFAULT);
	dma.addr = 4096;
	D("transfer from nowhere", -EFAULT);
	dma.addr = (uintptr_t)buf & ~4095ull;
	dma.size = 1ull << 40;
	D("transfer too long", -EFAULT);
	dma.hdr.len = 24;
	D("transfer of wrong length", -EINVAL);

#define A(name, want)                                                                              \
	memcpy(buf, &act, 24);                                                                     \
	M(name, want, 24, 1, p)
	act.queue_size = 0;
	A("activate without queue", -EINVAL);
	act.queue_size = 0xffffffff;
	A("activate with too long a queue", -EINVAL);
	act.queue_size = 0x3000000;
	A("activate with more than memory", -ENOMEM);
	act.queue_size = 64;
	act.pad = 1;
	A("activate with padding", -EINVAL);
	act.pad = 0;
	memcpy(buf, &act, 24);
	memcpy(buf + 24, &act, 24);
	M("two activates", -EINVAL, 48, 2, p);

#define X(name, want)                                                                              \
	memcpy(buf, &deact, 16);                                                                   \
	M(name, want, 16, 1, p)
	for (deact.dbc_id = 0; deact.dbc_id < 16; deact.dbc_id++) {
		memcpy(buf, &deact, 16);
		m = (struct qaic_manage_msg){ 16, 1, p };
		if (call(fd, DRM_IOCTL_QAIC_MANAGE, &m) != -EPERM)
			check("manage: deactivate of others", false);
	}
	X("deactivate 16", -EINVAL);
	deact.dbc_id = 0;
	deact.pad = 1;
	X("deactivate with padding", -EINVAL);
}

static void bo_wrong(int fd)
{
	struct qaic_create_bo c;
	struct qaic_mmap_bo m = { .handle = 1234 };
	uint32_t handle;
	uint8_t *data;

#define C(name, want, size, pad)                                                                   \
	do {                                                                                       \
		c = (struct qaic_create_bo){ size, 0, pad };                                       \
		expect("create: " name, want, fd, DRM_IOCTL_QAIC_CREATE_BO, &c);                   \
	} while (0)
	C("padding", -EINVAL, 4096, 1);
	C("nothing", -EINVAL, 0, 0);
	C("wraps", -EINVAL, ~0ull, 0);
	C("more than memory", -ENOMEM, 1ull << 50, 0);
	expect("mmap: unknown", -ENOENT, fd, DRM_IOCTL_QAIC_MMAP_BO, &m);
	handle = bo_new(fd, 3 * 4096 + 1);
	data = bo_map(fd, handle, 4 * 4096);
	check("mmap: whole", data);
	for (int i = 0; i < 4 * 4096; i++)
		if (data[i])
			check("mmap: zeros", false);
	memset(data, 0x5a, 4 * 4096);
	munmap(data, 4 * 4096);
	data = bo_map(fd, handle, 2 * 4096);
	check("mmap: short", data && data[0] == 0x5a && data[8191] == 0x5a);
	munmap(data, 2 * 4096);
	check("mmap: long", !bo_map(fd, handle, 5 * 4096));
	bo_close(fd, handle);
	check("mmap: closed", !bo_map(fd, handle, 4096));
}

static void attach_wrong(struct client *r)
{
	uint32_t handle = bo_new(r->fd, 8192);
	const struct qaic_attach_slice_entry good = { .size = 4096,
						      .dev_addr = r->active.ddr_base };
	struct qaic_attach_slice_entry e = good, many[CLIENT_QUEUE];
	struct qaic_attach_slice args;

#define T(name, want, field, value)                                                                \
	do {                                                                                       \
		args = (struct qaic_attach_slice){                                                 \
			{ 1, r->active.dbc_id, handle, QAIC_DIR_TO_DEVICE, 8192 }, (uintptr_t)&e   \
		};                                                                                 \
		args.field = value;                                                                \
		expect("attach: " name, want, r->fd, DRM_IOCTL_QAIC_ATTACH_SLICE_BO, &args);       \
	} while (0)
#define E(name, want, field, value)                                                                \
	do {                                                                                       \
		e = good;                                                                          \
		e.field = value;                                                                   \
		T(name, want, hdr.count, 1);                                                       \
	} while (0)
	T("count 0", -EINVAL, hdr.count, 0);
	T("count huge", -EINVAL, hdr.count, 0xffffffff);
	T("channel 16", -EINVAL, hdr.dbc_id, 16);
	T("channel of nobody", -EINVAL, hdr.dbc_id, (r->active.dbc_id + 1) % 16);
	T("handle", -ENOENT, hdr.handle, 4321);
	T("direction 0", -EINVAL, hdr.dir, 0);
	T("direction 3", -EINVAL, hdr.dir, 3);
	T("no data", -EINVAL, data, 0);
	T("bad data", -EFAULT, data, 8);
	E("size", -EINVAL, size, 8193);
	E("size wraps", -EINVAL, size, ~0ull);
	E("offset", -EINVAL, offset, 4097);
	E("offset wraps", -EINVAL, offset, ~0ull - 4094);
	E("device address wraps", -EINVAL, dev_addr, ~0ull);
	E("doorbell length", -EINVAL, db_len, 7);
	E("doorbell length 64", -EINVAL, db_len, 64);
	e = good;
	e.db_len = 32;
	e.db_addr = 2;
	T("doorbell misaligned", -EINVAL, hdr.count, 1);
#define S(n)                                                                                       \
	E("sem value", -EINVAL, sem##n.val, 0x1000);                                               \
	E("sem index", -EINVAL, sem##n.index, 32);                                                 \
	E("sem presync", -EINVAL, sem##n.presync, 2);                                              \
	E("sem cmd", -EINVAL, sem##n.cmd, 7);                                                      \
	E("sem flags", -EINVAL, sem##n.flags, 4);                                                  \
	E("sem pad", -EINVAL, sem##n.pad, 1)
	S(0);
	S(1);
	S(2);
	S(3);
	e = good;
	e.sem0.presync = e.sem2.presync = 1;
	T("two presyncs", -EINVAL, hdr.count, 1);
	for (unsigned int i = 0; i < CLIENT_QUEUE; i++)
		many[i] = (struct qaic_attach_slice_entry){ .dev_addr = r->active.ddr_base };
	check("attach: more than the ring",
	      client_attach(r, handle, 1, many, CLIENT_QUEUE) == -ENOSPC);
	check("attach: all of the ring", client_attach(r, handle, 1, many, CLIENT_QUEUE - 1) == 0);
	check("attach: twice", client_attach(r, handle, 1, many, 1) == -EINVAL);
	check("execute: all of the ring",
	      client_execute(r, &handle, 1) == 0 && client_wait(r, handle, 2000) == 0);
	check("detach", client_detach(r->fd, handle) == 0);
	check("detach: twice", client_detach(r->fd, handle) == -EINVAL);
	check("detach: unknown", client_detach(r->fd, 777) == -ENOENT);
	check("detach: padding", call(r->fd, DRM_IOCTL_QAIC_DETACH_SLICE_BO,
				      &(struct qaic_detach_slice){ handle, 1 }) == -EINVAL);
	bo_close(r->fd, handle);
}

/* To the card's memory and back. */
static void loopback(struct client *r, size_t size, unsigned int slices)
{
	struct qaic_attach_slice_entry in[16] = { 0 }, out[16] = { 0 };
	uint32_t h[2] = { bo_new(r->fd, size), bo_new(r->fd, size) };
	uint8_t *a = bo_map(r->fd, h[0], size), *b = bo_map(r->fd, h[1], size);
	struct qaic_perf_stats_entry stats[2] = { { .handle = h[0] }, { .handle = h[1] } };
	struct qaic_perf_stats perf = { { 2, 0, r->active.dbc_id }, (uintptr_t)stats };
	size_t each = size / slices;
	bool same = true;

	for (unsigned int i = 0; i < slices; i++) {
		in[i].size = out[i].size = each;
		in[i].offset = out[i].offset = i * each;
		in[i].dev_addr = out[i].dev_addr = r->active.ddr_base + i * each;
	}
	/* reading back waits for what was written */
	out[0].sem0.flags = QAIC_SEM_INSYNCFENCE;
	out[0].sem0.presync = 1;
	for (size_t i = 0; i < size; i++)
		a[i] = (uint8_t)(i * 7 + i / 256 + slices);
	memset(b, 0xee, size);
	check("loopback: attach", client_attach(r, h[0], 1, in, slices) == 0 &&
					  client_attach(r, h[1], 2, out, slices) == 0);
	check("perf: before",
	      call(r->fd, DRM_IOCTL_QAIC_PERF_STATS_BO, &perf) == 0 && !stats[1].num_queue_element);
	check("loopback: wait before", client_wait(r, h[1], 100) == 0);
	check("loopback: execute", client_execute(r, h, 2) == 0);
	check("loopback: wait", client_wait(r, h[1], 5000) == 0 && client_wait(r, h[0], 5000) == 0);
	for (size_t i = 0; i < each * slices; i++)
		same = same && a[i] == b[i];
	check("loopback: same", same);
	check("perf: after", call(r->fd, DRM_IOCTL_QAIC_PERF_STATS_BO, &perf) == 0 &&
				     stats[1].num_queue_element >= slices);
	/* part of it: what is behind stays as it was */
	for (size_t i = 0; i < size; i++)
		a[i] = (uint8_t)(i * 13 + 1);
	memset(b, 0, size);
	static const unsigned int eighths[] = { 0, 1, 3, 4, 7, 8 };
	for (unsigned int k = 0; k < sizeof(eighths) / sizeof(eighths[0]); k++) {
		size_t valid = size * eighths[k] / 8;

		memset(b, 0xcc, size);
		same = client_partial(r, h[0], size) == 0 && client_wait(r, h[0], 5000) == 0 &&
		       client_partial(r, h[1], valid) == 0 && client_wait(r, h[1], 5000) == 0;
		for (size_t i = 0; i < each * slices; i++)
			same = same && b[i] == (i < valid ? a[i] : 0xcc);
		check("partial", same);
	}
	check("partial: too long",
	      client_partial(r, h[1], ((size + 4095) & ~4095ull) + 1) == -EINVAL);
	munmap(a, size);
	munmap(b, size);
	bo_close(r->fd, h[0]);
	bo_close(r->fd, h[1]);
}

static void execute_wrong(struct client *r)
{
	uint32_t handle = bo_new(r->fd, 4096), plain = bo_new(r->fd, 4096);
	struct qaic_attach_slice_entry e = { .size = 4096, .dev_addr = r->active.ddr_base };
	struct qaic_execute_entry entry = { handle, 0 };
	struct qaic_execute x;
	struct qaic_wait w;
	uint32_t two[2] = { handle, handle };

	client_attach(r, handle, 1, &e, 1);
#define R(name, want, field, value)                                                                \
	do {                                                                                       \
		x = (struct qaic_execute){ { 1, r->active.dbc_id }, (uintptr_t)&entry };           \
		x.field = value;                                                                   \
		expect("execute: " name, want, r->fd, DRM_IOCTL_QAIC_EXECUTE_BO, &x);              \
	} while (0)
	R("count 0", -EINVAL, hdr.count, 0);
	R("count huge", -EINVAL, hdr.count, 0xffffffff);
	R("channel 16", -EINVAL, hdr.dbc_id, 16);
	R("channel of nobody", -EPERM, hdr.dbc_id, (r->active.dbc_id + 1) % 16);
	R("bad data", -EFAULT, data, 8);
	entry.handle = 999;
	R("unknown", -ENOENT, hdr.count, 1);
	entry.handle = plain;
	R("not sliced", -EINVAL, hdr.count, 1);
	check("execute: twice in a call", client_execute(r, two, 2) == -EINVAL);
	check("execute: after that",
	      client_execute(r, two, 1) == 0 && client_wait(r, handle, 2000) == 0);
#define W(name, want, field, value)                                                                \
	do {                                                                                       \
		w = (struct qaic_wait){ handle, 100, r->active.dbc_id, 0 };                        \
		w.field = value;                                                                   \
		expect("wait: " name, want, r->fd, DRM_IOCTL_QAIC_WAIT_BO, &w);                    \
	} while (0)
	W("padding", -EINVAL, pad, 1);
	W("channel 16", -EINVAL, dbc_id, 16);
	W("channel of nobody", -EPERM, dbc_id, (r->active.dbc_id + 1) % 16);
	W("unknown", -ENOENT, handle, 999);
	W("never sliced", 0, handle, plain);
	bo_close(r->fd, handle);
	bo_close(r->fd, plain);
}

/* A semaphore that nobody raises holds the queue. */
static uint32_t stuck(struct client *r)
{
	uint32_t handle = bo_new(r->fd, 4096);
	struct qaic_attach_slice_entry e = {
		.size = 4096,
		.dev_addr = r->active.ddr_base,
		.sem0 = { .val = 1, .index = 31, .presync = 1, .cmd = QAIC_SEM_WAIT_GT_EQ },
	};

	if (client_attach(r, handle, 1, &e, 1) || client_execute(r, &handle, 1))
		return 0;
	return handle;
}

static void *waiter(void *arg)
{
	static int result;
	struct client *r = arg;

	result = client_wait(r, 1, 20000);
	return &result;
}

static void queue_limits(void)
{
	struct client r;
	uint32_t handle, more[CLIENT_QUEUE];
	struct qaic_attach_slice_entry e;
	pthread_t thread;
	void *result;
	unsigned int n;

	check("open another", client_open(&r) == 0);
	e = (struct qaic_attach_slice_entry){ .size = 64, .dev_addr = r.active.ddr_base };
	handle = stuck(&r);
	check("stuck", handle == 1);
	check("wait: time-out", client_wait(&r, handle, 300) == -ETIMEDOUT);
	check("execute: queued", client_execute(&r, &handle, 1) == -EINVAL);
	check("detach: queued", client_detach(r.fd, handle) == -EBUSY);
	for (n = 0; n < CLIENT_QUEUE; n++) {
		more[n] = bo_new(r.fd, 4096);
		if (client_attach(&r, more[n], 1, &e, 1))
			check("attach", false);
		int ret = client_execute(&r, &more[n], 1);
		if (ret == -EAGAIN)
			break;
		if (ret)
			check("execute", false);
	}
	check("ring is full", n == CLIENT_QUEUE - 2 || n == CLIENT_QUEUE - 1);
	bo_close(r.fd, more[0]);
	pthread_create(&thread, NULL, waiter, &r);
	usleep(200000);
	check("deactivate", client_deactivate(&r) == 0);
	pthread_join(thread, &result);
	printf("# waiter: %s\n", strerror(-*(int *)result));
	check("waiter woken", *(int *)result == -EPERM);
	check("execute: after", client_execute(&r, &more[1], 1) == -EPERM);
	close(r.fd);

	/* closed with transfers queued */
	check("open again", client_open(&r) == 0);
	check("stuck again", stuck(&r) != 0);
	close(r.fd);
}

static void others(struct client *r)
{
	int fd = open_node();
	struct client other = *r;
	uint32_t handle = bo_new(r->fd, 4096);
	struct qaic_attach_slice_entry e = { .size = 4096, .dev_addr = r->active.ddr_base };
	struct drm_prime_handle prime = { .handle = handle, .flags = O_RDWR | O_CLOEXEC };
	struct drm_prime_handle import;
	uint8_t *a, *b;

	other.fd = fd;
	check("other: attach", client_attach(&other, bo_new(fd, 4096), 1, &e, 1) == -EINVAL);
	check("other: execute", client_execute(&other, (uint32_t[]){ 1 }, 1) == -EPERM);
	check("other: wait", client_wait(&other, 1, 10) == -EPERM);
	check("export", call(r->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
	import = (struct drm_prime_handle){ .fd = prime.fd };
	check("import of one's own", call(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import) == 0);
	a = bo_map(r->fd, handle, 4096);
	b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, prime.fd, 0);
	check("mmap of a dma-buf", b != MAP_FAILED);
	strcpy((char *)a, "same");
	check("same memory", !strcmp((char *)b, "same"));
	client_attach(r, handle, 1, &e, 1);
	other.fd = fd;
	check("other: detach", client_detach(fd, import.handle) == -EINVAL);
	close(prime.fd);
	close(fd);
	check("still sliced",
	      client_execute(r, &handle, 1) == 0 && client_wait(r, handle, 1000) == 0);
	/* sliced for another channel */
	check("open another", client_open(&other) == 0);
	prime = (struct drm_prime_handle){ .handle = handle, .flags = O_CLOEXEC };
	call(r->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
	import = (struct drm_prime_handle){ .fd = prime.fd };
	call(other.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import);
	check("execute: sliced for another channel",
	      client_execute(&other, &import.handle, 1) == -EINVAL);
	check("wait: sliced for another channel",
	      client_wait(&other, import.handle, 10) == -EINVAL);
	/* into the other's memory: the card fails the element */
	{
		uint32_t h = bo_new(other.fd, 4096);

		e.dev_addr = r->active.ddr_base;
		check("foreign memory", client_attach(&other, h, 1, &e, 1) == 0 &&
						client_execute(&other, &h, 1) == 0 &&
						client_wait(&other, h, 2000) == -EIO);
		check("and again", client_wait(&other, h, 2000) == -EIO);
	}
	close(prime.fd);
	close(other.fd);
	munmap(a, 4096);
	munmap(b, 4096);
	bo_close(r->fd, handle);
}

int main(int argc, char **argv)
{
	struct client r;

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (clients_init(argv[1], argv[2]))
		return 2;
	check("open", client_open(&r) == 0);
	printf("# dbc %u ddr %llx\n", r.active.dbc_id, (unsigned long long)r.active.ddr_base);
	{
		int fd = open_node();

		manage_wrong(fd);
		bo_wrong(fd);
		close(fd);
	}
	attach_wrong(&r);
	execute_wrong(&r);
	loopback(&r, 4096, 1);
	loopback(&r, 3 * 4096, 1);
	loopback(&r, 3 * 4096, 3);
	loopback(&r, 15 * 4096, 1);
	loopback(&r, 16384, 16);
	queue_limits();
	others(&r);
	close(r.fd);
	printf("# %u failures of %u\n", failures, tests);
	return failures != 0;
}
