/* SPDX-License-Identifier: MIT */
/*
 * L1 of the control protocol: what a process hands to the driver's MANAGE call, and what comes back
 * in the same buffer. A message is at most 4096 bytes of transactions; it has no header of its own.
 */
#ifndef QEFF_NNC_USER_H
#define QEFF_NNC_USER_H

#include "nnc/transaction.h"

#include <assert.h>

#define QEFF_USER_MAX_BYTES 4096u
#define QEFF_USER_MAX_COUNT 512u

/* The layouts below begin with the transaction's header. Sizes are in bytes, addresses are the
 * process's. */

struct qeff_user_dma_xfer {
	uint32_t type, length;
	uint32_t tag;
	uint32_t count; /* ignored by drivers; 1 */
	uint64_t address;
	uint64_t size_bytes;
};

struct qeff_user_activate {
	uint32_t type, length;
	uint32_t queue_size; /* elements of the request ring and of the response ring */
	uint32_t eventfd;    /* ignored */
	uint32_t options;
	uint32_t pad; /* 0 */
};

struct qeff_user_activate_reply {
	uint32_t type, length;
	uint32_t status;
	uint32_t dbc_id;
	uint64_t options;
};

struct qeff_user_deactivate {
	uint32_t type, length;
	uint32_t dbc_id;
	uint32_t pad; /* 0 */
};

struct qeff_user_status_reply {
	uint32_t type, length;
	uint16_t major, minor;
	uint32_t status;
	uint64_t flags;
};

static_assert(sizeof(struct qeff_user_dma_xfer) == 32, "L1 layout");
static_assert(sizeof(struct qeff_user_activate) == 24, "L1 layout");
static_assert(sizeof(struct qeff_user_activate_reply) == 24, "L1 layout");
static_assert(sizeof(struct qeff_user_deactivate) == 16, "L1 layout");
static_assert(sizeof(struct qeff_user_status_reply) == 24, "L1 layout");
static_assert(offsetof(struct qeff_user_dma_xfer, tag) == 8, "L1 layout");
static_assert(offsetof(struct qeff_user_dma_xfer, address) == 16, "L1 layout");
static_assert(offsetof(struct qeff_user_dma_xfer, size_bytes) == 24, "L1 layout");
static_assert(offsetof(struct qeff_user_activate, queue_size) == 8, "L1 layout");
static_assert(offsetof(struct qeff_user_activate, options) == 16, "L1 layout");
static_assert(offsetof(struct qeff_user_activate_reply, dbc_id) == 12, "L1 layout");
static_assert(offsetof(struct qeff_user_activate_reply, options) == 16, "L1 layout");
static_assert(offsetof(struct qeff_user_deactivate, dbc_id) == 8, "L1 layout");
static_assert(offsetof(struct qeff_user_status_reply, major) == 8, "L1 layout");
static_assert(offsetof(struct qeff_user_status_reply, status) == 12, "L1 layout");
static_assert(offsetof(struct qeff_user_status_reply, flags) == 16, "L1 layout");

/**
 * struct qeff_user_message - a message, before the call the request, after it the reply
 * @size_bytes: bytes in use
 * @count: transactions; in a reply only what the driver claims
 * @data: the transactions
 */
struct qeff_user_message {
	uint32_t size_bytes;
	uint32_t count;
	_Alignas(8) uint8_t data[QEFF_USER_MAX_BYTES];
};

void qeff_user_begin(struct qeff_user_message *m);

/* Each appends one transaction; -ENOSPC if it does not fit. */
int qeff_user_add_passthrough(struct qeff_user_message *m, const void *command, size_t size_bytes,
			      struct qeff_error *err);
int qeff_user_add_dma_xfer(struct qeff_user_message *m, uint32_t tag, uint64_t address,
			   uint64_t size_bytes, struct qeff_error *err);
int qeff_user_add_activate(struct qeff_user_message *m, uint32_t queue_size, uint32_t options,
			   struct qeff_error *err);
int qeff_user_add_deactivate(struct qeff_user_message *m, uint32_t dbc_id, struct qeff_error *err);
int qeff_user_add_status(struct qeff_user_message *m, struct qeff_error *err);

/**
 * qeff_user_validate_request - the driver's first look at a request
 *
 * At most 4096 bytes and 512 transactions, at least one; every length inside the message, and all
 * of them together exactly @size_bytes; no type but the FROM_USR ones; each at least as long as its
 * layout, a passthrough a multiple of 8; pads zero; at most one ACTIVATE. Returns 0 or -EINVAL.
 */
int qeff_user_validate_request(const void *data, uint32_t size_bytes, uint32_t count,
			       struct qeff_error *err);

/**
 * qeff_user_find - the first transaction of a reply with one of two types
 * @type: the wire's type, which drivers leave in place
 * @also: the type the tier itself would use, or the same value again
 *
 * Bounded by @size_bytes only: a reply's count may include transactions that leave no bytes.
 * Returns 0, -ENOENT, or -EINVAL for a malformed reply.
 */
int qeff_user_find(const struct qeff_user_message *m, uint32_t type, uint32_t also,
		   struct qeff_transaction *t, struct qeff_error *err);

#endif
