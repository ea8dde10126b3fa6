/* SPDX-License-Identifier: MIT */
/*
 * The inside of the card: what the QSM, the bridge and the NSPs share.
 *
 * Locks, in the order in which they are taken:
 *
 * - qeff_card.control: one control message (or reset) at a time. Guards everything but the channels
 *   and the counters. Host callbacks that serve a control message are made with it held, since
 *   messages are handled one after the other; the host must not send one from a callback.
 * - qeff_channel.lock: registers, semaphores, the NSP group's state and L2TCM of one channel. Never
 *   held in a callback.
 * - the pool's lock: the queue of jobs. Never held in a callback.
 *
 * An activation ends in this order: the channel stops, the NSPs come to rest, the channel closes,
 * memory goes.
 */
#ifndef QEFF_SOFTCARD_CORE_H
#define QEFF_SOFTCARD_CORE_H

#include "nnc/command.h"
#include "nnc/wire.h"
#include "softcard/bridge.h"
#include "softcard/card.h"
#include "softcard/ddr.h"
#include "softcard/nsp_group.h"
#include "softcard/pool.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a card holds at most; STATUS counts networks in a byte. */
#define QEFF_CARD_MAX_CONSTANTS	   1024u
#define QEFF_CARD_MAX_ELFS	   255u
#define QEFF_CARD_MAX_TRANSFERS	   8u /* unfinished ones, of one user */
#define QEFF_CARD_MAX_RING	   (1u << 20)
#define QEFF_CARD_MCIDS		   QEFF_WINDOW_MCIDS
#define QEFF_CARD_RECENT_SEQUENCES 16u

/**
 * struct qeff_constants - a constants area: the static part, then the dynamic part
 * @owner: the user (handle) that loaded it
 * @range: its place in DDR; has memory only if something was copied
 * @adopted: the static part as the host's pages, NULL if it was copied
 * @received_bytes: of both parts
 * @users: activations and unfinished transfers
 */
struct qeff_constants {
	struct qeff_constants *next;
	uint32_t id;
	uint32_t owner;
	uint64_t static_bytes;
	uint64_t dynamic_bytes;
	struct qeff_ddr_range *range;
	const uint8_t *adopted;
	uint64_t received_bytes;
	uint32_t users;
};

struct qeff_elf {
	struct qeff_elf *next;
	uint32_t id;
	uint32_t owner;
	struct qeff_ddr_range *range;
	struct qeff_metadata *metadata;
	uint32_t users;
};

struct qeff_activation {
	struct qeff_activation *next;
	uint32_t id;
	uint32_t owner;
	struct qeff_elf *elf;
	struct qeff_constants *constants; /* may be NULL */
	unsigned int vc;
	uint32_t nsp_mask; /* of the card's NSPs */
	uint32_t mcids;
	struct qeff_ddr_range *fixed_ddr;
	struct qeff_ddr_range *dynamic_ddr; /* NULL if the program has none */
	struct qeff_nsp_group *group;
};

/**
 * struct qeff_transfer - data of a LOAD command on its way, perhaps in several messages
 * @command: the L3 command it belongs to
 * @status: why its data is only counted, not kept; 0 while all is well
 * @to: where byte 0 goes; NULL if the data is not kept
 * @total_bytes: what the command announced; @done_bytes: what came
 * @constants: target of constants, held by its @users; @elf: target of an ELF, not yet in the
 * card's list
 * @adopt: the data is the whole static part, whose pages the host may lend
 */
struct qeff_transfer {
	struct qeff_transfer *next;
	uint32_t owner;
	uint32_t chunk_id;
	uint32_t tag;
	uint32_t command;
	int32_t status;
	uint8_t *to;
	uint64_t total_bytes;
	uint64_t done_bytes;
	struct qeff_constants *constants;
	struct qeff_elf *elf;
	bool adopt;
};

struct qeff_card {
	struct qeff_card_config config;
	struct qeff_card_host host;

	pthread_mutex_t control;
	struct qeff_ddr ddr;
	struct qeff_constants *constants;
	struct qeff_elf *elfs;
	struct qeff_activation *activations;
	struct qeff_transfer *transfers;
	uint32_t last_id;
	uint32_t nsps_used; /* a bit each */
	uint32_t mcids_used;
	uint32_t recent[QEFF_CARD_RECENT_SEQUENCES]; /* sequence numbers of the last messages */
	uint32_t recent_count;			     /* messages since the link came up */
	struct qeff_pool *pool;			     /* made at the first activation */

	struct qeff_channel channel[QEFF_CARD_DBCS];

	_Atomic uint64_t elements;
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t inferences;
	_Atomic uint64_t interrupts;
};

/**
 * struct qeff_qsm_message - a message while it is handled
 * @owner: the header's handle
 * @commands: passthroughs in it
 * @dma: its DMA_XFER, if @has_dma; @segments: dma.count of them, not aligned
 * @activate: its ACTIVATE_TO_DEV, if @has_activate
 * @activate_status: the outcome for ACTIVATE_FROM_DEV; @activate_dbc likewise
 * @deactivated: a bit for each channel for which a DEACTIVATE_FROM_DEV is due
 */
struct qeff_qsm_message {
	struct qeff_card *card;
	uint32_t owner;
	int commands;
	bool has_dma;
	struct qeff_wire_dma_xfer dma;
	const uint8_t *segments;
	bool has_activate;
	struct qeff_wire_activate_to_dev activate;
	int32_t activate_status;
	uint32_t activate_dbc;
	uint32_t deactivated;
	struct qeff_transaction_writer reply;
};

/* All of these with the control lock held. */

/* qsm.c: handles a message; returns the size of the reply, 0 for none. */
size_t qeff_qsm_handle(struct qeff_card *card, const void *message, size_t size_bytes, void *reply);
/* Frees everything of one user. */
void qeff_qsm_terminate(struct qeff_card *card, uint32_t owner);
/* An id that is not in use by anything. */
uint32_t qeff_qsm_new_id(struct qeff_card *card);
/* Appends an L3 response to the reply. */
void qeff_qsm_respond(struct qeff_qsm_message *m, const void *response, size_t size_bytes);

/* qsm_load.c */
void qeff_qsm_load(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
void qeff_qsm_load_constants_ex(struct qeff_qsm_message *m, const uint8_t *command,
				size_t size_bytes);
/* A message that holds nothing but a DMA_XFER: the next part of a transfer, or its abortion. */
void qeff_qsm_continue(struct qeff_qsm_message *m);
void qeff_qsm_unload(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
void qeff_qsm_free_constants(struct qeff_card *card, struct qeff_constants *constants);
void qeff_qsm_free_elf(struct qeff_card *card, struct qeff_elf *elf);
void qeff_qsm_free_transfers(struct qeff_card *card, uint32_t owner);

/* qsm_activate.c */
void qeff_qsm_activate(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
void qeff_qsm_deactivate(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
/* Stops it and gives back what it had. */
void qeff_qsm_end_activation(struct qeff_card *card, struct qeff_activation *activation);

/* qsm_info.c */
void qeff_qsm_status(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
void qeff_qsm_resource_info(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes);
void qeff_qsm_performance_info(struct qeff_qsm_message *m, const uint8_t *command,
			       size_t size_bytes);

#endif
