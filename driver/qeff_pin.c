// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that the card is shown for an exchange: pages of the user, pinned while it reads them, and
 * the rings of a channel that it is asked for.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "qeff_exchange.h"

/* Pages pinned for one message: more could hardly be described in it. */
#define QEFF_PIN_PAGES SZ_32K

/* Takes all of it away from the card. Under control.lock. */
void qeff_exchange_unmap(struct qeff_exchange *ex)
{
	struct qeff_pinned *pinned;

	list_for_each_entry(pinned, &ex->pinned, node) {
		if (pinned->mapped)
			dma_unmap_sgtable(&ex->qdev->pdev->dev, &pinned->sgt, DMA_TO_DEVICE, 0);
		pinned->mapped = false;
	}
	qeff_ring_free(ex->qdev, &ex->ring);
	list_del_init(&ex->shown);
}

/* Lets go of the user's pages; the card has read them, or never will. */
void qeff_exchange_unpin(struct qeff_exchange *ex)
{
	struct qeff_pinned *pinned, *next;
	LIST_HEAD(mine);

	/* A reset walks the list. */
	mutex_lock(&ex->qdev->control.lock);
	list_for_each_entry(pinned, &ex->pinned, node) {
		if (pinned->mapped)
			dma_unmap_sgtable(&ex->qdev->pdev->dev, &pinned->sgt, DMA_TO_DEVICE, 0);
		pinned->mapped = false;
	}
	list_splice_init(&ex->pinned, &mine);
	mutex_unlock(&ex->qdev->control.lock);

	list_for_each_entry_safe(pinned, next, &mine, node) {
		list_del(&pinned->node);
		sg_free_table(&pinned->sgt);
		unpin_user_pages(pinned->pages, pinned->nr_pages);
		kvfree(pinned->pages);
		kfree(pinned);
	}
}

void qeff_exchange_drop_ring(struct qeff_exchange *ex)
{
	mutex_lock(&ex->qdev->control.lock);
	qeff_ring_free(ex->qdev, &ex->ring);
	mutex_unlock(&ex->qdev->control.lock);
}

/* Pins what follows @skip bytes of @xfer, or the beginning of it if it is large. */
static int qeff_pin(struct qeff_exchange *ex, const struct qaic_manage_trans_dma_xfer *xfer,
		    u64 skip)
{
	u64 start = xfer->addr + skip, left = xfer->size - skip;
	unsigned int offset = offset_in_page(start);
	struct qeff_pinned *pinned;
	int nr, got, ret = -ENOMEM;

	if (!left)
		return -EINVAL;
	nr = min_t(u64, DIV_ROUND_UP_ULL(min_t(u64, left, SZ_1G) + offset, PAGE_SIZE),
		   QEFF_PIN_PAGES);
	pinned = kzalloc(sizeof(*pinned), GFP_KERNEL);
	if (!pinned)
		return -ENOMEM;
	pinned->pages = kvmalloc_array(nr, sizeof(*pinned->pages), GFP_KERNEL);
	if (!pinned->pages)
		goto err_free;

	got = pin_user_pages_fast(start - offset, nr, 0, pinned->pages);
	if (got != nr) {
		ret = got < 0 ? got : -EFAULT;
		if (got > 0)
			unpin_user_pages(pinned->pages, got);
		goto err_pages;
	}
	pinned->nr_pages = nr;
	pinned->bytes = min_t(u64, left, ((u64)nr << PAGE_SHIFT) - offset);
	pinned->xfer = xfer;
	ret = sg_alloc_table_from_pages(&pinned->sgt, pinned->pages, nr, offset, pinned->bytes,
					GFP_KERNEL);
	if (ret) {
		unpin_user_pages(pinned->pages, nr);
		goto err_pages;
	}
	mutex_lock(&ex->qdev->control.lock);
	list_add_tail(&pinned->node, &ex->pinned);
	mutex_unlock(&ex->qdev->control.lock);
	return 0;

err_pages:
	kvfree(pinned->pages);
err_free:
	kfree(pinned);
	return ret;
}

/* What the next message of the exchange needs pinned. Under no lock: pages may be fetched for it.
 */
int qeff_exchange_pin(struct qeff_exchange *ex)
{
	const struct qaic_manage_trans_hdr *hdr;
	u32 at;
	int ret;

	if (ex->more)
		return qeff_pin(ex, ex->more, ex->described);
	qeff_for_each_user_trans(ex, hdr, at) {
		if (hdr->type != QAIC_TRANS_DMA_XFER_FROM_USR)
			continue;
		ret = qeff_pin(ex, (const void *)hdr, 0);
		if (ret)
			return ret;
	}
	return 0;
}
