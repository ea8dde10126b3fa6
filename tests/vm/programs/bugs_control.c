/* SPDX-License-Identifier: MIT */
/* Known bugs on the control channel: messages, pinned memory, users and channels. */
#include "bugs.h"

#include "nnc/command.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int manage(int fd, void *data, uint32_t bytes, uint32_t count)
{
	struct qaic_manage_msg msg = { .len = bytes, .count = count, .data = (uintptr_t)data };

	return call(fd, DRM_IOCTL_QAIC_MANAGE, &msg);
}

/* Lengths of transactions: beyond the message, and adding up to it only in 32 bits. */
void bug_encode(void)
{
	static uint32_t buf[1024];
	int fd = open_node();

	/* the third begins inside of the first */
	memcpy(buf, (uint32_t[]){ 1, 16, 1, 16, 1, 0xfffffff8 }, 24);
	expect("lengths that wrap", -EINVAL, manage(fd, buf, 24, 3));
	memcpy(buf, (uint32_t[]){ 1, 16, 0, 0, 1, 24 }, 24);
	expect("the last one is longer than what is left", -EINVAL, manage(fd, buf, 24, 2));
	memcpy(buf, (uint32_t[]){ 1, 16, 0, 0, 1, 8 }, 24);
	expect("bytes that are in none", -EINVAL, manage(fd, buf, 24, 1));
	expect("half a header", -EINVAL, manage(fd, buf, 20, 2));
	expect("and then", 0, status(fd));
	close(fd);
}

/* What a reply says of its own lengths. What has no magic or sequence number of ours is no reply.
 */
void bug_decode(void)
{
	static const struct {
		const char *how;
		int want;
	} replies[] = {
		{ "wrap", -EINVAL },	    { "short", -EINVAL },    { "count", -EINVAL },
		{ "transaction", -EINVAL }, { "type", -EINVAL },     { "length", -ETIMEDOUT },
		{ "truncate", -ETIMEDOUT }, { "magic", -ETIMEDOUT },
	};
	char text[64];
	int fd = open_node();

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		snprintf(text, sizeof(text), "malform=%s@control#1", replies[i].how);
		plan(text);
		expect(replies[i].how, replies[i].want, status(fd));
	}
	expect("and then", 0, status(fd));
	close(fd);
}

static long vmstat(const char *name)
{
	FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");
	char line[128];
	long value = -1;

	/* counts that are still with the processors */
	if (f) {
		fputs("1", f);
		fclose(f);
	}
	f = fopen("/proc/vmstat", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
			value = atol(line + strlen(name));
	if (f)
		fclose(f);
	return value;
}

static long pinned(void)
{
	return vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
}

static int transfer(int fd, uint64_t address, uint64_t bytes)
{
	struct qaic_manage_trans_dma_xfer t = {
		{ QAIC_TRANS_DMA_XFER_FROM_USR, sizeof(t) }, 1, 0, address, bytes
	};

	return manage(fd, &t, sizeof(t), 1);
}

/* Memory that a transfer cannot have, wholly or in part; nothing of it stays pinned. */
void bug_pinning(void)
{
	uint8_t *data = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	const uint64_t at = (uintptr_t)data;
	struct qaic_manage_trans_dma_xfer two[2] = {
		{ { QAIC_TRANS_DMA_XFER_FROM_USR, 32 }, 1, 0, at, 8 * 4096 },
		{ { QAIC_TRANS_DMA_XFER_FROM_USR, 32 }, 2, 0, at, 9 * 4096 },
	};
	int fd = open_node();
	long before;

	munmap(data + 8 * 4096, 8 * 4096);
	before = pinned();
	check("pinned pages are counted", vmstat("nr_foll_pin_acquired") >= 0);
	expect("nothing", -EINVAL, transfer(fd, at, 0));
	expect("wraps", -EINVAL, transfer(fd, at, -at));
	expect("wraps by far", -EINVAL, transfer(fd, at, ~0ull));
	for (int i = 0; i < 50; i++)
		if (transfer(fd, at, 9 * 4096) != -EFAULT)
			check("a page too much", false);
	expect("of two, the second", -EFAULT, manage(fd, two, sizeof(two), 2));
	expect("pages that stay pinned", 0, (int)(before - pinned()));
	close(fd);
}

/* LOAD_CONSTANTS of @data, and then a STATUS in the same message. Returns what manage does, or
 * -EPROTO if the card did not take it. */
static int load(int fd, const void *data, uint64_t bytes, uint32_t *count)
{
	static struct {
		struct qaic_manage_trans_hdr hdr;
		struct qeff_nnc_load_constants_req req;
		struct qaic_manage_trans_dma_xfer dma;
		struct qaic_manage_trans_hdr status;
		uint8_t room[4096];
	} m;
	struct qaic_manage_msg msg = { .count = *count, .data = (uintptr_t)&m };
	const struct qeff_nnc_load_constants_resp *got = (const void *)(&m.hdr + 1);
	int ret;

	m.hdr = (struct qaic_manage_trans_hdr){ QAIC_TRANS_PASSTHROUGH_FROM_USR,
						sizeof(m.hdr) + sizeof(m.req) };
	m.req = (struct qeff_nnc_load_constants_req){
		.type = QEFF_NNC_LOAD_CONSTANTS,
		.tag = 7,
		.data_length = bytes,
		.name = "bugs",
	};
	m.dma = (struct qaic_manage_trans_dma_xfer){
		{ QAIC_TRANS_DMA_XFER_FROM_USR, sizeof(m.dma) }, 7, 0, (uintptr_t)data, bytes
	};
	m.status = (struct qaic_manage_trans_hdr){ QAIC_TRANS_STATUS_FROM_USR, sizeof(m.status) };
	msg.len = m.hdr.len + m.dma.hdr.len + (*count == 3 ? m.status.len : 0);
	ret = call(fd, DRM_IOCTL_QAIC_MANAGE, &msg);
	*count = msg.count;
	if (!ret && (m.hdr.type != QAIC_TRANS_PASSTHROUGH_FROM_DEV ||
		     got->type != QEFF_NNC_LOAD_CONSTANTS_RESP || got->status))
		ret = -EPROTO;
	return ret;
}

/* A transfer in several messages, while others talk to the card: none disturbs another. */
static volatile bool stop;

static void *talker(void *result)
{
	int fd = open_node(), ret = 0;

	while (!ret && !stop)
		ret = status(fd);
	*(int *)result = ret;
	close(fd);
	return NULL;
}

void bug_resend(void)
{
	/*
	 * 2 MiB, 65 times, in runs of 8 pages: more pages than are pinned for one message, and more
	 * stretches than one describes. A mapping for each page would take a debug kernel minutes.
	 */
	uint8_t *data = scattered(512, 8, 65);
	pthread_t thread;
	uint32_t count;
	long before, messages;
	int fd = open_node(), talk = -1;

	check("memory", data);
	if (!data)
		return;
	before = pinned();
	pthread_create(&thread, NULL, talker, &talk);
	count = 2;
	messages = card_counter("control_messages");
	expect("transfer in parts", 0, load(fd, data, 65ull << 21, &count));
	check("it was in parts", card_counter("control_messages") >= messages + 2);
	stop = true;
	pthread_join(thread, NULL);
	expect("meanwhile", 0, talk);
	expect("pages that stay pinned", 0, (int)(before - pinned()));
	close(fd);
}

/* Pages that are no neighbours become neighbours for the card where addresses are translated. */
void bug_coalesced(void)
{
	uint8_t *data = scattered(300, 1, 1);
	struct client c;
	const void *image;
	uint32_t count = 2;
	size_t bytes;
	int fd = open_node();

	image = clients_image(&bytes);
	printf("# the program has %zu bytes\n", bytes);
	check("memory", data && bytes <= 300 * 4096);
	if (!data || bytes > 300 * 4096)
		return;
	expect("constants in scattered pages", 0, load(fd, data, 300 * 4096, &count));
	close(fd);
	/* the card looks into it */
	memcpy(data, image, bytes);
	clients_set_image(data);
	expect("a program in scattered pages", 0, client_open(&c));
	close(c.fd);
}

/* Each message has 64 KiB on the wire, whatever is the limit of what the user may send. */
void bug_room(void)
{
	uint8_t *data = scattered(1000, 1, 1);
	uint32_t count = 3;
	int fd = open_node();
	long messages;

	check("memory", data);
	if (!data)
		return;
	messages = card_counter("control_messages");
	expect("a long transfer and what follows it", 0, load(fd, data, 1000 * 4096, &count));
	expect("both were answered", 2, (int)count);
	expect("messages", 1, (int)(card_counter("control_messages") - messages));
	close(fd);
}

static void on_alarm(int number)
{
}

/* The number by which the card knows the user of @fd. */
static long handle_of(int fd)
{
	expect("status", 0, status(fd));
	return card_counter("control_user");
}

/* A signal ends the wait for an answer; when that has come, the user's number is free again. */
void bug_handles(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	long first, again;
	int fd, keep = open_node();

	sigaction(SIGALRM, &action, NULL);
	handle_of(keep);
	fd = open_node();
	first = handle_of(fd);
	close(fd);
	for (int i = 0; i < 3; i++) {
		fd = open_node();
		plan("delay=600@control#1");
		ualarm(200000, 0);
		expect("interrupted", -EINTR, status(fd));
		close(fd);
		usleep(900000);
	}
	fd = open_node();
	again = handle_of(fd);
	expect("the lowest free number", (int)-first, (int)-again);
	close(fd);
	close(keep);
}

static bool works(const struct client *c)
{
	uint32_t handle = sliced(c, 1, 4096, 0);
	bool ok = handle && !client_execute(c, &handle, 1) && !client_wait(c, handle, 3000);

	bo_close(c->fd, handle);
	return ok;
}

/* The answer to a DEACTIVATE comes when nobody waits for it any more. The time-out is a second. */
void bug_late_deactivate(void)
{
	struct client a, b;
	unsigned int dbc_id;
	double begin;

	/* its owner is still there: he has lost the channel, and it can be had again */
	expect("open", 0, client_open(&a));
	dbc_id = a.active.dbc_id;
	plan("delay=1600@control#1");
	expect("deactivate", -ETIMEDOUT, client_deactivate(&a));
	for (int i = 0; i < 100 && channel_state(dbc_id); i++)
		usleep(50000);
	expect("state", 0, channel_state(dbc_id));
	close(a.fd);

	/* its owner has gone, and the channel is somebody else's */
	expect("open", 0, client_open(&a));
	plan("delay=5000@control#1");
	begin = now();
	expect("deactivate", -ETIMEDOUT, client_deactivate(&a));
	close(a.fd);
	expect("open another", 0, client_open(&b));
	check("before the late answer", now() - begin < 4.8);
	check("the same channel", a.active.dbc_id == b.active.dbc_id);
	check("works", works(&b));
	while (now() - begin < 5.5)
		usleep(100000);
	check("works when the late answer has come", works(&b));
	close(b.fd);

	/* an ACTIVATE whose owner has gone before it was answered */
	expect("load", 0, client_load(&a));
	plan("delay=1600@control#1");
	expect("activate", -ETIMEDOUT, client_activate(&a));
	close(a.fd);
	usleep(1500000);
	expect("state", 0, channel_state(dbc_id));
}
