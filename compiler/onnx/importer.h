/* SPDX-License-Identifier: MIT */
/* What the files that import nodes share: names in scopes, a node with all that it refers to. */
#ifndef QEFF_ONNX_IMPORTER_H
#define QEFF_ONNX_IMPORTER_H

#include "onnx/model.h"

/* Names to pointers or numbers; names are borrowed. */
struct onnx_names {
	struct onnx_name {
		const char *text;
		union {
			struct qeff_value *value;
			const char *text;
			uint32_t number;
		} u;
	} * entries; /* open addressing; capacity is a power of two */
	uint32_t count, capacity;
};

/* NULL if it is not there. */
struct onnx_name *onnx_names_find(const struct onnx_names *names, const char *text);
/* The entry of @text, new ones zeroed; NULL when memory runs out. */
struct onnx_name *onnx_names_add(struct onnx_names *names, const char *text);
void onnx_names_free(struct onnx_names *names);

struct import_node;

/**
 * struct scope - what names mean: in the model's graph, in a function, in a body of If, Loop, Scan
 * @outer: a body sees the names around it; NULL elsewhere
 * @call: the node that a function stands for, whose attributes the function's nodes may name
 * @function: the function's own, with defaults of attributes
 * @prefix: of names of values that are made here
 * @given: names of values that are known outside by another name: the caller's
 */
struct scope {
	const struct scope *outer;
	const struct import_node *call;
	const QeffOnnx__FunctionProto *function;
	const char *prefix;
	QeffOnnx__OperatorSetIdProto *const *opsets;
	size_t num_opsets;
	struct onnx_names names;
	struct onnx_names given; /* text */
};

/**
 * struct import_node - a node whose names are resolved
 * @label: its name, or that of its first output
 * @opset: version of its domain
 * @inputs: NULL where absent; there is room for a few more
 * @outputs: names in the scope, "" where not wanted
 * @attributes: numbers and texts; there is room for a few more
 * @protos: all attributes, where they are no numbers and texts
 */
struct import_node {
	const char *op_type, *domain, *label;
	int64_t opset;
	uint32_t num_inputs, num_outputs, num_attributes, num_protos;
	struct qeff_value **inputs;
	const char **outputs;
	struct qeff_attribute *attributes;
	const QeffOnnx__AttributeProto **protos;
};

#define IMPORT_SPARE	      8 /* inputs and attributes that upgrading may add */
#define IMPORT_COMPUTED_TIMES 9 /* constants may be so much larger than tensors: 4 bits to 32 */

struct importer {
	struct qeff_onnx_model *model;
	const struct qeff_onnx_import_options *options;
	struct qeff_graph *graph;
	struct qeff_arena scratch;   /* of this import */
	struct onnx_names functions; /* number: in the model */
	struct onnx_names sizes;     /* number: in bound[] */
	struct onnx_names nibbles;   /* values that are bytes of what has 4 bits */
	struct qeff_binding_size *bound;
	uint32_t num_bound;
	uint32_t num_nodes, depth, num_made;
	uint8_t *constant; /* by a value's index: it is made of constants alone */
	uint32_t constant_capacity;
	struct qeff_error *err;
};

int import_no_memory(struct importer *im);
__attribute__((format(printf, 4, 5))) int import_refuse(struct importer *im,
							const struct import_node *node, int code,
							const char *format, ...);

/* The value of @name in @scope or around it, or NULL. */
struct qeff_value *import_lookup(const struct scope *scope, const char *name);
int import_bind(struct importer *im, struct scope *scope, const char *name,
		struct qeff_value *value);
/* A name that no value of the graph has, like @name of @scope; of the import's memory. */
const char *import_value_name(struct importer *im, const struct scope *scope, const char *name);

/* Runs nodes in order of what they read. */
int import_nodes(struct importer *im, struct scope *scope, QeffOnnx__NodeProto *const *nodes,
		 size_t count);
int import_initialisers(struct importer *im, struct scope *scope,
			const QeffOnnx__GraphProto *graph);

/* Appends the node to the graph (or its result, if that is known), and binds its outputs. */
int import_append(struct importer *im, struct scope *scope, const struct import_node *node);
/* Appends a node @op of one output on the way to something else. */
struct qeff_value *import_helper(struct importer *im, const struct scope *scope, const char *op,
				 const char *hint, uint32_t num_inputs,
				 struct qeff_value *const *inputs, uint32_t num_attributes,
				 const struct qeff_attribute *attributes);
/* A small constant of integers, or of other numbers. */
struct qeff_value *import_ints(struct importer *im, const struct scope *scope, const char *hint,
			       bool is_list, uint32_t count, const int64_t *numbers);
struct qeff_value *import_constant(struct importer *im, const struct scope *scope, const char *hint,
				   const struct qeff_onnx_tensor *tensor);
/* Refuses a model whose constants have grown out of proportion. */
int import_check_computed(struct importer *im);
bool import_is_constant(const struct importer *im, const struct qeff_value *value);
/* Reads one number of a constant of integers or booleans; false if it is none. */
bool import_number(const struct qeff_value *value, int64_t *number);

const struct qeff_attribute *import_attribute(const struct import_node *node, const char *name);
int64_t import_int(const struct import_node *node, const char *name, int64_t fallback);
const QeffOnnx__AttributeProto *import_proto(const struct import_node *node, const char *name);
void import_drop_attribute(struct import_node *node, const char *name);

/* Nodes that are no operators of the graph. 1: done; 0: not one of these. */
int import_special(struct importer *im, struct scope *scope, struct import_node *node);
/* QuantizeLinear and DequantizeLinear of newer opsets: the same. */
int import_quantise(struct importer *im, struct scope *scope, struct import_node *node);
/* If, Loop, Scan: the same. */
int import_flow(struct importer *im, struct scope *scope, struct import_node *node);
/* A function of the qeff domain becomes the operator that it stands for, if there is one. */
bool import_qeff(struct import_node *node);
/* An operator of com.microsoft becomes a @function of ONNX's; NULL if it is none of these. */
int import_microsoft(struct importer *im, struct scope *scope, struct import_node *node,
		     const QeffOnnx__FunctionProto **function);
/* An older form becomes that of QEFF_GRAPH_OPSET. */
int import_upgrade(struct importer *im, struct scope *scope, struct import_node *node);

#endif
