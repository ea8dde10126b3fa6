/* SPDX-License-Identifier: MIT */
/* What shape functions look at inputs with. Messages name the input and its shape; the caller adds
 * the node. */
#ifndef QEFF_GRAPH_INFER_CHECK_H
#define QEFF_GRAPH_INFER_CHECK_H

#include "graph/infer.h"

const struct qeff_graph_shape *infer_shape_of(const struct qeff_node *node, uint32_t input);
/* "input 1 is f32[4, 4], expected ..." */
int infer_wrong(const struct qeff_node *node, uint32_t input, const char *expected,
		struct qeff_error *err);
int infer_need_float(const struct qeff_node *node, uint32_t input, uint32_t rank,
		     const char *expected, struct qeff_error *err);
/* An i64 input of rank 2 whose first dimension is @batch. */
int infer_need_ids(const struct qeff_node *node, uint32_t input, const struct qeff_dim *batch,
		   const char *expected, struct qeff_error *err);
/* Type among @types (bits), @rank dimensions unless that is UINT32_MAX. */
int infer_need_type(const struct qeff_node *node, uint32_t input, uint32_t types, uint32_t rank,
		    const char *expected, struct qeff_error *err);
/* All dimensions are numbers. */
int infer_need_bound(const struct qeff_node *node, uint32_t input, struct qeff_error *err);
/* One number, or a list with one. */
int infer_need_scalar(const struct qeff_node *node, uint32_t input, uint32_t types,
		      struct qeff_error *err);
void infer_same_as(const struct qeff_node *node, uint32_t input, struct qeff_op_result *result);
/* @count numbers of @result's shape are the given ones. */
void infer_set_shape(struct qeff_op_result *result, uint32_t rank, const int64_t *sizes);

/* Aligns two shapes at their ends, where a 1 stretches; false where they do not fit. */
bool infer_broadcast(const struct qeff_graph_shape *a, const struct qeff_graph_shape *b,
		     struct qeff_graph_shape *out);
/* What the product of two shapes is: a vector is a row on the left and a column on the right. */
bool infer_product(const struct qeff_graph_shape *a, const struct qeff_graph_shape *b,
		   struct qeff_graph_shape *out);
/* @axes of @x are gone, or 1. */
void infer_reduced(const struct qeff_graph_shape *x, uint32_t axes, bool keep,
		   struct qeff_graph_shape *out);

/* The input is an initialiser, else -ENODATA. */
int infer_need_constant(const struct qeff_node *node, uint32_t input, struct qeff_error *err);
/* At most @room numbers of an initialiser of integers (or truths) with at most one dimension. */
int infer_ints(const struct qeff_node *node, uint32_t input, int64_t *numbers, uint32_t room,
	       uint32_t *count, struct qeff_error *err);
/* The same of floats. */
int infer_floats(const struct qeff_node *node, uint32_t input, double *numbers, uint32_t room,
		 uint32_t *count, struct qeff_error *err);

/* An axis counted from either end; -1 if it is none of @rank. */
int infer_normal_axis(int64_t axis, uint32_t rank);
/* That of attribute "axis" (or another @name), of input 0's rank. */
int infer_axis(const struct qeff_node *node, const char *name, int64_t fallback, int *axis,
	       struct qeff_error *err);
/* A set of axes, from the numbers of input @input; no such input: @without. Bit i: axis i. */
int infer_axes(const struct qeff_node *node, uint32_t input, uint32_t rank, uint32_t without,
	       uint32_t *axes, struct qeff_error *err);

#endif
