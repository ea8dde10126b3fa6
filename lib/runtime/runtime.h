/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share: a program is loaded, an activation of it turns its DMA
 * requests into slices, a queue holds slots with the buffers that carry those slices.
 */
#ifndef QEFF_RUNTIME_RUNTIME_H
#define QEFF_RUNTIME_RUNTIME_H

#include "device/device.h"
#include "nnc/client.h"
#include "qpc/metadata.h"
#include "util/error.h"

#include <qeff/program.h>
#include <qeff/queue.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Elements of a channel's ring: as many as the vendor's library asks for. */
#define QEFF_RING_ELEMENTS 512

/**
 * struct qeff_loaded_program - see <qeff/program.h>
 * @owners: who loaded it, and each activation
 * @own_qpc: the package, if it is ours to close
 * @constants_id, @elf_id: the card's numbers, valid if @has_constants, @has_elf
 * @lent: the transport has been promised the constants
 * @control: number of the binding that selects the specialisation, or -1
 * @lock: guards what follows
 * @nsps, @ddr_bytes: what all activations take together
 */
struct qeff_loaded_program {
	atomic_uint owners;
	struct qeff_device *device;
	struct qeff_transport *transport;
	struct qeff_nnc_client client;
	const struct qeff_qpc *qpc;
	struct qeff_qpc *own_qpc;
	const struct qeff_network *network;
	const struct qeff_metadata *metadata;
	struct qeff_constants constants;
	uint32_t constants_id, elf_id;
	bool has_constants, has_elf;
	bool lent;
	int control;
	struct qeff_state_program *state;
	pthread_mutex_t lock;
	uint32_t nsps;
	uint64_t ddr_bytes;
};

/* One more owner; each of them ends with qeff_program_unload(). */
struct qeff_loaded_program *qeff_program_ref(struct qeff_loaded_program *program);

/* The number of the binding that selects the specialisation, or -1. */
int qeff_network_control(const struct qeff_network *network);

/* Adds (or takes away) what an activation takes, and publishes it. */
void qeff_program_account(struct qeff_loaded_program *program, int32_t nsps, int64_t ddr_bytes);

/**
 * struct qeff_transfer - one DMA buffer of an inference and its slices
 * @buffer: number in the descriptor, or QEFF_NO_DMA_BUFFER if no data moves
 * @direction: QAIC_DIR_*
 * @size_bytes: of the BO
 * @first_slice, @num_slices: in the activation's slices
 */
struct qeff_transfer {
	uint32_t buffer;
	uint32_t direction;
	uint64_t size_bytes;
	uint32_t first_slice;
	uint32_t num_slices;
};

/* Where a binding lies in the buffers of a slot. @transfer is UINT32_MAX for retained state. */
struct qeff_place {
	uint32_t transfer;
	uint64_t offset;
};

/**
 * struct qeff_activation - see <qeff/program.h>
 * @owners: who activated it, and its queue
 * @transfers: in the order in which they are executed
 * @slices: of all transfers, one after the other
 * @places: of every binding
 * @report: where the NSPs put struct qeff_nsp_stats; its transfer is UINT32_MAX if they do not
 * @needed: of every specialisation, how much of each transfer has to move; NULL: always all of it
 * @lock: guards what follows
 * @has_queue: a queue is open
 * @ended: the card has been told; set under the lock, read anywhere
 */
struct qeff_activation {
	atomic_uint owners;
	struct qeff_loaded_program *program;
	struct qeff_nnc_activation nnc;
	struct qeff_activation_info info;
	struct qeff_transfer *transfers;
	uint32_t num_transfers;
	struct qaic_attach_slice_entry *slices;
	struct qeff_place *places;
	struct qeff_place report;
	uint64_t *needed;
	pthread_mutex_t lock;
	bool has_queue;
	atomic_bool ended;
};

/* One owner less; the last one frees it. */
void qeff_activation_put(struct qeff_activation *activation);

/* Tells the card that the activation is over, once; whatever still runs is cancelled. */
void qeff_activation_abandon(struct qeff_activation *activation);

/* slices.c: from the metadata's DMA requests to @transfers, @slices, @places, @report and @needed;
 * frees also what creation left unfinished. */
int qeff_activation_make_slices(struct qeff_activation *activation, struct qeff_error *err);
void qeff_activation_free_slices(struct qeff_activation *activation);

/* partial.c: fills @needed; how much of @transfer has to move in specialisation @spec, with
 * @outputs or only with what the NSPs report. */
int qeff_activation_measure(struct qeff_activation *activation, struct qeff_error *err);
uint64_t qeff_activation_needed(const struct qeff_activation *activation, uint32_t spec,
				bool outputs, uint32_t transfer);

enum qeff_slot_state {
	QEFF_SLOT_FREE,
	QEFF_SLOT_HELD,	  /* by the caller */
	QEFF_SLOT_FLYING, /* submitted */
	QEFF_SLOT_DONE,	  /* completed, not yet taken */
};

/**
 * struct qeff_slot - see <qeff/queue.h>
 * @handles, @maps, @entries: of each transfer
 * @partial: likewise, for an execution in which @is_partial: a transfer is shorter than its buffer
 * @skips_outputs: nobody wants them
 * @next: in the list of slots that fly or are done
 */
struct qeff_slot {
	struct qeff_queue *queue;
	uint32_t index;
	uint32_t specialisation;
	uint32_t num_buffers; /* that exist; fewer than transfers while it is being made */
	uint32_t *handles;
	uint8_t **maps;
	struct qaic_execute_entry *entries;
	struct qaic_partial_execute_entry *partial;
	bool is_partial;
	bool skips_outputs;
	enum qeff_slot_state state;
	struct qeff_slot *next;
	struct qeff_completion completion;
};

/* buffers.c: the buffers of a slot; destroy also what creation left unfinished. */
int qeff_slot_create_buffers(struct qeff_slot *slot, struct qeff_activation *activation,
			     struct qeff_error *err);
void qeff_slot_free_buffers(struct qeff_slot *slot, struct qeff_activation *activation);
struct qeff_activation *qeff_slot_activation(const struct qeff_slot *slot);

/* partial.c: how much the slot's next inferences move. */
void qeff_slot_measure(struct qeff_slot *slot);

/* stats.c: where in the descriptor's statistics buffer the NSPs report, false if they do not; what
 * an inference reported: fills @stats and, if the NSPs met a fault, @err. */
bool qeff_stats_find(const struct qeff_loaded_program *program, uint64_t *offset);
int qeff_stats_read(const struct qeff_slot *slot, struct qeff_inference_stats *stats,
		    struct qeff_error *err);

#endif
