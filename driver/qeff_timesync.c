// SPDX-License-Identifier: GPL-2.0-only
/*
 * The time of day for the card's firmware: once while it boots, when it asks; then, again and
 * again, how far its own counter is from it.
 */
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "qeff_device.h"

#define QEFF_TIMESYNC_SIGNATURE 0x55aa
#define QEFF_TIMESYNC_REQUEST	1
#define QEFF_REG_QTIMER_LOW	0xa28
#define QEFF_REG_QTIMER_HIGH	0xa2c

struct qeff_timesync_hdr {
	__le16 signature;
	__le16 pad0;
	u8 pad1;
	u8 type;
	__le16 pad2;
};

struct qeff_timesync_msg {
	struct qeff_timesync_hdr hdr;
	__le64 seconds;
	__le64 microseconds;
};

static_assert(sizeof(struct qeff_timesync_msg) == 24);

static void qeff_timesync_fill(struct qeff_timesync_msg *msg, u64 us)
{
	u32 rest;

	memset(msg, 0, sizeof(*msg));
	msg->hdr.signature = cpu_to_le16(QEFF_TIMESYNC_SIGNATURE);
	msg->hdr.type = QEFF_TIMESYNC_REQUEST;
	msg->seconds = cpu_to_le64(div_u64_rem(us, USEC_PER_SEC, &rest));
	msg->microseconds = cpu_to_le64(rest);
}

/* ---- again and again ---- */

struct qeff_timesync {
	struct qeff_device *qdev;
	struct mhi_device *mhi;
	struct delayed_work work;
	struct qeff_timesync_msg *msg;
	bool busy; /* the card has the message */
};

/*
 * A 64-bit counter of 19.2 MHz in two registers. The upper half changes every few minutes: if it
 * has between two reads, the lower half has just begun anew.
 */
static u64 qeff_qtimer_us(struct qeff_device *qdev)
{
	u32 low, high, before;

	before = readl(qdev->mhi_regs + QEFF_REG_QTIMER_HIGH);
	low = readl(qdev->mhi_regs + QEFF_REG_QTIMER_LOW);
	high = readl(qdev->mhi_regs + QEFF_REG_QTIMER_HIGH);
	if (high != before)
		low = readl(qdev->mhi_regs + QEFF_REG_QTIMER_LOW);
	return mul_u64_u32_div((u64)high << 32 | low, 10, 192);
}

static void qeff_timesync_work(struct work_struct *work)
{
	struct qeff_timesync *sync = container_of(work, struct qeff_timesync, work.work);
	u64 now;

	if (!READ_ONCE(sync->busy)) {
		now = div_u64(ktime_get_real_ns(), NSEC_PER_USEC);
		qeff_timesync_fill(sync->msg, now - qeff_qtimer_us(sync->qdev));
		WRITE_ONCE(sync->busy, true);
		if (mhi_queue_buf(sync->mhi, DMA_TO_DEVICE, sync->msg, sizeof(*sync->msg), MHI_EOT))
			WRITE_ONCE(sync->busy, false);
	}
	queue_delayed_work(sync->qdev->wq, &sync->work,
			   msecs_to_jiffies(max(READ_ONCE(qeff_timesync_ms), 10U)));
}

static void qeff_timesync_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_timesync *sync = dev_get_drvdata(&mhi_dev->dev);

	WRITE_ONCE(sync->busy, false);
}

static void qeff_timesync_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	/* No buffer is ever queued. */
}

static int qeff_timesync_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct qeff_device *qdev = qeff_from_mhi(mhi_dev);
	struct device *dev = &mhi_dev->dev;
	struct qeff_timesync *sync;
	int ret;

	if (!qdev)
		return -ENODEV;
	sync = devm_kzalloc(dev, sizeof(*sync), GFP_KERNEL);
	if (!sync)
		return -ENOMEM;
	sync->msg = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!sync->msg)
		return -ENOMEM;
	sync->qdev = qdev;
	sync->mhi = mhi_dev;
	INIT_DELAYED_WORK(&sync->work, qeff_timesync_work);
	dev_set_drvdata(dev, sync);
	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;
	queue_delayed_work(qdev->wq, &sync->work, 0);
	return 0;
}

static void qeff_timesync_remove(struct mhi_device *mhi_dev)
{
	struct qeff_timesync *sync = dev_get_drvdata(&mhi_dev->dev);

	cancel_delayed_work_sync(&sync->work);
	mhi_unprepare_from_transfer(mhi_dev);
}

static const struct mhi_device_id qeff_timesync_ids[] = { { .chan = "QEFF_TIMESYNC_PERIODIC" },
							  {} };

struct mhi_driver qeff_timesync_driver = {
	.id_table = qeff_timesync_ids,
	.probe = qeff_timesync_probe,
	.remove = qeff_timesync_remove,
	.ul_xfer_cb = qeff_timesync_ul,
	.dl_xfer_cb = qeff_timesync_dl,
	.driver = {
		.name = "qeff_timesync",
		.suppress_bind_attrs = true,
	},
};

/* ---- once ---- */

/* A question and its answer: the loader asks again when it has the answer. */
struct qeff_timesync_boot {
	struct mhi_device *mhi;
	struct work_struct work;
	struct qeff_timesync_hdr *question;
	struct qeff_timesync_msg *answer;
	u32 bytes;
	bool busy;
	bool closing;
};

static int qeff_timesync_listen(struct qeff_timesync_boot *boot)
{
	return mhi_queue_buf(boot->mhi, DMA_FROM_DEVICE, boot->question, sizeof(*boot->question),
			     MHI_EOT);
}

static void qeff_timesync_boot_work(struct work_struct *work)
{
	struct qeff_timesync_boot *boot = container_of(work, struct qeff_timesync_boot, work);
	const struct qeff_timesync_hdr *hdr = boot->question;

	if (READ_ONCE(boot->closing))
		return;
	if (boot->bytes == sizeof(*hdr) && !hdr->type &&
	    le16_to_cpu(hdr->signature) == QEFF_TIMESYNC_SIGNATURE && !READ_ONCE(boot->busy)) {
		qeff_timesync_fill(boot->answer, div_u64(ktime_get_real_ns(), NSEC_PER_USEC));
		WRITE_ONCE(boot->busy, true);
		if (mhi_queue_buf(boot->mhi, DMA_TO_DEVICE, boot->answer, sizeof(*boot->answer),
				  MHI_EOT))
			WRITE_ONCE(boot->busy, false);
	}
	if (qeff_timesync_listen(boot))
		dev_dbg(&boot->mhi->dev, "channel is closing\n");
}

static void qeff_timesync_boot_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_timesync_boot *boot = dev_get_drvdata(&mhi_dev->dev);

	if (result->transaction_status == -ENOTCONN)
		return;
	boot->bytes = result->transaction_status ? 0 : result->bytes_xferd;
	queue_work(qeff_from_mhi(mhi_dev)->wq, &boot->work);
}

static void qeff_timesync_boot_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_timesync_boot *boot = dev_get_drvdata(&mhi_dev->dev);

	WRITE_ONCE(boot->busy, false);
}

static int qeff_timesync_boot_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct device *dev = &mhi_dev->dev;
	struct qeff_timesync_boot *boot;
	int ret;

	if (!qeff_from_mhi(mhi_dev))
		return -ENODEV;
	boot = devm_kzalloc(dev, sizeof(*boot), GFP_KERNEL);
	if (!boot)
		return -ENOMEM;
	boot->question = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	boot->answer = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!boot->question || !boot->answer)
		return -ENOMEM;
	boot->mhi = mhi_dev;
	INIT_WORK(&boot->work, qeff_timesync_boot_work);
	dev_set_drvdata(dev, boot);
	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;
	ret = qeff_timesync_listen(boot);
	if (ret)
		mhi_unprepare_from_transfer(mhi_dev);
	return ret;
}

static void qeff_timesync_boot_remove(struct mhi_device *mhi_dev)
{
	struct qeff_timesync_boot *boot = dev_get_drvdata(&mhi_dev->dev);

	qeff_mhi_close(mhi_dev, &boot->closing, &boot->work);
}

static const struct mhi_device_id qeff_timesync_boot_ids[] = { { .chan = "QEFF_TIMESYNC" }, {} };

struct mhi_driver qeff_timesync_boot_driver = {
	.id_table = qeff_timesync_boot_ids,
	.probe = qeff_timesync_boot_probe,
	.remove = qeff_timesync_boot_remove,
	.ul_xfer_cb = qeff_timesync_boot_ul,
	.dl_xfer_cb = qeff_timesync_boot_dl,
	.driver = {
		.name = "qeff_timesync_boot",
		.suppress_bind_attrs = true,
	},
};
