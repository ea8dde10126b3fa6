// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA bridge channels: who owns one, its ring memory, and how it is taken away again.
 */
#include <linux/dma-mapping.h>

#include "qeff_device.h"

void qeff_ring_free(struct qeff_device *qdev, struct qeff_ring *ring)
{
	if (ring->cpu)
		dma_free_coherent(&qdev->pdev->dev, ring->bytes, ring->cpu, ring->dma);
	ring->cpu = NULL;
}

void qeff_dbc_init(struct qeff_device *qdev)
{
	unsigned int i;

	for (i = 0; i < QEFF_DBCS; i++) {
		struct qeff_dbc *dbc = &qdev->dbc[i];

		dbc->qdev = qdev;
		dbc->id = i;
		dbc->regs = qdev->dbc_regs + QEFF_DBC_REGS(i);
		dbc->poll = qeff_polling;
		mutex_init(&dbc->lock);
		spin_lock_init(&dbc->queue_lock);
		INIT_LIST_HEAD(&dbc->bos);
		INIT_LIST_HEAD(&dbc->queue);
		init_waitqueue_head(&dbc->idle);
		INIT_WORK(&dbc->poll_work, qeff_irq_poll_work);
	}
}

void qeff_dbc_set_state(struct qeff_dbc *dbc, enum qeff_dbc_state state)
{
	struct device *node = qeff_node_device(&dbc->qdev->drm);
	char id[16], number[16];
	char *env[] = { id, number, NULL };

	if (READ_ONCE(dbc->state) == state)
		return;
	WRITE_ONCE(dbc->state, state);

	snprintf(id, sizeof(id), "DBC_ID=%u", dbc->id);
	snprintf(number, sizeof(number), "DBC_STATE=%d", state);
	if (node)
		kobject_uevent_env(&node->kobj, KOBJ_CHANGE, env);
	qeff_netlink_dbc(dbc, state);
}

/*
 * The card gave @dbc to @user. A card that answers DEACTIVATE and ACTIVATE of two users shortly
 * after one another may be ahead of the thread that takes the channel from the first.
 *
 * On success the ring belongs to the channel.
 */
int qeff_dbc_assign(struct qeff_dbc *dbc, struct qeff_user *user, u32 epoch, struct qeff_ring *ring)
{
	struct qeff_device *qdev = dbc->qdev;
	int ret = 0;

	wait_event_timeout(dbc->idle, !READ_ONCE(dbc->owner) || READ_ONCE(qdev->epoch) != epoch,
			   5 * HZ);

	mutex_lock(&dbc->lock);
	if (READ_ONCE(qdev->epoch) != epoch) {
		ret = -EIO;
	} else if (dbc->owner || user->terminated) {
		ret = -ENODEV;
	} else {
		spin_lock(&dbc->queue_lock);
		dbc->ring = *ring;
		dbc->req = ring->cpu;
		dbc->rsp = ring->cpu + ring->bytes - ring->elements * sizeof(*dbc->rsp);
		dbc->req_tail = 0;
		dbc->req_head = 0;
		/* What is not a response yet. */
		memset(dbc->rsp, 0xff, ring->elements * sizeof(*dbc->rsp));
		dbc->rsp_head = 0;
		dbc->rsp_told = 0;
		dbc->next_id = 0;
		dbc->fruitless = 0;
		spin_unlock(&dbc->queue_lock);

		ring->cpu = NULL;
		kref_get(&user->ref);
		WRITE_ONCE(dbc->owner, user);
		WRITE_ONCE(dbc->enabled, true);
		qeff_dbc_set_state(dbc, QEFF_DBC_ASSIGNED);
	}
	mutex_unlock(&dbc->lock);
	return ret;
}

/*
 * Takes @dbc from @user, or from whoever has it if @user is NULL. The card has stopped using it.
 * What was queued ends with @error. The owner stays named until all is done, so that nobody else
 * is given the channel meanwhile.
 */
void qeff_dbc_release(struct qeff_dbc *dbc, struct qeff_user *user, int error)
{
	struct qeff_device *qdev = dbc->qdev;
	struct qeff_user *owner;
	struct qeff_ring ring;
	struct qeff_bo *bo, *next;
	u32 releases;

	mutex_lock(&dbc->lock);
	owner = dbc->owner;
	if (!owner || (user && owner != user)) {
		mutex_unlock(&dbc->lock);
		return;
	}
	if (dbc->releasing) {
		/* Not the owner: the next one may be the same. */
		releases = dbc->releases;
		mutex_unlock(&dbc->lock);
		wait_event(dbc->idle, READ_ONCE(dbc->releases) != releases);
		return;
	}
	dbc->releasing = true;
	WRITE_ONCE(dbc->enabled, false);

	spin_lock(&dbc->queue_lock);
	ring = dbc->ring;
	memset(&dbc->ring, 0, sizeof(dbc->ring));
	dbc->req = NULL;
	dbc->rsp = NULL;
	spin_unlock(&dbc->queue_lock);
	mutex_unlock(&dbc->lock);

	/* Drops references; dropping the last one takes dbc->lock. */
	qeff_queue_flush(dbc, error);

	mutex_lock(&dbc->lock);
	list_for_each_entry_safe(bo, next, &dbc->bos, dbc_node) {
		mutex_lock(&bo->lock);
		qeff_bo_unslice(bo);
		mutex_unlock(&bo->lock);
	}
	qeff_ring_free(qdev, &ring);
	dbc->releasing = false;
	WRITE_ONCE(dbc->owner, NULL);
	WRITE_ONCE(dbc->releases, dbc->releases + 1);
	if (dbc->state == QEFF_DBC_ASSIGNED)
		qeff_dbc_set_state(dbc, QEFF_DBC_IDLE);
	mutex_unlock(&dbc->lock);

	wake_up_all(&dbc->idle);
	qeff_user_put(owner);
}

void qeff_dbc_release_user(struct qeff_user *user)
{
	unsigned int i;

	WRITE_ONCE(user->terminated, true);
	for (i = 0; i < QEFF_DBCS; i++)
		qeff_dbc_release(&user->qdev->dbc[i], user, -EPERM);
}

void qeff_dbc_release_all(struct qeff_device *qdev)
{
	unsigned int i;

	for (i = 0; i < QEFF_DBCS; i++) {
		struct qeff_dbc *dbc = &qdev->dbc[i];

		qeff_dbc_release(dbc, NULL, -ENODEV);
		qeff_dbc_set_state(dbc, QEFF_DBC_IDLE);
		wake_up_all(&dbc->idle);
		cancel_work_sync(&dbc->poll_work);
		if (test_and_clear_bit(0, &dbc->irq_off)) {
			dbc->poll = qeff_polling;
			enable_irq(dbc->irq);
		}
	}
}

/* The user gives the channel back. Nothing new is queued; what is queued stays mapped until the
 * card has agreed.
 */
int qeff_dbc_disable(struct qeff_dbc *dbc, struct qeff_user *user)
{
	int ret = 0;

	mutex_lock(&dbc->lock);
	if (dbc->owner != user || !dbc->enabled)
		ret = -EPERM;
	else
		WRITE_ONCE(dbc->enabled, false);
	mutex_unlock(&dbc->lock);
	if (!ret)
		qeff_queue_wake(dbc);
	return ret;
}

void qeff_dbc_enable(struct qeff_dbc *dbc, struct qeff_user *user)
{
	mutex_lock(&dbc->lock);
	if (dbc->owner == user)
		WRITE_ONCE(dbc->enabled, true);
	mutex_unlock(&dbc->lock);
}

/* Whether @user may use @dbc now; @foreign is the error if it is not his. */
int qeff_dbc_check(struct qeff_dbc *dbc, struct qeff_user *user, int foreign)
{
	if (!qeff_online(dbc->qdev))
		return -ENODEV;
	if (READ_ONCE(dbc->owner) == user && READ_ONCE(dbc->enabled))
		return 0;
	return READ_ONCE(dbc->state) > QEFF_DBC_ASSIGNED ? -EPIPE : foreign;
}

/* ---- dbc<N>_state of the node ---- */

struct qeff_dbc_attr {
	struct device_attribute attr;
	unsigned int id;
};

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct drm_minor *minor = dev_get_drvdata(dev);
	unsigned int id = container_of(attr, struct qeff_dbc_attr, attr)->id;

	return sysfs_emit(buf, "%d\n", READ_ONCE(to_qeff(minor->dev)->dbc[id].state));
}

#define QEFF_DBC_ATTR(n)                                                                           \
	static struct qeff_dbc_attr qeff_dbc_attr_##n = {                                          \
		.attr = __ATTR(dbc##n##_state, 0444, state_show, NULL),                            \
		.id = n,                                                                           \
	}

QEFF_DBC_ATTR(0);
QEFF_DBC_ATTR(1);
QEFF_DBC_ATTR(2);
QEFF_DBC_ATTR(3);
QEFF_DBC_ATTR(4);
QEFF_DBC_ATTR(5);
QEFF_DBC_ATTR(6);
QEFF_DBC_ATTR(7);
QEFF_DBC_ATTR(8);
QEFF_DBC_ATTR(9);
QEFF_DBC_ATTR(10);
QEFF_DBC_ATTR(11);
QEFF_DBC_ATTR(12);
QEFF_DBC_ATTR(13);
QEFF_DBC_ATTR(14);
QEFF_DBC_ATTR(15);

static struct attribute *qeff_dbc_attrs[] = { &qeff_dbc_attr_0.attr.attr,
					      &qeff_dbc_attr_1.attr.attr,
					      &qeff_dbc_attr_2.attr.attr,
					      &qeff_dbc_attr_3.attr.attr,
					      &qeff_dbc_attr_4.attr.attr,
					      &qeff_dbc_attr_5.attr.attr,
					      &qeff_dbc_attr_6.attr.attr,
					      &qeff_dbc_attr_7.attr.attr,
					      &qeff_dbc_attr_8.attr.attr,
					      &qeff_dbc_attr_9.attr.attr,
					      &qeff_dbc_attr_10.attr.attr,
					      &qeff_dbc_attr_11.attr.attr,
					      &qeff_dbc_attr_12.attr.attr,
					      &qeff_dbc_attr_13.attr.attr,
					      &qeff_dbc_attr_14.attr.attr,
					      &qeff_dbc_attr_15.attr.attr,
					      NULL };

const struct attribute_group qeff_dbc_group = {
	.attrs = qeff_dbc_attrs,
};
