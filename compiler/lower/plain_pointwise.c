/* SPDX-License-Identifier: MIT */
/* Operators that work element by element: most are an expression, one NEST each. */
#include "graph/ops.h"
#include "lower/plain_words.h"

#include <math.h>
#include <string.h>

/* Numbers of the expressions: attributes and their defaults. */
struct parameter {
	const char *name;
	double fallback;
};

/* clang-format off */
static const struct {
	const char *op;
	const char *text;
	struct parameter parameters[2];
} expressions[] = {
	{ "Add", "a b +", { { 0 } } },
	{ "Sub", "a b -", { { 0 } } },
	{ "Mul", "a b *", { { 0 } } },
	{ "Div", "a b /", { { 0 } } },
	{ "BitwiseAnd", "a b and", { { 0 } } },
	{ "BitwiseOr", "a b or", { { 0 } } },
	{ "BitwiseXor", "a b xor", { { 0 } } },
	{ "BitwiseNot", "0 a - 1 -", { { 0 } } },
	{ "Abs", "a abs", { { 0 } } },
	{ "Neg", "a neg", { { 0 } } },
	{ "Sign", "a sign", { { 0 } } },
	{ "Sqrt", "a sqrt", { { 0 } } },
	{ "Reciprocal", "1 a /", { { 0 } } },
	{ "Exp", "a exp", { { 0 } } },
	{ "Log", "a log", { { 0 } } },
	{ "Ceil", "a ceil", { { 0 } } },
	{ "Floor", "a floor", { { 0 } } },
	{ "Round", "a round", { { 0 } } },
	{ "Sin", "a sin", { { 0 } } },
	{ "Cos", "a cos", { { 0 } } },
	{ "Tan", "a tan", { { 0 } } },
	{ "Asin", "a asin", { { 0 } } },
	{ "Acos", "a acos", { { 0 } } },
	{ "Atan", "a atan", { { 0 } } },
	{ "Sinh", "a sinh", { { 0 } } },
	{ "Cosh", "a cosh", { { 0 } } },
	{ "Asinh", "a asinh", { { 0 } } },
	{ "Acosh", "a acosh", { { 0 } } },
	{ "Atanh", "a atanh", { { 0 } } },
	{ "Erf", "a erf", { { 0 } } },
	{ "Relu", "a 0 max", { { 0 } } },
	{ "Sigmoid", "a sigmoid", { { 0 } } },
	{ "Tanh", "a tanh", { { 0 } } },
	{ "Elu", "a 0 < a exp 1 - p0 * a ?", { { "alpha", 1 } } },
	{ "Selu", "a 0 < a exp 1 - p0 * a ? p1 *",
	  { { "alpha", 1.67326319217681884765625 }, { "gamma", 1.05070102214813232421875 } } },
	{ "Celu", "a 0 max a p0 / exp 1 - p0 * 0 min +", { { "alpha", 1 } } },
	{ "LeakyRelu", "a 0 < a p0 * a ?", { { "alpha", 0.01 } } },
	{ "ThresholdedRelu", "p0 a < a 0 ?", { { "alpha", 1 } } },
	{ "HardSigmoid", "a p0 * p1 + 1 min 0 max", { { "alpha", 0.2 }, { "beta", 0.5 } } },
	{ "HardSwish", "a 6 / 0.5 + 1 min 0 max a *", { { 0 } } },
	{ "Mish", "a abs neg exp log1p a 0 max + tanh a *", { { 0 } } },
	{ "Softplus", "a abs neg exp log1p a 0 max +", { { 0 } } },
	{ "Softsign", "a a abs 1 + /", { { 0 } } },
	{ "Shrink", "a p1 neg < a p0 + p1 a < a p0 - 0 ? ?", { { "bias", 0 }, { "lambd", 0.5 } } },
	{ "PRelu", "a 0 < a b * a ?", { { 0 } } },
	{ "And", "a b and", { { 0 } } },
	{ "Or", "a b or", { { 0 } } },
	{ "Xor", "a b xor", { { 0 } } },
	{ "Not", "1 a -", { { 0 } } },
	{ "Equal", "a b =", { { 0 } } },
	{ "Less", "a b <", { { 0 } } },
	{ "LessOrEqual", "a b <=", { { 0 } } },
	{ "Greater", "b a <", { { 0 } } },
	{ "GreaterOrEqual", "b a <=", { { 0 } } },
	{ "IsNaN", "a isnan", { { 0 } } },
	{ "Where", "a b c ?", { { 0 } } },
};
/* clang-format on */

bool plain_is_expression(const char *op)
{
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
		if (!strcmp(expressions[i].op, op))
			return true;
	return !strcmp(op, "Gelu") || !strcmp(op, "Mod") || !strcmp(op, "BitShift");
}

/* The expression of @node; its attributes' numbers. */
static const char *expression_of(const struct words *w, double *params)
{
	const char *op = w->node->op->name;

	if (!strcmp(op, "Gelu"))
		return strcmp(qeff_node_string(w->node, "approximate", "none"), "tanh")
			       ? "a gelu"
			       : "a gelutanh";
	if (!strcmp(op, "Mod"))
		return words_int(w, "fmod", 0) ? "a b fmod" : "a b mod";
	if (!strcmp(op, "BitShift"))
		return strcmp(qeff_node_string(w->node, "direction", ""), "LEFT") ? "a b >>"
										  : "a b <<";
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		if (strcmp(expressions[i].op, op))
			continue;
		for (uint32_t j = 0; j < 2 && expressions[i].parameters[j].name; j++)
			params[j] = words_float(w, expressions[i].parameters[j].name,
						expressions[i].parameters[j].fallback);
		return expressions[i].text;
	}
	return NULL;
}

int plain_expression(struct words *w)
{
	struct dense_view in[3], out;
	double params[2];
	const char *text = expression_of(w, params);
	uint8_t number;

	if (!text)
		return 1;
	for (uint32_t i = 0; i < w->node->num_inputs && i < 3; i++)
		in[i] = words_in(w, i);
	out = words_out(w, 0);
	number = dense_number(in[qeff_node_is(w->node, "Where")].type);
	if (number > QEFF_NSP_NUMBER_F64 && qeff_node_is(w->node, "Erf"))
		number = QEFF_NSP_NUMBER_F64;
	words_map(w, number, text, params, &out, w->node->num_inputs,
		  (const struct dense_view *const[]){ &in[0], &in[1], &in[2] });
	return w->rc;
}

/* An exponent of floats makes a base of integers one. */
void plain_pow(struct words *w)
{
	struct dense_view a = words_in(w, 0), b = words_in(w, 1), out = words_out(w, 0);
	uint8_t number = dense_number(a.type);

	if (number > QEFF_NSP_NUMBER_F64 && dense_number(b.type) <= QEFF_NSP_NUMBER_F64)
		number = QEFF_NSP_NUMBER_F64;
	WORDS_MAP(w, number, "a b pow", NULL, &out, &a, &b);
}

void plain_variadic(struct words *w)
{
	const char *op = w->node->op->name;
	bool mean = !strcmp(op, "Mean");
	const char *text = !strcmp(op, "Max")	? "a b max"
			   : !strcmp(op, "Min") ? "a b min"
						: "a b +";
	uint32_t count = w->node->num_inputs;
	struct dense_view sum = words_in(w, 0), out;
	double share = 1.0 / count;
	uint8_t number = dense_number(sum.type);

	if (count == 1) {
		words_alias(w, 0, &sum);
		return;
	}
	out = words_out(w, 0);
	for (uint32_t i = 1; i < count && !w->rc; i++) {
		struct dense_view next = words_in(w, i);
		bool last = i + 1 == count;
		struct dense_view to = last ? out : words_like(w, out.type, &out);

		WORDS_MAP(w, number, last && mean ? "a b + p0 *" : text, &share, &to, &sum, &next);
		sum = to;
	}
}

void plain_clip(struct words *w)
{
	bool low = words_has(w, 1), high = words_has(w, 2);
	struct dense_view x = words_in(w, 0), bounds[2] = { 0 }, out;
	uint8_t number = dense_number(x.type);
	const struct dense_view one = { .rank = 0 };

	if (!low && !high) {
		words_alias(w, 0, &x);
		return;
	}
	for (uint32_t i = 0; i < 2; i++)
		if (words_has(w, 1 + i)) {
			bounds[i] = words_in(w, 1 + i);
			words_reshape(w, &bounds[i], one.rank, one.size);
		}
	out = words_out(w, 0);
	if (low && high)
		WORDS_MAP(w, number, "a b max c min", NULL, &out, &x, &bounds[0], &bounds[1]);
	else if (low)
		WORDS_MAP(w, number, "a b max", NULL, &out, &x, &bounds[0]);
	else
		WORDS_MAP(w, number, "a b min", NULL, &out, &x, &bounds[1]);
}

void plain_cast(struct words *w)
{
	struct dense_view x = words_in(w, 0), out;

	if (w->node->outputs[0]->type == w->node->inputs[0]->type) {
		words_alias(w, 0, &x);
		return;
	}
	out = words_out(w, 0);
	words_copy(w, &x, &out);
}

void plain_identity(struct words *w)
{
	struct dense_view x = words_in(w, 0);

	words_alias(w, 0, &x);
}

/* Outside training it drops nothing: x, and a mask that is true. */
void plain_dropout(struct words *w)
{
	plain_identity(w);
	if (words_wants(w, 1)) {
		struct dense_view mask = words_out(w, 1);

		words_fill(w, &mask, 1);
	}
}

void plain_is_inf(struct words *w)
{
	bool negative = words_int(w, "detect_negative", 1);
	bool positive = words_int(w, "detect_positive", 1);
	struct dense_view x = words_in(w, 0), out = words_out(w, 0);

	if (!negative && !positive)
		words_fill(w, &out, 0);
	else
		WORDS_MAP(w, dense_number(x.type),
			  negative && positive ? "a isinf abs"
			  : positive	       ? "a isinf 0 max"
					       : "a isinf neg 0 max",
			  NULL, &out, &x);
}

void plain_limits(uint8_t type, double limits[2])
{
	static const struct {
		uint8_t type, bits, is_signed;
	} types[] = {
		{ QEFF_NSP_I8, 8, 1 },	 { QEFF_NSP_U8, 8, 0 },	  { QEFF_NSP_I16, 16, 1 },
		{ QEFF_NSP_U16, 16, 0 }, { QEFF_NSP_I32, 32, 1 }, { QEFF_NSP_U32, 32, 0 },
		{ QEFF_NSP_I64, 64, 1 }, { QEFF_NSP_U64, 64, 0 }, { QEFF_NSP_BOOL, 1, 0 },
	};

	limits[0] = -INFINITY;
	limits[1] = INFINITY;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type) {
			limits[0] = types[i].is_signed ? -ldexp(1, types[i].bits - 1) : 0;
			limits[1] = ldexp(1, types[i].bits - types[i].is_signed) - 1;
		}
}

/* A scale or zero point for each index of the axis, or one for all, in a view that stretches. */
static struct dense_view quantisation(struct words *w, uint32_t input, const struct dense_view *x)
{
	struct dense_view view = words_in(w, input);
	int64_t axis = words_int(w, "axis", 1);

	if (w->rc || !view.rank || (view.rank == 1 && view.size[0] == 1))
		return view;
	axis += axis < 0 ? x->rank : 0;
	for (uint32_t i = (uint32_t)axis + 1; i < x->rank; i++)
		dense_insert(&view, view.rank, 1, 0);
	return view;
}

void plain_quantize(struct words *w)
{
	struct dense_view x = words_in(w, 0), scale = quantisation(w, 1, &x), zero;
	struct dense_view out = words_out(w, 0);
	double limits[2];

	plain_limits(out.type, limits);
	if (words_has(w, 2)) {
		zero = quantisation(w, 2, &x);
		WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "a b / round c + p0 max p1 min", limits, &out, &x,
			  &scale, &zero);
	} else {
		WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "a b / round p0 max p1 min", limits, &out, &x,
			  &scale);
	}
}

void plain_dequantize(struct words *w)
{
	struct dense_view x = words_in(w, 0), scale = quantisation(w, 1, &x), zero;
	struct dense_view out = words_out(w, 0);
	uint8_t number = x.type == QEFF_NSP_I32 ? QEFF_NSP_NUMBER_F64 : QEFF_NSP_NUMBER_F32;

	if (words_has(w, 2)) {
		zero = quantisation(w, 2, &x);
		WORDS_MAP(w, number, "a c - b *", NULL, &out, &x, &scale, &zero);
	} else {
		WORDS_MAP(w, number, "a b *", NULL, &out, &x, &scale);
	}
}

/* The range of x, stretched to hold 0, is what 256 steps cover. */
void plain_dynamic_quantize(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), least, most, scale, zero;
	uint32_t all = (1u << x.rank) - 1;

	least = words_temp(w, QEFF_NSP_F32, 0, NULL);
	most = words_temp(w, QEFF_NSP_F32, 0, NULL);
	scale = words_wants(w, 1) ? words_out(w, 1) : words_temp(w, QEFF_NSP_F32, 0, NULL);
	zero = words_wants(w, 2) ? words_out(w, 2) : words_temp(w, QEFF_NSP_U8, 0, NULL);
	words_reduce(w, QEFF_NSP_NUMBER_F32, QEFF_NSP_FOLD_MIN, "a", &x, all, &least);
	words_reduce(w, QEFF_NSP_NUMBER_F32, QEFF_NSP_FOLD_MAX, "a", &x, all, &most);
	WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "b 0 max a 0 min - 255 /", NULL, &scale, &least, &most);
	WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "b 0 = 0 a 0 min neg b / ? 0 max 255 min round", NULL,
		  &zero, &least, &scale);
	WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "b 0 = 0 a b / ? round c + 0 max 255 min", NULL, &out, &x,
		  &scale, &zero);
}

void plain_requantize(struct words *w, const struct dense_view *acc, const struct dense_view *sa,
		      const struct dense_view *sb, const struct dense_view *sy,
		      const struct dense_view *zero, const struct dense_view *out)
{
	struct dense_view factor = words_like(w, QEFF_NSP_F32, sb->rank > sa->rank ? sb : sa);
	double limits[2];

	plain_limits(out->type, limits);
	WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "a b * c /", NULL, &factor, sa, sb, sy);
	WORDS_MAP(w, QEFF_NSP_NUMBER_F32, "a b * round c + p0 max p1 min", limits, out, acc,
		  &factor, zero);
}
