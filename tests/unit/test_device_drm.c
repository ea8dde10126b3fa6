/* SPDX-License-Identifier: MIT */
/*
 * The ABI and the drm transport, with a kernel of the test's own behind ioctl(): sizes, offsets and
 * numbers as the mainline driver has them, what each call sends, and how interrupted, full and
 * refusing calls are met.
 */
#include "unit.h"

#include "device/drm_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Numbers written out: direction 31:30, size 29:16, 'd' 15:8, command 7:0. */
#define NR_VERSION    0xc0406400u
#define NR_GEM_CLOSE  0x40086409u
#define NR_PRIME_FD   0xc00c642du
#define NR_MANAGE     0xc0106440u
#define NR_CREATE_BO  0xc0106441u
#define NR_MMAP_BO    0xc0106442u
#define NR_ATTACH     0x40206443u
#define NR_EXECUTE    0x40106444u
#define NR_PARTIAL    0x40106445u
#define NR_WAIT	      0x40106446u
#define NR_PERF_STATS 0xc0106447u
#define NR_DETACH     0x40086448u

/* The kernel's side: what it shall answer, and the last call it got. */
static struct {
	const char *driver;
	int errors[8]; /* for the calls that follow, of commands of the driver; 0 passes */
	unsigned int num_errors;
	int always; /* for all calls */
	unsigned int calls;
	unsigned long request;
	uint8_t argument[64];
	uint8_t reply[4096];
	uint32_t reply_len, reply_count;
	uint32_t closed_handle;
	int usr1_blocked, term_blocked;
	uint32_t timeouts[8];
} kernel;

static uint32_t word(size_t offset)
{
	uint32_t value;

	memcpy(&value, kernel.argument + offset, 4);
	return value;
}

static uint64_t quad(size_t offset)
{
	uint64_t value;

	memcpy(&value, kernel.argument + offset, 8);
	return value;
}

static int driver_call(unsigned long request, uint8_t *argument)
{
	unsigned int call = kernel.calls++;
	int error = call < kernel.num_errors ? kernel.errors[call] : kernel.always;
	sigset_t blocked;

	kernel.request = request;
	memset(kernel.argument, 0, sizeof(kernel.argument));
	memcpy(kernel.argument, argument, (request >> 16) & 0x3fff);
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	kernel.usr1_blocked = sigismember(&blocked, SIGUSR1);
	kernel.term_blocked = sigismember(&blocked, SIGTERM);
	if (request == NR_WAIT && call < 8)
		kernel.timeouts[call] = word(4);
	if (request == NR_CREATE_BO && !error)
		memcpy(argument + 8, &(uint32_t){ 42 }, 4);
	if (request == NR_MMAP_BO)
		memcpy(argument + 8, &(uint64_t){ 4096 }, 8);
	if (request == NR_MANAGE && (!error || error == ECANCELED)) {
		memcpy((void *)(uintptr_t)quad(8), kernel.reply, sizeof(kernel.reply));
		memcpy(argument, &kernel.reply_len, 4);
		memcpy(argument + 4, &kernel.reply_count, 4);
	}
	errno = error;
	return error ? -1 : 0;
}

/* Room and address of name, date and description stand from offset 16 on; the lengths come back. */
static int version_call(uint8_t *argument)
{
	const char *texts[3] = { kernel.driver, "0", "a card" };

	if (!kernel.driver) {
		errno = ENOTTY;
		return -1;
	}
	for (int i = 0; i < 3; i++) {
		uint64_t room, to, length = strlen(texts[i]);

		memcpy(&room, argument + 16 + 16 * i, 8);
		memcpy(&to, argument + 24 + 16 * i, 8);
		if (to && room >= length)
			memcpy((void *)(uintptr_t)to, texts[i], length);
		memcpy(argument + 16 + 16 * i, &length, 8);
	}
	return 0;
}

/* Stands in for libc's, for the library under test and for libdrm. */
__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	uint8_t *argument;

	va_start(args, request);
	argument = va_arg(args, uint8_t *);
	va_end(args);
	if ((uint32_t)request == NR_VERSION)
		return version_call(argument);
	if ((uint32_t)request == NR_GEM_CLOSE) {
		memcpy(&kernel.closed_handle, argument, 4);
		return 0;
	}
	if ((uint32_t)request == NR_PRIME_FD) {
		int out = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		memcpy(argument + 8, &out, 4);
		return 0;
	}
	return driver_call((uint32_t)request, argument);
}

static char node[] = "qeff-drm-XXXXXX";

static struct qeff_transport *open_node(const char *driver)
{
	struct qeff_transport *t = NULL;
	struct qeff_error err = { 0 };

	memset(&kernel, 0, sizeof(kernel));
	kernel.driver = driver;
	CU_ASSERT_EQUAL_FATAL(qeff_drm_open(node, "0000:03:00.0", &t, &err), 0);
	return t;
}

static void next_errors(unsigned int count, int first, int second, int third)
{
	kernel.calls = 0;
	kernel.num_errors = count;
	kernel.errors[0] = first;
	kernel.errors[1] = second;
	kernel.errors[2] = third;
}

static void sizes_and_numbers(void)
{
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_msg), 16);
	CU_ASSERT_EQUAL(offsetof(struct qaic_manage_msg, data), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_create_bo), 16);
	CU_ASSERT_EQUAL(offsetof(struct qaic_create_bo, handle), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_mmap_bo), 16);
	CU_ASSERT_EQUAL(offsetof(struct qaic_mmap_bo, offset), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_sem), 8);
	CU_ASSERT_EQUAL(offsetof(struct qaic_sem, index), 2);
	CU_ASSERT_EQUAL(offsetof(struct qaic_sem, presync), 3);
	CU_ASSERT_EQUAL(offsetof(struct qaic_sem, cmd), 4);
	CU_ASSERT_EQUAL(offsetof(struct qaic_sem, flags), 5);
	CU_ASSERT_EQUAL(sizeof(struct qaic_attach_slice_entry), 72);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, sem0), 8);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, sem3), 32);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, dev_addr), 40);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, db_addr), 48);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, db_data), 56);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, db_len), 60);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_entry, offset), 64);
	CU_ASSERT_EQUAL(sizeof(struct qaic_attach_slice_hdr), 24);
	CU_ASSERT_EQUAL(offsetof(struct qaic_attach_slice_hdr, size), 16);
	CU_ASSERT_EQUAL(sizeof(struct qaic_attach_slice), 32);
	CU_ASSERT_EQUAL(sizeof(struct qaic_execute_entry), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_partial_execute_entry), 16);
	CU_ASSERT_EQUAL(sizeof(struct qaic_execute), 16);
	CU_ASSERT_EQUAL(sizeof(struct qaic_wait), 16);
	CU_ASSERT_EQUAL(offsetof(struct qaic_wait, dbc_id), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_perf_stats_hdr), 8);
	CU_ASSERT_EQUAL(offsetof(struct qaic_perf_stats_hdr, dbc_id), 4);
	CU_ASSERT_EQUAL(sizeof(struct qaic_perf_stats), 16);
	CU_ASSERT_EQUAL(sizeof(struct qaic_perf_stats_entry), 24);
	CU_ASSERT_EQUAL(sizeof(struct qaic_detach_slice), 8);
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_trans_dma_xfer), 32);
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_trans_activate_to_dev), 24);
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_trans_activate_from_dev), 24);
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_trans_deactivate), 16);
	CU_ASSERT_EQUAL(sizeof(struct qaic_manage_trans_status_from_dev), 24);

	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_MANAGE, NR_MANAGE);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_CREATE_BO, NR_CREATE_BO);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_MMAP_BO, NR_MMAP_BO);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_ATTACH_SLICE_BO, NR_ATTACH);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_EXECUTE_BO, NR_EXECUTE);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_PARTIAL_EXECUTE_BO, NR_PARTIAL);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_WAIT_BO, NR_WAIT);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_PERF_STATS_BO, NR_PERF_STATS);
	CU_ASSERT_EQUAL(DRM_IOCTL_QAIC_DETACH_SLICE_BO, NR_DETACH);
}

static void only_our_drivers(void)
{
	struct qeff_transport *t = NULL;
	struct qeff_error err = { 0 };
	int fd;

	CU_ASSERT_EQUAL(qeff_drm_open("no/such", "card", &t, &err), -ENOENT);
	fd = mkstemp(node);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 65536), 0);
	close(fd);
	kernel.driver = NULL;
	CU_ASSERT_EQUAL(qeff_drm_open(node, "card", &t, &err), -EPROTO);
	kernel.driver = "i915";
	CU_ASSERT_EQUAL(qeff_drm_open(node, "card", &t, &err), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"i915\", expected qeff or qaic"));
	t = open_node("qeff");
	t->ops->close(t);
}

static void activate(struct qeff_transport *t, uint32_t queue_size)
{
	/* ACTIVATE of @queue_size; the reply: ACTIVATE_FROM_DEV, status 0, channel 3 */
	uint8_t data[4096] = { 7, 0, 0, 0, 24 };
	uint32_t size = 24, count = 1;

	memcpy(data + 8, &queue_size, 4);
	memset(kernel.reply, 0, sizeof(kernel.reply));
	kernel.reply[0] = 8;
	kernel.reply[4] = 24;
	kernel.reply[12] = 3;
	kernel.reply_len = 24;
	kernel.reply_count = 1;
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, NULL), 0);
}

static void handler(int sig)
{
}

static void control_messages(void)
{
	struct qeff_transport *t = open_node("qaic");
	struct sigaction action = { .sa_handler = handler }, old;
	uint8_t data[4096] = { 12, 0, 0, 0, 8 };
	uint32_t size = 8, count = 1;
	struct qeff_error err = { 0 };

	kernel.reply[0] = 14;
	kernel.reply_len = 24;
	kernel.reply_count = 2;
	sigaction(SIGUSR1, &action, &old);
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, NULL), 0);
	sigaction(SIGUSR1, &old, NULL);
	CU_ASSERT_EQUAL(kernel.request, NR_MANAGE);
	CU_ASSERT_EQUAL(word(0), 8);
	CU_ASSERT_EQUAL(word(4), 1);
	CU_ASSERT_EQUAL(quad(8), (uintptr_t)data);
	CU_ASSERT_EQUAL(size, 24);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(data[0], 14);
	/* a handler would have the message sent twice; what ends the process may */
	CU_ASSERT_TRUE(kernel.usr1_blocked);
	CU_ASSERT_FALSE(kernel.term_blocked);

	/* the card refuses, and says why in its reply */
	next_errors(1, ECANCELED, 0, 0);
	kernel.reply_len = 16;
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, &err), -ECANCELED);
	CU_ASSERT_EQUAL(size, 16);
	next_errors(1, ENODEV, 0, 0);
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "0000:03:00.0: control message: the card is"));
	next_errors(1, EINTR, 0, 0);
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, NULL), -EINTR);
	CU_ASSERT_EQUAL(kernel.calls, 1); /* not sent again */
	next_errors(0, 0, 0, 0);
	kernel.reply_len = 4097;
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, NULL), -EPROTO);
	size = 4097;
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, NULL), -EINVAL);
	t->ops->close(t);
}

static void buffers(void)
{
	struct qeff_transport *t = open_node("qeff");
	uint64_t size;
	uint32_t handle;
	void *data, *again;
	int fd;

	CU_ASSERT_EQUAL(t->ops->buffer_create(t, 0, &handle, NULL), -EINVAL);
	CU_ASSERT_EQUAL(t->ops->buffer_create(t, UINT64_MAX, &handle, NULL), -EINVAL);
	CU_ASSERT_EQUAL(kernel.calls, 0);
	next_errors(1, ENOMEM, 0, 0);
	CU_ASSERT_EQUAL(t->ops->buffer_create(t, 1, &handle, NULL), -ENOMEM);
	next_errors(1, EINTR, 0, 0);
	CU_ASSERT_EQUAL(t->ops->buffer_create(t, 5000, &handle, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_CREATE_BO);
	CU_ASSERT_EQUAL(quad(0), 5000);
	CU_ASSERT_EQUAL(quad(8), 0);
	CU_ASSERT_EQUAL(handle, 42);

	CU_ASSERT_EQUAL(t->ops->buffer_map(t, 7, &data, &size, NULL), -ENOENT);
	CU_ASSERT_EQUAL(t->ops->buffer_map(t, 42, &data, &size, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_MMAP_BO);
	CU_ASSERT_EQUAL(word(0), 42);
	CU_ASSERT_EQUAL(word(4), 0);
	CU_ASSERT_EQUAL(size, 8192); /* all of it: whole pages */
	memcpy(data, "where offset 4096 is", 20);
	CU_ASSERT_EQUAL(t->ops->buffer_map(t, 42, &again, &size, NULL), 0);
	CU_ASSERT_PTR_EQUAL(again, data);
	CU_ASSERT_EQUAL(t->ops->buffer_export(t, 42, &fd, NULL), 0);
	CU_ASSERT_TRUE(fd >= 0);
	close(fd);
	t->ops->buffer_free(t, 7);
	CU_ASSERT_EQUAL(kernel.closed_handle, 0);
	t->ops->buffer_free(t, 42);
	CU_ASSERT_EQUAL(kernel.closed_handle, 42);
	CU_ASSERT_EQUAL(t->ops->buffer_map(t, 42, &data, &size, NULL), -ENOENT);
	t->ops->close(t);
}

static void slices(void)
{
	struct qeff_transport *t = open_node("qeff");
	const struct qaic_attach_slice_entry entries[8] = { 0 };
	struct qeff_error err = { 0 };
	uint32_t handle;

	CU_ASSERT_EQUAL(t->ops->buffer_create(t, 5000, &handle, NULL), 0);
	activate(t, 8);
	CU_ASSERT_EQUAL(t->ops->slice(t, 42, 3, 2, entries, 7, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_ATTACH);
	CU_ASSERT_EQUAL(word(0), 7);
	CU_ASSERT_EQUAL(word(4), 3);
	CU_ASSERT_EQUAL(word(8), 42);
	CU_ASSERT_EQUAL(word(12), 2);
	CU_ASSERT_EQUAL(quad(16), 8192);
	CU_ASSERT_EQUAL(quad(24), (uintptr_t)entries);

	/* would be accepted by mainline and could never run: the kernel is not even asked */
	kernel.calls = 0;
	CU_ASSERT_EQUAL(t->ops->slice(t, 42, 3, 2, entries, 8, &err), -ENOSPC);
	CU_ASSERT_EQUAL(kernel.calls, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "holds 7 elements"));

	CU_ASSERT_EQUAL(t->ops->unslice(t, 42, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_DETACH);
	CU_ASSERT_EQUAL(word(0), 42);
	next_errors(2, EINTR, EBUSY, 0);
	CU_ASSERT_EQUAL(t->ops->unslice(t, 42, NULL), -EBUSY);
	t->ops->close(t);
}

static void execution(void)
{
	struct qeff_transport *t = open_node("qeff");
	const struct qaic_execute_entry entries[2] = { { 42, 1 }, { 43, 2 } };
	const struct qaic_partial_execute_entry partial[2] = { { 42, 1, 100 }, { 43, 2, 1 } };
	struct qaic_perf_stats_entry stats[2] = { 0 };

	CU_ASSERT_EQUAL(t->ops->execute(t, 3, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_EXECUTE);
	CU_ASSERT_EQUAL(word(0), 2);
	CU_ASSERT_EQUAL(word(4), 3);
	CU_ASSERT_EQUAL(quad(8), (uintptr_t)entries);
	/* a full ring comes back at once; an interrupted call has queued nothing */
	next_errors(1, EAGAIN, 0, 0);
	CU_ASSERT_EQUAL(t->ops->execute(t, 3, entries, 2, NULL), -EAGAIN);
	CU_ASSERT_EQUAL(kernel.calls, 1);
	next_errors(2, EINTR, EINTR, 0);
	CU_ASSERT_EQUAL(t->ops->execute(t, 3, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(kernel.calls, 3);

	CU_ASSERT_EQUAL(t->ops->execute_partial(t, 3, partial, 2, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_PARTIAL);
	CU_ASSERT_EQUAL(word(0), 2);
	CU_ASSERT_EQUAL(word(4), 3);
	CU_ASSERT_EQUAL(quad(8), (uintptr_t)partial);
	next_errors(1, EAGAIN, 0, 0);
	CU_ASSERT_EQUAL(t->ops->execute_partial(t, 3, partial, 2, NULL), -EAGAIN);
	CU_ASSERT_EQUAL(kernel.calls, 1);

	CU_ASSERT_EQUAL(t->ops->stats(t, 3, stats, 2, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_PERF_STATS);
	CU_ASSERT_EQUAL(word(0), 2); /* 16 bits of count, 16 of padding */
	CU_ASSERT_EQUAL(word(4), 3);
	CU_ASSERT_EQUAL(quad(8), (uintptr_t)stats);
	CU_ASSERT_EQUAL(t->ops->stats(t, 3, stats, 65536, NULL), -EINVAL);
	t->ops->close(t);
}

static void waits_have_a_deadline(void)
{
	struct qeff_transport *t = open_node("qeff");

	CU_ASSERT_EQUAL(t->ops->wait(t, 3, 42, 1000, NULL), 0);
	CU_ASSERT_EQUAL(kernel.request, NR_WAIT);
	CU_ASSERT_EQUAL(word(0), 42);
	CU_ASSERT_TRUE(word(4) > 900 && word(4) <= 1000);
	CU_ASSERT_EQUAL(word(8), 3);
	CU_ASSERT_EQUAL(word(12), 0);
	/* 0 is the default of 5 s, and so stays a deadline when the call is interrupted */
	next_errors(2, EINTR, EINTR, 0);
	CU_ASSERT_EQUAL(t->ops->wait(t, 3, 42, 0, NULL), 0);
	CU_ASSERT_EQUAL(kernel.calls, 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_TRUE(kernel.timeouts[i] > 4000 && kernel.timeouts[i] <= 5000);
	next_errors(1, ETIMEDOUT, 0, 0);
	CU_ASSERT_EQUAL(t->ops->wait(t, 3, 42, 10, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(kernel.calls, 1);
	next_errors(1, EIO, 0, 0);
	CU_ASSERT_EQUAL(t->ops->wait(t, 3, 42, 10, NULL), -EIO);

	/* interrupted without end: over at the deadline */
	kernel.always = EINTR;
	CU_ASSERT_EQUAL(t->ops->wait(t, 3, 42, 5, NULL), -ETIMEDOUT);
	t->ops->close(t);
	unlink(node);
}

static const struct unit_test tests[] = {
	{ "sizes and numbers", sizes_and_numbers },
	{ "only our drivers", only_our_drivers },
	{ "control messages", control_messages },
	{ "buffers", buffers },
	{ "slices", slices },
	{ "execution", execution },
	{ "waits have a deadline", waits_have_a_deadline },
};
QEFF_UNIT_MAIN("device-drm", tests)
