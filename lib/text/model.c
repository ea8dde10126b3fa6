/* SPDX-License-Identifier: MIT */
/* Reading the "model" of a tokenizer.json, and WordPiece, which is short. */
#include "text/model.h"

#include "text/json.h"
#include "text/utf8.h"

#include <stdio.h>

#define AFFIX_BYTES_MAX 256

static int out_of_memory(struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "no memory for a tokenizer model");
}

/* An optional string of the model, short. */
static int parse_affix(const json_t *json, const char *key, struct qeff_bytes *affix,
		       struct qeff_error *err)
{
	const json_t *value = json_object_get(json, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value) || json_string_length(value) > AFFIX_BYTES_MAX)
		return qeff_error_set(err, -EINVAL,
				      "model: \"%s\" should be a string of at most %d bytes", key,
				      AFFIX_BYTES_MAX);
	qeff_bytes_append(affix, json_string_value(value), json_string_length(value));
	return affix->failed ? out_of_memory(err) : 0;
}

static int parse_vocab(struct qeff_model *model, const json_t *json, struct qeff_error *err)
{
	json_t *vocab = json_object_get(json, "vocab");
	const char *token;
	json_t *value;
	uint32_t id;
	int rc;

	if (!json_is_object(vocab))
		return qeff_error_set(err, -EINVAL, "model: \"vocab\" should be an object");
	json_object_foreach(vocab, token, value)
	{
		rc = qeff_json_id(value, "model vocab", token, &id, err);
		if (rc < 0)
			return rc;
		if (qeff_vocab_put(&model->vocab, token, strlen(token), id) < 0)
			return out_of_memory(err);
	}
	for (unsigned int byte = 0; byte < 256; byte++) {
		char name[8];
		size_t index;

		snprintf(name, sizeof(name), "<0x%02X>", byte);
		index = qeff_vocab_find(&model->vocab, name, 6);
		model->byte_ids[byte] =
			index == QEFF_VOCAB_NONE ? UINT32_MAX : model->vocab.entries[index].id;
	}
	return 0;
}

static int merge_operand(const struct qeff_model *model, const char *token, size_t size_bytes,
			 size_t rank, uint32_t *id, struct qeff_error *err)
{
	size_t index = qeff_vocab_find(&model->vocab, token, size_bytes);

	if (index == QEFF_VOCAB_NONE)
		return qeff_error_set(
			err, -EINVAL,
			"model: merge %zu names \"%.*s\", which is not in the vocabulary", rank,
			(int)(size_bytes < 80 ? size_bytes : 80), token);
	*id = model->vocab.entries[index].id;
	return 0;
}

static int add_merge(struct qeff_model *model, struct qeff_bytes *joined, const char *left,
		     size_t left_bytes, const char *right, size_t right_bytes, uint32_t rank,
		     struct qeff_error *err)
{
	const size_t skip = model->prefix.size_bytes;
	uint32_t left_id = 0, right_id = 0, id = 0;
	int rc;

	if (right_bytes < skip)
		return qeff_error_set(err, -EINVAL,
				      "model: merge %u has a right side without the prefix", rank);
	joined->size_bytes = 0;
	qeff_bytes_append(joined, left, left_bytes);
	qeff_bytes_append(joined, right + skip, right_bytes - skip);
	if (joined->failed)
		return out_of_memory(err);
	rc = merge_operand(model, left, left_bytes, rank, &left_id, err);
	if (rc == 0)
		rc = merge_operand(model, right, right_bytes, rank, &right_id, err);
	if (rc == 0)
		rc = merge_operand(model, (const char *)joined->data, joined->size_bytes, rank, &id,
				   err);
	if (rc < 0)
		return rc;
	rc = qeff_pair_map_put(&model->merges, (uint64_t)left_id << 32 | right_id,
			       (uint64_t)rank << 32 | id);
	return rc < 0 ? out_of_memory(err) : 0;
}

/* A merge is "left right" in older files and ["left", "right"] in newer ones. */
static int parse_merge(struct qeff_model *model, struct qeff_bytes *joined, const json_t *merge,
		       uint32_t *rank, struct qeff_error *err)
{
	const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);

	if (json_is_string(merge)) {
		const char *text = json_string_value(merge);
		const size_t size_bytes = json_string_length(merge);
		const char *space = memchr(text, ' ', size_bytes);
		size_t left_bytes;

		if (!strncmp(text, "#version", 8))
			return 0;
		if (!space || memchr(space + 1, ' ', (size_t)(text + size_bytes - space - 1)))
			return qeff_error_set(
				err, -EINVAL,
				"model: merge %u should be two tokens and a space, found \"%.80s\"",
				*rank, text);
		left_bytes = (size_t)(space - text);
		return add_merge(model, joined, text, left_bytes, space + 1,
				 size_bytes - left_bytes - 1, (*rank)++, err);
	}
	if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
		return qeff_error_set(err, -EINVAL, "model: merge %u should be a pair of tokens",
				      *rank);
	return add_merge(model, joined, json_string_value(left), json_string_length(left),
			 json_string_value(right), json_string_length(right), (*rank)++, err);
}

static int parse_bpe(struct qeff_model *model, const json_t *json, struct qeff_error *err)
{
	const json_t *merges = json_object_get(json, "merges");
	const json_t *dropout = json_object_get(json, "dropout");
	struct qeff_bytes joined = { 0 };
	uint32_t rank = 0;
	int rc;

	model->kind = QEFF_MODEL_BPE;
	if (json_is_number(dropout) && json_number_value(dropout) != 0)
		return qeff_error_set(err, -ENOTSUP,
				      "model BPE: a dropout of %g (random tokens) is not supported",
				      json_number_value(dropout));
	rc = parse_affix(json, "continuing_subword_prefix", &model->prefix, err);
	if (rc == 0)
		rc = parse_affix(json, "end_of_word_suffix", &model->suffix, err);
	if (rc == 0)
		rc = qeff_json_bool(json, "model BPE", "fuse_unk", &model->fuse_unk, err);
	if (rc == 0)
		rc = qeff_json_bool(json, "model BPE", "byte_fallback", &model->byte_fallback, err);
	if (rc == 0)
		rc = qeff_json_bool(json, "model BPE", "ignore_merges", &model->ignore_merges, err);
	if (rc == 0)
		rc = parse_vocab(model, json, err);
	if (rc == 0 && !json_is_array(merges))
		rc = qeff_error_set(err, -EINVAL, "model BPE: \"merges\" should be an array");
	for (size_t i = 0; rc == 0 && i < json_array_size(merges); i++)
		rc = parse_merge(model, &joined, json_array_get(merges, i), &rank, err);
	qeff_bytes_free(&joined);
	return rc;
}

static int parse_wordpiece(struct qeff_model *model, const json_t *json, struct qeff_error *err)
{
	int rc;

	model->kind = QEFF_MODEL_WORDPIECE;
	model->max_chars = 100;
	rc = parse_affix(json, "continuing_subword_prefix", &model->prefix, err);
	if (rc == 0)
		rc = qeff_json_size(json, "model WordPiece", "max_input_chars_per_word", 65536,
				    &model->max_chars, err);
	return rc < 0 ? rc : parse_vocab(model, json, err);
}

int qeff_model_parse(struct qeff_model *model, const json_t *json, struct qeff_error *err)
{
	const char *type;
	int rc;

	*model = (struct qeff_model){ 0 };
	if (!json_is_object(json))
		return qeff_error_set(err, -EINVAL, "\"model\" should be an object");
	/* Files from before 2021 do not say what they are. */
	if (!json_object_get(json, "type"))
		type = json_object_get(json, "merges") ? "BPE" : "WordPiece";
	else if (qeff_json_type(json, "model", &type, err) < 0)
		return -EINVAL;
	rc = parse_affix(json, "unk_token", &model->unk_token, err);
	if (rc < 0)
		goto failed;
	if (!strcmp(type, "BPE"))
		rc = parse_bpe(model, json, err);
	else if (!strcmp(type, "WordPiece"))
		rc = parse_wordpiece(model, json, err);
	else
		rc = qeff_error_set(err, -ENOTSUP, "model \"%.60s\" is not supported", type);
	if (rc == 0)
		return 0;
failed:
	qeff_model_free(model);
	return rc;
}

void qeff_model_free(struct qeff_model *model)
{
	qeff_vocab_free(&model->vocab);
	qeff_pair_map_free(&model->merges);
	qeff_bytes_free(&model->prefix);
	qeff_bytes_free(&model->suffix);
	qeff_bytes_free(&model->unk_token);
}

void qeff_model_scratch_free(struct qeff_model_scratch *scratch)
{
	qeff_bytes_free(&scratch->key);
	qeff_bytes_free(&scratch->symbols);
	qeff_bytes_free(&scratch->heap);
}

int qeff_model_unknown(const struct qeff_model *model, uint32_t *id, struct qeff_error *err)
{
	size_t index =
		qeff_vocab_find(&model->vocab, model->unk_token.data, model->unk_token.size_bytes);

	if (index == QEFF_VOCAB_NONE)
		return qeff_error_set(
			err, -EINVAL,
			"the text needs the unknown token \"%.*s\", which is not in the vocabulary",
			(int)model->unk_token.size_bytes, (const char *)model->unk_token.data);
	*id = model->vocab.entries[index].id;
	return 0;
}

int qeff_model_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
		      const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
		      struct qeff_error *err)
{
	return model->kind == QEFF_MODEL_BPE
		       ? qeff_bpe_encode(model, scratch, word, size_bytes, ids, err)
		       : qeff_wordpiece_encode(model, scratch, word, size_bytes, ids, err);
}

/* The longest known start of @rest, with the prefix before it inside a word. */
static size_t longest_match(const struct qeff_model *model, struct qeff_bytes *key,
			    const uint8_t *rest, size_t size_bytes, bool inside, size_t *index)
{
	const size_t skip = inside ? model->prefix.size_bytes : 0;

	key->size_bytes = 0;
	qeff_bytes_append(key, model->prefix.data, skip);
	qeff_bytes_append(key, rest, size_bytes);
	if (key->failed)
		return 0;
	while (size_bytes > 0) {
		*index = qeff_vocab_find(&model->vocab, key->data, skip + size_bytes);
		if (*index != QEFF_VOCAB_NONE)
			return size_bytes;
		size_bytes = qeff_utf8_previous(rest, size_bytes);
	}
	return 0;
}

int qeff_wordpiece_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
			  const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
			  struct qeff_error *err)
{
	const size_t before = ids->size_bytes;
	uint32_t unknown;
	int rc;

	if (qeff_utf8_count(word, size_bytes) <= model->max_chars) {
		size_t at = 0, index, length;

		while (at < size_bytes) {
			length = longest_match(model, &scratch->key, word + at, size_bytes - at,
					       at > 0, &index);
			if (!length)
				break;
			qeff_bytes_u32(ids, model->vocab.entries[index].id);
			at += length;
		}
		if (at == size_bytes)
			return 0;
		/* one part unknown: the whole word is */
		ids->size_bytes = before;
		if (scratch->key.failed)
			return out_of_memory(err);
	}
	rc = qeff_model_unknown(model, &unknown, err);
	if (rc == 0)
		qeff_bytes_u32(ids, unknown);
	return rc;
}
