/* SPDX-License-Identifier: MIT */
/* Regular expressions as tokenizers write them (Oniguruma's Ruby syntax), matched by PCRE2. */
#ifndef QEFF_TEXT_REGEX_H
#define QEFF_TEXT_REGEX_H

#include "util/bytes.h"
#include "util/error.h"

/* A part of a text and whether a pattern matched it. Spans cover a text without gaps. */
struct qeff_span {
	size_t start;
	size_t end;
	bool match;
};

/* An array of struct qeff_span in a byte array. */
static inline void qeff_span_add(struct qeff_bytes *spans, size_t start, size_t end, bool match)
{
	struct qeff_span span = { start, end, match };

	qeff_bytes_append(spans, &span, sizeof(span));
}

enum qeff_regex_syntax {
	QEFF_REGEX_ONIGURUMA, /* from a file; translated first */
	QEFF_REGEX_LITERAL,   /* the string itself */
	QEFF_REGEX_PCRE2,     /* our own patterns */
};

struct qeff_regex;

int qeff_regex_new(struct qeff_regex **regex, const char *pattern, size_t size_bytes,
		   enum qeff_regex_syntax syntax, struct qeff_error *err);
void qeff_regex_free(struct qeff_regex *regex);

/*
 * Appends the spans of @text (valid UTF-8) to @spans: leftmost matches one after the other, and
 * what lies between. An empty match counts unless it touches the end of the match before. Safe from
 * several threads.
 */
int qeff_regex_split(const struct qeff_regex *regex, const uint8_t *text, size_t size_bytes,
		     struct qeff_bytes *spans, struct qeff_error *err);

/*
 * Appends to @out the PCRE2 pattern that means what @pattern means to Oniguruma: other \s, \w, \h,
 * \v and \b, scripts instead of script extensions, nested and intersected classes, (?m), \uHHHH and
 * {,n}. What cannot be said is refused by name.
 */
int qeff_regex_translate(struct qeff_bytes *out, const char *pattern, size_t size_bytes,
			 struct qeff_error *err);

#endif
