/* SPDX-License-Identifier: MIT */
/*
 * The QPC container: a header, a table of segments, their names, their payloads. Parsing validates
 * all of it; writing streams it to a file.
 */
#ifndef QEFF_QPC_CONTAINER_H
#define QEFF_QPC_CONTAINER_H

#include "util/error.h"

#include <qeff/qpc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_QPC_MAGIC	      0x00a1cd7cu
#define QEFF_QPC_HEADER_BYTES 40
#define QEFF_QPC_ENTRY_BYTES  32
#define QEFF_QPC_MAX_SEGMENTS 64
/* In the file, constants begin at a multiple of this, so that they can be mapped in large pages. */
#define QEFF_QPC_CONSTANTS_ALIGNMENT ((uint64_t)2 << 20)

/**
 * struct qeff_container - a validated container
 * @size_bytes: its length as its header states it
 * @version_minor: minor version of the container format (the major one is 0)
 * @num_segments: entries of @segments
 * @segments: names and data point into the parsed bytes; owned by this struct
 */
struct qeff_container {
	uint64_t size_bytes;
	uint8_t version_minor;
	uint32_t num_segments;
	struct qeff_segment segments[QEFF_QPC_MAX_SEGMENTS];
};

/* Parses and validates; nothing is copied, so @data must outlive @container. There is nothing to
 * free. */
int qeff_container_parse(const void *data, size_t size_bytes, struct qeff_container *container,
			 struct qeff_error *err);

const struct qeff_segment *qeff_container_find(const struct qeff_container *container,
					       const char *name);

/* The constants descriptor (constantsdesc.bin). */
#define QEFF_CONSTANTS_DESC_BYTES 24

struct qeff_constants_desc {
	uint64_t static_bytes;
	uint64_t dynamic_bytes;
	bool static_ecc;
	bool dynamic_ecc;
};

int qeff_constants_desc_parse(const void *data, size_t size_bytes, struct qeff_constants_desc *desc,
			      struct qeff_error *err);
void qeff_constants_desc_write(const struct qeff_constants_desc *desc,
			       uint8_t bytes[QEFF_CONSTANTS_DESC_BYTES]);

/**
 * struct qeff_qpc_writer - a package under construction
 *
 * Used in this order: open; add, for each segment but the constants; begin_constants once and
 * write_constants until as many bytes as announced are there (both left out if the network has no
 * constants); finish. The constants descriptor is added by the writer itself. The same calls give
 * the same bytes. The target appears, whole and durable, when finish returns 0; until then, or
 * after abort, an older file of that name is untouched. Not thread safe.
 */
struct qeff_qpc_writer;

int qeff_qpc_writer_open(struct qeff_qpc_writer **writer, const char *path, struct qeff_error *err);

/* Adds a segment; @data is copied. */
int qeff_qpc_writer_add(struct qeff_qpc_writer *writer, const char *name, const void *data,
			size_t size_bytes, struct qeff_error *err);

/* Lays out the file; from here on no segment can be added. */
int qeff_qpc_writer_begin_constants(struct qeff_qpc_writer *writer,
				    const struct qeff_constants_desc *desc, struct qeff_error *err);

/* Appends constants, static ones first; the bytes go to the file, nothing is kept. */
int qeff_qpc_writer_write_constants(struct qeff_qpc_writer *writer, const void *data,
				    size_t size_bytes, struct qeff_error *err);

/* Bytes of constants written so far: the offset of the next one in the constants. */
uint64_t qeff_qpc_writer_constants_offset(const struct qeff_qpc_writer *writer);

/* Completes the file. Frees @writer, whatever the outcome. */
int qeff_qpc_writer_finish(struct qeff_qpc_writer *writer, struct qeff_error *err);

/* Gives up: removes what was written and frees @writer; NULL is fine. */
void qeff_qpc_writer_abort(struct qeff_qpc_writer *writer);

#endif
