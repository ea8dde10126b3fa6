/* SPDX-License-Identifier: MIT */
/* A sorted array: mapping is rare, translating is not. */
#include "device/ranges.h"

#include "util/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qeff_ranges_init(struct qeff_ranges *r)
{
	*r = (struct qeff_ranges){ 0 };
	pthread_rwlock_init(&r->lock, NULL);
}

void qeff_ranges_destroy(struct qeff_ranges *r)
{
	pthread_rwlock_destroy(&r->lock);
	free(r->items);
}

/* Index of the first range that starts behind @address. */
static size_t upper_bound(const struct qeff_ranges *r, uint64_t address)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int qeff_ranges_add(struct qeff_ranges *r, const void *start, uint64_t size_bytes,
		    enum qeff_range_kind kind, bool writable)
{
	uint64_t address = (uintptr_t)start, end;
	size_t at;

	if (!size_bytes || !qeff_add_u64(address, size_bytes, &end))
		return -EINVAL;
	pthread_rwlock_wrlock(&r->lock);
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? 2 * r->capacity : 64;
		struct qeff_range *grown = reallocarray(r->items, capacity, sizeof(*grown));

		if (!grown) {
			pthread_rwlock_unlock(&r->lock);
			return -ENOMEM;
		}
		r->items = grown;
		r->capacity = capacity;
	}
	at = upper_bound(r, address);
	memmove(&r->items[at + 1], &r->items[at], (r->count - at) * sizeof(*r->items));
	r->items[at] = (struct qeff_range){ address, size_bytes, kind, writable };
	r->count++;
	if (size_bytes > r->longest)
		r->longest = size_bytes;
	pthread_rwlock_unlock(&r->lock);
	return 0;
}

void qeff_ranges_remove(struct qeff_ranges *r, const void *start, uint64_t size_bytes,
			enum qeff_range_kind kind, bool writable)
{
	uint64_t address = (uintptr_t)start;
	size_t at;

	pthread_rwlock_wrlock(&r->lock);
	at = upper_bound(r, address);
	while (at-- > 0 && r->items[at].start == address) {
		struct qeff_range *item = &r->items[at];

		if (item->size_bytes != size_bytes || item->kind != kind ||
		    item->writable != writable)
			continue;
		r->count--;
		memmove(item, item + 1, (r->count - at) * sizeof(*item));
		break;
	}
	pthread_rwlock_unlock(&r->lock);
}

void *qeff_ranges_find(struct qeff_ranges *r, uint64_t address, uint64_t size_bytes, bool writes,
		       bool lent)
{
	void *found = NULL;
	size_t at;

	pthread_rwlock_rdlock(&r->lock);
	at = upper_bound(r, address);
	while (!found && at-- > 0 && address - r->items[at].start < r->longest) {
		const struct qeff_range *item = &r->items[at];

		if (qeff_range_valid(address - item->start, size_bytes, item->size_bytes) &&
		    (item->writable || !writes) && (item->kind == QEFF_RANGE_LENT || !lent))
			found = (void *)(uintptr_t)address;
	}
	pthread_rwlock_unlock(&r->lock);
	return found;
}
