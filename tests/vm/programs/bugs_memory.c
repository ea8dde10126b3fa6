/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out anywhere: each allocation of each call fails in turn, which takes a kernel
 * with failslab. The call says ENOMEM, or does without; afterwards it works. That nothing stays
 * behind is seen by the kernel's own leak detector, and by the card's list of mapped memory.
 */
#include "bugs.h"

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct client c;
static uint32_t handle;
static struct qaic_attach_slice_entry entries[32];

/* The @nth allocation of this thread from now on fails; 0: none. Returns what was left of the one
 * before. The file stays open, as opening it takes allocations as well. */
static int fail_nth(int nth)
{
	static int fd = -1;
	char text[16] = "";
	int left = -1;

	if (fd < 0)
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		left = atoi(text);
	snprintf(text, sizeof(text), "%d", nth);
	return pwrite(fd, text, strlen(text), 0) < 0 ? -1 : left;
}

static int do_open(void)
{
	int fd = open_node();

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int do_create(void)
{
	struct qaic_create_bo create = { .size = 3 << 20 };
	int ret = call(c.fd, DRM_IOCTL_QAIC_CREATE_BO, &create);

	if (!ret)
		bo_close(c.fd, create.handle);
	return ret;
}

static int do_attach(void)
{
	int ret = client_attach(&c, handle, 1, entries, 32);

	if (!ret)
		client_detach(c.fd, handle);
	return ret;
}

static int do_execute(void)
{
	int ret = client_execute(&c, &handle, 1);

	return ret ? ret : client_wait(&c, handle, 3000);
}

static int do_perf(void)
{
	struct qaic_perf_stats_entry entry = { .handle = handle };
	struct qaic_perf_stats args = { { 1, 0, c.active.dbc_id }, (uintptr_t)&entry };

	return call(c.fd, DRM_IOCTL_QAIC_PERF_STATS_BO, &args);
}

static int do_status(void)
{
	return status(c.fd);
}

static int do_mmap(void)
{
	void *data = bo_map(c.fd, handle, 65536);

	if (!data)
		return -ENOMEM;
	munmap(data, 65536);
	return 0;
}

static int do_prime(void)
{
	/* a second export of the same buffer would take no memory */
	struct drm_prime_handle prime = { .handle = bo_new(c.fd, 65536), .flags = O_CLOEXEC };
	int ret;

	if (!prime.handle)
		return -ENOMEM;
	ret = call(c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
	if (!ret)
		close(prime.fd);
	bo_close(c.fd, prime.handle);
	return ret;
}

static int do_client(void)
{
	struct client other;
	int ret = client_open(&other);

	if (other.fd >= 0)
		close(other.fd);
	return ret;
}

static void each(const char *what, int (*run)(void), int limit)
{
	int failed = 0, ret;

	for (int nth = 1; nth <= limit; nth++) {
		fail_nth(nth);
		ret = run();
		if (fail_nth(0) > 0)
			break;
		failed += ret != 0;
		/* EFAULT: of mapping memory for the card */
		if (ret && ret != -ENOMEM && ret != -EFAULT)
			expect(what, -ENOMEM, ret);
	}
	printf("# %s: %d failures\n", what, failed);
	check("some failed", failed);
	expect(what, 0, run());
}

void bug_no_memory(void)
{
	expect("open", 0, client_open(&c));
	handle = bo_new(c.fd, 65536);
	for (unsigned int i = 0; i < 32; i++)
		entries[i] = (struct qaic_attach_slice_entry){
			.size = 2048,
			.offset = 2048 * i,
			.dev_addr = c.active.ddr_base + 2048 * i,
		};
	check("allocations can be made to fail", fail_nth(0) >= 0);
	each("open", do_open, 60);
	each("create", do_create, 60);
	each("attach", do_attach, 60);
	expect("attach", 0, client_attach(&c, handle, 1, entries, 32));
	each("execute", do_execute, 20);
	each("numbers", do_perf, 20);
	each("status", do_status, 40);
	each("mmap", do_mmap, 40);
	each("export", do_prime, 120);
	each("a client", do_client, 120);
	close(c.fd);
}
