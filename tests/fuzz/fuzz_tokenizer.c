/* SPDX-License-Identifier: MIT */
/* A tokenizer.json: opened, and texts that try every part of it encoded, decoded and streamed. */
#include "fuzz.h"

#include <qeff/tokenizer.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
	"",
	"Hello, w\xc3\xb6rld! It's 12345 o'clock\n\n\tand  all   is well.</s>[MASK] <unk>",
	"\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xd8\xb3\xd9\x84"
	"\xd8\xa7\xd9\x85 e\xcc\x81\xcc\x82 \xe2\x96\x81x",
	"\xff\xfe\xc0\x80 ab\x01\x7f\xed\xa0\x80z \xf4\x90\x80\x80",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
};

static void try_text(const struct qeff_tokenizer *tokenizer, const char *text)
{
	struct qeff_tokens tokens = { 0 };
	struct qeff_token_stream *stream = NULL;
	struct qeff_error err = { 0 };
	const char *piece;
	char *back = NULL;
	size_t size;
	int rc = qeff_tokenizer_encode(tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL, 0,
				       &tokens, &err);

	if (rc) {
		fuzz_require(rc < 0 && err.code == rc && err.message[0] && rc != -ENOMEM,
			     "encode: %d, \"%s\"", rc, err.message);
		return;
	}
	rc = qeff_tokenizer_decode(tokenizer, tokens.ids, tokens.count, true, &back, &size, &err);
	fuzz_require(!rc || rc == -E2BIG, "decode: %d, \"%s\"", rc, err.message);
	fuzz_require(rc || strlen(back) <= size, "decode: no end");
	free(back);
	fuzz_require(!qeff_token_stream_new(tokenizer, false, &stream, &err), "%s", err.message);
	for (size_t i = 0; i < tokens.count; i++) {
		qeff_tokenizer_is_special(tokenizer, tokens.ids[i]);
		if (qeff_token_stream_push(stream, tokens.ids[i], &piece, &size, &err))
			break;
	}
	qeff_token_stream_finish(stream, &piece, &size, &err);
	qeff_token_stream_free(stream);
	qeff_tokens_free(&tokens);
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	static const char *const keys[] = { "\"normalizer\"",	"\"pre_tokenizer\"",
					    "\"decoder\"",	"\"post_processor\"",
					    "\"added_tokens\"", "\"model\"" };
	size_t count = 0;

	/* vocabulary and merges are the bulk */
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const uint8_t *at = memmem(data, size, keys[i], strlen(keys[i]));
		size_t offset = at ? (size_t)(at - data) : 0;

		if (at)
			regions[count++] =
				(struct fuzz_region){ offset,
						      size - offset < 400 ? size - offset : 400 };
	}
	regions[count++] = (struct fuzz_region){ 0, size };
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	int rc = qeff_tokenizer_open_memory(data, size, data, size, &tokenizer, &err);

	if (rc) {
		fuzz_refused(rc, &err, "");
		return 0;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		try_text(tokenizer, texts[i]);
	for (int role = 0; role < QEFF_TOKEN_ROLES; role++)
		qeff_tokenizer_special(tokenizer, (enum qeff_special_token)role);
	qeff_tokenizer_close(tokenizer);
	fuzz_ran();
	return 0;
}
