// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reliability events: the card reports memory and bus errors; they are counted, told on, and a
 * fatal one makes it begin anew.
 */
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "qeff_device.h"
#include "qeff_netlink.h"

#define QEFF_RAS_MAGIC	     0x55aa
#define QEFF_RAS_VERSION_MIN 1
#define QEFF_RAS_VERSION_MAX 2
#define QEFF_RAS_PUSH	     0
#define QEFF_RAS_LENGTH	     92

struct qeff_ras_msg {
	__le16 magic;
	__le16 version;
	__le32 sequence;
	u8 type;
	u8 id;
	__le16 length;
	__le32 result;
	__le32 source;
	__le32 error;
	__le32 threshold;
	__le32 ce_count;
	__le32 ue_count;
	__le32 interrupt;
	u8 syndrome[64];
};

static_assert(sizeof(struct qeff_ras_msg) == 104);

struct qeff_ras {
	bool closing;
	struct qeff_device *qdev;
	struct mhi_device *mhi;
	struct work_struct work;
	struct qeff_ras_msg *msg;
	u32 bytes;
};

static const char *const qeff_ras_sources[] = {
	"SoC memory",	      "PCIe", "DDR", "system bus 1", "system bus 2", "NSP memory",
	"temperature sensor",
};

static void qeff_ras_event(struct qeff_device *qdev, const struct qeff_ras_msg *msg)
{
	u32 source = le32_to_cpu(msg->source), error = le32_to_cpu(msg->error);
	struct device *dev = &qdev->pdev->dev;
	const char *where = source < ARRAY_SIZE(qeff_ras_sources) ? qeff_ras_sources[source] : "?";
	u32 count;

	switch (error) {
	case QEFF_RAS_CORRECTABLE:
		count = le32_to_cpu(msg->ce_count);
		atomic_add(count, &qdev->ras_ce);
		dev_warn_ratelimited(dev, "%u corrected errors in %s\n", count, where);
		break;
	case QEFF_RAS_FATAL:
		count = le32_to_cpu(msg->ue_count);
		atomic_add(count, &qdev->ras_ue);
		dev_err(dev, "fatal error in %s\n", where);
		break;
	case QEFF_RAS_NONFATAL:
		count = le32_to_cpu(msg->ue_count);
		atomic_add(count, &qdev->ras_ue_nonfatal);
		dev_err_ratelimited(dev, "%u uncorrected errors in %s\n", count, where);
		break;
	default:
		dev_dbg(dev, "error of type %u\n", error);
		return;
	}
	qeff_netlink_ras(qdev, source, error, count);
	if (error == QEFF_RAS_FATAL)
		qeff_device_request_reset(qdev, "it reported a fatal error");
}

static int qeff_ras_listen(struct qeff_ras *ras)
{
	return mhi_queue_buf(ras->mhi, DMA_FROM_DEVICE, ras->msg, sizeof(*ras->msg), MHI_EOT);
}

static void qeff_ras_work(struct work_struct *work)
{
	struct qeff_ras *ras = container_of(work, struct qeff_ras, work);
	const struct qeff_ras_msg *msg = ras->msg;
	u16 version = le16_to_cpu(msg->version);

	if (READ_ONCE(ras->closing))
		return;
	if (ras->bytes == sizeof(*msg) && le16_to_cpu(msg->magic) == QEFF_RAS_MAGIC &&
	    version >= QEFF_RAS_VERSION_MIN && version <= QEFF_RAS_VERSION_MAX &&
	    msg->type == QEFF_RAS_PUSH && le16_to_cpu(msg->length) == QEFF_RAS_LENGTH)
		qeff_ras_event(ras->qdev, msg);
	if (qeff_ras_listen(ras))
		dev_dbg(&ras->mhi->dev, "channel is closing\n");
}

static void qeff_ras_dl(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	struct qeff_ras *ras = dev_get_drvdata(&mhi_dev->dev);

	if (result->transaction_status == -ENOTCONN)
		return;
	ras->bytes = result->transaction_status ? 0 : result->bytes_xferd;
	queue_work(ras->qdev->wq, &ras->work);
}

static void qeff_ras_ul(struct mhi_device *mhi_dev, struct mhi_result *result)
{
	/* Nothing is ever sent. */
}

static int qeff_ras_probe(struct mhi_device *mhi_dev, const struct mhi_device_id *id)
{
	struct qeff_device *qdev = qeff_from_mhi(mhi_dev);
	struct device *dev = &mhi_dev->dev;
	struct qeff_ras *ras;
	int ret;

	if (!qdev)
		return -ENODEV;
	ras = devm_kzalloc(dev, sizeof(*ras), GFP_KERNEL);
	if (!ras)
		return -ENOMEM;
	ras->msg = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!ras->msg)
		return -ENOMEM;
	ras->qdev = qdev;
	ras->mhi = mhi_dev;
	INIT_WORK(&ras->work, qeff_ras_work);
	dev_set_drvdata(dev, ras);
	ret = mhi_prepare_for_transfer(mhi_dev);
	if (ret)
		return ret;
	ret = qeff_ras_listen(ras);
	if (ret)
		mhi_unprepare_from_transfer(mhi_dev);
	return ret;
}

static void qeff_ras_remove(struct mhi_device *mhi_dev)
{
	struct qeff_ras *ras = dev_get_drvdata(&mhi_dev->dev);

	qeff_mhi_close(mhi_dev, &ras->closing, &ras->work);
}

static const struct mhi_device_id qeff_ras_ids[] = { { .chan = "QEFF_STATUS" }, {} };

struct mhi_driver qeff_ras_driver = {
	.id_table = qeff_ras_ids,
	.probe = qeff_ras_probe,
	.remove = qeff_ras_remove,
	.ul_xfer_cb = qeff_ras_ul,
	.dl_xfer_cb = qeff_ras_dl,
	.driver = {
		.name = "qeff_ras",
		.suppress_bind_attrs = true,
	},
};

/* ---- counters of the PCI device ---- */

static struct qeff_device *qeff_of(struct device *dev)
{
	return dev_get_drvdata(dev);
}

static ssize_t ce_count_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&qeff_of(dev)->ras_ce));
}
static DEVICE_ATTR_RO(ce_count);

static ssize_t ue_count_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&qeff_of(dev)->ras_ue));
}
static DEVICE_ATTR_RO(ue_count);

static ssize_t ue_nonfatal_count_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&qeff_of(dev)->ras_ue_nonfatal));
}
static DEVICE_ATTR_RO(ue_nonfatal_count);

static struct attribute *qeff_ras_attrs[] = { &dev_attr_ce_count.attr, &dev_attr_ue_count.attr,
					      &dev_attr_ue_nonfatal_count.attr, NULL };

const struct attribute_group qeff_ras_group = {
	.attrs = qeff_ras_attrs,
};

/* ---- the same over the kernel's RAS netlink family ---- */

#ifdef QEFF_HAVE_DRM_RAS
static int qeff_ras_query(struct drm_ras_node *node, u32 id, const char **name, u32 *value)
{
	struct qeff_device *qdev = node->priv;

	switch (id) {
	case 1:
		*name = "correctable";
		*value = atomic_read(&qdev->ras_ce);
		return 0;
	case 2:
		*name = "uncorrectable-fatal";
		*value = atomic_read(&qdev->ras_ue);
		return 0;
	case 3:
		*name = "uncorrectable-nonfatal";
		*value = atomic_read(&qdev->ras_ue_nonfatal);
		return 0;
	default:
		return -ENOENT;
	}
}

void qeff_ras_init(struct qeff_device *qdev)
{
	struct drm_ras_node *node = &qdev->ras_node;

	node->device_name = pci_name(qdev->pdev);
	node->node_name = "card";
	node->type = DRM_RAS_NODE_TYPE_ERROR_COUNTER;
	node->error_counter_range.first = 1;
	node->error_counter_range.last = 3;
	node->query_error_counter = qeff_ras_query;
	node->priv = qdev;
	qdev->ras_registered = !drm_ras_node_register(node);
}

void qeff_ras_exit(struct qeff_device *qdev)
{
	if (qdev->ras_registered)
		drm_ras_node_unregister(&qdev->ras_node);
}
#else
void qeff_ras_init(struct qeff_device *qdev)
{
}

void qeff_ras_exit(struct qeff_device *qdev)
{
}
#endif
