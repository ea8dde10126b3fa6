/* SPDX-License-Identifier: MIT */
/* The transport to a card behind qeff.ko or mainline qaic. */
#ifndef QEFF_DEVICE_DRM_TRANSPORT_H
#define QEFF_DEVICE_DRM_TRANSPORT_H

#include "device/transport.h"

/**
 * qeff_drm_open - become a user of a card
 * @node: its device node, with the root it is under
 * @name: the card's name, for messages
 * @transport: the way to it; ended by its close()
 *
 * Returns 0, -ENODEV (offline), -EACCES, -EPROTO (the node belongs to another driver), or what
 * open() says.
 */
int qeff_drm_open(const char *node, const char *name, struct qeff_transport **transport,
		  struct qeff_error *err);

#endif
