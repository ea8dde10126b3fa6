/* SPDX-License-Identifier: MIT */
/*
 * L2 of the control protocol: messages between driver and card firmware (the QSM). A 32-byte header
 * with a CRC-32, then transactions. At most 64 KiB towards the card, at most 4 KiB from it; one
 * reply a request.
 */
#ifndef QEFF_NNC_WIRE_H
#define QEFF_NNC_WIRE_H

#include "nnc/transaction.h"

#include <assert.h>

#define QEFF_WIRE_MAGIC		     0x43494151u /* "QAIC" in memory order */
#define QEFF_WIRE_MAX_TO_DEV_BYTES   65536u
#define QEFF_WIRE_MAX_FROM_DEV_BYTES 4096u
#define QEFF_WIRE_NO_PARTITION	     (-1)
/* The protocol version that STATUS reports. */
#define QEFF_WIRE_MAJOR 5u
#define QEFF_WIRE_MINOR 0u
/* STATUS flag: the card wants the CRC computed and checked. */
#define QEFF_WIRE_FLAG_CRC (UINT64_C(1) << 0)

struct qeff_wire_header {
	uint32_t crc32; /* over the whole message with this field 0; 0 when the CRC is off */
	uint32_t magic;
	uint32_t sequence_number; /* repeated in the reply */
	uint32_t size_bytes;	  /* with this header */
	uint32_t count;		  /* transactions */
	uint32_t handle; /* the user (open file) of the driver; 0 is a user like any other */
	int32_t partition_id;
	uint32_t padding;
};

/* The layouts below begin with the transaction's header. Addresses are the host's DMA addresses. */

struct qeff_wire_segment {
	uint64_t address;
	uint64_t size_bytes;
};

struct qeff_wire_dma_xfer {
	uint32_t type, length;
	uint32_t tag;
	uint32_t count;	   /* segments that follow this struct */
	uint32_t chunk_id; /* 0: the whole transfer stands in this message */
	uint32_t pad;
};

struct qeff_wire_dma_xfer_cont {
	uint32_t type, length;
	uint32_t chunk_id;
	uint32_t pad;
	uint64_t transferred_bytes; /* since the first message of this transfer */
};

struct qeff_wire_activate_to_dev {
	uint32_t type, length;
	uint64_t request_ring;
	uint64_t response_ring;
	uint32_t request_elements;
	uint32_t response_elements;
	uint32_t buffer_bytes;
	uint32_t options;
};

struct qeff_wire_activate_from_dev {
	uint32_t type, length;
	uint32_t status;
	uint32_t dbc_id;
	uint64_t options;
};

struct qeff_wire_deactivate_from_dev {
	uint32_t type, length;
	uint32_t status;
	uint32_t dbc_id;
};

struct qeff_wire_terminate_to_dev {
	uint32_t type, length;
	uint32_t handle;
	uint32_t pad;
};

/* TERMINATE_FROM_DEV and VALIDATE_PARTITION_FROM_DEV. */
struct qeff_wire_result {
	uint32_t type, length;
	uint32_t status;
	uint32_t pad;
};

struct qeff_wire_status_from_dev {
	uint32_t type, length;
	uint16_t major, minor;
	uint32_t status;
	uint64_t flags;
};

static_assert(sizeof(struct qeff_wire_header) == 32, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, magic) == 4, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, sequence_number) == 8, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, size_bytes) == 12, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, count) == 16, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, handle) == 20, "L2 layout");
static_assert(offsetof(struct qeff_wire_header, partition_id) == 24, "L2 layout");
static_assert(sizeof(struct qeff_wire_segment) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_dma_xfer) == 24, "L2 layout");
static_assert(offsetof(struct qeff_wire_dma_xfer, tag) == 8, "L2 layout");
static_assert(offsetof(struct qeff_wire_dma_xfer, count) == 12, "L2 layout");
static_assert(offsetof(struct qeff_wire_dma_xfer, chunk_id) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_dma_xfer_cont) == 24, "L2 layout");
static_assert(offsetof(struct qeff_wire_dma_xfer_cont, chunk_id) == 8, "L2 layout");
static_assert(offsetof(struct qeff_wire_dma_xfer_cont, transferred_bytes) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_activate_to_dev) == 40, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, request_ring) == 8, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, response_ring) == 16, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, request_elements) == 24, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, response_elements) == 28, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, buffer_bytes) == 32, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_to_dev, options) == 36, "L2 layout");
static_assert(sizeof(struct qeff_wire_activate_from_dev) == 24, "L2 layout");
static_assert(offsetof(struct qeff_wire_activate_from_dev, options) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_deactivate_from_dev) == 16, "L2 layout");
static_assert(offsetof(struct qeff_wire_deactivate_from_dev, dbc_id) == 12, "L2 layout");
static_assert(sizeof(struct qeff_wire_terminate_to_dev) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_result) == 16, "L2 layout");
static_assert(sizeof(struct qeff_wire_status_from_dev) == 24, "L2 layout");
static_assert(offsetof(struct qeff_wire_status_from_dev, status) == 12, "L2 layout");
static_assert(offsetof(struct qeff_wire_status_from_dev, flags) == 16, "L2 layout");

/**
 * qeff_wire_begin - start a message in @buffer
 * @w: the writer with which transactions are then appended (qeff_transaction_add())
 * @header: all but crc32, magic, size_bytes and count, which qeff_wire_finish() fills
 */
void qeff_wire_begin(struct qeff_transaction_writer *w, void *buffer, size_t capacity_bytes,
		     const struct qeff_wire_header *header);

/* Completes the header. Returns the size of the message, 0 if a transaction did not fit. */
size_t qeff_wire_finish(struct qeff_transaction_writer *w, bool with_crc);

/* The CRC-32 of a message, as if its crc32 field were 0. */
uint32_t qeff_wire_crc(const void *message, size_t size_bytes);

/**
 * qeff_wire_parse - check a received message as a whole
 * @check_crc: whether the CRC counts
 * @header: filled
 * @transactions: set to walk them. Every one has been looked at: their lengths fill the message
 *		  exactly, and there are header->count of them
 *
 * Returns 0, -EBADMSG for a wrong CRC, or -EINVAL for anything else.
 */
int qeff_wire_parse(const void *message, size_t size_bytes, bool check_crc,
		    struct qeff_wire_header *header, struct qeff_transaction_reader *transactions,
		    struct qeff_error *err);

#endif
