/* SPDX-License-Identifier: MIT */
/* Finding the PCI functions of Cloud AI cards, and saying what is wrong with those that cannot be
 * used. */
#ifndef QEFF_DEVICE_DISCOVER_H
#define QEFF_DEVICE_DISCOVER_H

#include "device/sysfs.h"
#include "util/error.h"

#include <qeff/device.h>

#define QEFF_PCI_VENDOR	       0x17cbu
#define QEFF_PCI_DEVICE_AIC080 0xa080u
#define QEFF_PCI_DEVICE_AIC100 0xa100u

/* Appends the PCI cards to @list, in the order of their addresses. Returns 0 or -ENOMEM. */
int qeff_discover_pci(const struct qeff_sysfs *s, struct qeff_device_list *list,
		      struct qeff_error *err);

/* Appends a zeroed card and gives it its index; NULL if memory ran out. */
struct qeff_device_info *qeff_device_list_add(struct qeff_device_list *list);

/* Why no driver holds the function in sysfs folder @path: the module is not installed, not loaded,
 * blacklisted, ... Writes the end of a sentence to @text. */
void qeff_diagnose_driver(const struct qeff_sysfs *s, const char *path, char *text,
			  size_t size_bytes);

/* Whether the boot firmware of an AIC100 or AIC080 is installed where the kernel looks for it. */
bool qeff_diagnose_firmware(const struct qeff_sysfs *s);

#endif
