/* SPDX-License-Identifier: MIT */
/* The program image (network.elf): a 32-bit Hexagon ELF that carries the metadata in a section of
 * its own. */
#ifndef QEFF_QPC_IMAGE_H
#define QEFF_QPC_IMAGE_H

#include "util/bytes.h"
#include "util/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * struct qeff_image_metadata - where the metadata lies
 * @section: "metadata_fb" or "metadata"; static text
 * @data: first byte, inside the image
 * @size_bytes: its length
 */
struct qeff_image_metadata {
	const char *section;
	const uint8_t *data;
	size_t size_bytes;
};

/* Validates the image's headers and finds its metadata: section metadata_fb, else metadata.
 * Returns 0; -EINVAL for anything but a whole 32-bit little-endian Hexagon ELF; -ENOENT without
 * metadata. */
int qeff_image_find_metadata(const void *elf, size_t size_bytes,
			     struct qeff_image_metadata *metadata, struct qeff_error *err);

/* Appends an image without code, its only content the (not loaded) section "metadata", to @out. */
int qeff_image_write(const void *metadata, size_t size_bytes, struct qeff_bytes *out,
		     struct qeff_error *err);

#endif
