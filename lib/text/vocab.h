/* SPDX-License-Identifier: MIT */
/* The two tables a model is looked up in: token text to id and back, and pair of ids to merge. */
#ifndef QEFF_TEXT_VOCAB_H
#define QEFF_TEXT_VOCAB_H

#include "util/bytes.h"
#include "util/error.h"

/**
 * struct qeff_pair_map - 64-bit keys to 64-bit values, open addressing
 *
 * Keys come from files, so the hash is seeded: nobody can prepare a file whose keys collide.
 * The key UINT64_MAX means "empty" and may not be inserted.
 */
struct qeff_pair_map {
	struct {
		uint64_t key;
		uint64_t value;
	} * slots;
	size_t mask; /* slot count - 1; 0 with slots == NULL */
	size_t count;
	uint64_t seed;
};

/* A later value for the same key replaces the earlier. Returns 0 or -ENOMEM. */
int qeff_pair_map_put(struct qeff_pair_map *map, uint64_t key, uint64_t value);
bool qeff_pair_map_get(const struct qeff_pair_map *map, uint64_t key, uint64_t *value);
void qeff_pair_map_free(struct qeff_pair_map *map);

struct qeff_vocab_entry {
	size_t offset; /* into struct qeff_vocab.text */
	uint32_t size_bytes;
	uint32_t id;
};

/**
 * struct qeff_vocab - token text to id and back
 * @text: all tokens, one after the other, no terminators
 * @entries: in order of insertion; an index into it is how entries are named
 */
struct qeff_vocab {
	struct qeff_bytes text;
	struct qeff_vocab_entry *entries;
	size_t count;
	size_t capacity;
	uint32_t *slots; /* entry index + 1, 0 for empty */
	size_t mask;
	struct qeff_pair_map by_id;
	uint64_t seed;
};

#define QEFF_VOCAB_NONE SIZE_MAX

/* Adds a token, or gives a known one a new id. Returns 0, or -EINVAL for the id 0xffffffff, or
 * -ENOMEM. */
int qeff_vocab_put(struct qeff_vocab *vocab, const void *token, size_t size_bytes, uint32_t id);
/* Index of the entry, or QEFF_VOCAB_NONE. */
size_t qeff_vocab_find(const struct qeff_vocab *vocab, const void *token, size_t size_bytes);
size_t qeff_vocab_find_id(const struct qeff_vocab *vocab, uint32_t id);
void qeff_vocab_free(struct qeff_vocab *vocab);

static inline const uint8_t *qeff_vocab_token(const struct qeff_vocab *vocab, size_t index)
{
	/* all tokens may be empty, and then there is no text */
	return vocab->text.data ? vocab->text.data + vocab->entries[index].offset
				: (const uint8_t *)"";
}

#endif
