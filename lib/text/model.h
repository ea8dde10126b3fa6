/* SPDX-License-Identifier: MIT */
/* Models: from a word to token ids. Byte-pair encoding and WordPiece. */
#ifndef QEFF_TEXT_MODEL_H
#define QEFF_TEXT_MODEL_H

#include "text/vocab.h"

#include <jansson.h>

enum qeff_model_kind {
	QEFF_MODEL_BPE,
	QEFF_MODEL_WORDPIECE,
};

/**
 * struct qeff_model - what "model" of a tokenizer.json says
 * @merges: pair of ids (left in the upper half) to rank (upper half) and id of the pair merged
 * @prefix: what subwords inside a word begin with ("##"); empty for none
 * @suffix: what the last subword of a word ends with (BPE's "</w>"); empty for none
 * @unk_token: text of the unknown token; empty for none
 * @byte_ids: ids of "<0x00>" to "<0xFF>", UINT32_MAX where there is none
 * @max_chars: longer words are unknown (WordPiece)
 */
struct qeff_model {
	enum qeff_model_kind kind;
	struct qeff_vocab vocab;
	struct qeff_pair_map merges;
	struct qeff_bytes prefix;
	struct qeff_bytes suffix;
	struct qeff_bytes unk_token;
	uint32_t byte_ids[256];
	size_t max_chars;
	bool fuse_unk;
	bool byte_fallback;
	bool ignore_merges;
};

/* Memory that encoding one word after the other uses again. */
struct qeff_model_scratch {
	struct qeff_bytes key;
	struct qeff_bytes symbols;
	struct qeff_bytes heap;
};

int qeff_model_parse(struct qeff_model *model, const json_t *json, struct qeff_error *err);
void qeff_model_free(struct qeff_model *model);
void qeff_model_scratch_free(struct qeff_model_scratch *scratch);

/* Appends the ids (uint32_t) of a word, not empty, to @ids. */
int qeff_model_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
		      const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
		      struct qeff_error *err);

/* The two algorithms behind qeff_model_encode(). */
int qeff_bpe_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
		    const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
		    struct qeff_error *err);
int qeff_wordpiece_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
			  const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
			  struct qeff_error *err);

/* Id of the unknown token; an error if the vocabulary does not have it. */
int qeff_model_unknown(const struct qeff_model *model, uint32_t *id, struct qeff_error *err);

#endif
