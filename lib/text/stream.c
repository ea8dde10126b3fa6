/* SPDX-License-Identifier: MIT */
/*
 * Token streams. What a token adds to a text can depend on the tokens before it, so a stream
 * decodes a short window: tokens whose text is out, as context, and those since. New is what the
 * window's text has beyond what is out. U+FFFD at its end may be a character that is not complete
 * yet, and is held back.
 */
#include <qeff/tokenizer.h>

#include "text/utf8.h"
#include "util/error.h"

#include <stdlib.h>

/*
 * A character has at most four bytes, so at most four tokens. A longer end that is not valid stays
 * so; how long it may be before it is let go only bounds the work.
 */
#define WINDOW_TOKENS_MAX 64
#define CONTEXT_TOKENS	  8

struct qeff_token_stream {
	const struct qeff_tokenizer *tokenizer;
	bool skip_special;
	struct qeff_bytes window; /* uint32_t ids */
	size_t context_tokens;	  /* of the window, whose text was out before the others came */
	struct qeff_bytes out;	  /* text of the window that was handed out */
	char *text;		  /* what was handed out last */
};

int qeff_token_stream_new(const struct qeff_tokenizer *tokenizer, bool skip_special,
			  struct qeff_token_stream **stream, struct qeff_error *err)
{
	struct qeff_token_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return qeff_error_set(err, -ENOMEM, "no memory for a token stream");
	s->tokenizer = tokenizer;
	s->skip_special = skip_special;
	*stream = s;
	return 0;
}

void qeff_token_stream_free(struct qeff_token_stream *s)
{
	if (!s)
		return;
	qeff_bytes_free(&s->window);
	qeff_bytes_free(&s->out);
	free(s->text);
	free(s);
}

/* Where the U+FFFD at the end of @text begin. */
static size_t stable_bytes(const char *text, size_t from, size_t size_bytes)
{
	while (size_bytes >= from + 3 && !memcmp(text + size_bytes - 3, "\xef\xbf\xbd", 3))
		size_bytes -= 3;
	return size_bytes;
}

/* Leaves the last @keep tokens in the window, as context. */
static int slide(struct qeff_token_stream *s, size_t keep, struct qeff_error *err)
{
	const size_t drop = s->window.size_bytes - keep * sizeof(uint32_t);
	size_t size_bytes;
	char *text;
	int rc;

	memmove(s->window.data, s->window.data + drop, s->window.size_bytes - drop);
	s->window.size_bytes -= drop;
	s->context_tokens = keep;
	rc = qeff_tokenizer_decode(s->tokenizer, (const uint32_t *)s->window.data, keep,
				   s->skip_special, &text, &size_bytes, err);
	if (rc < 0)
		return rc;
	s->out.size_bytes = 0;
	qeff_bytes_append(&s->out, text, size_bytes);
	free(text);
	return s->out.failed ? qeff_error_set(err, -ENOMEM, "no memory for a token stream") : 0;
}

static int advance(struct qeff_token_stream *s, bool finish, const char **text, size_t *size_bytes,
		   struct qeff_error *err)
{
	const size_t count = s->window.size_bytes / sizeof(uint32_t);
	size_t all_bytes, end, done = s->out.size_bytes;
	char *all;
	int rc;

	rc = qeff_tokenizer_decode(s->tokenizer, (const uint32_t *)s->window.data, count,
				   s->skip_special, &all, &all_bytes, err);
	if (rc < 0)
		return rc;
	/* a decoder that takes something back: go on behind it, at the start of a character */
	if (done > all_bytes)
		done = all_bytes;
	while (done < all_bytes && ((uint8_t)all[done] & 0xc0) == 0x80)
		done++;
	end = finish || count >= WINDOW_TOKENS_MAX ? all_bytes : stable_bytes(all, done, all_bytes);
	all[end] = '\0';
	qeff_bytes_append(&s->out, all + done, end - done);
	memmove(all, all + done, end - done + 1);
	free(s->text);
	s->text = all;
	*text = all;
	if (size_bytes)
		*size_bytes = end - done;
	if (s->out.failed)
		return qeff_error_set(err, -ENOMEM, "no memory for a token stream");
	if (count >= WINDOW_TOKENS_MAX)
		return slide(s, CONTEXT_TOKENS, err);
	if (end == all_bytes && end > done)
		return slide(s, count - s->context_tokens, err);
	return 0;
}

int qeff_token_stream_push(struct qeff_token_stream *s, uint32_t id, const char **text,
			   size_t *size_bytes, struct qeff_error *err)
{
	size_t token_bytes;

	/* What adds no token to the decoder must not become the context either. */
	if (qeff_tokenizer_token(s->tokenizer, id, &token_bytes) &&
	    !(s->skip_special && qeff_tokenizer_is_special(s->tokenizer, id)))
		qeff_bytes_u32(&s->window, id);
	if (s->window.failed)
		return qeff_error_set(err, -ENOMEM, "no memory for a token stream");
	return advance(s, false, text, size_bytes, err);
}

int qeff_token_stream_finish(struct qeff_token_stream *s, const char **text, size_t *size_bytes,
			     struct qeff_error *err)
{
	int rc = advance(s, true, text, size_bytes, err);

	s->window.size_bytes = 0;
	s->context_tokens = 0;
	s->out.size_bytes = 0;
	return rc;
}
