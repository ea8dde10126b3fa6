// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver of Qualcomm Cloud AI 100 cards: probe and remove, the node and who opens it, the
 * state of a card, and reset.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <drm/drm_managed.h>

#include "qeff_device.h"

#define QEFF_BARS    (BIT(0) | BIT(2) | BIT(4))
#define QEFF_MHI_BAR 0
#define QEFF_DBC_BAR 2
#define QEFF_VECTORS (1 + QEFF_DBCS)
#define QEFF_MSIS    32

bool qeff_polling;
module_param_named(datapath_polling, qeff_polling, bool, 0400);
MODULE_PARM_DESC(datapath_polling, "Poll for completions instead of using interrupts");

unsigned int qeff_mhi_timeout_ms = 2000;
module_param_named(mhi_timeout_ms, qeff_mhi_timeout_ms, uint, 0600);
MODULE_PARM_DESC(mhi_timeout_ms, "Milliseconds to wait for a step of the MHI bus (2000)");

unsigned int qeff_control_timeout_s = 60;
module_param_named(control_resp_timeout_s, qeff_control_timeout_s, uint, 0600);
MODULE_PARM_DESC(control_resp_timeout_s, "Seconds to wait for a reply of the firmware (60)");

unsigned int qeff_wait_timeout_ms = 5000;
module_param_named(wait_exec_default_timeout_ms, qeff_wait_timeout_ms, uint, 0600);
MODULE_PARM_DESC(wait_exec_default_timeout_ms, "Milliseconds of a wait that names none (5000)");

unsigned int qeff_poll_interval_us = 100;
module_param_named(datapath_poll_interval_us, qeff_poll_interval_us, uint, 0600);
MODULE_PARM_DESC(datapath_poll_interval_us, "Microseconds between polls (100)");

unsigned int qeff_timesync_ms = 1000;
module_param_named(timesync_delay_ms, qeff_timesync_ms, uint, 0600);
MODULE_PARM_DESC(timesync_delay_ms, "Milliseconds between time synchronisations (1000)");

static DEFINE_IDA(qeff_handles);

/* ---- the state of a card ---- */

static void qeff_node_uevent(struct qeff_device *qdev, enum kobject_action action)
{
	struct device *node = qeff_node_device(&qdev->drm);
	char serial[32];
	char *env[] = { serial, NULL };

	if (!node)
		return;
	snprintf(serial, sizeof(serial), "SERIAL=%u", qdev->mhi ? qdev->mhi->serial_number : 0);
	kobject_uevent_env(&node->kobj, action, env);
}

/* The firmware has answered. @epoch: since when it was asked. */
void qeff_device_online(struct qeff_device *qdev, u32 epoch)
{
	bool online = false;

	spin_lock(&qdev->state_lock);
	if (qdev->state == QEFF_BOOT && qdev->epoch == epoch) {
		WRITE_ONCE(qdev->state, QEFF_ONLINE);
		online = true;
	}
	spin_unlock(&qdev->state_lock);
	if (!online)
		return;
	qeff_node_uevent(qdev, KOBJ_ONLINE);
	qeff_netlink_state(qdev, QEFF_ONLINE);
}

/* The card is going, or has gone: nobody begins anything, and all who wait are woken. */
void qeff_device_offline(struct qeff_device *qdev)
{
	enum qeff_state before;
	unsigned int i;

	spin_lock(&qdev->state_lock);
	before = qdev->state;
	WRITE_ONCE(qdev->state, QEFF_OFFLINE);
	if (before != QEFF_OFFLINE)
		WRITE_ONCE(qdev->epoch, qdev->epoch + 1);
	spin_unlock(&qdev->state_lock);
	if (before == QEFF_OFFLINE)
		return;

	qeff_control_abort(qdev);
	for (i = 0; i < QEFF_DBCS; i++) {
		qeff_queue_wake(&qdev->dbc[i]);
		wake_up_all(&qdev->dbc[i].idle);
	}
	if (before == QEFF_ONLINE) {
		qeff_node_uevent(qdev, KOBJ_OFFLINE);
		qeff_netlink_state(qdev, QEFF_OFFLINE);
	}
}

/* The card has stopped: takes back all that its users had on it. Offline before. */
void qeff_device_quiet(struct qeff_device *qdev)
{
	qeff_dbc_release_all(qdev);
	qeff_control_quiet(qdev);
}

/* ---- reset ---- */

/* Offline, stopped, and nothing of it mapped. Under reset_lock, as qeff_device_back(). */
void qeff_device_stop(struct qeff_device *qdev)
{
	qeff_device_offline(qdev);
	qeff_mhi_stop(qdev);
	qeff_device_quiet(qdev);
}

/*
 * A card that was reset while it was off the bus has lost its configuration, and what the PCI core
 * saved of it before was already all ones.
 */
bool qeff_device_back(struct qeff_device *qdev)
{
	if (!qeff_mhi_link_up(qdev) && pci_device_is_present(qdev->pdev) &&
	    !pci_load_saved_state(qdev->pdev, qdev->config))
		pci_restore_state(qdev->pdev);
	if (!qeff_mhi_link_up(qdev))
		return false;
	pci_set_master(qdev->pdev);
	return true;
}

static void qeff_reset_work(struct work_struct *work)
{
	struct qeff_device *qdev = container_of(work, struct qeff_device, reset_work);
	int ret = 0;

	mutex_lock(&qdev->reset_lock);
	if (!READ_ONCE(qdev->removed)) {
		qeff_device_stop(qdev);
		ret = qeff_device_back(qdev) ? qeff_mhi_soc_reset(qdev) : -EIO;
		if (!ret)
			ret = qeff_mhi_start(qdev);
	}
	mutex_unlock(&qdev->reset_lock);
	if (!ret || ret == -ENOENT)
		return;

	/*
	 * A reset of the bus goes through reset_prepare and reset_done. It is not waited for the
	 * device's lock: whoever has it may be removing the device, and wait for this.
	 */
	if (!pci_channel_offline(qdev->pdev) && !pci_try_reset_function(qdev->pdev))
		return;
	dev_err(&qdev->pdev->dev, "it did not come back from a reset (%d)\n", ret);
}

/* From any context that may not sleep for long. Once is enough, however often it is asked for. */
void qeff_device_request_reset(struct qeff_device *qdev, const char *why)
{
	bool queued;

	spin_lock(&qdev->state_lock);
	queued = !qdev->removed && qdev->state != QEFF_OFFLINE &&
		 queue_work(qdev->wq, &qdev->reset_work);
	spin_unlock(&qdev->state_lock);
	if (!queued)
		return;
	WRITE_ONCE(qdev->resets, qdev->resets + 1);
	dev_err(&qdev->pdev->dev, "resetting the card: %s\n", why);
	qeff_netlink_reset(qdev, why);
}

/* ---- users ---- */

static void qeff_user_free(struct kref *ref)
{
	struct qeff_user *user = container_of(ref, struct qeff_user, ref);

	qeff_goodbye_free(user);
	ida_free(&qeff_handles, user->handle);
	kfree(user);
}

void qeff_user_put(struct qeff_user *user)
{
	kref_put(&user->ref, qeff_user_free);
}

static int qeff_open(struct drm_device *drm, struct drm_file *file)
{
	struct qeff_device *qdev = to_qeff(drm);
	struct qeff_user *user;
	int ret;

	if (!qeff_online(qdev))
		return -ENODEV;
	user = kzalloc(sizeof(*user), GFP_KERNEL);
	if (!user)
		return -ENOMEM;
	kref_init(&user->ref);
	user->qdev = qdev;
	ret = qeff_goodbye_init(user);
	if (ret)
		goto err_free;
	ret = ida_alloc(&qeff_handles, GFP_KERNEL);
	if (ret < 0)
		goto err_goodbye;
	user->handle = ret;
	file->driver_priv = user;
	return 0;

err_goodbye:
	qeff_goodbye_free(user);
err_free:
	kfree(user);
	return ret;
}

static void qeff_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct qeff_user *user = file->driver_priv;

	file->driver_priv = NULL;
	if (qeff_online(user->qdev))
		qeff_goodbye(user);
	qeff_user_put(user);
}

/* ---- fdinfo ---- */

static void qeff_show_memory(struct drm_printer *p, struct drm_file *file)
{
	struct drm_gem_object *obj;
	u64 total = 0, shared = 0;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, obj, id) {
		total += obj->size;
		if (obj->handle_count > 1 || obj->dma_buf)
			shared += obj->size;
	}
	spin_unlock(&file->table_lock);
	/* All of it is there from the beginning. */
	drm_printf(p, "drm-total-memory:\t%llu KiB\n", total / SZ_1K);
	drm_printf(p, "drm-shared-memory:\t%llu KiB\n", shared / SZ_1K);
	drm_printf(p, "drm-resident-memory:\t%llu KiB\n", total / SZ_1K);
}

unsigned int qeff_client_id(struct drm_file *file)
{
	struct qeff_user *user = file->driver_priv;

	return user ? user->handle : UINT_MAX;
}

void qeff_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct qeff_user *user = file->driver_priv;

	if (!user)
		return;
	drm_printf(p, "drm-engine-dma:\t%llu ns\n", (u64)atomic64_read(&user->busy_ns));
	drm_printf(p, "drm-engine-capacity-dma:\t%u\n", QEFF_DBCS);
	qeff_show_memory(p, file);
}

/* ---- the DRM driver ---- */

static const struct file_operations qeff_fops = {
	.owner = THIS_MODULE,
	QEFF_NODE_FOPS,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.show_fdinfo = qeff_fop_show_fdinfo,
};

/* Allowed to render clients for the sake of kernels without the accel subsystem. */
static const struct drm_ioctl_desc qeff_ioctls[] = {
	DRM_IOCTL_DEF_DRV(QAIC_MANAGE, qeff_manage_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_CREATE_BO, qeff_create_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_MMAP_BO, qeff_mmap_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_ATTACH_SLICE_BO, qeff_attach_slice_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_EXECUTE_BO, qeff_execute_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_PARTIAL_EXECUTE_BO, qeff_partial_execute_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_WAIT_BO, qeff_wait_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_PERF_STATS_BO, qeff_perf_stats_bo_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(QAIC_DETACH_SLICE_BO, qeff_detach_slice_bo_ioctl, DRM_RENDER_ALLOW),
};

static const struct drm_driver qeff_drm_driver = {
	.driver_features = DRIVER_GEM | QEFF_NODE_FEATURE,
	.name = "qeff",
	.desc = "Qualcomm Cloud AI 100",
	.major = QEFF_MAJOR,
	.minor = QEFF_MINOR,
	.patchlevel = QEFF_PATCHLEVEL,
	.fops = &qeff_fops,
	.open = qeff_open,
	.postclose = qeff_postclose,
	.ioctls = qeff_ioctls,
	.num_ioctls = ARRAY_SIZE(qeff_ioctls),
	.gem_prime_import = qeff_gem_prime_import,
	QEFF_DRM_DRIVER,
};

/* ---- probe and remove ---- */

static void qeff_release_wq(struct drm_device *drm, void *data)
{
	destroy_workqueue(data);
}

static struct workqueue_struct *qeff_alloc_wq(struct qeff_device *qdev, const char *name)
{
	struct workqueue_struct *wq = alloc_workqueue("%s", WQ_UNBOUND, 0, name);

	if (wq && drmm_add_action_or_reset(&qdev->drm, qeff_release_wq, wq))
		wq = NULL;
	return wq;
}

static void qeff_release_config(struct drm_device *drm, void *data)
{
	kfree(data);
}

static int qeff_init_pci(struct qeff_device *qdev)
{
	struct pci_dev *pdev = qdev->pdev;
	int ret;

	/* The memory BARs of the function itself, without those of SR-IOV. */
	if ((pci_select_bars(pdev, IORESOURCE_MEM) & GENMASK(PCI_STD_NUM_BARS - 1, 0)) !=
	    QEFF_BARS) {
		dev_err(&pdev->dev, "it does not have the BARs of such a card\n");
		return -ENODEV;
	}
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	qdev->mhi_regs = devm_ioremap_resource(&pdev->dev, &pdev->resource[QEFF_MHI_BAR]);
	if (IS_ERR(qdev->mhi_regs))
		return PTR_ERR(qdev->mhi_regs);
	qdev->dbc_regs = devm_ioremap_resource(&pdev->dev, &pdev->resource[QEFF_DBC_BAR]);
	if (IS_ERR(qdev->dbc_regs))
		return PTR_ERR(qdev->dbc_regs);
	if (pci_resource_len(pdev, QEFF_MHI_BAR) < SZ_4K ||
	    pci_resource_len(pdev, QEFF_DBC_BAR) < QEFF_DBC_REGS(QEFF_DBCS))
		return -ENODEV;
	pci_set_master(pdev);
	pci_save_state(pdev);
	qdev->config = pci_store_saved_state(pdev);
	if (!qdev->config)
		return -ENOMEM;
	return drmm_add_action_or_reset(&qdev->drm, qeff_release_config, qdev->config);
}

/* One vector for MHI and one per channel. MSIs come in powers of two. Freed with the device. */
static int qeff_init_vectors(struct qeff_device *qdev)
{
	struct pci_dev *pdev = qdev->pdev;
	int ret;

	ret = pci_alloc_irq_vectors(pdev, QEFF_VECTORS, QEFF_MSIS, PCI_IRQ_MSI | PCI_IRQ_MSIX);
	if (ret == -ENOSPC) {
		ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI | PCI_IRQ_MSIX);
		if (ret > 0) {
			qdev->one_vector = true;
			dev_info(&pdev->dev, "only one interrupt vector for all channels\n");
		}
	}
	return ret < 0 ? ret : 0;
}

static int qeff_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct qeff_device *qdev;
	int ret;

	qdev = devm_drm_dev_alloc(&pdev->dev, &qeff_drm_driver, struct qeff_device, drm);
	if (IS_ERR(qdev))
		return PTR_ERR(qdev);
	qdev->pdev = pdev;
	spin_lock_init(&qdev->state_lock);
	mutex_init(&qdev->reset_lock);
	mutex_init(&qdev->log_lock);
	INIT_LIST_HEAD(&qdev->node);
	INIT_WORK(&qdev->reset_work, qeff_reset_work);
	qdev->bootlog = drmm_kzalloc(&qdev->drm, QEFF_BOOTLOG_BYTES, GFP_KERNEL);
	if (!qdev->bootlog)
		return -ENOMEM;
	qdev->wq = qeff_alloc_wq(qdev, "qeff");
	qdev->goodbye_wq = qeff_alloc_wq(qdev, "qeff_goodbye");
	if (!qdev->wq || !qdev->goodbye_wq)
		return -ENOMEM;

	ret = qeff_init_pci(qdev);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, qdev);
	qeff_control_init(qdev);
	qeff_dbc_init(qdev);
	ret = qeff_init_vectors(qdev);
	if (ret)
		return ret;
	ret = qeff_irq_request(qdev);
	if (ret)
		return ret;
	ret = qeff_mhi_init(qdev, pci_irq_vector(pdev, 0));
	if (ret)
		return ret;
	ret = drm_dev_register(&qdev->drm, 0);
	if (ret)
		goto err_mhi;
	if (sysfs_create_group(&qeff_node_device(&qdev->drm)->kobj, &qeff_dbc_group))
		dev_warn(&pdev->dev, "no channel states in sysfs\n");
	qeff_debugfs_init(qdev);
	qeff_ras_init(qdev);
	qeff_netlink_add(qdev);

	/* A card that does not boot stays, offline: it may after a reset, or with firmware. */
	mutex_lock(&qdev->reset_lock);
	ret = qeff_mhi_start(qdev);
	mutex_unlock(&qdev->reset_lock);
	if (ret && ret != -ENOENT)
		dev_err(&pdev->dev, "it does not begin to boot (%d)\n", ret);
	return 0;

err_mhi:
	qeff_mhi_exit(qdev);
	return ret;
}

/* No reset is begun any more, and none is under way. */
static void qeff_device_retire(struct qeff_device *qdev)
{
	spin_lock(&qdev->state_lock);
	WRITE_ONCE(qdev->removed, true);
	spin_unlock(&qdev->state_lock);
	cancel_work_sync(&qdev->reset_work);

	mutex_lock(&qdev->reset_lock);
	qeff_device_stop(qdev);
	pci_clear_master(qdev->pdev);
	mutex_unlock(&qdev->reset_lock);
}

static void qeff_remove(struct pci_dev *pdev)
{
	struct qeff_device *qdev = pci_get_drvdata(pdev);

	qeff_netlink_del(qdev);
	sysfs_remove_group(&qeff_node_device(&qdev->drm)->kobj, &qeff_dbc_group);
	qeff_device_retire(qdev);
	qeff_ras_exit(qdev);
	drm_dev_unplug(&qdev->drm);
	/* Late replies, and what they hold. */
	flush_workqueue(qdev->goodbye_wq);
	flush_workqueue(qdev->wq);
	qeff_device_quiet(qdev);
	qeff_mhi_exit(qdev);
}

/* The next kernel, or nobody, shall find a card that leaves memory alone. */
static void qeff_shutdown(struct pci_dev *pdev)
{
	qeff_device_retire(pci_get_drvdata(pdev));
}

/* ---- the module ---- */

static const struct pci_device_id qeff_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_QCOM, 0xa080) }, /* AIC080 */
	{ PCI_DEVICE(PCI_VENDOR_ID_QCOM, 0xa100) }, /* AIC100 */
	{}
};
MODULE_DEVICE_TABLE(pci, qeff_ids);

static const struct attribute_group *qeff_dev_groups[] = { &qeff_ras_group, NULL };

static struct pci_driver qeff_pci_driver = {
	.name = "qeff",
	.id_table = qeff_ids,
	.probe = qeff_probe,
	.remove = qeff_remove,
	.shutdown = qeff_shutdown,
	.err_handler = &qeff_err_handler,
	.dev_groups = qeff_dev_groups,
	.driver = {
		.pm = pm_sleep_ptr(&qeff_pm_ops),
	},
};

static int __init qeff_init(void)
{
	int ret;

	ret = qeff_netlink_init();
	if (ret)
		return ret;
	ret = qeff_mhi_register_drivers();
	if (ret)
		goto err_netlink;
	ret = pci_register_driver(&qeff_pci_driver);
	if (ret)
		goto err_mhi;
	return 0;

err_mhi:
	qeff_mhi_unregister_drivers();
err_netlink:
	qeff_netlink_exit();
	return ret;
}

/* The cards go first, so that a client driver never leaves a card that runs. */
static void __exit qeff_exit(void)
{
	pci_unregister_driver(&qeff_pci_driver);
	qeff_mhi_unregister_drivers();
	qeff_netlink_exit();
}

module_init(qeff_init);
module_exit(qeff_exit);

MODULE_AUTHOR("The qeff authors");
MODULE_DESCRIPTION("Qualcomm Cloud AI 100");
MODULE_LICENSE("GPL");
MODULE_VERSION(QEFF_VERSION);
