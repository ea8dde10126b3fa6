/* SPDX-License-Identifier: MIT */
/* First fit over a sorted list; there are few ranges, and they live long. */
#include "softcard/ddr.h"

#include "util/checked.h"

#include <stdlib.h>
#include <sys/mman.h>

struct qeff_ddr_range *qeff_ddr_alloc(struct qeff_ddr *ddr, uint64_t size_bytes)
{
	uint64_t at = QEFF_DDR_BASE, end = QEFF_DDR_BASE + ddr->total_bytes;
	struct qeff_ddr_range **link, *range;

	if (!qeff_align_u64(size_bytes ? size_bytes : 1, QEFF_DDR_ALIGNMENT, &size_bytes))
		return NULL;
	for (link = &ddr->first; *link; link = &(*link)->next) {
		if (size_bytes <= (*link)->address - at)
			break;
		at = (*link)->address + (*link)->size_bytes;
	}
	if (size_bytes > end - at)
		return NULL;
	range = calloc(1, sizeof(*range));
	if (!range)
		return NULL;
	range->address = at;
	range->size_bytes = size_bytes;
	range->next = *link;
	*link = range;
	ddr->used_bytes += size_bytes;
	return range;
}

int qeff_ddr_back(struct qeff_ddr_range *range)
{
	void *data;

	if (range->data)
		return 0;
	data = mmap(NULL, range->size_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (data == MAP_FAILED)
		return -ENOMEM;
	range->data = data;
	return 0;
}

void qeff_ddr_free(struct qeff_ddr *ddr, struct qeff_ddr_range *range)
{
	struct qeff_ddr_range **link = &ddr->first;

	if (!range)
		return;
	while (*link != range)
		link = &(*link)->next;
	*link = range->next;
	ddr->used_bytes -= range->size_bytes;
	if (range->data)
		munmap(range->data, range->size_bytes);
	free(range);
}

uint32_t qeff_ddr_fragmentation_percent(const struct qeff_ddr *ddr)
{
	uint64_t free_bytes = ddr->total_bytes - ddr->used_bytes;
	uint64_t at = QEFF_DDR_BASE, largest = 0;

	for (const struct qeff_ddr_range *r = ddr->first; r; r = r->next) {
		if (r->address - at > largest)
			largest = r->address - at;
		at = r->address + r->size_bytes;
	}
	if (QEFF_DDR_BASE + ddr->total_bytes - at > largest)
		largest = QEFF_DDR_BASE + ddr->total_bytes - at;
	if (!free_bytes)
		return 0;
	return (uint32_t)((double)(free_bytes - largest) * 100 / (double)free_bytes);
}
