/* SPDX-License-Identifier: MIT */
/*
 * Decoders. A "decoder" is parsed into a flat list of steps; each step reads a list of tokens and
 * writes another, and the text is what the last list joins to.
 */
#include "text/decoder.h"

#include "text/byte_level.h"
#include "text/json.h"
#include "text/normalizer.h"
#include "text/utf8.h"

#include <stdlib.h>

#define STEPS_MAX 64
#define DEPTH_MAX 8

enum decoder_kind {
	BYTE_LEVEL,
	BYTE_FALLBACK,
	FUSE,
	WORDPIECE,
	METASPACE,
	STRIP,
	REPLACE,
	BPE,
};

struct qeff_decoder_step {
	enum decoder_kind kind;
	struct qeff_bytes text; /* WORDPIECE: prefix; REPLACE: content; BPE: suffix */
	bool cleanup;		/* WORDPIECE */
	bool drop_first;	/* METASPACE: the marks of the first token */
	uint32_t mark;		/* METASPACE, STRIP */
	size_t start;		/* STRIP: how many at most */
	size_t stop;
	struct qeff_regex *pattern; /* REPLACE */
};

static int parse_wordpiece(struct qeff_decoder_step *step, const json_t *json,
			   struct qeff_error *err)
{
	int rc;

	rc = qeff_json_content(json, "decoder WordPiece", "prefix", &step->text, err);
	step->cleanup = true;
	return rc < 0 ? rc
		      : qeff_json_bool(json, "decoder WordPiece", "cleanup", &step->cleanup, err);
}

static int parse_metaspace(struct qeff_decoder_step *step, const json_t *json,
			   struct qeff_error *err)
{
	const json_t *scheme = json_object_get(json, "prepend_scheme");
	bool add_prefix_space = true;
	int rc;

	rc = qeff_json_char(json, "decoder Metaspace", "replacement", &step->mark, err);
	if (rc == 0)
		rc = qeff_json_bool(json, "decoder Metaspace", "add_prefix_space",
				    &add_prefix_space, err);
	step->drop_first = add_prefix_space &&
			   !(json_is_string(scheme) && !strcmp(json_string_value(scheme), "never"));
	return rc;
}

static int parse_strip(struct qeff_decoder_step *step, const json_t *json, struct qeff_error *err)
{
	int rc;

	rc = qeff_json_char(json, "decoder Strip", "content", &step->mark, err);
	if (rc == 0)
		rc = qeff_json_size(json, "decoder Strip", "start", UINT32_MAX, &step->start, err);
	if (rc == 0)
		rc = qeff_json_size(json, "decoder Strip", "stop", UINT32_MAX, &step->stop, err);
	return rc;
}

static int parse_replace(struct qeff_decoder_step *step, const json_t *json, struct qeff_error *err)
{
	int rc;

	rc = qeff_pattern_parse(&step->pattern, json_object_get(json, "pattern"), "decoder Replace",
				err);
	return rc < 0 ? rc
		      : qeff_json_content(json, "decoder Replace", "content", &step->text, err);
}

static int parse_bpe(struct qeff_decoder_step *step, const json_t *json, struct qeff_error *err)
{
	return qeff_json_content(json, "decoder BPEDecoder", "suffix", &step->text, err);
}

static int parse_one(struct qeff_decoder *decoder, const json_t *json, unsigned int depth,
		     struct qeff_error *err)
{
	static const struct {
		const char *type;
		enum decoder_kind kind;
		int (*parse)(struct qeff_decoder_step *step, const json_t *json,
			     struct qeff_error *err);
	} kinds[] = {
		{ "ByteLevel", BYTE_LEVEL, NULL },
		{ "ByteFallback", BYTE_FALLBACK, NULL },
		{ "Fuse", FUSE, NULL },
		{ "WordPiece", WORDPIECE, parse_wordpiece },
		{ "Metaspace", METASPACE, parse_metaspace },
		{ "Strip", STRIP, parse_strip },
		{ "Replace", REPLACE, parse_replace },
		{ "BPEDecoder", BPE, parse_bpe },
	};
	const json_t *list = json_object_get(json, "decoders");
	struct qeff_decoder_step *step;
	const char *type;
	int rc;

	rc = qeff_json_type(json, "decoder", &type, err);
	if (rc < 0)
		return rc;
	if (!strcmp(type, "Sequence")) {
		if (!json_is_array(list) || depth == DEPTH_MAX)
			return qeff_error_set(
				err, -EINVAL,
				"decoder Sequence: expected an array \"decoders\" at most %d deep",
				DEPTH_MAX);
		for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
			rc = parse_one(decoder, json_array_get(list, i), depth + 1, err);
		return rc;
	}
	if (decoder->count == STEPS_MAX)
		return qeff_error_set(err, -EINVAL, "decoder: more than %d steps", STEPS_MAX);
	step = &decoder->steps[decoder->count];
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(type, kinds[i].type)) {
			decoder->count++;
			step->kind = kinds[i].kind;
			return kinds[i].parse ? kinds[i].parse(step, json, err) : 0;
		}
	return qeff_error_set(err, -ENOTSUP, "decoder \"%.60s\" is not supported", type);
}

int qeff_decoder_parse(struct qeff_decoder *decoder, const json_t *json, struct qeff_error *err)
{
	int rc;

	*decoder = (struct qeff_decoder){ 0 };
	if (!json || json_is_null(json))
		return 0;
	decoder->present = true;
	decoder->steps = calloc(STEPS_MAX, sizeof(*decoder->steps));
	if (!decoder->steps)
		return qeff_error_set(err, -ENOMEM, "no memory for a decoder");
	rc = parse_one(decoder, json, 0, err);
	if (rc < 0)
		qeff_decoder_free(decoder);
	return rc;
}

void qeff_decoder_free(struct qeff_decoder *decoder)
{
	for (size_t i = 0; i < decoder->count; i++) {
		qeff_bytes_free(&decoder->steps[i].text);
		qeff_regex_free(decoder->steps[i].pattern);
	}
	free(decoder->steps);
	*decoder = (struct qeff_decoder){ 0 };
}

static void add_token(struct qeff_pieces *out, const uint8_t *text, size_t size_bytes)
{
	size_t begin = qeff_pieces_begin(out);

	if (size_bytes)
		qeff_bytes_append(&out->text, text, size_bytes);
	qeff_pieces_end(out, begin, false, true);
}

/* Bytes of all tokens together, made valid at the end: a character may be spread over several
 * tokens. */
static void run_byte_level(const struct qeff_pieces *in, struct qeff_pieces *out)
{
	size_t begin = qeff_pieces_begin(out);
	struct qeff_bytes bytes = { 0 };

	for (size_t i = 0; i < qeff_pieces_count(in); i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);

		qeff_byte_level_decode(&bytes, qeff_piece_text(in, token), token->size_bytes);
	}
	qeff_utf8_lossy(&out->text, bytes.data, bytes.size_bytes);
	out->text.failed |= bytes.failed;
	qeff_bytes_free(&bytes);
	qeff_pieces_end(out, begin, false, true);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0xE2>" */
static bool is_byte_token(const uint8_t *text, size_t size_bytes, uint8_t *byte)
{
	if (size_bytes != 6 || memcmp(text, "<0x", 3) || text[5] != '>' || hex_digit(text[3]) < 0 ||
	    hex_digit(text[4]) < 0)
		return false;
	*byte = (uint8_t)(hex_digit(text[3]) << 4 | hex_digit(text[4]));
	return true;
}

/* A run of byte tokens is one string if it is valid UTF-8, otherwise each byte is a replacement
 * character. */
static void flush_bytes(struct qeff_bytes *run, struct qeff_pieces *out)
{
	if (!run->size_bytes)
		return;
	if (qeff_utf8_valid_bytes(run->data, run->size_bytes) == run->size_bytes) {
		add_token(out, run->data, run->size_bytes);
	} else {
		for (size_t i = 0; i < run->size_bytes; i++)
			add_token(out, (const uint8_t *)"\xef\xbf\xbd", 3);
	}
	run->size_bytes = 0;
}

static void run_byte_fallback(const struct qeff_pieces *in, struct qeff_pieces *out)
{
	struct qeff_bytes run = { 0 };

	for (size_t i = 0; i < qeff_pieces_count(in); i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		uint8_t byte;

		if (is_byte_token(text, token->size_bytes, &byte)) {
			qeff_bytes_u8(&run, byte);
			continue;
		}
		flush_bytes(&run, out);
		add_token(out, text, token->size_bytes);
	}
	flush_bytes(&run, out);
	out->text.failed |= run.failed;
	qeff_bytes_free(&run);
}

/* Replaces every @from in the token that begins at @begin of @text. */
static void replace_all(struct qeff_bytes *text, size_t begin, const char *from, const char *to)
{
	const size_t from_bytes = strlen(from), to_bytes = strlen(to);
	size_t at = begin, write = begin;

	while (at < text->size_bytes) {
		if (text->size_bytes - at >= from_bytes &&
		    !memcmp(text->data + at, from, from_bytes)) {
			/* never longer than what it replaces, so this stays behind the reader */
			memcpy(text->data + write, to, to_bytes);
			write += to_bytes;
			at += from_bytes;
		} else {
			text->data[write++] = text->data[at++];
		}
	}
	text->size_bytes = write;
}

/* English spacing: what tokenizers of BERT's time put apart. The order matters. */
static void clean_up(struct qeff_bytes *text, size_t begin)
{
	static const char *const pairs[][2] = {
		{ " .", "." },	 { " ?", "?" },	    { " !", "!" },     { " ,", "," },
		{ " ' ", "'" },	 { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
		{ " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		replace_all(text, begin, pairs[i][0], pairs[i][1]);
}

static void run_wordpiece(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
			  struct qeff_pieces *out)
{
	for (size_t i = 0; i < qeff_pieces_count(in); i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		size_t begin = qeff_pieces_begin(out), skip = step->text.size_bytes;

		if (i == 0)
			skip = 0;
		else if (token->size_bytes < skip || (skip && memcmp(text, step->text.data, skip)))
			skip = SIZE_MAX;
		if (skip == SIZE_MAX) {
			qeff_bytes_u8(&out->text, ' ');
			skip = 0;
		}
		if (token->size_bytes > skip)
			qeff_bytes_append(&out->text, text + skip, token->size_bytes - skip);
		if (step->cleanup && !out->text.failed)
			clean_up(&out->text, begin);
		qeff_pieces_end(out, begin, false, true);
	}
}

static void run_metaspace(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
			  struct qeff_pieces *out)
{
	for (size_t i = 0; i < qeff_pieces_count(in); i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		size_t begin = qeff_pieces_begin(out);

		for (size_t at = 0; at < token->size_bytes;) {
			uint32_t c = qeff_utf8_next(text, &at);

			if (c != step->mark)
				qeff_utf8_put(&out->text, c);
			else if (i > 0 || !step->drop_first)
				qeff_bytes_u8(&out->text, ' ');
		}
		qeff_pieces_end(out, begin, false, true);
	}
}

static void run_strip(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
		      struct qeff_pieces *out)
{
	for (size_t i = 0; i < qeff_pieces_count(in); i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		size_t start = 0, end = token->size_bytes;

		for (size_t n = 0; n < step->start && start < end; n++) {
			size_t next = start;

			if (qeff_utf8_next(text, &next) != step->mark)
				break;
			start = next;
		}
		for (size_t n = 0; n < step->stop && end > start; n++) {
			size_t previous = qeff_utf8_previous(text, end), at = previous;

			if (qeff_utf8_next(text, &at) != step->mark)
				break;
			end = previous;
		}
		add_token(out, text + start, end - start);
	}
}

static int run_replace(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
		       struct qeff_pieces *out, struct qeff_error *err)
{
	struct qeff_bytes spans = { 0 };
	int rc = 0;

	for (size_t i = 0; i < qeff_pieces_count(in) && rc == 0; i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		size_t begin = qeff_pieces_begin(out);

		spans.size_bytes = 0;
		rc = qeff_regex_split(step->pattern, text, token->size_bytes, &spans, err);
		for (size_t k = 0; rc == 0 && k < spans.size_bytes / sizeof(struct qeff_span);
		     k++) {
			const struct qeff_span *span = (const struct qeff_span *)spans.data + k;

			if (span->match)
				qeff_bytes_append(&out->text, step->text.data,
						  step->text.size_bytes);
			else
				qeff_bytes_append(&out->text, text + span->start,
						  span->end - span->start);
		}
		qeff_pieces_end(out, begin, false, true);
		if (rc == 0)
			rc = qeff_pieces_check(out, err);
	}
	qeff_bytes_free(&spans);
	return rc;
}

/* The end of a word becomes a space, except in the last token. */
static void run_bpe(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
		    struct qeff_pieces *out)
{
	const size_t count = qeff_pieces_count(in), suffix = step->text.size_bytes;

	for (size_t i = 0; i < count; i++) {
		const struct qeff_piece *token = qeff_pieces_at(in, i);
		const uint8_t *text = qeff_piece_text(in, token);
		size_t begin = qeff_pieces_begin(out), at = 0;

		while (at < token->size_bytes) {
			if (suffix && token->size_bytes - at >= suffix &&
			    !memcmp(text + at, step->text.data, suffix)) {
				if (i + 1 < count)
					qeff_bytes_u8(&out->text, ' ');
				at += suffix;
			} else {
				qeff_bytes_u8(&out->text, text[at++]);
			}
		}
		qeff_pieces_end(out, begin, false, true);
	}
}

static int run_step(const struct qeff_decoder_step *step, const struct qeff_pieces *in,
		    struct qeff_pieces *out, struct qeff_error *err)
{
	switch (step->kind) {
	case BYTE_LEVEL:
		run_byte_level(in, out);
		break;
	case BYTE_FALLBACK:
		run_byte_fallback(in, out);
		break;
	case FUSE:
		/* the pieces of a list lie one behind the other */
		add_token(out, in->text.data, in->text.size_bytes);
		break;
	case WORDPIECE:
		run_wordpiece(step, in, out);
		break;
	case METASPACE:
		run_metaspace(step, in, out);
		break;
	case STRIP:
		run_strip(step, in, out);
		break;
	case REPLACE:
		return run_replace(step, in, out, err);
	case BPE:
		run_bpe(step, in, out);
		break;
	}
	return qeff_pieces_check(out, err);
}

int qeff_decoder_run(const struct qeff_decoder *decoder, struct qeff_pieces *tokens,
		     struct qeff_bytes *out, struct qeff_error *err)
{
	struct qeff_pieces next = { 0 };
	int rc = qeff_pieces_check(tokens, err);

	for (size_t i = 0; i < decoder->count && rc == 0; i++) {
		struct qeff_pieces done;

		rc = run_step(&decoder->steps[i], tokens, &next, err);
		done = *tokens;
		*tokens = next;
		next = done;
		qeff_pieces_clear(&next);
	}
	qeff_pieces_free(&next);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < qeff_pieces_count(tokens); i++) {
		const struct qeff_piece *token = qeff_pieces_at(tokens, i);

		if (i && !decoder->present)
			qeff_bytes_u8(out, ' ');
		if (token->size_bytes)
			qeff_bytes_append(out, qeff_piece_text(tokens, token), token->size_bytes);
	}
	return out->failed ? qeff_error_set(err, -ENOMEM, "no memory to decode tokens") : 0;
}
