/* SPDX-License-Identifier: MIT */
/* GPT-2's visible alphabet of 256 characters, one for each byte. */
#ifndef QEFF_TEXT_BYTE_LEVEL_H
#define QEFF_TEXT_BYTE_LEVEL_H

#include "util/bytes.h"

/* Appends the characters that stand for the bytes of @text. */
void qeff_byte_level_encode(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes);

/* Appends the bytes that the characters of @text (valid UTF-8) stand for; @text itself if one is
 * foreign. */
void qeff_byte_level_decode(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes);

#endif
