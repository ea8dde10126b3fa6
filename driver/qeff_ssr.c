// SPDX-License-Identifier: GPL-2.0-only
/*
 * Subsystem restart: an NSP that crashed is shut down and powered up again by the card, which tells
 * the host each step, channel by channel, and waits for its answer. What was queued on the channel
 * is lost; the rest of the card goes on.
 *
 * The memory of the crashed subsystem that the card offers first is declined.
 */
#include <linux/slab.h>

#include "qeff_device.h"

#define QEFF_SSR_DEBUG_INFO	BIT(0)
#define QEFF_SSR_DEBUG_INFO_RSP BIT(1)
#define QEFF_SSR_EVENT		BIT(8)
#define QEFF_SSR_EVENT_RSP	BIT(9)
#define QEFF_SSR_NACK		BIT(0)
#define QEFF_SSR_DEBUG_NACK	1
#define QEFF_SSR_RX_BYTES	32

struct qeff_ssr_msg {
	__le32 command;
	__le32 length;
	__le32 dbc_id;
	__le32 value; /* event, or the answer's result */
};

static_assert(sizeof(struct qeff_ssr_msg) == 16);

struct qeff_ssr {
	bool closing;
	struct qeff_device *qdev;
	struct mhi_device *mhi;
	struct work_struct work;
	struct qeff_ssr_msg *rx, *tx;
	u32 bytes;
	bool busy;
};

static const struct {
	u32 event;
	enum qeff_dbc_state state;
} qeff_ssr_events[] = {
	{ BIT(1), QEFF_DBC_BEFORE_SHUTDOWN },
	{ BIT(2), QEFF_DBC_AFTER_SHUTDOWN },
	{ BIT(3), QEFF_DBC_BEFORE_POWER_UP },
	{ BIT(4), QEFF_DBC_AFTER_POWER_UP },
};

/* Returns what is to be answered. */
static u32 qeff_ssr_event(struct qeff_ssr *ssr, u32 dbc_id, u32 event)
{
	struct qeff_dbc *dbc;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(qeff_ssr_events); i++)
		if (qeff_ssr_events[i].event == event)
			break;
	if (i == ARRAY_SIZE(qeff_ssr_events) || dbc_id >= QEFF_DBCS || !qeff_online(ssr->qdev))
		return QEFF_SSR_NACK;
	dbc = &ssr->qdev->dbc[dbc_id];

	mutex_lock(&dbc->lock);
	qeff_dbc_set_state(dbc, qeff_ssr_events[i].state);
	mutex_unlock(&dbc->lock);
	switch (qeff_ssr_events[i].state) {
	case QEFF_DBC_BEFORE_SHUTDOWN:
		qeff_dbc_release(dbc, NULL, -EPIPE);
		break;
	case QEFF_DBC_AFTER_POWER_UP:
		mutex_lock(&dbc->lock);
		qeff_dbc_set_state(dbc, dbc->owner ? QEFF_DBC_ASSIGNED : QEFF_DBC_IDLE);
		mutex_unlock(&dbc->lock);
		break;
	default:
		break;
	}
	return event;
}

static void qeff_ssr_answer(struct qeff_ssr *ssr, u32 command, u32 dbc_id, u32 value)
{
	if (READ_ONCE(ssr->busy)) {
		dev_dbg(&ssr->mhi->dev, "the card does not take its answers\n");
		return;
	}
	ssr->tx->command = cpu_to_le32(command);
	ssr->tx->length = cpu_to_le32(sizeof(*ssr->tx));
	ssr->tx->dbc_id = cpu_to_le32(dbc_id);
	ssr->tx->value = cpu_to_le32(value);
	WRITE_ONCE(ssr->busy, true);
	if (mhi_queue_buf(ssr->mhi, DMA_TO_DEVICE, ssr->tx, sizeof(*ssr->tx), MHI_EOT))
		WRITE_ONCE(ssr->busy, false);
}

static int qeff_ssr_listen(struct qeff_ssr *ssr)
{
	return mhi_queue_buf(ssr->mhi, DMA_FROM_DEVICE, ssr->rx, QEFF_SSR_RX_BYTES, MHI_EOT);
}

static void qeff_ssr_work(struct work_struct *work)
{
	struct qeff_ssr *ssr = container_of(work, struct qeff_ssr, work);
	const struct qeff_ssr_msg *msg = ssr->rx;
	u32 dbc_id, value;

	if (READ_ONCE(ssr->closing))
		return;
	if (ssr->bytes >= sizeof(*msg) && le32_to_cpu(msg->length) == ssr->bytes) {
		dbc_id = le32_to_cpu(msg->dbc_id);
		switch (le32_to_cpu(msg->command)) {
		case QEFF_SSR_EVENT:
			value = qeff_ssr_event(ssr, dbc_id, le32_to_cpu(msg->value));
			qeff_ssr_answer(ssr, QEFF_SSR_EVENT_RSP, dbc_id, value);
			break;
		case QEFF_SSR_DEBUG_INFO:
			qeff_ssr_answer(ssr, QEFF_SSR_DEBUG_INFO_RSP, dbc_id, QEFF_SSR_DEBUG_NACK);
			break;
		default:
			dev_dbg(&ssr->mhi->dev, "message %#x is not known\n",
				le32_to_cpu(msg->command));
		}
	}
	if (qeff_ssr_listen(ssr))
		dev_dbg(&ssr->mhi->dev, "channel is closing\n");
}

static void qeff_ssr_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_ssr *ssr = dev_get_drvdata(&mhi_dev->dev);

	if (result->transaction_status == -ENOTCONN)
		return;
	ssr->bytes = result->transaction_status ? 0 : result->bytes_xferd;
	queue_work(ssr->qdev->wq, &ssr->work);
}

static void qeff_ssr_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_ssr *ssr = dev_get_drvdata(&mhi_dev->dev);

	WRITE_ONCE(ssr->busy, false);
}

static int qeff_ssr_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct qeff_device *qdev = qeff_from_mhi(mhi_dev);
	struct device *dev = &mhi_dev->dev;
	struct qeff_ssr *ssr;
	int ret;

	if (!qdev)
		return -ENODEV;
	ssr = devm_kzalloc(dev, sizeof(*ssr), GFP_KERNEL);
	if (!ssr)
		return -ENOMEM;
	ssr->rx = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	ssr->tx = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!ssr->rx || !ssr->tx)
		return -ENOMEM;
	ssr->qdev = qdev;
	ssr->mhi = mhi_dev;
	INIT_WORK(&ssr->work, qeff_ssr_work);
	dev_set_drvdata(dev, ssr);
	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;
	ret = qeff_ssr_listen(ssr);
	if (ret)
		mhi_unprepare_from_transfer(mhi_dev);
	return ret;
}

static void qeff_ssr_remove(struct mhi_device *mhi_dev)
{
	struct qeff_ssr *ssr = dev_get_drvdata(&mhi_dev->dev);

	qeff_mhi_close(mhi_dev, &ssr->closing, &ssr->work);
}

static const struct mhi_device_id qeff_ssr_ids[] = { { .chan = "QEFF_SSR" }, {} };

struct mhi_driver qeff_ssr_driver = {
	.id_table = qeff_ssr_ids,
	.probe = qeff_ssr_probe,
	.remove = qeff_ssr_remove,
	.ul_xfer_cb = qeff_ssr_ul,
	.dl_xfer_cb = qeff_ssr_dl,
	.driver = {
		.name = "qeff_ssr",
		.suppress_bind_attrs = true,
	},
};
