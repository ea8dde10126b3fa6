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
void infer_same_as(const struct qeff_node *node, uint32_t input, struct qeff_op_result *result);
/* The numbers of an i64 initialiser with one dimension. */
int infer_constant_ints(const struct qeff_node *node, uint32_t input, const int64_t **numbers,
			uint32_t *count, struct qeff_error *err);
/* An axis counted from either end; -1 if it is none of @rank. */
int infer_normal_axis(int64_t axis, uint32_t rank);

#endif
