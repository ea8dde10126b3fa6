/* SPDX-License-Identifier: MIT */
/*
 * A vfio-user client as QEMU is one: it shares a guest's memory, reads and writes BARs, gets
 * interrupts. And the virtual card it speaks to, which runs on a thread of the test.
 */
#ifndef QEFF_TESTS_VCARD_CLIENT_H
#define QEFF_TESTS_VCARD_CLIENT_H

#include "../../unit/unit.h"

#include "softcard/pcie/config_space.h"
#include "softcard/pcie/vcard.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_BASE  UINT64_C(0x100000000) /* behind the hole below 4 GiB */
#define GUEST_BYTES (48u << 20)
#define GUEST_PAGE  4096u
#define MESSAGES    32u

/* Commands and regions of the protocol. */
enum {
	VFIO_VERSION = 1,
	VFIO_DMA_MAP = 2,
	VFIO_DMA_UNMAP = 3,
	VFIO_GET_INFO = 4,
	VFIO_GET_REGION_INFO = 5,
	VFIO_GET_IRQ_INFO = 7,
	VFIO_SET_IRQS = 8,
	VFIO_REGION_READ = 9,
	VFIO_REGION_WRITE = 10,
	VFIO_DEVICE_RESET = 13,
	CONFIG_REGION = 7,
};

/**
 * struct server - a virtual card
 * @dir: its folder, with the socket and what else it writes
 */
struct server {
	char dir[64];
	char socket[96];
	char trace[96];
	char stats[96];
	struct qeff_vcard *vcard;
	pthread_t thread;
};

/* @faults: may be NULL; @images: NULL for the usual. */
void server_start(struct server *s, const char *faults, const char *images);
void server_stop(struct server *s);

/**
 * struct client - the guest's side
 * @ram: the guest's memory, as contiguous as its DMA addresses are
 * @memory: the file behind it
 * @used_bytes: of @ram, by guest_alloc()
 */
struct client {
	int fd;
	int memory;
	uint16_t id;
	uint8_t *ram;
	size_t used_bytes;
	int irq[MESSAGES];
};

/* Connects and greets. */
void client_open(struct client *c, const struct server *s);
void client_close(struct client *c);

/* One command and its reply; returns the reply's errno, or -1 if the connection is gone. */
int client_call(struct client *c, uint16_t command, const void *data, size_t size_bytes,
		const int *fds, unsigned int num_fds, void *reply, size_t room,
		size_t *reply_bytes);
/* Sends bytes as they are. */
bool client_raw(struct client *c, const void *data, size_t size_bytes);

int client_map(struct client *c, uint64_t address, uint64_t size_bytes, uint64_t offset, int fd,
	       uint32_t flags);
int client_unmap(struct client *c, uint64_t address, uint64_t size_bytes);
/* Maps the guest's memory; @scattered: as behind an IOMMU, each page from another place. */
void client_map_ram(struct client *c, bool scattered);

uint32_t client_read(struct client *c, uint32_t region, uint64_t offset, uint32_t size_bytes);
void client_write(struct client *c, uint32_t region, uint64_t offset, uint32_t value,
		  uint32_t size_bytes);

/* Gives @count messages an eventfd each. */
void client_enable_msi(struct client *c, unsigned int count);
/* Waits for message @message; false after ten seconds. */
bool client_wait(struct client *c, unsigned int message);
/* Whether it came, without waiting. */
bool client_poll(struct client *c, unsigned int message);
/* Memory of the guest, zeroed, aligned to @alignment; its DMA address is GUEST_BASE + offset. */
uint64_t guest_alloc(struct client *c, size_t size_bytes, size_t alignment);

static inline uint8_t *guest(struct client *c, uint64_t address)
{
	return c->ram + (address - GUEST_BASE);
}

#endif
