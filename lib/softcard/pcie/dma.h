/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory as the card sees it: a table of the ranges that the vfio-user client mapped.
 *
 * DMA addresses are mirrored: each window of them is one reservation of this process's address
 * space, and a map is placed in it where its address says. So ranges that are neighbours for the
 * card are neighbours here, whatever pages an IOMMU put behind them, and one pointer serves a
 * transfer over many maps. What is unmapped turns into private zeros at the same place in one step
 * of the kernel: a transfer that is under way runs on harmlessly, and not one byte of the guest is
 * touched after the client has been answered. A ring whose memory went away and came back at the
 * same address is found again, as behind a real IOMMU.
 */
#ifndef QEFF_PCIE_DMA_H
#define QEFF_PCIE_DMA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_DMA_PAGE	      4096u
#define QEFF_DMA_MAX_MAPS     65535u
#define QEFF_DMA_WINDOW_BYTES (UINT64_C(1) << 40)
#define QEFF_DMA_MAX_WINDOWS  16u

/**
 * struct qeff_dma_map - one range the client mapped
 * @data: where it is in this process; NULL if the client sent no descriptor for it
 * @readable, @writable: by the card
 */
struct qeff_dma_map {
	uint64_t address;
	uint64_t size_bytes;
	uint8_t *data;
	bool readable;
	bool writable;
};

struct qeff_dma_window {
	uint64_t base;
	uint8_t *data;
};

/**
 * struct qeff_dma - the table
 * @lock: maps are added and removed by one thread, and looked up by many
 * @enabled: the card is on the bus and may be its master; otherwise nothing is found
 * @maps: in ascending order, none over another
 * @peak: the most there ever were
 */
struct qeff_dma {
	pthread_rwlock_t lock;
	atomic_bool enabled;
	struct qeff_dma_map *maps;
	size_t num_maps;
	size_t capacity;
	size_t peak;
	struct qeff_dma_window windows[QEFF_DMA_MAX_WINDOWS];
	unsigned int num_windows;
};

void qeff_dma_init(struct qeff_dma *dma);
/* Nobody uses a pointer from it any more. */
void qeff_dma_destroy(struct qeff_dma *dma);

/**
 * qeff_dma_add - a DMA_MAP of the client
 * @fd: the file with the memory, not kept; -1 if there is none, which makes the range known but not
 * usable
 * @offset: where the range begins in the file
 *
 * Returns -EINVAL for what cannot be, -EEXIST if a byte of it is mapped already, -ENOMEM. The file
 * must be as large as it is said to be; a client that shrinks it later kills its card.
 */
int qeff_dma_add(struct qeff_dma *dma, const struct qeff_dma_map *map, int fd, uint64_t offset);
/* All maps inside the range; -EINVAL if it cuts one in two. With an IOMMU, clients take ranges away
 * in larger pieces than they gave them, and some that were never there. */
int qeff_dma_remove(struct qeff_dma *dma, uint64_t address, uint64_t size_bytes);
void qeff_dma_remove_all(struct qeff_dma *dma);

/* NULL if any byte is not mapped, or not for that direction. */
void *qeff_dma_find(struct qeff_dma *dma, uint64_t address, uint64_t size_bytes,
		    bool device_writes);
/* Copies; false if the range is not there. */
bool qeff_dma_read(struct qeff_dma *dma, uint64_t address, void *to, size_t size_bytes);
bool qeff_dma_write(struct qeff_dma *dma, uint64_t address, const void *from, size_t size_bytes);

#endif
