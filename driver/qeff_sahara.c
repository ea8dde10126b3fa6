// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sahara: the card's second boot loader asks for its images, piece by piece, on a channel of its
 * own. It is a client that drives: each of its packets is answered by one of ours, or by raw data.
 *
 * Packets are handled by a work item, since files are read for them.
 */
#include <linux/firmware.h>
#include <linux/slab.h>

#include "qeff_device.h"

#define QEFF_SAHARA_RX_BYTES SZ_4K
#define QEFF_SAHARA_MAX_READ SZ_512K
#define QEFF_SAHARA_CHUNK    SZ_32K
#define QEFF_SAHARA_CHUNKS   (QEFF_SAHARA_MAX_READ / QEFF_SAHARA_CHUNK)
#define QEFF_SAHARA_VERSION  2

enum {
	SAHARA_HELLO = 0x1,
	SAHARA_HELLO_RESP = 0x2,
	SAHARA_READ_DATA = 0x3,
	SAHARA_END_OF_IMAGE = 0x4,
	SAHARA_DONE = 0x5,
	SAHARA_DONE_RESP = 0x6,
	SAHARA_RESET = 0x7,
	SAHARA_RESET_RESP = 0x8,
};

struct sahara_packet {
	__le32 command;
	__le32 length;
	union {
		struct {
			__le32 version;
			__le32 compatible;
			__le32 max_or_status;
			__le32 mode;
			__le32 pad[6];
		} hello;
		struct {
			__le32 image;
			__le32 offset;
			__le32 bytes;
		} read;
		struct {
			__le32 image;
			__le32 status;
		} end;
	};
};

static_assert(sizeof(struct sahara_packet) == 0x30);

/* By image number. The files of those without a name do not exist. */
static const char *const qeff_images[] = {
	[1] = "qcom/aic100/fw1.bin", [2] = "qcom/aic100/fw2.bin",   [4] = "qcom/aic100/fw4.bin",
	[5] = "qcom/aic100/fw5.bin", [6] = "qcom/aic100/fw6.bin",   [8] = "qcom/aic100/fw8.bin",
	[9] = "qcom/aic100/fw9.bin", [10] = "qcom/aic100/fw10.bin",
};

MODULE_FIRMWARE("qcom/aic100/fw1.bin");
MODULE_FIRMWARE("qcom/aic100/fw2.bin");
MODULE_FIRMWARE("qcom/aic100/fw5.bin");
MODULE_FIRMWARE("qcom/aic100/fw9.bin");
MODULE_FIRMWARE("qcom/aic100/fw10.bin");

struct qeff_sahara {
	struct mhi_device *mhi;
	struct work_struct work;
	void *rx;
	u32 rx_bytes;
	bool closing;
	struct sahara_packet *reply;
	void *chunks[QEFF_SAHARA_CHUNKS];
	atomic_t outstanding; /* of our buffers */
	wait_queue_head_t sent;
	const struct firmware *image;
	u32 image_id;
};

static int qeff_sahara_queue(struct qeff_sahara *sahara, void *data, u32 bytes,
			     enum mhi_flags flags)
{
	int ret;

	atomic_inc(&sahara->outstanding);
	ret = mhi_queue_buf(sahara->mhi, DMA_TO_DEVICE, data, bytes, flags);
	if (ret) {
		atomic_dec(&sahara->outstanding);
		dev_err(&sahara->mhi->dev, "cannot send to the boot loader (%d)\n", ret);
	}
	return ret;
}

static void qeff_sahara_send(struct qeff_sahara *sahara, u32 command, u32 bytes)
{
	sahara->reply->command = cpu_to_le32(command);
	sahara->reply->length = cpu_to_le32(bytes);
	qeff_sahara_queue(sahara, sahara->reply, bytes, MHI_EOT);
}

static void qeff_sahara_drop_image(struct qeff_sahara *sahara)
{
	release_firmware(sahara->image);
	sahara->image = NULL;
}

static void qeff_sahara_hello(struct qeff_sahara *sahara, const struct sahara_packet *packet)
{
	qeff_sahara_drop_image(sahara);
	if (le32_to_cpu(packet->hello.version) != QEFF_SAHARA_VERSION) {
		dev_err(&sahara->mhi->dev, "boot loader speaks version %u of its protocol\n",
			le32_to_cpu(packet->hello.version));
		return;
	}
	memset(sahara->reply, 0, sizeof(*sahara->reply));
	sahara->reply->hello.version = cpu_to_le32(QEFF_SAHARA_VERSION);
	sahara->reply->hello.compatible = cpu_to_le32(QEFF_SAHARA_VERSION);
	sahara->reply->hello.mode = packet->hello.mode;
	qeff_sahara_send(sahara, SAHARA_HELLO_RESP, sizeof(*packet));
}

/* One image is open at a time, from its first read to its end. */
static int qeff_sahara_open_image(struct qeff_sahara *sahara, u32 id)
{
	int ret;

	if (sahara->image)
		return sahara->image_id == id ? 0 : -EBUSY;
	if (id >= ARRAY_SIZE(qeff_images) || !qeff_images[id]) {
		dev_dbg(&sahara->mhi->dev, "image %u is not known\n", id);
		return -ENOENT;
	}
	ret = firmware_request_nowarn(&sahara->image, qeff_images[id], &sahara->mhi->dev);
	if (ret) {
		/* Some cards do without some images. */
		dev_dbg(&sahara->mhi->dev, "%s: %d\n", qeff_images[id], ret);
		sahara->image = NULL;
		return ret;
	}
	sahara->image_id = id;
	return 0;
}

static void qeff_sahara_read(struct qeff_sahara *sahara, const struct sahara_packet *packet)
{
	u32 offset = le32_to_cpu(packet->read.offset), bytes = le32_to_cpu(packet->read.bytes);
	unsigned int i;
	u32 now;

	if (qeff_sahara_open_image(sahara, le32_to_cpu(packet->read.image)) || !bytes ||
	    bytes > QEFF_SAHARA_MAX_READ || offset > sahara->image->size ||
	    bytes > sahara->image->size - offset) {
		qeff_sahara_drop_image(sahara);
		qeff_sahara_send(sahara, SAHARA_RESET, 8);
		return;
	}
	for (i = 0; bytes; i++) {
		now = min_t(u32, bytes, QEFF_SAHARA_CHUNK);
		/* The file may lie in memory that cannot be mapped for a device. */
		memcpy(sahara->chunks[i], sahara->image->data + offset, now);
		bytes -= now;
		offset += now;
		if (qeff_sahara_queue(sahara, sahara->chunks[i], now, bytes ? MHI_CHAIN : MHI_EOT))
			return;
	}
}

static void qeff_sahara_packet(struct qeff_sahara *sahara)
{
	static const u8 lengths[] = {
		[SAHARA_HELLO] = 0x30,	   [SAHARA_READ_DATA] = 0x14, [SAHARA_END_OF_IMAGE] = 0x10,
		[SAHARA_DONE_RESP] = 0x0c, [SAHARA_RESET_RESP] = 8,
	};
	const struct sahara_packet *packet = sahara->rx;
	u32 command;

	if (sahara->rx_bytes < 8)
		return;
	command = le32_to_cpu(packet->command);
	if (command >= ARRAY_SIZE(lengths) || !lengths[command] ||
	    le32_to_cpu(packet->length) != lengths[command] ||
	    sahara->rx_bytes < lengths[command]) {
		/* Memory dumps among them: a reset ends them, and the card boots. */
		dev_dbg(&sahara->mhi->dev, "packet %#x is not answered\n", command);
		if (command > SAHARA_RESET_RESP)
			qeff_sahara_send(sahara, SAHARA_RESET, 8);
		return;
	}

	switch (command) {
	case SAHARA_HELLO:
		qeff_sahara_hello(sahara, packet);
		break;
	case SAHARA_READ_DATA:
		qeff_sahara_read(sahara, packet);
		break;
	case SAHARA_END_OF_IMAGE:
		qeff_sahara_drop_image(sahara);
		if (packet->end.status)
			dev_err(&sahara->mhi->dev, "image %u was refused (%u)\n",
				le32_to_cpu(packet->end.image), le32_to_cpu(packet->end.status));
		else
			qeff_sahara_send(sahara, SAHARA_DONE, 8);
		break;
	}
}

static void qeff_sahara_work(struct work_struct *work)
{
	struct qeff_sahara *sahara = container_of(work, struct qeff_sahara, work);

	/* Our buffers are used again; the card asks only when it has what it asked for before. */
	wait_event_timeout(sahara->sent,
			   !atomic_read(&sahara->outstanding) || READ_ONCE(sahara->closing),
			   5 * HZ);
	if (READ_ONCE(sahara->closing))
		return;
	if (!atomic_read(&sahara->outstanding))
		qeff_sahara_packet(sahara);
	if (mhi_queue_buf(sahara->mhi, DMA_FROM_DEVICE, sahara->rx, QEFF_SAHARA_RX_BYTES, MHI_EOT))
		dev_dbg(&sahara->mhi->dev, "channel is closing\n");
}

static void qeff_sahara_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_sahara *sahara = dev_get_drvdata(&mhi_dev->dev);

	if (result->transaction_status == -ENOTCONN) {
		WRITE_ONCE(sahara->closing, true);
		wake_up_all(&sahara->sent);
		return;
	}
	sahara->rx_bytes = result->transaction_status ? 0 : result->bytes_xferd;
	queue_work(qeff_from_mhi(mhi_dev)->wq, &sahara->work);
}

static void qeff_sahara_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_sahara *sahara = dev_get_drvdata(&mhi_dev->dev);

	if (result->transaction_status == -ENOTCONN)
		WRITE_ONCE(sahara->closing, true);
	if (atomic_dec_and_test(&sahara->outstanding) || READ_ONCE(sahara->closing))
		wake_up_all(&sahara->sent);
}

static int qeff_sahara_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct device *dev = &mhi_dev->dev;
	struct qeff_sahara *sahara;
	unsigned int i;
	int ret;

	if (!qeff_from_mhi(mhi_dev))
		return -ENODEV;
	sahara = devm_kzalloc(dev, sizeof(*sahara), GFP_KERNEL);
	if (!sahara)
		return -ENOMEM;
	sahara->mhi = mhi_dev;
	INIT_WORK(&sahara->work, qeff_sahara_work);
	init_waitqueue_head(&sahara->sent);
	/* Memory that devices read is not shared with devres's headers. */
	sahara->rx = (void *)devm_get_free_pages(dev, GFP_KERNEL, get_order(QEFF_SAHARA_RX_BYTES));
	sahara->reply = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!sahara->rx || !sahara->reply)
		return -ENOMEM;
	for (i = 0; i < QEFF_SAHARA_CHUNKS; i++) {
		sahara->chunks[i] =
			(void *)devm_get_free_pages(dev, GFP_KERNEL, get_order(QEFF_SAHARA_CHUNK));
		if (!sahara->chunks[i])
			return -ENOMEM;
	}
	dev_set_drvdata(dev, sahara);

	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;
	ret = mhi_queue_buf(mhi_dev, DMA_FROM_DEVICE, sahara->rx, QEFF_SAHARA_RX_BYTES, MHI_EOT);
	if (ret)
		mhi_unprepare_from_transfer(mhi_dev);
	return ret;
}

static void qeff_sahara_remove(struct mhi_device *mhi_dev)
{
	struct qeff_sahara *sahara = dev_get_drvdata(&mhi_dev->dev);

	WRITE_ONCE(sahara->closing, true);
	wake_up_all(&sahara->sent);
	qeff_mhi_close(mhi_dev, &sahara->closing, &sahara->work);
	qeff_sahara_drop_image(sahara);
}

static const struct mhi_device_id qeff_sahara_ids[] = { { .chan = "QEFF_SAHARA" }, {} };

struct mhi_driver qeff_sahara_driver = {
	.id_table = qeff_sahara_ids,
	.probe = qeff_sahara_probe,
	.remove = qeff_sahara_remove,
	.ul_xfer_cb = qeff_sahara_ul,
	.dl_xfer_cb = qeff_sahara_dl,
	.driver = {
		.name = "qeff_sahara",
		.suppress_bind_attrs = true,
	},
};
