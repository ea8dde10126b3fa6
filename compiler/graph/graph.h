/* SPDX-License-Identifier: MIT */
/*
 * The one graph of the compiler. Model builders make it, transforms rewrite it, ONNX export and
 * import write and read it, lowering consumes it. Its operators are ONNX's (default domain "") plus
 * those of the "qeff" domain, which graph/ops.c lists; each of the latter has an ONNX function
 * body, so export is one to one.
 *
 * Everything in a graph is owned by the graph and freed with it, except the bytes of initialisers,
 * which usually stay in a mapped checkpoint that must outlive the graph. Not thread safe: one
 * thread at a time per graph.
 */
#ifndef QEFF_GRAPH_GRAPH_H
#define QEFF_GRAPH_GRAPH_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_GRAPH_MAX_RANK 8
#define QEFF_GRAPH_OPSET    20 /* of the default domain */
#define QEFF_GRAPH_DOMAIN   "qeff"

struct qeff_op; /* graph/ops.h */

/* Element types, with ONNX's TensorProto numbers. */
enum qeff_graph_type {
	QEFF_GRAPH_F32 = 1,
	QEFF_GRAPH_U8 = 2,
	QEFF_GRAPH_I8 = 3,
	QEFF_GRAPH_U16 = 4,
	QEFF_GRAPH_I16 = 5,
	QEFF_GRAPH_I32 = 6,
	QEFF_GRAPH_I64 = 7,
	QEFF_GRAPH_BOOL = 9,
	QEFF_GRAPH_F16 = 10,
	QEFF_GRAPH_F64 = 11,
	QEFF_GRAPH_U32 = 12,
	QEFF_GRAPH_U64 = 13,
	QEFF_GRAPH_BF16 = 16,
};

/* What an input or output crosses the bus as, or a retained state is kept as. */
enum qeff_graph_io {
	QEFF_IO_DEFAULT = 0, /* as the precision makes it */
	QEFF_IO_F32,
	QEFF_IO_F16,
	QEFF_IO_MXINT8, /* retained state */
	QEFF_IO_I64,
};

/* 0 and "?" outside the enum. */
size_t qeff_graph_type_bytes(enum qeff_graph_type type);
const char *qeff_graph_type_name(enum qeff_graph_type type);

/**
 * struct qeff_dim - one dimension
 * @size: its size, or -1 while it is symbolic; 0 only in constants and what is made of them
 * @symbol: the name of a symbolic dimension ("batch_size", "seq_len", "ctx_len",
 *	    "full_batch_size"), else NULL
 */
struct qeff_dim {
	int64_t size;
	const char *symbol;
};

struct qeff_graph_shape {
	uint32_t rank;
	struct qeff_dim dims[QEFF_GRAPH_MAX_RANK];
};

/**
 * struct qeff_value - a tensor
 * @name: unique in the graph
 * @type: the type the graph computes with
 * @shape: its shape; known for every value
 * @producer: the node that makes it, or NULL (graph input or initialiser)
 * @is_input: stands in graph->inputs
 * @is_output: stands in graph->outputs
 * @is_initialiser: has bytes
 * @io: of an input or output, if it was said (CustomIO)
 * @stored_type: the type of an initialiser's bytes: where it differs from @type (an f16 checkpoint
 *		 in an f32 graph) they are converted when they are emitted, never before
 * @data: an initialiser's bytes, row-major, aligned to the stored type
 * @data_file: of an initialiser in ONNX: 0 inside the model, n in data file n - 1 (SplitTensors)
 * @index: position in graph->values; only qeff_graph_prune() changes it
 * @users: the nodes that read it, in no particular order; one that reads it twice stands there
 *twice
 * @num_users: how many
 */
struct qeff_value {
	const char *name;
	enum qeff_graph_type type;
	struct qeff_graph_shape shape;
	struct qeff_node *producer;
	bool is_input;
	bool is_output;
	bool is_initialiser;
	enum qeff_graph_io io;
	enum qeff_graph_type stored_type;
	const void *data;
	uint32_t data_file;
	uint32_t index;
	uint32_t num_users, users_capacity;
	struct qeff_node **users;
};

enum qeff_attribute_kind {
	QEFF_ATTR_INT,
	QEFF_ATTR_FLOAT,
	QEFF_ATTR_STRING,
	QEFF_ATTR_INTS,
	QEFF_ATTR_FLOATS,
};

struct qeff_attribute {
	const char *name;
	enum qeff_attribute_kind kind;
	int64_t i;
	float f;
	const char *s;
	uint32_t count; /* INTS, FLOATS */
	const int64_t *ints;
	const float *floats;
};

/**
 * struct qeff_node - an operation
 * @name: that of its first output
 * @op_type: without the domain: "Attention"
 * @domain: "", "qeff", "com.microsoft"
 * @op: the operator's row in graph/ops.c
 * @fp32: whoever compiles wants it exact, whatever the precision of the rest
 * @inputs: values; NULL where an optional input is absent, never at the end
 * @outputs: at least one, never NULL; those that nobody wants at the end are left out
 * @mark: scratch of the functions in graph/edit.c
 */
struct qeff_node {
	const char *name;
	const char *op_type;
	const char *domain;
	const struct qeff_op *op;
	bool fp32;
	uint32_t num_inputs, num_outputs, num_attributes;
	struct qeff_value **inputs;
	struct qeff_value **outputs;
	struct qeff_attribute *attributes;
	uint32_t mark;
};

/**
 * struct qeff_graph - values, and nodes in an order in which each stands behind what it reads
 *
 * Read the arrays freely; change them through the functions below.
 */
struct qeff_graph {
	const char *name;
	uint32_t num_values, num_nodes, num_inputs, num_outputs;
	struct qeff_value **values;
	struct qeff_node **nodes;
	struct qeff_value **inputs;
	struct qeff_value **outputs;
};

/* NULL when memory runs out. */
struct qeff_graph *qeff_graph_new(const char *name);
void qeff_graph_free(struct qeff_graph *graph);

/*
 * Building. These functions return NULL when memory runs out or an argument is wrong (a duplicate
 * name, an unknown operator, inputs whose shapes do not fit); the graph then remembers the first
 * such error, further calls with NULL inputs return NULL too, and qeff_graph_status() tells it, so
 * that a builder checks once at its end.
 */
int qeff_graph_status(const struct qeff_graph *graph, struct qeff_error *err);
/* Notes an error of the builder's own (an unsupported config, say); the first one stays. */
__attribute__((format(printf, 3, 4))) void qeff_graph_fail(struct qeff_graph *graph, int code,
							   const char *format, ...);

struct qeff_dim qeff_dim_of(int64_t size);
struct qeff_dim qeff_dim_symbol(const char *symbol);
bool qeff_dim_equal(const struct qeff_dim *a, const struct qeff_dim *b);

struct qeff_value *qeff_graph_input(struct qeff_graph *graph, const char *name,
				    enum qeff_graph_type type, uint32_t rank,
				    const struct qeff_dim *dims);
/* @data is borrowed. */
struct qeff_value *qeff_graph_initialiser(struct qeff_graph *graph, const char *name,
					  enum qeff_graph_type type,
					  enum qeff_graph_type stored_type, uint32_t rank,
					  const int64_t *dims, const void *data);
/* The same with memory of the graph, zeroed, for the caller to fill: small tables only. */
struct qeff_value *qeff_graph_constant(struct qeff_graph *graph, const char *name,
				       enum qeff_graph_type type, uint32_t rank,
				       const int64_t *dims, void **data);
void qeff_graph_output(struct qeff_graph *graph, struct qeff_value *value);

/* Attributes for qeff_graph_node(): QEFF_INT("axis", -1), ... */
#define QEFF_INT(n, v)	 ((struct qeff_attribute){ .name = (n), .kind = QEFF_ATTR_INT, .i = (v) })
#define QEFF_FLOAT(n, v) ((struct qeff_attribute){ .name = (n), .kind = QEFF_ATTR_FLOAT, .f = (v) })
#define QEFF_STRING(n, v)                                                                          \
	((struct qeff_attribute){ .name = (n), .kind = QEFF_ATTR_STRING, .s = (v) })
#define QEFF_INTS(n, c, v)                                                                         \
	((struct qeff_attribute){ .name = (n), .kind = QEFF_ATTR_INTS, .count = (c), .ints = (v) })

/**
 * qeff_graph_node - append a node with one output
 * @op: "MatMul", "qeff.Attention", ...: the domain stands before the last dot
 * @output_name: name of the output value (and of the node)
 *
 * Shape and type of the output are inferred from the operator's row in graph/ops.c. Attributes are
 * copied. An absent optional input is NULL; NULLs at the end are dropped.
 */
struct qeff_value *qeff_graph_node(struct qeff_graph *graph, const char *op,
				   const char *output_name, uint32_t num_inputs,
				   struct qeff_value *const *inputs, uint32_t num_attributes,
				   const struct qeff_attribute *attributes);
/* The same with @num_outputs outputs, 1 to what the operator has, of the given names. */
struct qeff_node *qeff_graph_node_of(struct qeff_graph *graph, const char *op, uint32_t num_outputs,
				     const char *const *output_names, uint32_t num_inputs,
				     struct qeff_value *const *inputs, uint32_t num_attributes,
				     const struct qeff_attribute *attributes);

/* Looking. */
struct qeff_value *qeff_graph_find(const struct qeff_graph *graph, const char *name);
const struct qeff_attribute *qeff_node_attribute(const struct qeff_node *node, const char *name);
int64_t qeff_node_int(const struct qeff_node *node, const char *name, int64_t fallback);
float qeff_node_float(const struct qeff_node *node, const char *name, float fallback);
const char *qeff_node_string(const struct qeff_node *node, const char *name, const char *fallback);
/* "MatMul", "qeff.Attention"; false for a NULL node. */
bool qeff_node_is(const struct qeff_node *node, const char *op);
/* NULL where the node has no such input. */
struct qeff_value *qeff_node_input(const struct qeff_node *node, uint32_t index);
/* Readers of the value, the graph's outputs included. */
uint32_t qeff_value_uses(const struct qeff_graph *graph, const struct qeff_value *value);
/* Product of a fully bound shape, 0 where a dimension is; false if symbolic or too large (the bytes
 * of any type fit in int64). */
bool qeff_graph_shape_elements(const struct qeff_graph_shape *shape, uint64_t *elements);
/* "[batch_size, 4, 32]", cut to the buffer; returns @buffer. */
const char *qeff_graph_shape_text(const struct qeff_graph_shape *shape, char *buffer,
				  size_t size_bytes);

/*
 * Rewriting. Between these calls nodes may stand before what they read and shapes may be out of
 * date; a transform ends with qeff_graph_finish(), which puts both right.
 */
/* Every reader of @from, the graph's outputs included, reads @to instead. */
void qeff_graph_replace_uses(struct qeff_graph *graph, struct qeff_value *from,
			     struct qeff_value *to);
/* The graph gives out @to in place of its output @from, whose other readers stay. */
void qeff_graph_replace_output(struct qeff_graph *graph, struct qeff_value *from,
			       struct qeff_value *to);
/* Input @index of @node reads @value, or nothing (NULL). */
void qeff_graph_set_input(struct qeff_graph *graph, struct qeff_node *node, uint32_t index,
			  struct qeff_value *value);
/* @node computes its output by another operator: name, output and readers stay, the rest is
 * replaced. */
void qeff_graph_morph(struct qeff_graph *graph, struct qeff_node *node, const char *op,
		      uint32_t num_inputs, struct qeff_value *const *inputs,
		      uint32_t num_attributes, const struct qeff_attribute *attributes);
/* The outputs of @node are known: they become initialisers with these bytes, which are borrowed,
 * and the node is gone. */
void qeff_graph_set_constant(struct qeff_graph *graph, struct qeff_node *node,
			     const void *const *data);
/* A new name, which no value has yet. */
void qeff_graph_rename(struct qeff_graph *graph, struct qeff_value *value, const char *name);
/* Removes nodes, inputs and initialisers that no output depends on; returns how many nodes went. */
uint32_t qeff_graph_prune(struct qeff_graph *graph);
/* Sorts nodes so that each stands behind what it reads; fails on a cycle, naming it. */
int qeff_graph_sort(struct qeff_graph *graph, struct qeff_error *err);
/* Checks every invariant written above, and infers all shapes anew. */
int qeff_graph_validate(struct qeff_graph *graph, struct qeff_error *err);
/* Status, prune, sort, validate. */
int qeff_graph_finish(struct qeff_graph *graph, struct qeff_error *err);

/* A copy of @graph in which symbols have the given sizes and all shapes are bound. Initialisers are
 * shared: @graph must outlive the copy. */
struct qeff_binding_size {
	const char *symbol;
	int64_t size;
};
int qeff_graph_bind(const struct qeff_graph *graph, const struct qeff_binding_size *sizes,
		    uint32_t count, struct qeff_graph **bound, struct qeff_error *err);

/* A listing for people and tests: one line a node. The caller frees it; NULL when memory runs out.
 */
char *qeff_graph_print(const struct qeff_graph *graph);
/* The same as a picture, in Graphviz's language. */
char *qeff_graph_dot(const struct qeff_graph *graph);

#endif
