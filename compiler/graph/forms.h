/* SPDX-License-Identifier: MIT */
/*
 * What the attributes and constant inputs of an operator come to: windows with all their padding,
 * the beginnings of slices, the letters of Einsum. Shape functions and lowering read the same.
 * Nodes are checked (qeff_op_infer()) and bound, where nothing else is said; functions fail as
 * shape functions do. Arrays have a number for each axis, QEFF_GRAPH_MAX_RANK at most.
 */
#ifndef QEFF_GRAPH_FORMS_H
#define QEFF_GRAPH_FORMS_H

#include "graph/graph.h"

/* The numbers of a constant input of integers, or of floats; see infer_ints(). */
int qeff_op_ints(const struct qeff_node *node, uint32_t input, int64_t *numbers, uint32_t room,
		 uint32_t *count, struct qeff_error *err);
int qeff_op_floats(const struct qeff_node *node, uint32_t input, double *numbers, uint32_t room,
		   uint32_t *count, struct qeff_error *err);

/* Axes that input @input names, a bit each; @without such an input. */
int qeff_op_axes(const struct qeff_node *node, uint32_t input, uint32_t without, uint32_t *axes,
		 struct qeff_error *err);

/*
 * Where Slice begins on each axis of input 0, and its steps, which may be negative; @shape is what
 * it takes.
 */
int qeff_op_slice(const struct qeff_node *node, int64_t *begin, int64_t *step,
		  struct qeff_graph_shape *shape, struct qeff_error *err);

/* How many elements Pad adds on each side of each axis of input 0; negative: takes away. */
int qeff_op_pads(const struct qeff_node *node, int64_t *begin, int64_t *end,
		 struct qeff_error *err);

/**
 * struct qeff_window - how a kernel moves over the last @rank axes of an input
 * @begin, @end: padding, in elements of what the kernel moves over
 * @out: places it takes (transposed: elements it spreads over)
 */
struct qeff_window {
	uint32_t rank;
	int64_t in[QEFF_GRAPH_MAX_RANK], kernel[QEFF_GRAPH_MAX_RANK], stride[QEFF_GRAPH_MAX_RANK],
		dilation[QEFF_GRAPH_MAX_RANK], begin[QEFF_GRAPH_MAX_RANK], end[QEFF_GRAPH_MAX_RANK],
		out[QEFF_GRAPH_MAX_RANK];
};

/* @weight: the input whose last dimensions are the kernel, or UINT32_MAX: attribute kernel_shape.
 */
int qeff_op_window(const struct qeff_node *node, uint32_t weight, struct qeff_window *window,
		   struct qeff_error *err);
/* The same of ConvTranspose. */
int qeff_op_window_back(const struct qeff_node *node, struct qeff_window *window,
			struct qeff_error *err);

/**
 * struct qeff_resize - how Resize maps axes
 * @out: sizes
 * @scale: factors
 */
struct qeff_resize {
	uint32_t rank;
	int64_t out[QEFF_GRAPH_MAX_RANK];
	double scale[QEFF_GRAPH_MAX_RANK];
	double roi[2][QEFF_GRAPH_MAX_RANK];
};
int qeff_op_resize(const struct qeff_node *node, struct qeff_resize *resize,
		   struct qeff_error *err);

#define QEFF_EINSUM_INPUTS 4
#define QEFF_EINSUM_LABELS 12

/**
 * struct qeff_einsum - an equation, read
 * @label: of each dimension of each input, and of the output (at the end); below @num_labels
 * @size: of each label
 */
struct qeff_einsum {
	uint32_t num_labels, out_rank;
	uint8_t label[QEFF_EINSUM_INPUTS + 1][QEFF_GRAPH_MAX_RANK];
	int64_t size[QEFF_EINSUM_LABELS];
};
int qeff_op_einsum(const struct qeff_node *node, struct qeff_einsum *einsum,
		   struct qeff_error *err);

/**
 * struct qeff_dft - a Fourier transform of @length samples along @axis
 * @bins: of the spectrum that are wanted
 * @step, @frames: of STFT
 */
struct qeff_dft {
	int axis;
	bool inverse;
	int64_t length, bins, step, frames;
};
int qeff_op_dft(const struct qeff_node *node, struct qeff_dft *dft, struct qeff_error *err);
int qeff_op_stft(const struct qeff_node *node, struct qeff_dft *dft, struct qeff_error *err);

#endif
