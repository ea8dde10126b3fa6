/* SPDX-License-Identifier: MIT */
/*
 * What a harness, the mutator and the program that drives them share. A harness is one file with
 * LLVMFuzzerTestOneInput(): libFuzzer calls it, and so does fuzz_main.c, which replays files,
 * corrupts them by a seed, and cuts them short.
 */
#ifndef QEFF_TESTS_FUZZ_H
#define QEFF_TESTS_FUZZ_H

#include <qeff/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Part of an input. */
struct fuzz_region {
	size_t offset;
	size_t size_bytes;
};

#define FUZZ_MAX_REGIONS 80

/**
 * fuzz_regions - where an intact input has its structure
 * @regions: receives the parts that say something about others: headers, tables, descriptors,
 * programs. What lies in none of them is bulk
 *
 * Every harness has one. Returns how many, at least 1.
 */
size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions);

/* What became of the inputs so far. */
extern uint64_t fuzz_num_ran, fuzz_num_refused;

/* The library took the input and did all that was asked. */
void fuzz_ran(void);

/* It refused: @err must hold a sentence that names @place and the code returned. */
void fuzz_refused(int rc, const struct qeff_error *err, const char *place);

/* Ends the process, loudly, if a promise was broken. */
__attribute__((format(printf, 2, 3))) void fuzz_require(bool kept, const char *format, ...);

/* A folder of this process in memory, where there is one; removed with its files at exit. */
const char *fuzz_folder(void);
/* Writes a file there, and says where it is. */
const char *fuzz_write(const char *name, const void *data, size_t size);

/**
 * fuzz_mutate - damage an input
 * @data: room for @capacity bytes, @size of them in use
 * @state: of the generator; the same state gives the same damage
 * @regions: structure of the intact input: nine times in ten, damage goes there
 *
 * Returns the new size.
 */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *state,
		   const struct fuzz_region *regions, size_t num_regions);

/*
 * Damage by someone who knows the form of the input: a harness may have it. Takes turns with
 * fuzz_mutate(). Returns the new size, or 0 and @data as it was if there is nothing to take hold
 * of.
 */
size_t fuzz_mutate_whole(uint8_t *data, size_t size, size_t capacity, uint64_t *state)
	__attribute__((weak));

/* A number below @limit. */
uint64_t fuzz_random(uint64_t *state, uint64_t limit);

#endif
