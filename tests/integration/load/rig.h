/* SPDX-License-Identifier: MIT */
/* What the tests of the tools share: running one, reference tensors, NumPy files in a folder of the
 * test's own. */
#ifndef QEFF_TESTS_LOAD_RIG_H
#define QEFF_TESTS_LOAD_RIG_H

#include "../../../tools/npy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the tools, the models and this test's files are. */
struct rig {
	char *compile;
	char *load;
	char *models;
	char dir[64];
};

extern struct rig rig;

bool rig_open(int argc, char **argv);
void rig_close(void);

/* "@name" as the path of a file in the test's folder; lives until the next few calls. */
const char *rig_file(const char *name);

/**
 * run - runs a command of the shell
 * @output: receives standard output and error, NUL terminated, cut at @size
 *
 * Returns the exit status.
 */
__attribute__((format(printf, 3, 4))) int run(char *output, size_t size, const char *format, ...);

/* Runs it and asserts that it exits with 0; shows what it said otherwise. */
__attribute__((format(printf, 1, 2))) bool run_well(const char *format, ...);

/* A tensor of a model's reference.safetensors, as an array; false (and an assertion) if it is not
 * there. */
bool reference(const char *model, const char *name, struct npy *npy);

bool write_ids(const char *name, const int64_t *values, int32_t batch, int32_t length);
bool read_result(const char *name, struct npy *npy);

/* Largest difference of @count floats, as a share of the largest magnitude of @expected. */
double difference(const float *found, const float *expected, size_t count);

#endif
