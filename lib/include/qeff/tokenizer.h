/* SPDX-License-Identifier: MIT */
/*
 * Tokenizers: text to token ids and back, as a Hugging Face `tokenizer.json` says.
 *
 *   qeff_tokenizer_open("tiny-llama-stories", &tokenizer, &err);
 *   qeff_tokenizer_encode(tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL, 0, &tokens, &err);
 *   ...
 *   qeff_tokens_free(&tokens);
 *
 * Byte-pair encoding (byte level or with byte fallback) and WordPiece are supported, with the
 * normalizers, pre-tokenizers, post-processors and decoders that go with them; what is not
 * supported is refused by name when the tokenizer is opened. Ids and texts are those of the
 * `tokenizers` package. "truncation" and "padding" of the file are not applied: the caller says how
 * long a sequence may be.
 *
 * A tokenizer does not change after it was opened and may be used by several threads at once.
 */
#ifndef QEFF_TOKENIZER_H
#define QEFF_TOKENIZER_H

#include <qeff/api.h>
#include <qeff/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_tokenizer;

/**
 * qeff_tokenizer_open - read a tokenizer
 * @path: a `tokenizer.json`, or a folder that holds one; from a folder, `tokenizer_config.json` and
 * `special_tokens_map.json` are read too, if they are there, for qeff_tokenizer_special()
 * @tokenizer: receives the tokenizer; free it with qeff_tokenizer_close()
 * @err: why it failed, or NULL
 *
 * Returns 0; -ENOENT, -EACCES and the like for the files; -EINVAL for a file that is not valid;
 * -ENOTSUP for a part that is not supported; -ENOMEM.
 */
QEFF_API int qeff_tokenizer_open(const char *path, struct qeff_tokenizer **tokenizer,
				 struct qeff_error *err);

/**
 * qeff_tokenizer_open_memory - read a tokenizer from memory
 * @json: the contents of a `tokenizer.json`; not needed after the call
 * @json_bytes: how many
 * @config: the contents of a `tokenizer_config.json` (its "bos_token", "eos_token" and so on), or
 * NULL
 * @config_bytes: how many
 * @tokenizer: receives the tokenizer; free it with qeff_tokenizer_close()
 * @err: why it failed, or NULL
 *
 * Returns as qeff_tokenizer_open().
 */
QEFF_API int qeff_tokenizer_open_memory(const void *json, size_t json_bytes, const void *config,
					size_t config_bytes, struct qeff_tokenizer **tokenizer,
					struct qeff_error *err);

/* Frees a tokenizer. NULL is fine. */
QEFF_API void qeff_tokenizer_close(struct qeff_tokenizer *tokenizer);

/**
 * struct qeff_tokens - a text as token ids
 * @ids: the ids
 * @type_ids: the segment of each, as a model's `token_type_ids` wants it
 * @count: how many
 */
struct qeff_tokens {
	uint32_t *ids;
	uint32_t *type_ids;
	size_t count;
};

/* Add the tokens that the post-processor puts around a sequence ("[CLS]", "<s>"). */
#define QEFF_ENCODE_SPECIAL 1u

/**
 * qeff_tokenizer_encode - turn text into token ids
 * @tokenizer: the tokenizer
 * @text: the text; need not be NUL terminated, may contain NULs. In place of bytes that are not
 * UTF-8, each maximal ill-formed part counts as one U+FFFD
 * @size_bytes: bytes of @text, at most 256 MiB
 * @flags: QEFF_ENCODE_SPECIAL or 0
 * @max_tokens: keep so many tokens at most, the added ones included; what is too long loses tokens
 * of the text at its end. 0 for no limit
 * @tokens: receives the ids; free them with qeff_tokens_free()
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL if @max_tokens leaves no room for the added tokens, or if the vocabulary lacks
 * the unknown token that this text needs; -E2BIG if a pattern of the tokenizer gives up on this
 * text or the text grows beyond 256 MiB; -ENOMEM.
 */
QEFF_API int qeff_tokenizer_encode(const struct qeff_tokenizer *tokenizer, const char *text,
				   size_t size_bytes, unsigned int flags, size_t max_tokens,
				   struct qeff_tokens *tokens, struct qeff_error *err);

/**
 * qeff_tokenizer_encode_pair - turn two texts into one sequence, as the post-processor puts them
 * @tokenizer: the tokenizer
 * @text: the first text, as for qeff_tokenizer_encode(): a question, say
 * @text_bytes: its bytes
 * @pair: the second one: a passage that may answer it
 * @pair_bytes: its bytes
 * @flags: QEFF_ENCODE_SPECIAL or 0
 * @max_tokens: as for qeff_tokenizer_encode(); the longer text loses tokens at its end until both
 * fit, or are equally long ("longest_first")
 * @tokens: receives the ids; free them with qeff_tokens_free()
 * @err: why it failed, or NULL
 *
 * Returns as qeff_tokenizer_encode().
 */
QEFF_API int qeff_tokenizer_encode_pair(const struct qeff_tokenizer *tokenizer, const char *text,
					size_t text_bytes, const char *pair, size_t pair_bytes,
					unsigned int flags, size_t max_tokens,
					struct qeff_tokens *tokens, struct qeff_error *err);

/* Frees what qeff_tokenizer_encode() allocated and clears @tokens. */
QEFF_API void qeff_tokens_free(struct qeff_tokens *tokens);

/**
 * qeff_tokenizer_decode - turn token ids into text
 * @tokenizer: the tokenizer
 * @ids: the ids; those that the tokenizer does not have are left out
 * @count: how many
 * @skip_special: leave special tokens out
 * @text: receives the text, valid UTF-8, NUL terminated; release it with free()
 * @size_bytes: receives its length without the NUL; may be NULL
 * @err: why it failed, or NULL
 *
 * Returns 0, -E2BIG if a pattern of the decoder gives up, or -ENOMEM.
 */
QEFF_API int qeff_tokenizer_decode(const struct qeff_tokenizer *tokenizer, const uint32_t *ids,
				   size_t count, bool skip_special, char **text, size_t *size_bytes,
				   struct qeff_error *err);

/**
 * qeff_tokenizer_id - id of a token
 * @tokenizer: the tokenizer
 * @token: the token as the vocabulary spells it
 * @size_bytes: its length
 *
 * Returns the id, or -1 if there is no such token.
 */
QEFF_API int64_t qeff_tokenizer_id(const struct qeff_tokenizer *tokenizer, const char *token,
				   size_t size_bytes);

/**
 * qeff_tokenizer_token - the token of an id
 * @tokenizer: the tokenizer
 * @id: the id
 * @size_bytes: receives the length of the token
 *
 * Returns the token as the vocabulary spells it, not NUL terminated, alive as long as the
 * tokenizer; NULL if there is no such id.
 */
QEFF_API const char *qeff_tokenizer_token(const struct qeff_tokenizer *tokenizer, uint32_t id,
					  size_t *size_bytes);

/* Number of tokens, added ones included. Ids may have holes. */
QEFF_API size_t qeff_tokenizer_size(const struct qeff_tokenizer *tokenizer);

/* Whether decoding leaves this id out when told to skip special tokens. */
QEFF_API bool qeff_tokenizer_is_special(const struct qeff_tokenizer *tokenizer, uint32_t id);

/* Tokens with a role. */
enum qeff_special_token {
	QEFF_TOKEN_BOS,
	QEFF_TOKEN_EOS,
	QEFF_TOKEN_UNK,
	QEFF_TOKEN_SEP,
	QEFF_TOKEN_PAD,
	QEFF_TOKEN_CLS,
	QEFF_TOKEN_MASK,
	QEFF_TOKEN_ROLES,
};

/* Id of the token with that role by the tokenizer's configuration (and its model, for UNK); -1 for
 * none. */
QEFF_API int64_t qeff_tokenizer_special(const struct qeff_tokenizer *tokenizer,
					enum qeff_special_token role);

/*
 * A token stream: text of a sequence that grows token by token. It only hands out whole characters:
 * what is not complete yet comes with a later token. For one thread at a time.
 */
struct qeff_token_stream;

/**
 * qeff_token_stream_new - start a stream
 * @tokenizer: the tokenizer, which must outlive the stream
 * @skip_special: leave special tokens out
 * @stream: receives the stream; free it with qeff_token_stream_free()
 * @err: why it failed, or NULL
 *
 * Returns 0 or -ENOMEM.
 */
QEFF_API int qeff_token_stream_new(const struct qeff_tokenizer *tokenizer, bool skip_special,
				   struct qeff_token_stream **stream, struct qeff_error *err);
QEFF_API void qeff_token_stream_free(struct qeff_token_stream *stream);

/**
 * qeff_token_stream_push - add a token
 * @stream: the stream
 * @id: the token
 * @text: receives the text that is new, valid UTF-8, NUL terminated, maybe empty; good until the
 * next call
 * @size_bytes: receives its length; may be NULL
 * @err: why it failed, or NULL
 *
 * All pieces together, with that of qeff_token_stream_finish(), are the text that
 * qeff_tokenizer_decode() makes of all tokens, except where a decoder takes back what it said of
 * earlier tokens (byte tokens that turn out not to be UTF-8 do so).
 *
 * Returns as qeff_tokenizer_decode().
 */
QEFF_API int qeff_token_stream_push(struct qeff_token_stream *stream, uint32_t id,
				    const char **text, size_t *size_bytes, struct qeff_error *err);

/* The same at the end of the sequence: what was held back, with U+FFFD for a character that stayed
 * incomplete. The stream is then as new. */
QEFF_API int qeff_token_stream_finish(struct qeff_token_stream *stream, const char **text,
				      size_t *size_bytes, struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
