/* SPDX-License-Identifier: MIT */
/*
 * What a virtual channel may reach of the device's address space: the static and the dynamic shared
 * DDR of its activation, and the multicast windows that its program's metadata declares. Nothing
 * else: not the constants, not another activation, not a byte past an end.
 */
#ifndef QEFF_SOFTCARD_WINDOW_H
#define QEFF_SOFTCARD_WINDOW_H

#include "qpc/metadata.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Multicast windows: each virtual channel has an own run of addresses for its own ids. */
#define QEFF_WINDOW_MCIDS     256u
#define QEFF_WINDOW_MCID_BASE (UINT64_C(1) << 47)
#define QEFF_WINDOW_VC_STRIDE (QEFF_WINDOW_MCIDS * QEFF_MD_MULTICAST_STRIDE)

struct qeff_ddr_window {
	uint64_t address;
	uint64_t size_bytes;
	uint8_t *data;
};

/**
 * struct qeff_windows - of one activation
 * @ddr: static and dynamic shared DDR
 * @mcid_base: address of multicast window 0
 * @metadata: the host multicast table and the NSPs' own
 * @l2tcm: one MiB for each NSP, in order; guarded by the channel's lock
 */
struct qeff_windows {
	struct qeff_ddr_window ddr[2];
	uint64_t mcid_base;
	const struct qeff_metadata *metadata;
	uint8_t *l2tcm;
};

/**
 * struct qeff_target - where a device address leads
 * @count: places, more than one if a write is replicated
 * @at: the places
 * @in_ddr: DDR; otherwise L2TCM
 */
struct qeff_target {
	unsigned int count;
	bool in_ddr;
	uint8_t *at[QEFF_MD_MAX_NSPS];
};

/* False if any byte of [@address, @address + @size_bytes) is not in one window. */
bool qeff_windows_find(const struct qeff_windows *w, uint64_t address, uint64_t size_bytes,
		       struct qeff_target *target);

#endif
