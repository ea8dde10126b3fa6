/* SPDX-License-Identifier: MIT */
/* The client's side of vfio-user, at the offsets of the protocol's text. */
#include "client.h"

#include "util/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 16u

static void *run(void *user)
{
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_vcard_run(user, &err), 0);
	return NULL;
}

void server_start(struct server *s, const char *faults, const char *images)
{
	struct qeff_error err = { 0 };
	struct qeff_vcard_config config = {
		.card = { .nsps = 16, .ddr_bytes = UINT64_C(1) << 30, .sku = 2, .serial = "VC1" },
		.device_id = QEFF_PCI_AIC100,
		.images = images,
		.fault_plan = faults,
	};

	strcpy(s->dir, "/tmp/qeff-vcard-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/card", s->dir);
	snprintf(s->trace, sizeof(s->trace), "%s/trace", s->dir);
	snprintf(s->stats, sizeof(s->stats), "%s/stats", s->dir);
	config.socket_path = s->socket;
	config.trace_path = s->trace;
	config.stats_path = s->stats;
	if (qeff_vcard_new(&config, &s->vcard, &err)) {
		fprintf(stderr, "%s\n", err.message);
		CU_FAIL_FATAL("no card");
	}
	CU_ASSERT_EQUAL_FATAL(pthread_create(&s->thread, NULL, run, s->vcard), 0);
}

void server_stop(struct server *s)
{
	qeff_vcard_stop(s->vcard);
	pthread_join(s->thread, NULL);
	qeff_vcard_free(s->vcard);
	unlink(s->trace);
	unlink(s->stats);
	CU_ASSERT_EQUAL(rmdir(s->dir), 0);
}

bool client_raw(struct client *c, const void *data, size_t size_bytes)
{
	return send(c->fd, data, size_bytes, MSG_NOSIGNAL) == (ssize_t)size_bytes;
}

static bool receive(int fd, void *to, size_t size_bytes)
{
	return !size_bytes || recv(fd, to, size_bytes, MSG_WAITALL) == (ssize_t)size_bytes;
}

static bool send_message(int fd, const void *header, const void *data, size_t size_bytes,
			 const int *fds, unsigned int num_fds)
{
	union {
		char bytes[CMSG_SPACE(MESSAGES * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec v[2] = { { (void *)header, HEADER }, { (void *)data, size_bytes } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	if (num_fds) {
		struct cmsghdr *h = &control.align;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, num_fds * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)(HEADER + size_bytes);
}

int client_call(struct client *c, uint16_t command, const void *data, size_t size_bytes,
		const int *fds, unsigned int num_fds, void *reply, size_t room, size_t *reply_bytes)
{
	uint8_t header[HEADER] = { 0 }, rest[8192];
	size_t got;

	qeff_put_u16(header, ++c->id);
	qeff_put_u16(header + 2, command);
	qeff_put_u32(header + 4, (uint32_t)(HEADER + size_bytes));
	if (!send_message(c->fd, header, data, size_bytes, fds, num_fds) ||
	    !receive(c->fd, header, HEADER))
		return -1;
	CU_ASSERT_EQUAL(qeff_get_u16(header), c->id);
	CU_ASSERT_EQUAL(qeff_get_u16(header + 2), command);
	CU_ASSERT_EQUAL(qeff_get_u32(header + 8) & 0xf, 1);
	got = qeff_get_u32(header + 4) - HEADER;
	CU_ASSERT_FATAL(got <= sizeof(rest));
	if (!receive(c->fd, rest, got))
		return -1;
	if (qeff_get_u32(header + 8) & 0x20) {
		CU_ASSERT_EQUAL(got, 0);
		return (int)qeff_get_u32(header + 12);
	}
	if (reply)
		memcpy(reply, rest, got < room ? got : room);
	if (reply_bytes)
		*reply_bytes = got;
	return 0;
}

static void greet(struct client *c)
{
	static const char capabilities[] =
		"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
		"\"pgsizes\":4096,\"max_dma_maps\":65535,\"write_multiple\":true}}";
	uint8_t message[4 + sizeof(capabilities)] = { 0 }, reply[512];
	size_t size;

	memcpy(message + 4, capabilities, sizeof(capabilities));
	CU_ASSERT_EQUAL_FATAL(client_call(c, VFIO_VERSION, message, sizeof(message), NULL, 0, reply,
					  sizeof(reply), &size),
			      0);
	CU_ASSERT_EQUAL(qeff_get_u32(reply), 0);
	CU_ASSERT_FATAL(size > 5 && size < sizeof(reply) && !reply[size - 1]);
	CU_ASSERT_PTR_NOT_NULL(strstr((const char *)reply + 4, "\"max_msg_fds\":16"));
	CU_ASSERT_PTR_NULL(strstr((const char *)reply + 4, "write_multiple"));
}

void client_open(struct client *c, const struct server *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*c = (struct client){ 0 };
	for (unsigned int i = 0; i < MESSAGES; i++)
		c->irq[i] = -1;
	strcpy(address.sun_path, s->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(connect(c->fd, (const struct sockaddr *)&address, sizeof(address)),
			      0);
	c->memory = memfd_create("guest", MFD_CLOEXEC);
	CU_ASSERT_FATAL(c->memory >= 0 && !ftruncate(c->memory, GUEST_BYTES));
	greet(c);
}

void client_close(struct client *c)
{
	close(c->fd);
	close(c->memory);
	if (c->ram)
		munmap(c->ram, GUEST_BYTES);
	for (unsigned int i = 0; i < MESSAGES; i++)
		if (c->irq[i] >= 0)
			close(c->irq[i]);
}

int client_map(struct client *c, uint64_t address, uint64_t size_bytes, uint64_t offset, int fd,
	       uint32_t flags)
{
	uint8_t m[32] = { 0 };

	qeff_put_u32(m, sizeof(m));
	qeff_put_u32(m + 4, flags);
	qeff_put_u64(m + 8, offset);
	qeff_put_u64(m + 16, address);
	qeff_put_u64(m + 24, size_bytes);
	return client_call(c, VFIO_DMA_MAP, m, sizeof(m), &fd, fd >= 0, NULL, 0, NULL);
}

int client_unmap(struct client *c, uint64_t address, uint64_t size_bytes)
{
	uint8_t m[24] = { 0 }, reply[24];
	size_t got;
	int ret;

	qeff_put_u32(m, sizeof(m));
	qeff_put_u64(m + 8, address);
	qeff_put_u64(m + 16, size_bytes);
	ret = client_call(c, VFIO_DMA_UNMAP, m, sizeof(m), NULL, 0, reply, sizeof(reply), &got);
	if (!ret)
		CU_ASSERT(got == 24 && !memcmp(reply, m, 24));
	return ret;
}

void client_map_ram(struct client *c, bool scattered)
{
	size_t piece = scattered ? GUEST_PAGE : GUEST_BYTES, count = GUEST_BYTES / piece;

	c->ram = mmap(NULL, GUEST_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(c->ram, MAP_FAILED);
	for (size_t i = 0; i < count; i++) {
		/* a permutation: 5237 has no factor in common with 12288 pages */
		size_t from = i * 5237 % count;

		if (client_map(c, GUEST_BASE + i * piece, piece, from * piece, c->memory, 3))
			CU_FAIL_FATAL("a page cannot be mapped");
		if (mmap(c->ram + i * piece, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 c->memory, (off_t)(from * piece)) == MAP_FAILED)
			CU_FAIL_FATAL("no memory");
	}
}

uint32_t client_read(struct client *c, uint32_t region, uint64_t offset, uint32_t size_bytes)
{
	uint8_t m[16], reply[20] = { 0 };
	size_t got;

	qeff_put_u64(m, offset);
	qeff_put_u32(m + 8, region);
	qeff_put_u32(m + 12, size_bytes);
	CU_ASSERT_EQUAL_FATAL(
		client_call(c, VFIO_REGION_READ, m, sizeof(m), NULL, 0, reply, sizeof(reply), &got),
		0);
	CU_ASSERT_EQUAL(got, 16 + size_bytes);
	return qeff_get_u32(reply + 16);
}

void client_write(struct client *c, uint32_t region, uint64_t offset, uint32_t value,
		  uint32_t size_bytes)
{
	uint8_t m[20];

	qeff_put_u64(m, offset);
	qeff_put_u32(m + 8, region);
	qeff_put_u32(m + 12, size_bytes);
	qeff_put_u32(m + 16, value);
	CU_ASSERT_EQUAL_FATAL(
		client_call(c, VFIO_REGION_WRITE, m, 16 + size_bytes, NULL, 0, NULL, 0, NULL), 0);
}

void client_enable_msi(struct client *c, unsigned int count)
{
	uint8_t m[20] = { 0 };

	for (unsigned int start = 0; start < count; start += 16) {
		unsigned int n = count - start < 16 ? count - start : 16;

		for (unsigned int i = 0; i < n; i++)
			c->irq[start + i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		qeff_put_u32(m, sizeof(m));
		qeff_put_u32(m + 4, 0x24);
		qeff_put_u32(m + 8, 1);
		qeff_put_u32(m + 12, start);
		qeff_put_u32(m + 16, n);
		CU_ASSERT_EQUAL_FATAL(client_call(c, VFIO_SET_IRQS, m, sizeof(m), c->irq + start, n,
						  NULL, 0, NULL),
				      0);
	}
}

static bool wait_fd(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, timeout_ms) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

bool client_wait(struct client *c, unsigned int message)
{
	return wait_fd(c->irq[message], 10000);
}

bool client_poll(struct client *c, unsigned int message)
{
	return wait_fd(c->irq[message], 0);
}

uint64_t guest_alloc(struct client *c, size_t size_bytes, size_t alignment)
{
	size_t at = (c->used_bytes + alignment - 1) & ~(alignment - 1);

	CU_ASSERT_FATAL(at + size_bytes <= GUEST_BYTES);
	c->used_bytes = at + size_bytes;
	memset(c->ram + at, 0, size_bytes);
	return GUEST_BASE + at;
}
