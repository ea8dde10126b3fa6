/* SPDX-License-Identifier: MIT */
/*
 * Import: the bytes of a ModelProto become a graph. A model is opened once and imported as often as
 * there are specialisations; the graphs share its constants.
 *
 * One pass in an order in which each node stands behind what it reads: nodes are brought to the
 * form of opset QEFF_GRAPH_OPSET, functions and the bodies of If, Loop and Scan are put in place of
 * their nodes, and what depends on constants alone is computed at once, so that a shape that is
 * worked out in the model is known when it is needed. Everything in the file is hostile: sizes,
 * depths and counts are bounded.
 */
#ifndef QEFF_ONNX_IMPORT_H
#define QEFF_ONNX_IMPORT_H

#include "graph/graph.h"

struct qeff_onnx_model;

/**
 * struct qeff_onnx_tensor - a tensor as a file holds it
 * @name: may be ""
 * @data: its numbers, row-major, aligned to the type
 * @nibbles: the file has 4 bits for each, of a byte here
 */
struct qeff_onnx_tensor {
	const char *name;
	enum qeff_graph_type type;
	uint32_t rank;
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	const void *data;
	uint64_t size_bytes;
	bool nibbles;
};

/* The shape that an input is to have. */
struct qeff_onnx_shape {
	const char *name;
	uint32_t rank;
	int64_t dims[QEFF_GRAPH_MAX_RANK];
};

/**
 * struct qeff_onnx_import_options - how to import
 * @sizes: of symbolic dimensions, in place of their names; the others stay symbolic
 * @shapes: of inputs; they win over what the file says, give its symbols their sizes, and win over
 *	    @sizes
 * @values: inputs that are constants
 * @fold: computes the outputs of @node, all of whose inputs are constants, into @outputs, which
 *	  have room for them; -ENOTSUP leaves the node in the graph. NULL: nothing is computed
 */
struct qeff_onnx_import_options {
	const struct qeff_binding_size *sizes;
	uint32_t num_sizes;
	const struct qeff_onnx_shape *shapes;
	uint32_t num_shapes;
	const struct qeff_onnx_tensor *values;
	uint32_t num_values;
	int (*fold)(void *user, const struct qeff_node *node, void *const *outputs,
		    struct qeff_error *err);
	void *user;
};

/* Opens the model at @path; data files beside it are mapped when they are needed. */
int qeff_onnx_open(const char *path, struct qeff_onnx_model **model, struct qeff_error *err);
/* The same from memory, which must outlive the model; without data files. @name is for errors. */
int qeff_onnx_open_bytes(const void *data, size_t size_bytes, const char *name,
			 struct qeff_onnx_model **model, struct qeff_error *err);
void qeff_onnx_close(struct qeff_onnx_model *model);

/* The value of a key of the model's metadata, or NULL. */
const char *qeff_onnx_metadata(const struct qeff_onnx_model *model, const char *key);
/* Names of the symbolic dimensions of the inputs, each once; NULL behind the last. */
const char *qeff_onnx_symbol(const struct qeff_onnx_model *model, uint32_t index);

/**
 * qeff_onnx_import - the model as a graph
 * @graph: pruned, sorted and validated; its initialisers' bytes are the model's, which must outlive
 *	   it
 *
 * Returns 0; -ENOTSUP for what is in no table, named with its operator, domain and opset; -ENODATA
 * where a shape depends on numbers that are not known; -EINVAL for a malformed model; -EFBIG
 * beyond the bounds; -ENOMEM.
 */
int qeff_onnx_import(struct qeff_onnx_model *model, const struct qeff_onnx_import_options *options,
		     struct qeff_graph **graph, struct qeff_error *err);

/* @count integers as the value of input @name, in its type; @tensor's data is @numbers, which may
 * be changed for that. One number has the input's rank, more are a list. */
int qeff_onnx_give_integers(const struct qeff_onnx_model *model, const char *name, uint32_t count,
			    int64_t *numbers, struct qeff_onnx_tensor *tensor,
			    struct qeff_error *err);

/* Reads a TensorProto (the .pb files beside ONNX's tests); the tensor's memory goes with
 * qeff_onnx_tensor_free(). */
struct qeff_onnx_tensor_file;
int qeff_onnx_tensor_open(const char *path, struct qeff_onnx_tensor_file **file,
			  struct qeff_onnx_tensor *tensor, struct qeff_error *err);
void qeff_onnx_tensor_free(struct qeff_onnx_tensor_file *file);

#endif
