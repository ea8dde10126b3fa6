/* SPDX-License-Identifier: MIT */
/* Added tokens: reading them, and finding them in a text with a trie. */
#include "text/added.h"

#include "text/json.h"
#include "text/unicode.h"
#include "text/utf8.h"

#include "util/log.h"

#include <stdlib.h>

/* Added tokens may not be longer than this in total: trie nodes are made for them. */
#define TOKEN_BYTES_MAX ((size_t)16 << 20)
#define TRIE_NODES_MAX	((size_t)64 << 20)
#define NO_TOKEN	UINT32_MAX

/* \w of the Rust regex crate, which decides what a "single word" is. */
#define WORD_PATTERN "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"

struct qeff_trie_node {
	uint32_t child; /* first child, 0 for none: the root is nobody's child */
	uint32_t sibling;
	uint32_t token; /* index of the token that ends here */
	uint8_t byte;
};

static uint32_t trie_child(const struct qeff_trie *trie, uint32_t node, uint8_t byte)
{
	uint32_t child = trie->nodes[node].child;

	while (child && trie->nodes[child].byte != byte)
		child = trie->nodes[child].sibling;
	return child;
}

static int trie_add_node(struct qeff_trie *trie, uint8_t byte)
{
	if (trie->count == trie->capacity) {
		size_t capacity = trie->capacity ? trie->capacity * 2 : 256;
		struct qeff_trie_node *nodes;

		nodes = capacity > TRIE_NODES_MAX ? NULL
						  : realloc(trie->nodes, capacity * sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		trie->nodes = nodes;
		trie->capacity = capacity;
	}
	trie->nodes[trie->count++] = (struct qeff_trie_node){ .byte = byte, .token = NO_TOKEN };
	return 0;
}

static int trie_add(struct qeff_trie *trie, const uint8_t *text, size_t size_bytes, uint32_t token)
{
	uint32_t node = 0;

	if (!trie->count && trie_add_node(trie, 0) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < size_bytes; i++) {
		uint32_t child = trie_child(trie, node, text[i]);

		if (!child) {
			if (trie_add_node(trie, text[i]) < 0)
				return -ENOMEM;
			child = (uint32_t)trie->count - 1;
			trie->nodes[child].sibling = trie->nodes[node].child;
			trie->nodes[node].child = child;
		}
		node = child;
	}
	trie->nodes[node].token = token;
	return 0;
}

/* The first place at or after @from where a token stands, and the longest one there. */
static bool trie_find(const struct qeff_trie *trie, const uint8_t *text, size_t size_bytes,
		      size_t from, size_t *start, size_t *end, uint32_t *token)
{
	if (!trie->count)
		return false;
	for (*start = from; *start < size_bytes; (*start)++) {
		uint32_t node = 0;

		*token = NO_TOKEN;
		for (size_t at = *start; at < size_bytes; at++) {
			node = trie_child(trie, node, text[at]);
			if (!node)
				break;
			if (trie->nodes[node].token != NO_TOKEN) {
				*token = trie->nodes[node].token;
				*end = at + 1;
			}
		}
		if (*token != NO_TOKEN)
			return true;
	}
	return false;
}

/*
 * The id of a token is that of the model's vocabulary if it is in there. Otherwise new ids are
 * counted up; the number in the file is not believed, and a difference is worth a word in the log.
 */
static uint32_t assign_id(const struct qeff_added *added, const struct qeff_model *model,
			  const char *content, size_t size_bytes, uint32_t *next)
{
	size_t index = qeff_vocab_find(&added->vocab, content, size_bytes);

	if (index != QEFF_VOCAB_NONE)
		return added->vocab.entries[index].id;
	index = qeff_vocab_find(&model->vocab, content, size_bytes);
	if (index != QEFF_VOCAB_NONE)
		return model->vocab.entries[index].id;
	return (*next)++;
}

static int set_decoded(struct qeff_added_token *token, const char *content, size_t size_bytes,
		       const struct qeff_normalizer *normalizer, struct qeff_error *err)
{
	token->decoded.size_bytes = 0;
	qeff_bytes_append(&token->decoded, content, size_bytes);
	if (token->decoded.failed)
		return qeff_error_set(err, -ENOMEM, "no memory for added tokens");
	if (!token->normalized)
		return 0;
	return qeff_normalizer_run(normalizer, &token->decoded, NULL, err);
}

static int parse_token(struct qeff_added *added, const json_t *json, const struct qeff_model *model,
		       const struct qeff_normalizer *normalizer, uint32_t *next,
		       struct qeff_error *err)
{
	const char *where = "added_tokens", *content;
	struct qeff_added_token token = { .normalized = true };
	uint32_t id, wanted;
	size_t size_bytes;
	int rc;

	rc = qeff_json_string(json, where, "content", &content, &size_bytes, err);
	if (rc < 0)
		return rc;
	if (!size_bytes)
		return 0;
	if (added->vocab.text.size_bytes + size_bytes > TOKEN_BYTES_MAX)
		return qeff_error_set(err, -EINVAL, "added_tokens: more than %zu bytes in total",
				      TOKEN_BYTES_MAX);
	rc = qeff_json_bool(json, where, "special", &token.special, err);
	token.normalized = !token.special;
	if (rc == 0)
		rc = qeff_json_bool(json, where, "normalized", &token.normalized, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "single_word", &token.single_word, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "lstrip", &token.lstrip, err);
	if (rc == 0)
		rc = qeff_json_bool(json, where, "rstrip", &token.rstrip, err);
	if (rc == 0)
		rc = qeff_json_id(json_object_get(json, "id"), where, content, &wanted, err);
	if (rc < 0)
		return rc;
	id = assign_id(added, model, content, size_bytes, next);
	if (id != wanted)
		qeff_log(QEFF_LOG_WARN, "added token \"%.60s\" has id %u, not %u as its file says",
			 content, id, wanted);
	if (qeff_vocab_put(&added->vocab, content, size_bytes, id) < 0)
		return qeff_error_set(err, -ENOMEM, "no memory for added tokens");
	token.index = qeff_vocab_find(&added->vocab, content, size_bytes);
	if (token.index == added->count)
		added->count++;
	else
		token.decoded = added->tokens[token.index].decoded;
	added->tokens[token.index] = token;
	return set_decoded(&added->tokens[token.index], content, size_bytes, normalizer, err);
}

static int build_tries(struct qeff_added *added, struct qeff_error *err)
{
	bool single_word = false;
	int rc = 0;

	for (size_t i = 0; i < added->count && rc == 0; i++) {
		struct qeff_added_token *token = &added->tokens[i];
		size_t same;

		/* decoding compares what it sees, so a token whose normalised form is special is
		 * too */
		same = qeff_vocab_find(&added->vocab, token->decoded.data,
				       token->decoded.size_bytes);
		token->skipped = same != QEFF_VOCAB_NONE && added->tokens[same].special;
		single_word = single_word || token->single_word;
		if (!token->decoded.size_bytes)
			continue;
		rc = trie_add(token->normalized ? &added->normalized : &added->as_is,
			      token->decoded.data, token->decoded.size_bytes, (uint32_t)i);
	}
	if (rc < 0)
		return qeff_error_set(err, rc, "no memory for added tokens");
	return single_word ? qeff_regex_new(&added->word, WORD_PATTERN, strlen(WORD_PATTERN),
					    QEFF_REGEX_PCRE2, err)
			   : 0;
}

int qeff_added_parse(struct qeff_added *added, const json_t *json, const struct qeff_model *model,
		     const struct qeff_normalizer *normalizer, struct qeff_error *err)
{
	uint32_t next = (uint32_t)model->vocab.count;
	int rc = 0;

	*added = (struct qeff_added){ 0 };
	if (!json || json_is_null(json))
		return 0;
	if (!json_is_array(json))
		return qeff_error_set(err, -EINVAL, "\"added_tokens\" should be an array");
	added->tokens = calloc(json_array_size(json) + 1, sizeof(*added->tokens));
	if (!added->tokens)
		return qeff_error_set(err, -ENOMEM, "no memory for added tokens");
	for (size_t i = 0; i < json_array_size(json) && rc == 0; i++)
		rc = parse_token(added, json_array_get(json, i), model, normalizer, &next, err);
	if (rc == 0)
		rc = build_tries(added, err);
	if (rc < 0)
		qeff_added_free(added);
	return rc;
}

void qeff_added_free(struct qeff_added *added)
{
	for (size_t i = 0; i < added->count; i++)
		qeff_bytes_free(&added->tokens[i].decoded);
	free(added->tokens);
	free(added->as_is.nodes);
	free(added->normalized.nodes);
	qeff_regex_free(added->word);
	qeff_vocab_free(&added->vocab);
	*added = (struct qeff_added){ 0 };
}

const struct qeff_added_token *qeff_added_find(const struct qeff_added *added, uint32_t id)
{
	size_t index = qeff_vocab_find_id(&added->vocab, id);

	return index == QEFF_VOCAB_NONE ? NULL : &added->tokens[index];
}

static bool is_word(const struct qeff_added *added, const uint8_t *text, size_t start, size_t end)
{
	struct qeff_bytes spans = { 0 };
	bool word;

	qeff_regex_split(added->word, text + start, end - start, &spans, NULL);
	word = spans.size_bytes && ((const struct qeff_span *)spans.data)->match;
	qeff_bytes_free(&spans);
	return word;
}

/* Whether a token at [@start, @end) has no word characters next to it. */
static bool stands_alone(const struct qeff_added *added, const uint8_t *text, size_t size_bytes,
			 size_t start, size_t end)
{
	size_t after = end;

	if (start > 0 && is_word(added, text, qeff_utf8_previous(text, start), start))
		return false;
	if (end == size_bytes)
		return true;
	qeff_utf8_next(text, &after);
	return !is_word(added, text, end, after);
}

static size_t skip_white_left(const uint8_t *text, size_t start, size_t limit)
{
	while (start > limit) {
		size_t previous = qeff_utf8_previous(text, start), at = previous;

		if (!qeff_char_is_white(qeff_utf8_next(text, &at)))
			break;
		start = previous;
	}
	return start;
}

static size_t skip_white_right(const uint8_t *text, size_t end, size_t size_bytes)
{
	while (end < size_bytes) {
		size_t next = end;

		if (!qeff_char_is_white(qeff_utf8_next(text, &next)))
			break;
		end = next;
	}
	return end;
}

static void add_text(struct qeff_pieces *out, const uint8_t *text, size_t start, size_t end,
		     bool at_start)
{
	size_t begin = qeff_pieces_begin(out);

	if (start >= end)
		return;
	qeff_bytes_append(&out->text, text + start, end - start);
	qeff_pieces_end(out, begin, at_start && start == 0, false);
}

/* Cuts a text at the tokens of @trie. */
static void extract(const struct qeff_added *added, const struct qeff_trie *trie,
		    const uint8_t *text, size_t size_bytes, bool at_start, struct qeff_pieces *out)
{
	size_t start, end = 0, done = 0, from = 0;
	uint32_t index;

	while (trie_find(trie, text, size_bytes, from, &start, &end, &index)) {
		const struct qeff_added_token *token = &added->tokens[index];

		/* the search goes on behind the token itself, used or not */
		from = end;
		if (token->single_word && !stands_alone(added, text, size_bytes, start, end))
			continue;
		if (token->lstrip)
			start = skip_white_left(text, start, done);
		if (token->rstrip)
			end = skip_white_right(text, end, size_bytes);
		add_text(out, text, done, start, at_start);
		qeff_pieces_token(out, added->vocab.entries[token->index].id);
		done = end > done ? end : done;
	}
	add_text(out, text, done, size_bytes, at_start);
}

int qeff_added_extract(const struct qeff_added *added, const struct qeff_normalizer *normalizer,
		       const uint8_t *text, size_t size_bytes, struct qeff_pieces *pieces,
		       struct qeff_error *err)
{
	struct qeff_bytes normal = { 0 };
	struct qeff_pieces raw = { 0 };
	int rc = 0;

	extract(added, &added->as_is, text, size_bytes, true, &raw);
	rc = qeff_pieces_check(&raw, err);
	for (size_t i = 0; i < qeff_pieces_count(&raw) && rc == 0; i++) {
		const struct qeff_piece *piece = qeff_pieces_at(&raw, i);
		bool at_start = piece->at_start;

		if (piece->is_token) {
			qeff_pieces_token(pieces, piece->id);
			continue;
		}
		normal.size_bytes = 0;
		qeff_bytes_append(&normal, qeff_piece_text(&raw, piece), piece->size_bytes);
		if (normal.failed)
			rc = qeff_error_set(err, -ENOMEM, "no memory to normalize a text");
		if (rc == 0)
			rc = qeff_normalizer_run(normalizer, &normal, &at_start, err);
		if (rc == 0)
			extract(added, &added->normalized, normal.data, normal.size_bytes, at_start,
				pieces);
		if (rc == 0)
			rc = qeff_pieces_check(pieces, err);
	}
	qeff_pieces_free(&raw);
	qeff_bytes_free(&normal);
	return rc;
}
