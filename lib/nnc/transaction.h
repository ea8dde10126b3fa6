/* SPDX-License-Identifier: MIT */
/*
 * Transactions: what both outer tiers of the control protocol are made of. A user message (L1) is a
 * run of them; a wire message (L2) is a 32-byte header and a run of them. Each begins with its type
 * and its length, little-endian, the length counting the 8 bytes of this header.
 */
#ifndef QEFF_NNC_TRANSACTION_H
#define QEFF_NNC_TRANSACTION_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of transactions. FROM_USR and TO_USR: between process and driver; FROM_DEV and TO_DEV: on
 * the wire. In replies a process sees the wire's types (PASSTHROUGH_FROM_DEV, STATUS_FROM_DEV):
 * drivers copy them. */
enum qeff_transaction_type {
	QEFF_PASSTHROUGH_FROM_USR = 1,
	QEFF_PASSTHROUGH_TO_USR = 2,
	QEFF_PASSTHROUGH_FROM_DEV = 3,
	QEFF_PASSTHROUGH_TO_DEV = 4,
	QEFF_DMA_XFER_FROM_USR = 5,
	QEFF_DMA_XFER_TO_DEV = 6,
	QEFF_ACTIVATE_FROM_USR = 7,
	QEFF_ACTIVATE_FROM_DEV = 8,
	QEFF_ACTIVATE_TO_DEV = 9,
	QEFF_DEACTIVATE_FROM_USR = 10,
	QEFF_DEACTIVATE_FROM_DEV = 11,
	QEFF_STATUS_FROM_USR = 12,
	QEFF_STATUS_TO_USR = 13,
	QEFF_STATUS_FROM_DEV = 14,
	QEFF_STATUS_TO_DEV = 15,
	QEFF_TERMINATE_FROM_DEV = 16,
	QEFF_TERMINATE_TO_DEV = 17,
	QEFF_DMA_XFER_CONT = 18,
	QEFF_VALIDATE_PARTITION_FROM_DEV = 19,
	QEFF_VALIDATE_PARTITION_TO_DEV = 20,
};

#define QEFF_TRANSACTION_HEADER_BYTES 8u

/**
 * struct qeff_transaction - one transaction inside a message
 * @type: enum qeff_transaction_type, or anything at all
 * @size_bytes: with the header; at least 8
 * @data: its first byte (the header's), inside the message; not necessarily aligned
 */
struct qeff_transaction {
	uint32_t type;
	uint32_t size_bytes;
	const uint8_t *data;
};

/**
 * struct qeff_transaction_reader - walks the transactions of a message, bounded by its bytes alone
 * @data: first transaction
 * @size_bytes: bytes of all transactions
 * @offset: where the next one begins
 *
 * Replies may claim more transactions than they hold bytes for, so counts are no bound.
 */
struct qeff_transaction_reader {
	const uint8_t *data;
	size_t size_bytes;
	size_t offset;
};

/* Fills @t and returns 1, returns 0 at the end of the message, or -EINVAL if what follows is no
 * transaction. */
int qeff_transaction_next(struct qeff_transaction_reader *r, struct qeff_transaction *t,
			  struct qeff_error *err);

/* Copies the first @size_bytes of @t (header included) to @to; false, with @to zeroed, if it is
 * shorter. */
bool qeff_transaction_copy(const struct qeff_transaction *t, void *to, size_t size_bytes);

/**
 * struct qeff_transaction_writer - appends transactions to a buffer of fixed size
 * @data: the buffer, borrowed
 * @capacity_bytes: room in it
 * @size_bytes: bytes used
 * @count: transactions written
 * @failed: set once one did not fit; later ones are not written, so one check at the end suffices
 */
struct qeff_transaction_writer {
	uint8_t *data;
	size_t capacity_bytes;
	size_t size_bytes;
	uint32_t count;
	bool failed;
};

/* Appends a transaction of @size_bytes (header included; at least 8, rounded up to a multiple of
 * 8), zeroed but for its header, and returns it; NULL if there is no room. */
void *qeff_transaction_add(struct qeff_transaction_writer *w, uint32_t type, size_t size_bytes);

/* Appends a passthrough of @type that carries @size_bytes of @command, then @trailing_bytes zeros.
 */
void qeff_transaction_add_passthrough(struct qeff_transaction_writer *w, uint32_t type,
				      const void *command, size_t size_bytes,
				      size_t trailing_bytes);

#endif
