/* SPDX-License-Identifier: MIT */
/*
 * Tokenizers: the lists of tests/data/tokenizer (made by tests/reference/make_tokenizer_vectors.py
 * with the `tokenizers` package), and by hand: each way of cutting, streams, roles, truncation, and
 * files that are not what they should be.
 */
#include "check_bytes.h"
#include "unit.h"

#include "text/utf8.h"

#include <jansson.h>
#include <qeff/tokenizer.h>

#define R "\xef\xbf\xbd"

static char *test_data_path(const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", QEFF_TEST_DATA, name) < 0 ? NULL : path;
}

static json_t *load(const char *name)
{
	char *path = test_data_path(name);
	json_error_t why;
	json_t *json = json_load_file(path, JSON_ALLOW_NUL, &why);

	if (!json)
		fprintf(stderr, "%s: %s\n", path, why.text);
	free(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

/* A line: a string, or {"hex": ...}. */
static void read_line(const json_t *line, struct qeff_bytes *out)
{
	const char *hex = json_string_value(json_object_get(line, "hex"));

	out->size_bytes = 0;
	if (!hex) {
		qeff_bytes_append(out, json_string_value(line), json_string_length(line));
		return;
	}
	for (; hex[0] && hex[1]; hex += 2) {
		unsigned int byte = 0;

		sscanf(hex, "%2x", &byte);
		qeff_bytes_u8(out, (uint8_t)byte);
	}
}

static bool same_ids(const struct qeff_tokens *tokens, const json_t *ids, size_t from, size_t count)
{
	if (tokens->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (tokens->ids[i] != json_integer_value(json_array_get(ids, from + i)))
			return false;
	return true;
}

static void complain(const char *what, const char *name, size_t line,
		     const struct qeff_tokens *tokens)
{
	CU_FAIL("tokens");
	fprintf(stderr, "%s: line %zu, %s:", name, line, what);
	for (size_t i = 0; i < tokens->count; i++)
		fprintf(stderr, " %u", tokens->ids[i]);
	fprintf(stderr, "\n");
}

/* The text of @tokens, whole and streamed, is @expected, or @otherwise if that is null. */
static void check_text(const struct qeff_tokenizer *tokenizer, const char *name, size_t line,
		       const struct qeff_tokens *tokens, bool skip, const json_t *expected,
		       const struct qeff_bytes *otherwise)
{
	const void *text = json_is_string(expected) ? (const void *)json_string_value(expected)
						    : otherwise->data;
	size_t text_bytes =
		json_is_string(expected) ? json_string_length(expected) : otherwise->size_bytes;
	struct qeff_token_stream *stream;
	struct qeff_bytes streamed = { 0 };
	struct qeff_error err = { 0 };
	const char *piece;
	size_t size_bytes;
	char *whole;

	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_decode(tokenizer, tokens->ids, tokens->count, skip,
						    &whole, &size_bytes, &err),
			      0);
	check_bytes(name, whole, size_bytes, text, text_bytes);
	CU_ASSERT_EQUAL(whole[size_bytes], '\0');

	CU_ASSERT_EQUAL_FATAL(qeff_token_stream_new(tokenizer, skip, &stream, &err), 0);
	for (size_t i = 0; i < tokens->count; i++) {
		size_t piece_bytes;

		CU_ASSERT_EQUAL(
			qeff_token_stream_push(stream, tokens->ids[i], &piece, &piece_bytes, &err),
			0);
		CU_ASSERT_EQUAL(qeff_utf8_valid_bytes((const uint8_t *)piece, piece_bytes),
				piece_bytes);
		qeff_bytes_append(&streamed, piece, piece_bytes);
	}
	CU_ASSERT_EQUAL(qeff_token_stream_finish(stream, &piece, &text_bytes, &err), 0);
	qeff_bytes_append(&streamed, piece, text_bytes);
	check_bytes("streamed", streamed.data, streamed.size_bytes, whole, size_bytes);
	qeff_token_stream_free(stream);
	qeff_bytes_free(&streamed);
	free(whole);
}

static void check_line(const struct qeff_tokenizer *tokenizer, const char *name,
		       const json_t *vectors, size_t i, size_t line, const struct qeff_bytes *raw)
{
	const json_t *ids = json_array_get(json_object_get(vectors, "ids"), i);
	const json_t *plain = json_array_get(json_object_get(vectors, "plain"), i);
	const json_t *decoded = json_array_get(json_object_get(vectors, "decoded"), i);
	const json_t *skipped = json_array_get(json_object_get(vectors, "skipped"), i);
	const size_t front = (size_t)json_integer_value(json_array_get(plain, 0));
	const size_t back = (size_t)json_integer_value(json_array_get(plain, 1));
	struct qeff_bytes valid = { 0 }, as_decoded = { 0 };
	struct qeff_tokens special, bare;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_encode(tokenizer, (const char *)raw->data,
						    raw->size_bytes, QEFF_ENCODE_SPECIAL, 0,
						    &special, &err),
			      0);
	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_encode(tokenizer, (const char *)raw->data,
						    raw->size_bytes, 0, 0, &bare, &err),
			      0);
	if (!same_ids(&special, ids, 0, json_array_size(ids)))
		complain("with special tokens", name, line, &special);
	if (!same_ids(&bare, ids, front, json_array_size(ids) - front - back))
		complain("without special tokens", name, line, &bare);

	qeff_utf8_lossy(&valid, raw->data, raw->size_bytes);
	check_text(tokenizer, name, line, &bare, false, decoded, &valid);
	if (json_is_string(decoded))
		qeff_bytes_append(&as_decoded, json_string_value(decoded),
				  json_string_length(decoded));
	else
		qeff_bytes_append(&as_decoded, valid.data, valid.size_bytes);
	check_text(tokenizer, name, line, &special, true, skipped, &as_decoded);
	qeff_bytes_free(&valid);
	qeff_bytes_free(&as_decoded);
	qeff_tokens_free(&special);
	qeff_tokens_free(&bare);
}

static void check_vectors(const char *name, size_t at_least)
{
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	struct qeff_bytes raw = { 0 };
	json_t *lines = load("tokenizer/lines.json"), *vectors;
	const json_t *chosen;
	char file[128], *path;
	size_t count;

	snprintf(file, sizeof(file), "tokenizer/%s.vectors.json", name);
	vectors = load(file);
	path = test_data_path(json_string_value(json_object_get(vectors, "tokenizer")));
	if (qeff_tokenizer_open(path, &tokenizer, &err) < 0) {
		CU_FAIL("open");
		fprintf(stderr, "%s\n", err.message);
		goto done;
	}
	chosen = json_object_get(vectors, "lines");
	count = json_array_size(json_is_array(chosen) ? chosen : lines);
	CU_ASSERT(count >= at_least);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(vectors, "ids")), count);
	for (size_t i = 0; i < count; i++) {
		size_t line = json_is_array(chosen)
				      ? (size_t)json_integer_value(json_array_get(chosen, i))
				      : i;

		read_line(json_array_get(lines, line), &raw);
		check_line(tokenizer, name, vectors, i, line, &raw);
	}
	qeff_tokenizer_close(tokenizer);
done:
	free(path);
	qeff_bytes_free(&raw);
	json_decref(lines);
	json_decref(vectors);
}

static void test_vectors_llama(void)
{
	check_vectors("tiny-llama-stories", 250);
}

static void test_vectors_bert(void)
{
	check_vectors("tiny-bert-embed", 250);
}

static void test_vectors_parts(void)
{
	static const char *const names[] = { "sentencepiece", "metaspace",  "llama3", "o200k",
					     "roberta",	      "bert-cased", "plain",  "words" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_vectors(names[i], 60);
}

/* A tokenizer.json with one part replaced; @model NULL is a small byte-pair model. */
static int open_parts(const char *normalizer, const char *pre_tokenizer, const char *post,
		      const char *decoder, const char *added, const char *model,
		      struct qeff_tokenizer **tokenizer, struct qeff_error *err)
{
	static const char small[] =
		"{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"c\":3,\"ab\":4,"
		"\"abc\":5,\"_\":6},\"merges\":[\"a b\",\"ab c\"]}";
	char *json;
	int rc;

	*tokenizer = NULL;
	rc = asprintf(
		&json,
		"{\"version\":\"1.0\",\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,"
		"\"decoder\":%s,\"added_tokens\":%s,\"model\":%s}",
		normalizer ? normalizer : "null", pre_tokenizer ? pre_tokenizer : "null",
		post ? post : "null", decoder ? decoder : "null", added ? added : "[]",
		model ? model : small);
	CU_ASSERT_FATAL(rc > 0);
	rc = qeff_tokenizer_open_memory(json, (size_t)rc, NULL, 0, tokenizer, err);
	free(json);
	return rc;
}

/* Ids of @text as a string of single digits. */
static void check_ids(const struct qeff_tokenizer *tokenizer, const char *text, unsigned int flags,
		      size_t max_tokens, const char *expected)
{
	struct qeff_error err = { 0 };
	struct qeff_tokens tokens;
	char found[64] = "";

	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_encode(tokenizer, text, strlen(text), flags,
						    max_tokens, &tokens, &err),
			      0);
	for (size_t i = 0; i < tokens.count && i < 60; i++)
		snprintf(found + i, sizeof(found) - i, "%x", tokens.ids[i]);
	CU_ASSERT_STRING_EQUAL(found, expected);
	qeff_tokens_free(&tokens);
}

static void test_bpe(void)
{
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(open_parts(NULL, NULL, NULL, NULL, NULL, NULL, &tokenizer, &err), 0);
	check_ids(tokenizer, "abcab", 0, 0, "54");
	check_ids(tokenizer, "aabb", 0, 0, "142");
	check_ids(tokenizer, "axyb", 0, 0, "1002");
	check_ids(tokenizer, "", 0, 0, "");
	check_ids(tokenizer, "abcabc", 0, 1, "5");
	qeff_tokenizer_close(tokenizer);

	/* fused unknowns; merges as pairs; a merge with a lower rank wins though it stands further
	 * right */
	CU_ASSERT_EQUAL_FATAL(
		open_parts(
			NULL, NULL, NULL, NULL, NULL,
			"{\"type\":\"BPE\",\"unk_token\":\"?\",\"fuse_unk\":true,\"vocab\":{\"?\":0,"
			"\"a\":1,\"b\":2,\"c\":3,\"bc\":4,\"ab\":5},\"merges\":[[\"b\",\"c\"],[\"a\",\"b\"]]}",
			&tokenizer, &err),
		0);
	check_ids(tokenizer, "abc", 0, 0, "14");
	check_ids(tokenizer, "axyzb", 0, 0, "102");
	qeff_tokenizer_close(tokenizer);

	/* no unknown token: what is not known is left out */
	CU_ASSERT_EQUAL_FATAL(open_parts(NULL, NULL, NULL, NULL, NULL,
					 "{\"vocab\":{\"a\":1},\"merges\":[]}", &tokenizer, &err),
			      0);
	check_ids(tokenizer, "xax", 0, 0, "1");
	qeff_tokenizer_close(tokenizer);
}

static void test_splits(void)
{
	static const struct {
		const char *behaviour;
		bool invert;
		const char *expected;
	} cases[] = {
		/* "ab__c" at "_": 4 is "ab", 7 is "ab_", 8 is "__", 9 is "_c" */
		{ "Isolated", false, "4663" },	    { "Removed", false, "43" },
		{ "Contiguous", false, "483" },	    { "MergedWithPrevious", false, "763" },
		{ "MergedWithNext", false, "469" }, { "Removed", true, "66" },
	};
	const char *model =
		"{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":1,\"b\":2,\"c\":3,\"ab\":4,\"_\":6,"
		"\"ab_\":7,\"__\":8,\"_c\":9},\"merges\":[]}";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qeff_tokenizer *tokenizer;
		struct qeff_error err = { 0 };
		char split[160];

		snprintf(
			split, sizeof(split),
			"{\"type\":\"Split\",\"pattern\":{\"String\":\"_\"},\"behavior\":\"%s\",\"invert\":%s}",
			cases[i].behaviour, cases[i].invert ? "true" : "false");
		CU_ASSERT_EQUAL_FATAL(
			open_parts(NULL, split, NULL, NULL, NULL, model, &tokenizer, &err), 0);
		check_ids(tokenizer, "ab__c", 0, 0, cases[i].expected);
		qeff_tokenizer_close(tokenizer);
	}
}

static void test_added_tokens(void)
{
	static const char added[] =
		"[{\"id\":7,\"content\":\"abab\",\"special\":false,\"normalized\":false},"
		"{\"id\":8,\"content\":\"ab\",\"special\":true,\"normalized\":false,\"single_word\":true},"
		"{\"id\":9,\"content\":\"<l>\",\"special\":true,\"normalized\":false,\"lstrip\":true},"
		"{\"id\":10,\"content\":\"<r>\",\"special\":true,\"normalized\":false,\"rstrip\":true},"
		"{\"id\":11,\"content\":\"CC\",\"special\":false,\"normalized\":true}]";
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	uint32_t ids[] = { 1, 8, 2 };
	size_t size_bytes;
	char *text;

	CU_ASSERT_EQUAL_FATAL(open_parts("{\"type\":\"Lowercase\"}", NULL, NULL,
					 "{\"type\":\"Fuse\"}", added, NULL, &tokenizer, &err),
			      0);
	/* the longest one wins; "ab" only as a word of its own, and its id is the model's */
	check_ids(tokenizer, "abab", 0, 0, "7");
	check_ids(tokenizer, "ababab", 0, 0, "74");
	check_ids(tokenizer, "c ab c", 0, 0, "30403");
	check_ids(tokenizer, "a  <l>  b", 0, 0, "18002");
	check_ids(tokenizer, "a  <r>  b", 0, 0, "10092");
	/* found in lower case, as the normaliser leaves it */
	check_ids(tokenizer, "aCcb", 0, 0, "1a2");
	CU_ASSERT_EQUAL(qeff_tokenizer_id(tokenizer, "CC", 2), 10);
	CU_ASSERT_EQUAL(qeff_tokenizer_id(tokenizer, "cc", 2), -1);
	CU_ASSERT_EQUAL(qeff_tokenizer_size(tokenizer), 11);
	CU_ASSERT(qeff_tokenizer_is_special(tokenizer, 8));
	CU_ASSERT(!qeff_tokenizer_is_special(tokenizer, 7));
	CU_ASSERT(!strncmp(qeff_tokenizer_token(tokenizer, 8, &size_bytes), "<l>", 3));
	CU_ASSERT_PTR_NULL(qeff_tokenizer_token(tokenizer, 12, &size_bytes));

	CU_ASSERT_EQUAL_FATAL(
		qeff_tokenizer_decode(tokenizer, ids, 3, true, &text, &size_bytes, &err), 0);
	CU_ASSERT_STRING_EQUAL(text, "ab");
	free(text);
	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_decode(tokenizer, ids, 3, false, &text, NULL, &err),
			      0);
	CU_ASSERT_STRING_EQUAL(text, "a<l>b");
	free(text);
	qeff_tokenizer_close(tokenizer);
}

static void test_truncation(void)
{
	static const char post[] =
		"{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},"
		"{\"Sequence\":{\"id\":\"A\",\"type_id\":1}},{\"SpecialToken\":{\"id\":\"y\",\"type_id\":2}}],"
		"\"pair\":[],\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[6,6],\"tokens\":[\"_\",\"_\"]},"
		"\"y\":{\"id\":\"y\",\"ids\":[3],\"tokens\":[\"c\"]}}}";
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	struct qeff_tokens tokens;

	CU_ASSERT_EQUAL_FATAL(open_parts(NULL, NULL, post, NULL, NULL, NULL, &tokenizer, &err), 0);
	check_ids(tokenizer, "aaaa", QEFF_ENCODE_SPECIAL, 0, "6611113");
	check_ids(tokenizer, "aaaa", QEFF_ENCODE_SPECIAL, 5, "66113");
	check_ids(tokenizer, "aaaa", 0, 3, "111");
	CU_ASSERT_EQUAL(
		qeff_tokenizer_encode(tokenizer, "a", 1, QEFF_ENCODE_SPECIAL, 3, &tokens, &err),
		-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no room"));
	CU_ASSERT_EQUAL_FATAL(
		qeff_tokenizer_encode(tokenizer, "ab", 2, QEFF_ENCODE_SPECIAL, 0, &tokens, &err),
		0);
	CU_ASSERT_EQUAL_FATAL(tokens.count, 4);
	CU_ASSERT_EQUAL(tokens.type_ids[0], 0);
	CU_ASSERT_EQUAL(tokens.type_ids[2], 1);
	CU_ASSERT_EQUAL(tokens.type_ids[3], 2);
	qeff_tokens_free(&tokens);
	qeff_tokenizer_close(tokenizer);
}

static void test_stream_holds_characters(void)
{
	/* Euro sign and a letter, byte by byte: nothing before the last byte of the sign */
	static const char model[] =
		"{\"type\":\"BPE\",\"vocab\":{\"\u00e2\":0,\"\u0124\":1,\"\u00ac\":2,\"a\":3},\"merges\":[]}";
	struct qeff_token_stream *stream;
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	size_t size_bytes;
	const char *text;

	CU_ASSERT_EQUAL_FATAL(open_parts(NULL, NULL, NULL, "{\"type\":\"ByteLevel\"}", NULL, model,
					 &tokenizer, &err),
			      0);
	CU_ASSERT_EQUAL_FATAL(qeff_token_stream_new(tokenizer, true, &stream, &err), 0);
	static const struct {
		uint32_t id;
		const char *text;
	} steps[] = { { 3, "a" }, { 0, "" },  { 1, "" }, { 2, "\u20ac" },
		      { 77, "" }, { 3, "a" }, { 0, "" } };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		CU_ASSERT_EQUAL(
			qeff_token_stream_push(stream, steps[i].id, &text, &size_bytes, &err), 0);
		CU_ASSERT_STRING_EQUAL(text, steps[i].text);
	}
	CU_ASSERT_EQUAL(qeff_token_stream_finish(stream, &text, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(text, R);
	/* as new */
	CU_ASSERT_EQUAL(qeff_token_stream_push(stream, 3, &text, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(text, "a");
	/* bytes that never become a character: the stream lets go of them, and its window stays
	 * short */
	for (int i = 0; i < 500; i++)
		CU_ASSERT_EQUAL(qeff_token_stream_push(stream, 2, &text, &size_bytes, &err), 0);
	CU_ASSERT_EQUAL(qeff_token_stream_push(stream, 3, &text, &size_bytes, &err), 0);
	CU_ASSERT(size_bytes <= 64 * 3 + 1);
	CU_ASSERT_EQUAL(text[size_bytes - 1], 'a');
	qeff_token_stream_free(stream);
	qeff_tokenizer_close(tokenizer);
}

static void test_roles(void)
{
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };
	char *path = test_data_path("models/tiny-bert-embed");
	static const char config[] =
		"{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"b\"},\"pad_token\":null}";
	static const char json[] = "{\"model\":{\"vocab\":{\"a\":4,\"b\":5},\"merges\":[]}}";

	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_open(path, &tokenizer, &err), 0);
	free(path);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_PAD), 0);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_UNK), 1);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_CLS), 2);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_SEP), 3);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_MASK), 4);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_BOS), -1);
	qeff_tokenizer_close(tokenizer);

	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_open_memory(json, strlen(json), config, strlen(config),
							 &tokenizer, &err),
			      0);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_BOS), 4);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_EOS), 5);
	CU_ASSERT_EQUAL(qeff_tokenizer_special(tokenizer, QEFF_TOKEN_PAD), -1);
	qeff_tokenizer_close(tokenizer);
}

static void test_not_a_tokenizer(void)
{
	static const struct {
		const char *parts[6];
		const char *word;
	} cases[] = {
		{ { "{\"type\":\"Precompiled\"}" }, "Precompiled" },
		{ { "{\"type\":\"Sequence\",\"normalizers\":7}" }, "normalizers" },
		{ { "{\"type\":\"Replace\",\"pattern\":\"x\",\"content\":\"\"}" }, "pattern" },
		{ { "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}" },
		  "\"(\"" },
		{ { "{\"type\":\"BertNormalizer\",\"lowercase\":\"yes\"}" }, "lowercase" },
		{ { "[]" }, "normalizer" },
		{ { NULL, "{\"type\":\"UnicodeScripts\"}" }, "UnicodeScripts" },
		{ { NULL, "{\"type\":\"Punctuation\",\"behavior\":\"Mixed\"}" }, "Mixed" },
		{ { NULL, "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}" }, "one character" },
		{ { NULL, NULL, "{\"type\":\"Other\"}" }, "Other" },
		{ { NULL, NULL,
		    "{\"type\":\"BertProcessing\",\"cls\":[\"a\",-1],\"sep\":[\"b\",2]}" },
		  "cls" },
		{ { NULL, NULL,
		    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"z\"}}],"
		    "\"special_tokens\":{}}" },
		  "\"z\"" },
		{ { NULL, NULL, NULL, "{\"type\":\"CTC\"}" }, "CTC" },
		{ { NULL, NULL, NULL, NULL, "[{\"id\":0}]" }, "content" },
		{ { NULL, NULL, NULL, NULL, "{}" }, "added_tokens" },
		{ { NULL, NULL, NULL, NULL, NULL, "{\"type\":\"Unigram\"}" }, "Unigram" },
		{ { NULL, NULL, NULL, NULL, NULL, "{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}" },
		  "vocab" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"vocab\":{\"a\":4294967295},\"merges\":[]}" },
		  "4294967295" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}" },
		  "-1" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a b\"]}" },
		  "\"b\"" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a a a\"]}" },
		  "merge 0" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]}" },
		  "pair" },
		{ { NULL, NULL, NULL, NULL, NULL,
		    "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":1},\"merges\":[]}" },
		  "dropout" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const *p = cases[i].parts;
		struct qeff_tokenizer *tokenizer;
		struct qeff_error err = { 0 };

		CU_ASSERT(open_parts(p[0], p[1], p[2], p[3], p[4], p[5], &tokenizer, &err) < 0);
		CU_ASSERT_PTR_NULL(tokenizer);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].word));
		if (!strstr(err.message, cases[i].word))
			fprintf(stderr, "%zu: \"%s\" does not say \"%s\"\n", i, err.message,
				cases[i].word);
	}
}

/* Sequences nested beyond any sense, JSON cut off anywhere, and a file that is not there. */
static void test_hostile_files(void)
{
	struct qeff_tokenizer *tokenizer = NULL;
	struct qeff_error err = { 0 };
	struct qeff_bytes deep = { 0 };
	char *path = test_data_path("tokenizer/sentencepiece.tokenizer.json");
	size_t size_bytes, opened = 0;
	char *text;
	FILE *file;

	for (int i = 0; i < 100; i++)
		qeff_bytes_append(&deep, "{\"type\":\"Sequence\",\"normalizers\":[", 34);
	for (int i = 0; i < 100; i++)
		qeff_bytes_append(&deep, "]}", 2);
	qeff_bytes_u8(&deep, 0);
	CU_ASSERT(open_parts((const char *)deep.data, NULL, NULL, NULL, NULL, NULL, &tokenizer,
			     &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "deep"));
	qeff_bytes_free(&deep);

	CU_ASSERT_EQUAL(qeff_tokenizer_open("/nonexistent/tokenizer.json", &tokenizer, &err),
			-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/tokenizer.json"));

	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	text = malloc(65536);
	size_bytes = fread(text, 1, 65536, file);
	fclose(file);
	for (size_t cut = 0; cut + 1 < size_bytes; cut += 97)
		if (qeff_tokenizer_open_memory(text, cut, NULL, 0, &tokenizer, &err) == 0)
			opened++;
	CU_ASSERT_EQUAL(opened, 0);
	free(text);
	free(path);
}

/* [first line, second, most tokens, special tokens, ids, types] */
static void check_pair(const struct qeff_tokenizer *tokenizer, const char *name,
		       const json_t *lines, const json_t *pair)
{
	const size_t at[] = { (size_t)json_integer_value(json_array_get(pair, 0)),
			      (size_t)json_integer_value(json_array_get(pair, 1)) };
	const size_t most = (size_t)json_integer_value(json_array_get(pair, 2));
	const bool special = json_integer_value(json_array_get(pair, 3));
	const json_t *ids = json_array_get(pair, 4), *types = json_array_get(pair, 5);
	struct qeff_bytes texts[2] = { { 0 } };
	struct qeff_tokens tokens;
	struct qeff_error err = { 0 };
	bool same;

	for (int i = 0; i < 2; i++)
		read_line(json_array_get(lines, at[i]), &texts[i]);
	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_encode_pair(
				      tokenizer, (const char *)texts[0].data, texts[0].size_bytes,
				      (const char *)texts[1].data, texts[1].size_bytes,
				      special ? QEFF_ENCODE_SPECIAL : 0, most, &tokens, &err),
			      0);
	same = same_ids(&tokens, ids, 0, json_array_size(ids));
	for (size_t i = 0; same && i < tokens.count; i++)
		same = tokens.type_ids[i] == json_integer_value(json_array_get(types, i));
	if (!same)
		complain("pair", name, at[0], &tokens);
	qeff_tokens_free(&tokens);
	qeff_bytes_free(&texts[0]);
	qeff_bytes_free(&texts[1]);
}

static void test_pairs(void)
{
	json_t *lines = load("tokenizer/lines.json"), *all = load("tokenizer/pairs.json");
	struct qeff_tokenizer *tokenizer;
	struct qeff_tokens tokens;
	struct qeff_error err = { 0 };
	const json_t *one, *pair;
	size_t i, j;
	char *path;

	CU_ASSERT_EQUAL(json_array_size(all), 10);
	json_array_foreach(all, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "tokenizer"));

		path = test_data_path(name);
		CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_open(path, &tokenizer, &err), 0);
		CU_ASSERT_EQUAL(json_array_size(json_object_get(one, "pairs")), 60);
		json_array_foreach(json_object_get(one, "pairs"), j, pair)
			check_pair(tokenizer, name, lines, pair);
		qeff_tokenizer_close(tokenizer);
		free(path);
	}
	json_decref(lines);
	json_decref(all);
	/* [CLS] a [SEP] b [SEP]: three tokens leave no room */
	path = test_data_path("tokenizer/bert-cased.tokenizer.json");
	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_open(path, &tokenizer, &err), 0);
	CU_ASSERT_EQUAL(qeff_tokenizer_encode_pair(tokenizer, "a", 1, "b", 1, QEFF_ENCODE_SPECIAL,
						   3, &tokens, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(qeff_tokenizer_encode_pair(tokenizer, "a", 1, "", 0, QEFF_ENCODE_SPECIAL, 0,
						   &tokens, &err),
			0);
	CU_ASSERT_EQUAL(tokens.count, 4);
	CU_ASSERT_EQUAL(tokens.type_ids[2], 0);
	CU_ASSERT_EQUAL(tokens.type_ids[3], 1);
	qeff_tokens_free(&tokens);
	qeff_tokenizer_close(tokenizer);
	free(path);
}

static void test_hostile_templates(void)
{
#define TEMPLATE(pair)                                                                               \
	"{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]," \
	"\"pair\":" pair ",\"special_tokens\":{}}"
	static const struct {
		const char *post;
		int code;
	} cases[] = {
		{ TEMPLATE("7"), -EINVAL },
		{ TEMPLATE("[{\"Sequence\":{\"id\":\"C\",\"type_id\":0}}]"), -ENOTSUP },
		{ TEMPLATE("[{\"Sequence\":{\"id\":\"B\",\"type_id\":0}},"
			   "{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}]"),
		  -ENOTSUP },
		{ TEMPLATE("[{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}}]"), -EINVAL },
		{ TEMPLATE("[{\"Sequence\":{\"id\":\"B\",\"type_id\":-1}}]"), -EINVAL },
	};
	struct qeff_tokenizer *tokenizer;
	struct qeff_error err = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(
			open_parts(NULL, NULL, cases[i].post, NULL, NULL, NULL, &tokenizer, &err),
			cases[i].code);
}

static const struct unit_test tests[] = {
	{ "vectors: tiny-llama-stories", test_vectors_llama },
	{ "vectors: tiny-bert-embed", test_vectors_bert },
	{ "vectors: every part", test_vectors_parts },
	{ "byte-pair encoding", test_bpe },
	{ "splits", test_splits },
	{ "added tokens", test_added_tokens },
	{ "truncation and segments", test_truncation },
	{ "streams hold characters", test_stream_holds_characters },
	{ "roles", test_roles },
	{ "not a tokenizer", test_not_a_tokenizer },
	{ "hostile files", test_hostile_files },
	{ "pairs", test_pairs },
	{ "hostile templates of pairs", test_hostile_templates },
};
QEFF_UNIT_MAIN("tokenizer", tests)
