/* SPDX-License-Identifier: MIT */
/*
 * Seam 1: the way to a card. One table of functions, implemented by drm (ioctls of qeff.ko or
 * mainline qaic) and by softcard (the card core in this process). Nothing above knows which one it
 * talks to; the semantics, limits and errno values are those of the kernel driver's ioctls
 * (uapi/qeff_accel.h).
 */
#ifndef QEFF_DEVICE_TRANSPORT_H
#define QEFF_DEVICE_TRANSPORT_H

#include "util/error.h"

#include <qeff_accel.h>
#include <stddef.h>
#include <stdint.h>

struct qeff_transport;

/**
 * struct qeff_transport_ops - one row of functions per kind of card
 *
 * All of them are thread safe. Those that can fail return 0 or a negative errno; -ENODEV once the
 * card is gone. Handles belong to the open transport (the "user" of the driver).
 *
 * @close: ends the user: everything it loaded, activated and created is freed by driver and card
 * @manage: one exchange on the control channel: @data holds @count user transactions in @size_bytes
 * bytes and has room for QEFF_MANAGE_MAX_BYTES; all three are rewritten with the reply, which also
 * comes with -ECANCELED (the card refused)
 * @buffer_create: a BO of at least @size_bytes (rounded up to pages), zeroed
 * @buffer_map: the address of the whole BO in this process, until @buffer_free
 * @buffer_export: a dma-buf (or memfd, for softcard) descriptor of the BO; the caller closes it
 * @buffer_free: drops the handle; its slicing is detached
 * @slice: lays a transfer program on a BO: @entries in execution order, for channel @dbc_id
 * @unslice: removes it; -EBUSY while queued
 * @execute: queues the BOs in order, all or nothing; -EAGAIN if the ring has no room
 * @execute_partial: likewise, but of each BO only the first bytes are moved. Drivers disagree about
 * slices of which nothing is moved, and some never complete them if their memory is scattered: the
 * caller leaves at least one byte to each slice
 * @wait: until the BO's last execution completed; timeout_ms 0 means the default (5000);
 * -ETIMEDOUT, -EPERM once the channel is torn down, -EIO if the card failed the transfer (where the
 * driver can tell)
 * @stats: fills @entries for the handles in them
 * @lend: a promise that [@data, @data + @size_bytes) stays mapped and unchanged until @reclaim, so
 * that the card may adopt the pages instead of copying them; NULL where the transport cannot make
 * use of it
 * @reclaim: ends the promise; only after what was loaded from the range has been unloaded
 */
struct qeff_transport_ops {
	const char *name;
	void (*close)(struct qeff_transport *t);
	int (*manage)(struct qeff_transport *t, void *data, uint32_t *size_bytes, uint32_t *count,
		      struct qeff_error *err);
	int (*buffer_create)(struct qeff_transport *t, uint64_t size_bytes, uint32_t *handle,
			     struct qeff_error *err);
	int (*buffer_map)(struct qeff_transport *t, uint32_t handle, void **data,
			  uint64_t *size_bytes, struct qeff_error *err);
	int (*buffer_export)(struct qeff_transport *t, uint32_t handle, int *fd,
			     struct qeff_error *err);
	void (*buffer_free)(struct qeff_transport *t, uint32_t handle);
	int (*slice)(struct qeff_transport *t, uint32_t handle, uint32_t dbc_id, uint32_t direction,
		     const struct qaic_attach_slice_entry *entries, uint32_t count,
		     struct qeff_error *err);
	int (*unslice)(struct qeff_transport *t, uint32_t handle, struct qeff_error *err);
	int (*execute)(struct qeff_transport *t, uint32_t dbc_id,
		       const struct qaic_execute_entry *entries, uint32_t count,
		       struct qeff_error *err);
	int (*execute_partial)(struct qeff_transport *t, uint32_t dbc_id,
			       const struct qaic_partial_execute_entry *entries, uint32_t count,
			       struct qeff_error *err);
	int (*wait)(struct qeff_transport *t, uint32_t dbc_id, uint32_t handle, uint32_t timeout_ms,
		    struct qeff_error *err);
	int (*stats)(struct qeff_transport *t, uint32_t dbc_id,
		     struct qaic_perf_stats_entry *entries, uint32_t count, struct qeff_error *err);
	int (*lend)(struct qeff_transport *t, const void *data, size_t size_bytes);
	void (*reclaim)(struct qeff_transport *t, const void *data, size_t size_bytes);
};

/* The head of every implementation's own struct. */
struct qeff_transport {
	const struct qeff_transport_ops *ops;
};

#define QEFF_MANAGE_MAX_BYTES 4096u

#endif
