// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the driver notices responses: interrupts, with a vector for each channel or one for all;
 * looking for what follows closely; and polling, where interrupts do not come or come without end.
 *
 * Where responses follow each other closely, an interrupt for each costs more than looking for
 * them. The card interrupts when a response meets an empty ring; so as long as we look, we do not
 * tell it what we have taken: its ring is never empty, and it is quiet. We look into memory: a
 * place in the ring that has been read is filled with ones, and only what is something else is
 * worth a read of the card's tail, which alone says that a response is there.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>

#include "qeff_device.h"

/* Interrupts in a row that bring nothing until a channel is polled instead. */
#define QEFF_STORM 10000
/*
 * Responses that are this close to each other are looked for: three times in the time that the card
 * took for the last buffer, within bounds; and for how long in vain.
 */
#define QEFF_DENSE_US	 3000
#define QEFF_LOOK_MIN_US 25U
#define QEFF_LOOK_MAX_US 200U
#define QEFF_LINGER_US	 2400

/*
 * Looks for responses until none has come for a while, then waits for interrupts again. Sleeps are
 * counted, not time: a machine that stood still has not waited in vain.
 */
static void qeff_linger(struct qeff_dbc *dbc)
{
	unsigned int slept = 0, us;
	int n;

	while (slept < QEFF_LINGER_US) {
		us = clamp(READ_ONCE(dbc->device_us) / 3, QEFF_LOOK_MIN_US, QEFF_LOOK_MAX_US);
		usleep_range(us, us + us / 2);
		slept += us;
		if (!qeff_queue_seen(dbc))
			continue;
		n = qeff_queue_drain(dbc, true);
		if (n < 0)
			return;
		if (n)
			slept = 0;
	}
	qeff_queue_drain(dbc, false);
}

void qeff_irq_start_polling(struct qeff_dbc *dbc)
{
	queue_work(dbc->qdev->wq, &dbc->poll_work);
}

/* The vector's two halves may come here at the same time; one of them disables it. */
static bool qeff_irq_give_up(struct qeff_dbc *dbc)
{
	if (test_and_set_bit(0, &dbc->irq_off))
		return false;
	WRITE_ONCE(dbc->poll, true);
	disable_irq_nosync(dbc->irq);
	return true;
}

static irqreturn_t qeff_dbc_irq(int irq, void *data)
{
	struct qeff_dbc *dbc = data;

	WRITE_ONCE(dbc->counters.interrupts, dbc->counters.interrupts + 1);
	if (READ_ONCE(dbc->queued))
		return IRQ_WAKE_THREAD;
	/* The vector is this channel's alone. A card that goes on without cause loses it. */
	if (++dbc->fruitless > QEFF_STORM)
		qeff_irq_give_up(dbc);
	return IRQ_HANDLED;
}

static irqreturn_t qeff_dbc_irq_thread(int irq, void *data)
{
	struct qeff_dbc *dbc = data;
	bool dense = ktime_us_delta(ktime_get(), READ_ONCE(dbc->last_rsp)) < QEFF_DENSE_US;

	if (qeff_queue_drain(dbc, dense) > 0) {
		dbc->fruitless = 0;
		if (dense)
			qeff_linger(dbc);
	} else if (++dbc->fruitless > QEFF_STORM && qeff_irq_give_up(dbc)) {
		dev_warn(&dbc->qdev->pdev->dev,
			 "DBC %u: interrupts without responses, polling it instead\n", dbc->id);
		qeff_irq_start_polling(dbc);
	}
	return IRQ_HANDLED;
}

/* One vector for everything, MHI included. */
static irqreturn_t qeff_shared_irq(int irq, void *data)
{
	struct qeff_device *qdev = data;
	unsigned int i;

	for (i = 0; i < QEFF_DBCS; i++)
		if (READ_ONCE(qdev->dbc[i].queued))
			return IRQ_WAKE_THREAD;
	return IRQ_NONE;
}

static irqreturn_t qeff_shared_irq_thread(int irq, void *data)
{
	struct qeff_device *qdev = data;
	unsigned int i;

	for (i = 0; i < QEFF_DBCS; i++) {
		struct qeff_dbc *dbc = &qdev->dbc[i];

		if (!READ_ONCE(dbc->queued))
			continue;
		if (qeff_queue_drain(dbc, false) > 0)
			WRITE_ONCE(dbc->counters.interrupts, dbc->counters.interrupts + 1);
	}
	return IRQ_HANDLED;
}

void qeff_irq_poll_work(struct work_struct *work)
{
	struct qeff_dbc *dbc = container_of(work, struct qeff_dbc, poll_work);

	while (READ_ONCE(dbc->queued)) {
		unsigned int us = clamp(READ_ONCE(qeff_poll_interval_us), 1U, 1000000U);

		if (!READ_ONCE(dbc->poll) || qeff_queue_drain(dbc, false) < 0)
			break;
		usleep_range(us, us + us / 4 + 1);
	}
}

int qeff_irq_request(struct qeff_device *qdev)
{
	struct device *dev = &qdev->pdev->dev;
	unsigned int i;
	int irq, ret;

	if (qeff_polling)
		return 0;
	if (qdev->one_vector)
		return devm_request_threaded_irq(dev, pci_irq_vector(qdev->pdev, 0),
						 qeff_shared_irq, qeff_shared_irq_thread,
						 IRQF_SHARED, "qeff_dbc", qdev);
	for (i = 0; i < QEFF_DBCS; i++) {
		irq = pci_irq_vector(qdev->pdev, i + 1);
		if (irq < 0)
			return irq;
		qdev->dbc[i].irq = irq;
		ret = devm_request_threaded_irq(dev, irq, qeff_dbc_irq, qeff_dbc_irq_thread, 0,
						"qeff_dbc", &qdev->dbc[i]);
		if (ret)
			return ret;
	}
	return 0;
}
