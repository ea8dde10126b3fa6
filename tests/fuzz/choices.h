/* SPDX-License-Identifier: MIT */
/*
 * An input read as choices, one after the other, and what becomes of graphs in the end: lowered,
 * emitted, validated, run.
 */
#ifndef QEFF_TESTS_FUZZ_CHOICES_H
#define QEFF_TESTS_FUZZ_CHOICES_H

#include "lower/lower.h"

#include <stddef.h>
#include <stdint.h>

/* What is left of the input; past its end every choice is 0. */
struct fuzz_choices {
	const uint8_t *at;
	size_t left;
};

/* One of @limit; takes a byte. */
uint32_t fuzz_choose(struct fuzz_choices *choices, uint32_t limit);
/* A size: mostly 1 to @usual, now and then one that no memory has or that is none. */
int64_t fuzz_choose_size(struct fuzz_choices *choices, uint32_t usual);

/**
 * fuzz_lower - lowers bound graphs as the compiler does, and holds the result to what it promises
 * @choices: of the options, and of the inputs that each specialisation is run with
 *
 * A program that comes out must validate, its constants have the length that was announced, its
 * descriptor and metadata parse, and each specialisation run without touching what it does not
 * declare. Returns 0, or what lowering refused with.
 */
int fuzz_lower(const struct qeff_graph *const *graphs, uint32_t num_graphs,
	       struct fuzz_choices *choices, struct qeff_error *err);

#endif
