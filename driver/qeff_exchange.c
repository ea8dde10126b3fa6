// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control channel: messages go to the card's firmware, each is answered by one reply, which
 * names it by its sequence number. Replies that come too late are still worked off: a channel may
 * have been given, and memory waits to be let go of.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "qeff_exchange.h"

#define QEFF_ROOM_TRIES	  20
#define QEFF_ROOM_WAIT_MS 100

/* ---- exchanges ---- */

static void qeff_late_work(struct work_struct *work);

struct qeff_exchange *qeff_exchange_new(struct qeff_device *qdev, struct qeff_user *user)
{
	struct qeff_exchange *ex = kzalloc(sizeof(*ex), GFP_KERNEL);

	if (!ex)
		return NULL;
	ex->qdev = qdev;
	ex->user = user;
	if (user)
		kref_get(&user->ref);
	INIT_LIST_HEAD(&ex->node);
	INIT_LIST_HEAD(&ex->shown);
	INIT_LIST_HEAD(&ex->pinned);
	INIT_WORK(&ex->work, qeff_late_work);
	init_completion(&ex->done);
	ex->epoch = READ_ONCE(qdev->epoch);
	return ex;
}

/* The card can reach nothing of it any more. */
void qeff_exchange_free(struct qeff_exchange *ex)
{
	qeff_exchange_unpin(ex);
	mutex_lock(&ex->qdev->control.lock);
	qeff_exchange_unmap(ex);
	mutex_unlock(&ex->qdev->control.lock);
	kfree(ex->reply);
	kfree(ex->buf);
	if (ex->user)
		qeff_user_put(ex->user);
	kfree(ex);
}

/* The card may still use what the exchange holds: keeps it until the card was reset. */
static void qeff_exchange_doom(struct qeff_exchange *ex)
{
	struct qeff_control *control = &ex->qdev->control;
	bool quiet;

	spin_lock_bh(&control->pending_lock);
	quiet = (s32)(ex->epoch - control->quiet_epoch) < 0;
	if (!quiet)
		list_add(&ex->node, &control->doomed);
	spin_unlock_bh(&control->pending_lock);
	if (quiet)
		qeff_exchange_free(ex);
}

/* What a reply, or the lack of one, does beyond what it says. */
int qeff_exchange_finish(struct qeff_exchange *ex)
{
	unsigned int i;
	int ret;

	if (!ex->reply)
		return ex->error;
	/* It has answered, so it has read what it was to read. */
	qeff_exchange_unpin(ex);
	ret = qeff_exchange_decode(ex);
	for_each_set_bit(i, &ex->disabled, QEFF_DBCS)
		qeff_dbc_enable(&ex->qdev->dbc[i], ex->user);
	ex->disabled = 0;
	if (ex->terminate)
		qeff_dbc_release_user(ex->user);
	/* A well-formed reply that names no channel has given none. */
	if (!ret || ret == -ECANCELED)
		qeff_exchange_drop_ring(ex);
	return ret;
}

void qeff_exchange_retire(struct qeff_exchange *ex)
{
	if (ex->ring.cpu || !list_empty(&ex->pinned))
		qeff_exchange_doom(ex);
	else
		qeff_exchange_free(ex);
}

/* The reply came, or the card went, after everybody had stopped waiting. */
static void qeff_late_work(struct work_struct *work)
{
	struct qeff_exchange *ex = container_of(work, struct qeff_exchange, work);

	/* The rest of a transfer in parts is never sent; its first reply says all there will be. */
	kfree(ex->buf);
	ex->buf = NULL;
	qeff_exchange_finish(ex);
	qeff_exchange_retire(ex);
}

/* ---- sending ---- */

static int qeff_queue_rx(struct qeff_control *control)
{
	void *buf;
	int ret;

	if (control->spare_rx) {
		control->spare_rx--;
		return 0;
	}
	buf = kmalloc(QEFF_WIRE_MAX_REPLY, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = mhi_queue_buf(control->mhi, DMA_FROM_DEVICE, buf, QEFF_WIRE_MAX_REPLY, MHI_EOT);
	if (ret)
		kfree(buf);
	return ret;
}

static void qeff_seal(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	struct qeff_piece *piece = list_first_entry(&msg->pieces, struct qeff_piece, node);
	struct qeff_wire_hdr *hdr = (void *)piece->data;
	u32 crc = ~0;

	hdr->crc32 = 0;
	hdr->sequence = cpu_to_le32(ex->sequence);
	hdr->len = cpu_to_le32(msg->len);
	hdr->count = cpu_to_le32(msg->count);
	if (!ex->qdev->control.crc)
		return;
	list_for_each_entry(piece, &msg->pieces, node)
		crc = qeff_crc(crc, piece->data, piece->len);
	hdr->crc32 = cpu_to_le32(~crc);
}

/* Puts a message on the channel; then its pieces are the channel's. Under control.lock. */
static int qeff_transmit(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	struct qeff_control *control = &ex->qdev->control;
	struct qeff_piece *piece, *next;
	bool sent = false, last;
	int ret;

	ret = qeff_queue_rx(control);
	if (ret)
		return ret;

	spin_lock_bh(&control->pending_lock);
	ex->sequence = control->sequence++;
	list_add_tail(&ex->node, &control->pending);
	spin_unlock_bh(&control->pending_lock);
	qeff_seal(ex, msg);

	list_for_each_entry_safe(piece, next, &msg->pieces, node) {
		last = list_is_last(&piece->node, &msg->pieces);
		list_del(&piece->node);
		ret = mhi_queue_buf(control->mhi, DMA_TO_DEVICE, piece->data, piece->len,
				    last ? MHI_EOT : MHI_CHAIN);
		if (ret) {
			kfree(piece);
			break;
		}
		sent = true;
		if (last)
			return 0;
	}

	spin_lock_bh(&control->pending_lock);
	if (list_empty(&ex->node)) {
		/* The card went away at this moment, which is told as if it had been sent. */
		spin_unlock_bh(&control->pending_lock);
		return 0;
	}
	list_del_init(&ex->node);
	spin_unlock_bh(&control->pending_lock);
	control->spare_rx++;
	if (!sent)
		return ret;
	qeff_device_request_reset(ex->qdev, "half a control message was sent");
	ex->error = -EIO;
	complete(&ex->done);
	return 0;
}

static void qeff_msg_header(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	struct qeff_wire_hdr hdr = {
		.magic = cpu_to_le32(QEFF_WIRE_MAGIC),
		.handle = cpu_to_le32(ex->user ? ex->user->handle : 0),
		.partition = ex->terminate ? 0 : cpu_to_le32(QEFF_WIRE_NO_PARTITION),
	};

	qeff_msg_begin(msg, ex->terminate ? sizeof(hdr) + sizeof(struct qeff_wire_terminate)
					  : sizeof(hdr));
	qeff_msg_append(msg, &hdr, sizeof(hdr));
}

static int qeff_msg_own(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	struct qeff_wire_terminate terminate = {
		.hdr.type = cpu_to_le32(QAIC_TRANS_TERMINATE_TO_DEV),
		.hdr.len = cpu_to_le32(sizeof(terminate)),
	};
	struct qeff_wire_trans status = {
		.type = cpu_to_le32(QAIC_TRANS_STATUS_TO_DEV),
		.len = cpu_to_le32(sizeof(status)),
	};

	msg->count = 1;
	if (ex->terminate) {
		terminate.handle = cpu_to_le32(ex->user->handle);
		qeff_msg_append(msg, &terminate, sizeof(terminate));
	} else {
		qeff_msg_begin(msg, sizeof(status));
		qeff_msg_append(msg, &status, sizeof(status));
	}
	return msg->failed ? -ENOMEM : 0;
}

/* An abort of a transfer in parts, which the card answers. */
static int qeff_msg_abort(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	struct qeff_wire_dma_xfer wire = {
		.hdr.type = cpu_to_le32(QAIC_TRANS_DMA_XFER_TO_DEV),
		.hdr.len = cpu_to_le32(sizeof(wire)),
		.chunk_id = cpu_to_le32(ex->chunk_id),
	};

	msg->count = 1;
	qeff_msg_begin(msg, sizeof(wire));
	qeff_msg_append(msg, &wire, sizeof(wire));
	return msg->failed ? -ENOMEM : 0;
}

/*
 * Sends the next message of the exchange. The channel may lack room for a while. On failure before
 * anything was sent, what was mapped is the caller's to let go of.
 */
int qeff_exchange_send(struct qeff_exchange *ex, bool abort)
{
	struct qeff_control *control = &ex->qdev->control;
	struct qeff_msg msg;
	int ret, tries;

	for (tries = 0;; tries++) {
		mutex_lock(&control->lock);
		if (!control->open || ex->epoch != READ_ONCE(ex->qdev->epoch)) {
			ret = -ENODEV;
			break;
		}
		/* Before anything is made: it may take more pieces than there are places now. */
		if (mhi_get_free_desc_count(control->mhi, DMA_TO_DEVICE) > QEFF_PIECES_MAX + 20) {
			qeff_msg_init(&msg);
			qeff_msg_header(ex, &msg);
			list_move(&ex->shown, &control->shown);
			if (abort)
				ret = qeff_msg_abort(ex, &msg);
			else if (ex->buf)
				ret = qeff_exchange_encode(ex, &msg);
			else
				ret = qeff_msg_own(ex, &msg);
			if (!ret && msg.failed)
				ret = -ENOMEM;
			if (!ret) {
				reinit_completion(&ex->done);
				ret = qeff_transmit(ex, &msg);
			}
			qeff_msg_free(&msg);
			break;
		}
		mutex_unlock(&control->lock);
		if (tries == QEFF_ROOM_TRIES)
			return -EAGAIN;
		if (msleep_interruptible(QEFF_ROOM_WAIT_MS))
			return -EINTR;
	}
	mutex_unlock(&control->lock);
	return ret;
}

/*
 * Waits for the reply. If it does not come, -ETIMEDOUT or -EINTR, and the exchange is no longer the
 * caller's. Otherwise it is, with a reply or an error in it.
 */
int qeff_exchange_wait(struct qeff_exchange *ex, unsigned long timeout, bool interruptible)
{
	struct qeff_control *control = &ex->qdev->control;
	bool given_up;
	long left;

	if (interruptible)
		left = wait_for_completion_interruptible_timeout(&ex->done, timeout);
	else
		left = wait_for_completion_timeout(&ex->done, timeout);
	if (left > 0)
		return 0;

	spin_lock_bh(&control->pending_lock);
	given_up = !list_empty(&ex->node);
	ex->orphan = given_up;
	spin_unlock_bh(&control->pending_lock);
	if (!given_up)
		return 0;
	/* A restart would send it twice. */
	return left ? -EINTR : -ETIMEDOUT;
}

/* ---- the channel's callbacks ---- */

static struct qeff_exchange *qeff_pending_take(struct qeff_control *control, u32 sequence)
{
	struct qeff_exchange *ex;

	list_for_each_entry(ex, &control->pending, node) {
		if (ex->sequence == sequence) {
			list_del_init(&ex->node);
			return ex;
		}
	}
	return NULL;
}

/* Under pending_lock. */
void qeff_exchange_answered(struct qeff_exchange *ex)
{
	if (ex->orphan)
		queue_work(ex->qdev->wq, &ex->work);
	else
		complete(&ex->done);
}

void qeff_control_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_device *qdev = dev_get_drvdata(&mhi_dev->dev);
	struct qeff_wire_hdr *hdr = result->buf_addr;
	struct qeff_exchange *ex = NULL;

	if (!result->transaction_status && result->bytes_xferd >= sizeof(*hdr) &&
	    le32_to_cpu(hdr->magic) == QEFF_WIRE_MAGIC && le32_to_cpu(hdr->len) >= sizeof(*hdr) &&
	    le32_to_cpu(hdr->len) <= result->bytes_xferd) {
		spin_lock_bh(&qdev->control.pending_lock);
		ex = qeff_pending_take(&qdev->control, le32_to_cpu(hdr->sequence));
		if (ex) {
			ex->reply = hdr;
			ex->reply_bytes = le32_to_cpu(hdr->len);
			qeff_exchange_answered(ex);
		}
		spin_unlock_bh(&qdev->control.pending_lock);
	}
	if (!ex)
		kfree(hdr);
}

void qeff_control_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	kfree(container_of(result->buf_addr, struct qeff_piece, data[0]));
}
