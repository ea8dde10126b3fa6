/* SPDX-License-Identifier: MIT */
/*
 * A text in pieces: what pre-tokenizers cut, and what decoders glue. Each step reads one list and
 * writes another.
 */
#ifndef QEFF_TEXT_PIECES_H
#define QEFF_TEXT_PIECES_H

#include "util/bytes.h"
#include "util/error.h"

/* No intermediate text may grow beyond this, whatever a tokenizer.json makes of the input. */
#define QEFF_TEXT_BYTES_MAX ((size_t)256 << 20)

/**
 * struct qeff_piece - a part of a text
 * @offset: into the text of the list
 * @is_token: an added token, already turned into @id: no step looks into it
 * @at_start: its first character came from the first of the input
 */
struct qeff_piece {
	size_t offset;
	size_t size_bytes;
	uint32_t id;
	bool is_token;
	bool at_start;
};

struct qeff_pieces {
	struct qeff_bytes text;
	struct qeff_bytes list; /* of struct qeff_piece */
};

static inline size_t qeff_pieces_count(const struct qeff_pieces *pieces)
{
	return pieces->list.size_bytes / sizeof(struct qeff_piece);
}

static inline const struct qeff_piece *qeff_pieces_at(const struct qeff_pieces *pieces, size_t i)
{
	return (const struct qeff_piece *)pieces->list.data + i;
}

static inline const uint8_t *qeff_piece_text(const struct qeff_pieces *pieces,
					     const struct qeff_piece *piece)
{
	/* all pieces may be empty, and then there is no text */
	return pieces->text.data ? pieces->text.data + piece->offset : (const uint8_t *)"";
}

/*
 * A piece under construction: qeff_pieces_begin(), appends to @pieces->text, qeff_pieces_end().
 * The piece is dropped if nothing was appended and @keep_empty is false.
 */
static inline size_t qeff_pieces_begin(const struct qeff_pieces *pieces)
{
	return pieces->text.size_bytes;
}

static inline void qeff_pieces_end(struct qeff_pieces *pieces, size_t begin, bool at_start,
				   bool keep_empty)
{
	struct qeff_piece piece = {
		.offset = begin,
		.size_bytes = pieces->text.size_bytes - begin,
		.at_start = at_start,
	};

	if (pieces->text.size_bytes > QEFF_TEXT_BYTES_MAX)
		pieces->text.failed = true;
	if (piece.size_bytes || keep_empty)
		qeff_bytes_append(&pieces->list, &piece, sizeof(piece));
}

static inline void qeff_pieces_token(struct qeff_pieces *pieces, uint32_t id)
{
	struct qeff_piece piece = { .id = id, .is_token = true };

	qeff_bytes_append(&pieces->list, &piece, sizeof(piece));
}

static inline int qeff_pieces_check(const struct qeff_pieces *pieces, struct qeff_error *err)
{
	if (pieces->text.size_bytes > QEFF_TEXT_BYTES_MAX)
		return qeff_error_set(err, -E2BIG,
				      "a text grows to %zu bytes, at most %zu are supported",
				      pieces->text.size_bytes, QEFF_TEXT_BYTES_MAX);
	if (pieces->text.failed || pieces->list.failed)
		return qeff_error_set(err, -ENOMEM, "no memory for a text in pieces");
	return 0;
}

static inline void qeff_pieces_clear(struct qeff_pieces *pieces)
{
	pieces->text.size_bytes = 0;
	pieces->list.size_bytes = 0;
}

static inline void qeff_pieces_free(struct qeff_pieces *pieces)
{
	qeff_bytes_free(&pieces->text);
	qeff_bytes_free(&pieces->list);
}

#endif
