/* SPDX-License-Identifier: MIT */
/* Added tokens: found in the text as they stand, before anything is cut. */
#ifndef QEFF_TEXT_ADDED_H
#define QEFF_TEXT_ADDED_H

#include "text/model.h"
#include "text/normalizer.h"
#include "text/pieces.h"

struct qeff_trie_node;

/* A set of strings that is searched for the longest one at the leftmost place. */
struct qeff_trie {
	struct qeff_trie_node *nodes; /* node 0 is the root */
	size_t count;
	size_t capacity;
};

/**
 * struct qeff_added_token - an entry of "added_tokens"
 * @index: of its content in struct qeff_added.vocab, which holds the id too
 * @decoded: what decoders see of it: the normalised content if it is normalised
 * @special: whether decoding may leave it out
 */
struct qeff_added_token {
	size_t index;
	struct qeff_bytes decoded;
	bool special;
	bool skipped;
	bool normalized;
	bool single_word;
	bool lstrip;
	bool rstrip;
};

struct qeff_added {
	struct qeff_vocab vocab; /* entry i belongs to tokens[i] */
	struct qeff_added_token *tokens;
	size_t count;
	struct qeff_trie as_is;
	struct qeff_trie normalized;
	struct qeff_regex *word; /* matches one word character, if single_word is used */
};

/* @json: "added_tokens" of a tokenizer.json, NULL for none. */
int qeff_added_parse(struct qeff_added *added, const json_t *json, const struct qeff_model *model,
		     const struct qeff_normalizer *normalizer, struct qeff_error *err);
void qeff_added_free(struct qeff_added *added);

/* NULL unless @id is an added token's. */
const struct qeff_added_token *qeff_added_find(const struct qeff_added *added, uint32_t id);

/*
 * Cuts @text (valid UTF-8) into added tokens and what lies between, normalises the latter and cuts
 * them once more at the tokens that are looked for in normalised text.
 */
int qeff_added_extract(const struct qeff_added *added, const struct qeff_normalizer *normalizer,
		       const uint8_t *text, size_t size_bytes, struct qeff_pieces *pieces,
		       struct qeff_error *err);

#endif
