/* SPDX-License-Identifier: MIT */
/*
 * The softcard transport: what the kernel driver is to a real card, to a card in this process. Four
 * files share these structs: softcard.c (cards and their users), softcard_buffer.c (buffers and the
 * request elements laid on them), softcard_queue.c (rings: execute, responses, wait), and
 * softcard_manage.c (the control channel).
 *
 * Locks, outermost first:
 *
 * soft_card.control - held over one control exchange with all its parts;
 *
 * soft_dbc.submit - held while the tail of one request ring moves;
 *
 * soft_card.lock - everything else in these structs. Never held while the card is called in a way
 * that makes it call back (a control message, a write of a register), since its callbacks take it.
 */
#ifndef QEFF_DEVICE_SOFTCARD_H
#define QEFF_DEVICE_SOFTCARD_H

#include "device/ranges.h"
#include "device/soft_config.h"
#include "device/transport.h"

#include <assert.h>

/**
 * struct soft_element - a request element of the DMA bridge
 * @req_id: comes back in the response
 * @command: SOFT_CMD_*
 * @source: and @destination: a host address and a device address, by direction
 * @doorbell_attributes: bit 7 on, bits 1:0 length
 * @semaphores: value 11:0, index 20:16, presync 22, operation 26:24, fences 29 and 30, enable 31
 */
struct soft_element {
	uint16_t req_id;
	uint8_t seq_id;
	uint8_t command;
	uint32_t reserved0;
	uint64_t source;
	uint64_t destination;
	uint32_t length;
	uint32_t reserved1;
	uint64_t doorbell_address;
	uint8_t doorbell_attributes;
	uint8_t reserved2[3];
	uint32_t doorbell_data;
	uint32_t semaphores[4];
};
static_assert(sizeof(struct soft_element) == 64, "request element");
static_assert(offsetof(struct soft_element, doorbell_data) == 44, "request element");

#define SOFT_CMD_TO_DEVICE   1u
#define SOFT_CMD_FROM_DEVICE 2u
#define SOFT_CMD_BULK	     (1u << 3)
#define SOFT_CMD_COMPLETION  (1u << 4)

#define SOFT_REG_REQHP 0x0u
#define SOFT_REG_REQTP 0x4u
#define SOFT_REG_RSPHP 0x8u
#define SOFT_REG_RSPTP 0xcu

struct soft_user;
struct soft_card;
struct soft_dbc;

/**
 * struct soft_buffer - a buffer object
 * @users: the handle, the queue and each waiter hold one
 * @handle: 0 once freed by its owner
 * @fd: the memfd behind @data
 * @dbc: the channel it is sliced for, or NULL
 * @slices: what is laid on it; @num_slices: how many, and the responses that one execution gives
 * @next: in the channel's queue
 * @queued: in a queue: the card may be at its memory
 * @submitted: executions queued so far
 * @completed: executions over, so a waiter knows which one it saw
 * @result: of the last completed execution: 0 or a negative errno
 * @failed: the card failed a part of the running execution
 * @responses_left: of the running execution
 * @received_us: time of the call; @rung_us: when the card was told
 * @running: numbers of the running execution; @stats: of the last completed one
 */
struct soft_buffer {
	unsigned int users;
	uint32_t handle;
	int fd;
	void *data;
	uint64_t size_bytes;

	struct soft_dbc *dbc;
	uint32_t direction;
	struct qaic_attach_slice_entry *slices;
	uint32_t num_slices;

	struct soft_buffer *next;
	bool queued;
	uint16_t req_id;
	uint64_t submitted;
	uint64_t completed;
	int result;
	bool failed;
	uint32_t responses_left;
	uint64_t received_us, rung_us;
	struct qaic_perf_stats_entry running, stats;
};

/* The memory of a channel's rings: request elements from its start, responses at its end. */
struct soft_rings {
	void *memory;
	uint64_t size_bytes;
	uint32_t num_elements;
};

/**
 * struct soft_dbc - one channel of the DMA bridge
 * @owner: the user that activated it, or NULL
 * @generation: counts owners, so a waiter notices that the channel was torn down under it
 * @usable: takes executions (not between a DEACTIVATE and its answer)
 * @tail: of the request ring; @head: of the response ring
 * @first: oldest buffer in the queue; @last: newest
 * @draining: a thread takes responses; @again: and has to look once more
 * @change: an execution completed, the channel was torn down, draining ended
 */
struct soft_dbc {
	pthread_mutex_t submit;
	struct soft_user *owner;
	unsigned int generation;
	bool usable;
	struct soft_rings rings;
	uint32_t tail;
	uint32_t head;
	uint16_t next_req_id;
	struct soft_buffer *first, *last;
	bool draining;
	bool again;
	pthread_cond_t change;
};

/**
 * struct soft_card - a software card and what the driver would hold of it
 * @number: it is "soft<number>"
 * @num_users: open transports; the card goes with the last
 * @users: they
 * @trace: of QEFF_TRACE, or NULL
 * @ranges: what the card may reach
 * @segment_bytes: largest piece of host memory in one request element or transfer descriptor.
 * Memory of this process is contiguous, so only a test makes it small, to see what scattered memory
 * gives
 * @sequence: number of the last control message
 * @chunk_id: of the last transfer in parts
 * @linked: the protocol's version has been agreed on; @with_crc: messages bear CRCs
 */
struct soft_card {
	struct soft_card *next;
	uint32_t number;
	unsigned int num_users;
	struct qeff_card *card;
	struct qeff_trace *trace;
	pthread_mutex_t control;
	pthread_mutex_t lock;
	struct soft_user *users;
	struct soft_dbc dbcs[QAIC_MAX_DBCS];
	struct qeff_ranges ranges;
	uint64_t segment_bytes;
	uint32_t sequence;
	uint32_t chunk_id;
	bool linked;
	bool with_crc;
};

/**
 * struct soft_user - an open transport
 * @name: of the card, for messages
 * @handle: of this user, in every control message
 * @buffers: by handle minus one; NULL where free
 */
struct soft_user {
	struct qeff_transport base;
	struct soft_user *next;
	struct soft_card *card;
	char name[16];
	uint32_t handle;
	struct soft_buffer **buffers;
	size_t num_buffers;
};

static inline struct soft_user *soft_user_of(struct qeff_transport *t)
{
	return (struct soft_user *)t;
}

/* softcard.c */

/* Becomes a user of software card @number, making the card if it is the first. The transport is
 * ended by its close(). */
int qeff_softcard_open(uint32_t number, const struct qeff_card_config *config,
		       struct qeff_transport **transport, struct qeff_error *err);
uint64_t qeff_soft_now_us(void);

/* softcard_buffer.c */

int qeff_soft_buffer_create(struct qeff_transport *t, uint64_t size_bytes, uint32_t *handle,
			    struct qeff_error *err);
int qeff_soft_buffer_map(struct qeff_transport *t, uint32_t handle, void **data,
			 uint64_t *size_bytes, struct qeff_error *err);
int qeff_soft_buffer_export(struct qeff_transport *t, uint32_t handle, int *fd,
			    struct qeff_error *err);
void qeff_soft_buffer_free(struct qeff_transport *t, uint32_t handle);
int qeff_soft_slice(struct qeff_transport *t, uint32_t handle, uint32_t dbc_id, uint32_t direction,
		    const struct qaic_attach_slice_entry *entries, uint32_t count,
		    struct qeff_error *err);
int qeff_soft_unslice(struct qeff_transport *t, uint32_t handle, struct qeff_error *err);
/* With soft_card.lock held: */
struct soft_buffer *qeff_soft_buffer_find(struct soft_user *u, uint32_t handle);
void qeff_soft_buffer_put(struct soft_card *c, struct soft_buffer *b);
void qeff_soft_buffer_detach(struct soft_card *c, struct soft_buffer *b);
/* Slice @i of @b as far as it lies in the first @valid bytes of the buffer. */
struct qaic_attach_slice_entry qeff_soft_slice_within(const struct soft_buffer *b, uint32_t i,
						      uint64_t valid);
/* How many request elements a slice takes, and number @k of them, all but req_id. */
uint64_t qeff_soft_slice_elements(const struct soft_card *c,
				  const struct qaic_attach_slice_entry *e);
struct soft_element qeff_soft_slice_element(const struct soft_card *c, const struct soft_buffer *b,
					    const struct qaic_attach_slice_entry *e, uint64_t k);

/* softcard_queue.c */

int qeff_soft_execute(struct qeff_transport *t, uint32_t dbc_id,
		      const struct qaic_execute_entry *entries, uint32_t count,
		      struct qeff_error *err);
int qeff_soft_execute_partial(struct qeff_transport *t, uint32_t dbc_id,
			      const struct qaic_partial_execute_entry *entries, uint32_t count,
			      struct qeff_error *err);
int qeff_soft_wait(struct qeff_transport *t, uint32_t dbc_id, uint32_t handle, uint32_t timeout_ms,
		   struct qeff_error *err);
int qeff_soft_stats(struct qeff_transport *t, uint32_t dbc_id,
		    struct qaic_perf_stats_entry *entries, uint32_t count, struct qeff_error *err);
/* Takes the responses of a channel; the handler of its interrupt. */
void qeff_soft_drain(struct soft_card *c, unsigned int dbc_id);
int qeff_soft_rings_new(struct soft_card *c, uint32_t num_elements, struct soft_rings *rings);
void qeff_soft_rings_free(struct soft_card *c, struct soft_rings *rings);
/* Gives a channel to its new owner. */
void qeff_soft_dbc_assign(struct soft_user *u, uint32_t dbc_id, const struct soft_rings *rings);
/* No more executions; those that wait are told. -EPERM unless @u owns the channel. */
int qeff_soft_dbc_disable(struct soft_user *u, uint32_t dbc_id);
/* The card did not let go of it after all. */
void qeff_soft_dbc_enable(struct soft_user *u, uint32_t dbc_id);
/* The card is done with it: everything on it is detached. */
void qeff_soft_dbc_release(struct soft_user *u, uint32_t dbc_id);

/* softcard_manage.c */

int qeff_soft_manage(struct qeff_transport *t, void *data, uint32_t *size_bytes, uint32_t *count,
		     struct qeff_error *err);
/* The driver's own first message: checks the protocol's version, and whether there are CRCs. */
int qeff_soft_link_up(struct soft_card *c, struct qeff_error *err);
/* The card forgets the user; its channels are released. */
void qeff_soft_terminate(struct soft_user *u);

#endif
