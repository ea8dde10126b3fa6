/* SPDX-License-Identifier: MIT */
/* What the transforms that recognise patterns look for in common. */
#ifndef QEFF_TRANSFORMS_PATTERN_H
#define QEFF_TRANSFORMS_PATTERN_H

#include "graph/graph.h"

/* The number of an initialiser that holds one f32. */
bool qeff_pattern_scalar(const struct qeff_value *value, float *number);
/* The other input of a commutative node with such a number, and the number; else NULL. */
struct qeff_value *qeff_pattern_beside(const struct qeff_node *node, float *number);
/* @value, if it is @op of two inputs of which one is @number: the other one; else NULL. */
struct qeff_value *qeff_pattern_with(const struct qeff_value *value, const char *op, float number);
/* Whether two numbers are one constant, as exporters round it. */
bool qeff_pattern_near(float number, double constant);
/* If @value is the mean over the last axis, which it keeps, of something: that. */
struct qeff_value *qeff_pattern_row_mean(const struct qeff_value *value);
/* If @value is x times x: x. */
struct qeff_value *qeff_pattern_square(const struct qeff_value *value);
/* If @value is sqrt(mean(x^2) + epsilon) of rows: x. */
struct qeff_value *qeff_pattern_root_mean_square(const struct qeff_value *value, float *epsilon);
/* An initialiser with one dimension. */
bool qeff_pattern_vector(const struct qeff_value *value);

#endif
