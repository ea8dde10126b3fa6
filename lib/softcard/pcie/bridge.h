/* SPDX-License-Identifier: MIT */
/* BAR2: the registers of the DMA bridge channels, and the fault that holds one up. */
#ifndef QEFF_PCIE_BRIDGE_H
#define QEFF_PCIE_BRIDGE_H

#include "softcard/card.h"
#include "softcard/pcie/fault.h"

/**
 * struct qeff_bridge_front - between the registers and the card
 * @stalled: a bit for each channel whose doorbells are held back
 * @held_tail: the last one; @release_us: when it goes on, 0 for never
 */
struct qeff_bridge_front {
	struct qeff_card *card;
	struct qeff_faults *faults;
	uint32_t stalled;
	uint32_t held_tail[QEFF_CARD_DBCS];
	uint64_t release_us[QEFF_CARD_DBCS];
	uint64_t doorbells[QEFF_CARD_DBCS];
};

/* 32 bits at @offset (aligned). */
uint32_t qeff_bridge_read(struct qeff_bridge_front *b, uint32_t offset);
/* Returns the faults that the write met, which are not the bridge's. */
struct qeff_fault_hits qeff_bridge_write(struct qeff_bridge_front *b, uint32_t offset,
					 uint32_t value, uint64_t now_us);
void qeff_bridge_reset(struct qeff_bridge_front *b);
/* Lets go what is due; returns the time of the next, UINT64_MAX if there is none. */
uint64_t qeff_bridge_release(struct qeff_bridge_front *b, uint64_t now_us);

#endif
