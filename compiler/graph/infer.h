/* SPDX-License-Identifier: MIT */
/* The shape functions that the rows of the operator table name. Inputs that must be there, are. */
#ifndef QEFF_GRAPH_INFER_H
#define QEFF_GRAPH_INFER_H

#include "graph/ops.h"

#define DECLARE_INFER(name)                                                                        \
	int infer_##name(const struct qeff_node *node, struct qeff_op_result *result,              \
			 struct qeff_error *err)

DECLARE_INFER(float_unary);
DECLARE_INFER(arithmetic);
DECLARE_INFER(gelu);
DECLARE_INFER(matmul);
DECLARE_INFER(reduce);
DECLARE_INFER(gather);
DECLARE_INFER(transpose);
DECLARE_INFER(reshape);
DECLARE_INFER(slice);
DECLARE_INFER(concat);
DECLARE_INFER(route);
DECLARE_INFER(experts);
DECLARE_INFER(mix);
DECLARE_INFER(norm);
DECLARE_INFER(l2_normalize);
DECLARE_INFER(mask_to_positions);
DECLARE_INFER(rotary);
DECLARE_INFER(attention);
DECLARE_INFER(disentangled_attention);
DECLARE_INFER(ctx_scatter);
DECLARE_INFER(ctx_gather);
DECLARE_INFER(last_token);
DECLARE_INFER(last_tokens);
DECLARE_INFER(pool);

#undef DECLARE_INFER

#endif
