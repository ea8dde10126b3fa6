/* SPDX-License-Identifier: MIT */
/* What a software card and its transport hold, counted from the inside: STATUS counts in MiB. */
#ifndef QEFF_TESTS_INSPECT_H
#define QEFF_TESTS_INSPECT_H

#include "device/device.h"

/**
 * struct holdings - of one card
 * @ddr_bytes: device memory allotted
 * @objects: constants, ELFs, activations and unfinished transfers
 * @nsps: NSPs taken, a bit each; @mcids: multicast ids taken
 * @channels: open channels of the DMA bridge, on the card's side or the driver's
 * @ranges: pieces of host memory that the card may reach
 * @buffers: of the users of the card
 */
struct holdings {
	uint64_t ddr_bytes;
	unsigned int objects;
	uint32_t nsps, mcids;
	unsigned int channels;
	size_t ranges;
	size_t buffers;
};

/* While nothing else happens on the card. */
struct holdings inspect(struct qeff_device *device);

#endif
