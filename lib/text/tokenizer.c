/* SPDX-License-Identifier: MIT */
/* A tokenizer: the parts of a tokenizer.json put together, from text to ids and back. */
#include <qeff/tokenizer.h>

#include "text/added.h"
#include "text/decoder.h"
#include "text/json.h"
#include "text/postprocessor.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct qeff_tokenizer {
	struct qeff_normalizer normalizer;
	struct qeff_pretokenizer pretokenizer;
	struct qeff_model model;
	struct qeff_added added;
	struct qeff_postprocessor post;
	struct qeff_decoder decoder;
	int64_t special[QEFF_TOKEN_ROLES];
};

static int parse(struct qeff_tokenizer *t, const json_t *json, struct qeff_error *err)
{
	const json_t *version = json_object_get(json, "version");
	int rc;

	if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0")))
		return qeff_error_set(err, -ENOTSUP, "\"version\" of the tokenizer is not \"1.0\"");
	rc = qeff_normalizer_parse(&t->normalizer, json_object_get(json, "normalizer"), err);
	if (rc == 0)
		rc = qeff_pretokenizer_parse(&t->pretokenizer,
					     json_object_get(json, "pre_tokenizer"), err);
	if (rc == 0)
		rc = qeff_postprocessor_parse(&t->post, json_object_get(json, "post_processor"),
					      err);
	if (rc == 0)
		rc = qeff_decoder_parse(&t->decoder, json_object_get(json, "decoder"), err);
	if (rc == 0)
		rc = qeff_model_parse(&t->model, json_object_get(json, "model"), err);
	if (rc == 0)
		rc = qeff_added_parse(&t->added, json_object_get(json, "added_tokens"), &t->model,
				      &t->normalizer, err);
	return rc;
}

/* Which tokens play the roles: "bos_token" and so on are a string, or an object with "content". */
static void read_roles(struct qeff_tokenizer *t, const json_t *config)
{
	static const char *const keys[] = {
		[QEFF_TOKEN_BOS] = "bos_token",	  [QEFF_TOKEN_EOS] = "eos_token",
		[QEFF_TOKEN_UNK] = "unk_token",	  [QEFF_TOKEN_SEP] = "sep_token",
		[QEFF_TOKEN_PAD] = "pad_token",	  [QEFF_TOKEN_CLS] = "cls_token",
		[QEFF_TOKEN_MASK] = "mask_token",
	};

	for (size_t i = 0; i < QEFF_TOKEN_ROLES; i++) {
		const json_t *value = json_object_get(config, keys[i]);

		if (json_is_object(value))
			value = json_object_get(value, "content");
		if (json_is_string(value))
			t->special[i] = qeff_tokenizer_id(t, json_string_value(value),
							  json_string_length(value));
	}
}

static int tokenizer_new(const void *json, size_t json_bytes, struct qeff_tokenizer **tokenizer,
			 struct qeff_error *err)
{
	struct qeff_tokenizer *t;
	json_t *object;
	int rc;

	rc = qeff_json_load(json, json_bytes, "tokenizer.json", &object, err);
	if (rc < 0)
		return rc;
	t = calloc(1, sizeof(*t));
	if (!t) {
		json_decref(object);
		return qeff_error_set(err, -ENOMEM, "no memory for a tokenizer");
	}
	rc = parse(t, object, err);
	json_decref(object);
	if (rc < 0) {
		qeff_tokenizer_close(t);
		return qeff_error_prefix(err, rc, "tokenizer.json");
	}
	for (size_t i = 0; i < QEFF_TOKEN_ROLES; i++)
		t->special[i] = -1;
	if (t->model.unk_token.size_bytes)
		t->special[QEFF_TOKEN_UNK] = qeff_tokenizer_id(
			t, (const char *)t->model.unk_token.data, t->model.unk_token.size_bytes);
	*tokenizer = t;
	return 0;
}

int qeff_tokenizer_open_memory(const void *json, size_t json_bytes, const void *config,
			       size_t config_bytes, struct qeff_tokenizer **tokenizer,
			       struct qeff_error *err)
{
	json_t *roles = NULL;
	int rc;

	if (config) {
		rc = qeff_json_load(config, config_bytes, "tokenizer_config.json", &roles, err);
		if (rc < 0)
			return rc;
	}
	rc = tokenizer_new(json, json_bytes, tokenizer, err);
	if (rc == 0)
		read_roles(*tokenizer, roles);
	json_decref(roles);
	return rc;
}

static int join_path(char **path, const char *folder, const char *name, struct qeff_error *err)
{
	if (asprintf(path, "%s/%s", folder, name) >= 0)
		return 0;
	*path = NULL;
	return qeff_error_set(err, -ENOMEM, "no memory for a path");
}

/* Roles from a file that need not exist. */
static int read_roles_file(struct qeff_tokenizer *t, const char *folder, const char *name,
			   struct qeff_error *err)
{
	struct qeff_error ignored = { 0 };
	struct qeff_map map;
	json_t *config;
	char *path;
	int rc;

	rc = join_path(&path, folder, name, err);
	if (rc < 0)
		return rc;
	rc = qeff_map_open(&map, path, &ignored);
	free(path);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return qeff_error_set(err, rc, "%s", ignored.message);
	rc = qeff_json_load(map.data, map.size_bytes, map.path, &config, err);
	qeff_map_close(&map);
	if (rc < 0)
		return rc;
	read_roles(t, config);
	json_decref(config);
	return 0;
}

int qeff_tokenizer_open(const char *path, struct qeff_tokenizer **tokenizer, struct qeff_error *err)
{
	struct qeff_tokenizer *t = NULL;
	struct qeff_map map;
	struct stat status;
	char *joined = NULL;
	int rc;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
		rc = join_path(&joined, path, "tokenizer.json", err);
		if (rc < 0)
			return rc;
	}
	rc = qeff_map_open(&map, joined ? joined : path, err);
	if (rc < 0)
		goto done;
	rc = tokenizer_new(map.data, map.size_bytes, &t, err);
	if (rc < 0)
		rc = qeff_error_prefix(err, rc, "%s", map.path);
	qeff_map_close(&map);
	if (rc == 0 && joined)
		rc = read_roles_file(t, path, "special_tokens_map.json", err);
	if (rc == 0 && joined)
		rc = read_roles_file(t, path, "tokenizer_config.json", err);
	if (rc < 0)
		qeff_tokenizer_close(t);
	else
		*tokenizer = t;
done:
	free(joined);
	return rc;
}

void qeff_tokenizer_close(struct qeff_tokenizer *t)
{
	if (!t)
		return;
	qeff_normalizer_free(&t->normalizer);
	qeff_pretokenizer_free(&t->pretokenizer);
	qeff_model_free(&t->model);
	qeff_added_free(&t->added);
	qeff_postprocessor_free(&t->post);
	qeff_decoder_free(&t->decoder);
	free(t);
}

/* Ids of the words of @pieces; stops when @enough are there (0: never). */
static int encode_pieces(const struct qeff_tokenizer *t, const struct qeff_pieces *pieces,
			 size_t enough, struct qeff_bytes *ids, struct qeff_error *err)
{
	struct qeff_model_scratch scratch = { 0 };
	int rc = 0;

	for (size_t i = 0; i < qeff_pieces_count(pieces) && rc == 0; i++) {
		const struct qeff_piece *piece = qeff_pieces_at(pieces, i);

		if (enough && ids->size_bytes / sizeof(uint32_t) >= enough)
			break;
		if (piece->is_token)
			qeff_bytes_u32(ids, piece->id);
		else
			rc = qeff_model_encode(&t->model, &scratch, qeff_piece_text(pieces, piece),
					       piece->size_bytes, ids, err);
	}
	qeff_model_scratch_free(&scratch);
	if (rc == 0 && ids->failed)
		rc = qeff_error_set(err, -ENOMEM, "no memory for token ids");
	return rc;
}

/* Ids of a text, as struct qeff_sequence wants them in @plain. */
static int encode(const struct qeff_tokenizer *t, const char *text, size_t size_bytes,
		  size_t enough, struct qeff_bytes *plain, struct qeff_error *err)
{
	struct qeff_bytes valid = { 0 };
	struct qeff_pieces pieces = { 0 };
	int rc;

	if (size_bytes > QEFF_TEXT_BYTES_MAX)
		return qeff_error_set(err, -E2BIG, "a text of %zu bytes, at most %zu are supported",
				      size_bytes, QEFF_TEXT_BYTES_MAX);
	qeff_utf8_lossy(&valid, (const uint8_t *)text, size_bytes);
	if (valid.failed)
		rc = qeff_error_set(err, -ENOMEM, "no memory for a text of %zu bytes", size_bytes);
	else
		rc = qeff_added_extract(&t->added, &t->normalizer, valid.data, valid.size_bytes,
					&pieces, err);
	if (rc == 0)
		rc = qeff_pretokenizer_run(&t->pretokenizer, &pieces, err);
	if (rc == 0)
		rc = encode_pieces(t, &pieces, enough, plain, err);
	qeff_pieces_free(&pieces);
	qeff_bytes_free(&valid);
	return rc;
}

/* Cuts the longer one until both together have @room, or both to halves. */
static void cut_pair(struct qeff_sequence sequences[2], size_t room)
{
	struct qeff_sequence *shorter = &sequences[0], *longer = &sequences[1];

	if (shorter->count + longer->count <= room)
		return;
	if (shorter->count > longer->count) {
		shorter = &sequences[1];
		longer = &sequences[0];
	}
	if (shorter->count > room / 2)
		shorter->count = room / 2;
	longer->count = room - shorter->count;
}

static int encode_sequences(const struct qeff_tokenizer *t, const char *const *texts,
			    const size_t *size_bytes, size_t count, unsigned int flags,
			    size_t max_tokens, struct qeff_tokens *tokens, struct qeff_error *err)
{
	const bool add_special = flags & QEFF_ENCODE_SPECIAL;
	struct qeff_bytes plain[2] = { { 0 } }, ids = { 0 }, types = { 0 };
	struct qeff_sequence sequences[2] = { { 0 } };
	size_t special =
		add_special ? qeff_postprocessor_template(&t->post, count)->special_count : 0;
	size_t room = max_tokens ? max_tokens - special : SIZE_MAX;
	int rc = 0;

	*tokens = (struct qeff_tokens){ 0 };
	if (max_tokens && max_tokens <= special)
		return qeff_error_set(
			err, -EINVAL,
			"at most %zu tokens leave no room for a text beside %zu added tokens",
			max_tokens, special);
	for (size_t i = 0; i < count && rc == 0; i++) {
		/* how much of one text is left depends on all of the other */
		rc = encode(t, texts[i], size_bytes[i], max_tokens && count == 1 ? room : 0,
			    &plain[i], err);
		sequences[i] = (struct qeff_sequence){ (const uint32_t *)plain[i].data,
						       plain[i].size_bytes / sizeof(uint32_t) };
	}
	if (count == 2 && max_tokens)
		cut_pair(sequences, room);
	else if (sequences[0].count > room)
		sequences[0].count = room;
	if (rc == 0)
		rc = qeff_postprocessor_run(&t->post, sequences, count, add_special, &ids, &types,
					    err);
	qeff_bytes_free(&plain[0]);
	qeff_bytes_free(&plain[1]);
	if (rc < 0) {
		qeff_bytes_free(&ids);
		qeff_bytes_free(&types);
		return rc;
	}
	tokens->ids = (uint32_t *)ids.data;
	tokens->type_ids = (uint32_t *)types.data;
	tokens->count = ids.size_bytes / sizeof(uint32_t);
	return 0;
}

int qeff_tokenizer_encode(const struct qeff_tokenizer *t, const char *text, size_t size_bytes,
			  unsigned int flags, size_t max_tokens, struct qeff_tokens *tokens,
			  struct qeff_error *err)
{
	return encode_sequences(t, &text, &size_bytes, 1, flags, max_tokens, tokens, err);
}

int qeff_tokenizer_encode_pair(const struct qeff_tokenizer *t, const char *text, size_t text_bytes,
			       const char *pair, size_t pair_bytes, unsigned int flags,
			       size_t max_tokens, struct qeff_tokens *tokens,
			       struct qeff_error *err)
{
	return encode_sequences(t, (const char *const[]){ text, pair },
				(const size_t[]){ text_bytes, pair_bytes }, 2, flags, max_tokens,
				tokens, err);
}

void qeff_tokens_free(struct qeff_tokens *tokens)
{
	free(tokens->ids);
	free(tokens->type_ids);
	*tokens = (struct qeff_tokens){ 0 };
}

/* The token as decoders see it, or NULL if there is no such id. */
static const uint8_t *decoded_token(const struct qeff_tokenizer *t, uint32_t id, size_t *size_bytes,
				    bool *special)
{
	const struct qeff_added_token *added = qeff_added_find(&t->added, id);
	size_t index;

	*special = added && added->skipped;
	if (added) {
		*size_bytes = added->decoded.size_bytes;
		return added->decoded.data;
	}
	index = qeff_vocab_find_id(&t->model.vocab, id);
	if (index == QEFF_VOCAB_NONE)
		return NULL;
	*size_bytes = t->model.vocab.entries[index].size_bytes;
	return qeff_vocab_token(&t->model.vocab, index);
}

int qeff_tokenizer_decode(const struct qeff_tokenizer *t, const uint32_t *ids, size_t count,
			  bool skip_special, char **text, size_t *size_bytes,
			  struct qeff_error *err)
{
	struct qeff_pieces tokens = { 0 };
	struct qeff_bytes out = { 0 };
	int rc;

	for (size_t i = 0; i < count; i++) {
		size_t token_bytes = 0, begin = qeff_pieces_begin(&tokens);
		bool special;
		const uint8_t *token = decoded_token(t, ids[i], &token_bytes, &special);

		if (!token || (special && skip_special))
			continue;
		if (token_bytes)
			qeff_bytes_append(&tokens.text, token, token_bytes);
		qeff_pieces_end(&tokens, begin, false, true);
	}
	rc = qeff_decoder_run(&t->decoder, &tokens, &out, err);
	qeff_pieces_free(&tokens);
	if (rc == 0) {
		qeff_bytes_u8(&out, 0);
		if (out.failed)
			rc = qeff_error_set(err, -ENOMEM, "no memory to decode tokens");
	}
	if (rc < 0) {
		qeff_bytes_free(&out);
		return rc;
	}
	*text = (char *)out.data;
	if (size_bytes)
		*size_bytes = out.size_bytes - 1;
	return 0;
}

int64_t qeff_tokenizer_id(const struct qeff_tokenizer *t, const char *token, size_t size_bytes)
{
	size_t index = qeff_vocab_find(&t->added.vocab, token, size_bytes);

	if (index != QEFF_VOCAB_NONE)
		return t->added.vocab.entries[index].id;
	index = qeff_vocab_find(&t->model.vocab, token, size_bytes);
	return index == QEFF_VOCAB_NONE ? -1 : (int64_t)t->model.vocab.entries[index].id;
}

const char *qeff_tokenizer_token(const struct qeff_tokenizer *t, uint32_t id, size_t *size_bytes)
{
	const struct qeff_vocab *vocab = &t->added.vocab;
	size_t index = qeff_vocab_find_id(vocab, id);

	if (index == QEFF_VOCAB_NONE) {
		vocab = &t->model.vocab;
		index = qeff_vocab_find_id(vocab, id);
	}
	if (index == QEFF_VOCAB_NONE)
		return NULL;
	*size_bytes = vocab->entries[index].size_bytes;
	return (const char *)qeff_vocab_token(vocab, index);
}

size_t qeff_tokenizer_size(const struct qeff_tokenizer *t)
{
	size_t count = t->model.vocab.count;

	for (size_t i = 0; i < t->added.count; i++)
		count += qeff_vocab_find(&t->model.vocab, qeff_vocab_token(&t->added.vocab, i),
					 t->added.vocab.entries[i].size_bytes) == QEFF_VOCAB_NONE;
	return count;
}

bool qeff_tokenizer_is_special(const struct qeff_tokenizer *t, uint32_t id)
{
	const struct qeff_added_token *added = qeff_added_find(&t->added, id);

	return added && added->skipped;
}

int64_t qeff_tokenizer_special(const struct qeff_tokenizer *t, enum qeff_special_token role)
{
	return (unsigned int)role < QEFF_TOKEN_ROLES ? t->special[role] : -1;
}
