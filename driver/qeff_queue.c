// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data path: sliced buffers are put into the ring of their channel, and leave the queue when
 * the card has answered for each of their slices.
 *
 * A register is a round trip over the bus, so none is read whose value is known: the tail of the
 * request ring and the head of the response ring are ours, and the head of the request ring is
 * only read when the last known one leaves too little room.
 */
#include <linux/dma-mapping.h>
#include <linux/sched/signal.h>

#include "qeff_device.h"

#define QEFF_MAX_EXECUTE SZ_64K
#define QEFF_DRAIN_BATCH 32
#define QEFF_DRAIN_MAX	 1024

/* ---- completion ---- */

/* Under queue_lock. The caller drops the queue's reference when it has let go of the lock. */
static void qeff_queue_end(struct qeff_dbc *dbc, struct qeff_bo *bo, int status, ktime_t now)
{
	list_del_init(&bo->queue_node);
	bo->queued = false;
	if (!bo->status)
		bo->status = status;
	bo->next.device_us = ktime_us_delta(now, bo->told);
	WRITE_ONCE(dbc->device_us, bo->next.device_us);
	bo->perf = bo->next;
	bo->result = bo->status;
	if (bo->status)
		dbc->counters.failed++;
	else if (bo->dir == DMA_TO_DEVICE)
		dbc->counters.bytes_to_device += bo->bytes;
	else
		dbc->counters.bytes_from_device += bo->bytes;
	dbc->counters.completed++;
	if (!--dbc->queued && dbc->owner)
		atomic64_add(ktime_to_ns(ktime_sub(now, dbc->busy_since)), &dbc->owner->busy_ns);
	/* Orders the result before the count that a waiter reads without the lock. */
	smp_store_release(&bo->completed, bo->completed + 1);
	wake_up_all(&bo->wait);
}

static struct qeff_bo *qeff_queue_find(struct qeff_dbc *dbc, u16 id)
{
	struct qeff_bo *bo;

	list_for_each_entry(bo, &dbc->queue, queue_node)
		if (bo->id == id)
			return bo;
	return NULL;
}

/* Whether something is in the place of the next response. */
bool qeff_queue_seen(struct qeff_dbc *dbc)
{
	bool seen = false;

	spin_lock(&dbc->queue_lock);
	if (dbc->rsp) {
		struct qeff_rsp rsp = READ_ONCE(dbc->rsp[dbc->rsp_head]);

		seen = rsp.id != cpu_to_le16(U16_MAX) || rsp.code != cpu_to_le16(U16_MAX);
	}
	spin_unlock(&dbc->queue_lock);
	return seen;
}

/*
 * Under queue_lock: tells the card what has been taken. With @hold only if that is much, so that
 * the ring does not become full.
 */
static bool qeff_rsp_tell(struct qeff_dbc *dbc, bool hold)
{
	u32 elements = dbc->ring.elements;
	u32 taken = (dbc->rsp_head + elements - dbc->rsp_told) % elements;

	if (!taken || (hold && taken < elements / 2))
		return false;
	dbc->rsp_told = dbc->rsp_head;
	writel(dbc->rsp_told, dbc->regs + QEFF_DBC_RSP_HEAD);
	return true;
}

/*
 * Takes responses out of the ring. Returns how many there were, or -EIO if the card is gone or
 * talks nonsense. @hold: see above. @again: there may be more.
 */
static int qeff_drain_batch(struct qeff_dbc *dbc, bool hold, bool *again)
{
	struct qeff_bo *done[QEFF_DRAIN_BATCH];
	unsigned int nr_done = 0, i;
	u32 tail, head;
	ktime_t now;
	int n = 0;

	*again = false;
	spin_lock(&dbc->queue_lock);
	if (!dbc->rsp) {
		spin_unlock(&dbc->queue_lock);
		return 0;
	}
	tail = readl(dbc->regs + QEFF_DBC_RSP_TAIL);
	if (tail >= dbc->ring.elements) {
		spin_unlock(&dbc->queue_lock);
		return -EIO;
	}
	now = ktime_get();
	for (head = dbc->rsp_head; head != tail && nr_done < QEFF_DRAIN_BATCH && n < QEFF_DRAIN_MAX;
	     n++) {
		struct qeff_rsp rsp = READ_ONCE(dbc->rsp[head]);
		struct qeff_bo *bo = qeff_queue_find(dbc, le16_to_cpu(rsp.id));

		memset(&dbc->rsp[head], 0xff, sizeof(rsp));
		if (++head == dbc->ring.elements)
			head = 0;
		if (!bo)
			continue;
		if (rsp.code && !bo->status) {
			dev_dbg(&dbc->qdev->pdev->dev, "DBC %u: a transfer failed with code %u\n",
				dbc->id, le16_to_cpu(rsp.code));
			bo->status = -EIO;
		}
		if (--bo->responses_left)
			continue;
		if (bo->dir == DMA_FROM_DEVICE && !bo->imported)
			dma_sync_sgtable_for_cpu(&dbc->qdev->pdev->dev, bo->sgt, bo->dir);
		qeff_queue_end(dbc, bo, 0, now);
		done[nr_done++] = bo;
	}
	dbc->rsp_head = head;
	if (n)
		dbc->last_rsp = now;
	*again = qeff_rsp_tell(dbc, hold) || (hold && head != tail);
	spin_unlock(&dbc->queue_lock);

	for (i = 0; i < nr_done; i++)
		qeff_bo_put(done[i]);
	return n;
}

/*
 * What comes while we tell the card what we have taken does not interrupt. So it is read until
 * nothing new is there.
 */
int qeff_queue_drain(struct qeff_dbc *dbc, bool hold)
{
	int n, total = 0;
	bool again;

	do {
		n = qeff_drain_batch(dbc, hold, &again);
		if (n < 0) {
			qeff_device_request_reset(dbc->qdev, "the DMA bridge does not answer");
			return n;
		}
		total += n;
		/* A card may go on for ever with responses to nothing. */
		cond_resched();
		/* Nothing is outstanding: nothing can come, and the register need not be read. */
	} while (again && READ_ONCE(dbc->queued) && !fatal_signal_pending(current));
	return total;
}

/* ---- ending what is queued ---- */

void qeff_queue_wake(struct qeff_dbc *dbc)
{
	struct qeff_bo *bo;

	spin_lock(&dbc->queue_lock);
	list_for_each_entry(bo, &dbc->queue, queue_node)
		wake_up_all(&bo->wait);
	spin_unlock(&dbc->queue_lock);
}

/* The channel is not enabled and has no ring: nothing comes any more, nothing is added. */
void qeff_queue_flush(struct qeff_dbc *dbc, int error)
{
	struct qeff_bo *bo;

	for (;;) {
		spin_lock(&dbc->queue_lock);
		bo = list_first_entry_or_null(&dbc->queue, struct qeff_bo, queue_node);
		if (bo) {
			bo->status = error;
			qeff_queue_end(dbc, bo, error, ktime_get());
		}
		spin_unlock(&dbc->queue_lock);
		if (!bo)
			return;
		qeff_bo_put(bo);
	}
}

bool qeff_queue_busy(struct qeff_device *qdev)
{
	unsigned int i;

	for (i = 0; i < QEFF_DBCS; i++)
		if (READ_ONCE(qdev->dbc[i].queued))
			return true;
	return false;
}

/* ---- execute ---- */

/* One buffer of a call. */
struct qeff_entry {
	struct qeff_bo *bo;
	u64 valid; /* bytes of the buffer that may be moved */
	u64 bytes; /* bytes its slices move */
	u32 elements;
};

/*
 * Under dbc->lock: what is sliced for the channel stays so. Counting ends when there are more
 * elements than the ring can hold, for one buffer may be named many times.
 */
static int qeff_entries_prepare(struct qeff_dbc *dbc, struct qeff_entry *entries, u32 count,
				u32 *total)
{
	u32 i, j, n = 0;

	for (i = 0; i < count; i++) {
		struct qeff_entry *entry = &entries[i];

		if (entry->bo->dbc != dbc || entry->valid > entry->bo->base.size)
			return -EINVAL;
		for (j = 0; j < entry->bo->nr_slices && n < dbc->ring.elements; j++) {
			const struct qeff_slice *slice = &entry->bo->slices[j];

			entry->elements += qeff_slice_elements(entry->bo, slice, entry->valid);
			entry->bytes += qeff_slice_valid(slice, entry->valid);
		}
		n += entry->elements;
	}
	*total = n;
	return 0;
}

static u32 qeff_ring_space(const struct qeff_dbc *dbc)
{
	return (dbc->req_head + dbc->ring.elements - dbc->req_tail - 1) % dbc->ring.elements;
}

/* Under dbc->lock. */
static int qeff_ring_room(struct qeff_dbc *dbc, u32 elements)
{
	u32 head;

	if (elements <= qeff_ring_space(dbc))
		return 0;
	head = readl(dbc->regs + QEFF_DBC_REQ_HEAD);
	if (head >= dbc->ring.elements) {
		qeff_device_request_reset(dbc->qdev, "the DMA bridge does not answer");
		return -ENODEV;
	}
	dbc->req_head = head;
	return elements <= qeff_ring_space(dbc) ? 0 : -EAGAIN;
}

static u32 qeff_ring_put(struct qeff_dbc *dbc, u32 tail, const struct qeff_entry *entry, u16 id)
{
	const struct qeff_bo *bo = entry->bo;
	struct qeff_req req;
	u32 i, j, n;

	for (i = 0; i < bo->nr_slices; i++) {
		n = qeff_slice_elements(bo, &bo->slices[i], entry->valid);
		for (j = 0; j < n; j++) {
			qeff_slice_fill(bo, &bo->slices[i], entry->valid, j, j + 1 == n, &req);
			req.id = cpu_to_le16(id);
			dbc->req[tail] = req;
			if (++tail == dbc->ring.elements)
				tail = 0;
		}
	}
	return tail;
}

/* Marks all of them as queued, or none: one that already is may be in the list twice. */
static int qeff_entries_claim(struct qeff_dbc *dbc, struct qeff_entry *entries, u32 count)
{
	u32 i;

	spin_lock(&dbc->queue_lock);
	for (i = 0; i < count; i++) {
		if (entries[i].bo->queued) {
			while (i--)
				entries[i].bo->queued = false;
			spin_unlock(&dbc->queue_lock);
			return -EINVAL;
		}
		entries[i].bo->queued = true;
	}
	spin_unlock(&dbc->queue_lock);
	return 0;
}

static void qeff_submit(struct qeff_dbc *dbc, struct qeff_entry *entries, u32 count, u32 total,
			ktime_t called)
{
	u32 level = dbc->ring.elements - 1 - qeff_ring_space(dbc);
	u32 tail = dbc->req_tail, i;
	ktime_t now;

	for (i = 0; i < count; i++) {
		struct qeff_bo *bo = entries[i].bo;

		if (bo->dir == DMA_TO_DEVICE && !bo->imported)
			dma_sync_sgtable_for_device(&dbc->qdev->pdev->dev, bo->sgt, bo->dir);
		bo->id = dbc->next_id++;
		tail = qeff_ring_put(dbc, tail, &entries[i], bo->id);
	}

	now = ktime_get();
	spin_lock(&dbc->queue_lock);
	if (!dbc->queued)
		dbc->busy_since = now;
	for (i = 0; i < count; i++) {
		struct qeff_bo *bo = entries[i].bo;

		drm_gem_object_get(&bo->base);
		bo->responses_left = bo->nr_slices;
		bo->status = 0;
		bo->bytes = entries[i].bytes;
		bo->called = called;
		bo->told = now;
		bo->next.level_before = level;
		bo->next.elements = entries[i].elements;
		bo->next.submit_us = ktime_us_delta(now, called);
		WRITE_ONCE(bo->submitted, bo->submitted + 1);
		list_add_tail(&bo->queue_node, &dbc->queue);
		level += entries[i].elements;
	}
	WRITE_ONCE(dbc->queued, dbc->queued + count);
	dbc->counters.submitted += count;
	dbc->counters.queue_high = max(dbc->counters.queue_high, level);
	spin_unlock(&dbc->queue_lock);

	/* writel() orders the elements before the register that shows them to the card. */
	dbc->req_tail = tail;
	writel(tail, dbc->regs + QEFF_DBC_REQ_TAIL);
	if (READ_ONCE(dbc->poll))
		qeff_irq_start_polling(dbc);
}

static int qeff_execute_entries(struct qeff_dbc *dbc, struct qeff_user *user,
				struct qeff_entry *entries, u32 count, ktime_t called)
{
	u32 total, i;
	int ret;

	ret = mutex_lock_interruptible(&dbc->lock);
	if (ret)
		return ret;
	ret = qeff_dbc_check(dbc, user, -EPERM);
	if (ret)
		goto out;
	ret = qeff_entries_prepare(dbc, entries, count, &total);
	if (ret)
		goto out;
	ret = qeff_entries_claim(dbc, entries, count);
	if (ret)
		goto out;
	ret = qeff_ring_room(dbc, total);
	if (!ret) {
		qeff_submit(dbc, entries, count, total, called);
		goto out;
	}
	spin_lock(&dbc->queue_lock);
	for (i = 0; i < count; i++)
		entries[i].bo->queued = false;
	spin_unlock(&dbc->queue_lock);
out:
	mutex_unlock(&dbc->lock);
	return ret;
}

static int qeff_execute(struct drm_device *drm, struct qaic_execute *args, struct drm_file *file,
			bool partial)
{
	size_t size = partial ? sizeof(struct qaic_partial_execute_entry)
			      : sizeof(struct qaic_execute_entry);
	struct qeff_device *qdev = to_qeff(drm);
	struct qeff_user *user = file->driver_priv;
	ktime_t called = ktime_get();
	struct qeff_entry *entries;
	struct qeff_dbc *dbc;
	u32 count = args->hdr.count, i;
	void *given;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	if (!count || count > QEFF_MAX_EXECUTE || args->hdr.dbc_id >= QEFF_DBCS)
		return -EINVAL;
	dbc = &qdev->dbc[args->hdr.dbc_id];

	given = vmemdup_user(u64_to_user_ptr(args->data), count * size);
	if (IS_ERR(given))
		return PTR_ERR(given);
	/* Without the lock: execution checks it again. It decides before handles are looked at. */
	ret = qeff_dbc_check(dbc, user, -EPERM);
	if (ret)
		goto out_given;
	entries = kvcalloc(count, sizeof(*entries), GFP_KERNEL);
	if (!entries) {
		ret = -ENOMEM;
		goto out_given;
	}
	for (i = 0; i < count; i++) {
		const struct qaic_partial_execute_entry *entry = given + i * size;

		/* Both kinds begin with the handle. */
		entries[i].bo = qeff_bo_lookup(file, entry->handle);
		if (!entries[i].bo) {
			ret = -ENOENT;
			goto out_put;
		}
		entries[i].valid = partial ? entry->resize : entries[i].bo->base.size;
	}
	ret = qeff_execute_entries(dbc, user, entries, count, called);
out_put:
	for (i = 0; i < count && entries[i].bo; i++)
		qeff_bo_put(entries[i].bo);
	kvfree(entries);
out_given:
	kvfree(given);
	return ret;
}

int qeff_execute_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	return qeff_execute(drm, data, file, false);
}

int qeff_partial_execute_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	return qeff_execute(drm, data, file, true);
}

/* ---- wait ---- */

static bool qeff_bo_reached(struct qeff_bo *bo, u32 execution)
{
	/* Pairs with the release in qeff_queue_end(): the result is there. */
	return (s32)(smp_load_acquire(&bo->completed) - execution) >= 0;
}

/*
 * Woken by the completion, or by the loss of the channel. Once a second it looks for itself, so
 * that an interrupt that never came costs a second, not the whole time-out.
 */
static int qeff_wait(struct qeff_dbc *dbc, struct qeff_user *user, struct qeff_bo *bo,
		     unsigned int timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(min_t(unsigned int, timeout_ms, INT_MAX));
	struct qeff_dbc *sliced_for = READ_ONCE(bo->dbc);
	u32 execution = READ_ONCE(bo->submitted);
	u32 epoch = READ_ONCE(dbc->qdev->epoch);
	long left, step;
	int ret;

	if (sliced_for && sliced_for != dbc)
		return -EINVAL;
	for (;;) {
		left = max_t(long, end - jiffies, 0);
		step = wait_event_interruptible_timeout(bo->wait,
							qeff_bo_reached(bo, execution) ||
								qeff_dbc_check(dbc, user, -EPERM),
							min_t(long, left, HZ));
		if (step < 0)
			return step;
		if (!step)
			qeff_queue_drain(dbc, false);
		if (qeff_bo_reached(bo, execution)) {
			spin_lock(&dbc->queue_lock);
			ret = bo->completed == execution ? bo->result : 0;
			spin_unlock(&dbc->queue_lock);
			return ret;
		}
		/* The card may be back by the time a waiter gets to run. */
		if (READ_ONCE(dbc->qdev->epoch) != epoch)
			return -ENODEV;
		ret = qeff_dbc_check(dbc, user, -EPERM);
		if (ret)
			return ret;
		if (!step && left <= HZ)
			return -ETIMEDOUT;
	}
}

int qeff_wait_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qeff_device *qdev = to_qeff(drm);
	struct qeff_user *user = file->driver_priv;
	struct qaic_wait *args = data;
	struct qeff_dbc *dbc;
	struct qeff_bo *bo;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	if (args->pad || args->dbc_id >= QEFF_DBCS)
		return -EINVAL;
	dbc = &qdev->dbc[args->dbc_id];
	ret = qeff_dbc_check(dbc, user, -EPERM);
	if (ret)
		return ret;
	bo = qeff_bo_lookup(file, args->handle);
	if (!bo)
		return -ENOENT;
	ret = qeff_wait(dbc, user, bo, args->timeout ?: READ_ONCE(qeff_wait_timeout_ms));
	qeff_bo_put(bo);
	return ret;
}

/* ---- numbers of the last execution ---- */

static int qeff_perf_entry(struct qeff_dbc *dbc, struct drm_file *file,
			   struct qaic_perf_stats_entry *entry)
{
	struct qeff_bo *bo = qeff_bo_lookup(file, entry->handle);
	struct qeff_perf perf;

	if (!bo)
		return -ENOENT;
	if (READ_ONCE(bo->dbc) != dbc) {
		qeff_bo_put(bo);
		return -EINVAL;
	}
	spin_lock(&dbc->queue_lock);
	perf = bo->perf;
	spin_unlock(&dbc->queue_lock);
	qeff_bo_put(bo);

	entry->queue_level_before = perf.level_before;
	entry->num_queue_element = perf.elements;
	entry->submit_latency_us = perf.submit_us;
	entry->device_latency_us = perf.device_us;
	entry->pad = 0;
	return 0;
}

int qeff_perf_stats_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qeff_device *qdev = to_qeff(drm);
	struct qaic_perf_stats *args = data;
	struct qaic_perf_stats_entry *entries;
	size_t bytes = args->hdr.count * sizeof(*entries);
	struct qeff_dbc *dbc;
	unsigned int i;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	if (args->hdr.dbc_id >= QEFF_DBCS)
		return -EINVAL;
	dbc = &qdev->dbc[args->hdr.dbc_id];
	ret = qeff_dbc_check(dbc, file->driver_priv, -EPERM);
	if (ret || !bytes)
		return ret;

	entries = vmemdup_user(u64_to_user_ptr(args->data), bytes);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < args->hdr.count; i++) {
		ret = qeff_perf_entry(dbc, file, &entries[i]);
		if (ret)
			goto out;
	}
	if (copy_to_user(u64_to_user_ptr(args->data), entries, bytes))
		ret = -EFAULT;
out:
	kvfree(entries);
	return ret;
}
