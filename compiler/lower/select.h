/* SPDX-License-Identifier: MIT */
/* Selection of operations, shared between its files: the walk, matrix products, expressions. */
#ifndef QEFF_LOWER_SELECT_H
#define QEFF_LOWER_SELECT_H

#include "lower/ir.h"

/*
 * What a value of the graph has become. Compacted rows hold [heads][dim] whatever order the graph
 * gives to the sequence and head dimensions, so splitting, swapping and merging heads are views.
 */
enum slot_kind {
	SLOT_NONE = 0,
	SLOT_TENSOR,
	SLOT_STATE,
};

struct select_slot {
	uint8_t kind;
	bool head_major; /* the graph has [batch, head, seq, dim] here, not [batch, seq, ...] */
	uint32_t index;	 /* of the tensor or state */
};

/* A matrix product and the nodes that its epilogue takes in; emitted where the last of them stands.
 * @chain: all of them but the last, in the graph's order. */
#define SELECT_CHAIN 6
struct select_matmul {
	const struct qeff_node *node;
	const struct qeff_value *last;
	const struct qeff_node *chain[SELECT_CHAIN];
	uint32_t num_chain;
	const struct qeff_value *bias;
	const struct qeff_value *mul;
	const struct qeff_value *add;
	uint8_t function;
};

/**
 * struct select - the walk over one graph
 * @slots, @absorbed, @matmul_of: by value index: what it became; its node is part of another
 *				  operation; one more than the product that ends there
 * @dense: by value index: the dense tensor that it is, or has been copied to (see dense.h)
 * @positions: the value that says which rows live, or NULL: there are none
 */
struct dense_view;
struct select {
	struct qeff_lowering *l;
	struct lower_spec *spec;
	const struct qeff_graph *graph;
	struct select_slot *slots;
	struct dense_view *dense;
	bool *absorbed;
	uint32_t *matmul_of;
	struct select_matmul *matmuls;
	uint32_t num_matmuls;
	const struct qeff_value *positions;
	struct qeff_error *err;
};

/* -ENOTSUP: "node (operator): reason". */
__attribute__((format(printf, 3, 4))) int
qeff_select_refuse(struct select *s, const struct qeff_node *node, const char *format, ...);

int64_t qeff_select_dim(const struct qeff_value *value, uint32_t dim); /* 0 past the rank */

/* A new operation named after @node's (first) output. */
struct lower_op *qeff_select_op(struct select *s, const struct qeff_node *node,
				enum qeff_nsp_code code, uint8_t domain);
/* The tensor that @value has become, or LOWER_NONE. */
uint32_t qeff_select_tensor(const struct select *s, const struct qeff_value *value);
/* Input @index of @node as a tensor; refuses anything else. */
int qeff_select_input(struct select *s, const struct qeff_node *node, uint32_t index,
		      uint32_t *tensor);
/* Operand @operand of @op reads @tensor. */
void qeff_select_read(struct lower_op *op, uint32_t operand, uint32_t tensor);
/* @op writes a new tensor, which becomes @value's. */
int qeff_select_write(struct select *s, struct lower_op *op, const struct qeff_value *value,
		      uint8_t domain, uint32_t width, bool head_major);

/* A view of floats of the checkpoint. */
bool qeff_select_is_float(const struct qeff_value *value);
/* Its numbers as rows of a table of the shared region. */
int qeff_select_table(struct select *s, const struct qeff_node *node,
		      const struct qeff_value *value, uint32_t rows, uint32_t columns,
		      struct lower_ref *ref);
/* Its numbers as packed weights of @node's precision, for products, or for what @lookup keeps (see
 * lower.h); @transposed: the graph has it as [inputs, outputs]. */
int qeff_select_weight(struct select *s, const struct qeff_node *node,
		       const struct qeff_value *value, bool transposed, bool lookup,
		       uint32_t *weight);

/* The same of the weights of @experts experts, one below the other. */
int qeff_select_experts_weight(struct select *s, const struct qeff_node *node,
			       const struct qeff_value *value, uint32_t experts, uint32_t *weight);

/* Nodes around attention. */
int qeff_select_rotary(struct select *s, const struct qeff_node *node);
int qeff_select_scatter(struct select *s, const struct qeff_node *node);
int qeff_select_cache(struct select *s, const struct qeff_node *node);
int qeff_select_attention(struct select *s, const struct qeff_node *node);
int qeff_select_disentangled(struct select *s, const struct qeff_node *node);

/* Experts: what rows are routed by, their products, the sum of what they make of a row. */
int qeff_select_route(struct select *s, const struct qeff_node *node);
int qeff_select_emit_experts(struct select *s, const struct select_matmul *experts);
int qeff_select_emit_mix(struct select *s, const struct select_matmul *mix);

/* Tokens: of each sequence the likeliest, or a drawn one. */
int qeff_select_arg_max(struct select *s, const struct qeff_node *node);
int qeff_select_sample(struct select *s, const struct qeff_node *node);
int qeff_select_probabilities(struct select *s, const struct qeff_node *node);
/* Flags of the tokens of a text, and what they take off logits. */
int qeff_select_mark(struct select *s, const struct qeff_node *node);
int qeff_select_penalise(struct select *s, const struct qeff_node *node);

/* batch_index is read by ROWS; a node that names another one means something else. */
bool qeff_select_is_batch_index(const struct select *s, const struct qeff_value *value);
/* The state that graph input @value is, or LOWER_NONE. */
uint32_t qeff_select_state(const struct select *s, const struct qeff_value *value);

/* The binding of graph input @value, or of kind LOWER_REF_NONE. */
struct lower_ref qeff_select_binding(const struct select *s, const struct qeff_value *value);
/* i64 [batch, seq], an input of the graph. */
bool qeff_select_is_tokens(const struct select *s, const struct qeff_value *value);
/* Finds the value that says which rows live, and emits ROWS; without one there are none. */
int qeff_select_rows(struct select *s);

/* Reads the companion @value of a product as operand @operand. */
int qeff_select_companion(struct select *s, const struct select_matmul *product,
			  struct lower_op *op, uint32_t operand, const struct qeff_value *value);

/* ONNX operators of one number, as functions of the NSP program; false if @node is none. */
bool qeff_select_function(const struct qeff_node *node, uint8_t *function);

/* Finds all matrix products and what each takes in. */
int qeff_select_products(struct select *s);
int qeff_select_emit_product(struct select *s, const struct select_matmul *matmul);
/* A product of a dense tensor and a weight, with what @product took in or NULL; 1 if @node is none.
 */
int qeff_select_dense_product(struct select *s, const struct qeff_node *node,
			      const struct select_matmul *product);
/* The plain way of @node, whatever it reads. */
int qeff_select_plain(struct select *s, const struct qeff_node *node);
/* Element-wise nodes that no product took in; 1 if @node is not one. */
int qeff_select_pointwise(struct select *s, const struct qeff_node *node);

#endif
