/* SPDX-License-Identifier: MIT */
/*
 * Normalizers. A "normalizer" is parsed into a flat list of steps; each step reads the text once
 * and writes it anew.
 */
#include "text/normalizer.h"

#include "text/byte_level.h"
#include "text/json.h"
#include "text/pieces.h"
#include "text/unicode.h"
#include "text/utf8.h"

#include <stdlib.h>

#define STEPS_MAX 64
#define DEPTH_MAX 8
/* A replacement longer than this is a way to make a short text long. */

enum normalizer_kind {
	BERT,
	NORMAL_FORM,
	LOWERCASE,
	STRIP_ACCENTS,
	STRIP,
	REPLACE,
	PREPEND,
	BYTE_LEVEL,
};

struct qeff_normalizer_step {
	enum normalizer_kind kind;
	enum qeff_normal_form form;
	/* BERT */
	bool clean_text;
	bool handle_chinese_chars;
	bool strip_accents;
	bool lowercase;
	/* STRIP */
	bool left;
	bool right;
	/* REPLACE, PREPEND */
	struct qeff_regex *pattern;
	struct qeff_bytes content;
};

int qeff_pattern_parse(struct qeff_regex **regex, const json_t *json, const char *where,
		       struct qeff_error *err)
{
	const json_t *literal = json_object_get(json, "String");
	const json_t *pattern = json_object_get(json, "Regex");
	const json_t *text = literal ? literal : pattern;

	if (!json_is_string(text))
		return qeff_error_set(
			err, -EINVAL,
			"%s: the pattern should be {\"String\": ...} or {\"Regex\": ...}", where);
	return qeff_regex_new(regex, json_string_value(text), json_string_length(text),
			      literal ? QEFF_REGEX_LITERAL : QEFF_REGEX_ONIGURUMA, err);
}

static int parse_bert(struct qeff_normalizer_step *step, const json_t *json, struct qeff_error *err)
{
	const char *where = "normalizer BertNormalizer";
	int rc;

	step->kind = BERT;
	step->clean_text = step->handle_chinese_chars = step->lowercase = true;
	rc = qeff_json_bool(json, where, "clean_text", &step->clean_text, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "handle_chinese_chars",
				    &step->handle_chinese_chars, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "lowercase", &step->lowercase, err);
	/* accents go with the case unless said otherwise */
	step->strip_accents = step->lowercase;
	if (rc == 0)
		rc = qeff_json_bool(json, where, "strip_accents", &step->strip_accents, err);
	return rc;
}

static int parse_strip(struct qeff_normalizer_step *step, const json_t *json,
		       struct qeff_error *err)
{
	int rc;

	step->kind = STRIP;
	step->left = step->right = true;
	rc = qeff_json_bool(json, "normalizer Strip", "strip_left", &step->left, err);
	if (rc == 0)
		rc = qeff_json_bool(json, "normalizer Strip", "strip_right", &step->right, err);
	return rc;
}

static int parse_replace(struct qeff_normalizer_step *step, const json_t *json,
			 struct qeff_error *err)
{
	int rc;

	step->kind = REPLACE;
	rc = qeff_pattern_parse(&step->pattern, json_object_get(json, "pattern"),
				"normalizer Replace", err);
	if (rc == 0)
		rc = qeff_json_content(json, "normalizer Replace", "content", &step->content, err);
	return rc;
}

static int parse_prepend(struct qeff_normalizer_step *step, const json_t *json,
			 struct qeff_error *err)
{
	step->kind = PREPEND;
	return qeff_json_content(json, "normalizer Prepend", "prepend", &step->content, err);
}

/* Kinds without fields of their own, and parsers for the others. */
static const struct {
	const char *type;
	int (*parse)(struct qeff_normalizer_step *step, const json_t *json, struct qeff_error *err);
	enum normalizer_kind kind;
	enum qeff_normal_form form;
} kinds[] = {
	{ "BertNormalizer", parse_bert },
	{ "NFC", NULL, NORMAL_FORM, QEFF_NFC },
	{ "NFD", NULL, NORMAL_FORM, QEFF_NFD },
	{ "NFKC", NULL, NORMAL_FORM, QEFF_NFKC },
	{ "NFKD", NULL, NORMAL_FORM, QEFF_NFKD },
	{ "Lowercase", NULL, LOWERCASE },
	{ "StripAccents", NULL, STRIP_ACCENTS },
	{ "ByteLevel", NULL, BYTE_LEVEL },
	{ "Strip", parse_strip },
	{ "Replace", parse_replace },
	{ "Prepend", parse_prepend },
};

static int parse_sequence(struct qeff_normalizer *normalizer, const json_t *json,
			  unsigned int depth, struct qeff_error *err);

static int parse_step(struct qeff_normalizer *normalizer, const json_t *json, unsigned int depth,
		      struct qeff_error *err)
{
	struct qeff_normalizer_step *step;
	const char *type;
	int rc;

	rc = qeff_json_type(json, "normalizer", &type, err);
	if (rc < 0)
		return rc;
	if (!strcmp(type, "Sequence"))
		return parse_sequence(normalizer, json, depth, err);
	if (normalizer->count == STEPS_MAX)
		return qeff_error_set(err, -EINVAL, "normalizer: more than %d steps", STEPS_MAX);
	step = &normalizer->steps[normalizer->count];
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(type, kinds[i].type))
			continue;
		step->kind = kinds[i].kind;
		step->form = kinds[i].form;
		normalizer->count++;
		return kinds[i].parse ? kinds[i].parse(step, json, err) : 0;
	}
	return qeff_error_set(err, -ENOTSUP, "normalizer \"%.60s\" is not supported", type);
}

static int parse_sequence(struct qeff_normalizer *normalizer, const json_t *json,
			  unsigned int depth, struct qeff_error *err)
{
	const json_t *list = json_object_get(json, "normalizers");
	int rc = 0;

	if (!json_is_array(list) || depth == DEPTH_MAX)
		return qeff_error_set(
			err, -EINVAL,
			"normalizer Sequence: expected an array \"normalizers\" at most %d deep",
			DEPTH_MAX);
	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
		rc = parse_step(normalizer, json_array_get(list, i), depth + 1, err);
	return rc;
}

int qeff_normalizer_parse(struct qeff_normalizer *normalizer, const json_t *json,
			  struct qeff_error *err)
{
	int rc;

	*normalizer = (struct qeff_normalizer){ 0 };
	if (!json || json_is_null(json))
		return 0;
	normalizer->steps = calloc(STEPS_MAX, sizeof(*normalizer->steps));
	if (!normalizer->steps)
		return qeff_error_set(err, -ENOMEM, "no memory for a normalizer");
	rc = parse_step(normalizer, json, 0, err);
	if (rc < 0)
		qeff_normalizer_free(normalizer);
	return rc;
}

void qeff_normalizer_free(struct qeff_normalizer *normalizer)
{
	for (size_t i = 0; i < normalizer->count; i++) {
		qeff_regex_free(normalizer->steps[i].pattern);
		qeff_bytes_free(&normalizer->steps[i].content);
	}
	free(normalizer->steps);
	*normalizer = (struct qeff_normalizer){ 0 };
}

/* One pass over the characters: @map appends what becomes of one, or nothing. */
static void each_char(const struct qeff_bytes *in, struct qeff_bytes *out, bool *at_start,
		      void (*map)(struct qeff_bytes *out, uint32_t c))
{
	for (size_t at = 0; at < in->size_bytes;) {
		bool first = out->size_bytes == 0;

		map(out, qeff_utf8_next(in->data, &at));
		if (first && out->size_bytes == 0)
			*at_start = false;
	}
}

static void clean_char(struct qeff_bytes *out, uint32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		qeff_bytes_u8(out, ' ');
	else if (c != 0 && c != QEFF_REPLACEMENT && !qeff_char_is_control(c))
		qeff_utf8_put(out, qeff_char_is_white(c) ? ' ' : c);
}

static void space_ideograph(struct qeff_bytes *out, uint32_t c)
{
	const bool ideograph = qeff_char_is_ideograph(c);

	if (ideograph)
		qeff_bytes_u8(out, ' ');
	qeff_utf8_put(out, c);
	if (ideograph)
		qeff_bytes_u8(out, ' ');
}

static void drop_nonspacing(struct qeff_bytes *out, uint32_t c)
{
	if (!qeff_char_is_nonspacing(c))
		qeff_utf8_put(out, c);
}

static void drop_combining(struct qeff_bytes *out, uint32_t c)
{
	if (!qeff_char_is_combining(c))
		qeff_utf8_put(out, c);
}

/* Hands the contents of @from to @to; @from is then empty. */
static void move(struct qeff_bytes *to, struct qeff_bytes *from)
{
	struct qeff_bytes old = *to;

	*to = *from;
	*from = old;
	from->size_bytes = 0;
}

static void run_bert(const struct qeff_normalizer_step *step, struct qeff_bytes *text,
		     struct qeff_bytes *out, bool *at_start)
{
	if (step->clean_text) {
		each_char(text, out, at_start, clean_char);
		move(text, out);
	}
	if (step->handle_chinese_chars) {
		each_char(text, out, at_start, space_ideograph);
		move(text, out);
	}
	if (step->strip_accents) {
		qeff_normal_form(out, text->data, text->size_bytes, QEFF_NFD);
		move(text, out);
		each_char(text, out, at_start, drop_nonspacing);
		move(text, out);
	}
	if (step->lowercase)
		each_char(text, out, at_start, qeff_char_lower);
	else
		move(out, text);
}

static void run_strip(const struct qeff_normalizer_step *step, const struct qeff_bytes *text,
		      struct qeff_bytes *out, bool *at_start)
{
	size_t start = 0, end = text->size_bytes;

	while (step->left && start < end) {
		size_t next = start;

		if (!qeff_char_is_white(qeff_utf8_next(text->data, &next)))
			break;
		start = next;
		*at_start = false;
	}
	while (step->right && end > start) {
		size_t previous = qeff_utf8_previous(text->data, end), at = previous;

		if (!qeff_char_is_white(qeff_utf8_next(text->data, &at)))
			break;
		end = previous;
	}
	if (end > start)
		qeff_bytes_append(out, text->data + start, end - start);
}

static int run_replace(const struct qeff_normalizer_step *step, const struct qeff_bytes *text,
		       struct qeff_bytes *out, bool *at_start, struct qeff_error *err)
{
	struct qeff_bytes spans = { 0 };
	int rc;

	rc = qeff_regex_split(step->pattern, text->data, text->size_bytes, &spans, err);
	for (size_t i = 0; rc == 0 && i < spans.size_bytes / sizeof(struct qeff_span); i++) {
		const struct qeff_span *span = (const struct qeff_span *)spans.data + i;

		if (!span->match) {
			qeff_bytes_append(out, text->data + span->start, span->end - span->start);
		} else {
			if (step->content.size_bytes)
				qeff_bytes_append(out, step->content.data,
						  step->content.size_bytes);
			if (out->size_bytes == 0)
				*at_start = false;
		}
		if (out->size_bytes > QEFF_TEXT_BYTES_MAX)
			rc = qeff_error_set(
				err, -E2BIG,
				"normalizer Replace makes the text longer than %zu bytes",
				QEFF_TEXT_BYTES_MAX);
	}
	qeff_bytes_free(&spans);
	return rc;
}

static int run_step(const struct qeff_normalizer_step *step, struct qeff_bytes *text,
		    struct qeff_bytes *out, bool *at_start, struct qeff_error *err)
{
	switch (step->kind) {
	case BERT:
		run_bert(step, text, out, at_start);
		return 0;
	case NORMAL_FORM:
		qeff_normal_form(out, text->data, text->size_bytes, step->form);
		return 0;
	case LOWERCASE:
		each_char(text, out, at_start, qeff_char_lower);
		return 0;
	case STRIP_ACCENTS:
		each_char(text, out, at_start, drop_combining);
		return 0;
	case STRIP:
		run_strip(step, text, out, at_start);
		return 0;
	case REPLACE:
		return run_replace(step, text, out, at_start, err);
	case PREPEND:
		qeff_bytes_append(out, step->content.data, step->content.size_bytes);
		qeff_bytes_append(out, text->data, text->size_bytes);
		return 0;
	case BYTE_LEVEL:
		qeff_byte_level_encode(out, text->data, text->size_bytes);
		return 0;
	}
	return 0;
}

int qeff_normalizer_run(const struct qeff_normalizer *normalizer, struct qeff_bytes *text,
			bool *at_start, struct qeff_error *err)
{
	struct qeff_bytes out = { 0 };
	bool ignored = true;
	int rc = 0;

	for (size_t i = 0; i < normalizer->count && rc == 0; i++) {
		/* every step leaves an empty text empty */
		if (text->size_bytes == 0)
			break;
		out.size_bytes = 0;
		rc = run_step(&normalizer->steps[i], text, &out, at_start ? at_start : &ignored,
			      err);
		if (rc == 0 && (out.failed || text->failed))
			rc = qeff_error_set(err, -ENOMEM, "no memory to normalize a text");
		if (rc == 0 && out.size_bytes > QEFF_TEXT_BYTES_MAX)
			rc = qeff_error_set(err, -E2BIG, "a normalizer makes %zu bytes of a text",
					    out.size_bytes);
		move(text, &out);
	}
	qeff_bytes_free(&out);
	return rc;
}
