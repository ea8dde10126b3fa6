// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control channel: messages go to the card's firmware, each is answered by one reply, which
 * names it by its sequence number. Replies that come too late are still worked off: a channel may
 * have been given, and memory waits to be let go of.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "qeff_exchange.h"

#define QEFF_ROOM_TRIES		20
#define QEFF_ROOM_WAIT_MS	100
/* How long close() waits for the card; the rest happens behind it. */
#define QEFF_GOODBYE_WAIT	HZ

static unsigned long qeff_control_timeout(void)
{
	return min(READ_ONCE(qeff_control_timeout_s), 3600U) * HZ ?: 1;
}

/* ---- exchanges ---- */

static void qeff_late_work(struct work_struct *work);
static void qeff_boot_work(struct work_struct *work);

static struct qeff_exchange *qeff_exchange_new(struct qeff_device *qdev, struct qeff_user *user)
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
static void qeff_exchange_free(struct qeff_exchange *ex)
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
static int qeff_exchange_finish(struct qeff_exchange *ex)
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

static void qeff_exchange_retire(struct qeff_exchange *ex)
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

	qeff_msg_begin(msg, ex->terminate ? sizeof(hdr) + sizeof(struct qeff_wire_terminate) :
					    sizeof(hdr));
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
static int qeff_exchange_send(struct qeff_exchange *ex, bool abort)
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
static int qeff_exchange_wait(struct qeff_exchange *ex, unsigned long timeout, bool interruptible)
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
static void qeff_exchange_answered(struct qeff_exchange *ex)
{
	if (ex->orphan)
		queue_work(ex->qdev->wq, &ex->work);
	else
		complete(&ex->done);
}

static void qeff_control_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_device *qdev = dev_get_drvdata(&mhi_dev->dev);
	struct qeff_wire_hdr *hdr = result->buf_addr;
	struct qeff_exchange *ex = NULL;

	if (!result->transaction_status && result->bytes_xferd >= sizeof(*hdr) &&
	    le32_to_cpu(hdr->magic) == QEFF_WIRE_MAGIC &&
	    le32_to_cpu(hdr->len) >= sizeof(*hdr) &&
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

static void qeff_control_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	kfree(container_of(result->buf_addr, struct qeff_piece, data[0]));
}

/* ---- the manage ioctl ---- */

static int qeff_exchange_disable(struct qeff_exchange *ex)
{
	const struct qaic_manage_trans_deactivate *trans;
	const struct qaic_manage_trans_hdr *hdr;
	u32 at;
	int ret;

	for (at = 0; at < ex->buf_len; at += hdr->len) {
		hdr = (const void *)(ex->buf + at);
		if (hdr->type != QAIC_TRANS_DEACTIVATE_FROM_USR)
			continue;
		trans = (const void *)hdr;
		ret = qeff_dbc_disable(&ex->qdev->dbc[trans->dbc_id], ex->user);
		if (ret)
			return ret;
		set_bit(trans->dbc_id, &ex->disabled);
	}
	return 0;
}

/* Nothing was sent, or what was sent has been answered. */
static void qeff_exchange_undo(struct qeff_exchange *ex)
{
	unsigned int i;

	for_each_set_bit(i, &ex->disabled, QEFF_DBCS)
		qeff_dbc_enable(&ex->qdev->dbc[i], ex->user);
	ex->disabled = 0;
	qeff_exchange_free(ex);
}

/* The next part of a transfer cannot be sent: the card is told to forget the parts it has. */
static int qeff_manage_abort(struct qeff_exchange *ex, int error)
{
	if (qeff_exchange_send(ex, true)) {
		qeff_exchange_retire(ex);
		return error;
	}
	if (qeff_exchange_wait(ex, qeff_control_timeout(), false))
		return error;
	/* The ring it may have been shown was part of what it has forgotten. */
	if (ex->reply)
		qeff_exchange_undo(ex);
	else
		qeff_exchange_retire(ex);
	return error;
}

/*
 * Sends all messages of an exchange. Returns 0 with @ex finished and the caller's, or an error with
 * @ex gone.
 */
static int qeff_manage_run(struct qeff_exchange *ex)
{
	bool continuing = false;
	int ret;

	for (;;) {
		ret = qeff_exchange_pin(ex);
		if (!ret)
			ret = qeff_exchange_send(ex, false);
		if (ret) {
			qeff_exchange_unpin(ex);
			if (continuing)
				return qeff_manage_abort(ex, ret);
			qeff_exchange_undo(ex);
			return ret;
		}
		ret = qeff_exchange_wait(ex, qeff_control_timeout(), true);
		if (ret)
			return ret;
		if (!ex->reply) {
			ret = ex->error;
			qeff_exchange_retire(ex);
			return ret;
		}
		if (!ex->more || ex->described == ex->more->size)
			return 0;
		ret = qeff_exchange_continued(ex);
		if (ret) {
			qeff_exchange_unpin(ex);
			qeff_exchange_retire(ex);
			return ret;
		}
		qeff_exchange_unpin(ex);
		kfree(ex->reply);
		ex->reply = NULL;
		continuing = true;
	}
}

int qeff_manage_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qeff_device *qdev = to_qeff(drm);
	struct qaic_manage_msg *msg = data;
	struct qeff_exchange *ex;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	if (msg->len > QAIC_MANAGE_MAX_MSG_LENGTH || msg->count > QAIC_MANAGE_MAX_TRANSACTIONS ||
	    !msg->count || msg->len < sizeof(struct qaic_manage_trans_hdr))
		return -EINVAL;

	ex = qeff_exchange_new(qdev, file->driver_priv);
	if (!ex)
		return -ENOMEM;
	ret = -ENOMEM;
	ex->buf = kzalloc(QAIC_MANAGE_MAX_MSG_LENGTH, GFP_KERNEL);
	if (!ex->buf)
		goto err_free;
	ret = -EFAULT;
	if (copy_from_user(ex->buf, u64_to_user_ptr(msg->data), msg->len))
		goto err_free;
	ex->buf_len = msg->len;
	ex->buf_count = msg->count;
	ret = qeff_exchange_validate(ex);
	if (ret)
		goto err_free;
	ret = qeff_exchange_disable(ex);
	if (ret)
		goto err_free;

	ret = qeff_manage_run(ex);
	if (ret)
		return ret;
	ret = qeff_exchange_finish(ex);
	if (!ret || ret == -ECANCELED) {
		msg->len = ex->buf_len;
		msg->count = ex->buf_count;
		if (copy_to_user(u64_to_user_ptr(msg->data), ex->buf, ex->buf_len))
			ret = -EFAULT;
	}
	qeff_exchange_retire(ex);
	return ret;

err_free:
	qeff_exchange_undo(ex);
	return ret;
}

/* ---- the end of a user ---- */

struct qeff_exchange *qeff_goodbye_new(struct qeff_user *user)
{
	struct qeff_exchange *ex = qeff_exchange_new(user->qdev, NULL);

	/* It gets its reference to the user when it is sent: till then the user owns it. */
	if (ex)
		ex->terminate = true;
	return ex;
}

void qeff_goodbye_free(struct qeff_exchange *goodbye)
{
	kfree(goodbye);
}

/*
 * Tells the card that a user is gone, who has made his last call. His channels are given back when
 * it has answered, and his number with them.
 */
void qeff_goodbye_send(struct qeff_user *user)
{
	struct qeff_device *qdev = user->qdev;
	struct qeff_exchange *ex = user->goodbye;
	unsigned long end = jiffies + qeff_control_timeout();
	int ret;

	user->goodbye = NULL;
	kref_get(&user->ref);
	ex->user = user;
	ex->epoch = READ_ONCE(qdev->epoch);
	for (;;) {
		ret = qeff_exchange_send(ex, false);
		if (!ret || ret == -ENODEV || time_after(jiffies, end))
			break;
		schedule_timeout_uninterruptible(HZ / 10);
	}
	if (ret) {
		/* A card that takes no message for so long is not in order. */
		if (ret != -ENODEV)
			qeff_device_request_reset(qdev, "the control channel is stuck");
		qeff_exchange_free(ex);
		return;
	}
	if (qeff_exchange_wait(ex, QEFF_GOODBYE_WAIT, false))
		return;
	qeff_exchange_finish(ex);
	qeff_exchange_retire(ex);
}

/* ---- the life of the channel ---- */

void qeff_control_init(struct qeff_device *qdev)
{
	struct qeff_control *control = &qdev->control;

	mutex_init(&control->lock);
	spin_lock_init(&control->pending_lock);
	INIT_LIST_HEAD(&control->pending);
	INIT_LIST_HEAD(&control->doomed);
	INIT_LIST_HEAD(&control->shown);
	INIT_WORK(&control->boot_work, qeff_boot_work);
}

/* The card is going away: wakes all who wait for it, and lets nobody begin. Sleeps for a moment. */
void qeff_control_abort(struct qeff_device *qdev)
{
	struct qeff_control *control = &qdev->control;
	struct qeff_exchange *ex, *next;

	mutex_lock(&control->lock);
	control->open = false;
	spin_lock_bh(&control->pending_lock);
	list_for_each_entry_safe(ex, next, &control->pending, node) {
		list_del_init(&ex->node);
		ex->error = -EIO;
		qeff_exchange_answered(ex);
	}
	spin_unlock_bh(&control->pending_lock);
	mutex_unlock(&control->lock);
}

/*
 * The card was stopped: nothing that it was shown is read or written any more. It is taken away here
 * and now, whoever has the exchange: that may be a thread which waits for a page of its user.
 */
void qeff_control_quiet(struct qeff_device *qdev)
{
	struct qeff_control *control = &qdev->control;
	struct qeff_exchange *ex, *next;
	LIST_HEAD(doomed);

	mutex_lock(&control->lock);
	list_for_each_entry_safe(ex, next, &control->shown, shown)
		qeff_exchange_unmap(ex);
	spin_lock_bh(&control->pending_lock);
	control->quiet_epoch = READ_ONCE(qdev->epoch);
	list_splice_init(&control->doomed, &doomed);
	spin_unlock_bh(&control->pending_lock);
	mutex_unlock(&control->lock);

	list_for_each_entry_safe(ex, next, &doomed, node) {
		list_del_init(&ex->node);
		qeff_exchange_free(ex);
	}
}

bool qeff_control_busy(struct qeff_device *qdev)
{
	struct qeff_control *control = &qdev->control;
	bool busy;

	spin_lock_bh(&control->pending_lock);
	busy = !list_empty(&control->pending);
	spin_unlock_bh(&control->pending_lock);
	return busy;
}

/* The first message asks for the protocol's version; only then may users come. */
static void qeff_boot_work(struct work_struct *work)
{
	struct qeff_device *qdev = container_of(work, struct qeff_device, control.boot_work);
	struct device *dev = &qdev->pdev->dev;
	struct qeff_exchange *ex = qeff_exchange_new(qdev, NULL);
	struct qeff_wire_status *status;
	u32 epoch;
	int ret;

	if (!ex)
		return;
	epoch = ex->epoch;
	ret = qeff_exchange_send(ex, false);
	if (ret) {
		qeff_exchange_free(ex);
		return;
	}
	ret = qeff_exchange_wait(ex, qeff_control_timeout(), false);
	if (ret) {
		dev_err(dev, "the firmware does not answer; the card stays offline\n");
		return;
	}
	ret = qeff_exchange_finish(ex);
	if (ret) {
		if (ex->reply)
			dev_err(dev, "the firmware's first answer is malformed (%d)\n", ret);
		goto out;
	}
	if (ex->major != QEFF_PROTOCOL_MAJOR || ex->minor > QEFF_PROTOCOL_MINOR) {
		dev_err(dev,
			"the firmware speaks control protocol %u.%u, this driver %u.%u; the card stays offline\n",
			ex->major, ex->minor, QEFF_PROTOCOL_MAJOR, QEFF_PROTOCOL_MINOR);
		goto out;
	}
	status = (void *)(ex->reply + 1);
	WRITE_ONCE(qdev->control.crc, !!(le64_to_cpu(status->flags) & QEFF_WIRE_STATUS_CRC));
	qeff_device_online(qdev, epoch);
out:
	qeff_exchange_free(ex);
}

static int qeff_control_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct qeff_device *qdev = qeff_from_mhi(mhi_dev);
	struct qeff_control *control;
	int ret;

	if (!qdev)
		return -ENODEV;
	control = &qdev->control;
	dev_set_drvdata(&mhi_dev->dev, qdev);
	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;

	mutex_lock(&control->lock);
	control->mhi = mhi_dev;
	control->crc = true;
	control->spare_rx = 0;
	spin_lock(&qdev->state_lock);
	control->open = !qdev->removed;
	if (control->open)
		WRITE_ONCE(qdev->state, QEFF_BOOT);
	spin_unlock(&qdev->state_lock);
	mutex_unlock(&control->lock);
	queue_work(qdev->wq, &control->boot_work);
	return 0;
}

/* MHI has reset the card, or it is off the bus, and every queued buffer came back. */
static void qeff_control_remove(struct mhi_device *mhi_dev)
{
	struct qeff_device *qdev = dev_get_drvdata(&mhi_dev->dev);

	qeff_device_offline(qdev);
	cancel_work_sync(&qdev->control.boot_work);
	qeff_device_quiet(qdev);
	mutex_lock(&qdev->control.lock);
	qdev->control.mhi = NULL;
	mutex_unlock(&qdev->control.lock);
}

static const struct mhi_device_id qeff_control_ids[] = {
	{ .chan = "QEFF_CONTROL" },
	{ }
};

struct mhi_driver qeff_control_driver = {
	.id_table = qeff_control_ids,
	.probe = qeff_control_probe,
	.remove = qeff_control_remove,
	.ul_xfer_cb = qeff_control_ul,
	.dl_xfer_cb = qeff_control_dl,
	.driver = {
		.name = "qeff_control",
		.suppress_bind_attrs = true,
	},
};
