/* SPDX-License-Identifier: MIT */
/*
 * Pre-tokenizers. Every kind is the same three things: maybe change the text of a piece, find spans
 * in it (by a pattern or by a class of characters), and cut along them in one of five ways.
 */
#include "text/pretokenizer.h"

#include "text/byte_level.h"
#include "text/json.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/utf8.h"

#include <stdlib.h>

#define STEPS_MAX 64
#define DEPTH_MAX 8

/* How ByteLevel cuts when nothing else is said: GPT-2's pattern. */
#define GPT2_PATTERN                                                                               \
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* Whitespace's pattern is the Rust regex crate's \w+|[^\w\s]+, whose \w has the two joiners. */
#define RUST_WORD	   "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}"
#define WHITESPACE_PATTERN "[" RUST_WORD "]+|[^" RUST_WORD "\\p{White_Space}]+"

enum behaviour {
	ISOLATED,
	REMOVED,
	CONTIGUOUS,
	MERGED_WITH_PREVIOUS,
	MERGED_WITH_NEXT,
};

enum prepend_scheme {
	PREPEND_ALWAYS,
	PREPEND_FIRST,
	PREPEND_NEVER,
};

enum pretokenizer_kind {
	BY_PATTERN,
	BY_CLASS,
	BYTE_LEVEL,
	METASPACE,
};

struct qeff_pretokenizer_step {
	enum pretokenizer_kind kind;
	struct qeff_regex *pattern;	  /* BY_PATTERN; BYTE_LEVEL: NULL without a pattern */
	bool (*is_delimiter)(uint32_t c); /* BY_CLASS */
	enum behaviour behaviour;
	bool invert;
	bool add_prefix_space; /* BYTE_LEVEL */
	uint32_t replacement;  /* METASPACE */
	enum prepend_scheme scheme;
	bool split;
};

static int parse_behaviour(struct qeff_pretokenizer_step *step, const json_t *json,
			   const char *where, struct qeff_error *err)
{
	static const char *const names[] = {
		[ISOLATED] = "Isolated",
		[REMOVED] = "Removed",
		[CONTIGUOUS] = "Contiguous",
		[MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
		[MERGED_WITH_NEXT] = "MergedWithNext",
	};
	const char *text;
	size_t size_bytes;
	int rc;

	rc = qeff_json_string(json, where, "behavior", &text, &size_bytes, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i])) {
			step->behaviour = (enum behaviour)i;
			return 0;
		}
	return qeff_error_set(err, -ENOTSUP, "%s: behavior \"%.40s\" is not supported", where,
			      text);
}

static int parse_split(struct qeff_pretokenizer_step *step, const json_t *json,
		       struct qeff_error *err)
{
	const char *where = "pre_tokenizer Split";
	int rc;

	step->kind = BY_PATTERN;
	rc = qeff_pattern_parse(&step->pattern, json_object_get(json, "pattern"), where, err);
	if (rc == 0)
		rc = parse_behaviour(step, json, where, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "invert", &step->invert, err);
	return rc;
}

static int parse_byte_level(struct qeff_pretokenizer_step *step, const json_t *json,
			    struct qeff_error *err)
{
	const char *where = "pre_tokenizer ByteLevel";
	bool use_regex = true;
	int rc;

	step->kind = BYTE_LEVEL;
	step->add_prefix_space = true;
	rc = qeff_json_bool(json, where, "add_prefix_space", &step->add_prefix_space, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "use_regex", &use_regex, err);
	if (rc == 0 && use_regex)
		rc = qeff_regex_new(&step->pattern, GPT2_PATTERN, strlen(GPT2_PATTERN),
				    QEFF_REGEX_ONIGURUMA, err);
	return rc;
}

static int parse_whitespace(struct qeff_pretokenizer_step *step, const json_t *json,
			    struct qeff_error *err)
{
	step->kind = BY_PATTERN;
	step->behaviour = REMOVED;
	step->invert = true;
	return qeff_regex_new(&step->pattern, WHITESPACE_PATTERN, strlen(WHITESPACE_PATTERN),
			      QEFF_REGEX_PCRE2, err);
}

static int parse_whitespace_split(struct qeff_pretokenizer_step *step, const json_t *json,
				  struct qeff_error *err)
{
	step->kind = BY_CLASS;
	step->is_delimiter = qeff_char_is_white;
	step->behaviour = REMOVED;
	return 0;
}

static int parse_digits(struct qeff_pretokenizer_step *step, const json_t *json,
			struct qeff_error *err)
{
	bool individual = false;
	int rc;

	rc = qeff_json_bool(json, "pre_tokenizer Digits", "individual_digits", &individual, err);
	step->kind = BY_CLASS;
	step->is_delimiter = qeff_char_is_numeric;
	step->behaviour = individual ? ISOLATED : CONTIGUOUS;
	return rc;
}

static int parse_punctuation(struct qeff_pretokenizer_step *step, const json_t *json,
			     struct qeff_error *err)
{
	step->kind = BY_CLASS;
	step->is_delimiter = qeff_char_is_punctuation;
	step->behaviour = ISOLATED;
	return json_object_get(json, "behavior")
		       ? parse_behaviour(step, json, "pre_tokenizer Punctuation", err)
		       : 0;
}

static int parse_metaspace(struct qeff_pretokenizer_step *step, const json_t *json,
			   struct qeff_error *err)
{
	const char *where = "pre_tokenizer Metaspace", *scheme;
	bool add_prefix_space = true;
	size_t size_bytes;
	int rc;

	step->kind = METASPACE;
	step->behaviour = MERGED_WITH_NEXT;
	step->split = true;
	rc = qeff_json_char(json, where, "replacement", &step->replacement, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "split", &step->split, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "add_prefix_space", &add_prefix_space, err);
	if (rc < 0)
		return rc;
	if (json_object_get(json, "prepend_scheme")) {
		rc = qeff_json_string(json, where, "prepend_scheme", &scheme, &size_bytes, err);
		if (rc < 0)
			return rc;
		if (!strcmp(scheme, "first"))
			step->scheme = PREPEND_FIRST;
		else if (!strcmp(scheme, "never"))
			step->scheme = PREPEND_NEVER;
		else if (strcmp(scheme, "always"))
			return qeff_error_set(err, -ENOTSUP,
					      "%s: prepend_scheme \"%.20s\" is not supported",
					      where, scheme);
	}
	if (!add_prefix_space)
		step->scheme = PREPEND_NEVER;
	return 0;
}

static int parse_sequence(struct qeff_pretokenizer *pretokenizer, const json_t *json,
			  unsigned int depth, struct qeff_error *err);

static int parse_step(struct qeff_pretokenizer *pretokenizer, const json_t *json,
		      unsigned int depth, struct qeff_error *err)
{
	static const struct {
		const char *type;
		int (*parse)(struct qeff_pretokenizer_step *step, const json_t *json,
			     struct qeff_error *err);
	} kinds[] = {
		{ "ByteLevel", parse_byte_level },  { "Split", parse_split },
		{ "Whitespace", parse_whitespace }, { "WhitespaceSplit", parse_whitespace_split },
		{ "Digits", parse_digits },	    { "Punctuation", parse_punctuation },
		{ "Metaspace", parse_metaspace },
	};
	struct qeff_pretokenizer_step *step = &pretokenizer->steps[pretokenizer->count];
	const char *type;
	int rc;

	rc = qeff_json_type(json, "pre_tokenizer", &type, err);
	if (rc < 0)
		return rc;
	if (!strcmp(type, "Sequence"))
		return parse_sequence(pretokenizer, json, depth, err);
	/* BERT's is two steps, so leave room for both. */
	if (pretokenizer->count + 2 > STEPS_MAX)
		return qeff_error_set(err, -EINVAL, "pre_tokenizer: more than %d steps", STEPS_MAX);
	if (!strcmp(type, "BertPreTokenizer")) {
		pretokenizer->count += 2;
		parse_whitespace_split(&step[0], json, err);
		step[1].kind = BY_CLASS;
		step[1].is_delimiter = qeff_char_is_punctuation;
		step[1].behaviour = ISOLATED;
		return 0;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(type, kinds[i].type)) {
			pretokenizer->count++;
			return kinds[i].parse(step, json, err);
		}
	return qeff_error_set(err, -ENOTSUP, "pre_tokenizer \"%.60s\" is not supported", type);
}

static int parse_sequence(struct qeff_pretokenizer *pretokenizer, const json_t *json,
			  unsigned int depth, struct qeff_error *err)
{
	const json_t *list = json_object_get(json, "pretokenizers");
	int rc = 0;

	if (!json_is_array(list) || depth == DEPTH_MAX)
		return qeff_error_set(
			err, -EINVAL,
			"pre_tokenizer Sequence: expected an array \"pretokenizers\" at most %d deep",
			DEPTH_MAX);
	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
		rc = parse_step(pretokenizer, json_array_get(list, i), depth + 1, err);
	return rc;
}

int qeff_pretokenizer_parse(struct qeff_pretokenizer *pretokenizer, const json_t *json,
			    struct qeff_error *err)
{
	int rc;

	*pretokenizer = (struct qeff_pretokenizer){ 0 };
	if (!json || json_is_null(json))
		return 0;
	pretokenizer->steps = calloc(STEPS_MAX, sizeof(*pretokenizer->steps));
	if (!pretokenizer->steps)
		return qeff_error_set(err, -ENOMEM, "no memory for a pre-tokenizer");
	rc = parse_step(pretokenizer, json, 0, err);
	if (rc < 0)
		qeff_pretokenizer_free(pretokenizer);
	return rc;
}

void qeff_pretokenizer_free(struct qeff_pretokenizer *pretokenizer)
{
	for (size_t i = 0; i < pretokenizer->count; i++)
		qeff_regex_free(pretokenizer->steps[i].pattern);
	free(pretokenizer->steps);
	*pretokenizer = (struct qeff_pretokenizer){ 0 };
}

/* Metaspace's only delimiter is its mark. */
static bool is_delimiter(const struct qeff_pretokenizer_step *step, uint32_t c)
{
	return step->is_delimiter ? step->is_delimiter(c) : c == step->replacement;
}

/* Spans of a text by a class of characters: each delimiter is a match of its own. */
static void split_by_class(const struct qeff_pretokenizer_step *step, const uint8_t *text,
			   size_t size_bytes, struct qeff_bytes *spans)
{
	size_t previous = 0;

	for (size_t at = 0; at < size_bytes;) {
		size_t start = at;

		if (!is_delimiter(step, qeff_utf8_next(text, &at)))
			continue;
		if (previous < start)
			qeff_span_add(spans, previous, start, false);
		qeff_span_add(spans, start, at, true);
		previous = at;
	}
	if (previous < size_bytes)
		qeff_span_add(spans, previous, size_bytes, false);
}

/*
 * Joins spans in place, so that each is a piece, and returns how many are left. A merged delimiter
 * goes to its neighbour unless that is a delimiter too.
 */
static size_t merge_spans(struct qeff_span *spans, size_t count, enum behaviour behaviour)
{
	size_t kept = 0;

	switch (behaviour) {
	case ISOLATED:
		return count;
	case REMOVED:
		for (size_t i = 0; i < count; i++)
			if (!spans[i].match)
				spans[kept++] = spans[i];
		return kept;
	case CONTIGUOUS:
		for (size_t i = 0; i < count; i++) {
			if (kept && spans[i].match == spans[kept - 1].match)
				spans[kept - 1].end = spans[i].end;
			else
				spans[kept++] = spans[i];
		}
		return kept;
	case MERGED_WITH_PREVIOUS:
		for (size_t i = 0; i < count; i++) {
			struct qeff_span span = spans[i];

			if (kept && span.match && !spans[kept - 1].match) {
				spans[kept - 1].end = span.end;
				spans[kept - 1].match = true;
			} else {
				spans[kept++] = span;
			}
		}
		return kept;
	case MERGED_WITH_NEXT:
		/* the same from behind: results gather at the end, then move to the front */
		for (size_t i = count; i-- > 0;) {
			struct qeff_span span = spans[i];

			if (kept && span.match && !spans[count - kept].match) {
				spans[count - kept].start = span.start;
				spans[count - kept].match = true;
			} else {
				spans[count - ++kept] = span;
			}
		}
		memmove(spans, spans + count - kept, kept * sizeof(*spans));
		return kept;
	}
	return count;
}

/* What one piece of @step is given to cut: its text, changed as the step demands, in @changed if at
 * all. */
static void change_text(const struct qeff_pretokenizer_step *step, const struct qeff_piece *piece,
			const uint8_t **text, size_t *size_bytes, struct qeff_bytes *changed)
{
	changed->size_bytes = 0;
	if (step->kind == BYTE_LEVEL) {
		if (!step->add_prefix_space || (*text)[0] == ' ')
			return;
		qeff_bytes_u8(changed, ' ');
		qeff_bytes_append(changed, *text, *size_bytes);
	} else if (step->kind == METASPACE) {
		size_t at = 0;
		const uint32_t first = qeff_utf8_next(*text, &at);

		if (first != ' ' && first != step->replacement &&
		    (step->scheme == PREPEND_ALWAYS ||
		     (step->scheme == PREPEND_FIRST && piece->at_start)))
			qeff_utf8_put(changed, step->replacement);
		for (at = 0; at < *size_bytes;) {
			uint32_t c = qeff_utf8_next(*text, &at);

			qeff_utf8_put(changed, c == ' ' ? step->replacement : c);
		}
	} else {
		return;
	}
	*text = changed->data;
	*size_bytes = changed->size_bytes;
}

static int find_spans(const struct qeff_pretokenizer_step *step, const uint8_t *text,
		      size_t size_bytes, struct qeff_bytes *spans, struct qeff_error *err)
{
	spans->size_bytes = 0;
	if (step->kind == BY_CLASS || (step->kind == METASPACE && step->split))
		split_by_class(step, text, size_bytes, spans);
	else if (step->pattern)
		return qeff_regex_split(step->pattern, text, size_bytes, spans, err);
	else
		qeff_span_add(spans, 0, size_bytes, false);
	return spans->failed ? qeff_error_set(err, -ENOMEM, "no memory to split a text") : 0;
}

static int run_piece(const struct qeff_pretokenizer_step *step, const struct qeff_piece *piece,
		     const uint8_t *text, struct qeff_bytes *changed, struct qeff_bytes *spans,
		     struct qeff_pieces *out, struct qeff_error *err)
{
	size_t size_bytes = piece->size_bytes, count;
	struct qeff_span *span;
	int rc;

	change_text(step, piece, &text, &size_bytes, changed);
	if (changed->failed)
		return qeff_error_set(err, -ENOMEM, "no memory to split a text");
	rc = find_spans(step, text, size_bytes, spans, err);
	if (rc < 0)
		return rc;
	span = (struct qeff_span *)spans->data;
	count = spans->size_bytes / sizeof(*span);
	for (size_t i = 0; step->invert && i < count; i++)
		span[i].match = !span[i].match;
	count = merge_spans(span, count, step->behaviour);
	for (size_t i = 0; i < count; i++) {
		size_t begin = qeff_pieces_begin(out);

		if (step->kind == BYTE_LEVEL)
			qeff_byte_level_encode(&out->text, text + span[i].start,
					       span[i].end - span[i].start);
		else
			qeff_bytes_append(&out->text, text + span[i].start,
					  span[i].end - span[i].start);
		qeff_pieces_end(out, begin, piece->at_start && span[i].start == 0, false);
	}
	return qeff_pieces_check(out, err);
}

int qeff_pretokenizer_run(const struct qeff_pretokenizer *pretokenizer, struct qeff_pieces *pieces,
			  struct qeff_error *err)
{
	struct qeff_bytes changed = { 0 }, spans = { 0 };
	struct qeff_pieces out = { 0 };
	int rc = 0;

	for (size_t s = 0; s < pretokenizer->count && rc == 0; s++) {
		struct qeff_pieces in;

		for (size_t i = 0; i < qeff_pieces_count(pieces) && rc == 0; i++) {
			const struct qeff_piece *piece = qeff_pieces_at(pieces, i);

			if (piece->is_token)
				qeff_pieces_token(&out, piece->id);
			else
				rc = run_piece(&pretokenizer->steps[s], piece,
					       qeff_piece_text(pieces, piece), &changed, &spans,
					       &out, err);
		}
		in = *pieces;
		*pieces = out;
		out = in;
		qeff_pieces_clear(&out);
	}
	if (rc == 0)
		rc = qeff_pieces_check(pieces, err);
	qeff_pieces_free(&out);
	qeff_bytes_free(&changed);
	qeff_bytes_free(&spans);
	return rc;
}
