/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What userspace and the kernel driver of a Cloud AI card say to each other: ioctl numbers and
 * structures, bit for bit those of the mainline "qaic" driver, under the names that software
 * written for it uses. The DRM driver's name
 * ("qaic", or "qeff" for qeff.ko) tells which of the two answers.
 *
 * All of them fail with ENODEV while the card is not online. All padding is zero.
 */
#ifndef QEFF_ACCEL_H
#define QEFF_ACCEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* DMA bridge channels of a card; every dbc_id below is less than this. */
#define QAIC_MAX_DBCS 16

/* ---- control: transactions of one MANAGE exchange, back to back in its buffer ---- */

/* Largest buffer of one exchange, in bytes, and the largest number of transactions in it. */
#define QAIC_MANAGE_MAX_MSG_LENGTH   4096
#define QAIC_MANAGE_MAX_TRANSACTIONS 512

/* USR marks what crosses the ioctl, DEV what crosses the bus. A reply shows the user the bus's
 * type. */
#define QAIC_TRANS_UNDEFINED		       0
#define QAIC_TRANS_PASSTHROUGH_FROM_USR	       1
#define QAIC_TRANS_PASSTHROUGH_TO_USR	       2
#define QAIC_TRANS_PASSTHROUGH_FROM_DEV	       3
#define QAIC_TRANS_PASSTHROUGH_TO_DEV	       4
#define QAIC_TRANS_DMA_XFER_FROM_USR	       5
#define QAIC_TRANS_DMA_XFER_TO_DEV	       6
#define QAIC_TRANS_ACTIVATE_FROM_USR	       7
#define QAIC_TRANS_ACTIVATE_FROM_DEV	       8
#define QAIC_TRANS_ACTIVATE_TO_DEV	       9
#define QAIC_TRANS_DEACTIVATE_FROM_USR	       10
#define QAIC_TRANS_DEACTIVATE_FROM_DEV	       11
#define QAIC_TRANS_STATUS_FROM_USR	       12
#define QAIC_TRANS_STATUS_TO_USR	       13
#define QAIC_TRANS_STATUS_FROM_DEV	       14
#define QAIC_TRANS_STATUS_TO_DEV	       15
#define QAIC_TRANS_TERMINATE_FROM_DEV	       16
#define QAIC_TRANS_TERMINATE_TO_DEV	       17
#define QAIC_TRANS_DMA_XFER_CONT	       18
#define QAIC_TRANS_VALIDATE_PARTITION_FROM_DEV 19
#define QAIC_TRANS_VALIDATE_PARTITION_TO_DEV   20

/**
 * struct qaic_manage_trans_hdr - begins every transaction
 * @type: QAIC_TRANS_*
 * @len: bytes of the transaction, this header included; at least 8
 */
struct qaic_manage_trans_hdr {
	__u32 type;
	__u32 len;
};

/**
 * struct qaic_manage_trans_passthrough - a command for the card's firmware, or its answer
 * @hdr: its len is a multiple of 8
 * @data: little endian; the driver does not look at it
 */
struct qaic_manage_trans_passthrough {
	struct qaic_manage_trans_hdr hdr;
	__u8 data[];
};

/**
 * struct qaic_manage_trans_dma_xfer - memory of the caller that the card reads during the exchange
 * @hdr: header
 * @tag: names the transfer to the command beside it
 * @pad: not looked at
 * @addr: first byte, in the caller's address space
 * @size: bytes; not 0
 */
struct qaic_manage_trans_dma_xfer {
	struct qaic_manage_trans_hdr hdr;
	__u32 tag;
	__u32 pad;
	__u64 addr;
	__u64 size;
};

/**
 * struct qaic_manage_trans_activate_to_dev - asks for a DMA bridge channel
 * @hdr: header
 * @queue_size: elements of its request ring and of its response ring; not 0
 * @eventfd: not looked at
 * @options: for the card
 * @pad: 0
 */
struct qaic_manage_trans_activate_to_dev {
	struct qaic_manage_trans_hdr hdr;
	__u32 queue_size;
	__u32 eventfd;
	__u32 options;
	__u32 pad;
};

/**
 * struct qaic_manage_trans_activate_from_dev - the channel that was given
 * @hdr: header
 * @status: 0, or why the card gave none
 * @dbc_id: the channel
 * @options: from the card
 */
struct qaic_manage_trans_activate_from_dev {
	struct qaic_manage_trans_hdr hdr;
	__u32 status;
	__u32 dbc_id;
	__u64 options;
};

/**
 * struct qaic_manage_trans_deactivate - gives a channel back
 * @hdr: header
 * @dbc_id: a channel of the caller
 * @pad: 0
 */
struct qaic_manage_trans_deactivate {
	struct qaic_manage_trans_hdr hdr;
	__u32 dbc_id;
	__u32 pad;
};

/**
 * struct qaic_manage_trans_status_to_dev - asks for the version of the control protocol
 * @hdr: header
 */
struct qaic_manage_trans_status_to_dev {
	struct qaic_manage_trans_hdr hdr;
};

/**
 * struct qaic_manage_trans_status_from_dev - the version of the control protocol
 * @hdr: header
 * @major: major version
 * @minor: minor version
 * @status: 0, or an error of the card
 * @status_flags: features of the card; bit 0 asks for CRCs on the bus
 */
struct qaic_manage_trans_status_from_dev {
	struct qaic_manage_trans_hdr hdr;
	__u16 major;
	__u16 minor;
	__u32 status;
	__u64 status_flags;
};

/**
 * struct qaic_manage_msg - argument of DRM_IOCTL_QAIC_MANAGE: one exchange with the card's firmware
 * @len: bytes of the transactions; of the reply on return
 * @count: number of transactions; of the reply's on return (a DEACTIVATE_FROM_DEV counts but adds
 * no bytes)
 * @data: user pointer to them; rewritten with the reply, QAIC_MANAGE_MAX_MSG_LENGTH bytes at most
 */
struct qaic_manage_msg {
	__u32 len;
	__u32 count;
	__u64 data;
};

/* ---- buffers ---- */

/**
 * struct qaic_create_bo - argument of DRM_IOCTL_QAIC_CREATE_BO
 * @size: bytes wanted; rounded up to whole pages
 * @handle: the GEM handle, on return
 * @pad: 0
 */
struct qaic_create_bo {
	__u64 size;
	__u32 handle;
	__u32 pad;
};

/**
 * struct qaic_mmap_bo - argument of DRM_IOCTL_QAIC_MMAP_BO
 * @handle: the buffer
 * @pad: 0
 * @offset: what to give to mmap() on the node's descriptor, on return
 */
struct qaic_mmap_bo {
	__u32 handle;
	__u32 pad;
	__u64 offset;
};

/* ---- slices: a transfer program on a buffer ---- */

#define QAIC_DIR_TO_DEVICE   1
#define QAIC_DIR_FROM_DEVICE 2

/* qaic_sem.cmd */
#define QAIC_SEM_NOP	    0
#define QAIC_SEM_INIT	    1
#define QAIC_SEM_INC	    2
#define QAIC_SEM_DEC	    3
#define QAIC_SEM_WAIT_EQUAL 4
#define QAIC_SEM_WAIT_GT_EQ 5
#define QAIC_SEM_WAIT_GT_0  6

/* qaic_sem.flags: the operation waits for earlier transfers from (OUT) or to (IN) the card. */
#define QAIC_SEM_OUTSYNCFENCE 1
#define QAIC_SEM_INSYNCFENCE  2

#define QAIC_SEM_MAX_VALUE 0xfff
#define QAIC_SEM_MAX_INDEX 31

/**
 * struct qaic_sem - one semaphore operation of a slice
 * @val: 0..QAIC_SEM_MAX_VALUE
 * @index: 0..QAIC_SEM_MAX_INDEX
 * @presync: 1 before the transfer (one of a slice's four at most), 0 behind it
 * @cmd: QAIC_SEM_NOP and so on
 * @flags: QAIC_SEM_*SYNCFENCE
 * @pad: 0
 */
struct qaic_sem {
	__u16 val;
	__u8 index;
	__u8 presync;
	__u8 cmd;
	__u8 flags;
	__u16 pad;
};

/**
 * struct qaic_attach_slice_entry - one slice
 * @size: bytes to move; 0 for none (semaphores and doorbell still run)
 * @sem0: semaphore operation
 * @sem1: semaphore operation
 * @sem2: semaphore operation
 * @sem3: semaphore operation
 * @dev_addr: the card's end of the transfer
 * @db_addr: doorbell, rung last; aligned to its length
 * @db_data: what is written there
 * @db_len: bits of it: 0 (no doorbell), 8, 16 or 32
 * @offset: the host's end of the transfer, from the start of the buffer
 */
struct qaic_attach_slice_entry {
	__u64 size;
	struct qaic_sem sem0;
	struct qaic_sem sem1;
	struct qaic_sem sem2;
	struct qaic_sem sem3;
	__u64 dev_addr;
	__u64 db_addr;
	__u32 db_data;
	__u32 db_len;
	__u64 offset;
};

/**
 * struct qaic_attach_slice_hdr - what the slices belong to
 * @count: number of slices; not 0
 * @dbc_id: the channel they will run on
 * @handle: the buffer
 * @dir: QAIC_DIR_TO_DEVICE or QAIC_DIR_FROM_DEVICE
 * @size: bytes of the buffer in use; not looked at
 */
struct qaic_attach_slice_hdr {
	__u32 count;
	__u32 dbc_id;
	__u32 handle;
	__u32 dir;
	__u64 size;
};

/**
 * struct qaic_attach_slice - argument of DRM_IOCTL_QAIC_ATTACH_SLICE_BO
 * @hdr: header
 * @data: user pointer to the slices, in the order of their execution
 */
struct qaic_attach_slice {
	struct qaic_attach_slice_hdr hdr;
	__u64 data;
};

/**
 * struct qaic_detach_slice - argument of DRM_IOCTL_QAIC_DETACH_SLICE_BO
 * @handle: a sliced buffer that is not queued
 * @pad: 0
 */
struct qaic_detach_slice {
	__u32 handle;
	__u32 pad;
};

/* ---- running ---- */

/**
 * struct qaic_execute_entry - a buffer to queue
 * @handle: the buffer
 * @dir: not looked at
 */
struct qaic_execute_entry {
	__u32 handle;
	__u32 dir;
};

/**
 * struct qaic_partial_execute_entry - a buffer to queue, shortened
 * @handle: the buffer
 * @dir: not looked at
 * @resize: bytes to move, counted over the whole buffer; 0 moves nothing, yet the semaphores run
 */
struct qaic_partial_execute_entry {
	__u32 handle;
	__u32 dir;
	__u64 resize;
};

/**
 * struct qaic_execute_hdr - what is queued
 * @count: number of entries; not 0
 * @dbc_id: a channel of the caller
 */
struct qaic_execute_hdr {
	__u32 count;
	__u32 dbc_id;
};

/**
 * struct qaic_execute - argument of DRM_IOCTL_QAIC_EXECUTE_BO and DRM_IOCTL_QAIC_PARTIAL_EXECUTE_BO
 * @hdr: header
 * @data: user pointer to struct qaic_execute_entry or struct qaic_partial_execute_entry
 *
 * All or nothing; EAGAIN if the ring has no room for all of them.
 */
struct qaic_execute {
	struct qaic_execute_hdr hdr;
	__u64 data;
};

/**
 * struct qaic_wait - argument of DRM_IOCTL_QAIC_WAIT_BO: until the last execution of a buffer has
 * completed
 * @handle: the buffer
 * @timeout: milliseconds; 0 for the driver's default
 * @dbc_id: the channel it was queued on
 * @pad: 0
 */
struct qaic_wait {
	__u32 handle;
	__u32 timeout;
	__u32 dbc_id;
	__u32 pad;
};

/**
 * struct qaic_perf_stats_hdr - whose numbers are wanted
 * @count: number of entries
 * @pad: 0
 * @dbc_id: the channel
 */
struct qaic_perf_stats_hdr {
	__u16 count;
	__u16 pad;
	__u32 dbc_id;
};

/**
 * struct qaic_perf_stats - argument of DRM_IOCTL_QAIC_PERF_STATS_BO
 * @hdr: header
 * @data: user pointer to the entries
 */
struct qaic_perf_stats {
	struct qaic_perf_stats_hdr hdr;
	__u64 data;
};

/**
 * struct qaic_perf_stats_entry - the last completed execution of one buffer; zeros before there is
 * one
 * @handle: the buffer, given by the caller
 * @queue_level_before: elements in the request ring when it was queued
 * @num_queue_element: elements it added
 * @submit_latency_us: from the call until the card was told
 * @device_latency_us: from then until its last response
 * @pad: 0
 */
struct qaic_perf_stats_entry {
	__u32 handle;
	__u32 queue_level_before;
	__u32 num_queue_element;
	__u32 submit_latency_us;
	__u32 device_latency_us;
	__u32 pad;
};

/* ---- numbers: DRM's type 'd', commands of a driver begin at 0x40 ---- */

#define DRM_QAIC_MANAGE		    0x00
#define DRM_QAIC_CREATE_BO	    0x01
#define DRM_QAIC_MMAP_BO	    0x02
#define DRM_QAIC_ATTACH_SLICE_BO    0x03
#define DRM_QAIC_EXECUTE_BO	    0x04
#define DRM_QAIC_PARTIAL_EXECUTE_BO 0x05
#define DRM_QAIC_WAIT_BO	    0x06
#define DRM_QAIC_PERF_STATS_BO	    0x07
#define DRM_QAIC_DETACH_SLICE_BO    0x08

#define DRM_IOCTL_QAIC_MANAGE	 _IOWR('d', 0x40 + DRM_QAIC_MANAGE, struct qaic_manage_msg)
#define DRM_IOCTL_QAIC_CREATE_BO _IOWR('d', 0x40 + DRM_QAIC_CREATE_BO, struct qaic_create_bo)
#define DRM_IOCTL_QAIC_MMAP_BO	 _IOWR('d', 0x40 + DRM_QAIC_MMAP_BO, struct qaic_mmap_bo)
#define DRM_IOCTL_QAIC_ATTACH_SLICE_BO                                                             \
	_IOW('d', 0x40 + DRM_QAIC_ATTACH_SLICE_BO, struct qaic_attach_slice)
#define DRM_IOCTL_QAIC_EXECUTE_BO _IOW('d', 0x40 + DRM_QAIC_EXECUTE_BO, struct qaic_execute)
#define DRM_IOCTL_QAIC_PARTIAL_EXECUTE_BO                                                          \
	_IOW('d', 0x40 + DRM_QAIC_PARTIAL_EXECUTE_BO, struct qaic_execute)
#define DRM_IOCTL_QAIC_WAIT_BO _IOW('d', 0x40 + DRM_QAIC_WAIT_BO, struct qaic_wait)
#define DRM_IOCTL_QAIC_PERF_STATS_BO                                                               \
	_IOWR('d', 0x40 + DRM_QAIC_PERF_STATS_BO, struct qaic_perf_stats)
#define DRM_IOCTL_QAIC_DETACH_SLICE_BO                                                             \
	_IOW('d', 0x40 + DRM_QAIC_DETACH_SLICE_BO, struct qaic_detach_slice)

#ifdef __cplusplus
}
#endif

#endif
