/* SPDX-License-Identifier: MIT */
/* Files: mapped for reading, and written so that a reader sees the whole of it or nothing. */
#ifndef QEFF_UTIL_FILE_H
#define QEFF_UTIL_FILE_H

#include "util/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * struct qeff_map - a file mapped read-only
 * @data: first byte, page aligned; NULL for an empty file
 * @size_bytes: length of the file when it was mapped
 * @path: as it was given; owned by the map
 *
 * A file that another process truncates while mapped gives SIGBUS, as with every mapped file.
 */
struct qeff_map {
	const uint8_t *data;
	size_t size_bytes;
	char *path;
};

int qeff_map_open(struct qeff_map *map, const char *path, struct qeff_error *err);
void qeff_map_close(struct qeff_map *map);

/**
 * struct qeff_output - a file under construction
 *
 * Written under a temporary name in the target's folder; qeff_output_commit() makes it durable and
 * gives it its name, qeff_output_abort() removes it. One of the two ends every successful
 * qeff_output_open().
 */
struct qeff_output {
	int fd;
	char *path;
	char *temporary;
	uint64_t offset; /* bytes written so far */
	/* small writes are gathered here */
	uint8_t *buffer;
	size_t buffered_bytes;
};

int qeff_output_open(struct qeff_output *out, const char *path, struct qeff_error *err);
int qeff_output_write(struct qeff_output *out, const void *data, size_t size_bytes,
		      struct qeff_error *err);
/* Writes zeros until the offset is a multiple of @alignment (a power of two). */
int qeff_output_align(struct qeff_output *out, uint64_t alignment, struct qeff_error *err);
/* Overwrites bytes already written (a header whose numbers are known only at the end). */
int qeff_output_patch(struct qeff_output *out, uint64_t offset, const void *data, size_t size_bytes,
		      struct qeff_error *err);
int qeff_output_commit(struct qeff_output *out, struct qeff_error *err);
void qeff_output_abort(struct qeff_output *out);

/* Writes a whole small file durably; the short form of the above. */
int qeff_write_file(const char *path, const void *data, size_t size_bytes, struct qeff_error *err);

#endif
