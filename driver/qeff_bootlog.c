// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the card prints while it boots, and how full its channels are: both in debugfs.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "qeff_device.h"

#define QEFF_LOG_BUFFERS 16
#define QEFF_LOG_BYTES	 512

struct qeff_log_buffer {
	struct work_struct work;
	struct mhi_device *mhi;
	u32 bytes;
	char *text;
};

struct qeff_log {
	bool closing;
	struct workqueue_struct *wq; /* ordered, as the text is */
	struct qeff_log_buffer buffers[QEFF_LOG_BUFFERS];
};

/* The newest text is kept; of the oldest, half is dropped when there is no room. */
static void qeff_log_append(struct qeff_device *qdev, const char *text, size_t bytes)
{
	mutex_lock(&qdev->log_lock);
	if (bytes > QEFF_BOOTLOG_BYTES - qdev->bootlog_len) {
		size_t half = qdev->bootlog_len / 2;

		memmove(qdev->bootlog, qdev->bootlog + qdev->bootlog_len - half, half);
		qdev->bootlog_len = half;
	}
	memcpy(qdev->bootlog + qdev->bootlog_len, text, bytes);
	qdev->bootlog_len += bytes;
	mutex_unlock(&qdev->log_lock);
}

static void qeff_log_work(struct work_struct *work)
{
	struct qeff_log_buffer *buffer = container_of(work, struct qeff_log_buffer, work);
	struct qeff_log *log = dev_get_drvdata(&buffer->mhi->dev);

	qeff_log_append(qeff_from_mhi(buffer->mhi), buffer->text,
			strnlen(buffer->text, buffer->bytes));
	if (!READ_ONCE(log->closing) &&
	    mhi_queue_buf(buffer->mhi, DMA_FROM_DEVICE, buffer->text, QEFF_LOG_BYTES, MHI_EOT))
		dev_dbg(&buffer->mhi->dev, "channel is closing\n");
}

/* MHI does not ask whether a channel still has rings: nothing is queued once they go. */
static void qeff_log_close(struct qeff_log *log, struct mhi_device *mhi_dev)
{
	WRITE_ONCE(log->closing, true);
	flush_workqueue(log->wq);
	mhi_unprepare_from_transfer(mhi_dev);
}

static void qeff_log_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_log *log = dev_get_drvdata(&mhi_dev->dev);
	unsigned int i;

	if (result->transaction_status == -ENOTCONN) {
		WRITE_ONCE(log->closing, true);
		return;
	}
	for (i = 0; i < QEFF_LOG_BUFFERS; i++) {
		struct qeff_log_buffer *buffer = &log->buffers[i];

		if (buffer->text != result->buf_addr)
			continue;
		buffer->bytes = result->transaction_status ? 0 : result->bytes_xferd;
		queue_work(log->wq, &buffer->work);
	}
}

static void qeff_log_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	/* Nothing is ever sent. */
}

static int qeff_log_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct qeff_device *qdev = qeff_from_mhi(mhi_dev);
	struct device *dev = &mhi_dev->dev;
	struct qeff_log *log;
	unsigned int i;
	char *text;
	int ret;

	if (!qdev)
		return -ENODEV;
	log = devm_kzalloc(dev, sizeof(*log), GFP_KERNEL);
	text = (char *)devm_get_free_pages(dev, GFP_KERNEL,
					   get_order(QEFF_LOG_BUFFERS * QEFF_LOG_BYTES));
	if (!log || !text)
		return -ENOMEM;
	for (i = 0; i < QEFF_LOG_BUFFERS; i++) {
		log->buffers[i].mhi = mhi_dev;
		log->buffers[i].text = text + i * QEFF_LOG_BYTES;
		INIT_WORK(&log->buffers[i].work, qeff_log_work);
	}
	dev_set_drvdata(dev, log);

	log->wq = alloc_ordered_workqueue("qeff_log", 0);
	if (!log->wq)
		return -ENOMEM;
	/* The log of the boot that begins. */
	mutex_lock(&qdev->log_lock);
	qdev->bootlog_len = 0;
	mutex_unlock(&qdev->log_lock);

	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		goto err_wq;
	for (i = 0; i < QEFF_LOG_BUFFERS; i++) {
		ret = mhi_queue_buf(mhi_dev, DMA_FROM_DEVICE, log->buffers[i].text, QEFF_LOG_BYTES,
				    MHI_EOT);
		if (ret) {
			qeff_log_close(log, mhi_dev);
			goto err_wq;
		}
	}
	return 0;

err_wq:
	destroy_workqueue(log->wq);
	return ret;
}

static void qeff_log_remove(struct mhi_device *mhi_dev)
{
	struct qeff_log *log = dev_get_drvdata(&mhi_dev->dev);

	qeff_log_close(log, mhi_dev);
	destroy_workqueue(log->wq);
}

static const struct mhi_device_id qeff_log_ids[] = { { .chan = "QEFF_LOGGING" }, {} };

struct mhi_driver qeff_bootlog_driver = {
	.id_table = qeff_log_ids,
	.probe = qeff_log_probe,
	.remove = qeff_log_remove,
	.ul_xfer_cb = qeff_log_ul,
	.dl_xfer_cb = qeff_log_dl,
	.driver = {
		.name = "qeff_bootlog",
		.suppress_bind_attrs = true,
	},
};

/* ---- debugfs ---- */

static int qeff_bootlog_show(struct seq_file *m, void *unused)
{
	struct qeff_device *qdev = m->private;

	mutex_lock(&qdev->log_lock);
	seq_write(m, qdev->bootlog, qdev->bootlog_len);
	mutex_unlock(&qdev->log_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(qeff_bootlog);

static int qeff_fifo_size_show(struct seq_file *m, void *unused)
{
	struct qeff_dbc *dbc = m->private;
	u32 elements;

	spin_lock(&dbc->queue_lock);
	elements = dbc->ring.elements;
	spin_unlock(&dbc->queue_lock);
	seq_printf(m, "%u\n", elements);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(qeff_fifo_size);

static int qeff_queued_show(struct seq_file *m, void *unused)
{
	struct qeff_dbc *dbc = m->private;

	seq_printf(m, "%u\n", READ_ONCE(dbc->queued));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(qeff_queued);

/* They go with the folder. */
void qeff_debugfs_init(struct qeff_device *qdev)
{
	struct dentry *root = qeff_debugfs_root(&qdev->drm), *dir;
	unsigned int i;
	char name[16];

	debugfs_create_file("bootlog", 0400, root, qdev, &qeff_bootlog_fops);
	for (i = 0; i < QEFF_DBCS; i++) {
		snprintf(name, sizeof(name), "dbc%03u", i);
		dir = debugfs_create_dir(name, root);
		debugfs_create_file("fifo_size", 0400, dir, &qdev->dbc[i], &qeff_fifo_size_fops);
		debugfs_create_file("queued", 0400, dir, &qdev->dbc[i], &qeff_queued_fops);
	}
}
