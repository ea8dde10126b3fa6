/* SPDX-License-Identifier: MIT */
/* Compiling and running patterns with PCRE2: limits set, just-in-time code where the machine has
 * it. */
#include "text/regex.h"

#include "text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

/* Patterns come from files: bounds on their size, nesting and appetite. */
#define PATTERN_BYTES_MAX 65536
#define NEST_MAX	  100
#define MATCH_STEPS_MAX	  2000000
#define HEAP_KIB_MAX	  65536

struct qeff_regex {
	pcre2_code *code;
	pcre2_match_context *limits;
};

static int compile(struct qeff_regex *regex, const uint8_t *pattern, size_t size_bytes,
		   enum qeff_regex_syntax syntax, struct qeff_error *err)
{
	uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
	pcre2_compile_context *context;
	PCRE2_UCHAR reason[120];
	PCRE2_SIZE offset = 0;
	int code = 0;

	if (syntax == QEFF_REGEX_LITERAL)
		options = PCRE2_UTF | PCRE2_LITERAL;
	else
		options |= PCRE2_UCP | PCRE2_MULTILINE;
	context = pcre2_compile_context_create(NULL);
	regex->limits = pcre2_match_context_create(NULL);
	if (!context || !regex->limits) {
		pcre2_compile_context_free(context);
		return qeff_error_set(err, -ENOMEM, "no memory for a regular expression");
	}
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	pcre2_set_parens_nest_limit(context, NEST_MAX);
	pcre2_set_match_limit(regex->limits, MATCH_STEPS_MAX);
	pcre2_set_heap_limit(regex->limits, HEAP_KIB_MAX);
	regex->code = pcre2_compile(pattern, size_bytes, options, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (!regex->code) {
		pcre2_get_error_message(code, reason, sizeof(reason));
		return qeff_error_set(err, -EINVAL, "regular expression \"%.*s\": %s at offset %zu",
				      (int)(size_bytes < 200 ? size_bytes : 200),
				      (const char *)pattern, (const char *)reason, offset);
	}
	/* Without just-in-time code the interpreter matches. */
	pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
	return 0;
}

int qeff_regex_new(struct qeff_regex **regex, const char *pattern, size_t size_bytes,
		   enum qeff_regex_syntax syntax, struct qeff_error *err)
{
	struct qeff_bytes translated = { 0 };
	struct qeff_regex *new;
	int rc;

	if (size_bytes > PATTERN_BYTES_MAX)
		return qeff_error_set(err, -EINVAL, "a pattern of %zu bytes, expected at most %d",
				      size_bytes, PATTERN_BYTES_MAX);
	new = calloc(1, sizeof(*new));
	if (!new)
		return qeff_error_set(err, -ENOMEM, "no memory for a regular expression");
	if (syntax == QEFF_REGEX_ONIGURUMA) {
		rc = qeff_regex_translate(&translated, pattern, size_bytes, err);
		if (rc == 0)
			rc = compile(new, translated.data, translated.size_bytes, syntax, err);
	} else {
		rc = compile(new, (const uint8_t *)pattern, size_bytes, syntax, err);
	}
	qeff_bytes_free(&translated);
	if (rc < 0) {
		qeff_regex_free(new);
		return rc;
	}
	*regex = new;
	return 0;
}

void qeff_regex_free(struct qeff_regex *regex)
{
	if (!regex)
		return;
	pcre2_code_free(regex->code);
	pcre2_match_context_free(regex->limits);
	free(regex);
}

/* 1 with the next match at or after @from, 0 without, or a negative errno. */
static int match(const struct qeff_regex *regex, pcre2_match_data *data, const uint8_t *text,
		 size_t size_bytes, size_t from, struct qeff_error *err)
{
	PCRE2_UCHAR reason[120];
	int rc;

	rc = pcre2_match(regex->code, text, size_bytes, from, PCRE2_NO_UTF_CHECK, data,
			 regex->limits);
	/* The fast code has a small fixed stack, the interpreter a bounded heap. */
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(regex->code, text, size_bytes, from,
				 PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, regex->limits);
	if (rc >= 0)
		return 1;
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc == PCRE2_ERROR_NOMEMORY)
		return qeff_error_set(err, -ENOMEM, "no memory to match a regular expression");
	pcre2_get_error_message(rc, reason, sizeof(reason));
	return qeff_error_set(err, -E2BIG, "regular expression gave up at byte %zu of %zu: %s",
			      from, size_bytes, (const char *)reason);
}

int qeff_regex_split(const struct qeff_regex *regex, const uint8_t *text, size_t size_bytes,
		     struct qeff_bytes *spans, struct qeff_error *err)
{
	size_t from = 0, previous = 0;
	pcre2_match_data *data;
	bool any = false;
	int rc = 0;

	if (size_bytes == 0)
		return 0;
	/* Only the bounds of the whole match are of interest. */
	data = pcre2_match_data_create(1, NULL);
	if (!data)
		return qeff_error_set(err, -ENOMEM, "no memory to match a regular expression");
	while (from <= size_bytes) {
		size_t start, end;

		rc = match(regex, data, text, size_bytes, from, err);
		if (rc <= 0)
			break;
		start = pcre2_get_ovector_pointer(data)[0];
		end = pcre2_get_ovector_pointer(data)[1];
		/* \K in a look-around can report a match that ends before it starts */
		if (start > end || start < previous) {
			rc = qeff_error_set(err, -EINVAL, "a pattern moves the start of its match");
			break;
		}
		if (start == end && any && end == previous) {
			if (from >= size_bytes)
				break;
			qeff_utf8_next(text, &from);
			continue;
		}
		if (previous != start)
			qeff_span_add(spans, previous, start, false);
		qeff_span_add(spans, start, end, true);
		previous = from = end;
		any = true;
	}
	pcre2_match_data_free(data);
	if (rc < 0)
		return rc;
	if (previous != size_bytes)
		qeff_span_add(spans, previous, size_bytes, false);
	return spans->failed ? qeff_error_set(err, -ENOMEM, "no memory to split a text") : 0;
}
