/* SPDX-License-Identifier: MIT */
/* MSI messages become writes to eventfds. */
#include "softcard/pcie/irq.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void qeff_irqs_init(struct qeff_irqs *irqs)
{
	memset(irqs, 0, sizeof(*irqs));
	for (unsigned int i = 0; i < QEFF_IRQ_MESSAGES; i++)
		irqs->fd[i] = -1;
	pthread_mutex_init(&irqs->lock, NULL);
}

void qeff_irqs_destroy(struct qeff_irqs *irqs)
{
	qeff_irqs_clear(irqs);
	pthread_mutex_destroy(&irqs->lock);
}

static void replace(int *fd, int by)
{
	if (*fd >= 0)
		close(*fd);
	*fd = by;
}

int qeff_irqs_set(struct qeff_irqs *irqs, uint32_t start, uint32_t count, const int *fds)
{
	if (start > QEFF_IRQ_MESSAGES || count > QEFF_IRQ_MESSAGES - start) {
		for (uint32_t i = 0; i < count; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return -EINVAL;
	}
	pthread_mutex_lock(&irqs->lock);
	for (uint32_t i = 0; i < count; i++) {
		/* A descriptor that blocks would let the client hold up the card's threads. */
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
		replace(&irqs->fd[start + i], fds[i]);
	}
	pthread_mutex_unlock(&irqs->lock);
	return 0;
}

void qeff_irqs_clear(struct qeff_irqs *irqs)
{
	pthread_mutex_lock(&irqs->lock);
	for (unsigned int i = 0; i < QEFF_IRQ_MESSAGES; i++)
		replace(&irqs->fd[i], -1);
	irqs->pending = 0;
	pthread_mutex_unlock(&irqs->lock);
}

static void signal_message(struct qeff_irqs *irqs, unsigned int message)
{
	const uint64_t one = 1;

	/* A full counter means that the client has not looked yet: nothing is lost. */
	if (irqs->fd[message] >= 0 &&
	    (write(irqs->fd[message], &one, sizeof(one)) == sizeof(one) || errno == EAGAIN))
		irqs->raised[message]++;
	else
		irqs->unheard++;
}

void qeff_irqs_mask(struct qeff_irqs *irqs, uint32_t masked)
{
	pthread_mutex_lock(&irqs->lock);
	irqs->masked = masked;
	for (unsigned int i = 0; i < QEFF_IRQ_MESSAGES; i++)
		if ((irqs->pending & ~masked) >> i & 1)
			signal_message(irqs, i);
	irqs->pending &= masked;
	pthread_mutex_unlock(&irqs->lock);
}

void qeff_irqs_reset(struct qeff_irqs *irqs)
{
	pthread_mutex_lock(&irqs->lock);
	irqs->masked = irqs->pending = 0;
	pthread_mutex_unlock(&irqs->lock);
}

uint32_t qeff_irqs_pending(struct qeff_irqs *irqs)
{
	uint32_t pending;

	pthread_mutex_lock(&irqs->lock);
	pending = irqs->pending;
	pthread_mutex_unlock(&irqs->lock);
	return pending;
}

/* The largest power of two of messages, from 0 on, that have an eventfd. */
static unsigned int enabled(const struct qeff_irqs *irqs)
{
	unsigned int count = 1;

	while (2 * count <= QEFF_IRQ_MESSAGES && irqs->fd[2 * count - 1] >= 0)
		count *= 2;
	return count;
}

void qeff_irqs_raise(struct qeff_irqs *irqs, unsigned int vector)
{
	unsigned int message;

	pthread_mutex_lock(&irqs->lock);
	message = vector & (enabled(irqs) - 1);
	if (vector < QEFF_IRQ_MESSAGES && irqs->fd[vector] >= 0)
		message = vector;
	if (irqs->masked >> message & 1)
		irqs->pending |= UINT32_C(1) << message;
	else
		signal_message(irqs, message);
	pthread_mutex_unlock(&irqs->lock);
}
