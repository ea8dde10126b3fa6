// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the system does to a card: errors and resets of the bus, and sleep. Each stops it, and it
 * boots anew afterwards.
 */
#include "qeff_device.h"

/* ---- errors and resets of the bus ---- */

static pci_ers_result_t qeff_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct qeff_device *qdev = pci_get_drvdata(pdev);

	mutex_lock(&qdev->reset_lock);
	qeff_device_stop(qdev);
	mutex_unlock(&qdev->reset_lock);
	return state == pci_channel_io_perm_failure ? PCI_ERS_RESULT_DISCONNECT
						    : PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t qeff_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_save_state(pdev);
	pci_set_master(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static int qeff_restart(struct qeff_device *qdev)
{
	int ret;

	mutex_lock(&qdev->reset_lock);
	WRITE_ONCE(qdev->resets, qdev->resets + 1);
	ret = qeff_device_back(qdev) ? qeff_mhi_start(qdev) : -EIO;
	mutex_unlock(&qdev->reset_lock);
	if (ret && ret != -ENOENT)
		dev_err(&qdev->pdev->dev, "it did not come back (%d)\n", ret);
	return ret;
}

static void qeff_error_resume(struct pci_dev *pdev)
{
	qeff_restart(pci_get_drvdata(pdev));
}

static void qeff_reset_prepare(struct pci_dev *pdev)
{
	struct qeff_device *qdev = pci_get_drvdata(pdev);

	mutex_lock(&qdev->reset_lock);
	qeff_netlink_reset(qdev, "a reset of the bus");
	qeff_device_stop(qdev);
	mutex_unlock(&qdev->reset_lock);
}

static void qeff_reset_done(struct pci_dev *pdev)
{
	qeff_restart(pci_get_drvdata(pdev));
}

const struct pci_error_handlers qeff_err_handler = {
	.error_detected = qeff_error_detected,
	.slot_reset = qeff_slot_reset,
	.resume = qeff_error_resume,
	.reset_prepare = qeff_reset_prepare,
	.reset_done = qeff_reset_done,
};

/* ---- sleep ---- */

/*
 * Not while the card is at work. What is loaded on it is lost: it boots again on resume. A boot
 * that is under way is broken off, lest a kernel cannot go on with the one whose memory is on a
 * disk.
 */
static int qeff_suspend(struct device *dev)
{
	struct qeff_device *qdev = dev_get_drvdata(dev);

	if (qeff_online(qdev) && (qeff_queue_busy(qdev) || qeff_control_busy(qdev)))
		return -EBUSY;
	cancel_work_sync(&qdev->reset_work);
	mutex_lock(&qdev->reset_lock);
	qeff_device_stop(qdev);
	pci_clear_master(qdev->pdev);
	mutex_unlock(&qdev->reset_lock);
	qdev->asleep = true;
	return 0;
}

/*
 * Not before all devices are awake: booting the card makes new ones. It begins anew, whether it has
 * lost its power or not, and nobody waits for it. A card that stays away is no reason to fail the
 * system's resume.
 */
static void qeff_complete(struct device *dev)
{
	struct qeff_device *qdev = dev_get_drvdata(dev);

	if (!qdev->asleep)
		return;
	qdev->asleep = false;
	WRITE_ONCE(qdev->resets, qdev->resets + 1);
	queue_work(qdev->wq, &qdev->reset_work);
}

const struct dev_pm_ops qeff_pm_ops = {
	.suspend = pm_sleep_ptr(qeff_suspend),
	.freeze = pm_sleep_ptr(qeff_suspend),
	.poweroff = pm_sleep_ptr(qeff_suspend),
	.complete = pm_sleep_ptr(qeff_complete),
};
