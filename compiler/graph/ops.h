/* SPDX-License-Identifier: MIT */
/* The table of operators: what each takes, which attributes it knows, what comes out. */
#ifndef QEFF_GRAPH_OPS_H
#define QEFF_GRAPH_OPS_H

#include "graph/graph.h"

#define QEFF_OP_MAX_ATTRIBUTES 6
#define QEFF_OP_MAX_OUTPUTS    1
#define QEFF_OP_MAX_INPUTS     4096 /* of Concat */

struct qeff_op_attribute {
	const char *name;
	enum qeff_attribute_kind kind;
	bool required;
};

/* Type and shape of one output. */
struct qeff_op_result {
	enum qeff_graph_type type;
	struct qeff_graph_shape shape;
};

/**
 * struct qeff_op - one operator
 * @name: with its domain before a dot: "MatMul", "qeff.Attention"
 * @min_inputs: inputs that must be there
 * @max_inputs: inputs that may be there
 * @attributes: those it knows; the first without a name ends the list
 * @infer: type and shape of the outputs from those of the inputs; the arity and the attributes have
 *	   been checked. Fails with a sentence about the operator's inputs, without the node's name
 */
struct qeff_op {
	const char *name;
	uint32_t min_inputs, max_inputs;
	struct qeff_op_attribute attributes[QEFF_OP_MAX_ATTRIBUTES];
	int (*infer)(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err);
};

/* The whole table, for listings and tests. */
extern const struct qeff_op qeff_ops[];
extern const size_t qeff_num_ops;

/* NULL if there is no such operator. */
const struct qeff_op *qeff_op_find(const char *name);

/* Checks arity and attributes of @node against its row, then infers @result[QEFF_OP_MAX_OUTPUTS].
 */
int qeff_op_infer(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err);

#endif
