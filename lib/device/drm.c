/* SPDX-License-Identifier: MIT */
/*
 * The transport over a DRM driver's ioctls.
 *
 * libdrm's drmIoctl() repeats a call for as long as it gives EINTR or EAGAIN. Here EAGAIN means
 * "the ring is full" and a wait has a deadline, so the calls that may block or be full are plain
 * ioctl(); libdrm gives the driver's name, closes handles and exports buffers.
 *
 * One lock guards the table of buffers and the queue sizes; no ioctl is made under it but those
 * that cannot block.
 */
#include "device/drm_transport.h"
#include "nnc/transaction.h"
#include "nnc/user.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xf86drm.h>

#define DEFAULT_WAIT_MS 5000u

struct drm_buffer {
	uint32_t handle;
	uint64_t size_bytes;
	void *data; /* NULL until mapped */
};

struct drm_transport {
	struct qeff_transport base;
	int fd;
	char name[32];
	pthread_mutex_t lock;
	struct drm_buffer *buffers;
	size_t num_buffers;
	/* elements of each channel's ring, 0 if not ours */
	uint32_t queue_size[QAIC_MAX_DBCS];
};

static struct drm_transport *drm_of(struct qeff_transport *t)
{
	return (struct drm_transport *)t;
}

static int fail(const struct drm_transport *d, struct qeff_error *err, int code, const char *what)
{
	char text[128];

	if (code == -ENODEV)
		return qeff_error_set(err, code, "%s: %s: the card is offline", d->name, what);
	return qeff_error_set(err, code, "%s: %s: %s", d->name, what,
			      qeff_strerror(-code, text, sizeof(text)));
}

static int call(const struct drm_transport *d, unsigned long request, void *argument)
{
	return ioctl(d->fd, request, argument) < 0 ? -errno : 0;
}

static int call_again(const struct drm_transport *d, unsigned long request, void *argument)
{
	int ret;

	do {
		ret = call(d, request, argument);
	} while (ret == -EINTR);
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct drm_buffer *find_buffer(struct drm_transport *d, uint32_t handle)
{
	for (size_t i = 0; i < d->num_buffers; i++)
		if (d->buffers[i].handle == handle)
			return &d->buffers[i];
	return NULL;
}

static void drm_close(struct qeff_transport *t)
{
	struct drm_transport *d = drm_of(t);

	for (size_t i = 0; i < d->num_buffers; i++)
		if (d->buffers[i].data)
			munmap(d->buffers[i].data, d->buffers[i].size_bytes);
	close(d->fd);
	free(d->buffers);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/*
 * A signal handler that interrupts MANAGE leaves open whether the card got the message, and the
 * kernel may then send it again. So the signals that have a handler wait for the reply; those that
 * would end the process still do.
 */
static void hold_handled_signals(sigset_t *old)
{
	sigset_t held;

	sigemptyset(&held);
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction action;

		if (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL &&
		    sigaction(sig, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN)
			sigaddset(&held, sig);
	}
	pthread_sigmask(SIG_BLOCK, &held, old);
}

static uint32_t requested_queue(const void *data, uint32_t size_bytes)
{
	struct qeff_transaction_reader r = { .data = data, .size_bytes = size_bytes };
	struct qeff_transaction t;
	struct qeff_user_activate activate;

	while (qeff_transaction_next(&r, &t, NULL) == 1)
		if (t.type == QEFF_ACTIVATE_FROM_USR &&
		    qeff_transaction_copy(&t, &activate, sizeof(activate)))
			return activate.queue_size;
	return 0;
}

static void note_activation(struct drm_transport *d, const void *data, uint32_t size_bytes,
			    uint32_t queue_size)
{
	struct qeff_transaction_reader r = { .data = data, .size_bytes = size_bytes };
	struct qeff_transaction t;
	struct qeff_user_activate_reply reply;

	while (qeff_transaction_next(&r, &t, NULL) == 1) {
		if (t.type != QEFF_ACTIVATE_FROM_DEV ||
		    !qeff_transaction_copy(&t, &reply, sizeof(reply)) || reply.status != 0 ||
		    reply.dbc_id >= QAIC_MAX_DBCS)
			continue;
		pthread_mutex_lock(&d->lock);
		d->queue_size[reply.dbc_id] = queue_size;
		pthread_mutex_unlock(&d->lock);
	}
}

static int drm_manage(struct qeff_transport *t, void *data, uint32_t *size_bytes, uint32_t *count,
		      struct qeff_error *err)
{
	struct drm_transport *d = drm_of(t);
	struct qaic_manage_msg msg = {
		.len = *size_bytes,
		.count = *count,
		.data = (uintptr_t)data,
	};
	uint32_t queue_size;
	sigset_t old;
	int ret;

	if (*size_bytes > QEFF_MANAGE_MAX_BYTES)
		return fail(d, err, -EINVAL, "control message");
	queue_size = requested_queue(data, *size_bytes);
	hold_handled_signals(&old);
	ret = call(d, DRM_IOCTL_QAIC_MANAGE, &msg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* a card that refuses leaves its reply all the same */
	if (ret && ret != -ECANCELED)
		return fail(d, err, ret, "control message");
	if (msg.len > QEFF_MANAGE_MAX_BYTES)
		return qeff_error_set(err, -EPROTO,
				      "%s: control reply of %u bytes, expected at most %u", d->name,
				      msg.len, QEFF_MANAGE_MAX_BYTES);
	*size_bytes = msg.len;
	*count = msg.count;
	if (queue_size)
		note_activation(d, data, msg.len, queue_size);
	return ret ? fail(d, err, ret, "control message: the card refused") : 0;
}

static int drm_buffer_create(struct qeff_transport *t, uint64_t size_bytes, uint32_t *handle,
			     struct qeff_error *err)
{
	struct drm_transport *d = drm_of(t);
	struct qaic_create_bo create = { .size = size_bytes };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct drm_buffer *grown;
	int ret;

	if (size_bytes == 0 || size_bytes > UINT64_MAX - page)
		return qeff_error_set(err, -EINVAL, "%s: buffer of %llu bytes", d->name,
				      (unsigned long long)size_bytes);
	ret = call_again(d, DRM_IOCTL_QAIC_CREATE_BO, &create);
	if (ret)
		return fail(d, err, ret, "new buffer");
	pthread_mutex_lock(&d->lock);
	grown = reallocarray(d->buffers, d->num_buffers + 1, sizeof(*grown));
	if (grown) {
		d->buffers = grown;
		grown[d->num_buffers++] = (struct drm_buffer){
			.handle = create.handle,
			.size_bytes = (size_bytes + page - 1) & ~(page - 1),
		};
	}
	pthread_mutex_unlock(&d->lock);
	if (!grown) {
		drmCloseBufferHandle(d->fd, create.handle);
		return fail(d, err, -ENOMEM, "new buffer");
	}
	*handle = create.handle;
	return 0;
}

static int map_locked(struct drm_transport *d, struct drm_buffer *b, struct qeff_error *err)
{
	struct qaic_mmap_bo map = { .handle = b->handle };
	void *data;
	int ret;

	if (b->data)
		return 0;
	ret = call_again(d, DRM_IOCTL_QAIC_MMAP_BO, &map);
	if (ret)
		return fail(d, err, ret, "map buffer");
	data = mmap(NULL, b->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
		    (off_t)map.offset);
	if (data == MAP_FAILED)
		return fail(d, err, -errno, "map buffer");
	b->data = data;
	return 0;
}

static int drm_buffer_map(struct qeff_transport *t, uint32_t handle, void **data,
			  uint64_t *size_bytes, struct qeff_error *err)
{
	struct drm_transport *d = drm_of(t);
	struct drm_buffer *b;
	int ret = -ENOENT;

	pthread_mutex_lock(&d->lock);
	b = find_buffer(d, handle);
	if (!b)
		fail(d, err, ret, "map buffer");
	else
		ret = map_locked(d, b, err);
	if (!ret) {
		*data = b->data;
		*size_bytes = b->size_bytes;
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

static int drm_buffer_export(struct qeff_transport *t, uint32_t handle, int *fd,
			     struct qeff_error *err)
{
	struct drm_transport *d = drm_of(t);

	if (drmPrimeHandleToFD(d->fd, handle, DRM_CLOEXEC | DRM_RDWR, fd) < 0)
		return fail(d, err, -errno, "export buffer");
	return 0;
}

static void drm_buffer_free(struct qeff_transport *t, uint32_t handle)
{
	struct drm_transport *d = drm_of(t);
	struct drm_buffer *b;

	pthread_mutex_lock(&d->lock);
	b = find_buffer(d, handle);
	if (b) {
		if (b->data)
			munmap(b->data, b->size_bytes);
		*b = d->buffers[--d->num_buffers];
		drmCloseBufferHandle(d->fd, handle);
	}
	pthread_mutex_unlock(&d->lock);
}

static int drm_slice(struct qeff_transport *t, uint32_t handle, uint32_t dbc_id, uint32_t direction,
		     const struct qaic_attach_slice_entry *entries, uint32_t count,
		     struct qeff_error *err)
{
	struct drm_transport *d = drm_of(t);
	struct qaic_attach_slice attach = {
		.hdr = { .count = count, .dbc_id = dbc_id, .handle = handle, .dir = direction },
		.data = (uintptr_t)entries,
	};
	uint32_t queue_size = 0;
	struct drm_buffer *b;
	int ret;

	pthread_mutex_lock(&d->lock);
	b = find_buffer(d, handle);
	attach.hdr.size = b ? b->size_bytes : 0;
	if (dbc_id < QAIC_MAX_DBCS)
		queue_size = d->queue_size[dbc_id];
	pthread_mutex_unlock(&d->lock);
	/* a ring keeps one element free, and each slice takes one at least: mainline accepts a
	 * buffer that takes them all, which then can never be executed */
	if (queue_size && count > queue_size - 1)
		return qeff_error_set(err, -ENOSPC,
				      "%s: buffer with %u slices on a ring that holds %u elements",
				      d->name, count, queue_size - 1);
	ret = call_again(d, DRM_IOCTL_QAIC_ATTACH_SLICE_BO, &attach);
	return ret ? fail(d, err, ret, "slice buffer") : 0;
}

static int drm_unslice(struct qeff_transport *t, uint32_t handle, struct qeff_error *err)
{
	struct qaic_detach_slice detach = { .handle = handle };
	int ret = call_again(drm_of(t), DRM_IOCTL_QAIC_DETACH_SLICE_BO, &detach);

	return ret ? fail(drm_of(t), err, ret, "unslice buffer") : 0;
}

static int queue(struct drm_transport *d, unsigned long request, uint32_t dbc_id,
		 const void *entries, uint32_t count, struct qeff_error *err)
{
	struct qaic_execute execute = {
		.hdr = { .count = count, .dbc_id = dbc_id },
		.data = (uintptr_t)entries,
	};
	/* an interrupted call has queued nothing */
	int ret = call_again(d, request, &execute);

	return ret ? fail(d, err, ret, "execute") : 0;
}

static int drm_execute(struct qeff_transport *t, uint32_t dbc_id,
		       const struct qaic_execute_entry *entries, uint32_t count,
		       struct qeff_error *err)
{
	return queue(drm_of(t), DRM_IOCTL_QAIC_EXECUTE_BO, dbc_id, entries, count, err);
}

static int drm_execute_partial(struct qeff_transport *t, uint32_t dbc_id,
			       const struct qaic_partial_execute_entry *entries, uint32_t count,
			       struct qeff_error *err)
{
	return queue(drm_of(t), DRM_IOCTL_QAIC_PARTIAL_EXECUTE_BO, dbc_id, entries, count, err);
}

static int drm_wait(struct qeff_transport *t, uint32_t dbc_id, uint32_t handle, uint32_t timeout_ms,
		    struct qeff_error *err)
{
	int64_t deadline = now_ms() + (timeout_ms ? timeout_ms : DEFAULT_WAIT_MS);
	struct qaic_wait wait = { .handle = handle, .dbc_id = dbc_id };
	int ret;

	do {
		int64_t left = deadline - now_ms();

		/* 0 would mean the driver's default */
		wait.timeout = left > 0 ? (uint32_t)left : 1;
		ret = call(drm_of(t), DRM_IOCTL_QAIC_WAIT_BO, &wait);
	} while (ret == -EINTR && now_ms() < deadline);
	if (ret == -EINTR)
		ret = -ETIMEDOUT;
	return ret ? fail(drm_of(t), err, ret, "wait") : 0;
}

static int drm_stats(struct qeff_transport *t, uint32_t dbc_id,
		     struct qaic_perf_stats_entry *entries, uint32_t count, struct qeff_error *err)
{
	struct qaic_perf_stats stats = {
		.hdr = { .count = (uint16_t)count, .dbc_id = dbc_id },
		.data = (uintptr_t)entries,
	};
	int ret;

	if (count > UINT16_MAX)
		return fail(drm_of(t), err, -EINVAL, "statistics");
	ret = call_again(drm_of(t), DRM_IOCTL_QAIC_PERF_STATS_BO, &stats);
	return ret ? fail(drm_of(t), err, ret, "statistics") : 0;
}

static const struct qeff_transport_ops drm_ops = {
	.name = "drm",
	.close = drm_close,
	.manage = drm_manage,
	.buffer_create = drm_buffer_create,
	.buffer_map = drm_buffer_map,
	.buffer_export = drm_buffer_export,
	.buffer_free = drm_buffer_free,
	.slice = drm_slice,
	.unslice = drm_unslice,
	.execute = drm_execute,
	.execute_partial = drm_execute_partial,
	.wait = drm_wait,
	.stats = drm_stats,
};

static int check_driver(int fd, const char *node, struct qeff_error *err)
{
	drmVersion *version = drmGetVersion(fd);
	int ret = 0;

	if (!version || (strcmp(version->name, "qeff") != 0 && strcmp(version->name, "qaic") != 0))
		ret = qeff_error_set(err, -EPROTO, "%s: driver is \"%s\", expected qeff or qaic",
				     node, version ? version->name : "none");
	drmFreeVersion(version);
	return ret;
}

int qeff_drm_open(const char *node, const char *name, struct qeff_transport **transport,
		  struct qeff_error *err)
{
	struct drm_transport *d;
	char text[128];
	int fd, ret;

	do {
		fd = open(node, O_RDWR | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		ret = -errno;
		return qeff_error_set(err, ret, "%s: cannot open %s: %s", name, node,
				      ret == -ENODEV ? "the card is offline"
						     : qeff_strerror(-ret, text, sizeof(text)));
	}
	ret = check_driver(fd, node, err);
	if (ret)
		goto fail_fd;
	d = calloc(1, sizeof(*d));
	if (!d) {
		ret = qeff_error_set(err, -ENOMEM, "%s: out of memory", name);
		goto fail_fd;
	}
	d->base.ops = &drm_ops;
	d->fd = fd;
	snprintf(d->name, sizeof(d->name), "%s", name);
	pthread_mutex_init(&d->lock, NULL);
	*transport = &d->base;
	return 0;
fail_fd:
	close(fd);
	return ret;
}
