/* SPDX-License-Identifier: MIT */
/*
 * The virtual card as a whole. One thread serves the socket and with it config space, MHI, boot and
 * channels; the card core's threads come in by the callbacks of struct qeff_card_host, and touch
 * only what has a lock of its own: memory maps, interrupts, faults, trace, and the actions they
 * leave for the server's thread.
 */
#ifndef QEFF_PCIE_INTERNAL_H
#define QEFF_PCIE_INTERNAL_H

#include "softcard/pcie/boot.h"
#include "softcard/pcie/bridge.h"
#include "softcard/pcie/channels.h"
#include "softcard/pcie/config_space.h"
#include "softcard/pcie/dma.h"
#include "softcard/pcie/fault.h"
#include "softcard/pcie/irq.h"
#include "softcard/pcie/mhi.h"
#include "softcard/pcie/socket.h"
#include "softcard/pcie/vcard.h"
#include "softcard/trace.h"

#include <stdatomic.h>

#define QEFF_NUM_BARS 6u

/**
 * struct qeff_vcard - one card
 * @off_bus: the card has left the bus
 * @actions: faults that wait for the server's thread, under @lock
 * @spurious_until_us: until when all channels interrupt without cause
 * @reads, @writes: BAR accesses of the guest
 * @resets: DEVICE_RESETs of the client
 * @left_as_master: the last client went while the card could have written to memory
 */
struct qeff_vcard {
	struct qeff_card *card;
	struct qeff_card_config config;
	uint16_t device_id;
	struct qeff_dma dma;
	struct qeff_irqs irqs;
	struct qeff_config_space config_space;
	struct qeff_faults faults;
	struct qeff_mhi mhi;
	struct qeff_boot boot;
	struct qeff_channels channels;
	struct qeff_bridge_front bridge;
	struct qeff_trace *trace;
	struct qeff_socket socket;
	char *stats_path;
	char *fault_path;
	bool has_rom;

	int wake_fd;
	atomic_bool stop;
	atomic_bool dump;
	atomic_bool replan;
	atomic_bool off_bus;
	pthread_mutex_t lock;
	struct qeff_fault_hits actions;
	uint64_t spurious_until_us;

	uint64_t reads[QEFF_NUM_BARS];
	uint64_t writes[QEFF_NUM_BARS];
	uint64_t clients;
	uint64_t resets;
	bool left_as_master;
	uint64_t messages;
};

uint64_t qeff_vcard_time_us(void);
/* As after power-on, all of it. */
void qeff_vcard_power_on(struct qeff_vcard *v);
/* Leaves the faults that are not the caller's own to the server's thread; from any thread. */
void qeff_vcard_act(struct qeff_vcard *v, const struct qeff_fault_hits *hits);
/* Does what has been left. */
void qeff_vcard_do_actions(struct qeff_vcard *v);

/* In the thread that may send control messages. */
size_t qeff_vcard_control(struct qeff_vcard *v, const void *message, size_t size_bytes,
			  void *reply);

/* region.c: accesses of the guest; 0 or a negative errno, for the client. */
int qeff_region_read(struct qeff_vcard *v, uint32_t region, uint64_t offset, void *to,
		     uint32_t size_bytes);
int qeff_region_write(struct qeff_vcard *v, uint32_t region, uint64_t offset, const void *from,
		      uint32_t size_bytes);
/* 0 for a region the card does not have. */
uint64_t qeff_region_bytes(uint32_t region);

/* vfio.c: handles a whole message of the client and queues the reply; a negative errno ends the
 * connection. */
int qeff_vfio_handle(struct qeff_vcard *v, struct qeff_socket *s);

/* stats.c */
int qeff_vcard_write_stats(struct qeff_vcard *v, struct qeff_error *err);

#endif
