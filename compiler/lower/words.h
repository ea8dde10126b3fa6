/* SPDX-License-Identifier: MIT */
/*
 * A few words on top of the dense way, for operators that take several steps: expressions as text,
 * and one place that remembers what went wrong first, so that an operator reads like its formula.
 * After an error every word does nothing and views are empty.
 */
#ifndef QEFF_LOWER_WORDS_H
#define QEFF_LOWER_WORDS_H

#include "graph/forms.h"
#include "lower/dense.h"

/**
 * struct words - the lowering of one node
 * @rc: 0, or the first error
 */
struct words {
	struct select *s;
	const struct qeff_node *node;
	int rc;
};

/* Input @index, and output @index, which becomes a new tensor, or is what @view shows. */
struct dense_view words_in(struct words *w, uint32_t index);
struct dense_view words_out(struct words *w, uint32_t index);
void words_alias(struct words *w, uint32_t index, const struct dense_view *view);
bool words_has(const struct words *w, uint32_t index);	 /* an input that is not absent */
bool words_wants(const struct words *w, uint32_t index); /* output */

struct dense_view words_temp(struct words *w, uint8_t type, uint32_t rank, const int64_t *size);
/* A new tensor as large as @view. */
struct dense_view words_like(struct words *w, uint8_t type, const struct dense_view *view);
/* A new tensor as large as @view with the axes in @axes (bits) 1. */
struct dense_view words_reduced(struct words *w, uint8_t type, const struct dense_view *view,
				uint32_t axes);
struct dense_view words_constant(struct words *w, uint8_t type, uint32_t rank, const int64_t *size,
				 const void *data);
/* 0, 1, ... as @view's axis @axis counts, a view that stretches to all of it. */
struct dense_view words_iota(struct words *w, const struct dense_view *view, uint32_t axis);

/*
 * out = an expression of the inputs, which are stretched to @out. @text is in postfix notation,
 * words between blanks: a b c d are the inputs, p0 ... p9 the numbers of @params, a number is
 * itself; + - * / min max pow mod fmod = < <= and or xor << >> take two, "condition yes no ?"
 * chooses, and exp, sqrt and the like (see words.c) take one.
 */
void words_map(struct words *w, uint8_t number, const char *text, const double *params,
	       const struct dense_view *out, uint32_t num_in, const struct dense_view *const *in);
#define WORDS_MAP(w, number, text, params, out, ...)                                               \
	words_map(w, number, text, params, out,                                                    \
		  sizeof((const struct dense_view *const[]){ __VA_ARGS__ }) / sizeof(void *),      \
		  (const struct dense_view *const[]){ __VA_ARGS__ })

/* The same, folded (enum qeff_nsp_fold): inputs have the shape of all loops, or stretch to @loops;
 * out has the first loops. */
void words_fold(struct words *w, uint8_t number, uint8_t fold, const char *text,
		const double *params, const struct dense_view *out, uint32_t rank,
		const int64_t *loops, uint32_t num_in, const struct dense_view *const *in);
#define WORDS_FOLD(w, number, fold, text, params, out, rank, loops, ...)                           \
	words_fold(w, number, fold, text, params, out, rank, loops,                                \
		   sizeof((const struct dense_view *const[]){ __VA_ARGS__ }) / sizeof(void *),     \
		   (const struct dense_view *const[]){ __VA_ARGS__ })
/* Folds @axes of one tensor; out may keep them as 1. */
void words_reduce(struct words *w, uint8_t number, uint8_t fold, const char *text,
		  const struct dense_view *in, uint32_t axes, const struct dense_view *out);

void words_copy(struct words *w, const struct dense_view *from, const struct dense_view *to);
void words_fill(struct words *w, const struct dense_view *view, double number);
void words_contiguous(struct words *w, struct dense_view *view);
void words_reshape(struct words *w, struct dense_view *view, uint32_t rank, const int64_t *size);
void words_pick(struct words *w, const struct dense_pick *pick);
void words_put(struct words *w, const struct dense_pick *pick);
/* Room, zeroed, for a table of @rows by @columns numbers that this lowering makes up; the caller
 * frees it. NULL if it is too large, or something failed before: then rc is set. */
void *words_table(struct words *w, int64_t rows, int64_t columns, size_t number_bytes);
/* -ENOTSUP, unless something failed before. */
__attribute__((format(printf, 2, 3))) void words_refuse(struct words *w, const char *format, ...);

/* The number that an attribute says. */
double words_float(const struct words *w, const char *name, double fallback);
int64_t words_int(const struct words *w, const char *name, int64_t fallback);

/* @view shrunk by @begin and so on: elements [begin, begin + size) of @axis. */
static inline struct dense_view words_part(const struct dense_view *view, uint32_t axis,
					   int64_t begin, int64_t size)
{
	struct dense_view part = *view;

	dense_slice(&part, axis, begin, size, 1);
	return part;
}

#endif
