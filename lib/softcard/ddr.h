/* SPDX-License-Identifier: MIT */
/*
 * Device DDR: an address space of a fixed size, of which ranges are allotted. Each range has host
 * memory of its own, which costs nothing until it is touched and is gone when the range is freed.
 */
#ifndef QEFF_SOFTCARD_DDR_H
#define QEFF_SOFTCARD_DDR_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where DDR lies in the device's address space. */
#define QEFF_DDR_BASE	   (UINT64_C(1) << 32)
#define QEFF_DDR_ALIGNMENT 2048u

/**
 * struct qeff_ddr_range - an allotted range
 * @address: in the device's address space, a multiple of 2048
 * @size_bytes: a multiple of 2048
 * @data: its memory, page aligned, zeroed; NULL until qeff_ddr_back()
 */
struct qeff_ddr_range {
	struct qeff_ddr_range *next;
	uint64_t address;
	uint64_t size_bytes;
	uint8_t *data;
};

/* @first: ranges by ascending address. Not locked: the card's control lock guards it. */
struct qeff_ddr {
	uint64_t total_bytes;
	uint64_t used_bytes;
	struct qeff_ddr_range *first;
};

/* The first gap that fits, or NULL: not that much in one piece. @size_bytes 0 takes 2048. */
struct qeff_ddr_range *qeff_ddr_alloc(struct qeff_ddr *ddr, uint64_t size_bytes);
/* Gives the range memory; -ENOMEM if the host has none to offer. */
int qeff_ddr_back(struct qeff_ddr_range *range);
void qeff_ddr_free(struct qeff_ddr *ddr, struct qeff_ddr_range *range);

/* How much of the free space is not in the largest gap, 0..100. */
uint32_t qeff_ddr_fragmentation_percent(const struct qeff_ddr *ddr);

#endif
