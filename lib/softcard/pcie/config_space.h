/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space: the ids, three 64-bit BARs, MSI with 32 messages and a mask for each,
 * the PCI Express capability. No function level reset, as on the real card.
 */
#ifndef QEFF_PCIE_CONFIG_SPACE_H
#define QEFF_PCIE_CONFIG_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#define QEFF_PCI_VENDOR	    0x17cbu
#define QEFF_PCI_AIC100	    0xa100u
#define QEFF_PCI_AIC080	    0xa080u
#define QEFF_CONFIG_BYTES   4096u
#define QEFF_BAR_MHI	    0u
#define QEFF_BAR_BRIDGE	    2u
#define QEFF_BAR_UNUSED	    4u
#define QEFF_BAR0_BYTES	    4096u
#define QEFF_BAR2_BYTES	    (2u << 20)
#define QEFF_BAR4_BYTES	    65536u
#define QEFF_ROM_BYTES	    65536u
#define QEFF_CONFIG_MSI	    0x50u
#define QEFF_CONFIG_EXPRESS 0x70u

/**
 * struct qeff_config_space - the first 256 bytes; the extended space is empty
 * @writable: a bit for each bit that the host may change
 */
struct qeff_config_space {
	uint8_t bytes[256];
	uint8_t writable[256];
};

/* As after power-on. */
void qeff_config_init(struct qeff_config_space *c, uint16_t device_id, bool has_rom);
/* What is outside of QEFF_CONFIG_BYTES is the caller's to refuse. @pending: MSI messages pending.
 */
void qeff_config_read(const struct qeff_config_space *c, uint32_t offset, void *to,
		      uint32_t size_bytes, uint32_t pending);
void qeff_config_write(struct qeff_config_space *c, uint32_t offset, const void *from,
		       uint32_t size_bytes);
/* MSI messages that are masked. */
uint32_t qeff_config_masked(const struct qeff_config_space *c);
/* Whether the card may begin transactions on the bus: DMA, and interrupts. */
bool qeff_config_bus_master(const struct qeff_config_space *c);

#endif
