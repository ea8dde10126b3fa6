/* SPDX-License-Identifier: MIT */
/*
 * What tokenizers stand on: UTF-8 made valid, normal forms, and patterns translated from
 * Oniguruma's syntax.
 */
#include "check_bytes.h"
#include "unit.h"

#include "text/regex.h"
#include "text/unicode.h"
#include "text/utf8.h"

static void check_lossy(const char *in, size_t size_bytes, const char *expected)
{
	struct qeff_bytes out = { 0 };

	qeff_utf8_lossy(&out, (const uint8_t *)in, size_bytes);
	check_bytes("lossy", out.data, out.size_bytes, expected, strlen(expected));
	qeff_bytes_free(&out);
}

#define R		    "\xef\xbf\xbd"
#define LOSSY(in, expected) check_lossy(in, sizeof(in) - 1, expected)

static void test_utf8(void)
{
	LOSSY("plain", "plain");
	LOSSY("\xe2\x82\xac", "\xe2\x82\xac");
	LOSSY("a\x80z", "a" R "z");
	/* a sequence cut short is one maximal part, an impossible byte another */
	LOSSY("\xe2\x82z", R "z");
	LOSSY("\xf0\x9f\x98", R);
	LOSSY("\xf0\x9f\x98\xf0\x9f", R R);
	/* overlong forms and surrogates have no valid start */
	LOSSY("\xc0\xaf", R R);
	LOSSY("\xe0\x80\xaf", R R R);
	LOSSY("\xed\xa0\x80", R R R);
	LOSSY("\xf4\x90\x80\x80", R R R R);
	LOSSY("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void check_form(enum qeff_normal_form form, const char *in, const char *expected)
{
	struct qeff_bytes out = { 0 };

	qeff_normal_form(&out, (const uint8_t *)in, strlen(in), form);
	check_bytes("normal form", out.data, out.size_bytes, expected, strlen(expected));
	qeff_bytes_free(&out);
}

static void test_normal_forms(void)
{
	struct qeff_bytes marks = { 0 }, out = { 0 };

	check_form(QEFF_NFC, "e\u0301", "\u00e9");
	check_form(QEFF_NFD, "\u00e9", "e\u0301");
	/* a dot below (class 220) sorts before an acute (230) */
	check_form(QEFF_NFD, "e\u0301\u0323", "e\u0323\u0301");
	check_form(QEFF_NFC, "e\u0301\u0323", "\u1eb9\u0301");
	check_form(QEFF_NFD, "\ud55c", "\u1112\u1161\u11ab");
	check_form(QEFF_NFC, "\u1112\u1161\u11ab", "\ud55c");
	check_form(QEFF_NFKC, "\ufb01\u00bd\uff21", "fi1\u20442A");
	/* composition exclusions stay apart */
	check_form(QEFF_NFC, "\u0958", "\u0915\u093c");

	/* one character with 200,000 marks, in the order that is worst for sorting by exchange */
	for (int i = 0; i < 100000; i++)
		qeff_utf8_put(&marks, 0x301);
	for (int i = 0; i < 100000; i++)
		qeff_utf8_put(&marks, 0x323);
	qeff_normal_form(&out, marks.data, marks.size_bytes, QEFF_NFD);
	CU_ASSERT_EQUAL(out.size_bytes, marks.size_bytes);
	CU_ASSERT(!memcmp(out.data, "\u0323", 2));
	CU_ASSERT(!memcmp(out.data + out.size_bytes - 2, "\u0301", 2));
	qeff_bytes_free(&marks);
	qeff_bytes_free(&out);
}

/* Pieces of @text by @pattern, matches in brackets. */
static void check_split(const char *pattern, const char *text, const char *expected)
{
	struct qeff_error err = { 0 };
	struct qeff_bytes spans = { 0 }, out = { 0 };
	struct qeff_regex *regex;

	if (qeff_regex_new(&regex, pattern, strlen(pattern), QEFF_REGEX_ONIGURUMA, &err) < 0) {
		CU_FAIL("pattern");
		fprintf(stderr, "%s\n", err.message);
		return;
	}
	CU_ASSERT_EQUAL(qeff_regex_split(regex, (const uint8_t *)text, strlen(text), &spans, &err),
			0);
	for (size_t i = 0; i < spans.size_bytes / sizeof(struct qeff_span); i++) {
		const struct qeff_span *span = (const struct qeff_span *)spans.data + i;

		qeff_bytes_u8(&out, span->match ? '[' : '(');
		qeff_bytes_append(&out, text + span->start, span->end - span->start);
		qeff_bytes_u8(&out, span->match ? ']' : ')');
	}
	check_bytes(pattern, out.data, out.size_bytes, expected, strlen(expected));
	qeff_bytes_free(&spans);
	qeff_bytes_free(&out);
	qeff_regex_free(regex);
}

static void check_refused(const char *pattern, const char *word)
{
	struct qeff_error err = { 0 };
	struct qeff_regex *regex = NULL;

	CU_ASSERT(qeff_regex_new(&regex, pattern, strlen(pattern), QEFF_REGEX_ONIGURUMA, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, word));
	if (!strstr(err.message, word))
		fprintf(stderr, "\"%s\" for %s\n", err.message, pattern);
	qeff_regex_free(regex);
}

static void test_regex(void)
{
	check_split("a+", "baac", "(b)[aa](c)");
	/* U+180E is no white space, U+0085 is; combining marks are word characters */
	check_split("\\s+",
		    "a\u180eb\xc2\x85"
		    "c\u3000",
		    "(a\u180eb)[\xc2\x85](c)[\u3000]");
	check_split("\\w+", "e\u0301\u203fx-y", "[e\u0301\u203fx](-)[y]");
	check_split("\\h+", "xyzcafe", "(xyz)[cafe]");
	check_split("[\\h]+", "xyzcafe", "(xyz)[cafe]");
	check_split("\\bcat\\b", "cat concat", "[cat]( concat)");
	/* scripts, not script extensions: U+3001 is common to several */
	check_split("\\p{Han}+", "\u4e2d\u3001\u6587", "[\u4e2d](\u3001)[\u6587]");
	check_split("\\p{^Letter}", "a1b", "(a)[1](b)");
	/* classes: union, intersection, negation of one */
	check_split("[a[bc]]+", "xabcx", "(x)[abc](x)");
	check_split("[a-z&&[^aeiou]]+", "queue", "[q](ueue)");
	check_split("[^a-z&&[^aeiou]]+", "quiet", "(q)[uie](t)");
	check_split("[[^a]]", "ab", "(a)[b]");
	check_split("[]x]+", "]x", "[]x]");
	check_split("[[:space:]]", "a b", "(a)[ ](b)");
	check_split("(?m:a.b)", "a\nb", "[a\nb]");
	check_split("a.b", "a\nb", "(a\nb)");
	check_split("^b", "a\nb", "(a\n)[b]");
	check_split("x{,2}y", "xxxy", "(x)[xxy]");
	check_split("\\u00e9", "\u00e9", "[\u00e9]");
	check_split("(?i:'s)", "'\u017f", "['\u017f]");
	/* empty matches count between characters, not right behind a match */
	check_split("x*", "axb", "[](a)[x](b)[]");

	check_refused("a{1,2}+", "repeat count");
	check_refused("[a[^b]]", "negated class");
	check_refused("[\\W]", "\\W");
	check_refused("(?x)a", "(?x)");
	check_refused("[[:punct:]]", "POSIX");
	check_refused("(*LIMIT_MATCH=1)a", "verb");
	check_refused("[a", "class without an end");
	check_refused("(a", "parenthesis");
	check_refused("\\p{Klingon}", "unknown property");
	check_refused("[[[[[[[[[[a]]]]]]]]]]", "deeply");
	check_refused("\\", "backslash");
}

static void test_regex_gives_up(void)
{
	static const char pattern[] = "(x+x+)+y";
	struct qeff_bytes spans = { 0 };
	struct qeff_error err = { 0 };
	struct qeff_regex *regex;
	char text[64];

	memset(text, 'x', sizeof(text));
	/* without a "y" somewhere the matcher would not even begin */
	memcpy(text + sizeof(text) - 2, "zy", 2);
	CU_ASSERT_EQUAL_FATAL(
		qeff_regex_new(&regex, pattern, strlen(pattern), QEFF_REGEX_ONIGURUMA, &err), 0);
	CU_ASSERT_EQUAL(qeff_regex_split(regex, (const uint8_t *)text, sizeof(text), &spans, &err),
			-E2BIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "gave up"));
	qeff_bytes_free(&spans);
	qeff_regex_free(regex);
}

static const struct unit_test tests[] = {
	{ "utf8", test_utf8 },
	{ "normal forms", test_normal_forms },
	{ "patterns", test_regex },
	{ "a pattern gives up", test_regex_gives_up },
};
QEFF_UNIT_MAIN("text", tests)
