/* SPDX-License-Identifier: MIT */
/* Published state, as device.c feeds it. The part for the runtime stands in device.h. */
#ifndef QEFF_DEVICE_STATE_H
#define QEFF_DEVICE_STATE_H

#include "device/device.h"

#include <stdbool.h>

/* From here on the process publishes that it has @device open. */
void qeff_state_device_opened(struct qeff_device *device);
/* The last owner of @device leaves it; to be called while it can still be asked. */
void qeff_state_device_closed(struct qeff_device *device);

/* Folders of published state, the preferred one first; false where there is none. */
bool qeff_state_folder(unsigned int number, char *path, size_t size_bytes);
#define QEFF_STATE_FOLDERS 2

#endif
