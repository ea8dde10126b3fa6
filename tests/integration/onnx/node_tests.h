/* SPDX-License-Identifier: MIT */
/* What the files of the program node_tests share: a test's tensors, what became of it. */
#ifndef QEFF_TESTS_NODE_TESTS_H
#define QEFF_TESTS_NODE_TESTS_H

#include "onnx/model.h"

#define MAX_TENSORS 64

enum outcome { PASSED, FAILED, REFUSED, CRASHED };
/* Kinds of tests that are counted. */
enum kind { KIND_TRANSFORMER = 1, KIND_NUMBERS = 2 };

struct report {
	enum outcome outcome;
	bool by_tools;
	uint32_t kinds;
	char text[400];
};

struct tensors {
	struct qeff_onnx_tensor tensor[MAX_TENSORS];
	struct qeff_onnx_tensor_file *file[MAX_TENSORS];
	bool constant[MAX_TENSORS];
	uint32_t count;
};

uint64_t elements_of(const struct qeff_onnx_tensor *t);
bool is_float(enum qeff_graph_type type);
/* Whether the numbers at @found are those of @expected; else @report says which are not. */
bool compare(const struct qeff_onnx_tensor *expected, const struct qeff_value *value,
	     const void *found, struct report *report);

/* The tools, or NULLs: with them, models go through package, library and software card. */
extern const char *compile_tool, *load_tool;

/* Compiles the model in @folder and runs it with the inputs of folder @set; true as well where its
 * tensors are of types that do not stand in .npy files. */
bool run_by_tools(const char *folder, const char *set, const struct qeff_graph *graph,
		  const struct tensors *in, const struct tensors *out, struct report *report);

#endif
