/* SPDX-License-Identifier: MIT */
/* The mirror of the guest's DMA addresses: windows, maps in order, lookups by bisection. */
#include "softcard/pcie/dma.h"

#include "util/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void qeff_dma_init(struct qeff_dma *dma)
{
	memset(dma, 0, sizeof(*dma));
	dma->enabled = true;
	pthread_rwlock_init(&dma->lock, NULL);
}

void qeff_dma_destroy(struct qeff_dma *dma)
{
	for (unsigned int i = 0; i < dma->num_windows; i++)
		munmap(dma->windows[i].data, QEFF_DMA_WINDOW_BYTES);
	free(dma->maps);
	pthread_rwlock_destroy(&dma->lock);
}

/* Private zeros that cost nothing until somebody writes them. */
static void *blank(void *at, uint64_t size_bytes)
{
	return mmap(at, size_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);
}

/* Where @address is mirrored; makes the window if need be. */
static uint8_t *place(struct qeff_dma *dma, uint64_t address)
{
	uint64_t base = address & ~(QEFF_DMA_WINDOW_BYTES - 1);
	struct qeff_dma_window *w = dma->windows;
	void *data;

	for (; w < dma->windows + dma->num_windows; w++)
		if (w->base == base)
			return w->data + (address - base);
	if (dma->num_windows == QEFF_DMA_MAX_WINDOWS)
		return NULL;
	data = blank(NULL, QEFF_DMA_WINDOW_BYTES);
	if (data == MAP_FAILED)
		return NULL;
	*w = (struct qeff_dma_window){ .base = base, .data = data };
	dma->num_windows++;
	return w->data + (address - base);
}

/* The first map that ends behind @address. */
static size_t first_behind(const struct qeff_dma *dma, uint64_t address)
{
	size_t low = 0, high = dma->num_maps;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct qeff_dma_map *m = &dma->maps[middle];

		if (m->address + (m->size_bytes - 1) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int check(const struct qeff_dma_map *map, int fd, uint64_t offset)
{
	uint64_t last;
	struct stat st;

	if (!map->size_bytes || !qeff_add_u64(map->address, map->size_bytes - 1, &last))
		return -EINVAL;
	if (fd < 0)
		return 0;
	if ((map->address | map->size_bytes | offset) % QEFF_DMA_PAGE ||
	    map->address / QEFF_DMA_WINDOW_BYTES != last / QEFF_DMA_WINDOW_BYTES)
		return -EINVAL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !qeff_range_valid(offset, map->size_bytes, (uint64_t)st.st_size))
		return -EINVAL;
	return 0;
}

static int make_room(struct qeff_dma *dma)
{
	size_t capacity = dma->capacity ? 2 * dma->capacity : 64;
	struct qeff_dma_map *grown;

	if (dma->num_maps < dma->capacity)
		return 0;
	if (dma->num_maps >= QEFF_DMA_MAX_MAPS)
		return -ENOMEM;
	grown = reallocarray(dma->maps, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	dma->maps = grown;
	dma->capacity = capacity;
	return 0;
}

static int insert(struct qeff_dma *dma, const struct qeff_dma_map *map, int fd, uint64_t offset)
{
	size_t at = first_behind(dma, map->address);
	int prot = (map->readable ? PROT_READ : 0) | (map->writable ? PROT_WRITE : 0);
	uint8_t *data = NULL;
	int ret;

	if (at < dma->num_maps && dma->maps[at].address <= map->address + (map->size_bytes - 1))
		return -EEXIST;
	ret = make_room(dma);
	if (ret)
		return ret;
	if (fd >= 0) {
		data = place(dma, map->address);
		if (!data)
			return -ENOMEM;
		if (mmap(data, map->size_bytes, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) ==
		    MAP_FAILED) {
			ret = -errno;
			blank(data, map->size_bytes);
			return ret;
		}
	}
	memmove(dma->maps + at + 1, dma->maps + at, (dma->num_maps - at) * sizeof(*dma->maps));
	dma->maps[at] = *map;
	dma->maps[at].data = data;
	if (++dma->num_maps > dma->peak)
		dma->peak = dma->num_maps;
	return 0;
}

int qeff_dma_add(struct qeff_dma *dma, const struct qeff_dma_map *map, int fd, uint64_t offset)
{
	int ret = check(map, fd, offset);

	if (ret)
		return ret;
	pthread_rwlock_wrlock(&dma->lock);
	ret = insert(dma, map, fd, offset);
	pthread_rwlock_unlock(&dma->lock);
	return ret;
}

static void blank_maps(struct qeff_dma *dma, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		/* If even this fails, the pages stay; nobody finds them any more. */
		if (dma->maps[i].data)
			blank(dma->maps[i].data, dma->maps[i].size_bytes);
	memmove(dma->maps + from, dma->maps + to, (dma->num_maps - to) * sizeof(*dma->maps));
	dma->num_maps -= to - from;
}

int qeff_dma_remove(struct qeff_dma *dma, uint64_t address, uint64_t size_bytes)
{
	uint64_t last;
	size_t from, to;
	int ret = 0;

	if (!size_bytes || !qeff_add_u64(address, size_bytes - 1, &last))
		return -EINVAL;
	pthread_rwlock_wrlock(&dma->lock);
	from = to = first_behind(dma, address);
	for (; to < dma->num_maps && dma->maps[to].address <= last; to++)
		if (dma->maps[to].address < address ||
		    dma->maps[to].address + (dma->maps[to].size_bytes - 1) > last)
			ret = -EINVAL;
	if (!ret && to > from)
		blank_maps(dma, from, to);
	pthread_rwlock_unlock(&dma->lock);
	return ret;
}

void qeff_dma_remove_all(struct qeff_dma *dma)
{
	pthread_rwlock_wrlock(&dma->lock);
	if (dma->num_maps)
		blank_maps(dma, 0, dma->num_maps);
	pthread_rwlock_unlock(&dma->lock);
}

static uint8_t *find(const struct qeff_dma *dma, uint64_t address, uint64_t last, bool writes)
{
	size_t at = first_behind(dma, address);
	uint64_t next = address;
	uint8_t *data = NULL;

	for (; at < dma->num_maps; at++) {
		const struct qeff_dma_map *m = &dma->maps[at];

		if (m->address > next || !m->data || (writes ? !m->writable : !m->readable))
			return NULL;
		/* From one window to the next the mirror is broken. */
		if (!data)
			data = m->data + (address - m->address);
		else if (m->data != data + (m->address - address))
			return NULL;
		next = m->address + (m->size_bytes - 1);
		if (next >= last)
			return data;
		next++;
	}
	return NULL;
}

void *qeff_dma_find(struct qeff_dma *dma, uint64_t address, uint64_t size_bytes, bool device_writes)
{
	uint64_t last;
	void *data;

	if (!dma->enabled || !size_bytes || !qeff_add_u64(address, size_bytes - 1, &last))
		return NULL;
	pthread_rwlock_rdlock(&dma->lock);
	data = find(dma, address, last, device_writes);
	pthread_rwlock_unlock(&dma->lock);
	return data;
}

bool qeff_dma_read(struct qeff_dma *dma, uint64_t address, void *to, size_t size_bytes)
{
	const void *from = qeff_dma_find(dma, address, size_bytes, false);

	if (from)
		memcpy(to, from, size_bytes);
	return from;
}

bool qeff_dma_write(struct qeff_dma *dma, uint64_t address, const void *from, size_t size_bytes)
{
	void *to = qeff_dma_find(dma, address, size_bytes, true);

	if (to)
		memcpy(to, from, size_bytes);
	return to;
}
