/* SPDX-License-Identifier: MIT */
/* The character classes, case folding and normal forms that tokenizers are made of, on top of
 * utf8proc. */
#ifndef QEFF_TEXT_UNICODE_H
#define QEFF_TEXT_UNICODE_H

#include "util/bytes.h"

#include <stdbool.h>

bool qeff_char_is_white(uint32_t c);	   /* White_Space */
bool qeff_char_is_numeric(uint32_t c);	   /* N* */
bool qeff_char_is_punctuation(uint32_t c); /* P*, and ASCII's symbols */
bool qeff_char_is_control(uint32_t c);	   /* Cc, Cf, Co */
bool qeff_char_is_nonspacing(uint32_t c);  /* Mn */
bool qeff_char_is_combining(uint32_t c);   /* M* */
bool qeff_char_is_ideograph(uint32_t c);   /* BERT's "Chinese character" */

/* Appends the full lowercase mapping of one character. */
void qeff_char_lower(struct qeff_bytes *out, uint32_t c);

enum qeff_normal_form {
	QEFF_NFD,
	QEFF_NFC,
	QEFF_NFKD,
	QEFF_NFKC,
};

/* Appends @text (valid UTF-8) in a normal form; @out->failed tells that memory ran out. */
void qeff_normal_form(struct qeff_bytes *out, const uint8_t *text, size_t size_bytes,
		      enum qeff_normal_form form);

#endif
