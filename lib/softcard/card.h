/* SPDX-License-Identifier: MIT */
/*
 * The card made of software, as its host sees it: the one outward header of this folder.
 *
 * The core holds what a real card holds: the QSM (control plane), the DMA bridge with its channels,
 * device DDR, and the NSPs. It sees its host only through struct qeff_card_host. In process the
 * host is the softcard transport of lib/device; behind a PCIe bus it will be a vfio-user client.
 * Both feed it the same bytes: wire messages of the control protocol, and request elements in the
 * rings whose addresses ACTIVATE names.
 */
#ifndef QEFF_SOFTCARD_CARD_H
#define QEFF_SOFTCARD_CARD_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_CARD_MAX_NSPS 16
#define QEFF_CARD_DBCS	   16
/* A reply on the control channel never exceeds this. */
#define QEFF_CARD_REPLY_BYTES 4096

struct qeff_card;

/**
 * struct qeff_card_config - the shape of a card
 * @nsps: NSPs present, 1..16
 * @ddr_bytes: device DDR; costs host memory only where it is touched
 * @sku: SKU number as STATUS reports it (2 is "PCIe")
 * @serial: board serial, NUL terminated
 * @poison: fill every arena byte that a phase did not declare before running it, and fail the
 *inference if the phase wrote one (a debugging aid, slow)
 */
struct qeff_card_config {
	uint32_t nsps;
	uint64_t ddr_bytes;
	uint8_t sku;
	char serial[32];
	bool poison;
};

/**
 * struct qeff_card_host - what the card may ask of its host
 * @translate: pointer to [@address, @address + @size_bytes) of host DMA space, valid until the
 *request that named it is answered or its channel is deactivated; NULL if any byte is not mapped
 *(or not writable, if @device_writes)
 * @interrupt: raise interrupt @vector (0: control channel, n + 1: DMA bridge channel n)
 * @time_us: microseconds of a clock that never goes back
 * @adopt: take over host pages instead of copying them: a pointer that stays valid and unchanged
 *until
 *	   @release is called with it, or NULL if the host does not offer this range; may be NULL
 *itself
 * @release: gives back what @adopt returned
 * @trace_control: sees each control message and reply; may be NULL
 * @trace_element: sees each request element (64 bytes) as the bridge takes it from the ring; may be
 *NULL
 * @user: handed to every callback
 *
 * Callbacks are made from any thread, several at once, and never with a lock of the card held, but
 *that control messages are handled one after the other: a callback must not call
 *qeff_card_control(), qeff_card_reset() or qeff_card_free(), and who calls these must hold no lock
 *that a callback takes, since they wait for callbacks that are under way. The other functions may
 *be called from callbacks.
 */
struct qeff_card_host {
	void *(*translate)(void *user, uint64_t address, size_t size_bytes, bool device_writes);
	void (*interrupt)(void *user, unsigned int vector);
	uint64_t (*time_us)(void *user);
	const void *(*adopt)(void *user, uint64_t address, size_t size_bytes);
	void (*release)(void *user, const void *data, size_t size_bytes);
	void (*trace_control)(void *user, bool to_card, const void *message, size_t size_bytes);
	void (*trace_element)(void *user, unsigned int dbc, const void *element);
	void *user;
};

int qeff_card_new(const struct qeff_card_config *config, const struct qeff_card_host *host,
		  struct qeff_card **card, struct qeff_error *err);

/* Stops everything, waits for NSPs and bridge to come to rest, frees all. The host makes no call
 * meanwhile. */
void qeff_card_free(struct qeff_card *card);

/**
 * qeff_card_control - one wire message to the QSM, and its reply
 * @message: a whole message (header and transactions), not yet validated
 * @reply: room for QEFF_CARD_REPLY_BYTES
 *
 * Returns the reply's size, or 0 where a real card would drop the message (bad magic, bad length,
 * bad CRC, a sequence number that one of the last messages had). Thread safe; messages are handled
 * one after the other.
 */
size_t qeff_card_control(struct qeff_card *card, const void *message, size_t size_bytes,
			 void *reply);

/* Registers of DMA bridge channel @dbc: 0x0 REQHP, 0x4 REQTP, 0x8 RSPHP, 0xc RSPTP. A write of
 * REQTP starts processing and may run bridge elements in the calling thread. Reads of an idle
 * channel give 0. */
uint32_t qeff_card_dbc_read(struct qeff_card *card, unsigned int dbc, uint32_t offset);
void qeff_card_dbc_write(struct qeff_card *card, unsigned int dbc, uint32_t offset, uint32_t value);

/**
 * qeff_card_crash_nsp - the NSPs behind a DMA bridge channel die, and are started again empty
 * @dbc: the channel, -1 for the first that is in use
 *
 * Its activation is gone, as after DEACTIVATE, but nobody is told: that is the host's part. Returns
 * the channel, or -ENOENT if it is not in use.
 */
int qeff_card_crash_nsp(struct qeff_card *card, int dbc);

/* As a SoC reset: every activation, constants set and ELF is gone; the rings are forgotten. */
void qeff_card_reset(struct qeff_card *card);

/**
 * struct qeff_card_counters - what the card has done since it was made
 * @elements: request elements completed by the DMA bridge
 * @bytes_in: bytes moved to the device; @bytes_out: from it
 * @inferences: program runs finished
 * @interrupts: calls of the interrupt callback
 */
struct qeff_card_counters {
	uint64_t elements;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t inferences;
	uint64_t interrupts;
};

void qeff_card_counters(struct qeff_card *card, struct qeff_card_counters *counters);

#endif
