/* SPDX-License-Identifier: MIT */
/*
 * From Oniguruma's Ruby syntax, in which tokenizer.json writes its patterns, to PCRE2's. The two
 * agree on most things; this walks the pattern once and rewrites where they do not.
 */
#include "text/regex.h"

#include "text/utf8.h"

#define CLASS_DEPTH_MAX 8

/* \w of Oniguruma: UTS #18's word characters without the joiners. PCRE2's \w is letters, numbers
 * and "_". */
#define WORD	  "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define SPACE	  "\\p{White_Space}"
#define NOT_SPACE "\\P{White_Space}"
#define HEX	  "0-9A-Fa-f"

struct translator {
	const uint8_t *in;
	size_t size_bytes;
	size_t at;
	struct qeff_error *err;
};

static int refuse(struct translator *t, const char *what)
{
	return qeff_error_set(
		t->err, -ENOTSUP, "regular expression \"%.*s\": %s at offset %zu is not supported",
		(int)(t->size_bytes < 200 ? t->size_bytes : 200), (const char *)t->in, what, t->at);
}

static void put(struct qeff_bytes *out, const char *text)
{
	qeff_bytes_append(out, text, strlen(text));
}

static bool peek(const struct translator *t, const char *text)
{
	size_t length = strlen(text);

	return t->size_bytes - t->at >= length && !memcmp(t->in + t->at, text, length);
}

static bool take(struct translator *t, const char *text)
{
	if (!peek(t, text))
		return false;
	t->at += strlen(text);
	return true;
}

/* Long names of categories and of Oniguruma's POSIX properties, which PCRE2 knows by other names.
 */
static const struct {
	const char *from;
	const char *to;
} properties[] = {
	{ "letter", "L" },
	{ "uppercaseletter", "Lu" },
	{ "lowercaseletter", "Ll" },
	{ "titlecaseletter", "Lt" },
	{ "modifierletter", "Lm" },
	{ "otherletter", "Lo" },
	{ "mark", "M" },
	{ "nonspacingmark", "Mn" },
	{ "spacingmark", "Mc" },
	{ "enclosingmark", "Me" },
	{ "number", "N" },
	{ "decimalnumber", "Nd" },
	{ "letternumber", "Nl" },
	{ "othernumber", "No" },
	{ "punctuation", "P" },
	{ "symbol", "S" },
	{ "mathsymbol", "Sm" },
	{ "currencysymbol", "Sc" },
	{ "modifiersymbol", "Sk" },
	{ "othersymbol", "So" },
	{ "separator", "Z" },
	{ "spaceseparator", "Zs" },
	{ "other", "C" },
	{ "control", "Cc" },
	{ "format", "Cf" },
	{ "alpha", "Alphabetic" },
	{ "digit", "Nd" },
	{ "space", "White_Space" },
	{ "upper", "Uppercase" },
	{ "lower", "Lowercase" },
	{ "alphabetic", "Alphabetic" },
	{ "whitespace", "White_Space" },
	{ "uppercase", "Uppercase" },
	{ "lowercase", "Lowercase" },
	{ "any", "Any" },
};

/* \p{...}, standing behind the "p" or "P". */
static int translate_property(struct translator *t, bool negated, struct qeff_bytes *out)
{
	char name[64];
	size_t length = 0;

	if (!take(t, "{"))
		return refuse(t, "a property without braces");
	if (take(t, "^"))
		negated = !negated;
	while (t->at < t->size_bytes && t->in[t->at] != '}') {
		uint8_t c = t->in[t->at++];

		if (c == ' ' || c == '_' || c == '-')
			continue;
		if (c >= 0x80 || length + 1 >= sizeof(name))
			return refuse(t, "a property's name");
		name[length++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	name[length] = '\0';
	if (!take(t, "}") || !length)
		return refuse(t, "a property's name");
	put(out, negated ? "\\P{" : "\\p{");
	if (length <= 2) {
		/* a general category, in its own spelling */
		qeff_bytes_u8(out, (uint8_t)(name[0] - 32));
		put(out, name + 1);
		put(out, "}");
		return 0;
	}
	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		if (!strcmp(name, properties[i].from)) {
			put(out, properties[i].to);
			put(out, "}");
			return 0;
		}
	/* A script: PCRE2's plain name would be the script extensions, which are wider. */
	put(out, "sc:");
	put(out, name);
	put(out, "}");
	return 0;
}

/* \uHHHH, standing behind the "u". */
static int translate_code_point(struct translator *t, struct qeff_bytes *out)
{
	if (t->size_bytes - t->at < 4)
		return refuse(t, "\\u without four digits");
	put(out, "\\x{");
	qeff_bytes_append(out, t->in + t->at, 4);
	put(out, "}");
	t->at += 4;
	return 0;
}

/* What stands behind a backslash, inside a class (@inside) or outside. */
static int translate_escape(struct translator *t, bool inside, struct qeff_bytes *out)
{
	uint8_t c;

	if (t->at >= t->size_bytes)
		return refuse(t, "a backslash at the end");
	c = t->in[t->at++];
	switch (c) {
	case 's':
		put(out, SPACE);
		return 0;
	case 'S':
		put(out, NOT_SPACE);
		return 0;
	case 'w':
		put(out, inside ? WORD : "[" WORD "]");
		return 0;
	case 'W':
		if (inside)
			return refuse(t, "\\W in a class");
		put(out, "[^" WORD "]");
		return 0;
	case 'h':
		put(out, inside ? HEX : "[" HEX "]");
		return 0;
	case 'H':
		if (inside)
			return refuse(t, "\\H in a class");
		put(out, "[^" HEX "]");
		return 0;
	case 'd':
		put(out, "\\p{Nd}");
		return 0;
	case 'D':
		put(out, "\\P{Nd}");
		return 0;
	case 'v':
		put(out, "\\x{b}");
		return 0;
	case 'p':
	case 'P':
		return translate_property(t, c == 'P', out);
	case 'u':
		return translate_code_point(t, out);
	case 'b':
		if (inside)
			put(out, "\\x{8}");
		else
			put(out, "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))");
		return 0;
	case 'B':
		put(out, "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
		return 0;
	case 'Q':
	case 'E':
	case 'N':
	case 'O':
	case 'y':
	case 'Y':
	case 'V':
	case 'C':
	case 'g':
	case 'c':
	case 'M':
		return refuse(t, "an escape");
	default:
		qeff_bytes_u8(out, '\\');
		qeff_bytes_u8(out, c);
		/* the rest of a character of several bytes follows as plain text */
		return 0;
	}
}

static int translate_class(struct translator *t, unsigned int depth, struct qeff_bytes *out);

/* [:name:] inside a class, standing behind "[:". */
static int translate_posix(struct translator *t, struct qeff_bytes *out)
{
	static const struct {
		const char *name;
		const char *items;
	} classes[] = {
		{ "alpha:]", "\\p{Alphabetic}" },
		{ "digit:]", "\\p{Nd}" },
		{ "alnum:]", "\\p{Alphabetic}\\p{Nd}" },
		{ "space:]", SPACE },
		{ "^space:]", NOT_SPACE },
		{ "upper:]", "\\p{Uppercase}" },
		{ "lower:]", "\\p{Lowercase}" },
		{ "word:]", WORD },
		{ "xdigit:]", HEX },
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (take(t, classes[i].name)) {
			put(out, classes[i].items);
			return 0;
		}
	return refuse(t, "a POSIX class");
}

/*
 * One side of "&&": items up to "&&" or "]". Writes an expression that matches one character of it.
 * A class nested in it is a union, which can be spliced in unless it is negated or an intersection;
 * those may only stand alone.
 */
static int translate_operand(struct translator *t, unsigned int depth, struct qeff_bytes *out)
{
	struct qeff_bytes items = { 0 }, nested = { 0 };
	bool first = true;
	int rc = 0;

	while (rc == 0) {
		if (t->at >= t->size_bytes) {
			rc = refuse(t, "a class without an end");
		} else if (peek(t, "&&") || (!first && peek(t, "]"))) {
			break;
		} else if (take(t, "[:")) {
			rc = translate_posix(t, &items);
		} else if (take(t, "[")) {
			size_t before = nested.size_bytes;

			rc = translate_class(t, depth + 1, &nested);
			if (nested.failed)
				break;
			if (rc == 0 && nested.data[before] == '[' &&
			    nested.data[before + 1] != '^') {
				qeff_bytes_append(&items, nested.data + before + 1,
						  nested.size_bytes - before - 2);
				nested.size_bytes = before;
			} else if (rc == 0 && (before || items.size_bytes ||
					       !(peek(t, "&&") || peek(t, "]")))) {
				rc = refuse(t, "a negated class within a class");
			}
		} else if (take(t, "\\")) {
			rc = translate_escape(t, true, &items);
		} else {
			qeff_bytes_u8(&items, t->in[t->at++]);
		}
		first = false;
	}
	if (rc == 0 && nested.size_bytes) {
		qeff_bytes_append(out, nested.data, nested.size_bytes);
	} else if (rc == 0) {
		put(out, "[");
		qeff_bytes_append(out, items.size_bytes ? items.data : NULL, items.size_bytes);
		put(out, "]");
	}
	out->failed |= items.failed || nested.failed;
	qeff_bytes_free(&items);
	qeff_bytes_free(&nested);
	return rc;
}

/* A class, standing behind its "[". */
static int translate_class(struct translator *t, unsigned int depth, struct qeff_bytes *out)
{
	struct qeff_bytes side = { 0 }, sides = { 0 };
	const bool negated = take(t, "^");
	unsigned int count = 0;
	int rc = 0;

	if (depth >= CLASS_DEPTH_MAX)
		return refuse(t, "a class nested this deeply");
	for (;;) {
		side.size_bytes = 0;
		rc = translate_operand(t, depth, &side);
		if (rc < 0)
			goto done;
		if (side.failed) {
			out->failed = true;
			goto done;
		}
		count++;
		if (!take(t, "&&"))
			break;
		put(&sides, "(?=");
		qeff_bytes_append(&sides, side.data, side.size_bytes);
		put(&sides, ")");
	}
	take(t, "]");
	if (count == 1 && !negated) {
		qeff_bytes_append(out, side.data, side.size_bytes);
	} else if (count == 1 && side.data[0] == '[' && side.data[1] != '^') {
		put(out, "[^");
		qeff_bytes_append(out, side.data + 1, side.size_bytes - 1);
	} else {
		put(out, negated ? "(?:(?!" : "(?:");
		qeff_bytes_append(out, sides.size_bytes ? sides.data : NULL, sides.size_bytes);
		qeff_bytes_append(out, side.data, side.size_bytes);
		put(out, negated ? ")(?s:.))" : ")");
	}
	if (sides.failed)
		out->failed = true;
done:
	qeff_bytes_free(&side);
	qeff_bytes_free(&sides);
	return rc;
}

/* "(?" and the letters behind it: Ruby's m is what others call s. */
static int translate_options(struct translator *t, struct qeff_bytes *out)
{
	put(out, "(?");
	while (t->at < t->size_bytes) {
		uint8_t c = t->in[t->at];

		if (c != 'i' && c != 'm' && c != 'x' && c != '-')
			break;
		if (c == 'x')
			return refuse(t, "(?x)");
		qeff_bytes_u8(out, c == 'm' ? 's' : c);
		t->at++;
	}
	if (peek(t, "R") || peek(t, "C") || peek(t, "&") || peek(t, "P") || peek(t, "|") ||
	    peek(t, "("))
		return refuse(t, "a group of this kind");
	return 0;
}

/* A brace: an interval, which must not be followed by "+" (here a repeat, to PCRE2 "possessive").
 */
static int translate_brace(struct translator *t, struct qeff_bytes *out)
{
	size_t end = t->at;

	while (end < t->size_bytes &&
	       ((t->in[end] >= '0' && t->in[end] <= '9') || t->in[end] == ','))
		end++;
	put(out, peek(t, ",") ? "{0" : "{");
	qeff_bytes_append(out, t->in + t->at, end - t->at);
	t->at = end;
	if (!take(t, "}"))
		return refuse(t, "a brace that is not a repeat count");
	put(out, "}");
	return peek(t, "+") ? refuse(t, "\"+\" behind a repeat count") : 0;
}

int qeff_regex_translate(struct qeff_bytes *out, const char *pattern, size_t size_bytes,
			 struct qeff_error *err)
{
	struct translator t = { .in = (const uint8_t *)pattern,
				.size_bytes = size_bytes,
				.err = err };
	int rc = 0;

	while (rc == 0 && t.at < size_bytes) {
		if (take(&t, "\\"))
			rc = translate_escape(&t, false, out);
		else if (take(&t, "["))
			rc = translate_class(&t, 0, out);
		else if (take(&t, "(?"))
			rc = translate_options(&t, out);
		else if (peek(&t, "(*"))
			rc = refuse(&t, "a verb");
		else if (take(&t, "{"))
			rc = translate_brace(&t, out);
		else
			qeff_bytes_u8(out, t.in[t.at++]);
	}
	if (rc == 0 && out->failed)
		rc = qeff_error_set(err, -ENOMEM, "no memory for a regular expression");
	return rc;
}
