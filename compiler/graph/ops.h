/* SPDX-License-Identifier: MIT */
/* The table of operators: what each takes, which attributes it knows, what comes out. */
#ifndef QEFF_GRAPH_OPS_H
#define QEFF_GRAPH_OPS_H

#include "graph/graph.h"

#define QEFF_OP_MAX_ATTRIBUTES 9
#define QEFF_OP_MAX_OUTPUTS    1024 /* of Split */
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

/* Sets of element types, a bit each. */
#define QEFF_TYPE_BIT(type) (1u << (type))
#define QEFF_TYPES_FLOAT                                                                           \
	(QEFF_TYPE_BIT(QEFF_GRAPH_F16) | QEFF_TYPE_BIT(QEFF_GRAPH_BF16) |                          \
	 QEFF_TYPE_BIT(QEFF_GRAPH_F32) | QEFF_TYPE_BIT(QEFF_GRAPH_F64))
#define QEFF_TYPES_BYTE	 (QEFF_TYPE_BIT(QEFF_GRAPH_I8) | QEFF_TYPE_BIT(QEFF_GRAPH_U8))
#define QEFF_TYPES_INDEX (QEFF_TYPE_BIT(QEFF_GRAPH_I32) | QEFF_TYPE_BIT(QEFF_GRAPH_I64))
#define QEFF_TYPES_BOOL	 QEFF_TYPE_BIT(QEFF_GRAPH_BOOL)
#define QEFF_TYPES_UNSIGNED                                                                        \
	(QEFF_TYPE_BIT(QEFF_GRAPH_U8) | QEFF_TYPE_BIT(QEFF_GRAPH_U16) |                            \
	 QEFF_TYPE_BIT(QEFF_GRAPH_U32) | QEFF_TYPE_BIT(QEFF_GRAPH_U64))
#define QEFF_TYPES_INTEGER                                                                         \
	(QEFF_TYPES_UNSIGNED | QEFF_TYPES_INDEX | QEFF_TYPE_BIT(QEFF_GRAPH_I8) |                   \
	 QEFF_TYPE_BIT(QEFF_GRAPH_I16))
#define QEFF_TYPES_NUMBER (QEFF_TYPES_FLOAT | QEFF_TYPES_INTEGER)
#define QEFF_TYPES_ANY	  (QEFF_TYPES_NUMBER | QEFF_TYPES_BOOL)

/**
 * struct qeff_op - one operator, as opset QEFF_GRAPH_OPSET defines it
 * @name: with its domain before a dot: "MatMul", "qeff.Attention"
 * @min_inputs: inputs that must be there
 * @max_inputs: inputs that may be there
 * @attributes: those it knows; the first without a name ends the list
 * @infer: type and shape of the node->num_outputs outputs from those of the inputs; the arity, the
 *	   attributes and the type of input 0 have been checked. Fails with a sentence about the
 *	   operator's inputs, without the node's name; with -ENODATA when it has to know the numbers
 *	   of an input that is no initialiser (yet)
 * @types: those of input 0, whose others the shape function looks at; 0: it looks at all
 * @more_outputs: outputs that may be wanted besides the first
 */
struct qeff_op {
	const char *name;
	uint32_t min_inputs, max_inputs;
	struct qeff_op_attribute attributes[QEFF_OP_MAX_ATTRIBUTES];
	int (*infer)(const struct qeff_node *node, struct qeff_op_result *result,
		     struct qeff_error *err);
	uint32_t types;
	uint32_t more_outputs;
};

/* The whole table, for listings and tests. */
extern const struct qeff_op qeff_ops[];
extern const size_t qeff_num_ops;

/* NULL if there is no such operator. */
const struct qeff_op *qeff_op_find(const char *name);

/* Checks arity and attributes of @node against its row, then infers @result[node->num_outputs]. */
int qeff_op_infer(const struct qeff_node *node, struct qeff_op_result *result,
		  struct qeff_error *err);

#endif
