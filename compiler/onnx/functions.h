/* SPDX-License-Identifier: MIT */
/* The qeff domain's operators as ONNX functions. */
#ifndef QEFF_ONNX_FUNCTIONS_H
#define QEFF_ONNX_FUNCTIONS_H

#include "graph/graph.h"
#include "util/arena.h"

#include "onnx.pb-c.h"

/**
 * struct qeff_onnx_function - one function: its name in the file and its body
 * @name: the op_type that nodes carry in the file; where an operator's meaning depends on a string
 *attribute or on which inputs are there, each case is a function of its own
 * @inputs, @attributes: names, separated by blanks
 * @body: lines "output = Operator(input, input) attribute=value": value is an integer, a float
 *(with a point), a list [1,2], a text in quotation marks, or @name for the function's attribute
 * @outputs: names; NULL for the last line's first
 */
struct qeff_onnx_function {
	const char *name;
	const char *inputs;
	const char *attributes;
	const char *const *body;
	const char *outputs;
};

/* The function that stands for @node (an operator of the qeff domain), or NULL if there is none. */
const struct qeff_onnx_function *qeff_onnx_function_for(const struct qeff_node *node);

/* Builds the message in @arena; NULL when memory ran out. */
QeffOnnx__FunctionProto *qeff_onnx_function_build(struct qeff_arena *arena,
						  const struct qeff_onnx_function *function);

#endif
