// SPDX-License-Identifier: GPL-2.0-only
/*
 * The card as a controller of the kernel's MHI bus: its channels, power-up, and recovery.
 *
 * The bus matches client drivers to channels by name alone. The names are ours, on the wire there
 * are only numbers; and each client asks qeff_from_mhi() whether the controller is ours, too.
 */
#include <linux/delay.h>
#include <linux/firmware.h>

#include <drm/drm_managed.h>

#include "qeff_device.h"

#define QEFF_BOOT_IMAGE	    "qcom/aic100/sbl.bin"
#define QEFF_REG_BYTES	    SZ_4K
#define QEFF_REG_BHIOFF	    0x28
#define QEFF_REG_HW_VERSION 0x224
#define QEFF_HW_VERSION	    0x60110200
#define QEFF_RESET_SECONDS  25

MODULE_FIRMWARE(QEFF_BOOT_IMAGE);

#define QEFF_CHANNEL(channel, number, elements, direction, environment)                            \
	{                                                                                          \
		.name = channel, .num = number, .num_elements = elements, .event_ring = 0,         \
		.dir = direction, .ee_mask = environment, .doorbell = MHI_DB_BRST_DISABLE,         \
	}

#define QEFF_CHANNELS(channel, number, elements, environment)                                      \
	QEFF_CHANNEL(channel, number, elements, DMA_TO_DEVICE, environment),                       \
		QEFF_CHANNEL(channel, (number) + 1, elements, DMA_FROM_DEVICE, environment)

#define QEFF_EE_SBL  BIT(MHI_EE_SBL)
#define QEFF_EE_AMSS BIT(MHI_EE_AMSS)

/* Those that have a client here; the card has more. */
static const struct mhi_channel_config qeff_channels[] = {
	QEFF_CHANNELS("QEFF_SAHARA", 2, 32, QEFF_EE_SBL),
	QEFF_CHANNELS("QEFF_SSR", 6, 32, QEFF_EE_AMSS),
	QEFF_CHANNELS("QEFF_CONTROL", 10, 128, QEFF_EE_AMSS),
	QEFF_CHANNELS("QEFF_LOGGING", 12, 32, QEFF_EE_SBL),
	QEFF_CHANNELS("QEFF_STATUS", 14, 32, QEFF_EE_AMSS),
	QEFF_CHANNELS("QEFF_TIMESYNC", 20, 32, QEFF_EE_SBL),
	QEFF_CHANNELS("QEFF_TIMESYNC_PERIODIC", 22, 32, QEFF_EE_AMSS),
};

/* MHI writes to it while it registers a controller. */
static struct mhi_event_config qeff_events[] = {
	{
		.num_elements = 32,
		.irq_moderation_ms = 0,
		.irq = 0,
		.channel = U32_MAX,
		.priority = 1,
		.mode = MHI_DB_BRST_DISABLE,
		.data_type = MHI_ER_CTRL,
	},
};

static int qeff_mhi_read(struct mhi_controller *mhi, void __iomem *addr, u32 *out)
{
	u32 value;

	/* The card does not keep this one reliably; it may read as a dead link. */
	if (addr - mhi->regs == QEFF_REG_HW_VERSION) {
		*out = QEFF_HW_VERSION;
		return 0;
	}
	value = readl(addr);
	if (value == U32_MAX)
		return -EIO;
	*out = value;
	return 0;
}

static void qeff_mhi_write(struct mhi_controller *mhi, void __iomem *addr, u32 value)
{
	writel(value, addr);
}

static int qeff_mhi_runtime_get(struct mhi_controller *mhi)
{
	return 0;
}

static void qeff_mhi_runtime_put(struct mhi_controller *mhi)
{
}

static void qeff_mhi_status(struct mhi_controller *mhi, enum mhi_callback reason)
{
	struct qeff_device *qdev = pci_get_drvdata(to_pci_dev(mhi->cntrl_dev));

	switch (reason) {
	case MHI_CB_FATAL_ERROR:
		/* In atomic context. MHI goes on to the next, which is not. */
		dev_err(mhi->cntrl_dev, "the card has crashed\n");
		break;
	case MHI_CB_SYS_ERROR:
		/* MHI resets the card next, and boots it again. */
		WRITE_ONCE(qdev->resets, qdev->resets + 1);
		qeff_netlink_reset(qdev, "the card reported a system error");
		qeff_device_offline(qdev);
		break;
	default:
		break;
	}
}

struct qeff_device *qeff_from_mhi(struct mhi_device *mhi_dev)
{
	struct mhi_controller *mhi = mhi_dev->mhi_cntrl;

	if (mhi->status_cb != qeff_mhi_status)
		return NULL;
	return pci_get_drvdata(to_pci_dev(mhi->cntrl_dev));
}

/*
 * Closes a channel on which @work queues buffers. MHI does not ask whether a channel still has
 * rings: they go when a work that began before is done, and one that begins later, for a message
 * between the two, sees @closing.
 */
void qeff_mhi_close(struct mhi_device *mhi_dev, bool *closing, struct work_struct *work)
{
	WRITE_ONCE(*closing, true);
	cancel_work_sync(work);
	mhi_unprepare_from_transfer(mhi_dev);
	cancel_work_sync(work);
}

bool qeff_mhi_link_up(struct qeff_device *qdev)
{
	return readl(qdev->mhi_regs + QEFF_REG_BHIOFF) != U32_MAX;
}

/* A card in its first boot loader wants an image: said here in one line, if there is none. */
static int qeff_mhi_check_image(struct qeff_device *qdev)
{
	const struct firmware *image;
	int ret;

	if (mhi_get_exec_env(qdev->mhi) != MHI_EE_PBL)
		return 0;
	ret = firmware_request_nowarn(&image, QEFF_BOOT_IMAGE, &qdev->pdev->dev);
	if (ret) {
		dev_err(&qdev->pdev->dev,
			"no boot image: firmware file %s is not installed (%d); the card stays offline\n",
			QEFF_BOOT_IMAGE, ret);
		return ret;
	}
	release_firmware(image);
	return 0;
}

static int qeff_mhi_wait_pbl(struct qeff_device *qdev)
{
	unsigned int i;

	for (i = 0; i < QEFF_RESET_SECONDS * 10; i++) {
		if (mhi_get_exec_env(qdev->mhi) == MHI_EE_PBL)
			return 0;
		msleep(100);
	}
	return -ETIMEDOUT;
}

/* Makes the whole card begin anew, unless it has just done so. Powered down, as far as MHI goes. */
int qeff_mhi_soc_reset(struct qeff_device *qdev)
{
	if (mhi_get_exec_env(qdev->mhi) == MHI_EE_PBL)
		return 0;
	mhi_soc_reset(qdev->mhi);
	return qeff_mhi_wait_pbl(qdev);
}

/* Begins to boot the card: it will be online when its control channel has answered. */
int qeff_mhi_start(struct qeff_device *qdev)
{
	int ret;

	if (qdev->mhi_up)
		return 0;
	if (!qeff_mhi_link_up(qdev))
		return -EIO;
	/* Left in the middle of its boot it can only begin again. */
	if (mhi_get_exec_env(qdev->mhi) == MHI_EE_SBL) {
		ret = qeff_mhi_soc_reset(qdev);
		if (ret)
			return ret;
	}
	ret = qeff_mhi_check_image(qdev);
	if (ret)
		return ret;
	ret = mhi_async_power_up(qdev->mhi);
	if (ret)
		return ret;
	qdev->mhi_up = true;
	return 0;
}

/*
 * Stops the card: MHI resets it, and takes down the channels. A card off the bus is not touched,
 * and kept from touching the host should it be back.
 */
void qeff_mhi_stop(struct qeff_device *qdev)
{
	bool up = qeff_mhi_link_up(qdev);

	if (!up)
		pci_clear_master(qdev->pdev);
	if (qdev->mhi_up)
		mhi_power_down(qdev->mhi, up);
	qdev->mhi_up = false;
}

static void qeff_mhi_free(struct drm_device *drm, void *data)
{
	mhi_free_controller(data);
}

/* The controller's memory stays as long as the card's: its serial number is told to the end. */
int qeff_mhi_init(struct qeff_device *qdev, int irq)
{
	struct mhi_controller_config config = {
		.max_channels = 128,
		.timeout_ms = READ_ONCE(qeff_mhi_timeout_ms),
		.num_channels = ARRAY_SIZE(qeff_channels),
		.ch_cfg = qeff_channels,
		.num_events = ARRAY_SIZE(qeff_events),
		.event_cfg = qeff_events,
	};
	struct device *dev = &qdev->pdev->dev;
	struct mhi_controller *mhi = mhi_alloc_controller();
	int ret;

	if (!mhi)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&qdev->drm, qeff_mhi_free, mhi);
	if (ret)
		return ret;
	qdev->mhi = mhi;
	mhi->irq = devm_kmalloc(dev, sizeof(*mhi->irq), GFP_KERNEL);
	if (!mhi->irq)
		return -ENOMEM;
	mhi->irq[0] = irq;
	mhi->nr_irqs = 1;
	mhi->cntrl_dev = dev;
	mhi->regs = qdev->mhi_regs;
	mhi->reg_len = QEFF_REG_BYTES;
	/* All of memory; MHI computes a size from it, which must not wrap. */
	mhi->iova_start = 0;
	mhi->iova_stop = PHYS_ADDR_MAX - 1;
	mhi->fw_image = QEFF_BOOT_IMAGE;
	mhi->read_reg = qeff_mhi_read;
	mhi->write_reg = qeff_mhi_write;
	mhi->runtime_get = qeff_mhi_runtime_get;
	mhi->runtime_put = qeff_mhi_runtime_put;
	mhi->status_cb = qeff_mhi_status;
	if (qdev->one_vector)
		mhi->irq_flags = IRQF_SHARED;

	ret = mhi_register_controller(mhi, &config);
	if (ret)
		return ret;
	ret = mhi_prepare_for_power_up(mhi);
	if (ret)
		mhi_unregister_controller(mhi);
	return ret;
}

void qeff_mhi_exit(struct qeff_device *qdev)
{
	mhi_unprepare_after_power_down(qdev->mhi);
	mhi_unregister_controller(qdev->mhi);
}

static struct mhi_driver *const qeff_mhi_drivers[] = {
	&qeff_sahara_driver,  &qeff_timesync_boot_driver, &qeff_timesync_driver,
	&qeff_bootlog_driver, &qeff_ssr_driver,		  &qeff_ras_driver,
	&qeff_control_driver,
};

void qeff_mhi_unregister_drivers(void)
{
	unsigned int i = ARRAY_SIZE(qeff_mhi_drivers);

	while (i--)
		mhi_driver_unregister(qeff_mhi_drivers[i]);
}

int qeff_mhi_register_drivers(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(qeff_mhi_drivers); i++) {
		ret = mhi_driver_register(qeff_mhi_drivers[i]);
		if (ret) {
			while (i--)
				mhi_driver_unregister(qeff_mhi_drivers[i]);
			return ret;
		}
	}
	return 0;
}
