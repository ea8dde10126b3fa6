// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slicing: the transfer program that userspace lays on a buffer becomes a table of request
 * elements, complete but for the request id, which execution copies into the ring.
 */
#include <linux/bitfield.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/overflow.h>

#include "qeff_device.h"

/* An element's length has 32 bits; one never carries more than this. */
#define QEFF_MAX_TRANSFER SZ_2G

static const struct qaic_sem *qeff_entry_sem(const struct qaic_attach_slice_entry *entry,
					     unsigned int i)
{
	const struct qaic_sem *sems[] = { &entry->sem0, &entry->sem1, &entry->sem2, &entry->sem3 };

	return sems[i];
}

static int qeff_entry_validate(const struct qaic_attach_slice_entry *entry)
{
	unsigned int presyncs = 0, i;
	u64 end;

	for (i = 0; i < 4; i++) {
		const struct qaic_sem *sem = qeff_entry_sem(entry, i);

		if (sem->val > QAIC_SEM_MAX_VALUE || sem->index > QAIC_SEM_MAX_INDEX ||
		    sem->presync > 1 || sem->cmd > QAIC_SEM_WAIT_GT_0 || sem->pad ||
		    sem->flags & ~(QAIC_SEM_INSYNCFENCE | QAIC_SEM_OUTSYNCFENCE))
			return -EINVAL;
		presyncs += sem->presync;
	}
	if (presyncs > 1)
		return -EINVAL;

	switch (entry->db_len) {
	case 0:
	case 8:
		break;
	case 16:
	case 32:
		if (entry->db_addr & (entry->db_len / 8 - 1))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (check_add_overflow(entry->dev_addr, entry->size, &end))
		return -EINVAL;
	return 0;
}

static int qeff_entries_fit(const struct qaic_attach_slice_entry *entries, u32 count, u64 bytes)
{
	u64 end;
	u32 i;

	for (i = 0; i < count; i++)
		if (check_add_overflow(entries[i].offset, entries[i].size, &end) || end > bytes)
			return -EINVAL;
	return 0;
}

static __le32 qeff_sem_word(const struct qaic_sem *sem)
{
	u32 word = FIELD_PREP(QEFF_SEM_VALUE, sem->val) | FIELD_PREP(QEFF_SEM_INDEX, sem->index) |
		   FIELD_PREP(QEFF_SEM_OP, sem->cmd);

	if (sem->presync)
		word |= QEFF_SEM_PRESYNC;
	if (sem->flags & QAIC_SEM_INSYNCFENCE)
		word |= QEFF_SEM_FENCE_TO;
	if (sem->flags & QAIC_SEM_OUTSYNCFENCE)
		word |= QEFF_SEM_FENCE_FROM;
	if (sem->cmd != QAIC_SEM_NOP)
		word |= QEFF_SEM_ENABLE;
	return cpu_to_le32(word);
}

/* ---- walking the DMA segments of a buffer ---- */

/* Remembers where it is: slices usually follow one another. */
struct qeff_walk {
	struct qeff_device *qdev;
	const struct sg_table *sgt;
	u32 steps;
	struct scatterlist *sg;
	unsigned int index;
	u64 start; /* of @sg in the buffer */
};

static void qeff_walk_rewind(struct qeff_walk *walk)
{
	walk->sg = walk->sgt->sgl;
	walk->index = 0;
	walk->start = 0;
}

/* Slices that jump about take long, under a lock that a reset takes: they end when it begins. */
static int qeff_walk_step(struct qeff_walk *walk)
{
	if (++walk->steps % 1024)
		return 0;
	cond_resched();
	if (fatal_signal_pending(current))
		return -EINTR;
	return qeff_online(walk->qdev) ? 0 : -ENODEV;
}

/* Goes to the segment that holds @offset. */
static int qeff_walk_seek(struct qeff_walk *walk, u64 offset)
{
	int ret;

	if (!walk->sg || offset < walk->start)
		qeff_walk_rewind(walk);
	while (offset - walk->start >= sg_dma_len(walk->sg)) {
		walk->start += sg_dma_len(walk->sg);
		if (++walk->index >= walk->sgt->nents)
			return -EINVAL;
		walk->sg = sg_next(walk->sg);
		ret = qeff_walk_step(walk);
		if (ret)
			return ret;
	}
	return 0;
}

/* The next piece of at most @bytes at @offset: what one element carries. */
static int qeff_walk_piece(struct qeff_walk *walk, u64 offset, u64 bytes, u64 *addr, u32 *len)
{
	int ret = qeff_walk_seek(walk, offset);
	u64 into;

	if (ret)
		return ret;
	into = offset - walk->start;
	*addr = sg_dma_address(walk->sg) + into;
	*len = min3(bytes, (u64)sg_dma_len(walk->sg) - into, (u64)QEFF_MAX_TRANSFER);
	return 0;
}

static int qeff_count_elements(struct qeff_walk *walk,
			       const struct qaic_attach_slice_entry *entries, u32 count, u32 limit,
			       u32 *total)
{
	u32 i, n = 0, len;
	u64 done, addr;
	int ret;

	for (i = 0; i < count; i++) {
		done = 0;
		do {
			if (n++ >= limit)
				return -ENOSPC;
			if (!entries[i].size)
				break;
			ret = qeff_walk_piece(walk, entries[i].offset + done,
					      entries[i].size - done, &addr, &len);
			if (ret)
				return ret;
			done += len;
		} while (done < entries[i].size);
	}
	*total = n;
	return 0;
}

/*
 * The last element of a slice does what follows the data: semaphores, doorbell, completion. All of
 * them wait for the presync. Without one, the first semaphore word of the last of several elements
 * fences, so that what follows is behind all of the data.
 */
static int qeff_build_slice(struct qeff_bo *bo, struct qeff_walk *walk,
			    const struct qaic_attach_slice_entry *entry, struct qeff_slice *slice)
{
	bool to_device = bo->dir == DMA_TO_DEVICE;
	struct qeff_req *req = NULL;
	int presync = -1;
	u64 done = 0;
	int i, ret;

	slice->offset = entry->offset;
	slice->size = entry->size;
	slice->count = 0;
	for (i = 0; i < 4; i++)
		if (qeff_entry_sem(entry, i)->presync)
			presync = i;

	do {
		req = &bo->reqs[slice->first + slice->count++];
		req->cmd = QEFF_REQ_BULK;
		if (presync >= 0)
			req->sem[presync] = qeff_sem_word(qeff_entry_sem(entry, presync));
		if (entry->size) {
			u64 addr;
			u32 len;

			ret = qeff_walk_piece(walk, entry->offset + done, entry->size - done, &addr,
					      &len);
			if (ret)
				return ret;
			req->cmd |= to_device ? QEFF_REQ_TO_DEVICE : QEFF_REQ_FROM_DEVICE;
			req->len = cpu_to_le32(len);
			req->src = cpu_to_le64(to_device ? addr : entry->dev_addr + done);
			req->dst = cpu_to_le64(to_device ? entry->dev_addr + done : addr);
			done += len;
		}
	} while (done < entry->size);

	req->cmd |= QEFF_REQ_COMPLETION;
	for (i = 0; i < 4; i++)
		req->sem[i] = qeff_sem_word(qeff_entry_sem(entry, i));
	if (slice->count > 1 && presync < 0)
		req->sem[0] |= cpu_to_le32(to_device ? QEFF_SEM_FENCE_TO : QEFF_SEM_FENCE_FROM);
	if (entry->db_len) {
		req->db_addr = cpu_to_le64(entry->db_addr);
		req->db_data = cpu_to_le32(entry->db_data);
		req->db_attr = QEFF_DOORBELL_WRITE;
		req->db_attr |= entry->db_len == 32   ? QEFF_DOORBELL_32
				: entry->db_len == 16 ? QEFF_DOORBELL_16
						      : QEFF_DOORBELL_8;
	}
	return 0;
}

/* ---- what execution asks ---- */

/* Elements of @slice if the first @valid bytes of the buffer are to be moved. */
u32 qeff_slice_elements(const struct qeff_bo *bo, const struct qeff_slice *slice, u64 valid)
{
	u64 bytes = qeff_slice_valid(slice, valid), done = 0;
	u32 n;

	if (bytes == slice->size)
		return slice->count;
	for (n = 0; done < bytes; n++)
		done += le32_to_cpu(bo->reqs[slice->first + n].len);
	return max(n, 1U);
}

/*
 * Element @index of those, and whether it is the @last of them. When data is left out, the last
 * that is sent is made of the slice's last, which has all that follows the data, and moves what is
 * left for it to move.
 */
void qeff_slice_fill(const struct qeff_bo *bo, const struct qeff_slice *slice, u64 valid, u32 index,
		     bool last, struct qeff_req *out)
{
	const struct qeff_req *reqs = &bo->reqs[slice->first];
	u64 bytes = qeff_slice_valid(slice, valid), done = 0;
	u32 i;

	if (bytes == slice->size || !last) {
		*out = reqs[index];
		return;
	}
	*out = reqs[slice->count - 1];
	for (i = 0; i < index; i++)
		done += le32_to_cpu(reqs[i].len);
	out->src = reqs[index].src;
	out->dst = reqs[index].dst;
	out->len = cpu_to_le32(bytes - done);
	if (bytes == done) {
		out->src = 0;
		out->dst = 0;
		out->cmd &= ~(QEFF_REQ_TO_DEVICE | QEFF_REQ_FROM_DEVICE);
	}
}

/* ---- attach and detach ---- */

static int qeff_bo_map(struct qeff_bo *bo)
{
	struct device *dev = bo->base.dev->dev;
	struct sg_table *sgt;

	if (!bo->imported)
		return dma_map_sgtable(dev, bo->sgt, bo->dir, 0) ? -EFAULT : 0;
	sgt = dma_buf_map_attachment_unlocked(bo->base.import_attach, bo->dir);
	if (IS_ERR_OR_NULL(sgt))
		return -EFAULT;
	bo->sgt = sgt;
	return 0;
}

static void qeff_bo_unmap(struct qeff_bo *bo)
{
	if (!bo->imported) {
		dma_unmap_sgtable(bo->base.dev->dev, bo->sgt, bo->dir, 0);
		return;
	}
	dma_buf_unmap_attachment_unlocked(bo->base.import_attach, bo->sgt, bo->dir);
	bo->sgt = NULL;
}

/* Under dbc->lock and bo->lock; not queued. */
void qeff_bo_unslice(struct qeff_bo *bo)
{
	qeff_bo_unmap(bo);
	kvfree(bo->slices);
	kvfree(bo->reqs);
	bo->slices = NULL;
	bo->reqs = NULL;
	bo->nr_slices = 0;
	bo->nr_reqs = 0;
	list_del_init(&bo->dbc_node);
	WRITE_ONCE(bo->dbc, NULL);
}

static int qeff_bo_slice(struct qeff_bo *bo, struct qeff_dbc *dbc,
			 const struct qaic_attach_slice_entry *entries, u32 count)
{
	struct qeff_walk walk = { .qdev = dbc->qdev };
	u32 i, first = 0;
	int ret;

	ret = qeff_bo_map(bo);
	if (ret)
		return ret;
	walk.sgt = bo->sgt;

	/* A ring of n elements holds n - 1. */
	ret = qeff_count_elements(&walk, entries, count, dbc->ring.elements - 1, &bo->nr_reqs);
	if (ret)
		goto err_unmap;
	ret = -ENOMEM;
	bo->slices = kvcalloc(count, sizeof(*bo->slices), GFP_KERNEL_ACCOUNT);
	bo->reqs = kvcalloc(bo->nr_reqs, sizeof(*bo->reqs), GFP_KERNEL_ACCOUNT);
	if (!bo->slices || !bo->reqs)
		goto err_free;
	for (i = 0; i < count; i++) {
		bo->slices[i].first = first;
		ret = qeff_build_slice(bo, &walk, &entries[i], &bo->slices[i]);
		if (ret)
			goto err_free;
		first += bo->slices[i].count;
	}
	bo->nr_slices = count;

	spin_lock(&dbc->queue_lock);
	bo->status = 0;
	bo->result = 0;
	memset(&bo->perf, 0, sizeof(bo->perf));
	spin_unlock(&dbc->queue_lock);
	list_add_tail(&bo->dbc_node, &dbc->bos);
	WRITE_ONCE(bo->dbc, dbc);
	return 0;

err_free:
	kvfree(bo->slices);
	kvfree(bo->reqs);
	bo->slices = NULL;
	bo->reqs = NULL;
err_unmap:
	bo->nr_reqs = 0;
	qeff_bo_unmap(bo);
	return ret;
}

static int qeff_attach(struct qeff_device *qdev, struct drm_file *file,
		       const struct qaic_attach_slice_hdr *hdr,
		       const struct qaic_attach_slice_entry *entries)
{
	struct qeff_dbc *dbc = &qdev->dbc[hdr->dbc_id];
	struct qeff_user *user = file->driver_priv;
	struct qeff_bo *bo;
	u32 i;
	int ret;

	bo = qeff_bo_lookup(file, hdr->handle);
	if (!bo)
		return -ENOENT;
	for (i = 0; i < hdr->count; i++) {
		ret = qeff_entry_validate(&entries[i]);
		if (ret)
			goto out_put;
	}
	ret = qeff_entries_fit(entries, hdr->count, bo->base.size);
	if (ret)
		goto out_put;

	ret = mutex_lock_interruptible(&dbc->lock);
	if (ret)
		goto out_put;
	ret = mutex_lock_interruptible(&bo->lock);
	if (ret)
		goto out_unlock_dbc;
	if (bo->dbc) {
		ret = -EINVAL;
		goto out_unlock;
	}
	ret = qeff_dbc_check(dbc, user, -EINVAL);
	if (ret)
		goto out_unlock;
	bo->dir = hdr->dir == QAIC_DIR_TO_DEVICE ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	ret = qeff_bo_slice(bo, dbc, entries, hdr->count);
out_unlock:
	mutex_unlock(&bo->lock);
out_unlock_dbc:
	mutex_unlock(&dbc->lock);
out_put:
	qeff_bo_put(bo);
	return ret;
}

int qeff_attach_slice_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qeff_device *qdev = to_qeff(drm);
	struct qaic_attach_slice *args = data;
	struct qaic_attach_slice_entry *entries;
	size_t bytes;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	if (!args->hdr.count || !args->data || args->hdr.dbc_id >= QEFF_DBCS ||
	    (args->hdr.dir != QAIC_DIR_TO_DEVICE && args->hdr.dir != QAIC_DIR_FROM_DEVICE))
		return -EINVAL;
	if (check_mul_overflow((size_t)args->hdr.count, sizeof(*entries), &bytes) || bytes > SZ_64M)
		return -EINVAL;

	entries = vmemdup_user(u64_to_user_ptr(args->data), bytes);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = qeff_attach(qdev, file, &args->hdr, entries);
	kvfree(entries);
	return ret;
}

/*
 * Undoes the slicing if the channel is @user's; whoever it is, if @user is NULL. @force: nobody has
 * the buffer any more, so it cannot be queued, and the slicing may go in any case.
 */
int qeff_bo_detach(struct qeff_bo *bo, struct qeff_user *user, bool force)
{
	struct qeff_dbc *dbc = READ_ONCE(bo->dbc);
	bool queued;
	int ret = 0;

	if (!dbc)
		return -EINVAL;
	mutex_lock(&dbc->lock);
	mutex_lock(&bo->lock);
	spin_lock(&dbc->queue_lock);
	queued = bo->queued;
	spin_unlock(&dbc->queue_lock);
	if (bo->dbc != dbc)
		ret = -EINVAL;
	else if (!force && dbc->owner != user)
		ret = -EINVAL;
	else if (queued)
		ret = -EBUSY;
	else
		qeff_bo_unslice(bo);
	mutex_unlock(&bo->lock);
	mutex_unlock(&dbc->lock);
	return ret;
}

int qeff_detach_slice_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qaic_detach_slice *args = data;
	struct qeff_bo *bo;
	int ret;

	if (!qeff_online(to_qeff(drm)))
		return -ENODEV;
	if (args->pad)
		return -EINVAL;
	bo = qeff_bo_lookup(file, args->handle);
	if (!bo)
		return -ENOENT;
	ret = qeff_bo_detach(bo, file->driver_priv, false);
	qeff_bo_put(bo);
	return ret;
}
