// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who talks to the card's firmware: users by the manage ioctl, and the driver itself when the card
 * has booted and when a user leaves. And the life of the channel they do it on.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "qeff_exchange.h"

/* How long close() waits for the card; the rest happens behind it. */
#define QEFF_GOODBYE_WAIT HZ
#define QEFF_GOODBYES	  3

static unsigned long qeff_control_timeout(void)
{
	return min(READ_ONCE(qeff_control_timeout_s), 3600U) * HZ ?: 1;
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

static void qeff_goodbye_work(struct work_struct *work);

int qeff_goodbye_init(struct qeff_user *user)
{
	INIT_WORK(&user->goodbye_work, qeff_goodbye_work);
	init_completion(&user->gone);
	/* It gets its reference to the user when it is sent: till then the user owns it. */
	user->goodbye = qeff_exchange_new(user->qdev, NULL);
	return user->goodbye ? 0 : -ENOMEM;
}

void qeff_goodbye_free(struct qeff_user *user)
{
	kfree(user->goodbye);
	user->goodbye = NULL;
}

static int qeff_goodbye_try(struct qeff_user *user, struct qeff_exchange *ex)
{
	unsigned long end = jiffies + qeff_control_timeout();
	int ret;

	kref_get(&user->ref);
	ex->user = user;
	ex->terminate = true;
	ex->epoch = READ_ONCE(user->qdev->epoch);
	do {
		ret = qeff_exchange_send(ex, false);
	} while (ret && ret != -ENODEV && !time_after(jiffies, end) &&
		 (schedule_timeout_uninterruptible(HZ / 10), true));
	if (ret) {
		qeff_exchange_free(ex);
		return ret;
	}
	ret = qeff_exchange_wait(ex, qeff_control_timeout(), false);
	if (ret)
		return ret;
	qeff_exchange_finish(ex);
	qeff_exchange_retire(ex);
	return 0;
}

/* It may be said again: a card that has forgotten the user has nothing more of him to forget. */
static void qeff_goodbye_work(struct work_struct *work)
{
	struct qeff_user *user = container_of(work, struct qeff_user, goodbye_work);
	struct qeff_exchange *ex = user->goodbye;
	unsigned int tries;
	int ret = -ENOMEM;

	user->goodbye = NULL;
	for (tries = 0; tries < QEFF_GOODBYES; tries++) {
		if (!ex)
			ex = qeff_exchange_new(user->qdev, NULL);
		if (ex)
			ret = qeff_goodbye_try(user, ex);
		if (!ret || ret == -ENODEV)
			break;
		ex = NULL;
	}
	if (ret && ret != -ENODEV)
		qeff_device_request_reset(user->qdev, "it does not answer when a user leaves");
	complete_all(&user->gone);
	qeff_user_put(user);
}

/*
 * Tells the card that a user is gone, who has made his last call. His channels are given back when
 * it has answered, and his number with them. That it does is waited for, if it does not take long.
 */
void qeff_goodbye(struct qeff_user *user)
{
	kref_get(&user->ref);
	queue_work(user->qdev->goodbye_wq, &user->goodbye_work);
	wait_for_completion_timeout(&user->gone, QEFF_GOODBYE_WAIT);
}

/* ---- the life of the channel ---- */

static void qeff_boot_work(struct work_struct *work);

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
 * The card was stopped: nothing that it was shown is read or written any more. It is taken away
 * here and now, whoever has the exchange: that may be a thread which waits for a page of its user.
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

static const struct mhi_device_id qeff_control_ids[] = { { .chan = "QEFF_CONTROL" }, {} };

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
