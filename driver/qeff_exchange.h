/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One exchange with the card's firmware, shared by the files that make it: qeff_transaction.c
 * says what is in the messages, qeff_pin.c holds the memory that they show, qeff_exchange.c gets
 * them across.
 *
 * An exchange belongs to the thread that waits for it, or, when that gave up, to the list of those
 * whose reply is awaited: then the late reply is worked off by exchange.work. Memory that the card
 * was shown goes with it, and is let go of only when the card has answered or was reset.
 */
#ifndef QEFF_EXCHANGE_H
#define QEFF_EXCHANGE_H

#include "qeff_device.h"

/* A message is queued on the channel as a chain of pieces of at most this many bytes. */
#define QEFF_PIECE_MAX 4096
/* From this many pieces on, transactions share them. The channel's ring has 128 elements. */
#define QEFF_PIECES_MAX 64

struct qeff_piece {
	struct list_head node;
	u32 len;
	u32 capacity;
	u8 data[];
};

struct qeff_msg {
	struct list_head pieces;
	u32 nr_pieces;
	u32 len;
	u32 count;
	bool failed; /* an allocation did */
};

/* Pages of a user that the card reads. */
struct qeff_pinned {
	struct list_head node;
	struct page **pages;
	unsigned int nr_pages;
	struct sg_table sgt;
	bool mapped;
	u64 bytes;
	const struct qaic_manage_trans_dma_xfer *xfer;
};

struct qeff_exchange {
	struct qeff_device *qdev;
	struct qeff_user *user; /* NULL: the driver's own */
	struct list_head node;	/* control.pending or control.doomed; pending_lock */
	struct list_head shown; /* control.shown while memory is mapped; control.lock */
	struct work_struct work;
	struct completion done;
	u32 epoch;
	u32 sequence;
	bool orphan; /* nobody waits any more; pending_lock */
	bool terminate;
	int error; /* why there is no reply */

	/* The user's transactions, and where the reply for him goes; NULL for the driver's own. */
	u8 *buf;
	u32 buf_len;
	u32 buf_count;

	struct list_head pinned; /* changes under control.lock */
	struct qeff_ring ring;	 /* of an ACTIVATE */
	u32 ring_options;
	unsigned long disabled; /* channels that a DEACTIVATE has disabled */

	/* A transfer that does not fit into one message. */
	const struct qaic_manage_trans_dma_xfer *more;
	u64 described; /* bytes of it that the card has been told of */
	u32 chunk_id;

	struct qeff_wire_hdr *reply;
	u32 reply_bytes;

	/* Result of a STATUS. */
	u16 major, minor;
};

/* Once they are validated. */
#define qeff_for_each_user_trans(ex, hdr, at)                                                      \
	for ((at) = 0; (at) < (ex)->buf_len && ((hdr) = (void *)((ex)->buf + (at)), true);         \
	     (at) += (hdr)->len)

/* qeff_transaction.c */
int qeff_exchange_validate(struct qeff_exchange *ex);
int qeff_exchange_encode(struct qeff_exchange *ex, struct qeff_msg *msg);
int qeff_exchange_decode(struct qeff_exchange *ex);
int qeff_exchange_continued(struct qeff_exchange *ex);
u32 qeff_crc(u32 crc, const void *data, size_t bytes);

/* qeff_pin.c */
int qeff_exchange_pin(struct qeff_exchange *ex);
void qeff_exchange_unmap(struct qeff_exchange *ex);
void qeff_exchange_unpin(struct qeff_exchange *ex);
void qeff_exchange_drop_ring(struct qeff_exchange *ex);

/* qeff_exchange.c */
struct qeff_exchange *qeff_exchange_new(struct qeff_device *qdev, struct qeff_user *user);
void qeff_exchange_free(struct qeff_exchange *ex);
int qeff_exchange_send(struct qeff_exchange *ex, bool abort);
int qeff_exchange_wait(struct qeff_exchange *ex, unsigned long timeout, bool interruptible);
int qeff_exchange_finish(struct qeff_exchange *ex);
void qeff_exchange_retire(struct qeff_exchange *ex);
void qeff_exchange_answered(struct qeff_exchange *ex);
void qeff_control_dl(struct mhi_device *mhi_dev, struct mhi_result *result);
void qeff_control_ul(struct mhi_device *mhi_dev, struct mhi_result *result);

void qeff_msg_init(struct qeff_msg *msg);
void qeff_msg_append(struct qeff_msg *msg, const void *data, u32 bytes);
void qeff_msg_begin(struct qeff_msg *msg, u32 bytes);
void qeff_msg_free(struct qeff_msg *msg);

#endif
