/* SPDX-License-Identifier: MIT */
/*
 * MHI as the card speaks it: the registers of BAR0, the state machine with its BHI download, and
 * the rings in host memory. All of it runs in the server's one thread.
 *
 * Everything read from the host is hostile: a ring is judged when its context is loaded, a doorbell
 * when it is rung, an element when it is taken. What makes no sense stops the channel (or is
 * ignored), never the server.
 */
#ifndef QEFF_PCIE_MHI_H
#define QEFF_PCIE_MHI_H

#include "softcard/pcie/dma.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_MHI_REG_BYTES 4096u
#define QEFF_MHI_CHANNELS  128u
/* A chain of elements from the host: Sahara's largest read, and some. */
#define QEFF_MHI_MAX_MESSAGE	   0x90000u
#define QEFF_MHI_MAX_RING_ELEMENTS 4096u
/* Messages that wait for the host's buffers on one channel. */
#define QEFF_MHI_MAX_PACKETS 64u

enum qeff_mhi_ee { QEFF_EE_PBL = 0, QEFF_EE_SBL = 1, QEFF_EE_AMSS = 2 };

enum qeff_mhi_state {
	QEFF_MHI_RESET = 0,
	QEFF_MHI_READY = 1,
	QEFF_MHI_M0 = 2,
	QEFF_MHI_M2 = 4,
	QEFF_MHI_M3 = 5,
	QEFF_MHI_SYS_ERR = 0xff,
};

/* Channels: even to the card, odd from it. */
enum qeff_mhi_channel_id {
	QEFF_CHANNEL_LOOPBACK = 0,
	QEFF_CHANNEL_SAHARA = 2,
	QEFF_CHANNEL_SSR = 6,
	QEFF_CHANNEL_CONTROL = 10,
	QEFF_CHANNEL_LOGGING = 12,
	QEFF_CHANNEL_STATUS = 14,
	QEFF_CHANNEL_TIMESYNC = 20,
	QEFF_CHANNEL_PERIODIC = 22,
	QEFF_NUM_CHANNELS = 26,
};

/* A ring in host memory; addresses are the host's. @context: where its rp is kept. */
struct qeff_mhi_ring {
	uint64_t context;
	uint64_t base;
	uint64_t size_bytes;
	uint64_t rp;
	uint64_t wp;
};

struct qeff_mhi_element {
	uint64_t pointer;
	uint32_t d0;
	uint32_t d1;
};

struct qeff_mhi_packet {
	struct qeff_mhi_packet *next;
	size_t size_bytes;
	uint8_t data[];
};

enum qeff_mhi_channel_state {
	QEFF_CHANNEL_DISABLED = 0,
	QEFF_CHANNEL_RUNNING = 2,
	QEFF_CHANNEL_STOPPED = 4,
	QEFF_CHANNEL_ERROR = 5,
};

/**
 * struct qeff_mhi_channel - one direction
 * @packets: messages for the host, oldest first
 * @delivered: messages from or to the host
 */
struct qeff_mhi_channel {
	enum qeff_mhi_channel_state state;
	struct qeff_mhi_ring ring;
	struct qeff_mhi_packet *packets;
	struct qeff_mhi_packet **last;
	unsigned int num_packets;
	uint64_t delivered;
};

/**
 * struct qeff_mhi_ops - what stands behind MHI
 * @interrupt: MSI 0
 * @reset: the host dropped MHI, or the SoC was reset: nothing of the host may be touched any more
 * @first_environment: what comes after PBL
 * @started: the host started a channel
 * @accepts: whether a message from the host on @channel may be taken now
 * @receive: such a message
 * @image: the boot image that BHI names; false if it is no good
 */
struct qeff_mhi_ops {
	void (*interrupt)(void *user);
	void (*reset)(void *user);
	enum qeff_mhi_ee (*first_environment)(void *user);
	void (*started)(void *user, unsigned int channel);
	bool (*accepts)(void *user, unsigned int channel);
	void (*receive)(void *user, unsigned int channel, const void *data, size_t size_bytes);
	bool (*image)(void *user, uint64_t address, uint32_t size_bytes);
	uint64_t (*time_us)(void *user);
};

/**
 * struct qeff_mhi - the card's side
 * @reg: registers as written; those that the card computes are not in it
 * @booting: BHI has delivered: the next M0 leaves PBL
 * @rebooting: the firmware crashed: the next MHI reset leads to PBL
 * @live: contexts are loaded, rings run
 * @backlog: events that found no room in the host's ring
 * @dirty: channels with something to do
 * @command_due: elements in the command ring
 * @interrupt_due: events have been written
 * @message: the chain being gathered
 */
struct qeff_mhi {
	struct qeff_dma *dma;
	const struct qeff_mhi_ops *ops;
	void *user;
	uint32_t reg[QEFF_MHI_REG_BYTES / 4];
	enum qeff_mhi_ee ee;
	enum qeff_mhi_state state;
	bool booting;
	bool rebooting;
	bool live;
	struct qeff_mhi_ring events;
	struct qeff_mhi_ring commands;
	struct qeff_mhi_element backlog[16];
	unsigned int backlog_count;
	uint64_t dirty[QEFF_MHI_CHANNELS / 64];
	bool command_due;
	bool interrupt_due;
	bool running;
	struct qeff_mhi_channel channel[QEFF_MHI_CHANNELS];
	uint8_t *message;
	uint64_t boots;
	uint64_t errors;
};

int qeff_mhi_init(struct qeff_mhi *mhi, struct qeff_dma *dma, const struct qeff_mhi_ops *ops,
		  void *user, uint32_t serial);
void qeff_mhi_destroy(struct qeff_mhi *mhi);

/* 32 bits at @offset (aligned, below QEFF_MHI_REG_BYTES) of BAR0. */
uint32_t qeff_mhi_read(struct qeff_mhi *mhi, uint32_t offset);
void qeff_mhi_write(struct qeff_mhi *mhi, uint32_t offset, uint32_t value);

/* As after power-on. */
void qeff_mhi_power_on(struct qeff_mhi *mhi);
/* The firmware is gone: SYS_ERR; @rebooted: and has come to PBL already. */
void qeff_mhi_crash(struct qeff_mhi *mhi, bool rebooted);
/* Enters @ee and tells the host. */
void qeff_mhi_enter(struct qeff_mhi *mhi, enum qeff_mhi_ee ee);

/* Queues a message on an odd channel. False if it is not running or has too many already. */
bool qeff_mhi_send(struct qeff_mhi *mhi, unsigned int channel, const void *data, size_t size_bytes);
bool qeff_mhi_is_running(const struct qeff_mhi *mhi, unsigned int channel);
/* Does what can be done on the rings; after anything that may have made work. */
void qeff_mhi_run(struct qeff_mhi *mhi);

/* --- between mhi.c and mhi_ring.c --- */

/* Loads event and command ring from their contexts. */
bool qeff_mhi_rings_load(struct qeff_mhi *mhi);
void qeff_mhi_rings_drop(struct qeff_mhi *mhi);
void qeff_mhi_post(struct qeff_mhi *mhi, const struct qeff_mhi_element *event, bool interrupt);
/* Doorbells: the new wp. */
void qeff_mhi_ring_events(struct qeff_mhi *mhi, uint64_t wp);
void qeff_mhi_ring_commands(struct qeff_mhi *mhi, uint64_t wp);
void qeff_mhi_ring_channel(struct qeff_mhi *mhi, unsigned int channel, uint64_t wp);

/* Register offsets that both use. */
#define QEFF_MHI_CCABAP 0x58u
#define QEFF_MHI_ECABAP 0x60u
#define QEFF_MHI_CRCBAP 0x68u

static inline uint64_t qeff_mhi_reg64(const struct qeff_mhi *mhi, uint32_t offset)
{
	return (uint64_t)mhi->reg[offset / 4 + 1] << 32 | mhi->reg[offset / 4];
}

#endif
