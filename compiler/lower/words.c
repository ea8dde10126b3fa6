/* SPDX-License-Identifier: MIT */
/* Expressions as text, and the other words of words.h. */
#include "lower/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A matrix that resizes a thousand pixels to thousands, or a transform of 2,000 samples, fits. */
#define MAX_TABLE_BYTES (32u << 20)

#define MAX_INSTRUCTIONS 64
#define MAX_STACK	 QEFF_NSP_REGISTERS

bool words_has(const struct words *w, uint32_t index)
{
	return qeff_node_input(w->node, index);
}

bool words_wants(const struct words *w, uint32_t index)
{
	return index < w->node->num_outputs;
}

double words_float(const struct words *w, const char *name, double fallback)
{
	return (double)qeff_node_float(w->node, name, (float)fallback);
}

int64_t words_int(const struct words *w, const char *name, int64_t fallback)
{
	return qeff_node_int(w->node, name, fallback);
}

void words_refuse(struct words *w, const char *format, ...)
{
	char text[256];
	va_list args;

	if (w->rc)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	w->rc = qeff_select_refuse(w->s, w->node, "%s", text);
}

struct dense_view words_in(struct words *w, uint32_t index)
{
	struct dense_view view = { 0 };

	if (!w->rc)
		w->rc = dense_input(w->s, w->node, index, &view);
	return view;
}

struct dense_view words_out(struct words *w, uint32_t index)
{
	struct dense_view view = { 0 };

	if (!w->rc)
		w->rc = dense_output(w->s, w->node, index, &view);
	return view;
}

void words_alias(struct words *w, uint32_t index, const struct dense_view *view)
{
	if (!w->rc)
		w->rc = dense_alias(w->s, w->node, index, view);
}

struct dense_view words_temp(struct words *w, uint8_t type, uint32_t rank, const int64_t *size)
{
	struct dense_view view = { 0 };

	if (!w->rc)
		w->rc = dense_temp(w->s, type, rank, size, &view);
	return view;
}

struct dense_view words_like(struct words *w, uint8_t type, const struct dense_view *view)
{
	return words_temp(w, type, view->rank, view->size);
}

struct dense_view words_reduced(struct words *w, uint8_t type, const struct dense_view *view,
				uint32_t axes)
{
	int64_t size[DENSE_MAX_RANK];

	for (uint32_t i = 0; i < view->rank; i++)
		size[i] = axes >> i & 1 ? 1 : view->size[i];
	return words_temp(w, type, view->rank, size);
}

struct dense_view words_constant(struct words *w, uint8_t type, uint32_t rank, const int64_t *size,
				 const void *data)
{
	struct dense_view view = { 0 };

	if (!w->rc)
		w->rc = dense_constant(w->s, type, rank, size, data, &view);
	return view;
}

void *words_table(struct words *w, int64_t rows, int64_t columns, size_t number_bytes)
{
	uint64_t bytes = number_bytes;
	void *table;

	if (w->rc)
		return NULL;
	if (rows < 1 || columns < 1 || !qeff_mul_u64(bytes, (uint64_t)rows, &bytes) ||
	    !qeff_mul_u64(bytes, (uint64_t)columns, &bytes) || bytes > MAX_TABLE_BYTES) {
		words_refuse(w, "needs a table of %lld by %lld numbers, which is too large",
			     (long long)rows, (long long)columns);
		return NULL;
	}
	table = calloc(1, bytes);
	if (!table)
		w->rc = lower_no_memory(w->s->err);
	return table;
}

struct dense_view words_iota(struct words *w, const struct dense_view *view, uint32_t axis)
{
	struct dense_view iota = { 0 };
	int64_t size = w->rc ? 0 : view->size[axis];
	int32_t *numbers = words_table(w, size, 1, sizeof(*numbers));

	if (!numbers)
		return iota;
	for (int64_t i = 0; i < size; i++)
		numbers[i] = (int32_t)i;
	iota = words_constant(w, QEFF_NSP_I32, 1, &size, numbers);
	free(numbers);
	for (uint32_t i = 0; i < view->rank && !w->rc; i++)
		if (i != axis)
			dense_insert(&iota, i, 1, 0);
	return iota;
}

static const struct {
	const char *word;
	uint8_t operands; /* 1: code is a function */
	uint8_t code;
} words[] = {
	{ "+", 2, QEFF_NSP_I_ADD },
	{ "-", 2, QEFF_NSP_I_SUB },
	{ "*", 2, QEFF_NSP_I_MUL },
	{ "/", 2, QEFF_NSP_I_DIV },
	{ "max", 2, QEFF_NSP_I_MAX },
	{ "min", 2, QEFF_NSP_I_MIN },
	{ "pow", 2, QEFF_NSP_I_POW },
	{ "mod", 2, QEFF_NSP_I_MOD },
	{ "fmod", 2, QEFF_NSP_I_FMOD },
	{ "=", 2, QEFF_NSP_I_EQUAL },
	{ "<", 2, QEFF_NSP_I_LESS },
	{ "<=", 2, QEFF_NSP_I_LESS_EQUAL },
	{ "and", 2, QEFF_NSP_I_AND },
	{ "or", 2, QEFF_NSP_I_OR },
	{ "xor", 2, QEFF_NSP_I_XOR },
	{ "<<", 2, QEFF_NSP_I_SHIFT_LEFT },
	{ ">>", 2, QEFF_NSP_I_SHIFT_RIGHT },
	{ "?", 3, QEFF_NSP_I_SELECT },
	{ "relu", 1, QEFF_NSP_RELU },
	{ "gelu", 1, QEFF_NSP_GELU_ERF },
	{ "gelutanh", 1, QEFF_NSP_GELU_TANH },
	{ "tanh", 1, QEFF_NSP_TANH },
	{ "sigmoid", 1, QEFF_NSP_SIGMOID },
	{ "exp", 1, QEFF_NSP_EXP },
	{ "erf", 1, QEFF_NSP_ERF },
	{ "sqrt", 1, QEFF_NSP_SQRT },
	{ "inverse", 1, QEFF_NSP_RECIPROCAL },
	{ "neg", 1, QEFF_NSP_NEG },
	{ "abs", 1, QEFF_NSP_ABS },
	{ "log", 1, QEFF_NSP_LOG },
	{ "floor", 1, QEFF_NSP_FLOOR },
	{ "ceil", 1, QEFF_NSP_CEIL },
	{ "round", 1, QEFF_NSP_ROUND },
	{ "trunc", 1, QEFF_NSP_TRUNC },
	{ "sign", 1, QEFF_NSP_SIGN },
	{ "isnan", 1, QEFF_NSP_IS_NAN },
	{ "isinf", 1, QEFF_NSP_IS_INF },
	{ "sin", 1, QEFF_NSP_SIN },
	{ "cos", 1, QEFF_NSP_COS },
	{ "tan", 1, QEFF_NSP_TAN },
	{ "asin", 1, QEFF_NSP_ASIN },
	{ "acos", 1, QEFF_NSP_ACOS },
	{ "atan", 1, QEFF_NSP_ATAN },
	{ "sinh", 1, QEFF_NSP_SINH },
	{ "cosh", 1, QEFF_NSP_COSH },
	{ "asinh", 1, QEFF_NSP_ASINH },
	{ "acosh", 1, QEFF_NSP_ACOSH },
	{ "atanh", 1, QEFF_NSP_ATANH },
	{ "log1p", 1, QEFF_NSP_LOG1P },
};

/* The stack holds registers; those of the inputs are never written. */
struct translation {
	struct qeff_nsp_instruction code[MAX_INSTRUCTIONS];
	uint32_t count, depth, num_in;
	uint8_t stack[MAX_STACK];
};

static bool on_stack(const struct translation *t, uint8_t reg)
{
	for (uint32_t i = 0; i < t->depth; i++)
		if (t->stack[i] == reg)
			return true;
	return false;
}

static bool emit(struct translation *t, uint8_t code, uint8_t dst, uint8_t a, uint8_t b, float imm)
{
	if (t->count == MAX_INSTRUCTIONS || t->depth == MAX_STACK)
		return false;
	t->code[t->count++] = (struct qeff_nsp_instruction){ code, dst, a, b, imm };
	t->stack[t->depth++] = dst;
	return true;
}

/* A register that holds neither an input nor a part of the expression. */
static bool free_register(const struct translation *t, uint8_t *reg)
{
	for (uint8_t i = QEFF_NSP_REGISTERS; i-- > t->num_in;)
		if (!on_stack(t, i)) {
			*reg = i;
			return true;
		}
	return false;
}

static bool operate(struct translation *t, uint8_t operands, uint8_t code)
{
	uint8_t *top, dst;

	if (t->depth < operands)
		return false;
	t->depth -= operands;
	top = &t->stack[t->depth];
	if (operands == 1)
		return free_register(t, &dst) && emit(t, QEFF_NSP_I_FUNCTION, dst, top[0], code, 0);
	if (operands == 2)
		return free_register(t, &dst) && emit(t, code, dst, top[0], top[1], 0);
	/* SELECT chooses between b and what dst has. */
	dst = top[2];
	if (dst < t->num_in || dst == top[0] || dst == top[1]) {
		const uint8_t condition = top[0], yes = top[1], no = top[2];

		t->depth += 2; /* those two stay in use */
		if (!free_register(t, &dst) ||
		    !emit(t, QEFF_NSP_I_FUNCTION, dst, no, QEFF_NSP_IDENTITY, 0))
			return false;
		t->depth -= 3;
		return emit(t, code, dst, condition, yes, 0);
	}
	return emit(t, code, dst, top[0], top[1], 0);
}

static bool translate_word(struct translation *t, const char *word, const double *params)
{
	uint8_t reg;

	if (!word[1] && word[0] >= 'a' && word[0] <= 'd' && word[0] - 'a' < (int)t->num_in) {
		if (t->depth == MAX_STACK)
			return false;
		t->stack[t->depth++] = (uint8_t)(word[0] - 'a');
		return true;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word))
			return operate(t, words[i].operands, words[i].code);
	if (!free_register(t, &reg))
		return false;
	if (word[0] == 'p' && word[1] >= '0' && word[1] <= '9' && !word[2])
		return params && emit(t, QEFF_NSP_I_CONST, reg, 0, 0, (float)params[word[1] - '0']);
	return emit(t, QEFF_NSP_I_CONST, reg, 0, 0, strtof(word, NULL));
}

/* Texts are part of this program: a wrong one is our mistake, which the unit test meets. */
static bool translate(struct translation *t, const char *text, const double *params,
		      uint32_t num_in)
{
	char word[16];

	memset(t, 0, sizeof(*t));
	t->num_in = num_in;
	while (*(text += strspn(text, " "))) {
		size_t length = strcspn(text, " ");

		if (length >= sizeof(word))
			return false;
		memcpy(word, text, length);
		word[length] = 0;
		text += length;
		if (!translate_word(t, word, params))
			return false;
	}
	if (t->depth != 1)
		return false;
	if (!t->count) /* an input alone */
		return t->stack[0] == 0;
	return t->code[t->count - 1].dst == t->stack[0];
}

static bool prepare(struct words *w, struct translation *t, const char *text, const double *params,
		    uint32_t num_in)
{
	if (w->rc)
		return false;
	if (!translate(t, text, params, num_in))
		w->rc = qeff_error_set(w->s->err, -EINVAL, "the expression \"%s\" is wrong", text);
	return !w->rc;
}

void words_map(struct words *w, uint8_t number, const char *text, const double *params,
	       const struct dense_view *out, uint32_t num_in, const struct dense_view *const *in)
{
	struct dense_view views[4];
	struct translation t;

	if (!prepare(w, &t, text, params, num_in))
		return;
	for (uint32_t i = 0; i < num_in; i++)
		views[i] = *in[i];
	w->rc = dense_map(w->s, w->node, number, t.code, t.count, views, num_in, out);
}

void words_fold(struct words *w, uint8_t number, uint8_t fold, const char *text,
		const double *params, const struct dense_view *out, uint32_t rank,
		const int64_t *loops, uint32_t num_in, const struct dense_view *const *in)
{
	struct dense_nest nest = { .number = number, .fold = fold, .num_in = num_in };
	struct translation t;

	if (!prepare(w, &t, text, params, num_in))
		return;
	for (uint32_t i = 0; i < num_in; i++) {
		nest.in[i] = *in[i];
		if (!dense_broadcast(&nest.in[i], rank, loops)) {
			words_refuse(w, "operand %u does not fit the loops", i);
			return;
		}
	}
	nest.out = *out;
	nest.code = t.code;
	nest.instructions = t.count;
	w->rc = dense_nest(w->s, w->node, &nest);
}

void words_reduce(struct words *w, uint8_t number, uint8_t fold, const char *text,
		  const struct dense_view *in, uint32_t axes, const struct dense_view *out)
{
	struct dense_view source = *in;
	struct translation t;

	if (!prepare(w, &t, text, NULL, 1))
		return;
	if (!axes) { /* a fold over one element, so that the expression is computed */
		axes = 1u << source.rank;
		dense_insert(&source, source.rank, 1, 0);
	}
	w->rc = dense_reduce(w->s, w->node, number, fold, t.code, t.count, &source, axes, out);
}

void words_copy(struct words *w, const struct dense_view *from, const struct dense_view *to)
{
	if (!w->rc)
		w->rc = dense_copy(w->s, w->node, from, to);
}

void words_fill(struct words *w, const struct dense_view *view, double number)
{
	if (!w->rc)
		w->rc = dense_fill(w->s, w->node, view, number);
}

void words_contiguous(struct words *w, struct dense_view *view)
{
	if (!w->rc)
		w->rc = dense_contiguous(w->s, w->node, view);
}

void words_reshape(struct words *w, struct dense_view *view, uint32_t rank, const int64_t *size)
{
	if (w->rc || dense_reshape(view, rank, size))
		return;
	words_contiguous(w, view);
	if (!w->rc && !dense_reshape(view, rank, size))
		words_refuse(w, "the shapes do not fit");
}

void words_pick(struct words *w, const struct dense_pick *pick)
{
	if (!w->rc)
		w->rc = dense_pick(w->s, w->node, pick);
}

void words_put(struct words *w, const struct dense_pick *pick)
{
	if (!w->rc)
		w->rc = dense_put(w->s, w->node, pick);
}
