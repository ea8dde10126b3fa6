/* SPDX-License-Identifier: MIT */
/*
 * MSI: which eventfd of the client stands for which message, and what is masked. Interrupts come
 * from any thread.
 */
#ifndef QEFF_PCIE_IRQ_H
#define QEFF_PCIE_IRQ_H

#include <pthread.h>
#include <stdint.h>

#define QEFF_IRQ_MESSAGES 32u

/**
 * struct qeff_irqs - the messages
 * @fd: eventfds, -1 where there is none
 * @masked: a bit a message, as the guest wrote it; @pending: raised meanwhile
 * @raised: how often, by the message sent
 * @unheard: interrupts for which the client had set up nothing
 */
struct qeff_irqs {
	pthread_mutex_t lock;
	int fd[QEFF_IRQ_MESSAGES];
	uint32_t masked;
	uint32_t pending;
	uint64_t raised[QEFF_IRQ_MESSAGES];
	uint64_t unheard;
};

void qeff_irqs_init(struct qeff_irqs *irqs);
void qeff_irqs_destroy(struct qeff_irqs *irqs);

/* Takes @fds (closed even if it fails); a negative one leaves the message without eventfd. */
int qeff_irqs_set(struct qeff_irqs *irqs, uint32_t start, uint32_t count, const int *fds);
void qeff_irqs_clear(struct qeff_irqs *irqs);
void qeff_irqs_mask(struct qeff_irqs *irqs, uint32_t masked);
/* Nothing is masked or pending, as after a reset of the card. */
void qeff_irqs_reset(struct qeff_irqs *irqs);
uint32_t qeff_irqs_pending(struct qeff_irqs *irqs);

/* Raises @vector. A host that enabled fewer messages gets its number cut to their count, as MSI
 * has it. */
void qeff_irqs_raise(struct qeff_irqs *irqs, unsigned int vector);

#endif
