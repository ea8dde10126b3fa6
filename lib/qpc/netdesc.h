/* SPDX-License-Identifier: MIT */
/* The network descriptor (networkdesc.bin, a protobuf): read into, and written from, struct
 * qeff_network. */
#ifndef QEFF_QPC_NETDESC_H
#define QEFF_QPC_NETDESC_H

#include "util/bytes.h"
#include "util/error.h"

#include <qeff/qpc.h>

#include <stddef.h>

#define QEFF_NETDESC_VERSION_MAJOR 9
#define QEFF_NETDESC_VERSION_MINOR 0

#define QEFF_NETDESC_MAX_BYTES		 ((size_t)64 << 20)
#define QEFF_NETDESC_MAX_BINDINGS	 65536
#define QEFF_NETDESC_MAX_DIMS		 16
#define QEFF_NETDESC_MAX_DMA_BUFFERS	 65535
#define QEFF_NETDESC_MAX_SPECIALISATIONS 4096
#define QEFF_NETDESC_MAX_NAME_BYTES	 1024

/* A parsed descriptor: the tables and what they point into. */
struct qeff_netdesc;

/* Parses and validates. Nothing points into @data afterwards. */
int qeff_netdesc_parse(const void *data, size_t size_bytes, struct qeff_netdesc **desc,
		       struct qeff_error *err);
const struct qeff_network *qeff_netdesc_network(const struct qeff_netdesc *desc);
void qeff_netdesc_free(struct qeff_netdesc *desc);

/* Product of the non-zero dimensions times the element size; fails on unknown types, negative
 * dimensions, too many of them, or overflow. */
int qeff_shape_size(enum qeff_type type, const int32_t *dims, uint32_t num_dims,
		    uint64_t *size_bytes, struct qeff_error *err);

/**
 * qeff_netdesc_write - appends the encoded descriptor to @out
 * @network: what to write: versions are taken as 9.0 if both are 0; bindings that are retained get
 *no transform, the others one copy to or from their DMA buffer; needs_host_transform cannot be
 *written. With num_specialisations 0 or 1 there are no allowed shapes to list and @specialisations
 *is not read
 * @out: receives the bytes; the same network gives the same bytes
 * @err: why it failed, or NULL
 *
 * What is written is what the parser accepts: a network that it would refuse is refused here with
 *the same sentence. size_bytes fields are computed, not read; dma_size_bytes likewise.
 */
int qeff_netdesc_write(const struct qeff_network *network, struct qeff_bytes *out,
		       struct qeff_error *err);

#endif
