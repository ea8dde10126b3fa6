/* SPDX-License-Identifier: MIT */
/* Known bugs on the data path: buffers, slices, queues. */
#include "bugs.h"

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int attach(const struct client *c, uint32_t handle, struct qaic_attach_slice_entry e)
{
	return client_attach(c, handle, 1, &e, 1);
}

/* Slices that end beyond 64 bits, or are in the buffer only if 32 bits are looked at. */
void bug_slice_range(void)
{
	struct qaic_attach_slice args = { 0 };
	struct qaic_attach_slice_entry e;
	struct client c;
	uint32_t handle;

	expect("open", 0, client_open(&c));
	handle = bo_new(c.fd, 8192);
	e = (struct qaic_attach_slice_entry){ .dev_addr = c.active.ddr_base };
#define E(what, o, s)                                                                              \
	e.offset = o, e.size = s;                                                                  \
	expect(what, -EINVAL, attach(&c, handle, e))
	E("end wraps to 0", ~0ull - 4095, 4096);
	E("end wraps into the buffer", ~0ull - 4095, 8192);
	E("size wraps", 4096, ~0ull - 4095);
	E("4 GiB and a page", 0, (4ull << 30) + 4096);
	E("offset of 4 GiB", 4ull << 30, 4096);
	E("2 GiB", 0, 2ull << 30);
	e.offset = 0, e.size = 4096, e.dev_addr = ~0ull - 4094;
	expect("device address wraps", -EINVAL, attach(&c, handle, e));
	args.hdr.count = 0xffffffff;
	args.hdr.dbc_id = c.active.dbc_id;
	args.hdr.handle = handle;
	args.hdr.dir = QAIC_DIR_TO_DEVICE;
	args.data = (uintptr_t)&e;
	expect("array too long", -EINVAL, call(c.fd, DRM_IOCTL_QAIC_ATTACH_SLICE_BO, &args));
	/* 72 times it is 32 in 32 bits */
	args.hdr.count = 59652324;
	expect("array whose size wraps", -EINVAL,
	       call(c.fd, DRM_IOCTL_QAIC_ATTACH_SLICE_BO, &args));
	e.dev_addr = c.active.ddr_base;
	expect("a right one", 0, attach(&c, handle, e));
	close(c.fd);
}

static atomic_bool stop;

struct slicer {
	struct client *c;
	uint32_t handle;
	int unexpected;
};

static void *slice_on(void *arg)
{
	struct slicer *s = arg;
	struct qaic_attach_slice_entry e = { .size = 65536, .dev_addr = s->c->active.ddr_base };

	while (!stop) {
		int ret = client_attach(s->c, s->handle, 1, &e, 1);

		if (ret && ret != -EINVAL)
			s->unexpected = ret;
		ret = client_detach(s->c->fd, s->handle);
		if (ret && ret != -EINVAL)
			s->unexpected = ret;
	}
	return NULL;
}

/* A buffer is sliced once; and slicing while the channel is given back does no harm. */
void bug_sliced_twice(void)
{
	struct slicer slicers[2];
	pthread_t threads[2];
	struct client c;
	uint32_t handle;

	expect("open", 0, client_open(&c));
	handle = sliced(&c, 1, 4096, 0);
	expect("twice", -EINVAL,
	       attach(&c, handle,
		      (struct qaic_attach_slice_entry){ .dev_addr = c.active.ddr_base }));
	expect("execute", 0, client_execute(&c, &handle, 1));
	expect("wait", 0, client_wait(&c, handle, 3000));
	for (int i = 0; i < 2; i++) {
		slicers[i] = (struct slicer){ .c = &c, .handle = bo_new(c.fd, 65536) };
		pthread_create(&threads[i], NULL, slice_on, &slicers[i]);
	}
	for (int i = 0; i < 6; i++) {
		expect("deactivate", 0, client_deactivate(&c));
		expect("activate", 0, client_activate(&c));
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		expect("slicing", 0, slicers[i].unexpected);
	}
	close(c.fd);
}

/* Slicing that fails after the buffer was mapped leaves it unmapped, and as if never sliced. */
void bug_slice_failed(void)
{
	struct qaic_attach_slice_entry many[CLIENT_QUEUE];
	unsigned int before;
	struct client c;
	uint32_t handle;

	expect("open", 0, client_open(&c));
	before = card_mapped();
	for (unsigned int i = 0; i < CLIENT_QUEUE; i++)
		many[i] = (struct qaic_attach_slice_entry){ .dev_addr = c.active.ddr_base };
	for (int i = 0; i < 8; i++) {
		handle = bo_new(c.fd, 65536);
		expect("more than the ring", -ENOSPC,
		       client_attach(&c, handle, 1, many, CLIENT_QUEUE));
		expect("not sliced", -EINVAL, client_detach(c.fd, handle));
		expect("not sliced", -EINVAL, client_execute(&c, &handle, 1));
		expect("fewer", 0, client_attach(&c, handle, 1, many, 2));
		bo_close(c.fd, handle);
	}
	expect("stretches of memory left to the card", 0, (int)(before - card_mapped()));
	close(c.fd);
}

static long cgroup(const char *file, const char *write_text)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/bugs/%s", file);
	fd = open(path, write_text ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		return -1;
	if (write_text)
		text[0] = write(fd, write_text, strlen(write_text)) > 0 ? '0' : 0;
	else if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return *text ? atol(text) : -1;
}

/* Memory runs out in the middle of a buffer: that is ENOMEM, and what there was is given back. */
void bug_create_failed(void)
{
	struct qaic_create_bo create = { .size = 256 << 20 };
	int fd = open_node();
	long before, after;

	check("a control group", cgroup("cgroup.procs", "0") == 0);
	check("its limit", cgroup("memory.max", "100663296") == 0);
	before = cgroup("memory.current", NULL);
	for (int i = 0; i < 6; i++)
		expect("more than there is", -ENOMEM, call(fd, DRM_IOCTL_QAIC_CREATE_BO, &create));
	after = cgroup("memory.current", NULL);
	printf("# %ld KiB before, %ld KiB after\n", before >> 10, after >> 10);
	check("what is left", before >= 0 && after < before + (2 << 20));
	create.size = 8 << 20;
	expect("less", 0, call(fd, DRM_IOCTL_QAIC_CREATE_BO, &create));
	close(fd);
}

/* How many dma-bufs there are. */
static int dma_bufs(void)
{
	FILE *f = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	char line[256];
	int n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Total %d objects", &n);
	if (f)
		fclose(f);
	return n;
}

/* A buffer of the second card, sliced on the first. */
static void foreign(struct client *c, int other, bool close_first)
{
	struct qaic_attach_slice_entry e = { .size = 65536, .dev_addr = c->active.ddr_base };
	struct drm_prime_handle prime = { .flags = O_RDWR | O_CLOEXEC };
	struct drm_prime_handle import = { 0 };
	uint32_t theirs = bo_new(other, 65536), back = sliced(c, 2, 65536, 0);
	uint8_t *a = bo_map(other, theirs, 65536), *b = bo_map(c->fd, back, 65536);

	check("buffers", theirs && back && a && b);
	for (int i = 0; i < 65536; i++)
		a[i] = (uint8_t)(i * 11 + i / 256);
	prime.handle = theirs;
	expect("export", 0, call(other, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	import.fd = prime.fd;
	expect("import", 0, call(c->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import));
	close(prime.fd);
	if (close_first) {
		/* the importer is the last who has it */
		munmap(a, 65536);
		bo_close(other, theirs);
	}
	expect("attach", 0, client_attach(c, import.handle, 1, &e, 1));
	expect("execute", 0, client_execute(c, &import.handle, 1));
	expect("wait", 0, client_wait(c, import.handle, 3000));
	expect("read back", 0, client_execute(c, &back, 1));
	expect("wait", 0, client_wait(c, back, 3000));
	for (int i = 0; i < 65536; i++)
		if (b[i] != (uint8_t)(i * 11 + i / 256)) {
			check("the same bytes", false);
			break;
		}
	munmap(b, 65536);
	bo_close(c->fd, back);
	bo_close(c->fd, import.handle);
	if (!close_first) {
		munmap(a, 65536);
		bo_close(other, theirs);
	}
}

void bug_prime(void)
{
	int before, other = other_node ? open(other_node, O_RDWR | O_CLOEXEC) : -1;
	struct client c;

	check("a second card", other >= 0);
	if (other < 0)
		return;
	expect("open", 0, client_open(&c));
	before = dma_bufs();
	check("dma-bufs are listed", before >= 0);
	for (int i = 0; i < 6; i++)
		foreign(&c, other, i & 1);
	close(c.fd);
	close(other);
	/* the last reference of a file goes when its task is back from the kernel */
	usleep(100000);
	expect("dma-bufs left", before, dma_bufs());
}

/* A call that fails leaves nothing queued: neither those before the wrong one, nor a ring that is
 * full. */
void bug_execute_failed(void)
{
	struct client c;
	uint32_t h[4], hold;
	struct qaic_attach_slice_entry stuck, many[CLIENT_QUEUE - 1];

	expect("open", 0, client_open(&c));
	for (int i = 0; i < 3; i++)
		h[i] = sliced(&c, 1, 4096, 4096ull * (uint64_t)i);
	h[3] = bo_new(c.fd, 4096);
	expect("the last is not sliced", -EINVAL, client_execute(&c, h, 4));
	expect("one of them twice", -EINVAL,
	       client_execute(&c, (uint32_t[]){ h[0], h[1], h[2], h[0] }, 4));
	expect("the last is unknown", -ENOENT,
	       client_execute(&c, (uint32_t[]){ h[0], h[1], 9999 }, 3));
	for (int i = 0; i < 3; i++) {
		expect("each alone", 0, client_execute(&c, &h[i], 1));
		expect("wait", 0, client_wait(&c, h[i], 3000));
	}
	/* a semaphore that nobody raises, and then more than there is room for */
	stuck = (struct qaic_attach_slice_entry){
		.dev_addr = c.active.ddr_base,
		.sem0 = { .val = 1, .index = 31, .presync = 1, .cmd = QAIC_SEM_WAIT_GT_EQ },
	};
	for (unsigned int i = 0; i < CLIENT_QUEUE - 1; i++)
		many[i] = (struct qaic_attach_slice_entry){ .dev_addr = c.active.ddr_base };
	hold = bo_new(c.fd, 4096);
	expect("attach", 0, attach(&c, hold, stuck));
	expect("attach", 0, client_attach(&c, h[3], 1, many, CLIENT_QUEUE - 1));
	expect("hold", 0, client_execute(&c, &hold, 1));
	expect("a full ring", -EAGAIN, client_execute(&c, (uint32_t[]){ h[0], h[3] }, 2));
	expect("the first is not queued", 0, client_detach(c.fd, h[0]));
	expect("nor the second", 0, client_detach(c.fd, h[3]));
	close(c.fd);
}

struct submitter {
	struct client *c;
	uint32_t handle;
	unsigned int rounds, ended;
	int ret;
};

static void *submit(void *arg)
{
	struct submitter *s = arg;

	while (!s->ret && s->ended < s->rounds) {
		s->ret = client_execute(s->c, &s->handle, 1);
		if (s->ret == -EAGAIN) {
			s->ret = 0;
			continue;
		}
		if (!s->ret)
			s->ret = client_wait(s->c, s->handle, 4000);
		s->ended += !s->ret;
	}
	return NULL;
}

/* Waits for nothing: again as soon as it can be, until the channel is gone. */
static void *submit_blindly(void *arg)
{
	struct submitter *s = arg;
	double end = now() + 20;

	do
		s->ret = client_execute(s->c, &s->handle, 1);
	while ((!s->ret || s->ret == -EAGAIN || s->ret == -EINVAL) && now() < end);
	return NULL;
}

/* Runs four threads on one channel, each with a buffer of so many slices. */
static void submitters(struct client *c, struct submitter *s, unsigned int rounds,
		       unsigned int slices, void *(*run)(void *))
{
	struct qaic_attach_slice_entry entries[CLIENT_QUEUE];
	unsigned int bytes = 4096 / slices / 8 * 8;
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int k = 0; k < slices; k++)
			entries[k] = (struct qaic_attach_slice_entry){
				.size = bytes,
				.offset = bytes * k,
				.dev_addr = c->active.ddr_base + 4096 * i + bytes * k,
			};
		s[i] = (struct submitter){ .c = c, .rounds = rounds };
		s[i].handle = bo_new(c->fd, 4096);
		expect("attach", 0, client_attach(c, s[i].handle, 1, entries, slices));
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, run, &s[i]);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* Nobody's elements overwrite another's: all that was submitted comes back. */
void bug_submitters(void)
{
	struct submitter s[4];
	struct client c;

	expect("open", 0, client_open(&c));
	submitters(&c, s, 250, 8, submit);
	for (int i = 0; i < 4; i++) {
		expect("executions", 0, s[i].ret);
		expect("of them", 250, (int)s[i].ended);
	}
	close(c.fd);
}

static int perf(const struct client *c, struct qaic_perf_stats_entry *entries, uint16_t count)
{
	struct qaic_perf_stats args = { { count, 0, c->active.dbc_id }, (uintptr_t)entries };

	return call(c->fd, DRM_IOCTL_QAIC_PERF_STATS_BO, &args);
}

/* Numbers of a buffer, and waiting for it, are to be had of its own channel alone. */
void bug_perf_foreign(void)
{
	struct drm_prime_handle prime = { .flags = O_CLOEXEC }, import = { 0 };
	struct qaic_perf_stats_entry entry[2] = { 0 };
	struct client a, b;

	expect("open", 0, client_open(&a));
	expect("open", 0, client_open(&b));
	prime.handle = sliced(&a, 1, 4096, 0);
	expect("execute", 0, client_execute(&a, &prime.handle, 1));
	expect("wait", 0, client_wait(&a, prime.handle, 3000));
	entry[0].handle = prime.handle;
	expect("of one's own", 0, perf(&a, entry, 1));
	check("elements", entry[0].num_queue_element);
	expect("export", 0, call(a.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	import.fd = prime.fd;
	expect("import", 0, call(b.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import));
	entry[0] = (struct qaic_perf_stats_entry){ .handle = import.handle };
	expect("of another channel's", -EINVAL, perf(&b, entry, 1));
	check("and none are told", !entry[0].num_queue_element);
	expect("wait for another channel's", -EINVAL, client_wait(&b, import.handle, 100));
	expect("execute it", -EINVAL, client_execute(&b, &import.handle, 1));
	close(prime.fd);
	close(b.fd);
	close(a.fd);
}

/* Nor of one that has none. */
void bug_perf_unsliced(void)
{
	struct qaic_perf_stats_entry entry[2] = { 0 };
	struct client c;

	expect("open", 0, client_open(&c));
	entry[0].handle = sliced(&c, 1, 4096, 0);
	entry[1].handle = bo_new(c.fd, 4096);
	expect("of none", 0, perf(&c, entry, 0));
	expect("not sliced", -EINVAL, perf(&c, entry, 2));
	expect("no longer sliced", 0, client_detach(c.fd, entry[0].handle));
	expect("no longer sliced", -EINVAL, perf(&c, entry, 1));
	expect("wait", 0, client_wait(&c, entry[1].handle, 100));
	close(c.fd);
}

/* The card takes the channel away while four threads submit: nothing is queued behind its end. As
 * there is room for one of them, the others wait for the channel's lock all the time. */
void bug_release(void)
{
	struct submitter s[4];
	struct client c;
	int ret;

	/* the moment is a matter of luck, on a busy machine most of all */
	for (int i = 0; i < 10; i++) {
		expect("open", 0, client_open(&c));
		plan("crash-nsp@doorbell#50");
		submitters(&c, s, 0, 40, submit_blindly);
		for (int k = 0; k < 4; k++) {
			check("was told", s[k].ret == -EPIPE || s[k].ret == -EPERM);
			/* the one who takes the channel may be about to do this himself */
			ret = client_detach(c.fd, s[k].handle);
			check("no longer queued", !ret || ret == -EINVAL);
		}
		for (int k = 0; k < 100 && channel_state(c.active.dbc_id); k++)
			usleep(50000);
		expect("state", 0, channel_state(c.active.dbc_id));
		close(c.fd);
	}
	expect("open again", 0, client_open(&c));
	submitters(&c, s, 20, 8, submit);
	for (int k = 0; k < 4; k++)
		expect("works again", 0, s[k].ret);
	close(c.fd);
}

/* Whether the kernel can read a byte there in our name, without the page being looked for. */
static bool readable(const volatile uint8_t *at)
{
	int fds[2];
	bool ok;

	if (pipe(fds))
		return false;
	ok = write(fds[1], (const void *)at, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return ok;
}

/* A mapping shorter than the buffer ends where it ends. */
void bug_short_mmap(void)
{
	int fd = open_node();
	uint32_t handle = bo_new(fd, 16 * 4096);
	struct qaic_mmap_bo args = { .handle = handle };
	uint8_t *room = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect("offset", 0, call(fd, DRM_IOCTL_QAIC_MMAP_BO, &args));
	munmap(room, 64 * 4096);
	for (size_t pages = 1; pages <= 16; pages += 5) {
		uint8_t *data = mmap(room, pages * 4096, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)args.offset);

		check("mapped", data == room);
		if (data != room)
			break;
		data[pages * 4096 - 1] = 1;
		for (size_t i = pages; i < 17; i++)
			check("beyond it nothing is", !readable(room + i * 4096));
		munmap(data, pages * 4096);
	}
	check("longer",
	      mmap(room, 17 * 4096, PROT_READ, MAP_SHARED, fd, (off_t)args.offset) == MAP_FAILED);
	bo_close(fd, handle);
	close(fd);
}

/* Interrupts without cause, of this channel and of those that nobody has. */
void bug_spurious(void)
{
	long boots = card_counter("boots");
	struct client c;
	uint32_t handle;
	unsigned int rounds = 0;
	double end;
	int ret = 0;

	expect("open", 0, client_open(&c));
	handle = sliced(&c, 1, 4096, 0);
	plan("spurious=2000@doorbell#1");
	for (end = now() + 2.5; !ret && now() < end; rounds++)
		ret = client_execute(&c, &handle, 1) ?: client_wait(&c, handle, 4000);
	expect("executions", 0, ret);
	printf("# %u executions meanwhile\n", rounds);
	check("some", rounds > 5);
	expect("boots of the card", (int)-boots, (int)-card_counter("boots"));
	expect("deactivate", 0, client_deactivate(&c));
	close(c.fd);
}
