/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What crosses the bus: control messages (all little endian), and the elements and registers of
 * the DMA bridge.
 */
#ifndef QEFF_WIRE_H
#define QEFF_WIRE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

#define QEFF_WIRE_MAGIC	       0x43494151
#define QEFF_WIRE_MAX_REQUEST  65536
#define QEFF_WIRE_MAX_REPLY    4096
#define QEFF_WIRE_NO_PARTITION (-1)
#define QEFF_WIRE_STATUS_CRC   BIT_ULL(0)
#define QEFF_PROTOCOL_MAJOR    5
#define QEFF_PROTOCOL_MINOR    0

struct qeff_wire_hdr {
	__le32 crc32;
	__le32 magic;
	__le32 sequence;
	__le32 len;
	__le32 count;
	__le32 handle;
	__le32 partition;
	__le32 pad;
};

struct qeff_wire_trans {
	__le32 type;
	__le32 len;
};

struct qeff_wire_segment {
	__le64 addr;
	__le64 size;
};

struct qeff_wire_dma_xfer {
	struct qeff_wire_trans hdr;
	__le32 tag;
	__le32 count;
	__le32 chunk_id;
	__le32 pad;
	/* then @count struct qeff_wire_segment */
};

struct qeff_wire_dma_xfer_cont {
	struct qeff_wire_trans hdr;
	__le32 chunk_id;
	__le32 pad;
	__le64 transferred;
};

struct qeff_wire_activate {
	struct qeff_wire_trans hdr;
	__le64 req_addr;
	__le64 rsp_addr;
	__le32 req_elements;
	__le32 rsp_elements;
	__le32 bytes;
	__le32 options;
};

struct qeff_wire_activated {
	struct qeff_wire_trans hdr;
	__le32 status;
	__le32 dbc_id;
	__le64 options;
};

struct qeff_wire_deactivated {
	struct qeff_wire_trans hdr;
	__le32 status;
	__le32 dbc_id;
};

struct qeff_wire_terminate {
	struct qeff_wire_trans hdr;
	__le32 handle;
	__le32 pad;
};

struct qeff_wire_status {
	struct qeff_wire_trans hdr;
	__le16 major;
	__le16 minor;
	__le32 status;
	__le64 flags;
};

static_assert(sizeof(struct qeff_wire_hdr) == 32);
static_assert(sizeof(struct qeff_wire_dma_xfer) == 24);
static_assert(sizeof(struct qeff_wire_dma_xfer_cont) == 24);
static_assert(sizeof(struct qeff_wire_activate) == 40);
static_assert(sizeof(struct qeff_wire_activated) == 24);
static_assert(sizeof(struct qeff_wire_deactivated) == 16);
static_assert(sizeof(struct qeff_wire_terminate) == 16);
static_assert(sizeof(struct qeff_wire_status) == 24);

/* ---- DMA bridge: a page of registers per channel in BAR 2, holding indices of ring elements ----
 */

#define QEFF_DBC_REGS(n)  (0x20000 + (n)*0x1000)
#define QEFF_DBC_REQ_HEAD 0x0
#define QEFF_DBC_REQ_TAIL 0x4
#define QEFF_DBC_RSP_HEAD 0x8
#define QEFF_DBC_RSP_TAIL 0xc

#define QEFF_REQ_COMPLETION  BIT(4)
#define QEFF_REQ_BULK	     BIT(3)
#define QEFF_REQ_TO_DEVICE   1
#define QEFF_REQ_FROM_DEVICE 2

#define QEFF_DOORBELL_WRITE BIT(7)
#define QEFF_DOORBELL_32    0
#define QEFF_DOORBELL_16    1
#define QEFF_DOORBELL_8	    2

#define QEFF_SEM_VALUE	    GENMASK(11, 0)
#define QEFF_SEM_INDEX	    GENMASK(20, 16)
#define QEFF_SEM_PRESYNC    BIT(22)
#define QEFF_SEM_OP	    GENMASK(26, 24)
#define QEFF_SEM_FENCE_FROM BIT(29)
#define QEFF_SEM_FENCE_TO   BIT(30)
#define QEFF_SEM_ENABLE	    BIT(31)

struct qeff_req {
	__le16 id;
	u8 seq;
	u8 cmd;
	__le32 pad0;
	__le64 src;
	__le64 dst;
	__le32 len;
	__le32 pad1;
	__le64 db_addr;
	u8 db_attr;
	u8 pad2[3];
	__le32 db_data;
	__le32 sem[4];
};

struct qeff_rsp {
	__le16 id;
	__le16 code;
};

static_assert(sizeof(struct qeff_req) == 64);
static_assert(sizeof(struct qeff_rsp) == 4);

#endif
