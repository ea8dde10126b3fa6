/* SPDX-License-Identifier: MIT */
/*
 * The software card on a PCIe bus: a vfio-user server, with QEMU as its client, in front of the
 * card core. What a tool needs to run one.
 */
#ifndef QEFF_PCIE_VCARD_H
#define QEFF_PCIE_VCARD_H

#include "softcard/card.h"

struct qeff_vcard;

/**
 * struct qeff_vcard_config - what the card is, and where it is to be had
 * @card: its core
 * @device_id: PCI device, QEFF_PCI_AIC100 or QEFF_PCI_AIC080
 * @socket_path: made when the card is made (a stale socket of that name is replaced), removed when
 * it is freed
 * @images: firmware images to ask the host for, see qeff_boot_init(); may be NULL
 * @fault_plan: see qeff_fault_help; may be NULL
 * @fault_path: where qeff_vcard_replan() finds a plan; may be NULL
 * @has_rom: it has an expansion ROM (with nothing in it)
 * @trace_path: file for the trace; may be NULL
 * @stats_path: file for the statistics; may be NULL
 *
 * Strings are copied.
 */
struct qeff_vcard_config {
	struct qeff_card_config card;
	uint16_t device_id;
	const char *socket_path;
	const char *images;
	const char *fault_plan;
	const char *fault_path;
	bool has_rom;
	const char *trace_path;
	const char *stats_path;
};

/* Listens when it returns. */
int qeff_vcard_new(const struct qeff_vcard_config *config, struct qeff_vcard **vcard,
		   struct qeff_error *err);
void qeff_vcard_free(struct qeff_vcard *vcard);

/* Serves one client after the other until qeff_vcard_stop(); then writes the statistics. */
int qeff_vcard_run(struct qeff_vcard *vcard, struct qeff_error *err);

/* These may be called from a signal handler. */
void qeff_vcard_stop(struct qeff_vcard *vcard);
/* Statistics are written now. */
void qeff_vcard_dump(struct qeff_vcard *vcard);
/* The plan in the file of faults, which is then removed, takes the place of the one before. */
void qeff_vcard_replan(struct qeff_vcard *vcard);

#endif
