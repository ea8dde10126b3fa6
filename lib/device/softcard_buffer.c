/* SPDX-License-Identifier: MIT */
/*
 * Buffers of the softcard transport: memfds, so that one can be exported, and the slices that are
 * laid on them, as request elements built as the kernel driver builds them.
 */
#include "device/softcard.h"

#include "util/checked.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct soft_buffer *qeff_soft_buffer_find(struct soft_user *u, uint32_t handle)
{
	return handle > 0 && handle <= u->num_buffers ? u->buffers[handle - 1] : NULL;
}

static void free_buffer(struct soft_buffer *b)
{
	if (b->data)
		munmap(b->data, b->size_bytes);
	if (b->fd >= 0)
		close(b->fd);
	free(b->slices);
	free(b);
}

void qeff_soft_buffer_detach(struct soft_card *c, struct soft_buffer *b)
{
	if (!b->dbc)
		return;
	qeff_ranges_remove(&c->ranges, b->data, b->size_bytes, QEFF_RANGE_DMA,
			   b->direction == QAIC_DIR_FROM_DEVICE);
	free(b->slices);
	b->slices = NULL;
	b->dbc = NULL;
}

void qeff_soft_buffer_put(struct soft_card *c, struct soft_buffer *b)
{
	if (--b->users > 0)
		return;
	qeff_soft_buffer_detach(c, b);
	free_buffer(b);
}

static int unknown(const struct soft_user *u, uint32_t handle, struct qeff_error *err)
{
	return qeff_error_set(err, -ENOENT, "%s: no buffer %u", u->name, handle);
}

/* Gives @b the lowest free handle. */
static int add_buffer(struct soft_user *u, struct soft_buffer *b)
{
	struct soft_buffer **grown;
	size_t at = 0;

	while (at < u->num_buffers && u->buffers[at])
		at++;
	if (at == u->num_buffers) {
		if (at >= UINT32_MAX)
			return -ENOMEM;
		grown = reallocarray(u->buffers, at + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		u->buffers = grown;
		u->num_buffers++;
	}
	u->buffers[at] = b;
	b->handle = (uint32_t)at + 1;
	return 0;
}

static int allocate(struct soft_buffer *b)
{
	b->fd = memfd_create("qeff-buffer", MFD_CLOEXEC);
	if (b->fd < 0 || ftruncate(b->fd, (off_t)b->size_bytes) < 0)
		return -ENOMEM;
	b->data = mmap(NULL, b->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (b->data == MAP_FAILED) {
		b->data = NULL;
		return -ENOMEM;
	}
	return 0;
}

int qeff_soft_buffer_create(struct qeff_transport *t, uint64_t size_bytes, uint32_t *handle,
			    struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_buffer *b;
	uint64_t rounded;
	int ret;

	if (size_bytes == 0 ||
	    !qeff_align_u64(size_bytes, (uint64_t)sysconf(_SC_PAGESIZE), &rounded))
		return qeff_error_set(err, -EINVAL, "%s: buffer of %llu bytes", u->name,
				      (unsigned long long)size_bytes);
	b = calloc(1, sizeof(*b));
	if (!b)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", u->name);
	b->users = 1;
	b->size_bytes = rounded;
	ret = allocate(b);
	if (!ret) {
		pthread_mutex_lock(&u->card->lock);
		ret = add_buffer(u, b);
		if (!ret)
			*handle = b->handle;
		pthread_mutex_unlock(&u->card->lock);
	}
	if (ret) {
		free_buffer(b);
		return qeff_error_set(err, ret, "%s: no memory for a buffer of %llu bytes", u->name,
				      (unsigned long long)size_bytes);
	}
	return 0;
}

int qeff_soft_buffer_map(struct qeff_transport *t, uint32_t handle, void **data,
			 uint64_t *size_bytes, struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_buffer *b;
	int ret = 0;

	pthread_mutex_lock(&u->card->lock);
	b = qeff_soft_buffer_find(u, handle);
	if (b) {
		*data = b->data;
		*size_bytes = b->size_bytes;
	} else {
		ret = unknown(u, handle, err);
	}
	pthread_mutex_unlock(&u->card->lock);
	return ret;
}

int qeff_soft_buffer_export(struct qeff_transport *t, uint32_t handle, int *fd,
			    struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_buffer *b;
	char text[128];
	int ret = 0;

	pthread_mutex_lock(&u->card->lock);
	b = qeff_soft_buffer_find(u, handle);
	if (!b) {
		ret = unknown(u, handle, err);
	} else {
		*fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
		if (*fd < 0) {
			ret = -errno;
			qeff_error_set(err, ret, "%s: cannot export buffer %u: %s", u->name, handle,
				       qeff_strerror(-ret, text, sizeof(text)));
		}
	}
	pthread_mutex_unlock(&u->card->lock);
	return ret;
}

void qeff_soft_buffer_free(struct qeff_transport *t, uint32_t handle)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_buffer *b;

	pthread_mutex_lock(&u->card->lock);
	b = qeff_soft_buffer_find(u, handle);
	if (b) {
		u->buffers[handle - 1] = NULL;
		b->handle = 0;
		/* one that is queued stays until the card is done with it */
		qeff_soft_buffer_put(u->card, b);
	}
	pthread_mutex_unlock(&u->card->lock);
}

static bool valid_semaphore(const struct qaic_sem *sem)
{
	return sem->val <= QAIC_SEM_MAX_VALUE && sem->index <= QAIC_SEM_MAX_INDEX &&
	       sem->presync <= 1 && sem->cmd <= QAIC_SEM_WAIT_GT_0 &&
	       (sem->flags & ~(QAIC_SEM_INSYNCFENCE | QAIC_SEM_OUTSYNCFENCE)) == 0 && sem->pad == 0;
}

static bool valid_doorbell(uint32_t bits)
{
	return bits == 0 || bits == 8 || bits == 16 || bits == 32;
}

static int check_entries(const struct soft_user *u, const struct qaic_attach_slice_entry *entries,
			 uint32_t count, struct qeff_error *err)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct qaic_attach_slice_entry *e = &entries[i];

		if (!valid_semaphore(&e->sem0) || !valid_semaphore(&e->sem1) ||
		    !valid_semaphore(&e->sem2) || !valid_semaphore(&e->sem3))
			return qeff_error_set(err, -EINVAL,
					      "%s: slice %u: a semaphore operation is out of range",
					      u->name, i);
		if (!valid_doorbell(e->db_len))
			return qeff_error_set(
				err, -EINVAL,
				"%s: slice %u: doorbell of %u bits, expected 0, 8, 16 or 32",
				u->name, i, e->db_len);
	}
	return 0;
}

static uint32_t semaphore_word(const struct qaic_sem *sem)
{
	uint32_t word = sem->val | (uint32_t)sem->index << 16 | (uint32_t)sem->presync << 22 |
			(uint32_t)sem->cmd << 24;

	if (sem->flags & QAIC_SEM_OUTSYNCFENCE)
		word |= UINT32_C(1) << 29;
	if (sem->flags & QAIC_SEM_INSYNCFENCE)
		word |= UINT32_C(1) << 30;
	if (sem->cmd != QAIC_SEM_NOP)
		word |= UINT32_C(1) << 31;
	return word;
}

static uint8_t doorbell_attributes(uint32_t bits)
{
	if (bits == 0)
		return 0;
	return 0x80u | (bits == 32 ? 0u : bits == 16 ? 1u : 2u);
}

struct qaic_attach_slice_entry qeff_soft_slice_within(const struct soft_buffer *b, uint32_t i,
						      uint64_t valid)
{
	struct qaic_attach_slice_entry e = b->slices[i];
	uint64_t within = valid > e.offset ? valid - e.offset : 0;

	if (e.size > within)
		e.size = within;
	return e;
}

uint64_t qeff_soft_slice_elements(const struct soft_card *c,
				  const struct qaic_attach_slice_entry *e)
{
	return e->size ? (e->size - 1) / c->segment_bytes + 1 : 1;
}

/*
 * An element for each segment. The presync operation stands in all of them; the operations behind
 * the transfer, the doorbell and the completion only in the last, which without a presync operation
 * carries a fence, so that those operations come after all of the data.
 */
struct soft_element qeff_soft_slice_element(const struct soft_card *c, const struct soft_buffer *b,
					    const struct qaic_attach_slice_entry *e, uint64_t k)
{
	const struct qaic_sem *sems[4] = { &e->sem0, &e->sem1, &e->sem2, &e->sem3 };
	uint64_t done = k * c->segment_bytes, left = e->size - done;
	uint64_t host = (uintptr_t)b->data + e->offset + done;
	bool to_device = b->direction == QAIC_DIR_TO_DEVICE, presync = false;
	bool last = k + 1 == qeff_soft_slice_elements(c, e);
	struct soft_element element = {
		.command = SOFT_CMD_BULK,
		.source = to_device ? host : e->dev_addr + done,
		.destination = to_device ? e->dev_addr + done : host,
		.length = (uint32_t)(left < c->segment_bytes ? left : c->segment_bytes),
	};

	if (element.length)
		element.command |= to_device ? SOFT_CMD_TO_DEVICE : SOFT_CMD_FROM_DEVICE;
	for (int j = 0; j < 4; j++) {
		if (sems[j]->presync || last)
			element.semaphores[j] = semaphore_word(sems[j]);
		presync |= sems[j]->presync;
	}
	if (!last)
		return element;
	element.command |= SOFT_CMD_COMPLETION;
	element.doorbell_address = e->db_addr;
	element.doorbell_attributes = doorbell_attributes(e->db_len);
	element.doorbell_data = e->db_data;
	if (k && !presync)
		element.semaphores[0] |= UINT32_C(1) << (to_device ? 30 : 29);
	return element;
}

static int check_encoding(const struct soft_user *u, const struct qaic_attach_slice_entry *entries,
			  uint32_t count, uint64_t *total, struct qeff_error *err)
{
	*total = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct qaic_attach_slice_entry *e = &entries[i];

		if (e->sem0.presync + e->sem1.presync + e->sem2.presync + e->sem3.presync > 1)
			return qeff_error_set(err, -EINVAL,
					      "%s: slice %u: more than one presync operation",
					      u->name, i);
		if (e->db_len && e->db_addr % (e->db_len / 8) != 0)
			return qeff_error_set(
				err, -EINVAL,
				"%s: slice %u: doorbell of %u bits at %#llx is not aligned",
				u->name, i, e->db_len, (unsigned long long)e->db_addr);
		/* sizes are inside the buffer, so the sum stays far from its limit */
		*total += qeff_soft_slice_elements(u->card, e);
	}
	return 0;
}

static int check_ranges(const struct soft_user *u, const struct soft_buffer *b,
			const struct qaic_attach_slice_entry *entries, uint32_t count,
			struct qeff_error *err)
{
	for (uint32_t i = 0; i < count; i++)
		if (!qeff_range_valid(entries[i].offset, entries[i].size, b->size_bytes))
			return qeff_error_set(
				err, -EINVAL,
				"%s: slice %u: %llu bytes at %llu leave the buffer of %llu bytes",
				u->name, i, (unsigned long long)entries[i].size,
				(unsigned long long)entries[i].offset,
				(unsigned long long)b->size_bytes);
	return 0;
}

/* Everything the driver does under the channel's lock, in its order. */
static int slice_locked(struct soft_user *u, uint32_t handle, uint32_t dbc_id, uint32_t direction,
			const struct qaic_attach_slice_entry *entries, uint32_t count,
			struct qeff_error *err)
{
	struct soft_dbc *dbc = &u->card->dbcs[dbc_id];
	struct soft_buffer *b = qeff_soft_buffer_find(u, handle);
	struct qaic_attach_slice_entry *slices;
	uint64_t total;
	int ret;

	if (!b)
		return unknown(u, handle, err);
	ret = check_entries(u, entries, count, err);
	if (!ret)
		ret = check_ranges(u, b, entries, count, err);
	if (ret)
		return ret;
	if (b->dbc || b->queued)
		return qeff_error_set(err, -EINVAL, "%s: buffer %u is sliced already", u->name,
				      handle);
	if (dbc->owner != u || !dbc->usable)
		return qeff_error_set(err, -EINVAL, "%s: channel %u is not ours", u->name, dbc_id);
	ret = check_encoding(u, entries, count, &total, err);
	if (ret)
		return ret;
	/* one element of a ring is always free */
	if (total > dbc->rings.num_elements - 1)
		return qeff_error_set(
			err, -ENOSPC,
			"%s: buffer %u takes %llu elements, the ring of channel %u holds %u",
			u->name, handle, (unsigned long long)total, dbc_id,
			dbc->rings.num_elements - 1);
	slices = reallocarray(NULL, count, sizeof(*slices));
	if (!slices || qeff_ranges_add(&u->card->ranges, b->data, b->size_bytes, QEFF_RANGE_DMA,
				       direction == QAIC_DIR_FROM_DEVICE)) {
		free(slices);
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", u->name);
	}
	b->direction = direction;
	memcpy(slices, entries, count * sizeof(*slices));
	b->slices = slices;
	b->num_slices = count;
	b->dbc = dbc;
	return 0;
}

int qeff_soft_slice(struct qeff_transport *t, uint32_t handle, uint32_t dbc_id, uint32_t direction,
		    const struct qaic_attach_slice_entry *entries, uint32_t count,
		    struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	int ret;

	if (count == 0 || !entries ||
	    (direction != QAIC_DIR_TO_DEVICE && direction != QAIC_DIR_FROM_DEVICE) ||
	    dbc_id >= QAIC_MAX_DBCS)
		return qeff_error_set(err, -EINVAL,
				      "%s: slice buffer %u: %u slices, direction %u, channel %u",
				      u->name, handle, count, direction, dbc_id);
	pthread_mutex_lock(&u->card->lock);
	ret = slice_locked(u, handle, dbc_id, direction, entries, count, err);
	pthread_mutex_unlock(&u->card->lock);
	return ret;
}

int qeff_soft_unslice(struct qeff_transport *t, uint32_t handle, struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_buffer *b;
	int ret = 0;

	pthread_mutex_lock(&u->card->lock);
	b = qeff_soft_buffer_find(u, handle);
	if (!b)
		ret = unknown(u, handle, err);
	else if (!b->dbc)
		ret = qeff_error_set(err, -EINVAL, "%s: buffer %u is not sliced", u->name, handle);
	else if (b->queued)
		ret = qeff_error_set(err, -EBUSY, "%s: buffer %u is queued", u->name, handle);
	else
		qeff_soft_buffer_detach(u->card, b);
	pthread_mutex_unlock(&u->card->lock);
	return ret;
}
