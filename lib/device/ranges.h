/* SPDX-License-Identifier: MIT */
/*
 * What a software card may reach of this process: the IOMMU of the softcard transport. A DMA
 * address is a pointer here, and only ranges in this table translate.
 */
#ifndef QEFF_DEVICE_RANGES_H
#define QEFF_DEVICE_RANGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qeff_range_kind {
	QEFF_RANGE_DMA = 1,  /* buffers, rings, and memory of a control message that is under way */
	QEFF_RANGE_LENT = 2, /* also stays unchanged, so that the card may adopt it */
};

struct qeff_range {
	uint64_t start;
	uint64_t size_bytes;
	enum qeff_range_kind kind;
	bool writable;
};

/**
 * struct qeff_ranges - the table
 * @lock: readers translate, writers map and unmap
 * @items: by start; ranges may overlap
 * @longest: of all sizes there have been; bounds how far back a lookup must go
 */
struct qeff_ranges {
	pthread_rwlock_t lock;
	struct qeff_range *items;
	size_t count;
	size_t capacity;
	uint64_t longest;
};

void qeff_ranges_init(struct qeff_ranges *r);
void qeff_ranges_destroy(struct qeff_ranges *r);

/* Returns 0, -EINVAL (empty, or past the end of the address space) or -ENOMEM. */
int qeff_ranges_add(struct qeff_ranges *r, const void *start, uint64_t size_bytes,
		    enum qeff_range_kind kind, bool writable);
/* Removes one range that was added with just these. */
void qeff_ranges_remove(struct qeff_ranges *r, const void *start, uint64_t size_bytes,
			enum qeff_range_kind kind, bool writable);

/* The pointer, if one range holds all of [@address, @address + @size_bytes), and is writable if
 * @writes, and is lent if @lent; else NULL. */
void *qeff_ranges_find(struct qeff_ranges *r, uint64_t address, uint64_t size_bytes, bool writes,
		       bool lent);

#endif
